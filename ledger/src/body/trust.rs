//! Events of trust and of policies (DOMAIN sections 3.4 and 4).

use serde::{Deserialize, Serialize};

use super::field::{Decimal, JsonText};
use super::{Facts, Subjects};
use crate::actor::Principal;
use crate::ids::{AgentId, DisputeId, PolicyId, TransactionId};
use crate::shred::Encrypted;

/// Somebody asked whether an agent is trusted with something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustEvaluated {
    /// The agent.
    pub agent: AgentId,
    /// What it would do.
    pub action: Option<String>,
    /// How much it would move.
    pub amount: Option<Decimal>,
    /// In which currency (ISO 4217).
    pub currency: Option<String>,
    /// What was answered.
    pub allowed: bool,
    /// Why: `trusted`, or the first rule that it fails.
    pub reason: String,
    /// Its score at that moment.
    pub score: u16,
    /// The version of the policy that scored it; 0 is the one that nobody set.
    pub policy: u32,
}

/// Somebody complained of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisputeFiled {
    /// The dispute.
    pub dispute: DisputeId,
    /// The agent.
    pub agent: AgentId,
    /// What it is about.
    pub transaction: Option<TransactionId>,
    /// Who complained.
    pub reporter: Principal,
    /// [`DisputeTexts`], under the agent's key.
    pub texts: Encrypted,
}

/// What was said in a dispute.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DisputeTexts {
    /// What is wrong.
    pub reason: String,
    /// What shows it.
    pub evidence: Option<String>,
}

/// A dispute was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisputeResolved {
    /// The dispute.
    pub dispute: DisputeId,
    /// The agent.
    pub agent: AgentId,
    /// How.
    pub outcome: DisputeOutcome,
}

/// How a dispute was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DisputeOutcome {
    /// It was right: it counts on.
    Upheld,
    /// It was not: it counts no more.
    Dismissed,
}

/// A tenant's rules are others from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyChanged {
    /// What the rules are about: `scoring`.
    pub kind: String,
    /// Which of that kind.
    pub key: String,
    /// The policy.
    pub policy: PolicyId,
    /// Its version, from 1.
    pub version: u32,
    /// The rules, whole.
    pub document: JsonText,
}

/// A tenant's rules are again those that nobody set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyReset {
    /// What the rules are about.
    pub kind: String,
    /// Which of that kind.
    pub key: String,
    /// The policy.
    pub policy: PolicyId,
}

impl Facts for TrustEvaluated {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.agent);
    }
}

impl Facts for DisputeFiled {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.dispute).add(self.agent).maybe(self.transaction);
    }
}

impl Facts for DisputeResolved {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.dispute).add(self.agent);
    }
}

impl Facts for PolicyChanged {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.policy);
    }
}

impl Facts for PolicyReset {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.policy);
    }
}
