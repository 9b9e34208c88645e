//! Delegation: an agent lends another what its token allows, or less; and the exchange of what was lent for an access
//! token (RFC 8693). In both, the new token is derived from the old one: never more, never longer lived than what it is
//! derived from, dead with it.
//!
//! One thing lives longer than what it was made with: a delegation by an agent of its own right, since that agent could
//! make it anew with its next token. It still ends when the token it was made with is revoked.

use chancery_ledger::actor::Principal;
use chancery_ledger::body::Body;
use chancery_ledger::body::token::{Grant, Profile, TokenIssued, TokenRefused};
use chancery_ledger::ids::AgentId;
use chancery_ledger::time::Micros;

use super::exchange::{LIFE_SECS, expiry, not_given, scopes_refused, signing_key};
use super::find;
use crate::command::{DelegateToken, ExchangeToken, SubjectToken};
use crate::context::Context;
use crate::credential::{new_delegation_secret, secret_hash};
use crate::decision::{Decided, State, Stop};
use crate::identity::decide::agent;
use crate::identity::state::Agent;
use crate::rejection::Rejection;
use crate::token::lineage::{DEPTH_MAX, TOKEN_HASHES, ancestors, parties};
use crate::token::state::{TOKENS, Token};

/// Shortest life of a delegation, in seconds.
pub const TTL_MIN_SECS: u64 = 60;
/// Longest life of a delegation, in seconds.
pub const TTL_MAX_SECS: u64 = 86_400;
/// Most scopes of one delegation.
const SCOPES_MAX: usize = 32;

/// Decides [`DelegateToken`].
///
/// # Errors
/// In this order: [`Rejection::Invalid`], [`Rejection::TtlOutOfRange`], [`Rejection::NotFound`],
/// [`Rejection::SelfDelegation`], [`Rejection::TokenDead`], [`Rejection::AgentNotUsable`], [`Rejection::ScopeNotHeld`],
/// [`Rejection::DepthExceeded`]. The last four are facts.
pub fn delegate(state: &State<'_>, command: &DelegateToken, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    let distinct = command.scopes.iter().enumerate().all(|(at, scope)| !command.scopes[..at].contains(scope));
    if !(1..=SCOPES_MAX).contains(&command.scopes.len()) || !distinct {
        let why = format!("must be 1 to {SCOPES_MAX} distinct texts");
        return Err(Rejection::Invalid { field: "scopes", why }.into());
    }
    if !(TTL_MIN_SECS..=TTL_MAX_SECS).contains(&command.ttl_secs) {
        return Err(Rejection::TtlOutOfRange { min: TTL_MIN_SECS, max: TTL_MAX_SECS }.into());
    }
    let parent = find(state, ctx.tenant(), command.parent)?;
    let Some(holder) = parent.agent.filter(|agent| parent.profile == Profile::Access && may_use(*agent, ctx)) else {
        return Err(Rejection::NotFound { thing: "token" }.into());
    };
    let delegatee = agent::find(state, ctx.tenant(), command.delegatee)?;
    if delegatee.agent == holder || parent.principal == Principal::Agent(delegatee.agent) {
        return Err(Rejection::SelfDelegation.into());
    }
    let refused = |why: Rejection| {
        let (agent, parent, code) = (Some(delegatee.agent), Some(parent.token), why.code().to_owned());
        let fact = TokenRefused { profile: Profile::Delegation, agent, mission: None, parent, why: code };
        Ok(Decided::refused(delegatee.tenant, vec![fact.into()], why))
    };
    if !lives(state, &parent, ctx.now())? {
        return refused(Rejection::TokenDead);
    }
    match agent::check_usable(state, &delegatee, ctx.now()) {
        Ok(()) => {}
        Err(Stop::Refused(why)) => return refused(why),
        Err(stop) => return Err(stop),
    }
    if let Some(scope) = command.scopes.iter().find(|scope| !parent.scopes.contains(scope)) {
        return refused(Rejection::ScopeNotHeld { scope: scope.clone() });
    }
    if parent.depth >= DEPTH_MAX {
        return refused(Rejection::DepthExceeded { max: DEPTH_MAX });
    }
    let secret = new_delegation_secret(ctx)?;
    let asked = ctx.now().plus_secs(i64::try_from(command.ttl_secs).unwrap_or(i64::MAX));
    let expires = if parent.parent.is_some() { asked.min(parent.expires) } else { asked };
    let (scopes, hash) = (command.scopes.clone(), Some(secret_hash(&secret)));
    let shape = Shape { profile: Profile::Delegation, grant: Grant::Delegate, scopes, expires };
    let mut issued = derived(state, &parent, delegatee.agent, shape, ctx)?;
    issued.hash = hash;
    Ok(Decided::shown(ctx.tenant(), vec![Body::from(issued)], Some(secret)))
}

/// The exchange of a token for an access token by which a client acts for the token's principal, decided once the client
/// has proved who it is.
///
/// # Errors
/// [`Rejection::GrantInvalid`], [`Rejection::ScopeNotHeld`], [`Rejection::DepthExceeded`]: all are facts.
pub(super) fn exchange(
    state: &State<'_>, command: &ExchangeToken, client: &Agent, subject: &SubjectToken, ctx: &mut Context<'_>,
) -> Result<Decided, Stop> {
    let found = match subject {
        SubjectToken::Delegation(text) => TOKEN_HASHES.get(state.token, secret_hash(&text.0))?,
        SubjectToken::Access(id) => Some(*id),
    };
    let parent = match found {
        Some(id) => TOKENS.get(state.token, id)?.filter(|token| token.tenant == ctx.tenant()),
        None => None,
    };
    let parent = parent.filter(|parent| match subject {
        // What was lent to one agent is nothing in another's hands.
        SubjectToken::Delegation(_) => parent.profile == Profile::Delegation && parent.agent == Some(client.agent),
        SubjectToken::Access(_) => parent.profile == Profile::Access && matches!(parent.principal, Principal::Agent(_)),
    });
    let Some(parent) = parent else {
        return Ok(not_given(ctx.tenant(), client.agent, None, Rejection::GrantInvalid));
    };
    let (tenant, parent_id) = (ctx.tenant(), parent.token);
    let refused = |why| Ok(not_given(tenant, client.agent, Some(parent_id), why));
    if !lives(state, &parent, ctx.now())? {
        return refused(Rejection::GrantInvalid);
    }
    if let Some(scope) = command.scopes.iter().find(|scope| !parent.scopes.contains(scope)) {
        return refused(Rejection::ScopeNotHeld { scope: scope.clone() });
    }
    if parent.depth >= DEPTH_MAX {
        return refused(Rejection::DepthExceeded { max: DEPTH_MAX });
    }
    let scopes = if command.scopes.is_empty() { parent.scopes.clone() } else { command.scopes.clone() };
    // What its principal may no longer ask for itself, nobody gets in its name.
    if let Principal::Agent(principal) = parent.principal {
        let principal = agent::find(state, tenant, principal)?;
        if let Some(why) = scopes_refused(state, &principal, &scopes)? {
            return refused(why);
        }
    }
    let expires = expiry(ctx.now(), LIFE_SECS).min(parent.expires);
    let shape = Shape { profile: Profile::Access, grant: Grant::Exchange, scopes, expires };
    let mut issued = derived(state, &parent, client.agent, shape, ctx)?;
    issued.audience.clone_from(&command.audience);
    (issued.cnf, issued.key) = (command.cnf, Some(signing_key(state, command.signer)?));
    Ok(Decided::facts(ctx.tenant(), vec![Body::from(issued)]))
}

/// What a derived token has of its own.
struct Shape {
    profile: Profile,
    grant: Grant,
    scopes: Vec<String>,
    expires: Micros,
}

fn derived(
    state: &State<'_>, parent: &Token, agent: AgentId, shape: Shape, ctx: &mut Context<'_>,
) -> Result<TokenIssued, Stop> {
    let Shape { profile, grant, scopes, expires } = shape;
    let root = ancestors(state.token, parent)?.last().map_or(parent.token, |root| root.token);
    Ok(TokenIssued {
        token: ctx.id()?,
        profile,
        grant,
        principal: parent.principal.clone(),
        agent: Some(agent),
        mission: None,
        execution: None,
        session: None,
        parent: Some(parent.token),
        root,
        depth: parent.depth + 1,
        replaces: None,
        audience: Vec::new(),
        scopes,
        services: Vec::new(),
        terms: None,
        interval: None,
        accountability: None,
        expires,
        max_uses: None,
        hash: None,
        cnf: None,
        key: None,
        signature: None,
        snapshot: None,
    })
}

/// Whether a token, all that it was made from, and every agent of its line are good now.
fn lives(state: &State<'_>, token: &Token, now: Micros) -> Result<bool, Stop> {
    let line = super::super::lineage::line(state.token, token.clone())?;
    if now > token.expires || line.iter().any(|token| token.used || token.revoked.is_some()) {
        return Ok(false);
    }
    for id in parties(&line) {
        let agent = agent::find(state, token.tenant, id)?;
        match agent::check_usable(state, &agent, now) {
            Ok(()) => {}
            Err(Stop::Refused(_)) => return Ok(false),
            Err(stop) => return Err(stop),
        }
    }
    Ok(true)
}

/// An agent uses its own tokens; who is no agent acts for the tenant.
fn may_use(holder: AgentId, ctx: &Context<'_>) -> bool {
    match ctx.caller().actor.principal {
        Principal::Agent(caller) => caller == holder,
        Principal::Subject(_) | Principal::Anonymous => false,
        _ => true,
    }
}
