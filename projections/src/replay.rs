//! A log that no daemon runs on, replayed: what it says of a thing at any past moment, what happened to a thing, and what
//! changed between two moments and by which events.
//!
//! The views are rebuilt from the log alone; a daemon's own views are not believed.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use chancery_ledger::event::{self, HeaderError};
use chancery_ledger::ids::{
    AgentId, AuditChainId, ChallengeId, CredentialId, MemberId, MissionId, OrganisationId, Seq, Subject, TenantId,
    ThingKind, TokenId, TreeSize,
};
use chancery_ledger::keystore::Secrets;
use chancery_ledger::store::{LogStore, StoreError};
use chancery_ledger::time::Micros;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::context::Opener;
use crate::event_view::{self, EventView, EventViewError};
use crate::journal::{self, Filter};
use crate::rows::store::ViewStore;
use crate::rows::table::Table;
use crate::rows::{Order, RowsError, Scan};
use crate::view::{Held, Reading, ViewError};
use crate::views::{PerView, View, open_stores};
use crate::worker::{WorkerError, catch_up};
use crate::{execution, identity, token};

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
    /// The rebuilt views could not be read.
    #[error("the rebuilt views cannot be read: {0}")]
    View(#[from] ViewError),
    /// The rebuilt views could not be written or read.
    #[error("the rebuilt views cannot be used: {0}; is there room on the disk?")]
    Rows(#[from] RowsError),
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

/// A thing that changed.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    /// The thing.
    pub subject: Subject,
    /// What it was; `null` when it was not there.
    pub before: Option<Value>,
    /// What it is.
    pub after: Option<Value>,
    /// Which of its fields differ.
    pub fields: Vec<String>,
    /// The events about it in between, in order.
    pub events: Vec<Seq>,
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

/// The kinds of things that views show.
pub const SHOWN: [ThingKind; 9] = [
    ThingKind::Tenant,
    ThingKind::Organisation,
    ThingKind::Member,
    ThingKind::Agent,
    ThingKind::Credential,
    ThingKind::Challenge,
    ThingKind::Token,
    ThingKind::Mission,
    ThingKind::AuditChain,
];

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
        Ok(Self { log, secrets, stores })
    }

    /// How many events were replayed.
    #[must_use]
    pub fn size(&self) -> TreeSize {
        self.stores.get(View::Journal).cursor()
    }

    /// What the log says of a thing at a moment; `None` when it was not there, or is of a kind that no view shows
    /// ([`SHOWN`]).
    ///
    /// # Errors
    /// [`ReplayError`].
    pub fn thing(&self, subject: Subject, at: Moment) -> Result<Option<Value>, ReplayError> {
        let held = self.held(at.seq)?;
        Ok(render(&held.reading(Opener::new(&*self.secrets), at.now), subject)?)
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
            let page = ids_from(&reading, kind, from)?;
            let Some(last) = page.last() else { return Ok(()) };
            from = last.as_u128().checked_add(1).map(u128::to_be_bytes);
            for id in page {
                let subject = Subject { kind, id };
                if let Some(value) = render(&reading, subject)?
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
    /// as it was, or only `about` one thing. Things come by kind and id. Ends early when `visit` says so.
    ///
    /// Holds the positions of one thing's events in memory at a time, and no more.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub fn difference(
        &self, from: Moment, to: Moment, about: Option<Subject>, mut visit: impl FnMut(Change) -> ControlFlow<()>,
    ) -> Result<(), ReplayError> {
        let (before, after) = (self.held(from.seq)?, self.held(to.seq)?);
        let opener = Opener::new(&*self.secrets);
        let (before, after) = (before.reading(opener, from.now), after.reading(opener, to.now));
        self.each_touched(from.seq, to.seq, about, |subject, events| {
            let (before, after) = (render(&before, subject)?, render(&after, subject)?);
            let fields = differing(before.as_ref(), after.as_ref());
            if fields.is_empty() {
                return Ok(ControlFlow::Continue(()));
            }
            Ok(visit(Change { subject, before, after, fields, events }))
        })
    }

    /// Calls `visit` with each thing that events after `from`, up to `to`, are about, and with their positions.
    fn each_touched(
        &self, from: Seq, to: Seq, about: Option<Subject>,
        mut visit: impl FnMut(Subject, Vec<Seq>) -> Result<ControlFlow<()>, ReplayError>,
    ) -> Result<(), ReplayError> {
        let journal = self.stores.get(View::Journal).snapshot();
        let mut after = about.map(|subject| (subject, from));
        let mut gathered: Option<(Subject, Vec<Seq>)> = None;
        loop {
            let page = journal::by_subject(&journal, after, PAGE)?;
            for (subject, seq) in page.iter().copied() {
                if about.is_some_and(|about| about != subject) {
                    break;
                }
                if gathered.as_ref().is_none_or(|(current, _)| *current != subject)
                    && let Some((subject, events)) = gathered.replace((subject, Vec::new()))
                    && !events.is_empty()
                    && visit(subject, events)?.is_break()
                {
                    return Ok(());
                }
                if seq > from
                    && seq <= to
                    && let Some((_, events)) = &mut gathered
                {
                    events.push(seq);
                }
            }
            match page.last() {
                Some(last) if page.len() == PAGE && about.is_none_or(|about| about == last.0) => after = Some(*last),
                _ => break,
            }
        }
        if let Some((subject, events)) = gathered.filter(|(_, events)| !events.is_empty()) {
            // It is the last, so whether to go on is no question.
            let _ = visit(subject, events)?;
        }
        Ok(())
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

/// The members in which two states of a thing differ. Its version says which event wrote it, and is no difference.
fn differing(before: Option<&Value>, after: Option<&Value>) -> Vec<String> {
    let members = |value: Option<&Value>| value.and_then(Value::as_object).cloned().unwrap_or_default();
    let (before, after) = (members(before), members(after));
    let mut names: Vec<String> = before.keys().chain(after.keys()).cloned().collect();
    names.sort_unstable();
    names.dedup();
    names.retain(|name| name != "version" && before.get(name) != after.get(name));
    names
}

/// A thing as its view shows it, whoever's it is.
fn render(reading: &Reading<'_>, subject: Subject) -> Result<Option<Value>, ViewError> {
    let Some(tenant) = tenant_of(reading, subject)? else { return Ok(None) };
    let id = subject.id;
    Ok(match subject.kind {
        ThingKind::Tenant => json(identity::view::tenant(reading, TenantId(id))?),
        ThingKind::Organisation => json(identity::view::organisation(reading, tenant, OrganisationId(id))?),
        ThingKind::Member => json(identity::view::tenant_member(reading, tenant, MemberId(id))?),
        ThingKind::Agent => json(identity::view::agent(reading, tenant, AgentId(id))?),
        ThingKind::Credential => json(identity::view::credential(reading, tenant, CredentialId(id))?),
        ThingKind::Challenge => json(identity::view::challenge(reading, tenant, ChallengeId(id))?),
        ThingKind::Token => json(token::view::token(reading, tenant, TokenId(id))?),
        ThingKind::Mission => json(execution::view::mission(reading, tenant, MissionId(id))?),
        ThingKind::AuditChain => json(execution::view::audit_chain(reading, tenant, AuditChainId(id))?),
        _ => None,
    })
}

/// Ids of the things of a kind from one on (inclusive), ascending: some, or none when there are no more.
fn ids_from(reading: &Reading<'_>, kind: ThingKind, from: Option<[u8; 16]>) -> Result<Vec<Uuid>, RowsError> {
    use crate::execution::state::{CHAINS, MISSIONS};
    use crate::identity::state::{AGENTS, CHALLENGES, CREDENTIALS, MEMBERS, ORGANISATIONS, TENANTS};
    use crate::token::state::TOKENS;

    let (who, may, does) = (reading.identity, reading.token, reading.execution);
    match kind {
        ThingKind::Tenant => page_of_ids(&TENANTS, who, from),
        ThingKind::Organisation => page_of_ids(&ORGANISATIONS, who, from),
        ThingKind::Member => page_of_ids(&MEMBERS, who, from),
        ThingKind::Agent => page_of_ids(&AGENTS, who, from),
        ThingKind::Credential => page_of_ids(&CREDENTIALS, who, from),
        ThingKind::Challenge => page_of_ids(&CHALLENGES, who, from),
        ThingKind::Token => page_of_ids(&TOKENS, may, from),
        ThingKind::Mission => page_of_ids(&MISSIONS, does, from),
        ThingKind::AuditChain => page_of_ids(&CHAINS, does, from),
        _ => Ok(Vec::new()),
    }
}

fn page_of_ids<V: Serialize + serde::de::DeserializeOwned>(
    table: &Table<V>, rows: &dyn Scan, from: Option<[u8; 16]>,
) -> Result<Vec<Uuid>, RowsError> {
    let page = table.list(rows, (), from.as_ref().map(<[u8; 16]>::as_slice), Order::Ascending, PAGE)?;
    Ok(page.iter().filter_map(|(key, _)| Uuid::from_slice(key).ok()).collect())
}

/// Whose a thing is, by its row; `None` when there is no such row.
fn tenant_of(reading: &Reading<'_>, subject: Subject) -> Result<Option<TenantId>, RowsError> {
    use crate::execution::state::{CHAINS, MISSIONS};
    use crate::identity::state::{AGENTS, CHALLENGES, CREDENTIALS, MEMBERS, ORGANISATIONS, TENANTS};
    use crate::token::state::TOKENS;

    let (who, may, does) = (reading.identity, reading.token, reading.execution);
    let id = subject.id;
    Ok(match subject.kind {
        ThingKind::Tenant => TENANTS.get(who, TenantId(id))?.map(|it| it.tenant),
        ThingKind::Organisation => ORGANISATIONS.get(who, OrganisationId(id))?.map(|it| it.tenant),
        ThingKind::Member => MEMBERS.get(who, MemberId(id))?.map(|it| it.tenant),
        ThingKind::Agent => AGENTS.get(who, AgentId(id))?.map(|it| it.tenant),
        ThingKind::Credential => CREDENTIALS.get(who, CredentialId(id))?.map(|it| it.tenant),
        ThingKind::Challenge => CHALLENGES.get(who, ChallengeId(id))?.map(|it| it.tenant),
        ThingKind::Token => TOKENS.get(may, TokenId(id))?.map(|it| it.tenant),
        ThingKind::Mission => MISSIONS.get(does, MissionId(id))?.map(|it| it.tenant),
        ThingKind::AuditChain => CHAINS.get(does, AuditChainId(id))?.map(|it| it.tenant),
        _ => None,
    })
}

fn json<T: Serialize>(value: Option<T>) -> Option<Value> {
    // Views are made of texts, numbers and lists, which always have JSON.
    value.and_then(|value| serde_json::to_value(value).ok())
}
