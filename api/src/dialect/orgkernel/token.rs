//! Execution tokens.

use chancery_ledger::body::token::Profile;
use chancery_ledger::ids::TokenId;
use chancery_projections::command::{Command, IssueToken, MissionRef, RevokeToken, UseToken};
use chancery_projections::execution::view::mission_by_key;
use chancery_projections::lane::orgkernel::ids::{NAMESPACE, parse_mission};
use chancery_projections::output::Output;
use chancery_projections::rejection::Rejection;
use chancery_projections::rows::Order;
use chancery_projections::token::view::{self, TokenFilter, TokenView, TokensOf};
use chancery_projections::view::{Held, Page, Reading};

use super::call::{Call, ok, unexpected};
use super::error::Failure;
use super::{from_wire, from_wire::token as requests, to_wire};
use crate::response::Response;

const NO_TOKEN: Rejection = Rejection::NotFound { thing: "token" };

pub(super) async fn mint(mut call: Call<'_>) -> Result<Response, Failure> {
    let command = requests::mint(&call.body().await?, call.app.now())?;
    let mission_id = mission_text(&call, &command).await?;
    match call.submit(command.clone()).await? {
        (Output::Token(minted), _) => Ok(ok(&to_wire::minted(command, &minted, mission_id, call.app.now()))),
        _ => Err(unexpected()),
    }
}

/// How the mission of a token is called here: as the caller calls it, unless that is the id of one that has a name.
async fn mission_text(call: &Call<'_>, command: &IssueToken) -> Result<String, Failure> {
    let MissionRef::Key(key) = &command.mission else { return Err(unexpected()) };
    if parse_mission(&key.text).is_none() {
        return Ok(key.text.clone());
    }
    let held = call.hold().await?;
    let found = mission_by_key(&call.reading(&held), call.tenant(), NAMESPACE, &key.text)?;
    Ok(found.map_or_else(|| key.text.clone(), |mission| to_wire::mission_text(mission.id, mission.key.as_ref())))
}

pub(super) async fn get(call: Call<'_>) -> Result<Response, Failure> {
    let held = call.hold().await?;
    let token = find(&call, &call.reading(&held), from_wire::token_id(&call.argument))?.ok_or(NO_TOKEN)?;
    Ok(ok(&to_wire::token(token)))
}

/// A denial is an answer.
pub(super) async fn check_scope(mut call: Call<'_>) -> Result<Response, Failure> {
    let asked = requests::scope_check(&call.body().await?)?;
    let (Output::ScopeCheck { passed, violations }, _) = call.submit(asked.command).await? else {
        return Err(unexpected());
    };
    Ok(ok(&to_wire::scope_result(asked.token_id, asked.tool_name, passed, violations)))
}

pub(super) async fn mark_used(call: Call<'_>) -> Result<Response, Failure> {
    let token = from_wire::token_id(&call.argument);
    change(&call, token, UseToken { token }, None).await
}

pub(super) async fn invalidate(call: Call<'_>) -> Result<Response, Failure> {
    let reason = requests::invalidate(&call.query())?;
    let token = from_wire::token_id(&call.argument);
    change(&call, token, RevokeToken { token, reason: Some(reason.clone()) }, Some(reason)).await
}

/// Changes a token and shows it as that left it; `reason` is why it is invalidated, if that is the change.
async fn change(
    call: &Call<'_>, id: TokenId, command: impl Into<Command>, reason: Option<String>,
) -> Result<Response, Failure> {
    let held = call.hold().await?;
    // Tokens that have no shape here are as those that do not exist.
    let before = find(call, &call.reading(&held), id)?.ok_or(NO_TOKEN)?;
    let (Output::Token(left), changed) = call.submit(command).await? else { return Err(unexpected()) };
    Ok(ok(&to_wire::changed_token(to_wire::token(before), &left, reason.filter(|_| changed), call.app.now())))
}

/// Answers the newest valid token of a mission, or `null`.
pub(super) async fn active(call: Call<'_>) -> Result<Response, Failure> {
    let held = call.hold().await?;
    let reading = call.reading(&held);
    let mission = call.mission(&reading)?;
    let found = view::newest_valid_token(&reading, call.tenant(), Profile::Execution, mission)?;
    Ok(ok(&found.map(to_wire::token)))
}

pub(super) async fn page_of_mission(call: Call<'_>) -> Result<Response, Failure> {
    let asked = from_wire::page(&call.query())?;
    let held = call.hold().await?;
    let reading = call.reading(&held);
    let of = TokensOf::Mission(call.mission(&reading)?);
    page(&call, &reading, asked, of)
}

pub(super) async fn page_of_agent(call: Call<'_>) -> Result<Response, Failure> {
    let asked = from_wire::page(&call.query())?;
    let held = call.hold().await?;
    page(&call, &call.reading(&held), asked, TokensOf::Agent(from_wire::agent(&call.argument)))
}

fn page(
    call: &Call<'_>, reading: &Reading<'_>, asked: from_wire::PageQuery, of: TokensOf,
) -> Result<Response, Failure> {
    let found = view::tokens_page(reading, call.tenant(), Profile::Execution, of, asked.number())?;
    Ok(ok(&to_wire::page(asked, found, to_wire::token)))
}

pub(super) async fn list_of_mission(call: Call<'_>) -> Result<Response, Failure> {
    let held = call.hold().await?;
    let mission = call.mission(&call.reading(&held))?;
    list(&call, held, TokenFilter { mission: Some(mission), ..TokenFilter::default() })
}

pub(super) async fn list_of_agent(call: Call<'_>) -> Result<Response, Failure> {
    let held = call.hold().await?;
    let agent = from_wire::agent(&call.argument);
    list(&call, held, TokenFilter { agent: Some(agent), ..TokenFilter::default() })
}

fn list(call: &Call<'_>, held: Held, filter: TokenFilter) -> Result<Response, Failure> {
    let tenant = call.tenant();
    call.whole_list(held, Order::Descending, b"[".to_vec(), "]", move |reading, paging| {
        let found = view::tokens(reading, tenant, &filter, paging)?;
        Ok(Page { items: found.items.into_iter().map(to_wire::token).collect::<Vec<_>>(), next: found.next })
    })
}

/// A token of the one profile that has a shape here.
fn find(call: &Call<'_>, reading: &Reading<'_>, id: TokenId) -> Result<Option<TokenView>, Failure> {
    let found = view::token(reading, call.tenant(), id)?;
    Ok(found.filter(|token| token.profile == Profile::Execution))
}
