//! Tenants and organisations.

use std::collections::BTreeMap;

use chancery_ledger::actor::Principal;
use chancery_ledger::body::Body;
use chancery_ledger::body::field::{Changes, JsonText};
use chancery_ledger::body::identity::{
    CredentialCreated, CredentialKind, OrganisationCreated, OrganisationDeleted, OrganisationMemberAdded,
    OrganisationUpdated, OrganisationVerified, TenantCreated, TenantDeleted, TenantResumed, TenantSuspended,
    TenantUpdated,
};
use chancery_ledger::body::ledger::{Algorithm, Purpose, SigningKeyAdded};
use chancery_ledger::ids::{OrganisationId, TenantId};
use chancery_ledger::keys::SigningKey;
use chancery_ledger::keystore::SecretName;
use zeroize::Zeroizing;

use crate::check::{check_len, check_optional, check_slug};
use crate::command::{
    AddOrganisationMember, CreateOrganisation, CreateTenant, DeleteOrganisation, DeleteTenant, ResumeTenant,
    SuspendTenant, UpdateOrganisation, UpdateTenant, VerifyOrganisation,
};
use crate::context::Context;
use crate::credential::{new_alsorn_key, new_api_key, secret_hash};
use crate::decision::{Decided, State, Stop};
use crate::identity::decide::credential::MOUNTS;
use crate::identity::state::{
    AGENTS_BY_ORGANISATION, AgentStatus, IDLE_IN_ORGANISATION, MEMBERSHIPS, ORGANISATION_SLUGS, ORGANISATIONS,
    Organisation, Standing, TENANT_SLUGS, TENANTS, Tenant,
};
use crate::output::Output;
use crate::rejection::Rejection;
use crate::scope::Scope;
use crate::tier::{QUOTAS, Tier};

/// A tenant that can be asked for.
///
/// # Errors
/// [`Rejection::NotFound`] when there is none.
pub fn find(state: &State<'_>, tenant: TenantId) -> Result<Tenant, Stop> {
    let found = TENANTS.get(state.identity, tenant)?;
    Ok(found.ok_or(Rejection::NotFound { thing: "tenant" })?)
}

/// An organisation of the tenant.
///
/// # Errors
/// [`Rejection::NotFound`] when there is none.
pub fn find_organisation(state: &State<'_>, tenant: TenantId, id: OrganisationId) -> Result<Organisation, Stop> {
    let found = ORGANISATIONS.get(state.identity, id)?.filter(|organisation| organisation.tenant == tenant);
    Ok(found.ok_or(Rejection::NotFound { thing: "organisation" })?)
}

/// Decides [`CreateTenant`]: tenant, its CA, its default organisation and a first key for all of its mounts.
///
/// # Errors
/// [`Rejection::NotRoot`], [`Rejection::SlugTaken`], [`Rejection::Invalid`].
pub fn create(state: &State<'_>, command: &CreateTenant, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    check_slug("slug", &command.slug)?;
    check_len("name", &command.name, 1, 256)?;
    check_tier("tier", &command.tier)?;
    check_limits("limits", command.limits.keys())?;
    let caller = find(state, ctx.tenant())?;
    if !caller.root {
        return Err(Rejection::NotRoot.into());
    }
    if TENANT_SLUGS.get(state.identity, command.slug.as_str())?.is_some() {
        return Err(Rejection::SlugTaken.into());
    }
    let tenant = ctx.id()?;
    let made = TenantCreated {
        tenant,
        slug: command.slug.clone(),
        name: command.name.clone(),
        tier: command.tier.clone(),
        limits: command.limits.clone(),
        root: false,
        parent: Some(ctx.tenant()),
    };
    let (mut events, _) = found(made, ctx)?;
    let scopes: Vec<Scope> = Scope::ALL.iter().copied().filter(|scope| !scope.is_root_only()).collect();
    let (created, secret) = api_key(Principal::Tenant(tenant), "first key", &scopes, MOUNTS, ctx)?;
    events.push(created.into());
    Ok(Decided::shown(tenant, events, Some(secret)))
}

/// The events that make a tenant: it, its CA and its default organisation, whose id comes with them.
///
/// # Errors
/// [`Stop::Context`] when keys or randomness are not to be had.
pub fn found(created: TenantCreated, ctx: &mut Context<'_>) -> Result<(Vec<Body>, OrganisationId), Stop> {
    let tenant = created.tenant;
    let seed = ctx.secret()?;
    let public = SigningKey::from_seed(seed.clone()).public();
    ctx.keep(SecretName::OrgCa(tenant), seed);
    let ca = SigningKeyAdded {
        key: ctx.id()?,
        purpose: Purpose::OrgCa,
        algorithm: Algorithm::Ed25519,
        public: public.as_bytes().to_vec(),
        tenant: Some(tenant),
    };
    let default = ctx.id()?;
    let organisation = OrganisationCreated {
        organisation: default,
        slug: created.slug.clone(),
        name: created.name.clone(),
        tier: None,
        limits: BTreeMap::new(),
        default: true,
    };
    Ok((vec![created.into(), ca.into(), organisation.into()], default))
}

/// A new API key for a principal, and the event that makes it.
///
/// # Errors
/// [`Stop::Context`] when randomness is not to be had.
pub fn api_key(
    principal: Principal, name: &str, scopes: &[Scope], audience: &[&str], ctx: &mut Context<'_>,
) -> Result<(CredentialCreated, Zeroizing<String>), Stop> {
    // A key for that mount alone looks as its SDK wants it.
    let secret = if audience == ["alsorn"] { new_alsorn_key(ctx)? } else { new_api_key(ctx)? };
    let created = CredentialCreated {
        credential: ctx.id()?,
        principal,
        kind: CredentialKind::ApiKey,
        name: Some(name.to_owned()),
        hash: secret_hash(&secret),
        scopes: scopes.iter().map(|scope| scope.text().to_owned()).collect(),
        audience: audience.iter().map(|mount| (*mount).to_owned()).collect(),
        expires: None,
    };
    Ok((created, secret))
}

/// Decides [`UpdateTenant`].
///
/// # Errors
/// [`Rejection::NotRoot`], [`Rejection::NotFound`], [`Rejection::Invalid`].
pub fn update(state: &State<'_>, command: &UpdateTenant, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    if !find(state, ctx.tenant())?.root {
        return Err(Rejection::NotRoot.into());
    }
    let tenant = find(state, command.tenant)?;
    if tenant.standing == Standing::Deleted {
        return Err(Rejection::NotFound { thing: "tenant" }.into());
    }
    let mut changes = Changes::new();
    if let Some(name) = command.name.as_ref().filter(|name| **name != tenant.name) {
        check_len("name", name, 1, 256)?;
        changes.insert("name".into(), JsonText::of(name));
    }
    if let Some(tier) = command.tier.as_ref().filter(|tier| **tier != tenant.tier) {
        check_tier("tier", tier)?;
        changes.insert("tier".into(), JsonText::of(tier));
    }
    if let Some(limits) = command.limits.as_ref().filter(|limits| **limits != tenant.limits) {
        check_limits("limits", limits.keys())?;
        changes.insert("limits".into(), JsonText::of(limits));
    }
    if changes.is_empty() {
        return Ok(unchanged(tenant));
    }
    Ok(Decided::facts(tenant.tenant, vec![TenantUpdated { tenant: tenant.tenant, changes }.into()]))
}

/// Decides [`SuspendTenant`].
///
/// # Errors
/// [`Rejection::NotRoot`], [`Rejection::NotFound`], [`Rejection::RootTenant`].
pub fn suspend(state: &State<'_>, command: &SuspendTenant, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    check_optional("reason", command.reason.as_deref(), 500)?;
    let tenant = administered(state, command.tenant, ctx)?;
    match tenant.standing {
        Standing::Active => {
            let event = TenantSuspended { tenant: tenant.tenant, reason: command.reason.clone() };
            Ok(Decided::facts(tenant.tenant, vec![event.into()]))
        }
        Standing::Suspended => Ok(unchanged(tenant)),
        Standing::Deleted => Err(Rejection::NotFound { thing: "tenant" }.into()),
    }
}

/// Decides [`ResumeTenant`].
///
/// # Errors
/// [`Rejection::NotRoot`], [`Rejection::NotFound`].
pub fn resume(state: &State<'_>, command: &ResumeTenant, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    let tenant = administered(state, command.tenant, ctx)?;
    match tenant.standing {
        Standing::Suspended => Ok(Decided::facts(tenant.tenant, vec![TenantResumed { tenant: tenant.tenant }.into()])),
        Standing::Active => Ok(unchanged(tenant)),
        Standing::Deleted => Err(Rejection::NotFound { thing: "tenant" }.into()),
    }
}

/// Decides [`DeleteTenant`].
///
/// # Errors
/// [`Rejection::NotRoot`], [`Rejection::NotFound`], [`Rejection::RootTenant`].
pub fn delete(state: &State<'_>, command: &DeleteTenant, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    check_optional("reason", command.reason.as_deref(), 500)?;
    let tenant = administered(state, command.tenant, ctx)?;
    match tenant.standing {
        Standing::Active | Standing::Suspended => {
            let event = TenantDeleted { tenant: tenant.tenant, reason: command.reason.clone() };
            Ok(Decided::facts(tenant.tenant, vec![event.into()]))
        }
        Standing::Deleted => Ok(unchanged(tenant)),
    }
}

/// Decides [`CreateOrganisation`].
///
/// # Errors
/// [`Rejection::SlugTaken`], [`Rejection::Invalid`].
pub fn create_organisation(
    state: &State<'_>, command: &CreateOrganisation, ctx: &mut Context<'_>,
) -> Result<Decided, Stop> {
    check_slug("slug", &command.slug)?;
    check_len("name", &command.name, 1, 256)?;
    command.tier.iter().try_for_each(|tier| check_tier("tier", tier))?;
    check_limits("limits", command.limits.keys())?;
    if ORGANISATION_SLUGS.get(state.identity, (ctx.tenant(), command.slug.as_str()))?.is_some() {
        return Err(Rejection::SlugTaken.into());
    }
    let mut event = new_organisation(&command.slug, &command.name, ctx)?;
    event.tier = command.tier.clone();
    event.limits = command.limits.clone();
    Ok(Decided::facts(ctx.tenant(), vec![event.into()]))
}

/// Decides [`UpdateOrganisation`].
///
/// # Errors
/// [`Rejection::NotFound`], [`Rejection::OrganisationDeleted`], [`Rejection::Invalid`].
pub fn update_organisation(
    state: &State<'_>, command: &UpdateOrganisation, ctx: &mut Context<'_>,
) -> Result<Decided, Stop> {
    let organisation = live_organisation(state, command.organisation, ctx)?;
    let mut changes = Changes::new();
    if let Some(name) = command.name.as_ref().filter(|name| **name != organisation.name) {
        check_len("name", name, 1, 256)?;
        changes.insert("name".into(), JsonText::of(name));
    }
    if let Some(tier) = command.tier.as_ref().filter(|tier| **tier != organisation.tier) {
        tier.iter().try_for_each(|tier| check_tier("tier", tier))?;
        changes.insert("tier".into(), JsonText::of(tier));
    }
    check_limits("limits", command.limits.keys())?;
    let mut limits = organisation.limits.clone();
    for (of, limit) in &command.limits {
        match limit {
            Some(limit) => limits.insert(of.clone(), *limit),
            None => limits.remove(of),
        };
    }
    if limits != organisation.limits {
        changes.insert("limits".into(), JsonText::of(&limits));
    }
    let wanted = command.suspended.map(|suspended| if suspended { Standing::Suspended } else { Standing::Active });
    if let Some(standing) = wanted.filter(|standing| *standing != organisation.standing) {
        changes.insert("standing".into(), JsonText::of(&standing));
    }
    if changes.is_empty() {
        return Ok(Decided::unchanged(Output::Organisation(organisation)));
    }
    let event = OrganisationUpdated { organisation: organisation.organisation, changes };
    Ok(Decided::facts(ctx.tenant(), vec![event.into()]))
}

/// Decides [`DeleteOrganisation`].
///
/// # Errors
/// [`Rejection::NotFound`], [`Rejection::OrganisationDeleted`], [`Rejection::DefaultOrganisation`],
/// [`Rejection::OrganisationHasAgents`].
pub fn delete_organisation(
    state: &State<'_>, command: &DeleteOrganisation, ctx: &mut Context<'_>,
) -> Result<Decided, Stop> {
    let organisation = live_organisation(state, command.organisation, ctx)?;
    if organisation.default {
        return Err(Rejection::DefaultOrganisation.into());
    }
    let all = AGENTS_BY_ORGANISATION.len(state.identity, organisation.organisation)?;
    let idle = IDLE_IN_ORGANISATION.get(state.identity, organisation.organisation)?.unwrap_or_default();
    if all > idle.suspended + idle.decommissioned {
        return Err(Rejection::OrganisationHasAgents.into());
    }
    let event = OrganisationDeleted { organisation: organisation.organisation };
    Ok(Decided::facts(ctx.tenant(), vec![event.into()]))
}

/// Decides [`AddOrganisationMember`].
///
/// # Errors
/// [`Rejection::NotFound`], [`Rejection::OrganisationDeleted`], [`Rejection::AgentDecommissioned`],
/// [`Rejection::AlreadyMember`].
pub fn add_organisation_member(
    state: &State<'_>, command: &AddOrganisationMember, ctx: &mut Context<'_>,
) -> Result<Decided, Stop> {
    let organisation = live_organisation(state, command.organisation, ctx)?.organisation;
    let agent = super::agent::find(state, ctx.tenant(), command.agent)?;
    if agent.status == AgentStatus::Decommissioned {
        return Err(Rejection::AgentDecommissioned.into());
    }
    if MEMBERSHIPS.get(state.identity, (organisation, agent.agent))?.is_some() {
        return Err(Rejection::AlreadyMember.into());
    }
    let event = OrganisationMemberAdded { membership: ctx.id()?, organisation, agent: agent.agent, role: command.role };
    Ok(Decided::facts(ctx.tenant(), vec![event.into()]))
}

/// An organisation of the tenant that is not deleted.
fn live_organisation(state: &State<'_>, id: OrganisationId, ctx: &Context<'_>) -> Result<Organisation, Stop> {
    let organisation = find_organisation(state, ctx.tenant(), id)?;
    match organisation.standing {
        Standing::Deleted => Err(Rejection::OrganisationDeleted.into()),
        Standing::Active | Standing::Suspended => Ok(organisation),
    }
}

fn check_tier(field: &'static str, tier: &str) -> Result<(), Rejection> {
    let names = || Tier::ALL.map(Tier::name).join(", ");
    let known = Tier::find(tier).map(|_| ());
    known.ok_or_else(|| Rejection::Invalid { field, why: format!("`{tier}` is no tier; the tiers are {}", names()) })
}

fn check_limits<'a>(field: &'static str, mut names: impl Iterator<Item = &'a String>) -> Result<(), Rejection> {
    match names.find(|name| !QUOTAS.contains(&name.as_str())) {
        Some(name) => {
            let why = format!("`{name}` is no quota; the quotas are {}", QUOTAS.join(", "));
            Err(Rejection::Invalid { field, why })
        }
        None => Ok(()),
    }
}

/// Decides [`VerifyOrganisation`].
///
/// # Errors
/// [`Rejection::NotRoot`], [`Rejection::NotFound`].
pub fn verify_organisation(
    state: &State<'_>, command: &VerifyOrganisation, ctx: &mut Context<'_>,
) -> Result<Decided, Stop> {
    if !find(state, ctx.caller().tenant)?.root {
        return Err(Rejection::NotRoot.into());
    }
    let organisation = find_organisation(state, ctx.tenant(), command.organisation)?;
    if organisation.verified == command.verified {
        return Ok(Decided::unchanged(Output::Organisation(organisation)));
    }
    let event = OrganisationVerified { organisation: organisation.organisation, verified: command.verified };
    Ok(Decided::facts(ctx.tenant(), vec![event.into()]))
}

/// The event that makes an organisation.
///
/// # Errors
/// [`Stop::Context`] when randomness is not to be had.
pub fn new_organisation(slug: &str, name: &str, ctx: &mut Context<'_>) -> Result<OrganisationCreated, Stop> {
    Ok(OrganisationCreated {
        organisation: ctx.id()?,
        slug: slug.to_owned(),
        name: name.to_owned(),
        tier: None,
        limits: BTreeMap::new(),
        default: false,
    })
}

/// The tenant to administer: the caller is of the root tenant, and it is not the root tenant itself.
fn administered(state: &State<'_>, tenant: TenantId, ctx: &Context<'_>) -> Result<Tenant, Stop> {
    if !find(state, ctx.tenant())?.root {
        return Err(Rejection::NotRoot.into());
    }
    let tenant = find(state, tenant)?;
    if tenant.root { Err(Rejection::RootTenant.into()) } else { Ok(tenant) }
}

fn unchanged(tenant: Tenant) -> Decided {
    Decided::unchanged(Output::Tenant { tenant, api_key: None })
}
