//! Issuers whose tokens are believed, and rules that let their subjects in as agents.

use chancery_ledger::ids::{AgentId, IssuerId, IssuerRuleId, Seq, TenantId};
use chancery_ledger::time::Micros;
use schemars::JsonSchema;
use serde::Serialize;

use super::member;
use crate::identity::state::{
    ISSUER_LIST, ISSUER_RULE_LIST, ISSUER_RULES, ISSUERS, ISSUERS_BY_ISS, Issuer, IssuerRule, IssuerStatus,
    KEPT_ISSUER_RULES, KEPT_ISSUERS, RULES_OF_AGENT,
};
use crate::rows::table::Versioned;
use crate::view::{NumberedPage, Page, PageNumber, Paging, Reading, ViewError};

/// An issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct IssuerView {
    /// Its id.
    pub id: IssuerId,
    /// Who believes it.
    pub tenant: TenantId,
    /// Its name.
    pub name: String,
    /// What its tokens say as `iss`.
    pub iss: String,
    /// Where its keys are.
    pub jwks_uri: String,
    /// Of which organisations its tokens may be; empty for any.
    pub organisations: Vec<String>,
    /// Whether it is believed.
    pub status: IssuerStatus,
    /// When it is believed no longer.
    pub expires: Option<Micros>,
    /// Since when.
    pub created: Micros,
    /// When it last changed.
    pub updated: Micros,
    /// The event that last changed it, for `If-Match`.
    pub version: Seq,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct IssuerRuleView {
    /// Its id.
    pub id: IssuerRuleId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Which issuer, by the name of its sort.
    pub provider: String,
    /// The repository that the token must be of.
    pub repository: String,
    /// The branch that it must be of; any, if `null`.
    pub branch: Option<String>,
    /// As which agent it lets in.
    pub agent: AgentId,
    /// Whether it lets nobody in any more.
    pub removed: bool,
    /// Since when.
    pub created: Micros,
    /// When it last changed.
    pub updated: Micros,
    /// The event that last changed it, for `If-Match`.
    pub version: Seq,
}

/// An issuer of a tenant, removed or not.
///
/// # Errors
/// [`ViewError`] when the view cannot be read.
pub fn issuer(reading: &Reading<'_>, tenant: TenantId, id: IssuerId) -> Result<Option<IssuerView>, ViewError> {
    let found = ISSUERS.get_versioned(reading.identity, id)?.filter(|it| it.value.tenant == tenant);
    Ok(found.map(|row| issuer_view(row, reading.now)))
}

/// The issuers of a tenant, removed ones among them.
///
/// # Errors
/// [`ViewError`] when the view cannot be read.
pub fn issuers(reading: &Reading<'_>, tenant: TenantId, paging: &Paging) -> Result<Page<IssuerView>, ViewError> {
    let rows = reading.identity;
    paging.over(ISSUER_LIST.len(rows, tenant)?, |ordinal| {
        issuer(reading, tenant, member(ISSUER_LIST.get(rows, tenant, ordinal)?)?)
    })
}

/// A page by number of a tenant's issuers that were not removed, newest first.
///
/// # Errors
/// [`ViewError`] when the view cannot be read.
pub fn kept_issuers(
    reading: &Reading<'_>, tenant: TenantId, page: PageNumber,
) -> Result<NumberedPage<IssuerView>, ViewError> {
    let rows = reading.identity;
    let length = ISSUER_LIST.len(rows, tenant)?;
    let mut items = Vec::new();
    for ordinal in KEPT_ISSUERS.page(rows, tenant, length, page.span())? {
        items.extend(issuer(reading, tenant, member(ISSUER_LIST.get(rows, tenant, ordinal)?)?)?);
    }
    Ok(NumberedPage { items, total: KEPT_ISSUERS.len(rows, tenant, length)? })
}

/// The issuer that a tenant believes under an `iss`, as its row.
///
/// # Errors
/// [`ViewError`] when the view cannot be read.
pub fn issuer_by_iss(reading: &Reading<'_>, tenant: TenantId, iss: &str) -> Result<Option<Issuer>, ViewError> {
    match ISSUERS_BY_ISS.get(reading.identity, (tenant, iss))? {
        Some(id) => Ok(ISSUERS.get(reading.identity, id)?),
        None => Ok(None),
    }
}

/// A rule of a tenant, removed or not.
///
/// # Errors
/// [`ViewError`] when the view cannot be read.
pub fn issuer_rule(
    reading: &Reading<'_>, tenant: TenantId, id: IssuerRuleId,
) -> Result<Option<IssuerRuleView>, ViewError> {
    let found = ISSUER_RULES.get_versioned(reading.identity, id)?.filter(|it| it.value.tenant == tenant);
    Ok(found.map(rule_view))
}

/// The rules of a tenant, removed ones among them; or those of one agent.
///
/// # Errors
/// [`ViewError`] when the view cannot be read.
pub fn issuer_rules(
    reading: &Reading<'_>, tenant: TenantId, agent: Option<AgentId>, paging: &Paging,
) -> Result<Page<IssuerRuleView>, ViewError> {
    let rows = reading.identity;
    paging.over(ISSUER_RULE_LIST.len(rows, tenant)?, |ordinal| {
        let rule = issuer_rule(reading, tenant, member(ISSUER_RULE_LIST.get(rows, tenant, ordinal)?)?)?;
        Ok(rule.filter(|rule| agent.is_none_or(|agent| rule.agent == agent)))
    })
}

/// A page by number of a tenant's rules that were not removed, newest first; or of those of one agent.
///
/// # Errors
/// [`ViewError`] when the view cannot be read.
pub fn kept_issuer_rules(
    reading: &Reading<'_>, tenant: TenantId, agent: Option<AgentId>, page: PageNumber,
) -> Result<NumberedPage<IssuerRuleView>, ViewError> {
    let rows = reading.identity;
    let mut items = Vec::new();
    let Some(agent) = agent else {
        let length = ISSUER_RULE_LIST.len(rows, tenant)?;
        for ordinal in KEPT_ISSUER_RULES.page(rows, tenant, length, page.span())? {
            items.extend(issuer_rule(reading, tenant, member(ISSUER_RULE_LIST.get(rows, tenant, ordinal)?)?)?);
        }
        return Ok(NumberedPage { items, total: KEPT_ISSUER_RULES.len(rows, tenant, length)? });
    };
    let mut total = 0;
    for id in RULES_OF_AGENT.get(rows, agent)?.unwrap_or_default().into_iter().rev() {
        // Another tenant's agent has rules too, which are not this tenant's.
        let Some(rule) = issuer_rule(reading, tenant, id)? else { continue };
        if total >= page.skip() && items.len() < page.size {
            items.push(rule);
        }
        total += 1;
    }
    Ok(NumberedPage { items, total })
}

fn issuer_view(row: Versioned<Issuer>, now: Micros) -> IssuerView {
    let Versioned { seq, value } = row;
    IssuerView {
        id: value.issuer,
        tenant: value.tenant,
        status: value.status(now),
        name: value.name,
        iss: value.iss,
        jwks_uri: value.jwks_uri,
        organisations: value.organisations,
        expires: value.expires,
        created: value.created,
        updated: value.updated,
        version: seq,
    }
}

fn rule_view(row: Versioned<IssuerRule>) -> IssuerRuleView {
    let Versioned { seq, value } = row;
    IssuerRuleView {
        id: value.rule,
        tenant: value.tenant,
        provider: value.provider,
        repository: value.repository,
        branch: value.branch,
        agent: value.agent,
        removed: value.removed.is_some(),
        created: value.created,
        updated: value.updated,
        version: seq,
    }
}
