//! The journal: where in the log events stand, by tenant, kind and subject, and which commands happened already.
//!
//! It is a view of envelopes alone; no body is read.

use std::ops::ControlFlow;

use chancery_ledger::actor::{Actor, Principal};
use chancery_ledger::event::Event;
use chancery_ledger::ids::{Seq, Subject, TenantId, ThingId, ThingKind};
use chancery_ledger::link::Hash;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::rows::positions::Positions;
use crate::rows::table::Table;
use crate::rows::{Order, Rows, RowsError, RowsMut, Scan};

/// Events of a tenant.
const BY_TENANT: Positions = Positions::new(128);
/// Events of a kind, by tenant and kind.
const BY_KIND: Positions = Positions::new(129);
/// Events about a thing, by subject. Things belong to one tenant, so the tenant needs no place here; readers compare it
/// all the same.
const BY_SUBJECT: Positions = Positions::new(130);
/// Commands that asked to happen once, by scope ([`scope`]) and key.
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
    BY_TENANT.add(rows, event.tenant, event.seq)?;
    BY_KIND.add(rows, (event.tenant, event.body.kind().code()), event.seq)?;
    for subject in &event.subjects {
        BY_SUBJECT.add(rows, *subject, event.seq)?;
    }
    let Some(idempotency) = &event.idempotency else { return Ok(()) };
    let happened = Happened { first: event.seq, command: idempotency.command };
    let scope = scope(&event.actor, event.tenant);
    IDEMPOTENT.put(rows, (scope.as_str(), idempotency.key.as_str()), &happened)
}

/// The command that happened under an actor's idempotency key, if one did; `tenant` is the one it is for.
///
/// # Errors
/// [`RowsError`] when the view's storage fails.
pub fn happened(rows: &dyn Rows, actor: &Actor, tenant: TenantId, key: &str) -> Result<Option<Happened>, RowsError> {
    IDEMPOTENT.get(rows, (scope(actor, tenant).as_str(), key))
}

/// At most `limit` positions of the events looked for, from `from` on (inclusive).
///
/// # Errors
/// [`RowsError`] when the view's storage fails.
pub fn positions(
    rows: &dyn Scan, filter: Filter, from: Option<Seq>, order: Order, limit: usize,
) -> Result<Vec<Seq>, RowsError> {
    match filter {
        Filter::Tenant(tenant) => BY_TENANT.list(rows, tenant, from, order, limit),
        Filter::Kind(tenant, kind) => BY_KIND.list(rows, (tenant, kind), from, order, limit),
        Filter::Subject(subject) => BY_SUBJECT.list(rows, subject, from, order, limit),
    }
}

/// At most `limit` pairs of a thing and the position of an event about it, by thing and then position, after a pair
/// (exclusive) or from the first.
///
/// # Errors
/// [`RowsError`] when the view's storage fails.
pub fn by_subject(
    rows: &dyn Scan, after: Option<(Subject, Seq)>, limit: usize,
) -> Result<Vec<(Subject, Seq)>, RowsError> {
    let mut found = Vec::new();
    let from = after.map(|(subject, seq)| Positions::rest(subject, seq));
    BY_SUBJECT.visit(rows, (), from.as_deref(), Order::Ascending, &mut |subject, seq| {
        if found.len() == limit {
            return ControlFlow::Break(());
        }
        // The first block can begin before what is asked for.
        let pair = parse_subject(subject).map(|subject| (subject, seq));
        found.extend(pair.filter(|(subject, seq)| after.is_none_or(|(after, last)| *subject != after || *seq > last)));
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

fn parse_subject(key: &[u8]) -> Option<Subject> {
    let (kind, id) = key.split_first()?;
    Some(Subject { kind: ThingKind::from_code(*kind)?, id: Uuid::from_slice(id).ok()? })
}

/// Within what an idempotency key is unique: the principal, and the tenant it entered, if it did.
///
/// A principal with an id belongs to one tenant, so its id tells them apart. The event's tenant must not: what the root
/// tenant does to another tenant, or to the ledger, is that one's event. Only who has no id is told apart by it; nobody
/// without one acts on another tenant, but for the daemon itself, which is one.
fn scope(actor: &Actor, tenant: TenantId) -> String {
    let principal = &actor.principal;
    let within = match principal {
        Principal::Anonymous | Principal::Subject(_) => tenant.uuid(),
        Principal::System => Uuid::nil(),
        Principal::Tenant(_)
        | Principal::Member(_)
        | Principal::Agent(_)
        | Principal::Client(_)
        | Principal::Execution(_) => actor.acting_in.map_or(Uuid::nil(), ThingId::uuid),
    };
    format!("{}:{}:{}:{}", within.simple(), principal.code(), principal.uuid().simple(), principal.text())
}
