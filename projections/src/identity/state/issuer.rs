//! Issuers whose tokens are believed, and rules that let their subjects in as agents.

use chancery_ledger::ids::{AgentId, IssuerId, IssuerRuleId, TenantId};
use chancery_ledger::time::Micros;
use serde::{Deserialize, Serialize};

use crate::rows::subset::Subset;
use crate::rows::table::{DenseList, Table};

/// Issuers, by id.
pub const ISSUERS: Table<Issuer> = Table::new(40);
/// Issuers that were not removed, by tenant and `iss`.
pub const ISSUERS_BY_ISS: Table<IssuerId> = Table::new(41);
/// Issuers of a tenant.
pub const ISSUER_LIST: DenseList<IssuerId> = DenseList::new(42).for_readers();
/// Which issuers of a tenant were not removed.
pub const KEPT_ISSUERS: Subset = Subset::new(43).for_readers();
/// Rules, by id.
pub const ISSUER_RULES: Table<IssuerRule> = Table::new(44);
/// Rules of a tenant.
pub const ISSUER_RULE_LIST: DenseList<IssuerRuleId> = DenseList::new(45).for_readers();
/// Which rules of a tenant were not removed.
pub const KEPT_ISSUER_RULES: Subset = Subset::new(46).for_readers();
/// Rules that were not removed, oldest first, by tenant, provider and [`repository_key`].
pub const RULES_OF_REPOSITORY: Table<Vec<IssuerRuleId>> = Table::new(47);
/// Tenants that have such rules, by provider and [`repository_key`].
pub const TENANTS_OF_REPOSITORY: Table<Vec<TenantId>> = Table::new(48);
/// Rules that were not removed, oldest first, by agent.
pub const RULES_OF_AGENT: Table<Vec<IssuerRuleId>> = Table::new(49);

/// An issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issuer {
    /// Its id.
    pub issuer: IssuerId,
    /// Who believes it.
    pub tenant: TenantId,
    /// Its place in the tenant's list.
    pub ordinal: u64,
    /// Its name.
    pub name: String,
    /// What its tokens say as `iss`.
    pub iss: String,
    /// Where its keys are.
    pub jwks_uri: String,
    /// Of which organisations its tokens may be; empty for any.
    pub organisations: Vec<String>,
    /// Whether it is not believed until further notice.
    pub suspended: bool,
    /// When it is believed no longer.
    pub expires: Option<Micros>,
    /// When it was removed, if it was.
    pub removed: Option<Micros>,
    /// Since when.
    pub created: Micros,
    /// When it last changed.
    pub updated: Micros,
}

/// Whether an issuer is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IssuerStatus {
    /// It is.
    Active,
    /// Not until further notice.
    Suspended,
    /// Not since a time that was set.
    Expired,
    /// Not any more, for good.
    Removed,
}

impl Issuer {
    /// Whether it is believed at a time.
    #[must_use]
    pub fn status(&self, now: Micros) -> IssuerStatus {
        if self.removed.is_some() {
            IssuerStatus::Removed
        } else if self.expires.is_some_and(|expires| now > expires) {
            IssuerStatus::Expired
        } else if self.suspended {
            IssuerStatus::Suspended
        } else {
            IssuerStatus::Active
        }
    }

    /// Whether tokens of one of its organisations are believed.
    #[must_use]
    pub fn admits(&self, organisation: Option<&str>) -> bool {
        self.organisations.is_empty()
            || self.organisations.iter().any(|admitted| Some(admitted.as_str()) == organisation)
    }
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerRule {
    /// Its id.
    pub rule: IssuerRuleId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its place in the tenant's list.
    pub ordinal: u64,
    /// Which issuer, by the name of its sort.
    pub provider: String,
    /// The repository that the token must be of.
    pub repository: String,
    /// The branch that it must be of; any, if none is named.
    pub branch: Option<String>,
    /// As which agent it lets in.
    pub agent: AgentId,
    /// When it was removed, if it was.
    pub removed: Option<Micros>,
    /// Since when.
    pub created: Micros,
    /// When it last changed.
    pub updated: Micros,
}

impl IssuerRule {
    /// Whether it is about a branch.
    #[must_use]
    pub fn covers(&self, branch: Option<&str>) -> bool {
        self.branch.is_none() || self.branch.as_deref() == branch
    }
}

/// A repository's name as it is looked up: letters of either case are the same to its host.
#[must_use]
pub fn repository_key(repository: &str) -> String {
    repository.to_ascii_lowercase()
}
