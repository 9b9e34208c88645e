//! Tenants and organisations.

use std::collections::BTreeMap;

use chancery_ledger::actor::Principal;
use chancery_ledger::body::Body;
use chancery_ledger::body::identity::{
    CredentialCreated, CredentialKind, OrganisationCreated, TenantCreated, TenantDeleted, TenantResumed,
    TenantSuspended,
};
use chancery_ledger::body::ledger::{Algorithm, Purpose, SigningKeyAdded};
use chancery_ledger::ids::{OrganisationId, TenantId};
use chancery_ledger::keys::SigningKey;
use chancery_ledger::keystore::SecretName;
use zeroize::Zeroizing;

use crate::check::{check_len, check_optional, check_slug};
use crate::command::{CreateOrganisation, CreateTenant, DeleteTenant, ResumeTenant, SuspendTenant};
use crate::context::Context;
use crate::credential::{new_api_key, secret_hash};
use crate::decision::{Decided, State, Stop};
use crate::identity::state::{
    ORGANISATION_SLUGS, ORGANISATIONS, Organisation, Standing, TENANT_SLUGS, TENANTS, Tenant,
};
use crate::output::Output;
use crate::rejection::Rejection;
use crate::scope::Scope;

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
    let caller = find(state, ctx.tenant())?;
    if !caller.root {
        return Err(Rejection::NotRoot.into());
    }
    if TENANT_SLUGS.get(state.identity, command.slug.as_str())?.is_some() {
        return Err(Rejection::SlugTaken.into());
    }
    let tenant = ctx.id()?;
    let mut events = found(tenant, &command.slug, &command.name, false, Some(ctx.tenant()), ctx)?;
    let scopes: Vec<Scope> = Scope::ALL.iter().copied().filter(|scope| !scope.is_root_only()).collect();
    let (created, secret) = api_key(Principal::Tenant(tenant), "first key", &scopes, &["native", "orgkernel"], ctx)?;
    events.push(created.into());
    Ok(Decided::shown(tenant, events, Some(secret)))
}

/// The events that make a tenant: it, its CA and its default organisation.
///
/// # Errors
/// [`Stop::Context`] when keys or randomness are not to be had.
pub fn found(
    tenant: TenantId, slug: &str, name: &str, root: bool, parent: Option<TenantId>, ctx: &mut Context<'_>,
) -> Result<Vec<Body>, Stop> {
    let seed = ctx.secret()?;
    let public = SigningKey::from_seed(seed.clone()).public();
    ctx.keep(SecretName::OrgCa(tenant), seed);
    let created = TenantCreated {
        tenant,
        slug: slug.to_owned(),
        name: name.to_owned(),
        tier: "enterprise".to_owned(),
        limits: BTreeMap::new(),
        root,
        parent,
    };
    let ca = SigningKeyAdded {
        key: ctx.id()?,
        purpose: Purpose::OrgCa,
        algorithm: Algorithm::Ed25519,
        public: public.as_bytes().to_vec(),
        tenant: Some(tenant),
    };
    let organisation = OrganisationCreated {
        organisation: ctx.id()?,
        slug: slug.to_owned(),
        name: name.to_owned(),
        tier: None,
        limits: BTreeMap::new(),
        default: true,
    };
    Ok(vec![created.into(), ca.into(), organisation.into()])
}

/// A new API key for a principal, and the event that makes it.
///
/// # Errors
/// [`Stop::Context`] when randomness is not to be had.
pub fn api_key(
    principal: Principal, name: &str, scopes: &[Scope], audience: &[&str], ctx: &mut Context<'_>,
) -> Result<(CredentialCreated, Zeroizing<String>), Stop> {
    let secret = new_api_key(ctx)?;
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
    if ORGANISATION_SLUGS.get(state.identity, (ctx.tenant(), command.slug.as_str()))?.is_some() {
        return Err(Rejection::SlugTaken.into());
    }
    let event = new_organisation(&command.slug, &command.name, ctx)?;
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
