//! Proofs: the newest checkpoint, and an event's `tlog-proof` against the seal of its own commit.

use bytes::Bytes;
use chancery_ledger::event::{ReadError, peek};
use chancery_ledger::ids::{Seq, TenantId, TreeSize};
use chancery_ledger::store::{LogStore, StoreError, StoreNodes};
use chancery_ledger::tree::proof::{ProofError, inclusion};
use chancery_ledger::tree::seal::Seal;
use chancery_ledger::tree::tlog_proof::TlogProof;
use chancery_projections::rejection::Rejection;
use chancery_projections::scope::Scope;
use chancery_projections::sequencer::Receipt;
use hyper::StatusCode;

use super::call::Call;
use super::operation::{Access, Content, Form, Operation, SEQ_MAX, path};
use crate::app::App;
use crate::auth::Principal;
use crate::problem::Problem;
use crate::response::{self, Response};

const TEXT: &str = "text/plain; charset=utf-8";

/// `GET /checkpoint`.
pub const CHECKPOINT: Operation = Operation {
    id: "getCheckpoint",
    summary: "The newest seal: a C2SP checkpoint of the whole log, as a signed note.",
    access: Access::Scope(Scope::LedgerRead),
    parameters: &[],
    bodies: &[],
    answers: &[Content::text(TEXT)],
    problems: &[],
    handler: |call| Box::pin(checkpoint(call)),
};

/// `GET /v1/events/{seq}/proof`.
pub const PROOF: Operation = Operation {
    id: "getEventProof",
    summary: "The C2SP `tlog-proof` of an event: its inclusion path and its commit's seal.",
    access: Access::Scope(Scope::LedgerProve),
    parameters: &[path("seq", Form::Number { min: 0, max: SEQ_MAX }, "The event's position in the log.")],
    bodies: &[],
    answers: &[Content::text(TEXT)],
    problems: &[404],
    handler: |call| Box::pin(proof(call)),
};

async fn checkpoint(call: Call) -> Result<Response, Problem> {
    let log = call.app.engine().log();
    let (_, seal) = log.last_seal()?.ok_or(StoreError::Empty)?;
    Ok(response::typed(StatusCode::OK, TEXT, seal))
}

async fn proof(call: Call) -> Result<Response, Problem> {
    let seq = Seq(call.number("seq").unwrap_or(SEQ_MAX));
    let log = call.app.engine().log();
    let not_found = Rejection::NotFound { thing: "event" };
    let Some(record) = log.record(seq)? else { return Err(not_found.into()) };
    let (_, _, tenant) = peek(&record.header).map_err(ReadError::from)?;
    if !sees(call.principal()?, tenant) {
        return Err(not_found.into());
    }
    let Some((size, seal)) = log.seal_of(seq)? else { return Err(not_found.into()) };
    Ok(response::typed(StatusCode::OK, TEXT, render(&*log, seq, size, &seal)?))
}

/// Whether a principal sees events of a tenant: its own, and in the root tenant the ledger's.
#[must_use]
pub fn sees(principal: &Principal, tenant: TenantId) -> bool {
    tenant == principal.tenant() || principal.sees_ledger()
}

/// The proofs of a receipt's events.
///
/// # Errors
/// [`Problem::Unreadable`] when the log cannot be read.
pub fn of_receipt(app: &App, receipt: &Receipt) -> Result<Vec<String>, Problem> {
    let log = app.engine().log();
    receipt.events.iter().map(|event| render(&*log, event.seq, receipt.size, &receipt.seal)).collect()
}

fn render(log: &dyn LogStore, seq: Seq, size: TreeSize, seal: &Bytes) -> Result<String, Problem> {
    let path = inclusion(seq, size, &StoreNodes(log)).map_err(|error| match error {
        ProofError::Nodes(error) => Problem::from(error),
        ProofError::Beyond { .. } => Problem::Internal,
    })?;
    let seal = Seal::parse(seal).map_err(|error| {
        tracing::error!(%error, %size, "a stored seal is malformed");
        Problem::Internal
    })?;
    Ok(TlogProof { extra: None, index: seq, path, seal }.render())
}
