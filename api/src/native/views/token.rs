//! `/v1/token`: what they may.

use chancery_ledger::body::token::Profile;
use chancery_ledger::ids::ThingKind;
use chancery_projections::token::view::{self, TokenFilter, TokenView};

use super::{get, list, page, versioned};
use crate::native::call::Call;
use crate::native::operation::{Form, Operation, path, query};
use crate::problem::Problem;
use crate::response::Response;

/// Every profile, by its name.
const PROFILES: [(&str, Profile); 8] = [
    ("execution", Profile::Execution),
    ("access", Profile::Access),
    ("passport", Profile::Passport),
    ("session", Profile::Session),
    ("code", Profile::Code),
    ("refresh", Profile::Refresh),
    ("delegation", Profile::Delegation),
    ("workload", Profile::Workload),
];

/// `GET /v1/token/tokens`.
pub const TOKENS: Operation = list!(
    "listTokens",
    "The tenant's tokens of one profile.",
    TokensList,
    [
        query("agent", Form::Id(ThingKind::Agent), "Only those of this agent."),
        query("mission", Form::Id(ThingKind::Mission), "Only those of this mission."),
        query("live", Form::Flag, "Only those that can be used now, or only those that cannot."),
        query(
            "profile",
            Form::OneOf(|| PROFILES.map(|(name, _)| name).to_vec()),
            "Of which profile; execution tokens if absent."
        )
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
    let named = PROFILES.iter().find(|(name, _)| call.text("profile") == Some(name));
    let filter = TokenFilter {
        profile: named.map_or(Profile::Execution, |(_, profile)| *profile),
        agent: call.id("agent"),
        mission: call.id("mission"),
        live: call.flag("live"),
    };
    let reading = held.reading(call.app.opener(), now);
    Ok(page(&view::tokens(&reading, call.tenant()?, &filter, &call.paging()?)?))
}

async fn token(call: Call) -> Result<Response, Problem> {
    let (id, tenant) = (call.path_id("token")?, call.tenant()?);
    let (held, now) = call.held().await?;
    versioned(view::token(&held.reading(call.app.opener(), now), tenant, id)?, "token", |token| token.version)
}
