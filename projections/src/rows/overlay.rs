//! What is decided and may not yet be in a view: the sequencer's side of it.

use std::collections::VecDeque;

use chancery_ledger::ids::{Seq, TreeSize};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::batch::RowMap;
use super::store::ViewStore;
use super::{Row, Rows, RowsError, RowsMut, StoredRow, Value};

/// Bytes of stored rows kept in memory for each view: what deciding asks for again and again, such as tenants, is not
/// read from storage each time.
const CACHE_BYTES: u64 = 8 * 1024 * 1024;
/// About how many rows that is.
const CACHE_ROWS: usize = 32 * 1024;
/// What a cached row takes beside its own bytes.
const CACHED_ROW_BYTES: u64 = 96;

/// Rows over a view, and the view's own rows that were asked for lately.
///
/// Bounded by how far the view's worker is behind; [`prune`](Self::prune) forgets what the view holds itself. What one
/// command wrote stays revocable until it is [kept](Self::keep). Only what was written here first ever changes a row of the
/// view, so one that was read from there stays right until then.
pub struct Overlay {
    base: ViewStore,
    /// Which of the view's generations the cached rows are of: another may have been rebuilt because this one is wrong.
    generation: u64,
    cache: Cache<Vec<u8>, Option<StoredRow>, ByBytes>,
    seq: Seq,
    rows: RowMap<StoredRow>,
    /// Keys in the order in which events wrote them.
    written: VecDeque<(Seq, Vec<u8>)>,
    /// What the newest of `written` took the place of, for those not kept yet.
    replaced: Vec<Option<StoredRow>>,
    bytes: usize,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Vec<u8>, Option<StoredRow>> for ByBytes {
    fn weight(&self, key: &Vec<u8>, row: &Option<StoredRow>) -> u64 {
        CACHED_ROW_BYTES + (key.len() + row.as_ref().map_or(0, StoredRow::stored_bytes)) as u64
    }
}

impl Overlay {
    /// Nothing over a view.
    #[must_use]
    pub fn new(base: ViewStore) -> Self {
        Self {
            generation: base.generation_number(),
            cache: Cache::with_weighter(CACHE_ROWS, CACHE_BYTES, ByBytes),
            base,
            seq: Seq(0),
            rows: RowMap::default(),
            written: VecDeque::new(),
            replaced: Vec::new(),
            bytes: 0,
        }
    }

    /// What is written from now on is written by this event.
    pub const fn begin(&mut self, seq: Seq) {
        self.seq = seq;
    }

    /// What was written stays.
    pub fn keep(&mut self) {
        self.replaced.clear();
    }

    /// Takes back what was written since the last [`keep`](Self::keep).
    pub fn take_back(&mut self) {
        while let Some(before) = self.replaced.pop() {
            if let Some((_, key)) = self.written.pop_back() {
                match before {
                    Some(before) => drop(self.set(key, before)),
                    None => drop(self.remove(&key)),
                }
            }
        }
    }

    /// Forgets the rows of events that the view reflects.
    pub fn prune(&mut self) {
        if self.generation != self.base.generation_number() {
            self.generation = self.base.generation_number();
            self.cache.clear();
        }
        let TreeSize(cursor) = self.base.cursor();
        while self.written.front().is_some_and(|(seq, _)| seq.0 < cursor) {
            let Some((_, key)) = self.written.pop_front() else { break };
            if self.rows.get(&key).is_some_and(|row| row.seq().0 < cursor)
                && let Some(row) = self.remove(&key)
            {
                self.cache.insert(key, Some(row));
            }
        }
    }

    /// How many events the view reflects.
    #[must_use]
    pub fn cursor(&self) -> TreeSize {
        self.base.cursor()
    }

    /// Bytes of the rows held.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    fn set(&mut self, key: Vec<u8>, row: StoredRow) -> Option<StoredRow> {
        let key_len = key.len();
        self.bytes += key_len + row.stored_bytes();
        let before = self.rows.insert(key, row);
        if let Some(before) = &before {
            self.bytes -= key_len + before.stored_bytes();
        }
        before
    }

    fn remove(&mut self, key: &[u8]) -> Option<StoredRow> {
        let row = self.rows.remove(key)?;
        self.bytes -= key.len() + row.stored_bytes();
        Some(row)
    }
}

impl Rows for Overlay {
    fn row(&self, key: &[u8]) -> Result<Option<Row>, RowsError> {
        if let Some(row) = self.rows.get(key) {
            return Ok(Some(row.row()));
        }
        if let Some(cached) = self.cache.get(key) {
            return Ok(cached.map(|row| row.row()));
        }
        let stored = self.base.stored(key)?;
        let row = stored.as_ref().map(StoredRow::row);
        self.cache.insert(key.to_vec(), stored);
        Ok(row)
    }
}

impl RowsMut for Overlay {
    fn put(&mut self, key: Vec<u8>, value: Option<Value>) -> Result<(), RowsError> {
        self.written.push_back((self.seq, key.clone()));
        if !self.rows.contains_key(&key) {
            self.cache.remove(&key);
        }
        let before = self.set(key, StoredRow::new(self.seq, value));
        self.replaced.push(before);
        Ok(())
    }

    fn is_for_deciders(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::rows::batch::Batch;
    use crate::rows::{FIRST_INDEX, FIRST_ONCE};

    /// Keys of two tables, one that keeps versions and one that does not.
    fn key() -> impl Strategy<Value = Vec<u8>> {
        let table = prop_oneof![Just(1), Just(FIRST_INDEX)];
        (table, proptest::collection::vec(0..4_u8, 1..3)).prop_map(|(table, rest)| [vec![table], rest].concat())
    }

    /// What one event does, and whether its command is kept.
    #[derive(Debug, Clone)]
    enum Step {
        Event {
            puts: Vec<(Vec<u8>, Option<u8>)>,
            is_kept: bool,
        },
        /// The view follows by so many events, and the overlay may forget them.
        Follow(usize),
        Prune,
        Rebuild,
    }

    fn step() -> impl Strategy<Value = Step> {
        let puts = proptest::collection::vec((key(), proptest::option::of(any::<u8>())), 0..6);
        prop_oneof![
            8 => (puts, any::<bool>()).prop_map(|(puts, is_kept)| Step::Event { puts, is_kept }),
            2 => (0..4_usize).prop_map(Step::Follow),
            2 => Just(Step::Prune),
            1 => Just(Step::Rebuild),
        ]
    }

    type Event = (Seq, Vec<(Vec<u8>, Option<u8>)>);

    fn value(byte: Option<u8>) -> Option<Value> {
        byte.map(|byte| Value::encode(&byte).unwrap())
    }

    fn apply(store: &ViewStore, (seq, puts): &Event) {
        let mut batch = Batch::new(store);
        batch.begin(*seq);
        for (key, byte) in puts {
            batch.put(key.clone(), value(*byte)).unwrap();
        }
        store.apply(batch, seq.tree_size()).unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn an_overlay_reads_as_if_the_view_had_followed_already(steps in proptest::collection::vec(step(), 1..40)) {
            let dir = tempfile::tempdir().unwrap();
            let base = ViewStore::open(dir.path()).unwrap();
            let mut overlay = Overlay::new(base.clone());
            let mut model: BTreeMap<Vec<u8>, (Seq, Option<u8>)> = BTreeMap::new();
            let (mut ahead, mut behind): (VecDeque<Event>, Vec<Event>) = Default::default();
            let mut next = Seq(0);
            for step in steps {
                match step {
                    Step::Event { puts, is_kept } => {
                        overlay.begin(next);
                        for (key, byte) in &puts {
                            // What is about to change was asked for before.
                            overlay.row(key).unwrap();
                            overlay.put(key.clone(), value(*byte)).unwrap();
                            if is_kept {
                                model.insert(key.clone(), (next, *byte));
                            }
                        }
                        if is_kept {
                            overlay.keep();
                            ahead.push_back((next, puts));
                            next = next.next();
                        } else {
                            overlay.take_back();
                        }
                    }
                    Step::Follow(events) => {
                        for event in ahead.drain(..events.min(ahead.len())) {
                            apply(&base, &event);
                            behind.push(event);
                        }
                    }
                    Step::Prune => overlay.prune(),
                    Step::Rebuild => {
                        let rebuilt = base.next_generation().unwrap();
                        behind.iter().for_each(|event| apply(&rebuilt, event));
                        base.adopt(rebuilt).unwrap();
                    }
                }
                for (key, (seq, byte)) in &model {
                    let row = overlay.row(key).unwrap();
                    let value = row.as_ref().and_then(|row| row.value.as_deref());
                    // An index does not keep that something was taken away.
                    let is_gone = row.is_none() && byte.is_none() && key[0] == FIRST_INDEX;
                    prop_assert!(is_gone || row.as_ref().map(|row| row.seq) == Some(*seq), "{:?} of {:?}", row, seq);
                    prop_assert_eq!(value, byte.as_ref().map(std::slice::from_ref));
                }
            }
            for event in ahead {
                apply(&base, &event);
            }
            overlay.prune();
            prop_assert_eq!((overlay.rows.len(), overlay.written.len(), overlay.bytes()), (0, 0, 0));
        }
    }

    #[test]
    fn what_a_table_keeps_is_told_by_its_id() {
        use crate::rows::Keeping;

        for (id, keeping) in [
            (1, Keeping::Versions),
            (FIRST_ONCE - 1, Keeping::Versions),
            (FIRST_ONCE, Keeping::Once),
            (FIRST_INDEX - 1, Keeping::Once),
            (FIRST_INDEX, Keeping::Newest),
            (u8::MAX, Keeping::Newest),
        ] {
            assert_eq!(Keeping::of(&[id, 0]), keeping, "{id}");
        }
    }
}
