//! The log on disk: what the ledger needs of a store.

pub mod on_sled;

use bytes::Bytes;

use crate::ids::{Seq, TreeSize};
use crate::time::Micros;
use crate::tree::{NodeHash, Nodes};

/// An event as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its header's bytes.
    pub header: Bytes,
    /// Its body's bytes.
    pub body: Bytes,
    /// The interior nodes its leaf completes, from level 1 up.
    pub nodes: Vec<NodeHash>,
}

/// What one commit writes.
#[derive(Debug, Clone, Copy)]
pub struct Group<'a> {
    /// The events.
    pub records: &'a [Record],
    /// The seal.
    pub seal: &'a [u8],
}

/// Records in order.
pub type Records<'a> = Box<dyn Iterator<Item = Result<(Seq, Record), StoreError>> + Send + 'a>;
/// Seals in order of the sizes they sign.
pub type Seals<'a> = Box<dyn Iterator<Item = Result<(TreeSize, Bytes), StoreError>> + Send + 'a>;

/// What the ledger needs of a store.
pub trait LogStore: Send + Sync {
    /// Durable events.
    fn size(&self) -> TreeSize;
    /// Appends.
    ///
    /// # Errors
    /// [`StoreError`].
    fn append(&self, expected: TreeSize, group: &Group<'_>) -> Result<(), StoreError>;
    /// One event.
    ///
    /// # Errors
    /// [`StoreError`].
    fn record(&self, seq: Seq) -> Result<Option<Record>, StoreError>;
    /// Events from a position on, to the end there is when it is reached.
    fn records(&self, from: Seq) -> Records<'_>;
    /// The last seal.
    ///
    /// # Errors
    /// [`StoreError`].
    fn last_seal(&self) -> Result<Option<(TreeSize, Bytes)>, StoreError>;
    /// The seal of the commit that holds an event: the first whose size is greater than `seq`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn seal_of(&self, seq: Seq) -> Result<Option<(TreeSize, Bytes)>, StoreError>;
    /// Seals whose size is at least `from`.
    fn seals(&self, from: TreeSize) -> Seals<'_>;
    /// Bytes on disk.
    ///
    /// # Errors
    /// [`StoreError`].
    fn disk_bytes(&self) -> Result<u64, StoreError>;
}

/// The store failed: writes stop.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No event yet.
    #[error("the log is empty")]
    Empty,
    /// An event is missing.
    #[error("event {seq} is missing from the log")]
    Missing {
        /// Which.
        seq: Seq,
    },
}

/// The tree's nodes, read from the records that completed them.
pub struct StoreNodes<'a>(pub &'a dyn LogStore);

impl Nodes for StoreNodes<'_> {
    type Error = StoreError;
    fn node(&self, _level: u8, _index: u64) -> Result<NodeHash, StoreError> {
        todo!()
    }
}

/// The last event at or before a time.
///
/// # Errors
/// [`StoreError`].
pub fn last_at_or_before(_log: &dyn LogStore, _time: Micros) -> Result<Option<Seq>, StoreError> {
    todo!()
}
