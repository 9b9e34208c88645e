//! An agent's signature under a command. The edge looks whether the agent's key made it of what came; what depends on the
//! state is asked here, where no command can overtake the one that answers it otherwise.

use chancery_ledger::body::field::Signature;
use chancery_ledger::body::signature::CommandSigned;
use chancery_ledger::body::{Body, Kind};
use chancery_ledger::ids::{AgentId, ThingId as _};
use chancery_ledger::signature_base::{Parameters, SignatureBase};
use chancery_ledger::time::Micros;

use crate::context::{Context, ContextError};
use crate::decision::{State, Stop};
use crate::identity::decide::agent;
use crate::identity::nonces;
use crate::identity::state::AGENTS;
use crate::rejection::Rejection;

/// The name under which [`CommandSigned::content`] is encrypted.
const CONTENT: &str = "content";

/// What an agent signed: its key made the signature of the base, and the content has the digest that the base holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentSignature {
    /// The agent.
    pub agent: AgentId,
    /// What was signed.
    pub base: SignatureBase,
    /// The signature.
    pub signature: Signature,
    /// The request's content.
    pub content: String,
}

impl AgentSignature {
    /// Checks that the signature is good at a time, was not taken before, and is of a key and an agent that may act.
    ///
    /// # Errors
    /// [`Rejection::SignatureInvalid`], [`Rejection::SignatureReplayed`], [`Rejection::AgentNotUsable`].
    pub fn check(&self, state: &State<'_>, now: Micros) -> Result<(), Stop> {
        let Parameters { key, nonce, .. } = self.base.parameters();
        let invalid = |why: String| Rejection::SignatureInvalid { why };
        // A nonce that is forgotten is of a signature that has lapsed, so the time comes first.
        self.base.parameters().check_time(now).map_err(|fault| invalid(fault.to_string()))?;
        if nonces::is_spent(state.identity, *key, nonce)? {
            return Err(Rejection::SignatureReplayed.into());
        }
        let agent = AGENTS.get(state.identity, self.agent)?.ok_or(Rejection::NotFound { thing: "agent" })?;
        if agent.identity_key.as_ref().is_none_or(|held| held.key != *key) {
            return Err(invalid("the key is the agent's no more".to_owned()).into());
        }
        agent::check_usable(state, &agent, now)
    }

    /// The fact that the agent signed.
    ///
    /// # Errors
    /// [`ContextError`] as of encrypting the content.
    pub fn fact(&self, ctx: &mut Context<'_>) -> Result<Body, ContextError> {
        let Parameters { key, nonce, created, expires } = self.base.parameters().clone();
        let content = ctx.encrypt(Kind::CommandSigned, CONTENT, self.agent.subject(), &self.content)?;
        let base = self.base.text().to_owned();
        let Self { agent, signature, .. } = *self;
        Ok(CommandSigned { agent, key, base, signature, nonce, created, expires, content }.into())
    }
}
