//! Tokens and what is said of them (contracts/agentidp.md section 8).

use chancery_ledger::ids::{AgentId, ThingId as _};
use chancery_projections::b64u;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::agents::Agent;
use crate::auth::access_token::AccessToken;
use crate::jose::{Act, organisation_text, seconds, subject};

/// What a token that is worth nothing is said to be.
pub const INACTIVE: &str = r#"{"active":false}"#;

/// A new access token.
#[derive(Debug, Serialize)]
pub struct TokenAnswer {
    /// Its text.
    pub access_token: String,
    /// How it is presented.
    pub token_type: &'static str,
    /// For how many seconds it lives.
    pub expires_in: i64,
    /// What it allows.
    pub scope: String,
    /// What sort of token it is, of one that was exchanged (RFC 8693 section 2.2.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_token_type: Option<&'static str>,
    /// Who its client is, signed, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token: Option<String>,
}

/// What an agent says of itself (contract row 49), and what an ID token says of it.
#[derive(Debug, Serialize)]
pub struct AgentInfo {
    sub: AgentId,
    agent_id: AgentId,
    agent_type: &'static str,
    organization_id: String,
    capabilities: Vec<String>,
    deployment_env: &'static str,
    owner: String,
}

impl AgentInfo {
    /// What an agent says of itself.
    #[must_use]
    pub fn of(agent: Agent) -> Self {
        Self {
            sub: agent.agent_id,
            agent_id: agent.agent_id,
            agent_type: agent.agent_type,
            organization_id: organisation_text(agent.organization_id),
            capabilities: agent.capabilities,
            deployment_env: agent.deployment_env,
            owner: agent.owner,
        }
    }
}

/// What is said of a token that is worth something (RFC 7662 section 2.2).
#[derive(Debug, Serialize)]
pub struct Introspection {
    active: bool,
    sub: String,
    client_id: String,
    scope: String,
    token_type: &'static str,
    iat: i64,
    exp: i64,
    jti: Uuid,
    organization_id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aud: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<Act>,
}

impl Introspection {
    /// What is said of a token.
    #[must_use]
    pub fn of(known: &AccessToken) -> Self {
        let token = &known.token;
        Self {
            active: true,
            sub: subject(&token.principal),
            client_id: token.agent.map_or_else(|| subject(&token.principal), |agent| agent.to_string()),
            scope: token.scopes.join(" "),
            token_type: if token.cnf.is_some() { "DPoP" } else { "Bearer" },
            iat: seconds(token.issued),
            exp: seconds(token.expires),
            jti: token.token.uuid(),
            organization_id: organisation_text(known.organisation),
            aud: token.audience.clone(),
            cnf: token.cnf.map(|key| json!({ "jkt": b64u::render(&key.0) })),
            act: Act::of(&known.actors),
        }
    }
}
