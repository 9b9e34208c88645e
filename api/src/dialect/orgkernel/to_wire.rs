//! Native things as OrgKernel shows them. What was registered another way has to show here too, fail-closed where it
//! never had what the vendor asks for (DOMAIN section 3.1).

use chancery_ledger::body::execution::{AuditEntryAppended, ExternalKey};
use chancery_ledger::ids::MissionId;
use chancery_ledger::time::Micros;
use chancery_projections::b64u;
use chancery_projections::command::{AgentProfile, IssueToken};
use chancery_projections::execution::state::AuditChain;
use chancery_projections::execution::view::{AuditChainVerdict, AuditChainView, AuditEntryView};
use chancery_projections::identity::state::{self, Agent, AgentStatus};
use chancery_projections::identity::view::{AgentView, CertificateView, PublicKeyView};
use chancery_projections::json::Json;
use chancery_projections::lane::orgkernel::ids::{
    NAMESPACE, render_agent, render_chain, render_challenge, render_entry, render_mission, render_token,
};
use chancery_projections::output::{ChallengeVerdict, Registered};
use chancery_projections::token::state as token_state;
use chancery_projections::token::view::TokenView;
use chancery_projections::view::NumberedPage;

use super::from_wire::PageQuery;
use super::from_wire::identity::handle_namespace;
use super::wire::{
    Appended, BoundedParam, Ca, Certificate, Chain, ChainHeader, Challenge, ChallengeResult, Closed, Entry, Identity,
    IdentityOut, Initialized, Integrity, Page, ScopeResult, Status, Time, Token, VerifyResult,
};

/// Longest name the vendor takes, in characters.
const NAME_CHARS_MAX: usize = 64;

/// An identity; `ca_fingerprint` names the tenant's CA.
#[must_use]
pub fn identity(agent: &AgentView, ca_fingerprint: &str) -> Identity {
    let slug = &agent.organisation_slug;
    let profile = agent.profile.as_ref();
    let end = agent.end.as_ref();
    Identity {
        agent_id: render_agent(agent.id),
        agent_name: agent_name(agent),
        org_id: slug.clone(),
        issued_by: profile.and_then(|profile| profile.issued_by.clone()).unwrap_or_else(|| slug.clone()),
        public_key: agent.identity_key.as_ref().map(|key| b64u::render(&key.public.0)).unwrap_or_default(),
        org_ca_fingerprint: ca_fingerprint.to_owned(),
        issued_at: Time(agent.created),
        valid_until: agent.valid_until.map(Time),
        status: status(agent.status),
        revoked_at: end.map(|end| Time(end.at)),
        revoked_by: end.and_then(|end| end.by.clone()),
        revocation_reason: end.and_then(|end| end.reason.clone()),
        metadata: profile.map(|profile| profile.metadata.clone()).unwrap_or_default(),
    }
}

/// An identity as its registration left it; the profile is the one that was asked for.
#[must_use]
pub fn registered(registered: &Registered, profile: &AgentProfile, ca_fingerprint: &str) -> Identity {
    let agent = &registered.agent;
    Identity {
        agent_id: render_agent(agent.agent),
        agent_name: agent.name.clone(),
        org_id: registered.organisation_slug.clone(),
        issued_by: profile.issued_by.clone().unwrap_or_default(),
        public_key: agent.identity_key.as_ref().map(|key| b64u::render(&key.public)).unwrap_or_default(),
        org_ca_fingerprint: ca_fingerprint.to_owned(),
        issued_at: Time(agent.created),
        valid_until: agent.valid_until.map(Time),
        status: status(agent.status),
        revoked_at: None,
        revoked_by: None,
        revocation_reason: None,
        metadata: profile.metadata.clone(),
    }
}

/// The certificate that a registration made; `None` when it made none.
#[must_use]
pub fn registered_certificate(registered: &Registered, identity: &Identity) -> Option<Certificate> {
    let certificate = registered.certificate.as_ref()?;
    Some(Certificate {
        certificate_id: identity.agent_id.clone(),
        agent_id: identity.agent_id.clone(),
        agent_name: certificate.agent_name.clone(),
        org_id: certificate.organisation_slug.clone(),
        issued_by: identity.issued_by.clone(),
        public_key: identity.public_key.clone(),
        ca_fingerprint: identity.org_ca_fingerprint.clone(),
        ca_signature: b64u::render(&certificate.signature.0),
        issued_at: Time(certificate.issued),
        valid_until: certificate.valid_until.map(Time),
        status: identity.status,
    })
}

/// An identity as a change of its status left it; `said` is who revoked it and why, if it was.
#[must_use]
pub fn changed(
    mut shown: IdentityOut, left: &Agent, said: Option<(Option<String>, Option<String>)>, now: Micros,
) -> IdentityOut {
    shown.identity.status = status(left.status);
    shown.is_active = left.unusable(now).is_none();
    shown.identity.revoked_at = left.end.as_ref().map(|end| Time(end.at));
    if let Some((by, reason)) = said {
        shown.identity.revoked_by = by;
        shown.identity.revocation_reason = reason;
    }
    shown
}

/// An identity with whether it is in force.
#[must_use]
pub fn identity_out(agent: &AgentView, ca_fingerprint: &str) -> IdentityOut {
    IdentityOut { identity: identity(agent, ca_fingerprint), is_active: agent.usable }
}

const fn status(status: AgentStatus) -> Status {
    match status {
        AgentStatus::Active => Status::Active,
        AgentStatus::Suspended => Status::Suspended,
        AgentStatus::Decommissioned => Status::Revoked,
    }
}

/// The stored status that a filter asks for; `None` for the one that nothing has.
#[must_use]
pub const fn stored_status(status: Status) -> Option<AgentStatus> {
    match status {
        Status::Active => Some(AgentStatus::Active),
        Status::Suspended => Some(AgentStatus::Suspended),
        Status::Revoked => Some(AgentStatus::Decommissioned),
        Status::Expired => None,
    }
}

/// The name it holds in its organisation; else its name in the vendor's letters.
fn agent_name(agent: &AgentView) -> String {
    let namespace = handle_namespace(&agent.organisation_slug);
    let handle = agent.handles.iter().find(|handle| handle.namespace == namespace);
    handle.map_or_else(|| as_slug(&agent.name), |handle| handle.value.clone())
}

/// A name as the vendor could have taken it: 2 to 64 of `a-z0-9_-`, a letter first.
pub(super) fn as_slug(name: &str) -> String {
    let mut slug = String::new();
    for c in name.chars().flat_map(char::to_lowercase) {
        match c {
            'a'..='z' | '0'..='9' | '_' => slug.push(c),
            _ if slug.ends_with('-') => {}
            _ => slug.push('-'),
        }
    }
    let slug = slug.trim_matches('-');
    let mut slug = match slug.as_bytes() {
        [first, _, ..] if first.is_ascii_lowercase() => slug.to_owned(),
        [] => "agent".to_owned(),
        _ => format!("agent-{slug}"),
    };
    slug.truncate(NAME_CHARS_MAX);
    slug
}

/// A certificate beside the status its agent has now; `None` when what was certified is erased.
#[must_use]
pub fn certificate(certificate: &CertificateView, now: AgentStatus) -> Option<Certificate> {
    let agent_id = render_agent(certificate.agent);
    Some(Certificate {
        certificate_id: agent_id.clone(),
        agent_id,
        agent_name: certificate.agent_name.clone(),
        org_id: certificate.organisation_slug.clone(),
        issued_by: certificate.issued_by.clone()?,
        public_key: b64u::render(&certificate.public.as_ref()?.0),
        ca_fingerprint: certificate.ca_fingerprint.clone()?,
        ca_signature: b64u::render(&certificate.signature.0),
        issued_at: Time(certificate.issued),
        valid_until: certificate.valid_until.map(Time),
        status: status(now),
    })
}

/// Whether an identity is in force; `None` is one that does not exist.
#[must_use]
pub fn verification(agent_id: String, agent: Option<&AgentView>, now: Micros) -> VerifyResult {
    let is_active = agent.is_some_and(|agent| agent.usable);
    let message = match agent.map(|agent| agent.unusable_because) {
        None => "AgentIdentity not found.",
        Some(None) => "AgentIdentity is valid.",
        Some(Some("decommissioned")) => "AgentIdentity has been revoked.",
        Some(Some("suspended")) => "AgentIdentity is suspended.",
        Some(Some("expired")) => "AgentIdentity has expired.",
        Some(Some(_)) => "The organization of the AgentIdentity is not active.",
    };
    VerifyResult { agent_id, is_active, is_valid: is_active, verified_at: Time(now), message }
}

/// A challenge.
#[must_use]
pub fn challenge(challenge: state::Challenge) -> Challenge {
    Challenge {
        agent_id: render_agent(challenge.about),
        challenge_id: render_challenge(challenge.challenge),
        nonce: challenge.nonce,
        issued_by: challenge.issued_by,
        created_at: Time(challenge.created),
        expires_at: Time(challenge.expires),
    }
}

/// What an answer proved; without a verdict, the challenge was not there to be answered.
#[must_use]
pub fn challenge_result(
    challenge_id: String, agent_id: String, verdict: Option<ChallengeVerdict>, now: Micros,
) -> ChallengeResult {
    let verdict = verdict.as_ref();
    let challenge_passed = verdict.is_some_and(|verdict| verdict.passed);
    let certificate_valid = verdict.is_some_and(|verdict| verdict.certificate_valid);
    let message = match verdict.map(|verdict| verdict.why.as_deref()) {
        None => "Challenge not found, expired, or already used.",
        Some(None) => "The agent holds its key, and its certificate is valid.",
        Some(Some("agent_mismatch")) => "Agent ID mismatch.",
        Some(Some("nonce_mismatch")) => "The nonce is not the challenge's.",
        Some(Some("signature_wrong")) => "The signature does not verify under the public key.",
        Some(Some("certificate_mismatch")) => "The certificate is not the agent's.",
        Some(Some("key_mismatch")) => "The public key is not the agent's.",
        Some(Some(_)) => "The signature is right, but the certificate is not valid now.",
    };
    ChallengeResult {
        challenge_id,
        agent_id,
        challenge_passed,
        certificate_valid,
        overall_valid: challenge_passed && certificate_valid,
        message,
        verified_at: Time(verdict.map_or(now, |verdict| verdict.at)),
    }
}

/// A token.
#[must_use]
pub fn token(token: TokenView) -> Token {
    Token {
        token_id: render_token(token.id),
        agent_id: token.agent.map(render_agent).unwrap_or_default(),
        mission_id: token.mission.map(|id| mission_text(id, token.mission_key.as_ref())).unwrap_or_default(),
        execution_scope: token.scopes,
        immutable_params: object(token.immutable.as_ref().map(|text| text.as_str())),
        bounded_params: token.bounds.unwrap_or_default().into_iter().map(bounded_param).collect(),
        issued_at: Time(token.issued),
        expires_at: Time(token.expires),
        boundary_snapshot_id: token.snapshot,
        token_signature: token.signature.map(|signature| b64u::render(&signature.0)),
        used: token.used,
        is_valid: token.valid,
        invalidated_at: token.revoked.map(Time),
        invalidation_reason: token.revocation_reason,
    }
}

/// A token as minting left it, with the terms that were asked for.
#[must_use]
pub fn minted(asked: IssueToken, minted: &token_state::Token, mission_id: String, now: Micros) -> Token {
    Token {
        token_id: render_token(minted.token),
        agent_id: render_agent(asked.agent),
        mission_id,
        execution_scope: asked.scopes,
        immutable_params: object(Some(asked.immutable.as_str())),
        bounded_params: asked.bounds.into_iter().map(bounded_param).collect(),
        issued_at: Time(minted.issued),
        expires_at: Time(minted.expires),
        boundary_snapshot_id: asked.snapshot,
        token_signature: minted.signature.map(|signature| b64u::render(&signature.0)),
        used: minted.used,
        is_valid: minted.is_live(now),
        invalidated_at: minted.revoked.as_ref().map(|revoked| Time(revoked.at)),
        invalidation_reason: None,
    }
}

/// A token as a change left it; `reason` is why it was invalidated, if that was the change.
#[must_use]
pub fn changed_token(shown: Token, left: &token_state::Token, reason: Option<String>, now: Micros) -> Token {
    Token {
        used: left.used,
        is_valid: left.is_live(now),
        invalidated_at: left.revoked.as_ref().map(|revoked| Time(revoked.at)),
        invalidation_reason: reason.or(shown.invalidation_reason),
        ..shown
    }
}

fn bounded_param(bound: chancery_ledger::body::token::Bound) -> BoundedParam {
    BoundedParam { param_name: bound.name, upper_bound: bound.upper, lower_bound: bound.lower, unit: bound.unit }
}

/// A mission by the name the vendor's callers gave it, else by its id.
#[must_use]
pub fn mission_text(id: MissionId, key: Option<&ExternalKey>) -> String {
    match key {
        Some(key) if key.namespace == NAMESPACE => key.text.clone(),
        _ => render_mission(id),
    }
}

/// An object as it was sent; empty when it was erased.
fn object(text: Option<&str>) -> Json {
    let members = text.and_then(|text| Json::parse_members(text).ok());
    Json::Object(members.unwrap_or_default())
}

/// What a scope check found.
#[must_use]
pub const fn scope_result(token_id: String, tool_name: String, passed: bool, violations: Vec<String>) -> ScopeResult {
    ScopeResult { token_id, tool_name, passed, blocked: !passed, violations }
}

/// A chain that was started.
#[must_use]
pub fn initialized(chain: &AuditChain) -> Initialized {
    Initialized { chain_id: render_chain(chain.chain), message: "AuditChain initialized" }
}

/// An entry that was appended.
#[must_use]
pub fn appended(entry: &AuditEntryAppended) -> Appended {
    Appended {
        entry_id: render_entry(entry.entry),
        chain_id: render_chain(entry.chain),
        sequence: entry.sequence,
        entry_hash: hex::encode(entry.entry_hash.0),
        message: "Entry appended",
    }
}

/// A chain that was closed.
#[must_use]
pub fn closed(chain: AuditChain) -> Closed {
    Closed {
        chain_id: render_chain(chain.chain),
        mission_id: chain.mission_text,
        agent_id: chain.agent_text,
        entry_count: chain.entries,
        head_hash: hex::encode(chain.head.0),
        closed_at: chain.closed.map(Time),
        message: "AuditChain closed",
    }
}

/// A chain without its entries.
#[must_use]
pub fn chain_header(chain: AuditChainView) -> ChainHeader {
    ChainHeader {
        chain_id: render_chain(chain.id),
        mission_id: chain.mission_text,
        agent_id: chain.agent_text,
        initialized_at: Time(chain.opened),
        closed_at: chain.closed.map(Time),
        head_hash: hex::encode(chain.head.0),
    }
}

/// A chain, with room for its entries.
#[must_use]
pub fn chain(chain: AuditChainView) -> Chain {
    let entry_count = chain.entries;
    Chain { header: chain_header(chain), entry_count, entries: Vec::new() }
}

/// An entry of a chain.
#[must_use]
pub fn entry(entry: AuditEntryView) -> Entry {
    Entry {
        entry_id: render_entry(entry.id),
        chain_id: render_chain(entry.chain),
        sequence: entry.sequence,
        layer: entry.layer.name(),
        event: entry.event,
        agent_id: entry.agent_text,
        mission_id: entry.mission_text,
        token_id: entry.token_text,
        timestamp: Time(entry.at),
        data: object(entry.data.as_ref().map(|text| text.as_str())),
        prev_hash: hex::encode(entry.prev.0),
        entry_hash: hex::encode(entry.entry_hash.0),
    }
}

/// Whether a chain is whole; `None` is one that does not exist.
#[must_use]
pub fn integrity(chain_id: String, verdict: Option<AuditChainVerdict>) -> Integrity {
    let valid = verdict.as_ref().is_some_and(|verdict| verdict.valid);
    let message = match verdict.map(|verdict| verdict.fault) {
        None => "AuditChain not found".to_owned(),
        Some(None) => "Integrity check passed".to_owned(),
        Some(Some(fault)) => {
            format!("Integrity check FAILED: tampering detected at entry {}: {}", fault.index, fault.why)
        }
    };
    Integrity { chain_id, valid, message }
}

/// The CA.
#[must_use]
pub fn ca(ca: &PublicKeyView) -> Ca {
    Ca { algorithm: "Ed25519", public_key: b64u::render(&ca.public.0), ca_fingerprint: ca.fingerprint.clone() }
}

/// A page.
#[must_use]
pub fn page<T, U>(asked: PageQuery, found: NumberedPage<T>, item: impl FnMut(T) -> U) -> Page<U> {
    let (page_no, page_size) = (u64::from(asked.page_no), u64::from(asked.page_size));
    Page {
        page_no,
        page_size,
        total: found.total,
        has_next: page_no * page_size < found.total,
        items: found.items.into_iter().map(item).collect(),
    }
}
