//! `/v1/execution/transactions`: what agents did with other parties, in pages and as one file.

use std::io::Write as _;

use chancery_ledger::body::field::Decimal;
use chancery_ledger::body::transaction::Counterparty;
use chancery_ledger::ids::ThingKind;
use chancery_projections::execution::transaction::TransactionStatus;
use chancery_projections::execution::view::{self, TransactionFilter, TransactionView};
use chancery_projections::scope::Scope;
use hyper::header::{self, HeaderValue};

use super::{get, list, page, versioned};
use crate::export::{Pieces, harmless};
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
        let mut rows = if is_json { Rows::json(out) } else { Rows::csv(out) };
        let read = view::each_transaction(&reading, tenant, &filter, |it| rows.write(&it).is_ok());
        match read {
            // Whoever went away needs no end.
            Ok(()) => drop(rows.end()),
            Err(error) => tracing::error!(%error, "transactions could not be exported"),
        }
    });
    let (media_type, name) = if is_json {
        (JSON, "attachment; filename=\"transactions.json\"")
    } else {
        (CSV, "attachment; filename=\"transactions.csv\"")
    };
    let mut response = response::stream(media_type, body);
    response.headers_mut().insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(name));
    Ok(response)
}

type Out = std::io::BufWriter<Pieces>;

/// Transactions one after the other.
enum Rows {
    Csv(Box<csv::Writer<Out>>, bool),
    Json(Out, bool),
}

impl Rows {
    fn csv(out: Out) -> Self {
        Self::Csv(Box::new(csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out)), false)
    }

    fn json(out: Out) -> Self {
        Self::Json(out, false)
    }

    fn write(&mut self, it: &TransactionView) -> Result<(), csv::Error> {
        match self {
            Self::Csv(writer, begun) => {
                if !std::mem::replace(begun, true) {
                    writer.write_record(COLUMNS)?;
                }
                let counterparty = match &it.counterparty {
                    Counterparty::Agent(id) => id.to_string(),
                    Counterparty::External(text) => text.clone(),
                };
                let reversal = it.reversal.as_ref();
                writer.write_record([
                    it.id.to_string().as_str(),
                    &it.agent.to_string(),
                    &harmless(&it.agent_name),
                    &harmless(&counterparty),
                    &it.amount.to_string(),
                    &it.currency,
                    &harmless(&it.action),
                    it.status.name(),
                    it.failure.as_deref().unwrap_or_default(),
                    &it.at.to_string(),
                    &reversal.map(|it| it.id.to_string()).unwrap_or_default(),
                    &reversal.map(|it| it.at.to_string()).unwrap_or_default(),
                    &harmless(it.key.as_deref().unwrap_or_default()),
                    &harmless(it.notes.as_deref().unwrap_or_default()),
                ])
            }
            Self::Json(out, begun) => {
                out.write_all(if std::mem::replace(begun, true) { b"," } else { b"[" })?;
                serde_json::to_writer(out, it).map_err(|error| csv::Error::from(std::io::Error::from(error)))
            }
        }
    }

    fn end(self) -> Result<(), csv::Error> {
        match self {
            Self::Csv(mut writer, begun) => {
                if !begun {
                    writer.write_record(COLUMNS)?;
                }
                Ok(writer.flush()?)
            }
            Self::Json(mut out, begun) => {
                out.write_all(if begun { b"]" } else { b"[]" })?;
                Ok(out.flush()?)
            }
        }
    }
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
