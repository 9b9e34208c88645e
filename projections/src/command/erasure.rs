//! Erasure, and what holds it up.

use chancery_ledger::ids::{Seq, Subject};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// See [`super::Command::EraseSubject`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EraseSubject {
    /// What: an agent, a member, a mission that ended and whose audit chain is closed, a destination that was removed, or
    /// a subscription that ended.
    pub subject: Subject,
    /// Why: 1 to 500 characters. They stay readable for ever, so they should name nobody.
    pub reason: String,
}

/// See [`super::Command::PlaceHold`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaceHold {
    /// What: as for `EraseSubject`, in whatever state; or an organisation, or the tenant, which holds all that belongs to
    /// it.
    pub subject: Subject,
    /// In which matter: 1 to 128 characters. A thing is held until the hold of every matter is lifted.
    pub matter: String,
    /// Why: 1 to 500 characters.
    pub reason: String,
}

/// See [`super::Command::LiftHold`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LiftHold {
    /// What is held.
    pub subject: Subject,
    /// In which matter.
    pub matter: String,
    /// Why it is held no longer: 1 to 500 characters.
    pub reason: String,
}

/// See [`super::Command::ReportShredded`]. Sent by the daemon alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportShredded {
    /// The events that erased what is gone by now: 1 to 512.
    pub erased: Vec<Seq>,
}

/// See [`super::Command::ApplyRetention`]. Sent by the daemon alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyRetention {
    /// What may have been kept for long enough: up to 512 things of the tenant's. Each is looked at again.
    pub subjects: Vec<Subject>,
    /// Months, counted as [`crate::origin::month_of`] does, of which addresses may have been kept for long enough.
    pub months: Vec<i64>,
}
