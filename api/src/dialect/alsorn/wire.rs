//! The vendor's JSON (contract section 5): shapes, and how native things become them.
//!
//! Amounts are doubles here, because that is what its readers hold; the ledger keeps them exactly.

use chancery_ledger::body::field::Decimal;
use chancery_ledger::ids::{AgentId, OrganisationId, SubscriptionId, ThingId, render_typeid};
use chancery_ledger::link::Hash;
use chancery_ledger::time::Micros;
use chancery_projections::execution::delivery::view::SubscriptionView;
use chancery_projections::execution::transaction::TransactionStatus;
use chancery_projections::execution::view::TransactionView;
use chancery_projections::identity::state::AgentStatus;
use chancery_projections::identity::view::AgentView;
use chancery_projections::json::Json;
pub use chancery_projections::lane::alsorn::time_text;
use chancery_projections::lane::alsorn::view::EntryView;
use chancery_projections::lane::alsorn::{
    agent_text, counterparty_text, environment_text, hash_text, organisation_text, transaction_text, user_text,
};
use chancery_projections::trust::state::Cause;
use chancery_projections::trust::view::{DisputeView, Movement, TrustView};
use serde_json::{Value, json};
use uuid::Uuid;

use super::call::dispute_text;

/// The currency of an agent that has no limit.
pub const UNSET_CURRENCY: &str = "USD";

/// An amount as a double.
pub fn amount(amount: Decimal) -> f64 {
    // The text of a decimal is always a number.
    amount.to_string().parse().unwrap_or_default()
}

/// Where an agent stands; one that has expired can do as little as one that is suspended.
pub fn status(agent: &AgentView) -> &'static str {
    match agent.status {
        AgentStatus::Decommissioned => "deleted",
        AgentStatus::Suspended => "suspended",
        AgentStatus::Active if agent.unusable_because == Some("expired") => "suspended",
        AgentStatus::Active => "active",
    }
}

fn limit(agent: &AgentView) -> (f64, &str) {
    agent.limit.as_ref().map_or((0.0, UNSET_CURRENCY), |limit| (amount(limit.amount), limit.currency.as_str()))
}

/// An agent, whole.
pub fn agent(agent: &AgentView, trust: &TrustView, fingerprint: Option<Hash>) -> Value {
    let (spending_limit, currency) = limit(agent);
    json!({
        "id": agent_text(agent.id),
        "name": agent.name,
        "description": agent.profile.as_ref().and_then(|profile| profile.description.as_ref()),
        "fingerprint": fingerprint.map(hash_text),
        "environment": environment_text(agent.environment),
        "status": status(agent),
        "authorized_actions": agent.actions,
        "spending_limit": spending_limit,
        "currency": currency,
        "org_id": organisation_text(agent.organisation),
        "owner_id": user_text(&agent.owner).unwrap_or_default(),
        "created_at": time_text(agent.created),
        "updated_at": time_text(agent.updated),
        "suspended_at": trust.suspended.map(time_text),
        "trust_record": trust_record(trust),
    })
}

fn trust_record(trust: &TrustView) -> Value {
    json!({
        "id": render_typeid("tr", trust.agent.uuid()),
        "agent_id": agent_text(trust.agent),
        "score": trust.score,
        "total_tasks": trust.tasks,
        "disputes": trust.basis.counts.disputes,
        "completion_rate": completion_rate(trust),
        "tenure_days": trust.age_days,
        "operator_verified": trust.basis.operator_verified,
        "last_evaluated": trust.evaluated.map(time_text),
    })
}

/// An agent in a list.
pub fn agent_item(agent: &AgentView, trust: &TrustView, fingerprint: Option<Hash>) -> Value {
    let (spending_limit, currency) = limit(agent);
    json!({
        "id": agent_text(agent.id),
        "name": agent.name,
        "fingerprint": fingerprint.map(hash_text),
        "environment": environment_text(agent.environment),
        "status": status(agent),
        "authorized_actions": agent.actions,
        "spending_limit": spending_limit,
        "currency": currency,
        "created_at": time_text(agent.created),
        "trust_score": trust.score,
    })
}

/// What everybody may know of an agent.
pub fn verification(agent: &AgentView, trust: &TrustView, fingerprint: Option<Hash>, is_whole: bool) -> Value {
    json!({
        "id": agent_text(agent.id),
        "name": agent.name,
        "org_name": trust.organisation_name,
        "fingerprint": fingerprint.map(hash_text),
        "authorized_actions": agent.actions,
        "environment": environment_text(agent.environment),
        "status": status(agent),
        "created_at": time_text(agent.created),
        "trust_score": trust.score,
        "operator_verified": trust.basis.operator_verified,
        "last_evaluated": trust.evaluated.map(time_text),
        "verified": is_whole && status(agent) == "active",
    })
}

fn completion_rate(trust: &TrustView) -> f64 {
    let counts = trust.basis.counts;
    let ended = counts.tasks() + counts.failed + counts.refused_scope_checks + counts.revoked_missions;
    if ended == 0 { 0.0 } else { counts.completed as f64 / ended as f64 }
}

/// How far an agent is trusted.
pub fn profile(trust: &TrustView) -> Value {
    let (weights, parts) = (trust.weights, trust.components);
    let disputes = trust.basis.counts.disputes as f64 / trust.tasks.max(10) as f64;
    let part = |weight: u16, score: u16, value: Value| json!({ "weight": f64::from(weight) / 1000.0, "score": score, "value": value });
    json!({
        "agent_id": agent_text(trust.agent),
        "score": trust.score,
        "assessment": trust.assessment,
        "tier": trust.tier,
        "components": {
            "completion_rate": part(weights.completion_rate, parts.completion_rate, json!(completion_rate(trust))),
            "dispute_rate": part(weights.dispute_rate, parts.dispute_rate, json!(disputes)),
            "tenure": part(weights.tenure, parts.tenure, json!(trust.basis.tenure_days)),
            "operator_verified": part(
                weights.operator_verified,
                parts.operator_verified,
                json!(trust.basis.operator_verified),
            ),
        },
        "factors": {
            "completion_rate": completion_rate(trust),
            "dispute_ratio": disputes,
            "tenure_days": trust.basis.tenure_days,
            "operator_verified": u8::from(trust.basis.operator_verified),
        },
        "total_tasks": trust.tasks,
        "disputes": trust.basis.counts.disputes,
        "tenure_days": trust.age_days,
        "operator_verified": trust.basis.operator_verified,
        "agent_name": trust.name,
        "last_evaluated": trust.evaluated.map(time_text),
        "trend": trust.trend.name(),
        "environment": environment_text(trust.environment),
        "org_name": trust.organisation_name,
        "created_at": time_text(trust.registered),
    })
}

/// A score that an agent had.
pub fn history_entry(it: &Movement) -> Value {
    json!({
        "score": it.score,
        "created_at": time_text(it.at),
        "timestamp": time_text(it.at),
        "reason": reason(it.cause),
        "assessment": it.assessment,
    })
}

/// What gave a score, for people.
pub const fn reason(cause: Cause) -> &'static str {
    match cause {
        Cause::Registered => "Agent registered",
        Cause::Evaluated => "Trust evaluated",
        Cause::TransactionCompleted => "Transaction completed",
        Cause::TransactionFailed => "Transaction failed",
        Cause::TransactionReversed => "Transaction reversed",
        Cause::DisputeFiled => "Dispute filed",
        Cause::DisputeDismissed => "Dispute dismissed",
        Cause::ScopeCheckRefused => "Action outside the agent's scope refused",
        Cause::MissionRevoked => "Mission revoked",
        Cause::Suspended => "Agent suspended",
    }
}

/// A dispute.
pub fn dispute(it: &DisputeView, evidence_ids: &[String]) -> Value {
    use chancery_ledger::body::trust::DisputeOutcome;
    json!({
        "id": dispute_text(it.id),
        "dispute_id": dispute_text(it.id),
        "agent_id": agent_text(it.agent),
        "reason": it.reason,
        "status": match it.outcome {
            None => "pending_review",
            Some(DisputeOutcome::Upheld) => "upheld",
            Some(DisputeOutcome::Dismissed) => "dismissed",
        },
        "created_at": time_text(it.filed),
        "evidence": it.evidence,
        "evidence_ids": evidence_ids,
        "transaction_id": it.transaction.map(transaction_text),
        "reported_by": it.reporter.as_ref().and_then(user_text),
    })
}

/// Why a transaction was not allowed, in the vendor's words.
pub fn failure_code(code: &str) -> &str {
    match code {
        "agent_not_usable" => "agent_suspended",
        "counterparty_not_usable" => "counterparty_suspended",
        "action_not_authorised" => "action_not_authorized",
        other => other,
    }
}

/// A transaction.
pub fn transaction(it: &TransactionView) -> Value {
    let (id, other) = (agent_text(it.agent), counterparty_text(&it.counterparty));
    let mut value = json!({
        "id": transaction_text(it.id),
        "agent_id": id,
        "agent_name": it.agent_name,
        "counterparty_id": other,
        "amount": amount(it.amount),
        "currency": it.currency,
        "action_type": it.action,
        "status": it.status.name(),
        "permissions_checked": true,
        "created_at": time_text(it.at),
        "audit_hash": it.audit_hash.map(hash_text),
        "notes": it.notes,
        "from_agent": id,
        "to_agent": other,
        "action": it.action,
        "memo": it.notes,
    });
    let Some(fields) = value.as_object_mut() else { return value };
    if let Some(reversal) = &it.reversal {
        fields.insert("reversed_at".to_owned(), json!(time_text(reversal.at)));
        fields.insert("reversal_audit_hash".to_owned(), json!(reversal.audit_hash.map(hash_text)));
        fields.insert("reversal_id".to_owned(), json!(transaction_text(reversal.id)));
        fields.insert("reversal_reason".to_owned(), json!(reversal.reason));
    }
    if it.status == TransactionStatus::Failed {
        fields.insert("failure_code".to_owned(), json!(it.failure.as_deref().map(failure_code)));
    }
    value
}

/// An entry of an agent's chain.
pub fn audit_entry(it: &EntryView) -> Value {
    let payload = serde_json::from_str(&Json::Object(it.payload.clone()).render()).unwrap_or(Value::Null);
    json!({
        "id": it.id,
        "agent_id": agent_text(it.agent),
        "action_type": it.action,
        "action": it.action,
        "payload": payload,
        "payload_hash": hash_text(it.hash),
        "previous_hash": it.previous.map(hash_text),
        "created_at": it.created_at,
        "timestamp": it.created_at,
        "operator_id": it.operator_id,
        "actor_id": it.operator_id,
        "actor": it.operator_id,
    })
}

/// The version of what is posted to webhooks.
const API_VERSION: &str = "2026-01";

/// A webhook's id.
pub fn webhook_text(id: SubscriptionId) -> String {
    render_typeid("wh", id.uuid())
}

/// A webhook; its secret is shown when it is made, and not here.
pub fn webhook(it: &SubscriptionView, organisation: Option<OrganisationId>) -> Value {
    json!({
        "id": webhook_text(it.id),
        "org_id": organisation.map(organisation_text),
        // An address that was erased is empty, because a webhook must have one.
        "url": it.destinations.first().and_then(|place| place.url.as_deref()).unwrap_or_default(),
        "events": it.events,
        "active": it.active,
        "consecutive_failures": it.failures,
        "created_at": time_text(it.created),
    })
}

/// What is posted to a webhook.
pub fn webhook_event(id: Uuid, event: &str, created: Micros, data: Value) -> Value {
    json!({
        "id": render_typeid("evt", id),
        "event": event,
        "created": time_text(created),
        "api_version": API_VERSION,
        "data": data,
    })
}

/// A score that moved.
pub fn score_change(agent: AgentId, it: &Movement) -> Value {
    json!({
        "agent_id": agent_text(agent),
        "previous_score": i32::from(it.score) - it.moved,
        "score": it.score,
        "assessment": it.assessment,
        "reason": reason(it.cause),
    })
}
