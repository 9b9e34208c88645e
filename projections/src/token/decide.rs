//! State and command to events, one function per command.

pub mod delegate;
pub mod exchange;
mod vouched;

use std::collections::HashSet;

use chancery_ledger::actor::Principal;
use chancery_ledger::body::token::{
    Grant, Profile, RevocationCause, ScopeChecked, TokenIssued, TokenRefused, TokenRevoked, TokenTerms, TokenUsed,
};
use chancery_ledger::body::{Body, Kind};
use chancery_ledger::ids::{MissionId, TenantId, ThingId, TokenId};
use chancery_ledger::link::Hash;
use chancery_ledger::time::Micros;

use super::check::{self, Use};
use super::lineage;
use super::scope;
use super::state::{CHILDREN, TOKENS, Token, newest_live, profile_code};
use crate::check::{check_len, check_optional};
use crate::command::{CheckScope, IssueToken, RevokeToken, UseToken};
use crate::context::Context;
use crate::decision::{Decided, State, Stop};
use crate::execution::decide::mission_ref::{self, Resolved};
use crate::execution::state::MissionState;
use crate::identity::decide::agent;
use crate::identity::state::GRANTS;
use crate::json::{Json, Members};
use crate::lane::orgkernel;
use crate::lane::orgkernel::token_preimage::TokenPreimage;
use crate::output::Output;
use crate::rejection::Rejection;
use crate::rows::{Order, RowsError};
use crate::trust::state::scope_rules;

/// Most scopes of one token.
const SCOPES_MAX: usize = 256;
/// Most bounds of one token.
const BOUNDS_MAX: usize = 256;
/// Longest text of immutable parameters, in bytes.
const IMMUTABLE_BYTES_MAX: usize = 16 * 1024;
/// Most tokens that one command ends by events; what is beyond dies by the state of its mission.
pub const REVOKED_AT_ONCE_MAX: usize = 1_000;

/// A token of the tenant.
///
/// # Errors
/// [`Rejection::NotFound`] when there is none.
pub fn find(state: &State<'_>, tenant: TenantId, id: TokenId) -> Result<Token, Stop> {
    let found = TOKENS.get(state.token, id)?.filter(|token| token.tenant == tenant);
    Ok(found.ok_or(Rejection::NotFound { thing: "token" })?)
}

/// Decides [`IssueToken`]: an execution token, signed by the tenant's CA (contracts/orgkernel.md section 6).
///
/// # Errors
/// [`Rejection::NotFound`], [`Rejection::AgentNotUsable`], [`Rejection::MissionEnded`],
/// [`Rejection::MissionOtherAgent`], [`Rejection::Invalid`].
pub fn issue(state: &State<'_>, command: &IssueToken, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    let immutable = check(command, ctx.now())?;
    let tenant = ctx.tenant();
    let agent = agent::find(state, tenant, command.agent)?;
    let mission = mission_ref::resolve(state, &command.mission, ctx)?;
    let refused = |why: Rejection| {
        let fact = TokenRefused {
            profile: Profile::Execution,
            agent: Some(command.agent),
            mission: mission.existing(),
            parent: None,
            why: why.code().to_owned(),
        };
        Ok(Decided::refused(tenant, vec![fact.into()], why))
    };
    match agent::check_usable(state, &agent, ctx.now()) {
        Ok(()) => {}
        Err(Stop::Refused(why)) => return refused(why),
        Err(stop) => return Err(stop),
    }
    if let Resolved::Existing(mission) = &mission {
        if mission.state != MissionState::Open {
            return refused(Rejection::MissionEnded { state: mission.state.name() });
        }
        if mission.agent.is_some_and(|only| only != command.agent) {
            return refused(Rejection::MissionOtherAgent);
        }
    }
    let token: TokenId = ctx.id()?;
    let mut events: Vec<Body> = Vec::new();
    let (mission, mission_text) = mission.open(ctx, &mut events)?;
    let ca = agent::org_ca(state, tenant)?;
    let bounds: Vec<scope::Bound<'_>> = command.bounds.iter().map(scope::Bound::of).collect();
    let preimage = TokenPreimage {
        token_id: &orgkernel::ids::render_token(token),
        agent_id: &orgkernel::ids::render_agent(command.agent),
        mission_id: &mission_text,
        execution_scope: &command.scopes,
        immutable_params: &immutable,
        bounded_params: &bounds,
        issued_at: ctx.now(),
        expires_at: command.expires,
        boundary_snapshot_id: command.snapshot.as_deref(),
    }
    .canonical();
    let signature = ctx.sign_as_ca(preimage.as_bytes())?.ok_or(RowsError::Missing("the tenant's CA key"))?;
    let terms = TokenTerms { intent: None, immutable: command.immutable.clone(), bounds: command.bounds.clone() };
    let issued = TokenIssued {
        token,
        profile: Profile::Execution,
        grant: Grant::Issue,
        principal: Principal::Agent(command.agent),
        agent: Some(command.agent),
        mission: Some(mission),
        execution: None,
        session: None,
        parent: None,
        root: token,
        depth: 0,
        replaces: None,
        audience: Vec::new(),
        scopes: command.scopes.clone(),
        services: Vec::new(),
        terms: Some(ctx.encrypt(Kind::TokenIssued, "terms", mission.subject(), &terms)?),
        interval: None,
        accountability: None,
        expires: command.expires,
        max_uses: None,
        hash: None,
        cnf: None,
        key: Some(ca.key),
        signature: Some(signature),
        snapshot: command.snapshot.clone(),
    };
    events.push(issued.into());
    Ok(Decided::facts(tenant, events))
}

/// Decides [`UseToken`]: a mark; it authorises nothing and never revives.
///
/// # Errors
/// [`Rejection::NotFound`].
pub fn mark_used(state: &State<'_>, command: &UseToken, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    let token = find(state, ctx.tenant(), command.token)?;
    if token.used {
        return Ok(Decided::unchanged(Output::Token(Box::new(token))));
    }
    Ok(Decided::facts(ctx.tenant(), vec![TokenUsed { token: token.token }.into()]))
}

/// Decides [`RevokeToken`]: the token and all that were derived from it, in one commit.
///
/// # Errors
/// [`Rejection::NotFound`], [`Rejection::NotOwner`], [`Rejection::Invalid`].
pub fn revoke(state: &State<'_>, command: &RevokeToken, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    check_optional("reason", command.reason.as_deref(), 500)?;
    let token = find(state, ctx.tenant(), command.token)?;
    if let (Profile::Delegation, Principal::Agent(caller)) = (token.profile, &ctx.caller().actor.principal) {
        let lender = lineage::delegator(state.token, &token)?;
        if lender != Some(*caller) && token.principal != Principal::Agent(*caller) {
            return Err(Rejection::NotOwner { thing: "token" }.into());
        }
    }
    if token.revoked.is_some() {
        return Ok(Decided::unchanged(Output::Token(Box::new(token))));
    }
    check_owner(state, &token, ctx)?;
    let first = token.token;
    let mut events = Vec::new();
    let mut waiting = vec![token];
    while let Some(token) = waiting.pop() {
        let cause = if token.token == first { RevocationCause::Requested } else { RevocationCause::Ancestor };
        // Those beyond are dead by their ancestor's state, without an event of their own.
        let room = REVOKED_AT_ONCE_MAX.saturating_sub(events.len() + waiting.len() + 1);
        for (_, child) in CHILDREN.page(state.token, token.token, Order::Descending, 0, room)? {
            waiting.extend(TOKENS.get(state.token, child)?.filter(|child| child.is_live(ctx.now())));
        }
        events.push(revoked(&token, cause, first, command.reason.as_deref(), ctx)?);
    }
    Ok(Decided::facts(ctx.tenant(), events))
}

/// Checks that the caller may end a token: an agent its own, an administrator those of all, and who is no agent has its
/// right from its credential's scopes alone.
fn check_owner(state: &State<'_>, token: &Token, ctx: &Context<'_>) -> Result<(), Stop> {
    let Principal::Agent(own) = ctx.caller().actor.principal else { return Ok(()) };
    let is_its = token.agent == Some(own) || token.principal == Principal::Agent(own);
    if is_its || GRANTS.get(state.identity, own)?.is_some_and(|granted| granted.administrator) {
        return Ok(());
    }
    Err(Rejection::NotOwner { thing: "token" }.into())
}

/// The events that end the live tokens of a mission, newest first.
///
/// # Errors
/// [`Stop`] when views or keys cannot be read.
pub fn end_mission_tokens(state: &State<'_>, mission: MissionId, ctx: &mut Context<'_>) -> Result<Vec<Body>, Stop> {
    let list = (mission, profile_code(Profile::Execution));
    let mut before = u64::MAX;
    let mut events = Vec::new();
    while events.len() < REVOKED_AT_ONCE_MAX
        && let Some((ordinal, token)) = newest_live(state.token, list, before, ctx.now())?
    {
        before = ordinal;
        events.push(revoked(&token, RevocationCause::Mission, token.token, None, ctx)?);
    }
    Ok(events)
}

/// Decides [`CheckScope`], in the order of contracts/orgkernel.md section 6. A denial is an answer, and a fact.
///
/// # Errors
/// [`Rejection::Invalid`].
pub fn check_scope(state: &State<'_>, command: &CheckScope, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    check_len("tool", &command.tool, 1, 128)?;
    let params = Json::parse_members(command.params.as_str())
        .map_err(|error| Rejection::Invalid { field: "params", why: error.to_string() })?;
    let Some(token) = TOKENS.get(state.token, command.token)?.filter(|token| token.tenant == ctx.tenant()) else {
        let violations = vec![check::DEAD.to_owned()];
        return Ok(Decided::unchanged(Output::ScopeCheck { passed: false, violations }));
    };
    let rules = match token.agent {
        Some(agent) => scope_rules(state.trust, token.tenant, agent)?,
        None => None,
    };
    let asked = Use { token: &token, tool: &command.tool, params: &params, claimed: command.agent.as_deref() };
    let violations = asked.violations(state, &ctx.opener(), ctx.now(), rules.as_ref())?;
    let owner = token.mission.map_or(token.tenant.subject(), ThingId::subject);
    let checked = ScopeChecked {
        token: token.token,
        agent: token.agent,
        mission: token.mission,
        tool: command.tool.clone(),
        passed: violations.is_empty(),
        violations,
        params: Some(ctx.encrypt(Kind::ScopeChecked, "params", owner, &command.params.0)?),
        params_hash: Hash(blake3::derive_key("chancery 2026 scope check parameters v1", command.params.0.as_bytes())),
    };
    Ok(Decided::facts(ctx.tenant(), vec![checked.into()]))
}

fn revoked(
    token: &Token, cause: RevocationCause, first: TokenId, reason: Option<&str>, ctx: &mut Context<'_>,
) -> Result<Body, Stop> {
    let owner = token.agent.map_or(token.tenant.subject(), ThingId::subject);
    let reason = match reason {
        Some(reason) => Some(ctx.encrypt(Kind::TokenRevoked, "reason", owner, &reason.to_owned())?),
        None => None,
    };
    Ok(TokenRevoked { token: token.token, agent: token.agent, cause, first, reason }.into())
}

fn check(command: &IssueToken, now: Micros) -> Result<Members, Rejection> {
    let scopes: HashSet<&String> = command.scopes.iter().collect();
    if command.scopes.is_empty() || command.scopes.len() > SCOPES_MAX || scopes.len() != command.scopes.len() {
        let why = format!("must be 1 to {SCOPES_MAX} distinct texts");
        return Err(Rejection::Invalid { field: "scopes", why });
    }
    command.scopes.iter().try_for_each(|scope| check_len("scopes", scope, 1, 128))?;
    check_optional("snapshot", command.snapshot.as_deref(), 32)?;
    if command.expires <= now {
        return Err(Rejection::Invalid { field: "expires", why: "must lie in the future".into() });
    }
    if command.bounds.len() > BOUNDS_MAX {
        return Err(Rejection::Invalid { field: "bounds", why: format!("at most {BOUNDS_MAX}") });
    }
    for bound in &command.bounds {
        check_len("bounds.name", &bound.name, 1, 128)?;
        check_optional("bounds.unit", bound.unit.as_deref(), 64)?;
        let finite = [bound.lower, bound.upper].into_iter().flatten().all(f64::is_finite);
        let ordered = bound.lower.zip(bound.upper).is_none_or(|(lower, upper)| lower <= upper);
        if !finite || !ordered {
            let why = "ends must be finite, the upper not below the lower".into();
            return Err(Rejection::Invalid { field: "bounds", why });
        }
    }
    if command.immutable.as_str().len() > IMMUTABLE_BYTES_MAX {
        return Err(Rejection::Invalid { field: "immutable", why: format!("at most {IMMUTABLE_BYTES_MAX} bytes") });
    }
    Json::parse_members(command.immutable.as_str())
        .map_err(|error| Rejection::Invalid { field: "immutable", why: error.to_string() })
}
