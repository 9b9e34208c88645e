//! The closed set of native commands: what can be asked of a tenant. A dialect translates to these and adds nothing.
//!
//! In JSON a command is `{"command": "SuspendAgent", "params": {…}}`; `docs/` and `/openapi.json` show each schema.
//! Numbers in brackets are the commands' numbers in DOMAIN section 3.

use std::collections::BTreeMap;

use chancery_ledger::body::execution::AuditLayer;
use chancery_ledger::body::field::JsonText;
use chancery_ledger::body::identity::{ChallengePurpose, Disclosure, EndCause, Environment, Visibility};
use chancery_ledger::body::token::Bound;
use chancery_ledger::ids::{
    AgentId, AuditChainId, ChallengeId, CredentialId, MissionId, OrganisationId, Subject, TenantId, ThingId, TokenId,
};
use chancery_ledger::time::Micros;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scope::Scope;

macro_rules! commands {
    ($($(#[$doc:meta])* $name:ident needs $scope:ident about $about:expr;)*) => {
        /// A native command.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(tag = "command", content = "params")]
        pub enum Command {
            $($(#[$doc])* $name($name),)*
        }

        impl Command {
            /// The names of all commands.
            pub const NAMES: &[&str] = &[$(stringify!($name),)*];

            /// The command's name.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => stringify!($name),)*
                }
            }

            /// Reads a command of that name from its parameters' JSON; `None` when there is no such command.
            ///
            /// # Errors
            /// serde_json's, when the parameters are not those of the command.
            #[must_use]
            pub fn parse(name: &str, params: &str) -> Option<Result<Self, serde_json::Error>> {
                let mut params = serde_json::Deserializer::from_str(params);
                let read = Self::read(name, &mut params)?;
                Some(read.and_then(|command| params.end().map(|()| command)))
            }

            /// Reads a command of that name from its parameters in any format; `None` when there is no such command.
            ///
            /// # Errors
            /// The format's, when the parameters are not those of the command.
            #[must_use]
            pub fn read<'de, D: serde::Deserializer<'de>>(name: &str, params: D) -> Option<Result<Self, D::Error>> {
                match name {
                    $(stringify!($name) => Some($name::deserialize(params).map(Self::$name)),)*
                    _ => None,
                }
            }

            /// The JSON Schema of every command's parameters, by the command's name.
            pub fn schemas(generator: &mut schemars::SchemaGenerator) -> Vec<(&'static str, schemars::Schema)> {
                vec![$((stringify!($name), generator.subschema_for::<$name>()),)*]
            }

            /// The scope a credential needs to send it.
            #[must_use]
            pub const fn scope(&self) -> Scope {
                match self {
                    $(Self::$name(_) => Scope::$scope,)*
                }
            }

            /// The thing it would change, whose version `If-Match` is compared with; `None` for what makes a new one.
            #[must_use]
            pub fn about(&self) -> Option<Subject> {
                match self {
                    $(Self::$name(command) => {
                        let about: fn(&$name) -> Option<Subject> = $about;
                        about(command)
                    })*
                }
            }
        }

        $(impl From<$name> for Command {
            fn from(command: $name) -> Self {
                Self::$name(command)
            }
        })*
    };
}

commands! {
    /// [1] A new tenant, with a default organisation and a first API key.
    CreateTenant needs TenantsManage about |_| None;
    /// [1] Refuse every call of a tenant until it is resumed.
    SuspendTenant needs TenantsManage about |c| Some(c.tenant.subject());
    /// [1] Let a suspended tenant work again.
    ResumeTenant needs TenantsManage about |c| Some(c.tenant.subject());
    /// [1] End a tenant for good.
    DeleteTenant needs TenantsManage about |c| Some(c.tenant.subject());
    /// [2] A new organisation.
    CreateOrganisation needs OrganisationsWrite about |_| None;
    /// [4] A new agent; with a key, also its certificate.
    RegisterAgent needs AgentsRegister about |_| None;
    /// [5] Change an agent's attributes.
    UpdateAgent needs AgentsUpdate about |c| Some(c.agent.subject());
    /// [7] Make an agent unusable until it is resumed.
    SuspendAgent needs AgentsSuspend about |c| Some(c.agent.subject());
    /// [7] Make a suspended agent usable again.
    ResumeAgent needs AgentsSuspend about |c| Some(c.agent.subject());
    /// [8] End an agent for good.
    DecommissionAgent needs AgentsDecommission about |c| Some(c.agent.subject());
    /// [11] Ask an agent to prove that it holds its key.
    IssueChallenge needs AgentsRead about |_| None;
    /// [11] Answer a challenge, which uses it up, right or wrong.
    AnswerChallenge needs AgentsRead about |c| Some(c.challenge.subject());
    /// [13] A new API key for the caller's own principal.
    CreateApiKey needs ApiKeysCreate about |_| None;
    /// [13] End an API key.
    RevokeApiKey needs ApiKeysRevoke about |c| Some(c.credential.subject());
    /// [20] A new token; opens its mission when there is none of that name.
    IssueToken needs TokensIssue about |_| None;
    /// [24] Mark a token used.
    UseToken needs TokensIssue about |c| Some(c.token.subject());
    /// [25] End a token, and those derived from it.
    RevokeToken needs TokensRevoke about |c| Some(c.token.subject());
    /// [28] Hold a use against a token's scope; consumes nothing.
    CheckScope needs TokensIntrospect about |_| None;
    /// [50] A new mission.
    OpenMission needs MissionsWrite about |_| None;
    /// [51] End a mission that was carried out.
    CompleteMission needs MissionsWrite about |c| Some(c.mission.subject());
    /// [51] Call a mission off.
    RevokeMission needs MissionsWrite about |c| Some(c.mission.subject());
    /// [54] Start the audit chain of a mission; opens the mission when there is none of that name.
    OpenAuditChain needs AuditAppend about |_| None;
    /// [55] Append an entry to an audit chain.
    AppendAuditEntry needs AuditAppend about |c| Some(c.chain.subject());
    /// [56] Append the last entry to an audit chain.
    CloseAuditChain needs AuditAppend about |c| Some(c.chain.subject());
    /// [92] Seal what follows with another key.
    RotateSigningKey needs LedgerAdminister about |_| None;
    /// [18] Refused log-ins, noted by the daemon itself.
    NoteAuthentication needs Internal about |_| None;
}

/// See [`Command::CreateTenant`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateTenant {
    /// 2 to 64 of `a-z0-9-`, starting with a letter; never reused.
    pub slug: String,
    /// Its name for people: 1 to 256 characters.
    pub name: String,
}

/// See [`Command::SuspendTenant`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SuspendTenant {
    /// Which.
    pub tenant: TenantId,
    /// Why: up to 500 characters.
    #[serde(default)]
    pub reason: Option<String>,
}

/// See [`Command::ResumeTenant`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeTenant {
    /// Which.
    pub tenant: TenantId,
}

/// See [`Command::DeleteTenant`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteTenant {
    /// Which.
    pub tenant: TenantId,
    /// Why: up to 500 characters.
    #[serde(default)]
    pub reason: Option<String>,
}

/// See [`Command::CreateOrganisation`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateOrganisation {
    /// 2 to 64 of `a-z0-9-`, starting with a letter; unique in the tenant, never reused.
    pub slug: String,
    /// Its name for people: 1 to 256 characters.
    pub name: String,
}

/// An organisation, by id or by slug.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrganisationRef {
    /// By id; it must exist.
    Id(OrganisationId),
    /// By slug; created in the same commit when there is none.
    Slug(String),
}

/// See [`Command::RegisterAgent`].
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
    /// Its identity key.
    #[serde(default)]
    pub key: KeyChoice,
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

/// Through which mount something came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Via {
    /// The native API.
    #[default]
    Native,
    /// The OrgKernel dialect.
    OrgKernel,
}

impl Via {
    /// Its name in events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::OrgKernel => "orgkernel",
        }
    }
}

/// A name to hold alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HandleClaim {
    /// Where it is to be unique, for example `orgkernel/acme-corp`: up to 128 characters.
    pub namespace: String,
    /// The name: 1 to 256 characters.
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

/// See [`Command::UpdateAgent`]. What is absent stays.
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
    /// What it can do now.
    #[serde(default)]
    pub capabilities: Option<Vec<String>>,
    /// Where it runs now.
    #[serde(default)]
    pub environment: Option<Environment>,
    /// The whole profile as it is to be.
    #[serde(default)]
    pub profile: Option<AgentProfile>,
}

/// Tells `null` from what is absent.
fn given<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// See [`Command::SuspendAgent`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SuspendAgent {
    /// Which.
    pub agent: AgentId,
    /// Why: up to 500 characters.
    #[serde(default)]
    pub reason: Option<String>,
}

/// See [`Command::ResumeAgent`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeAgent {
    /// Which.
    pub agent: AgentId,
    /// Why: up to 500 characters.
    #[serde(default)]
    pub reason: Option<String>,
}

/// See [`Command::DecommissionAgent`].
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

/// See [`Command::IssueChallenge`].
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

/// See [`Command::AnswerChallenge`].
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

/// See [`Command::CreateApiKey`].
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

/// See [`Command::RevokeApiKey`].
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

/// A mission, by id or by the caller's own name for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MissionRef {
    /// By id; it must exist.
    Id(MissionId),
    /// By name; opened in the same commit when there is none.
    Key(MissionKey),
}

/// A caller's own name for a mission, unique in its tenant and namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MissionKey {
    /// `native`, or a dialect's name.
    pub namespace: String,
    /// The name: 1 to 128 characters.
    pub text: String,
}

/// See [`Command::IssueToken`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IssueToken {
    /// For which agent.
    pub agent: AgentId,
    /// For which mission.
    pub mission: MissionRef,
    /// What it allows: 1 to 256 distinct texts of 1 to 128 characters.
    pub scopes: Vec<String>,
    /// The last instant at which it is live.
    pub expires: Micros,
    /// Parameters that must be exactly these: a JSON object.
    #[serde(default = "JsonText::object")]
    pub immutable: JsonText,
    /// Parameters that must lie within these.
    #[serde(default)]
    pub bounds: Vec<Bound>,
    /// The caller's name for these limits: up to 32 characters.
    #[serde(default)]
    pub snapshot: Option<String>,
}

/// See [`Command::UseToken`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UseToken {
    /// Which.
    pub token: TokenId,
}

/// See [`Command::RevokeToken`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeToken {
    /// Which.
    pub token: TokenId,
    /// Why: up to 500 characters.
    #[serde(default)]
    pub reason: Option<String>,
}

/// See [`Command::CheckScope`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckScope {
    /// Which token; one that does not exist is denied, not refused.
    pub token: TokenId,
    /// What is to be used: 1 to 128 characters.
    pub tool: String,
    /// With which parameters: a JSON object.
    #[serde(default = "JsonText::object")]
    pub params: JsonText,
    /// Who wants to use it, in the caller's words; compared with the token's agent when given.
    #[serde(default)]
    pub agent: Option<String>,
}

/// See [`Command::OpenMission`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenMission {
    /// The agent it is for, when it is one agent's alone.
    #[serde(default)]
    pub agent: Option<AgentId>,
    /// The caller's own name for it.
    #[serde(default)]
    pub key: Option<MissionKey>,
    /// What is to be done: up to 4,096 characters.
    #[serde(default)]
    pub intent: Option<String>,
    /// Which services it may use.
    #[serde(default)]
    pub services: Vec<String>,
    /// Its caps, by name.
    #[serde(default)]
    pub limits: BTreeMap<String, u64>,
}

/// See [`Command::CompleteMission`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompleteMission {
    /// Which.
    pub mission: MissionId,
    /// What came out: up to 4,096 characters.
    #[serde(default)]
    pub output: Option<String>,
}

/// See [`Command::RevokeMission`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeMission {
    /// Which.
    pub mission: MissionId,
    /// Why: up to 4,096 characters.
    #[serde(default)]
    pub notes: Option<String>,
}

/// See [`Command::OpenAuditChain`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenAuditChain {
    /// The mission it is kept for.
    pub mission: MissionRef,
    /// The agent, in the caller's words, because these are hashed: 1 to 64 characters.
    pub agent_text: String,
    /// The mission, in the caller's words: 1 to 64 characters.
    pub mission_text: String,
}

/// See [`Command::AppendAuditEntry`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AppendAuditEntry {
    /// Which chain.
    pub chain: AuditChainId,
    /// Which layer.
    pub layer: AuditLayer,
    /// What is recorded: 1 to 128 characters.
    pub event: String,
    /// The agent, in the caller's words: 1 to 64 characters.
    pub agent_text: String,
    /// The mission, in the caller's words: 1 to 64 characters.
    pub mission_text: String,
    /// The token, in the caller's words: up to 64 characters.
    #[serde(default)]
    pub token_text: Option<String>,
    /// A JSON object of up to 32 KiB.
    #[serde(default = "JsonText::object")]
    pub data: JsonText,
}

/// See [`Command::CloseAuditChain`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseAuditChain {
    /// Which.
    pub chain: AuditChainId,
}

/// See [`Command::RotateSigningKey`]. The daemon makes the key; a caller names nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateSigningKey {
    /// The new key's public part, whose private part lies in the key directory; the API sets it.
    #[serde(skip)]
    pub public: [u8; 32],
}

/// See [`Command::NoteAuthentication`]. Sent by the daemon alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoteAuthentication {
    /// At which mount.
    pub mount: String,
    /// Whose credential it was, where that is known.
    pub credential: Option<CredentialId>,
    /// Why not: `unknown`, `revoked`, `expired`, `audience`, `tenant_suspended`.
    pub why: String,
    /// How many attempts.
    pub count: u32,
}
