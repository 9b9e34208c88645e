//! Every mount and every native route, one line each.

use std::sync::{Arc, LazyLock};

use hyper::Method;
use hyper::header::{self, HeaderValue};

use crate::app::App;
use crate::auth::Mount;
use crate::dialect::orgkernel;
use crate::native::call::Call;
use crate::native::operation::{Access, Operation};
use crate::native::{admin, commands, events, export, openapi, proofs, stream, views};
use crate::problem::Problem;
use crate::request::Request;
use crate::response::{Response, ResponseBody};

/// A native route: method, path as OpenAPI writes it, operation.
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
    Route(POST, "/v1/commands", &commands::SUBMIT),
    Route(GET, "/v1/events", &events::EVENTS),
    Route(GET, "/v1/events/stream", &stream::STREAM),
    Route(GET, "/v1/events/{seq}", &events::EVENT),
    Route(GET, "/v1/events/{seq}/proof", &proofs::PROOF),
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
    Route(GET, "/v1/identity/credentials", &views::identity::CREDENTIALS),
    Route(GET, "/v1/identity/credentials/{credential}", &views::identity::CREDENTIAL),
    Route(GET, "/v1/identity/challenges/{challenge}", &views::identity::CHALLENGE),
    Route(GET, "/v1/token/tokens", &views::token::TOKENS),
    Route(GET, "/v1/token/tokens/{token}", &views::token::TOKEN),
    Route(GET, "/v1/execution/missions", &views::execution::MISSIONS),
    Route(GET, "/v1/execution/missions/{mission}", &views::execution::MISSION),
    Route(GET, "/v1/execution/audit-chains", &views::execution::CHAINS),
    Route(GET, "/v1/execution/audit-chains/{chain}", &views::execution::CHAIN),
    Route(GET, "/v1/execution/audit-chains/{chain}/entries", &views::execution::ENTRIES),
    Route(GET, "/v1/execution/audit-chains/{chain}/verify", &views::execution::VERIFY),
    Route(GET, "/v1/ledger/export", &export::EXPORT),
    Route(GET, "/v1/trust", &admin::TRUST),
    Route(GET, "/v1/views", &admin::VIEWS),
    Route(GET, "/v1/views/{view}/digest", &admin::DIGEST),
    Route(POST, "/v1/views/{view}/rebuild", &admin::REBUILD),
];

/// Which routes answer at a path: their places in [`ROUTES`].
static ROUTER: LazyLock<matchit::Router<Vec<usize>>> = LazyLock::new(|| {
    let mut paths: Vec<(&str, Vec<usize>)> = Vec::new();
    for (index, Route(_, path, _)) in ROUTES.iter().enumerate() {
        match paths.iter_mut().find(|(known, _)| known == path) {
            Some((_, indexes)) => indexes.push(index),
            None => paths.push((path, vec![index])),
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

/// Answers a request, and names the route for the metrics.
pub async fn answer(app: &Arc<App>, request: Request) -> (&'static str, Response) {
    if let Some(rest) = request.path().strip_prefix(orgkernel::PREFIX)
        && (rest.is_empty() || rest.starts_with('/'))
    {
        return (orgkernel::PREFIX, orgkernel::handle(app, request).await);
    }
    let id = request.id.clone();
    let (route, answered) = native(app, request).await;
    let response = answered.unwrap_or_else(|problem| {
        problem.trace();
        problem.response(&id)
    });
    (route, response)
}

async fn native(app: &Arc<App>, request: Request) -> (&'static str, Result<Response, Problem>) {
    let path = request.path().to_owned();
    let Ok(matched) = ROUTER.at(&path) else { return ("none", Err(Problem::NoRoute)) };
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
        return (route, Err(Problem::MethodNotAllowed { allow: allow.join(", ") }));
    };
    let parameters: Vec<(&str, &str)> = matched.params.iter().collect();
    let mut answered = call(app, request, operation, &parameters).await;
    if is_head && let Ok(response) = &mut answered {
        let body = std::mem::replace(response.body_mut(), ResponseBody::Whole(bytes::Bytes::new()));
        if let ResponseBody::Whole(bytes) = body {
            response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        }
    }
    (route, answered)
}

async fn call(
    app: &Arc<App>, request: Request, operation: &'static Operation, path: &[(&str, &str)],
) -> Result<Response, Problem> {
    let principal = match operation.access {
        Access::Open => None,
        Access::Credential | Access::Scope(_) => {
            let mut principal = app.principal(&request, Mount::Native).await?;
            if let Some(tenant) = request.header("chancery-tenant")? {
                principal = principal.enter(&app.access_view().await?, tenant)?;
            }
            if let Access::Scope(scope) = operation.access {
                principal.require(scope)?;
            }
            Some(principal)
        }
    };
    let call = Call::new(app.clone(), request, principal, operation, path)?;
    (operation.handler)(call).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_found_and_declares_its_path_parameters() {
        use crate::native::operation::Place;

        for Route(method, path, operation) in ROUTES {
            let matched = ROUTER.at(path).unwrap();
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
