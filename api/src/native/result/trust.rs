//! Trust, disputes and transactions as a command left them.

use chancery_ledger::body::Kind;
use chancery_ledger::body::field::Decimal;
use chancery_ledger::body::transaction::Counterparty;
use chancery_ledger::body::trust::{DisputeOutcome, DisputeTexts, TrustEvaluated};
use chancery_ledger::ids::{AgentId, DisputeId, TransactionId};
use chancery_ledger::time::Micros;
use chancery_projections::context::{ContextError, Opener};
use chancery_projections::execution::transaction::{Transaction, TransactionStatus};
use chancery_projections::trust::state::Dispute;
use schemars::JsonSchema;
use serde::Serialize;

use super::open;

/// What was answered about an agent.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EvaluationResult {
    /// The agent.
    pub agent: AgentId,
    /// Whether it is trusted with that.
    pub allowed: bool,
    /// `trusted`, or the first rule that it fails: `agent_not_usable`, `action_not_authorised`, `currency_mismatch`,
    /// `spending_limit_exceeded` or `score_too_low`.
    pub reason: String,
    /// Its score at that moment.
    pub score: u16,
    /// The version of the rules that scored it.
    pub policy: u32,
}

/// A dispute.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DisputeResult {
    /// Its id.
    pub id: DisputeId,
    /// Of which agent.
    pub agent: AgentId,
    /// About what.
    pub transaction: Option<TransactionId>,
    /// What is wrong; `null` when erased.
    pub reason: Option<String>,
    /// What shows it, likewise.
    pub evidence: Option<String>,
    /// When it was filed.
    pub filed: Micros,
    /// How it was decided.
    pub outcome: Option<DisputeOutcome>,
}

/// A transaction.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TransactionResult {
    /// Its id.
    pub id: TransactionId,
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
    /// What else is to be said; `null` when nobody said anything, or it was erased.
    pub notes: Option<String>,
    /// The agent's own key for it.
    pub key: Option<String>,
    /// Where it stands.
    pub status: TransactionStatus,
    /// When it happened.
    pub at: Micros,
    /// The reversal's id, once it was taken back.
    pub reversal: Option<TransactionId>,
    /// When that was.
    pub reversed: Option<Micros>,
}

pub(super) fn evaluation(event: TrustEvaluated) -> EvaluationResult {
    let TrustEvaluated { agent, allowed, reason, score, policy, .. } = event;
    EvaluationResult { agent, allowed, reason, score, policy }
}

pub(super) fn dispute(row: Dispute, opener: &Opener<'_>) -> Result<DisputeResult, ContextError> {
    let texts: Option<DisputeTexts> = open(Some(&row.texts), opener, row.tenant, Kind::DisputeFiled, "texts")?;
    let (reason, evidence) = texts.map_or((None, None), |texts| (Some(texts.reason), texts.evidence));
    Ok(DisputeResult {
        id: row.dispute,
        agent: row.agent,
        transaction: row.transaction,
        reason,
        evidence,
        filed: row.filed,
        outcome: row.resolved.map(|(outcome, _)| outcome),
    })
}

pub(super) fn transaction(row: Transaction, opener: &Opener<'_>) -> Result<TransactionResult, ContextError> {
    Ok(TransactionResult {
        notes: open(row.notes.as_ref(), opener, row.tenant, Kind::TransactionCompleted, "notes")?,
        id: row.transaction,
        agent: row.agent,
        agent_name: row.agent_name,
        counterparty: row.counterparty,
        amount: row.amount,
        currency: row.currency,
        action: row.action,
        key: row.key,
        status: row.status,
        at: row.at,
        reversal: row.reversal.as_ref().map(|it| it.reversal),
        reversed: row.reversal.map(|it| it.at),
    })
}
