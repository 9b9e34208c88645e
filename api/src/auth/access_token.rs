//! Access tokens that were presented or looked into, and what they are worth: each text is checked once, and its worth is
//! looked up anew only when something that can change it was acknowledged.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use chancery_ledger::actor::Principal;
use chancery_ledger::body::token::Profile;
use chancery_ledger::ids::{AgentId, OrganisationId, TokenId, TreeSize};
use chancery_ledger::link::Hash;
use chancery_ledger::time::Micros;
use chancery_projections::identity::state::{AGENTS, ORGANISATIONS, Standing, TENANTS, Tenant};
use chancery_projections::rows::{Rows, RowsError};
use chancery_projections::scope::{AgentIdpScope, Scope};
use chancery_projections::token::lineage;
use chancery_projections::token::state::{TOKENS, Token};
use quick_cache::sync::Cache;

use super::Refusal;
use crate::limits::KNOWN_TOKENS_MAX;

/// An access token, and what it is worth as of one moment.
#[derive(Debug)]
pub struct AccessToken {
    /// The token.
    pub token: Token,
    /// Its tenant.
    pub home: Arc<Tenant>,
    /// Who acts by it, if it is another's right: last first.
    pub actors: Vec<AgentId>,
    /// The organisation of whose right it is; `None` for the tenant's default one.
    pub organisation: Option<OrganisationId>,
    /// What its scopes allow natively.
    pub allows: Vec<Scope>,
    /// Why it is worth nothing, as far as that does not depend on the time.
    dead: Option<Refusal>,
    /// When the first of the agents that it depends on stops being usable.
    agent_until: Option<Micros>,
    /// What a look into it is answered while it is worth something: rendered once.
    pub answer: OnceLock<Bytes>,
}

impl AccessToken {
    /// What views know of a token that was signed here; `None` when it is none that opens anything by itself.
    ///
    /// # Errors
    /// [`RowsError`] when a view cannot be read.
    pub fn find(identity: &dyn Rows, tokens: &dyn Rows, id: TokenId) -> Result<Option<Self>, RowsError> {
        let Some(token) = TOKENS.get(tokens, id)?.filter(|token| token.profile == Profile::Access) else {
            return Ok(None);
        };
        let Some(home) = TENANTS.get(identity, token.tenant)? else { return Ok(None) };
        let line = lineage::line(tokens, token.clone())?;
        let (mut organisation, mut agent_until, mut are_usable) = (None, None, true);
        for id in lineage::parties(&line) {
            let Some(agent) = AGENTS.get(identity, id)? else { return Ok(None) };
            let Some(its) = ORGANISATIONS.get(identity, agent.organisation)? else { return Ok(None) };
            are_usable &= agent.unusable(Micros(i64::MIN)).is_none() && its.standing == Standing::Active;
            agent_until = agent.valid_until.into_iter().chain(agent_until).min();
            if token.principal == Principal::Agent(id) && !its.default {
                organisation = Some(its.organisation);
            }
        }
        let dead = if line.iter().any(|token| token.revoked.is_some() || token.used) {
            Some(Refusal::Revoked)
        } else if home.standing != Standing::Active {
            Some(Refusal::TenantSuspended)
        } else if !are_usable {
            Some(Refusal::AgentNotUsable)
        } else {
            None
        };
        let scopes = token.scopes.iter().filter_map(|text| AgentIdpScope::find(text));
        Ok(Some(Self {
            allows: scopes.flat_map(|scope| scope.allows.iter().copied()).collect(),
            actors: lineage::actors(&line),
            organisation,
            dead,
            agent_until,
            home: Arc::new(home),
            token,
            answer: OnceLock::new(),
        }))
    }

    /// Why it is worth nothing at a time; `None` when it is worth something.
    #[must_use]
    pub fn dead(&self, now: Micros) -> Option<Refusal> {
        if self.dead.is_some() {
            self.dead
        } else if now > self.token.expires {
            Some(Refusal::Expired)
        } else if self.agent_until.is_some_and(|until| now > until) {
            Some(Refusal::AgentNotUsable)
        } else {
            None
        }
    }
}

/// Texts of tokens that were checked before, by their hashes, each with what it is worth as of the last change of that.
///
/// A text that is no token is not kept, so that guesses push out nothing.
#[derive(Debug)]
pub struct KnownTokens(Cache<Hash, (TreeSize, Arc<AccessToken>)>);

impl Default for KnownTokens {
    fn default() -> Self {
        Self(Cache::new(KNOWN_TOKENS_MAX))
    }
}

/// What is known of a text.
#[derive(Debug)]
pub enum Known {
    /// The token, as it is.
    Now(Arc<AccessToken>),
    /// That it is a token; what that is worth may have changed.
    Before(TokenId),
    /// Nothing.
    Nothing,
}

impl KnownTokens {
    /// What is known of a text since the log had so many events, with which what tokens are worth last changed.
    #[must_use]
    pub fn get(&self, text: &Hash, as_of: TreeSize) -> Known {
        match self.0.get(text) {
            Some((known, token)) if known == as_of => Known::Now(token),
            Some((_, token)) => Known::Before(token.token.token),
            None => Known::Nothing,
        }
    }

    /// Keeps what was read from views that reflect at least so many events.
    pub fn keep(&self, text: Hash, as_of: TreeSize, token: Arc<AccessToken>) {
        self.0.insert(text, (as_of, token));
    }
}
