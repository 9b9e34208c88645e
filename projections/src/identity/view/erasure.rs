//! What was erased of a tenant's, and what must not be.

use chancery_ledger::actor::Principal;
use chancery_ledger::ids::{Seq, Subject, TenantId};
use chancery_ledger::time::Micros;
use schemars::JsonSchema;
use serde::Serialize;

use super::member;
use crate::identity::state::{ERASED, ERASURES, Erased, HELD, HOLDS, Hold};
use crate::view::{Page, Paging, Reading, ViewError};

/// Something that was erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ErasureView {
    /// The thing. Addresses that requests of nobody's came from are erased by the 30 days in which they came; such a
    /// period is named by an id under the kind `tenant` that no tenant has.
    pub subject: Subject,
    /// Why.
    pub reason: String,
    /// The version of the retention policy that had it erased; `null` when somebody did.
    pub policy: Option<u32>,
    /// Who had it erased.
    pub by: Principal,
    /// The event that erased it.
    pub event: Seq,
    /// When that was. From then on nobody reads what was encrypted for it.
    pub at: Micros,
    /// Since when no file of the keystore holds its key; `null` until then.
    pub destroyed: Option<Micros>,
}

/// What holds a thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HoldsView {
    /// The thing. What belongs to it is held with it.
    pub subject: Subject,
    /// Each matter in which it is held, the oldest first; none when it is held no more.
    pub holds: Vec<HoldView>,
}

/// A hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HoldView {
    /// In which matter.
    pub matter: String,
    /// Why.
    pub reason: String,
    /// Who placed it.
    pub by: Principal,
    /// Whether the ledger's operator placed it, who alone lifts it then.
    pub is_operators: bool,
    /// The event that placed it.
    pub event: Seq,
    /// When.
    pub at: Micros,
}

impl From<Erased> for ErasureView {
    fn from(row: Erased) -> Self {
        let Erased { subject, reason, policy, by, event, at, destroyed, .. } = row;
        Self { subject, reason, policy, by, event, at, destroyed }
    }
}

impl HoldsView {
    /// The holds on a thing, as its row has them.
    #[must_use]
    pub fn of(subject: Subject, holds: Vec<Hold>) -> Self {
        let holds = holds.into_iter().map(|Hold { matter, reason, by, is_operators, event, at }| HoldView {
            matter,
            reason,
            by,
            is_operators,
            event,
            at,
        });
        Self { subject, holds: holds.collect() }
    }
}

/// Whether and how a thing of the tenant's was erased.
///
/// # Errors
/// [`ViewError`] when the view cannot be read.
pub fn erasure(reading: &Reading<'_>, tenant: TenantId, subject: Subject) -> Result<Option<ErasureView>, ViewError> {
    let found = ERASED.get(reading.identity, subject)?.filter(|erased| erased.tenant == tenant);
    Ok(found.map(ErasureView::from))
}

/// What was erased of the tenant's.
///
/// # Errors
/// [`ViewError`] when the view cannot be read.
pub fn erasures(reading: &Reading<'_>, tenant: TenantId, paging: &Paging) -> Result<Page<ErasureView>, ViewError> {
    let rows = reading.identity;
    paging.over(ERASURES.len(rows, tenant)?, |ordinal| {
        erasure(reading, tenant, member(ERASURES.get(rows, tenant, ordinal)?)?)
    })
}

/// What holds a thing of the tenant's, if it was ever held.
///
/// # Errors
/// [`ViewError`] when the view cannot be read.
pub fn holds(reading: &Reading<'_>, tenant: TenantId, subject: Subject) -> Result<Option<HoldsView>, ViewError> {
    let found = HOLDS.get(reading.identity, (tenant, subject))?;
    Ok(found.map(|holds| HoldsView::of(subject, holds)))
}

/// What is held of the tenant's.
///
/// # Errors
/// [`ViewError`] when the view cannot be read.
pub fn held(reading: &Reading<'_>, tenant: TenantId, paging: &Paging) -> Result<Page<HoldsView>, ViewError> {
    let rows = reading.identity;
    paging.over(HELD.len(rows, tenant)?, |ordinal| {
        let found = holds(reading, tenant, member(HELD.get(rows, tenant, ordinal)?)?)?;
        Ok(found.filter(|found| !found.holds.is_empty()))
    })
}
