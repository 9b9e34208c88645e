//! Tiers (contract row 24).

use serde::Serialize;

/// What an organisation may use, and what of it is used.
#[derive(Debug, Serialize)]
pub struct TierStatus {
    /// Its tier.
    pub tier: String,
    /// What it may.
    pub limits: Limits,
    /// What it does.
    pub usage: Usage,
}

/// What an organisation may use; `null` is without a bound.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Agents that are not decommissioned.
    pub max_agents: Option<u64>,
    /// Calls on one day, of its whole tenant.
    pub max_calls_per_day: Option<u64>,
    /// Access tokens on one day.
    pub max_tokens_per_day: Option<u64>,
    /// Access tokens of one client in a calendar month.
    pub max_tokens_per_month: Option<u64>,
}

/// What an organisation uses.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Agents that are not decommissioned.
    pub agent_count: u64,
    /// Calls since midnight (UTC), of its whole tenant, as far back as the daemon has run.
    pub calls_today: u64,
    /// Access tokens since midnight (UTC).
    pub tokens_today: u64,
}
