//! What tokens say, in JSON.

use chancery_ledger::actor::Principal;
use chancery_ledger::ids::{AgentId, OrganisationId, ThingId as _};
use chancery_ledger::time::Micros;
use chancery_projections::b64u;
use chancery_projections::token::state::Token;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What stands for a tenant's default organisation in tokens.
const DEFAULT_ORGANISATION: &str = "org_system";

/// Who acts for somebody else, and through whom (RFC 8693 section 4.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Act {
    sub: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<Box<Self>>,
}

impl Act {
    /// Those who act, last first; `None` when whose right it is acts itself.
    #[must_use]
    pub fn of(actors: &[AgentId]) -> Option<Self> {
        let (last, before) = actors.split_first()?;
        Some(Self { sub: last.uuid(), act: Self::of(before).map(Box::new) })
    }
}

/// What an access token says (contracts/agentidp.md section 8).
#[derive(Debug, Serialize)]
pub struct AccessClaims<'a> {
    iss: &'a str,
    sub: String,
    client_id: String,
    scope: String,
    jti: Uuid,
    iat: i64,
    exp: i64,
    organization_id: String,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    aud: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Confirmation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<Act>,
}

/// What an ID token says of a client beside what it says of itself (OpenID Connect Core section 2).
#[derive(Debug, Serialize)]
pub struct IdClaims<'a, T> {
    iss: &'a str,
    aud: Uuid,
    jti: String,
    iat: i64,
    exp: i64,
    /// Of the client.
    #[serde(flatten)]
    about: T,
}

impl<'a, T: Serialize> IdClaims<'a, T> {
    /// What the ID token says that goes with an access token.
    #[must_use]
    pub fn of(token: &Token, issuer: &'a str, about: T) -> Self {
        let client = token.agent.map_or(token.principal.uuid(), |agent| agent.uuid());
        // No token's id, so that it passes for none.
        let jti = format!("id:{}", token.token);
        Self { iss: issuer, aud: client, jti, iat: seconds(token.issued), exp: seconds(token.expires), about }
    }
}

/// The key that a token is bound to (RFC 7800, RFC 9449 section 6.1).
#[derive(Debug, Serialize)]
struct Confirmation {
    jkt: String,
}

impl<'a> AccessClaims<'a> {
    /// What a token says.
    #[must_use]
    pub fn of(token: &'a Token, actors: &[AgentId], organisation: Option<OrganisationId>, issuer: &'a str) -> Self {
        let subject = subject(&token.principal);
        Self {
            iss: issuer,
            client_id: token.agent.map_or_else(|| subject.clone(), |agent| agent.to_string()),
            sub: subject,
            scope: token.scopes.join(" "),
            jti: token.token.uuid(),
            iat: seconds(token.issued),
            exp: seconds(token.expires),
            organization_id: organisation_text(organisation),
            aud: &token.audience,
            cnf: token.cnf.map(|key| Confirmation { jkt: b64u::render(&key.0) }),
            act: Act::of(actors),
        }
    }
}

/// Whose right a token is, as it says it: an agent's id, or what its issuer calls somebody who is no agent.
#[must_use]
pub fn subject(principal: &Principal) -> String {
    match principal {
        Principal::Subject(text) => text.split_once('\n').map_or(text.as_str(), |(_, subject)| subject).to_owned(),
        other => other.uuid().to_string(),
    }
}

/// An organisation, as tokens name it.
#[must_use]
pub fn organisation_text(organisation: Option<OrganisationId>) -> String {
    organisation.map_or_else(|| DEFAULT_ORGANISATION.to_owned(), |id| id.to_string())
}

/// A time as JWTs have it (RFC 7519 section 2).
#[must_use]
pub const fn seconds(time: Micros) -> i64 {
    time.0.div_euclid(1_000_000)
}

/// What of an access token is read back: its id. Everything else is asked of the ledger. Whatever else our keys sign, an ID
/// token above all, has no `client_id`.
#[derive(Debug, Deserialize)]
pub struct TokenClaims {
    /// Whose it is.
    pub client_id: String,
    /// Its id.
    pub jti: String,
}
