//! Signatures of agents under what they ask for.

use serde::{Deserialize, Serialize};

use super::field::Signature;
use super::{Facts, Subjects};
use crate::ids::{AgentId, KeyId};
use crate::shred::Encrypted;
use crate::time::Micros;

/// An agent signed a command. It is the first event of its commit's command, and the cause of that command's other events;
/// alone, it says that the command was refused, or that what it asks for was so already.
///
/// `key`, `nonce`, `created` and `expires` are those of `base` (RFC 9421 section 2.3), each in a place of its own for readers;
/// verifiers compare the two ([`crate::signature_base`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandSigned {
    /// The agent.
    pub agent: AgentId,
    /// Its identity key.
    pub key: KeyId,
    /// What was signed: the signature base (RFC 9421 section 2.5).
    pub base: String,
    /// The signature.
    pub signature: Signature,
    /// Names the signature among all of that key.
    pub nonce: String,
    /// When it was made, as the agent says; whole seconds.
    pub created: Micros,
    /// When it lapses, as the agent says; whole seconds.
    pub expires: Option<Micros>,
    /// The request's content, whose digest the base holds: text, under the agent's key.
    pub content: Encrypted,
}

impl Facts for CommandSigned {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.agent).add(self.key);
    }
}
