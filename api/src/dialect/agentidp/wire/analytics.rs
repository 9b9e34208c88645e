//! Analytics (contract rows 21 to 23).

use chancery_ledger::ids::AgentId;
use chancery_projections::identity::view::AgentView;
use chancery_projections::token::usage::{OfDay, OfHour};
use serde::Serialize;

/// Tokens issued, by day.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ByDay {
    /// The organisation.
    pub tenant_id: String,
    /// The same: the vendor's own texts disagree about the name.
    pub organization_id: String,
    /// How many days.
    pub days: u64,
    /// Each day, oldest first.
    pub data: Vec<OfDay>,
}

/// When agents are at work.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Activity {
    /// The organisation.
    pub tenant_id: String,
    /// The same.
    pub organization_id: String,
    /// Each hour of a week in which an agent was issued a token.
    pub data: Vec<Cell>,
}

/// An hour of a week.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cell {
    agent_id: AgentId,
    /// From 0 for Sunday.
    dow: u8,
    hour: u8,
    count: u64,
}

impl Cell {
    /// As it was counted.
    #[must_use]
    pub const fn of(it: OfHour) -> Self {
        Self { agent_id: it.agent, dow: it.weekday, hour: it.hour, count: it.count }
    }
}

/// Tokens issued this month, by agent.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ByAgent {
    /// The organisation.
    pub tenant_id: String,
    /// The same.
    pub organization_id: String,
    /// `YYYY-MM`.
    pub month: String,
    /// Each agent, the busiest first.
    pub data: Vec<OfAgent>,
}

/// What one agent was issued.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OfAgent {
    agent_id: AgentId,
    name: String,
    token_count: u64,
}

impl OfAgent {
    /// An agent and its count.
    #[must_use]
    pub fn of(agent: AgentView, token_count: u64) -> Self {
        Self { agent_id: agent.id, name: agent.name, token_count }
    }
}
