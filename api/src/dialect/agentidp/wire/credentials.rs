//! Client secrets.

use chancery_ledger::ids::{AgentId, CredentialId};
use chancery_ledger::time::Micros;
use chancery_projections::identity::state;
use chancery_projections::identity::view::CredentialView;
use serde::Serialize;

use super::Time;

/// A credential (contract section 7); never its secret.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Credential {
    /// Its id.
    pub credential_id: CredentialId,
    /// The agent whose it is.
    pub client_id: AgentId,
    /// `active` or `revoked`.
    pub status: &'static str,
    /// Since when.
    pub created_at: Time,
    /// When it lapses.
    pub expires_at: Option<Time>,
    /// When it was revoked.
    pub revoked_at: Option<Time>,
}

/// A credential, and its secret, which is shown this once; `null` when the request is a repeat.
#[derive(Debug, Serialize)]
pub struct CredentialWithSecret<'a> {
    /// The credential.
    #[serde(flatten)]
    pub credential: Credential,
    /// Its secret.
    #[serde(rename = "clientSecret")]
    pub client_secret: Option<&'a str>,
}

impl Credential {
    /// A credential of an agent as its view has it.
    #[must_use]
    pub fn of_view(agent: AgentId, view: &CredentialView) -> Self {
        Self::new(agent, view.id, view.created, view.expires, view.revoked)
    }

    /// A credential of an agent as a command left it.
    #[must_use]
    pub fn of(agent: AgentId, row: &state::Credential) -> Self {
        Self::new(agent, row.credential, row.created, row.expires, row.revoked)
    }

    fn new(
        agent: AgentId, id: CredentialId, created: Micros, expires: Option<Micros>, revoked: Option<Micros>,
    ) -> Self {
        Self {
            credential_id: id,
            client_id: agent,
            status: if revoked.is_some() { "revoked" } else { "active" },
            created_at: Time(created),
            expires_at: expires.map(Time),
            revoked_at: revoked.map(Time),
        }
    }
}
