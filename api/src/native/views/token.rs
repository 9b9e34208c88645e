//! `/v1/token`: what they may.

use chancery_ledger::ids::ThingKind;
use chancery_projections::token::view::{self, TokenFilter, TokenView};

use super::{get, list, page, versioned};
use crate::native::call::Call;
use crate::native::operation::{Form, Operation, path, query};
use crate::problem::Problem;
use crate::response::Response;

/// `GET /v1/token/tokens`.
pub const TOKENS: Operation = list!(
    "listTokens",
    "The tenant's execution tokens.",
    TokensList,
    [
        query("agent", Form::Id(ThingKind::Agent), "Only those of this agent."),
        query("mission", Form::Id(ThingKind::Mission), "Only those of this mission."),
        query("live", Form::Flag, "Only those that can be used now, or only those that cannot.")
    ],
    TokenView,
    tokens
);

/// `GET /v1/token/tokens/{token}`.
pub const TOKEN: Operation = get!(
    "getToken",
    "A token.",
    TokensIntrospect,
    [path("token", Form::Id(ThingKind::Token), "The token's id, in any spelling.")],
    TokenView,
    token
);

async fn tokens(call: Call) -> Result<Response, Problem> {
    let (held, now) = call.held().await?;
    let filter = TokenFilter {
        agent: call.id("agent"),
        mission: call.id("mission"),
        live: call.flag("live"),
        ..TokenFilter::default()
    };
    let reading = held.reading(call.app.opener(), now);
    Ok(page(&view::tokens(&reading, call.tenant()?, &filter, &call.paging()?)?))
}

async fn token(call: Call) -> Result<Response, Problem> {
    let (id, tenant) = (call.path_id("token")?, call.tenant()?);
    let (held, now) = call.held().await?;
    versioned(view::token(&held.reading(call.app.opener(), now), tenant, id)?, "token", |token| token.version)
}
