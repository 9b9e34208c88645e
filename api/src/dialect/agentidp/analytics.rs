//! Analytics: what the caller's organisation does, counted from the log.

use chancery_projections::identity::view::agent;
use chancery_projections::token::usage::{Month, by_agent, by_day, by_hour};

use super::account::Account;
use super::call::{Call, ok};
use super::error::Failure;
use super::wire::analytics::{Activity, ByAgent, ByDay, Cell, OfAgent};
use crate::response::Response;

const DAYS_DEFAULT: u64 = 30;
const DAYS_MAX: u64 = 90;
/// Agents in one answer, the busiest first.
const AGENTS_MAX: usize = 1_000;
/// Cells in one answer: those of a hundred agents that never rest take about a megabyte.
const CELLS_MAX: usize = 100 * 7 * 24;

/// `GET /analytics/tokens`.
pub(super) async fn tokens(call: Call) -> Result<Response, Failure> {
    let days = call.query()?.number("days", 1, DAYS_MAX)?.unwrap_or(DAYS_DEFAULT);
    let held = call.hold().await?;
    let reading = call.reading(&held);
    let account = Account::of(&call, &reading)?;
    let data = by_day(reading.token, account.organisation, reading.now, days)?;
    Ok(ok(&ByDay { tenant_id: account.text(), organization_id: account.text(), days, data }))
}

/// `GET /analytics/agents/activity`.
pub(super) async fn activity(call: Call) -> Result<Response, Failure> {
    let held = call.hold().await?;
    let reading = call.reading(&held);
    let account = Account::of(&call, &reading)?;
    let found = tokio::task::block_in_place(|| by_hour(reading.token, account.organisation, CELLS_MAX))?;
    let data = found.into_iter().map(Cell::of).collect();
    Ok(ok(&Activity { tenant_id: account.text(), organization_id: account.text(), data }))
}

/// `GET /analytics/agents`.
pub(super) async fn agents(call: Call) -> Result<Response, Failure> {
    let held = call.hold().await?;
    let (reading, tenant) = (call.reading(&held), call.tenant()?);
    let account = Account::of(&call, &reading)?;
    let data = tokio::task::block_in_place(|| -> Result<Vec<OfAgent>, Failure> {
        let mut data = Vec::new();
        for (id, count) in by_agent(reading.token, account.organisation, reading.now, AGENTS_MAX)? {
            data.extend(agent(&reading, tenant, id)?.map(|agent| OfAgent::of(agent, count)));
        }
        Ok(data)
    })?;
    let month = Month::of(reading.now).to_string();
    Ok(ok(&ByAgent { tenant_id: account.text(), organization_id: account.text(), month, data }))
}
