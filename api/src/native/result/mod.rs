//! What a command answers with: its receipt, and the thing as it left it. The answer is made from what was decided, so
//! it waits for no view; what depends on other things too (may the agent act? how many agents are there?) is in the
//! views, which by then reflect the command.

mod delivery;
mod execution;
mod identity;
mod issuer;
mod token;
mod trust;

use chancery_ledger::body::Kind;
use chancery_ledger::ids::{Seq, TenantId, TreeSize};
use chancery_ledger::link::Hash;
use chancery_ledger::shred::Encrypted;
use chancery_ledger::time::Micros;
use chancery_projections::context::{ContextError, Opener};
use chancery_projections::identity::view::{ErasureView, HoldsView};
use chancery_projections::output::{Output, ShownOnce};
use chancery_projections::sequencer::{Receipt, Recorded};
use chancery_projections::trust::view::{PolicyView, policy_view};
use chancery_projections::view::Hex;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

pub use delivery::{DestinationResult, SubscriptionResult};
use delivery::{destination, subscription};
pub use execution::{AuditChainResult, AuditEntryResult, MissionResult};
use execution::{audit_chain, audit_entry, mission};
pub use identity::{
    AgentResult, CertificateResult, ChallengeResult, CredentialResult, KeyResult, MembershipResult, OrganisationResult,
    TenantResult, VerdictResult,
};
use identity::{agent, certificate, challenge, credential, membership, organisation, tenant};
pub use issuer::{IssuerResult, IssuerRuleResult};
use issuer::{issuer, issuer_rule};
use token::token;
pub use token::{ScopeCheckResult, TokenResult};
pub use trust::{DisputeResult, EvaluationResult, TransactionResult};
use trust::{dispute, evaluation, transaction};

/// What an accepted command is answered with.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CommandAnswer {
    /// What was recorded.
    pub receipt: ReceiptView,
    /// The thing as the command left it.
    pub result: CommandResult,
}

/// What was recorded.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ReceiptView {
    /// The events, in order; none when nothing had to change.
    pub events: Vec<RecordedView>,
    /// The size of the log that their commit's seal signs.
    pub size: TreeSize,
    /// Whether this is the answer to an earlier command under the same idempotency key. The thing is then as it is
    /// today, and what was shown once is gone.
    pub replayed: bool,
    /// When asked for: the `tlog-proof` of each event against its commit's seal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proofs: Option<Vec<String>>,
}

/// A recorded event.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RecordedView {
    /// Its position.
    pub seq: Seq,
    /// When it was decided.
    pub time: Micros,
    /// What happened.
    pub kind: &'static str,
    /// Its hash.
    pub hash: Hash,
}

impl From<&Recorded> for RecordedView {
    fn from(event: &Recorded) -> Self {
        Self { seq: event.seq, time: event.time, kind: event.kind.name(), hash: event.hash }
    }
}

impl ReceiptView {
    /// The receipt as it is shown.
    #[must_use]
    pub fn of(receipt: &Receipt, proofs: Option<Vec<String>>) -> Self {
        let events = receipt.events.iter().map(RecordedView::from).collect();
        Self { events, size: receipt.size, replayed: receipt.replayed, proofs }
    }
}

macro_rules! results {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty,)*) => {
        /// The thing as a command left it, under the name of its kind. Most are absent from each, so none takes room
        /// in it.
        #[derive(Debug, Default, Serialize, JsonSchema)]
        pub struct CommandResult {
            $($(#[doc = $doc])+ #[serde(skip_serializing_if = "Option::is_none")] pub $name: Option<$type>,)*
        }
    };
}

results! {
    /// A tenant.
    tenant: Box<TenantResult>,
    /// An organisation.
    organisation: Box<OrganisationResult>,
    /// An agent's role in an organisation.
    membership: Box<MembershipResult>,
    /// An agent.
    agent: Box<AgentResult>,
    /// A certificate.
    certificate: Box<CertificateResult>,
    /// A challenge.
    challenge: Box<ChallengeResult>,
    /// What an answer to a challenge proved.
    verdict: Box<VerdictResult>,
    /// A credential.
    credential: Box<CredentialResult>,
    /// An issuer.
    issuer: Box<IssuerResult>,
    /// A rule of an issuer.
    issuer_rule: Box<IssuerRuleResult>,
    /// A token.
    token: Box<TokenResult>,
    /// What a scope check found.
    scope_check: Box<ScopeCheckResult>,
    /// A mission.
    mission: Box<MissionResult>,
    /// An audit chain.
    audit_chain: Box<AuditChainResult>,
    /// An audit entry.
    audit_entry: Box<AuditEntryResult>,
    /// What was answered about an agent.
    evaluation: Box<EvaluationResult>,
    /// A dispute.
    dispute: Box<DisputeResult>,
    /// A policy.
    policy: Box<PolicyView>,
    /// A transaction.
    transaction: Box<TransactionResult>,
    /// What was erased.
    erasure: Box<ErasureView>,
    /// The holds on a thing.
    holds: Box<HoldsView>,
    /// The sealing key that was put in place.
    sealing_key: Box<KeyResult>,
    /// A destination.
    destination: Box<DestinationResult>,
    /// A subscription.
    subscription: Box<SubscriptionResult>,
    /// Secrets, by name, shown this once; `null` when the command is a replay.
    shown_once: BTreeMap<&'static str, Option<String>>,
}

/// The result that an output stands for.
///
/// # Errors
/// [`ContextError`] when an encrypted field cannot be opened.
pub fn render(output: Output, opener: &Opener<'_>) -> Result<CommandResult, ContextError> {
    let none = CommandResult::default();
    Ok(match output {
        Output::Done => none,
        Output::Tenant { tenant: row, api_key } => CommandResult {
            // Only a new tenant comes with a key; a change of an old one shows nothing.
            shown_once: api_key.is_some().then(|| shown("api_key", api_key)),
            tenant: Some(Box::new(tenant(row))),
            ..none
        },
        Output::Organisation(row) => CommandResult { organisation: Some(Box::new(organisation(row))), ..none },
        Output::Registered(registered) => {
            let pem = registered.private_key_pem;
            CommandResult {
                agent: Some(Box::new(agent(registered.agent, opener)?)),
                certificate: registered.certificate.map(|row| Box::new(certificate(row))),
                // An agent that brought its key, or has none, has nothing to be shown.
                shown_once: pem.is_some().then(|| shown("private_key_pem", pem)),
                ..none
            }
        }
        Output::Agent(row) => CommandResult { agent: Some(Box::new(agent(*row, opener)?)), ..none },
        Output::Challenge(row) => CommandResult { challenge: Some(Box::new(challenge(row))), ..none },
        Output::ChallengeAnswered(verdict) => CommandResult {
            verdict: Some(Box::new(VerdictResult {
                passed: verdict.passed,
                certificate_valid: verdict.certificate_valid,
                why: verdict.why,
                at: verdict.at,
            })),
            ..none
        },
        Output::Membership(row) => CommandResult { membership: Some(Box::new(membership(row))), ..none },
        Output::ClientSecret { credential: row, secret } => CommandResult {
            credential: Some(Box::new(credential(row))),
            shown_once: Some(shown("client_secret", secret)),
            ..none
        },
        Output::ApiKey { credential: row, secret } => CommandResult {
            credential: Some(Box::new(credential(row))),
            shown_once: Some(shown("api_key", secret)),
            ..none
        },
        Output::Credential(row) => CommandResult { credential: Some(Box::new(credential(row))), ..none },
        Output::Issuer(row) => CommandResult { issuer: Some(Box::new(issuer(*row))), ..none },
        Output::IssuerRule(row) => CommandResult { issuer_rule: Some(Box::new(issuer_rule(*row))), ..none },
        Output::AccessToken { token: row, .. } => CommandResult { token: Some(Box::new(token(*row, opener)?)), ..none },
        Output::Token(row) => CommandResult { token: Some(Box::new(token(*row, opener)?)), ..none },
        Output::Delegation { token: row, secret, .. } => CommandResult {
            token: Some(Box::new(token(*row, opener)?)),
            shown_once: Some(shown("delegation_token", secret)),
            ..none
        },
        Output::ScopeCheck { passed, violations } => {
            CommandResult { scope_check: Some(Box::new(ScopeCheckResult { passed, violations })), ..none }
        }
        Output::Mission(row) => CommandResult { mission: Some(Box::new(mission(row, opener)?)), ..none },
        Output::AuditChain(row) | Output::AuditChainClosed(row) => {
            CommandResult { audit_chain: Some(Box::new(audit_chain(row))), ..none }
        }
        Output::AuditEntry { entry } => CommandResult { audit_entry: Some(Box::new(audit_entry(entry))), ..none },
        Output::Destination { destination: row, secret } => CommandResult {
            destination: Some(Box::new(destination(*row, opener)?)),
            // A secret that its owner chose needs no showing.
            shown_once: secret.is_some().then(|| shown("secret", secret)),
            ..none
        },
        Output::Subscription { subscription: row, secret } => CommandResult {
            subscription: Some(Box::new(subscription(*row))),
            shown_once: secret.is_some().then(|| shown("secret", secret)),
            ..none
        },
        Output::TrustEvaluated(event) => CommandResult { evaluation: Some(Box::new(evaluation(event))), ..none },
        Output::Dispute(row) => CommandResult { dispute: Some(Box::new(dispute(row, opener)?)), ..none },
        Output::Policy { kind, key, policy } => {
            CommandResult { policy: Some(Box::new(policy_view(kind, &key, Some(policy)))), ..none }
        }
        Output::Transaction(row) => CommandResult { transaction: Some(Box::new(transaction(*row, opener)?)), ..none },
        // Answered to the log that asked, in the words of its protocol (`native::witness`).
        Output::Witnessed(_) => none,
        Output::Erasure(row) => CommandResult { erasure: Some(Box::new(ErasureView::from(*row))), ..none },
        Output::Holds { subject, holds } => {
            CommandResult { holds: Some(Box::new(HoldsView::of(subject, holds))), ..none }
        }
        Output::SigningKey(row) => CommandResult {
            sealing_key: Some(Box::new(KeyResult {
                id: row.key,
                purpose: row.purpose,
                algorithm: row.algorithm,
                public: Hex(row.public),
            })),
            ..none
        },
    })
}

fn shown(name: &'static str, secret: ShownOnce) -> BTreeMap<&'static str, Option<String>> {
    BTreeMap::from([(name, secret.map(|secret| secret.to_string()))])
}

fn open<T: serde::de::DeserializeOwned>(
    value: Option<&Encrypted>, opener: &Opener<'_>, tenant: TenantId, kind: Kind, field: &str,
) -> Result<Option<T>, ContextError> {
    value.map_or(Ok(None), |value| opener.open(tenant, kind, field, value))
}
