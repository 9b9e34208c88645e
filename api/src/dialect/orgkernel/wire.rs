//! OrgKernel's JSON in OrgKernel's spelling. Every field is always present; `null` is written out.
//!
//! # Source
//! contracts/orgkernel.md, section 2, "Schemas".

use std::collections::BTreeMap;

use chancery_ledger::time::Micros;
use chancery_projections::json::Json;
use chancery_projections::lane::orgkernel::time::to_zulu;
use serde::{Serialize, Serializer};

/// A point in time: `YYYY-MM-DDTHH:MM:SS[.ffffff]Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time(pub Micros);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&to_zulu(self.0))
    }
}

/// Where an identity stands. `EXPIRED` is in the vendor's vocabulary and never shown: `is_active` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// In force, unless past `valid_until`.
    Active,
    /// Out of force until reactivated.
    Suspended,
    /// Out of force for good.
    Revoked,
    /// Asked for in filters, held by none.
    Expired,
}

/// A request for an identity, as sent and as echoed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Csr {
    /// The caller's id for it, or one made here; not kept.
    pub csr_id: String,
    /// Unique in the organisation.
    pub agent_name: String,
    /// The organisation's slug.
    pub org_id: String,
    /// Becomes `issued_by`.
    pub requested_ou: String,
    /// Checked for its shape, then not used: the service makes the pair.
    pub public_key: String,
    /// What the agent is for.
    pub purpose: String,
    /// Free texts.
    pub metadata: BTreeMap<String, String>,
    /// How long it is to be valid; for ever, if `null`.
    pub requested_validity_days: Option<u32>,
    /// When it was sent; not kept.
    pub submitted_at: Time,
}

/// An identity.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Identity {
    /// `aid_…`.
    pub agent_id: String,
    /// Its name.
    pub agent_name: String,
    /// Its organisation's slug.
    pub org_id: String,
    /// Which unit had it issued.
    pub issued_by: String,
    /// 43 characters, or none for an agent without a key.
    pub public_key: String,
    /// SHA-256 of the CA's key.
    pub org_ca_fingerprint: String,
    /// Since when.
    pub issued_at: Time,
    /// Until when.
    pub valid_until: Option<Time>,
    /// As stored.
    pub status: Status,
    /// When it was revoked.
    pub revoked_at: Option<Time>,
    /// By whom, as claimed.
    pub revoked_by: Option<String>,
    /// Why.
    pub revocation_reason: Option<String>,
    /// Free texts.
    pub metadata: BTreeMap<String, String>,
}

/// An identity with whether it is in force now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IdentityOut {
    /// The identity.
    #[serde(flatten)]
    pub identity: Identity,
    /// Whether it is ACTIVE and not past `valid_until`.
    pub is_active: bool,
}

/// A certificate: a JSON object, not X.509.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Certificate {
    /// The agent's id again.
    pub certificate_id: String,
    /// `aid_…`.
    pub agent_id: String,
    /// The name certified.
    pub agent_name: String,
    /// The organisation certified.
    pub org_id: String,
    /// The unit certified.
    pub issued_by: String,
    /// 43 characters.
    pub public_key: String,
    /// SHA-256 of the CA's key.
    pub ca_fingerprint: String,
    /// 86 characters.
    pub ca_signature: String,
    /// Since when.
    pub issued_at: Time,
    /// Until when.
    pub valid_until: Option<Time>,
    /// Where the identity stands now; not signed.
    pub status: Status,
}

/// What issuing gives. The private key is shown here and never again.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IssueResult<'a> {
    /// The identity.
    pub identity: Identity,
    /// Its certificate.
    pub certificate: Certificate,
    /// SHA-256 of the CA's key.
    pub ca_fingerprint: String,
    /// Unencrypted PKCS#8 PEM, under the name the SDK reads.
    pub agent_private_key_pem: Option<&'a str>,
    /// The same, under the name the code gives it.
    pub private_key_pem: Option<&'a str>,
}

/// What the older way of issuing gives: the identity, and its private key as [`IssueResult`] has it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LegacyIssued<'a> {
    /// The identity.
    #[serde(flatten)]
    pub identity: IdentityOut,
    /// Unencrypted PKCS#8 PEM.
    pub agent_private_key_pem: Option<&'a str>,
    /// The same.
    pub private_key_pem: Option<&'a str>,
}

/// Whether an identity is in force.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VerifyResult {
    /// As asked.
    pub agent_id: String,
    /// Whether it is.
    pub is_active: bool,
    /// The same.
    pub is_valid: bool,
    /// When that was looked up.
    pub verified_at: Time,
    /// For people.
    pub message: &'static str,
}

/// A challenge.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Challenge {
    /// Who is to answer.
    pub agent_id: String,
    /// `chal_…`.
    pub challenge_id: String,
    /// What is to be signed, as ASCII text.
    pub nonce: String,
    /// Who asks, as claimed.
    pub issued_by: String,
    /// Since when.
    pub created_at: Time,
    /// Until when.
    pub expires_at: Time,
}

/// What an answer to a challenge proved.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChallengeResult {
    /// As answered.
    pub challenge_id: String,
    /// As answered.
    pub agent_id: String,
    /// The signature answers the challenge.
    pub challenge_passed: bool,
    /// The certificate is the agent's and in force.
    pub certificate_valid: bool,
    /// Both.
    pub overall_valid: bool,
    /// For people.
    pub message: &'static str,
    /// When it was checked.
    pub verified_at: Time,
}

/// An execution token.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Token {
    /// `tok_…`.
    pub token_id: String,
    /// `aid_…`.
    pub agent_id: String,
    /// In the caller's words, else `msn_…`.
    pub mission_id: String,
    /// Tools, in the order asked.
    pub execution_scope: Vec<String>,
    /// An object, its numbers as they were spelled.
    pub immutable_params: Json,
    /// In the order asked.
    pub bounded_params: Vec<BoundedParam>,
    /// Since when.
    pub issued_at: Time,
    /// Its last instant.
    pub expires_at: Time,
    /// As asked.
    pub boundary_snapshot_id: Option<String>,
    /// 86 characters.
    pub token_signature: Option<String>,
    /// Whether it was marked used.
    pub used: bool,
    /// Neither used nor invalidated nor expired.
    pub is_valid: bool,
    /// When it was invalidated.
    pub invalidated_at: Option<Time>,
    /// Why.
    pub invalidation_reason: Option<String>,
}

/// The range of one parameter; ends are floating-point.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BoundedParam {
    /// Which.
    pub param_name: String,
    /// The greatest value.
    pub upper_bound: Option<f64>,
    /// The least value.
    pub lower_bound: Option<f64>,
    /// What the numbers count.
    pub unit: Option<String>,
}

/// What a scope check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScopeResult {
    /// As asked.
    pub token_id: String,
    /// As asked.
    pub tool_name: String,
    /// Whether the call is permitted.
    pub passed: bool,
    /// The contrary.
    pub blocked: bool,
    /// Why not: a code, and after a colon a sentence.
    pub violations: Vec<String>,
}

/// A chain was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Initialized {
    /// `ac_…`.
    pub chain_id: String,
    /// For people.
    pub message: &'static str,
}

/// An entry was appended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Appended {
    /// `aue_…`.
    pub entry_id: String,
    /// `ac_…`.
    pub chain_id: String,
    /// Its place, from 0.
    pub sequence: u64,
    /// SHA-256, hexadecimal.
    pub entry_hash: String,
    /// For people.
    pub message: &'static str,
}

/// A chain was closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Closed {
    /// `ac_…`.
    pub chain_id: String,
    /// In the caller's words.
    pub mission_id: String,
    /// In the caller's words.
    pub agent_id: String,
    /// With the closing entry.
    pub entry_count: u64,
    /// The closing entry's hash.
    pub head_hash: String,
    /// When.
    pub closed_at: Option<Time>,
    /// For people.
    pub message: &'static str,
}

/// A chain without its entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChainHeader {
    /// `ac_…`.
    pub chain_id: String,
    /// In the caller's words.
    pub mission_id: String,
    /// In the caller's words.
    pub agent_id: String,
    /// Since when.
    pub initialized_at: Time,
    /// When it was closed.
    pub closed_at: Option<Time>,
    /// The last entry's hash.
    pub head_hash: String,
}

/// A chain with all its entries. It ends with them, so that they can be rendered one by one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Chain {
    /// The chain itself.
    #[serde(flatten)]
    pub header: ChainHeader,
    /// How many entries there are.
    pub entry_count: u64,
    /// By ascending sequence.
    pub entries: Vec<Entry>,
}

/// An entry of a chain.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// `aue_…`.
    pub entry_id: String,
    /// `ac_…`.
    pub chain_id: String,
    /// Its place, from 0.
    pub sequence: u64,
    /// One of four.
    pub layer: &'static str,
    /// What happened.
    pub event: String,
    /// In the caller's words.
    pub agent_id: String,
    /// In the caller's words.
    pub mission_id: String,
    /// In the caller's words.
    pub token_id: Option<String>,
    /// When.
    pub timestamp: Time,
    /// An object, its numbers as they were spelled.
    pub data: Json,
    /// SHA-256 of the entry before, hexadecimal.
    pub prev_hash: String,
    /// SHA-256 of this entry, hexadecimal.
    pub entry_hash: String,
}

/// Whether a chain is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Integrity {
    /// As asked.
    pub chain_id: String,
    /// Whether it is.
    pub valid: bool,
    /// For people.
    pub message: String,
}

/// The CA that signs certificates and tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ca {
    /// `Ed25519`.
    pub algorithm: &'static str,
    /// 43 characters.
    pub public_key: String,
    /// SHA-256 of the key, hexadecimal.
    pub ca_fingerprint: String,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Page<T> {
    /// From 1.
    pub page_no: u64,
    /// 1 to 100.
    pub page_size: u64,
    /// How many items there are on all pages.
    pub total: u64,
    /// Whether there are items on later pages.
    pub has_next: bool,
    /// Newest first.
    pub items: Vec<T>,
}
