//! Any event as readers see it: its envelope, its hashes, and its facts with every encrypted field opened.
//!
//! What was erased reads `null`. The facts stand in JSON under the names of the body's fields; JSON that callers sent
//! keeps the spelling of its numbers.

use std::collections::BTreeMap;

use chancery_ledger::actor::Actor;
use chancery_ledger::body::Body;
use chancery_ledger::body::execution::{MissionEnd, MissionTerms};
use chancery_ledger::body::identity::{AgentPersonal, EndPersonal, MemberPersonal};
use chancery_ledger::body::token::TokenTerms;
use chancery_ledger::body::trust::DisputeTexts;
use chancery_ledger::event::{Envelope, Event, ReadError};
use chancery_ledger::ids::{Seq, Subject, TenantId};
use chancery_ledger::link::{self, Hash};
use chancery_ledger::shred::{Encrypted, FieldContext};
use chancery_ledger::store::Record;
use chancery_ledger::time::Micros;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::context::{ContextError, Opener};
use crate::origin::{self, Origin};

/// An event.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EventView {
    /// Position in the log.
    pub seq: Seq,
    /// When it was decided.
    pub time: Micros,
    /// Whose event it is; `null` for the ledger's own.
    pub tenant: Option<TenantId>,
    /// Who asked.
    pub actor: Actor,
    /// From where; `null` when that is not known, or was erased.
    pub origin: Option<Origin>,
    /// What happened.
    pub kind: &'static str,
    /// The version of the stored body.
    pub version: u16,
    /// What it concerns.
    pub subjects: Vec<Subject>,
    /// Shared by all events of one request.
    pub correlation: Option<Uuid>,
    /// The event whose consequence this one is.
    pub causation: Option<Seq>,
    /// The caller's key, when the command asked to happen once.
    pub idempotency_key: Option<String>,
    /// When it fell due, if a deadline caused it.
    pub due: Option<Micros>,
    /// The facts, by name; the fields of each kind are in the documentation of the formats.
    pub body: FactsView,
    /// Which of the facts, and whether also `origin`, read `null` because they were erased; absent when none were.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub erased: Vec<&'static str>,
    /// BLAKE3 of the header.
    pub hash: Hash,
    /// Hash of the event before.
    pub prev: Hash,
    /// BLAKE3 of the stored body.
    pub body_hash: Hash,
}

/// Facts in JSON.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct FactsView(
    /// By the names of the body's fields.
    pub BTreeMap<String, Box<RawValue>>,
);

impl JsonSchema for FactsView {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Facts".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object" })
    }
}

/// An event could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum EventViewError {
    /// The stored bytes are not an event that this version can read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Keys could not be read: the caller may try again.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// The facts have no JSON.
    #[error("the event's facts cannot be shown as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// Renders a stored event.
///
/// # Errors
/// [`EventViewError`] when the event is unreadable, or keys cannot be read.
pub fn render_record(record: &Record, opener: &Opener<'_>) -> Result<EventView, EventViewError> {
    let (event, envelope) = Event::read(&record.header, &record.body)?;
    render(event, &envelope, link::header_hash(&record.header), opener)
}

/// Renders an event that was read from the log, together with its envelope and its hash.
///
/// # Errors
/// [`EventViewError`] when keys cannot be read.
pub fn render(event: Event, envelope: &Envelope, hash: Hash, opener: &Opener<'_>) -> Result<EventView, EventViewError> {
    let kind = event.body.kind();
    let place = |field| FieldContext { tenant: event.tenant, kind: envelope.kind, version: envelope.version, field };
    let mut erased = Vec::new();
    let origin = match &event.prelude.origin {
        Some(value) => opener.open_at(&place(origin::FIELD), value)?,
        None => None,
    };
    if event.prelude.origin.is_some() && origin.is_none() {
        erased.push(origin::FIELD);
    }
    let body = facts(event.body, place, opener, &mut erased)?;
    Ok(EventView {
        seq: event.seq,
        time: event.time,
        tenant: Some(event.tenant).filter(|tenant| *tenant != TenantId::LEDGER),
        actor: event.actor,
        origin,
        kind: kind.name(),
        version: envelope.version,
        subjects: event.subjects,
        correlation: event.correlation,
        causation: event.causation,
        idempotency_key: event.idempotency.map(|idempotency| idempotency.key),
        due: event.prelude.due,
        body,
        erased,
        hash,
        prev: envelope.prev,
        body_hash: envelope.body_hash,
    })
}

fn facts<'a>(
    mut body: Body, place: impl Fn(&'a str) -> FieldContext<'a>, opener: &Opener<'_>, erased: &mut Vec<&'static str>,
) -> Result<FactsView, EventViewError> {
    let mut opened = Vec::new();
    for field in encrypted_fields(&mut body) {
        let plain = match field.open {
            Some(open) => {
                let plain = open(opener, &place(field.name), field.value)?;
                if plain.is_none() {
                    erased.push(field.name);
                }
                plain
            }
            None => None,
        };
        let shown = match plain {
            Some(plain) => plain,
            None => RawValue::from_string("null".to_owned())?,
        };
        // It is about to be replaced, so it need not be spelled out.
        field.value.ciphertext = Vec::new();
        opened.push((field.name.to_owned(), shown));
    }
    let mut fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&serde_json::to_string(&body)?)?;
    fields.extend(opened);
    Ok(FactsView(fields))
}

type Open = fn(&Opener<'_>, &FieldContext<'_>, &Encrypted) -> Result<Option<Box<RawValue>>, EventViewError>;

/// An encrypted field of a body.
struct Field<'a> {
    name: &'static str,
    value: &'a mut Encrypted,
    /// `None` for a secret, which nobody who reads events is shown.
    open: Option<Open>,
}

/// The encrypted fields that a body holds, each with the type of its plaintext. No `_` arm: a kind that is forgotten
/// here does not compile, and a test finds a field that is.
fn encrypted_fields(body: &mut Body) -> Vec<Field<'_>> {
    let field = |name, value, open: Open| vec![Field { name, value, open: Some(open) }];
    let maybe = |name, value: Option<_>, open: Open| {
        value.into_iter().map(|value| Field { name, value, open: Some(open) }).collect()
    };
    let withheld = |name, value| Field { name, value, open: None };
    match body {
        Body::CommandSigned(it) => field("content", &mut it.content, typed::<String>),
        Body::MemberInvited(it) => field("personal", &mut it.personal, typed::<MemberPersonal>),
        Body::AgentRegistered(it) => field("personal", &mut it.personal, typed::<AgentPersonal>),
        Body::AgentUpdated(it) => maybe("personal", it.personal.as_mut(), typed::<AgentPersonal>),
        Body::AgentSuspended(it) => maybe("reason", it.reason.as_mut(), typed::<String>),
        Body::AgentResumed(it) => maybe("reason", it.reason.as_mut(), typed::<String>),
        Body::AgentDecommissioned(it) => field("personal", &mut it.personal, typed::<EndPersonal>),
        Body::CertificateIssued(it) => field("issued_by", &mut it.issued_by, typed::<String>),
        Body::TokenIssued(it) => maybe("terms", it.terms.as_mut(), typed::<TokenTerms>),
        Body::TokenRevoked(it) => maybe("reason", it.reason.as_mut(), typed::<String>),
        Body::ScopeChecked(it) => maybe("params", it.params.as_mut(), json),
        Body::MissionOpened(it) => maybe("terms", it.terms.as_mut(), typed::<MissionTerms>),
        Body::MissionCompleted(it) => maybe("end", it.end.as_mut(), typed::<MissionEnd>),
        Body::MissionRevoked(it) => maybe("end", it.end.as_mut(), typed::<MissionEnd>),
        Body::DisputeFiled(it) => field("texts", &mut it.texts, typed::<DisputeTexts>),
        Body::TransactionCompleted(it) => maybe("notes", it.notes.as_mut(), typed::<String>),
        Body::TransactionFailed(it) => maybe("notes", it.notes.as_mut(), typed::<String>),
        Body::TransactionReversed(it) => maybe("reason", it.reason.as_mut(), typed::<String>),
        Body::AuditEntryAppended(it) => field("data", &mut it.data, json),
        Body::DestinationAdded(it) => {
            let mut fields = vec![
                Field { name: "address", value: &mut it.address, open: Some(typed::<String>) },
                withheld("secret", &mut it.secret),
            ];
            fields.extend(it.code.iter_mut().map(|value| withheld("code", value)));
            fields
        }
        Body::DestinationSecretRotated(it) => vec![withheld("secret", &mut it.secret)],
        Body::DeliveriesRecorded(it) => maybe("excerpt", it.excerpt.as_mut(), typed::<String>),
        Body::LedgerCreated(_)
        | Body::SigningKeyAdded(_)
        | Body::SigningKeyRetired(_)
        | Body::TailLost(_)
        | Body::SubjectErased(_)
        | Body::HoldPlaced(_)
        | Body::HoldLifted(_)
        | Body::KeyDestroyed(_)
        | Body::EvidenceExported(_)
        | Body::ViewRootsPublished(_)
        | Body::CheckpointCosigned(_)
        | Body::WitnessedCheckpoint(_)
        | Body::CheckpointTimestamped(_)
        | Body::TenantCreated(_)
        | Body::TenantUpdated(_)
        | Body::TenantSuspended(_)
        | Body::TenantResumed(_)
        | Body::TenantDeleted(_)
        | Body::OrganisationCreated(_)
        | Body::OrganisationUpdated(_)
        | Body::OrganisationDeleted(_)
        | Body::OrganisationMemberAdded(_)
        | Body::MemberJoined(_)
        | Body::AgentReachChanged(_)
        | Body::HandleClaimed(_)
        | Body::HandleReleased(_)
        | Body::AgentKeyAdded(_)
        | Body::AgentKeyRevoked(_)
        | Body::CredentialCreated(_)
        | Body::CredentialRotated(_)
        | Body::CredentialRevoked(_)
        | Body::ScopesGranted(_)
        | Body::CredentialsUsed(_)
        | Body::AuthenticationFailed(_)
        | Body::ChallengeIssued(_)
        | Body::ChallengeAnswered(_)
        | Body::IssuerTrusted(_)
        | Body::IssuerUpdated(_)
        | Body::IssuerRemoved(_)
        | Body::IssuerRuleAdded(_)
        | Body::IssuerRuleRemoved(_)
        | Body::TokenRefused(_)
        | Body::TokenUsed(_)
        | Body::TokensIntrospected(_)
        | Body::AuditChainOpened(_)
        | Body::OrganisationVerified(_)
        | Body::TrustEvaluated(_)
        | Body::DisputeResolved(_)
        | Body::PolicyChanged(_)
        | Body::PolicyReset(_)
        | Body::AuditChainClosed(_)
        | Body::DestinationVerified(_)
        | Body::DestinationRemoved(_)
        | Body::SubscriptionCreated(_)
        | Body::SubscriptionChanged(_)
        | Body::SubscriptionEnded(_) => Vec::new(),
    }
}

fn typed<T: DeserializeOwned + Serialize>(
    opener: &Opener<'_>, place: &FieldContext<'_>, value: &Encrypted,
) -> Result<Option<Box<RawValue>>, EventViewError> {
    let plain: Option<T> = opener.open_at(place, value)?;
    Ok(plain.map(|plain| serde_json::value::to_raw_value(&plain)).transpose()?)
}

/// A plaintext that is itself the text of a JSON value.
fn json(
    opener: &Opener<'_>, place: &FieldContext<'_>, value: &Encrypted,
) -> Result<Option<Box<RawValue>>, EventViewError> {
    let plain: Option<String> = opener.open_at(place, value)?;
    Ok(plain.map(RawValue::from_string).transpose()?)
}
