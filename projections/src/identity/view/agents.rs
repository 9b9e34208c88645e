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
use chancery_ledger::link::Hash;
use chancery_ledger::time::Micros;
use schemars::JsonSchema;
use serde::Serialize;

use super::{fingerprint, member};
use crate::identity::decide::agent::OWNER_HASH;
use crate::identity::state::{
    AGENTS, AGENTS_BY_ORGANISATION, AGENTS_BY_TENANT, Agent, AgentKey, AgentStatus, CERTIFICATES, GRANTS, HANDLES,
    KEYS, KIND_IN_TENANT, LISTED, LISTED_NOW, ORGANISATIONS, OWNER_IN_TENANT, Organisation, STATUS_IN_ORGANISATION,
    STATUS_IN_TENANT, Standing, TENANTS,
};
use crate::rows::subset::Span;
use crate::rows::table::Versioned;
use crate::rows::{Order, Rows, RowsError};
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
    /// Since when it is listed, if it is.
    pub listed: Option<Micros>,
    /// What of it can concern a person; `null` when erased.
    pub profile: Option<AgentPersonal>,
    /// Its identity key.
    pub identity_key: Option<AgentKeyView>,
    /// The P-256 key of its DID document.
    pub did_key: Option<AgentKeyView>,
    /// What it may ask for beyond what every agent may.
    pub granted: GrantedView,
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

/// What an agent may ask for beyond what every agent may.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct GrantedView {
    /// The scopes, as its tokens spell them.
    pub scopes: Vec<String>,
    /// Whether it manages the credentials of others.
    pub administrator: bool,
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

/// Which agents of a tenant are looked for; what is said of them must all hold.
#[derive(Debug, Clone, Copy, Default)]
pub struct AgentSearch<'a> {
    /// Those with a stored status.
    pub status: Option<AgentStatus>,
    /// Those of a sort.
    pub kind: Option<KindSearch<'a>>,
    /// Those for which somebody is responsible.
    pub owner: Option<&'a str>,
}

/// Which sort of agents.
#[derive(Debug, Clone, Copy)]
pub enum KindSearch<'a> {
    /// This.
    Is(&'a str),
    /// None of these.
    NoneOf(&'a [&'a str]),
}

/// A page by number of the agents of a tenant that are looked for, newest first.
///
/// One condition is a look-up; several are a walk through the members of the rarest.
///
/// # Errors
/// [`ViewError`] when view or keys cannot be read.
pub fn agents_found(
    reading: &Reading<'_>, tenant: TenantId, search: AgentSearch<'_>, page: PageNumber,
) -> Result<NumberedPage<AgentView>, ViewError> {
    let rows = reading.identity;
    let length = AGENTS_BY_TENANT.len(rows, tenant)?;
    let mut sieves: Vec<Sieve<'_>> = search.status.map(Sieve::Status).into_iter().collect();
    let mut unwanted: &[&str] = &[];
    match search.kind {
        None => {}
        Some(KindSearch::Is(kind)) => sieves.push(Sieve::Kind(kind)),
        Some(KindSearch::NoneOf(kinds)) => unwanted = kinds,
    }
    if let Some(owner) = search.owner {
        let Some(hash) = reading.opener.keyed_hash(tenant, OWNER_HASH, owner)? else {
            return Ok(NumberedPage { items: Vec::new(), total: 0 });
        };
        sieves.push(Sieve::Owner(hash));
    }
    let (ordinals, total) = match (sieves.as_slice(), unwanted) {
        ([], []) => {
            let first = page.skip().min(length);
            let last = page.skip().saturating_add(page.size as u64).min(length);
            ((first..last).map(|position| length - position).collect(), length)
        }
        ([only], []) => (only.page(rows, tenant, length, page.span())?, only.len(rows, tenant, length)?),
        _ => walk(rows, tenant, length, &sieves, unwanted, page)?,
    };
    let mut around = Surroundings::of(reading, tenant);
    let mut items = Vec::new();
    for ordinal in ordinals {
        items.extend(around.agent(member(AGENTS_BY_TENANT.get(rows, tenant, ordinal)?)?)?);
    }
    Ok(NumberedPage { items, total })
}

/// Ordinals looked at together.
const STRIDE: usize = 1024;

/// The page's ordinals, and how many there are in all.
fn walk(
    rows: &dyn Rows, tenant: TenantId, length: u64, sieves: &[Sieve<'_>], unwanted: &[&str], page: PageNumber,
) -> Result<(Vec<u64>, u64), ViewError> {
    let mut rarest: Option<(u64, usize)> = None;
    for (at, sieve) in sieves.iter().enumerate() {
        let size = sieve.len(rows, tenant, length)?;
        rarest = Some(rarest.map_or((size, at), |rarest| rarest.min((size, at))));
    }
    let (mut found, mut total, mut after) = (Vec::new(), 0, None);
    loop {
        let span = Span { order: Order::Descending, after, skip: 0, limit: STRIDE };
        let candidates = match rarest {
            Some((_, at)) => sieves[at].page(rows, tenant, length, span)?,
            None => (1..after.unwrap_or(length + 1)).rev().take(STRIDE).collect(),
        };
        for ordinal in &candidates {
            let mut fits = true;
            for (at, sieve) in sieves.iter().enumerate() {
                fits = fits && (rarest.is_some_and(|(_, rarest)| rarest == at) || sieve.has(rows, tenant, *ordinal)?);
            }
            for kind in unwanted {
                fits = fits && !Sieve::Kind(kind).has(rows, tenant, *ordinal)?;
            }
            if fits {
                if total >= page.skip() && found.len() < page.size {
                    found.push(*ordinal);
                }
                total += 1;
            }
        }
        match candidates.last() {
            Some(last) if candidates.len() == STRIDE => after = Some(*last),
            _ => return Ok((found, total)),
        }
    }
}

/// One condition, as a subset of a tenant's agents.
#[derive(Debug, Clone, Copy)]
enum Sieve<'a> {
    Status(AgentStatus),
    Kind(&'a str),
    Owner(Hash),
}

impl Sieve<'_> {
    fn len(self, rows: &dyn Rows, tenant: TenantId, length: u64) -> Result<u64, RowsError> {
        match self {
            Self::Status(status) => STATUS_IN_TENANT.len(rows, (tenant, status.code()), length),
            Self::Kind(kind) => KIND_IN_TENANT.len(rows, (tenant, kind), length),
            Self::Owner(owner) => OWNER_IN_TENANT.len(rows, (tenant, owner), length),
        }
    }

    fn page(self, rows: &dyn Rows, tenant: TenantId, length: u64, span: Span) -> Result<Vec<u64>, RowsError> {
        match self {
            Self::Status(status) => STATUS_IN_TENANT.page(rows, (tenant, status.code()), length, span),
            Self::Kind(kind) => KIND_IN_TENANT.page(rows, (tenant, kind), length, span),
            Self::Owner(owner) => OWNER_IN_TENANT.page(rows, (tenant, owner), length, span),
        }
    }

    fn has(self, rows: &dyn Rows, tenant: TenantId, ordinal: u64) -> Result<bool, RowsError> {
        match self {
            Self::Status(status) => STATUS_IN_TENANT.contains(rows, (tenant, status.code()), ordinal),
            Self::Kind(kind) => KIND_IN_TENANT.contains(rows, (tenant, kind), ordinal),
            Self::Owner(owner) => OWNER_IN_TENANT.contains(rows, (tenant, owner), ordinal),
        }
    }
}

/// An agent of any tenant whose public profile anybody may read who knows its id.
///
/// # Errors
/// [`ViewError`] when view or keys cannot be read.
pub fn disclosed_agent(reading: &Reading<'_>, id: AgentId) -> Result<Option<AgentView>, ViewError> {
    let Some(row) = AGENTS.get(reading.identity, id)? else { return Ok(None) };
    if row.disclosure == Disclosure::None {
        return Ok(None);
    }
    agent(reading, row.tenant, id)
}

/// A page by number of the agents of all tenants that are listed and not decommissioned, of those that fit; the one listed
/// last for the first time comes first.
///
/// # Errors
/// [`ViewError`] when view or keys cannot be read.
pub fn listed_agents(
    reading: &Reading<'_>, fits: Option<&dyn Fn(&AgentView) -> bool>, page: PageNumber,
) -> Result<NumberedPage<AgentView>, ViewError> {
    let rows = reading.identity;
    let length = LISTED.len(rows, ())?;
    let at = |ordinal| -> Result<AgentView, ViewError> {
        let found = disclosed_agent(reading, member(LISTED.get(rows, (), ordinal)?)?)?;
        Ok(found.ok_or(RowsError::Missing("a listed agent"))?)
    };
    let Some(fits) = fits else {
        let ordinals = LISTED_NOW.page(rows, (), length, page.span())?;
        let items = ordinals.into_iter().map(at).collect::<Result<_, _>>()?;
        return Ok(NumberedPage { items, total: LISTED_NOW.len(rows, (), length)? });
    };
    let (mut items, mut total, mut after) = (Vec::new(), 0, None);
    loop {
        let span = Span { order: Order::Descending, after, skip: 0, limit: STRIDE };
        let candidates = LISTED_NOW.page(rows, (), length, span)?;
        for ordinal in &candidates {
            let agent = at(*ordinal)?;
            if fits(&agent) {
                if total >= page.skip() && items.len() < page.size {
                    items.push(agent);
                }
                total += 1;
            }
        }
        match candidates.last() {
            Some(last) if candidates.len() == STRIDE => after = Some(*last),
            _ => return Ok(NumberedPage { items, total }),
        }
    }
}

/// Most agents that one request with filters looks at, from the newest on.
const FILTERED_MAX: u64 = 100_000;

/// A page by number of a tenant's agents that are taken, newest first. When all are (`is_all`), what is not on the page
/// need not be read; else those are found among the newest 100,000.
///
/// # Errors
/// [`ViewError`] when view or keys cannot be read.
pub fn agents_of_tenant(
    reading: &Reading<'_>, tenant: TenantId, page: PageNumber, is_all: bool, takes: impl Fn(&AgentView) -> bool,
) -> Result<NumberedPage<AgentView>, ViewError> {
    let rows = reading.identity;
    let mut around = Surroundings::of(reading, tenant);
    let length = AGENTS_BY_TENANT.len(rows, tenant)?;
    let (skip, size) = (page.skip(), page.size as u64);
    let (mut items, mut total) = (Vec::new(), 0);
    if is_all {
        for (_, id) in AGENTS_BY_TENANT.page(rows, tenant, Order::Descending, skip, page.size)? {
            items.extend(around.agent(id)?);
        }
        return Ok(NumberedPage { items, total: length });
    }
    for ordinal in (length.saturating_sub(FILTERED_MAX - 1).max(1)..=length).rev() {
        let Some(agent) = around.agent(member(AGENTS_BY_TENANT.get(rows, tenant, ordinal)?)?)? else { continue };
        if takes(&agent) {
            if total >= skip && total - skip < size {
                items.push(agent);
            }
            total += 1;
        }
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
            listed: agent.listed,
            profile,
            identity_key: agent.identity_key.map(key),
            did_key: agent.did_key.map(key),
            granted: GRANTS.get(self.reading.identity, agent.agent)?.map_or_else(GrantedView::default, |granted| {
                GrantedView { scopes: granted.scopes, administrator: granted.administrator }
            }),
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
