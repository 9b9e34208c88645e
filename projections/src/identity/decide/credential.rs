//! API keys, and log-ins that were refused.

use chancery_ledger::actor::Principal;
use chancery_ledger::body::identity::{AuthenticationFailed, CredentialRevoked};
use chancery_ledger::ids::{CredentialId, TenantId};

use super::tenant::{self, api_key};
use crate::check::check_len;
use crate::command::{CreateApiKey, NoteAuthentication, RevokeApiKey};
use crate::context::Context;
use crate::decision::{Decided, State, Stop};
use crate::identity::state::{CREDENTIALS, Credential};
use crate::output::Output;
use crate::rejection::Rejection;
use crate::scope::Scope;

/// The mounts a credential can open.
pub const MOUNTS: &[&str] = &["native", "orgkernel", "agentidp"];

/// A credential of the tenant.
///
/// # Errors
/// [`Rejection::NotFound`] when there is none.
pub fn find(state: &State<'_>, tenant: TenantId, id: CredentialId) -> Result<Credential, Stop> {
    let found = CREDENTIALS.get(state.identity, id)?.filter(|credential| credential.tenant == tenant);
    Ok(found.ok_or(Rejection::NotFound { thing: "credential" })?)
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
    if command.expires.is_some_and(|expires| expires <= ctx.now()) {
        return Err(Rejection::Invalid { field: "expires", why: "must lie in the future".into() }.into());
    }
    if scopes.iter().any(|scope| scope.is_root_only()) && !tenant::find(state, ctx.tenant())?.root {
        return Err(Rejection::NotRoot.into());
    }
    let principal = match ctx.caller().actor.credential {
        Some(id) => {
            let own = find(state, ctx.caller().tenant, id)?;
            if let Some(scope) = scopes.iter().find(|scope| !own.scopes.iter().any(|held| held == scope.text())) {
                return Err(Rejection::ScopeNotHeld { scope: scope.text().to_owned() }.into());
            }
            // A root principal that entered another tenant makes a key of that tenant, not of itself.
            if own.tenant == ctx.tenant() { own.principal } else { Principal::Tenant(ctx.tenant()) }
        }
        None => Principal::Tenant(ctx.tenant()),
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
        None => None,
    };
    let event = AuthenticationFailed {
        mount: command.mount.clone(),
        claimed: None,
        principal,
        why: command.why.clone(),
        count: command.count,
    };
    Ok(Decided::facts(ctx.tenant(), vec![event.into()]))
}
