//! What readers ask of the audit log: a page of a selection, one entry, whether the chain is whole.

use std::ops::Range;

use chancery_ledger::actor::Actor;
use chancery_ledger::body::Body;
use chancery_ledger::body::identity::{AgentPersonal, OrganisationRole};
use chancery_ledger::event::{Envelope, Event, Outline, ReadError};
use chancery_ledger::event_ref::{EventRef, Lane};
use chancery_ledger::ids::{CredentialId, OrganisationId, Seq, TenantId, TokenId};
use chancery_ledger::link::{self, Hash};
use chancery_ledger::shred::{Encrypted, FieldContext};
use chancery_ledger::store::{LogStore, Record, Records, StoreError};
use chancery_ledger::time::Micros;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::entry::{self, Action, Belongs, Entry, Outcome, entries};
use super::rows::{self, Counts, List, Mark};
use crate::context::ContextError;
use crate::origin::{self, Origin};
use crate::rows::RowsError;
use crate::view::{NumberedPage, Page, PageNumber, Paging, Reading};

/// How many events of others are read through on the way to the next of a chain that is verified, before it is looked up.
const READ_THROUGH_MAX: u64 = 256;

/// Which entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Selection {
    /// Those that name an agent.
    pub agent: Option<Uuid>,
    /// Those of an action.
    pub action: Option<Action>,
    /// Those that ended so.
    pub outcome: Option<Outcome>,
    /// Not before this, to the millisecond.
    pub from: Option<Micros>,
    /// Not after this, to the millisecond.
    pub to: Option<Micros>,
}

impl Selection {
    fn means(&self, action: Action) -> bool {
        self.action.is_none_or(|wanted| action == wanted)
            && self.outcome.is_none_or(|wanted| action.outcome() == wanted)
    }

    fn has(&self, entry: &Entry) -> bool {
        self.means(entry.action) && self.agent.is_none_or(|wanted| entry.agent == wanted)
    }
}

/// An entry as readers see it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct EntryView {
    /// Its id.
    #[serde(serialize_with = "reference_text")]
    #[schemars(with = "Uuid")]
    pub id: EventRef,
    /// When.
    pub time: Micros,
    /// What was done, in the vendor's word.
    #[serde(serialize_with = "action_text")]
    #[schemars(with = "String")]
    pub action: Action,
    /// Which agent it is about; nil when it is about none.
    pub agent: Uuid,
    /// Which organisation it belongs to; `None` is the default one.
    pub organisation: Option<OrganisationId>,
    /// Who asked.
    pub actor: Actor,
    /// From where; `None` when that is not known, or was erased.
    pub origin: Option<Origin>,
    /// What else the event says.
    pub details: Details,
}

/// What an event says beside who, what and when.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Details {
    /// Nothing more.
    Nothing,
    /// Of an agent that was registered.
    Agent {
        /// What sort of agent it is.
        kind: Option<String>,
        /// Who is responsible for it; `None` when that was never said, or was erased.
        owner: Option<String>,
    },
    /// Of an agent or organisation that changed: the names of the open attributes that did, and whether others did.
    Changed {
        /// By name.
        attributes: Vec<String>,
        /// Whether any that is personal did.
        personal: bool,
    },
    /// Of a credential.
    Credential {
        /// Which.
        credential: CredentialId,
        /// Why it was revoked, if that was not asked for.
        cause: Option<String>,
    },
    /// Of a token that was issued or revoked.
    Token {
        /// Which.
        token: TokenId,
        /// What it allows.
        scopes: Vec<String>,
    },
    /// Of a look into a token.
    Look {
        /// Which; `None` for a text that is no token of the tenant.
        token: Option<TokenId>,
        /// Whether it was said to be active.
        active: bool,
    },
    /// Of a refused log-in.
    Refused {
        /// At which mount.
        mount: String,
        /// Why.
        why: String,
        /// How many attempts it stands for.
        count: u32,
    },
    /// Of an organisation.
    Organisation {
        /// Which.
        organisation: OrganisationId,
        /// Its name, of a new one.
        name: Option<String>,
    },
    /// Of an agent that has a role in an organisation.
    Member {
        /// In which.
        organisation: OrganisationId,
        /// Which.
        role: OrganisationRole,
    },
}

fn reference_text<S: Serializer>(reference: &EventRef, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&reference.uuid())
}

fn action_text<S: Serializer>(action: &Action, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(action.text())
}

/// Whether the chain is whole, over a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Verdict {
    /// Entries that were checked before the first fault.
    pub checked: u64,
    /// The first fault, if there is one.
    pub broken: Option<Broken>,
    /// The hash of the entry before the first one checked.
    pub previous: Option<Hash>,
    /// The hash of the last one checked.
    pub head: Option<Hash>,
}

/// Where and why the chain is not whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Broken {
    /// The first entry of the event where the fault was found.
    #[serde(serialize_with = "reference_text")]
    #[schemars(with = "Uuid")]
    pub entry: EventRef,
    /// What is wrong there, as a sentence.
    pub why: String,
}

/// The audit log could not be read: the caller may try again.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The view could not be read.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// Keys could not be read.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// The log could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An event of the log is not one that this version can read.
    #[error(transparent)]
    Event(#[from] ReadError),
}

/// A page of the entries of a tenant, newest first.
///
/// # Errors
/// [`AuditError`] when view, log or keys cannot be read.
pub fn page(
    reading: &Reading<'_>, log: &dyn LogStore, tenant: TenantId, selection: &Selection, page: PageNumber,
) -> Result<NumberedPage<EntryView>, AuditError> {
    let selected = Selected::of(reading, tenant, selection)?;
    let total = selected.total();
    let mut items = Vec::new();
    // The entries that are still to be given are the first `left`, of which the last comes next.
    let (mut left, mut end) = (total.saturating_sub(page.skip()), selected.places.end);
    while left > 0 && items.len() < page.size {
        let (place, below) = selected.place(left, end)?;
        let upper = left - below;
        let lower = upper.saturating_sub((page.size - items.len()) as u64);
        let seq = selected.list.mark(place)?.seq;
        let found = of_event(reading, log, tenant, selection, seq, within(lower, upper))?;
        items.extend(found.into_iter().rev());
        (left, end) = (below, place);
    }
    Ok(NumberedPage { items, total })
}

/// Part of the entries of a tenant.
///
/// # Errors
/// [`AuditError`] when view, log or keys cannot be read.
pub fn list(
    reading: &Reading<'_>, log: &dyn LogStore, tenant: TenantId, selection: &Selection, paging: &Paging,
) -> Result<Page<EntryView>, AuditError> {
    let selected = Selected::of(reading, tenant, selection)?;
    paging.over(selected.total(), |rank| {
        let (place, below) = selected.place(rank, selected.places.end)?;
        let seq = selected.list.mark(place)?.seq;
        Ok(of_event(reading, log, tenant, selection, seq, within(rank - 1 - below, rank - below))?.pop())
    })
}

/// The entries of a selection, by their ranks: the oldest is the first.
struct Selected<'a> {
    list: List<'a>,
    selection: &'a Selection,
    /// The marks among which they are.
    places: Range<u64>,
    /// How many entries like them there are before those, and up to the last of those.
    before: u64,
    all: u64,
}

impl<'a> Selected<'a> {
    fn of(reading: &Reading<'a>, tenant: TenantId, selection: &'a Selection) -> Result<Self, RowsError> {
        let list = List::new(reading.execution, tenant, selection.agent);
        let places = list.within(selection.from, selection.to)?;
        let mut selected = Self { list, selection, places, before: 0, all: 0 };
        (selected.before, selected.all) =
            (selected.up_to(selected.places.start)?, selected.up_to(selected.places.end)?);
        Ok(selected)
    }

    fn total(&self) -> u64 {
        self.all.saturating_sub(self.before)
    }

    fn count(&self, mark: &Mark) -> u64 {
        mark.counts.of(|action| self.selection.means(action))
    }

    /// How many entries like the selection's there are before a place.
    fn up_to(&self, place: u64) -> Result<u64, RowsError> {
        if place <= 1 { Ok(0) } else { self.list.mark(place - 1).map(|mark| self.count(&mark)) }
    }

    /// The place before `end` of the mark that holds the entry of a rank, and how many of the selection are before it.
    fn place(&self, rank: u64, end: u64) -> Result<(u64, u64), RowsError> {
        let place = self.list.first_near_end(self.places.start, end, |mark| self.count(mark) >= self.before + rank)?;
        Ok((place, self.up_to(place)?.saturating_sub(self.before)))
    }
}

/// An entry of a tenant, by its id.
///
/// # Errors
/// [`AuditError`] when view, log or keys cannot be read.
pub fn find(
    reading: &Reading<'_>, log: &dyn LogStore, tenant: TenantId, id: Uuid,
) -> Result<Option<EntryView>, AuditError> {
    let Some(reference) = EventRef::from_uuid(id).filter(|reference| reference.lane == Lane::AgentIdp) else {
        return Ok(None);
    };
    // That the event has entries, and is the tenant's, is what a mark says.
    let list = List::new(reading.execution, tenant, None);
    let end = list.marks()? + 1;
    let place = list.first_where(1, end, |mark| mark.seq >= reference.seq)?;
    if place == end || list.mark(place)?.seq != reference.seq {
        return Ok(None);
    }
    let index = usize::from(reference.index);
    let (event, envelope) = read(log, reference.seq)?;
    if index >= entries(&event).count() || entry::reference(&event, index) != reference {
        return Ok(None);
    }
    Ok(rendered(reading, log, tenant, (&event, &envelope), &Selection::default(), index..index + 1)?.pop())
}

fn within(lower: u64, upper: u64) -> Range<usize> {
    let end = |end: u64| usize::try_from(end).unwrap_or(usize::MAX);
    end(lower)..end(upper)
}

/// Some of the selected entries of one event, by their places among those; all of them are there.
fn of_event(
    reading: &Reading<'_>, log: &dyn LogStore, tenant: TenantId, selection: &Selection, seq: Seq, wanted: Range<usize>,
) -> Result<Vec<EntryView>, AuditError> {
    let (event, envelope) = read(log, seq)?;
    let found = rendered(reading, log, tenant, (&event, &envelope), selection, wanted.clone())?;
    if found.len() != wanted.len() {
        return Err(RowsError::Missing("an entry of an audit log").into());
    }
    Ok(found)
}

fn rendered(
    reading: &Reading<'_>, log: &dyn LogStore, tenant: TenantId, (event, envelope): (&Event, &Envelope),
    selection: &Selection, wanted: Range<usize>,
) -> Result<Vec<EntryView>, AuditError> {
    let origin = origin(reading, log, event, envelope)?;
    let mut found = Vec::new();
    let selected = entries(event).enumerate().filter(|(_, entry)| selection.has(entry));
    for (index, entry) in selected.skip(wanted.start).take(wanted.len()) {
        found.push(EntryView {
            id: entry::reference(event, index),
            time: event.time,
            action: entry.action,
            agent: entry.agent,
            organisation: organisation(reading, tenant, &entry)?,
            actor: event.actor.clone(),
            origin: origin.clone(),
            details: details(reading, event, envelope, index)?,
        });
    }
    Ok(found)
}

fn read(log: &dyn LogStore, seq: Seq) -> Result<(Event, Envelope), AuditError> {
    let record = log.record(seq)?.ok_or(StoreError::Missing { seq })?;
    Ok(Event::read(&record.header, &record.body)?)
}

/// Where a request came from stands in the first event that it led to.
fn origin(
    reading: &Reading<'_>, log: &dyn LogStore, event: &Event, envelope: &Envelope,
) -> Result<Option<Origin>, AuditError> {
    if let Some(value) = &event.prelude.origin {
        return Ok(opened(reading, envelope, origin::FIELD, value)?);
    }
    let Some(first) = event.causation else { return Ok(None) };
    let (first, envelope) = read(log, first)?;
    if first.correlation != event.correlation {
        return Ok(None);
    }
    match &first.prelude.origin {
        Some(value) => Ok(opened(reading, &envelope, origin::FIELD, value)?),
        None => Ok(None),
    }
}

fn opened<T: DeserializeOwned>(
    reading: &Reading<'_>, envelope: &Envelope, field: &str, value: &Encrypted,
) -> Result<Option<T>, ContextError> {
    let (tenant, kind, version) = (envelope.tenant, envelope.kind, envelope.version);
    reading.opener.open_at(&FieldContext { tenant, kind, version, field }, value)
}

fn organisation(reading: &Reading<'_>, tenant: TenantId, entry: &Entry) -> Result<Option<OrganisationId>, RowsError> {
    match entry.organisation {
        Belongs::ToItsAgents => rows::organisation(reading.execution, tenant, entry.agent),
        Belongs::To(organisation) => {
            let default = rows::default_organisation(reading.execution, tenant)?;
            Ok(Some(organisation).filter(|it| Some(*it) != default))
        }
    }
}

fn details(reading: &Reading<'_>, event: &Event, envelope: &Envelope, index: usize) -> Result<Details, AuditError> {
    Ok(match &event.body {
        Body::AgentRegistered(it) => {
            let personal: Option<AgentPersonal> = opened(reading, envelope, "personal", &it.personal)?;
            Details::Agent { kind: it.kind.clone(), owner: personal.and_then(|personal| personal.owner) }
        }
        Body::AgentUpdated(it) => {
            Details::Changed { attributes: it.changes.keys().cloned().collect(), personal: it.personal.is_some() }
        }
        Body::AgentReachChanged(_) => Details::Changed { attributes: vec!["reach".to_owned()], personal: false },
        Body::CredentialRotated(it) => Details::Credential { credential: it.credential, cause: None },
        Body::CredentialCreated(it) => Details::Credential { credential: it.credential, cause: None },
        Body::CredentialRevoked(it) => Details::Credential { credential: it.credential, cause: Some(it.cause.clone()) },
        Body::TokenIssued(it) => Details::Token { token: it.token, scopes: it.scopes.clone() },
        Body::TokenRevoked(it) => Details::Token { token: it.token, scopes: Vec::new() },
        Body::AuthenticationFailed(it) => {
            Details::Refused { mount: it.mount.clone(), why: it.why.clone(), count: it.count }
        }
        Body::OrganisationCreated(it) => {
            Details::Organisation { organisation: it.organisation, name: Some(it.name.clone()) }
        }
        Body::OrganisationUpdated(it) => {
            Details::Changed { attributes: it.changes.keys().cloned().collect(), personal: false }
        }
        Body::OrganisationDeleted(it) => Details::Organisation { organisation: it.organisation, name: None },
        Body::OrganisationMemberAdded(it) => Details::Member { organisation: it.organisation, role: it.role },
        Body::TokensIntrospected(it) => match it.items.get(index) {
            Some(look) => Details::Look { token: look.token, active: look.active },
            None => Details::Nothing,
        },
        // The rest have no entries, or say nothing more.
        _ => Details::Nothing,
    })
}

/// Verifies the chain of a tenant over a time: every entry is computed anew from the log's own bytes, and must come to the
/// hash that was kept; and every event of it has the body that its header names, and the hash that the next one names.
///
/// # Errors
/// [`AuditError`] when view or log cannot be read. That the chain is broken is no error, but the verdict.
pub fn verify(
    reading: &Reading<'_>, log: &dyn LogStore, tenant: TenantId, from: Option<Micros>, to: Option<Micros>,
) -> Result<Verdict, AuditError> {
    let list = List::new(reading.execution, tenant, None);
    verify_places(reading, log, &list, list.within(from, to)?)
}

/// Verifies the entries of a tenant's newest events, at most so many, as [`verify`] does.
///
/// # Errors
/// As [`verify`].
pub fn verify_newest(
    reading: &Reading<'_>, log: &dyn LogStore, tenant: TenantId, events: u64,
) -> Result<Verdict, AuditError> {
    let list = List::new(reading.execution, tenant, None);
    let end = list.marks()? + 1;
    verify_places(reading, log, &list, end.saturating_sub(events).max(1)..end)
}

fn verify_places(
    reading: &Reading<'_>, log: &dyn LogStore, list: &List<'_>, places: Range<u64>,
) -> Result<Verdict, AuditError> {
    let (mut counts, mut head) = match places.start {
        0 | 1 => (Counts::default(), None),
        start => list.mark(start - 1).map(|mark| (mark.counts, mark.head))?,
    };
    let mut verdict = Verdict { checked: 0, broken: None, previous: head, head };
    let mut reader = LinkedReader { log, records: None, last: None };
    for place in places {
        let mark = list.mark(place)?;
        let computed = computed(reading, &mut reader, list.tenant(), &mark, (&mut counts, &mut head))?;
        match computed {
            Ok(entries) => {
                verdict.checked += entries;
                verdict.head = head;
            }
            Err(why) => {
                let entry = EventRef::new(Micros(mark.at), mark.seq, Lane::AgentIdp, 0);
                verdict.broken = Some(Broken { entry, why });
                break;
            }
        }
    }
    Ok(verdict)
}

/// Computes the entries of one event anew, onto what the ones before came to, and gives how many they are; or says what is
/// wrong, if that does not come to what its mark says.
fn computed(
    reading: &Reading<'_>, reader: &mut LinkedReader<'_>, tenant: TenantId, mark: &Mark,
    (counts, head): (&mut Counts, &mut Option<Hash>),
) -> Result<Result<u64, String>, AuditError> {
    let record = match reader.record(mark.seq)? {
        Ok(record) => record,
        Err(why) => return Ok(Err(why)),
    };
    let event = match Event::read(&record.header, &record.body) {
        Ok((event, envelope)) if link::body_hash(&record.body) == envelope.body_hash => event,
        Ok(_) => return Ok(Err(format!("event {} has another body than its header names", mark.seq))),
        Err(error) => return Ok(Err(format!("event {} cannot be read: {error}", mark.seq))),
    };
    if event.tenant != tenant || event.time.0 != mark.at {
        return Ok(Err(format!("event {} is not the one that the audit log has there", mark.seq)));
    }
    let mut found = 0;
    for (index, entry) in entries(&event).enumerate() {
        let organisation = organisation(reading, tenant, &entry)?;
        *head = Some(entry::hash(entry::reference(&event, index), event.time, &entry, organisation, *head));
        counts.add(entry.action);
        found += 1;
    }
    if *head != mark.head || *counts != mark.counts {
        return Ok(Err(format!("the entries of event {} do not come to the hash that was kept of them", mark.seq)));
    }
    Ok(Ok(found))
}

/// Reads events in ascending order, and compares each with what the event before it says of it, where that was read.
struct LinkedReader<'a> {
    log: &'a dyn LogStore,
    records: Option<Records<'a>>,
    /// The last event read, and its hash.
    last: Option<(Seq, Hash)>,
}

impl LinkedReader<'_> {
    /// The record of an event; or what is wrong with the log between the last one and it.
    fn record(&mut self, seq: Seq) -> Result<Result<Record, String>, StoreError> {
        let is_near = self.last.is_some_and(|(last, _)| last < seq && seq.0 - last.0 <= READ_THROUGH_MAX);
        if !is_near {
            (self.records, self.last) = (Some(self.log.records(seq)), None);
        }
        let records = self.records.get_or_insert_with(|| self.log.records(seq));
        for item in records {
            let (found, record) = item?;
            let outline = match Outline::parse(&record.header) {
                Ok(outline) => outline,
                Err(error) => return Ok(Err(format!("event {found} cannot be read: {error}"))),
            };
            if let Some((last, hash)) = self.last
                && (outline.prev != hash || found != last.next())
            {
                return Ok(Err(format!("event {found} does not name the event before it")));
            }
            self.last = Some((found, link::header_hash(&record.header)));
            if found == seq {
                return Ok(Ok(record));
            }
            if found > seq {
                break;
            }
        }
        Ok(Err(format!("event {seq} is missing")))
    }
}
