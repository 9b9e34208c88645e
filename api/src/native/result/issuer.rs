//! Issuers and their rules as a command left them.

use chancery_ledger::ids::{AgentId, IssuerId, IssuerRuleId};
use chancery_ledger::time::Micros;
use chancery_projections::identity::state::{Issuer, IssuerRule};
use schemars::JsonSchema;
use serde::Serialize;

/// An issuer.
#[derive(Debug, Serialize, JsonSchema)]
pub struct IssuerResult {
    /// Its id.
    pub id: IssuerId,
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
    /// Whether it was removed.
    pub removed: bool,
    /// Since when.
    pub created: Micros,
    /// When it last changed.
    pub updated: Micros,
}

/// A rule of an issuer.
#[derive(Debug, Serialize, JsonSchema)]
pub struct IssuerRuleResult {
    /// Its id.
    pub id: IssuerRuleId,
    /// Which issuer, by the name of its sort.
    pub provider: String,
    /// The repository that a token must be of.
    pub repository: String,
    /// The branch that it must be of; any, if `null`.
    pub branch: Option<String>,
    /// As which agent it lets in.
    pub agent: AgentId,
    /// Whether it lets nobody in any more.
    pub removed: bool,
    /// Since when.
    pub created: Micros,
}

pub(super) fn issuer(row: Issuer) -> IssuerResult {
    IssuerResult {
        id: row.issuer,
        name: row.name,
        iss: row.iss,
        jwks_uri: row.jwks_uri,
        organisations: row.organisations,
        suspended: row.suspended,
        expires: row.expires,
        removed: row.removed.is_some(),
        created: row.created,
        updated: row.updated,
    }
}

pub(super) fn issuer_rule(row: IssuerRule) -> IssuerRuleResult {
    IssuerRuleResult {
        id: row.rule,
        provider: row.provider,
        repository: row.repository,
        branch: row.branch,
        agent: row.agent,
        removed: row.removed.is_some(),
        created: row.created,
    }
}
