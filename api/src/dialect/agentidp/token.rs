//! Tokens: issue, introspect, revoke (rows 10 to 12), at the vendor's paths and at those of RFC 8414's examples.

use bytes::Bytes;
use chancery_ledger::actor::{Actor, Method, Principal as Who};
use chancery_ledger::body::token::Introspection as Look;
use chancery_ledger::ids::{AgentId, KeyId, OrganisationId, TenantId, ThingId as _, parse_uuid};
use chancery_ledger::link::Hash;
use chancery_projections::command::{ClientProof, ExchangeToken, RevokeToken, SecretText, SubjectToken, Via};
use chancery_projections::context::Caller;
use chancery_projections::credential::secret_hash;
use chancery_projections::identity::view;
use chancery_projections::output::Output;
use chancery_projections::rejection::Rejection;
use chancery_projections::scope::Scope;
use chancery_projections::sequencer;
use hyper::StatusCode;
use hyper::header::{self, HeaderValue};
use serde_json::json;

use super::call::{Call, ok, unexpected};
use super::client::{Identified, authenticated, claim, identified, is_usable, refused_often};
use super::delegation::{self, TOKEN_EXCHANGE};
use super::error::{Failure, OAuthError};
use super::fields::{Fault, Fields};
use super::wire::agents::Agent;
use super::wire::token::{AgentInfo, INACTIVE, Introspection, TokenAnswer};
use crate::auth::client::{Claim, Proof};
use crate::auth::{Mount, Refusal};
use crate::jose::seconds;
use crate::limits::TOKEN_BYTES_MAX;
use crate::problem::Problem;
use crate::response::{self, Response};

/// What a token allows for which nothing was asked.
const DEFAULT_SCOPE: &str = "agents:read";
/// Longest list of scopes, in characters.
const SCOPE_CHARS_MAX: usize = 1024;
/// The scope with which an ID token comes.
const OPENID: &str = "openid";
/// What `WWW-Authenticate` says to a client that tried HTTP Basic.
const BASIC: &str = "Basic realm=\"chancery\"";

/// Row 10.
pub(super) async fn issue(mut call: Call) -> Result<Response, Failure> {
    let form = call.form().await.map_err(invalid_request)?;
    let grant = form.required("grant_type", 1..=128).map_err(invalid_request)?;
    match grant {
        "client_credentials" => {
            let mut scopes = scopes(&form)?;
            if scopes.is_empty() {
                scopes.push(DEFAULT_SCOPE.to_owned());
            }
            issued(&call, &form, Asked { scopes, subject: None, actor: None }, None).await
        }
        TOKEN_EXCHANGE => delegation::exchange(&call, &form).await,
        _ => {
            let description = format!("the grant type `{}` is not supported", cut(grant));
            Err(refused(StatusCode::BAD_REQUEST, "unsupported_grant_type", description))
        }
    }
}

/// What a client asks the token endpoint for.
pub(super) struct Asked {
    /// What the token is to allow.
    pub(super) scopes: Vec<String>,
    /// For which token it is to be exchanged.
    pub(super) subject: Option<SubjectToken>,
    /// Who is to act by it, if that is said: nobody but the client can.
    pub(super) actor: Option<AgentId>,
}

/// The scopes that a form asks for, each once.
pub(super) fn scopes(form: &Fields) -> Result<Vec<String>, Failure> {
    let scope = form.text("scope", 0..=SCOPE_CHARS_MAX).map_err(invalid_request)?.unwrap_or_default();
    let mut scopes: Vec<String> = Vec::new();
    for text in scope.split(' ').filter(|text| !text.is_empty()) {
        if !scopes.iter().any(|known| known == text) {
            scopes.push(text.to_owned());
        }
    }
    Ok(scopes)
}

/// A new token for a client that proves itself by the form or by HTTP Basic.
pub(super) async fn issued(
    call: &Call, form: &Fields, asked: Asked, kind: Option<&'static str>,
) -> Result<Response, Failure> {
    let claim = claim(call, form)?.ok_or_else(|| {
        let description = "the client must say who it is, by `client_id` and `client_secret` or HTTP Basic";
        refused(StatusCode::BAD_REQUEST, "invalid_request", description.to_owned())
    })?;
    if asked.actor.is_some_and(|actor| actor.to_string() != claim.client) {
        let description = "`actor_token` is not the client's own";
        return Err(refused(StatusCode::BAD_REQUEST, "invalid_request", description.to_owned()));
    }
    let audience = match form.text("resource", 1..=255).map_err(invalid_request)? {
        Some(resource) if resource != call.app.issuer() => vec![resource.to_owned()],
        Some(_) | None => Vec::new(),
    };
    let cnf = match (call.request.header("dpop")?, call.app.possession(&call.request, None)?) {
        (Some(_), None) => {
            let description =
                "the `DPoP` header field holds no proof that holds: of this request, new, and by the key in it";
            return Err(refused(StatusCode::BAD_REQUEST, "invalid_dpop_proof", description.to_owned()));
        }
        (_, cnf) => cnf,
    };
    let output = exchange(call, &claim, asked, audience, cnf).await?;
    answer(call, output, kind).await
}

/// A new token, as its client is told; of which sort, when it was exchanged.
pub(super) async fn answer(call: &Call, output: Output, kind: Option<&'static str>) -> Result<Response, Failure> {
    let Output::AccessToken { token, actors, organisation, key } = output else {
        return Err(unexpected());
    };
    let text = call.app.render_access_token(&token, &actors, organisation, &key)?;
    let id_token = match token.scopes.iter().any(|scope| scope == OPENID) {
        true => {
            let about = info(call, token.tenant, token.agent, organisation).await?;
            Some(call.app.render_id_token(&token, &key, &about)?)
        }
        false => None,
    };
    let answer = TokenAnswer {
        access_token: text,
        token_type: if token.cnf.is_some() { "DPoP" } else { "Bearer" },
        id_token,
        expires_in: seconds(token.expires) - seconds(token.issued),
        scope: token.scopes.join(" "),
        issued_token_type: kind,
    };
    Ok(not_stored(ok(&answer)))
}

/// Row 11. What is answered about a token is the same for as long as it is worth something, so it is rendered once.
pub(super) async fn introspect(mut call: Call) -> Result<Response, Failure> {
    let (form, principal) = authenticated(&mut call, Scope::TokensIntrospect).await?;
    let text = form.required("token", 1..=TOKEN_BYTES_MAX)?;
    let found = call.app.access_token(text).await?.filter(|token| token.home.tenant == principal.tenant());
    let token = found.as_ref().map(|known| known.token.token);
    let active = found.filter(|token| token.dead(call.app.now()).is_none());
    let look = Look { token, caller: principal.actor(), active: active.is_some() };
    call.app.sequencer().note_introspection(principal.tenant(), look)?;
    let body = match &active {
        None => Bytes::from_static(INACTIVE.as_bytes()),
        Some(token) => match token.answer.get() {
            Some(rendered) => rendered.clone(),
            None => {
                let rendered = serde_json::to_vec(&Introspection::of(token)).map_err(|_| Problem::Internal)?;
                token.answer.get_or_init(|| rendered.into()).clone()
            }
        },
    };
    Ok(not_stored(response::typed(StatusCode::OK, "application/json", body)))
}

/// Row 12.
pub(super) async fn revoke(mut call: Call) -> Result<Response, Failure> {
    let (form, principal) = authenticated(&mut call, Scope::TokensRevoke).await?;
    let text = form.required("token", 1..=TOKEN_BYTES_MAX)?;
    let found = call.app.access_token(text).await?.filter(|token| token.home.tenant == principal.tenant());
    call.principal = Some(principal);
    if let Some(token) = found.filter(|token| token.dead(call.app.now()) != Some(Refusal::Expired)) {
        call.submit(RevokeToken { token: token.token.token, reason: None }).await?;
    }
    Ok(not_stored(ok(&json!({}))))
}

/// Discovery has to name an authorization endpoint. It refuses: no grant of this server needs a person's authorization.
pub(super) async fn authorize(_: Call) -> Result<Response, Failure> {
    let description = "this server has no authorization of people; ask for a token by client credentials";
    Err(refused(StatusCode::BAD_REQUEST, "unsupported_response_type", description.to_owned()))
}

/// Row 49: what the bearer says of itself, now.
pub(super) async fn agent_info(call: Call) -> Result<Response, Failure> {
    let principal = call.principal()?;
    let organisation = principal.access_token().and_then(|token| token.organisation);
    Ok(ok(&info(&call, principal.tenant(), principal.agent(), organisation).await?))
}

/// What an agent says of itself; of the default organisation it has none.
async fn info(
    call: &Call, tenant: TenantId, agent: Option<AgentId>, organisation: Option<OrganisationId>,
) -> Result<AgentInfo, Failure> {
    let held = call.hold().await?;
    let reading = call.reading(&held);
    let agent = agent.ok_or_else(|| Failure::forbidden("this needs an agent's access token"))?;
    let view = view::agent(&reading, tenant, agent)?.ok_or_else(unexpected)?;
    let default = organisation.is_none().then_some(view.organisation);
    Ok(AgentInfo::of(Agent::of(view, default, &call.host())))
}

/// Has a client's proof exchanged for a token.
async fn exchange(
    call: &Call, claim: &Claim, asked: Asked, audience: Vec<String>, cnf: Option<Hash>,
) -> Result<Output, Failure> {
    let app = &call.app;
    let client = parse_uuid(&claim.client).ok().map(AgentId::from_uuid);
    let found = identified(call, claim).await?;
    match (&found, client) {
        (None, _) => {
            // One that is an event of its own is so by being decided.
            refused_often(call, claim, Rejection::ClientInvalid)?;
        }
        (Some(_), Some(client)) if app.is_refused_often(&call.request, &claim.client) => {
            if !is_usable(call, client).await? {
                let why = Rejection::AgentNotUsable { why: "it may not act" };
                refused_often(call, claim, why.clone())?;
                return Err(refusal(why, claim.is_basic));
            }
        }
        (Some(_), _) => {}
    }
    let proof = match (&claim.proof, &found) {
        (Proof::Secret(secret), _) => ClientProof::Secret(SecretText(secret.clone())),
        (Proof::Assertion(_), Some(Identified { assertion: Some((key, _)), .. })) => {
            ClientProof::Assertion { key: *key }
        }
        // A key that nobody has.
        (Proof::Assertion(_), _) => ClientProof::Assertion { key: KeyId::from_uuid(uuid::Uuid::nil()) },
    };
    // An assertion is taken once, also across a restart: its token is decided under its name.
    let assertion = found.as_ref().and_then(|found| found.assertion.as_ref());
    let once = assertion.map(|(_, id)| format!("assertion {}", secret_hash(id)));
    let caller = match found.as_ref().map(|found| &found.principal) {
        Some(principal) => principal.caller(),
        None => Caller { tenant: app.home_of_client(client).await?, actor: anonymous() },
    };
    let command = ExchangeToken {
        client: claim.client.clone(),
        proof,
        scopes: asked.scopes,
        audience,
        cnf,
        subject: asked.subject,
        signer: app.token_signer(),
        via: Via::AgentIdp,
    };
    exchanged(call, caller, command, once).await?.map_err(|rejection| {
        if matches!(rejection, Rejection::AgentNotUsable { .. }) {
            app.client_refused(&call.request, Mount::AgentIdp, &claim.client);
        }
        refusal(rejection, claim.is_basic)
    })
}

/// What the ledger says to an exchange, once that is durable; under a name, it is taken once.
pub(super) async fn exchanged(
    call: &Call, caller: Caller, command: ExchangeToken, once: Option<String>,
) -> Result<Result<Output, Rejection>, Failure> {
    let app = &call.app;
    let mut request = sequencer::Request::new(caller.tenant, caller, command);
    let options = app.options(&call.request)?;
    (request.correlation, request.origin) = (options.correlation, options.origin);
    app.metrics().count_command("ExchangeToken");
    request.idempotency_key = once;
    let receipt = app.sequencer().submit(request)?.await?;
    match receipt.answer {
        Ok(_) if receipt.replayed => Ok(Err(Rejection::ClientInvalid)),
        Err(Rejection::IdempotencyConflict { .. }) => Ok(Err(Rejection::ClientInvalid)),
        answer => Ok(answer),
    }
}

fn anonymous() -> Actor {
    Actor { principal: Who::Anonymous, method: Method::None, credential: None, acting_in: None }
}

/// What is wrong with a form, as OAuth 2.0 says it.
pub(super) fn invalid_request(fault: impl Into<Failure>) -> Failure {
    match fault.into() {
        Failure::Field(Fault { field, reason }) => {
            refused(StatusCode::BAD_REQUEST, "invalid_request", format!("`{field}` {reason}"))
        }
        Failure::Problem(problem @ Problem::MediaType { .. }) => {
            refused(StatusCode::BAD_REQUEST, "invalid_request", problem.to_string())
        }
        other => other,
    }
}

/// A refusal by the ledger, as OAuth 2.0 says it.
pub(super) fn refusal(rejection: Rejection, is_basic: bool) -> Failure {
    let (status, error) = match &rejection {
        Rejection::ClientInvalid => (StatusCode::UNAUTHORIZED, "invalid_client"),
        Rejection::AgentNotUsable { .. } | Rejection::TenantSuspended | Rejection::QuotaExhausted { .. } => {
            (StatusCode::FORBIDDEN, "unauthorized_client")
        }
        Rejection::ScopeUnknown { .. } | Rejection::ScopeNotHeld { .. } => (StatusCode::BAD_REQUEST, "invalid_scope"),
        Rejection::GrantInvalid | Rejection::DepthExceeded { .. } => (StatusCode::BAD_REQUEST, "invalid_grant"),
        Rejection::Invalid { field: "scopes", .. } => (StatusCode::BAD_REQUEST, "invalid_scope"),
        Rejection::Invalid { .. } => (StatusCode::BAD_REQUEST, "invalid_request"),
        _ => return rejection.into(),
    };
    let challenge = (is_basic && status == StatusCode::UNAUTHORIZED).then_some(BASIC);
    OAuthError { status, error, description: rejection.to_string(), challenge }.into()
}

pub(super) fn refused(status: StatusCode, error: &'static str, description: String) -> Failure {
    OAuthError { status, error, description, challenge: None }.into()
}

/// A caller's word, as far as it is repeated to it.
pub(super) fn cut(text: &str) -> &str {
    text.char_indices().nth(64).map_or(text, |(end, _)| &text[..end])
}

/// What only its caller may keep (RFC 6749 section 5.1). Every answer says already that it is not to be stored.
fn not_stored(mut response: Response) -> Response {
    response.headers_mut().insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}
