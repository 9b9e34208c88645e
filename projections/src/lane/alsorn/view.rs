//! What readers ask of the chains: a page of one, and whether it is whole.

use chancery_ledger::body::Body;
use chancery_ledger::event::{Event, ReadError};
use chancery_ledger::ids::{AgentId, Seq, TenantId};
use chancery_ledger::link::Hash;
use chancery_ledger::store::{LogStore, StoreError};

use super::entry::{self, Entry, Sealed, entry_hash};
use super::rows::{FINGERPRINTS, HEADS, MARKS, Mark};
use crate::json::Members;
use crate::rows::RowsError;
use crate::view::{NumberedPage, PageNumber, Reading};

/// How many of a chain's newest entries are hashed again to tell whether it is whole; the whole log is the verifier's to
/// check.
const VERIFIED_MAX: u64 = 1_000;

/// An entry as readers see it.
#[derive(Debug, Clone, PartialEq)]
pub struct EntryView {
    /// Its id.
    pub id: String,
    /// In whose chain.
    pub agent: AgentId,
    /// What is recorded.
    pub action: &'static str,
    /// What is said of it.
    pub payload: Members,
    /// Its hash.
    pub hash: Hash,
    /// That of the entry before.
    pub previous: Option<Hash>,
    /// When it came.
    pub created_at: String,
    /// Who did it.
    pub operator_id: Option<String>,
}

/// A chain could not be read: the caller may try again.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The view could not be read.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// The log could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An event could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// A page of the chain of an agent of the tenant, the newest first.
///
/// # Errors
/// [`ChainError`].
pub fn page(
    reading: &Reading<'_>, log: &dyn LogStore, tenant: TenantId, agent: AgentId, page: PageNumber,
) -> Result<Option<NumberedPage<EntryView>>, ChainError> {
    let Some(head) = HEADS.get(reading.execution, agent)?.filter(|head| head.tenant == tenant) else {
        return Ok(None);
    };
    let total = head.entries;
    let skip = page.skip();
    let mut items = Vec::new();
    for position in skip..total.min(skip.saturating_add(page.size as u64)) {
        let ordinal = total - position;
        items.push(entry(reading, log, agent, ordinal)?);
    }
    Ok(Some(NumberedPage { items, total }))
}

/// The entry at a place of an agent's chain, from 1.
///
/// # Errors
/// [`ChainError`], also when there is none.
pub fn entry(reading: &Reading<'_>, log: &dyn LogStore, agent: AgentId, place: u64) -> Result<EntryView, ChainError> {
    let mark = mark(reading, agent, place)?;
    let event = event(log, mark.seq)?;
    let Entry { agent, action, payload } = entry::at(&event, mark.index).ok_or(RowsError::Missing("an audit entry"))?;
    let Sealed { id, created_at, operator_id } = Sealed::of(&event, mark.index);
    let previous = previous(reading, agent, place)?;
    Ok(EntryView { id, agent, action, payload, hash: mark.hash, previous, created_at, operator_id })
}

/// Whether an agent's fingerprint is that of its registration, and the newest part of its chain hashes to what was kept.
///
/// # Errors
/// [`ChainError`] when that cannot be told.
pub fn is_whole(reading: &Reading<'_>, log: &dyn LogStore, agent: AgentId) -> Result<bool, ChainError> {
    let Some(head) = HEADS.get(reading.execution, agent)? else { return Ok(false) };
    let registration = event(log, mark(reading, agent, 1)?.seq)?;
    let Body::AgentRegistered(registered) = &registration.body else { return Ok(false) };
    let kept = FINGERPRINTS.get(reading.execution, agent)?;
    if registered.agent != agent || kept != Some(entry::fingerprint(registration.time, registered)) {
        return Ok(false);
    }
    let first = head.entries.saturating_sub(VERIFIED_MAX - 1).max(1);
    let mut before = previous(reading, agent, first)?;
    for ordinal in first..=head.entries {
        let mark = mark(reading, agent, ordinal)?;
        let event = event(log, mark.seq)?;
        let Some(entry) = entry::at(&event, mark.index).filter(|entry| entry.agent == agent) else { return Ok(false) };
        if entry_hash(&entry, &Sealed::of(&event, mark.index), before) != mark.hash {
            return Ok(false);
        }
        before = Some(mark.hash);
    }
    Ok(before == Some(head.hash))
}

fn mark(reading: &Reading<'_>, agent: AgentId, ordinal: u64) -> Result<Mark, RowsError> {
    MARKS.get(reading.execution, (agent, ordinal))?.ok_or(RowsError::Missing("an audit entry"))
}

fn previous(reading: &Reading<'_>, agent: AgentId, ordinal: u64) -> Result<Option<Hash>, RowsError> {
    if ordinal > 1 { Ok(Some(mark(reading, agent, ordinal - 1)?.hash)) } else { Ok(None) }
}

fn event(log: &dyn LogStore, seq: Seq) -> Result<Event, ChainError> {
    let record = log.record(seq)?.ok_or(StoreError::Missing { seq })?;
    Ok(Event::read(&record.header, &record.body)?.0)
}
