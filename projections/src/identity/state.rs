//! What identity knows: rows, and the tables they stand in.

use std::collections::BTreeMap;

use chancery_ledger::actor::Principal;
use chancery_ledger::body::field::Signature;
use chancery_ledger::body::identity::{
    Accountability, AgentKeyPurpose, ChallengePurpose, CredentialKind, Disclosure, EndCause, Environment, Handle,
    MemberRole, OrganisationRole, SpendingLimit, Visibility,
};
use chancery_ledger::body::ledger::{Algorithm, Purpose};
use chancery_ledger::ids::{
    AgentId, ChallengeId, CredentialId, KeyId, LedgerId, MemberId, MembershipId, OrganisationId, TenantId,
};
use chancery_ledger::link::Hash;
use chancery_ledger::shred::Encrypted;
use chancery_ledger::time::Micros;
use serde::{Deserialize, Serialize};

use crate::rows::subset::Subset;
use crate::rows::table::{DenseList, Table};
use crate::scope::Scope;

mod erasure;
mod issuer;
mod view_roots;
mod witness;

pub use erasure::*;
pub use issuer::*;
pub use view_roots::*;
pub use witness::*;

/// The ledger, under `()`.
pub const LEDGER: Table<Ledger> = Table::new(1);
/// Public keys of a tenant, or of the ledger itself under [`TenantId::LEDGER`], in the order in which they came.
pub const KEY_LIST: DenseList<KeyId> = DenseList::new(2).for_readers();
/// Tenants, by id.
pub const TENANTS: Table<Tenant> = Table::new(4);
/// Tenants, by slug; never released.
pub const TENANT_SLUGS: Table<TenantId> = Table::new(5);
/// All tenants, under `()`.
pub const TENANT_LIST: DenseList<TenantId> = DenseList::new(6).for_readers();
/// Organisations, by id.
pub const ORGANISATIONS: Table<Organisation> = Table::new(8);
/// Organisations, by tenant and slug; never released.
pub const ORGANISATION_SLUGS: Table<OrganisationId> = Table::new(9);
/// Organisations of a tenant.
pub const ORGANISATION_LIST: DenseList<OrganisationId> = DenseList::new(10).for_readers();
/// Members, by id.
pub const MEMBERS: Table<Member> = Table::new(12);
/// Agents, by id.
pub const AGENTS: Table<Agent> = Table::new(13);
/// Agents, by tenant, namespace and handle.
pub const HANDLES: Table<AgentId> = Table::new(14);
/// Agents of a tenant.
pub const AGENTS_BY_TENANT: DenseList<AgentId> = DenseList::new(15).for_readers();
/// Agents of an organisation.
pub const AGENTS_BY_ORGANISATION: DenseList<AgentId> = DenseList::new(17).for_readers();
/// Certificates, by agent.
pub const CERTIFICATES: Table<Certificate> = Table::new(19);
/// Credentials, by id.
pub const CREDENTIALS: Table<Credential> = Table::new(20);
/// Credentials, by the hash of their secret.
pub const CREDENTIAL_HASHES: Table<CredentialId> = Table::new(21);
/// Credentials of a tenant.
pub const CREDENTIAL_LIST: DenseList<CredentialId> = DenseList::new(22).for_readers();
/// Challenges, by id.
pub const CHALLENGES: Table<Challenge> = Table::new(24);
/// A tenant's CA, by tenant.
pub const ORG_CAS: Table<PublicKeyRow> = Table::new(25);
/// Which agents of an organisation have a status, by organisation and status code.
pub const STATUS_IN_ORGANISATION: Subset = Subset::new(26).for_readers();
/// The key that seals commits now, under `()`.
pub const SEALING_KEY: Table<PublicKeyRow> = Table::new(27);
/// Which agents of a tenant have a status, by tenant and status code.
pub const STATUS_IN_TENANT: Subset = Subset::new(28).for_readers();
/// Public keys of the ledger and of tenants, by id.
pub const KEYS: Table<PublicKeyRow> = Table::new(29);
/// Members of a tenant.
pub const MEMBER_LIST: DenseList<MemberId> = DenseList::new(30).for_readers();
/// Client secrets of an agent.
pub const CREDENTIALS_BY_AGENT: DenseList<CredentialId> = DenseList::new(31);
/// Which client secrets of an agent are revoked and which are not, by agent and [`Credential::code`].
pub const CREDENTIALS_OF_AGENT: Subset = Subset::new(32);
/// What agents may ask for beyond what every agent may, by agent.
pub const GRANTS: Table<Granted> = Table::new(33);
/// How many agents of a tenant do not work, by tenant. Those that do are the rest of its list.
pub const IDLE_IN_TENANT: Table<IdleAgents> = Table::new(34);
/// How many agents of an organisation do not work, likewise.
pub const IDLE_IN_ORGANISATION: Table<IdleAgents> = Table::new(35);
/// Agents' roles in organisations, by organisation and agent.
pub const MEMBERSHIPS: Table<Membership> = Table::new(36);
/// Agents with roles in an organisation.
pub const MEMBERSHIP_LIST: DenseList<AgentId> = DenseList::new(37).for_readers();
/// Which agents of a tenant are of a sort, by tenant and sort.
pub const KIND_IN_TENANT: Subset = Subset::new(38).for_readers();
/// Which agents of a tenant somebody is responsible for, by tenant and the hash of who.
pub const OWNER_IN_TENANT: Subset = Subset::new(39).for_readers();
/// Agents of any tenant that were ever listed, under `()`.
pub const LISTED: DenseList<AgentId> = DenseList::new(50).for_readers();
/// Which of them are listed, and not decommissioned, under `()`.
pub const LISTED_NOW: Subset = Subset::new(51).for_readers();
/// Where an agent stands among those, by agent.
pub const LISTED_PLACE: Table<u64> = Table::new(52).for_readers();
/// Which organisations of a tenant stand where, by tenant and [`Standing::code`].
pub const STANDING_IN_TENANT: Subset = Subset::new(53).for_readers();
/// Whose an identity key is or was, by key.
pub const AGENTS_BY_KEY: Table<AgentId> = Table::new(62).for_readers();
/// Timestamps of checkpoints of this log, by size.
pub const TIMESTAMPED: Table<TimestampedCheckpoint> = Table::new(65);
/// The ledger's own key that signs tokens or cosignatures now, by the code of its purpose.
pub const SIGNING_KEYS: Table<PublicKeyRow> = Table::new(60);
/// Every key that ever signed tokens, under `()`.
pub const TOKEN_KEY_LIST: DenseList<KeyId> = DenseList::new(61).for_readers();

/// The byte that stands for a purpose in keys.
#[must_use]
pub const fn purpose_code(purpose: Purpose) -> u8 {
    purpose as u8
}

/// The ledger itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Its id.
    pub ledger: LedgerId,
    /// The log's origin.
    pub origin: String,
    /// The root tenant, once there is one.
    pub root: Option<TenantId>,
}

/// A public key of the ledger, or of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicKeyRow {
    /// The key.
    pub key: KeyId,
    /// What it signs.
    pub purpose: Purpose,
    /// How.
    pub algorithm: Algorithm,
    /// Its public part.
    pub public: Vec<u8>,
    /// Whose it is.
    pub tenant: Option<TenantId>,
    /// Since when.
    pub added: Micros,
    /// Since when it signs nothing more.
    pub retired: Option<Micros>,
}

/// A checkpoint of this log that an authority timestamped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimestampedCheckpoint {
    /// The root it signs.
    pub root: Hash,
    /// When, by the authority's clock.
    pub at: Micros,
    /// The token.
    pub token: Vec<u8>,
}

/// Where a tenant or organisation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It works.
    Active,
    /// Every call is refused.
    Suspended,
    /// It is gone for good.
    Deleted,
}

impl Standing {
    /// The byte that stands for it in keys.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Active => 0,
            Self::Suspended => 1,
            Self::Deleted => 2,
        }
    }
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Its id.
    pub tenant: TenantId,
    /// Its name in paths.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// Its tier.
    pub tier: String,
    /// Its quotas.
    pub limits: BTreeMap<String, u64>,
    /// Whether it administers the others.
    pub root: bool,
    /// Where it stands.
    pub standing: Standing,
    /// Its default organisation.
    pub default_organisation: Option<OrganisationId>,
    /// Since when.
    pub created: Micros,
}

/// An organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organisation {
    /// Its id.
    pub organisation: OrganisationId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its name in paths.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// Its own tier, if it has one.
    pub tier: Option<String>,
    /// Its own quotas.
    pub limits: BTreeMap<String, u64>,
    /// Whether agents that name none belong to it.
    pub default: bool,
    /// Whether the ledger's operator vouches for it.
    pub verified: bool,
    /// Where it stands.
    pub standing: Standing,
    /// Its place in the tenant's list.
    pub ordinal: u64,
    /// Since when.
    pub created: Micros,
    /// When it last changed.
    pub updated: Micros,
}

/// How many agents do not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct IdleAgents {
    /// Suspended.
    pub suspended: u64,
    /// Decommissioned.
    pub decommissioned: u64,
}

impl IdleAgents {
    /// How many have a status; `None` for one that works.
    pub fn of(&mut self, status: AgentStatus) -> Option<&mut u64> {
        match status {
            AgentStatus::Active => None,
            AgentStatus::Suspended => Some(&mut self.suspended),
            AgentStatus::Decommissioned => Some(&mut self.decommissioned),
        }
    }
}

/// An agent's role in an organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// Its id.
    pub membership: MembershipId,
    /// Where.
    pub organisation: OrganisationId,
    /// Who.
    pub agent: AgentId,
    /// What it may do there.
    pub role: OrganisationRole,
    /// Since when.
    pub joined: Micros,
}

/// What an agent may ask for beyond what every agent may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// The agent.
    pub agent: AgentId,
    /// Whose it is.
    pub tenant: TenantId,
    /// The scopes, as its tokens spell them.
    pub scopes: Vec<String>,
    /// Whether it manages the credentials of others.
    pub administrator: bool,
}

impl Granted {
    /// What the agent may natively when it proves by a signature of its own that it asks: nothing but what was granted.
    #[must_use]
    pub fn allows(&self) -> Vec<Scope> {
        self.scopes.iter().filter_map(|text| Scope::allowed_by(text)).flatten().copied().collect()
    }
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its id.
    pub member: MemberId,
    /// Whose it is.
    pub tenant: TenantId,
    /// `MemberPersonal` of the invitation, under the member's key.
    pub personal: Encrypted,
    /// What it may do.
    pub role: MemberRole,
    /// Whether it joined.
    pub joined: bool,
    /// When the invitation lapses.
    pub expires: Option<Micros>,
}

/// An agent's stored status; whether it is usable depends on the time too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentStatus {
    /// Usable, until it expires.
    Active,
    /// Not usable until resumed.
    Suspended,
    /// Not usable for good.
    Decommissioned,
}

impl AgentStatus {
    /// Every status.
    pub const ALL: [Self; 3] = [Self::Active, Self::Suspended, Self::Decommissioned];

    /// The byte that stands for it in keys.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Active => 0,
            Self::Suspended => 1,
            Self::Decommissioned => 2,
        }
    }
}

/// An agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Agent {
    /// Its id.
    pub agent: AgentId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its organisation.
    pub organisation: OrganisationId,
    /// Its place in the organisation's list.
    pub ordinal: u64,
    /// Its place in the tenant's list.
    pub ordinal_in_tenant: u64,
    /// Who owns it.
    pub owner: Principal,
    /// Through which mount it came.
    pub via: String,
    /// Its name.
    pub name: String,
    /// Names it holds alone.
    pub handles: Vec<Handle>,
    /// What sort of agent it is.
    pub kind: Option<String>,
    /// Its version.
    pub semver: Option<String>,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// Where it runs.
    pub environment: Environment,
    /// Which actions it may take.
    pub actions: Vec<String>,
    /// How much one transaction may move.
    pub limit: Option<SpendingLimit>,
    /// How it is held to account.
    pub accountability: Accountability,
    /// When it stops being usable.
    pub valid_until: Option<Micros>,
    /// Who may use it.
    pub visibility: Visibility,
    /// Who may read its public profile.
    pub disclosure: Disclosure,
    /// Since when it is listed, if it is.
    pub listed: Option<Micros>,
    /// `AgentPersonal`, under the agent's key.
    pub personal: Encrypted,
    /// Whether `personal` was written by `AgentUpdated` rather than `AgentRegistered`: the two are encrypted in
    /// different places.
    pub personal_updated: bool,
    /// Who is responsible for it, under the tenant's look-up key.
    pub owner_hash: Option<Hash>,
    /// Its live identity key.
    pub identity_key: Option<AgentKey>,
    /// Its live P-256 key, whose private part is kept for it.
    pub did_key: Option<AgentKey>,
    /// Its stored status.
    pub status: AgentStatus,
    /// How it ended, if it did.
    pub end: Option<AgentEnd>,
    /// Since when.
    pub created: Micros,
    /// When it last changed.
    pub updated: Micros,
}

impl Agent {
    /// Why the agent is not usable at a time, as far as the agent itself goes; `None` when it is.
    #[must_use]
    pub fn unusable(&self, now: Micros) -> Option<&'static str> {
        match self.status {
            AgentStatus::Suspended => Some("suspended"),
            AgentStatus::Decommissioned => Some("decommissioned"),
            AgentStatus::Active if self.valid_until.is_some_and(|until| now > until) => Some("expired"),
            AgentStatus::Active => None,
        }
    }
}

/// A public key of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentKey {
    /// The key.
    pub key: KeyId,
    /// What it is for.
    pub purpose: AgentKeyPurpose,
    /// Its public part.
    pub public: Vec<u8>,
}

/// How an agent ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentEnd {
    /// In which words.
    pub cause: EndCause,
    /// When.
    pub at: Micros,
    /// `EndPersonal`, under the agent's key.
    pub personal: Encrypted,
}

/// A certificate of an agent's identity key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The agent.
    pub agent: AgentId,
    /// Its certified key.
    pub key: KeyId,
    /// The CA's key.
    pub ca_key: KeyId,
    /// The name certified.
    pub agent_name: String,
    /// The organisation certified.
    pub organisation_slug: String,
    /// Text, under the agent's key.
    pub issued_by: Encrypted,
    /// From when.
    pub issued: Micros,
    /// Until when.
    pub valid_until: Option<Micros>,
    /// The CA's signature over the certificate's preimage.
    pub signature: Signature,
}

/// A credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// Its id.
    pub credential: CredentialId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Whom it lets in.
    pub principal: Principal,
    /// Which sort of secret.
    pub kind: CredentialKind,
    /// Hash of the secret.
    pub hash: Hash,
    /// Its place among the agent's client secrets; 0 for what is none.
    pub ordinal: u64,
    /// Its name.
    pub name: Option<String>,
    /// What it allows.
    pub scopes: Vec<String>,
    /// Which mounts it opens.
    pub audience: Vec<String>,
    /// When it lapses.
    pub expires: Option<Micros>,
    /// When it was revoked, if it was.
    pub revoked: Option<Micros>,
    /// Since when.
    pub created: Micros,
}

impl Credential {
    /// The byte that stands in keys for whether it is revoked.
    #[must_use]
    pub const fn code(&self) -> u8 {
        if self.revoked.is_some() { Self::REVOKED } else { Self::ACTIVE }
    }

    /// The code of those that are not revoked.
    pub const ACTIVE: u8 = 0;
    /// The code of those that are.
    pub const REVOKED: u8 = 1;

    /// The agent it lets in, if it is a client secret.
    #[must_use]
    pub fn agent(&self) -> Option<AgentId> {
        match (self.kind, &self.principal) {
            (CredentialKind::ClientSecret, Principal::Agent(agent)) => Some(*agent),
            _ => None,
        }
    }

    /// Why it lets nobody in at a time; `None` when it does.
    #[must_use]
    pub fn dead(&self, now: Micros) -> Option<&'static str> {
        if self.revoked.is_some() {
            Some("revoked")
        } else if self.expires.is_some_and(|expires| now > expires) {
            Some("expired")
        } else {
            None
        }
    }
}

/// A challenge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// Its id.
    pub challenge: ChallengeId,
    /// Whose it is.
    pub tenant: TenantId,
    /// What the answer proves.
    pub purpose: ChallengePurpose,
    /// Who is to answer.
    pub about: AgentId,
    /// What is to be signed.
    pub nonce: String,
    /// Who asked, as claimed.
    pub issued_by: String,
    /// Since when.
    pub created: Micros,
    /// The last instant at which an answer counts.
    pub expires: Micros,
    /// Whether it was answered.
    pub answered: Option<bool>,
}
