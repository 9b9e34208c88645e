//! Events of transactions (DOMAIN sections 3.5 and 4).

use serde::{Deserialize, Serialize};

use super::field::Decimal;
use super::{Facts, Subjects};
use crate::ids::{AgentId, TransactionId};
use crate::shred::Encrypted;

/// The other party of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Counterparty {
    /// An agent of this ledger.
    Agent(AgentId),
    /// Somebody outside, in the caller's words.
    External(String),
}

impl Counterparty {
    /// The agent, if it is one.
    #[must_use]
    pub const fn agent(&self) -> Option<AgentId> {
        match self {
            Self::Agent(agent) => Some(*agent),
            Self::External(_) => None,
        }
    }
}

/// An agent did something with another party.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionCompleted {
    /// The transaction.
    pub transaction: TransactionId,
    /// Who did it.
    pub agent: AgentId,
    /// Its name at that moment.
    pub agent_name: String,
    /// With whom.
    pub counterparty: Counterparty,
    /// How much it moved; zero for what moves nothing.
    pub amount: Decimal,
    /// In which currency (ISO 4217).
    pub currency: String,
    /// What was done.
    pub action: String,
    /// Text, under the agent's key.
    pub notes: Option<Encrypted>,
    /// Under which key of the agent's it happens only once.
    pub key: Option<String>,
}

/// An agent would have done something with another party, and may not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionFailed {
    /// The transaction.
    pub transaction: TransactionId,
    /// Who would have done it.
    pub agent: AgentId,
    /// Its name at that moment.
    pub agent_name: String,
    /// With whom.
    pub counterparty: Counterparty,
    /// How much it would have moved.
    pub amount: Decimal,
    /// In which currency (ISO 4217).
    pub currency: String,
    /// What would have been done.
    pub action: String,
    /// Text, under the agent's key.
    pub notes: Option<Encrypted>,
    /// The key under which it was tried, which that did not use up.
    pub key: Option<String>,
    /// Why not: the code of the refusal.
    pub failure: String,
}

/// A transaction was taken back, which is for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionReversed {
    /// The transaction.
    pub transaction: TransactionId,
    /// Its reversal.
    pub reversal: TransactionId,
    /// Who had done it.
    pub agent: AgentId,
    /// With which agent, if it was one.
    pub counterparty: Option<AgentId>,
    /// Text, under the agent's key.
    pub reason: Option<Encrypted>,
}

impl Facts for TransactionCompleted {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.transaction).add(self.agent).maybe(self.counterparty.agent());
    }
}

impl Facts for TransactionFailed {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.transaction).add(self.agent).maybe(self.counterparty.agent());
    }
}

impl Facts for TransactionReversed {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.transaction).add(self.reversal).add(self.agent).maybe(self.counterparty);
    }
}
