//! Tiers: how much of something a tenant or an organisation may have when nobody says otherwise.

use std::collections::BTreeMap;

/// The quota on agents that are not decommissioned.
pub const AGENTS: &str = "agents";
/// The quota on tokens that one client is issued in a calendar month (UTC).
pub const TOKENS_PER_MONTH: &str = "tokens_per_month";
/// The quota on tokens that the agents of one organisation are issued on one day (UTC).
pub const TOKENS_PER_DAY: &str = "tokens_per_day";
/// How many days back an audit log is shown.
pub const AUDIT_DAYS: &str = "audit_days";
/// The quota on calls of a tenant at the AgentIdP mount on one day (UTC).
pub const CALLS_PER_DAY: &str = "calls_per_day";
/// Every quota that tiers know.
pub const QUOTAS: &[&str] = &[AGENTS, TOKENS_PER_MONTH, TOKENS_PER_DAY, AUDIT_DAYS, CALLS_PER_DAY];

/// A tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// The smallest.
    Free,
    /// More.
    Pro,
    /// No quota.
    Enterprise,
}

impl Tier {
    /// Every tier, smallest first.
    pub const ALL: [Self; 3] = [Self::Free, Self::Pro, Self::Enterprise];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Pro => "pro",
            Self::Enterprise => "enterprise",
        }
    }

    /// The tier of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.name() == name)
    }

    /// What it allows of something; `None` when there is no bound (contracts/agentidp.md, sections 10 and 11).
    #[must_use]
    pub fn quota(self, of: &str) -> Option<u64> {
        match (self, of) {
            (Self::Free, AGENTS) => Some(100),
            (Self::Free, TOKENS_PER_MONTH) => Some(10_000),
            (Self::Free, AUDIT_DAYS) => Some(90),
            (Self::Pro, AGENTS) => Some(1_000),
            (Self::Pro, TOKENS_PER_MONTH) => Some(100_000),
            _ => None,
        }
    }
}

/// How much of something there may be: what `limits` say, else the tier; `None` when there is no bound. A tier that is not
/// known has none.
#[must_use]
pub fn quota(tier: &str, limits: &BTreeMap<String, u64>, of: &str) -> Option<u64> {
    limits.get(of).copied().or_else(|| Tier::find(tier)?.quota(of))
}
