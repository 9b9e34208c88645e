//! Who has a turn to post, and who is next.
//!
//! Turns are of two sorts, so that who is slow or fails holds up nobody else: those whose last attempt failed or took
//! long have turns of their own. Of either sort a tenant has its share and no more.

use std::collections::{HashMap, VecDeque};

use chancery_ledger::ids::{SubscriptionId, TenantId};
use chancery_projections::execution::delivery::view::DueNow;

use crate::limits::{DELIVERY_SHARE, DELIVERY_TURNS, DELIVERY_TURNS_SLOW};

/// Who has a turn, and who waits for one.
#[derive(Debug, Default)]
pub(super) struct Turns {
    busy: HashMap<SubscriptionId, DueNow>,
    waiting: VecDeque<DueNow>,
}

impl Turns {
    /// Takes note of who is due, the longest due first.
    pub(super) fn note(&mut self, due: Vec<DueNow>) {
        self.waiting = due.into_iter().filter(|it| !self.busy.contains_key(&it.subscription)).collect();
    }

    /// Whether nobody waits.
    pub(super) fn is_nobody_waiting(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Gives turns to those that wait, as far as there are turns; the rest goes on waiting.
    pub(super) fn give(&mut self) -> Vec<DueNow> {
        let mut shares: HashMap<(bool, TenantId), usize> = HashMap::new();
        let mut taken: HashMap<bool, usize> = HashMap::new();
        for it in self.busy.values() {
            *shares.entry((it.is_slow, it.tenant)).or_default() += 1;
            *taken.entry(it.is_slow).or_default() += 1;
        }
        let (mut given, mut left) = (Vec::new(), VecDeque::new());
        while let Some(it) = self.waiting.pop_front() {
            let of_all = if it.is_slow { DELIVERY_TURNS_SLOW } else { DELIVERY_TURNS };
            let (taken, share) =
                (taken.entry(it.is_slow).or_default(), shares.entry((it.is_slow, it.tenant)).or_default());
            if *taken == of_all || *share == of_all / DELIVERY_SHARE {
                left.push_back(it);
                continue;
            }
            (*taken, *share) = (*taken + 1, *share + 1);
            self.busy.insert(it.subscription, it);
            given.push(it);
        }
        self.waiting = left;
        given
    }

    /// Takes note that a turn is over.
    pub(super) fn over(&mut self, subscription: SubscriptionId) {
        self.busy.remove(&subscription);
    }

    /// Takes note that all turns are over.
    pub(super) fn all_over(&mut self) {
        self.busy.clear();
    }
}

#[cfg(test)]
mod tests {
    use chancery_ledger::ids::{ThingId as _, uuid_v7};

    use super::*;

    fn due(tenant: u8, n: u8, is_slow: bool) -> DueNow {
        let (of, id) = (uuid_v7(1, [tenant; 10]), uuid_v7(2 + u64::from(tenant), [n; 10]));
        DueNow { tenant: TenantId::from_uuid(of), subscription: SubscriptionId::from_uuid(id), is_slow }
    }

    #[test]
    fn no_tenant_has_more_than_its_share_of_turns() {
        let share = DELIVERY_TURNS / DELIVERY_SHARE;
        let of_first: Vec<_> = (0..200).map(|n| due(1, n, false)).collect();
        let mut turns = Turns::default();
        turns.note([of_first.clone(), vec![due(2, 0, false)]].concat());
        assert_eq!(turns.give(), [&of_first[..share], &[due(2, 0, false)]].concat());
        assert_eq!(turns.give(), [], "all that its tenant can have are taken");
        turns.over(of_first[3].subscription);
        assert_eq!(turns.give(), [of_first[share]], "the next in line");
        // Who has a turn is not noted as waiting.
        turns.note(vec![of_first[0], due(2, 0, false)]);
        turns.over(of_first[1].subscription);
        assert_eq!(turns.give(), []);
        turns.all_over();
        turns.note(of_first.clone());
        assert_eq!(turns.give().len(), share);
    }

    #[test]
    fn who_is_slow_holds_up_nobody_else() {
        let slow: Vec<_> = (0..4).flat_map(|tenant| (0..64).map(move |n| due(tenant, n, true))).collect();
        let mut turns = Turns::default();
        turns.note([slow, vec![due(1, 200, false)]].concat());
        let given = turns.give();
        assert_eq!(given.iter().filter(|it| it.is_slow).count(), DELIVERY_TURNS_SLOW);
        assert_eq!(given.last(), Some(&due(1, 200, false)));
    }

    #[test]
    fn there_are_so_many_turns_in_all() {
        let many: Vec<_> = (0..u8::MAX).flat_map(|tenant| [due(tenant, 0, false), due(tenant, 1, false)]).collect();
        let mut turns = Turns::default();
        turns.note(many.clone());
        assert_eq!(turns.give(), many[..DELIVERY_TURNS]);
        assert_eq!(turns.give(), []);
    }
}
