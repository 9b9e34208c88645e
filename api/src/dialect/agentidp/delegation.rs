//! Delegation: what one agent lends another, and the exchange of that for an access token (rows 54 to 56; RFC 8693).

use chancery_ledger::ids::{AgentId, TokenId};
use chancery_projections::command::{DelegateToken, RevokeToken, SecretText, SubjectToken};
use chancery_projections::output::Output;
use chancery_projections::token::lineage;
use hyper::StatusCode;
use zeroize::Zeroizing;

use super::call::{Call, created, no_content, ok, unexpected};
use super::error::Failure;
use super::fields::{Fault, Fields};
use super::token::{Asked, invalid_request, issued, refused, scopes};
use super::wire::delegation::{Chain, Delegation, DelegationVerdict};
use crate::limits::TOKEN_BYTES_MAX;
use crate::response::Response;

/// The grant by which a token is exchanged for another.
pub(super) const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// What an access token is called there (RFC 8693 section 3).
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// What a token in the form of a JWT is called there.
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
/// Most scopes of one delegation.
const SCOPES_MAX: usize = 32;

/// Row 54.
pub(super) async fn delegate(mut call: Call) -> Result<Response, Failure> {
    let body = call.json().await?;
    let command = DelegateToken {
        parent: own_token(&call)?,
        delegatee: body.id("delegateeAgentId")?.ok_or_else(|| Fault::missing("delegateeAgentId"))?,
        scopes: body.texts("scopes", 1..=SCOPES_MAX, 1..=128)?.ok_or_else(|| Fault::missing("scopes"))?,
        ttl_secs: ttl(&body)?,
    };
    match call.submit_own(command).await? {
        Output::Delegation { token, delegator, secret } => {
            let delegation_token = secret.map(|secret| secret.to_string());
            Ok(created(&Delegation { delegation_token, chain: Chain::of(*token, delegator) }))
        }
        _ => Err(unexpected()),
    }
}

/// Row 55.
pub(super) async fn verify(mut call: Call) -> Result<Response, Failure> {
    let body = call.json().await?;
    let text = Zeroizing::new(body.required("delegationToken", 1..=TOKEN_BYTES_MAX)?.to_owned());
    let held = call.hold().await?;
    let found = lineage::delegation_of_text(&call.reading(&held), call.tenant()?, &text)?;
    Ok(ok(&match found {
        Some(found) => DelegationVerdict { valid: found.live, chain: Some(Chain::of(found.token, found.delegator)) },
        None => DelegationVerdict { valid: false, chain: None },
    }))
}

/// Row 56. What is no delegation of the tenant is not found; one of somebody else's is refused by the ledger.
pub(super) async fn revoke(call: Call) -> Result<Response, Failure> {
    let id: TokenId = call.id("chainId");
    let held = call.hold().await?;
    let found = lineage::delegation(&call.reading(&held), call.tenant()?, id)?;
    drop(held);
    if found.is_none() {
        return Err(Failure::not_found("DELEGATION_NOT_FOUND", "there is no such delegation"));
    }
    call.submit_own(RevokeToken { token: id, reason: None }).await?;
    Ok(no_content())
}

/// The exchange of a token for one by which the client acts for somebody else.
pub(super) async fn exchange(call: &Call, form: &Fields) -> Result<Response, Failure> {
    let text = form.required("subject_token", 1..=TOKEN_BYTES_MAX).map_err(invalid_request)?;
    let kind = form.required("subject_token_type", 1..=128).map_err(invalid_request)?;
    let wanted = form.text("requested_token_type", 1..=128).map_err(invalid_request)?;
    for kind in std::iter::once(kind).chain(wanted) {
        if kind != ACCESS_TOKEN && kind != JWT {
            return Err(bad_request(format!(
                "tokens of the type `{}` are not exchanged here",
                super::token::cut(kind)
            )));
        }
    }
    let subject = match call.app.access_token(text).await? {
        Some(token) => SubjectToken::Access(token.token.token),
        None => SubjectToken::Delegation(SecretText(Zeroizing::new(text.to_owned()))),
    };
    let actor = actor(call, form).await?;
    let asked = Asked { scopes: scopes(form)?, subject: Some(subject), actor };
    issued(call, form, asked, Some(ACCESS_TOKEN)).await
}

/// The agent that the form says will act, which must be the client.
async fn actor(call: &Call, form: &Fields) -> Result<Option<AgentId>, Failure> {
    let kind = form.text("actor_token_type", 1..=128).map_err(invalid_request)?;
    let Some(text) = form.text("actor_token", 1..=TOKEN_BYTES_MAX).map_err(invalid_request)? else {
        return match kind {
            None => Ok(None),
            Some(_) => Err(bad_request("`actor_token_type` goes with `actor_token`".to_owned())),
        };
    };
    if kind != Some(ACCESS_TOKEN) && kind != Some(JWT) {
        return Err(bad_request("`actor_token_type` must be that of an access token".to_owned()));
    }
    let token = call.app.access_token(text).await?.filter(|token| token.dead(call.app.now()).is_none());
    match token.and_then(|token| token.token.agent) {
        Some(agent) => Ok(Some(agent)),
        None => Err(refused(StatusCode::BAD_REQUEST, "invalid_grant", "`actor_token` is not live".to_owned())),
    }
}

fn bad_request(description: String) -> Failure {
    refused(StatusCode::BAD_REQUEST, "invalid_request", description)
}

/// The access token that the caller came with.
fn own_token(call: &Call) -> Result<TokenId, Failure> {
    let token = call.principal()?.access_token();
    token.map(|token| token.token.token).ok_or_else(|| Failure::forbidden("only an access token's holder can lend"))
}

/// How long, in seconds. Whatever is no number of seconds in range has a code of its own.
fn ttl(body: &Fields) -> Result<u64, Failure> {
    if body.get("ttlSeconds").is_none() {
        return Err(Fault::missing("ttlSeconds").into());
    }
    // The ledger says which of them are too few or too many.
    let invalid =
        |fault: Fault| Failure::coded(StatusCode::BAD_REQUEST, "INVALID_TTL", format!("`ttlSeconds` {}", fault.reason));
    let ttl = body.number("ttlSeconds", 60, 86_400).map_err(invalid)?;
    ttl.ok_or_else(|| Fault::missing("ttlSeconds").into())
}
