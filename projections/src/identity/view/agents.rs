//! Agents and their certificates.

use std::collections::HashMap;

use chancery_ledger::actor::Principal;
use chancery_ledger::body::Kind;
use chancery_ledger::body::field::Signature;
use chancery_ledger::body::identity::{
    Accountability, AgentKeyPurpose, AgentPersonal, Disclosure, EndCause, EndPersonal, Environment, Handle,
    SpendingLimit, Visibility,
};
use chancery_ledger::ids::{AgentId, KeyId, OrganisationId, Seq, TenantId};
use chancery_ledger::time::Micros;
use schemars::JsonSchema;
use serde::Serialize;

use super::{fingerprint, member};
use crate::identity::state::{
    AGENTS, AGENTS_BY_ORGANISATION, AGENTS_BY_TENANT, Agent, AgentKey, AgentStatus, CERTIFICATES, HANDLES, KEYS,
    ORGANISATIONS, Organisation, STATUS_IN_ORGANISATION, STATUS_IN_TENANT, Standing, TENANTS,
};
use crate::rows::table::Versioned;
use crate::rows::{Order, RowsError};
use crate::view::{Hex, NumberedPage, Page, PageNumber, Paging, Reading, ViewError};

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

/// Which agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AgentFilter {
    /// Those of an organisation.
    pub organisation: Option<OrganisationId>,
    /// Those with a stored status.
    pub status: Option<AgentStatus>,
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
        let key = |key: AgentKey| AgentKeyView { id: key.key, purpose: key.purpose, public: Hex(key.public) };
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
