//! What becomes of erasures beside the log: keys are destroyed in the keystore, and what was kept for long enough is found.
//!
//! An erasure is carried out twice. Its key is destroyed as soon as its event is durable, by the committer; what a crash
//! kept from that, or what came back with an older copy of the keystore, is destroyed by the next start ([`carry_out`]),
//! before anybody reads. And the keystore's files are written anew without the keys that are gone ([`shred`]), which is then
//! reported with a command, so that the log says when.

use std::ops::ControlFlow;

use chancery_ledger::ids::{Seq, Subject, TenantId, ThingKind, TreeSize};
use chancery_ledger::keystore::{Keystore, KeystoreError, SecretName, Secrets as _};
use chancery_ledger::time::Micros;
use uuid::Uuid;

use crate::command::{ApplyRetention, ReportShredded};
use crate::execution::state::RETAINED as ENDED;
use crate::identity::decide::erasure::AT_ONCE_MAX;
use crate::identity::state::{ERASED, ERASED_BY, RETAINED, TENANT_LIST, TENANTS, UNREPORTED, place_of};
use crate::origin;
use crate::rows::{Order, RowsError, Scan};
use crate::trust::retention::{Kept, Retention};
use crate::trust::state::retention;

/// Erasures could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum ShredError {
    /// The keystore failed.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// The view could not be read.
    #[error(transparent)]
    Rows(#[from] RowsError),
}

/// Destroys, in a keystore, the keys of everything that a log says was erased and that the keystore does not know to be.
/// The rows are those of the identity view, which reflect a log of size `size`.
///
/// # Errors
/// [`ShredError`]; then keys of what was erased may be there.
pub fn carry_out(rows: &dyn Scan, size: TreeSize, secrets: &Keystore) -> Result<(), ShredError> {
    let known = secrets.carried_out()?;
    // A log that lost its tail: what it says now of those positions is another thing.
    let from = if known.0 > size.0 { Seq(0) } else { known };
    let (mut new, mut came_back) = (Vec::new(), Vec::new());
    let mut fault = None;
    ERASED_BY.visit(rows, (), Some(&from.0.to_be_bytes()), Order::Ascending, &mut |seq, subject| {
        let name = SecretName::Data(subject);
        match reported(rows, seq) {
            Ok(true) => came_back.push(name),
            Ok(false) => new.push(name),
            Err(error) => {
                fault = Some(error);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    })?;
    if let Some(error) = fault {
        return Err(error.into());
    }
    if new.is_empty() && came_back.is_empty() && from == known {
        return Ok(());
    }
    for names in new.chunks(AT_ONCE_MAX) {
        secrets.destroy(names)?;
    }
    let mut found = 0;
    for names in came_back.chunks(AT_ONCE_MAX) {
        found += secrets.destroy(names)?;
    }
    if found > 0 {
        tracing::warn!(
            keys = found,
            "the keystore had keys of what the log says was erased, as an older copy of it has: they are destroyed again"
        );
        secrets.purge()?;
    }
    secrets.note_carried_out(Seq(size.0))?;
    Ok(())
}

/// Whether the key of what an event erased was reported gone.
fn reported(rows: &dyn Scan, seq: &[u8]) -> Result<bool, RowsError> {
    let Some(seq) = seq.first_chunk() else { return Ok(false) };
    Ok(UNREPORTED.get(rows, u64::from_be_bytes(*seq))?.is_none())
}

/// Sees that nothing in the keystore's files is left of what was erased and not reported gone, at most 512 things, and
/// gives what is to be reported, for each tenant. The rows are those of the identity view.
///
/// # Errors
/// [`ShredError`]; then nothing is to be reported.
pub fn shred(rows: &dyn Scan, secrets: &Keystore) -> Result<Vec<(TenantId, ReportShredded)>, ShredError> {
    let mut reports: Vec<(TenantId, ReportShredded)> = Vec::new();
    let mut names = Vec::new();
    for (seq, subject) in UNREPORTED.list(rows, (), None, Order::Ascending, AT_ONCE_MAX)? {
        let erased = ERASED.get(rows, subject)?.ok_or(RowsError::Missing("what was erased"))?;
        let seq = seq.first_chunk().map_or(erased.event, |seq| Seq(u64::from_be_bytes(*seq)));
        names.push(SecretName::Data(subject));
        match reports.iter_mut().find(|(tenant, _)| *tenant == erased.tenant) {
            Some((_, report)) => report.erased.push(seq),
            None => reports.push((erased.tenant, ReportShredded { erased: vec![seq] })),
        }
    }
    if !names.is_empty() {
        secrets.destroy(&names)?;
        secrets.purge()?;
    }
    Ok(reports)
}

/// The rows that tell what was kept for long enough, and the keys that are there.
#[derive(Clone, Copy)]
pub struct Stock<'a> {
    /// Of the identity view.
    pub identity: &'a dyn Scan,
    /// Of the trust view.
    pub trust: &'a dyn Scan,
    /// Of the execution view.
    pub execution: &'a dyn Scan,
    /// The keys.
    pub secrets: &'a Keystore,
    /// The time.
    pub now: Micros,
}

/// Where a walk over all that tenants keep has come to.
#[derive(Debug, Clone, Default)]
pub struct Walk {
    /// Tenants that are done with.
    tenants: u64,
    /// The next one's part that is under way, and where in it to go on.
    part: Option<(Part, Option<Vec<u8>>)>,
}

/// What of a tenant's is walked over, one after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Months,
    Agents,
    Ended,
}

impl Walk {
    /// The next command that may have something erased; `None` when all tenants are done with. What is on hold is named as
    /// well: its decider knows.
    ///
    /// # Errors
    /// [`ShredError`] when views or keystore cannot be read.
    pub fn next(&mut self, stock: &Stock<'_>) -> Result<Option<(TenantId, ApplyRetention)>, ShredError> {
        while let Some(tenant) = TENANT_LIST.get(stock.identity, (), self.tenants + 1)? {
            let rules = retention(stock.trust, tenant)?.map(|in_force| in_force.rules);
            let (Some(rules), (part, from)) = (rules, self.part.take().unwrap_or((Part::Months, None))) else {
                self.tenants += 1;
                continue;
            };
            let (found, rest) = match part {
                Part::Months => (months(stock, tenant, &rules)?, None),
                Part::Agents => ended(stock.identity, Part::Agents, tenant, &rules, stock.now, from)?,
                Part::Ended => ended(stock.execution, Part::Ended, tenant, &rules, stock.now, from)?,
            };
            match (rest, part) {
                (Some(rest), part) => self.part = Some((part, Some(rest))),
                (None, Part::Months) => self.part = Some((Part::Agents, None)),
                (None, Part::Agents) => self.part = Some((Part::Ended, None)),
                (None, Part::Ended) => self.tenants += 1,
            }
            if !found.subjects.is_empty() || !found.months.is_empty() {
                return Ok(Some((tenant, found)));
            }
        }
        Ok(None)
    }
}

/// Months that are over for long enough, and whose key is there.
fn months(stock: &Stock<'_>, tenant: TenantId, rules: &Retention) -> Result<ApplyRetention, ShredError> {
    let mut found = ApplyRetention { subjects: Vec::new(), months: Vec::new() };
    let Some(days) = rules.days(Kept::Origins) else { return Ok(found) };
    let created = TENANTS.get(stock.identity, tenant)?.ok_or(RowsError::Missing("a tenant"))?.created;
    let over = Retention::over_since(days, stock.now);
    for month in origin::month_of(created)..origin::month_of(over) {
        let key = origin::month(tenant, month);
        if found.months.len() < AT_ONCE_MAX
            && ERASED.get(stock.identity, key)?.is_none()
            && stock.secrets.secret(&SecretName::Data(key))?.is_some()
        {
            found.months.push(month);
        }
    }
    Ok(found)
}

/// Things that are over for long enough, at most as many as a command may name, and where to go on, if there are more.
fn ended(
    rows: &dyn Scan, part: Part, tenant: TenantId, rules: &Retention, now: Micros, from: Option<Vec<u8>>,
) -> Result<(ApplyRetention, Option<Vec<u8>>), ShredError> {
    let mut found = ApplyRetention { subjects: Vec::new(), months: Vec::new() };
    let list = if part == Part::Agents { &RETAINED } else { &ENDED };
    let over = |kind| {
        let kept = match kind {
            ThingKind::Agent => Kept::Agents,
            ThingKind::Mission => Kept::Missions,
            _ => Kept::Deliveries,
        };
        rules.days(kept).map(|days| place_of(Retention::over_since(days, now)))
    };
    let kinds: &[ThingKind] = match part {
        Part::Agents => &[ThingKind::Agent],
        _ => &[ThingKind::Mission, ThingKind::Destination],
    };
    let Some(last) = kinds.iter().filter_map(|kind| over(*kind)).max() else { return Ok((found, None)) };
    let mut rest = None;
    list.visit(rows, tenant, from.as_deref(), Order::Ascending, &mut |key, ()| {
        let Some((since, subject)) = parse_retained(key) else { return ControlFlow::Continue(()) };
        if since > last {
            return ControlFlow::Break(());
        }
        if found.subjects.len() == AT_ONCE_MAX {
            rest = Some(key.to_vec());
            return ControlFlow::Break(());
        }
        if over(subject.kind).is_some_and(|last| since <= last) {
            found.subjects.push(subject);
        }
        ControlFlow::Continue(())
    })?;
    Ok((found, rest))
}

fn parse_retained(key: &[u8]) -> Option<(u64, Subject)> {
    let (since, rest) = key.split_first_chunk()?;
    let (kind, id) = rest.split_first()?;
    let subject = Subject { kind: ThingKind::from_code(*kind)?, id: Uuid::from_slice(id).ok()? };
    Some((u64::from_be_bytes(*since), subject))
}
