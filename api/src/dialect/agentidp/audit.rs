//! The audit log: pages of it, one event, whether its chain is whole.

use chancery_ledger::ids::{TenantId, parse_uuid};
use chancery_ledger::time::Micros;
use chancery_projections::identity::view::tenant;
use chancery_projections::lane::agentidp::entry::{Action, Outcome};
use chancery_projections::lane::agentidp::view::{Selection, find, page as entries, verify as verify_chain};
use chancery_projections::tier::{AUDIT_DAYS, quota};
use chancery_projections::view::{NumberedPage, Reading};
use uuid::Uuid;

use super::call::{Call, ok, page};
use super::error::Failure;
use super::fields::{Fault, Fields};
use super::wire::Page;
use super::wire::audit::{AuditEvent, ChainResult};
use crate::problem::Problem;
use crate::rates::Sort;
use crate::response::Response;

const LIMIT_DEFAULT: u64 = 50;
const LIMIT_MAX: u64 = 200;
const DAY_SECS: i64 = 86_400;

/// `GET /audit`.
pub(super) async fn query(call: Call) -> Result<Response, Failure> {
    let query = call.query()?;
    let asked = page(&query, LIMIT_DEFAULT, LIMIT_MAX)?;
    let (from, to) = range(&query)?;
    let actions: Vec<(&str, Action)> = Action::ALL.iter().map(|action| (action.text(), *action)).collect();
    let outcomes = Outcome::ALL.map(|outcome| (outcome.text(), outcome));
    let selection = Selection {
        agent: None,
        action: query.one_of("action", &actions)?,
        outcome: query.one_of("outcome", &outcomes)?,
        from,
        to,
    };
    // What is no UUID names no agent, so no event is about it.
    let agent = match query.text("agentId", 0..=usize::MAX)? {
        None => Some(None),
        Some(text) => Uuid::try_parse(text).ok().map(Some),
    };
    let (held, tenant) = (call.hold().await?, call.tenant()?);
    let found = tokio::task::block_in_place(|| -> Result<_, Failure> {
        let Some(agent) = agent else { return Ok(NumberedPage { items: Vec::new(), total: 0 }) };
        let reading = call.reading(&held);
        let from = selection.from.max(window(&reading, tenant)?);
        let selection = Selection { agent, from, ..selection };
        Ok(entries(&reading, &*call.app.engine().log(), tenant, &selection, asked)?)
    })?;
    Ok(ok(&Page::of(asked, found, AuditEvent::of)))
}

/// `GET /audit/{eventId}`.
pub(super) async fn get(call: Call) -> Result<Response, Failure> {
    let (held, tenant) = (call.hold().await?, call.tenant()?);
    let found = tokio::task::block_in_place(|| -> Result<_, Failure> {
        let Ok(id) = parse_uuid(call.argument("eventId")) else { return Ok(None) };
        let reading = call.reading(&held);
        let found = find(&reading, &*call.app.engine().log(), tenant, id)?;
        let window = window(&reading, tenant)?;
        Ok(found.filter(|entry| window.is_none_or(|from| entry.time >= from)))
    })?;
    match found {
        Some(entry) => Ok(ok(&AuditEvent::of(entry))),
        None => Err(Failure::not_found("AUDIT_EVENT_NOT_FOUND", "there is no such audit event")),
    }
}

/// `GET /audit/verify`.
pub(super) async fn verify(call: Call) -> Result<Response, Failure> {
    call.app.rates().admit(Sort::Verification, call.principal()?)?;
    let query = call.query()?;
    let (from, to) = range(&query)?;
    let (held, tenant) = (call.hold().await?, call.tenant()?);
    // The semaphore is never closed.
    let _place = call.app.verifications().acquire().await.map_err(|_| Problem::Internal)?;
    let verdict = tokio::task::block_in_place(|| {
        verify_chain(&call.reading(&held), &*call.app.engine().log(), tenant, from, to)
    })?;
    Ok(ok(&ChainResult::of(verdict, &query)))
}

/// `fromDate` and `toDate`.
fn range(query: &Fields) -> Result<(Option<Micros>, Option<Micros>), Fault> {
    let (from, to) = (moment(query, "fromDate", 0)?, moment(query, "toDate", DAY_SECS)?);
    match (from, to) {
        (Some(from), Some(to)) if from > to => Err(Fault::new("fromDate", "must not be after toDate")),
        range => Ok(range),
    }
}

/// A time; or a day, of which it is the first or last millisecond.
fn moment(query: &Fields, name: &str, whole_day_secs: i64) -> Result<Option<Micros>, Fault> {
    let day = query.get(name).and_then(|value| value.as_text()).filter(|text| text.len() == "2026-03-31".len());
    match day.and_then(|day| format!("{day}T00:00:00Z").parse::<Micros>().ok()) {
        Some(start) if whole_day_secs == 0 => Ok(Some(start)),
        Some(start) => Ok(Some(Micros(start.plus_secs(whole_day_secs).0 - 1))),
        None => query.time(name),
    }
}

/// From when on a tenant sees its audit log; the log itself keeps everything.
fn window(reading: &Reading<'_>, id: TenantId) -> Result<Option<Micros>, Failure> {
    let days = tenant(reading, id)?.and_then(|tenant| quota(&tenant.tier, &tenant.limits, AUDIT_DAYS));
    let secs = |days| i64::try_from(days).unwrap_or(i64::MAX).saturating_mul(DAY_SECS);
    Ok(days.map(|days| reading.now.plus_secs(-secs(days))))
}
