//! Events of identity and administration (DOMAIN sections 3.1 and 4). Encrypted fields name their plaintext's type.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::field::{Changes, Decimal, Signature, hex_bytes};
use super::ledger::Algorithm;
use super::{Facts, Subjects};
use crate::actor::Principal;
use crate::ids::{
    AgentId, ApprovalId, ChallengeId, CredentialId, KeyId, MemberId, MembershipId, OrganisationId, TenantId,
};
use crate::link::Hash;
use crate::shred::Encrypted;
use crate::time::Micros;

/// A tenant exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantCreated {
    /// The tenant.
    pub tenant: TenantId,
    /// Its name in paths; never reused.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// Its tier.
    pub tier: String,
    /// Its quotas, by name; none means no limit.
    pub limits: BTreeMap<String, u64>,
    /// Whether it administers the others.
    pub root: bool,
    /// The tenant it belongs under.
    pub parent: Option<TenantId>,
}

/// A tenant's attributes changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantUpdated {
    /// The tenant.
    pub tenant: TenantId,
    /// `name`, `tier`, `limits`.
    pub changes: Changes,
}

/// Every call of a tenant's principals is refused from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantSuspended {
    /// The tenant.
    pub tenant: TenantId,
    /// Why.
    pub reason: Option<String>,
}

/// A suspended tenant works again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantResumed {
    /// The tenant.
    pub tenant: TenantId,
}

/// A tenant is gone for good; its record stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantDeleted {
    /// The tenant.
    pub tenant: TenantId,
    /// Why.
    pub reason: Option<String>,
}

/// An organisation exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrganisationCreated {
    /// The organisation.
    pub organisation: OrganisationId,
    /// Its name in paths, unique in the tenant; never reused.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// Its tier, when it has one of its own.
    pub tier: Option<String>,
    /// Its quotas, by name.
    pub limits: BTreeMap<String, u64>,
    /// Whether agents that name no organisation belong to it.
    pub default: bool,
}

/// An organisation's attributes changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrganisationUpdated {
    /// The organisation.
    pub organisation: OrganisationId,
    /// `name`, `tier`, `limits`, `standing`.
    pub changes: Changes,
}

/// An organisation is gone for good; its record stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrganisationDeleted {
    /// The organisation.
    pub organisation: OrganisationId,
}

/// An agent has a role in an organisation, beside the one it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrganisationMemberAdded {
    /// The membership.
    pub membership: MembershipId,
    /// The organisation.
    pub organisation: OrganisationId,
    /// The agent.
    pub agent: AgentId,
    /// What it may do there.
    pub role: OrganisationRole,
}

/// What an agent may do in an organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrganisationRole {
    /// What every member may.
    Member,
    /// Everything.
    Admin,
}

/// An organisation was vouched for by the ledger's operator, or is no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrganisationVerified {
    /// The organisation.
    pub organisation: OrganisationId,
    /// Whether it is vouched for from now on.
    pub verified: bool,
}

/// A person was asked to join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberInvited {
    /// The member.
    pub member: MemberId,
    /// The lower-cased e-mail address under the tenant's look-up key.
    pub email_hash: Hash,
    /// [`MemberPersonal`], under the member's key.
    pub personal: Encrypted,
    /// What the member may do.
    pub role: MemberRole,
    /// When the invitation lapses.
    pub expires: Option<Micros>,
}

/// Who a member is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct MemberPersonal {
    /// E-mail address.
    pub email: String,
    /// Name.
    pub name: Option<String>,
}

/// What a member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MemberRole {
    /// Everything.
    Owner,
    /// Everything but ownership.
    Admin,
    /// Daily work.
    Standard,
    /// Looking.
    Readonly,
}

/// A person joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberJoined {
    /// The member.
    pub member: MemberId,
}

/// An agent exists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentRegistered {
    /// The agent.
    pub agent: AgentId,
    /// Its organisation, for good.
    pub organisation: OrganisationId,
    /// Who owns it, for good.
    pub owner: Principal,
    /// Through which mount it was registered: `native` or a dialect's name.
    pub via: String,
    /// Its name; unique only where a handle says so.
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
    /// The owner's text under the tenant's look-up key.
    pub owner_hash: Option<Hash>,
    /// Which actions it is authorised to take.
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
    /// [`AgentPersonal`], under the agent's key.
    pub personal: Encrypted,
}

/// A name that one thing holds alone in its namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Handle {
    /// `orgkernel/<organisation slug>`, `agentidp`, `aegis`, `aegis/everyone`.
    pub namespace: String,
    /// The name itself, or its keyed hash in hexadecimal where the name is personal.
    pub value: String,
}

/// Where an agent runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    /// For real.
    #[default]
    Production,
    /// Before that.
    Staging,
    /// At its makers'.
    Development,
}

/// How much an agent may move in one transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SpendingLimit {
    /// At most this.
    pub amount: Decimal,
    /// In this currency (ISO 4217).
    pub currency: String,
}

/// How an agent is held to account; what was never set is the strictest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Accountability {
    /// `enforced`, `standard` or `none`.
    pub mode: String,
    /// What a warning leads to.
    pub on_warning: Option<String>,
    /// What a critical finding leads to.
    pub on_critical: Option<String>,
    /// How it reaches secrets: `proxy_only` or `direct`.
    pub credential_access: String,
    /// Who keeps its key: `stack_managed` or `self_managed`.
    pub key_mode: String,
    /// Rules for model calls.
    pub llm: Vec<String>,
}

impl Default for Accountability {
    fn default() -> Self {
        Self {
            mode: "enforced".to_owned(),
            on_warning: None,
            on_critical: None,
            credential_access: "proxy_only".to_owned(),
            key_mode: "stack_managed".to_owned(),
            llm: Vec::new(),
        }
    }
}

/// Who may use an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Its owner.
    Owner,
    /// Everybody of its tenant.
    #[default]
    Tenant,
    /// Everybody.
    Everyone,
}

/// Who may read an agent's public profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Disclosure {
    /// Nobody outside its tenant.
    #[default]
    None,
    /// Whoever knows its id.
    Verifiable,
    /// The same, and it is listed.
    Listed,
}

/// What of an agent can concern a person.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AgentPersonal {
    /// E-mail address.
    pub email: Option<String>,
    /// Who is responsible for it.
    pub owner: Option<String>,
    /// Which unit had it issued.
    pub issued_by: Option<String>,
    /// What it is for.
    pub purpose: Option<String>,
    /// What it does.
    pub description: Option<String>,
    /// Free texts, by key.
    pub metadata: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

/// An agent's attributes changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentUpdated {
    /// The agent.
    pub agent: AgentId,
    /// Open attributes.
    pub changes: Changes,
    /// The whole [`AgentPersonal`] as it is now, when any of it changed.
    pub personal: Option<Encrypted>,
}

/// An agent is unusable until resumed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentSuspended {
    /// The agent.
    pub agent: AgentId,
    /// The decision that led to it.
    pub cause: Option<ApprovalId>,
    /// Text, under the agent's key.
    pub reason: Option<Encrypted>,
}

/// A suspended agent is usable again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentResumed {
    /// The agent.
    pub agent: AgentId,
    /// The decision that led to it.
    pub cause: Option<ApprovalId>,
    /// Text, under the agent's key.
    pub reason: Option<Encrypted>,
}

/// An agent is unusable for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentDecommissioned {
    /// The agent.
    pub agent: AgentId,
    /// In which words it ended.
    pub cause: EndCause,
    /// [`EndPersonal`], under the agent's key.
    pub personal: Encrypted,
}

/// In which words an agent ended; the state is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndCause {
    /// Its right was taken away.
    Revoked,
    /// It was put out of service.
    #[default]
    Decommissioned,
    /// It was removed.
    Deleted,
}

/// Who ended an agent, and why.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct EndPersonal {
    /// Who, as claimed.
    pub by: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// Who may use an agent, or who may read its public profile, changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentReachChanged {
    /// The agent.
    pub agent: AgentId,
    /// Who may use it now, if that changed.
    pub visibility: Option<Visibility>,
    /// Who may read its public profile now, if that changed.
    pub disclosure: Option<Disclosure>,
}

/// An agent holds a name alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandleClaimed {
    /// The agent.
    pub agent: AgentId,
    /// Where the name is unique.
    pub namespace: String,
    /// The name itself, or its keyed hash in hexadecimal where the name is personal.
    pub value: String,
}

/// An agent holds a name no longer; another can claim it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandleReleased {
    /// The agent.
    pub agent: AgentId,
    /// Where the name was unique.
    pub namespace: String,
    /// The name, as it was claimed.
    pub value: String,
}

/// An agent has a public key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentKeyAdded {
    /// The agent.
    pub agent: AgentId,
    /// The key.
    pub key: KeyId,
    /// What it is for.
    pub purpose: AgentKeyPurpose,
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// Its public part.
    #[serde(with = "hex_bytes")]
    pub public: Vec<u8>,
}

/// A key of an agent proves nothing more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentKeyRevoked {
    /// The agent.
    pub agent: AgentId,
    /// The key.
    pub key: KeyId,
    /// What it was for.
    pub purpose: AgentKeyPurpose,
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// Its public part.
    #[serde(with = "hex_bytes")]
    pub public: Vec<u8>,
}

/// What an agent's key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentKeyPurpose {
    /// Proves that the agent is the agent.
    Identity,
    /// Signs the agent's own log-ins.
    Enrolled,
    /// Stands in the agent's DID document.
    Did,
}

/// The tenant's CA certified an agent's identity key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateIssued {
    /// The agent.
    pub agent: AgentId,
    /// The certified key.
    pub key: KeyId,
    /// The CA's key; no subject.
    pub ca_key: KeyId,
    /// The name certified.
    pub agent_name: String,
    /// The organisation certified.
    pub organisation_slug: String,
    /// Text, under the agent's key: which unit had it issued.
    pub issued_by: Encrypted,
    /// From when.
    pub issued: Micros,
    /// Until when.
    pub valid_until: Option<Micros>,
    /// The CA's signature over the certificate's preimage.
    pub signature: Signature,
}

/// A secret lets its holder in. The secret itself was shown once and is stored nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialCreated {
    /// The credential.
    pub credential: CredentialId,
    /// Whom it lets in.
    pub principal: Principal,
    /// Which sort of secret.
    pub kind: CredentialKind,
    /// Its name for people.
    pub name: Option<String>,
    /// Hash of the secret.
    pub hash: Hash,
    /// What it allows.
    pub scopes: Vec<String>,
    /// Which mounts it opens.
    pub audience: Vec<String>,
    /// When it lapses.
    pub expires: Option<Micros>,
}

/// Which sort of secret a credential is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// A bearer key.
    ApiKey,
    /// An OAuth 2.0 client secret.
    ClientSecret,
}

/// A credential lets nobody in any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialRevoked {
    /// The credential.
    pub credential: CredentialId,
    /// Whom it let in.
    pub principal: Principal,
    /// Why.
    pub cause: String,
}

/// A credential has another secret; the one before lets nobody in any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialRotated {
    /// The credential.
    pub credential: CredentialId,
    /// Whom it lets in.
    pub principal: Principal,
    /// Hash of the new secret.
    pub hash: Hash,
    /// When it lapses now.
    pub expires: Option<Micros>,
}

/// What a principal may ask for beyond what everybody may; this takes the place of what was granted before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScopesGranted {
    /// The principal.
    pub principal: Principal,
    /// The scopes, as its tokens spell them.
    pub scopes: Vec<String>,
    /// Whether it manages the credentials of others.
    pub administrator: bool,
}

/// How often credentials were used since the last such event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialsUsed {
    /// At most 256 of them.
    pub items: Vec<CredentialUse>,
}

/// How often one credential was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialUse {
    /// Which.
    pub credential: CredentialId,
    /// How many times.
    pub count: u32,
    /// When last.
    pub last: Micros,
}

/// Somebody was not let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthenticationFailed {
    /// At which mount.
    pub mount: String,
    /// Who it claimed to be, where that is harmless to keep.
    pub claimed: Option<String>,
    /// Whose credential it was, where that is known.
    pub principal: Option<Principal>,
    /// Why not: `unknown`, `revoked`, `expired`, `audience`, `tenant_suspended`.
    pub why: String,
    /// How many attempts this event stands for.
    pub count: u32,
}

/// An agent was asked to prove that it holds its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChallengeIssued {
    /// The challenge.
    pub challenge: ChallengeId,
    /// What the answer proves.
    pub purpose: ChallengePurpose,
    /// Who is to answer.
    pub about: AgentId,
    /// What is to be signed: the bytes of this text.
    pub nonce: String,
    /// Who asked, as claimed.
    pub issued_by: String,
    /// Until when an answer counts, inclusive.
    pub expires: Micros,
    /// How many answers are allowed.
    pub tries: u8,
}

/// What answering a challenge proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChallengePurpose {
    /// Possession of the identity key.
    Prove,
    /// Possession of a key about to be enrolled.
    Enrol,
}

/// A challenge was answered, and with that used up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChallengeAnswered {
    /// The challenge.
    pub challenge: ChallengeId,
    /// Who was asked.
    pub about: AgentId,
    /// Whether the answer proves what was asked.
    pub passed: bool,
    /// Why not.
    pub why: Option<String>,
    /// The signature that was presented.
    #[serde(with = "hex_bytes::option")]
    pub evidence: Option<Vec<u8>>,
}

/// Adds a principal that is a thing.
pub(super) fn add_principal(into: &mut Subjects, principal: &Principal) {
    match principal {
        Principal::System | Principal::Anonymous | Principal::Subject(_) => {}
        Principal::Tenant(id) => drop(into.add(*id)),
        Principal::Member(id) => drop(into.add(*id)),
        Principal::Agent(id) => drop(into.add(*id)),
        Principal::Client(id) => drop(into.add(*id)),
        Principal::Execution(id) => drop(into.add(*id)),
    }
}

macro_rules! concerns {
    ($($name:ident: $($field:ident),+;)*) => {$(
        impl Facts for $name {
            fn subjects(&self, into: &mut Subjects) {
                $(into.add(self.$field);)+
            }
        }
    )*};
}

concerns! {
    TenantUpdated: tenant;
    TenantSuspended: tenant;
    TenantResumed: tenant;
    TenantDeleted: tenant;
    OrganisationCreated: organisation;
    OrganisationUpdated: organisation;
    OrganisationDeleted: organisation;
    OrganisationMemberAdded: membership, organisation, agent;
    OrganisationVerified: organisation;
    MemberInvited: member;
    MemberJoined: member;
    AgentUpdated: agent;
    AgentDecommissioned: agent;
    AgentReachChanged: agent;
    HandleClaimed: agent;
    HandleReleased: agent;
    AgentKeyAdded: agent, key;
    AgentKeyRevoked: agent, key;
    CertificateIssued: agent, key;
    ChallengeIssued: challenge, about;
    ChallengeAnswered: challenge, about;
}

impl Facts for TenantCreated {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.tenant).maybe(self.parent);
    }
}

impl Facts for AgentRegistered {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.agent).add(self.organisation);
        add_principal(into, &self.owner);
    }
}

impl Facts for AgentSuspended {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.agent).maybe(self.cause);
    }
}

impl Facts for AgentResumed {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.agent).maybe(self.cause);
    }
}

impl Facts for CredentialCreated {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.credential);
        add_principal(into, &self.principal);
    }
}

impl Facts for CredentialRevoked {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.credential);
        add_principal(into, &self.principal);
    }
}

impl Facts for CredentialRotated {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.credential);
        add_principal(into, &self.principal);
    }
}

impl Facts for ScopesGranted {
    fn subjects(&self, into: &mut Subjects) {
        add_principal(into, &self.principal);
    }
}

impl Facts for CredentialsUsed {
    fn subjects(&self, into: &mut Subjects) {
        for item in &self.items {
            into.add(item.credential);
        }
    }
}

impl Facts for AuthenticationFailed {
    fn subjects(&self, into: &mut Subjects) {
        if let Some(who) = &self.principal {
            add_principal(into, who);
        }
    }
}
