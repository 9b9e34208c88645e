//! Rows: what views are made of. A view is a map from key to value; each value knows the event that wrote it.
//!
//! [`Rows`] is reading and [`RowsMut`] writing; [`table`] gives both types. Three places hold rows: [`store`] on disk
//! (now and as of a past event), and [`overlay`] in memory, over a store, for what is decided and not yet there.
//! A table is *versioned* (superseded values are kept, so a read of the past is a look-up) or an *index* (it serves
//! only now; a read of the past filters the versioned list behind it).

pub mod overlay;
pub mod store;
pub mod subset;
pub mod table;

use std::ops::ControlFlow;

use bytes::Bytes;
use chancery_ledger::codec::CodecError;
use chancery_ledger::ids::Seq;

/// Tables from this id on are indexes, below it they are versioned.
pub const FIRST_INDEX: u8 = 128;

/// Whether the table that a key belongs to keeps superseded values.
#[must_use]
pub fn is_versioned(key: &[u8]) -> bool {
    key.first().is_some_and(|table| *table < FIRST_INDEX)
}

/// A value and the event that wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The event that wrote it.
    pub seq: Seq,
    /// The value; `None` when the event took it away.
    pub value: Option<Bytes>,
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

/// Reading rows.
pub trait Rows {
    /// The row under a key; a row whose value was taken away answers with its `value` empty, if its table keeps it.
    ///
    /// # Errors
    /// [`RowsError::Storage`] when the storage fails.
    fn row(&self, key: &[u8]) -> Result<Option<Row>, RowsError>;

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
    fn put(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) -> Result<(), RowsError>;
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
