//! What the execution view knows: rows, and the tables they stand in. Those of [`delivery`](super::delivery::state) are ids
//! 20 to 45, and 64 and 128 ids further on; those of the audit lane of AgentIdP, likewise from 46 to 60, are in
//! [`crate::lane::agentidp::rows`].

use std::collections::BTreeMap;

use chancery_ledger::body::execution::{AuditChainOpened, AuditEntryAppended, ExternalKey};
use chancery_ledger::ids::{AgentId, AuditChainId, MissionId, TenantId};
use chancery_ledger::link::Hash;
use chancery_ledger::shred::Encrypted;
use chancery_ledger::time::Micros;
use serde::{Deserialize, Serialize};

use crate::rows::subset::Subset;
use crate::rows::table::{DenseList, Table, Versioned};
use crate::rows::{Rows, RowsError, RowsMut};

/// Missions, by id.
pub const MISSIONS: Table<Mission> = Table::new(1);
/// Missions, by tenant, namespace and the caller's own name.
pub const MISSION_KEYS: Table<MissionId> = Table::new(2);
/// Missions of a tenant, by tenant and whether they are implicit (1) or somebody opened them on purpose (0).
pub const MISSION_LIST: DenseList<MissionId> = DenseList::new(3).for_readers();
/// Audit chains, by id.
pub const CHAINS: Table<ChainRow> = Table::new(5);
/// The audit chain of a mission.
pub const CHAIN_BY_MISSION: Table<AuditChainId> = Table::new(6);
/// Audit chains of an agent, by tenant and the caller's words for the agent.
pub const CHAINS_BY_AGENT: DenseList<AuditChainId> = DenseList::new(7).for_readers();
/// Audit chains of a tenant.
pub const CHAIN_LIST: DenseList<AuditChainId> = DenseList::new(9).for_readers();
/// How far audit chains have grown, by chain: only now. [`audit_chain`] also knows it as of a past event.
pub const TAILS: Table<Tail> = Table::new(128);
/// Audit entries, as they were appended, by chain and sequence.
pub const ENTRIES: Table<AuditEntryAppended> = Table::new(74).for_readers();
/// Missions that ended, destinations that were removed and subscriptions that ended, unless they were erased, by tenant,
/// time and thing: only now.
pub const RETAINED: Table<()> = Table::new(129).for_readers();
/// Which missions of a list stand where, by tenant, implicit (1) or not (0), and state code.
pub const MISSIONS_IN_STATE: Subset = Subset::new(12).for_readers();

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

/// What is fixed of an audit chain, and whether it is closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainRow {
    /// Whose it is.
    pub tenant: TenantId,
    /// How it was opened.
    pub opened: AuditChainOpened,
    /// When it was closed.
    pub closed: Option<Micros>,
}

/// An audit chain as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Hash of the last; zero when there is none.
    pub head: Hash,
}

/// An audit chain as it stands, and the event that last changed it.
///
/// # Errors
/// As [`Table::get`].
pub fn audit_chain(rows: &dyn Rows, id: AuditChainId) -> Result<Option<Versioned<AuditChain>>, RowsError> {
    let Some(Versioned { seq, value: ChainRow { tenant, opened, closed } }) = CHAINS.get_versioned(rows, id)? else {
        return Ok(None);
    };
    let tail = tail(rows, id)?;
    let seq = seq.max(tail.as_ref().map_or(seq, |tail| tail.seq));
    let Tail { entries, head } = tail.map_or(Tail { entries: 0, head: Hash::ZERO }, |tail| tail.value);
    let AuditChainOpened { chain, mission, agent_text, mission_text, opened } = opened;
    let value = AuditChain { chain, tenant, mission, agent_text, mission_text, opened, closed, entries, head };
    Ok(Some(Versioned { seq, value }))
}

/// How far an audit chain has grown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tail {
    /// How many entries it has.
    pub entries: u64,
    /// Hash of the last.
    pub head: Hash,
}

/// Notes that an entry is a chain's last.
///
/// # Errors
/// As [`Table::put`].
pub fn set_tail(rows: &mut dyn RowsMut, entry: &AuditEntryAppended) -> Result<(), RowsError> {
    TAILS.put(rows, entry.chain, &Tail { entries: entry.sequence + 1, head: entry.entry_hash })
}

/// How far a chain has grown, and the event that last made it grow; `None` while it has no entry. In a reading of the
/// past, which has no [`TAILS`], it is found among the entries, which are without gaps.
fn tail(rows: &dyn Rows, chain: AuditChainId) -> Result<Option<Versioned<Tail>>, RowsError> {
    if let Some(tail) = TAILS.get_versioned(rows, chain)? {
        return Ok(Some(tail));
    }
    let is_there = |sequence: u64| Ok::<_, RowsError>(ENTRIES.get(rows, (chain, sequence))?.is_some());
    if !is_there(0)? {
        return Ok(None);
    }
    // The entry `there` is there and `missing` is not.
    let (mut there, mut missing) = (0, 1);
    while is_there(missing)? {
        (there, missing) = (missing, missing * 2);
    }
    while missing - there > 1 {
        let middle = there + (missing - there) / 2;
        if is_there(middle)? { there = middle } else { missing = middle }
    }
    let last = ENTRIES.get_versioned(rows, (chain, there))?;
    Ok(last
        .map(|Versioned { seq, value }| Versioned { seq, value: Tail { entries: there + 1, head: value.entry_hash } }))
}
