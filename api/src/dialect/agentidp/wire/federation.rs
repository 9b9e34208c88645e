//! Partners whose tokens are believed (rows 36 to 41). Partners are in the vendor's other spelling, with underscores.

use chancery_ledger::ids::IssuerId;
use chancery_projections::identity::state::{Issuer, IssuerStatus};
use chancery_projections::identity::view::IssuerView;
use serde::Serialize;

use super::Time;
use crate::issuers::Claims;

/// A partner.
#[derive(Debug, Serialize)]
pub struct Partner {
    id: IssuerId,
    name: String,
    issuer: String,
    jwks_uri: String,
    allowed_organizations: Vec<String>,
    status: &'static str,
    expires_at: Option<Time>,
    created_at: Time,
    updated_at: Time,
}

impl Partner {
    /// An issuer, as a view shows it.
    #[must_use]
    pub fn of(issuer: IssuerView) -> Self {
        Self {
            id: issuer.id,
            name: issuer.name,
            issuer: issuer.iss,
            jwks_uri: issuer.jwks_uri,
            allowed_organizations: issuer.organisations,
            status: status(issuer.status),
            expires_at: issuer.expires.map(Time),
            created_at: Time(issuer.created),
            updated_at: Time(issuer.updated),
        }
    }

    /// An issuer, as a command left it.
    #[must_use]
    pub fn left(issuer: Issuer, at: IssuerStatus) -> Self {
        Self {
            id: issuer.issuer,
            name: issuer.name,
            issuer: issuer.iss,
            jwks_uri: issuer.jwks_uri,
            allowed_organizations: issuer.organisations,
            status: status(at),
            expires_at: issuer.expires.map(Time),
            created_at: Time(issuer.created),
            updated_at: Time(issuer.updated),
        }
    }
}

/// The vendor has no word for a partner that was removed, and shows none.
const fn status(status: IssuerStatus) -> &'static str {
    match status {
        IssuerStatus::Active => "active",
        IssuerStatus::Suspended => "suspended",
        IssuerStatus::Expired | IssuerStatus::Removed => "expired",
    }
}

/// What a look at a partner's token found.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    /// Whether it is believed.
    pub valid: bool,
    /// Whose it is.
    pub issuer: Option<String>,
    /// Whom it is about.
    pub subject: Option<String>,
    /// Of which organisation.
    pub organization_id: Option<String>,
    /// All that it says.
    pub claims: Option<Claims>,
    /// Why it is not believed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
