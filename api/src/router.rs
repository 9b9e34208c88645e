//! Every mount and every native route, one line each.

use std::sync::{Arc, LazyLock};

use hyper::Method;
use hyper::header::{self, HeaderValue};

use chancery_projections::scope::Scope;

use crate::app::App;
use crate::auth::Mount;
use crate::dialect::{agentidp, alsorn, orgkernel};
use crate::native::call::{Call, Parameters};
use crate::native::operation::{Access, Operation};
use crate::native::{
    admin, backup, bundle, commands, difference, events, export, openapi, proofs, receipts, stream, views, witness,
};
use crate::path_table::PathTable;
use crate::problem::Problem;
use crate::request::Request;
use crate::response::{Response, ResponseBody};
use crate::signature;

/// A native route: method, path as OpenAPI writes it (but for a `*` where a parameter holds slashes), operation.
pub struct Route(pub Method, pub &'static str, pub &'static Operation);

const GET: Method = Method::GET;
const POST: Method = Method::POST;

/// The native routes. The mounts of dialects are in [`answer`].
pub const ROUTES: &[Route] = &[
    Route(GET, "/livez", &admin::LIVE),
    Route(GET, "/readyz", &admin::READY),
    Route(GET, "/metrics", &admin::METRICS),
    Route(GET, "/openapi.json", &openapi::OPENAPI),
    Route(GET, "/checkpoint", &proofs::CHECKPOINT),
    Route(GET, "/tile/{level}/{*index}", &proofs::TILE),
    Route(POST, "/witness/add-checkpoint", &witness::ADD_CHECKPOINT),
    Route(GET, "/witness/key", &witness::KEY),
    Route(GET, "/witness/{log}/checkpoint", &witness::WITNESSED_CHECKPOINT),
    Route(POST, "/v1/commands", &commands::SUBMIT),
    Route(GET, "/v1/events", &events::EVENTS),
    Route(GET, "/v1/events/stream", &stream::STREAM),
    Route(GET, "/v1/events/{seq}", &events::EVENT),
    Route(GET, "/v1/events/{seq}/proof", &proofs::PROOF),
    Route(GET, "/v1/diff", &difference::DIFFERENCE),
    Route(GET, "/v1/identity/ledger", &views::identity::LEDGER),
    Route(GET, "/v1/identity/keys", &views::identity::KEYS),
    Route(GET, "/v1/identity/tenants", &views::identity::TENANTS),
    Route(GET, "/v1/identity/tenants/{tenant}", &views::identity::TENANT),
    Route(GET, "/v1/identity/organisations", &views::identity::ORGANISATIONS),
    Route(GET, "/v1/identity/organisations/{organisation}", &views::identity::ORGANISATION),
    Route(GET, "/v1/identity/members", &views::identity::MEMBERS),
    Route(GET, "/v1/identity/agents", &views::identity::AGENTS),
    Route(GET, "/v1/identity/agents/{agent}", &views::identity::AGENT),
    Route(GET, "/v1/identity/agents/{agent}/certificate", &views::identity::CERTIFICATE),
    Route(GET, "/v1/identity/agents/{agent}/credentials", &views::identity::CLIENT_SECRETS),
    Route(GET, "/v1/identity/organisations/{organisation}/members", &views::identity::MEMBERSHIPS),
    Route(GET, "/v1/identity/credentials", &views::identity::CREDENTIALS),
    Route(GET, "/v1/identity/credentials/{credential}", &views::identity::CREDENTIAL),
    Route(GET, "/v1/identity/challenges/{challenge}", &views::identity::CHALLENGE),
    Route(GET, "/v1/identity/issuers", &views::issuers::ISSUERS),
    Route(GET, "/v1/identity/issuers/{issuer}", &views::issuers::ISSUER),
    Route(GET, "/v1/identity/issuer-rules", &views::issuers::RULES),
    Route(GET, "/v1/identity/issuer-rules/{rule}", &views::issuers::RULE),
    Route(GET, "/v1/token/tokens", &views::token::TOKENS),
    Route(GET, "/v1/token/tokens/{token}", &views::token::TOKEN),
    Route(GET, "/v1/execution/missions", &views::execution::MISSIONS),
    Route(GET, "/v1/execution/missions/{mission}", &views::execution::MISSION),
    Route(GET, "/v1/execution/audit-chains", &views::execution::CHAINS),
    Route(GET, "/v1/execution/audit-chains/{chain}", &views::execution::CHAIN),
    Route(GET, "/v1/execution/audit-chains/{chain}/entries", &views::execution::ENTRIES),
    Route(GET, "/v1/execution/audit-chains/{chain}/verify", &views::execution::VERIFY),
    Route(GET, "/v1/execution/audit-log/agentidp", &views::audit_log::ENTRIES),
    Route(GET, "/v1/execution/audit-log/agentidp/verify", &views::audit_log::VERIFY),
    Route(GET, "/v1/execution/destinations", &views::delivery::DESTINATIONS),
    Route(GET, "/v1/execution/destinations/{destination}", &views::delivery::DESTINATION),
    Route(POST, "/v1/execution/destinations/{destination}/send-code", &views::delivery::SEND_CODE),
    Route(GET, "/v1/execution/subscriptions", &views::delivery::SUBSCRIPTIONS),
    Route(GET, "/v1/execution/subscriptions/{subscription}", &views::delivery::SUBSCRIPTION),
    Route(GET, "/v1/execution/subscriptions/{subscription}/deliveries", &views::delivery::DELIVERIES),
    Route(GET, "/v1/execution/subscriptions/{subscription}/deliveries/{delivery}", &views::delivery::DELIVERY),
    Route(POST, "/v1/execution/subscriptions/{subscription}/test", &views::delivery::TEST),
    Route(GET, "/v1/execution/transactions", &views::transactions::TRANSACTIONS),
    Route(GET, "/v1/execution/transactions/export", &views::transactions::EXPORT),
    Route(GET, "/v1/execution/transactions/{transaction}", &views::transactions::TRANSACTION),
    Route(POST, "/v1/trust/agents/query", &views::trust::QUERY),
    Route(GET, "/v1/trust/agents/{agent}", &views::trust::AGENT),
    Route(GET, "/v1/trust/agents/{agent}/points", &views::trust::POINTS),
    Route(GET, "/v1/trust/disputes", &views::trust::DISPUTES),
    Route(GET, "/v1/trust/disputes/{dispute}", &views::trust::DISPUTE),
    Route(GET, "/v1/trust/policies/{kind}", &views::trust::POLICY),
    Route(GET, "/v1/trust/policies/{kind}/versions", &views::trust::POLICY_VERSIONS),
    Route(POST, "/v1/trust/policies/scoring/dry-run", &views::trust::DRY_RUN),
    Route(GET, "/v1/trust/policies/scope/dry-run", &views::scope_checks::IN_FORCE),
    Route(POST, "/v1/trust/policies/scope/dry-run", &views::scope_checks::GIVEN),
    Route(GET, "/v1/erasures", &views::erasure::ERASURES),
    Route(GET, "/v1/erasures/{subject}", &views::erasure::ERASURE),
    Route(GET, "/v1/holds", &views::erasure::HELD),
    Route(GET, "/v1/holds/{subject}", &views::erasure::HOLDS),
    Route(GET, "/v1/ledger/checkpoints/{size}", &proofs::CHECKPOINT_OF),
    Route(GET, "/v1/ledger/checkpoints/{size}/timestamp", &proofs::TIMESTAMP),
    Route(GET, "/v1/ledger/consistency/{old}/{new}", &proofs::CONSISTENCY),
    Route(GET, "/v1/ledger/export", &export::EXPORT),
    Route(POST, "/v1/ledger/bundle", &bundle::BUNDLE),
    Route(GET, "/v1/ledger/keystore", &backup::KEYSTORE),
    Route(GET, "/v1/ledger/sealing-keys", &backup::SEALING_KEYS),
    Route(GET, "/v1/trust", &admin::TRUST),
    Route(GET, "/v1/views", &admin::VIEWS),
    Route(GET, "/v1/views/roots", &receipts::ROOTS),
    Route(POST, "/v1/views/roots", &receipts::PUBLISH),
    Route(GET, "/v1/receipts/{thing}", &receipts::RECEIPT),
    Route(GET, "/v1/views/{view}/digest", &admin::DIGEST),
    Route(POST, "/v1/views/{view}/rebuild", &admin::REBUILD),
];

/// Where a path leads among [`ROUTES`].
static PATHS: LazyLock<PathTable> = LazyLock::new(|| PathTable::of(ROUTES.iter().map(|route| route.1)));

/// A method's name, from a fixed list, so that callers cannot fill the metrics with inventions.
#[must_use]
pub fn method_label(method: &Method) -> &'static str {
    const KNOWN: [(&Method, &str); 7] = [
        (&Method::GET, "GET"),
        (&Method::POST, "POST"),
        (&Method::PUT, "PUT"),
        (&Method::PATCH, "PATCH"),
        (&Method::DELETE, "DELETE"),
        (&Method::HEAD, "HEAD"),
        (&Method::OPTIONS, "OPTIONS"),
    ];
    KNOWN.into_iter().find(|(known, _)| *known == method).map_or("OTHER", |(_, name)| name)
}

/// Answers a request, and names the route for the metrics. What waits in here is small, since every connection has room
/// for one; what answers a route is as large as it must be, and lies on the heap while it runs.
pub async fn answer(app: &Arc<App>, request: Request) -> (&'static str, Response) {
    if is_below(orgkernel::PREFIX, request.path()) {
        return (orgkernel::PREFIX, Box::pin(orgkernel::handle(app, request)).await);
    }
    if agentidp::mounted(request.path()).is_some() {
        return (agentidp::PREFIX, Box::pin(agentidp::handle(app, request)).await);
    }
    if is_below(alsorn::PREFIX, request.path()) {
        return (alsorn::PREFIX, Box::pin(alsorn::handle(app, request)).await);
    }
    let id = request.id.clone();
    let (route, answered) = match find(&request) {
        Ok(found) => (found.route, native(app, request, found).await),
        Err((route, problem)) => (route, Err(problem)),
    };
    let response = answered.unwrap_or_else(|problem| {
        problem.trace(&id);
        problem.response(&id)
    });
    (route, response)
}

/// Whether a path is a mount's.
fn is_below(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The native operation that a request asks for.
struct Found {
    /// The path of its route.
    route: &'static str,
    operation: &'static Operation,
    /// Its parameters, or what is wrong with them, which only who may call it is told.
    parameters: Result<Parameters, Problem>,
    is_head: bool,
}

/// Finds the operation; else the name of the route, for the metrics, and what to answer.
fn find(request: &Request) -> Result<Found, (&'static str, Problem)> {
    let matched = PATHS.at(request.path()).map_err(|problem| ("none", problem))?;
    // HEAD is GET whose body is not sent (RFC 9110 §9.3.2).
    let is_head = request.method() == Method::HEAD;
    let wanted = if is_head { &GET } else { request.method() };
    let routes = matched.value.iter().map(|index| &ROUTES[*index]);
    let Some(Route(_, route, operation)) = routes.clone().find(|Route(method, ..)| method == wanted) else {
        let mut allow: Vec<&str> = routes.map(|Route(method, ..)| method.as_str()).collect();
        if allow.contains(&"GET") {
            allow.push("HEAD");
        }
        let route = matched.value.first().map_or("none", |index| ROUTES[*index].1);
        return Err((route, Problem::MethodNotAllowed { allow: allow.join(", ") }));
    };
    let parameters = Parameters::read(request, operation.parameters, &matched.params);
    Ok(Found { route, operation, parameters, is_head })
}

async fn native(app: &Arc<App>, request: Request, found: Found) -> Result<Response, Problem> {
    let Found { operation, parameters, is_head, .. } = found;
    let principal = match operation.access {
        Access::Open => None,
        Access::CredentialOrSignature if signature::is_presented(request.headers()) => None,
        Access::Tree if app.config().public_tree && !request.headers().contains_key(header::AUTHORIZATION) => None,
        Access::Credential | Access::CredentialOrSignature | Access::Scope(_) | Access::Tree => {
            let mut principal = app.principal(&request, Mount::Native).await?;
            if let Some(tenant) = request.header("chancery-tenant")? {
                principal = Box::pin(app.enter(principal, tenant)).await?;
            }
            match operation.access {
                Access::Scope(scope) => principal.require(scope)?,
                Access::Tree => principal.require(Scope::LedgerRead)?,
                Access::Open | Access::Credential | Access::CredentialOrSignature => {}
            }
            Some(principal)
        }
    };
    let call = Call::new(app.clone(), request, principal, parameters?);
    let mut answered = (operation.handler)(call).await?;
    if is_head {
        let body = std::mem::replace(answered.body_mut(), ResponseBody::Whole(bytes::Bytes::new()));
        if let ResponseBody::Whole(bytes) = body {
            answered.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        }
    }
    Ok(answered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_found_and_declares_its_path_parameters() {
        use crate::native::operation::Place;

        for Route(method, path, operation) in ROUTES {
            let matched = PATHS.at(path).unwrap();
            assert!(matched.value.iter().any(|index| ROUTES[*index].2.id == operation.id), "{method} {path}");
            let mut in_path: Vec<_> = matched.params.iter().map(|(name, _)| name.to_owned()).collect();
            let declared = operation.parameters.iter().filter(|parameter| parameter.place == Place::Path);
            let mut declared: Vec<_> = declared.map(|parameter| parameter.name.to_owned()).collect();
            in_path.sort();
            declared.sort();
            assert_eq!(in_path, declared, "{path}");
        }
    }

    #[test]
    fn operations_have_names_of_their_own() {
        let mut ids: Vec<_> = ROUTES.iter().map(|route| route.2.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), ROUTES.len());
    }
}
