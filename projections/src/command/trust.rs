//! Trust, policies and transactions.

use chancery_ledger::body::field::{Decimal, JsonText};
use chancery_ledger::body::transaction::Counterparty;
use chancery_ledger::body::trust::DisputeOutcome;
use chancery_ledger::ids::{AgentId, DisputeId, OrganisationId, TransactionId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// See [`super::Command::EvaluateTrust`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluateTrust {
    /// Which agent: the tenant's own, or one whose profile is public.
    pub agent: AgentId,
    /// What it would do: up to 128 characters.
    #[serde(default)]
    pub action: Option<String>,
    /// How much it would move.
    #[serde(default)]
    pub amount: Option<Decimal>,
    /// In which currency.
    #[serde(default)]
    pub currency: Option<String>,
}

/// See [`super::Command::FileDispute`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileDispute {
    /// Of which agent: the tenant's own, or one whose profile is public.
    pub agent: AgentId,
    /// What is wrong: 1 to 500 characters; encrypted, erasable.
    pub reason: String,
    /// What shows it: up to 2,000 characters; encrypted, erasable.
    #[serde(default)]
    pub evidence: Option<String>,
    /// What it is about.
    #[serde(default)]
    pub transaction: Option<TransactionId>,
}

/// See [`super::Command::ResolveDispute`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResolveDispute {
    /// Which.
    pub dispute: DisputeId,
    /// How.
    pub outcome: DisputeOutcome,
}

/// See [`super::Command::SetPolicy`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetPolicy {
    /// What the rules are about: `scoring`, `spending` or `retention`.
    pub kind: String,
    /// `default`; of `spending` also the id of an agent, for which the default then does not hold.
    #[serde(default = "default_key")]
    pub key: String,
    /// The rules, whole; what is absent is as in the rules that nobody set. Up to 16 KiB.
    pub document: JsonText,
}

/// See [`super::Command::ResetPolicy`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetPolicy {
    /// What the rules are about.
    pub kind: String,
    /// Which of that kind.
    #[serde(default = "default_key")]
    pub key: String,
}

fn default_key() -> String {
    crate::trust::state::DEFAULT_KEY.to_owned()
}

/// See [`super::Command::VerifyOrganisation`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyOrganisation {
    /// Which.
    pub organisation: OrganisationId,
    /// Whether the ledger's operator vouches for it.
    pub verified: bool,
}

/// See [`super::Command::ExecuteTransaction`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecuteTransaction {
    /// Who does it.
    pub agent: AgentId,
    /// With whom: an agent of the tenant or one whose profile is public, or 1 to 255 characters for somebody outside.
    pub counterparty: Counterparty,
    /// How much it moves: 0 for what moves nothing.
    pub amount: Decimal,
    /// In which currency: three capital letters.
    #[serde(default = "dollars")]
    pub currency: String,
    /// What is done: 1 to 128 characters.
    pub action: String,
    /// What else is to be said: up to 500 characters; encrypted, erasable.
    #[serde(default)]
    pub notes: Option<String>,
    /// Under which key of the agent's it is to happen only once, for ever: 1 to 255 characters. A key that was used
    /// answers with what happened then, whatever is asked now.
    #[serde(default)]
    pub key: Option<String>,
}

fn dollars() -> String {
    "USD".to_owned()
}

/// See [`super::Command::ReverseTransaction`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReverseTransaction {
    /// Which.
    pub transaction: TransactionId,
    /// Why: up to 500 characters; encrypted, erasable.
    #[serde(default)]
    pub reason: Option<String>,
}
