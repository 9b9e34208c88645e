//! Workflows of others that log in as agents: policies that let them, and the log-in itself (rows 50 to 53).

use chancery_ledger::actor::{Actor, Method};
use chancery_ledger::ids::{AgentId, OrganisationId, TenantId};
use chancery_projections::command::{AddIssuerRule, ClientProof, ExchangeToken, RemoveIssuerRule, Via, Voucher};
use chancery_projections::context::Caller;
use chancery_projections::identity::state::{ORGANISATIONS, TENANTS_OF_REPOSITORY, repository_key};
use chancery_projections::identity::view;
use chancery_projections::output::Output;
use chancery_projections::scope::AGENTIDP;
use chancery_projections::views::View;
use hyper::StatusCode;

use super::call::{Call, created, no_content, ok, page, unexpected};
use super::error::Failure;
use super::fields::{Fault, Fields};
use super::token;
use super::wire::Page;
use super::wire::oidc::TrustPolicy;
use crate::auth::{Mount, Refused};
use crate::issuers::{self, Distrust, Doubt, Unverified};
use crate::limits::FOREIGN_TOKEN_BYTES_MAX;
use crate::response::Response;

const LIMIT_DEFAULT: u64 = 20;
const LIMIT_MAX: u64 = 100;
/// The one provider that there is.
const GITHUB: &str = "github";
/// What whoever has no agent yet may do.
const BOOTSTRAP_SCOPE: &str = "agents:write";
/// What the name of a branch stands behind in a reference of git.
const BRANCHES: &str = "refs/heads/";

/// Row 50.
pub(super) async fn add(mut call: Call) -> Result<Response, Failure> {
    let body = call.json().await?;
    let command = AddIssuerRule {
        provider: body.required("provider", 1..=64)?.to_owned(),
        repository: body.required("repository", 1..=256)?.to_owned(),
        branch: body.text("branch", 1..=255)?.map(str::to_owned),
        agent: body.id("agentId")?.ok_or_else(|| Fault::missing("agentId"))?,
        as_administrator: call.principal()?.manages_all_agents(),
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
    let as_administrator = call.principal()?.manages_all_agents();
    call.submit(RemoveIssuerRule { rule: call.id("id"), as_administrator }).await?;
    Ok(no_content())
}

/// Row 53. What the token says is verified here; whom it lets in, the ledger decides.
pub(super) async fn token(mut call: Call) -> Result<Response, Failure> {
    let body = call.json().await?;
    let text = body.required("token", 1..=FOREIGN_TOKEN_BYTES_MAX)?;
    let agent: Option<AgentId> = body.id("agentId")?;
    let scopes = scopes(&body, agent)?;
    let voucher = match voucher(&call, text).await {
        Ok(voucher) => voucher,
        Err(Distrust::Token(Doubt::Malformed)) => return Err(Fault::new("token", Doubt::Malformed.to_string()).into()),
        Err(Distrust::Token(doubt)) => {
            call.app.note_refusal(&call.request, Mount::AgentIdp, Refused::UNKNOWN);
            return Err(Failure::coded(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", doubt.to_string()));
        }
        Err(Distrust::Keys(error)) => {
            tracing::warn!(request = %call.request.id, %error, "a workflow's token cannot be verified");
            let message = "the keys of the token's issuer are not to be had; try again";
            return Err(Failure::coded(StatusCode::SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE", message));
        }
    };
    let tenant = match agent {
        Some(agent) => call.app.home_of_client(Some(agent)).await?,
        None => tenant_of(&call, &body, &voucher).await?,
    };
    let actor = Actor { principal: voucher.principal(), method: Method::Token, credential: None, acting_in: None };
    let command = ExchangeToken {
        client: agent.map_or_else(String::new, |agent| agent.to_string()),
        proof: ClientProof::Vouched(voucher),
        scopes,
        audience: Vec::new(),
        cnf: None,
        subject: None,
        signer: call.app.token_signer(),
        via: Via::AgentIdp,
    };
    let output = token::exchanged(&call, Caller { tenant, actor }, command, None).await??;
    token::answer(&call, output, None).await
}

/// What GitHub says of a workflow, if it is GitHub that says so, and says it to us.
async fn voucher(call: &Call, text: &str) -> Result<Voucher, Distrust> {
    let config = call.app.config();
    let token = Unverified::parse(text)?;
    if token.issuer() != Some(&config.github_issuer) {
        return Err(Doubt::Issuer.into());
    }
    let keys = format!("{}/.well-known/jwks", config.github_issuer.trim_end_matches('/'));
    let claims = issuers::verified(&call.app, &keys, token).await?;
    let text = |name: &str| claims.get(name).and_then(|value| value.as_str()).ok_or(Doubt::Malformed);
    let (subject, repository) = (text("sub")?, text("repository")?);
    let owner = repository.split_once('/').ok_or(Doubt::Malformed)?.0;
    // What GitHub writes for a workflow that asks for no audience; and what asks for this daemon.
    let by_default = format!("https://github.com/{owner}");
    let is_ours = |audience: &str| {
        audience == call.app.issuer()
            || audience.eq_ignore_ascii_case(&by_default)
            || config.github_audience.as_deref() == Some(audience)
    };
    if !issuers::is_for(&claims, is_ours) {
        return Err(Doubt::Audience.into());
    }
    let branch = claims.get("ref").and_then(|value| value.as_str()).and_then(|text| text.strip_prefix(BRANCHES));
    Ok(Voucher {
        provider: GITHUB.to_owned(),
        iss: config.github_issuer.clone(),
        subject: subject.to_owned(),
        repository: repository.to_owned(),
        branch: branch.map(str::to_owned),
    })
}

/// What the token is to allow: as much as any agent may ask for, unless less is asked; without an agent, only to register
/// one.
fn scopes(body: &Fields, agent: Option<AgentId>) -> Result<Vec<String>, Failure> {
    if agent.is_none() {
        return match body.text("scope", 0..=1024)? {
            None | Some("" | BOOTSTRAP_SCOPE) => Ok(vec![BOOTSTRAP_SCOPE.to_owned()]),
            Some(_) => Err(Fault::new("scope", format!("can be {BOOTSTRAP_SCOPE} alone without `agentId`")).into()),
        };
    }
    let asked = token::scopes(body)?;
    if !asked.is_empty() {
        return Ok(asked);
    }
    let core = AGENTIDP.iter().filter(|scope| scope.is_core && !scope.allows.is_empty());
    Ok(core.map(|scope| scope.text.to_owned()).collect())
}

/// The tenant that a repository is to register agents in: the one that trusts it, or that of an organisation that is
/// named. Where none does, the root tenant's log says so.
async fn tenant_of(call: &Call, body: &Fields, voucher: &Voucher) -> Result<TenantId, Failure> {
    let organisation: Option<OrganisationId> = body.id("organizationId")?;
    let identity = call.app.view(View::Identity).await?;
    let repository = repository_key(&voucher.repository);
    let mut tenants =
        TENANTS_OF_REPOSITORY.get(&identity, (voucher.provider.as_str(), repository.as_str()))?.unwrap_or_default();
    if let Some(organisation) = organisation {
        let its = ORGANISATIONS.get(&identity, organisation)?.map(|organisation| organisation.tenant);
        tenants.retain(|tenant| Some(*tenant) == its);
    }
    match tenants[..] {
        [] => Ok(call.app.home_of_client(None).await?),
        [tenant] => Ok(tenant),
        _ => {
            Err(Fault::new("agentId", "is required, or `organizationId`: several tenants trust this repository").into())
        }
    }
}
