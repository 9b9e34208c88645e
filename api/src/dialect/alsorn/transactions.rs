//! Transactions: execution, reversal, lists, export.

use std::borrow::Cow;

use chancery_ledger::body::field::Decimal;
use chancery_ledger::body::transaction::Counterparty;
use chancery_ledger::ids::AgentId;
use chancery_projections::command::{ExecuteTransaction, ReverseTransaction};
use chancery_projections::execution::transaction::TransactionStatus;
use chancery_projections::execution::view::{self, TransactionFilter, TransactionView};
use chancery_projections::lane::alsorn::view as chain;
use chancery_projections::lane::alsorn::{agent_text, hash_text, time_text, transaction_text};
use chancery_projections::output::Output;
use chancery_projections::trust::view::trust;
use serde_json::{Value, json};

use super::call::{Call, created, ok, page, parse_agent, unexpected};
use super::error::Failure;
use super::fields::Fields;
use super::wire;
use crate::export::{Pieces, Rows, harmless};
use crate::response::{self, Response};

const STATUSES: [(&str, TransactionStatus); 3] = [
    ("completed", TransactionStatus::Completed),
    ("reversed", TransactionStatus::Reversed),
    ("failed", TransactionStatus::Failed),
];
/// What every agent's id of ours begins with: other texts name parties outside.
const OWN: &str = "agent_";

/// `POST /transactions/`.
pub(super) async fn execute(mut call: Call) -> Result<Response, Failure> {
    let mut body = call.json().await?;
    body.alias("from_agent", "agent_id");
    body.alias("to_agent", "counterparty_id");
    body.alias("action", "action_type");
    body.alias("memo", "notes");
    body.must("amount");
    let agent = body.required("agent_id", 1, 255);
    let counterparty = body.required("counterparty_id", 1, 255);
    let amount = body.amount("amount").unwrap_or_default();
    if amount > Decimal::whole(1_000_000_000_000_000) {
        body.wrong("amount", "must be at most 1000000000000000");
    }
    let action = body.required("action_type", 1, 100);
    let currency = body.currency("currency").unwrap_or_else(|| wire::UNSET_CURRENCY.to_owned());
    let notes = body.text("notes", 0, 500);
    let key = body.text("idempotency_key", 1, 255);
    body.done()?;
    let agent = parse_agent(&agent).ok_or_else(|| Failure::not_found("Agent"))?;
    let counterparty = if counterparty.starts_with(OWN) {
        // One of ours that is none is looked for all the same: what was done under the same key answers first.
        Counterparty::Agent(parse_agent(&counterparty).unwrap_or(AgentId(uuid::Uuid::nil())))
    } else {
        Counterparty::External(counterparty)
    };
    let command = ExecuteTransaction { agent, counterparty, amount, currency, action, notes, key };
    let (Output::Transaction(done), is_new) = call.submit(command).await? else { return Err(unexpected()) };
    let (held, tenant) = (call.hold().await?, call.tenant()?);
    let found = view::transaction(&call.reading(&held), tenant, done.transaction)?.ok_or_else(unexpected)?;
    let shown = wire::transaction(&found);
    Ok(if is_new { created(&shown) } else { ok(&shown) })
}

/// `GET /transactions/`.
pub(super) async fn list(call: Call) -> Result<Response, Failure> {
    let mut query = call.query()?;
    let filter = filter(&mut query);
    let asked = page(&mut query);
    query.done()?;
    let (held, tenant) = (call.hold().await?, call.tenant()?);
    let reading = call.reading(&held);
    let found = match filter {
        Some(filter) => tokio::task::block_in_place(|| view::transactions_page(&reading, tenant, &filter, asked))?,
        None => chancery_projections::view::NumberedPage { items: Vec::new(), total: 0 },
    };
    let items: Vec<Value> = found.items.iter().map(wire::transaction).collect();
    Ok(ok(&json!({ "transactions": items, "total": found.total, "page": asked.number, "limit": asked.size })))
}

/// What a query asks for; `None` when its agent is none.
fn filter(query: &mut Fields) -> Option<TransactionFilter> {
    query.alias("since", "start_date");
    query.alias("until", "end_date");
    let agent = query.text("agent_id", 0, 255);
    let filter = TransactionFilter {
        agent: None,
        status: query.one_of("status", &STATUSES),
        action: query.text("action_type", 0, 255),
        least: query.amount("min_amount"),
        most: query.amount("max_amount"),
        from: query.time("start_date", false),
        to: query.time("end_date", true),
    };
    match agent.map(|text| parse_agent(&text)) {
        None => Some(filter),
        Some(None) => None,
        Some(agent) => Some(TransactionFilter { agent, ..filter }),
    }
}

/// `GET /transactions/{id}`.
pub(super) async fn get(call: Call) -> Result<Response, Failure> {
    let (id, tenant) = (call.transaction()?, call.tenant()?);
    let held = call.hold().await?;
    let reading = call.reading(&held);
    let shown = tokio::task::block_in_place(|| -> Result<_, Failure> {
        let Some(found) = view::transaction(&reading, tenant, id)? else { return Ok(None) };
        let entry = match found.audit_place {
            Some(place) => Some(chain::entry(&reading, &*call.app.engine().log(), found.agent, place)?),
            None => None,
        };
        let other = match found.counterparty.agent() {
            Some(other) => trust(&reading, Some(tenant), other, false)?,
            None => None,
        };
        let mut shown = wire::transaction(&found);
        if let Some(fields) = shown.as_object_mut() {
            fields.insert("audit_entry".to_owned(), json!(entry.as_ref().map(wire::audit_entry)));
            fields.insert("counterparty_trust".to_owned(), json!(other.as_ref().map(wire::profile)));
        }
        Ok(Some(shown))
    })?;
    Ok(ok(&shown.ok_or_else(|| Failure::not_found("Transaction"))?))
}

/// `POST /transactions/{id}/reverse`.
pub(super) async fn reverse(mut call: Call) -> Result<Response, Failure> {
    let (id, tenant) = (call.transaction()?, call.tenant()?);
    let mut body = call.json().await?;
    let reason = body.text("reason", 0, 500);
    body.done()?;
    let command = ReverseTransaction { transaction: id, reason };
    let (Output::Transaction(done), _) = call.submit(command).await? else { return Err(unexpected()) };
    let held = call.hold().await?;
    let found = view::transaction(&call.reading(&held), tenant, done.transaction)?.ok_or_else(unexpected)?;
    Ok(ok(&wire::transaction(&found)))
}

/// `GET /transactions/export`.
pub(super) async fn export(call: Call) -> Result<Response, Failure> {
    let mut query = call.query()?;
    let filter = filter(&mut query);
    let is_json = query.one_of("format", &[("csv", false), ("json", true)]).unwrap_or(false);
    query.done()?;
    let (held, tenant, now) = (call.hold().await?, call.tenant()?, call.app.now());
    let (out, body) = Pieces::channel();
    let app = call.app.clone();
    tokio::task::spawn_blocking(move || {
        let reading = held.reading(app.opener(), now);
        // A reader that went away needs no rows.
        let Ok(mut rows) = (if is_json { Ok(Rows::json(out)) } else { Rows::csv(out, &COLUMNS) }) else { return };
        let read = match filter {
            Some(filter) => view::each_transaction(&reading, tenant, &filter, |it| {
                rows.write(|| cells(&it), || wire::transaction(&it)).is_ok()
            }),
            None => Ok(()),
        };
        match read {
            Ok(()) => drop(rows.end()),
            Err(error) => tracing::error!(%error, "transactions could not be exported"),
        }
    });
    Ok(if is_json {
        response::file("application/json", "transactions.json", body)
    } else {
        response::file("text/csv; charset=utf-8", "transactions.csv", body)
    })
}

const COLUMNS: [&str; 12] = [
    "id",
    "agent_id",
    "agent_name",
    "counterparty_id",
    "amount",
    "currency",
    "action_type",
    "status",
    "permissions_checked",
    "audit_hash",
    "notes",
    "created_at",
];

fn cells(it: &TransactionView) -> [Cow<'_, str>; COLUMNS.len()] {
    [
        transaction_text(it.id).into(),
        agent_text(it.agent).into(),
        harmless(&it.agent_name),
        match &it.counterparty {
            Counterparty::Agent(id) => agent_text(*id).into(),
            Counterparty::External(text) => harmless(text),
        },
        it.amount.to_string().into(),
        it.currency.as_str().into(),
        harmless(&it.action),
        it.status.name().into(),
        "true".into(),
        it.audit_hash.map(hash_text).unwrap_or_default().into(),
        harmless(it.notes.as_deref().unwrap_or_default()),
        time_text(it.at).into(),
    ]
}
