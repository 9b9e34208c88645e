//! Agents and the challenges they answer.

use std::collections::BTreeMap;

use chancery_ledger::body::identity::{ChallengePurpose, Disclosure, EndCause, Environment, SpendingLimit, Visibility};
use chancery_ledger::ids::{AgentId, ChallengeId, OrganisationId};
use chancery_ledger::time::Micros;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::identity::state::AgentStatus;

/// An organisation, by id or by slug.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrganisationRef {
    /// By id; it must exist.
    Id(OrganisationId),
    /// By slug; created in the same commit when there is none.
    Slug(String),
}

/// See [`super::Command::RegisterAgent`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterAgent {
    /// Its organisation, for good; the tenant's default one if none is named.
    #[serde(default)]
    pub organisation: Option<OrganisationRef>,
    /// Its name: 1 to 256 characters.
    pub name: String,
    /// Names to hold alone.
    #[serde(default)]
    pub handles: Vec<HandleClaim>,
    /// What of it can concern a person; encrypted, erasable.
    #[serde(default)]
    pub profile: AgentProfile,
    /// What sort of agent it is: up to 64 characters.
    #[serde(default)]
    pub kind: Option<String>,
    /// Its version: up to 64 characters.
    #[serde(default)]
    pub semver: Option<String>,
    /// What it can do: up to 64 texts of up to 128 characters.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Where it runs.
    #[serde(default)]
    pub environment: Environment,
    /// Which actions its transactions may be: up to 256 texts of up to 128 characters.
    #[serde(default)]
    pub actions: Vec<String>,
    /// How much one transaction may move; nothing if absent.
    #[serde(default)]
    pub limit: Option<SpendingLimit>,
    /// Its identity key.
    #[serde(default)]
    pub key: KeyChoice,
    /// Whether a P-256 key for its DID document is made, whose private part stays in the key store.
    #[serde(default)]
    pub did_key: bool,
    /// When it stops being usable.
    #[serde(default)]
    pub valid_until: Option<Micros>,
    /// Instead of `valid_until`: how many days from its registration it is usable, 1 to 3650.
    #[serde(default)]
    pub valid_days: Option<u32>,
    /// Who may use it.
    #[serde(default)]
    pub visibility: Visibility,
    /// Who may read its public profile.
    #[serde(default)]
    pub disclosure: Disclosure,
    /// Through which mount it is registered; the API sets it.
    #[serde(skip)]
    pub via: Via,
}

impl RegisterAgent {
    /// A registration with nothing but a name.
    #[must_use]
    pub fn named(name: String) -> Self {
        Self {
            organisation: None,
            name,
            handles: Vec::new(),
            profile: AgentProfile::default(),
            kind: None,
            semver: None,
            capabilities: Vec::new(),
            environment: Environment::default(),
            actions: Vec::new(),
            limit: None,
            key: KeyChoice::None,
            did_key: false,
            valid_until: None,
            valid_days: None,
            visibility: Visibility::default(),
            disclosure: Disclosure::default(),
            via: Via::default(),
        }
    }
}

/// Through which mount something came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Via {
    /// The native API.
    #[default]
    Native,
    /// The OrgKernel dialect.
    OrgKernel,
    /// The AgentIdP dialect.
    AgentIdp,
    /// The Alsorn dialect.
    Alsorn,
}

impl Via {
    /// Its name in events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::OrgKernel => "orgkernel",
            Self::AgentIdp => "agentidp",
            Self::Alsorn => "alsorn",
        }
    }
}

/// A name to hold alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HandleClaim {
    /// Where it is to be unique, for example `orgkernel/acme-corp`: up to 128 characters.
    pub namespace: String,
    /// The name: 1 to 256 characters. In `agentidp` it is an e-mail address, of which a keyed hash is kept.
    pub value: String,
}

/// What of an agent can concern a person.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AgentProfile {
    /// E-mail address: up to 320 characters.
    pub email: Option<String>,
    /// Who is responsible for it: up to 256 characters.
    pub owner: Option<String>,
    /// Which unit has it issued: up to 64 characters.
    pub issued_by: Option<String>,
    /// What it is for: up to 256 characters.
    pub purpose: Option<String>,
    /// What it does: up to 4,096 characters.
    pub description: Option<String>,
    /// Free texts, by key: 16 KiB in all.
    pub metadata: BTreeMap<String, String>,
    /// Labels, likewise.
    pub labels: BTreeMap<String, String>,
    /// Annotations, likewise.
    pub annotations: BTreeMap<String, String>,
}

/// Where an agent's identity key comes from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyChoice {
    /// It has none, and no certificate.
    #[default]
    None,
    /// Made here; the private part is shown once and kept nowhere.
    Make,
    /// Brought: 64 hexadecimal digits of an Ed25519 public key.
    Bring(String),
}

/// See [`super::Command::UpdateAgent`]. What is absent stays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateAgent {
    /// Which.
    pub agent: AgentId,
    /// Its new name.
    #[serde(default)]
    pub name: Option<String>,
    /// Its new version; `null` takes it away.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub semver: Option<Option<String>>,
    /// What sort of agent it is now; `null` takes it away.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub kind: Option<Option<String>>,
    /// What it can do now.
    #[serde(default)]
    pub capabilities: Option<Vec<String>>,
    /// Where it runs now.
    #[serde(default)]
    pub environment: Option<Environment>,
    /// Which actions its transactions may be now, all of them.
    #[serde(default)]
    pub actions: Option<Vec<String>>,
    /// How much one transaction may move now.
    #[serde(default)]
    pub limit: Option<SpendingLimit>,
    /// The whole profile as it is to be. An e-mail address, once there, stays.
    #[serde(default)]
    pub profile: Option<AgentProfile>,
    /// Who is responsible for it now: up to 256 characters; the rest of the profile stays as it is.
    #[serde(default)]
    pub owner: Option<String>,
    /// Who may read its public profile now.
    #[serde(default)]
    pub disclosure: Option<Disclosure>,
    /// Its status from now on. The caller needs the scope of the command that does this alone, too.
    #[serde(default)]
    pub status: Option<AgentStatus>,
}

impl UpdateAgent {
    /// A change of an agent that changes nothing yet.
    #[must_use]
    pub const fn of(agent: AgentId) -> Self {
        Self {
            agent,
            name: None,
            semver: None,
            kind: None,
            capabilities: None,
            environment: None,
            actions: None,
            limit: None,
            profile: None,
            owner: None,
            disclosure: None,
            status: None,
        }
    }
}

/// See [`super::Command::SetAgentReach`]. What is absent stays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetAgentReach {
    /// Which.
    pub agent: AgentId,
    /// Who may use it.
    #[serde(default)]
    pub visibility: Option<Visibility>,
    /// Who may read its public profile.
    #[serde(default)]
    pub disclosure: Option<Disclosure>,
}

/// See [`super::Command::ClaimHandle`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimHandle {
    /// Which agent.
    pub agent: AgentId,
    /// The name.
    pub handle: HandleClaim,
}

/// See [`super::Command::ReleaseHandle`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseHandle {
    /// Which agent.
    pub agent: AgentId,
    /// The name, as it was claimed.
    pub handle: HandleClaim,
}

/// Tells `null` from what is absent.
pub(super) fn given<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// See [`super::Command::SuspendAgent`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SuspendAgent {
    /// Which.
    pub agent: AgentId,
    /// Why: up to 500 characters.
    #[serde(default)]
    pub reason: Option<String>,
}

/// See [`super::Command::ResumeAgent`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeAgent {
    /// Which.
    pub agent: AgentId,
    /// Why: up to 500 characters.
    #[serde(default)]
    pub reason: Option<String>,
}

/// See [`super::Command::DecommissionAgent`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DecommissionAgent {
    /// Which.
    pub agent: AgentId,
    /// In which words it ends.
    #[serde(default)]
    pub cause: EndCause,
    /// Who ends it, as claimed: up to 64 characters.
    #[serde(default)]
    pub by: Option<String>,
    /// Why: up to 500 characters.
    #[serde(default)]
    pub reason: Option<String>,
}

/// See [`super::Command::IssueChallenge`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IssueChallenge {
    /// Who is to answer.
    pub agent: AgentId,
    /// What the answer proves.
    #[serde(default = "prove")]
    pub purpose: ChallengePurpose,
    /// Who asks, as claimed: 1 to 64 characters.
    pub issued_by: String,
    /// What is to be signed: 16 to 64 of `A-Za-z0-9_=-`; drawn when absent.
    #[serde(default)]
    pub nonce: Option<String>,
    /// How long an answer counts: 1 to 3600 seconds.
    #[serde(default = "five_minutes")]
    pub ttl_secs: u32,
}

const fn prove() -> ChallengePurpose {
    ChallengePurpose::Prove
}

const fn five_minutes() -> u32 {
    300
}

/// See [`super::Command::AnswerChallenge`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerChallenge {
    /// Which.
    pub challenge: ChallengeId,
    /// Who answers.
    pub agent: AgentId,
    /// Whose certificate it answers with; its own if absent.
    #[serde(default)]
    pub certificate: Option<AgentId>,
    /// The key it claims: 64 hexadecimal digits.
    pub public_key: String,
    /// What it signed.
    pub nonce: String,
    /// Its Ed25519 signature over the nonce's bytes: 128 hexadecimal digits.
    pub signature: String,
}
