//! The events themselves: one, or a range with filters. A tenant sees its own; the root tenant sees all.

use chancery_ledger::event::{ReadError, peek};
use chancery_ledger::ids::{Seq, TreeSize};
use chancery_projections::event_view::{EventView, render_record};
use chancery_projections::rejection::Rejection;
use chancery_projections::rows::{Order, Scan};
use chancery_projections::scope::Scope;
use chancery_projections::view::Page;
use chancery_projections::views::View;
use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};

use super::call::Call;
use super::operation::{AS_OF, Access, Content, Form, LIMIT, Operation, SEQ_MAX, path, query};
use super::proofs::sees;
use super::selection::{KIND, Range, SUBJECT, Selection, TENANT};
use crate::problem::Problem;
use crate::response::{self, Response};
use crate::siem::{self, Format};

/// Where the next page of lines begins.
const NEXT: HeaderName = HeaderName::from_static("chancery-next");
const SEQ: Form = Form::Number { min: 0, max: SEQ_MAX };

/// `GET /v1/events`.
pub const EVENTS: Operation = Operation {
    id: "listEvents",
    summary: "A range of events, with every encrypted field opened that was not erased.",
    access: Access::Scope(Scope::LedgerRead),
    parameters: &[
        query("from", SEQ, "The first position; 0 if absent."),
        query("to", SEQ, "The last position; the newest if absent."),
        query("from_time", Form::Time, "Only events from this time on."),
        query("to_time", Form::Time, "Only events up to this time."),
        KIND,
        SUBJECT,
        TENANT,
        query(
            "order",
            Form::OneOf(|| vec!["ascending", "descending"]),
            "The oldest first, which is the default, or the newest first.",
        ),
        LIMIT,
        AS_OF,
        query(
            "format",
            Form::OneOf(|| Format::ALL.map(Format::name).to_vec()),
            "Lines of JSON in the words of security tools: CloudEvents, or OCSF's API Activity. `Chancery-Next` in the head \
             of the answer is the next page's cursor; at the log's end, the one to ask with later.",
        ),
        query("cursor", SEQ, "Where the page begins: `next` of the page before."),
    ],
    bodies: &[],
    answers: &[Content::json::<Page<EventView>>(), Content::text(siem::MEDIA_TYPE)],
    problems: &[],
    handler: |call| Box::pin(events(call)),
};

/// `GET /v1/events/{seq}`.
pub const EVENT: Operation = Operation {
    id: "getEvent",
    summary: "One event.",
    access: Access::Scope(Scope::LedgerRead),
    parameters: &[path("seq", SEQ, "The event's position in the log."), AS_OF],
    bodies: &[],
    answers: &[Content::json::<EventView>()],
    problems: &[404],
    handler: |call| Box::pin(event(call)),
};

/// Events in the words of a format, and where the next page begins.
fn lines(call: &Call, format: Format, events: &[EventView], next: Option<Seq>) -> Result<Response, Problem> {
    let mut text = Vec::new();
    for event in events {
        format.write(event, call.app.engine().origin(), &mut text).map_err(|error| {
            tracing::error!(%error, "an event cannot be rendered");
            Problem::Internal
        })?;
    }
    let mut response = response::typed(StatusCode::OK, siem::MEDIA_TYPE, text);
    if let Some(next) = next {
        response.headers_mut().insert(NEXT, HeaderValue::from(next.0));
    }
    Ok(response)
}

/// How many events there were at the moment that is asked for.
fn seen(call: &Call) -> Result<TreeSize, Problem> {
    let moment = call.moment()?;
    Ok(moment.seq.map_or_else(|| call.app.sequencer().acknowledged(), Seq::tree_size))
}

async fn event(call: Call) -> Result<Response, Problem> {
    let seq = Seq(call.number("seq").unwrap_or(SEQ_MAX));
    let log = call.app.engine().log();
    let size = seen(&call)?;
    let found = match log.record(seq)? {
        Some(record) => Some(record).filter(|_| seq < size.next()),
        None => None,
    };
    let Some(record) = found else { return Err(Rejection::NotFound { thing: "event" }.into()) };
    let (_, _, tenant) = peek(&record.header).map_err(ReadError::from)?;
    if !sees(call.principal()?, tenant) {
        return Err(Rejection::NotFound { thing: "event" }.into());
    }
    Ok(response::json(StatusCode::OK, &render_record(&record, &call.app.opener())?))
}

async fn events(call: Call) -> Result<Response, Problem> {
    // EventSource asks for the list's path by this type.
    if call.request.accepts(super::stream::MEDIA_TYPE) {
        return super::stream::open(call).await;
    }
    let selection = Selection::of(&call)?;
    let log = call.app.engine().log();
    let size = seen(&call)?;
    let journal = if selection.needs_journal() { Some(call.app.view(View::Journal).await?) } else { None };
    let descending = call.text("order") == Some("descending");
    let limit = call.number("limit").map_or(chancery_projections::view::LIMIT_DEFAULT, |limit| limit as usize);
    let (page, end) = tokio::task::block_in_place(|| -> Result<_, Problem> {
        let mut range = Range { first: 0, end: size.0 };
        range.narrow(call.number("from"), call.number("to"));
        range.narrow_to_times(&*log, call.time("from_time"), call.time("to_time"))?;
        let order = if descending { Order::Descending } else { Order::Ascending };
        match order {
            Order::Ascending => range.narrow(call.number("cursor"), None),
            Order::Descending => range.narrow(None, call.number("cursor")),
        }
        let rows = journal.as_ref().map(|journal| journal as &dyn Scan);
        Ok((selection.scan(&*log, rows, range, order, limit, &call.app.opener())?, range.end.max(range.first)))
    })?;
    if let Some(format) = call.text("format").and_then(Format::find) {
        let next = page.next.or((!descending).then_some(Seq(end)));
        return lines(&call, format, &page.events, next);
    }
    let next = page.next.map(|seq| seq.to_string());
    Ok(response::json(StatusCode::OK, &Page { items: page.events, next }))
}
