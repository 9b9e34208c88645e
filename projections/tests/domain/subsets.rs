//! Subsets of dense lists, against a plain map.

use std::collections::BTreeMap;

use chancery_ledger::time::Micros;
use chancery_projections::rows::Order;
use chancery_projections::rows::subset::{Span, Subset};
use proptest::prelude::*;

use crate::world::Memory;

const SUBSET: Subset = Subset::new(1);

#[derive(Debug, Clone)]
enum Step {
    /// The list grows by so many; the last of them enters the subset.
    Grow(u64, i64),
    /// An older member enters, or enters anew with another time.
    Enter(prop::sample::Index, i64),
    Leave(prop::sample::Index),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (1..40_u64, 0..20_i64).prop_map(|(n, until)| Step::Grow(n, until)),
        2 => (any::<prop::sample::Index>(), 0..20_i64).prop_map(|(index, until)| Step::Enter(index, until)),
        2 => any::<prop::sample::Index>().prop_map(Step::Leave),
    ];
    prop::collection::vec(step, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_subset_agrees_with_a_map(steps in steps(), skip in 0..50_u64, limit in 0..20_usize, at in 0..21_i64) {
        let (mut rows, mut length, mut model) = (Memory::default(), 0, BTreeMap::<u64, i64>::new());
        for step in steps {
            match step {
                Step::Grow(n, until) => {
                    length += n;
                    model.insert(length, until);
                    SUBSET.enter(&mut rows, 7_u8, length, length, Micros(until)).unwrap();
                }
                Step::Enter(index, until) if length > 0 => {
                    let ordinal = index.index(usize::try_from(length).unwrap()) as u64 + 1;
                    model.insert(ordinal, until);
                    SUBSET.enter(&mut rows, 7_u8, length, ordinal, Micros(until)).unwrap();
                }
                Step::Leave(index) if length > 0 => {
                    let ordinal = index.index(usize::try_from(length).unwrap()) as u64 + 1;
                    model.remove(&ordinal);
                    SUBSET.leave(&mut rows, 7_u8, length, ordinal).unwrap();
                }
                Step::Enter(..) | Step::Leave(_) => {}
            }
            // Another list's subset is another subset, and lists grow without their subsets.
            let seen_length = length + skip;
            prop_assert_eq!(SUBSET.len(&rows, 7_u8, seen_length).unwrap(), model.len() as u64);
            prop_assert_eq!(SUBSET.len(&rows, 8_u8, seen_length).unwrap(), 0);
            for before in [u64::MAX, length, length / 2] {
                let newest = model.iter().rev().find(|(ordinal, until)| **ordinal < before && **until >= at);
                let found = SUBSET.newest(&rows, 7_u8, seen_length, before, Micros(at)).unwrap();
                prop_assert_eq!(found, newest.map(|(ordinal, _)| *ordinal));
            }
        }
        for order in [Order::Ascending, Order::Descending] {
            for after in [None, Some(length / 2), Some(1), Some(length)] {
                let span = Span { order, after, skip, limit };
                let mut wanted: Vec<u64> = model.keys().copied().collect();
                if order == Order::Descending {
                    wanted.reverse();
                }
                wanted.retain(|ordinal| after.is_none_or(|after| match order {
                    Order::Ascending => *ordinal > after,
                    Order::Descending => *ordinal < after,
                }));
                let wanted: Vec<u64> = wanted.into_iter().skip(usize::try_from(skip).unwrap()).take(limit).collect();
                prop_assert_eq!(SUBSET.page(&rows, 7_u8, length, span).unwrap(), wanted, "{:?} {:?}", order, after);
            }
        }
    }
}

#[test]
fn a_large_subset_is_read_in_few_steps() {
    let mut rows = Memory::default();
    for ordinal in 1..=5_000 {
        SUBSET.enter(&mut rows, (), ordinal, ordinal, Micros(i64::from(ordinal == 3))).unwrap();
    }
    let counting = Counting { rows: &rows, reads: std::cell::Cell::new(0) };
    assert_eq!(SUBSET.newest(&counting, (), 5_000, u64::MAX, Micros(1)).unwrap(), Some(3));
    let span = Span { order: Order::Descending, after: None, skip: 4_000, limit: 2 };
    assert_eq!(SUBSET.page(&counting, (), 5_000, span).unwrap(), [1_000, 999]);
    assert_eq!(SUBSET.len(&counting, (), 5_000).unwrap(), 5_000);
    assert!(counting.reads.get() < 200, "{} reads", counting.reads.get());
}

struct Counting<'a> {
    rows: &'a Memory,
    reads: std::cell::Cell<u32>,
}

impl chancery_projections::rows::Rows for Counting<'_> {
    fn row(
        &self, key: &[u8],
    ) -> Result<Option<chancery_projections::rows::Row>, chancery_projections::rows::RowsError> {
        self.reads.set(self.reads.get() + 1);
        self.rows.row(key)
    }
}
