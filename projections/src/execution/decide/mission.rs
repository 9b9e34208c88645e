//! Missions.

use std::collections::BTreeMap;

use chancery_ledger::body::execution::{
    ExternalKey, MissionCompleted, MissionEnd, MissionOpened, MissionRevoked, MissionTerms,
};
use chancery_ledger::body::{Body, Kind};
use chancery_ledger::ids::{MissionId, TenantId, ThingId, ThingKind, parse_any};

use crate::command::{CompleteMission, MissionKey, MissionRef, OpenMission, RevokeMission};
use crate::context::Context;
use crate::decide::{Decided, State, Stop, check_len, check_optional};
use crate::execution::state::{MISSION_KEYS, MISSIONS, Mission, MissionState};
use crate::identity::decide::agent;
use crate::lane::orgkernel;
use crate::output::Output;
use crate::rejection::Rejection;
use crate::token::decide::end_mission_tokens;

/// A mission of the tenant.
///
/// # Errors
/// [`Rejection::NotFound`] when there is none.
pub fn find(state: &State<'_>, tenant: TenantId, id: MissionId) -> Result<Mission, Stop> {
    let found = MISSIONS.get(state.execution, id)?.filter(|mission| mission.tenant == tenant);
    Ok(found.ok_or(Rejection::NotFound { thing: "mission" })?)
}

/// The mission that a command names: there already, or to be opened with it.
pub enum Resolved {
    /// It is there.
    Existing(Box<Mission>),
    /// It is to be opened in the same commit.
    New(MissionKey),
}

impl Resolved {
    /// The mission, if it is there.
    #[must_use]
    pub fn existing(&self) -> Option<MissionId> {
        match self {
            Self::Existing(mission) => Some(mission.mission),
            Self::New(_) => None,
        }
    }

    /// The mission as the caller knows it, which is part of what is signed and hashed.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Existing(mission) => orgkernel::ids::mission_text(mission),
            Self::New(key) => key.text.clone(),
        }
    }

    /// The mission's id, opening it among `events` if it is new.
    ///
    /// # Errors
    /// [`Stop::Context`] when randomness is not to be had.
    pub fn open(self, ctx: &mut Context<'_>, events: &mut Vec<Body>) -> Result<MissionId, Stop> {
        match self {
            Self::Existing(mission) => Ok(mission.mission),
            Self::New(key) => {
                let mission = ctx.id()?;
                let opened = MissionOpened {
                    mission,
                    agent: None,
                    implicit: true,
                    key: Some(ExternalKey { namespace: key.namespace, text: key.text }),
                    terms: None,
                    services: Vec::new(),
                    limits: BTreeMap::new(),
                    expires: None,
                };
                events.push(opened.into());
                Ok(mission)
            }
        }
    }
}

/// Finds the mission a command names: by id; by the caller's own name; by an id that the name spells.
///
/// # Errors
/// [`Rejection::NotFound`] for an id of no mission, [`Rejection::Invalid`] for a name that cannot be one.
pub fn resolve(state: &State<'_>, wanted: &MissionRef, ctx: &Context<'_>) -> Result<Resolved, Stop> {
    match wanted {
        MissionRef::Id(id) => Ok(Resolved::Existing(Box::new(find(state, ctx.tenant(), *id)?))),
        MissionRef::Key(key) => {
            check_key(key)?;
            Ok(match find_by_key(state, ctx.tenant(), key)? {
                Some(mission) => Resolved::Existing(Box::new(mission)),
                None => Resolved::New(key.clone()),
            })
        }
    }
}

/// The mission that a caller's own name stands for: by that name, else by the id it spells.
///
/// # Errors
/// [`Stop::Rows`] when views cannot be read.
pub fn find_by_key(state: &State<'_>, tenant: TenantId, key: &MissionKey) -> Result<Option<Mission>, Stop> {
    let named = MISSION_KEYS.get(state.execution, (tenant, key.namespace.as_str(), key.text.as_str()))?;
    let id = named.or_else(|| parse_any(ThingKind::Mission, &key.text).ok().map(MissionId));
    match id {
        Some(id) => Ok(MISSIONS.get(state.execution, id)?.filter(|mission| mission.tenant == tenant)),
        None => Ok(None),
    }
}

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

fn check_key(key: &MissionKey) -> Result<(), Rejection> {
    if !matches!(key.namespace.as_str(), "native" | orgkernel::ids::NAMESPACE) {
        let why = format!("must be `native` or `{}`", orgkernel::ids::NAMESPACE);
        return Err(Rejection::Invalid { field: "key.namespace", why });
    }
    check_len("key.text", &key.text, 1, 128)
}
