//! Events of missions and audit chains (DOMAIN sections 3.5 and 4).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Facts, Subjects};
use crate::ids::{AgentId, ApprovalId, AuditChainId, AuditEntryId, MissionId};
use crate::link::Hash;
use crate::shred::Encrypted;
use crate::time::Micros;

/// A mission is open: why something is going to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissionOpened {
    /// The mission.
    pub mission: MissionId,
    /// The agent it is for, when it is one agent's alone.
    pub agent: Option<AgentId>,
    /// Opened by a command that needed one and named none.
    pub implicit: bool,
    /// The caller's own name for it, unique in the tenant and namespace.
    pub key: Option<ExternalKey>,
    /// [`MissionTerms`], under the mission's key.
    pub terms: Option<Encrypted>,
    /// Which services it may use.
    pub services: Vec<String>,
    /// Its caps, by name.
    pub limits: BTreeMap<String, u64>,
    /// When it must be over.
    pub expires: Option<Micros>,
}

/// A name that a caller gave, in the words of one dialect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ExternalKey {
    /// `native`, or the dialect's name.
    pub namespace: String,
    /// The text.
    pub text: String,
}

/// What a mission is about.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct MissionTerms {
    /// What is to be done.
    pub intent: Option<String>,
    /// What the result is to look like.
    pub output_shape: Option<String>,
}

/// A mission was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissionCompleted {
    /// The mission.
    pub mission: MissionId,
    /// Its agent.
    pub agent: Option<AgentId>,
    /// [`MissionEnd`], under the mission's key.
    pub end: Option<Encrypted>,
}

/// A mission was called off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissionRevoked {
    /// The mission.
    pub mission: MissionId,
    /// Its agent.
    pub agent: Option<AgentId>,
    /// The decision that led to it.
    pub cause: Option<ApprovalId>,
    /// [`MissionEnd`], under the mission's key.
    pub end: Option<Encrypted>,
}

/// What is said of a mission's end.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct MissionEnd {
    /// What came out.
    pub output: Option<String>,
    /// What else is to be said.
    pub notes: Option<String>,
}

/// A mission has an audit chain; each mission has at most one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditChainOpened {
    /// The chain.
    pub chain: AuditChainId,
    /// The mission it is kept for.
    pub mission: MissionId,
    /// The agent, in the caller's words, because these are hashed.
    pub agent_text: String,
    /// The mission, in the caller's words.
    pub mission_text: String,
    /// When; its first entry is a little later.
    pub opened: Micros,
}

/// An audit chain has one more entry. `sequence`, `prev` and `entry_hash` are kept, because `data` can be erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntryAppended {
    /// The entry.
    pub entry: AuditEntryId,
    /// Its chain.
    pub chain: AuditChainId,
    /// The chain's mission.
    pub mission: MissionId,
    /// Its place in the chain, from 0 without gaps.
    pub sequence: u64,
    /// Which layer it belongs to.
    pub layer: AuditLayer,
    /// What is recorded.
    pub event: String,
    /// The agent, in the caller's words.
    pub agent_text: String,
    /// The mission, in the caller's words.
    pub mission_text: String,
    /// The token, in the caller's words.
    pub token_text: Option<String>,
    /// When.
    pub at: Micros,
    /// JSON object, under the mission's key.
    pub data: Encrypted,
    /// SHA-256 of the entry before; zero for the first.
    pub prev: Hash,
    /// SHA-256 of this entry's preimage.
    pub entry_hash: Hash,
}

/// Which layer an audit entry belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AuditLayer {
    /// Who.
    Identity,
    /// What ran.
    Execution,
    /// Which rules.
    Compliance,
    /// Which decisions.
    Governance,
}

impl AuditLayer {
    /// The layer's name, which is part of what is hashed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "IDENTITY",
            Self::Execution => "EXECUTION",
            Self::Compliance => "COMPLIANCE",
            Self::Governance => "GOVERNANCE",
        }
    }
}

/// An audit chain takes no more entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditChainClosed {
    /// The chain.
    pub chain: AuditChainId,
    /// How many entries it has.
    pub entries: u64,
    /// Hash of the last.
    pub head: Hash,
}

impl Facts for MissionOpened {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.mission).maybe(self.agent);
    }
}

impl Facts for MissionCompleted {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.mission).maybe(self.agent);
    }
}

impl Facts for MissionRevoked {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.mission).maybe(self.agent).maybe(self.cause);
    }
}

impl Facts for AuditChainOpened {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.chain).add(self.mission);
    }
}

impl Facts for AuditEntryAppended {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.entry).add(self.chain).add(self.mission);
    }
}

impl Facts for AuditChainClosed {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.chain);
    }
}
