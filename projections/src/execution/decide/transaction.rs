//! Transactions: what an agent does with another party, within what it may (contracts/alsorn.md section 8).

use chancery_ledger::body::Kind;
use chancery_ledger::body::field::Decimal;
use chancery_ledger::body::transaction::{Counterparty, TransactionCompleted, TransactionFailed, TransactionReversed};
use chancery_ledger::ids::{TenantId, ThingId, TransactionId};

use crate::check::{check_len, check_optional};
use crate::command::{ExecuteTransaction, ReverseTransaction};
use crate::context::Context;
use crate::decision::{Decided, State, Stop};
use crate::execution::transaction::{
    REVERSALS, TRANSACTION_KEYS, TRANSACTIONS, Transaction, TransactionStatus, spent_since,
};
use crate::identity::decide::agent::{self, check_amount, check_currency};
use crate::identity::state::Agent;
use crate::money::Sum;
use crate::output::Output;
use crate::rejection::Rejection;
use crate::rows::RowsError;
use crate::trust::state::spending;

/// The currency of an agent that has no limit, and so may move nothing.
pub const UNSET_CURRENCY: &str = "USD";

/// A transaction of the tenant, by its own id or that of its reversal.
///
/// # Errors
/// [`Rejection::NotFound`] when there is none.
pub fn find(state: &State<'_>, tenant: TenantId, id: TransactionId) -> Result<Transaction, Stop> {
    let id = REVERSALS.get(state.execution, id)?.unwrap_or(id);
    let found = TRANSACTIONS.get(state.execution, id)?.filter(|it| it.tenant == tenant);
    Ok(found.ok_or(Rejection::NotFound { thing: "transaction" })?)
}

/// Decides [`ExecuteTransaction`]. What the agent may not do is kept as a fact; what makes no sense is not.
///
/// # Errors
/// In this order: [`Rejection::Invalid`], [`Rejection::NotFound`], [`Rejection::AgentNotUsable`],
/// [`Rejection::CounterpartyNotUsable`], [`Rejection::ActionNotAuthorised`], [`Rejection::CurrencyMismatch`],
/// [`Rejection::SpendingLimitExceeded`].
pub fn execute(state: &State<'_>, command: &ExecuteTransaction, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    check(command)?;
    let agent = agent::find(state, ctx.tenant(), command.agent)?;
    if let Some(key) = &command.key
        && let Some(before) = TRANSACTION_KEYS.get(state.execution, (agent.agent, key.as_str()))?
    {
        let before = TRANSACTIONS.get(state.execution, before)?.ok_or(RowsError::Missing("a transaction"))?;
        return Ok(Decided::unchanged(Output::Transaction(Box::new(before))));
    }
    let other = match command.counterparty {
        Counterparty::Agent(id) if id == agent.agent => {
            return Err(
                Rejection::Invalid { field: "counterparty", why: "must be another than the agent".into() }.into()
            );
        }
        Counterparty::Agent(id) => Some(agent::find_known(state, ctx.tenant(), id, "counterparty")?),
        Counterparty::External(_) => None,
    };
    match allowed(state, &agent, other.as_ref(), command, ctx)? {
        None => Ok(Decided::facts(ctx.tenant(), vec![completed(&agent, command, ctx)?.into()])),
        // It would move what no limit is measured in: not the agent's overreach but a mistake in what was asked.
        Some(mismatch @ Rejection::CurrencyMismatch { .. }) => Err(mismatch.into()),
        Some(refusal) => {
            let failed = failed(&agent, command, refusal.code(), ctx)?;
            Ok(Decided::refused(ctx.tenant(), vec![failed.into()], refusal))
        }
    }
}

/// Decides [`ReverseTransaction`]. Who asks second finds it reversed.
///
/// # Errors
/// [`Rejection::NotFound`], [`Rejection::NotReversible`], [`Rejection::Invalid`].
pub fn reverse(state: &State<'_>, command: &ReverseTransaction, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    check_optional("reason", command.reason.as_deref(), 500)?;
    let transaction = find(state, ctx.tenant(), command.transaction)?;
    if transaction.status != TransactionStatus::Completed {
        return Err(Rejection::NotReversible { status: transaction.status.name() }.into());
    }
    let reason = match &command.reason {
        Some(reason) => Some(ctx.encrypt(Kind::TransactionReversed, "reason", transaction.agent.subject(), reason)?),
        None => None,
    };
    let reversed = TransactionReversed {
        transaction: transaction.transaction,
        reversal: ctx.id()?,
        agent: transaction.agent,
        counterparty: transaction.counterparty.agent(),
        reason,
    };
    Ok(Decided::facts(ctx.tenant(), vec![reversed.into()]))
}

/// Whether an amount is in the currency that an agent's limit is measured in; one that moves nothing is in any.
#[must_use]
pub fn check_currency_of_limit(agent: &Agent, amount: Decimal, currency: &str) -> Option<Rejection> {
    let (_, of) = limit(agent);
    let differs = amount.is_positive() && of != currency;
    differs.then(|| Rejection::CurrencyMismatch { limit: of.to_owned(), asked: currency.to_owned() })
}

/// Whether an agent may move an amount in one transaction: nothing without a limit.
#[must_use]
pub fn check_limit(agent: &Agent, amount: Decimal) -> Option<Rejection> {
    let (most, of) = limit(agent);
    let (limit, amount, currency) = (Box::new(most), Box::new(amount), of.to_owned());
    (*amount > most).then_some(Rejection::SpendingLimitExceeded { limit, amount, currency, hours: None })
}

fn limit(agent: &Agent) -> (Decimal, &str) {
    agent.limit.as_ref().map_or((Decimal::ZERO, UNSET_CURRENCY), |limit| (limit.amount, limit.currency.as_str()))
}

/// Whether an agent may move an amount on top of what it moved lately.
///
/// # Errors
/// [`Stop::Rows`] when views cannot be read.
pub fn check_windows(
    state: &State<'_>, agent: &Agent, amount: Decimal, currency: &str, ctx: &Context<'_>,
) -> Result<Option<Rejection>, Stop> {
    if !amount.is_positive() {
        return Ok(None);
    }
    let Some(rules) = spending(state.trust, agent.tenant, agent.agent)? else { return Ok(None) };
    for window in rules.windows.iter().filter(|window| window.currency == currency) {
        let since = ctx.now().plus_secs(-3600 * i64::from(window.hours));
        let moved = spent_since(state.execution, agent.agent, currency, since)? + Sum::from(amount);
        if moved > Sum::from(window.amount) {
            return Ok(Some(Rejection::SpendingLimitExceeded {
                limit: Box::new(window.amount),
                amount: Box::new(amount),
                currency: currency.to_owned(),
                hours: Some(window.hours),
            }));
        }
    }
    Ok(None)
}

/// Why the agent may not, if it may not.
fn allowed(
    state: &State<'_>, agent: &Agent, other: Option<&Agent>, command: &ExecuteTransaction, ctx: &Context<'_>,
) -> Result<Option<Rejection>, Stop> {
    if let Some(why) = unusable(state, agent, ctx)? {
        return Ok(Some(Rejection::AgentNotUsable { why }));
    }
    if let Some(other) = other
        && let Some(why) = unusable(state, other, ctx)?
    {
        return Ok(Some(Rejection::CounterpartyNotUsable { why }));
    }
    if !agent.actions.contains(&command.action) {
        return Ok(Some(Rejection::ActionNotAuthorised { action: command.action.clone() }));
    }
    let over = check_currency_of_limit(agent, command.amount, &command.currency);
    match over.or_else(|| check_limit(agent, command.amount)) {
        None => check_windows(state, agent, command.amount, &command.currency, ctx),
        refusal => Ok(refusal),
    }
}

/// Why an agent may not act, if it may not.
///
/// # Errors
/// [`Stop::Rows`] when views cannot be read.
pub fn unusable(state: &State<'_>, agent: &Agent, ctx: &Context<'_>) -> Result<Option<&'static str>, Stop> {
    match agent::check_usable(state, agent, ctx.now()) {
        Ok(()) => Ok(None),
        Err(Stop::Refused(Rejection::AgentNotUsable { why })) => Ok(Some(why)),
        Err(stop) => Err(stop),
    }
}

fn completed(agent: &Agent, command: &ExecuteTransaction, ctx: &mut Context<'_>) -> Result<TransactionCompleted, Stop> {
    let notes = notes(Kind::TransactionCompleted, agent, command, ctx)?;
    Ok(TransactionCompleted {
        transaction: ctx.id()?,
        agent: agent.agent,
        agent_name: agent.name.clone(),
        counterparty: command.counterparty.clone(),
        amount: command.amount,
        currency: command.currency.clone(),
        action: command.action.clone(),
        notes,
        key: command.key.clone(),
    })
}

fn failed(
    agent: &Agent, command: &ExecuteTransaction, failure: &str, ctx: &mut Context<'_>,
) -> Result<TransactionFailed, Stop> {
    let notes = notes(Kind::TransactionFailed, agent, command, ctx)?;
    Ok(TransactionFailed {
        transaction: ctx.id()?,
        agent: agent.agent,
        agent_name: agent.name.clone(),
        counterparty: command.counterparty.clone(),
        amount: command.amount,
        currency: command.currency.clone(),
        action: command.action.clone(),
        notes,
        key: command.key.clone(),
        failure: failure.to_owned(),
    })
}

fn notes(
    kind: Kind, agent: &Agent, command: &ExecuteTransaction, ctx: &mut Context<'_>,
) -> Result<Option<chancery_ledger::shred::Encrypted>, Stop> {
    match &command.notes {
        Some(notes) => Ok(Some(ctx.encrypt(kind, "notes", agent.agent.subject(), notes)?)),
        None => Ok(None),
    }
}

fn check(command: &ExecuteTransaction) -> Result<(), Rejection> {
    if let Counterparty::External(text) = &command.counterparty {
        check_len("counterparty", text, 1, 255)?;
    }
    check_amount("amount", command.amount)?;
    check_currency("currency", &command.currency)?;
    check_len("action", &command.action, 1, 128)?;
    check_optional("notes", command.notes.as_deref(), 500)?;
    command.key.as_deref().map_or(Ok(()), |key| check_len("key", key, 1, 255))
}
