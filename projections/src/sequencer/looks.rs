//! Looks into tokens, which change nothing: answered at once, and recorded with the next commit, all of a commit's in one
//! event of each tenant.
//!
//! Whoever looks leaves a note and goes on. The decider takes the notes up when it closes a group; when no command waits it
//! is woken, and makes a commit of them alone. Notes that wait are lost with the process, as the answers to them changed
//! nothing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

use chancery_ledger::body::Body;
use chancery_ledger::body::token::{INTROSPECTIONS_MAX, Introspection, TokensIntrospected};
use chancery_ledger::ids::TenantId;
use crossbeam_channel::{Receiver, Sender, bounded};

/// Notes that wait; who looks beyond that is asked to come again.
const WAITING_MAX: usize = 64 * 1024;
/// Most notes that one group takes up: some 600 KiB of bodies.
const GROUP_MAX: usize = 16 * 1024;

/// Where notes wait.
pub(super) struct Looks {
    put: Sender<(TenantId, Introspection)>,
    waiting: Receiver<(TenantId, Introspection)>,
    /// Whether the decider was told that there are notes, and has not taken them up yet.
    is_told: AtomicBool,
    noted: AtomicU64,
    recorded: AtomicU64,
}

impl Default for Looks {
    fn default() -> Self {
        let (put, waiting) = bounded(WAITING_MAX);
        Self { put, waiting, is_told: AtomicBool::new(false), noted: AtomicU64::new(0), recorded: AtomicU64::new(0) }
    }
}

impl Looks {
    /// Leaves a note; whether the decider is to be told, or `None` when too many wait.
    pub(super) fn note(&self, tenant: TenantId, look: Introspection) -> Option<bool> {
        self.put.try_send((tenant, look)).ok()?;
        self.noted.fetch_add(1, Ordering::AcqRel);
        // With the fence in `take`: either that finds the note, or this finds that the decider is to be told.
        fence(Ordering::SeqCst);
        Some(!self.is_told.load(Ordering::Relaxed) && !self.is_told.swap(true, Ordering::AcqRel))
    }

    /// Takes up what a group may have: how many they are, and their events, each with its tenant.
    pub(super) fn take(&self) -> (u64, Vec<(TenantId, Body)>) {
        self.is_told.store(false, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let mut tenants: BTreeMap<TenantId, Vec<Introspection>> = BTreeMap::new();
        let mut count = 0;
        for (tenant, look) in self.waiting.try_iter().take(GROUP_MAX) {
            tenants.entry(tenant).or_default().push(look);
            count += 1;
        }
        let mut events = Vec::new();
        for (tenant, mut looks) in tenants {
            while !looks.is_empty() {
                let rest = looks.split_off(looks.len().min(INTROSPECTIONS_MAX));
                events.push((tenant, TokensIntrospected { items: looks }.into()));
                looks = rest;
            }
        }
        (count, events)
    }

    /// Whether any note waits.
    pub(super) fn any_wait(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Counts notes as recorded.
    pub(super) fn recorded(&self, count: u64) {
        self.recorded.fetch_add(count, Ordering::AcqRel);
    }

    /// How many were noted.
    pub(super) fn count(&self) -> u64 {
        self.noted.load(Ordering::Acquire)
    }

    /// Whether so many, and so all before them, are recorded.
    pub(super) fn are_recorded(&self, count: u64) -> bool {
        self.recorded.load(Ordering::Acquire) >= count
    }
}
