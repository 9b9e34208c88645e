//! Workflows of others that log in as agents: policies that let them (rows 50 to 52).

use chancery_ledger::ids::AgentId;
use chancery_projections::command::{AddIssuerRule, RemoveIssuerRule};
use chancery_projections::identity::view;
use chancery_projections::output::Output;

use super::call::{Call, created, no_content, ok, page, unexpected};
use super::error::Failure;
use super::fields::Fault;
use super::wire::Page;
use super::wire::oidc::TrustPolicy;
use crate::response::Response;

const LIMIT_DEFAULT: u64 = 20;
const LIMIT_MAX: u64 = 100;

/// Row 50.
pub(super) async fn add(mut call: Call) -> Result<Response, Failure> {
    let body = call.json().await?;
    let command = AddIssuerRule {
        provider: body.required("provider", 1..=64)?.to_owned(),
        repository: body.required("repository", 1..=256)?.to_owned(),
        branch: body.text("branch", 1..=255)?.map(str::to_owned),
        agent: body.id("agentId")?.ok_or_else(|| Fault::missing("agentId"))?,
    };
    match call.submit(command).await? {
        Output::IssuerRule(rule) => Ok(created(&TrustPolicy::left(*rule))),
        _ => Err(unexpected()),
    }
}

/// Row 51.
pub(super) async fn list(call: Call) -> Result<Response, Failure> {
    let query = call.query()?;
    let asked = page(&query, LIMIT_DEFAULT, LIMIT_MAX)?;
    let agent: Option<AgentId> = query.id("agentId")?;
    let held = call.hold().await?;
    let found = view::kept_issuer_rules(&call.reading(&held), call.tenant()?, agent, asked)?;
    Ok(ok(&Page::of(asked, found, TrustPolicy::of)))
}

/// Row 52.
pub(super) async fn remove(call: Call) -> Result<Response, Failure> {
    call.submit(RemoveIssuerRule { rule: call.id("id") }).await?;
    Ok(no_content())
}
