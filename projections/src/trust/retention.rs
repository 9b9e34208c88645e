//! How long what is personal is kept when it is needed no more: rules as a document. What is past that is erased by the
//! same path as what somebody asks to be erased, and what is on hold is kept all the same.

use chancery_ledger::time::Micros;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest time in days: a hundred years.
const DAYS_MAX: u32 = 36_525;
const DAY_SECS: i64 = 86_400;

/// For how many days what is encrypted for a thing is kept; what is absent is kept until somebody asks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Of agents, from when they are decommissioned: 1 to 36525.
    pub agents_days: Option<u32>,
    /// Of missions, from when they end; not before their audit chain is closed.
    pub missions_days: Option<u32>,
    /// Of destinations and subscriptions, from when they are removed and end.
    pub deliveries_days: Option<u32>,
    /// Addresses and user agents of requests by nobody with an id of its own, from the end of the 30 days in which they
    /// came.
    pub origins_days: Option<u32>,
}

/// What the rules tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Agents.
    Agents,
    /// Missions.
    Missions,
    /// Destinations and subscriptions.
    Deliveries,
    /// Where requests came from.
    Origins,
}

impl Kept {
    /// Its name in reasons.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agents => "agents",
            Self::Missions => "missions",
            Self::Deliveries => "deliveries",
            Self::Origins => "origins",
        }
    }
}

impl Retention {
    /// For how many days something is kept.
    #[must_use]
    pub const fn days(&self, kept: Kept) -> Option<u32> {
        match kept {
            Kept::Agents => self.agents_days,
            Kept::Missions => self.missions_days,
            Kept::Deliveries => self.deliveries_days,
            Kept::Origins => self.origins_days,
        }
    }

    /// The last moment from which on so many days are over at a time.
    #[must_use]
    pub fn over_since(days: u32, now: Micros) -> Micros {
        now.plus_secs(-DAY_SECS * i64::from(days))
    }

    /// Whether so many days are over.
    #[must_use]
    pub fn is_over(since: Micros, days: u32, now: Micros) -> bool {
        since <= Self::over_since(days, now)
    }

    /// Checks rules that somebody would set.
    ///
    /// # Errors
    /// The path of what is wrong, and why.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let all = [
            ("agents_days", self.agents_days),
            ("missions_days", self.missions_days),
            ("deliveries_days", self.deliveries_days),
            ("origins_days", self.origins_days),
        ];
        match all.into_iter().find(|(_, days)| days.is_some_and(|days| !(1..=DAYS_MAX).contains(&days))) {
            Some((path, _)) => Err((path, format!("must be 1 to {DAYS_MAX}"))),
            None => Ok(()),
        }
    }
}
