//! Agents: registration, change, suspension, end.

use std::collections::{BTreeMap, HashSet};

use chancery_ledger::body::field::{Changes, Decimal, JsonText};
use chancery_ledger::body::identity::{
    Accountability, AgentDecommissioned, AgentKeyAdded, AgentKeyPurpose, AgentPersonal, AgentReachChanged,
    AgentRegistered, AgentResumed, AgentSuspended, AgentUpdated, CertificateIssued, CredentialRevoked, Disclosure,
    EndCause, EndPersonal, Handle, HandleReleased, SpendingLimit,
};
use chancery_ledger::body::ledger::Algorithm;
use chancery_ledger::body::{Body, Kind};
use chancery_ledger::ids::{AgentId, KeyId, OrganisationId, TenantId, ThingId};
use chancery_ledger::keys::{PublicKey, SigningKey};
use chancery_ledger::link::Hash;
use chancery_ledger::shred::Encrypted;
use chancery_ledger::time::Micros;

use super::{credential, handle, tenant};
use crate::agent_key;
use crate::check::{check_len, check_optional, check_slug};
use crate::command::{
    AgentProfile, DecommissionAgent, KeyChoice, OrganisationRef, RegisterAgent, ResumeAgent, SetAgentReach,
    SuspendAgent, UpdateAgent, Via,
};
use crate::context::{Context, ContextError};
use crate::decision::{Decided, State, Stop};
use crate::identity::state::{
    AGENTS, AGENTS_BY_ORGANISATION, AGENTS_BY_TENANT, Agent, AgentStatus, ERASED, IDLE_IN_ORGANISATION, IDLE_IN_TENANT,
    IdleAgents, ORG_CAS, ORGANISATION_SLUGS, ORGANISATIONS, Organisation, PublicKeyRow, Standing,
};
use crate::lane::orgkernel;
use crate::lane::orgkernel::certificate::{CertificatePreimage, ca_fingerprint};
use crate::output::Output;
use crate::rejection::Rejection;
use crate::rows::RowsError;
use crate::tier;

/// Most texts in one list of an agent.
const LIST_MAX: usize = 64;
/// Most actions of an agent.
const ACTIONS_MAX: usize = 256;
/// The most that one transaction may move, in whole units of any currency: what an IEEE double still holds to the cent.
pub const AMOUNT_MAX: Decimal = Decimal::whole(1_000_000_000_000_000);
/// Bytes of all keys and values of one map of a profile.
const MAP_BYTES_MAX: usize = 16 * 1024;

/// For what the hash of who is responsible for an agent is made.
pub const OWNER_HASH: &str = "agent owner";

/// An agent of the tenant.
///
/// # Errors
/// [`Rejection::NotFound`] when there is none.
pub fn find(state: &State<'_>, tenant: TenantId, id: AgentId) -> Result<Agent, Stop> {
    let found = AGENTS.get(state.identity, id)?.filter(|agent| agent.tenant == tenant);
    Ok(found.ok_or(Rejection::NotFound { thing: "agent" })?)
}

/// An agent that the tenant may know of: its own, or one whose profile is public.
///
/// # Errors
/// [`Rejection::NotFound`] when there is none.
pub fn find_known(state: &State<'_>, tenant: TenantId, id: AgentId, thing: &'static str) -> Result<Agent, Stop> {
    let found = AGENTS.get(state.identity, id)?;
    let found = found.filter(|agent| agent.tenant == tenant || agent.disclosure != Disclosure::None);
    Ok(found.ok_or(Rejection::NotFound { thing })?)
}

/// Checks that an agent may act now: itself, its organisation and its tenant.
///
/// # Errors
/// [`Rejection::AgentNotUsable`] says why not.
pub fn check_usable(state: &State<'_>, agent: &Agent, now: Micros) -> Result<(), Stop> {
    if let Some(why) = agent.unusable(now) {
        return Err(Rejection::AgentNotUsable { why }.into());
    }
    if tenant::find(state, agent.tenant)?.standing != Standing::Active {
        return Err(Rejection::AgentNotUsable { why: "tenant_not_active" }.into());
    }
    if tenant::find_organisation(state, agent.tenant, agent.organisation)?.standing != Standing::Active {
        return Err(Rejection::AgentNotUsable { why: "organisation_not_active" }.into());
    }
    Ok(())
}

/// The tenant's CA: its public row.
///
/// # Errors
/// [`RowsError::Missing`] when the tenant has none, which every tenant has from its beginning.
pub fn org_ca(state: &State<'_>, tenant: TenantId) -> Result<PublicKeyRow, Stop> {
    Ok(ORG_CAS.get(state.identity, tenant)?.ok_or(RowsError::Missing("the tenant's CA"))?)
}

/// Decides [`RegisterAgent`].
///
/// # Errors
/// [`Rejection::HandleTaken`], [`Rejection::OrganisationDeleted`], [`Rejection::NotFound`], [`Rejection::Invalid`].
pub fn register(state: &State<'_>, command: &RegisterAgent, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    check(command, ctx.now())?;
    let tenant = ctx.tenant();
    let mut events = Vec::new();
    let (organisation, slug) = organisation(state, command.organisation.as_ref(), ctx, &mut events)?;
    check_quotas(state, tenant, organisation)?;
    let mut handles = Vec::new();
    for claim in &command.handles {
        let handle = handle::kept(claim, ctx)?;
        handle::check_free(state, tenant, &handle)?;
        handles.push(handle);
    }
    let agent: AgentId = ctx.id()?;
    let valid_until = match command.valid_days {
        Some(days) => Some(ctx.now().plus_secs(i64::from(days) * 86_400)),
        None => command.valid_until,
    };
    let owner_of = match &command.profile.owner {
        Some(owner) => Some(owner_hash(owner, ctx)?),
        None => None,
    };
    let personal = ctx.encrypt(Kind::AgentRegistered, "personal", agent.subject(), &personal(&command.profile))?;
    let registered = AgentRegistered {
        agent,
        organisation,
        owner: ctx.caller().actor.principal.clone(),
        via: command.via.name().to_owned(),
        name: command.name.clone(),
        handles,
        kind: command.kind.clone(),
        semver: command.semver.clone(),
        capabilities: command.capabilities.clone(),
        environment: command.environment,
        owner_hash: owner_of,
        actions: distinct(&command.actions),
        limit: command.limit.clone(),
        accountability: Accountability::default(),
        valid_until,
        visibility: command.visibility,
        disclosure: command.disclosure,
        personal,
    };
    events.push(registered.into());
    let mut shown = None;
    let public = match &command.key {
        KeyChoice::None => None,
        KeyChoice::Bring(text) => Some(parse_public("key", text)?),
        KeyChoice::Make => {
            let key = SigningKey::from_seed(ctx.secret()?);
            shown = Some(key.to_pkcs8_pem().map_err(|error| ContextError::Field(error.to_string()))?);
            Some(key.public())
        }
    };
    if let Some(public) = public {
        let key: KeyId = ctx.id()?;
        let added = AgentKeyAdded {
            agent,
            key,
            purpose: AgentKeyPurpose::Identity,
            algorithm: Algorithm::Ed25519,
            public: public.as_bytes().to_vec(),
        };
        events.push(added.into());
        events.push(certify(state, command, agent, key, &public, &slug, valid_until, ctx)?.into());
    }
    if command.did_key {
        events.push(agent_key::make(agent, ctx)?.into());
    }
    Ok(Decided::shown(tenant, events, shown))
}

/// Decides [`UpdateAgent`].
///
/// # Errors
/// [`Rejection::NotFound`], [`Rejection::AgentDecommissioned`], [`Rejection::FieldImmutable`], [`Rejection::Invalid`].
pub fn update(state: &State<'_>, command: &UpdateAgent, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    let agent = find(state, ctx.tenant(), command.agent)?;
    if agent.status == AgentStatus::Decommissioned {
        return Err(Rejection::AgentDecommissioned.into());
    }
    let mut changes = Changes::new();
    if let Some(name) = command.name.as_ref().filter(|name| **name != agent.name) {
        check_len("name", name, 1, 256)?;
        changes.insert("name".into(), JsonText::of(name));
    }
    if let Some(kind) = command.kind.as_ref().filter(|kind| **kind != agent.kind) {
        check_optional("kind", kind.as_deref(), 64)?;
        changes.insert("kind".into(), JsonText::of(kind));
    }
    if let Some(semver) = command.semver.as_ref().filter(|semver| **semver != agent.semver) {
        check_optional("semver", semver.as_deref(), 64)?;
        changes.insert("semver".into(), JsonText::of(semver));
    }
    if let Some(capabilities) = command.capabilities.as_ref().filter(|list| **list != agent.capabilities) {
        check_list("capabilities", capabilities)?;
        changes.insert("capabilities".into(), JsonText::of(capabilities));
    }
    if let Some(environment) = command.environment.filter(|environment| *environment != agent.environment) {
        changes.insert("environment".into(), JsonText::of(&environment));
    }
    if let Some(actions) = &command.actions {
        check_actions(actions)?;
        let actions = distinct(actions);
        if actions != agent.actions {
            changes.insert("actions".into(), JsonText::of(&actions));
        }
    }
    if let Some(limit) = command.limit.as_ref().filter(|limit| agent.limit.as_ref() != Some(*limit)) {
        check_limit(limit)?;
        changes.insert("limit".into(), JsonText::of(limit));
    }
    let personal = changed_profile(state, &agent, command, &mut changes, ctx)?;
    let mut events = Vec::new();
    if !changes.is_empty() || personal.is_some() {
        events.push(AgentUpdated { agent: agent.agent, changes, personal }.into());
    }
    if let Some(disclosure) = command.disclosure.filter(|disclosure| *disclosure != agent.disclosure) {
        let changed = AgentReachChanged { agent: agent.agent, visibility: None, disclosure: Some(disclosure) };
        events.push(changed.into());
    }
    match command.status.filter(|status| *status != agent.status) {
        None => {}
        Some(AgentStatus::Active) => {
            events.push(AgentResumed { agent: agent.agent, cause: None, reason: None }.into());
        }
        Some(AgentStatus::Suspended) => {
            events.push(AgentSuspended { agent: agent.agent, cause: None, reason: None }.into());
        }
        Some(AgentStatus::Decommissioned) => {
            end(state, &agent, EndCause::Decommissioned, &EndPersonal::default(), ctx, &mut events)?;
        }
    }
    if events.is_empty() {
        return Ok(unchanged(agent));
    }
    Ok(Decided::facts(ctx.tenant(), events))
}

/// The profile as a change leaves it, `None` when it leaves it as it is; the hash of who is responsible goes with it.
fn changed_profile(
    state: &State<'_>, agent: &Agent, command: &UpdateAgent, changes: &mut Changes, ctx: &mut Context<'_>,
) -> Result<Option<Encrypted>, Stop> {
    if command.profile.is_none() && command.owner.is_none() {
        return Ok(None);
    }
    let place = if agent.personal_updated { Kind::AgentUpdated } else { Kind::AgentRegistered };
    let before: Option<AgentPersonal> = ctx.open(place, "personal", &agent.personal)?;
    let value = match (&command.profile, &command.owner) {
        (Some(_), Some(_)) => {
            let why = "give it in `profile`, which is the whole".into();
            return Err(Rejection::Invalid { field: "owner", why }.into());
        }
        (Some(profile), None) => {
            check_profile(profile)?;
            personal(profile)
        }
        (None, owner) => {
            check_optional("owner", owner.as_deref(), 256)?;
            AgentPersonal { owner: owner.clone(), ..before.clone().unwrap_or_default() }
        }
    };
    if before.as_ref() == Some(&value) {
        return Ok(None);
    }
    if before.as_ref().and_then(|before| before.email.as_ref()).is_some_and(|email| Some(email) != value.email.as_ref())
    {
        return Err(Rejection::FieldImmutable { field: "profile.email" }.into());
    }
    // What is erased is not found by what it was.
    let is_erased = ERASED.get(state.identity, agent.agent.subject())?.is_some();
    let hash = match &value.owner {
        Some(owner) if !is_erased => Some(owner_hash(owner, ctx)?),
        _ => None,
    };
    if hash != agent.owner_hash {
        changes.insert("owner_hash".into(), JsonText::of(&hash));
    }
    Ok(Some(ctx.encrypt(Kind::AgentUpdated, "personal", agent.agent.subject(), &value)?))
}

/// Who is responsible for an agent, as agents are looked up by it.
///
/// # Errors
/// [`ContextError`] when keys are not to be had.
pub fn owner_hash(owner: &str, ctx: &mut Context<'_>) -> Result<Hash, ContextError> {
    ctx.keyed_hash(OWNER_HASH, owner)
}

/// Decides [`SetAgentReach`].
///
/// # Errors
/// [`Rejection::NotFound`], [`Rejection::AgentDecommissioned`].
pub fn set_reach(state: &State<'_>, command: &SetAgentReach, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    let agent = working(state, command.agent, ctx)?;
    let visibility = command.visibility.filter(|visibility| *visibility != agent.visibility);
    let disclosure = command.disclosure.filter(|disclosure| *disclosure != agent.disclosure);
    if visibility.is_none() && disclosure.is_none() {
        return Ok(unchanged(agent));
    }
    let event = AgentReachChanged { agent: agent.agent, visibility, disclosure };
    Ok(Decided::facts(ctx.tenant(), vec![event.into()]))
}

/// An agent of the tenant that is not decommissioned.
pub(super) fn working(state: &State<'_>, id: AgentId, ctx: &Context<'_>) -> Result<Agent, Stop> {
    let agent = find(state, ctx.tenant(), id)?;
    match agent.status {
        AgentStatus::Decommissioned => Err(Rejection::AgentDecommissioned.into()),
        AgentStatus::Active | AgentStatus::Suspended => Ok(agent),
    }
}

/// Decides [`SuspendAgent`].
///
/// # Errors
/// [`Rejection::NotFound`], [`Rejection::AgentDecommissioned`], [`Rejection::Invalid`].
pub fn suspend(state: &State<'_>, command: &SuspendAgent, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    check_optional("reason", command.reason.as_deref(), 500)?;
    let agent = find(state, ctx.tenant(), command.agent)?;
    match agent.status {
        AgentStatus::Decommissioned => Err(Rejection::AgentDecommissioned.into()),
        AgentStatus::Suspended => Ok(unchanged(agent)),
        AgentStatus::Active => {
            let reason = match &command.reason {
                Some(reason) => Some(ctx.encrypt(Kind::AgentSuspended, "reason", agent.agent.subject(), reason)?),
                None => None,
            };
            let event = AgentSuspended { agent: agent.agent, cause: None, reason };
            Ok(Decided::facts(ctx.tenant(), vec![event.into()]))
        }
    }
}

/// Decides [`ResumeAgent`].
///
/// # Errors
/// [`Rejection::NotFound`], [`Rejection::AgentDecommissioned`], [`Rejection::Invalid`].
pub fn resume(state: &State<'_>, command: &ResumeAgent, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    check_optional("reason", command.reason.as_deref(), 500)?;
    let agent = find(state, ctx.tenant(), command.agent)?;
    match agent.status {
        AgentStatus::Decommissioned => Err(Rejection::AgentDecommissioned.into()),
        AgentStatus::Active => Ok(unchanged(agent)),
        AgentStatus::Suspended => {
            let reason = match &command.reason {
                Some(reason) => Some(ctx.encrypt(Kind::AgentResumed, "reason", agent.agent.subject(), reason)?),
                None => None,
            };
            let event = AgentResumed { agent: agent.agent, cause: None, reason };
            Ok(Decided::facts(ctx.tenant(), vec![event.into()]))
        }
    }
}

/// Decides [`DecommissionAgent`]. Execution tokens die by the agent's state; they need no event of their own.
///
/// # Errors
/// [`Rejection::NotFound`], [`Rejection::AgentDecommissioned`], [`Rejection::Invalid`].
pub fn decommission(state: &State<'_>, command: &DecommissionAgent, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    check_optional("by", command.by.as_deref(), 64)?;
    check_optional("reason", command.reason.as_deref(), 500)?;
    let agent = find(state, ctx.tenant(), command.agent)?;
    if agent.status == AgentStatus::Decommissioned {
        return Err(Rejection::AgentDecommissioned.into());
    }
    let personal = EndPersonal { by: command.by.clone(), reason: command.reason.clone() };
    let mut events = Vec::new();
    end(state, &agent, command.cause, &personal, ctx, &mut events)?;
    Ok(Decided::facts(ctx.tenant(), events))
}

/// All that ends with an agent: its credentials, then the names that others may hold after it, last itself.
fn end(
    state: &State<'_>, agent: &Agent, cause: EndCause, personal: &EndPersonal, ctx: &mut Context<'_>,
    events: &mut Vec<Body>,
) -> Result<(), Stop> {
    for credential in credential::live_of_agent(state, agent.agent)? {
        let revoked = CredentialRevoked {
            credential: credential.credential,
            principal: credential.principal,
            cause: credential::AGENT_ENDED.to_owned(),
        };
        events.push(revoked.into());
    }
    for Handle { namespace, value } in agent.handles.iter().filter(|handle| !handle::is_for_good(&handle.namespace)) {
        let released = HandleReleased { agent: agent.agent, namespace: namespace.clone(), value: value.clone() };
        events.push(released.into());
    }
    let personal = ctx.encrypt(Kind::AgentDecommissioned, "personal", agent.agent.subject(), personal)?;
    events.push(AgentDecommissioned { agent: agent.agent, cause, personal }.into());
    Ok(())
}

/// Reads 64 hexadecimal digits of an Ed25519 public key.
///
/// # Errors
/// [`Rejection::Invalid`] when it is none.
pub fn parse_public(field: &'static str, text: &str) -> Result<PublicKey, Rejection> {
    let parsed = hex::decode(text).ok().and_then(|bytes| PublicKey::from_slice(&bytes));
    parsed.ok_or_else(|| Rejection::Invalid {
        field,
        why: "must be the 64 hexadecimal digits of an Ed25519 public key".into(),
    })
}

fn check(command: &RegisterAgent, now: Micros) -> Result<(), Rejection> {
    check_len("name", &command.name, 1, 256)?;
    check_optional("kind", command.kind.as_deref(), 64)?;
    check_optional("semver", command.semver.as_deref(), 64)?;
    check_list("capabilities", &command.capabilities)?;
    check_actions(&command.actions)?;
    command.limit.as_ref().map_or(Ok(()), check_limit)?;
    check_profile(&command.profile)?;
    if command.handles.len() > handle::HANDLES_MAX {
        let why = format!("at most {}", handle::HANDLES_MAX);
        return Err(Rejection::Invalid { field: "handles", why });
    }
    command.handles.iter().try_for_each(handle::check)?;
    if command.valid_until.is_some() && command.valid_days.is_some() {
        return Err(Rejection::Invalid { field: "valid_days", why: "give it or `valid_until`, not both".into() });
    }
    if command.valid_days.is_some_and(|days| !(1..=3650).contains(&days)) {
        return Err(Rejection::Invalid { field: "valid_days", why: "must be 1 to 3650".into() });
    }
    // OrgKernel's older route has no such rule (contracts/orgkernel.md, route 3): what it issues can be past its date.
    if command.via == Via::Native && command.valid_until.is_some_and(|until| until <= now) {
        return Err(Rejection::Invalid { field: "valid_until", why: "must lie in the future".into() });
    }
    Ok(())
}

fn check_list(field: &'static str, list: &[String]) -> Result<(), Rejection> {
    if list.len() > LIST_MAX {
        return Err(Rejection::Invalid { field, why: format!("at most {LIST_MAX}") });
    }
    list.iter().try_for_each(|text| check_len(field, text, 1, 128))
}

fn check_actions(actions: &[String]) -> Result<(), Rejection> {
    if actions.len() > ACTIONS_MAX {
        return Err(Rejection::Invalid { field: "actions", why: format!("at most {ACTIONS_MAX}") });
    }
    actions.iter().try_for_each(|action| check_len("actions", action, 1, 128))
}

fn check_limit(limit: &SpendingLimit) -> Result<(), Rejection> {
    check_amount("limit.amount", limit.amount)?;
    check_currency("limit.currency", &limit.currency)
}

/// Checks an amount: not below zero, and at most [`AMOUNT_MAX`].
///
/// # Errors
/// [`Rejection::Invalid`].
pub fn check_amount(field: &'static str, amount: Decimal) -> Result<(), Rejection> {
    if amount < Decimal::ZERO || amount > AMOUNT_MAX {
        return Err(Rejection::Invalid { field, why: format!("must be 0 to {AMOUNT_MAX}") });
    }
    Ok(())
}

/// Checks the code of a currency: three capital letters (ISO 4217).
///
/// # Errors
/// [`Rejection::Invalid`].
pub fn check_currency(field: &'static str, currency: &str) -> Result<(), Rejection> {
    if currency.len() == 3 && currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Ok(());
    }
    Err(Rejection::Invalid { field, why: "must be three capital letters, for example USD".into() })
}

/// Each text once, in the order in which they first stand.
fn distinct(texts: &[String]) -> Vec<String> {
    let mut seen = HashSet::new();
    texts.iter().filter(|text| seen.insert(text.as_str())).cloned().collect()
}

fn check_profile(profile: &AgentProfile) -> Result<(), Rejection> {
    check_optional("profile.email", profile.email.as_deref(), 320)?;
    check_optional("profile.owner", profile.owner.as_deref(), 256)?;
    check_optional("profile.issued_by", profile.issued_by.as_deref(), 64)?;
    check_optional("profile.purpose", profile.purpose.as_deref(), 256)?;
    check_optional("profile.description", profile.description.as_deref(), 4096)?;
    let maps = [
        ("profile.metadata", &profile.metadata),
        ("profile.labels", &profile.labels),
        ("profile.annotations", &profile.annotations),
    ];
    for (field, map) in maps {
        let bytes: usize = map.iter().map(|(key, value)| key.len() + value.len()).sum();
        if bytes > MAP_BYTES_MAX {
            return Err(Rejection::Invalid { field, why: format!("at most {MAP_BYTES_MAX} bytes in all") });
        }
    }
    Ok(())
}

/// The organisation to register in, made in the same commit when its slug is new.
fn organisation(
    state: &State<'_>, wanted: Option<&OrganisationRef>, ctx: &mut Context<'_>, events: &mut Vec<Body>,
) -> Result<(OrganisationId, String), Stop> {
    let tenant = ctx.tenant();
    let usable = |organisation: Organisation| match organisation.standing {
        Standing::Deleted => Err(Stop::from(Rejection::OrganisationDeleted)),
        Standing::Active | Standing::Suspended => Ok((organisation.organisation, organisation.slug)),
    };
    match wanted {
        None => {
            let default = tenant::find(state, tenant)?.default_organisation;
            let id = default.ok_or(Rejection::NotFound { thing: "organisation" })?;
            usable(tenant::find_organisation(state, tenant, id)?)
        }
        Some(OrganisationRef::Id(id)) => usable(tenant::find_organisation(state, tenant, *id)?),
        Some(OrganisationRef::Slug(slug)) => {
            check_slug("organisation", slug)?;
            match ORGANISATION_SLUGS.get(state.identity, (tenant, slug.as_str()))? {
                Some(id) => usable(tenant::find_organisation(state, tenant, id)?),
                None => {
                    let created = tenant::new_organisation(slug, slug, ctx)?;
                    let id = created.organisation;
                    events.push(created.into());
                    Ok((id, slug.clone()))
                }
            }
        }
    }
}

/// The certificate of a new agent's key, over the preimage of contracts/orgkernel.md section 4.
#[expect(clippy::too_many_arguments, reason = "these are what a certificate certifies")]
fn certify(
    state: &State<'_>, command: &RegisterAgent, agent: AgentId, key: KeyId, public: &PublicKey, slug: &str,
    valid_until: Option<Micros>, ctx: &mut Context<'_>,
) -> Result<CertificateIssued, Stop> {
    let ca = org_ca(state, ctx.tenant())?;
    let issued_by = command.profile.issued_by.clone().unwrap_or_else(|| slug.to_owned());
    let ca_public = <[u8; 32]>::try_from(ca.public.as_slice()).map_err(|_| RowsError::Missing("the tenant's CA"))?;
    let preimage = CertificatePreimage {
        agent_id: &orgkernel::ids::render_agent(agent),
        agent_name: &command.name,
        org_id: slug,
        issued_by: &issued_by,
        public_key: public.as_bytes(),
        ca_fingerprint: &ca_fingerprint(&ca_public),
        issued_at: ctx.now(),
        valid_until,
    }
    .canonical();
    let signature = ctx.sign_as_ca(preimage.as_bytes())?.ok_or(RowsError::Missing("the tenant's CA key"))?;
    Ok(CertificateIssued {
        agent,
        key,
        ca_key: ca.key,
        agent_name: command.name.clone(),
        organisation_slug: slug.to_owned(),
        issued_by: ctx.encrypt(Kind::CertificateIssued, "issued_by", agent.subject(), &issued_by)?,
        issued: ctx.now(),
        valid_until,
        signature,
    })
}

/// Checks that tenant and organisation may have one more agent.
fn check_quotas(state: &State<'_>, tenant: TenantId, organisation: OrganisationId) -> Result<(), Stop> {
    let check = |quota: u64, all: u64, idle: Option<IdleAgents>| {
        let max = usize::try_from(quota).unwrap_or(usize::MAX);
        let there = all.saturating_sub(idle.unwrap_or_default().decommissioned);
        let full = Stop::from(Rejection::LimitReached { limit: tier::AGENTS, max });
        if there < quota { Ok(()) } else { Err(full) }
    };
    let row = tenant::find(state, tenant)?;
    if let Some(quota) = tier::quota(&row.tier, &row.limits, tier::AGENTS) {
        let all = AGENTS_BY_TENANT.len(state.identity, tenant)?;
        check(quota, all, IDLE_IN_TENANT.get(state.identity, tenant)?)?;
    }
    // One that is made in the same commit has no quota of its own.
    let Some(row) = ORGANISATIONS.get(state.identity, organisation)? else { return Ok(()) };
    if let Some(quota) = tier::quota(row.tier.as_deref().unwrap_or_default(), &row.limits, tier::AGENTS) {
        let all = AGENTS_BY_ORGANISATION.len(state.identity, organisation)?;
        check(quota, all, IDLE_IN_ORGANISATION.get(state.identity, organisation)?)?;
    }
    Ok(())
}

fn personal(profile: &AgentProfile) -> AgentPersonal {
    let map = |map: &BTreeMap<String, String>| map.clone();
    AgentPersonal {
        email: profile.email.clone(),
        owner: profile.owner.clone(),
        issued_by: profile.issued_by.clone(),
        purpose: profile.purpose.clone(),
        description: profile.description.clone(),
        metadata: map(&profile.metadata),
        labels: map(&profile.labels),
        annotations: map(&profile.annotations),
    }
}

pub(super) fn unchanged(agent: Agent) -> Decided {
    Decided::unchanged(Output::Agent(Box::new(agent)))
}
