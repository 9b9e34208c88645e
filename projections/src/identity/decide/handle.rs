//! Handles: names that one agent of a tenant holds alone.

use chancery_ledger::body::identity::{Handle, HandleClaimed, HandleReleased};
use chancery_ledger::ids::TenantId;

use super::agent;
use crate::check::check_len;
use crate::command::{ClaimHandle, HandleClaim, ReleaseHandle};
use crate::context::{Context, ContextError};
use crate::decision::{Decided, State, Stop};
use crate::identity::state::HANDLES;
use crate::rejection::Rejection;

/// Names that one agent can hold.
pub(super) const HANDLES_MAX: usize = 8;
/// Where names are e-mail addresses, of which keyed hashes are kept.
pub const EMAIL_HANDLES: &str = "agentidp";
/// Decides [`ClaimHandle`].
///
/// # Errors
/// [`Rejection::NotFound`], [`Rejection::AgentDecommissioned`], [`Rejection::HandleTaken`], [`Rejection::Invalid`].
pub fn claim(state: &State<'_>, command: &ClaimHandle, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    check(&command.handle)?;
    let agent = agent::working(state, command.agent, ctx)?;
    let handle = kept(&command.handle, ctx)?;
    if agent.handles.contains(&handle) {
        return Ok(agent::unchanged(agent));
    }
    if agent.handles.len() >= HANDLES_MAX {
        return Err(Rejection::LimitReached { limit: "handles of one agent", max: HANDLES_MAX }.into());
    }
    check_free(state, ctx.tenant(), &handle)?;
    let Handle { namespace, value } = handle;
    let event = HandleClaimed { agent: agent.agent, namespace, value };
    Ok(Decided::facts(ctx.tenant(), vec![event.into()]))
}

/// Decides [`ReleaseHandle`].
///
/// # Errors
/// [`Rejection::NotFound`], [`Rejection::AgentDecommissioned`], [`Rejection::FieldImmutable`], [`Rejection::Invalid`].
pub fn release(state: &State<'_>, command: &ReleaseHandle, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    check(&command.handle)?;
    let agent = agent::working(state, command.agent, ctx)?;
    let handle = kept(&command.handle, ctx)?;
    if !agent.handles.contains(&handle) {
        return Err(Rejection::NotFound { thing: "handle" }.into());
    }
    if is_for_good(&handle.namespace) {
        return Err(Rejection::FieldImmutable { field: "handle" }.into());
    }
    let Handle { namespace, value } = handle;
    let event = HandleReleased { agent: agent.agent, namespace, value };
    Ok(Decided::facts(ctx.tenant(), vec![event.into()]))
}

/// Whether nobody else ever gets a name of a namespace, also when its holder is gone.
pub(super) fn is_for_good(namespace: &str) -> bool {
    namespace == EMAIL_HANDLES || namespace.starts_with("orgkernel/")
}

/// Checks a name by itself.
pub(super) fn check(claim: &HandleClaim) -> Result<(), Rejection> {
    check_len("handles.namespace", &claim.namespace, 1, 128)?;
    check_len("handles.value", &claim.value, 1, 256)
}

/// A claimed name as it is kept: of what is personal, a keyed hash.
///
/// # Errors
/// [`ContextError`] when keys are not to be had.
pub fn kept(claim: &HandleClaim, ctx: &mut Context<'_>) -> Result<Handle, ContextError> {
    let value = match claim.namespace.as_str() {
        EMAIL_HANDLES => ctx.keyed_hash("agent email", &claim.value.to_lowercase())?.to_string(),
        _ => claim.value.clone(),
    };
    Ok(Handle { namespace: claim.namespace.clone(), value })
}

/// Checks that nobody holds a name.
pub(super) fn check_free(state: &State<'_>, tenant: TenantId, handle: &Handle) -> Result<(), Stop> {
    match HANDLES.get(state.identity, (tenant, handle.namespace.as_str(), handle.value.as_str()))? {
        Some(_) => Err(Rejection::HandleTaken { namespace: handle.namespace.clone() }.into()),
        None => Ok(()),
    }
}
