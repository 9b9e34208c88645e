//! Tokens and what is held against them.

use chancery_ledger::body::field::JsonText;
use chancery_ledger::body::token::Bound;
use chancery_ledger::ids::{AgentId, TokenId};
use chancery_ledger::time::Micros;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::execution::MissionRef;

/// See [`super::Command::IssueToken`].
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

/// See [`super::Command::UseToken`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UseToken {
    /// Which.
    pub token: TokenId,
}

/// See [`super::Command::RevokeToken`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeToken {
    /// Which.
    pub token: TokenId,
    /// Why: up to 500 characters.
    #[serde(default)]
    pub reason: Option<String>,
}

/// See [`super::Command::CheckScope`].
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
