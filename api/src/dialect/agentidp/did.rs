//! Decentralised identifiers and agent cards: rows 29 and 42 to 45 of the contract.

use chancery_ledger::ids::AgentId;
use chancery_projections::identity::state::AgentStatus;
use chancery_projections::identity::view::{self, AgentFilter, AgentView};
use chancery_projections::rejection::Rejection;
use chancery_projections::rows::Order;
use chancery_projections::view::{LIMIT_MAX, Paging};
use hyper::StatusCode;
use hyper::header::{self, HeaderValue};
use serde_json::{Value, json};

use super::call::{Call, ok};
use super::error::Failure;
use super::wire::did::{Card, document as render, server as server_did, whole};
use crate::problem::Problem;
use crate::response::{self, Response};

/// How long a reader may keep a document, in seconds: not so long that an agent that ended lives on elsewhere.
const FRESH: &str = "public, max-age=60";
/// The media type of a resolution's result (DID Resolution 0.3, section 7).
const RESOLUTION: &str = "application/ld+json;profile=\"https://w3id.org/did-resolution\"";

/// Row 42: the server itself, by the keys that sign its tokens.
pub(super) async fn server(call: Call) -> Result<Response, Failure> {
    let keys = call.app.token_keys(call.app.sequencer().tokens_acknowledged()).await?;
    let set = serde_json::to_value(keys.jwks(call.app.now())).map_err(|_| Problem::Internal)?;
    let listed = set["keys"].as_array().cloned().unwrap_or_default();
    let named = listed.into_iter().map(|jwk: Value| (jwk["kid"].as_str().unwrap_or_default().to_owned(), jwk));
    let id = server_did(&call.host());
    Ok(kept(ok(&whole(&id, &id, named))))
}

/// Row 43.
pub(super) async fn document(call: Call) -> Result<Response, Failure> {
    let agent = disclosed(&call).await?;
    Ok(kept(ok(&render(&agent, &call.host()))))
}

/// Row 44: of an agent of one's own tenant, or of any that is disclosed.
pub(super) async fn resolve(call: Call) -> Result<Response, Failure> {
    let id: AgentId = call.id("agentId");
    let held = call.hold().await?;
    let reading = call.reading(&held);
    let found = match view::agent(&reading, call.tenant()?, id)? {
        Some(own) => Some(own),
        None => view::disclosed_agent(&reading, id)?,
    };
    let agent = living(found)?;
    let result = json!({
        "@context": "https://w3id.org/did-resolution/v1",
        "didDocument": render(&agent, &call.host()),
        "didResolutionMetadata": { "contentType": "application/did+ld+json" },
        "didDocumentMetadata": {
            "created": seconds(agent.created),
            "updated": seconds(agent.updated),
            "versionId": agent.version.to_string(),
            "deactivated": false,
        },
    });
    Ok(if asks_for(&call, "did-resolution") {
        response::json_as(StatusCode::OK, RESOLUTION, &result)
    } else {
        ok(&result)
    })
}

/// Row 45.
pub(super) async fn card(call: Call) -> Result<Response, Failure> {
    let agent = disclosed(&call).await?;
    Ok(ok(&Card::of(&agent, &call.host(), call.app.issuer())))
}

/// Row 29: the newest thousand, without asking for more; `cursor` and `X-Next-Cursor` lead on.
pub(super) async fn cards(call: Call) -> Result<Response, Failure> {
    let query = call.query()?;
    let cursor = query.text("cursor", 1..=64)?;
    let paging = Paging::new(Order::Descending, cursor, Some(LIMIT_MAX))?;
    let held = call.hold().await?;
    let filter = AgentFilter { organisation: None, status: Some(AgentStatus::Active) };
    let reading = call.reading(&held);
    let tenant = call.tenant()?;
    let found = tokio::task::block_in_place(|| view::agents(&reading, tenant, filter, &paging))?;
    let (host, issuer) = (call.host(), call.app.issuer());
    let usable = found.items.iter().filter(|agent| agent.usable);
    let cards: Vec<Card> = usable.map(|agent| Card::of(agent, &host, issuer)).collect();
    let mut answer = ok(&cards);
    if let Some(Ok(next)) = found.next.map(|next| HeaderValue::from_str(&next)) {
        answer.headers_mut().insert("x-next-cursor", next);
    }
    Ok(answer)
}

/// The agent of the path, if anybody may know it.
async fn disclosed(call: &Call) -> Result<AgentView, Failure> {
    let held = call.hold().await?;
    living(view::disclosed_agent(&call.reading(&held), call.id("agentId"))?)
}

/// An agent that has not ended: what ended is gone, and known to have been.
fn living(found: Option<AgentView>) -> Result<AgentView, Failure> {
    match found {
        None => Err(Problem::Rejected(Rejection::NotFound { thing: "agent" }).into()),
        Some(agent) if agent.status == AgentStatus::Decommissioned => {
            Err(Failure::coded(StatusCode::GONE, "GONE", "the agent is decommissioned, and its identifier with it"))
        }
        Some(agent) => Ok(agent),
    }
}

/// A time to the second, as metadata of documents has it (DID Core 1.0, section 7.3).
fn seconds(time: chancery_ledger::time::Micros) -> String {
    let text = time.to_string();
    format!("{}Z", &text[..text.len() - ".000000Z".len()])
}

fn asks_for(call: &Call, profile: &str) -> bool {
    let accept = call.request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains(profile))
}

fn kept(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(FRESH));
    response
}
