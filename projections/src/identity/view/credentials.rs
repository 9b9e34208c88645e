//! Credentials, and challenges to agents.

use chancery_ledger::actor::Principal;
use chancery_ledger::body::identity::{ChallengePurpose, CredentialKind};
use chancery_ledger::ids::{AgentId, ChallengeId, CredentialId, Seq, TenantId};
use chancery_ledger::time::Micros;
use schemars::JsonSchema;
use serde::Serialize;

use super::member;
use crate::credential::secret_hash;
use crate::identity::state::{
    AGENTS, CHALLENGES, CREDENTIAL_HASHES, CREDENTIAL_LIST, CREDENTIALS, CREDENTIALS_BY_AGENT, CREDENTIALS_OF_AGENT,
    Credential, TENANTS, Tenant,
};
use crate::rows::table::Versioned;
use crate::rows::{Order, Rows, RowsError};
use crate::view::{NumberedPage, Page, PageNumber, Paging, Reading, ViewError};

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

/// Which credentials.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CredentialFilter {
    /// Those that let a principal in.
    pub principal: Option<Principal>,
    /// Those that let anybody in now, or those that do not.
    pub live: Option<bool>,
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

/// The client secrets of an agent; none of one that is not the tenant's.
///
/// # Errors
/// [`ViewError`] when the view cannot be read.
pub fn client_secrets(
    reading: &Reading<'_>, tenant: TenantId, agent: AgentId, paging: &Paging,
) -> Result<Page<CredentialView>, ViewError> {
    let rows = reading.identity;
    if AGENTS.get(rows, agent)?.is_none_or(|agent| agent.tenant != tenant) {
        return Ok(Page { items: Vec::new(), next: None });
    }
    paging.over(CREDENTIALS_BY_AGENT.len(rows, agent)?, |ordinal| {
        credential(reading, tenant, member(CREDENTIALS_BY_AGENT.get(rows, agent, ordinal)?)?)
    })
}

/// A page by number of an agent's client secrets, newest first: all, or those that are revoked or those that are not. Empty
/// for an agent that is not the tenant's.
///
/// # Errors
/// [`ViewError`] when the view cannot be read.
pub fn credentials_of_agent(
    reading: &Reading<'_>, tenant: TenantId, agent: AgentId, revoked: Option<bool>, page: PageNumber,
) -> Result<NumberedPage<CredentialView>, ViewError> {
    let rows = reading.identity;
    if AGENTS.get(rows, agent)?.is_none_or(|agent| agent.tenant != tenant) {
        return Ok(NumberedPage { items: Vec::new(), total: 0 });
    }
    let length = CREDENTIALS_BY_AGENT.len(rows, agent)?;
    let (ordinals, total): (Vec<u64>, u64) = match revoked {
        Some(revoked) => {
            let prefix = (agent, if revoked { Credential::REVOKED } else { Credential::ACTIVE });
            let ordinals = CREDENTIALS_OF_AGENT.page(rows, prefix, length, page.span())?;
            (ordinals, CREDENTIALS_OF_AGENT.len(rows, prefix, length)?)
        }
        None => {
            let listed = CREDENTIALS_BY_AGENT.page(rows, agent, Order::Descending, page.skip(), page.size)?;
            (listed.into_iter().map(|(ordinal, _)| ordinal).collect(), length)
        }
    };
    let mut items = Vec::new();
    for ordinal in ordinals {
        items.extend(credential(reading, tenant, member(CREDENTIALS_BY_AGENT.get(rows, agent, ordinal)?)?)?);
    }
    Ok(NumberedPage { items, total })
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
