//! OrgKernel, as its SDK and its REST clients know it, under `/orgkernel`. Translation only.
//!
//! - Contract: contracts/orgkernel.md, after OrgKernel 1.0.0 (commit 6ce1f91) and the Metaprise Python SDK reference 0.9.
//! - Who asks: `Authorization: Bearer` and an API key whose audience has `orgkernel`, on every route.
//! - Ids: `aid_`, `tok_`, `chal_`, `ac_`, `aue_`, `csr_`; missions by the caller's own text, else `msn_`.
//! - Paging: `page_no` from 1, `page_size` to 100; a list without `/page` in its path gives everything.
//! - Oddities: every success is 200, also a creation; `null` is an answer (route 19); a failed check of a token, an
//!   identity, a challenge or a chain is an answer, not an error; what was sent with an error is never repeated.

mod audit;
mod call;
pub mod error;
pub mod from_wire;
mod identity;
pub mod to_wire;
mod token;
pub mod wire;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use chancery_projections::scope::Scope;

use self::call::Call;
use self::error::Failure;
use self::from_wire::fields::{Part, percent_decode};
use crate::app::App;
use crate::auth::Mount;
use crate::dialect::{Line, Native};
use crate::problem::Problem;
use crate::request::Request;
use crate::response::Response;

/// What the mount's paths start with.
pub const PREFIX: &str = "/orgkernel";

/// One line of the table of contents.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Behind [`PREFIX`]; `{…}` stands for one segment.
    pub path: &'static str,
    /// What it becomes.
    pub native: Native,
    /// Where its own fields stand.
    pub part: Part,
    act: Act,
}

/// What answers a route.
#[derive(Debug, Clone, Copy)]
enum Act {
    SubmitCsr,
    Issue,
    IssueLegacy,
    GetIdentity,
    GetCertificate,
    VerifyIdentity,
    RequestChallenge,
    AnswerChallenge,
    Suspend,
    Reactivate,
    Revoke,
    ListIdentities,
    PageIdentities,
    Ca,
    Mint,
    GetToken,
    CheckScope,
    UseToken,
    Invalidate,
    ActiveToken,
    PageMissionTokens,
    PageAgentTokens,
    ListMissionTokens,
    ListAgentTokens,
    Initialize,
    Append,
    Close,
    GetMissionChain,
    GetChain,
    VerifyChain,
    PageAgentChains,
}

use Native::{Command, Query};
use Part::Body;

/// The table of contents. The first line that fits a request answers it, so a literal stands before a `{…}`.
pub const ROUTES: &[Route] = &[
    post("/identity/csr/submit", Act::SubmitCsr, Query("handle", Scope::AgentsRegister), Body),
    post("/identity/issue", Act::Issue, Command("RegisterAgent"), Body),
    post("/identity/", Act::IssueLegacy, Command("RegisterAgent"), Body),
    post("/identity", Act::IssueLegacy, Command("RegisterAgent"), Body),
    post("/identity/verify", Act::VerifyIdentity, Query("agent", Scope::AgentsRead), Body),
    post("/identity/challenge/request", Act::RequestChallenge, Command("IssueChallenge"), Part::Query),
    post("/identity/challenge/verify", Act::AnswerChallenge, Command("AnswerChallenge"), Body),
    get("/identity/org/{org_id}", Act::ListIdentities, Query("agents", Scope::AgentsList)),
    get("/identity/org/{org_id}/page", Act::PageIdentities, Query("agents", Scope::AgentsList)),
    get("/identity/{agent_id}", Act::GetIdentity, Query("agent", Scope::AgentsRead)),
    get("/identity/{agent_id}/certificate", Act::GetCertificate, Query("certificate", Scope::AgentsRead)),
    post("/identity/{agent_id}/suspend", Act::Suspend, Command("SuspendAgent"), Body),
    post("/identity/{agent_id}/reactivate", Act::Reactivate, Command("ResumeAgent"), Body),
    post("/identity/{agent_id}/revoke", Act::Revoke, Command("DecommissionAgent"), Body),
    get("/ca", Act::Ca, Query("org_ca", Scope::OrganisationsRead)),
    post("/token/mint", Act::Mint, Command("IssueToken"), Body),
    post("/token/scope/check", Act::CheckScope, Command("CheckScope"), Body),
    get("/token/mission/{mission_id}", Act::ListMissionTokens, Query("tokens", Scope::TokensList)),
    get("/token/mission/{mission_id}/active", Act::ActiveToken, Query("token", Scope::TokensList)),
    get("/token/mission/{mission_id}/page", Act::PageMissionTokens, Query("tokens", Scope::TokensList)),
    get("/token/agent/{agent_id}", Act::ListAgentTokens, Query("tokens", Scope::TokensList)),
    get("/token/agent/{agent_id}/page", Act::PageAgentTokens, Query("tokens", Scope::TokensList)),
    get("/token/{token_id}", Act::GetToken, Query("token", Scope::TokensList)),
    post("/token/{token_id}/use", Act::UseToken, Command("UseToken"), Body),
    post("/token/{token_id}/invalidate", Act::Invalidate, Command("RevokeToken"), Part::Query),
    post("/audit/initialize", Act::Initialize, Command("OpenAuditChain"), Body),
    get("/audit/mission/{mission_id}", Act::GetMissionChain, Query("audit_chain", Scope::AuditRead)),
    get("/audit/agent/{agent_id}/page", Act::PageAgentChains, Query("audit_chains", Scope::AuditRead)),
    get("/audit/{chain_id}", Act::GetChain, Query("audit_chain", Scope::AuditRead)),
    get("/audit/{chain_id}/verify", Act::VerifyChain, Query("audit_chain", Scope::AuditVerify)),
    post("/audit/{chain_id}/append", Act::Append, Command("AppendAuditEntry"), Body),
    post("/audit/{chain_id}/close", Act::Close, Command("CloseAuditChain"), Body),
];

const fn get(path: &'static str, act: Act, native: Native) -> Route {
    Route { method: "GET", path, native, part: Part::Query, act }
}

const fn post(path: &'static str, act: Act, native: Native, part: Part) -> Route {
    Route { method: "POST", path, native, part, act }
}

/// The table of contents, for the page of dialects.
pub fn contents() -> impl Iterator<Item = Line> {
    ROUTES.iter().map(|route| Line { method: route.method, path: (PREFIX, route.path), native: route.native })
}

/// Answers a request below [`PREFIX`].
pub async fn handle(app: &Arc<App>, request: Request) -> Response {
    let id = request.id.clone();
    let path = request.path().strip_prefix(PREFIX).unwrap_or_default();
    let (part, answered) = match find(request.method().as_str(), path) {
        Ok((route, argument)) => (route.part, answer(app, request, route, argument).await),
        Err(problem) => (Part::Body, Err(problem.into())),
    };
    answered.unwrap_or_else(|failure| {
        failure.trace(&id);
        failure.response(part)
    })
}

/// The route of a request, and the text in place of its `{…}`; empty when it has none.
fn find(method: &str, path: &str) -> Result<(&'static Route, String), Problem> {
    let segments: Vec<String> = path.split('/').map(|segment| percent_decode(segment, false)).collect();
    let mut methods: Vec<&str> = Vec::new();
    for route in ROUTES {
        let Some(argument) = route.fits(&segments) else { continue };
        if route.method == method {
            return Ok((route, argument.to_owned()));
        }
        if !methods.contains(&route.method) {
            methods.push(route.method);
        }
    }
    Err(if methods.is_empty() { Problem::NoRoute } else { Problem::MethodNotAllowed { allow: methods.join(", ") } })
}

impl Route {
    /// The text in place of the `{…}`, empty when there is none; `None` when the path is another.
    fn fits<'a>(&self, segments: &'a [String]) -> Option<&'a str> {
        let mut argument = "";
        let mut wanted = self.path.split('/');
        for segment in segments {
            let wanted = wanted.next()?;
            if wanted.starts_with('{') {
                argument = Some(segment.as_str()).filter(|text| !text.is_empty())?;
            } else if wanted != segment {
                return None;
            }
        }
        wanted.next().is_none().then_some(argument)
    }
}

async fn answer(
    app: &Arc<App>, request: Request, route: &'static Route, argument: String,
) -> Result<Response, Failure> {
    let principal = app.principal(&request, Mount::OrgKernel).await?;
    if let Query(_, scope) = route.native {
        principal.require(scope)?;
    }
    let call = Call { app, principal, request, argument };
    match route.act {
        Act::SubmitCsr => identity::submit_csr(call).await,
        Act::Issue => identity::issue(call).await,
        Act::IssueLegacy => identity::issue_legacy(call).await,
        Act::GetIdentity => identity::get(call).await,
        Act::GetCertificate => identity::certificate(call).await,
        Act::VerifyIdentity => identity::verify(call).await,
        Act::RequestChallenge => identity::request_challenge(call).await,
        Act::AnswerChallenge => identity::answer_challenge(call).await,
        Act::Suspend => identity::suspend(call).await,
        Act::Reactivate => identity::reactivate(call).await,
        Act::Revoke => identity::revoke(call).await,
        Act::ListIdentities => identity::list(call).await,
        Act::PageIdentities => identity::page(call).await,
        Act::Ca => identity::ca(call).await,
        Act::Mint => token::mint(call).await,
        Act::GetToken => token::get(call).await,
        Act::CheckScope => token::check_scope(call).await,
        Act::UseToken => token::mark_used(call).await,
        Act::Invalidate => token::invalidate(call).await,
        Act::ActiveToken => token::active(call).await,
        Act::PageMissionTokens => token::page_of_mission(call).await,
        Act::PageAgentTokens => token::page_of_agent(call).await,
        Act::ListMissionTokens => token::list_of_mission(call).await,
        Act::ListAgentTokens => token::list_of_agent(call).await,
        Act::Initialize => audit::initialize(call).await,
        Act::Append => audit::append(call).await,
        Act::Close => audit::close(call).await,
        Act::GetMissionChain => audit::of_mission(call).await,
        Act::GetChain => audit::get(call).await,
        Act::VerifyChain => audit::verify(call).await,
        Act::PageAgentChains => audit::page_of_agent(call).await,
    }
}
