//! What one agent lends another (rows 54 and 55).

use chancery_ledger::ids::{AgentId, TokenId};
use chancery_projections::token::state::Token;
use serde::Serialize;

use super::Time;

/// A new delegation.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Delegation {
    /// Its text, shown this once.
    pub delegation_token: Option<String>,
    /// What it is.
    #[serde(flatten)]
    pub chain: Chain,
}

/// Who lent what to whom.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Chain {
    chain_id: TokenId,
    delegator_agent_id: Option<AgentId>,
    delegatee_agent_id: Option<AgentId>,
    scopes: Vec<String>,
    expires_at: Time,
}

impl Chain {
    /// A delegation, and who lent it.
    #[must_use]
    pub fn of(token: Token, delegator: Option<AgentId>) -> Self {
        Self {
            chain_id: token.token,
            delegator_agent_id: delegator,
            delegatee_agent_id: token.agent,
            scopes: token.scopes,
            expires_at: Time(token.expires),
        }
    }
}

/// What a look at a text that should be a delegation's found.
#[derive(Debug, Serialize)]
pub struct DelegationVerdict {
    /// Whether it is one, and can be used.
    pub valid: bool,
    /// What it is, if it is one.
    #[serde(flatten)]
    pub chain: Option<Chain>,
}
