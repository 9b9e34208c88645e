//! A request to one of the routes, and what every answer needs: body, query, commands, readings, long lists.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chancery_ledger::ids::{MissionId, TenantId};
use chancery_projections::command::Command;
use chancery_projections::execution::view::mission_by_key;
use chancery_projections::json::Members;
use chancery_projections::lane::orgkernel::ids::{NAMESPACE, parse_mission};
use chancery_projections::output::Output;
use chancery_projections::rows::Order;
use chancery_projections::sequencer::Pending;
use chancery_projections::view::{Held, Page, Paging, Reading, ViewError};
use hyper::StatusCode;
use serde::Serialize;
use tokio::sync::mpsc;

use super::error::Failure;
use super::from_wire;
use super::from_wire::fields::{parse_body, parse_query};
use crate::app::App;
use crate::auth::Principal;
use crate::problem::Problem;
use crate::request::Request;
use crate::response::{self, Response};

/// Items of a list that are read and sent at once; a list that is no longer is answered whole.
const ITEMS_AT_ONCE: usize = 256;
/// Pieces of a long list that wait for a slow client.
const PIECES_WAITING: usize = 2;

/// A request to a route.
pub(super) struct Call<'a> {
    pub(super) app: &'a Arc<App>,
    pub(super) principal: Principal,
    pub(super) request: Request,
    /// What stands in place of the route's `{…}`.
    pub(super) argument: String,
}

impl Call<'_> {
    pub(super) fn tenant(&self) -> TenantId {
        self.principal.tenant()
    }

    pub(super) async fn body(&mut self) -> Result<Members, Failure> {
        let config = self.app.config();
        let time = Duration::from_secs(config.body_timeout_secs);
        let bytes = self.request.body(config.body_bytes_max, time).await?;
        Ok(parse_body(&bytes)?)
    }

    pub(super) fn query(&self) -> Members {
        parse_query(self.request.query())
    }

    /// Sends a command, and gives what it gave back once it is durable, and whether it changed anything.
    ///
    /// An answer is made from that and from what was read before: nothing that is durable waits for a view, and a secret
    /// that is shown once is not lost to a view that is behind.
    pub(super) async fn submit(&self, command: impl Into<Command>) -> Result<(Output, bool), Failure> {
        let receipt = self.hand_in(command.into())?.await?;
        let changed = !receipt.events.is_empty() && !receipt.replayed;
        match receipt.answer {
            Ok(output) => Ok((output, changed)),
            Err(rejection) if receipt.events.is_empty() => Err(rejection.into()),
            Err(rejection) => Err(Problem::RejectedOnRecord { rejection, events: receipt.events }.into()),
        }
    }

    fn hand_in(&self, command: Command) -> Result<Pending, Problem> {
        self.principal.require(command.scope())?;
        Ok(self.app.submit(&self.principal, command, self.app.options(&self.request)?)?)
    }

    /// The views, held still where they reflect whatever the caller may know.
    pub(super) async fn hold(&self) -> Result<Held, Failure> {
        Ok(self.app.held(None).await?)
    }

    pub(super) fn reading<'a>(&'a self, held: &'a Held) -> Reading<'a> {
        held.reading(self.app.opener(), self.app.now())
    }

    /// The mission that the argument names, by the vendor's callers' own text or as `msn_…`; else the id of nothing.
    pub(super) fn mission(&self, reading: &Reading<'_>) -> Result<MissionId, Failure> {
        let text = &self.argument;
        let found = mission_by_key(reading, self.tenant(), NAMESPACE, text)?;
        // The view reads every spelling of an id; here only the vendor's counts.
        let known = found.filter(|mission| {
            let named = mission.key.as_ref().is_some_and(|key| key.namespace == NAMESPACE && key.text == *text);
            named || parse_mission(text) == Some(mission.id)
        });
        Ok(from_wire::or_nothing(known.map(|mission| mission.id)))
    }

    /// Answers with a JSON text that holds a whole list, however long: `head`, the items, `tail`. What does not fit into
    /// one piece is read and sent piece by piece; should the views fail then, the text breaks off and is no JSON.
    pub(super) fn whole_list<T: Serialize>(
        &self, held: Held, order: Order, mut text: Vec<u8>, tail: &'static str,
        mut read: impl FnMut(&Reading<'_>, &Paging) -> Result<Page<T>, ViewError> + Send + 'static,
    ) -> Result<Response, Failure> {
        let now = self.app.now();
        let first = read(&held.reading(self.app.opener(), now), &Paging::new(order, None, Some(ITEMS_AT_ONCE))?)?;
        let mut items = 0;
        write_items(&mut text, &first.items, &mut items)?;
        let Some(mut next) = first.next else {
            text.extend_from_slice(tail.as_bytes());
            return Ok(response::typed(StatusCode::OK, "application/json", text));
        };
        let (sender, pieces) = mpsc::channel(PIECES_WAITING);
        let (app, id) = (Arc::clone(self.app), self.request.id.clone());
        tokio::task::spawn_blocking(move || {
            let reading = held.reading(app.opener(), now);
            while sender.blocking_send(Bytes::from(std::mem::take(&mut text))).is_ok() {
                let page =
                    Paging::new(order, Some(&next), Some(ITEMS_AT_ONCE)).and_then(|paging| read(&reading, &paging));
                let written = page.map_err(Problem::from).and_then(|page| {
                    write_items(&mut text, &page.items, &mut items)?;
                    Ok(page.next)
                });
                match written {
                    Ok(Some(cursor)) => next = cursor,
                    Ok(None) => {
                        text.extend_from_slice(tail.as_bytes());
                        // Nobody left to send it to is no failure.
                        let _ = sender.blocking_send(Bytes::from(text));
                        return;
                    }
                    Err(problem) => return problem.trace(&id),
                }
            }
        });
        Ok(response::stream("application/json", pieces))
    }
}

fn write_items<T: Serialize>(text: &mut Vec<u8>, new: &[T], written: &mut u64) -> Result<(), Problem> {
    for item in new {
        if *written > 0 {
            text.push(b',');
        }
        serde_json::to_writer(&mut *text, item).map_err(|error| {
            tracing::error!(%error, "an item of a list cannot be rendered");
            Problem::Internal
        })?;
        *written += 1;
    }
    Ok(())
}

/// Answers with a value: every success is 200.
pub(super) fn ok(value: &impl Serialize) -> Response {
    response::json(StatusCode::OK, value)
}

/// What the sequencer gives back is what the command asks for; anything else is our bug.
pub(super) fn unexpected() -> Failure {
    Problem::Internal.into()
}
