//! Missions.

use std::collections::BTreeMap;

use chancery_ledger::body::Kind;
use chancery_ledger::body::execution::{ExternalKey, MissionEnd, MissionTerms};
use chancery_ledger::ids::{AgentId, AuditChainId, MissionId, Seq, TenantId, ThingKind, parse_any};
use chancery_ledger::time::Micros;
use schemars::JsonSchema;
use serde::Serialize;

use crate::execution::state::{
    CHAIN_BY_MISSION, MISSION_KEYS, MISSION_LIST, MISSIONS, MISSIONS_IN_STATE, Mission, MissionState,
};
use crate::identity::view::member;
use crate::rows::table::Versioned;
use crate::view::{Page, Paging, Reading, ViewError};

/// A mission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MissionView {
    /// Its id.
    pub id: MissionId,
    /// Whose it is.
    pub tenant: TenantId,
    /// The agent it is for, when it is one agent's alone.
    pub agent: Option<AgentId>,
    /// Opened by a command that needed one and named none.
    pub implicit: bool,
    /// The caller's own name for it.
    pub key: Option<ExternalKey>,
    /// What is to be done; `null` when nobody said, or it was erased.
    pub intent: Option<String>,
    /// Which services it may use.
    pub services: Vec<String>,
    /// Its caps, by name.
    pub limits: BTreeMap<String, u64>,
    /// Where it stands.
    pub state: MissionState,
    /// Its audit chain.
    pub audit_chain: Option<AuditChainId>,
    /// Since when.
    pub opened: Micros,
    /// When it ended.
    pub ended: Option<Micros>,
    /// What came out; `null` when nobody said, or it was erased.
    pub output: Option<String>,
    /// What else is to be said of its end, likewise.
    pub notes: Option<String>,
    /// The event that last changed it, for `If-Match`.
    pub version: Seq,
}

/// Which missions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MissionFilter {
    /// Those that commands opened which named none, instead of those that somebody opened on purpose.
    pub implicit: bool,
    /// Those that stand there.
    pub state: Option<MissionState>,
}

/// A mission of a tenant.
///
/// # Errors
/// [`ViewError`] when view or keys cannot be read.
pub fn mission(reading: &Reading<'_>, tenant: TenantId, id: MissionId) -> Result<Option<MissionView>, ViewError> {
    let found = MISSIONS.get_versioned(reading.execution, id)?.filter(|it| it.value.tenant == tenant);
    let Some(Versioned { seq, value }) = found else { return Ok(None) };
    let terms: Option<MissionTerms> = match &value.terms {
        Some(terms) => reading.opener.open(tenant, Kind::MissionOpened, "terms", terms)?,
        None => None,
    };
    let end = ending(reading, &value)?;
    Ok(Some(MissionView {
        id,
        tenant,
        agent: value.agent,
        implicit: value.implicit,
        key: value.key,
        intent: terms.and_then(|terms| terms.intent),
        services: value.services,
        limits: value.limits,
        state: value.state,
        audit_chain: CHAIN_BY_MISSION.get(reading.execution, id)?,
        opened: value.opened,
        ended: value.ended,
        output: end.output,
        notes: end.notes,
        version: seq,
    }))
}

/// The mission of a tenant that a caller's own name stands for: by that name, else by the id it spells.
///
/// # Errors
/// [`ViewError`] when view or keys cannot be read.
pub fn mission_by_key(
    reading: &Reading<'_>, tenant: TenantId, namespace: &str, text: &str,
) -> Result<Option<MissionView>, ViewError> {
    match mission_id_by_key(reading, tenant, namespace, text)? {
        Some(id) => mission(reading, tenant, id),
        None => Ok(None),
    }
}

/// Likewise, its id alone. An id that the name spells can be of no mission, or of another tenant's.
///
/// # Errors
/// [`ViewError`] when the view cannot be read.
pub fn mission_id_by_key(
    reading: &Reading<'_>, tenant: TenantId, namespace: &str, text: &str,
) -> Result<Option<MissionId>, ViewError> {
    let named = MISSION_KEYS.get(reading.execution, (tenant, namespace, text))?;
    Ok(named.or_else(|| parse_any(ThingKind::Mission, text).ok().map(MissionId)))
}

/// The missions of a tenant.
///
/// # Errors
/// [`ViewError`] when view or keys cannot be read.
pub fn missions(
    reading: &Reading<'_>, tenant: TenantId, filter: MissionFilter, paging: &Paging,
) -> Result<Page<MissionView>, ViewError> {
    let (rows, list) = (reading.execution, (tenant, u8::from(filter.implicit)));
    let length = MISSION_LIST.len(rows, list)?;
    let pick = |ordinal| mission(reading, tenant, member(MISSION_LIST.get(rows, list, ordinal)?)?);
    match filter.state {
        Some(state) => paging.within(&MISSIONS_IN_STATE, rows, (list.0, list.1, state.code()), length, pick),
        None => paging.over(length, pick),
    }
}

fn ending(reading: &Reading<'_>, mission: &Mission) -> Result<MissionEnd, ViewError> {
    let kind = match mission.state {
        MissionState::Open => return Ok(MissionEnd::default()),
        MissionState::Completed => Kind::MissionCompleted,
        MissionState::Revoked => Kind::MissionRevoked,
    };
    match &mission.end {
        Some(end) => Ok(reading.opener.open(mission.tenant, kind, "end", end)?.unwrap_or_default()),
        None => Ok(MissionEnd::default()),
    }
}
