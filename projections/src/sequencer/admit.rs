//! What is asked of a command before it is decided: may it be sent to this tenant at all, is the agent's signature under it
//! good, did it happen already, is the thing still as its sender saw it. Scopes are the edge's to check; the standing of tenants is checked here, where no
//! command can overtake the one that suspends.

use chancery_ledger::actor::Principal;
use chancery_ledger::event::{IDEMPOTENCY_KEY_BYTES_MAX, Idempotency, PRINCIPAL_TEXT_BYTES_MAX};
use chancery_ledger::ids::{Seq, TenantId};
use chancery_ledger::link::Hash;
use chancery_ledger::time::Micros;

use super::Request;
use crate::command::Command;
use crate::decide::version_of;
use crate::decision::{State, Stop};
use crate::identity::state::{Standing, TENANTS, Tenant};
use crate::journal;
use crate::rejection::Rejection;
use crate::scope::Scope;

/// Whether a command is to be decided.
pub(super) enum Admitted {
    /// It happened already, from this event on.
    Before(Seq),
    /// It is to be decided, once under this key if there is one.
    New(Option<Idempotency>),
}

/// Lets a command in to be decided, or says why not.
///
/// # Errors
/// As each check below, and [`AgentSignature::check`](crate::signature::AgentSignature::check);
/// [`Rejection::IdempotencyConflict`].
pub(super) fn admit(state: &State<'_>, request: &Request, now: Micros) -> Result<Admitted, Stop> {
    check_standing(state, request)?;
    request.signature.as_ref().map_or(Ok(()), |signature| signature.check(state, now))?;
    let idempotency = match &request.idempotency_key {
        None => None,
        Some(key) => {
            check_key(key)?;
            let command = command_hash(&request.command)?;
            if let Some(before) = journal::happened(state.journal, &request.caller.actor, request.tenant, key)? {
                if before.command != command {
                    return Err(Rejection::IdempotencyConflict { original: before.first }.into());
                }
                return Ok(Admitted::Before(before.first));
            }
            Some(Idempotency { key: key.clone(), command })
        }
    };
    check_version(state, request)?;
    Ok(Admitted::New(idempotency))
}

/// Checks that the caller's tenant may work, and that the caller may act in the tenant the command is for.
///
/// Only a principal of the root tenant enters another tenant, and says so in its actor. It may enter a suspended one, to
/// mend it, but not a deleted one. To everybody else another tenant does not exist.
///
/// # Errors
/// [`Rejection::TenantSuspended`], [`Rejection::NotFound`], [`Rejection::ScopeMissing`], [`Rejection::Invalid`].
fn check_standing(state: &State<'_>, request: &Request) -> Result<(), Stop> {
    let Request { tenant, caller, command, .. } = request;
    if caller.actor.principal == Principal::System {
        return Ok(());
    }
    if command.scope() == Scope::Internal {
        return Err(Rejection::ScopeMissing { scope: Scope::Internal.text() }.into());
    }
    if caller.actor.principal.text().len() > PRINCIPAL_TEXT_BYTES_MAX {
        let why = format!("at most {PRINCIPAL_TEXT_BYTES_MAX} bytes");
        return Err(Rejection::Invalid { field: "principal", why }.into());
    }
    let own = find(state, caller.tenant)?;
    if own.standing != Standing::Active {
        return Err(Rejection::TenantSuspended.into());
    }
    if caller.tenant == *tenant && caller.actor.acting_in.is_none() {
        return Ok(());
    }
    if !own.root || caller.actor.acting_in != Some(*tenant) {
        return Err(not_found());
    }
    match find(state, *tenant)?.standing {
        Standing::Active | Standing::Suspended => Ok(()),
        Standing::Deleted => Err(Rejection::TenantSuspended.into()),
    }
}

fn find(state: &State<'_>, tenant: TenantId) -> Result<Tenant, Stop> {
    TENANTS.get(state.identity, tenant)?.ok_or_else(not_found)
}

fn not_found() -> Stop {
    Rejection::NotFound { thing: "tenant" }.into()
}

/// Checks that the thing is as its sender saw it. What is not there is the decider's to say.
///
/// # Errors
/// [`Rejection::Conflict`], or [`Rejection::Invalid`] when the command changes no thing that exists.
fn check_version(state: &State<'_>, request: &Request) -> Result<(), Stop> {
    let Some(expected) = request.if_match else { return Ok(()) };
    if request.command.about().is_none() {
        let why = format!("{} makes a new thing, which has no version yet", request.command.name());
        return Err(Rejection::Invalid { field: "if_match", why }.into());
    }
    match version_of(state, request.tenant, &request.command)? {
        Some(actual) if actual != expected => Err(Rejection::Conflict { expected, actual }.into()),
        _ => Ok(()),
    }
}

/// Checks an idempotency key.
///
/// # Errors
/// [`Rejection::Invalid`].
fn check_key(key: &str) -> Result<(), Rejection> {
    if (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) {
        return Ok(());
    }
    let why = format!("must have 1 to {IDEMPOTENCY_KEY_BYTES_MAX} bytes");
    Err(Rejection::Invalid { field: "idempotency_key", why })
}

/// Hashes what was asked, so that another command under the same key is told from a retry: name, mount, parameters.
///
/// # Errors
/// [`Rejection::Invalid`] when the parameters hold what is no JSON.
fn command_hash(command: &Command) -> Result<Hash, Rejection> {
    let json =
        serde_json::to_vec(command).map_err(|error| Rejection::Invalid { field: "params", why: error.to_string() })?;
    let via = match command {
        Command::RegisterAgent(command) => command.via.name(),
        _ => "",
    };
    let mut hasher = blake3::Hasher::new_derive_key("chancery 2026 command v1");
    hasher.update(&(via.len() as u64).to_be_bytes()).update(via.as_bytes()).update(&json);
    Ok(Hash(hasher.finalize().into()))
}
