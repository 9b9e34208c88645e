//! Client secrets of agents: rows 6 to 9 of the contract.

use chancery_ledger::ids::AgentId;
use chancery_projections::command::{CreateCredential, RevokeCredential, RotateCredential};
use chancery_projections::identity::view;
use chancery_projections::output::Output;
use chancery_projections::rejection::Rejection;

use super::call::{Call, created, no_content, ok, page, unexpected};
use super::error::Failure;
use super::wire::Page;
use super::wire::credentials::{Credential, CredentialWithSecret};
use crate::problem::Problem;
use crate::response::Response;

/// Whether a credential is revoked, by the vendor's words.
const STATUSES: &[(&str, bool)] = &[("active", false), ("revoked", true)];

pub(super) async fn generate(mut call: Call) -> Result<Response, Failure> {
    let expires = call.json().await?.time("expiresAt")?;
    let agent = call.id("agentId");
    let as_administrator = call.principal()?.manages_all_agents();
    let output = call.submit(CreateCredential { agent, expires, as_administrator }).await?;
    with_secret(agent, &output).map(|shown| created(&shown))
}

pub(super) async fn list(call: Call) -> Result<Response, Failure> {
    let query = call.query()?;
    let asked = page(&query, 20, 100)?;
    let revoked = query.one_of("status", STATUSES)?;
    let (agent, tenant): (AgentId, _) = (call.id("agentId"), call.tenant()?);
    let held = call.hold().await?;
    let reading = call.reading(&held);
    if view::agent_unusable(&reading, tenant, agent)?.is_none() {
        return Err(Problem::Rejected(Rejection::NotFound { thing: "agent" }).into());
    }
    let found = view::credentials_of_agent(&reading, tenant, agent, revoked, asked)?;
    Ok(ok(&Page::of(asked, found, |credential| Credential::of_view(agent, &credential))))
}

pub(super) async fn rotate(mut call: Call) -> Result<Response, Failure> {
    let expires = call.json().await?.time("expiresAt")?.map(Some);
    let (agent, credential) = (call.id("agentId"), call.id("credentialId"));
    let as_administrator = call.principal()?.manages_all_agents();
    let command = RotateCredential { credential, agent: Some(agent), expires, as_administrator };
    let output = call.submit(command).await?;
    with_secret(agent, &output).map(|shown| ok(&shown))
}

pub(super) async fn revoke(call: Call) -> Result<Response, Failure> {
    let (agent, credential) = (Some(call.id("agentId")), call.id("credentialId"));
    let as_administrator = call.principal()?.manages_all_agents();
    let cause = "requested".to_owned();
    call.submit(RevokeCredential { credential, agent, cause, as_administrator }).await?;
    Ok(no_content())
}

fn with_secret(agent: AgentId, output: &Output) -> Result<CredentialWithSecret<'_>, Failure> {
    let Output::ClientSecret { credential, secret } = output else { return Err(unexpected()) };
    let client_secret = secret.as_ref().map(|secret| secret.as_str());
    Ok(CredentialWithSecret { credential: Credential::of(agent, credential), client_secret })
}
