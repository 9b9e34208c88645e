//! Audit chains, their entries, and whether they are whole.

use chancery_ledger::body::Kind;
use chancery_ledger::body::execution::{AuditEntryAppended, AuditLayer};
use chancery_ledger::body::field::JsonText;
use chancery_ledger::ids::{AuditChainId, AuditEntryId, MissionId, Seq, TenantId};
use chancery_ledger::link::Hash;
use chancery_ledger::time::Micros;
use schemars::JsonSchema;
use serde::Serialize;

use crate::execution::state::{self, AuditChain, CHAIN_BY_MISSION, CHAIN_LIST, CHAINS_BY_AGENT, ENTRIES};
use crate::identity::view::member;
use crate::json::Json;
use crate::lane::orgkernel::entry::{ChainFault, ChainVerifier, EntryPreimage, StoredEntry};
use crate::lane::orgkernel::ids::{render_chain, render_entry};
use crate::rows::table::Versioned;
use crate::rows::{Order, RowsError};
use crate::view::{NumberedPage, Page, PageNumber, Paging, Reading, ViewError};

/// An audit chain, without its entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AuditChainView {
    /// Its id.
    pub id: AuditChainId,
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
    /// SHA-256 of the last.
    pub head: Hash,
    /// The event that last changed it, for `If-Match`.
    pub version: Seq,
}

/// An audit entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AuditEntryView {
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
    /// The agent, in the caller's words.
    pub agent_text: String,
    /// The mission, in the caller's words.
    pub mission_text: String,
    /// The token, in the caller's words.
    pub token_text: Option<String>,
    /// When.
    pub at: Micros,
    /// A JSON object; `null` when erased.
    pub data: Option<JsonText>,
    /// SHA-256 of the entry before; zero for the first.
    pub prev: Hash,
    /// SHA-256 of this entry's preimage.
    pub entry_hash: Hash,
}

/// Whether an audit chain is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AuditChainVerdict {
    /// The chain.
    pub chain: AuditChainId,
    /// Whether every entry is in its place, names the one before it, has the hash of its fields where they can still be
    /// read, and the last one is the chain's head.
    pub valid: bool,
    /// Entries that were checked before the first fault.
    pub entries: u64,
    /// How many of them can no longer be recomputed, because their data was erased; their links were checked.
    pub erased: u64,
    /// The first fault, if there is one.
    pub fault: Option<AuditChainFault>,
}

/// Where and why an audit chain is not whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AuditChainFault {
    /// Entries before it.
    pub index: u64,
    /// What is wrong there, as a sentence.
    pub why: String,
}

/// Which audit chains.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditChainFilter {
    /// The one of a mission.
    pub mission: Option<MissionId>,
    /// Those of an agent, in the caller's words.
    pub agent_text: Option<String>,
    /// Those that take entries, or those that are closed.
    pub open: Option<bool>,
}

/// An audit chain of a tenant.
///
/// # Errors
/// [`ViewError`] when the view cannot be read.
pub fn audit_chain(
    reading: &Reading<'_>, tenant: TenantId, id: AuditChainId,
) -> Result<Option<AuditChainView>, ViewError> {
    let found = state::audit_chain(reading.execution, id)?.filter(|it| it.value.tenant == tenant);
    Ok(found.map(chain_view))
}

/// The audit chain of a mission of a tenant.
///
/// # Errors
/// [`ViewError`] when the view cannot be read.
pub fn audit_chain_of_mission(
    reading: &Reading<'_>, tenant: TenantId, mission: MissionId,
) -> Result<Option<AuditChainView>, ViewError> {
    match CHAIN_BY_MISSION.get(reading.execution, mission)? {
        Some(id) => audit_chain(reading, tenant, id),
        None => Ok(None),
    }
}

/// The audit chains of a tenant.
///
/// # Errors
/// [`ViewError`] when the view cannot be read.
pub fn audit_chains(
    reading: &Reading<'_>, tenant: TenantId, filter: &AuditChainFilter, paging: &Paging,
) -> Result<Page<AuditChainView>, ViewError> {
    let rows = reading.execution;
    let fits = |chain: &AuditChainView| {
        filter.mission.is_none_or(|mission| chain.mission == mission)
            && filter.agent_text.as_ref().is_none_or(|agent| chain.agent_text == *agent)
            && filter.open.is_none_or(|open| chain.closed.is_none() == open)
    };
    let pick = |found| Ok(audit_chain(reading, tenant, member(found)?)?.filter(fits));
    if let Some(mission) = filter.mission {
        let items = audit_chain_of_mission(reading, tenant, mission)?.filter(fits).into_iter().collect();
        return Ok(Page { items, next: None });
    }
    match &filter.agent_text {
        Some(agent) => {
            let list = (tenant, agent.as_str());
            paging.over(CHAINS_BY_AGENT.len(rows, list)?, |ordinal| pick(CHAINS_BY_AGENT.get(rows, list, ordinal)?))
        }
        None => paging.over(CHAIN_LIST.len(rows, tenant)?, |ordinal| pick(CHAIN_LIST.get(rows, tenant, ordinal)?)),
    }
}

/// A page by number of the audit chains of an agent, in the caller's words, newest first.
///
/// # Errors
/// [`ViewError`] when the view cannot be read.
pub fn audit_chains_page(
    reading: &Reading<'_>, tenant: TenantId, agent_text: &str, page: PageNumber,
) -> Result<NumberedPage<AuditChainView>, ViewError> {
    let (rows, list) = (reading.execution, (tenant, agent_text));
    let mut items = Vec::new();
    for (_, id) in CHAINS_BY_AGENT.page(rows, list, Order::Descending, page.skip(), page.size)? {
        items.extend(audit_chain(reading, tenant, id)?);
    }
    Ok(NumberedPage { items, total: CHAINS_BY_AGENT.len(rows, list)? })
}

/// Entries of an audit chain of a tenant; `None` when there is no such chain.
///
/// # Errors
/// [`ViewError`] when view or keys cannot be read.
pub fn audit_entries(
    reading: &Reading<'_>, tenant: TenantId, id: AuditChainId, paging: &Paging,
) -> Result<Option<Page<AuditEntryView>>, ViewError> {
    let Some(chain) = audit_chain(reading, tenant, id)? else { return Ok(None) };
    // Sequences count from 0, ordinals from 1.
    let page = paging.over(chain.entries, |ordinal| entry(reading, tenant, id, ordinal - 1).map(Some))?;
    Ok(Some(page))
}

/// An entry of an audit chain of a tenant, by its sequence.
///
/// # Errors
/// [`ViewError`] when view or keys cannot be read.
pub fn audit_entry(
    reading: &Reading<'_>, tenant: TenantId, chain: AuditChainId, sequence: u64,
) -> Result<Option<AuditEntryView>, ViewError> {
    match audit_chain(reading, tenant, chain)?.filter(|chain| sequence < chain.entries) {
        Some(_) => entry(reading, tenant, chain, sequence).map(Some),
        None => Ok(None),
    }
}

/// An audit chain of a tenant with all of its entries, however many there are.
///
/// # Errors
/// [`ViewError`] when view or keys cannot be read.
pub fn whole_audit_chain(
    reading: &Reading<'_>, tenant: TenantId, id: AuditChainId,
) -> Result<Option<(AuditChainView, Vec<AuditEntryView>)>, ViewError> {
    let Some(chain) = audit_chain(reading, tenant, id)? else { return Ok(None) };
    let entries = (0..chain.entries).map(|sequence| entry(reading, tenant, id, sequence)).collect::<Result<_, _>>()?;
    Ok(Some((chain, entries)))
}

/// Verifies an audit chain of a tenant, entry by entry: `verify_integrity` of contracts/orgkernel.md section 8.
///
/// # Errors
/// [`ViewError`] when view or keys cannot be read. That the chain is broken is no error, but the verdict.
pub fn verify_audit_chain(
    reading: &Reading<'_>, tenant: TenantId, id: AuditChainId,
) -> Result<Option<AuditChainVerdict>, ViewError> {
    let found = state::audit_chain(reading.execution, id)?.map(|found| found.value);
    let Some(chain) = found.filter(|chain| chain.tenant == tenant) else { return Ok(None) };
    let (mut entries, mut erased) = (0, 0);
    let fault = walk(reading, &chain, &mut entries, &mut erased)?;
    Ok(Some(AuditChainVerdict {
        chain: id,
        valid: fault.is_none(),
        entries,
        erased,
        fault: fault.map(|fault| AuditChainFault { index: fault.index, why: fault.why.to_string() }),
    }))
}

fn walk(
    reading: &Reading<'_>, chain: &AuditChain, entries: &mut u64, erased: &mut u64,
) -> Result<Option<ChainFault>, ViewError> {
    let mut verifier = ChainVerifier::new();
    let chain_text = render_chain(chain.chain);
    for sequence in 0..chain.entries {
        let Some(row) = ENTRIES.get(reading.execution, (chain.chain, sequence))? else { break };
        let taken = match opened_data(reading, chain.tenant, &row)? {
            None => {
                *erased += 1;
                verifier.push_erased(row.sequence, &row.prev.0, &row.entry_hash.0)
            }
            // What is no object any more has no preimage, so it cannot have the kept hash.
            Some(text) => {
                let data = Json::parse_members(text.as_str()).unwrap_or_default();
                let preimage = EntryPreimage {
                    entry_id: &render_entry(row.entry),
                    chain_id: &chain_text,
                    sequence: row.sequence,
                    layer: row.layer.name(),
                    event: &row.event,
                    agent_id: &row.agent_text,
                    mission_id: &row.mission_text,
                    token_id: row.token_text.as_deref(),
                    timestamp: row.at,
                    data: &data,
                    prev_hash: &row.prev.0,
                };
                verifier.push(&StoredEntry { preimage, entry_hash: &row.entry_hash.0 })
            }
        };
        if let Err(fault) = taken {
            return Ok(Some(fault));
        }
        *entries += 1;
    }
    Ok(verifier.finish(&chain.head.0).err())
}

fn entry(
    reading: &Reading<'_>, tenant: TenantId, chain: AuditChainId, sequence: u64,
) -> Result<AuditEntryView, ViewError> {
    let row = ENTRIES.get(reading.execution, (chain, sequence))?.ok_or(RowsError::Missing("an audit entry"))?;
    Ok(AuditEntryView {
        data: opened_data(reading, tenant, &row)?,
        id: row.entry,
        chain,
        sequence,
        layer: row.layer,
        event: row.event,
        agent_text: row.agent_text,
        mission_text: row.mission_text,
        token_text: row.token_text,
        at: row.at,
        prev: row.prev,
        entry_hash: row.entry_hash,
    })
}

fn opened_data(
    reading: &Reading<'_>, tenant: TenantId, row: &AuditEntryAppended,
) -> Result<Option<JsonText>, ViewError> {
    let text: Option<String> = reading.opener.open(tenant, Kind::AuditEntryAppended, "data", &row.data)?;
    Ok(text.map(JsonText))
}

fn chain_view(row: Versioned<AuditChain>) -> AuditChainView {
    let Versioned { seq, value } = row;
    AuditChainView {
        id: value.chain,
        tenant: value.tenant,
        mission: value.mission,
        agent_text: value.agent_text,
        mission_text: value.mission_text,
        opened: value.opened,
        closed: value.closed,
        entries: value.entries,
        head: value.head,
        version: seq,
    }
}
