//! `/v1/execution/transactions`: what agents did with other parties, in pages and as one file.

use std::borrow::Cow;

use chancery_ledger::body::field::Decimal;
use chancery_ledger::body::transaction::Counterparty;
use chancery_ledger::ids::ThingKind;
use chancery_projections::execution::transaction::TransactionStatus;
use chancery_projections::execution::view::{self, TransactionFilter, TransactionView};
use chancery_projections::scope::Scope;

use super::{get, list, page, versioned};
use crate::export::{Pieces, Rows, harmless};
use crate::native::call::Call;
use crate::native::operation::{AS_OF, Access, Content, Form, Operation, Parameter, path, query};
use crate::problem::Problem;
use crate::response::{self, Response};

const CSV: &str = "text/csv; charset=utf-8";
const JSON: &str = "application/json";

const AGENT: Parameter = query("agent", Form::Id(ThingKind::Agent), "Only those that this agent initiated.");
const STATUS: Parameter =
    query("status", Form::OneOf(|| vec!["completed", "reversed", "failed"]), "Only those that stand so.");
const ACTION: Parameter = query("action", Form::Text { max: 128 }, "Only those of this action.");
const LEAST: Parameter = query("least", Form::Amount, "Only those of this amount or more.");
const MOST: Parameter = query("most", Form::Amount, "Only those of this amount or less.");
const FROM: Parameter = query("from", Form::Time, "Only those from this time on.");
const TO: Parameter = query("to", Form::Time, "Only those up to this time.");

/// `GET /v1/execution/transactions`.
pub const TRANSACTIONS: Operation = list!(
    "listTransactions",
    "The tenant's transactions.",
    TransactionsRead,
    [AGENT, STATUS, ACTION, LEAST, MOST, FROM, TO],
    TransactionView,
    transactions
);

/// `GET /v1/execution/transactions/{transaction}`.
pub const TRANSACTION: Operation = get!(
    "getTransaction",
    "A transaction.",
    TransactionsRead,
    [path("transaction", Form::Id(ThingKind::Transaction), "The transaction's id, or that of its reversal.")],
    TransactionView,
    transaction
);

/// `GET /v1/execution/transactions/export`.
pub const EXPORT: Operation = Operation {
    id: "exportTransactions",
    summary: "All of the tenant's transactions that are asked for, the newest first, as one file.",
    access: Access::Scope(Scope::TransactionsRead),
    parameters: &[
        query("format", Form::OneOf(|| vec!["csv", "json"]), "`csv`, which is the default, or `json`: a list."),
        AGENT,
        STATUS,
        ACTION,
        LEAST,
        MOST,
        FROM,
        TO,
        AS_OF,
    ],
    bodies: &[],
    answers: &[Content::text(CSV), Content::json::<Vec<TransactionView>>()],
    problems: &[],
    handler: |call| Box::pin(export(call)),
};

fn filter(call: &Call) -> TransactionFilter {
    let amount = |name| call.text(name).and_then(|text| text.parse::<Decimal>().ok());
    TransactionFilter {
        agent: call.id("agent"),
        status: call.text("status").and_then(TransactionStatus::parse),
        action: call.text("action").map(str::to_owned),
        least: amount("least"),
        most: amount("most"),
        from: call.time("from"),
        to: call.time("to"),
    }
}

async fn transactions(call: Call) -> Result<Response, Problem> {
    let (held, now) = call.held().await?;
    let (tenant, paging, filter) = (call.tenant()?, call.paging()?, filter(&call));
    let reading = held.reading(call.app.opener(), now);
    Ok(page(&tokio::task::block_in_place(|| view::transactions(&reading, tenant, &filter, &paging))?))
}

async fn transaction(call: Call) -> Result<Response, Problem> {
    let (id, tenant) = (call.path_id("transaction")?, call.tenant()?);
    let (held, now) = call.held().await?;
    let found = view::transaction(&held.reading(call.app.opener(), now), tenant, id)?;
    versioned(found, "transaction", |transaction| transaction.version)
}

async fn export(call: Call) -> Result<Response, Problem> {
    let (tenant, filter) = (call.tenant()?, filter(&call));
    let is_json = call.text("format") == Some("json");
    let (held, now) = call.held().await?;
    let (out, body) = Pieces::channel();
    let app = call.app.clone();
    tokio::task::spawn_blocking(move || {
        let reading = held.reading(app.opener(), now);
        // A reader that went away needs no rows.
        let Ok(mut rows) = (if is_json { Ok(Rows::json(out)) } else { Rows::csv(out, &COLUMNS) }) else { return };
        let read = view::each_transaction(&reading, tenant, &filter, |it| rows.write(|| cells(&it), || &it).is_ok());
        match read {
            Ok(()) => drop(rows.end()),
            Err(error) => tracing::error!(%error, "transactions could not be exported"),
        }
    });
    Ok(if is_json {
        response::file(JSON, "transactions.json", body)
    } else {
        response::file(CSV, "transactions.csv", body)
    })
}

const COLUMNS: [&str; 14] = [
    "id",
    "agent",
    "agent_name",
    "counterparty",
    "amount",
    "currency",
    "action",
    "status",
    "failure",
    "at",
    "reversal",
    "reversed",
    "key",
    "notes",
];

fn cells(it: &TransactionView) -> [Cow<'_, str>; COLUMNS.len()] {
    let reversal = it.reversal.as_ref();
    [
        it.id.to_string().into(),
        it.agent.to_string().into(),
        harmless(&it.agent_name),
        match &it.counterparty {
            Counterparty::Agent(id) => id.to_string().into(),
            Counterparty::External(text) => harmless(text),
        },
        it.amount.to_string().into(),
        it.currency.as_str().into(),
        harmless(&it.action),
        it.status.name().into(),
        it.failure.as_deref().unwrap_or_default().into(),
        it.at.to_string().into(),
        reversal.map(|it| it.id.to_string()).unwrap_or_default().into(),
        reversal.map(|it| it.at.to_string()).unwrap_or_default().into(),
        harmless(it.key.as_deref().unwrap_or_default()),
        harmless(it.notes.as_deref().unwrap_or_default()),
    ]
}
