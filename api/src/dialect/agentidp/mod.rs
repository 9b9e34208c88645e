//! AgentIdP, as its SDK and OAuth 2.0 client libraries know it, under `/agentidp`. Translation only.
//!
//! - Contract: contracts/agentidp.md. Numbers at routes are the rows of its sections 3 and 11.
//! - Who asks: `Authorization: Bearer` and an access token of this mount, or an API key whose audience has `agentidp`.
//! - Ids: UUIDs throughout; what is no UUID names nothing.
//! - Paging: `page` from 1 and `limit`; every page says its total.
//! - Oddities: OAuth 2.0 has an error shape of its own, at the token routes alone; what a token does not cover is 403
//!   before anything about the request is looked at; a decommissioned agent stays readable.

mod account;
mod agents;
mod analytics;
mod audit;
mod call;
mod client;
mod compliance;
mod credentials;
mod delegation;
mod did;
mod discovery;
pub mod error;
mod federation;
pub mod fields;
mod marketplace;
mod oidc;
mod organisations;
mod rate;
mod tiers;
mod token;
pub mod webhooks;
pub mod wire;

use std::pin::Pin;
use std::sync::{Arc, LazyLock};

use chancery_projections::scope::{AgentIdpScope, Scope};
use hyper::Method;

use self::call::Call;
use self::error::Failure;
use self::rate::Rate;
use super::{Line, Native};
use crate::app::App;
use crate::auth::Mount;
use crate::path_table::PathTable;
use crate::request::Request;
use crate::response::Response;

/// What the mount's paths start with.
pub const PREFIX: &str = "/agentidp";

/// One line of the table of contents.
pub struct Route {
    /// The method.
    pub method: Method,
    /// Behind [`PREFIX`]; `{…}` stands for one segment.
    pub path: &'static str,
    /// What a caller needs.
    pub access: Access,
    /// What it becomes.
    pub native: Native,
    handler: Handler,
}

/// What a caller needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing; or what the route itself asks for.
    Open,
    /// Any bearer.
    Bearer,
    /// A bearer with one of these scopes of the vendor's.
    AnyOf(&'static [&'static str]),
}

type Handler = fn(Call) -> Pin<Box<dyn Future<Output = Result<Response, Failure>> + Send>>;

/// A handler, as [`ROUTES`] holds it.
macro_rules! to {
    ($handler:path) => {
        |call| Box::pin($handler(call))
    };
}

use Access::{Bearer, Open};
use Native::{Command, Public, Query};

/// The table of contents.
pub const ROUTES: &[Route] = &[
    post("/api/v1/agents", WRITER, Command("RegisterAgent"), to!(agents::register)),
    get("/api/v1/agents", READER, Query("agents", Scope::AgentsList), to!(agents::list)),
    get("/api/v1/agents/{agentId}", READER, Query("agent", Scope::AgentsRead), to!(agents::get)),
    patch("/api/v1/agents/{agentId}", WRITER, Command("UpdateAgent"), to!(agents::update)),
    delete("/api/v1/agents/{agentId}", WRITER, Command("DecommissionAgent"), to!(agents::decommission)),
    post("/api/v1/agents/{agentId}/credentials", WRITER, Command("CreateCredential"), to!(credentials::generate)),
    get("/api/v1/agents/{agentId}/credentials", READER, CREDENTIALS, to!(credentials::list)),
    post(
        "/api/v1/agents/{agentId}/credentials/{credentialId}/rotate",
        WRITER,
        Command("RotateCredential"),
        to!(credentials::rotate),
    ),
    delete(
        "/api/v1/agents/{agentId}/credentials/{credentialId}",
        WRITER,
        Command("RevokeCredential"),
        to!(credentials::revoke),
    ),
    post("/api/v1/token", Open, Command("ExchangeToken"), to!(token::issue)),
    post("/oauth2/token", Open, Command("ExchangeToken"), to!(token::issue)),
    post("/api/v1/token/introspect", Open, INTROSPECTION, to!(token::introspect)),
    post("/oauth2/introspect", Open, INTROSPECTION, to!(token::introspect)),
    post("/api/v1/token/revoke", Open, Command("RevokeToken"), to!(token::revoke)),
    post("/oauth2/revoke", Open, Command("RevokeToken"), to!(token::revoke)),
    get("/api/v1/audit", AUDIT, Query("audit_entries", Scope::AuditRead), to!(audit::query)),
    get("/api/v1/audit/{eventId}", AUDIT, Query("audit_entry", Scope::AuditRead), to!(audit::get)),
    get("/api/v1/audit/verify", AUDIT, Query("audit_verdict", Scope::AuditVerify), to!(audit::verify)),
    post("/api/v1/organizations", ORGANISER, Command("CreateOrganisation"), to!(organisations::create)),
    get("/api/v1/organizations", ORGANISER, ORGANISATIONS, to!(organisations::list)),
    get("/api/v1/organizations/{orgId}", ORGANISER, ORGANISATIONS, to!(organisations::get)),
    patch("/api/v1/organizations/{orgId}", ORGANISER, Command("UpdateOrganisation"), to!(organisations::update)),
    delete("/api/v1/organizations/{orgId}", ORGANISER, Command("DeleteOrganisation"), to!(organisations::remove)),
    post(
        "/api/v1/organizations/{orgId}/members",
        ORGANISER,
        Command("AddOrganisationMember"),
        to!(organisations::join),
    ),
    get("/api/v1/analytics/tokens", Bearer, Query("usage_by_day", Scope::TokensList), to!(analytics::tokens)),
    get(
        "/api/v1/analytics/agents/activity",
        Bearer,
        Query("usage_by_hour", Scope::TokensList),
        to!(analytics::activity),
    ),
    get("/api/v1/analytics/agents", Bearer, Query("usage_by_agent", Scope::TokensList), to!(analytics::agents)),
    get("/api/v1/tiers/status", Bearer, Query("usage", Scope::OrganisationsRead), to!(tiers::status)),
    post("/api/v1/tiers/upgrade", Bearer, Query("usage", Scope::OrganisationsRead), to!(tiers::upgrade)),
    get("/api/v1/compliance/controls", Open, Public("controls"), to!(compliance::controls)),
    get("/api/v1/compliance/report", Bearer, Query("compliance_report", Scope::AuditVerify), to!(compliance::report)),
    post("/api/v1/webhooks", WEBHOOKS_WRITE, Command("Subscribe"), to!(webhooks::create)),
    get("/api/v1/webhooks", WEBHOOKS_READ, Query("subscriptions", Scope::DeliveryRead), to!(webhooks::list)),
    get("/api/v1/webhooks/{id}", WEBHOOKS_READ, Query("subscription", Scope::DeliveryRead), to!(webhooks::get)),
    patch("/api/v1/webhooks/{id}", WEBHOOKS_WRITE, Command("ChangeSubscription"), to!(webhooks::change)),
    delete("/api/v1/webhooks/{id}", WEBHOOKS_WRITE, Command("EndSubscription"), to!(webhooks::end)),
    get(
        "/api/v1/webhooks/{id}/deliveries",
        WEBHOOKS_READ,
        Query("deliveries", Scope::DeliveryRead),
        to!(webhooks::deliveries),
    ),
    get("/api/v1/compliance/agent-cards", Bearer, Query("agents", Scope::AgentsList), to!(did::cards)),
    post("/api/v1/federation/trust", ORGANISER, Command("TrustIssuer"), to!(federation::trust)),
    get("/api/v1/federation/partners", ORGANISER, ISSUERS, to!(federation::list)),
    get("/api/v1/federation/partners/{id}", ORGANISER, ISSUERS, to!(federation::get)),
    patch("/api/v1/federation/partners/{id}", ORGANISER, Command("UpdateIssuer"), to!(federation::update)),
    delete("/api/v1/federation/partners/{id}", ORGANISER, Command("RemoveIssuer"), to!(federation::remove)),
    post("/api/v1/federation/verify", Bearer, ISSUERS, to!(federation::verify)),
    get("/.well-known/did.json", Open, Public("did"), to!(did::server)),
    get("/api/v1/agents/{agentId}/did", Open, PROFILE, to!(did::document)),
    get("/agents/{agentId}/did.json", Open, PROFILE, to!(did::document)),
    get("/api/v1/agents/{agentId}/did/resolve", READER, Query("agent", Scope::AgentsRead), to!(did::resolve)),
    get("/api/v1/agents/{agentId}/did/card", Open, PROFILE, to!(did::card)),
    get("/.well-known/openid-configuration", Open, Public("metadata"), to!(discovery::metadata)),
    get("/.well-known/oauth-authorization-server", Open, Public("metadata"), to!(discovery::metadata)),
    get("/agent-info", Bearer, Query("agent", Scope::AgentsRead), to!(token::agent_info)),
    get("/oauth2/authorize", Open, Public("metadata"), to!(token::authorize)),
    get("/.well-known/jwks.json", Open, Public("token_keys"), to!(discovery::jwks)),
    post("/api/v1/oidc/trust-policies", WRITER, Command("AddIssuerRule"), to!(oidc::add)),
    get("/api/v1/oidc/trust-policies", Bearer, Query("issuer_rules", Scope::CredentialsList), to!(oidc::list)),
    delete("/api/v1/oidc/trust-policies/{id}", WRITER, Command("RemoveIssuerRule"), to!(oidc::remove)),
    get("/api/v1/marketplace/agents", Open, Public("listed_agents"), to!(marketplace::list)),
    get("/api/v1/marketplace/agents/{agentId}", Open, Public("listed_agents"), to!(marketplace::get)),
    post("/api/v1/oidc/token", Open, Command("ExchangeToken"), to!(oidc::token)),
    post("/api/v1/oauth2/token/delegate", Bearer, Command("DelegateToken"), to!(delegation::delegate)),
    post("/api/v1/oauth2/token/verify-delegation", Bearer, DELEGATION, to!(delegation::verify)),
    delete("/api/v1/oauth2/token/delegate/{chainId}", Bearer, Command("RevokeToken"), to!(delegation::revoke)),
];

const READER: Access = Access::AnyOf(&["agents:read"]);
const AUDIT: Access = Access::AnyOf(&["audit:read"]);
const WEBHOOKS_READ: Access = Access::AnyOf(&["webhooks:read"]);
const WEBHOOKS_WRITE: Access = Access::AnyOf(&["webhooks:write", "agents:write"]);
const WRITER: Access = Access::AnyOf(&["agents:write"]);
const ORGANISER: Access = Access::AnyOf(&["admin:orgs"]);
const CREDENTIALS: Native = Query("credentials_of_agent", Scope::CredentialsList);
const ORGANISATIONS: Native = Query("organisations", Scope::OrganisationsRead);
const PROFILE: Native = Public("public_profile");
const DELEGATION: Native = Query("delegation", Scope::TokensIntrospect);
const ISSUERS: Native = Query("issuers", Scope::IssuersRead);
/// A look into a token, by whoever it is that asks: a bearer with the scope, or a client.
const INTROSPECTION: Native = Query("introspection", Scope::TokensIntrospect);

const fn get(path: &'static str, access: Access, native: Native, handler: Handler) -> Route {
    Route { method: Method::GET, path, access, native, handler }
}

const fn patch(path: &'static str, access: Access, native: Native, handler: Handler) -> Route {
    Route { method: Method::PATCH, path, access, native, handler }
}

const fn delete(path: &'static str, access: Access, native: Native, handler: Handler) -> Route {
    Route { method: Method::DELETE, path, access, native, handler }
}

const fn post(path: &'static str, access: Access, native: Native, handler: Handler) -> Route {
    Route { method: Method::POST, path, access, native, handler }
}

/// Where a path leads among [`ROUTES`].
static PATHS: LazyLock<PathTable> = LazyLock::new(|| PathTable::of(ROUTES.iter().map(|route| route.path)));

/// The table of contents, for the page of dialects.
pub fn contents() -> impl Iterator<Item = Line> {
    ROUTES.iter().map(|route| Line { method: route.method.as_str(), path: (PREFIX, route.path), native: route.native })
}

/// Where a request to a path goes below [`PREFIX`]; `None` when it is not for this mount. Metadata of an issuer with a path
/// stands at the host's root (RFC 8414 section 3.1), and so do the documents of identifiers on the host (did:web).
#[must_use]
pub fn mounted(path: &str) -> Option<&str> {
    match path.strip_prefix(PREFIX) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => Some(rest),
        Some(_) => None,
        None if path == "/.well-known/did.json" => Some(path),
        None if path.starts_with("/agents/") && path.ends_with("/did.json") => Some(path),
        None => path.strip_suffix(PREFIX).filter(|rest| rest.starts_with("/.well-known/")),
    }
}

/// Answers a request that is [`mounted`] here.
pub async fn handle(app: &Arc<App>, request: Request) -> Response {
    let (id, rate) = (request.id.clone(), Rate::default());
    let mut response = answer(app, request, rate.clone()).await.unwrap_or_else(|failure| {
        failure.trace(&id);
        failure.response()
    });
    rate.tell(response.headers_mut(), app.now());
    response
}

async fn answer(app: &Arc<App>, request: Request, rate: Rate) -> Result<Response, Failure> {
    let path = mounted(request.path()).unwrap_or_default();
    let (route, arguments) = PATHS.find(ROUTES, |route| &route.method, request.method(), path)?;
    let arguments = arguments.iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
    let principal = match route.access {
        Access::Open => None,
        Access::Bearer | Access::AnyOf(_) => Some(app.principal(&request, Mount::AgentIdp).await?),
    };
    if let Some(principal) = &principal {
        rate.admit(app, principal)?;
    }
    if let (Access::AnyOf(scopes), Some(principal)) = (route.access, &principal) {
        let allowed = |text: &&str| {
            AgentIdpScope::find(text).is_some_and(|scope| scope.allows.iter().all(|scope| principal.holds(*scope)))
        };
        if !scopes.iter().any(allowed) {
            return Err(Failure::forbidden(format!("this needs the scope {}", scopes.join(" or "))));
        }
    }
    let call = Call { app: app.clone(), principal, request, arguments, rate };
    (route.handler)(call).await
}
