//! What the execution view knows of transactions: rows, and the tables they stand in.

use chancery_ledger::body::field::Decimal;
use chancery_ledger::body::transaction::Counterparty;
use chancery_ledger::ids::{AgentId, TenantId, TransactionId};
use chancery_ledger::shred::Encrypted;
use chancery_ledger::time::Micros;
use serde::{Deserialize, Serialize};

use crate::lane::alsorn::rows::Audited;
use crate::money::Sum;
use crate::rows::subset::Subset;
use crate::rows::table::{DenseList, Table};
use crate::rows::{Rows, RowsError};

/// Transactions, by id.
pub const TRANSACTIONS: Table<Transaction> = Table::new(13);
/// Transactions of a tenant.
pub const TRANSACTION_LIST: DenseList<TransactionId> = DenseList::new(14).for_readers();
/// Transactions that an agent initiated.
pub const TRANSACTIONS_BY_AGENT: DenseList<TransactionId> = DenseList::new(15).for_readers();
/// Transactions of a tenant, by tenant and action.
pub const TRANSACTIONS_BY_ACTION: DenseList<TransactionId> = DenseList::new(16).for_readers();
/// Which transactions of a tenant stand where, by tenant and status code.
pub const TRANSACTIONS_IN_STATUS: Subset = Subset::new(17).for_readers();
/// What happened under the keys of an agent, by agent and key.
pub const TRANSACTION_KEYS: Table<TransactionId> = Table::new(18);
/// Transactions, by the id of their reversal.
pub const REVERSALS: Table<TransactionId> = Table::new(19);
/// Where a transaction's event, or a reversal's, stands in the agent's Alsorn chain, by the id of either.
pub const AUDITED: Table<Audited> = Table::new(115).for_readers();
/// What an agent has moved, after each transaction that moved something, by agent and currency.
pub const SPENT: DenseList<Spent> = DenseList::new(61);

/// Where a transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TransactionStatus {
    /// It happened.
    Completed,
    /// It happened and was taken back.
    Reversed,
    /// It was not allowed.
    Failed,
}

impl TransactionStatus {
    /// Every status.
    pub const ALL: [Self; 3] = [Self::Completed, Self::Reversed, Self::Failed];

    /// The byte that stands for it in keys.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Completed => 0,
            Self::Reversed => 1,
            Self::Failed => 2,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Reversed => "reversed",
            Self::Failed => "failed",
        }
    }

    /// The status of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}

/// A transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// Its id.
    pub transaction: TransactionId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its place in the tenant's list.
    pub ordinal: u64,
    /// Who initiated it.
    pub agent: AgentId,
    /// That agent's name at the time.
    pub agent_name: String,
    /// With whom.
    pub counterparty: Counterparty,
    /// How much.
    pub amount: Decimal,
    /// In which currency.
    pub currency: String,
    /// What was done.
    pub action: String,
    /// Text, under the agent's key.
    pub notes: Option<Encrypted>,
    /// The agent's own key for it.
    pub key: Option<String>,
    /// Where it stands.
    pub status: TransactionStatus,
    /// Why it was not allowed.
    pub failure: Option<String>,
    /// When it happened.
    pub at: Micros,
    /// How it was taken back.
    pub reversal: Option<Reversal>,
}

/// How a transaction was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reversal {
    /// Its id.
    pub reversal: TransactionId,
    /// When.
    pub at: Micros,
    /// Text, under the agent's key.
    pub reason: Option<Encrypted>,
}

/// What an agent had moved at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// When.
    pub at: Micros,
    /// All that it had moved in that currency, since the beginning.
    pub total: Sum,
}

/// The first ordinal of a list whose members are in the order of their times, at which the time is after `time`; one more
/// than its length when there is none.
///
/// # Errors
/// [`RowsError`] when a member cannot be read.
pub fn first_after(length: u64, time: Micros, at: impl Fn(u64) -> Result<Micros, RowsError>) -> Result<u64, RowsError> {
    let (mut from, mut to) = (1, length + 1);
    while from < to {
        let middle = from + (to - from) / 2;
        if at(middle)? > time { to = middle } else { from = middle + 1 }
    }
    Ok(from)
}

/// What an agent has moved in a currency since a time, that instant left out.
///
/// # Errors
/// [`RowsError`] when a member cannot be read.
pub fn spent_since(rows: &dyn Rows, agent: AgentId, currency: &str, since: Micros) -> Result<Sum, RowsError> {
    let list = (agent, currency);
    let length = SPENT.len(rows, list)?;
    let get = |ordinal| SPENT.get(rows, list, ordinal)?.ok_or(RowsError::Missing("a list's member"));
    if length == 0 {
        return Ok(Sum::default());
    }
    let all: Spent = get(length)?;
    let first = first_after(length, since, |ordinal| get(ordinal).map(|spent| spent.at))?;
    Ok(if first == 1 { all.total } else { all.total - get(first - 1)?.total })
}
