//! Erasure and holds.

use chancery_ledger::body::erasure::{HoldLifted, HoldPlaced, KeyDestroyed, SubjectErased};
use chancery_ledger::event::Event;
use chancery_ledger::ids::{AgentId, ThingId as _, ThingKind};

use super::{enter_found_by, leave_found_by, row};
use crate::identity::state::{
    AGENTS, Agent, ERASED, ERASED_BY, ERASURES, Erased, HELD, HOLDS, Hold, RETAINED, UNREPORTED, place_of,
    retained_since,
};
use crate::rows::{RowsError, RowsMut};

pub(super) fn erased(rows: &mut dyn RowsMut, event: &Event, it: &SubjectErased) -> Result<(), RowsError> {
    let erased = Erased {
        subject: it.subject,
        tenant: event.tenant,
        reason: it.reason.clone(),
        policy: it.policy,
        by: event.actor.principal.clone(),
        event: event.seq,
        at: event.time,
        destroyed: None,
    };
    ERASED.put(rows, it.subject, &erased)?;
    ERASURES.append(rows, event.tenant, &it.subject)?;
    ERASED_BY.put(rows, event.seq.0, &it.subject)?;
    UNREPORTED.put(rows, event.seq.0, &it.subject)?;
    match it.subject.kind {
        ThingKind::Agent => agent_erased(rows, AgentId::from_uuid(it.subject.id)),
        _ => Ok(()),
    }
}

/// An agent that can work no more is kept for retention's sake alone.
pub(super) fn retain(rows: &mut dyn RowsMut, event: &Event, agent: AgentId) -> Result<(), RowsError> {
    if rows.is_for_deciders() || ERASED.get(&*rows, agent.subject())?.is_some() {
        return Ok(());
    }
    RETAINED.put(rows, (event.tenant, place_of(event.time), agent.subject()), &())
}

/// Nobody finds the agent any more by who was responsible for it.
fn agent_erased(rows: &mut dyn RowsMut, id: AgentId) -> Result<(), RowsError> {
    let before = row(AGENTS.get(rows, id)?, "an agent")?;
    if let Some(since) = retained_since(&before) {
        RETAINED.delete(rows, (before.tenant, since, id.subject()))?;
    }
    if before.owner_hash.is_some() {
        leave_found_by(rows, &before)?;
        let after = Agent { owner_hash: None, ..before };
        enter_found_by(rows, &after)?;
        AGENTS.put(rows, id, &after)?;
    }
    Ok(())
}

pub(super) fn hold_placed(rows: &mut dyn RowsMut, event: &Event, it: &HoldPlaced) -> Result<(), RowsError> {
    let before = HOLDS.get(rows, (event.tenant, it.subject))?;
    if before.is_none() {
        HELD.append(rows, event.tenant, &it.subject)?;
    }
    let mut holds = before.unwrap_or_default();
    holds.push(Hold {
        matter: it.matter.clone(),
        reason: it.reason.clone(),
        by: event.actor.principal.clone(),
        is_operators: event.actor.acting_in.is_some(),
        event: event.seq,
        at: event.time,
    });
    HOLDS.put(rows, (event.tenant, it.subject), &holds)
}

pub(super) fn hold_lifted(rows: &mut dyn RowsMut, event: &Event, it: &HoldLifted) -> Result<(), RowsError> {
    let mut holds = HOLDS.get(rows, (event.tenant, it.subject))?.unwrap_or_default();
    holds.retain(|hold| hold.matter != it.matter);
    HOLDS.put(rows, (event.tenant, it.subject), &holds)
}

pub(super) fn key_destroyed(rows: &mut dyn RowsMut, event: &Event, it: &KeyDestroyed) -> Result<(), RowsError> {
    ERASED.update(rows, it.key, "what was erased", |erased| erased.destroyed = Some(event.time))?;
    UNREPORTED.delete(rows, it.cause.0)
}
