//! What an accepted command gives back: what was decided, and what is shown once.

use chancery_ledger::body::execution::AuditEntryAppended;
use chancery_ledger::body::trust::TrustEvaluated;
use chancery_ledger::ids::{AgentId, OrganisationId, Subject};
use chancery_ledger::time::Micros;
use zeroize::Zeroizing;

use crate::execution::delivery::state::{Destination, Subscription};
use crate::execution::state::{AuditChain, Mission};
use crate::execution::transaction::Transaction;
use crate::identity::state::{
    Agent, Certificate, Challenge, Credential, Erased, Hold, Issuer, IssuerRule, Membership, Organisation,
    PublicKeyRow, Tenant, WitnessedLog,
};
use crate::token::state::Token;
use crate::trust::state::{Dispute, Policy, PolicyKind};

/// A secret that is shown once. On a replay of the command that made it, it is gone.
pub type ShownOnce = Option<Zeroizing<String>>;

/// What an accepted command gives back: the things as they are after it, encrypted fields still encrypted.
#[derive(Debug)]
pub enum Output {
    /// Nothing to say.
    Done,
    /// A tenant, and its first API key if it is new.
    Tenant {
        /// The tenant.
        tenant: Tenant,
        /// Its first API key.
        api_key: ShownOnce,
    },
    /// An organisation.
    Organisation(Organisation),
    /// An agent, by registration.
    Registered(Box<Registered>),
    /// An agent, changed.
    Agent(Box<Agent>),
    /// A challenge.
    Challenge(Challenge),
    /// The answer to a challenge.
    ChallengeAnswered(ChallengeVerdict),
    /// An agent's role in an organisation.
    Membership(Membership),
    /// A client secret.
    ClientSecret {
        /// The credential.
        credential: Credential,
        /// The secret itself.
        secret: ShownOnce,
    },
    /// An API key.
    ApiKey {
        /// The credential.
        credential: Credential,
        /// The key itself.
        secret: ShownOnce,
    },
    /// A credential, revoked.
    Credential(Credential),
    /// An issuer.
    Issuer(Box<Issuer>),
    /// A rule of an issuer.
    IssuerRule(Box<IssuerRule>),
    /// A token.
    Token(Box<Token>),
    /// An access token, from which its text is rendered.
    AccessToken {
        /// The token.
        token: Box<Token>,
        /// Who acts by it, if it is another's right: last first.
        actors: Vec<AgentId>,
        /// Its agent's organisation; `None` for the tenant's default one.
        organisation: Option<OrganisationId>,
        /// The key that signs it.
        key: Box<PublicKeyRow>,
    },
    /// A delegation.
    Delegation {
        /// The token.
        token: Box<Token>,
        /// Who lent it.
        delegator: Option<AgentId>,
        /// Its text.
        secret: ShownOnce,
    },
    /// A scope check.
    ScopeCheck {
        /// Whether it passed.
        passed: bool,
        /// Why not, in the order of checking.
        violations: Vec<String>,
    },
    /// A mission.
    Mission(Mission),
    /// An audit chain.
    AuditChain(AuditChain),
    /// An audit entry, and its chain.
    AuditEntry {
        /// The entry.
        entry: AuditEntryAppended,
    },
    /// An audit chain, closed.
    AuditChainClosed(AuditChain),
    /// What was answered about an agent.
    TrustEvaluated(TrustEvaluated),
    /// A dispute.
    Dispute(Dispute),
    /// A policy.
    Policy {
        /// What its rules are about.
        kind: PolicyKind,
        /// Which of that kind.
        key: String,
        /// How it stands.
        policy: Policy,
    },
    /// A transaction.
    Transaction(Box<Transaction>),
    /// What was erased.
    Erasure(Box<Erased>),
    /// The holds on a thing.
    Holds {
        /// The thing.
        subject: Subject,
        /// Those that were not lifted.
        holds: Vec<Hold>,
    },
    /// A key, put in place.
    SigningKey(PublicKeyRow),
    /// The newest checkpoint cosigned of another log, if any was.
    Witnessed(Option<Box<WitnessedLog>>),
    /// A destination.
    Destination {
        /// The destination.
        destination: Box<Destination>,
        /// Its secret, if one was made.
        secret: ShownOnce,
    },
    /// A subscription.
    Subscription {
        /// The subscription.
        subscription: Box<Subscription>,
        /// The secret of its own destination, if one was made.
        secret: ShownOnce,
    },
}

/// A registered agent with what came with it.
#[derive(Debug)]
pub struct Registered {
    /// The agent.
    pub agent: Agent,
    /// Its organisation's slug.
    pub organisation_slug: String,
    /// The certificate of its key.
    pub certificate: Option<Certificate>,
    /// Its private key, PKCS#8 PEM.
    pub private_key_pem: ShownOnce,
}

/// What an answer to a challenge proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChallengeVerdict {
    /// The signature answers the challenge.
    pub passed: bool,
    /// The certificate is the agent's, and the agent is usable.
    pub certificate_valid: bool,
    /// Why not, if not.
    pub why: Option<String>,
    /// When it was checked.
    pub at: Micros,
}
