//! Tenants, organisations, API keys, the sealing key.

use std::collections::BTreeMap;

use chancery_ledger::body::identity::OrganisationRole;
use chancery_ledger::body::ledger::Purpose;
use chancery_ledger::body::view_roots::ViewRoot;
use chancery_ledger::ids::{AgentId, CredentialId, OrganisationId, Seq, Subject, TenantId, TreeSize};
use chancery_ledger::link::Hash;
use chancery_ledger::time::Micros;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::agent::given;

/// See [`super::Command::CreateTenant`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateTenant {
    /// 2 to 64 of `a-z0-9-`, starting with a letter; never reused.
    pub slug: String,
    /// Its name for people: 1 to 256 characters.
    pub name: String,
    /// Its tier: `free`, `pro` or `enterprise`.
    #[serde(default = "enterprise")]
    pub tier: String,
    /// Its quotas, by name, in place of its tier's: `agents`, `tokens_per_month`.
    #[serde(default)]
    pub limits: BTreeMap<String, u64>,
}

impl CreateTenant {
    /// A tenant with a name for paths and one for people, and no quotas.
    #[must_use]
    pub fn new(slug: &str, name: &str) -> Self {
        Self { slug: slug.to_owned(), name: name.to_owned(), tier: enterprise(), limits: BTreeMap::new() }
    }
}

fn enterprise() -> String {
    crate::tier::Tier::Enterprise.name().to_owned()
}

/// See [`super::Command::UpdateTenant`]. What is absent stays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateTenant {
    /// Which.
    pub tenant: TenantId,
    /// Its new name for people.
    #[serde(default)]
    pub name: Option<String>,
    /// Its tier from now on.
    #[serde(default)]
    pub tier: Option<String>,
    /// All of its own quotas from now on.
    #[serde(default)]
    pub limits: Option<BTreeMap<String, u64>>,
}

/// See [`super::Command::SuspendTenant`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SuspendTenant {
    /// Which.
    pub tenant: TenantId,
    /// Why: up to 500 characters.
    #[serde(default)]
    pub reason: Option<String>,
}

/// See [`super::Command::ResumeTenant`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeTenant {
    /// Which.
    pub tenant: TenantId,
}

/// See [`super::Command::DeleteTenant`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteTenant {
    /// Which.
    pub tenant: TenantId,
    /// Why: up to 500 characters.
    #[serde(default)]
    pub reason: Option<String>,
}

/// See [`super::Command::CreateOrganisation`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateOrganisation {
    /// 2 to 64 of `a-z0-9-`, starting with a letter; unique in the tenant, never reused.
    pub slug: String,
    /// Its name for people: 1 to 256 characters.
    pub name: String,
    /// A tier of its own: `free`, `pro` or `enterprise`; the tenant's, if absent.
    #[serde(default)]
    pub tier: Option<String>,
    /// Its quotas, by name, in place of its tier's: `agents`, `tokens_per_month`.
    #[serde(default)]
    pub limits: BTreeMap<String, u64>,
}

impl CreateOrganisation {
    /// An organisation with a name for paths and one for people, of the tenant's tier.
    #[must_use]
    pub fn new(slug: &str, name: &str) -> Self {
        Self { slug: slug.to_owned(), name: name.to_owned(), tier: None, limits: BTreeMap::new() }
    }
}

/// See [`super::Command::UpdateOrganisation`]. What is absent stays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateOrganisation {
    /// Which.
    pub organisation: OrganisationId,
    /// Its new name for people.
    #[serde(default)]
    pub name: Option<String>,
    /// Its tier from now on; `null`: the tenant's.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub tier: Option<Option<String>>,
    /// Quotas that change; `null` gives one back to the tier.
    #[serde(default)]
    pub limits: BTreeMap<String, Option<u64>>,
    /// Whether its agents may act.
    #[serde(default)]
    pub suspended: Option<bool>,
}

/// See [`super::Command::DeleteOrganisation`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteOrganisation {
    /// Which.
    pub organisation: OrganisationId,
}

/// See [`super::Command::AddOrganisationMember`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddOrganisationMember {
    /// Where.
    pub organisation: OrganisationId,
    /// Which agent.
    pub agent: AgentId,
    /// What it may do there.
    #[serde(default = "member")]
    pub role: OrganisationRole,
}

const fn member() -> OrganisationRole {
    OrganisationRole::Member
}

/// See [`super::Command::CreateCredential`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateCredential {
    /// Whose secret it is.
    pub agent: AgentId,
    /// When it lapses; never, if absent.
    #[serde(default)]
    pub expires: Option<Micros>,
    /// Whether the caller's right reaches other agents' credentials; the API sets it.
    #[serde(skip)]
    pub as_administrator: bool,
}

/// See [`super::Command::RotateCredential`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateCredential {
    /// Which.
    pub credential: CredentialId,
    /// Whose it is to be; another agent's is not found.
    #[serde(default)]
    pub agent: Option<AgentId>,
    /// When it lapses from now on; as before, if absent; never, if `null`.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub expires: Option<Option<Micros>>,
    /// Whether the caller's right reaches other agents' credentials; the API sets it.
    #[serde(skip)]
    pub as_administrator: bool,
}

/// See [`super::Command::RevokeCredential`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeCredential {
    /// Which.
    pub credential: CredentialId,
    /// Whose it is to be; another agent's is not found.
    #[serde(default)]
    pub agent: Option<AgentId>,
    /// Why: up to 128 characters.
    #[serde(default = "requested")]
    pub cause: String,
    /// Whether the caller's right reaches other agents' credentials; the API sets it.
    #[serde(skip)]
    pub as_administrator: bool,
}

/// See [`super::Command::GrantScopes`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantScopes {
    /// To which agent.
    pub agent: AgentId,
    /// All scopes that it may ask for beyond those that every agent may, as its tokens spell them; and native ones, which
    /// allow it to send commands that it signs.
    pub scopes: Vec<String>,
    /// Whether it manages the credentials of other agents.
    #[serde(default)]
    pub administrator: bool,
}

/// See [`super::Command::CreateApiKey`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateApiKey {
    /// Its name for people: 1 to 128 characters.
    pub name: String,
    /// What it allows; each must be held by the caller.
    pub scopes: Vec<String>,
    /// Which mounts it opens: `native`, or a dialect's name; at least one.
    #[serde(default = "native_only")]
    pub audience: Vec<String>,
    /// When it lapses; never, if absent.
    #[serde(default)]
    pub expires: Option<Micros>,
}

fn native_only() -> Vec<String> {
    vec!["native".to_owned()]
}

/// See [`super::Command::RevokeApiKey`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeApiKey {
    /// Which.
    pub credential: CredentialId,
    /// Why: up to 128 characters.
    #[serde(default = "requested")]
    pub cause: String,
}

fn requested() -> String {
    "requested".to_owned()
}

/// See [`super::Command::RotateSigningKey`]. The daemon makes the key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateSigningKey {
    /// What the key signs: `seal`, `jwt_eddsa`, `jwt_rs256` or `witness`.
    #[serde(default = "seal")]
    pub purpose: Purpose,
    /// The new key's public part, where its private part lies in the key directory; the API sets it.
    #[serde(skip)]
    pub public: Vec<u8>,
}

impl RotateSigningKey {
    /// Another sealing key, by its public part.
    #[must_use]
    pub fn seal(public: &[u8; 32]) -> Self {
        Self { purpose: Purpose::Seal, public: public.to_vec() }
    }
}

fn seal() -> Purpose {
    Purpose::Seal
}

/// See [`super::Command::ExportEvidence`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportEvidence {
    /// The first position asked for.
    pub first: Seq,
    /// The position after the last.
    pub end: Seq,
    /// The earliest time, where the period is named by times.
    pub from: Option<Micros>,
    /// The latest time, likewise.
    pub to: Option<Micros>,
    /// Only events of this tenant.
    pub of: Option<TenantId>,
    /// Only what concerns one of these: at most 64.
    #[serde(default)]
    pub things: Vec<Subject>,
    /// Whether bodies go with it.
    #[serde(default)]
    pub bodies: bool,
    /// Whether the headers of all other events of the range do.
    #[serde(default)]
    pub headers: bool,
}

/// See [`super::Command::ProvideTokenKey`]. Sent by the daemon alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProvideTokenKey {
    /// What the key signs: `jwt_eddsa` or `jwt_rs256`.
    pub purpose: Purpose,
    /// The public part of one whose private part lies in the key directory, if there is none yet.
    #[serde(skip)]
    pub public: Vec<u8>,
}

/// See [`super::Command::PublishViewRoots`]. Sent by the daemon alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishViewRoots {
    /// How many events the roots reflect.
    pub size: TreeSize,
    /// The root of each view that has one.
    pub roots: Vec<ViewRoot>,
}

/// See [`super::Command::RecordTimestamp`]. Sent by the daemon alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordTimestamp {
    /// How many events the checkpoint signs.
    pub size: u64,
    /// Their root.
    pub root: Hash,
    /// The token: DER of a CMS `ContentInfo`.
    pub token: Vec<u8>,
}

/// See [`super::Command::NoteAuthentication`]. Sent by the daemon alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoteAuthentication {
    /// At which mount.
    pub mount: String,
    /// Who it claimed to be, where it claimed anything.
    #[serde(default)]
    pub claimed: Option<String>,
    /// Whose credential it was, where that is known.
    pub credential: Option<CredentialId>,
    /// Why not: `unknown`, `revoked`, `expired`, `audience`, `tenant_suspended`.
    pub why: String,
    /// How many attempts.
    pub count: u32,
}
