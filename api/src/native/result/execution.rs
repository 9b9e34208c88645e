//! Missions and audit chains as a command left them.

use chancery_ledger::body::Kind;
use chancery_ledger::body::execution::{AuditEntryAppended, AuditLayer, ExternalKey, MissionEnd, MissionTerms};
use chancery_ledger::ids::{AgentId, AuditChainId, AuditEntryId, MissionId};
use chancery_ledger::link::Hash;
use chancery_ledger::time::Micros;
use chancery_projections::context::{ContextError, Opener};
use chancery_projections::execution::state::{AuditChain, Mission, MissionState};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

use super::open;

/// A mission.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MissionResult {
    /// Its id.
    pub id: MissionId,
    /// The agent it is for.
    pub agent: Option<AgentId>,
    /// The caller's own name for it.
    pub key: Option<ExternalKey>,
    /// What is to be done; `null` when nobody said, or it was erased.
    pub intent: Option<String>,
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
    /// What came out; `null` when nobody said, or it was erased.
    pub output: Option<String>,
    /// Why it was called off, likewise.
    pub notes: Option<String>,
}

/// An audit chain.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AuditChainResult {
    /// Its id.
    pub id: AuditChainId,
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
    /// SHA-256 of the last.
    pub head: Hash,
}

/// An audit entry.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AuditEntryResult {
    /// Its id.
    pub id: AuditEntryId,
    /// Its chain.
    pub chain: AuditChainId,
    /// Its place, from 0 without gaps.
    pub sequence: u64,
    /// Its layer.
    pub layer: AuditLayer,
    /// What is recorded.
    pub event: String,
    /// When.
    pub at: Micros,
    /// SHA-256 of the entry before.
    pub prev: Hash,
    /// SHA-256 of this entry.
    pub entry_hash: Hash,
}

pub(super) fn mission(row: Mission, opener: &Opener<'_>) -> Result<MissionResult, ContextError> {
    let terms: Option<MissionTerms> = open(row.terms.as_ref(), opener, row.tenant, Kind::MissionOpened, "terms")?;
    let ended_by = match row.state {
        MissionState::Open | MissionState::Completed => Kind::MissionCompleted,
        MissionState::Revoked => Kind::MissionRevoked,
    };
    let end: Option<MissionEnd> = open(row.end.as_ref(), opener, row.tenant, ended_by, "end")?;
    let end = end.unwrap_or_default();
    Ok(MissionResult {
        id: row.mission,
        agent: row.agent,
        key: row.key,
        intent: terms.and_then(|terms| terms.intent),
        services: row.services,
        limits: row.limits,
        state: row.state,
        opened: row.opened,
        ended: row.ended,
        output: end.output,
        notes: end.notes,
    })
}

pub(super) fn audit_chain(row: AuditChain) -> AuditChainResult {
    AuditChainResult {
        id: row.chain,
        mission: row.mission,
        agent_text: row.agent_text,
        mission_text: row.mission_text,
        opened: row.opened,
        closed: row.closed,
        entries: row.entries,
        head: row.head,
    }
}

pub(super) fn audit_entry(row: AuditEntryAppended) -> AuditEntryResult {
    AuditEntryResult {
        id: row.entry,
        chain: row.chain,
        sequence: row.sequence,
        layer: row.layer,
        event: row.event,
        at: row.at,
        prev: row.prev,
        entry_hash: row.entry_hash,
    }
}
