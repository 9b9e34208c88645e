//! Audit chains: a record kept for a mission, hashed as contracts/orgkernel.md section 8 says.

use chancery_ledger::body::execution::{AuditChainClosed, AuditChainOpened, AuditEntryAppended, AuditLayer};
use chancery_ledger::body::{Body, Kind};
use chancery_ledger::ids::{AuditChainId, AuditEntryId, MissionId, TenantId, ThingId};
use chancery_ledger::link::Hash;

use super::mission_ref;
use crate::check::{check_len, check_optional};
use crate::command::{AppendAuditEntry, CloseAuditChain, OpenAuditChain};
use crate::context::Context;
use crate::decision::{Decided, State, Stop};
use crate::execution::state::{AuditChain, CHAIN_BY_MISSION, audit_chain};
use crate::json::{Json, Members};
use crate::lane::orgkernel::entry::{EntryPreimage, GENESIS, TERMINAL, genesis_data, terminal_data};
use crate::lane::orgkernel::ids::{render_chain, render_entry};
use crate::rejection::Rejection;

/// Longest text of an entry's data, in bytes: a body holds it encrypted, beside the entry's other fields.
pub const DATA_BYTES_MAX: usize = 32 * 1024;

/// An audit chain of the tenant.
///
/// # Errors
/// [`Rejection::NotFound`] when there is none.
pub fn find(state: &State<'_>, tenant: TenantId, id: AuditChainId) -> Result<AuditChain, Stop> {
    let found = audit_chain(state.execution, id)?.map(|found| found.value).filter(|chain| chain.tenant == tenant);
    Ok(found.ok_or(Rejection::NotFound { thing: "audit chain" })?)
}

/// Decides [`OpenAuditChain`]: the chain and its first entry.
///
/// # Errors
/// [`Rejection::ChainExists`], [`Rejection::NotFound`], [`Rejection::Invalid`].
pub fn open(state: &State<'_>, command: &OpenAuditChain, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    check_len("agent_text", &command.agent_text, 1, 64)?;
    check_len("mission_text", &command.mission_text, 1, 64)?;
    let mission = mission_ref::resolve(state, &command.mission, ctx)?;
    if let Some(id) = mission.existing()
        && CHAIN_BY_MISSION.get(state.execution, id)?.is_some()
    {
        return Err(Rejection::ChainExists.into());
    }
    let mut events: Vec<Body> = Vec::new();
    let (mission, _) = mission.open(ctx, &mut events)?;
    let chain: AuditChainId = ctx.id()?;
    let opened = AuditChainOpened {
        chain,
        mission,
        agent_text: command.agent_text.clone(),
        mission_text: command.mission_text.clone(),
        opened: ctx.now(),
    };
    let place = Place { chain, mission, sequence: 0, prev: Hash::ZERO };
    let (layer, event) = GENESIS;
    let words = Words {
        layer: fixed_layer(layer),
        event,
        agent: &command.agent_text,
        mission: &command.mission_text,
        token: None,
    };
    events.push(opened.into());
    events.push(entry(&place, &words, &genesis_data(ctx.now()), ctx)?.into());
    Ok(Decided::facts(ctx.tenant(), events))
}

/// Decides [`AppendAuditEntry`].
///
/// # Errors
/// [`Rejection::NotFound`], [`Rejection::ChainClosed`], [`Rejection::Invalid`].
pub fn append(state: &State<'_>, command: &AppendAuditEntry, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    check_len("event", &command.event, 1, 128)?;
    check_len("agent_text", &command.agent_text, 1, 64)?;
    check_len("mission_text", &command.mission_text, 1, 64)?;
    check_optional("token_text", command.token_text.as_deref(), 64)?;
    if command.data.as_str().len() > DATA_BYTES_MAX {
        return Err(Rejection::Invalid { field: "data", why: format!("at most {DATA_BYTES_MAX} bytes") }.into());
    }
    let data = Json::parse_members(command.data.as_str())
        .map_err(|error| Rejection::Invalid { field: "data", why: error.to_string() })?;
    let chain = find(state, ctx.tenant(), command.chain)?;
    if chain.closed.is_some() {
        return Err(Rejection::ChainClosed.into());
    }
    let words = Words {
        layer: command.layer,
        event: &command.event,
        agent: &command.agent_text,
        mission: &command.mission_text,
        token: command.token_text.as_deref(),
    };
    let event = entry(&Place::after(&chain), &words, &data, ctx)?;
    Ok(Decided::facts(ctx.tenant(), vec![event.into()]))
}

/// Decides [`CloseAuditChain`]: the last entry, and the chain takes no more.
///
/// # Errors
/// [`Rejection::NotFound`], [`Rejection::ChainClosed`].
pub fn close(state: &State<'_>, command: &CloseAuditChain, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    let chain = find(state, ctx.tenant(), command.chain)?;
    if chain.closed.is_some() {
        return Err(Rejection::ChainClosed.into());
    }
    let (layer, event) = TERMINAL;
    let words =
        Words { layer: fixed_layer(layer), event, agent: &chain.agent_text, mission: &chain.mission_text, token: None };
    let last = entry(&Place::after(&chain), &words, &terminal_data(&render_chain(chain.chain)), ctx)?;
    let closed = AuditChainClosed { chain: chain.chain, entries: last.sequence + 1, head: last.entry_hash };
    Ok(Decided::facts(ctx.tenant(), vec![last.into(), closed.into()]))
}

/// Where in which chain an entry stands.
struct Place {
    chain: AuditChainId,
    mission: MissionId,
    sequence: u64,
    prev: Hash,
}

impl Place {
    const fn after(chain: &AuditChain) -> Self {
        Self { chain: chain.chain, mission: chain.mission, sequence: chain.entries, prev: chain.head }
    }
}

/// What an entry says, in the caller's words.
struct Words<'a> {
    layer: AuditLayer,
    event: &'a str,
    agent: &'a str,
    mission: &'a str,
    token: Option<&'a str>,
}

fn entry(place: &Place, words: &Words<'_>, data: &Members, ctx: &mut Context<'_>) -> Result<AuditEntryAppended, Stop> {
    let id: AuditEntryId = ctx.id()?;
    let entry_hash = EntryPreimage {
        entry_id: &render_entry(id),
        chain_id: &render_chain(place.chain),
        sequence: place.sequence,
        layer: words.layer.name(),
        event: words.event,
        agent_id: words.agent,
        mission_id: words.mission,
        token_id: words.token,
        timestamp: ctx.now(),
        data,
        prev_hash: &place.prev.0,
    }
    .hash();
    let text = Json::Object(data.clone()).render();
    Ok(AuditEntryAppended {
        entry: id,
        chain: place.chain,
        mission: place.mission,
        sequence: place.sequence,
        layer: words.layer,
        event: words.event.to_owned(),
        agent_text: words.agent.to_owned(),
        mission_text: words.mission.to_owned(),
        token_text: words.token.map(str::to_owned),
        at: ctx.now(),
        data: ctx.encrypt(Kind::AuditEntryAppended, "data", place.mission.subject(), &text)?,
        prev: place.prev,
        entry_hash: Hash(entry_hash),
    })
}

/// The layer of the two entries that the format fixes.
fn fixed_layer(name: &str) -> AuditLayer {
    if name == AuditLayer::Identity.name() { AuditLayer::Identity } else { AuditLayer::Execution }
}
