//! Alsorn, as its Python SDK 0.2.3 knows it, under `/alsorn`. Translation only.
//!
//! - Contract: contracts/alsorn.md.
//! - Who asks: `Authorization: Bearer` and a key whose audience has `alsorn`: one for this mount alone begins with `als_`,
//!   which the SDK insists on. What it may is its scopes: the vendor's levels `read`, `write` and `admin`.
//! - Ids: `agent_`, `tx_`, `disp_`, `audit_`, `wh_`, `evt_` and 26 characters; what is none of ours names nothing.
//! - Paging: `page` from 1 and `limit`; a list says its total.
//! - Oddities: collections are answered with a slash at their end and without; every request says that its body is JSON,
//!   also when it has none; a denied transaction is a 403 and a fact.

mod agents;
mod call;
pub mod error;
pub mod fields;
mod transactions;
mod trust;
pub mod webhooks;
mod wire;

use std::pin::Pin;
use std::sync::{Arc, LazyLock};

use chancery_projections::scope::Scope;
use hyper::{Method, StatusCode, header};

use self::call::Call;
use self::error::Failure;
use super::Native::{Command, Public, Query};
use super::{Line, Native};
use crate::app::App;
use crate::auth::{Mount, Refusal};
use crate::path_table::PathTable;
use crate::problem::Problem;
use crate::rates::by_key::Rate;
use crate::request::Request;
use crate::response::Response;

/// What the mount's paths start with.
pub const PREFIX: &str = "/alsorn";

/// One line of the table of contents.
pub struct Route {
    /// The method.
    pub method: Method,
    /// Behind [`PREFIX`]; `{…}` stands for one segment.
    pub path: &'static str,
    /// What it becomes.
    pub native: Native,
    handler: Handler,
}

type Handler = fn(Call) -> Pin<Box<dyn Future<Output = Result<Response, Failure>> + Send>>;

macro_rules! to {
    ($handler:path) => {
        |call| Box::pin($handler(call))
    };
}

/// The table of contents.
pub const ROUTES: &[Route] = &[
    post("/agents", Command("RegisterAgent"), to!(agents::register)),
    get("/agents", Query("agents", Scope::AgentsList), to!(agents::list)),
    get("/agents/{id}", Query("agent", Scope::AgentsRead), to!(agents::get)),
    get("/agents/{id}/verify", Public("profile"), to!(agents::verify)),
    patch("/agents/{id}", Command("UpdateAgent"), to!(agents::update)),
    post("/agents/{id}/suspend", Command("SuspendAgent"), to!(agents::suspend)),
    post("/agents/{id}/reactivate", Command("ResumeAgent"), to!(agents::reactivate)),
    delete("/agents/{id}", Command("DecommissionAgent"), to!(agents::delete)),
    get("/agents/{id}/audit", Query("agent_audit_chain", Scope::AuditRead), to!(agents::audit)),
    get("/trust/{id}", TRUST, to!(trust::query)),
    post("/trust/evaluate/{id}", Command("EvaluateTrust"), to!(trust::evaluate)),
    post("/trust/query", TRUST, to!(trust::batch)),
    get("/trust/{id}/history", Query("trust_points", Scope::TrustRead), to!(trust::history)),
    post("/trust/report", Command("FileDispute"), to!(trust::report)),
    post("/transactions", Command("ExecuteTransaction"), to!(transactions::execute)),
    get("/transactions", TRANSACTIONS, to!(transactions::list)),
    get("/transactions/export", TRANSACTIONS, to!(transactions::export)),
    get("/transactions/{id}", Query("transaction", Scope::TransactionsRead), to!(transactions::get)),
    post("/transactions/{id}/reverse", Command("ReverseTransaction"), to!(transactions::reverse)),
    post("/webhooks", Command("Subscribe"), to!(webhooks::register)),
    get("/webhooks", Query("subscriptions", Scope::DeliveryRead), to!(webhooks::list)),
    get("/webhooks/{id}", Query("subscription", Scope::DeliveryRead), to!(webhooks::get)),
    put("/webhooks/{id}", Command("ChangeSubscription"), to!(webhooks::update)),
    delete("/webhooks/{id}", Command("EndSubscription"), to!(webhooks::delete)),
    post("/webhooks/{id}/test", Query("subscription_test", Scope::DeliveryWrite), to!(webhooks::test)),
];

const TRUST: Native = Query("trust", Scope::TrustRead);
const TRANSACTIONS: Native = Query("transactions", Scope::TransactionsRead);

const fn get(path: &'static str, native: Native, handler: Handler) -> Route {
    Route { method: Method::GET, path, native, handler }
}

const fn post(path: &'static str, native: Native, handler: Handler) -> Route {
    Route { method: Method::POST, path, native, handler }
}

const fn put(path: &'static str, native: Native, handler: Handler) -> Route {
    Route { method: Method::PUT, path, native, handler }
}

const fn patch(path: &'static str, native: Native, handler: Handler) -> Route {
    Route { method: Method::PATCH, path, native, handler }
}

const fn delete(path: &'static str, native: Native, handler: Handler) -> Route {
    Route { method: Method::DELETE, path, native, handler }
}

/// Where a path leads among [`ROUTES`].
static PATHS: LazyLock<PathTable> = LazyLock::new(|| PathTable::of(ROUTES.iter().map(|route| route.path)));

/// The table of contents, for the page of dialects.
pub fn contents() -> impl Iterator<Item = Line> {
    ROUTES.iter().map(|route| Line { method: route.method.as_str(), path: (PREFIX, route.path), native: route.native })
}

/// Answers a request below [`PREFIX`].
pub async fn handle(app: &Arc<App>, request: Request) -> Response {
    let id = request.id.clone();
    let mut rate = None;
    let mut response = answer(app, request, &mut rate).await.unwrap_or_else(|failure| {
        failure.trace(&id);
        failure.response(&id)
    });
    if let Some(rate) = rate {
        rate.tell(response.headers_mut(), app.now().millis() / 1_000);
    }
    response
}

async fn answer(app: &Arc<App>, request: Request, rate: &mut Option<Rate>) -> Result<Response, Failure> {
    let path = request.path().strip_prefix(PREFIX).unwrap_or_default();
    let path = if path.len() > 1 { path.strip_suffix('/').unwrap_or(path) } else { path }.to_owned();
    let (route, arguments) = PATHS.find(ROUTES, |route| &route.method, request.method(), &path)?;
    let argument = arguments.iter().next().map(|(_, text)| text.to_owned()).unwrap_or_default();
    let principal = match route.native {
        Public(_) => None,
        Command(_) | Query(..) => {
            check_presented(&request)?;
            Some(app.let_in(&request, Mount::Alsorn).await?.map_err(refused)?)
        }
    };
    if let Some(principal) = &principal {
        let actor = principal.caller().actor;
        let key = actor.credential.map_or_else(|| actor.principal.uuid(), chancery_ledger::ids::ThingId::uuid);
        *rate = app.key_rates().admit(key).map_err(|refused| {
            *rate = Some(refused);
            Failure::TooOften(refused)
        })?;
        // What may not be sent is refused before anything of it is looked at.
        match route.native {
            Query(_, scope) => principal.require(scope).map_err(Problem::from)?,
            Command(name) => {
                chancery_projections::command::Command::scope_of(name)
                    .map_or(Ok(()), |scope| principal.require(scope))
                    .map_err(Problem::from)?;
            }
            Public(_) => {}
        }
    }
    let call = Call { app: app.clone(), principal, request, argument };
    (route.handler)(call).await
}

/// Why a key is not let in. Whoever holds one that was revoked is told so.
fn refused(why: Refusal) -> Failure {
    match why {
        Refusal::Revoked => {
            let message = "The API key was revoked: use another".to_owned();
            Failure::Coded(StatusCode::UNAUTHORIZED, "revoked_api_key", message)
        }
        other => other.problem().into(),
    }
}

/// Tells apart what is missing from what is malformed; whether a key is good is the next question.
fn check_presented(request: &Request) -> Result<(), Failure> {
    let refused = |code, message: &str| Failure::Coded(StatusCode::UNAUTHORIZED, code, message.to_owned());
    let Some(value) = request.headers().get(header::AUTHORIZATION) else {
        if request.headers().contains_key("x-api-key") {
            return Ok(());
        }
        return Err(refused("missing_auth", "An API key is required: send Authorization: Bearer als_…"));
    };
    let is_bearer = value.to_str().is_ok_and(|text| {
        text.split_once(' ')
            .is_some_and(|(scheme, key)| scheme.eq_ignore_ascii_case("bearer") && !key.trim().is_empty())
    });
    if is_bearer {
        return Ok(());
    }
    Err(refused("invalid_auth_format", "The Authorization header must be: Bearer als_…"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn static_routes_win_over_ids() {
        let found = |path: &str| ROUTES[PATHS.at(path).unwrap().value[0]].path;
        assert_eq!(found("/transactions/export"), "/transactions/export");
        assert_eq!(found("/transactions/tx_0"), "/transactions/{id}");
        assert_eq!(found("/trust/query"), "/trust/query");
        assert_eq!(found("/trust/evaluate/agent_0"), "/trust/evaluate/{id}");
        assert_eq!(found("/trust/agent_0/history"), "/trust/{id}/history");
    }
}
