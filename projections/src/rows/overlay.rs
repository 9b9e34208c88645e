//! Rows in memory over a view's storage: what is decided and not yet there, or one batch of a worker.

use std::collections::{BTreeMap, VecDeque};
use std::ops::{Bound, ControlFlow};

use bytes::Bytes;
use chancery_ledger::ids::{Seq, TreeSize};

use super::store::{ViewStore, Writes};
use super::{Order, Row, Rows, RowsError, RowsMut, Visit, scan_bounds};

/// Versions of rows gathered before a batch is written.
const BATCH_ROWS_MAX: usize = 16 * 1024;
/// Bytes of keys and values gathered before a batch is written.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The batch a worker is reading: every version of every row written in it.
pub struct Batch<'a> {
    base: &'a ViewStore,
    seq: Seq,
    writes: Writes,
    rows: usize,
    bytes: usize,
}

impl<'a> Batch<'a> {
    /// An empty batch over a view.
    #[must_use]
    pub fn new(base: &'a ViewStore) -> Self {
        Self { base, seq: Seq(0), writes: Writes::new(), rows: 0, bytes: 0 }
    }

    /// What is written from now on is written by this event.
    pub fn begin(&mut self, seq: Seq) {
        self.seq = seq;
    }

    /// Whether it holds as much as one write to disk should.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.rows >= BATCH_ROWS_MAX || self.bytes >= BATCH_BYTES_MAX
    }

    /// The rows to store.
    #[must_use]
    pub fn into_writes(self) -> Writes {
        self.writes
    }
}

impl Rows for Batch<'_> {
    fn row(&self, key: &[u8]) -> Result<Option<Row>, RowsError> {
        match self.writes.get(key).and_then(|versions| versions.last()) {
            Some(row) => Ok(Some(row.clone())),
            None => self.base.row(key),
        }
    }

    fn scan(&self, prefix: &[u8], from: Option<&[u8]>, order: Order, visit: &mut Visit<'_>) -> Result<(), RowsError> {
        let newest = |versions: &'_ Vec<Row>| versions.last().and_then(|row| row.value.clone());
        scan_over(self.base, &self.writes, newest, prefix, from, order, visit)
    }
}

impl RowsMut for Batch<'_> {
    fn put(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) -> Result<(), RowsError> {
        self.rows += 1;
        self.bytes += key.len() + value.as_ref().map_or(0, Vec::len);
        self.writes.entry(key).or_default().push(Row { seq: self.seq, value: value.map(Bytes::from) });
        Ok(())
    }
}

/// What was decided and may not yet be in the view: the sequencer's side of a view.
///
/// Bounded by how far the view's worker is behind; [`prune`](Self::prune) forgets what the view holds itself. What one
/// command wrote stays revocable until it is [kept](Self::keep).
pub struct Overlay {
    base: ViewStore,
    seq: Seq,
    rows: BTreeMap<Vec<u8>, Row>,
    /// Keys in the order in which events wrote them.
    written: VecDeque<(Seq, Vec<u8>)>,
    /// What the newest of `written` took the place of, for those not kept yet.
    replaced: Vec<Option<Row>>,
    bytes: usize,
}

impl Overlay {
    /// Nothing over a view.
    #[must_use]
    pub fn new(base: ViewStore) -> Self {
        Self { base, seq: Seq(0), rows: BTreeMap::new(), written: VecDeque::new(), replaced: Vec::new(), bytes: 0 }
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
                self.set(key, before);
            }
        }
    }

    /// Forgets the rows of events that the view reflects.
    pub fn prune(&mut self) {
        let TreeSize(cursor) = self.base.cursor();
        while let Some((seq, _)) = self.written.front() {
            if seq.0 >= cursor {
                break;
            }
            if let Some((_, key)) = self.written.pop_front()
                && self.rows.get(&key).is_some_and(|row| row.seq.0 < cursor)
            {
                self.set(key, None);
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

    fn set(&mut self, key: Vec<u8>, row: Option<Row>) -> Option<Row> {
        let size = |row: &Row| row.value.as_ref().map_or(0, Bytes::len);
        let key_len = key.len();
        if let Some(row) = &row {
            self.bytes += key_len + size(row);
        }
        let before = match row {
            Some(row) => self.rows.insert(key, row),
            None => self.rows.remove(&key),
        };
        if let Some(before) = &before {
            self.bytes -= key_len + size(before);
        }
        before
    }
}

impl Rows for Overlay {
    fn row(&self, key: &[u8]) -> Result<Option<Row>, RowsError> {
        match self.rows.get(key) {
            Some(row) => Ok(Some(row.clone())),
            None => self.base.row(key),
        }
    }

    fn scan(&self, prefix: &[u8], from: Option<&[u8]>, order: Order, visit: &mut Visit<'_>) -> Result<(), RowsError> {
        scan_over(&self.base, &self.rows, |row: &Row| row.value.clone(), prefix, from, order, visit)
    }
}

impl RowsMut for Overlay {
    fn put(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) -> Result<(), RowsError> {
        self.written.push_back((self.seq, key.clone()));
        let before = self.set(key, Some(Row { seq: self.seq, value: value.map(Bytes::from) }));
        self.replaced.push(before);
        Ok(())
    }
}

/// Merges rows in memory over rows on disk, in key order; memory wins.
fn scan_over<R>(
    base: &ViewStore, over: &BTreeMap<Vec<u8>, R>, value_of: impl Fn(&R) -> Option<Bytes>, prefix: &[u8],
    from: Option<&[u8]>, order: Order, visit: &mut Visit<'_>,
) -> Result<(), RowsError> {
    let (start, end) = scan_bounds(prefix, from, order);
    let range = (Bound::Included(start), end.map_or(Bound::Unbounded, Bound::Excluded));
    let mut memory: Vec<(&[u8], Option<Bytes>)> =
        over.range::<Vec<u8>, _>(range).map(|(key, row)| (&key[prefix.len()..], value_of(row))).collect();
    if order == Order::Ascending {
        memory.reverse();
    }
    // `memory` is now a stack: its last element is the next in the order asked.
    let goes_first = |a: &[u8], b: &[u8]| match order {
        Order::Ascending => a < b,
        Order::Descending => a > b,
    };
    let mut stopped = false;
    base.scan(prefix, from, order, &mut |key, value| {
        while let Some((next, _)) = memory.last().filter(|(next, _)| goes_first(next, key)) {
            let next = *next;
            if let Some((_, Some(value))) = memory.pop()
                && visit(next, &value).is_break()
            {
                stopped = true;
                return ControlFlow::Break(());
            }
        }
        let flow = match memory.last().filter(|(next, _)| *next == key) {
            None => visit(key, value),
            Some(_) => match memory.pop() {
                Some((_, Some(newer))) => visit(key, &newer),
                _ => ControlFlow::Continue(()),
            },
        };
        stopped = flow.is_break();
        flow
    })?;
    while let Some((key, value)) = memory.pop().filter(|_| !stopped) {
        if let Some(value) = value
            && visit(key, &value).is_break()
        {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Keys of two tables and three lengths, so that prefixes have neighbours.
    fn key() -> impl Strategy<Value = Vec<u8>> {
        (1..3_u8, proptest::collection::vec(0..4_u8, 1..4)).prop_map(|(table, rest)| [vec![table], rest].concat())
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
    }

    fn step() -> impl Strategy<Value = Step> {
        let puts = proptest::collection::vec((key(), proptest::option::of(any::<u8>())), 0..6);
        prop_oneof![
            4 => (puts, any::<bool>()).prop_map(|(puts, is_kept)| Step::Event { puts, is_kept }),
            1 => (0..4_usize).prop_map(Step::Follow),
            1 => Just(Step::Prune),
        ]
    }

    /// The rows under a prefix, the least or greatest first, from a key on.
    fn scan(rows: &dyn Rows, prefix: &[u8], from: Option<&[u8]>, order: Order) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut found = Vec::new();
        rows.scan(prefix, from, order, &mut |key, value| {
            found.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        })
        .unwrap();
        found
    }

    type Model = BTreeMap<Vec<u8>, (Seq, Option<Vec<u8>>)>;

    fn expected(model: &Model, prefix: &[u8], from: Option<&[u8]>, order: Order) -> Vec<(Vec<u8>, Vec<u8>)> {
        let present = model.iter().filter_map(|(key, (_, value))| Some((key.strip_prefix(prefix)?, value.as_ref()?)));
        let mut found: Vec<_> = present
            .filter(|(rest, _)| match (order, from) {
                (_, None) => true,
                (Order::Ascending, Some(from)) => *rest >= from,
                (Order::Descending, Some(from)) => *rest <= from,
            })
            .map(|(rest, value)| (rest.to_vec(), value.clone()))
            .collect();
        if order == Order::Descending {
            found.reverse();
        }
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn an_overlay_reads_as_if_the_view_had_followed_already(
            steps in proptest::collection::vec(step(), 1..40), from in proptest::collection::vec(0..4_u8, 0..3),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let base = ViewStore::open(dir.path()).unwrap();
            let mut overlay = Overlay::new(base.clone());
            let mut model = Model::new();
            let mut ahead: VecDeque<Writes> = VecDeque::new();
            let mut next = Seq(0);
            for step in steps {
                match step {
                    Step::Event { puts, is_kept } => {
                        overlay.begin(next);
                        let mut writes = Writes::new();
                        for (key, value) in puts {
                            let value = value.map(|byte| vec![byte]);
                            overlay.put(key.clone(), value.clone()).unwrap();
                            if is_kept {
                                let row = Row { seq: next, value: value.clone().map(Bytes::from) };
                                writes.entry(key.clone()).or_default().push(row);
                                model.insert(key, (next, value));
                            }
                        }
                        if is_kept {
                            overlay.keep();
                            ahead.push_back(writes);
                            next = next.next();
                        } else {
                            overlay.take_back();
                        }
                    }
                    Step::Follow(events) => {
                        for writes in ahead.drain(..events.min(ahead.len())) {
                            base.apply(writes, TreeSize(base.cursor().0 + 1)).unwrap();
                        }
                    }
                    Step::Prune => overlay.prune(),
                }
                for (key, (seq, value)) in &model {
                    let row = overlay.row(key).unwrap();
                    prop_assert_eq!(row, Some(Row { seq: *seq, value: value.clone().map(Bytes::from) }));
                }
                for order in [Order::Ascending, Order::Descending] {
                    for (prefix, from) in [(&[1][..], None), (&[1], Some(&from[..])), (&[1, 2], Some(&from[..])), (&[2], None)] {
                        prop_assert_eq!(scan(&overlay, prefix, from, order), expected(&model, prefix, from, order));
                    }
                }
            }
            for writes in ahead {
                base.apply(writes, TreeSize(base.cursor().0 + 1)).unwrap();
            }
            overlay.prune();
            prop_assert_eq!((overlay.rows.len(), overlay.written.len(), overlay.bytes()), (0, 0, 0));
        }
    }
}
