//! The ledger and its keys; tenants, their organisations and members.

use std::collections::BTreeMap;

use chancery_ledger::body::Kind;
use chancery_ledger::body::identity::{MemberPersonal, MemberRole, OrganisationRole};
use chancery_ledger::body::ledger::{Algorithm, Purpose};
use chancery_ledger::ids::{AgentId, KeyId, LedgerId, MemberId, MembershipId, OrganisationId, Seq, TenantId};
use chancery_ledger::time::Micros;
use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::member;
use crate::identity::state::{
    AGENTS_BY_ORGANISATION, AgentStatus, KEY_LIST, KEYS, LEDGER, MEMBER_LIST, MEMBERS, MEMBERSHIP_LIST, MEMBERSHIPS,
    ORG_CAS, ORGANISATION_LIST, ORGANISATION_SLUGS, ORGANISATIONS, PublicKeyRow, SEALING_KEY, STANDING_IN_TENANT,
    STATUS_IN_ORGANISATION, Standing, TENANT_LIST, TENANT_SLUGS, TENANTS, Tenant,
};
use crate::rows::Order;
use crate::rows::table::Versioned;
use crate::view::{Hex, NumberedPage, Page, PageNumber, Paging, Reading, ViewError};

/// The ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LedgerView {
    /// Its id.
    pub id: LedgerId,
    /// The log's origin: first line of every seal.
    pub origin: String,
    /// The root tenant.
    pub root: Option<TenantId>,
    /// The key that seals commits.
    pub sealing_key: Option<PublicKeyView>,
}

/// A public key of the ledger or of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PublicKeyView {
    /// Its id.
    pub id: KeyId,
    /// What it signs.
    pub purpose: Purpose,
    /// How.
    pub algorithm: Algorithm,
    /// Its public part, as the algorithm defines it.
    pub public: Hex,
    /// SHA-256 of the public part, in hexadecimal: the name under which certificates know a CA.
    pub fingerprint: String,
    /// Whose it is; `null` for the ledger's own.
    pub tenant: Option<TenantId>,
    /// Since when.
    pub added: Micros,
    /// Since when it signs nothing more.
    pub retired: Option<Micros>,
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TenantView {
    /// Its id.
    pub id: TenantId,
    /// Its name in paths.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// Its tier.
    pub tier: String,
    /// Its quotas, by name; none means no limit.
    pub limits: BTreeMap<String, u64>,
    /// Whether it administers the others.
    pub root: bool,
    /// Where it stands.
    pub standing: Standing,
    /// Its default organisation.
    pub default_organisation: Option<OrganisationId>,
    /// Since when.
    pub created: Micros,
    /// The event that last changed it, for `If-Match`.
    pub version: Seq,
}

/// An organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct OrganisationView {
    /// Its id.
    pub id: OrganisationId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its name in paths.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// Its own tier; `null`: the tenant's.
    pub tier: Option<String>,
    /// Its own quotas, by name.
    pub limits: BTreeMap<String, u64>,
    /// Whether agents that name none belong to it.
    pub default: bool,
    /// Where it stands.
    pub standing: Standing,
    /// How many agents it has, by status.
    pub agents: AgentCounts,
    /// Since when.
    pub created: Micros,
    /// When it last changed.
    pub updated: Micros,
    /// The event that last changed it.
    pub version: Seq,
}

/// How many agents have which status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AgentCounts {
    /// Active, expired ones included.
    pub active: u64,
    /// Suspended.
    pub suspended: u64,
    /// Decommissioned.
    pub decommissioned: u64,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MemberView {
    /// Its id.
    pub id: MemberId,
    /// Whose it is.
    pub tenant: TenantId,
    /// E-mail address; `null` when erased.
    pub email: Option<String>,
    /// Name.
    pub name: Option<String>,
    /// What it may do.
    pub role: MemberRole,
    /// Whether it joined.
    pub state: MemberState,
    /// When the invitation lapses.
    pub expires: Option<Micros>,
    /// The event that last changed it.
    pub version: Seq,
}

/// Whether a member joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MemberState {
    /// It was asked to.
    Invited,
    /// It did.
    Active,
    /// It was asked to, and the invitation lapsed.
    Expired,
}

/// The ledger; `None` before its first event.
///
/// # Errors
/// [`ViewError`] when the view cannot be read.
pub fn ledger(reading: &Reading<'_>) -> Result<Option<LedgerView>, ViewError> {
    let Some(ledger) = LEDGER.get(reading.identity, ())? else { return Ok(None) };
    let sealing_key = SEALING_KEY.get(reading.identity, ())?.map(public_key);
    Ok(Some(LedgerView { id: ledger.ledger, origin: ledger.origin, root: ledger.root, sealing_key }))
}

/// The CA of a tenant, whose key signs its certificates and execution tokens.
///
/// # Errors
/// [`ViewError`] when the view cannot be read.
pub fn org_ca(reading: &Reading<'_>, tenant: TenantId) -> Result<Option<PublicKeyView>, ViewError> {
    Ok(ORG_CAS.get(reading.identity, tenant)?.map(public_key))
}

/// The public keys of a tenant, or with [`TenantId::LEDGER`] of the ledger itself: retired ones too.
///
/// # Errors
/// [`ViewError`] when the view cannot be read.
pub fn public_keys(reading: &Reading<'_>, owner: TenantId, paging: &Paging) -> Result<Page<PublicKeyView>, ViewError> {
    let rows = reading.identity;
    paging.over(KEY_LIST.len(rows, owner)?, |ordinal| {
        let id = member(KEY_LIST.get(rows, owner, ordinal)?)?;
        Ok(KEYS.get(rows, id)?.map(public_key))
    })
}

/// A tenant, by id. Who may ask is the caller's business.
///
/// # Errors
/// [`ViewError`] when the view cannot be read.
pub fn tenant(reading: &Reading<'_>, id: TenantId) -> Result<Option<TenantView>, ViewError> {
    Ok(TENANTS.get_versioned(reading.identity, id)?.map(tenant_view))
}

/// A tenant, by slug.
///
/// # Errors
/// [`ViewError`] when the view cannot be read.
pub fn tenant_by_slug(reading: &Reading<'_>, slug: &str) -> Result<Option<TenantView>, ViewError> {
    match TENANT_SLUGS.get(reading.identity, slug)? {
        Some(id) => tenant(reading, id),
        None => Ok(None),
    }
}

/// All tenants. Only the root tenant may ask, which the caller checks.
///
/// # Errors
/// [`ViewError`] when the view cannot be read.
pub fn tenants(reading: &Reading<'_>, paging: &Paging) -> Result<Page<TenantView>, ViewError> {
    let rows = reading.identity;
    paging.over(TENANT_LIST.len(rows, ())?, |ordinal| tenant(reading, member(TENANT_LIST.get(rows, (), ordinal)?)?))
}

/// An organisation of a tenant.
///
/// # Errors
/// [`ViewError`] when the view cannot be read.
pub fn organisation(
    reading: &Reading<'_>, tenant: TenantId, id: OrganisationId,
) -> Result<Option<OrganisationView>, ViewError> {
    let rows = reading.identity;
    let found = ORGANISATIONS.get_versioned(rows, id)?.filter(|it| it.value.tenant == tenant);
    let Some(Versioned { seq, value }) = found else { return Ok(None) };
    let length = AGENTS_BY_ORGANISATION.len(rows, id)?;
    let count = |status: AgentStatus| STATUS_IN_ORGANISATION.len(rows, (id, status.code()), length);
    Ok(Some(OrganisationView {
        id,
        tenant,
        slug: value.slug,
        name: value.name,
        tier: value.tier,
        limits: value.limits,
        default: value.default,
        standing: value.standing,
        agents: AgentCounts {
            active: count(AgentStatus::Active)?,
            suspended: count(AgentStatus::Suspended)?,
            decommissioned: count(AgentStatus::Decommissioned)?,
        },
        created: value.created,
        updated: value.updated,
        version: seq,
    }))
}

/// A page by number of the tenant's organisations, newest first: all, or those that stand somewhere.
///
/// # Errors
/// [`ViewError`] when the view cannot be read.
pub fn organisations_page(
    reading: &Reading<'_>, tenant: TenantId, standing: Option<Standing>, page: PageNumber,
) -> Result<NumberedPage<OrganisationView>, ViewError> {
    let rows = reading.identity;
    let length = ORGANISATION_LIST.len(rows, tenant)?;
    let (ordinals, total): (Vec<u64>, u64) = match standing {
        Some(standing) => {
            let prefix = (tenant, standing.code());
            let ordinals = STANDING_IN_TENANT.page(rows, prefix, length, page.span())?;
            (ordinals, STANDING_IN_TENANT.len(rows, prefix, length)?)
        }
        None => {
            let listed = ORGANISATION_LIST.page(rows, tenant, Order::Descending, page.skip(), page.size)?;
            (listed.into_iter().map(|(ordinal, _)| ordinal).collect(), length)
        }
    };
    let mut items = Vec::new();
    for ordinal in ordinals {
        items.extend(organisation(reading, tenant, member(ORGANISATION_LIST.get(rows, tenant, ordinal)?)?)?);
    }
    Ok(NumberedPage { items, total })
}

/// An agent's role in an organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MembershipView {
    /// Its id.
    pub id: MembershipId,
    /// Where.
    pub organisation: OrganisationId,
    /// Who.
    pub agent: AgentId,
    /// What it may do there.
    pub role: OrganisationRole,
    /// Since when.
    pub joined: Micros,
}

/// The roles of agents in an organisation; none in one that is not the tenant's.
///
/// # Errors
/// [`ViewError`] when the view cannot be read.
pub fn memberships(
    reading: &Reading<'_>, tenant: TenantId, organisation: OrganisationId, paging: &Paging,
) -> Result<Page<MembershipView>, ViewError> {
    let rows = reading.identity;
    if ORGANISATIONS.get(rows, organisation)?.is_none_or(|it| it.tenant != tenant) {
        return Ok(Page { items: Vec::new(), next: None });
    }
    paging.over(MEMBERSHIP_LIST.len(rows, organisation)?, |ordinal| {
        let agent = member(MEMBERSHIP_LIST.get(rows, organisation, ordinal)?)?;
        Ok(MEMBERSHIPS.get(rows, (organisation, agent))?.map(|row| MembershipView {
            id: row.membership,
            organisation,
            agent,
            role: row.role,
            joined: row.joined,
        }))
    })
}

/// An organisation of a tenant, by slug.
///
/// # Errors
/// [`ViewError`] when the view cannot be read.
pub fn organisation_by_slug(
    reading: &Reading<'_>, tenant: TenantId, slug: &str,
) -> Result<Option<OrganisationView>, ViewError> {
    match ORGANISATION_SLUGS.get(reading.identity, (tenant, slug))? {
        Some(id) => organisation(reading, tenant, id),
        None => Ok(None),
    }
}

/// The organisations of a tenant.
///
/// # Errors
/// [`ViewError`] when the view cannot be read.
pub fn organisations(
    reading: &Reading<'_>, tenant: TenantId, paging: &Paging,
) -> Result<Page<OrganisationView>, ViewError> {
    let rows = reading.identity;
    paging.over(ORGANISATION_LIST.len(rows, tenant)?, |ordinal| {
        organisation(reading, tenant, member(ORGANISATION_LIST.get(rows, tenant, ordinal)?)?)
    })
}

/// A member of a tenant.
///
/// # Errors
/// [`ViewError`] when view or keys cannot be read.
pub fn tenant_member(reading: &Reading<'_>, tenant: TenantId, id: MemberId) -> Result<Option<MemberView>, ViewError> {
    let found = MEMBERS.get_versioned(reading.identity, id)?.filter(|it| it.value.tenant == tenant);
    let Some(Versioned { seq, value }) = found else { return Ok(None) };
    let personal: Option<MemberPersonal> =
        reading.opener.open(tenant, Kind::MemberInvited, "personal", &value.personal)?;
    let (email, name) = personal.map_or((None, None), |personal| (Some(personal.email), personal.name));
    let state = if value.joined {
        MemberState::Active
    } else if value.expires.is_some_and(|expires| reading.now > expires) {
        MemberState::Expired
    } else {
        MemberState::Invited
    };
    Ok(Some(MemberView { id, tenant, email, name, role: value.role, state, expires: value.expires, version: seq }))
}

/// The members of a tenant.
///
/// # Errors
/// [`ViewError`] when view or keys cannot be read.
pub fn members(reading: &Reading<'_>, tenant: TenantId, paging: &Paging) -> Result<Page<MemberView>, ViewError> {
    let rows = reading.identity;
    paging.over(MEMBER_LIST.len(rows, tenant)?, |ordinal| {
        tenant_member(reading, tenant, member(MEMBER_LIST.get(rows, tenant, ordinal)?)?)
    })
}

fn tenant_view(row: Versioned<Tenant>) -> TenantView {
    let Versioned { seq, value } = row;
    TenantView {
        id: value.tenant,
        slug: value.slug,
        name: value.name,
        tier: value.tier,
        limits: value.limits,
        root: value.root,
        standing: value.standing,
        default_organisation: value.default_organisation,
        created: value.created,
        version: seq,
    }
}

fn public_key(row: PublicKeyRow) -> PublicKeyView {
    PublicKeyView {
        id: row.key,
        purpose: row.purpose,
        algorithm: row.algorithm,
        fingerprint: fingerprint(&row.public),
        public: Hex(row.public),
        tenant: row.tenant,
        added: row.added,
        retired: row.retired,
    }
}

pub(super) fn fingerprint(public: &[u8]) -> String {
    hex::encode(Sha256::digest(public))
}
