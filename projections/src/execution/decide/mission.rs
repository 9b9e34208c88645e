//! Missions.

use chancery_ledger::body::execution::{
    ExternalKey, MissionCompleted, MissionEnd, MissionOpened, MissionRevoked, MissionTerms,
};
use chancery_ledger::body::{Body, Kind};
use chancery_ledger::ids::{MissionId, ThingId};

use super::mission_ref::{check_key, find, find_by_key};
use crate::check::{check_len, check_optional};
use crate::command::{CompleteMission, OpenMission, RevokeMission};
use crate::context::Context;
use crate::decision::{Decided, State, Stop};
use crate::execution::state::MissionState;
use crate::identity::decide::agent;
use crate::output::Output;
use crate::rejection::Rejection;
use crate::token::decide::end_mission_tokens;

/// Decides [`OpenMission`].
///
/// # Errors
/// [`Rejection::NotFound`], [`Rejection::AgentNotUsable`], [`Rejection::MissionExists`], [`Rejection::Invalid`].
pub fn open(state: &State<'_>, command: &OpenMission, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    check_optional("intent", command.intent.as_deref(), 4096)?;
    if command.services.len() > 64 || command.limits.len() > 64 {
        return Err(Rejection::Invalid { field: "services", why: "at most 64 services and 64 limits".into() }.into());
    }
    command.services.iter().try_for_each(|service| check_len("services", service, 1, 128))?;
    command.limits.keys().try_for_each(|name| check_len("limits", name, 1, 64))?;
    if let Some(id) = command.agent {
        let agent = agent::find(state, ctx.tenant(), id)?;
        agent::check_usable(state, &agent, ctx.now())?;
    }
    if let Some(key) = &command.key {
        check_key(key)?;
        if find_by_key(state, ctx.tenant(), key)?.is_some() {
            return Err(Rejection::MissionExists.into());
        }
    }
    let mission: MissionId = ctx.id()?;
    let terms = match &command.intent {
        Some(intent) => {
            let terms = MissionTerms { intent: Some(intent.clone()), output_shape: None };
            Some(ctx.encrypt(Kind::MissionOpened, "terms", mission.subject(), &terms)?)
        }
        None => None,
    };
    let opened = MissionOpened {
        mission,
        agent: command.agent,
        implicit: false,
        key: command.key.as_ref().map(|key| ExternalKey { namespace: key.namespace.clone(), text: key.text.clone() }),
        terms,
        services: command.services.clone(),
        limits: command.limits.clone(),
        expires: None,
    };
    Ok(Decided::facts(ctx.tenant(), vec![opened.into()]))
}

/// Decides [`CompleteMission`]; its live tokens end in the same commit.
///
/// # Errors
/// [`Rejection::NotFound`], [`Rejection::Invalid`].
pub fn complete(state: &State<'_>, command: &CompleteMission, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    check_optional("output", command.output.as_deref(), 4096)?;
    let mission = find(state, ctx.tenant(), command.mission)?;
    if mission.state != MissionState::Open {
        return Ok(Decided::unchanged(Output::Mission(mission)));
    }
    let end = MissionEnd { output: command.output.clone(), notes: None };
    let end = match &command.output {
        Some(_) => Some(ctx.encrypt(Kind::MissionCompleted, "end", mission.mission.subject(), &end)?),
        None => None,
    };
    let mut events: Vec<Body> = vec![MissionCompleted { mission: mission.mission, agent: mission.agent, end }.into()];
    events.extend(end_mission_tokens(state, mission.mission, ctx)?);
    Ok(Decided::facts(ctx.tenant(), events))
}

/// Decides [`RevokeMission`]; its live tokens end in the same commit.
///
/// # Errors
/// [`Rejection::NotFound`], [`Rejection::Invalid`].
pub fn revoke(state: &State<'_>, command: &RevokeMission, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    check_optional("notes", command.notes.as_deref(), 4096)?;
    let mission = find(state, ctx.tenant(), command.mission)?;
    if mission.state != MissionState::Open {
        return Ok(Decided::unchanged(Output::Mission(mission)));
    }
    let end = MissionEnd { output: None, notes: command.notes.clone() };
    let end = match &command.notes {
        Some(_) => Some(ctx.encrypt(Kind::MissionRevoked, "end", mission.mission.subject(), &end)?),
        None => None,
    };
    let revoked = MissionRevoked { mission: mission.mission, agent: mission.agent, cause: None, end };
    let mut events: Vec<Body> = vec![revoked.into()];
    events.extend(end_mission_tokens(state, mission.mission, ctx)?);
    Ok(Decided::facts(ctx.tenant(), events))
}
