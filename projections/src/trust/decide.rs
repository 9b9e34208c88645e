//! State and command to events, one function per command.

use chancery_ledger::body::Kind;
use chancery_ledger::body::field::JsonText;
use chancery_ledger::body::trust::{
    DisputeFiled, DisputeOutcome, DisputeResolved, DisputeTexts, PolicyChanged, PolicyReset, TrustEvaluated,
};
use chancery_ledger::ids::{AgentId, TenantId, ThingId, TransactionId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::evolve::scored;
use super::retention::Retention;
use super::scope_rules::ScopeRules;
use super::scoring::Scoring;
use super::spending::Spending;
use super::state::{DEFAULT_KEY, DISPUTES, POLICIES, PolicyKind, RECORDS, scoring};
use crate::check::{check_len, check_optional};
use crate::command::{EvaluateTrust, FileDispute, ResetPolicy, ResolveDispute, SetPolicy};
use crate::context::Context;
use crate::decision::{Decided, State, Stop};
use crate::execution::decide::transaction::{check_currency_of_limit, check_limit, check_windows, unusable};
use crate::execution::transaction::{REVERSALS, TRANSACTIONS, Transaction};
use crate::identity::decide::agent::{self, check_amount, check_currency};
use crate::identity::state::AGENTS;
use crate::output::Output;
use crate::rejection::Rejection;
use crate::rows::RowsError;

/// Longest document of rules, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 16 * 1024;
/// What is answered when nothing speaks against it.
pub const TRUSTED: &str = "trusted";
/// What is answered when the score alone does.
pub const SCORE_TOO_LOW: &str = "score_too_low";

/// Decides [`EvaluateTrust`]: the first rule that the agent fails, in contracts/alsorn.md's order (section 7.4).
///
/// # Errors
/// [`Rejection::NotFound`], [`Rejection::Invalid`].
pub fn evaluate(state: &State<'_>, command: &EvaluateTrust, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    check_optional("action", command.action.as_deref(), 128)?;
    command.amount.map_or(Ok(()), |amount| check_amount("amount", amount))?;
    command.currency.as_deref().map_or(Ok(()), |currency| check_currency("currency", currency))?;
    let agent = agent::find_known(state, ctx.tenant(), command.agent, "agent")?;
    let record = RECORDS.get(state.trust, agent.agent)?.ok_or(RowsError::Missing("an agent's record of trust"))?;
    let (policy, _, components) = scored(state.trust, &record, ctx.now())?;
    let (_, rules) = scoring(state.trust, agent.tenant)?;
    let score = components.score();
    let limit = agent.limit.as_ref().map(|limit| limit.currency.clone());
    let currency = command.currency.clone().or(limit).unwrap_or_default();
    let amount = command.amount.unwrap_or_default();
    let refused = if let Some(why) = unusable(state, &agent, ctx)? {
        Some(Rejection::AgentNotUsable { why })
    } else if let Some(action) = command.action.as_ref().filter(|action| !agent.actions.contains(action)) {
        Some(Rejection::ActionNotAuthorised { action: action.clone() })
    } else if let Some(refusal) =
        check_limit(&agent, amount).or_else(|| check_currency_of_limit(&agent, amount, &currency))
    {
        Some(refusal)
    } else {
        check_windows(state, &agent, amount, &currency, ctx)?
    };
    let reason = match &refused {
        Some(refusal) => refusal.code(),
        None if score < rules.trusted_from => SCORE_TOO_LOW,
        None => TRUSTED,
    };
    let event = TrustEvaluated {
        agent: agent.agent,
        action: command.action.clone(),
        amount: command.amount,
        currency: command.currency.clone(),
        allowed: reason == TRUSTED,
        reason: reason.to_owned(),
        score,
        policy,
    };
    Ok(Decided::facts(ctx.tenant(), vec![event.into()]))
}

/// Decides [`FileDispute`].
///
/// # Errors
/// [`Rejection::NotFound`], [`Rejection::TransactionUnrelated`], [`Rejection::Invalid`].
pub fn file_dispute(state: &State<'_>, command: &FileDispute, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    check_len("reason", &command.reason, 1, 500)?;
    check_optional("evidence", command.evidence.as_deref(), 2000)?;
    let agent = agent::find_known(state, ctx.tenant(), command.agent, "agent")?;
    let transaction = match command.transaction {
        None => None,
        Some(id) => {
            let transaction = known_transaction(state, ctx.tenant(), id)?;
            if transaction.agent != agent.agent && transaction.counterparty.agent() != Some(agent.agent) {
                return Err(Rejection::TransactionUnrelated.into());
            }
            Some(transaction.transaction)
        }
    };
    let texts = DisputeTexts { reason: command.reason.clone(), evidence: command.evidence.clone() };
    let filed = DisputeFiled {
        dispute: ctx.id()?,
        agent: agent.agent,
        transaction,
        reporter: ctx.caller().actor.principal.clone(),
        texts: ctx.encrypt(Kind::DisputeFiled, "texts", agent.agent.subject(), &texts)?,
    };
    Ok(Decided::facts(ctx.tenant(), vec![filed.into()]))
}

/// A transaction that the tenant may know of: its own, or one with an agent of its own.
fn known_transaction(state: &State<'_>, tenant: TenantId, id: TransactionId) -> Result<Transaction, Stop> {
    let id = REVERSALS.get(state.execution, id)?.unwrap_or(id);
    let found = TRANSACTIONS.get(state.execution, id)?;
    let is_own =
        |agent: AgentId| Ok::<_, RowsError>(AGENTS.get(state.identity, agent)?.is_some_and(|it| it.tenant == tenant));
    if let Some(found) = found {
        let other = found.counterparty.agent().map_or(Ok(false), is_own)?;
        if found.tenant == tenant || other {
            return Ok(found);
        }
    }
    Err(Rejection::NotFound { thing: "transaction" }.into())
}

/// Decides [`ResolveDispute`]: for the tenant that filed it, and so for the ledger's operator who enters it, never for the
/// one whose agent it is about.
///
/// # Errors
/// [`Rejection::NotFound`], [`Rejection::AlreadyDecided`].
pub fn resolve_dispute(state: &State<'_>, command: &ResolveDispute, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    let dispute = DISPUTES.get(state.trust, command.dispute)?.filter(|it| it.tenant == ctx.tenant());
    let dispute = dispute.ok_or(Rejection::NotFound { thing: "dispute" })?;
    match dispute.resolved {
        Some((outcome, _)) if outcome == command.outcome => Ok(Decided::unchanged(Output::Dispute(dispute))),
        Some((DisputeOutcome::Upheld, _)) => Err(Rejection::AlreadyDecided { outcome: "upheld" }.into()),
        Some((DisputeOutcome::Dismissed, _)) => Err(Rejection::AlreadyDecided { outcome: "dismissed" }.into()),
        None => {
            let event = DisputeResolved { dispute: dispute.dispute, agent: dispute.agent, outcome: command.outcome };
            Ok(Decided::facts(ctx.tenant(), vec![event.into()]))
        }
    }
}

/// Decides [`SetPolicy`]. The document is kept whole, with what was absent filled in, so that a newer program reads the
/// same rules from it.
///
/// # Errors
/// [`Rejection::Invalid`], [`Rejection::NotFound`], [`Rejection::PolicyInvalid`].
pub fn set_policy(state: &State<'_>, command: &SetPolicy, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    let kind = parse_kind(&command.kind)?;
    let key = checked_key(state, kind, &command.key, ctx)?;
    let document = match kind {
        PolicyKind::Scoring => whole(&parse_scoring(command.document.as_str())?)?,
        PolicyKind::Spending => {
            let rules: Spending = parse_document(command.document.as_str())?;
            rules.check().map_err(|(path, why)| Rejection::PolicyInvalid { path: path.to_owned(), why })?;
            whole(&rules)?
        }
        PolicyKind::Scope => whole(&parse_scope_rules(command.document.as_str())?)?,
        PolicyKind::Retention => {
            let rules: Retention = parse_document(command.document.as_str())?;
            rules.check().map_err(|(path, why)| Rejection::PolicyInvalid { path: path.to_owned(), why })?;
            whole(&rules)?
        }
    };
    let before = POLICIES.get(state.trust, (ctx.tenant(), kind.name(), key.as_str()))?;
    if let Some(before) = before.as_ref().filter(|before| before.document.as_ref() == Some(&document)) {
        return Ok(Decided::unchanged(Output::Policy { kind, key, policy: before.clone() }));
    }
    let (policy, version) = match before {
        Some(before) => (before.policy, before.version + 1),
        None => (ctx.id()?, 1),
    };
    let event = PolicyChanged { kind: kind.name().to_owned(), key, policy, version, document: JsonText(document) };
    Ok(Decided::facts(ctx.tenant(), vec![event.into()]))
}

/// Decides [`ResetPolicy`].
///
/// # Errors
/// [`Rejection::NotFound`] when nobody ever set it, [`Rejection::Invalid`].
pub fn reset_policy(state: &State<'_>, command: &ResetPolicy, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    let kind = parse_kind(&command.kind)?;
    let before = POLICIES.get(state.trust, (ctx.tenant(), kind.name(), command.key.as_str()))?;
    let before = before.ok_or(Rejection::NotFound { thing: "policy" })?;
    if before.document.is_none() {
        return Ok(Decided::unchanged(Output::Policy { kind, key: command.key.clone(), policy: before }));
    }
    let event = PolicyReset { kind: kind.name().to_owned(), key: command.key.clone(), policy: before.policy };
    Ok(Decided::facts(ctx.tenant(), vec![event.into()]))
}

/// Reads rules of scoring; what is absent is as in those that nobody set.
///
/// # Errors
/// [`Rejection::PolicyInvalid`], [`Rejection::Invalid`] when it is too long.
pub fn parse_scoring(document: &str) -> Result<Scoring, Rejection> {
    let rules: Scoring = parse_document(document)?;
    rules.check().map_err(|(path, why)| Rejection::PolicyInvalid { path: path.to_owned(), why })?;
    Ok(rules)
}

/// Reads rules of scope checks; what is absent refuses nothing.
///
/// # Errors
/// As [`parse_scoring`].
pub fn parse_scope_rules(document: &str) -> Result<ScopeRules, Rejection> {
    let rules: ScopeRules = parse_document(document)?;
    rules.check().map_err(|(path, why)| Rejection::PolicyInvalid { path: path.to_owned(), why })?;
    Ok(rules)
}

fn parse_document<T: DeserializeOwned>(document: &str) -> Result<T, Rejection> {
    if document.len() > DOCUMENT_BYTES_MAX {
        return Err(Rejection::Invalid { field: "document", why: format!("at most {DOCUMENT_BYTES_MAX} bytes") });
    }
    // serde would read a list as the fields in their order.
    if !document.trim_start().starts_with('{') {
        return Err(Rejection::PolicyInvalid { path: ".".to_owned(), why: "must be an object".to_owned() });
    }
    let mut json = serde_json::Deserializer::from_str(document);
    serde_path_to_error::deserialize(&mut json).map_err(|error| Rejection::PolicyInvalid {
        path: error.path().to_string(),
        why: format!("cannot be read: {}", error.inner()),
    })
}

fn whole<T: Serialize>(rules: &T) -> Result<String, Rejection> {
    serde_json::to_string(rules).map_err(|error| Rejection::Invalid { field: "document", why: error.to_string() })
}

fn parse_kind(kind: &str) -> Result<PolicyKind, Rejection> {
    PolicyKind::parse(kind).ok_or_else(|| {
        let names: Vec<_> = PolicyKind::ALL.into_iter().map(PolicyKind::name).collect();
        Rejection::Invalid { field: "kind", why: format!("must be one of {}", names.join(", ")) }
    })
}

/// The key in its one spelling.
fn checked_key(state: &State<'_>, kind: PolicyKind, key: &str, ctx: &Context<'_>) -> Result<String, Stop> {
    if key == DEFAULT_KEY {
        return Ok(key.to_owned());
    }
    match (kind, key.parse::<AgentId>()) {
        (PolicyKind::Spending | PolicyKind::Scope, Ok(id)) => {
            Ok(agent::find(state, ctx.tenant(), id)?.agent.to_string())
        }
        (PolicyKind::Spending | PolicyKind::Scope, Err(_)) => {
            let why = "must be `default` or the id of an agent".to_owned();
            Err(Rejection::Invalid { field: "key", why }.into())
        }
        (PolicyKind::Scoring | PolicyKind::Retention, _) => {
            Err(Rejection::Invalid { field: "key", why: "must be `default`".into() }.into())
        }
    }
}
