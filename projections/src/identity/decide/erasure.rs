//! Erasure and holds: what may be erased, and what came of it.
//!
//! To erase a thing is to destroy its data key. The event comes first; the key goes when the event is durable, before
//! whoever asked is answered (`sequencer::committer`), and the keystore's files are then written anew without it.

use chancery_ledger::body::Body;
use chancery_ledger::body::erasure::{HoldLifted, HoldPlaced, KeyDestroyed, SubjectErased};
use chancery_ledger::ids::{
    AgentId, DestinationId, MemberId, MissionId, OrganisationId, Subject, SubscriptionId, TenantId, ThingId, ThingKind,
};
use chancery_ledger::time::Micros;

use super::agent;
use crate::check::check_len;
use crate::command::{ApplyRetention, EraseSubject, LiftHold, PlaceHold, ReportShredded};
use crate::context::Context;
use crate::decision::{Decided, State, Stop};
use crate::execution::delivery::state::{DESTINATIONS, SUBSCRIPTIONS};
use crate::execution::state::{CHAIN_BY_MISSION, CHAINS, MISSIONS, MissionState};
use crate::identity::state::{AGENTS, ERASED, HOLDS, MEMBERS, ORGANISATIONS, TENANTS, UNREPORTED};
use crate::origin;
use crate::output::Output;
use crate::rejection::Rejection;
use crate::trust::retention::{Kept, Retention};
use crate::trust::state::retention;

/// Most holds on one thing.
const HOLDS_MAX: usize = 64;
/// Most things that one command of the daemon's is about.
pub const AT_ONCE_MAX: usize = 512;

/// A thing that can be erased, as far as that matters.
struct Found {
    /// What it belongs to, itself first: a hold on any of these holds it.
    within: Vec<Subject>,
    /// What must happen first; `None` when it can be erased.
    first: Option<&'static str>,
}

/// Decides [`EraseSubject`].
///
/// # Errors
/// [`Rejection::NotFound`], [`Rejection::OnHold`], [`Rejection::StillInUse`], [`Rejection::Invalid`].
pub fn erase(state: &State<'_>, command: &EraseSubject, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    check_len("reason", &command.reason, 1, 500)?;
    if !is_erasable(command.subject.kind) {
        let why = "must be an agent, a member, a mission, a destination or a subscription".into();
        return Err(Rejection::Invalid { field: "subject", why }.into());
    }
    let found = find(state, ctx.tenant(), command.subject)?;
    if let Some(erased) = ERASED.get(state.identity, command.subject)? {
        return Ok(Decided::unchanged(Output::Erasure(Box::new(erased))));
    }
    if let Some(held) = held(state, ctx.tenant(), &found.within)? {
        return Err(Rejection::OnHold { thing: held.kind.name() }.into());
    }
    if let Some(first) = found.first {
        return Err(Rejection::StillInUse { thing: command.subject.kind.name(), first }.into());
    }
    let erased = SubjectErased { subject: command.subject, reason: command.reason.clone(), policy: None };
    Ok(Decided::facts(ctx.tenant(), vec![erased.into()]))
}

/// Decides [`PlaceHold`].
///
/// # Errors
/// [`Rejection::NotFound`], [`Rejection::Erased`], [`Rejection::LimitReached`], [`Rejection::Invalid`].
pub fn place_hold(state: &State<'_>, command: &PlaceHold, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    let PlaceHold { subject, matter, reason } = command;
    check_len("matter", matter, 1, 128)?;
    check_len("reason", reason, 1, 500)?;
    find(state, ctx.tenant(), *subject)?;
    let holds = HOLDS.get(state.identity, (ctx.tenant(), *subject))?.unwrap_or_default();
    if holds.iter().any(|hold| hold.matter == *matter) {
        return Ok(Decided::unchanged(Output::Holds { subject: *subject, holds }));
    }
    if ERASED.get(state.identity, *subject)?.is_some() {
        return Err(Rejection::Erased { thing: subject.kind.name() }.into());
    }
    if holds.len() >= HOLDS_MAX {
        return Err(Rejection::LimitReached { limit: "holds on one thing", max: HOLDS_MAX }.into());
    }
    let placed = HoldPlaced { subject: *subject, matter: matter.clone(), reason: reason.clone() };
    Ok(Decided::facts(ctx.tenant(), vec![placed.into()]))
}

/// Decides [`LiftHold`]. What the operator of the ledger placed in a tenant, the tenant does not lift.
///
/// # Errors
/// [`Rejection::NotFound`], [`Rejection::NotRoot`], [`Rejection::Invalid`].
pub fn lift_hold(state: &State<'_>, command: &LiftHold, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    let LiftHold { subject, matter, reason } = command;
    check_len("reason", reason, 1, 500)?;
    let holds = HOLDS.get(state.identity, (ctx.tenant(), *subject))?.unwrap_or_default();
    let hold = holds.iter().find(|hold| hold.matter == *matter).ok_or(Rejection::NotFound { thing: "hold" })?;
    if hold.is_operators && ctx.caller().actor.acting_in.is_none() {
        return Err(Rejection::NotRoot.into());
    }
    let lifted = HoldLifted { subject: *subject, matter: matter.clone(), reason: reason.clone() };
    Ok(Decided::facts(ctx.tenant(), vec![lifted.into()]))
}

/// Decides [`ReportShredded`]. What was reported already is left out.
///
/// # Errors
/// [`Rejection::LimitReached`].
pub fn report_shredded(state: &State<'_>, command: &ReportShredded, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    check_count(command.erased.len())?;
    let mut events: Vec<Body> = Vec::with_capacity(command.erased.len());
    for (n, cause) in command.erased.iter().enumerate() {
        if let Some(key) = UNREPORTED.get(state.identity, cause.0)?
            && !command.erased[..n].contains(cause)
            && ERASED.get(state.identity, key)?.is_some_and(|erased| erased.tenant == ctx.tenant())
        {
            events.push(KeyDestroyed { key, cause: *cause }.into());
        }
    }
    Ok(done(ctx.tenant(), events))
}

/// Decides [`ApplyRetention`]: of the things named, those that the policy in force does not keep any longer, that nothing
/// holds, and that were not erased before.
///
/// # Errors
/// [`Rejection::LimitReached`].
pub fn apply_retention(state: &State<'_>, command: &ApplyRetention, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    check_count(command.subjects.len() + command.months.len())?;
    let tenant = ctx.tenant();
    let Some(in_force) = retention(state.trust, tenant)? else { return Ok(done(tenant, Vec::new())) };
    let rules = &in_force.rules;
    let mut due: Vec<(Subject, Kept, u32)> = Vec::new();
    for subject in &command.subjects {
        let Some((kept, since)) = kept_since(state, tenant, *subject)? else { continue };
        let Some(days) = rules.days(kept).filter(|days| Retention::is_over(since, *days, ctx.now())) else { continue };
        let found = find(state, tenant, *subject)?;
        if found.first.is_none() && held(state, tenant, &found.within)?.is_none() {
            due.push((*subject, kept, days));
        }
    }
    let months_are_held = held(state, tenant, &[tenant.subject()])?.is_some();
    for month in command.months.iter().filter(|_| !months_are_held) {
        let Some(days) = rules.days(Kept::Origins) else { break };
        if origin::end_of_month(*month).is_some_and(|end| Retention::is_over(end, days, ctx.now())) {
            due.push((origin::month(tenant, *month), Kept::Origins, days));
        }
    }
    let mut events: Vec<Body> = Vec::with_capacity(due.len());
    for (n, (subject, kept, days)) in due.iter().enumerate() {
        let is_again = due[..n].iter().any(|(before, ..)| before == subject);
        if !is_again && ERASED.get(state.identity, *subject)?.is_none() {
            let reason = format!("retention: {} are kept for {days} days", kept.name());
            events.push(SubjectErased { subject: *subject, reason, policy: Some(in_force.version) }.into());
        }
    }
    Ok(done(tenant, events))
}

/// Since when a thing of the tenant's is kept for retention's sake alone, and as what; `None` when it is not.
fn kept_since(state: &State<'_>, tenant: TenantId, subject: Subject) -> Result<Option<(Kept, Micros)>, Stop> {
    let id = subject.id;
    let since = match subject.kind {
        ThingKind::Agent => {
            let agent = AGENTS.get(state.identity, AgentId(id))?;
            let ended = agent.filter(|it| it.tenant == tenant).and_then(|it| Some(it.end.as_ref()?.at));
            ended.map(|at| (Kept::Agents, at))
        }
        ThingKind::Mission => {
            let mission = MISSIONS.get(state.execution, MissionId(id))?.filter(|it| it.tenant == tenant);
            mission.and_then(|it| it.ended).map(|at| (Kept::Missions, at))
        }
        ThingKind::Destination => {
            let place = DESTINATIONS.get(state.execution, DestinationId(id))?.filter(|it| it.tenant == tenant);
            place.and_then(|it| it.removed).map(|at| (Kept::Deliveries, at))
        }
        ThingKind::Subscription => {
            let found = SUBSCRIPTIONS.get(state.execution, SubscriptionId(id))?.filter(|it| it.tenant == tenant);
            found.and_then(|it| it.ended).map(|at| (Kept::Deliveries, at))
        }
        _ => None,
    };
    Ok(since)
}

const fn is_erasable(kind: ThingKind) -> bool {
    matches!(
        kind,
        ThingKind::Agent | ThingKind::Member | ThingKind::Mission | ThingKind::Destination | ThingKind::Subscription
    )
}

/// A thing of the tenant's that can be held.
///
/// # Errors
/// [`Rejection::NotFound`]; [`Rejection::Invalid`] when it is of a kind that cannot.
fn find(state: &State<'_>, tenant: TenantId, subject: Subject) -> Result<Found, Stop> {
    let missing = || Stop::from(Rejection::NotFound { thing: subject.kind.name() });
    let id = subject.id;
    let mut within = vec![subject];
    let first = match subject.kind {
        ThingKind::Tenant => {
            TENANTS.get(state.identity, TenantId(id))?.filter(|it| it.tenant == tenant).ok_or_else(missing)?;
            return Ok(Found { within, first: None });
        }
        ThingKind::Organisation => {
            let found = ORGANISATIONS.get(state.identity, OrganisationId(id))?;
            found.filter(|it| it.tenant == tenant).ok_or_else(missing)?;
            None
        }
        ThingKind::Member => {
            MEMBERS.get(state.identity, MemberId(id))?.filter(|it| it.tenant == tenant).ok_or_else(missing)?;
            None
        }
        ThingKind::Agent => {
            within.push(agent::find(state, tenant, AgentId(id))?.organisation.subject());
            None
        }
        ThingKind::Mission => {
            let mission = MISSIONS.get(state.execution, MissionId(id))?;
            let mission = mission.filter(|it| it.tenant == tenant).ok_or_else(missing)?;
            if let Some(id) = mission.agent {
                let agent = agent::find(state, tenant, id)?;
                within.extend([id.subject(), agent.organisation.subject()]);
            }
            let chain = CHAIN_BY_MISSION.get(state.execution, mission.mission)?;
            let chain = chain.map_or(Ok(None), |chain| CHAINS.get(state.execution, chain))?;
            if mission.state == MissionState::Open {
                Some("complete or revoke it")
            } else {
                chain.is_some_and(|chain| chain.closed.is_none()).then_some("close its audit chain")
            }
        }
        ThingKind::Destination => {
            let place = DESTINATIONS.get(state.execution, DestinationId(id))?;
            let place = place.filter(|it| it.tenant == tenant).ok_or_else(missing)?;
            place.removed.is_none().then_some("remove it")
        }
        ThingKind::Subscription => {
            let found = SUBSCRIPTIONS.get(state.execution, SubscriptionId(id))?;
            let found = found.filter(|it| it.tenant == tenant).ok_or_else(missing)?;
            found.ended.is_none().then_some("end it")
        }
        _ => {
            let why =
                "must be an agent, a member, a mission, a destination, a subscription, an organisation or the tenant";
            return Err(Rejection::Invalid { field: "subject", why: why.into() }.into());
        }
    };
    within.push(tenant.subject());
    Ok(Found { within, first })
}

/// The first of these that is held.
fn held(state: &State<'_>, tenant: TenantId, within: &[Subject]) -> Result<Option<Subject>, Stop> {
    for subject in within {
        if HOLDS.get(state.identity, (tenant, *subject))?.is_some_and(|holds| !holds.is_empty()) {
            return Ok(Some(*subject));
        }
    }
    Ok(None)
}

fn check_count(count: usize) -> Result<(), Rejection> {
    if count > AT_ONCE_MAX {
        return Err(Rejection::LimitReached { limit: "things of one report", max: AT_ONCE_MAX });
    }
    Ok(())
}

fn done(tenant: TenantId, events: Vec<Body>) -> Decided {
    if events.is_empty() { Decided::unchanged(Output::Done) } else { Decided::facts(tenant, events) }
}
