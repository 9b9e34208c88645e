//! A log that no daemon runs on, replayed: what it says of a thing at any past moment, what happened to a thing, and what
//! changed between two moments and by which events.
//!
//! The views are rebuilt from the log alone; a daemon's own views are not believed.

mod roots;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use chancery_ledger::event::{self, HeaderError};
use chancery_ledger::ids::{AgentId, Seq, Subject, TenantId, ThingKind, TreeSize};
use chancery_ledger::keystore::Secrets;
use chancery_ledger::store::{LogStore, StoreError};
use chancery_ledger::time::Micros;
use serde::Serialize;
use serde_json::Value;

use crate::context::Opener;
use crate::difference::{Between, Change, DifferenceError};
use crate::event_view::{self, EventView, EventViewError};
use crate::journal::{self, Filter};
use crate::rows::store::ViewStore;
use crate::rows::{Order, RowsError};
use crate::things;
use crate::token::dry_run::{CheckDryRun, DryRunError, Past, Under};
use crate::trust;
use crate::trust::scope_rules::ScopeRules;
use crate::trust::scoring::Scoring;
use crate::trust::view::DryRunView;
use crate::view::{Held, Paging, ViewError};
use crate::view_receipt::roots::RootsError;
use crate::views::{PerView, View, open_stores};
use crate::worker::{WorkerError, catch_up};

pub use self::roots::{ComparedRoots, DifferingRoot};

/// Replaying failed. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The log could not be replayed.
    #[error("the log cannot be replayed: {0}; run `chancery verify` on it")]
    Worker(#[from] WorkerError),
    /// The log could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An event's header is malformed.
    #[error("event {seq} cannot be read: {source}; run `chancery verify` on the log")]
    Header {
        /// Which.
        seq: Seq,
        /// Why.
        source: HeaderError,
    },
    /// An event could not be shown.
    #[error("event {seq} cannot be shown: {source}")]
    Event {
        /// Which.
        seq: Seq,
        /// Why.
        source: EventViewError,
    },
    /// Two moments could not be compared.
    #[error("the two moments cannot be compared: {0}")]
    Difference(#[from] DifferenceError),
    /// Past scope checks could not be asked again.
    #[error("{0}; run `chancery verify` on the log")]
    DryRun(#[from] DryRunError),
    /// The rebuilt views could not be read.
    #[error("the rebuilt views cannot be read: {0}")]
    View(#[from] ViewError),
    /// The rebuilt views could not be written or read.
    #[error("the rebuilt views cannot be used: {0}; is there room on the disk?")]
    Rows(#[from] RowsError),
    /// The roots of the rebuilt views could not be computed.
    #[error(transparent)]
    Roots(RootsError),
    /// The log has no such event.
    #[error("the log has {size} events, so there is no event {seq} yet")]
    Beyond {
        /// Which was asked for.
        seq: Seq,
        /// How many there are.
        size: TreeSize,
    },
    /// The views in the directory reflect more events than the log has.
    #[error("{dir} holds views of {replayed} events, more than the {size} of this log: name another directory", dir = dir.display())]
    Ahead {
        /// The views' directory.
        dir: PathBuf,
        /// How many events they reflect.
        replayed: TreeSize,
        /// How many the log has.
        size: TreeSize,
    },
}

/// A moment of a log: right after an event, seen from a time, on which depends what has lapsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The last event that is seen.
    pub seq: Seq,
    /// The time from which it is seen.
    pub now: Micros,
}

impl Moment {
    /// Right after an event, at its own time.
    ///
    /// # Errors
    /// [`ReplayError`] when the event is not there or cannot be read.
    pub fn after(log: &dyn LogStore, seq: Seq) -> Result<Self, ReplayError> {
        let record = log.record(seq)?.ok_or(ReplayError::Beyond { seq, size: log.size() })?;
        let (_, now, _) = event::peek(&record.header).map_err(|source| ReplayError::Header { seq, source })?;
        Ok(Self { seq, now })
    }
}

/// A view's digest as replayed.
#[derive(Debug, Clone, Serialize)]
pub struct Digest {
    /// The view.
    pub view: &'static str,
    /// How many events it reflects.
    pub size: TreeSize,
    /// Its digest: 64 hexadecimal digits.
    pub digest: String,
}

/// Whose scope checks are asked again.
#[derive(Debug, Clone, Copy, Default)]
pub struct Whose {
    /// Only this tenant's.
    pub tenant: Option<TenantId>,
    /// Only those of this agent's tokens.
    pub agent: Option<AgentId>,
}

/// Rows or positions read at a time.
const PAGE: usize = 256;

/// A replayed log.
pub struct Replay {
    log: Arc<dyn LogStore>,
    secrets: Box<dyn Secrets>,
    stores: PerView<ViewStore>,
}

impl Replay {
    /// Replays a log up to a size into views below a directory, each view on a thread of its own. `progress` is told now
    /// and then how many events the slowest view has read.
    ///
    /// # Errors
    /// [`ReplayError`] when the log cannot be read or the views not be written.
    pub fn build(
        log: Arc<dyn LogStore>, secrets: Box<dyn Secrets>, dir: &Path, up_to: TreeSize, progress: impl Fn(TreeSize),
    ) -> Result<Self, ReplayError> {
        let stores = open_stores(dir)?;
        let replayed = stores.iter().map(|(_, store)| store.cursor()).max().unwrap_or_default();
        if replayed > log.size() {
            return Err(ReplayError::Ahead { dir: dir.to_owned(), replayed, size: log.size() });
        }
        thread::scope(|scope| {
            let log = &*log;
            let running: Vec<_> = stores
                .iter()
                .map(|(view, store)| scope.spawn(move || catch_up(view, store, log, up_to.min(log.size()))))
                .collect();
            while !running.iter().all(thread::ScopedJoinHandle::is_finished) {
                progress(stores.iter().map(|(_, store)| store.cursor()).min().unwrap_or_default());
                thread::park_timeout(std::time::Duration::from_millis(100));
            }
            running.into_iter().try_for_each(|worker| match worker.join() {
                Ok(done) => done,
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })?;
        stores.iter().try_for_each(|(_, store)| store.store_cursor())?;
        Ok(Self { log, secrets, stores })
    }

    /// How many events were replayed.
    #[must_use]
    pub fn size(&self) -> TreeSize {
        self.stores.get(View::Journal).cursor()
    }

    /// What the log says of a thing at a moment; `None` when it was not there, or is of a kind that no view shows
    /// ([`things::SHOWN`]).
    ///
    /// # Errors
    /// [`ReplayError`].
    pub fn thing(&self, subject: Subject, at: Moment) -> Result<Option<Value>, ReplayError> {
        let held = self.held(at.seq)?;
        Ok(things::render(&held.reading(Opener::new(&*self.secrets), at.now), subject)?)
    }

    /// How far an agent was trusted at a moment; `None` when it was not there.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub fn trust(&self, agent: AgentId, at: Moment) -> Result<Option<Value>, ReplayError> {
        let held = self.held(at.seq)?;
        Ok(things::trust_of(&held.reading(Opener::new(&*self.secrets), at.now), agent)?)
    }

    /// Calls `visit` with each thing of a kind as it was at a moment, in the order of their ids, which is that of their
    /// making. Ends early when `visit` says so.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub fn each_thing(
        &self, kind: ThingKind, at: Moment, mut visit: impl FnMut(Subject, Value) -> ControlFlow<()>,
    ) -> Result<(), ReplayError> {
        let held = self.held(at.seq)?;
        let reading = held.reading(Opener::new(&*self.secrets), at.now);
        let mut from: Option<[u8; 16]> = None;
        loop {
            let page = things::ids_from(&reading, kind, from)?;
            let Some(last) = page.last() else { return Ok(()) };
            from = last.as_u128().checked_add(1).map(u128::to_be_bytes);
            for id in page {
                let subject = Subject { kind, id };
                if let Some(value) = things::render(&reading, subject)?
                    && visit(subject, value).is_break()
                {
                    return Ok(());
                }
            }
            if from.is_none() {
                return Ok(());
            }
        }
    }

    /// Calls `visit` with each event about a thing, from an event on, in order. Ends early when `visit` says so.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub fn timeline(
        &self, subject: Subject, from: Seq, mut visit: impl FnMut(EventView) -> ControlFlow<()>,
    ) -> Result<(), ReplayError> {
        let journal = self.stores.get(View::Journal).snapshot();
        let mut next = from;
        loop {
            let page = journal::positions(&journal, Filter::Subject(subject), Some(next), Order::Ascending, PAGE)?;
            for seq in &page {
                if visit(self.event(*seq)?).is_break() {
                    return Ok(());
                }
            }
            match page.last() {
                Some(last) if page.len() == PAGE => next = last.next(),
                _ => return Ok(()),
            }
        }
    }

    /// One event, its encrypted fields opened where their keys are.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub fn event(&self, seq: Seq) -> Result<EventView, ReplayError> {
        let record = self.log.record(seq)?.ok_or(StoreError::Missing { seq })?;
        event_view::render_record(&record, &Opener::new(&*self.secrets))
            .map_err(|source| ReplayError::Event { seq, source })
    }

    /// Calls `visit` with what differs between two moments: each thing that an event in between is about and that is not
    /// as it was, in the order of these events, or only `about` one thing. Ends early when `visit` says so.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub fn difference(
        &self, from: Moment, to: Moment, about: Option<Subject>, mut visit: impl FnMut(Change) -> ControlFlow<()>,
    ) -> Result<(), ReplayError> {
        let (before, after) = (self.held(from.seq)?, self.held(to.seq)?);
        let opener = Opener::new(&*self.secrets);
        let journal = self.stores.get(View::Journal).snapshot();
        let between = Between {
            log: &*self.log,
            journal: &journal,
            before: (from.seq, before.reading(opener, from.now)),
            after: (to.seq, after.reading(opener, to.now)),
            tenant: None,
        };
        if let Some(subject) = about {
            // It is the last, so whether to go on is no question.
            let _ = between.of(subject)?.map(visit);
            return Ok(());
        }
        Ok(between.each_event(from.seq, |_, changes| changes.into_iter().try_for_each(&mut visit))?)
    }

    /// Calls `visit` with each scope check after an event, up to another, as it would end under rules; under those in
    /// force at the end of what was replayed, if none are given. Tenant by tenant, each in order. Ends early when `visit`
    /// says so.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub fn scope_checks(
        &self, whose: Whose, rules: Option<&ScopeRules>, from: Seq, to: Seq,
        mut visit: impl FnMut(CheckDryRun) -> ControlFlow<()>,
    ) -> Result<(), ReplayError> {
        let end = self.size().last().unwrap_or(Seq(0));
        let now = self.held(end)?;
        let opener = Opener::new(&*self.secrets);
        let journal = self.stores.get(View::Journal).snapshot();
        let trust = now.reading(opener, Micros(0)).trust;
        self.each_tenant(whose.tenant, end, |tenant| {
            let under = rules.map_or(Under::InForce(trust), Under::Given);
            let past = Past { log: &*self.log, journal: &journal, opener, tenant, agent: whose.agent, under };
            let mut flow = ControlFlow::Continue(());
            past.each(self.held(end)?, from.next(), to, |_, check| {
                flow = check.map_or(ControlFlow::Continue(()), &mut visit);
                flow
            })?;
            Ok(flow)
        })
    }

    /// Calls `visit` with each agent's score at a moment, and what it would be by other rules. Ends early when `visit` says
    /// so.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub fn scores(
        &self, tenant: Option<TenantId>, rules: &Scoring, at: Moment,
        mut visit: impl FnMut(DryRunView) -> ControlFlow<()>,
    ) -> Result<(), ReplayError> {
        let held = self.held(at.seq)?;
        let reading = held.reading(Opener::new(&*self.secrets), at.now);
        self.each_tenant(tenant, at.seq, |tenant| {
            let mut cursor: Option<String> = None;
            loop {
                let paging = Paging::new(Order::Ascending, cursor.as_deref(), Some(PAGE))?;
                let page = trust::view::dry_run(&reading, tenant, rules, &paging)?;
                if page.items.into_iter().try_for_each(&mut visit).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
                match page.next {
                    Some(next) => cursor = Some(next),
                    None => return Ok(ControlFlow::Continue(())),
                }
            }
        })
    }

    /// Calls `visit` with one tenant, or with each that there was.
    fn each_tenant(
        &self, tenant: Option<TenantId>, at: Seq,
        mut visit: impl FnMut(TenantId) -> Result<ControlFlow<()>, ReplayError>,
    ) -> Result<(), ReplayError> {
        if let Some(tenant) = tenant {
            // It is the last, so whether to go on is no question.
            return visit(tenant).map(drop);
        }
        let held = self.held(at)?;
        let reading = held.reading(Opener::new(&*self.secrets), Micros(0));
        let mut from: Option<[u8; 16]> = None;
        loop {
            let page = things::ids_from(&reading, ThingKind::Tenant, from)?;
            let Some(last) = page.last() else { return Ok(()) };
            from = last.as_u128().checked_add(1).map(u128::to_be_bytes);
            for id in page {
                if visit(TenantId(id))?.is_break() {
                    return Ok(());
                }
            }
        }
    }

    /// The digest of each view, which a daemon's own view must have at the same size.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub fn digests(&self) -> Result<Vec<Digest>, ReplayError> {
        let of = |(view, store): (View, &ViewStore)| {
            let (size, digest) = store.digest()?;
            Ok(Digest { view: view.name(), size, digest: hex::encode(digest) })
        };
        self.stores.iter().map(of).collect()
    }

    fn held(&self, at: Seq) -> Result<Held, ReplayError> {
        let size = self.size();
        if at.tree_size() > size {
            return Err(ReplayError::Beyond { seq: at, size });
        }
        let snapshot = |view| self.stores.get(view).snapshot();
        Ok(Held::new(
            snapshot(View::Identity),
            snapshot(View::Token),
            snapshot(View::Trust),
            snapshot(View::Execution),
            Some(at),
        )?)
    }
}
