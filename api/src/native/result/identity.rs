//! Tenants, agents, credentials and keys as a command left them.

use chancery_ledger::actor::Principal;
use chancery_ledger::body::Kind;
use chancery_ledger::body::field::Signature;
use chancery_ledger::body::identity::{
    AgentPersonal, ChallengePurpose, CredentialKind, Disclosure, EndCause, Environment, Handle, OrganisationRole,
    Visibility,
};
use chancery_ledger::body::ledger::{Algorithm, Purpose};
use chancery_ledger::ids::{AgentId, ChallengeId, CredentialId, KeyId, MembershipId, OrganisationId, TenantId};
use chancery_ledger::time::Micros;
use chancery_projections::context::{ContextError, Opener};
use chancery_projections::identity::state::{
    Agent, AgentStatus, Certificate, Challenge, Credential, Membership, Organisation, Standing, Tenant,
};
use chancery_projections::view::Hex;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// A tenant.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TenantResult {
    /// Its id.
    pub id: TenantId,
    /// Its name in paths.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// Its tier.
    pub tier: String,
    /// Its quotas.
    pub limits: BTreeMap<String, u64>,
    /// Where it stands.
    pub standing: Standing,
    /// Its default organisation.
    pub default_organisation: Option<OrganisationId>,
    /// Since when.
    pub created: Micros,
}

/// An organisation.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OrganisationResult {
    /// Its id.
    pub id: OrganisationId,
    /// Its name in paths.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// Its own tier; `null`: the tenant's.
    pub tier: Option<String>,
    /// Its own quotas.
    pub limits: BTreeMap<String, u64>,
    /// Where it stands.
    pub standing: Standing,
    /// Since when.
    pub created: Micros,
    /// When it last changed.
    pub updated: Micros,
}

/// An agent's role in an organisation.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MembershipResult {
    /// Its id.
    pub id: MembershipId,
    /// Where.
    pub organisation: OrganisationId,
    /// Who.
    pub agent: AgentId,
    /// What it may do there.
    pub role: OrganisationRole,
    /// Since when.
    pub joined: Micros,
}

/// An agent.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AgentResult {
    /// Its id.
    pub id: AgentId,
    /// Its organisation.
    pub organisation: OrganisationId,
    /// Its name.
    pub name: String,
    /// Names it holds alone.
    pub handles: Vec<Handle>,
    /// What sort of agent it is.
    pub kind: Option<String>,
    /// Its version, as its maker counts.
    pub semver: Option<String>,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// Where it runs.
    pub environment: Environment,
    /// When it stops being usable.
    pub valid_until: Option<Micros>,
    /// Who may use it.
    pub visibility: Visibility,
    /// Who may read its public profile.
    pub disclosure: Disclosure,
    /// What of it can concern a person; `null` when erased.
    pub profile: Option<AgentPersonal>,
    /// The public part of its identity key.
    pub public_key: Option<Hex>,
    /// The public part of its P-256 key: a point, uncompressed (SEC 1).
    pub did_key: Option<Hex>,
    /// Its stored status.
    pub status: AgentStatus,
    /// In which words it ended, if it did.
    pub end: Option<EndCause>,
    /// Since when.
    pub created: Micros,
    /// When it last changed.
    pub updated: Micros,
}

/// A certificate.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CertificateResult {
    /// Its certified key.
    pub key: KeyId,
    /// The CA's key.
    pub ca_key: KeyId,
    /// The name certified.
    pub agent_name: String,
    /// The organisation certified.
    pub organisation_slug: String,
    /// From when.
    pub issued: Micros,
    /// Until when.
    pub valid_until: Option<Micros>,
    /// The CA's signature.
    pub signature: Signature,
}

/// A challenge.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ChallengeResult {
    /// Its id.
    pub id: ChallengeId,
    /// What the answer proves.
    pub purpose: ChallengePurpose,
    /// Who is to answer.
    pub about: AgentId,
    /// What is to be signed: the bytes of this text.
    pub nonce: String,
    /// Since when.
    pub created: Micros,
    /// The last instant at which an answer counts.
    pub expires: Micros,
}

/// What an answer to a challenge proved.
#[derive(Debug, Serialize, JsonSchema)]
pub struct VerdictResult {
    /// The signature answers the challenge.
    pub passed: bool,
    /// The certificate is the agent's, and the agent is usable.
    pub certificate_valid: bool,
    /// Why not, if not.
    pub why: Option<String>,
    /// When it was checked.
    pub at: Micros,
}

/// A credential; never its secret, nor a hash of it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CredentialResult {
    /// Its id.
    pub id: CredentialId,
    /// Whom it lets in.
    pub principal: Principal,
    /// Which sort of secret.
    pub kind: CredentialKind,
    /// Its name.
    pub name: Option<String>,
    /// What it allows.
    pub scopes: Vec<String>,
    /// Which mounts it opens.
    pub audience: Vec<String>,
    /// When it lapses.
    pub expires: Option<Micros>,
    /// When it was revoked.
    pub revoked: Option<Micros>,
    /// Since when.
    pub created: Micros,
}

/// A public key.
#[derive(Debug, Serialize, JsonSchema)]
pub struct KeyResult {
    /// Its id.
    pub id: KeyId,
    /// What it signs.
    pub purpose: Purpose,
    /// How.
    pub algorithm: Algorithm,
    /// Its public part.
    pub public: Hex,
}

pub(super) fn tenant(row: Tenant) -> TenantResult {
    TenantResult {
        id: row.tenant,
        slug: row.slug,
        name: row.name,
        tier: row.tier,
        limits: row.limits,
        standing: row.standing,
        default_organisation: row.default_organisation,
        created: row.created,
    }
}

pub(super) fn organisation(row: Organisation) -> OrganisationResult {
    OrganisationResult {
        id: row.organisation,
        slug: row.slug,
        name: row.name,
        tier: row.tier,
        limits: row.limits,
        standing: row.standing,
        created: row.created,
        updated: row.updated,
    }
}

pub(super) fn membership(row: Membership) -> MembershipResult {
    MembershipResult {
        id: row.membership,
        organisation: row.organisation,
        agent: row.agent,
        role: row.role,
        joined: row.joined,
    }
}

pub(super) fn agent(row: Agent, opener: &Opener<'_>) -> Result<AgentResult, ContextError> {
    let written_by = if row.personal_updated { Kind::AgentUpdated } else { Kind::AgentRegistered };
    Ok(AgentResult {
        profile: opener.open(row.tenant, written_by, "personal", &row.personal)?,
        id: row.agent,
        organisation: row.organisation,
        name: row.name,
        handles: row.handles,
        kind: row.kind,
        semver: row.semver,
        capabilities: row.capabilities,
        environment: row.environment,
        valid_until: row.valid_until,
        visibility: row.visibility,
        disclosure: row.disclosure,
        public_key: row.identity_key.map(|key| Hex(key.public)),
        did_key: row.did_key.map(|key| Hex(key.public)),
        status: row.status,
        end: row.end.map(|end| end.cause),
        created: row.created,
        updated: row.updated,
    })
}

pub(super) fn certificate(row: Certificate) -> CertificateResult {
    CertificateResult {
        key: row.key,
        ca_key: row.ca_key,
        agent_name: row.agent_name,
        organisation_slug: row.organisation_slug,
        issued: row.issued,
        valid_until: row.valid_until,
        signature: row.signature,
    }
}

pub(super) fn challenge(row: Challenge) -> ChallengeResult {
    ChallengeResult {
        id: row.challenge,
        purpose: row.purpose,
        about: row.about,
        nonce: row.nonce,
        created: row.created,
        expires: row.expires,
    }
}

pub(super) fn credential(row: Credential) -> CredentialResult {
    CredentialResult {
        id: row.credential,
        principal: row.principal,
        kind: row.kind,
        name: row.name,
        scopes: row.scopes,
        audience: row.audience,
        expires: row.expires,
        revoked: row.revoked,
        created: row.created,
    }
}
