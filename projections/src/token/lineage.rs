//! Tokens that were made from tokens: whose right they are, who acts by them, and on what else they depend.
//!
//! A delegation lends a right to another agent; an access token that is exchanged for it is that right, used by the other
//! agent; and that one can lend it further, at most [`DEPTH_MAX`] steps from where it began. Every step keeps its
//! principal, whose right it is, and names the agent that acts. Each ends with any step before it, and with any agent of
//! the line.

use chancery_ledger::actor::Principal;
use chancery_ledger::body::token::Profile;
use chancery_ledger::ids::{AgentId, TenantId, TokenId};

use super::state::{TOKENS, Token};
use crate::credential::secret_hash;
use crate::identity::state::AGENTS;
use crate::identity::view::Surroundings;
use crate::rows::table::Table;
use crate::rows::{Rows, RowsError};
use crate::view::{Reading, ViewError};

/// Tokens whose text is kept nowhere, by its hash.
pub const TOKEN_HASHES: Table<TokenId> = Table::new(40);

/// How far from its first token a token can be.
pub const DEPTH_MAX: u8 = 4;

/// The tokens that a token was made from, the nearest first.
///
/// # Errors
/// [`RowsError`] when the view cannot be read or is damaged.
pub fn ancestors(rows: &dyn Rows, token: &Token) -> Result<Vec<Token>, RowsError> {
    let mut found: Vec<Token> = Vec::new();
    let mut parent = token.parent;
    while let Some(id) = parent
        && found.len() < usize::from(DEPTH_MAX)
    {
        let token = TOKENS.get(rows, id)?.ok_or(RowsError::Missing("a token's parent"))?;
        parent = token.parent;
        found.push(token);
    }
    Ok(found)
}

/// Who acts by a token that is another's right, last first: an agent, and those through which it came to it. `line` is
/// the token and its [`ancestors`].
#[must_use]
pub fn actors<'a>(line: impl IntoIterator<Item = &'a Token>) -> Vec<AgentId> {
    let mut actors = Vec::new();
    for token in line {
        match (&token.principal, token.agent) {
            (Principal::Agent(principal), Some(agent)) if *principal != agent && actors.last() != Some(&agent) => {
                actors.push(agent);
            }
            _ => {}
        }
    }
    actors
}

/// Every agent on which a token depends: whose right it is, and who acts by it. `line` is the token and its
/// [`ancestors`].
#[must_use]
pub fn parties(line: &[Token]) -> Vec<AgentId> {
    let mut parties = actors(line);
    for token in line {
        if let Principal::Agent(principal) = token.principal
            && !parties.contains(&principal)
        {
            parties.push(principal);
        }
        parties.extend(token.agent.filter(|agent| !parties.contains(agent)));
    }
    parties
}

/// A token and its [`ancestors`].
///
/// # Errors
/// As [`ancestors`].
pub fn line(rows: &dyn Rows, token: Token) -> Result<Vec<Token>, RowsError> {
    let above = ancestors(rows, &token)?;
    Ok(std::iter::once(token).chain(above).collect())
}

/// Who lent the right that a delegation is: the agent that acted by the token it was made from.
///
/// # Errors
/// [`RowsError`] when the view cannot be read or is damaged.
pub fn delegator(rows: &dyn Rows, delegation: &Token) -> Result<Option<AgentId>, RowsError> {
    let Some(parent) = delegation.parent else { return Ok(None) };
    let parent = TOKENS.get(rows, parent)?.ok_or(RowsError::Missing("a token's parent"))?;
    Ok(parent.agent)
}

/// A delegation, as readers see it.
#[derive(Debug, Clone, PartialEq)]
pub struct DelegationView {
    /// The token.
    pub token: Token,
    /// Who lent it.
    pub delegator: Option<AgentId>,
    /// Whether it can be used.
    pub live: bool,
}

/// A delegation of a tenant.
///
/// # Errors
/// [`ViewError`] when views cannot be read.
pub fn delegation(reading: &Reading<'_>, tenant: TenantId, id: TokenId) -> Result<Option<DelegationView>, ViewError> {
    let found = TOKENS.get(reading.token, id)?;
    let Some(token) = found.filter(|token| token.tenant == tenant && token.profile == Profile::Delegation) else {
        return Ok(None);
    };
    let delegator = delegator(reading.token, &token)?;
    let live =
        token.is_live(reading.now) && unusable(reading, &mut Surroundings::of(reading, tenant), &token)?.is_none();
    Ok(Some(DelegationView { token, delegator, live }))
}

/// The delegation of a tenant that has this text.
///
/// # Errors
/// [`ViewError`] when views cannot be read.
pub fn delegation_of_text(
    reading: &Reading<'_>, tenant: TenantId, text: &str,
) -> Result<Option<DelegationView>, ViewError> {
    match TOKEN_HASHES.get(reading.token, secret_hash(text))? {
        Some(id) => delegation(reading, tenant, id),
        None => Ok(None),
    }
}

/// Why a token that is itself live cannot be used; `None` when it can.
pub(super) fn unusable(
    reading: &Reading<'_>, around: &mut Surroundings<'_>, token: &Token,
) -> Result<Option<&'static str>, ViewError> {
    let line = line(reading.token, token.clone())?;
    if line.iter().any(|token| token.revoked.is_some()) {
        return Ok(Some("revoked"));
    }
    for id in parties(&line) {
        let agent = AGENTS.get(reading.identity, id)?.ok_or(RowsError::Missing("an agent"))?;
        if let Some(why) = around.unusable(&agent)? {
            return Ok(Some(why));
        }
    }
    around.tenant_not_active()
}
