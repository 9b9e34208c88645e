//! Which events a request is about, and how they are found: by the journal, or along the log.

use chancery_ledger::body::Kind;
use chancery_ledger::event::{ReadError, peek};
use chancery_ledger::ids::{Seq, Subject, TenantId, ThingKind};
use chancery_ledger::store::{LogStore, Record, StoreError, last_at_or_before};
use chancery_ledger::time::Micros;
use chancery_projections::context::Opener;
use chancery_projections::event_view::{EventView, render_record};
use chancery_projections::journal::{self, Filter};
use chancery_projections::rows::{Order, Scan};

use super::call::Call;
use super::operation::{Form, Parameter, query};
use crate::limits::EVENTS_EXAMINED_MAX;
use crate::problem::Problem;

pub(super) const KIND: Parameter =
    query("kind", Form::OneOf(|| Kind::ALL.iter().map(|kind| kind.name()).collect()), "Only events of this kind.");
pub(super) const SUBJECT: Parameter =
    query("subject", Form::Subject, "Only events that concern this thing: its kind, a colon, its id.");
pub(super) const TENANT: Parameter =
    query("tenant", Form::Id(ThingKind::Tenant), "Only events of this tenant. For principals of the root tenant.");

/// Positions from `first` on, before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first.
    pub first: u64,
    /// The one after the last.
    pub end: u64,
}

impl Range {
    /// Leaves out what lies before `first` or after `last`.
    pub fn narrow(&mut self, first: Option<u64>, last: Option<u64>) {
        self.first = self.first.max(first.unwrap_or(0));
        self.end = self.end.min(last.map_or(u64::MAX, |last| last.saturating_add(1)));
    }

    /// Leaves out what lies before or after a time.
    ///
    /// # Errors
    /// [`StoreError`] when the log cannot be read.
    pub fn narrow_to_times(
        &mut self, log: &dyn LogStore, from: Option<Micros>, to: Option<Micros>,
    ) -> Result<(), StoreError> {
        if let Some(Micros(from)) = from {
            let before = last_at_or_before(log, Micros(from.saturating_sub(1)))?;
            self.first = self.first.max(before.map_or(0, |seq| seq.0 + 1));
        }
        if let Some(to) = to {
            self.end = self.end.min(last_at_or_before(log, to)?.map_or(0, |seq| seq.0 + 1));
        }
        Ok(())
    }
}

/// Which events are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Those of a tenant; `None` is all there are.
    tenant: Option<TenantId>,
    kind: Option<Kind>,
    subject: Option<Subject>,
}

/// What a scan found.
#[derive(Debug)]
pub struct Found {
    /// The events, in the order asked.
    pub events: Vec<EventView>,
    /// Where to go on; `None` when the range was gone through.
    pub next: Option<Seq>,
}

impl Selection {
    /// What a call asks for, within what its principal sees.
    ///
    /// # Errors
    /// As [`Call::principal`].
    pub fn of(call: &Call) -> Result<Self, Problem> {
        let principal = call.principal()?;
        let asked: Option<TenantId> = call.id("tenant");
        let own = (!principal.sees_ledger()).then(|| principal.tenant());
        let tenant = match (own, asked) {
            (None, asked) => asked,
            (Some(own), None) => Some(own),
            // Another's tenant has no events, as one that does not exist.
            (Some(own), Some(asked)) => Some(if own == asked { own } else { TenantId(uuid::Uuid::max()) }),
        };
        Ok(Self { tenant, kind: call.text("kind").and_then(Kind::from_name), subject: call.subject("subject") })
    }

    /// Whether the journal finds them; otherwise the log itself is read.
    #[must_use]
    pub const fn needs_journal(&self) -> bool {
        self.tenant.is_some() || self.subject.is_some()
    }

    /// Goes through a range until there are `limit` events, or enough was looked at.
    ///
    /// # Errors
    /// [`Problem::Unreadable`] when log or journal cannot be read.
    pub fn scan(
        &self, log: &dyn LogStore, journal: Option<&dyn Scan>, range: Range, order: Order, limit: usize,
        opener: &Opener<'_>,
    ) -> Result<Found, Problem> {
        if range.first >= range.end {
            return Ok(Found { events: Vec::new(), next: None });
        }
        match (journal, order) {
            (Some(journal), _) => self.scan_journal(log, journal, range, order, limit, opener),
            (None, Order::Ascending) => {
                let records = log.records(Seq(range.first));
                // An error is let through, to be reported.
                let within = records.take_while(|read| read.as_ref().map_or(true, |(seq, _)| seq.0 < range.end));
                self.pick(within, limit, opener)
            }
            (None, Order::Descending) => {
                let records = (range.first..range.end).rev().map(|seq| record(log, Seq(seq)));
                self.pick(records, limit, opener)
            }
        }
    }

    fn scan_journal(
        &self, log: &dyn LogStore, journal: &dyn Scan, range: Range, order: Order, limit: usize, opener: &Opener<'_>,
    ) -> Result<Found, Problem> {
        let filter = match (self.subject, self.tenant, self.kind) {
            (Some(subject), _, _) => Filter::Subject(subject),
            (None, Some(tenant), Some(kind)) => Filter::Kind(tenant, kind.code()),
            (None, Some(tenant), None) => Filter::Tenant(tenant),
            (None, None, _) => return Ok(Found { events: Vec::new(), next: None }),
        };
        let from = match order {
            Order::Ascending => Seq(range.first),
            Order::Descending => Seq(range.end - 1),
        };
        // Tenant and kind are found by the journal alone; those about a subject have to be looked at.
        let examined_max = if self.subject.is_some() { EVENTS_EXAMINED_MAX } else { limit };
        // One more than is looked at tells where to go on.
        let mut positions = journal::positions(journal, filter, Some(from), order, examined_max + 1)?;
        positions.retain(|seq| (range.first..range.end).contains(&seq.0));
        let beyond = positions.get(examined_max).copied();
        positions.truncate(examined_max);
        let found = self.pick(positions.into_iter().map(|seq| record(log, seq)), limit, opener)?;
        Ok(Found { next: found.next.or(beyond), ..found })
    }

    /// Takes what is looked for, until there is enough; `next` is the first that was not looked at.
    fn pick(
        &self, records: impl Iterator<Item = Result<(Seq, Record), StoreError>>, limit: usize, opener: &Opener<'_>,
    ) -> Result<Found, Problem> {
        let mut events = Vec::new();
        for (examined, read) in records.enumerate() {
            let (seq, record) = read?;
            if events.len() == limit || examined == EVENTS_EXAMINED_MAX {
                return Ok(Found { events, next: Some(seq) });
            }
            if self.takes(&record)? {
                events.push(render_record(&record, opener)?);
            }
        }
        Ok(Found { events, next: None })
    }

    fn takes(&self, record: &Record) -> Result<bool, Problem> {
        let (_, _, tenant) = peek(&record.header).map_err(ReadError::from)?;
        if self.tenant.is_some_and(|wanted| wanted != tenant) {
            return Ok(false);
        }
        if self.kind.is_none() && self.subject.is_none() {
            return Ok(true);
        }
        let envelope = chancery_ledger::event::Envelope::parse(&record.header).map_err(ReadError::from)?;
        Ok(self.kind.is_none_or(|kind| kind.code() == envelope.kind)
            && self.subject.is_none_or(|subject| envelope.subjects.contains(&subject)))
    }
}

fn record(log: &dyn LogStore, seq: Seq) -> Result<(Seq, Record), StoreError> {
    Ok((seq, log.record(seq)?.ok_or(StoreError::Missing { seq })?))
}
