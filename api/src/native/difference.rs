//! `GET /v1/diff`: what differs between two moments, and the events that made it so. A tenant sees its own things; the
//! root tenant sees all.

use std::ops::ControlFlow;

use chancery_ledger::ids::Seq;
use chancery_projections::difference::{Between, Change};
use chancery_projections::rejection::Rejection;
use chancery_projections::scope::Scope;
use chancery_projections::view::{LIMIT_DEFAULT, Page};
use chancery_projections::views::View;
use hyper::StatusCode;

use super::call::{Call, Moment};
use super::operation::{Access, Content, Form, LIMIT, Operation, SEQ_MAX, query};
use crate::limits::EVENTS_EXAMINED_MAX;
use crate::problem::Problem;
use crate::response::{self, Response};

/// `GET /v1/diff`.
pub const DIFFERENCE: Operation = Operation {
    id: "getDifference",
    summary: "What differs between two moments: each thing that an event in between is about and that is not as it was, \
              with what it was, what it is and those events; in the order of the first of them.",
    access: Access::Scope(Scope::LedgerRead),
    parameters: &[
        query(
            "from",
            Form::Moment,
            "The earlier moment: right after this event, or at this time; right after the ledger's first \
               event if absent.",
        ),
        query("to", Form::Moment, "The later moment; now if absent."),
        query("subject", Form::Subject, "Only this thing: its kind, a colon, its id."),
        LIMIT,
        query("cursor", Form::Number { min: 0, max: SEQ_MAX }, "Where the page begins: `next` of the page before."),
    ],
    bodies: &[],
    answers: &[Content::json::<Page<Change>>()],
    problems: &[],
    handler: |call| Box::pin(difference(call)),
};

async fn difference(call: Call) -> Result<Response, Problem> {
    let wrong =
        |parameter: &str, why: &str| Problem::Parameter { parameter: parameter.to_owned(), why: why.to_owned() };
    let size = call.app.sequencer().acknowledged();
    let at = |moment: Moment| moment.seq.or(size.last()).unwrap_or(Seq(0));
    let before = match call.moment_of("from")? {
        Some(moment) => moment,
        None => call.moment_at(Seq(0))?,
    };
    let after = call.moment_of("to")?.unwrap_or(Moment { seq: None, now: call.app.now() });
    let (first, last) = (at(before), at(after));
    if first > last {
        return Err(wrong("from", "lies after `to`"));
    }
    let principal = call.principal()?;
    let tenant = (!principal.sees_ledger()).then(|| principal.tenant());
    let journal = call.app.view(View::Journal).await?;
    let (held_before, held_after) = (call.app.held(Some(first)).await?, call.app.held(Some(last)).await?);
    let log = call.app.engine().log();
    let limit = call.number("limit").map_or(LIMIT_DEFAULT, |limit| limit as usize);
    let page = tokio::task::block_in_place(|| -> Result<_, Problem> {
        let between = Between {
            log: &*log,
            journal: &journal,
            before: (first, held_before.reading(call.app.opener(), before.now)),
            after: (last, held_after.reading(call.app.opener(), after.now)),
            tenant,
        };
        if let Some(subject) = call.subject("subject") {
            if !between.knows(subject)? {
                return Err(Rejection::NotFound { thing: subject.kind.name() }.into());
            }
            return Ok(Page { items: between.of(subject)?.into_iter().collect(), next: None });
        }
        // A cursor names the last event that was looked at.
        let start = call.number("cursor").map_or(first, |seq| first.max(Seq(seq)));
        let (mut items, mut looked_at, mut next) = (Vec::new(), 0, None);
        between.each_event(start, |seq, mut changes| {
            items.append(&mut changes);
            looked_at += 1;
            if items.len() < limit && looked_at < EVENTS_EXAMINED_MAX {
                return ControlFlow::Continue(());
            }
            next = (seq < last).then(|| seq.to_string());
            ControlFlow::Break(())
        })?;
        Ok(Page { items, next })
    })?;
    Ok(response::json(StatusCode::OK, &page))
}
