//! Proofs: checkpoints, the tree in tiles, an event's `tlog-proof`, and that one tree is the beginning of another.

use bytes::Bytes;
use chancery_ledger::event::{ReadError, peek};
use chancery_ledger::ids::{Seq, TenantId, TreeSize};
use chancery_ledger::store::{LogStore, StoreError, StoreNodes};
use chancery_ledger::tree::proof::{ProofError, consistency, inclusion};
use chancery_ledger::tree::seal::Seal;
use chancery_ledger::tree::tiles::{TileKind, TilePath, push_entry};
use chancery_ledger::tree::tlog_proof::TlogProof;
use chancery_ledger::tree::{Frontier, NodeHash};
use chancery_projections::identity::state::TIMESTAMPED;
use chancery_projections::rejection::Rejection;
use chancery_projections::scope::Scope;
use chancery_projections::sequencer::Receipt;
use chancery_projections::views::View;
use hyper::StatusCode;
use hyper::header::{self, HeaderValue};
use schemars::JsonSchema;
use serde::Serialize;

use super::admin::blocking;
use super::call::Call;
use super::operation::{Access, Content, Form, Operation, SEQ_MAX, path, query};
use crate::app::App;
use crate::auth::Principal;
use crate::problem::Problem;
use crate::publishing::{cosigned_seal, newest_checkpoint};
use crate::response::{self, Response};

const TEXT: &str = "text/plain; charset=utf-8";
const BYTES: &str = "application/octet-stream";
/// For what never changes; between log and reader no cache keeps what a credential opened.
const FOR_EVER: &str = "private, max-age=31536000, immutable";
/// The longest index of a tile, seven groups, and a width.
const TILE_INDEX_CHARS_MAX: usize = 48;
const SIZE: Form = Form::Number { min: 0, max: SEQ_MAX };
/// ETSI TS 101 861: the token alone, as `openssl ts -verify -token_in` takes it.
const TIMESTAMP_TOKEN: &str = "application/vnd.etsi.timestamp-token";
const NO_CHECKPOINT: Rejection = Rejection::NotFound { thing: "checkpoint" };

/// `GET /checkpoint`.
pub const CHECKPOINT: Operation = Operation {
    id: "getCheckpoint",
    summary: "The newest checkpoint, as a signed note with the lines of witnesses that cosigned it: where the operator's policy asks for witnesses, the newest published one, and else the newest seal.",
    access: Access::Tree,
    parameters: &[],
    bodies: &[],
    answers: &[Content::text(TEXT)],
    problems: &[404],
    handler: |call| Box::pin(checkpoint(call)),
};

/// `GET /v1/ledger/checkpoints/{size}`.
pub const CHECKPOINT_OF: Operation = Operation {
    id: "getCheckpointOfSize",
    summary: "The seal of the commit after which the log had this many events, with the lines of witnesses that cosigned it: a C2SP checkpoint.",
    access: Access::Scope(Scope::LedgerRead),
    parameters: &[path("size", SIZE, "How many events it signs.")],
    bodies: &[],
    answers: &[Content::text(TEXT)],
    problems: &[],
    handler: |call| Box::pin(checkpoint_of(call)),
};

/// `GET /v1/ledger/checkpoints/{size}/timestamp`.
pub const TIMESTAMP: Operation = Operation {
    id: "getTimestamp",
    summary: "What an authority said of the time of that checkpoint: an RFC 3161 timestamp token over SHA-256 of its text.",
    access: Access::Scope(Scope::LedgerRead),
    parameters: &[path("size", SIZE, "How many events the checkpoint signs.")],
    bodies: &[],
    answers: &[Content::text(TIMESTAMP_TOKEN)],
    problems: &[404],
    handler: |call| Box::pin(timestamp(call)),
};

/// `GET /tile/{level}/{index}`.
pub const TILE: Operation = Operation {
    id: "getTile",
    summary: "A piece of the tree, as C2SP `tlog-tiles` has it: hashes, or, at the level `entries`, the events' headers. Entries are for principals of the root tenant.",
    access: Access::Tree,
    parameters: &[
        path("level", Form::Text { max: 7 }, "The level, from 0 to 7, or `entries`."),
        path(
            "index",
            Form::Text { max: TILE_INDEX_CHARS_MAX },
            "Which one, in groups of three digits, all but the last behind an `x`: `x001/x234/067`. While it has less than 256 places taken, `.p/` and how many are wanted follow.",
        ),
    ],
    bodies: &[],
    answers: &[Content::text(BYTES)],
    problems: &[],
    handler: |call| Box::pin(tile(call)),
};

/// `GET /v1/events/{seq}/proof`.
pub const PROOF: Operation = Operation {
    id: "getEventProof",
    summary: "The C2SP `tlog-proof` of an event: its inclusion path and a checkpoint, that of its own commit or any later one.",
    access: Access::Scope(Scope::LedgerProve),
    parameters: &[
        path("seq", Form::Number { min: 0, max: SEQ_MAX }, "The event's position in the log."),
        query("size", SIZE, "Prove it against the checkpoint that signs this many events, instead of its commit's."),
        query("published", Form::Flag, "`true` proves it against the newest checkpoint, as `/checkpoint` has it."),
        query(
            "header",
            Form::Flag,
            "`true` puts the event's header in as extra data, so that the proof is checked by itself.",
        ),
    ],
    bodies: &[],
    answers: &[Content::text(TEXT)],
    problems: &[404],
    handler: |call| Box::pin(proof(call)),
};

/// `GET /v1/ledger/consistency/{old}/{new}`.
pub const CONSISTENCY: Operation = Operation {
    id: "getConsistencyProof",
    summary: "That the tree of the first `old` events is the beginning of that of the first `new` (RFC 6962 §2.1.2).",
    access: Access::Scope(Scope::LedgerProve),
    parameters: &[path("old", SIZE, "The smaller size."), path("new", SIZE, "The greater one.")],
    bodies: &[],
    answers: &[Content::json::<ConsistencyView>()],
    problems: &[],
    handler: |call| Box::pin(prove_consistency(call)),
};

/// That one tree is the beginning of another. Hashes are in base64, as in checkpoints.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ConsistencyView {
    old: TreeView,
    new: TreeView,
    /// The hashes that lead from the old root to the new one; none where both are one, or the old tree is empty.
    proof: Vec<String>,
}

/// A tree of the first so many events.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TreeView {
    size: u64,
    root: String,
    /// The checkpoint that signs it, if a commit ended there.
    checkpoint: Option<String>,
}

async fn checkpoint(call: Call) -> Result<Response, Problem> {
    let (_, seal) = newest_checkpoint(&call.app)?.ok_or(NO_CHECKPOINT)?;
    Ok(response::typed(StatusCode::OK, TEXT, seal))
}

async fn timestamp(call: Call) -> Result<Response, Problem> {
    let identity = call.app.view(View::Identity).await?;
    let found = TIMESTAMPED.get(&identity, size(&call, "size").0)?.ok_or(Rejection::NotFound { thing: "timestamp" })?;
    Ok(response::typed(StatusCode::OK, TIMESTAMP_TOKEN, found.token))
}

async fn checkpoint_of(call: Call) -> Result<Response, Problem> {
    let seal = cosigned_seal(&call.app, &*call.app.engine().log(), size(&call, "size"))?.ok_or(NO_CHECKPOINT)?;
    Ok(response::typed(StatusCode::OK, TEXT, seal))
}

async fn tile(call: Call) -> Result<Response, Problem> {
    let (level, index) = (call.text("level").unwrap_or_default(), call.text("index").unwrap_or_default());
    let not_found = Rejection::NotFound { thing: "tile" };
    let Ok(path) = format!("tile/{level}/{index}").parse::<TilePath>() else { return Err(not_found.into()) };
    // Hashes tell nothing of whose events they are made; headers do.
    if path.kind() == TileKind::Entries && !call.principal()?.sees_ledger() {
        return Err(Rejection::NotRoot.into());
    }
    let log = call.app.engine().log();
    if !path.is_in(log.size()) {
        return Err(not_found.into());
    }
    let read = move || match path.kind() {
        TileKind::Hashes { .. } => path.hashes(&StoreNodes(&*log)),
        TileKind::Entries => entries(&*log, path),
    };
    let bytes = blocking(read).await??;
    let mut response = response::typed(StatusCode::OK, BYTES, bytes);
    if path.is_full() {
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(FOR_EVER));
    }
    Ok(response)
}

fn entries(log: &dyn LogStore, path: TilePath) -> Result<Vec<u8>, StoreError> {
    let mut bundle = Vec::new();
    for (read, seq) in log.records(Seq(path.first())).take(path.width().into()).zip(path.first()..) {
        let (_, record) = read?;
        // No header is as long as that: its texts are bounded.
        push_entry(&mut bundle, &record.header).ok_or(StoreError::Missing { seq: Seq(seq) })?;
    }
    Ok(bundle)
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
    let size = match call.number("size").map(TreeSize) {
        Some(_) if call.flag("published") == Some(true) => {
            let why = "and `published` exclude each other; name one".to_owned();
            return Err(Problem::Parameter { parameter: "size".to_owned(), why });
        }
        Some(size) => size,
        None if call.flag("published") == Some(true) => newest_checkpoint(&call.app)?.ok_or(NO_CHECKPOINT)?.0,
        None => log.seal_of(seq)?.ok_or(not_found)?.0,
    };
    if seq >= size.next() {
        return Err(NO_CHECKPOINT.into());
    }
    let seal = cosigned_seal(&call.app, &*log, size)?.ok_or(NO_CHECKPOINT)?;
    let header = (call.flag("header") == Some(true)).then(|| record.header.to_vec());
    Ok(response::typed(StatusCode::OK, TEXT, render(&*log, seq, header, size, &seal)?))
}

async fn prove_consistency(call: Call) -> Result<Response, Problem> {
    let (old, new) = (size(&call, "old"), size(&call, "new"));
    let log = call.app.engine().log();
    if old > new || new > log.size() {
        return Err(Rejection::NotFound { thing: "consistency proof" }.into());
    }
    let nodes = StoreNodes(&*log);
    let tree = |size: TreeSize| -> Result<TreeView, Problem> {
        let seal = cosigned_seal(&call.app, &*log, size)?.map(|seal| String::from_utf8_lossy(&seal).into_owned());
        Ok(TreeView { size: size.0, root: Frontier::resume(size, &nodes)?.root().to_string(), checkpoint: seal })
    };
    let proof = consistency(old, new, &nodes).map_err(unprovable)?;
    let proof = proof.iter().map(NodeHash::to_string).collect();
    Ok(response::json(StatusCode::OK, &ConsistencyView { old: tree(old)?, new: tree(new)?, proof }))
}

fn size(call: &Call, name: &str) -> TreeSize {
    TreeSize(call.number(name).unwrap_or(SEQ_MAX))
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
    receipt.events.iter().map(|event| render(&*log, event.seq, None, receipt.size, &receipt.seal)).collect()
}

fn render(
    log: &dyn LogStore, seq: Seq, header: Option<Vec<u8>>, size: TreeSize, seal: &Bytes,
) -> Result<String, Problem> {
    let path = inclusion(seq, size, &StoreNodes(log)).map_err(unprovable)?;
    let seal = Seal::parse(seal).map_err(|error| {
        tracing::error!(%error, %size, "a stored seal is malformed");
        Problem::Internal
    })?;
    Ok(TlogProof { extra: header, index: seq, path, seal }.render())
}

fn unprovable(error: ProofError<StoreError>) -> Problem {
    match error {
        ProofError::Nodes(error) => error.into(),
        ProofError::Beyond { .. } => Problem::Internal,
    }
}
