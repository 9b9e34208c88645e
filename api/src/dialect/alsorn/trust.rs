//! Trust: profiles, evaluation before a transaction, history, disputes.

use chancery_ledger::body::trust::TrustEvaluated;
use chancery_ledger::ids::AgentId;
use chancery_projections::command::{EvaluateTrust, FileDispute};
use chancery_projections::output::Output;
use chancery_projections::trust::decide::{SCORE_TOO_LOW, TRUSTED};
use chancery_projections::trust::view;
use serde_json::{Value, json};

use super::call::{Call, created, ok, parse_agent, parse_transaction, unexpected};
use super::error::Failure;
use super::wire;
use crate::response::Response;

/// Most points of a history.
const HISTORY_MAX: usize = 1_000;
const BATCH_MAX: usize = 50;
const DAY_SECS: i64 = 86_400;

/// `GET /trust/{id}`.
pub(super) async fn query(call: Call) -> Result<Response, Failure> {
    let id = call.agent()?;
    Ok(ok(&profile(&call, id).await?.ok_or_else(|| Failure::not_found("Agent"))?))
}

/// `POST /trust/query`.
pub(super) async fn batch(mut call: Call) -> Result<Response, Failure> {
    let mut body = call.json().await?;
    body.must("agent_ids");
    let ids = body.list("agent_ids", BATCH_MAX).unwrap_or_default();
    body.done()?;
    let (held, tenant) = (call.hold().await?, call.tenant()?);
    let reading = call.reading(&held);
    let results = tokio::task::block_in_place(|| {
        let one = |text: &String| match parse_agent(text) {
            Some(id) => Ok(view::trust(&reading, Some(tenant), id, false)?.map(|trust| wire::profile(&trust))),
            None => Ok(None),
        };
        ids.iter().map(one).collect::<Result<Vec<Option<Value>>, Failure>>()
    })?;
    Ok(ok(&json!({ "results": results })))
}

/// `POST /trust/evaluate/{id}`.
pub(super) async fn evaluate(mut call: Call) -> Result<Response, Failure> {
    let id = call.agent()?;
    let mut body = call.json().await?;
    let (action, amount) = (body.text("action", 1, 100), body.amount("amount"));
    let currency = body.currency("currency");
    body.done()?;
    let command = EvaluateTrust { agent: id, action, amount, currency };
    let (Output::TrustEvaluated(answered), _) = call.submit(command).await? else { return Err(unexpected()) };
    let mut shown = profile(&call, id).await?.ok_or_else(|| Failure::not_found("Agent"))?;
    if let Some(fields) = shown.as_object_mut() {
        fields.insert("allowed".to_owned(), json!(answered.allowed));
        fields.insert("reason".to_owned(), json!(reason(&answered)));
    }
    Ok(ok(&shown))
}

/// The answer's reason, for people.
fn reason(answered: &TrustEvaluated) -> String {
    let amount = answered.amount.map(|amount| amount.to_string()).unwrap_or_default();
    match answered.reason.as_str() {
        TRUSTED => "Trust score meets threshold".to_owned(),
        SCORE_TOO_LOW => format!("Trust score {} is below the threshold", answered.score),
        "agent_not_usable" => "Agent is not active".to_owned(),
        "action_not_authorised" => {
            format!("Action '{}' is not authorized for this agent", answered.action.as_deref().unwrap_or_default())
        }
        "spending_limit_exceeded" => format!("Amount {amount} exceeds the agent's spending limit"),
        "currency_mismatch" => {
            format!("Currency {} is not the agent's", answered.currency.as_deref().unwrap_or_default())
        }
        other => other.to_owned(),
    }
}

/// `GET /trust/{id}/history`.
pub(super) async fn history(call: Call) -> Result<Response, Failure> {
    let id = call.agent()?;
    let mut query = call.query()?;
    let days = query.number("days", 1, 365).unwrap_or(30);
    let since = query.time("since", false);
    query.done()?;
    let since = since.unwrap_or_else(|| call.app.now().plus_secs(-DAY_SECS * days as i64));
    let (held, tenant) = (call.hold().await?, call.tenant()?);
    let reading = call.reading(&held);
    let found = tokio::task::block_in_place(|| view::history(&reading, Some(tenant), id, since, HISTORY_MAX))?;
    let found = found.ok_or_else(|| Failure::not_found("Agent"))?;
    Ok(ok(&found.iter().map(wire::history_entry).collect::<Vec<_>>()))
}

/// `POST /trust/report`.
pub(super) async fn report(mut call: Call) -> Result<Response, Failure> {
    let mut body = call.json().await?;
    let agent = body.required("agent_id", 1, 255);
    let reason = body.required("reason", 1, 500);
    let evidence = body.text("evidence", 0, 2000);
    let evidence_ids = body.list("evidence_ids", 64).unwrap_or_default();
    let transaction = body.text("transaction_id", 1, 255);
    let evidence = evidence.or_else(|| (!evidence_ids.is_empty()).then(|| evidence_ids.join(", ")));
    body.done()?;
    let agent = parse_agent(&agent).ok_or_else(|| Failure::not_found("Agent"))?;
    let transaction = match transaction {
        Some(text) => Some(parse_transaction(&text).ok_or_else(|| Failure::not_found("Transaction"))?),
        None => None,
    };
    let command = FileDispute { agent, reason, evidence, transaction };
    let (Output::Dispute(filed), _) = call.submit(command).await? else { return Err(unexpected()) };
    let (held, tenant) = (call.hold().await?, call.tenant()?);
    let found = view::dispute(&call.reading(&held), tenant, filed.dispute)?.ok_or_else(unexpected)?;
    Ok(created(&wire::dispute(&found, &evidence_ids)))
}

/// How far an agent is trusted.
async fn profile(call: &Call, id: AgentId) -> Result<Option<Value>, Failure> {
    let (held, tenant) = (call.hold().await?, call.tenant()?);
    Ok(view::trust(&call.reading(&held), Some(tenant), id, false)?.map(|trust| wire::profile(&trust)))
}
