//! Being a witness of other logs: C2SP `tlog-witness`, with `/witness` before both its paths.
//!
//! Which logs are known is the operator's policy. A log's signature is the only credential there is. Whether its checkpoint
//! continues the newest one cosigned is decided by the one writer, so never of two at once, and the cosignature leaves the
//! daemon only once the event that holds it is durable.

use std::time::Duration;

use chancery_ledger::actor::Actor;
use chancery_ledger::body::ledger::Purpose;
use chancery_ledger::keys::PublicKey;
use chancery_ledger::keystore::{SecretName, Secrets as _};
use chancery_ledger::link::Hash;
use chancery_ledger::tree::consistency_proof::ConsistencyProof;
use chancery_ledger::tree::verifier_key::CosignerKey;
use chancery_ledger::witness::cosignature::Cosignature;
use chancery_projections::command::WitnessCheckpoint;
use chancery_projections::context::{Caller, ContextError};
use chancery_projections::identity::state::{
    KEYS, LEDGER, PublicKeyRow, SIGNING_KEYS, WITNESSED, WitnessedLog, purpose_code,
};
use chancery_projections::output::Output;
use chancery_projections::rejection::Rejection;
use chancery_projections::rows::RowsError;
use chancery_projections::sequencer::Request;
use chancery_projections::views::View;
use hyper::StatusCode;

use super::call::Call;
use super::operation::{Access, Content, Form, Operation, path};
use crate::app::App;
use crate::limits::{WITNESSED_BYTES_MAX, WITNESSED_TEXT_BYTES_MAX};
use crate::problem::Problem;
use crate::response::{self, Response};

const TEXT: &str = "text/plain; charset=utf-8";
/// What a conflict is answered in, by the protocol.
const SIZE: &str = "text/x.tlog.size";

/// `POST /witness/add-checkpoint`.
pub const ADD_CHECKPOINT: Operation = Operation {
    id: "witnessCheckpoint",
    summary: "Cosign a checkpoint of a log that the operator's policy knows, if it continues the newest one cosigned: C2SP `tlog-witness`. What is wrong is said in text: 400 no such request, 403 not signed by the log, 404 no known log, 409 another size was cosigned last, 422 not its continuation.",
    access: Access::Open,
    parameters: &[],
    bodies: &[Content::text("text/plain")],
    answers: &[Content::text(TEXT)],
    problems: &[403, 404, 409, 422, 503],
    handler: |call| Box::pin(add_checkpoint(call)),
};

/// `GET /witness/{log}/checkpoint`.
pub const WITNESSED_CHECKPOINT: Operation = Operation {
    id: "getWitnessedCheckpoint",
    summary: "The newest checkpoint cosigned of a log: signed by it, and by this ledger as its witness.",
    access: Access::Open,
    parameters: &[path("log", Form::Text { max: 64 }, "SHA-256 of the log's origin, 64 hexadecimal digits.")],
    bodies: &[],
    answers: &[Content::text(TEXT)],
    problems: &[404],
    handler: |call| Box::pin(witnessed_checkpoint(call)),
};

/// `GET /witness/key`.
pub const KEY: Operation = Operation {
    id: "getWitnessKey",
    summary: "The verifier key by which this ledger cosigns other logs' checkpoints.",
    access: Access::Open,
    parameters: &[],
    bodies: &[],
    answers: &[Content::text(TEXT)],
    problems: &[404],
    handler: |call| Box::pin(key(call)),
};

async fn key(call: Call) -> Result<Response, Problem> {
    let witness = cosigner(&call.app, &own_key(&call.app).await?)?;
    Ok(response::typed(StatusCode::OK, TEXT, format!("{witness}\n")))
}

async fn witnessed_checkpoint(call: Call) -> Result<Response, Problem> {
    let not_found = Rejection::NotFound { thing: "checkpoint" };
    let asked = call.text("log").unwrap_or_default();
    let known = call.app.config().witnesses.clone();
    let log = known.logs().iter().find(|log| log.origin_hash() == asked);
    let log = log.ok_or_else(|| not_found.clone())?;
    let rows = call.app.view(View::Identity).await?;
    let newest = WITNESSED.get(&rows, log.key.origin.as_str())?.ok_or(not_found)?;
    let line = line(&call.app, &newest)?;
    Ok(response::typed(StatusCode::OK, TEXT, [newest.checkpoint.as_bytes(), &line].concat()))
}

async fn add_checkpoint(mut call: Call) -> Result<Response, Problem> {
    let time = Duration::from_secs(call.app.config().body_timeout_secs);
    let body = call.request.body(WITNESSED_BYTES_MAX, time).await?;
    let request = match ConsistencyProof::parse_foreign(&body) {
        Ok(request) if request.old > request.seal.checkpoint().size => {
            return Ok(said(StatusCode::BAD_REQUEST, "the old size is greater than the checkpoint's\n"));
        }
        Ok(request) if request.seal.text().len() > WITNESSED_TEXT_BYTES_MAX => {
            return Ok(said(StatusCode::BAD_REQUEST, "the checkpoint's text is longer than any that is cosigned\n"));
        }
        Ok(request) => request,
        Err(error) => return Ok(said(StatusCode::BAD_REQUEST, &format!("{error}\n"))),
    };
    let known = call.app.config().witnesses.clone();
    let origin = &request.seal.checkpoint().origin;
    let keys: Vec<_> = known.logs().iter().map(|log| &log.key).filter(|key| key.origin == *origin).collect();
    if keys.is_empty() {
        return Ok(said(StatusCode::NOT_FOUND, "no log of this origin is known here\n"));
    }
    let Some(checkpoint) = keys.iter().find_map(|key| request.seal.of_log_alone(&key.key).ok()) else {
        return Ok(said(StatusCode::FORBIDDEN, "the checkpoint is not signed by the log's key\n"));
    };
    let row = own_key(&call.app).await?;
    let signer = call.app.keystore().signing_key(&SecretName::TokenSigning(row.key)).map_err(ContextError::from)?;
    let signer = signer.ok_or(Rejection::NotConfigured { what: "key to cosign with" })?;
    let now_secs = u64::try_from(call.app.now().0 / 1_000_000).unwrap_or(0);
    let cosignature = Cosignature::sign(checkpoint.text(), &signer, now_secs);
    let (size, root) = (checkpoint.checkpoint().size.0, Hash(checkpoint.checkpoint().root.0));
    let command = WitnessCheckpoint {
        log: origin.clone(),
        old: request.old.0,
        size,
        root,
        path: request.path.iter().map(|node| Hash(node.0)).collect(),
        checkpoint: String::from_utf8_lossy(checkpoint.bytes()).into_owned(), // A note is UTF-8.
        key: row.key,
        cosignature: cosignature.to_bytes().to_vec(),
    };
    let (is_recorded, answer) = decided(&call.app, command).await?;
    match answer {
        Err(Rejection::Invalid { why, .. }) => {
            Ok(said(StatusCode::UNPROCESSABLE_ENTITY, &format!("the proof {why}\n")))
        }
        Err(rejection) => Err(rejection.into()),
        Ok(newest) => {
            let newest_size = newest.as_ref().map_or(0, |newest| newest.size);
            match newest.filter(|_| is_recorded || newest_size == request.old.0) {
                Some(newest) => Ok(response::typed(StatusCode::OK, TEXT, line(&call.app, &newest)?)),
                None => Ok(response::typed(StatusCode::CONFLICT, SIZE, format!("{newest_size}\n"))),
            }
        }
    }
}

/// Whether the command was recorded, and the newest checkpoint cosigned of its log.
async fn decided(
    app: &App, command: WitnessCheckpoint,
) -> Result<(bool, Result<Option<Box<WitnessedLog>>, Rejection>), Problem> {
    let identity = app.views().get(View::Identity).store.snapshot();
    let root = LEDGER.get(&identity, ())?.and_then(|ledger| ledger.root);
    let tenant = root.ok_or(RowsError::Missing("the root tenant"))?;
    let request = Request::new(tenant, Caller { tenant, actor: Actor::system() }, command);
    let receipt = app.sequencer().submit(request)?.await?;
    let answer = match receipt.answer {
        Ok(Output::Witnessed(newest)) => Ok(newest),
        Ok(_) => return Err(Problem::Internal),
        Err(rejection) => Err(rejection),
    };
    Ok((!receipt.events.is_empty(), answer))
}

/// The key that this ledger cosigns by now.
async fn own_key(app: &App) -> Result<PublicKeyRow, Problem> {
    let rows = app.view(View::Identity).await?;
    let row = SIGNING_KEYS.get(&rows, purpose_code(Purpose::Witness))?;
    Ok(row.ok_or(Rejection::NotFound { thing: "key to cosign with" })?)
}

/// A key of this ledger as a witness's: it goes by the origin.
fn cosigner(app: &App, row: &PublicKeyRow) -> Result<CosignerKey, Problem> {
    let key = PublicKey::from_slice(&row.public).ok_or(RowsError::Missing("the key to cosign with"))?;
    Ok(CosignerKey { name: app.engine().origin().to_owned(), key })
}

/// The signature line that was recorded for a checkpoint, by the key that made it.
fn line(app: &App, newest: &WitnessedLog) -> Result<Vec<u8>, Problem> {
    let row = KEYS.get(&app.views().get(View::Identity).store.snapshot(), newest.key)?;
    let witness = cosigner(app, &row.ok_or(RowsError::Missing("the key to cosign with"))?)?;
    let line = Cosignature::from_bytes(&newest.cosignature).and_then(|it| it.line(&witness));
    Ok(line.map_err(|_| RowsError::Missing("a recorded cosignature's parts"))?)
}

fn said(status: StatusCode, why: &str) -> Response {
    response::typed(status, TEXT, why.to_owned())
}
