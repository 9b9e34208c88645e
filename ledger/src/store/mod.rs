//! The log on disk: what the ledger needs of a store ([`LogStore`]), and the one it has ([`on_sled`]).
//!
//! A store keeps records and seals and knows nothing of what they say. Out of scope: whether headers, links and seals
//! are right (`crate::commit` makes them, `crate::verify` checks them).

mod error;
pub mod on_sled;
pub mod quarantine;
pub mod record;
pub mod run;
#[cfg(test)]
pub(crate) mod tests;

use std::iter::Peekable;
use std::time::Duration;

use bytes::Bytes;

pub use self::error::StoreError;
pub use self::record::{Record, RecordError};
pub use self::run::Part;
use crate::event;
use crate::ids::{Seq, TreeSize};
use crate::time::Micros;
use crate::tree::{NodeHash, Nodes, leaf_hash};

/// Longest seal, in bytes: a checkpoint takes about 200, a cosignature about 150.
pub const SEAL_BYTES_MAX: usize = 16 * 1024;

/// What one commit writes.
#[derive(Debug, Clone, Copy)]
pub struct Group<'a> {
    /// The events: at least one.
    pub records: &'a [Record],
    /// The seal of the log with them: at most [`SEAL_BYTES_MAX`] bytes.
    pub seal: &'a [u8],
}

/// Records in order. After an error there is no further item.
pub type Records<'a> = Box<dyn Iterator<Item = Result<(Seq, Record), StoreError>> + Send + 'a>;
/// Seals in order of the sizes they sign. After an error there is no further item.
pub type Seals<'a> = Box<dyn Iterator<Item = Result<(TreeSize, Bytes), StoreError>> + Send + 'a>;
/// Events and seals, each seal right after the last event of its commit. After an error there is no further item.
pub type Parts<'a> = Box<dyn Iterator<Item = Result<Part, StoreError>> + Send + 'a>;

/// What the ledger needs of a store.
///
/// The contract, beyond what each method says:
/// - Readers see whole groups and only durable ones; what a reader saw survives a power cut.
/// - Nothing that was appended changes or goes away.
/// - Readers and the one writer may call from any thread, at once; readers never wait for the writer.
pub trait LogStore: Send + Sync {
    /// The number of durable events.
    fn size(&self) -> TreeSize;

    /// Appends a group if the log's head is still `expected`: all of it or nothing, durable when this returns.
    ///
    /// # Errors
    /// [`StoreError::NotHead`] and [`StoreError::Malformed`]: nothing was written. Any other: the write or its sync
    /// failed, so what the disk holds is unknown; a sync is never tried again, and every later call says
    /// [`StoreError::Stopped`]. Opening the log anew finds either all of the group or nothing.
    ///
    /// # Panics
    /// When the group has no record, or a longer seal than seals are.
    fn append(&self, expected: TreeSize, group: &Group<'_>) -> Result<(), StoreError>;

    /// One event; `None` beyond the end.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read, or is missing although the log is longer.
    fn record(&self, seq: Seq) -> Result<Option<Record>, StoreError>;

    /// Events from a position on, read as they are asked for, to the end there is when it is reached. What was
    /// appended after that is seen by asking the iterator again.
    fn records(&self, from: Seq) -> Records<'_>;

    /// The last seal; `None` in an empty log.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    fn last_seal(&self) -> Result<Option<(TreeSize, Bytes)>, StoreError>;

    /// The seal of the commit that holds an event: the first whose size is greater than `seq`; `None` beyond the end.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    fn seal_of(&self, seq: Seq) -> Result<Option<(TreeSize, Bytes)>, StoreError>;

    /// Seals whose size is at least `from`, read as they are asked for, to the end there is when it is reached.
    fn seals(&self, from: TreeSize) -> Seals<'_>;

    /// Events from a position on and the seals among and after them, in order; otherwise as [`records`](Self::records).
    /// A seal for more events than there are comes last.
    fn parts(&self, from: Seq) -> Parts<'_> {
        Box::new(Merged { records: self.records(from), seals: self.seals(from.tree_size()).peekable(), next: from })
    }

    /// Bytes on disk.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be counted.
    fn disk_bytes(&self) -> Result<u64, StoreError>;

    /// Where the time of the last append went; nothing, from a store that does not say.
    fn last_append(&self) -> AppendTimes {
        AppendTimes::default()
    }
}

/// Where the time of one append went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AppendTimes {
    /// Encoding the records and handing them to the engine.
    pub write: Duration,
    /// The engine's writing them out.
    pub flush: Duration,
    /// Waiting for the disk to say that it has them.
    pub sync: Duration,
}

/// Events and seals that are kept apart, brought together.
struct Merged<'a> {
    records: Records<'a>,
    seals: Peekable<Seals<'a>>,
    next: Seq,
}

impl Iterator for Merged<'_> {
    type Item = Result<Part, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next;
        let due =
            |seal: &Result<(TreeSize, Bytes), StoreError>| seal.as_ref().map_or(true, |(size, _)| size.0 <= next.0);
        if let Some(seal) = self.seals.next_if(due) {
            return Some(seal.map(|(size, bytes)| Part::Seal(size, bytes)));
        }
        match self.records.next() {
            Some(Ok((seq, record))) => {
                self.next = seq.next();
                Some(Ok(Part::Event(seq, record)))
            }
            Some(Err(error)) => Some(Err(error)),
            None => self.seals.next().map(|seal| seal.map(|(size, bytes)| Part::Seal(size, bytes))),
        }
    }
}

/// The tree's nodes, read from the records that completed them.
pub struct StoreNodes<'a>(pub &'a dyn LogStore);

impl Nodes for StoreNodes<'_> {
    type Error = StoreError;

    fn node(&self, level: u8, index: u64) -> Result<NodeHash, StoreError> {
        // The last leaf under the node: (index + 1) · 2^level − 1.
        let end = index.checked_add(1).and_then(|next| next.checked_mul(1u64.checked_shl(u32::from(level))?));
        let seq = Seq(end.unwrap_or(u64::MAX) - 1);
        let record = self.0.record(seq)?.ok_or(StoreError::Missing { seq })?;
        match usize::from(level).checked_sub(1) {
            None => Ok(leaf_hash(&record.header)),
            Some(above) => record.nodes.get(above).copied().ok_or(StoreError::Malformed {
                seq,
                source: RecordError::Nodes { expected: 32 * usize::from(level), found: 32 * record.nodes.len() },
            }),
        }
    }
}

/// The last event at or before a time; `None` when there is none. Reads the headers of O(log n) events.
///
/// # Errors
/// [`StoreError`] when one of them cannot be read.
pub fn last_at_or_before(log: &dyn LogStore, time: Micros) -> Result<Option<Seq>, StoreError> {
    // Times never decrease: below `first` all are at or before `time`, from `end` on all are after it.
    let (mut first, mut end) = (0, log.size().0);
    while first < end {
        let middle = first + (end - first) / 2;
        if time_of(log, Seq(middle))? <= time { first = middle + 1 } else { end = middle }
    }
    Ok(TreeSize(first).last())
}

fn time_of(log: &dyn LogStore, seq: Seq) -> Result<Micros, StoreError> {
    let record = log.record(seq)?.ok_or(StoreError::Missing { seq })?;
    let peeked = event::peek(&record.header);
    let (_, time, _) = peeked.map_err(|source| StoreError::Malformed { seq, source: source.into() })?;
    Ok(time)
}
