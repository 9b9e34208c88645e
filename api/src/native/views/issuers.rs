//! `/v1/identity/issuers` and their rules: whose tokens are believed, and whom they let in as which agent.

use chancery_ledger::ids::ThingKind;
use chancery_projections::identity::view::{self, IssuerRuleView, IssuerView};

use super::{get, list, page, versioned};
use crate::native::call::Call;
use crate::native::operation::{Form, Operation, path, query};
use crate::problem::Problem;
use crate::response::Response;

/// `GET /v1/identity/issuers`.
pub const ISSUERS: Operation = list!(
    "listIssuers",
    "Issuers whose tokens the tenant believes: removed ones too.",
    IssuersRead,
    [],
    IssuerView,
    issuers
);

/// `GET /v1/identity/issuers/{issuer}`.
pub const ISSUER: Operation = get!(
    "getIssuer",
    "An issuer.",
    IssuersRead,
    [path("issuer", Form::Id(ThingKind::Issuer), "The issuer's id.")],
    IssuerView,
    issuer
);

/// `GET /v1/identity/issuer-rules`.
pub const RULES: Operation = list!(
    "listIssuerRules",
    "Rules that let subjects of issuers in as agents: removed ones too.",
    CredentialsList,
    [query("agent", Form::Id(ThingKind::Agent), "Only those that let in as this agent.")],
    IssuerRuleView,
    rules
);

/// `GET /v1/identity/issuer-rules/{rule}`.
pub const RULE: Operation = get!(
    "getIssuerRule",
    "A rule.",
    CredentialsList,
    [path("rule", Form::Id(ThingKind::IssuerRule), "The rule's id.")],
    IssuerRuleView,
    rule
);

async fn issuers(call: Call) -> Result<Response, Problem> {
    let (held, now) = call.held().await?;
    Ok(page(&view::issuers(&held.reading(call.app.opener(), now), call.tenant()?, &call.paging()?)?))
}

async fn issuer(call: Call) -> Result<Response, Problem> {
    let (id, tenant) = (call.path_id("issuer")?, call.tenant()?);
    let (held, now) = call.held().await?;
    versioned(view::issuer(&held.reading(call.app.opener(), now), tenant, id)?, "issuer", |issuer| issuer.version)
}

async fn rules(call: Call) -> Result<Response, Problem> {
    let (held, now) = call.held().await?;
    let reading = held.reading(call.app.opener(), now);
    Ok(page(&view::issuer_rules(&reading, call.tenant()?, call.id("agent"), &call.paging()?)?))
}

async fn rule(call: Call) -> Result<Response, Problem> {
    let (id, tenant) = (call.path_id("rule")?, call.tenant()?);
    let (held, now) = call.held().await?;
    versioned(view::issuer_rule(&held.reading(call.app.opener(), now), tenant, id)?, "rule", |rule| rule.version)
}
