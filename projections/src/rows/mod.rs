//! Rows: what views are made of. A view is a map from key to value; each value knows the event that wrote it.
//!
//! [`Rows`] is reading one, [`Scan`] reading many, [`RowsMut`] writing; [`table`] gives them types. Three places hold
//! rows: [`store`] on disk (now and as of a past event), [`batch`] in memory, for what a worker has read and not yet
//! stored, and [`overlay`], for what is decided and not yet in the view.

pub mod batch;
pub mod overlay;
pub mod positions;
pub mod store;
pub mod subset;
pub mod table;

use std::ops::ControlFlow;

use bytes::Bytes;
use chancery_ledger::codec::{self, CodecError};
use chancery_ledger::ids::Seq;
use serde::Serialize;

/// Ids of tables whose keys are each written once begin here.
pub const FIRST_ONCE: u8 = 64;
/// Ids of tables that keep the newest values alone begin here.
pub const FIRST_INDEX: u8 = 128;

/// The format of stored rows. Bumped when rows change shape: a view of another format is rebuilt, and roots published of
/// such are not compared.
pub const FORMAT: u8 = 3;

/// What becomes of the value under a key when another is written. A table's id tells, so that storage knows no table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    /// It is kept, so that a read of the past is a look-up: ids below [`FIRST_ONCE`].
    Versions,
    /// No other is ever written: ids from [`FIRST_ONCE`] on. Storage looks for nothing to keep.
    Once,
    /// It is gone: ids from [`FIRST_INDEX`] on. Such a table is an index, which a read of the past does without.
    Newest,
}

impl Keeping {
    /// How the table that a key belongs to keeps its values.
    #[must_use]
    pub fn of(key: &[u8]) -> Self {
        match key.first() {
            Some(table) if *table >= FIRST_INDEX => Self::Newest,
            Some(table) if *table >= FIRST_ONCE => Self::Once,
            _ => Self::Versions,
        }
    }
}

/// A value and the event that wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The event that wrote it.
    pub seq: Seq,
    /// The value; `None` when the event took it away.
    pub value: Option<Bytes>,
}

/// Bytes before a stored value: the sequence number of the event that wrote it, and 1, or 0 for one taken away.
const HEAD_BYTES: usize = 9;

/// A value as it is stored. The bytes before it are filled in when it is known which event writes it, so that a value
/// is written once and never copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value(Vec<u8>);

impl Value {
    /// The value's own bytes.
    ///
    /// # Errors
    /// [`CodecError`] when it is too large for a row.
    pub fn encode<T: Serialize>(value: &T) -> Result<Self, CodecError> {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend_from_slice(&[0; HEAD_BYTES]);
        codec::encode_row_after(&mut bytes, value)?;
        Ok(Self(bytes))
    }
}

/// A row as it is stored, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRow(Bytes);

impl StoredRow {
    /// The row that an event writes.
    #[must_use]
    pub fn new(seq: Seq, value: Option<Value>) -> Self {
        let is_present = value.is_some();
        let mut bytes = value.map_or_else(|| vec![0; HEAD_BYTES], |value| value.0);
        bytes[..8].copy_from_slice(&seq.0.to_be_bytes());
        bytes[8] = u8::from(is_present);
        Self(bytes.into())
    }

    /// Takes over what storage holds. What is too short was not written here, and reads as an absent value.
    #[must_use]
    pub const fn from_bytes(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The event that wrote it.
    #[must_use]
    pub fn seq(&self) -> Seq {
        Seq(self.0.first_chunk().map_or(0, |first| u64::from_be_bytes(*first)))
    }

    /// The row, to read.
    #[must_use]
    pub fn row(&self) -> Row {
        Row { seq: self.seq(), value: (self.0.get(8) == Some(&1)).then(|| self.0.slice(HEAD_BYTES..)) }
    }

    /// How many bytes it takes.
    #[must_use]
    pub const fn stored_bytes(&self) -> usize {
        self.0.len()
    }

    /// The bytes to store.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

/// Which way a scan goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// From the smallest key up.
    Ascending,
    /// From the greatest key down.
    Descending,
}

/// What a scan calls for each row: key without the scanned prefix, and value.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// What a walk over rows that are kept calls for each: key, the event that wrote it, and value.
pub type VisitKept<'a> = dyn FnMut(&[u8], Seq, &[u8]) -> ControlFlow<()> + 'a;

/// Rows could not be read or written. Whoever asked gets 503; views are derived, so nothing is lost.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// The view's storage failed.
    #[error("the view's storage failed: {0}")]
    Storage(#[from] fjall::Error),
    /// A row holds no value of its table; the view must be rebuilt.
    #[error("a row of table {table} is malformed ({source}); rebuild the view")]
    Malformed {
        /// The table.
        table: u8,
        /// What is wrong with it.
        source: CodecError,
    },
    /// A value cannot become a row.
    #[error("a value for table {table} cannot be stored: {source}")]
    Unstorable {
        /// The table.
        table: u8,
        /// Why.
        source: CodecError,
    },
    /// A row refers to another that is not there; the view must be rebuilt.
    #[error("{0} is referred to and missing; rebuild the view")]
    Missing(&'static str),
}

/// Reading rows by their keys: all that deciding and evolving do.
pub trait Rows {
    /// The row under a key; a row whose value was taken away answers with its `value` empty, if its table keeps it.
    ///
    /// # Errors
    /// [`RowsError::Storage`] when the storage fails.
    fn row(&self, key: &[u8]) -> Result<Option<Row>, RowsError>;
}

/// Reading rows in the order of their keys: for readers.
pub trait Scan: Rows {
    /// Visits the present rows under a prefix whose rest of key lies in `from..`, or `..=from` when descending.
    ///
    /// # Errors
    /// [`RowsError::Storage`] when the storage fails.
    fn scan(&self, prefix: &[u8], from: Option<&[u8]>, order: Order, visit: &mut Visit<'_>) -> Result<(), RowsError>;
}

/// Writing rows, on behalf of one event at a time.
pub trait RowsMut: Rows {
    /// Writes a value, or takes it away.
    ///
    /// # Errors
    /// [`RowsError::Storage`] when the storage fails.
    fn put(&mut self, key: Vec<u8>, value: Option<Value>) -> Result<(), RowsError>;

    /// Whether these rows are for deciders alone, who never ask for what only readers do
    /// ([`Table::for_readers`](table::Table::for_readers)).
    fn is_for_deciders(&self) -> bool {
        false
    }
}

/// The bounds of a scan, as whole keys: inclusive start, exclusive end (`None`: no end).
fn scan_bounds(prefix: &[u8], from: Option<&[u8]>, order: Order) -> (Vec<u8>, Option<Vec<u8>>) {
    let joined = |rest: &[u8]| [prefix, rest].concat();
    match (order, from) {
        (Order::Ascending, from) => (joined(from.unwrap_or_default()), after_prefix(prefix)),
        (Order::Descending, None) => (prefix.to_vec(), after_prefix(prefix)),
        (Order::Descending, Some(from)) => {
            let mut end = joined(from);
            end.push(0);
            (prefix.to_vec(), Some(end))
        }
    }
}

/// The smallest key greater than every key with this prefix.
fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}
