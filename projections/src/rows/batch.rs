//! What a worker has read and not yet stored: every version of every row that one write to disk brings.

use std::collections::HashMap;

use chancery_ledger::ids::Seq;

use super::store::ViewStore;
use super::{Keeping, Row, Rows, RowsError, RowsMut, StoredRow, Value};

/// Versions of rows gathered before a batch is written.
const ROWS_MAX: usize = 16 * 1024;
/// Bytes of keys and values gathered before a batch is written.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// What one batch writes under a key.
#[derive(Debug)]
pub(super) struct Written {
    /// The newest version.
    pub(super) newest: StoredRow,
    /// Those before it, in the order of their events, when the table keeps them.
    pub(super) superseded: Vec<StoredRow>,
}

/// Rows by their keys. The hash is seeded at random: callers choose parts of keys.
pub(super) type RowMap<T> = HashMap<Vec<u8>, T, foldhash::quality::RandomState>;

/// The batch a worker is reading, over the view as it is stored.
pub struct Batch<'a> {
    base: &'a ViewStore,
    seq: Seq,
    written: RowMap<Written>,
    rows: usize,
    bytes: usize,
}

impl<'a> Batch<'a> {
    /// An empty batch over a view.
    #[must_use]
    pub fn new(base: &'a ViewStore) -> Self {
        Self { base, seq: Seq(0), written: RowMap::default(), rows: 0, bytes: 0 }
    }

    /// What is written from now on is written by this event.
    pub const fn begin(&mut self, seq: Seq) {
        self.seq = seq;
    }

    /// Whether it holds as much as one write to disk should.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.rows >= ROWS_MAX || self.bytes >= BYTES_MAX
    }

    /// What it writes under each key, in the order of the keys, which storage takes best.
    pub(super) fn into_sorted(self) -> Vec<(Vec<u8>, Written)> {
        let mut rows: Vec<_> = self.written.into_iter().collect();
        rows.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        rows
    }
}

impl Rows for Batch<'_> {
    fn row(&self, key: &[u8]) -> Result<Option<Row>, RowsError> {
        match self.written.get(key) {
            Some(written) => Ok(Some(written.newest.row())),
            None => self.base.row(key),
        }
    }
}

impl RowsMut for Batch<'_> {
    fn put(&mut self, key: Vec<u8>, value: Option<Value>) -> Result<(), RowsError> {
        let row = StoredRow::new(self.seq, value);
        self.bytes += row.stored_bytes();
        match self.written.get_mut(&key) {
            Some(written) => {
                let before = std::mem::replace(&mut written.newest, row);
                // One event that writes a row twice leaves one version.
                if Keeping::of(&key) == Keeping::Versions && before.seq() != self.seq {
                    written.superseded.push(before);
                    self.rows += 1;
                } else {
                    self.bytes -= before.stored_bytes();
                }
            }
            None => {
                self.rows += 1;
                self.bytes += key.len();
                self.written.insert(key, Written { newest: row, superseded: Vec::new() });
            }
        }
        Ok(())
    }
}
