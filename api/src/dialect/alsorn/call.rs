//! What handlers share: who asks, the body, commands, views.

use std::sync::Arc;

use chancery_ledger::ids::{AgentId, DisputeId, TenantId, ThingId, TransactionId, parse_typeid};
use chancery_projections::command::Command;
use chancery_projections::output::Output;
use chancery_projections::view::{Held, PageNumber, Reading};
use hyper::StatusCode;
use serde::Serialize;

use super::error::Failure;
use super::fields::Fields;
use crate::app::{App, Options};
use crate::auth::Principal;
use crate::delivery;
use crate::problem::Problem;
use crate::request::Request;
use crate::response::{self, Response};

/// A request to a route.
pub(super) struct Call {
    pub(super) app: Arc<App>,
    pub(super) principal: Option<Principal>,
    pub(super) request: Request,
    /// What stands in place of the route's `{…}`.
    pub(super) argument: String,
}

impl Call {
    pub(super) fn principal(&self) -> Result<&Principal, Failure> {
        self.principal.as_ref().ok_or_else(|| Problem::Unauthenticated.into())
    }

    pub(super) fn tenant(&self) -> Result<TenantId, Failure> {
        Ok(self.principal()?.tenant())
    }

    /// The agent in the path. What is no id is an id of nothing.
    pub(super) fn agent(&self) -> Result<AgentId, Failure> {
        parse_agent(&self.argument).ok_or_else(|| Failure::not_found("Agent"))
    }

    pub(super) fn transaction(&self) -> Result<TransactionId, Failure> {
        parse_transaction(&self.argument).ok_or_else(|| Failure::not_found("Transaction"))
    }

    pub(super) async fn json(&mut self) -> Result<Fields, Failure> {
        let config = self.app.config();
        let (max, time) = (config.body_bytes_max, config.body_timeout());
        Ok(Fields::json(&self.request.body(max, time).await?)?)
    }

    pub(super) fn query(&self) -> Result<Fields, Failure> {
        Ok(Fields::query(self.request.query().unwrap_or_default())?)
    }

    /// Sends a command, and gives what it gave back once it is durable, and whether it made any event.
    pub(super) async fn submit(&self, command: impl Into<Command>) -> Result<(Output, bool), Failure> {
        self.submit_with(command.into(), self.app.options(&self.request)?).await
    }

    /// As [`submit`](Self::submit), with what goes beside the command.
    pub(super) async fn submit_with(&self, command: Command, options: Options) -> Result<(Output, bool), Failure> {
        let principal = self.principal()?;
        principal.require(command.scope()).map_err(Problem::from)?;
        command.also_needs().map_or(Ok(()), |scope| principal.require(scope)).map_err(Problem::from)?;
        delivery::check(&self.app, principal.tenant(), &command)?;
        let receipt = self.app.submit(principal, command, options).map_err(Problem::from)?;
        let receipt = receipt.await.map_err(Problem::from)?;
        match receipt.answer {
            Ok(output) => Ok((output, !receipt.events.is_empty() && !receipt.replayed)),
            Err(rejection) if receipt.events.is_empty() => Err(rejection.into()),
            Err(rejection) => Err(Problem::RejectedOnRecord { rejection, events: receipt.events }.into()),
        }
    }

    pub(super) async fn hold(&self) -> Result<Held, Failure> {
        Ok(self.app.held(None).await?)
    }

    pub(super) fn reading<'a>(&'a self, held: &'a Held) -> Reading<'a> {
        held.reading(self.app.opener(), self.app.now())
    }
}

pub(super) fn parse_agent(text: &str) -> Option<AgentId> {
    parse_typeid("agent", text).ok().map(AgentId::from_uuid)
}

pub(super) fn parse_transaction(text: &str) -> Option<TransactionId> {
    parse_typeid("tx", text).ok().map(TransactionId::from_uuid)
}

pub(super) fn dispute_text(id: DisputeId) -> String {
    chancery_ledger::ids::render_typeid("disp", id.uuid())
}

/// `page` and `limit` of a query.
pub(super) fn page(query: &mut Fields) -> PageNumber {
    let number = query.number("page", 1, u64::from(u32::MAX)).unwrap_or(1);
    let size = query.number("limit", 1, 100).unwrap_or(20);
    PageNumber { number, size: usize::try_from(size).unwrap_or(100) }
}

pub(super) fn ok(value: &impl Serialize) -> Response {
    response::json(StatusCode::OK, value)
}

pub(super) fn created(value: &impl Serialize) -> Response {
    response::json(StatusCode::CREATED, value)
}

pub(super) fn no_content() -> Response {
    response::empty(StatusCode::NO_CONTENT)
}

/// What the sequencer gives back is what the command asks for; anything else is our bug.
pub(super) fn unexpected() -> Failure {
    Problem::Internal.into()
}
