//! Missions and the audit chains kept for them.

use std::collections::BTreeMap;

use chancery_ledger::body::execution::AuditLayer;
use chancery_ledger::body::field::JsonText;
use chancery_ledger::ids::{AgentId, AuditChainId, MissionId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

/// See [`super::Command::OpenMission`].
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

/// See [`super::Command::CompleteMission`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompleteMission {
    /// Which.
    pub mission: MissionId,
    /// What came out: up to 4,096 characters.
    #[serde(default)]
    pub output: Option<String>,
}

/// See [`super::Command::RevokeMission`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeMission {
    /// Which.
    pub mission: MissionId,
    /// Why: up to 4,096 characters.
    #[serde(default)]
    pub notes: Option<String>,
}

/// See [`super::Command::OpenAuditChain`].
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

/// See [`super::Command::AppendAuditEntry`].
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

/// See [`super::Command::CloseAuditChain`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseAuditChain {
    /// Which.
    pub chain: AuditChainId,
}
