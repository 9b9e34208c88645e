//! `/v1/trust`: how far they are trusted.

use chancery_ledger::ids::{AgentId, ThingKind};
use chancery_projections::rejection::Rejection;
use chancery_projections::scope::Scope;
use chancery_projections::trust::decide::{DOCUMENT_BYTES_MAX, parse_scoring};
use chancery_projections::trust::scoring::Scoring;
use chancery_projections::trust::state::{DEFAULT_KEY, PolicyKind};
use chancery_projections::trust::view::{
    self, DisputeFilter, DisputeView, DryRunView, Movement, PolicyView, TrustView,
};
use chancery_projections::view::Page;
use hyper::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{get, list, one, page, versioned};
use crate::native::call::Call;
use crate::native::operation::{AS_OF, Access, CURSOR, Content, Form, LIMIT, ORDER, Operation, Parameter, path, query};
use crate::problem::Problem;
use crate::response::{self, Response};

const AGENT_ID: Parameter = path("agent", Form::Id(ThingKind::Agent), "The agent's id, in any spelling.");
const KIND: Parameter =
    path("kind", Form::OneOf(|| PolicyKind::ALL.map(PolicyKind::name).to_vec()), "What the rules are about.");
const KEY: Parameter =
    query("key", Form::Text { max: 64 }, "Of `spending` and `scope`: the id of an agent. The default is `default`.");

/// `GET /v1/trust/agents/{agent}`.
pub const AGENT: Operation = get!(
    "getTrust",
    "How far an agent is trusted: one of the tenant's, or one whose profile is public.",
    TrustRead,
    [
        AGENT_ID,
        query("explain", Form::Flag, "Whether the events that moved its score come too, and by how much each did.")
    ],
    TrustView,
    agent
);

/// `POST /v1/trust/agents/query`.
pub const QUERY: Operation = Operation {
    id: "queryTrust",
    summary: "How far each of several agents is trusted, in the order in which they are named; `null` for one that the tenant may not know of.",
    access: Access::Scope(Scope::TrustRead),
    parameters: &[AS_OF],
    bodies: &[Content::json::<TrustQuery>()],
    answers: &[Content::json::<TrustAnswers>()],
    problems: &[],
    handler: |call| Box::pin(query_agents(call)),
};

/// Which agents are asked about.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustQuery {
    /// Their ids: 1 to 200, of the tenant's own agents and of those whose profile is public.
    #[schemars(length(min = 1, max = QUERIED_MAX))]
    pub agents: Vec<AgentId>,
}

/// How far they are trusted.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TrustAnswers {
    /// One for each id.
    pub results: Vec<Option<TrustView>>,
}

/// Most agents that are asked about at once: an answer of about 300 KB.
const QUERIED_MAX: usize = 200;
/// Longest such question, in bytes: ids in their longest spelling, with room.
const QUERY_BYTES_MAX: usize = 16 * 1024;

/// `GET /v1/trust/agents/{agent}/points`.
pub const POINTS: Operation = Operation {
    problems: &[404],
    ..list!(
        "listTrustPoints",
        "The scores that an agent of the tenant had, each with the event that gave it and what moved it.",
        TrustRead,
        [AGENT_ID, query("since", Form::Time, "Only those from this time on.")],
        Movement,
        points
    )
};

/// `GET /v1/trust/disputes`.
pub const DISPUTES: Operation = list!(
    "listDisputes",
    "Disputes that the tenant filed, or those about an agent of its own.",
    TrustRead,
    [query("agent", Form::Id(ThingKind::Agent), "Those about this agent, whoever filed them.")],
    DisputeView,
    disputes
);

/// `GET /v1/trust/disputes/{dispute}`.
pub const DISPUTE: Operation = get!(
    "getDispute",
    "A dispute.",
    TrustRead,
    [path("dispute", Form::Id(ThingKind::Dispute), "The dispute's id.")],
    DisputeView,
    dispute
);

/// `GET /v1/trust/policies/{kind}`.
pub const POLICY: Operation =
    get!("getPolicy", "The rules that are in force.", PoliciesRead, [KIND, KEY], PolicyView, policy);

/// `GET /v1/trust/policies/{kind}/versions`.
pub const POLICY_VERSIONS: Operation = Operation {
    problems: &[404],
    ..list!(
        "listPolicyVersions",
        "The rules as they ever were, resets among them.",
        PoliciesRead,
        [KIND, KEY],
        PolicyView,
        versions
    )
};

/// `POST /v1/trust/policies/scoring/dry-run`.
pub const DRY_RUN: Operation = Operation {
    id: "tryScoring",
    summary: "What the scores of the tenant's agents would be by the rules in the body, which changes nothing.",
    access: Access::Scope(Scope::PoliciesRead),
    parameters: &[LIMIT, CURSOR, ORDER, AS_OF],
    bodies: &[Content::json::<Scoring>()],
    answers: &[Content::json::<Page<DryRunView>>()],
    problems: &[422],
    handler: |call| Box::pin(dry_run(call)),
};

async fn agent(call: Call) -> Result<Response, Problem> {
    let (id, tenant) = (call.path_id("agent")?, call.tenant()?);
    let (held, now) = call.held().await?;
    let explain = call.flag("explain") == Some(true);
    let reading = held.reading(call.app.opener(), now);
    one(tokio::task::block_in_place(|| view::trust(&reading, Some(tenant), id, explain))?, "agent")
}

async fn points(call: Call) -> Result<Response, Problem> {
    let (id, tenant) = (call.path_id("agent")?, call.tenant()?);
    let (held, now) = call.held().await?;
    let reading = held.reading(call.app.opener(), now);
    let found = view::movements(&reading, tenant, id, call.time("since"), &call.paging()?)?;
    Ok(page(&found.ok_or(Rejection::NotFound { thing: "agent" })?))
}

async fn disputes(call: Call) -> Result<Response, Problem> {
    let (held, now) = call.held().await?;
    let filter = call.id::<AgentId>("agent").map_or(DisputeFilter::Filed, DisputeFilter::About);
    let reading = held.reading(call.app.opener(), now);
    Ok(page(&view::disputes(&reading, call.tenant()?, filter, &call.paging()?)?))
}

async fn dispute(call: Call) -> Result<Response, Problem> {
    let (id, tenant) = (call.path_id("dispute")?, call.tenant()?);
    let (held, now) = call.held().await?;
    versioned(view::dispute(&held.reading(call.app.opener(), now), tenant, id)?, "dispute", |dispute| dispute.version)
}

/// Which policy is asked for.
fn which(call: &Call) -> Result<(PolicyKind, String), Problem> {
    let kind = call.text("kind").and_then(PolicyKind::parse).ok_or(Rejection::NotFound { thing: "policy" })?;
    let key = call.text("key").unwrap_or(DEFAULT_KEY);
    let agent = key.parse::<AgentId>().map(|agent| agent.to_string());
    Ok((kind, agent.unwrap_or_else(|_| key.to_owned())))
}

async fn policy(call: Call) -> Result<Response, Problem> {
    let (kind, key) = which(&call)?;
    let (held, now) = call.held().await?;
    one(view::policy(&held.reading(call.app.opener(), now), call.tenant()?, kind, &key)?, "policy")
}

async fn versions(call: Call) -> Result<Response, Problem> {
    let (kind, key) = which(&call)?;
    let (held, now) = call.held().await?;
    let reading = held.reading(call.app.opener(), now);
    Ok(page(&view::policy_versions(&reading, call.tenant()?, kind, &key, &call.paging()?)?))
}

async fn query_agents(mut call: Call) -> Result<Response, Problem> {
    let text = call.document(QUERY_BYTES_MAX).await?;
    let query: TrustQuery = serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(&text))
        .map_err(|error| Problem::Malformed { path: error.path().to_string(), why: error.inner().to_string() })?;
    if !(1..=QUERIED_MAX).contains(&query.agents.len()) {
        let why = format!("must have 1 to {QUERIED_MAX} ids");
        return Err(Problem::Malformed { path: "agents".to_owned(), why });
    }
    let (held, now) = call.held().await?;
    let tenant = call.tenant()?;
    let reading = held.reading(call.app.opener(), now);
    let results = tokio::task::block_in_place(|| {
        let one = |id: &AgentId| view::trust(&reading, Some(tenant), *id, false);
        query.agents.iter().map(one).collect::<Result<Vec<_>, _>>()
    })?;
    Ok(response::json(StatusCode::OK, &TrustAnswers { results }))
}

async fn dry_run(mut call: Call) -> Result<Response, Problem> {
    let rules = parse_scoring(&call.document(DOCUMENT_BYTES_MAX).await?)?;
    let (held, now) = call.held().await?;
    let (tenant, paging) = (call.tenant()?, call.paging()?);
    let reading = held.reading(call.app.opener(), now);
    Ok(page(&tokio::task::block_in_place(|| view::dry_run(&reading, tenant, &rules, &paging))?))
}
