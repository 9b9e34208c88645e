//! Agents: registration, change, suspension, what everybody may know, audit chain.

use chancery_ledger::body::field::Decimal;
use chancery_ledger::body::identity::{AgentPersonal, Disclosure, EndCause, Environment, SpendingLimit, Visibility};
use chancery_ledger::ids::{AgentId, TenantId};
use chancery_ledger::link::Hash;
use chancery_projections::command::{
    AgentProfile, DecommissionAgent, RegisterAgent, ResumeAgent, SuspendAgent, UpdateAgent, Via,
};
use chancery_projections::identity::view::{AgentView, agent as agent_view, agents_of_tenant};
use chancery_projections::lane::alsorn::rows::fingerprint;
use chancery_projections::lane::alsorn::view as chain;
use chancery_projections::output::Output;
use chancery_projections::rejection::Rejection;
use chancery_projections::trust::view::{TrustView, trust};
use chancery_projections::view::Reading;
use serde_json::{Value, json};

use super::call::{Call, created, ok, page, unexpected};
use super::error::Failure;
use super::wire;
use crate::app::Options;
use crate::auth::Mount;
use crate::problem::Problem;
use crate::response::Response;

const ENVIRONMENTS: [(&str, Environment); 3] =
    [("production", Environment::Production), ("staging", Environment::Staging), ("sandbox", Environment::Development)];
/// How often a change is made anew of what others have just changed.
const UPDATE_TRIES: u32 = 16;
const UNSENT_LIMIT: Decimal = Decimal::whole(1000);

/// `POST /agents/`.
pub(super) async fn register(mut call: Call) -> Result<Response, Failure> {
    let mut body = call.json().await?;
    body.must("authorized_actions");
    let name = body.required("name", 2, 100);
    let actions = body.texts("authorized_actions", 100).unwrap_or_default();
    let amount = body.amount("spending_limit").unwrap_or(UNSENT_LIMIT);
    let currency = body.currency("currency").unwrap_or_else(|| wire::UNSET_CURRENCY.to_owned());
    let environment = body.one_of("environment", &ENVIRONMENTS).unwrap_or_default();
    let description = body.text("description", 0, 500);
    body.done()?;
    let command = RegisterAgent {
        actions,
        limit: Some(SpendingLimit { amount, currency }),
        environment,
        profile: AgentProfile { description, ..AgentProfile::default() },
        visibility: Visibility::Tenant,
        disclosure: Disclosure::Verifiable,
        via: Via::Alsorn,
        ..RegisterAgent::named(name)
    };
    let (Output::Registered(registered), _) = call.submit(command).await? else { return Err(unexpected()) };
    Ok(created(&whole(&call, registered.agent.agent).await?))
}

/// `GET /agents/`.
pub(super) async fn list(call: Call) -> Result<Response, Failure> {
    let mut query = call.query()?;
    let status = query.one_of("status", &[("active", "active"), ("suspended", "suspended"), ("deleted", "deleted")]);
    let environment = query.one_of("environment", &ENVIRONMENTS);
    let search = query.text("search", 0, 1_000).map(|text| text.to_lowercase());
    let asked = page(&mut query);
    query.done()?;
    let (held, tenant) = (call.hold().await?, call.tenant()?);
    let reading = call.reading(&held);
    let found = tokio::task::block_in_place(|| -> Result<_, Failure> {
        let takes = |agent: &AgentView| {
            status.is_none_or(|status| wire::status(agent) == status)
                && environment.is_none_or(|environment| agent.environment == environment)
                && search.as_ref().is_none_or(|search| agent.name.to_lowercase().contains(search))
        };
        let is_all = status.is_none() && environment.is_none() && search.is_none();
        let page = agents_of_tenant(&reading, tenant, asked, is_all, takes)?;
        let items: Vec<Value> = page
            .items
            .iter()
            .map(|agent| Ok(wire::agent_item(agent, &record(&reading, tenant, agent.id)?, print(&reading, agent.id)?)))
            .collect::<Result<_, Failure>>()?;
        Ok((items, page.total))
    })?;
    let (items, total) = found;
    Ok(ok(&json!({
        "agents": items,
        "data": items,
        "total": total,
        "page": asked.number,
        "limit": asked.size,
        "pagination": {
            "page": asked.number,
            "limit": asked.size,
            "total": total,
            "total_pages": total.div_ceil(asked.size as u64),
        },
    })))
}

/// `GET /agents/{id}`.
pub(super) async fn get(call: Call) -> Result<Response, Failure> {
    let id = call.agent()?;
    Ok(ok(&whole(&call, id).await?))
}

/// `GET /agents/{id}/verify`: for everybody; whoever shows a key of the agent's tenant sees those that are not disclosed.
pub(super) async fn verify(call: Call) -> Result<Response, Failure> {
    let id = call.agent()?;
    let tenant = match call.app.principal(&call.request, Mount::Alsorn).await {
        Ok(principal) => Some(principal.tenant()),
        Err(_) => None,
    };
    let held = call.hold().await?;
    let reading = call.reading(&held);
    let shown = tokio::task::block_in_place(|| -> Result<_, Failure> {
        let Some(trust) = trust(&reading, tenant, id, false)? else { return Ok(None) };
        let Some(agent) = agent_view(&reading, trust.tenant, id)? else { return Ok(None) };
        let is_whole = chain::is_whole(&reading, &*call.app.engine().log(), id)?;
        Ok(Some(wire::verification(&agent, &trust, print(&reading, id)?, is_whole)))
    })?;
    Ok(ok(&shown.ok_or_else(|| Failure::not_found("Agent"))?))
}

/// `PATCH /agents/{id}`.
pub(super) async fn update(mut call: Call) -> Result<Response, Failure> {
    let (id, tenant) = (call.agent()?, call.tenant()?);
    let mut body = call.json().await?;
    let names: Vec<String> = body.names().map(str::to_owned).collect();
    for name in names {
        match name.as_str() {
            "description" => {}
            "name" | "authorized_actions" | "spending_limit" | "currency" if body.is_null(&name) => {
                body.wrong(&name, "must not be null");
            }
            "name" | "authorized_actions" | "spending_limit" | "currency" => {}
            _ => body.wrong(&name, "cannot be changed"),
        }
    }
    let name = body.text("name", 2, 100);
    let actions = body.texts("authorized_actions", 100);
    let (amount, currency) = (body.amount("spending_limit"), body.currency("currency"));
    let (has_description, description) = (body.has("description"), body.text("description", 0, 500));
    body.done()?;
    // Limit and profile are written whole, so another's change of their other parts must not come in between.
    let options = call.app.options(&call.request)?;
    for tries_left in (0..UPDATE_TRIES).rev() {
        let now = {
            let held = call.hold().await?;
            agent_view(&call.reading(&held), tenant, id)?.ok_or_else(|| Failure::not_found("Agent"))?
        };
        let limit = (amount.is_some() || currency.is_some()).then(|| {
            let (was, of) =
                now.limit.map_or((Decimal::ZERO, wire::UNSET_CURRENCY.to_owned()), |it| (it.amount, it.currency));
            SpendingLimit { amount: amount.unwrap_or(was), currency: currency.clone().unwrap_or(of) }
        });
        let profile = has_description.then(|| profile(now.profile.unwrap_or_default(), description.clone()));
        let as_read = (limit.is_some() || profile.is_some()).then_some(now.version);
        let command =
            UpdateAgent { name: name.clone(), actions: actions.clone(), limit, profile, ..UpdateAgent::of(id) };
        let with = Options { if_match: options.if_match.or(as_read), ..options.clone() };
        match call.submit_with(command.into(), with).await {
            Err(Failure::Problem(Problem::Rejected(Rejection::Conflict { .. })))
                if options.if_match.is_none() && tries_left > 0 => {}
            answered => {
                answered?;
                break;
            }
        }
    }
    Ok(ok(&whole(&call, id).await?))
}

fn profile(before: AgentPersonal, description: Option<String>) -> AgentProfile {
    AgentProfile {
        email: before.email,
        owner: before.owner,
        issued_by: before.issued_by,
        purpose: before.purpose,
        description,
        metadata: before.metadata,
        labels: before.labels,
        annotations: before.annotations,
    }
}

/// `POST /agents/{id}/suspend`.
pub(super) async fn suspend(mut call: Call) -> Result<Response, Failure> {
    let id = call.agent()?;
    call.json().await?;
    call.submit(SuspendAgent { agent: id, reason: None }).await?;
    Ok(ok(&whole(&call, id).await?))
}

/// `POST /agents/{id}/reactivate`.
pub(super) async fn reactivate(mut call: Call) -> Result<Response, Failure> {
    let id = call.agent()?;
    call.json().await?;
    call.submit(ResumeAgent { agent: id, reason: None }).await?;
    Ok(ok(&whole(&call, id).await?))
}

/// `DELETE /agents/{id}`.
pub(super) async fn delete(call: Call) -> Result<Response, Failure> {
    let id = call.agent()?;
    call.submit(DecommissionAgent { agent: id, cause: EndCause::Deleted, by: None, reason: None }).await?;
    Ok(ok(&whole(&call, id).await?))
}

/// `GET /agents/{id}/audit`.
pub(super) async fn audit(call: Call) -> Result<Response, Failure> {
    let (id, tenant) = (call.agent()?, call.tenant()?);
    let mut query = call.query()?;
    let asked = page(&mut query);
    query.done()?;
    let held = call.hold().await?;
    let reading = call.reading(&held);
    let log = call.app.engine().log();
    let found = tokio::task::block_in_place(|| chain::page(&reading, &*log, tenant, id, asked))?;
    let found = found.ok_or_else(|| Failure::not_found("Agent"))?;
    let entries: Vec<Value> = found.items.iter().map(wire::audit_entry).collect();
    Ok(ok(&json!({
        "entries": entries,
        "data": entries,
        "total": found.total,
        "page": asked.number,
        "limit": asked.size,
        "pagination": {
            "page": asked.number,
            "limit": asked.size,
            "total": found.total,
            "total_pages": found.total.div_ceil(asked.size as u64),
        },
    })))
}

/// An agent of the tenant as it is now.
async fn whole(call: &Call, id: AgentId) -> Result<Value, Failure> {
    let (held, tenant) = (call.hold().await?, call.tenant()?);
    shown(&call.reading(&held), tenant, id)?.ok_or_else(|| Failure::not_found("Agent"))
}

/// An agent of a tenant, whole.
pub(super) fn shown(reading: &Reading<'_>, tenant: TenantId, id: AgentId) -> Result<Option<Value>, Problem> {
    let Some(agent) = agent_view(reading, tenant, id)? else { return Ok(None) };
    Ok(Some(wire::agent(&agent, &record(reading, tenant, id)?, print(reading, id)?)))
}

fn record(reading: &Reading<'_>, tenant: TenantId, id: AgentId) -> Result<TrustView, Problem> {
    trust(reading, Some(tenant), id, false)?.ok_or(Problem::Internal)
}

fn print(reading: &Reading<'_>, id: AgentId) -> Result<Option<Hash>, Problem> {
    Ok(fingerprint(reading.execution, id)?)
}
