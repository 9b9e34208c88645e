//! Client secrets and what their agents may ask for; API keys; log-ins that were refused.

use chancery_ledger::actor::Principal;
use chancery_ledger::body::identity::{
    AuthenticationFailed, CredentialCreated, CredentialKind, CredentialRevoked, CredentialRotated, ScopesGranted,
};
use chancery_ledger::ids::{AgentId, CredentialId, TenantId};
use chancery_ledger::time::Micros;
use zeroize::Zeroizing;

use super::agent;
use super::tenant::{self, api_key};
use crate::check::check_len;
use crate::command::{
    CreateApiKey, CreateCredential, GrantScopes, NoteAuthentication, RevokeApiKey, RevokeCredential, RotateCredential,
};
use crate::context::{Context, ContextError};
use crate::credential::{new_client_secret, secret_hash};
use crate::decision::{Decided, State, Stop};
use crate::identity::state::{
    AGENTS, Agent, AgentStatus, CREDENTIALS, CREDENTIALS_BY_AGENT, CREDENTIALS_OF_AGENT, Credential, GRANTS,
};
use crate::output::Output;
use crate::rejection::Rejection;
use crate::rows::subset::Span;
use crate::rows::{Order, RowsError};
use crate::scope::Scope;
use crate::token::decide::exchange::harmless;

/// The mounts a credential can open.
pub const MOUNTS: &[&str] = &["native", "orgkernel", "agentidp", "alsorn"];

/// Most client secrets of one agent that are not revoked: all of them end in one commit with the agent.
const SECRETS_MAX: usize = 100;
/// Why a credential is revoked whose agent is decommissioned.
pub const AGENT_ENDED: &str = "agent.decommissioned";

/// A credential of the tenant.
///
/// # Errors
/// [`Rejection::NotFound`] when there is none.
pub fn find(state: &State<'_>, tenant: TenantId, id: CredentialId) -> Result<Credential, Stop> {
    let found = CREDENTIALS.get(state.identity, id)?.filter(|credential| credential.tenant == tenant);
    Ok(found.ok_or(Rejection::NotFound { thing: "credential" })?)
}

/// The client secrets of an agent that are not revoked; expired ones too.
///
/// # Errors
/// [`Stop::Rows`] when rows cannot be read.
pub fn live_of_agent(state: &State<'_>, agent: AgentId) -> Result<Vec<Credential>, Stop> {
    let rows = state.identity;
    let length = CREDENTIALS_BY_AGENT.len(rows, agent)?;
    let all = Span { order: Order::Ascending, after: None, skip: 0, limit: SECRETS_MAX };
    let mut found = Vec::new();
    for ordinal in CREDENTIALS_OF_AGENT.page(rows, (agent, Credential::ACTIVE), length, all)? {
        let id = CREDENTIALS_BY_AGENT.get(rows, agent, ordinal)?.ok_or(RowsError::Missing("a list's member"))?;
        found.push(CREDENTIALS.get(rows, id)?.ok_or(RowsError::Missing("a credential"))?);
    }
    Ok(found)
}

/// Decides [`CreateCredential`].
///
/// # Errors
/// [`Rejection::NotFound`], [`Rejection::NotOwner`], [`Rejection::AgentNotUsable`], [`Rejection::LimitReached`],
/// [`Rejection::Invalid`].
pub fn create(state: &State<'_>, command: &CreateCredential, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    check_expiry(command.expires, ctx)?;
    let agent = agent::find(state, ctx.tenant(), command.agent)?;
    check_owner(state, &agent, "credential", command.as_administrator, ctx)?;
    agent::check_usable(state, &agent, ctx.now())?;
    let length = CREDENTIALS_BY_AGENT.len(state.identity, agent.agent)?;
    let live = CREDENTIALS_OF_AGENT.len(state.identity, (agent.agent, Credential::ACTIVE), length)?;
    if live >= SECRETS_MAX as u64 {
        return Err(Rejection::LimitReached { limit: "credentials of one agent", max: SECRETS_MAX }.into());
    }
    let (created, secret) = client_secret(agent.agent, command.expires, ctx)?;
    Ok(Decided::shown(ctx.tenant(), vec![created.into()], Some(secret)))
}

/// A new client secret of an agent, and the event that makes it.
///
/// # Errors
/// [`ContextError`] when randomness is not to be had.
pub fn client_secret(
    agent: AgentId, expires: Option<Micros>, ctx: &mut Context<'_>,
) -> Result<(CredentialCreated, Zeroizing<String>), ContextError> {
    let secret = new_client_secret(ctx)?;
    let created = CredentialCreated {
        credential: ctx.id()?,
        principal: Principal::Agent(agent),
        kind: CredentialKind::ClientSecret,
        name: None,
        hash: secret_hash(&secret),
        scopes: Vec::new(),
        audience: vec!["agentidp".to_owned()],
        expires,
    };
    Ok((created, secret))
}

/// Decides [`RotateCredential`].
///
/// # Errors
/// [`Rejection::NotFound`], [`Rejection::NotOwner`], [`Rejection::CredentialRevoked`], [`Rejection::AgentNotUsable`],
/// [`Rejection::Invalid`].
pub fn rotate(state: &State<'_>, command: &RotateCredential, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    let expires = command.expires.flatten();
    check_expiry(expires, ctx)?;
    let (credential, agent) = secret_of(state, command.credential, command.agent, ctx)?;
    check_owner(state, &agent, "credential", command.as_administrator, ctx)?;
    if credential.revoked.is_some() {
        return Err(Rejection::CredentialRevoked.into());
    }
    agent::check_usable(state, &agent, ctx.now())?;
    let secret = new_client_secret(ctx)?;
    let rotated = CredentialRotated {
        credential: credential.credential,
        principal: credential.principal,
        hash: secret_hash(&secret),
        expires: if command.expires.is_some() { expires } else { credential.expires },
    };
    Ok(Decided::shown(ctx.tenant(), vec![rotated.into()], Some(secret)))
}

/// Decides [`RevokeCredential`].
///
/// # Errors
/// [`Rejection::NotFound`], [`Rejection::NotOwner`], [`Rejection::CredentialRevoked`], [`Rejection::Invalid`].
pub fn revoke(state: &State<'_>, command: &RevokeCredential, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    check_len("cause", &command.cause, 1, 128)?;
    let (credential, agent) = secret_of(state, command.credential, command.agent, ctx)?;
    check_owner(state, &agent, "credential", command.as_administrator, ctx)?;
    if credential.revoked.is_some() {
        return Err(Rejection::CredentialRevoked.into());
    }
    let event = CredentialRevoked {
        credential: credential.credential,
        principal: credential.principal,
        cause: command.cause.clone(),
    };
    Ok(Decided::facts(ctx.tenant(), vec![event.into()]))
}

/// Decides [`GrantScopes`].
///
/// # Errors
/// [`Rejection::NotFound`], [`Rejection::AgentDecommissioned`], [`Rejection::ScopeUnknown`],
/// [`Rejection::ScopeNotHeld`], [`Rejection::NotRoot`].
pub fn grant(state: &State<'_>, command: &GrantScopes, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    let mut scopes: Vec<String> = Vec::new();
    for text in &command.scopes {
        let allowed = Scope::allowed_by(text).ok_or_else(|| Rejection::ScopeUnknown { scope: text.clone() })?;
        check_root(state, allowed, ctx)?;
        check_held(state, allowed, ctx)?;
        if !scopes.contains(text) {
            scopes.push(text.clone());
        }
    }
    let agent = agent::find(state, ctx.tenant(), command.agent)?;
    if agent.status == AgentStatus::Decommissioned {
        return Err(Rejection::AgentDecommissioned.into());
    }
    let administrator = command.administrator;
    let is_so = match GRANTS.get(state.identity, agent.agent)? {
        Some(granted) => granted.scopes == scopes && granted.administrator == administrator,
        None => scopes.is_empty() && !administrator,
    };
    if is_so {
        return Ok(Decided::unchanged(Output::Agent(Box::new(agent))));
    }
    let event = ScopesGranted { principal: Principal::Agent(agent.agent), scopes, administrator };
    Ok(Decided::facts(ctx.tenant(), vec![event.into()]))
}

/// A client secret, and the agent whose it is; under another agent's name there is none.
fn secret_of(
    state: &State<'_>, id: CredentialId, wanted: Option<AgentId>, ctx: &Context<'_>,
) -> Result<(Credential, Agent), Stop> {
    let named = wanted.map(|id| agent::find(state, ctx.tenant(), id)).transpose()?;
    let none = Rejection::NotFound { thing: "credential" };
    let credential = find(state, ctx.tenant(), id)?;
    let Some(holder) = credential.agent() else { return Err(none.into()) };
    match named {
        Some(agent) if agent.agent == holder => Ok((credential, agent)),
        Some(_) => Err(none.into()),
        None => Ok((credential, agent::find(state, ctx.tenant(), holder)?)),
    }
}

/// Checks that the caller may manage what lets in as an agent: an agent its own, an administrator those of all, whom an
/// issuer vouches for those of agents that it registered, and who is no agent has its right from its credential's scopes
/// alone.
pub(super) fn check_owner(
    state: &State<'_>, agent: &Agent, thing: &'static str, as_administrator: bool, ctx: &Context<'_>,
) -> Result<(), Stop> {
    let caller = &ctx.caller().actor.principal;
    let is_allowed = match caller {
        Principal::Agent(own) if *own == agent.agent || as_administrator => true,
        Principal::Agent(own) => GRANTS.get(state.identity, *own)?.is_some_and(|granted| granted.administrator),
        Principal::System | Principal::Tenant(_) | Principal::Member(_) | Principal::Client(_) => true,
        Principal::Subject(_) => agent.owner == *caller,
        Principal::Anonymous | Principal::Execution(_) => false,
    };
    if is_allowed { Ok(()) } else { Err(Rejection::NotOwner { thing }.into()) }
}

fn check_expiry(expires: Option<Micros>, ctx: &Context<'_>) -> Result<(), Rejection> {
    if expires.is_some_and(|expires| expires <= ctx.now()) {
        return Err(Rejection::Invalid { field: "expires", why: "must lie in the future".into() });
    }
    Ok(())
}

/// Checks that a tenant's principals can have scopes.
fn check_root(state: &State<'_>, scopes: &[Scope], ctx: &Context<'_>) -> Result<(), Stop> {
    if scopes.iter().any(|scope| scope.is_root_only()) && !tenant::find(state, ctx.tenant())?.root {
        return Err(Rejection::NotRoot.into());
    }
    Ok(())
}

/// Checks that the caller has scopes that it would give: by its credential, or an agent by what was granted to it.
fn check_held(state: &State<'_>, scopes: &[Scope], ctx: &Context<'_>) -> Result<(), Stop> {
    let actor = &ctx.caller().actor;
    let held: Vec<Scope> = match (actor.credential, &actor.principal) {
        (Some(id), _) => {
            let own = find(state, ctx.caller().tenant, id)?;
            own.scopes.iter().filter_map(|text| Scope::parse(text)).collect()
        }
        (None, Principal::Agent(agent)) => {
            GRANTS.get(state.identity, *agent)?.map(|granted| granted.allows()).unwrap_or_default()
        }
        (None, _) => return Ok(()),
    };
    match scopes.iter().find(|scope| !held.contains(scope)) {
        Some(scope) => Err(Rejection::ScopeNotHeld { scope: scope.text().to_owned() }.into()),
        None => Ok(()),
    }
}

/// Decides [`CreateApiKey`]: a key of the caller's own principal, with nothing the caller does not hold itself.
///
/// # Errors
/// [`Rejection::ScopeNotHeld`], [`Rejection::ScopeUnknown`], [`Rejection::NotRoot`], [`Rejection::Invalid`].
pub fn create_api_key(state: &State<'_>, command: &CreateApiKey, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    check_len("name", &command.name, 1, 128)?;
    if command.scopes.is_empty() {
        return Err(Rejection::Invalid { field: "scopes", why: "name at least one scope".into() }.into());
    }
    let mut scopes = Vec::new();
    for text in &command.scopes {
        let scope = Scope::parse(text).ok_or_else(|| Rejection::ScopeUnknown { scope: text.clone() })?;
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    let mut audience: Vec<&str> = Vec::new();
    for text in &command.audience {
        let Some(mount) = MOUNTS.iter().find(|mount| *mount == text) else {
            let why = format!("`{text}` is no mount; the mounts are {}", MOUNTS.join(", "));
            return Err(Rejection::Invalid { field: "audience", why }.into());
        };
        if !audience.contains(mount) {
            audience.push(mount);
        }
    }
    if audience.is_empty() {
        return Err(Rejection::Invalid { field: "audience", why: "name at least one mount".into() }.into());
    }
    check_expiry(command.expires, ctx)?;
    check_root(state, &scopes, ctx)?;
    check_held(state, &scopes, ctx)?;
    let actor = &ctx.caller().actor;
    let principal = match actor.credential {
        Some(id) => {
            let own = find(state, ctx.caller().tenant, id)?;
            // A root principal that entered another tenant makes a key of that tenant, not of itself.
            if own.tenant == ctx.tenant() { own.principal } else { Principal::Tenant(ctx.tenant()) }
        }
        None => match actor.principal {
            Principal::Agent(agent) if actor.acting_in.is_none() => Principal::Agent(agent),
            _ => Principal::Tenant(ctx.tenant()),
        },
    };
    let (mut created, secret) = api_key(principal, &command.name, &scopes, &audience, ctx)?;
    created.expires = command.expires;
    Ok(Decided::shown(ctx.tenant(), vec![created.into()], Some(secret)))
}

/// Decides [`RevokeApiKey`].
///
/// # Errors
/// [`Rejection::NotFound`], [`Rejection::Invalid`].
pub fn revoke_api_key(state: &State<'_>, command: &RevokeApiKey, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    check_len("cause", &command.cause, 1, 128)?;
    let credential = find(state, ctx.tenant(), command.credential)?;
    if credential.kind != CredentialKind::ApiKey {
        return Err(Rejection::NotFound { thing: "API key" }.into());
    }
    if credential.revoked.is_some() {
        return Ok(Decided::unchanged(Output::Credential(credential)));
    }
    let event = CredentialRevoked {
        credential: credential.credential,
        principal: credential.principal,
        cause: command.cause.clone(),
    };
    Ok(Decided::facts(ctx.tenant(), vec![event.into()]))
}

/// Decides [`NoteAuthentication`].
///
/// # Errors
/// None but those of reading state.
pub fn note(state: &State<'_>, command: &NoteAuthentication, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    let principal = match command.credential {
        Some(id) => CREDENTIALS.get(state.identity, id)?.map(|credential| credential.principal),
        None => match command.claimed.as_deref().and_then(|text| text.parse::<AgentId>().ok()) {
            Some(id) => {
                let found = AGENTS.get(state.identity, id)?.filter(|agent| agent.tenant == ctx.tenant());
                found.map(|agent| Principal::Agent(agent.agent))
            }
            None => None,
        },
    };
    let event = AuthenticationFailed {
        mount: command.mount.clone(),
        claimed: command.claimed.as_deref().and_then(harmless).map(str::to_owned),
        principal,
        why: command.why.clone(),
        count: command.count,
    };
    Ok(Decided::facts(ctx.tenant(), vec![event.into()]))
}
