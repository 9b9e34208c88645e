//! What the execution view keeps of the chains.

use chancery_ledger::body::Body;
use chancery_ledger::event::Event;
use chancery_ledger::ids::{AgentId, Seq, TenantId};
use chancery_ledger::link::Hash;
use serde::{Deserialize, Serialize};

use super::entry::{self, Sealed, entries, entry_hash};
use crate::rows::table::Table;
use crate::rows::{RowsError, RowsMut};

/// Where each agent's chain ends.
pub const HEADS: Table<Head> = Table::new(62).for_readers();
/// What each agent was registered as, hashed, by agent.
pub const FINGERPRINTS: Table<Hash> = Table::new(126).for_readers();
/// Entries of a chain, by agent and place from 1.
pub const MARKS: Table<Mark> = Table::new(127).for_readers();

/// Where a chain ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The agent's tenant.
    pub tenant: TenantId,
    /// How many entries there are.
    pub entries: u64,
    /// The hash of the last.
    pub hash: Hash,
}

/// An entry: where it comes from, and its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The event.
    pub seq: Seq,
    /// Which of its entries.
    pub index: u16,
    /// The entry's hash.
    pub hash: Hash,
}

/// Where in its chain an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audited {
    /// Its place, from 1.
    pub place: u64,
    /// Its hash.
    pub hash: Hash,
}

/// Brings the chains forward by one event, and tells where the event's first entry stands.
///
/// # Errors
/// [`RowsError`] when the view's storage fails.
pub fn evolve(rows: &mut dyn RowsMut, event: &Event) -> Result<Option<Audited>, RowsError> {
    // Deciders ask nothing about chains.
    if rows.is_for_deciders() {
        return Ok(None);
    }
    let mut first = None;
    for (index, entry) in (0..).zip(entries(event)) {
        let before = HEADS.get(&*rows, entry.agent)?;
        // A stranger's question is the stranger's event, and no part of the agent's chain.
        let is_stranger = before.as_ref().is_some_and(|head| head.tenant != event.tenant);
        if is_stranger && matches!(event.body, Body::TrustEvaluated(_)) {
            continue;
        }
        let hash = entry_hash(&entry, &Sealed::of(event, index), before.as_ref().map(|head| head.hash));
        let head = Head {
            tenant: before.as_ref().map_or(event.tenant, |head| head.tenant),
            entries: before.map_or(0, |head| head.entries) + 1,
            hash,
        };
        MARKS.put(rows, (entry.agent, head.entries), &Mark { seq: event.seq, index, hash })?;
        HEADS.put(rows, entry.agent, &head)?;
        first = first.or(Some(Audited { place: head.entries, hash }));
    }
    if let Body::AgentRegistered(it) = &event.body {
        FINGERPRINTS.put(rows, it.agent, &entry::fingerprint(event.time, it))?;
    }
    Ok(first)
}

/// The fingerprint of an agent.
///
/// # Errors
/// As [`Table::get`].
pub fn fingerprint(rows: &dyn crate::rows::Rows, agent: AgentId) -> Result<Option<Hash>, RowsError> {
    FINGERPRINTS.get(rows, agent)
}
