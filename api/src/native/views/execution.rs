//! `/v1/execution`: what they do.

use chancery_ledger::ids::ThingKind;
use chancery_projections::execution::state::MissionState;
use chancery_projections::execution::view::{
    self, AuditChainFilter, AuditChainVerdict, AuditChainView, AuditEntryView, MissionFilter, MissionView,
};
use chancery_projections::rejection::Rejection;

use super::{get, list, one, page, versioned};
use crate::native::call::Call;
use crate::native::operation::{Form, Operation, Parameter, path, query};
use crate::problem::Problem;
use crate::response::Response;

const CHAIN_ID: Parameter = path("chain", Form::Id(ThingKind::AuditChain), "The audit chain's id, in any spelling.");

/// `GET /v1/execution/missions`.
pub const MISSIONS: Operation = list!(
    "listMissions",
    "The tenant's missions.",
    MissionsRead,
    [
        query("state", Form::OneOf(|| vec!["open", "completed", "revoked"]), "Only those that stand so."),
        query("implicit", Form::Flag, "Whether those are among them that a command opened because it needed one.")
    ],
    MissionView,
    missions
);

/// `GET /v1/execution/missions/{mission}`.
pub const MISSION: Operation = get!(
    "getMission",
    "A mission.",
    MissionsRead,
    [path("mission", Form::Id(ThingKind::Mission), "The mission's id, in any spelling.")],
    MissionView,
    mission
);

/// `GET /v1/execution/audit-chains`.
pub const CHAINS: Operation = list!(
    "listAuditChains",
    "The tenant's audit chains.",
    AuditRead,
    [
        query("mission", Form::Id(ThingKind::Mission), "Only that of this mission."),
        query("agent_text", Form::Text { max: 64 }, "Only those kept for this agent, in its caller's words."),
        query("open", Form::Flag, "Only those that take entries, or only those that do not.")
    ],
    AuditChainView,
    chains
);

/// `GET /v1/execution/audit-chains/{chain}`.
pub const CHAIN: Operation = get!("getAuditChain", "An audit chain.", AuditRead, [CHAIN_ID], AuditChainView, chain);

/// `GET /v1/execution/audit-chains/{chain}/entries`.
pub const ENTRIES: Operation = Operation {
    problems: &[404],
    ..list!("listAuditEntries", "The entries of an audit chain.", AuditRead, [CHAIN_ID], AuditEntryView, entries)
};

/// `GET /v1/execution/audit-chains/{chain}/verify`.
pub const VERIFY: Operation = get!(
    "verifyAuditChain",
    "Hash an audit chain's entries again and compare.",
    AuditVerify,
    [CHAIN_ID],
    AuditChainVerdict,
    verify
);

async fn missions(call: Call) -> Result<Response, Problem> {
    let (held, now) = call.held().await?;
    let state = call.text("state").and_then(|text| match text {
        "open" => Some(MissionState::Open),
        "completed" => Some(MissionState::Completed),
        "revoked" => Some(MissionState::Revoked),
        _ => None,
    });
    let filter = MissionFilter { implicit: call.flag("implicit") == Some(true), state };
    let reading = held.reading(call.app.opener(), now);
    Ok(page(&view::missions(&reading, call.tenant()?, filter, &call.paging()?)?))
}

async fn mission(call: Call) -> Result<Response, Problem> {
    let (id, tenant) = (call.path_id("mission")?, call.tenant()?);
    let (held, now) = call.held().await?;
    versioned(view::mission(&held.reading(call.app.opener(), now), tenant, id)?, "mission", |mission| mission.version)
}

async fn chains(call: Call) -> Result<Response, Problem> {
    let (held, now) = call.held().await?;
    let filter = AuditChainFilter {
        mission: call.id("mission"),
        agent_text: call.text("agent_text").map(str::to_owned),
        open: call.flag("open"),
    };
    let reading = held.reading(call.app.opener(), now);
    Ok(page(&view::audit_chains(&reading, call.tenant()?, &filter, &call.paging()?)?))
}

async fn chain(call: Call) -> Result<Response, Problem> {
    let (id, tenant) = (call.path_id("chain")?, call.tenant()?);
    let (held, now) = call.held().await?;
    let found = view::audit_chain(&held.reading(call.app.opener(), now), tenant, id)?;
    versioned(found, "audit chain", |chain| chain.version)
}

async fn entries(call: Call) -> Result<Response, Problem> {
    let (id, tenant) = (call.path_id("chain")?, call.tenant()?);
    let (held, now) = call.held().await?;
    let found = view::audit_entries(&held.reading(call.app.opener(), now), tenant, id, &call.paging()?)?;
    Ok(page(&found.ok_or(Rejection::NotFound { thing: "audit chain" })?))
}

async fn verify(call: Call) -> Result<Response, Problem> {
    let (id, tenant) = (call.path_id("chain")?, call.tenant()?);
    let (held, now) = call.held().await?;
    let reading = held.reading(call.app.opener(), now);
    one(tokio::task::block_in_place(|| view::verify_audit_chain(&reading, tenant, id))?, "audit chain")
}
