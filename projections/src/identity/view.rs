//! What readers ask of identity, now and as of a past event. Another tenant's thing is as one that does not exist.

use std::collections::{BTreeMap, HashMap};

use chancery_ledger::actor::Principal;
use chancery_ledger::body::Kind;
use chancery_ledger::body::field::Signature;
use chancery_ledger::body::identity::{
    Accountability, AgentKeyPurpose, AgentPersonal, ChallengePurpose, CredentialKind, Disclosure, EndCause,
    EndPersonal, Environment, Handle, MemberPersonal, MemberRole, SpendingLimit, Visibility,
};
use chancery_ledger::body::ledger::{Algorithm, Purpose};
use chancery_ledger::ids::{
    AgentId, ChallengeId, CredentialId, KeyId, LedgerId, MemberId, OrganisationId, Seq, TenantId,
};
use chancery_ledger::time::Micros;
use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::state::{
    AGENTS, AGENTS_BY_ORGANISATION, AGENTS_BY_TENANT, Agent, AgentStatus, CERTIFICATES, CHALLENGES, CREDENTIAL_HASHES,
    CREDENTIAL_LIST, CREDENTIALS, Credential, HANDLES, KEY_LIST, KEYS, LEDGER, MEMBER_LIST, MEMBERS, ORG_CAS,
    ORGANISATION_LIST, ORGANISATION_SLUGS, ORGANISATIONS, Organisation, PublicKeyRow, SEALING_KEY,
    STATUS_IN_ORGANISATION, STATUS_IN_TENANT, Standing, TENANT_LIST, TENANT_SLUGS, TENANTS, Tenant,
};
use crate::credential::secret_hash;
use crate::rows::table::Versioned;
use crate::rows::{Order, Rows, RowsError};
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
    /// Whether agents that name none belong to it.
    pub default: bool,
    /// Where it stands.
    pub standing: Standing,
    /// How many agents it has, by status.
    pub agents: AgentCounts,
    /// Since when.
    pub created: Micros,
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

/// An agent.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct AgentView {
    /// Its id.
    pub id: AgentId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its organisation.
    pub organisation: OrganisationId,
    /// Its organisation's slug.
    pub organisation_slug: String,
    /// Who owns it.
    pub owner: Principal,
    /// Through which mount it was registered.
    pub via: String,
    /// Its name.
    pub name: String,
    /// Names it holds alone.
    pub handles: Vec<Handle>,
    /// What sort of agent it is.
    pub kind: Option<String>,
    /// Its version, as its maker counts.
    pub semver: Option<String>,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// Where it runs.
    pub environment: Environment,
    /// Which actions it may take.
    pub actions: Vec<String>,
    /// How much one transaction may move.
    pub limit: Option<SpendingLimit>,
    /// How it is held to account.
    pub accountability: Accountability,
    /// When it stops being usable.
    pub valid_until: Option<Micros>,
    /// Who may use it.
    pub visibility: Visibility,
    /// Who may read its public profile.
    pub disclosure: Disclosure,
    /// What of it can concern a person; `null` when erased.
    pub profile: Option<AgentPersonal>,
    /// Its identity key.
    pub identity_key: Option<AgentKeyView>,
    /// Its stored status.
    pub status: AgentStatus,
    /// Whether it may act: itself, its organisation and its tenant.
    pub usable: bool,
    /// Why not, if not: `suspended`, `decommissioned`, `expired`, `tenant_not_active` or `organisation_not_active`.
    pub unusable_because: Option<&'static str>,
    /// How it ended, if it did.
    pub end: Option<AgentEndView>,
    /// Since when.
    pub created: Micros,
    /// When it last changed.
    pub updated: Micros,
    /// The event that last changed it, for `If-Match`.
    pub version: Seq,
}

/// A public key of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AgentKeyView {
    /// Its id.
    pub id: KeyId,
    /// What it is for.
    pub purpose: AgentKeyPurpose,
    /// Its public part.
    pub public: Hex,
}

/// How an agent ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AgentEndView {
    /// In which words.
    pub cause: EndCause,
    /// When.
    pub at: Micros,
    /// Who ended it, as claimed; `null` when nobody said, or it was erased.
    pub by: Option<String>,
    /// Why, likewise.
    pub reason: Option<String>,
}

/// A certificate of an agent's identity key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CertificateView {
    /// The agent.
    pub agent: AgentId,
    /// Its certified key.
    pub key: KeyId,
    /// The certified key's public part.
    pub public: Option<Hex>,
    /// The CA's key.
    pub ca_key: KeyId,
    /// SHA-256 of the CA's public key, in hexadecimal.
    pub ca_fingerprint: Option<String>,
    /// The name certified.
    pub agent_name: String,
    /// The organisation certified.
    pub organisation_slug: String,
    /// Which unit had it issued; `null` when erased.
    pub issued_by: Option<String>,
    /// From when.
    pub issued: Micros,
    /// Until when.
    pub valid_until: Option<Micros>,
    /// The CA's signature over the certificate's preimage.
    pub signature: Signature,
}

/// A credential; never its secret, nor a hash of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CredentialView {
    /// Its id.
    pub id: CredentialId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Whom it lets in.
    pub principal: Principal,
    /// Which sort of secret.
    pub kind: CredentialKind,
    /// Its name.
    pub name: Option<String>,
    /// What it allows.
    pub scopes: Vec<String>,
    /// Which mounts it opens.
    pub audience: Vec<String>,
    /// When it lapses.
    pub expires: Option<Micros>,
    /// When it was revoked.
    pub revoked: Option<Micros>,
    /// Whether it lets anybody in.
    pub live: bool,
    /// Since when.
    pub created: Micros,
    /// The event that last changed it, for `If-Match`.
    pub version: Seq,
}

/// A challenge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ChallengeView {
    /// Its id.
    pub id: ChallengeId,
    /// Whose it is.
    pub tenant: TenantId,
    /// What the answer proves.
    pub purpose: ChallengePurpose,
    /// Who is to answer.
    pub about: AgentId,
    /// What is to be signed: the bytes of this text.
    pub nonce: String,
    /// Who asked, as claimed.
    pub issued_by: String,
    /// Since when.
    pub created: Micros,
    /// The last instant at which an answer counts.
    pub expires: Micros,
    /// Whether the answer passed; `null` while there is none.
    pub passed: Option<bool>,
    /// Whether an answer counts now.
    pub open: bool,
    /// The event that last changed it, for `If-Match`.
    pub version: Seq,
}

/// Which agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AgentFilter {
    /// Those of an organisation.
    pub organisation: Option<OrganisationId>,
    /// Those with a stored status.
    pub status: Option<AgentStatus>,
}

/// Which credentials.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CredentialFilter {
    /// Those that let a principal in.
    pub principal: Option<Principal>,
    /// Those that let anybody in now, or those that do not.
    pub live: Option<bool>,
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
        default: value.default,
        standing: value.standing,
        agents: AgentCounts {
            active: count(AgentStatus::Active)?,
            suspended: count(AgentStatus::Suspended)?,
            decommissioned: count(AgentStatus::Decommissioned)?,
        },
        created: value.created,
        version: seq,
    }))
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

/// An agent of a tenant.
///
/// # Errors
/// [`ViewError`] when view or keys cannot be read.
pub fn agent(reading: &Reading<'_>, tenant: TenantId, id: AgentId) -> Result<Option<AgentView>, ViewError> {
    Surroundings::of(reading, tenant).agent(id)
}

/// The agent of a tenant that holds a name alone.
///
/// # Errors
/// [`ViewError`] when view or keys cannot be read.
pub fn agent_by_handle(
    reading: &Reading<'_>, tenant: TenantId, namespace: &str, value: &str,
) -> Result<Option<AgentView>, ViewError> {
    match HANDLES.get(reading.identity, (tenant, namespace, value))? {
        Some(id) => agent(reading, tenant, id),
        None => Ok(None),
    }
}

/// The agents of a tenant; none of an organisation that is not the tenant's.
///
/// # Errors
/// [`ViewError`] when view or keys cannot be read.
pub fn agents(
    reading: &Reading<'_>, tenant: TenantId, filter: AgentFilter, paging: &Paging,
) -> Result<Page<AgentView>, ViewError> {
    let rows = reading.identity;
    let mut around = Surroundings::of(reading, tenant);
    match filter.organisation {
        Some(id) => {
            if around.organisation(id)?.is_none() {
                return Ok(Page { items: Vec::new(), next: None });
            }
            let length = AGENTS_BY_ORGANISATION.len(rows, id)?;
            let pick = |ordinal| around.agent(member(AGENTS_BY_ORGANISATION.get(rows, id, ordinal)?)?);
            match filter.status {
                Some(status) => paging.within(&STATUS_IN_ORGANISATION, rows, (id, status.code()), length, pick),
                None => paging.over(length, pick),
            }
        }
        None => {
            let length = AGENTS_BY_TENANT.len(rows, tenant)?;
            let pick = |ordinal| around.agent(member(AGENTS_BY_TENANT.get(rows, tenant, ordinal)?)?);
            match filter.status {
                Some(status) => paging.within(&STATUS_IN_TENANT, rows, (tenant, status.code()), length, pick),
                None => paging.over(length, pick),
            }
        }
    }
}

/// A page by number of an organisation's agents, newest first; empty for an organisation that is not the tenant's.
///
/// # Errors
/// [`ViewError`] when view or keys cannot be read.
pub fn agents_page(
    reading: &Reading<'_>, tenant: TenantId, organisation: OrganisationId, status: Option<AgentStatus>,
    page: PageNumber,
) -> Result<NumberedPage<AgentView>, ViewError> {
    let rows = reading.identity;
    let mut around = Surroundings::of(reading, tenant);
    if around.organisation(organisation)?.is_none() {
        return Ok(NumberedPage { items: Vec::new(), total: 0 });
    }
    let length = AGENTS_BY_ORGANISATION.len(rows, organisation)?;
    let (ordinals, total): (Vec<u64>, u64) = match status {
        Some(status) => {
            let prefix = (organisation, status.code());
            let ordinals = STATUS_IN_ORGANISATION.page(rows, prefix, length, page.span())?;
            (ordinals, STATUS_IN_ORGANISATION.len(rows, prefix, length)?)
        }
        None => {
            let listed = AGENTS_BY_ORGANISATION.page(rows, organisation, Order::Descending, page.skip(), page.size)?;
            (listed.into_iter().map(|(ordinal, _)| ordinal).collect(), length)
        }
    };
    let mut items = Vec::new();
    for ordinal in ordinals {
        items.extend(around.agent(member(AGENTS_BY_ORGANISATION.get(rows, organisation, ordinal)?)?)?);
    }
    Ok(NumberedPage { items, total })
}

/// Why an agent of a tenant may not act, `None` when it may; the outer `None` when there is no such agent.
///
/// # Errors
/// [`ViewError`] when the view cannot be read.
pub fn agent_unusable(
    reading: &Reading<'_>, tenant: TenantId, id: AgentId,
) -> Result<Option<Option<&'static str>>, ViewError> {
    let found = AGENTS.get(reading.identity, id)?.filter(|agent| agent.tenant == tenant);
    match found {
        Some(agent) => Ok(Some(Surroundings::of(reading, tenant).unusable(&agent)?)),
        None => Ok(None),
    }
}

/// The certificate of an agent of a tenant; `None` when the agent has none, or there is no such agent.
///
/// # Errors
/// [`ViewError`] when view or keys cannot be read.
pub fn certificate(reading: &Reading<'_>, tenant: TenantId, id: AgentId) -> Result<Option<CertificateView>, ViewError> {
    let rows = reading.identity;
    let Some(agent) = AGENTS.get(rows, id)?.filter(|agent| agent.tenant == tenant) else { return Ok(None) };
    let Some(certificate) = CERTIFICATES.get(rows, id)? else { return Ok(None) };
    let ca = KEYS.get(rows, certificate.ca_key)?;
    let key = agent.identity_key.filter(|key| key.key == certificate.key);
    Ok(Some(CertificateView {
        agent: id,
        key: certificate.key,
        public: key.map(|key| Hex(key.public)),
        ca_key: certificate.ca_key,
        ca_fingerprint: ca.map(|ca| fingerprint(&ca.public)),
        agent_name: certificate.agent_name,
        organisation_slug: certificate.organisation_slug,
        issued_by: reading.opener.open(tenant, Kind::CertificateIssued, "issued_by", &certificate.issued_by)?,
        issued: certificate.issued,
        valid_until: certificate.valid_until,
        signature: certificate.signature,
    }))
}

/// A credential of a tenant.
///
/// # Errors
/// [`ViewError`] when the view cannot be read.
pub fn credential(
    reading: &Reading<'_>, tenant: TenantId, id: CredentialId,
) -> Result<Option<CredentialView>, ViewError> {
    let found = CREDENTIALS.get_versioned(reading.identity, id)?.filter(|it| it.value.tenant == tenant);
    Ok(found.map(|row| credential_view(row, reading.now)))
}

/// The credentials of a tenant.
///
/// # Errors
/// [`ViewError`] when the view cannot be read.
pub fn credentials(
    reading: &Reading<'_>, tenant: TenantId, filter: &CredentialFilter, paging: &Paging,
) -> Result<Page<CredentialView>, ViewError> {
    let rows = reading.identity;
    paging.over(CREDENTIAL_LIST.len(rows, tenant)?, |ordinal| {
        let found = credential(reading, tenant, member(CREDENTIAL_LIST.get(rows, tenant, ordinal)?)?)?;
        Ok(found.filter(|it| {
            filter.principal.as_ref().is_none_or(|principal| it.principal == *principal)
                && filter.live.is_none_or(|live| it.live == live)
        }))
    })
}

/// The credential whose secret this is, and its tenant, for whoever checks a log-in; whether they let anybody in is
/// asked of [`Credential::dead`] and [`Tenant::standing`].
///
/// # Errors
/// [`RowsError`] when the view cannot be read.
pub fn credential_of_secret(rows: &dyn Rows, secret: &str) -> Result<Option<(Credential, Tenant)>, RowsError> {
    let Some(id) = CREDENTIAL_HASHES.get(rows, secret_hash(secret))? else { return Ok(None) };
    let credential = CREDENTIALS.get(rows, id)?.ok_or(RowsError::Missing("a credential"))?;
    let tenant = TENANTS.get(rows, credential.tenant)?.ok_or(RowsError::Missing("a tenant"))?;
    Ok(Some((credential, tenant)))
}

/// A challenge of a tenant.
///
/// # Errors
/// [`ViewError`] when the view cannot be read.
pub fn challenge(reading: &Reading<'_>, tenant: TenantId, id: ChallengeId) -> Result<Option<ChallengeView>, ViewError> {
    let found = CHALLENGES.get_versioned(reading.identity, id)?.filter(|it| it.value.tenant == tenant);
    Ok(found.map(|Versioned { seq, value }| ChallengeView {
        id,
        tenant,
        purpose: value.purpose,
        about: value.about,
        nonce: value.nonce,
        issued_by: value.issued_by,
        created: value.created,
        expires: value.expires,
        passed: value.answered,
        open: value.answered.is_none() && reading.now <= value.expires,
        version: seq,
    }))
}

/// What the agents of one tenant have around them, read once for a whole page.
pub(crate) struct Surroundings<'a> {
    reading: &'a Reading<'a>,
    tenant: TenantId,
    standing: Option<Option<Standing>>,
    organisations: HashMap<OrganisationId, Option<Organisation>>,
}

impl<'a> Surroundings<'a> {
    pub(crate) fn of(reading: &'a Reading<'a>, tenant: TenantId) -> Self {
        Self { reading, tenant, standing: None, organisations: HashMap::new() }
    }

    /// That nothing of the tenant may act, if it is so.
    pub(crate) fn tenant_not_active(&mut self) -> Result<Option<&'static str>, ViewError> {
        let standing = match self.standing {
            Some(known) => known,
            None => TENANTS.get(self.reading.identity, self.tenant)?.map(|tenant| tenant.standing),
        };
        self.standing = Some(standing);
        Ok((standing != Some(Standing::Active)).then_some("tenant_not_active"))
    }

    fn organisation(&mut self, id: OrganisationId) -> Result<Option<&Organisation>, ViewError> {
        if !self.organisations.contains_key(&id) {
            let found = ORGANISATIONS.get(self.reading.identity, id)?.filter(|it| it.tenant == self.tenant);
            self.organisations.insert(id, found);
        }
        Ok(self.organisations.get(&id).and_then(Option::as_ref))
    }

    /// Why an agent may not act; in the order in which deciders look.
    pub(crate) fn unusable(&mut self, agent: &Agent) -> Result<Option<&'static str>, ViewError> {
        if let Some(why) = agent.unusable(self.reading.now) {
            return Ok(Some(why));
        }
        if let Some(why) = self.tenant_not_active()? {
            return Ok(Some(why));
        }
        let organisation = self.organisation(agent.organisation)?.map(|it| it.standing);
        Ok((organisation != Some(Standing::Active)).then_some("organisation_not_active"))
    }

    fn agent(&mut self, id: AgentId) -> Result<Option<AgentView>, ViewError> {
        let found = AGENTS.get_versioned(self.reading.identity, id)?.filter(|it| it.value.tenant == self.tenant);
        match found {
            Some(row) => Ok(Some(self.agent_view(row)?)),
            None => Ok(None),
        }
    }

    fn agent_view(&mut self, row: Versioned<Agent>) -> Result<AgentView, ViewError> {
        let Versioned { seq, value: agent } = row;
        let open = &self.reading.opener;
        let place = if agent.personal_updated { Kind::AgentUpdated } else { Kind::AgentRegistered };
        let profile: Option<AgentPersonal> = open.open(agent.tenant, place, "personal", &agent.personal)?;
        let end = match &agent.end {
            Some(end) => {
                let said: Option<EndPersonal> =
                    open.open(agent.tenant, Kind::AgentDecommissioned, "personal", &end.personal)?;
                let said = said.unwrap_or_default();
                Some(AgentEndView { cause: end.cause, at: end.at, by: said.by, reason: said.reason })
            }
            None => None,
        };
        let unusable_because = self.unusable(&agent)?;
        let organisation = self.organisation(agent.organisation)?.ok_or(RowsError::Missing("an organisation"))?;
        let key =
            |key: super::state::AgentKey| AgentKeyView { id: key.key, purpose: key.purpose, public: Hex(key.public) };
        Ok(AgentView {
            id: agent.agent,
            tenant: agent.tenant,
            organisation: agent.organisation,
            organisation_slug: organisation.slug.clone(),
            owner: agent.owner,
            via: agent.via,
            name: agent.name,
            handles: agent.handles,
            kind: agent.kind,
            semver: agent.semver,
            capabilities: agent.capabilities,
            environment: agent.environment,
            actions: agent.actions,
            limit: agent.limit,
            accountability: agent.accountability,
            valid_until: agent.valid_until,
            visibility: agent.visibility,
            disclosure: agent.disclosure,
            profile,
            identity_key: agent.identity_key.map(key),
            status: agent.status,
            usable: unusable_because.is_none(),
            unusable_because,
            end,
            created: agent.created,
            updated: agent.updated,
            version: seq,
        })
    }
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

fn credential_view(row: Versioned<Credential>, now: Micros) -> CredentialView {
    let Versioned { seq, value } = row;
    CredentialView {
        id: value.credential,
        tenant: value.tenant,
        live: value.dead(now).is_none(),
        principal: value.principal,
        kind: value.kind,
        name: value.name,
        scopes: value.scopes,
        audience: value.audience,
        expires: value.expires,
        revoked: value.revoked,
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

fn fingerprint(public: &[u8]) -> String {
    hex::encode(Sha256::digest(public))
}

/// A list's member, which is there for every ordinal up to the list's length.
pub(crate) fn member<V>(found: Option<V>) -> Result<V, RowsError> {
    found.ok_or(RowsError::Missing("a list's member"))
}
