//! OAuth 2.0 clients at the token routes: how they say who they are, whether that holds, and what becomes of it when it does
//! not (RFC 6749 section 2.3, RFC 7521 section 4.2).

use chancery_ledger::actor::Actor;
use chancery_ledger::ids::{AgentId, KeyId, ThingId as _, parse_uuid};
use chancery_projections::command::NoteAuthentication;
use chancery_projections::context::Caller;
use chancery_projections::identity::state::{AGENTS, ORGANISATIONS, Standing};
use chancery_projections::rejection::Rejection;
use chancery_projections::scope::Scope;
use chancery_projections::sequencer;
use chancery_projections::views::View;
use hyper::StatusCode;
use hyper::header;

use super::call::Call;
use super::error::Failure;
use super::fields::{Fault, Fields};
use super::token::{invalid_request, refusal, refused};
use crate::app::Asserted;
use crate::auth::client::{self, Claim, Proof};
use crate::auth::tries::Try;
use crate::auth::{Mount, Principal, presented, presented_with_proof};
use crate::jose::claimed_subject;
use crate::limits::{CREDENTIAL_BYTES_MAX, TOKEN_BYTES_MAX};
use crate::problem::Problem;

/// The sort of assertion that is taken (RFC 7523 section 2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Where, below the issuer, an assertion can be addressed to: the mount, and its token routes.
const ASSERTED_TO: [&str; 5] =
    ["", "/api/v1/token", "/api/v1/token/introspect", "/api/v1/token/revoke", "/oauth2/token"];

/// A client whose claim holds, as far as can be told before it is decided.
pub(super) struct Identified {
    pub(super) principal: Principal,
    /// The key that it signed an assertion with, and the assertion's id.
    pub(super) assertion: Option<(KeyId, String)>,
}

/// Holds a client's claim against what is known; `None` when it does not hold.
pub(super) async fn identified(call: &Call, claim: &Claim) -> Result<Option<Identified>, Failure> {
    let Some(client) = parse_uuid(&claim.client).ok().map(AgentId::from_uuid) else { return Ok(None) };
    let found = match &claim.proof {
        Proof::Secret(secret) => {
            let principal = call.app.client(client, secret).await?.ok();
            principal.map(|principal| Identified { principal, assertion: None })
        }
        Proof::Assertion(assertion) => match call.app.asserted(client, assertion, &audiences(call)).await? {
            Some(Asserted { principal, key, id }) if call.app.is_first_assertion(&claim.client, &id)? => {
                Some(Identified { principal, assertion: Some((key, id)) })
            }
            _ => None,
        },
    };
    if let Some(found) = &found {
        call.rate.admit(&call.app, &found.principal)?;
    }
    Ok(found)
}

/// Who asks, and the form: by an access token with a scope, or a client by its own proof of itself.
pub(super) async fn authenticated(call: &mut Call, scope: Scope) -> Result<(Fields, Principal), Failure> {
    let headers = call.request.headers();
    if presented(headers, TOKEN_BYTES_MAX).is_some() || presented_with_proof(headers).is_some() {
        let principal = call.app.principal(&call.request, Mount::AgentIdp).await?;
        call.rate.admit(&call.app, &principal)?;
        if !principal.holds(scope) {
            return Err(Failure::forbidden("this needs the scope tokens:read"));
        }
        return Ok((call.form().await?, principal));
    }
    let form = call.form().await?;
    let claim = claim(call, &form)?.ok_or(Problem::Unauthenticated)?;
    let found = identified(call, &claim).await?.and_then(|found| found.principal.agent().zip(Some(found.principal)));
    let Some((client, principal)) = found else {
        return Err(note_refused(call, &claim, Rejection::ClientInvalid).await?);
    };
    if !is_usable(call, client).await? {
        let why = Rejection::AgentNotUsable { why: "it may not act" };
        return Err(note_refused(call, &claim, why).await?);
    }
    Ok((form, principal))
}

/// What a client says of itself; `None` when it says nothing.
pub(super) fn claim(call: &Call, form: &Fields) -> Result<Option<Claim>, Failure> {
    let invalid = |_| {
        let description = "`Authorization: Basic` holds no client id and secret";
        refused(StatusCode::BAD_REQUEST, "invalid_request", description.to_owned())
    };
    if form.get("client_assertion").is_some() || form.get("client_assertion_type").is_some() {
        return asserted(call, form).map(Some);
    }
    let basic = client::basic(call.request.headers()).map_err(invalid)?;
    let id = form.text("client_id", 1..=256).map_err(invalid_request)?;
    let secret = form.text("client_secret", 1..=CREDENTIAL_BYTES_MAX).map_err(invalid_request)?;
    match (basic, id, secret) {
        (Some(basic), id, None) if id.is_none_or(|id| id == basic.client) => Ok(Some(basic)),
        (Some(_), ..) => {
            let description = "a client says who it is in one way, not in two";
            Err(refused(StatusCode::BAD_REQUEST, "invalid_request", description.to_owned()))
        }
        (None, Some(id), Some(secret)) => {
            let proof = Proof::Secret(secret.to_owned().into());
            Ok(Some(Claim { client: id.to_owned(), proof, is_basic: false }))
        }
        (None, Some(_), None) => Err(invalid_request(Fault::missing("client_secret"))),
        (None, None, Some(_)) => Err(invalid_request(Fault::missing("client_id"))),
        (None, None, None) => Ok(None),
    }
}

/// What a client says of itself by an assertion (RFC 7521 section 4.2).
fn asserted(call: &Call, form: &Fields) -> Result<Claim, Failure> {
    let wrong = |description: &str| refused(StatusCode::BAD_REQUEST, "invalid_request", description.to_owned());
    let sort = form.required("client_assertion_type", 1..=256).map_err(invalid_request)?;
    if sort != JWT_BEARER {
        return Err(wrong("the `client_assertion_type` is not supported"));
    }
    if call.request.headers().contains_key(header::AUTHORIZATION) || form.get("client_secret").is_some() {
        return Err(wrong("a client says who it is in one way, not in two"));
    }
    let assertion = form.required("client_assertion", 1..=TOKEN_BYTES_MAX).map_err(invalid_request)?;
    let subject = claimed_subject(assertion).unwrap_or_default();
    match form.text("client_id", 1..=256).map_err(invalid_request)? {
        Some(id) if id != subject => Err(wrong("`client_id` and the assertion name two clients")),
        _ => Ok(Claim { client: subject, proof: Proof::Assertion(assertion.to_owned()), is_basic: false }),
    }
}

/// Whom an assertion can be meant for.
fn audiences(call: &Call) -> [String; ASSERTED_TO.len()] {
    ASSERTED_TO.map(|path| format!("{}{path}", call.app.issuer()))
}

/// Counts a client's proof that does not hold; an error when it is not to be an event of its own.
pub(super) fn refused_often(call: &Call, claim: &Claim, why: Rejection) -> Result<(), Failure> {
    match call.app.client_refused(&call.request, Mount::AgentIdp, &claim.client) {
        Try::Singly => Ok(()),
        Try::Counted => Err(refusal(why, claim.is_basic)),
        Try::TooOften(refused) => Err(refused.into()),
    }
}

/// Has a client's proof that does not hold noted, durably, as far as it is an event of its own; gives what to answer.
async fn note_refused(call: &Call, claim: &Claim, rejection: Rejection) -> Result<Failure, Failure> {
    let why = if matches!(rejection, Rejection::ClientInvalid) { "unknown" } else { "agent_not_usable" };
    refused_often(call, claim, rejection.clone())?;
    let client = parse_uuid(&claim.client).ok().map(AgentId::from_uuid);
    let tenant = call.app.home_of_client(client).await?;
    let command = NoteAuthentication {
        mount: Mount::AgentIdp.name().to_owned(),
        claimed: Some(claim.client.clone()),
        credential: None,
        why: why.to_owned(),
        count: 1,
    };
    let mut request = sequencer::Request::new(tenant, Caller { tenant, actor: Actor::system() }, command);
    let options = call.app.options(&call.request)?;
    (request.correlation, request.origin) = (options.correlation, options.origin);
    call.app.sequencer().submit(request)?.await?;
    Ok(refusal(rejection, claim.is_basic))
}

/// Whether an agent may act.
pub(super) async fn is_usable(call: &Call, client: AgentId) -> Result<bool, Failure> {
    let identity = call.app.view(View::Identity).await?;
    let Some(agent) = AGENTS.get(&identity, client)? else { return Ok(false) };
    let organisation = ORGANISATIONS.get(&identity, agent.organisation)?;
    Ok(agent.unusable(call.app.now()).is_none()
        && organisation.is_some_and(|organisation| organisation.standing == Standing::Active))
}
