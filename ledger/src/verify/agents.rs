//! What agents signed, held against the keys that the log says they had.

use std::collections::{HashMap, HashSet, VecDeque};

use super::report::{AgentSignatures, Finding, Why};
use crate::body::identity::AgentKeyPurpose;
use crate::body::ledger::Algorithm;
use crate::body::{Body, Kind};
use crate::ids::{AgentId, KeyId};
use crate::keys::PublicKey;
use crate::signature_base::{BaseFault, SignatureBase};
use crate::time::Micros;

/// What an event says of agents' keys and signatures.
pub(super) enum AgentFact {
    /// An agent has an identity key.
    Added { agent: AgentId, key: KeyId, public: [u8; 32] },
    /// A key is an agent's no more.
    Revoked(KeyId),
    /// Something of an agent's keys that cannot be read.
    KeysUnread,
    /// An agent signed.
    Signed(Box<Signed>),
    /// The base does not say what stands beside it.
    Misstated(BaseFault),
    /// An agent signed what cannot be read.
    SignedUnread,
}

/// An agent's signature, as an event has it.
pub(super) struct Signed {
    agent: AgentId,
    base: SignatureBase,
    signature: [u8; 64],
}

/// A signature whose key is known, and which is yet to be checked.
pub(super) struct PendingSignature {
    signed: Box<Signed>,
    public: [u8; 32],
    order: u64,
    seq: u64,
}

impl AgentFact {
    pub(super) fn of(body: Body) -> Option<Self> {
        match body {
            Body::AgentKeyAdded(added) if added.purpose == AgentKeyPurpose::Identity => {
                let public = added.public.try_into().ok().filter(|_| added.algorithm == Algorithm::Ed25519);
                public.map(|public| Self::Added { agent: added.agent, key: added.key, public })
            }
            Body::AgentKeyRevoked(revoked) => Some(Self::Revoked(revoked.key)),
            Body::CommandSigned(signed) => Some(match SignatureBase::of(&signed) {
                Ok(base) => Self::Signed(Box::new(Signed { agent: signed.agent, base, signature: signed.signature.0 })),
                Err(fault) => Self::Misstated(fault),
            }),
            _ => None,
        }
    }

    /// What an event of a kind says whose body is not to be read.
    pub(super) fn unread(kind: u16) -> Option<Self> {
        match Kind::from_code(kind) {
            Some(Kind::AgentKeyAdded | Kind::AgentKeyRevoked) => Some(Self::KeysUnread),
            Some(Kind::CommandSigned) => Some(Self::SignedUnread),
            _ => None,
        }
    }
}

/// Agents' identity keys so far, some hundred bytes each, and the nonces of the last minutes.
#[derive(Default)]
pub(super) struct Agents {
    keys: HashMap<KeyId, (AgentId, [u8; 32])>,
    /// Whether there can be keys that are not among them.
    is_partial: bool,
    nonces: HashSet<(KeyId, String)>,
    /// The same in the order in which they came, each with the time until which its signature was good.
    lapsing: VecDeque<(Micros, KeyId, String)>,
    counts: AgentSignatures,
}

impl Agents {
    pub(super) const fn counts(&self) -> AgentSignatures {
        self.counts
    }

    /// Notes that events are not shown, which can say something of keys.
    pub(super) const fn some_are_not_shown(&mut self) {
        self.is_partial = true;
    }

    /// Takes what an event of a time says; a signature that is to be checked comes back, or what is wrong with it in a
    /// sentence.
    pub(super) fn take(&mut self, fact: AgentFact, time: Micros) -> Result<Option<PendingSignature>, String> {
        match fact {
            AgentFact::Added { agent, key, public } => drop(self.keys.insert(key, (agent, public))),
            AgentFact::Revoked(key) => drop(self.keys.remove(&key)),
            AgentFact::KeysUnread => self.is_partial = true,
            AgentFact::SignedUnread => self.counts.unchecked += 1,
            AgentFact::Misstated(fault) => {
                self.counts.checked += 1;
                return Err(fault.to_string());
            }
            AgentFact::Signed(signed) => return self.signed(signed, time),
        }
        Ok(None)
    }

    fn signed(&mut self, signed: Box<Signed>, time: Micros) -> Result<Option<PendingSignature>, String> {
        let parameters = signed.base.parameters();
        let public = match self.keys.get(&parameters.key) {
            Some((agent, public)) if *agent == signed.agent => *public,
            None if self.is_partial => {
                self.counts.unchecked += 1;
                return Ok(None);
            }
            Some(_) | None => {
                self.counts.checked += 1;
                return Err("the log gave the agent no such identity key".to_owned());
            }
        };
        self.counts.checked += 1;
        parameters.check_time(time).map_err(|fault| format!("when it was recorded, {fault}"))?;
        self.forget(time);
        if !self.nonces.insert((parameters.key, parameters.nonce.clone())) {
            return Err("the agent signed it once, and it stands in the log twice".to_owned());
        }
        self.lapsing.push_back((parameters.until(), parameters.key, parameters.nonce.clone()));
        Ok(Some(PendingSignature { signed, public, order: 0, seq: 0 }))
    }

    /// Forgets nonces of signatures that nobody takes any more. One that lapses late holds up those behind it, for as long
    /// as a signature can be good.
    fn forget(&mut self, time: Micros) {
        while let Some((until, ..)) = self.lapsing.front()
            && *until < time
            && let Some((_, key, nonce)) = self.lapsing.pop_front()
        {
            self.nonces.remove(&(key, nonce));
        }
    }
}

impl PendingSignature {
    /// The same, of an event.
    pub(super) fn at(self, order: u64, seq: u64) -> Self {
        Self { order, seq, ..self }
    }

    pub(super) fn check(self) -> Option<(u64, Finding)> {
        let key = PublicKey::from_slice(&self.public);
        let holds = key.is_some_and(|key| self.signed.base.is_signed(&key, &self.signed.signature));
        let finding = || Finding::new(self.seq, Why::AgentSignature, "the agent's key did not make this signature");
        (!holds).then(|| (self.order, finding()))
    }
}
