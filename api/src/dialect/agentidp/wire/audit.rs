//! Audit events (contract section 9).

use chancery_ledger::actor::Principal;
use chancery_ledger::ids::{OrganisationId, ThingId};
use chancery_projections::identity::decide::credential::AGENT_ENDED;
use chancery_projections::lane::agentidp::view::{Details, EntryView, Verdict};
use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::Time;
use crate::dialect::agentidp::fields::Fields;

/// An audit event.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEvent {
    event_id: Uuid,
    agent_id: Uuid,
    action: &'static str,
    outcome: &'static str,
    ip_address: String,
    user_agent: String,
    metadata: Map<String, Value>,
    timestamp: Time,
    organization_id: Option<OrganisationId>,
}

impl AuditEvent {
    /// An entry of the audit log.
    #[must_use]
    pub fn of(entry: EntryView) -> Self {
        let metadata = metadata(&entry);
        let (ip_address, user_agent) = match entry.origin {
            Some(origin) => (origin.ip, origin.user_agent.unwrap_or_default()),
            None => Default::default(),
        };
        Self {
            event_id: entry.id.uuid(),
            agent_id: entry.agent,
            action: entry.action.text(),
            outcome: entry.action.outcome().text(),
            ip_address,
            user_agent,
            metadata,
            timestamp: Time(entry.time),
            organization_id: entry.organisation,
        }
    }
}

fn metadata(entry: &EntryView) -> Map<String, Value> {
    let mut metadata = Map::new();
    let mut say = |name: &str, value: Value| drop(metadata.insert(name.to_owned(), value));
    match &entry.details {
        Details::Nothing => {}
        Details::Agent { kind, owner } => {
            say("agentType", json!(kind.as_deref().unwrap_or("custom")));
            say("owner", json!(owner.as_deref().unwrap_or_default()));
        }
        Details::Changed { attributes, personal } => {
            let open = attributes.iter().map(|name| vendor_name(name));
            say("changes", open.chain(personal.then_some("owner")).collect());
        }
        Details::Credential { credential, cause } => {
            say("credentialId", json!(credential));
            // That somebody asked for it is no cause.
            if let Some(cause) = cause.as_deref().filter(|cause| *cause == AGENT_ENDED) {
                say("cause", json!(cause));
            }
        }
        Details::Token { token, scopes } => {
            say("jti", json!(token));
            if !scopes.is_empty() {
                say("scope", json!(scopes.join(" ")));
            }
        }
        Details::Look { token, active } => {
            if let Some(token) = token {
                say("jti", json!(token));
            }
            say("active", json!(active));
        }
        Details::Refused { mount, why, count } => {
            say("mount", json!(mount));
            say("reason", json!(why));
            say("attempts", json!(count));
        }
        Details::Organisation { organisation, name } => {
            say("organizationId", json!(organisation));
            if let Some(name) = name {
                say("name", json!(name));
            }
        }
        Details::Member { organisation, role } => {
            say("organizationId", json!(organisation));
            say("role", json!(role));
        }
    }
    let actor = actor(&entry.actor.principal);
    if let Some(actor) = actor.filter(|actor| *actor != entry.agent) {
        say("actorId", json!(actor));
    }
    metadata
}

/// The vendor's name of a native attribute.
fn vendor_name(native: &str) -> &str {
    match native {
        "kind" => "agentType",
        "semver" => "version",
        "environment" => "deploymentEnv",
        "reach" => "isPublic",
        "tier" => "planTier",
        "standing" => "status",
        other => other,
    }
}

fn actor(principal: &Principal) -> Option<Uuid> {
    match principal {
        Principal::Tenant(id) => Some(id.uuid()),
        Principal::Member(id) => Some(id.uuid()),
        Principal::Agent(id) => Some(id.uuid()),
        Principal::Client(id) => Some(id.uuid()),
        Principal::Execution(id) => Some(id.uuid()),
        Principal::System | Principal::Anonymous | Principal::Subject(_) => None,
    }
}

/// Whether the chain is whole.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChainResult {
    verified: bool,
    checked_count: u64,
    broken_at_event_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_date: Option<String>,
    /// The hash before the first event checked, in hexadecimal; empty at the beginning of the chain.
    previous_hash: String,
    /// The hash of the last event checked.
    hash: String,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl ChainResult {
    /// A verdict, and what was asked.
    #[must_use]
    pub fn of(verdict: Verdict, query: &Fields) -> Self {
        let echo = |name: &str| query.get(name).and_then(|value| value.as_text()).map(str::to_owned);
        let (entry, reason) = verdict.broken.map(|broken| (broken.entry.uuid(), broken.why)).unzip();
        Self {
            verified: entry.is_none(),
            checked_count: verdict.checked,
            broken_at_event_id: entry,
            from_date: echo("fromDate"),
            to_date: echo("toDate"),
            previous_hash: verdict.previous.map(|hash| hash.to_string()).unwrap_or_default(),
            hash: verdict.head.map(|hash| hash.to_string()).unwrap_or_default(),
            reason,
        }
    }
}
