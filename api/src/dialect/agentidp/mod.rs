//! AgentIdP, as its SDK and OAuth 2.0 client libraries know it, under `/agentidp`. Translation only.
//!
//! - Contract: contracts/agentidp.md. Numbers at routes are the rows of its sections 3 and 11.
//! - Who asks: `Authorization: Bearer` and an access token of this mount, or an API key whose audience has `agentidp`.
//! - Ids: UUIDs throughout; what is no UUID names nothing.
//! - Paging: `page` from 1 and `limit`; every page says its total.
//! - Oddities: OAuth 2.0 has an error shape of its own, at the token routes alone; what a token does not cover is 403
//!   before anything about the request is looked at; a decommissioned agent stays readable.

mod account;
mod analytics;
mod audit;
mod call;
pub mod compliance;
pub mod error;
mod federation;
pub mod fields;
mod oidc;
mod rate;
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
use crate::problem::Problem;
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

/// The table of contents.
pub const ROUTES: &[Route] = &[
    get("/api/v1/audit", AUDIT, Native::Query("audit_entries", Scope::AuditRead), |call| Box::pin(audit::query(call))),
    get("/api/v1/audit/{eventId}", AUDIT, Native::Query("audit_entry", Scope::AuditRead), |call| {
        Box::pin(audit::get(call))
    }),
    get("/api/v1/audit/verify", AUDIT, Native::Query("audit_verdict", Scope::AuditVerify), |call| {
        Box::pin(audit::verify(call))
    }),
    get("/api/v1/analytics/tokens", Access::Bearer, Native::Query("usage_by_day", Scope::TokensList), |call| {
        Box::pin(analytics::tokens(call))
    }),
    get(
        "/api/v1/analytics/agents/activity",
        Access::Bearer,
        Native::Query("usage_by_hour", Scope::TokensList),
        |call| Box::pin(analytics::activity(call)),
    ),
    get("/api/v1/analytics/agents", Access::Bearer, Native::Query("usage_by_agent", Scope::TokensList), |call| {
        Box::pin(analytics::agents(call))
    }),
    get("/api/v1/compliance/controls", Access::Open, Native::Public("controls"), |call| {
        Box::pin(compliance::controls(call))
    }),
    get("/api/v1/compliance/report", Access::Bearer, Native::Query("compliance_report", Scope::AuditVerify), |call| {
        Box::pin(compliance::report(call))
    }),
    route(Method::POST, "/api/v1/federation/trust", ORGANISER, Native::Command("TrustIssuer"), |call| {
        Box::pin(federation::trust(call))
    }),
    route(Method::GET, "/api/v1/federation/partners", ORGANISER, ISSUERS, |call| Box::pin(federation::list(call))),
    route(Method::GET, "/api/v1/federation/partners/{id}", ORGANISER, ISSUERS, |call| Box::pin(federation::get(call))),
    route(Method::PATCH, "/api/v1/federation/partners/{id}", ORGANISER, Native::Command("UpdateIssuer"), |call| {
        Box::pin(federation::update(call))
    }),
    route(Method::DELETE, "/api/v1/federation/partners/{id}", ORGANISER, Native::Command("RemoveIssuer"), |call| {
        Box::pin(federation::remove(call))
    }),
    route(Method::POST, "/api/v1/federation/verify", Access::Bearer, ISSUERS, |call| {
        Box::pin(federation::verify(call))
    }),
    route(Method::POST, "/api/v1/oidc/trust-policies", WRITER, Native::Command("AddIssuerRule"), |call| {
        Box::pin(oidc::add(call))
    }),
    route(
        Method::GET,
        "/api/v1/oidc/trust-policies",
        Access::Bearer,
        Native::Query("issuer_rules", Scope::CredentialsList),
        |call| Box::pin(oidc::list(call)),
    ),
    route(Method::DELETE, "/api/v1/oidc/trust-policies/{id}", WRITER, Native::Command("RemoveIssuerRule"), |call| {
        Box::pin(oidc::remove(call))
    }),
];

const AUDIT: Access = Access::AnyOf(&["audit:read"]);
const WRITER: Access = Access::AnyOf(&["agents:write"]);
const ORGANISER: Access = Access::AnyOf(&["admin:orgs"]);
const ISSUERS: Native = Native::Query("issuers", Scope::IssuersRead);

const fn route(method: Method, path: &'static str, access: Access, native: Native, handler: Handler) -> Route {
    Route { method, path, access, native, handler }
}

const fn get(path: &'static str, access: Access, native: Native, handler: Handler) -> Route {
    Route { method: Method::GET, path, access, native, handler }
}

/// Which routes answer at a path: their places in [`ROUTES`].
static ROUTER: LazyLock<matchit::Router<Vec<usize>>> = LazyLock::new(|| {
    let mut paths: Vec<(&str, Vec<usize>)> = Vec::new();
    for (index, route) in ROUTES.iter().enumerate() {
        match paths.iter_mut().find(|(known, _)| *known == route.path) {
            Some((_, indexes)) => indexes.push(index),
            None => paths.push((route.path, vec![index])),
        }
    }
    let mut router = matchit::Router::new();
    for (path, indexes) in paths {
        if let Err(error) = router.insert(path, indexes) {
            panic!("ROUTES contradicts itself at {path}: {error}");
        }
    }
    router
});

/// The table of contents, for the page of dialects.
pub fn contents() -> impl Iterator<Item = Line> {
    ROUTES.iter().map(|route| Line { method: route.method.as_str(), path: (PREFIX, route.path), native: route.native })
}

/// Answers a request below [`PREFIX`].
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
    let path = request.path().strip_prefix(PREFIX).unwrap_or_default().to_owned();
    let matched = ROUTER.at(&path).map_err(|_| Problem::NoRoute)?;
    let routes = matched.value.iter().map(|index| &ROUTES[*index]);
    let Some(route) = routes.clone().find(|route| route.method == *request.method()) else {
        let allow: Vec<&str> = routes.map(|route| route.method.as_str()).collect();
        return Err(Problem::MethodNotAllowed { allow: allow.join(", ") }.into());
    };
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
    let arguments = matched.params.iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
    let call = Call { app: app.clone(), principal, request, arguments, rate };
    (route.handler)(call).await
}
