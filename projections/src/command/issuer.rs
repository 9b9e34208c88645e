//! Issuers whose tokens are believed, and rules that let their subjects in as agents.

use chancery_ledger::ids::{AgentId, IssuerId, IssuerRuleId};
use chancery_ledger::time::Micros;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::agent::given;

/// See [`super::Command::TrustIssuer`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustIssuer {
    /// Its name for people: 2 to 100 characters.
    pub name: String,
    /// What its tokens say as `iss`: an absolute URI of up to 255 characters, unique in the tenant.
    pub iss: String,
    /// Where its keys are (RFC 7517): an absolute URI of up to 2,048 characters.
    pub jwks_uri: String,
    /// Of which organisations its tokens may be, by their claim `organization_id`: up to 64; any, if none is named.
    #[serde(default)]
    pub organisations: Vec<String>,
    /// When it is believed no longer; never, if absent.
    #[serde(default)]
    pub expires: Option<Micros>,
}

/// See [`super::Command::UpdateIssuer`]. What is absent stays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateIssuer {
    /// Which.
    pub issuer: IssuerId,
    /// Its new name.
    #[serde(default)]
    pub name: Option<String>,
    /// Where its keys are now.
    #[serde(default)]
    pub jwks_uri: Option<String>,
    /// Of which organisations its tokens may be now.
    #[serde(default)]
    pub organisations: Option<Vec<String>>,
    /// When it is believed no longer; `null`: never.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub expires: Option<Option<Micros>>,
    /// Whether it is not believed until further notice.
    #[serde(default)]
    pub suspended: Option<bool>,
}

/// See [`super::Command::RemoveIssuer`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveIssuer {
    /// Which.
    pub issuer: IssuerId,
}

/// See [`super::Command::AddIssuerRule`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddIssuerRule {
    /// Which issuer, by the name of its sort: `github`.
    pub provider: String,
    /// The repository that a token must be of: `owner/name`.
    pub repository: String,
    /// The branch that it must be of; any, if absent.
    #[serde(default)]
    pub branch: Option<String>,
    /// As which agent it lets in.
    pub agent: AgentId,
    /// Whether the caller's credential lets it manage every agent's; the API sets it.
    #[serde(skip)]
    pub as_administrator: bool,
}

/// See [`super::Command::RemoveIssuerRule`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveIssuerRule {
    /// Which.
    pub rule: IssuerRuleId,
    /// Whether the caller's credential lets it manage every agent's; the API sets it.
    #[serde(skip)]
    pub as_administrator: bool,
}
