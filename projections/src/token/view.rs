//! What readers ask of tokens, now and as of a past event. Another tenant's token is as one that does not exist.

use chancery_ledger::actor::Principal;
use chancery_ledger::body::Kind;
use chancery_ledger::body::execution::ExternalKey;
use chancery_ledger::body::field::{JsonText, Signature};
use chancery_ledger::body::token::{Bound, Profile, TokenTerms};
use chancery_ledger::ids::{AgentId, KeyId, MissionId, Seq, TenantId, TokenId};
use chancery_ledger::time::Micros;
use schemars::JsonSchema;
use serde::Serialize;

use super::lineage;
use super::state::{
    LIVE_IN_MISSION, TOKENS, TOKENS_BY_AGENT, TOKENS_BY_MISSION, TOKENS_BY_TENANT, Token, newest_live, profile_code,
};
use crate::execution::state::{MISSIONS, Mission, MissionState};
use crate::identity::state::AGENTS;
use crate::identity::view::{Surroundings, member};
use crate::rows::table::{DenseList, Key, Versioned};
use crate::rows::{Order, RowsError};
use crate::view::{NumberedPage, Page, PageNumber, Paging, Reading, ViewError};

/// A token.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct TokenView {
    /// Its id.
    pub id: TokenId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its sort.
    pub profile: Profile,
    /// Whose right it is.
    pub principal: Principal,
    /// Its agent.
    pub agent: Option<AgentId>,
    /// Its mission.
    pub mission: Option<MissionId>,
    /// The caller's own name for the mission.
    pub mission_key: Option<ExternalKey>,
    /// The token it was derived from.
    pub parent: Option<TokenId>,
    /// 0 for a root, else its parent's and one.
    pub depth: u8,
    /// Who is to accept it.
    pub audience: Vec<String>,
    /// What it allows, in the order asked.
    pub scopes: Vec<String>,
    /// What it is for; `null` when nobody said, or it was erased.
    pub intent: Option<String>,
    /// Parameters that must be exactly these; `null` when erased.
    pub immutable: Option<JsonText>,
    /// Parameters that must lie within these; `null` when erased.
    pub bounds: Option<Vec<Bound>>,
    /// Since when.
    pub issued: Micros,
    /// The last instant at which it is live.
    pub expires: Micros,
    /// The key that signed it.
    pub key: Option<KeyId>,
    /// Its signature.
    pub signature: Option<Signature>,
    /// The caller's name for its limits.
    pub snapshot: Option<String>,
    /// Whether it was marked used.
    pub used: bool,
    /// When it was revoked.
    pub revoked: Option<Micros>,
    /// Why; `null` when nobody said, or it was erased.
    pub revocation_reason: Option<String>,
    /// Whether the token itself is good: not used, not revoked, not expired.
    pub valid: bool,
    /// Whether it can be used: it is valid, its agent may act, and its mission is open.
    pub live: bool,
    /// Why it is not live: `revoked`, `used`, `expired`, `mission_ended`, or what makes its agent unusable.
    pub dead_because: Option<&'static str>,
    /// The event that last changed it, for `If-Match`.
    pub version: Seq,
}

/// Which tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenFilter {
    /// Their sort.
    pub profile: Profile,
    /// Those of an agent.
    pub agent: Option<AgentId>,
    /// Those of a mission.
    pub mission: Option<MissionId>,
    /// Those that are live, or those that are not.
    pub live: Option<bool>,
}

impl Default for TokenFilter {
    fn default() -> Self {
        Self { profile: Profile::Execution, agent: None, mission: None, live: None }
    }
}

/// Whose tokens a page by number holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokensOf {
    /// A mission's.
    Mission(MissionId),
    /// An agent's.
    Agent(AgentId),
}

/// A token of a tenant.
///
/// # Errors
/// [`ViewError`] when views or keys cannot be read.
pub fn token(reading: &Reading<'_>, tenant: TenantId, id: TokenId) -> Result<Option<TokenView>, ViewError> {
    render(reading, &mut Surroundings::of(reading, tenant), tenant, id)
}

/// The tokens of a tenant.
///
/// # Errors
/// [`ViewError`] when views or keys cannot be read.
pub fn tokens(
    reading: &Reading<'_>, tenant: TenantId, filter: &TokenFilter, paging: &Paging,
) -> Result<Page<TokenView>, ViewError> {
    let rows = reading.token;
    let mut around = Surroundings::of(reading, tenant);
    let mut pick = |found: Option<TokenId>| {
        let token = render(reading, &mut around, tenant, member(found)?)?;
        Ok(token.filter(|token| {
            token.profile == filter.profile
                && filter.agent.is_none_or(|agent| token.agent == Some(agent))
                && filter.mission.is_none_or(|mission| token.mission == Some(mission))
                && filter.live.is_none_or(|live| token.live == live)
        }))
    };
    if let Some(mission) = filter.mission {
        let list = (mission, profile_code(filter.profile));
        let length = TOKENS_BY_MISSION.len(rows, list)?;
        let pick = |ordinal| pick(TOKENS_BY_MISSION.get(rows, list, ordinal)?);
        match filter.live {
            Some(true) => paging.within(&LIVE_IN_MISSION, rows, list, length, pick),
            Some(false) | None => paging.over(length, pick),
        }
    } else if let Some(agent) = filter.agent {
        let list = (agent, profile_code(filter.profile));
        paging.over(TOKENS_BY_AGENT.len(rows, list)?, |ordinal| pick(TOKENS_BY_AGENT.get(rows, list, ordinal)?))
    } else {
        paging.over(TOKENS_BY_TENANT.len(rows, tenant)?, |ordinal| pick(TOKENS_BY_TENANT.get(rows, tenant, ordinal)?))
    }
}

/// A page by number of an agent's or a mission's tokens of one sort, newest first; empty for another tenant's.
///
/// # Errors
/// [`ViewError`] when views or keys cannot be read.
pub fn tokens_page(
    reading: &Reading<'_>, tenant: TenantId, profile: Profile, of: TokensOf, page: PageNumber,
) -> Result<NumberedPage<TokenView>, ViewError> {
    let code = profile_code(profile);
    match of {
        TokensOf::Mission(id) => match mission(reading, tenant, id)? {
            Some(_) => numbered(reading, tenant, &TOKENS_BY_MISSION, (id, code), page),
            None => Ok(NumberedPage { items: Vec::new(), total: 0 }),
        },
        TokensOf::Agent(id) => match AGENTS.get(reading.identity, id)?.filter(|agent| agent.tenant == tenant) {
            Some(_) => numbered(reading, tenant, &TOKENS_BY_AGENT, (id, code), page),
            None => Ok(NumberedPage { items: Vec::new(), total: 0 }),
        },
    }
}

/// The newest token of a mission that is valid, as far as the token itself goes.
///
/// # Errors
/// [`ViewError`] when views or keys cannot be read.
pub fn newest_valid_token(
    reading: &Reading<'_>, tenant: TenantId, profile: Profile, mission_id: MissionId,
) -> Result<Option<TokenView>, ViewError> {
    if mission(reading, tenant, mission_id)?.is_none() {
        return Ok(None);
    }
    match newest_live(reading.token, (mission_id, profile_code(profile)), u64::MAX, reading.now)? {
        Some((_, found)) => token(reading, tenant, found.token),
        None => Ok(None),
    }
}

fn numbered<K: Key + Copy>(
    reading: &Reading<'_>, tenant: TenantId, list: &DenseList<TokenId>, key: K, page: PageNumber,
) -> Result<NumberedPage<TokenView>, ViewError> {
    let mut around = Surroundings::of(reading, tenant);
    let mut items = Vec::new();
    for (_, id) in list.page(reading.token, key, Order::Descending, page.skip(), page.size)? {
        items.extend(render(reading, &mut around, tenant, id)?);
    }
    Ok(NumberedPage { items, total: list.len(reading.token, key)? })
}

fn render(
    reading: &Reading<'_>, around: &mut Surroundings<'_>, tenant: TenantId, id: TokenId,
) -> Result<Option<TokenView>, ViewError> {
    let found = TOKENS.get_versioned(reading.token, id)?.filter(|it| it.value.tenant == tenant);
    let Some(Versioned { seq, value: token }) = found else { return Ok(None) };
    let mission = match token.mission {
        Some(id) => Some(mission(reading, tenant, id)?.ok_or(RowsError::Missing("a mission"))?),
        None => None,
    };
    let terms: Option<TokenTerms> = match &token.terms {
        Some(terms) => reading.opener.open(tenant, Kind::TokenIssued, "terms", terms)?,
        None => None,
    };
    let reason: Option<String> = match token.revoked.as_ref().and_then(|revoked| revoked.reason.as_ref()) {
        Some(reason) => reading.opener.open(tenant, Kind::TokenRevoked, "reason", reason)?,
        None => None,
    };
    let dead_because = dead_because(reading, around, &token, mission.as_ref())?;
    let (intent, immutable, bounds) =
        terms.map_or((None, None, None), |terms| (terms.intent, Some(terms.immutable), Some(terms.bounds)));
    Ok(Some(TokenView {
        id,
        tenant,
        profile: token.profile,
        valid: token.is_live(reading.now),
        principal: token.principal,
        agent: token.agent,
        mission: token.mission,
        mission_key: mission.and_then(|mission| mission.key),
        parent: token.parent,
        depth: token.depth,
        audience: token.audience,
        scopes: token.scopes,
        intent,
        immutable,
        bounds,
        issued: token.issued,
        expires: token.expires,
        key: token.key,
        signature: token.signature,
        snapshot: token.snapshot,
        used: token.used,
        revoked: token.revoked.map(|revoked| revoked.at),
        revocation_reason: reason,
        live: dead_because.is_none(),
        dead_because,
        version: seq,
    }))
}

fn dead_because(
    reading: &Reading<'_>, around: &mut Surroundings<'_>, token: &Token, mission: Option<&Mission>,
) -> Result<Option<&'static str>, ViewError> {
    if token.revoked.is_some() {
        return Ok(Some("revoked"));
    }
    if token.used {
        return Ok(Some("used"));
    }
    if reading.now > token.expires {
        return Ok(Some("expired"));
    }
    if mission.is_some_and(|mission| mission.state != MissionState::Open) {
        return Ok(Some("mission_ended"));
    }
    lineage::unusable(reading, around, token)
}

fn mission(reading: &Reading<'_>, tenant: TenantId, id: MissionId) -> Result<Option<Mission>, ViewError> {
    Ok(MISSIONS.get(reading.execution, id)?.filter(|mission| mission.tenant == tenant))
}
