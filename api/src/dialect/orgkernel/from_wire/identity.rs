//! Requests about identities and challenges.

use chancery_ledger::body::identity::{ChallengePurpose, Disclosure, EndCause, Environment, Visibility};
use chancery_ledger::ids::AgentId;
use chancery_ledger::time::Micros;
use chancery_projections::b64u;
use chancery_projections::command::{
    AgentProfile, AnswerChallenge, DecommissionAgent, HandleClaim, IssueChallenge, KeyChoice, OrganisationRef,
    RegisterAgent, Via,
};
use chancery_projections::json::Members;
use chancery_projections::lane::orgkernel::ids::NAMESPACE;

use super::fields::{Fault, Fields, Part, Pattern, TextRule};
use super::{PageQuery, agent, base64url, challenge, read_page, small, small_or_digit};
use crate::dialect::orgkernel::wire::{Csr, Status, Time};

const AGENT_NAME: TextRule = TextRule {
    min: 2,
    max: 64,
    pattern: Some(Pattern {
        written: "^[a-z][a-z0-9_-]*$",
        prefix: "",
        first: Some(small),
        rest: |byte| small_or_digit(byte) || matches!(byte, b'_' | b'-'),
    }),
};

const ORG_ID: TextRule = TextRule {
    min: 2,
    max: 64,
    pattern: Some(Pattern {
        written: "^[a-z][a-z0-9-]*$",
        prefix: "",
        first: Some(small),
        rest: |byte| small_or_digit(byte) || byte == b'-',
    }),
};

const PUBLIC_KEY: TextRule = TextRule {
    min: 43,
    max: 44,
    pattern: Some(Pattern { written: "^[A-Za-z0-9_-]{43,44}$", prefix: "", first: None, rest: base64url }),
};

const SIGNATURE: TextRule = TextRule {
    min: 86,
    max: 88,
    pattern: Some(Pattern { written: "^[A-Za-z0-9_-]{86,88}$", prefix: "", first: None, rest: base64url }),
};

const NONCE: TextRule = TextRule {
    min: 16,
    max: 64,
    pattern: Some(Pattern {
        written: "^[A-Za-z0-9_=-]{16,64}$",
        prefix: "",
        first: None,
        rest: |byte| base64url(byte) || byte == b'=',
    }),
};

/// Reads a CSR; `new_id` is what it is called if it names no id itself.
///
/// # Errors
/// What is wrong with it.
pub fn csr(body: &Members, new_id: String, now: Micros) -> Result<Csr, Vec<Fault>> {
    let mut read = Fields::new(Part::Body, body);
    let csr = Csr {
        csr_id: read.text_if_sent("csr_id", &TextRule::ANY).unwrap_or(new_id),
        agent_name: read.text("agent_name", &AGENT_NAME),
        org_id: read.text("org_id", &ORG_ID),
        requested_ou: read.text("requested_ou", &TextRule::length(1, 64)),
        public_key: read.text("public_key", &PUBLIC_KEY),
        purpose: read.text("purpose", &TextRule::length(1, 256)),
        metadata: read.texts_by_key("metadata"),
        requested_validity_days: read.integer_or_null("requested_validity_days", 1, 3650),
        submitted_at: Time(read.time_if_sent("submitted_at").unwrap_or(now)),
    };
    read.done(csr)
}

/// The registration a CSR asks for.
#[must_use]
pub fn register(csr: Csr) -> RegisterAgent {
    let profile = AgentProfile {
        issued_by: Some(csr.requested_ou),
        purpose: Some(csr.purpose),
        metadata: csr.metadata,
        ..AgentProfile::default()
    };
    RegisterAgent { valid_days: csr.requested_validity_days, ..registration(csr.agent_name, csr.org_id, profile) }
}

/// Reads the older request for an identity, which names the unit and the end itself.
///
/// # Errors
/// What is wrong with it.
pub fn legacy(body: &Members) -> Result<RegisterAgent, Vec<Fault>> {
    let mut read = Fields::new(Part::Body, body);
    let name = read.text("agent_name", &AGENT_NAME);
    let org = read.text("org_id", &ORG_ID);
    let profile = AgentProfile {
        issued_by: Some(read.text("issued_by", &TextRule::length(1, 64))),
        metadata: read.texts_by_key("metadata"),
        ..AgentProfile::default()
    };
    let valid_until = read.time_or_null("valid_until");
    read.done(RegisterAgent { valid_until, ..registration(name, org, profile) })
}

fn registration(name: String, org: String, profile: AgentProfile) -> RegisterAgent {
    RegisterAgent {
        handles: vec![HandleClaim { namespace: handle_namespace(&org), value: name.clone() }],
        organisation: Some(OrganisationRef::Slug(org)),
        name,
        profile,
        kind: None,
        semver: None,
        capabilities: Vec::new(),
        environment: Environment::default(),
        actions: Vec::new(),
        did_key: false,
        limit: None,
        key: KeyChoice::Make,
        valid_until: None,
        valid_days: None,
        visibility: Visibility::default(),
        disclosure: Disclosure::None,
        via: Via::OrgKernel,
    }
}

/// Where an agent's name is unique: in its organisation, among those that came this way.
#[must_use]
pub fn handle_namespace(org_id: &str) -> String {
    format!("{NAMESPACE}/{org_id}")
}

/// Reads which identity is to be verified.
///
/// # Errors
/// What is wrong with it.
pub fn verify(body: &Members) -> Result<String, Vec<Fault>> {
    let mut read = Fields::new(Part::Body, body);
    let agent_id = read.text("agent_id", &TextRule::length(10, 32));
    read.done(agent_id)
}

/// Reads what a challenge is to be.
///
/// # Errors
/// What is wrong with it.
pub fn challenge_request(query: &Members) -> Result<IssueChallenge, Vec<Fault>> {
    let mut read = Fields::new(Part::Query, query);
    let command = IssueChallenge {
        agent: agent(&read.text("agent_id", &TextRule::ANY)),
        purpose: ChallengePurpose::Prove,
        issued_by: read.text("issued_by", &TextRule::length(1, 64)),
        nonce: read.text_if_sent("nonce", &NONCE),
        ttl_secs: read.integer_if_sent("ttl_seconds", 1, 3600).unwrap_or(300),
    };
    read.done(command)
}

/// An answer to a challenge, and the ids as they were sent.
#[derive(Debug, Clone, PartialEq)]
pub struct ChallengeResponse {
    /// As sent.
    pub challenge_id: String,
    /// As sent.
    pub agent_id: String,
    /// What it becomes.
    pub command: AnswerChallenge,
}

/// Reads an answer to a challenge.
///
/// # Errors
/// What is wrong with it.
pub fn challenge_response(body: &Members) -> Result<ChallengeResponse, Vec<Fault>> {
    let mut read = Fields::new(Part::Body, body);
    let challenge_id = read.text("challenge_id", &TextRule::ANY);
    let agent_id = read.text("agent_id", &TextRule::ANY);
    // What does not decode is sent on as nothing, which is no key and no signature: the answer is wrong, and it still
    // uses the challenge up.
    let hex = |bytes: Option<Vec<u8>>| hex::encode(bytes.unwrap_or_default());
    let command = AnswerChallenge {
        challenge: challenge(&challenge_id),
        agent: agent(&agent_id),
        certificate: Some(agent(&read.text("certificate_id", &TextRule::ANY))),
        public_key: hex(b64u::parse::<32>(&read.text("public_key", &TextRule::ANY)).map(Vec::from)),
        nonce: read.text("nonce", &TextRule::ANY),
        signature: hex(b64u::parse::<64>(&read.text("signature", &SIGNATURE)).map(Vec::from)),
    };
    read.time_if_sent("issued_at");
    read.done(ChallengeResponse { challenge_id, agent_id, command })
}

/// Reads who revokes an agent, and why.
///
/// # Errors
/// What is wrong with it.
pub fn revoke(agent: AgentId, body: &Members) -> Result<DecommissionAgent, Vec<Fault>> {
    let mut read = Fields::new(Part::Body, body);
    let command = DecommissionAgent {
        agent,
        cause: EndCause::Revoked,
        by: Some(read.text("revoked_by", &TextRule::length(1, 64))),
        reason: Some(read.text("reason", &TextRule::length(1, 500))),
    };
    read.done(command)
}

/// Reads which status is listed.
///
/// # Errors
/// What is wrong with it.
pub fn status(query: &Members) -> Result<Option<Status>, Vec<Fault>> {
    let mut read = Fields::new(Part::Query, query);
    let status = read_status(&mut read);
    read.done(status)
}

/// Reads which page is listed, of which status.
///
/// # Errors
/// What is wrong with it.
pub fn status_and_page(query: &Members) -> Result<(Option<Status>, PageQuery), Vec<Fault>> {
    let mut read = Fields::new(Part::Query, query);
    let page = read_page(&mut read);
    let status = read_status(&mut read);
    read.done((status, page))
}

fn read_status(read: &mut Fields<'_>) -> Option<Status> {
    let words = [
        ("ACTIVE", Status::Active),
        ("SUSPENDED", Status::Suspended),
        ("REVOKED", Status::Revoked),
        ("EXPIRED", Status::Expired),
    ];
    read.one_of_if_sent("status", &words)
}
