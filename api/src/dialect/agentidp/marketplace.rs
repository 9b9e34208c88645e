//! The marketplace: agents of all tenants that are listed (rows 57 and 58 of the contract).

use chancery_ledger::body::identity::Disclosure;
use chancery_projections::identity::state::AgentStatus;
use chancery_projections::identity::view::{self, AgentView};
use chancery_projections::rejection::Rejection;

use super::call::{Call, ok, page};
use super::error::Failure;
use super::wire::Page;
use super::wire::agents::{TYPES, agent_type, capabilities};
use super::wire::did::{Listed, ListedWithDocument, document, owner};
use crate::problem::Problem;
use crate::response::Response;

/// Row 57.
pub(super) async fn list(call: Call) -> Result<Response, Failure> {
    let query = call.query()?;
    let asked = page(&query, 20, 100)?;
    let words: Vec<(&str, &'static str)> = TYPES.iter().map(|word| (*word, *word)).collect();
    let kind = query.one_of("agentType", &words)?;
    let capability = query.text("capability", 1..=128)?;
    let text = query.text("q", 1..=128)?.map(str::to_lowercase);
    let fits = |agent: &AgentView| {
        let can = capabilities(&agent.capabilities, &agent.actions);
        kind.is_none_or(|kind| agent_type(agent.kind.as_deref()) == kind)
            && capability.is_none_or(|wanted| can.iter().any(|known| known == wanted))
            && text.as_ref().is_none_or(|text| says(agent, &can, text))
    };
    let is_plain = kind.is_none() && capability.is_none() && text.is_none();
    let held = call.hold().await?;
    let reading = call.reading(&held);
    let filter: Option<&dyn Fn(&AgentView) -> bool> = if is_plain { None } else { Some(&fits) };
    // What is looked for can take a walk through all that is listed.
    let found = tokio::task::block_in_place(|| view::listed_agents(&reading, filter, asked))?;
    Ok(ok(&Page::of(asked, found, |agent| Listed::from(&agent))))
}

/// Whether an agent's card has a text, in any case.
fn says(agent: &AgentView, capabilities: &[String], text: &str) -> bool {
    let has = |said: &str| said.to_lowercase().contains(text);
    has(agent_type(agent.kind.as_deref())) || has(&owner(agent)) || capabilities.iter().any(|it| has(it))
}

/// Row 58.
pub(super) async fn get(call: Call) -> Result<Response, Failure> {
    let held = call.hold().await?;
    let found = view::disclosed_agent(&call.reading(&held), call.id("agentId"))?;
    let is_listed =
        |agent: &AgentView| agent.disclosure == Disclosure::Listed && agent.status != AgentStatus::Decommissioned;
    let Some(agent) = found.filter(is_listed) else {
        return Err(Problem::Rejected(Rejection::NotFound { thing: "agent" }).into());
    };
    Ok(ok(&ListedWithDocument { listed: Listed::from(&agent), did_document: document(&agent, &call.host()) }))
}
