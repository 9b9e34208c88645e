//! Which mission a command names: by id, by the caller's own name for it, or by an id that the name spells.

use std::collections::BTreeMap;

use chancery_ledger::body::Body;
use chancery_ledger::body::execution::{ExternalKey, MissionOpened};
use chancery_ledger::ids::{MissionId, TenantId, ThingKind, parse_any};

use crate::check::check_len;
use crate::command::{MissionKey, MissionRef};
use crate::context::Context;
use crate::decision::{State, Stop};
use crate::execution::state::{MISSION_KEYS, MISSIONS, Mission};
use crate::lane::orgkernel;
use crate::rejection::Rejection;

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

    /// The mission's id, opening it among `events` if it is new; and the mission as OrgKernel's callers know it, which is
    /// part of what is signed.
    ///
    /// # Errors
    /// [`Stop::Context`] when randomness is not to be had.
    pub fn open(self, ctx: &mut Context<'_>, events: &mut Vec<Body>) -> Result<(MissionId, String), Stop> {
        match self {
            Self::Existing(mission) => Ok((mission.mission, orgkernel::ids::mission_text(&mission))),
            Self::New(key) => {
                let mission = ctx.id()?;
                let key = ExternalKey { namespace: key.namespace, text: key.text };
                let text = orgkernel::ids::render_mission_key(mission, Some(&key));
                let opened = MissionOpened {
                    mission,
                    agent: None,
                    implicit: true,
                    key: Some(key),
                    terms: None,
                    services: Vec::new(),
                    limits: BTreeMap::new(),
                    expires: None,
                };
                events.push(opened.into());
                Ok((mission, text))
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

/// Checks a caller's own name for a mission: a known namespace, 1 to 128 characters.
///
/// # Errors
/// [`Rejection::Invalid`].
pub fn check_key(key: &MissionKey) -> Result<(), Rejection> {
    if !matches!(key.namespace.as_str(), "native" | orgkernel::ids::NAMESPACE) {
        let why = format!("must be `native` or `{}`", orgkernel::ids::NAMESPACE);
        return Err(Rejection::Invalid { field: "key.namespace", why });
    }
    check_len("key.text", &key.text, 1, 128)
}
