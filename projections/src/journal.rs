//! The journal: where in the log events stand, by tenant, kind and subject, and which commands happened already.
//!
//! It is a view of envelopes alone; no body is read.

use chancery_ledger::actor::{Actor, Principal};
use chancery_ledger::event::Event;
use chancery_ledger::ids::{Seq, Subject, TenantId, ThingId, ThingKind};
use chancery_ledger::link::Hash;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::rows::table::{Key as _, Table};
use crate::rows::{Order, Rows, RowsError, RowsMut};

/// Events of a tenant, by tenant and position.
const BY_TENANT: Table<()> = Table::new(128);
/// Events of a kind, by tenant, kind and position.
const BY_KIND: Table<()> = Table::new(129);
/// Events about a thing, by subject and position. Things belong to one tenant, so the tenant needs no place here;
/// readers compare it all the same.
const BY_SUBJECT: Table<()> = Table::new(130);
/// Bytes of a subject in a key: its kind and its id.
const SUBJECT_BYTES: usize = 17;
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
    let seq = event.seq.0;
    BY_TENANT.put(rows, (event.tenant, seq), &())?;
    BY_KIND.put(rows, (event.tenant, event.body.kind().code(), seq), &())?;
    for subject in &event.subjects {
        BY_SUBJECT.put(rows, (*subject, seq), &())?;
    }
    evolve_happened(rows, event)
}

/// Notes that a command happened, if it asked to happen once: all of the journal that deciding needs.
///
/// # Errors
/// As [`evolve`].
pub fn evolve_happened(rows: &mut dyn RowsMut, event: &Event) -> Result<(), RowsError> {
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

/// At most `limit` pairs of a thing and the position of an event about it, by thing and then position, after a pair
/// (exclusive) or from the first.
///
/// # Errors
/// [`RowsError`] when the view's storage fails.
pub fn by_subject(
    rows: &dyn Rows, after: Option<(Subject, Seq)>, limit: usize,
) -> Result<Vec<(Subject, Seq)>, RowsError> {
    let from = after.map(|(subject, seq)| {
        let mut key = Vec::with_capacity(SUBJECT_BYTES + 8);
        (subject, seq.0.saturating_add(1)).write(&mut key);
        key
    });
    let found = BY_SUBJECT.list(rows, (), from.as_deref(), Order::Ascending, limit)?;
    Ok(found.iter().filter_map(|(key, ())| subject_and_position(key)).collect())
}

fn subject_and_position(key: &[u8]) -> Option<(Subject, Seq)> {
    let (subject, seq) = key.split_at_checked(SUBJECT_BYTES)?;
    let (kind, id) = subject.split_first()?;
    let subject = Subject { kind: ThingKind::from_code(*kind)?, id: Uuid::from_slice(id).ok()? };
    Some((subject, Seq(u64::from_be_bytes(seq.try_into().ok()?))))
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
