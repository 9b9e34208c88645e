//! `POST /v1/commands`: one command as JSON, or many as NDJSON (see [`super::batch`]).

use chancery_projections::sequencer::Pending;
use chancery_projections::signature::AgentSignature;
use hyper::StatusCode;

use super::call::Call;
use super::operation::{Access, Content, Form, Operation, header, query};
use super::result::CommandAnswer;
use super::{batch, command};
use crate::app::Options;
use crate::auth::Principal;
use crate::problem::Problem;
use crate::response::{self, Response};
use crate::signature;

/// `POST /v1/commands`.
pub const SUBMIT: Operation = Operation {
    id: "submitCommand",
    summary: "Send a command, or a stream of them, and get its receipt once it is durable.",
    access: Access::CredentialOrSignature,
    parameters: &[
        query("proof", Form::Flag, "Whether the receipt holds the `tlog-proof` of each event."),
        header(
            "Idempotency-Key",
            Form::Text { max: 255 },
            "Makes the command happen once, also across restarts. In a batch, line n has this key, a colon, and n.",
        ),
        header("If-Match", Form::Tag, "The version that what the command changes must have: its `ETag`."),
    ],
    bodies: &[
        Content { media_type: "application/json", schema: Some(command::schema) },
        Content { media_type: batch::MEDIA_TYPE, schema: None },
    ],
    answers: &[Content::json::<CommandAnswer>(), Content { media_type: batch::MEDIA_TYPE, schema: None }],
    problems: &[404, 409, 412, 422],
    handler: |call| Box::pin(submit(call)),
};

async fn submit(mut call: Call) -> Result<Response, Problem> {
    let is_signed = signature::is_presented(call.request.headers());
    if call.request.content_is(batch::MEDIA_TYPE) && !is_signed {
        return batch::submit(call);
    }
    if !call.request.content_is("application/json") {
        let expected = if is_signed { "application/json" } else { "application/json or application/x-ndjson" };
        return Err(Problem::MediaType { expected });
    }
    let (max, time) = (call.app.config().body_bytes_max, call.app.config().body_timeout());
    let body = call.request.body(max, time).await?;
    let (pending, shown) = if is_signed {
        // Seldom, so it takes no room in what every request waits in.
        let (principal, signature) = Box::pin(call.app.signed(&call.request, &body)).await?;
        hand_in(&call, &principal, &body, Some(Box::new(signature)))?
    } else {
        hand_in(&call, call.principal()?, &body, None)?
    };
    let answer = command::answer(&call.app, pending.await?, shown, call.flag("proof") == Some(true))?;
    Ok(response::json(StatusCode::OK, &answer))
}

/// Hands a body's command in: its receipt to come, and the secret that its answer shows.
fn hand_in(
    call: &Call, principal: &Principal, body: &[u8], signature: Option<Box<AgentSignature>>,
) -> Result<(Pending, Option<&'static str>), Problem> {
    let parsed = command::parse(body)?;
    let command = command::prepared(&call.app, principal, parsed.command)?;
    let shown = command::shown_once(&command);
    let options = Options { signature, ..call.app.options(&call.request)? };
    Ok((call.app.submit(principal, command, options)?, shown))
}
