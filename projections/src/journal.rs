//! The journal: where in the log events stand, by tenant, kind and subject, and which commands happened already.
//!
//! It is a view of envelopes alone; no body is read.

use chancery_ledger::actor::Principal;
use chancery_ledger::event::Event;
use chancery_ledger::ids::{Seq, Subject, TenantId};
use chancery_ledger::link::Hash;
use serde::{Deserialize, Serialize};

use crate::rows::table::Table;
use crate::rows::{Order, Rows, RowsError, RowsMut};

/// Events of a tenant, by tenant and position.
const BY_TENANT: Table<()> = Table::new(128);
/// Events of a kind, by tenant, kind and position.
const BY_KIND: Table<()> = Table::new(129);
/// Events about a thing, by subject and position. Things belong to one tenant, so the tenant needs no place here;
/// readers compare it all the same.
const BY_SUBJECT: Table<()> = Table::new(130);
/// Commands that asked to happen once, by tenant, principal and key.
const IDEMPOTENT: Table<Happened> = Table::new(131);

/// A command that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happened {
    /// Its first event.
    pub first: Seq,
    /// Hash of the command.
    pub command: Hash,
}

/// Which events are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// All of a tenant.
    Tenant(TenantId),
    /// Those of one kind.
    Kind(TenantId, u16),
    /// Those about a thing.
    Subject(Subject),
}

/// Brings the journal forward by one event.
///
/// # Errors
/// [`RowsError`] when the view's storage fails.
pub fn evolve(rows: &mut dyn RowsMut, event: &Event) -> Result<(), RowsError> {
    let seq = event.seq.0;
    BY_TENANT.put(rows, (event.tenant, seq), &())?;
    BY_KIND.put(rows, (event.tenant, event.body.kind().code(), seq), &())?;
    for subject in &event.subjects {
        BY_SUBJECT.put(rows, (*subject, seq), &())?;
    }
    if let Some(idempotency) = &event.idempotency {
        let happened = Happened { first: event.seq, command: idempotency.command };
        let principal = principal_key(&event.actor.principal);
        IDEMPOTENT.put(rows, (event.tenant, principal.as_str(), idempotency.key.as_str()), &happened)?;
    }
    Ok(())
}

/// The command that happened under a principal's idempotency key, if one did.
///
/// # Errors
/// [`RowsError`] when the view's storage fails.
pub fn happened(
    rows: &dyn Rows, tenant: TenantId, principal: &Principal, key: &str,
) -> Result<Option<Happened>, RowsError> {
    IDEMPOTENT.get(rows, (tenant, principal_key(principal).as_str(), key))
}

/// At most `limit` positions of the events looked for, from `from` on (inclusive).
///
/// # Errors
/// [`RowsError`] when the view's storage fails.
pub fn positions(
    rows: &dyn Rows, filter: Filter, from: Option<Seq>, order: Order, limit: usize,
) -> Result<Vec<Seq>, RowsError> {
    let from = from.map(|seq| seq.0.to_be_bytes());
    let from = from.as_ref().map(<[u8; 8]>::as_slice);
    let found = match filter {
        Filter::Tenant(tenant) => BY_TENANT.list(rows, tenant, from, order, limit),
        Filter::Kind(tenant, kind) => BY_KIND.list(rows, (tenant, kind), from, order, limit),
        Filter::Subject(subject) => BY_SUBJECT.list(rows, subject, from, order, limit),
    }?;
    let position = |key: &[u8]| key.try_into().map(|bytes| Seq(u64::from_be_bytes(bytes))).ok();
    Ok(found.iter().filter_map(|(key, ())| position(key)).collect())
}

/// Kind of principal and its id or text: unique among principals.
fn principal_key(principal: &Principal) -> String {
    format!("{}:{}:{}", principal.code(), principal.uuid(), principal.text())
}
