//! Tokens as a command left them, and what was held against them.

use chancery_ledger::body::Kind;
use chancery_ledger::body::field::{JsonText, Signature};
use chancery_ledger::body::token::{Bound, Profile, TokenTerms};
use chancery_ledger::ids::{AgentId, KeyId, MissionId, TokenId};
use chancery_ledger::time::Micros;
use chancery_projections::context::{ContextError, Opener};
use chancery_projections::token::state::Token;
use schemars::JsonSchema;
use serde::Serialize;

use super::open;

/// A token.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TokenResult {
    /// Its id.
    pub id: TokenId,
    /// Its sort.
    pub profile: Profile,
    /// Its agent.
    pub agent: Option<AgentId>,
    /// Its mission.
    pub mission: Option<MissionId>,
    /// What it allows, in the order asked.
    pub scopes: Vec<String>,
    /// Parameters that must be exactly these; `null` when erased.
    pub immutable: Option<JsonText>,
    /// Parameters that must lie within these; `null` when erased.
    pub bounds: Option<Vec<Bound>>,
    /// The caller's name for these limits.
    pub snapshot: Option<String>,
    /// Since when.
    pub issued: Micros,
    /// The last instant at which it is live.
    pub expires: Micros,
    /// Whether it was marked used.
    pub used: bool,
    /// When it was revoked.
    pub revoked: Option<Micros>,
    /// The key that signed it.
    pub key: Option<KeyId>,
    /// Its signature.
    pub signature: Option<Signature>,
}

/// What a scope check found.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ScopeCheckResult {
    /// Whether it passed.
    pub passed: bool,
    /// Why not, in the order of checking.
    pub violations: Vec<String>,
}

pub(super) fn token(row: Token, opener: &Opener<'_>) -> Result<TokenResult, ContextError> {
    let terms: Option<TokenTerms> = open(row.terms.as_ref(), opener, row.tenant, Kind::TokenIssued, "terms")?;
    let (immutable, bounds) = terms.map_or((None, None), |terms| (Some(terms.immutable), Some(terms.bounds)));
    Ok(TokenResult {
        id: row.token,
        profile: row.profile,
        agent: row.agent,
        mission: row.mission,
        scopes: row.scopes,
        immutable,
        bounds,
        snapshot: row.snapshot,
        issued: row.issued,
        expires: row.expires,
        used: row.used,
        revoked: row.revoked.map(|revoked| revoked.at),
        key: row.key,
        signature: row.signature,
    })
}
