//! Which entries an event has in which chains, and what of them is hashed.

use chancery_ledger::body::Body;
use chancery_ledger::body::field::{Changes, Decimal};
use chancery_ledger::body::identity::{AgentRegistered, SpendingLimit};
use chancery_ledger::body::transaction::Counterparty;
use chancery_ledger::event::Event;
use chancery_ledger::event_ref::{EventRef, Lane};
use chancery_ledger::ids::{AgentId, Seq, ThingId, TransactionId, render_typeid};
use chancery_ledger::link::Hash;
use chancery_ledger::time::Micros;
use sha2::{Digest, Sha256};

use super::{
    agent_text, counterparty_text, environment_text, hash_text, organisation_text, time_text, transaction_text,
    user_text,
};
use crate::json::{Json, Members};

/// An entry of an agent's chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// In whose chain.
    pub agent: AgentId,
    /// What is recorded, in the vendor's words.
    pub action: &'static str,
    /// What is said of it. No fractional numbers: amounts are texts.
    pub payload: Members,
}

/// The entries that an event has, in the order of their index.
#[must_use]
pub fn entries(event: &Event) -> Vec<Entry> {
    let one = |agent, action, payload| vec![Entry { agent, action, payload }];
    match &event.body {
        Body::AgentRegistered(it) => one(it.agent, "agent.registered", registered(event.time, it)),
        Body::AgentUpdated(it) => one(it.agent, "agent.updated", updated(&it.changes, it.personal.is_some())),
        Body::AgentSuspended(it) => one(it.agent, "agent.suspended", members([("status", "suspended".into())])),
        Body::AgentResumed(it) => one(it.agent, "agent.reactivated", members([("status", "active".into())])),
        Body::AgentDecommissioned(it) => one(it.agent, "agent.deleted", members([("status", "deleted".into())])),
        Body::TransactionCompleted(it) => {
            let said = |other: String| moved(it.transaction, &other, it.amount, &it.currency, &it.action, "completed");
            let mut entries = one(it.agent, "transaction.completed", said(counterparty_text(&it.counterparty)));
            if let Counterparty::Agent(other) = it.counterparty {
                entries.extend(one(other, "transaction.received", said(agent_text(it.agent))));
            }
            entries
        }
        Body::TransactionFailed(it) => {
            let other = counterparty_text(&it.counterparty);
            let mut payload = moved(it.transaction, &other, it.amount, &it.currency, &it.action, "failed");
            payload.insert("failure_code".to_owned(), it.failure.as_str().into());
            one(it.agent, "transaction.failed", payload)
        }
        Body::TransactionReversed(it) => {
            let said = |other: Option<AgentId>| {
                members([
                    ("transaction_id", transaction_text(it.transaction).as_str().into()),
                    ("reversal_id", transaction_text(it.reversal).as_str().into()),
                    ("counterparty_id", other.map_or(Json::Null, |id| agent_text(id).as_str().into())),
                    ("status", "reversed".into()),
                ])
            };
            let mut entries = one(it.agent, "transaction.reversed", said(it.counterparty));
            if let Some(other) = it.counterparty {
                entries.extend(one(other, "transaction.reversed", said(Some(it.agent))));
            }
            entries
        }
        Body::TrustEvaluated(it) => {
            let payload = members([
                ("allowed", Json::Bool(it.allowed)),
                ("reason", it.reason.as_str().into()),
                ("score", u64::from(it.score).into()),
            ]);
            one(it.agent, "trust.evaluated", payload)
        }
        Body::DisputeFiled(it) => {
            let about = it.transaction.map_or(Json::Null, |id| transaction_text(id).as_str().into());
            let payload = members([
                ("dispute_id", render_typeid("disp", it.dispute.uuid()).as_str().into()),
                ("transaction_id", about),
            ]);
            one(it.agent, "trust.dispute_filed", payload)
        }
        // Nothing that the vendor's chains tell.
        Body::LedgerCreated(_)
        | Body::SigningKeyAdded(_)
        | Body::SigningKeyRetired(_)
        | Body::TailLost(_)
        | Body::EvidenceExported(_)
        | Body::ViewRootsPublished(_)
        | Body::CommandSigned(_)
        | Body::SubjectErased(_)
        | Body::HoldPlaced(_)
        | Body::HoldLifted(_)
        | Body::KeyDestroyed(_)
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
        | Body::OrganisationVerified(_)
        | Body::MemberInvited(_)
        | Body::MemberJoined(_)
        | Body::AgentReachChanged(_)
        | Body::HandleClaimed(_)
        | Body::HandleReleased(_)
        | Body::AgentKeyAdded(_)
        | Body::AgentKeyRevoked(_)
        | Body::CertificateIssued(_)
        | Body::CredentialCreated(_)
        | Body::CredentialRevoked(_)
        | Body::CredentialsUsed(_)
        | Body::AuthenticationFailed(_)
        | Body::CredentialRotated(_)
        | Body::ScopesGranted(_)
        | Body::ChallengeIssued(_)
        | Body::ChallengeAnswered(_)
        | Body::IssuerTrusted(_)
        | Body::IssuerUpdated(_)
        | Body::IssuerRemoved(_)
        | Body::IssuerRuleAdded(_)
        | Body::IssuerRuleRemoved(_)
        | Body::TokenIssued(_)
        | Body::TokenRefused(_)
        | Body::TokenUsed(_)
        | Body::TokenRevoked(_)
        | Body::ScopeChecked(_)
        | Body::TokensIntrospected(_)
        | Body::DisputeResolved(_)
        | Body::PolicyChanged(_)
        | Body::PolicyReset(_)
        | Body::MissionOpened(_)
        | Body::MissionCompleted(_)
        | Body::MissionRevoked(_)
        | Body::AuditChainOpened(_)
        | Body::AuditEntryAppended(_)
        | Body::AuditChainClosed(_)
        | Body::DestinationAdded(_)
        | Body::DestinationVerified(_)
        | Body::DestinationSecretRotated(_)
        | Body::DestinationRemoved(_)
        | Body::SubscriptionCreated(_)
        | Body::SubscriptionChanged(_)
        | Body::SubscriptionEnded(_)
        | Body::DeliveriesRecorded(_)
        | Body::CheckpointCosigned(_)
        | Body::WitnessedCheckpoint(_) => Vec::new(),
    }
}

/// What is hashed of an entry, beside what comes before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sealed {
    /// The entry's id.
    pub id: String,
    /// When it came.
    pub created_at: String,
    /// Who did it.
    pub operator_id: Option<String>,
}

impl Sealed {
    /// Of the entry of an event at an index.
    #[must_use]
    pub fn of(event: &Event, index: u16) -> Self {
        let reference = EventRef::new(event.time, event.seq, Lane::Alsorn, index);
        Self {
            id: render_typeid("audit", reference.uuid()),
            created_at: time_text(event.time),
            operator_id: user_text(&event.actor.principal),
        }
    }
}

/// The hash of an entry behind the one before it.
#[must_use]
pub fn entry_hash(entry: &Entry, sealed: &Sealed, previous: Option<Hash>) -> Hash {
    let text = |text: &str| Json::from(text);
    let preimage = members([
        ("action_type", text(entry.action)),
        ("agent_id", text(&agent_text(entry.agent))),
        ("created_at", text(&sealed.created_at)),
        ("id", text(&sealed.id)),
        ("operator_id", sealed.operator_id.as_deref().map_or(Json::Null, text)),
        ("payload", Json::Object(entry.payload.clone())),
        ("previous_hash", previous.map_or(Json::Null, |hash| text(&hash_text(hash)))),
    ]);
    sha256(preimage)
}

/// The fingerprint of an agent: of what it was registered as.
#[must_use]
pub fn fingerprint(time: Micros, it: &AgentRegistered) -> Hash {
    sha256(members([
        ("created_at", time_text(time).as_str().into()),
        ("environment", environment_text(it.environment).into()),
        ("id", agent_text(it.agent).as_str().into()),
        ("name", it.name.as_str().into()),
        ("org_id", organisation_text(it.organisation).as_str().into()),
        ("owner_id", user_text(&it.owner).map_or(Json::Null, |owner| owner.as_str().into())),
    ]))
}

/// RFC 8785 of an object whose keys are ASCII and whose numbers are whole.
fn sha256(members: Members) -> Hash {
    Hash(Sha256::digest(Json::Object(members).render().as_bytes()).into())
}

fn members<const N: usize>(members: [(&str, Json); N]) -> Members {
    members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn registered(time: Micros, it: &AgentRegistered) -> Members {
    let limit = it.limit.as_ref();
    members([
        ("authorized_actions", Json::Array(it.actions.iter().map(|action| action.as_str().into()).collect())),
        ("currency", limit.map_or(Json::Null, |limit| limit.currency.as_str().into())),
        ("environment", environment_text(it.environment).into()),
        ("fingerprint", hash_text(fingerprint(time, it)).as_str().into()),
        ("name", it.name.as_str().into()),
        ("org_id", organisation_text(it.organisation).as_str().into()),
        ("spending_limit", limit.map_or(Json::Null, |limit| limit.amount.to_string().as_str().into())),
    ])
}

fn updated(changes: &Changes, is_personal: bool) -> Members {
    let mut payload = Members::new();
    for (field, value) in changes {
        match field.as_str() {
            "actions" => {
                let actions: Vec<String> = serde_json::from_str(value.as_str()).unwrap_or_default();
                let actions = actions.iter().map(|action| action.as_str().into()).collect();
                payload.insert("authorized_actions".to_owned(), Json::Array(actions));
            }
            "limit" => {
                if let Ok(limit) = serde_json::from_str::<SpendingLimit>(value.as_str()) {
                    payload.insert("spending_limit".to_owned(), limit.amount.to_string().as_str().into());
                    payload.insert("currency".to_owned(), limit.currency.as_str().into());
                }
            }
            // What other dialects keep of an agent; texts, lists of texts or nothing.
            _ => drop(payload.insert(field.clone(), Json::parse(value.as_str()).unwrap_or(Json::Null))),
        }
    }
    if is_personal {
        // Its description and the like can be erased, so they are no part of what is hashed.
        payload.insert("profile".to_owned(), "changed".into());
    }
    payload
}

fn moved(
    id: TransactionId, other: &str, amount: Decimal, currency: &str, action: &str, status: &'static str,
) -> Members {
    members([
        ("action_type", action.into()),
        ("amount", amount.to_string().as_str().into()),
        ("counterparty_id", other.into()),
        ("currency", currency.into()),
        ("status", status.into()),
        ("transaction_id", transaction_text(id).as_str().into()),
    ])
}

/// The entry of an event in an agent's chain, which event and index say.
#[must_use]
pub fn at(event: &Event, index: u16) -> Option<Entry> {
    entries(event).into_iter().nth(usize::from(index))
}

/// Where an entry comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The event.
    pub seq: Seq,
    /// Which of its entries.
    pub index: u16,
}
