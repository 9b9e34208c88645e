//! Events of tokens (DOMAIN sections 3.2 and 4).

use serde::{Deserialize, Serialize};

use super::field::{JsonText, Signature};
use super::identity::Accountability;
use super::{Facts, SUBJECTS_MAX, Subjects};
use crate::actor::Principal;
use crate::ids::{AgentId, ExecutionId, KeyId, MissionId, SessionId, TokenId};
use crate::link::Hash;
use crate::shred::Encrypted;
use crate::time::Micros;

/// What sort of token: who signs it, what it is bound to, how it ends (the table in DOMAIN section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// A document signed by the tenant's CA, for one agent and mission, until marked used.
    Execution,
    /// An OAuth 2.0 access token.
    Access,
    /// An agent's passport for one mission.
    Passport,
    /// A member's log-in.
    Session,
    /// An OAuth 2.0 authorization code.
    Code,
    /// An OAuth 2.0 refresh token.
    Refresh,
    /// One agent's right, lent to another.
    Delegation,
    /// A running execution's log-in.
    Workload,
}

/// By what way a token came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// It was asked for directly.
    Issue,
    /// OAuth 2.0 client credentials.
    Client,
    /// An authorization code.
    Code,
    /// A refresh.
    Refresh,
    /// A delegation.
    Delegate,
    /// A token exchange (RFC 8693).
    Exchange,
}

/// A token exists. Its text, where it has one, is rendered from this and stored nowhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenIssued {
    /// The token.
    pub token: TokenId,
    /// Its sort.
    pub profile: Profile,
    /// How it came to be.
    pub grant: Grant,
    /// Whose right it is.
    pub principal: Principal,
    /// Which agent it is bound to.
    pub agent: Option<AgentId>,
    /// Which mission it is bound to.
    pub mission: Option<MissionId>,
    /// Which execution it is bound to.
    pub execution: Option<ExecutionId>,
    /// The tree of tokens it belongs to.
    pub session: Option<SessionId>,
    /// The token it was derived from.
    pub parent: Option<TokenId>,
    /// The first token of its line; itself for the first.
    pub root: TokenId,
    /// 0 for a root, else its parent's and one.
    pub depth: u8,
    /// The token it takes the place of.
    pub replaces: Option<TokenId>,
    /// Who is to accept it.
    pub audience: Vec<String>,
    /// What it allows, in the order asked.
    pub scopes: Vec<String>,
    /// Which services it allows.
    pub services: Vec<ServiceGrant>,
    /// [`TokenTerms`], under the mission's key.
    pub terms: Option<Encrypted>,
    /// How often its bearer must report, in seconds.
    pub interval: Option<u32>,
    /// How its bearer is held to account.
    pub accountability: Option<Accountability>,
    /// The last instant at which it is live.
    pub expires: Micros,
    /// How many uses it has.
    pub max_uses: Option<u32>,
    /// Hash of its text, for an opaque one.
    pub hash: Option<Hash>,
    /// Thumbprint of the key it is bound to.
    pub cnf: Option<Hash>,
    /// The key that signed it; no subject.
    pub key: Option<KeyId>,
    /// The signature, where it is a fact (execution tokens).
    pub signature: Option<Signature>,
    /// The caller's name for the limits it was issued under.
    pub snapshot: Option<String>,
}

/// A service a token allows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceGrant {
    /// Its name.
    pub service: String,
    /// Through which connection.
    pub connection: Option<String>,
    /// With which scopes.
    pub scopes: Vec<String>,
    /// Under which constraints.
    pub constraints: JsonText,
}

/// What a token says of its mission.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TokenTerms {
    /// What it is for.
    pub intent: Option<String>,
    /// Parameters that must be exactly these: a JSON object.
    pub immutable: JsonText,
    /// Parameters that must lie within these.
    pub bounds: Vec<Bound>,
}

/// An inclusive range for one parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Bound {
    /// The parameter.
    pub name: String,
    /// At least this.
    pub lower: Option<f64>,
    /// At most this.
    pub upper: Option<f64>,
    /// In this unit.
    pub unit: Option<String>,
}

/// A token was asked for and not given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRefused {
    /// Its sort.
    pub profile: Profile,
    /// For which agent.
    pub agent: Option<AgentId>,
    /// For which mission.
    pub mission: Option<MissionId>,
    /// From which token.
    pub parent: Option<TokenId>,
    /// The rejection's stable code.
    pub why: String,
}

/// A token was marked used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUsed {
    /// The token.
    pub token: TokenId,
}

/// A token is dead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRevoked {
    /// The token.
    pub token: TokenId,
    /// Its agent.
    pub agent: Option<AgentId>,
    /// What ended it.
    pub cause: RevocationCause,
    /// Where the revocation began: itself, or an ancestor.
    pub first: TokenId,
    /// Text, under the agent's key, or the tenant's for a token without one.
    pub reason: Option<Encrypted>,
}

/// What ended a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevocationCause {
    /// It was asked for.
    Requested,
    /// A token above it was revoked.
    Ancestor,
    /// Its agent was suspended or ended.
    Agent,
    /// Its mission ended.
    Mission,
}

/// A use was held against a token's scope; nothing was consumed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScopeChecked {
    /// The token.
    pub token: TokenId,
    /// Its agent.
    pub agent: Option<AgentId>,
    /// Its mission.
    pub mission: Option<MissionId>,
    /// What was to be used.
    pub tool: String,
    /// Whether the token allows it.
    pub passed: bool,
    /// Why not, in the order of checking.
    pub violations: Vec<String>,
    /// JSON object, under the mission's key: with which parameters.
    pub params: Option<Encrypted>,
    /// Hash of the parameters' text.
    pub params_hash: Hash,
}

/// Tokens were looked into, which changes nothing: what was asked since the commit before, in the order of answering.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokensIntrospected {
    /// At most [`INTROSPECTIONS_MAX`] of them.
    pub items: Vec<Introspection>,
}

/// Most introspections of one event.
pub const INTROSPECTIONS_MAX: usize = 256;

/// One look into a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Introspection {
    /// Which; absent for a text that is no token of the tenant.
    pub token: Option<TokenId>,
    /// Who asked.
    pub caller: Principal,
    /// Whether the answer was that it is active.
    pub active: bool,
}

impl Facts for TokenIssued {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.token);
        super::identity::add_principal(into, &self.principal);
        into.maybe(self.agent).maybe(self.mission).maybe(self.execution).maybe(self.session);
        into.maybe(self.parent).add(self.root).maybe(self.replaces);
    }
}

impl Facts for TokenRefused {
    fn subjects(&self, into: &mut Subjects) {
        into.maybe(self.agent).maybe(self.mission).maybe(self.parent);
    }
}

impl Facts for TokenUsed {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.token);
    }
}

impl Facts for TokenRevoked {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.token).maybe(self.agent).add(self.first);
    }
}

impl Facts for TokensIntrospected {
    fn subjects(&self, into: &mut Subjects) {
        // A list beyond what an event can concern is the tenant's alone.
        if self.items.len() <= SUBJECTS_MAX {
            for item in &self.items {
                into.maybe(item.token);
                super::identity::add_principal(into, &item.caller);
            }
        }
    }
}

impl Facts for ScopeChecked {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.token).maybe(self.agent).maybe(self.mission);
    }
}
