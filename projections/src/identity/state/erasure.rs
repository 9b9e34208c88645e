//! What was erased, and what must not be.

use chancery_ledger::actor::Principal;
use chancery_ledger::ids::{Seq, Subject, TenantId};
use chancery_ledger::time::Micros;
use serde::{Deserialize, Serialize};

use super::Agent;
use crate::rows::table::{DenseList, Table};

/// What was erased, by thing.
pub const ERASED: Table<Erased> = Table::new(54);
/// The holds on a thing that were not lifted, by tenant and thing; empty where all were.
pub const HOLDS: Table<Vec<Hold>> = Table::new(55);
/// What was erased of a tenant.
pub const ERASURES: DenseList<Subject> = DenseList::new(56).for_readers();
/// What was ever held of a tenant.
pub const HELD: DenseList<Subject> = DenseList::new(11).for_readers();
/// What each event erased, by event: only now.
pub const ERASED_BY: Table<Subject> = Table::new(182);
/// Of these, whose keys were not reported gone, by event: only now.
pub const UNREPORTED: Table<Subject> = Table::new(183);
/// Agents that are decommissioned and not erased, by tenant, time and thing: only now.
pub const RETAINED: Table<()> = Table::new(184).for_readers();

/// Since when an agent is kept for retention's sake alone, as its place in [`RETAINED`]; `None` while it can still work.
#[must_use]
pub fn retained_since(agent: &Agent) -> Option<u64> {
    agent.end.as_ref().map(|end| place_of(end.at))
}

/// A time as a place in a list that is ordered by time.
#[must_use]
pub fn place_of(time: Micros) -> u64 {
    u64::try_from(time.0).unwrap_or(0)
}

/// Something that was erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erased {
    /// The thing.
    pub subject: Subject,
    /// Whose it was.
    pub tenant: TenantId,
    /// Why.
    pub reason: String,
    /// The version of the retention policy that had it erased.
    pub policy: Option<u32>,
    /// Who had it erased.
    pub by: Principal,
    /// The event.
    pub event: Seq,
    /// When.
    pub at: Micros,
    /// When its key was reported gone from the keystore's files.
    pub destroyed: Option<Micros>,
}

/// A hold that was not lifted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// In which matter.
    pub matter: String,
    /// Why.
    pub reason: String,
    /// Who placed it.
    pub by: Principal,
    /// Whether who placed it came from the root tenant into another, which then cannot lift it.
    pub is_operators: bool,
    /// The event.
    pub event: Seq,
    /// When.
    pub at: Micros,
}
