//! Transactions: one, lists by what is known of them, and all of them for an export.

use chancery_ledger::body::Kind;
use chancery_ledger::body::field::Decimal;
use chancery_ledger::body::transaction::Counterparty;
use chancery_ledger::ids::{AgentId, Seq, TenantId, TransactionId};
use chancery_ledger::link::Hash;
use chancery_ledger::time::Micros;
use schemars::JsonSchema;
use serde::Serialize;

use crate::execution::transaction::{
    AUDITED, REVERSALS, TRANSACTION_LIST, TRANSACTIONS, TRANSACTIONS_BY_ACTION, TRANSACTIONS_BY_AGENT,
    TRANSACTIONS_IN_STATUS, Transaction, TransactionStatus, first_after,
};
use crate::identity::state::AGENTS;
use crate::identity::view::member;
use crate::rows::RowsError;
use crate::rows::table::Versioned;
use crate::view::{NumberedPage, Page, PageNumber, Paging, Reading, ViewError};

/// Most transactions that one request with filters beyond agent, action, status and time looks at, from the newest on.
pub const LOOKED_AT_MAX: u64 = 100_000;

/// A transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TransactionView {
    /// Its id.
    pub id: TransactionId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Who initiated it.
    pub agent: AgentId,
    /// That agent's name at the time.
    pub agent_name: String,
    /// With whom.
    pub counterparty: Counterparty,
    /// How much it moved, or would have moved.
    pub amount: Decimal,
    /// In which currency.
    pub currency: String,
    /// What was done.
    pub action: String,
    /// What else is to be said; `null` when nobody said anything, or it was erased.
    pub notes: Option<String>,
    /// The agent's own key for it.
    pub key: Option<String>,
    /// Where it stands.
    pub status: TransactionStatus,
    /// Why it was not allowed: the code of the refusal.
    pub failure: Option<String>,
    /// When it happened.
    pub at: Micros,
    /// How it was taken back.
    pub reversal: Option<ReversalView>,
    /// The hash of the entry that records it in the agent's Alsorn chain.
    pub audit_hash: Option<Hash>,
    /// Where in that chain the entry stands, from 1.
    pub audit_place: Option<u64>,
    /// The event that last changed it, for `If-Match`.
    pub version: Seq,
}

/// How a transaction was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ReversalView {
    /// Its id.
    pub id: TransactionId,
    /// When.
    pub at: Micros,
    /// Why; `null` when nobody said, or it was erased.
    pub reason: Option<String>,
    /// The hash of the entry that records it in the agent's Alsorn chain.
    pub audit_hash: Option<Hash>,
}

/// Which transactions. Bounds are inclusive.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TransactionFilter {
    /// Those that an agent initiated.
    pub agent: Option<AgentId>,
    /// Those that stand there.
    pub status: Option<TransactionStatus>,
    /// Those of an action.
    pub action: Option<String>,
    /// From this amount on.
    pub least: Option<Decimal>,
    /// Up to this amount.
    pub most: Option<Decimal>,
    /// From this time on.
    pub from: Option<Micros>,
    /// Up to this time.
    pub to: Option<Micros>,
}

impl TransactionFilter {
    fn takes(&self, it: &Transaction) -> bool {
        self.agent.is_none_or(|agent| it.agent == agent)
            && self.status.is_none_or(|status| it.status == status)
            && self.action.as_ref().is_none_or(|action| it.action == *action)
            && self.least.is_none_or(|least| it.amount >= least)
            && self.most.is_none_or(|most| it.amount <= most)
    }
}

/// A transaction of a tenant, by its own id or that of its reversal.
///
/// # Errors
/// [`ViewError`] when view or keys cannot be read.
pub fn transaction(
    reading: &Reading<'_>, tenant: TenantId, id: TransactionId,
) -> Result<Option<TransactionView>, ViewError> {
    let id = REVERSALS.get(reading.execution, id)?.unwrap_or(id);
    let found = TRANSACTIONS.get_versioned(reading.execution, id)?.filter(|it| it.value.tenant == tenant);
    found.map(|Versioned { seq, value }| transaction_view(reading, seq, value)).transpose()
}

/// A transaction's row with its encrypted fields opened.
///
/// # Errors
/// [`ViewError`] when view or keys cannot be read.
pub fn transaction_view(reading: &Reading<'_>, seq: Seq, row: Transaction) -> Result<TransactionView, ViewError> {
    let kind = match row.status {
        TransactionStatus::Completed | TransactionStatus::Reversed => Kind::TransactionCompleted,
        TransactionStatus::Failed => Kind::TransactionFailed,
    };
    let open = |kind, field, value: &Option<_>| match value {
        Some(value) => reading.opener.open::<String>(row.tenant, kind, field, value),
        None => Ok(None),
    };
    let notes = open(kind, "notes", &row.notes)?;
    let reversal = match &row.reversal {
        Some(it) => {
            let reason = open(Kind::TransactionReversed, "reason", &it.reason)?;
            let audited = AUDITED.get(reading.execution, it.reversal)?;
            Some(ReversalView { id: it.reversal, at: it.at, reason, audit_hash: audited.map(|it| it.hash) })
        }
        None => None,
    };
    let audited = AUDITED.get(reading.execution, row.transaction)?;
    Ok(TransactionView {
        id: row.transaction,
        tenant: row.tenant,
        agent: row.agent,
        agent_name: row.agent_name,
        counterparty: row.counterparty,
        amount: row.amount,
        currency: row.currency,
        action: row.action,
        notes,
        key: row.key,
        status: row.status,
        failure: row.failure,
        at: row.at,
        reversal,
        audit_hash: audited.map(|it| it.hash),
        audit_place: audited.map(|it| it.place),
        version: seq,
    })
}

/// The narrowest list that holds all that a filter takes, and the part of it that lies between its times: ordinals.
struct Narrowed<'a> {
    reading: &'a Reading<'a>,
    tenant: TenantId,
    filter: &'a TransactionFilter,
    first: u64,
    last: u64,
}

impl<'a> Narrowed<'a> {
    /// `None` when the filter's agent is not the tenant's.
    fn new(
        reading: &'a Reading<'a>, tenant: TenantId, filter: &'a TransactionFilter,
    ) -> Result<Option<Self>, ViewError> {
        if let Some(agent) = filter.agent
            && AGENTS.get(reading.identity, agent)?.is_none_or(|agent| agent.tenant != tenant)
        {
            return Ok(None);
        }
        let mut narrowed = Self { reading, tenant, filter, first: 1, last: 0 };
        let length = narrowed.length()?;
        narrowed.last = length;
        let at = |ordinal| Ok(narrowed.row(ordinal)?.value.at);
        let first = match filter.from {
            Some(from) => first_after(length, Micros(from.0.saturating_sub(1)), at)?,
            None => 1,
        };
        let last = match filter.to {
            Some(to) => first_after(length, to, at)? - 1,
            None => length,
        };
        Ok(Some(Self { first, last, ..narrowed }))
    }

    fn length(&self) -> Result<u64, RowsError> {
        let rows = self.reading.execution;
        match (&self.filter.agent, &self.filter.action) {
            (Some(agent), _) => TRANSACTIONS_BY_AGENT.len(rows, *agent),
            (None, Some(action)) => TRANSACTIONS_BY_ACTION.len(rows, (self.tenant, action.as_str())),
            (None, None) => TRANSACTION_LIST.len(rows, self.tenant),
        }
    }

    fn row(&self, ordinal: u64) -> Result<Versioned<Transaction>, RowsError> {
        let rows = self.reading.execution;
        let id = member(match (&self.filter.agent, &self.filter.action) {
            (Some(agent), _) => TRANSACTIONS_BY_AGENT.get(rows, *agent, ordinal)?,
            (None, Some(action)) => TRANSACTIONS_BY_ACTION.get(rows, (self.tenant, action.as_str()), ordinal)?,
            (None, None) => TRANSACTION_LIST.get(rows, self.tenant, ordinal)?,
        })?;
        TRANSACTIONS.get_versioned(rows, id)?.ok_or(RowsError::Missing("a transaction"))
    }

    fn picked(&self, ordinal: u64) -> Result<Option<TransactionView>, ViewError> {
        if !(self.first..=self.last).contains(&ordinal) {
            return Ok(None);
        }
        let Versioned { seq, value } = self.row(ordinal)?;
        if self.filter.takes(&value) { transaction_view(self.reading, seq, value).map(Some) } else { Ok(None) }
    }

    /// Whether every member between the times is taken.
    fn is_exact(&self) -> bool {
        let TransactionFilter { agent, status, action, least, most, .. } = self.filter;
        status.is_none() && least.is_none() && most.is_none() && (agent.is_none() || action.is_none())
    }

    /// The status that is all that is asked for.
    fn only_status(&self) -> Option<TransactionStatus> {
        let only = TransactionFilter { status: self.filter.status, ..TransactionFilter::default() };
        self.filter.status.filter(|_| *self.filter == only)
    }
}

/// The transactions of a tenant; none of an agent that is not the tenant's.
///
/// # Errors
/// [`ViewError`] when view or keys cannot be read.
pub fn transactions(
    reading: &Reading<'_>, tenant: TenantId, filter: &TransactionFilter, paging: &Paging,
) -> Result<Page<TransactionView>, ViewError> {
    let Some(narrowed) = Narrowed::new(reading, tenant, filter)? else {
        return Ok(Page { items: Vec::new(), next: None });
    };
    let length = narrowed.length()?;
    match narrowed.only_status() {
        Some(status) => {
            let prefix = (tenant, status.code());
            paging.within(&TRANSACTIONS_IN_STATUS, reading.execution, prefix, length, |n| narrowed.picked(n))
        }
        None => paging.over(length, |ordinal| narrowed.picked(ordinal)),
    }
}

/// A page by number, newest first. What the lists do not tell by themselves is found among the newest
/// [`LOOKED_AT_MAX`].
///
/// # Errors
/// [`ViewError`] when view or keys cannot be read.
pub fn transactions_page(
    reading: &Reading<'_>, tenant: TenantId, filter: &TransactionFilter, page: PageNumber,
) -> Result<NumberedPage<TransactionView>, ViewError> {
    let none = NumberedPage { items: Vec::new(), total: 0 };
    let Some(narrowed) = Narrowed::new(reading, tenant, filter)? else { return Ok(none) };
    let (first, last) = (narrowed.first, narrowed.last);
    if let Some(status) = narrowed.only_status() {
        let (prefix, length) = ((tenant, status.code()), narrowed.length()?);
        let ordinals = TRANSACTIONS_IN_STATUS.page(reading.execution, prefix, length, page.span())?;
        let items = ordinals.into_iter().filter_map(|ordinal| narrowed.picked(ordinal).transpose());
        let total = TRANSACTIONS_IN_STATUS.len(reading.execution, prefix, length)?;
        return Ok(NumberedPage { items: items.collect::<Result<_, _>>()?, total });
    }
    let (skip, size) = (page.skip(), page.size as u64);
    if narrowed.is_exact() {
        let total = (last + 1).saturating_sub(first);
        let wanted = skip..total.min(skip.saturating_add(size));
        let items = wanted.filter_map(|position| narrowed.picked(last - position).transpose());
        return Ok(NumberedPage { items: items.collect::<Result<_, _>>()?, total });
    }
    let (mut items, mut total) = (Vec::new(), 0);
    for ordinal in (first.max(last.saturating_sub(LOOKED_AT_MAX - 1))..=last).rev() {
        let Versioned { seq, value } = narrowed.row(ordinal)?;
        if !filter.takes(&value) {
            continue;
        }
        if total >= skip && total - skip < size {
            items.push(transaction_view(reading, seq, value)?);
        }
        total += 1;
    }
    Ok(NumberedPage { items, total })
}

/// Gives every transaction that a filter takes, the newest first, until `take` says that it is enough.
///
/// # Errors
/// [`ViewError`] when view or keys cannot be read.
pub fn each_transaction(
    reading: &Reading<'_>, tenant: TenantId, filter: &TransactionFilter, mut take: impl FnMut(TransactionView) -> bool,
) -> Result<(), ViewError> {
    let Some(narrowed) = Narrowed::new(reading, tenant, filter)? else { return Ok(()) };
    for ordinal in (narrowed.first..=narrowed.last).rev() {
        if let Some(transaction) = narrowed.picked(ordinal)?
            && !take(transaction)
        {
            break;
        }
    }
    Ok(())
}
