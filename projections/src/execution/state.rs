//! What the execution view knows: rows, and the tables they stand in.

use std::collections::BTreeMap;

use chancery_ledger::body::execution::{AuditLayer, ExternalKey};
use chancery_ledger::ids::{AgentId, AuditChainId, AuditEntryId, MissionId, TenantId};
use chancery_ledger::link::Hash;
use chancery_ledger::shred::Encrypted;
use chancery_ledger::time::Micros;
use serde::{Deserialize, Serialize};

use crate::rows::subset::Subset;
use crate::rows::table::{DenseList, Table};

/// Missions, by id.
pub const MISSIONS: Table<Mission> = Table::new(1);
/// Missions, by tenant, namespace and the caller's own name.
pub const MISSION_KEYS: Table<MissionId> = Table::new(2);
/// Missions of a tenant, by tenant and whether they are implicit (1) or somebody opened them on purpose (0).
pub const MISSION_LIST: DenseList<MissionId> = DenseList::new(3);
/// Audit chains, by id.
pub const CHAINS: Table<AuditChain> = Table::new(5);
/// The audit chain of a mission.
pub const CHAIN_BY_MISSION: Table<AuditChainId> = Table::new(6);
/// Audit chains of an agent, by tenant and the caller's words for the agent.
pub const CHAINS_BY_AGENT: DenseList<AuditChainId> = DenseList::new(7);
/// Audit chains of a tenant.
pub const CHAIN_LIST: DenseList<AuditChainId> = DenseList::new(9);
/// Audit entries, by chain and sequence.
pub const ENTRIES: Table<AuditEntry> = Table::new(11);
/// Which missions of a list stand where, by tenant, implicit (1) or not (0), and state code.
pub const MISSIONS_IN_STATE: Subset = Subset::new(12);

/// Where a mission stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MissionState {
    /// Under way.
    Open,
    /// Carried out.
    Completed,
    /// Called off.
    Revoked,
}

impl MissionState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Open, Self::Completed, Self::Revoked];

    /// The byte that stands for it in keys.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Open => 0,
            Self::Completed => 1,
            Self::Revoked => 2,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Completed => "completed",
            Self::Revoked => "revoked",
        }
    }
}

/// A mission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mission {
    /// Its id.
    pub mission: MissionId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its place in its list.
    pub ordinal: u64,
    /// The agent it is for.
    pub agent: Option<AgentId>,
    /// Opened by a command that needed one and named none.
    pub implicit: bool,
    /// The caller's own name for it.
    pub key: Option<ExternalKey>,
    /// `MissionTerms` of `MissionOpened`, under the mission's key.
    pub terms: Option<Encrypted>,
    /// Which services it may use.
    pub services: Vec<String>,
    /// Its caps.
    pub limits: BTreeMap<String, u64>,
    /// Where it stands.
    pub state: MissionState,
    /// Since when.
    pub opened: Micros,
    /// When it ended.
    pub ended: Option<Micros>,
    /// `MissionEnd`, under the mission's key.
    pub end: Option<Encrypted>,
}

/// An audit chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditChain {
    /// Its id.
    pub chain: AuditChainId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its mission.
    pub mission: MissionId,
    /// The agent, in the caller's words.
    pub agent_text: String,
    /// The mission, in the caller's words.
    pub mission_text: String,
    /// Since when.
    pub opened: Micros,
    /// When it was closed.
    pub closed: Option<Micros>,
    /// How many entries it has.
    pub entries: u64,
    /// Hash of the last.
    pub head: Hash,
}

/// An audit entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Its id.
    pub entry: AuditEntryId,
    /// Its chain.
    pub chain: AuditChainId,
    /// Its place, from 0 without gaps.
    pub sequence: u64,
    /// Its layer.
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
    /// JSON object of `AuditEntryAppended`, under the mission's key.
    pub data: Encrypted,
    /// SHA-256 of the entry before.
    pub prev: Hash,
    /// SHA-256 of this entry's preimage.
    pub entry_hash: Hash,
}
