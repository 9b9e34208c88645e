//! What differs between two moments, and the events that made it so.
//!
//! Found along the events in between, so that its cost grows with them and not with the ledger; what no event in between
//! is about, and merely lapsed, is not seen.

use std::ops::ControlFlow;

use chancery_ledger::event::{Envelope, ReadError, peek};
use chancery_ledger::ids::{AgentId, Seq, Subject, TenantId, ThingKind};
use chancery_ledger::store::{LogStore, StoreError};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::journal::{self, Filter};
use crate::rows::{Order, RowsError, Scan};
use crate::things::{self, SHOWN};
use crate::view::{Reading, ViewError};

/// Most events that are named of one change.
pub const EVENTS_MAX: usize = 1_000;
/// Positions read at a time.
const PAGE: usize = 256;

/// A thing that changed.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Change {
    /// The thing.
    pub subject: Subject,
    /// What it was; `null` when it was not there. An agent has beside what it is, under `trust`, how far it is trusted.
    pub before: Option<Value>,
    /// What it is.
    pub after: Option<Value>,
    /// Which of its fields differ.
    pub fields: Vec<String>,
    /// The events about it in between, in order; the first 1,000.
    pub events: Vec<Seq>,
    /// Whether there are more of them.
    pub more_events: bool,
}

/// Two moments could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum DifferenceError {
    /// A view could not be read.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The log could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An event is malformed.
    #[error("event {seq} cannot be read: {source}")]
    Event {
        /// Which.
        seq: Seq,
        /// Why.
        source: ReadError,
    },
}

impl From<RowsError> for DifferenceError {
    fn from(error: RowsError) -> Self {
        Self::View(error.into())
    }
}

/// Two moments of a ledger, to compare.
#[derive(Clone, Copy)]
pub struct Between<'a> {
    /// The log.
    pub log: &'a dyn LogStore,
    /// Where events stand in it.
    pub journal: &'a dyn Scan,
    /// The last event of the earlier moment, and what the views say there.
    pub before: (Seq, Reading<'a>),
    /// The last event of the later moment, and what the views say there.
    pub after: (Seq, Reading<'a>),
    /// Only events and things of this tenant.
    pub tenant: Option<TenantId>,
}

impl Between<'_> {
    /// What became of one thing; `None` when nothing did, or it was there at neither moment.
    ///
    /// # Errors
    /// [`DifferenceError`].
    pub fn of(&self, subject: Subject) -> Result<Option<Change>, DifferenceError> {
        let (before, after) = (self.state(&self.before.1, subject)?, self.state(&self.after.1, subject)?);
        let fields = differing(before.as_ref(), after.as_ref());
        let mut events = if fields.is_empty() { Vec::new() } else { self.events(subject, EVENTS_MAX + 1)? };
        let more_events = events.len() > EVENTS_MAX;
        events.truncate(EVENTS_MAX);
        Ok((!events.is_empty()).then_some(Change { subject, before, after, fields, events, more_events }))
    }

    /// Whether a thing was there at either moment.
    ///
    /// # Errors
    /// [`DifferenceError`].
    pub fn knows(&self, subject: Subject) -> Result<bool, DifferenceError> {
        Ok(self.state(&self.after.1, subject)?.is_some() || self.state(&self.before.1, subject)?.is_some())
    }

    /// Calls `visit` for each event after one, up to the later moment, with the things that changed and that it is the
    /// first in between to be about: so each comes once. Ends early when `visit` says so.
    ///
    /// # Errors
    /// [`DifferenceError`].
    pub fn each_event(
        &self, after: Seq, mut visit: impl FnMut(Seq, Vec<Change>) -> ControlFlow<()>,
    ) -> Result<(), DifferenceError> {
        let last = self.after.0;
        let Some(tenant) = self.tenant else {
            for read in self.log.records(after.next()) {
                let (seq, record) = read?;
                if seq > last || visit(seq, self.begun_by(seq, &record.header)?).is_break() {
                    break;
                }
            }
            return Ok(());
        };
        let mut next = after.next();
        loop {
            let page = journal::positions(self.journal, Filter::Tenant(tenant), Some(next), Order::Ascending, PAGE)?;
            for seq in &page {
                if *seq > last {
                    return Ok(());
                }
                let record = self.log.record(*seq)?.ok_or(StoreError::Missing { seq: *seq })?;
                if visit(*seq, self.begun_by(*seq, &record.header)?).is_break() {
                    return Ok(());
                }
            }
            match page.last() {
                Some(seq) if page.len() == PAGE => next = seq.next(),
                _ => return Ok(()),
            }
        }
    }

    /// The changed things of which an event is the first in between.
    fn begun_by(&self, seq: Seq, header: &[u8]) -> Result<Vec<Change>, DifferenceError> {
        let envelope =
            Envelope::parse(header).map_err(|source| DifferenceError::Event { seq, source: source.into() })?;
        let mut changes = Vec::new();
        for subject in envelope.subjects.into_iter().filter(|subject| SHOWN.contains(&subject.kind)) {
            if self.events(subject, 1)?.first() == Some(&seq) {
                changes.extend(self.of(subject)?);
            }
        }
        Ok(changes)
    }

    /// The first events in between that are about a thing.
    fn events(&self, subject: Subject, limit: usize) -> Result<Vec<Seq>, DifferenceError> {
        let mut found = Vec::new();
        let mut next = self.before.0.next();
        loop {
            let wanted = (limit - found.len()).min(PAGE);
            let page =
                journal::positions(self.journal, Filter::Subject(subject), Some(next), Order::Ascending, wanted)?;
            for seq in &page {
                if *seq > self.after.0 {
                    return Ok(found);
                }
                if self.sees(*seq)? {
                    found.push(*seq);
                }
            }
            match page.last() {
                Some(seq) if page.len() == wanted && found.len() < limit => next = seq.next(),
                _ => return Ok(found),
            }
        }
    }

    fn sees(&self, seq: Seq) -> Result<bool, DifferenceError> {
        let Some(tenant) = self.tenant else { return Ok(true) };
        let record = self.log.record(seq)?.ok_or(StoreError::Missing { seq })?;
        let peeked = peek(&record.header);
        let (_, _, whose) = peeked.map_err(|source| DifferenceError::Event { seq, source: source.into() })?;
        Ok(whose == tenant)
    }

    fn state(&self, reading: &Reading<'_>, subject: Subject) -> Result<Option<Value>, DifferenceError> {
        if let Some(tenant) = self.tenant
            && things::tenant_of(reading, subject)? != Some(tenant)
        {
            return Ok(None);
        }
        let mut state = things::render(reading, subject)?;
        if subject.kind == ThingKind::Agent
            && let Some(Value::Object(members)) = &mut state
        {
            members.insert("trust".to_owned(), things::trust_of(reading, AgentId(subject.id))?.unwrap_or_default());
        }
        Ok(state)
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
