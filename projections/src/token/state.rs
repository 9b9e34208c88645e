//! What the token view knows: rows, and the tables they stand in. Those of counts are in [`super::usage`].

use chancery_ledger::actor::Principal;
use chancery_ledger::body::field::Signature;
use chancery_ledger::body::token::{Grant, Profile};
use chancery_ledger::ids::{AgentId, KeyId, MissionId, TenantId, TokenId};
use chancery_ledger::link::Hash;
use chancery_ledger::shred::Encrypted;
use chancery_ledger::time::Micros;
use serde::{Deserialize, Serialize};

use crate::rows::subset::Subset;
use crate::rows::table::{DenseList, Table};
use crate::rows::{Rows, RowsError};

/// Tokens, by id.
pub const TOKENS: Table<Token> = Table::new(1);
/// Tokens of an agent, by agent and profile code.
pub const TOKENS_BY_AGENT: DenseList<TokenId> = DenseList::new(2).for_readers();
/// Tokens of a mission, by mission and profile code.
pub const TOKENS_BY_MISSION: DenseList<TokenId> = DenseList::new(4);
/// Tokens derived from a token.
pub const CHILDREN: DenseList<TokenId> = DenseList::new(6);
/// Tokens of a tenant.
pub const TOKENS_BY_TENANT: DenseList<TokenId> = DenseList::new(8).for_readers();
/// Which tokens of a mission no event ended, and until when they live, by mission and profile code.
pub const LIVE_IN_MISSION: Subset = Subset::new(10);

/// The byte that stands for a profile in keys.
#[must_use]
pub const fn profile_code(profile: Profile) -> u8 {
    profile as u8
}

/// A token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Token {
    /// Its id.
    pub token: TokenId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its sort.
    pub profile: Profile,
    /// How it came to be.
    pub grant: Grant,
    /// Whose right it is.
    pub principal: Principal,
    /// Its agent.
    pub agent: Option<AgentId>,
    /// Its mission.
    pub mission: Option<MissionId>,
    /// Its place in the mission's list.
    pub ordinal: u64,
    /// The token it was derived from.
    pub parent: Option<TokenId>,
    /// 0 for a root, else its parent's and one.
    pub depth: u8,
    /// Who is to accept it.
    pub audience: Vec<String>,
    /// What it allows, in the order asked.
    pub scopes: Vec<String>,
    /// `TokenTerms` of `TokenIssued`, under the mission's key.
    pub terms: Option<Encrypted>,
    /// Since when.
    pub issued: Micros,
    /// The last instant at which it is live.
    pub expires: Micros,
    /// Thumbprint of the key it is bound to.
    pub cnf: Option<Hash>,
    /// The key that signed it.
    pub key: Option<KeyId>,
    /// Its signature.
    pub signature: Option<Signature>,
    /// The caller's name for its limits.
    pub snapshot: Option<String>,
    /// Whether it was marked used.
    pub used: bool,
    /// How it was revoked, if it was.
    pub revoked: Option<Revocation>,
}

/// How a token was revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// When.
    pub at: Micros,
    /// Text of `TokenRevoked`, under the agent's key.
    pub reason: Option<Encrypted>,
}

impl Token {
    /// Whether the token itself is live at a time; its agent, mission and tenant are asked separately.
    #[must_use]
    pub fn is_live(&self, now: Micros) -> bool {
        !self.used && self.revoked.is_none() && now <= self.expires
    }
}

/// The newest token of a mission's list, before an ordinal, that is live at a time as far as the token itself goes; and
/// its ordinal.
///
/// # Errors
/// [`RowsError`] when the view's storage fails or the view is damaged.
pub fn newest_live(
    rows: &dyn Rows, list: (MissionId, u8), before: u64, now: Micros,
) -> Result<Option<(u64, Token)>, RowsError> {
    let length = TOKENS_BY_MISSION.len(rows, list)?;
    let Some(ordinal) = LIVE_IN_MISSION.newest(rows, list, length, before, now)? else { return Ok(None) };
    let id = TOKENS_BY_MISSION.get(rows, list, ordinal)?.ok_or(RowsError::Missing("a list's member"))?;
    let token = TOKENS.get(rows, id)?.ok_or(RowsError::Missing("a token"))?;
    Ok(Some((ordinal, token)))
}
