//! Why a command is refused: the caller's fault, with a stable code. What the operator must mend is an error instead.

use chancery_ledger::body::field::Decimal;
use chancery_ledger::ids::Seq;

/// A command was refused. The code is stable; the sentence says what to do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Rejection {
    /// A field holds what it cannot hold.
    #[error("`{field}`: {why}")]
    Invalid {
        /// Its name in the native command.
        field: &'static str,
        /// What is wrong, and what is right.
        why: String,
    },
    /// There is no such thing, or it is another tenant's.
    #[error("there is no such {thing}")]
    NotFound {
        /// What sort of thing.
        thing: &'static str,
    },
    /// The credential does not allow it.
    #[error("the credential lacks the scope `{scope}`")]
    ScopeMissing {
        /// The scope needed.
        scope: &'static str,
    },
    /// The tenant is suspended or gone.
    #[error("the tenant is suspended; ask the operator of this ledger")]
    TenantSuspended,
    /// The thing changed since the caller looked.
    #[error("it was changed by event {actual}, not last by event {expected}; read it again and decide anew")]
    Conflict {
        /// The version the caller expected.
        expected: Seq,
        /// The version it has.
        actual: Seq,
    },
    /// It would make more of something than there may be.
    #[error("at most {max} of {limit}; ask for less")]
    LimitReached {
        /// What there may only be so much of.
        limit: &'static str,
        /// How much.
        max: usize,
    },
    /// Another command was sent under the same idempotency key.
    #[error("the idempotency key was used for another command (event {original}); choose another key")]
    IdempotencyConflict {
        /// The first event of that command.
        original: Seq,
    },
    /// Only the root tenant may.
    #[error("only the root tenant may do this")]
    NotRoot,
    /// The name is taken for good.
    #[error("the slug is taken; choose another")]
    SlugTaken,
    /// Another agent holds the name.
    #[error("the name is taken in {namespace}; choose another")]
    HandleTaken {
        /// Where it is to be unique.
        namespace: String,
    },
    /// The agent is gone for good.
    #[error("the agent is decommissioned, which is for good")]
    AgentDecommissioned,
    /// The agent is suspended, expired or gone.
    #[error("the agent is not usable: {why}")]
    AgentNotUsable {
        /// `suspended`, `expired`, `decommissioned`, `organisation_not_active` or `tenant_not_active`.
        why: &'static str,
    },
    /// The mission is over.
    #[error("the mission is {state}")]
    MissionEnded {
        /// In which state.
        state: &'static str,
    },
    /// The mission is another agent's.
    #[error("the mission is another agent's")]
    MissionOtherAgent,
    /// The challenge is unknown, expired or answered.
    #[error("the challenge is unknown, expired or already answered; ask for a new one")]
    ChallengeDead,
    /// The principal does not hold the scope it would give.
    #[error("the scope `{scope}` is not held, so it cannot be given")]
    ScopeNotHeld {
        /// The first scope missing.
        scope: String,
    },
    /// There is no such scope.
    #[error("there is no scope `{scope}`")]
    ScopeUnknown {
        /// The first unknown one.
        scope: String,
    },
    /// Another mission has that name.
    #[error("another mission has that name; choose another")]
    MissionExists,
    /// The mission has an audit chain already.
    #[error("the mission has an audit chain already")]
    ChainExists,
    /// The audit chain takes no more entries.
    #[error("the audit chain is closed")]
    ChainClosed,
    /// The field is for good.
    #[error("`{field}` is for good")]
    FieldImmutable {
        /// Its name in the native command.
        field: &'static str,
    },
    /// The organisation has agents that work.
    #[error("the organisation has active agents; suspend or decommission them first")]
    OrganisationHasAgents,
    /// Agents that name no organisation belong to it.
    #[error("the tenant's default organisation stays")]
    DefaultOrganisation,
    /// It is one already.
    #[error("it is a member already")]
    AlreadyMember,
    /// The organisation is gone.
    #[error("the organisation is deleted")]
    OrganisationDeleted,
    /// The credential is revoked already.
    #[error("the credential is revoked")]
    CredentialRevoked,
    /// The root tenant would lock itself out.
    #[error("the root tenant cannot be suspended or deleted")]
    RootTenant,
    /// The tenant believes an issuer of that name already.
    #[error("an issuer with that `iss` is believed already; change that one, or remove it first")]
    IssuerKnown,
    /// The thing is another agent's.
    #[error("the {thing} is another agent's")]
    NotOwner {
        /// What sort of thing.
        thing: &'static str,
    },
    /// The client did not prove who it is. Which of the many reasons it is, only the log says.
    #[error("the client is unknown, or its proof of itself does not hold")]
    ClientInvalid,
    /// The daemon lacks what this needs.
    #[error("there is no {what}; ask the operator of this ledger")]
    NotConfigured {
        /// What it lacks.
        what: &'static str,
    },
    /// As much was used up as may be in a period.
    #[error("the quota of {max} {quota} is used up")]
    QuotaExhausted {
        /// Of what, and in which period.
        quota: &'static str,
        /// How much.
        max: u64,
    },
    /// The other party is suspended, expired or gone.
    #[error("the counterparty is not usable: {why}")]
    CounterpartyNotUsable {
        /// As of [`Self::AgentNotUsable`].
        why: &'static str,
    },
    /// The agent may not do that.
    #[error("the agent is not authorised for the action `{action}`")]
    ActionNotAuthorised {
        /// The action.
        action: String,
    },
    /// The agent's limit is in another currency.
    #[error("the agent's spending limit is in {limit}, so it moves nothing in {asked}")]
    CurrencyMismatch {
        /// The limit's.
        limit: String,
        /// The transaction's.
        asked: String,
    },
    /// It is more than the agent may move.
    #[error("{amount} {currency} is more than the agent's spending limit of {limit} {currency}{}", within(*.hours))]
    SpendingLimitExceeded {
        /// How much may be moved.
        limit: Box<Decimal>,
        /// How much would have been moved.
        amount: Box<Decimal>,
        /// In which currency.
        currency: String,
        /// In so many hours, and with all that was moved in them; `None` is in one transaction.
        hours: Option<u32>,
    },
    /// The transaction is not one that can be taken back.
    #[error("the transaction is {status}; only a completed one can be reversed, and only once")]
    NotReversible {
        /// Where it stands.
        status: &'static str,
    },
    /// The transaction has nothing to do with the agent.
    #[error("the transaction does not involve the agent")]
    TransactionUnrelated,
    /// The rules make no sense.
    #[error("the policy's `{path}` {why}")]
    PolicyInvalid {
        /// Where in the document.
        path: String,
        /// What is wrong there.
        why: String,
    },
    /// Somebody decided it otherwise.
    #[error("it is decided already: {outcome}")]
    AlreadyDecided {
        /// How.
        outcome: &'static str,
    },
    /// The agent would lend its right to itself.
    #[error("an agent cannot lend to itself what it may do already")]
    SelfDelegation,
    /// The token is too far from the one it began with.
    #[error("a right can be handed on {max} times, and this one was")]
    DepthExceeded {
        /// How far one can be.
        max: u8,
    },
    /// It would live too long, or too short a time.
    #[error("it must live {min} to {max} seconds")]
    TtlOutOfRange {
        /// At least so long.
        min: u64,
        /// At most so long.
        max: u64,
    },
    /// The token is revoked or expired, or one that it depends on is, or an agent.
    #[error("the token is not live")]
    TokenDead,
    /// What was presented to be exchanged is worth nothing to who presents it.
    #[error("the token to be exchanged is unknown, not live, or another agent's")]
    GrantInvalid,
    /// No rule lets in whom the issuer vouches for.
    #[error("no trust policy lets this repository and branch in")]
    NoRuleMatches,
    /// The new key is the one in use.
    #[error("the key is in use already")]
    KeyInUse,
    /// The address may not be called.
    #[error("the address may not be called: {why}")]
    TargetForbidden {
        /// Why not.
        why: String,
    },
    /// The rendering has no such event.
    #[error("there is no event `{event}` to subscribe to")]
    EventUnknown {
        /// The first unknown one.
        event: String,
    },
    /// Nobody has named the code that was sent to the destination.
    #[error("the destination is not verified; have a code sent there, and name it")]
    Unverified,
    /// It is not the code that was sent.
    #[error("it is not the code that was sent to the destination")]
    CodeWrong,
    /// What an agent signed cannot be taken as its command.
    #[error("the agent's signature is not accepted: {why}")]
    SignatureInvalid {
        /// What is wrong with it.
        why: String,
    },
    /// The signature was taken before.
    #[error("this signature was used before; sign again, with another nonce")]
    SignatureReplayed,
    /// It must not be erased for now.
    #[error("it must not be erased: the {thing} is on hold; GET /v1/holds says in which matter")]
    OnHold {
        /// What is held: itself, or what it belongs to.
        thing: &'static str,
    },
    /// It is erased, for good.
    #[error("the {thing} is erased already, so that there is nothing left to hold")]
    Erased {
        /// What sort of thing.
        thing: &'static str,
    },
    /// What is encrypted for it is still needed.
    #[error("the {thing} is still in use; {first} first")]
    StillInUse {
        /// What sort of thing.
        thing: &'static str,
        /// What must happen before.
        first: &'static str,
    },
    /// A subscription uses the destination.
    #[error("a subscription uses the destination; change or end that first")]
    DestinationInUse,
}

impl Rejection {
    /// The stable code, as DOMAIN section 3 names it.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "invalid",
            Self::NotFound { .. } => "not_found",
            Self::ScopeMissing { .. } => "scope_missing",
            Self::TenantSuspended => "tenant_suspended",
            Self::Conflict { .. } => "conflict",
            Self::LimitReached { .. } => "limit_reached",
            Self::IdempotencyConflict { .. } => "idempotency_conflict",
            Self::NotRoot => "not_root",
            Self::SlugTaken => "slug_taken",
            Self::HandleTaken { .. } => "handle_taken",
            Self::AgentDecommissioned => "agent_decommissioned",
            Self::AgentNotUsable { .. } => "agent_not_usable",
            Self::MissionEnded { .. } => "mission_ended",
            Self::MissionOtherAgent => "mission_other_agent",
            Self::ChallengeDead => "challenge_dead",
            Self::ScopeNotHeld { .. } => "scope_not_held",
            Self::ScopeUnknown { .. } => "scope_unknown",
            Self::MissionExists => "mission_exists",
            Self::ChainExists => "chain_exists",
            Self::ChainClosed => "chain_closed",
            Self::FieldImmutable { .. } => "field_immutable",
            Self::OrganisationHasAgents => "organisation_has_agents",
            Self::DefaultOrganisation => "default_organisation",
            Self::AlreadyMember => "already_member",
            Self::OrganisationDeleted => "organisation_deleted",
            Self::CredentialRevoked => "credential_revoked",
            Self::RootTenant => "root_tenant",
            Self::IssuerKnown => "issuer_known",
            Self::NotOwner { .. } => "not_owner",
            Self::ClientInvalid => "client_invalid",
            Self::NotConfigured { .. } => "not_configured",
            Self::QuotaExhausted { .. } => "quota_exhausted",
            Self::SelfDelegation => "self_delegation",
            Self::DepthExceeded { .. } => "depth_exceeded",
            Self::TtlOutOfRange { .. } => "ttl_out_of_range",
            Self::TokenDead => "token_dead",
            Self::GrantInvalid => "grant_invalid",
            Self::NoRuleMatches => "no_rule_matches",
            Self::KeyInUse => "key_in_use",
            Self::TargetForbidden { .. } => "target_forbidden",
            Self::EventUnknown { .. } => "event_unknown",
            Self::Unverified => "unverified",
            Self::CodeWrong => "code_wrong",
            Self::SignatureInvalid { .. } => "signature_invalid",
            Self::SignatureReplayed => "signature_replayed",
            Self::DestinationInUse => "destination_in_use",
            Self::OnHold { .. } => "on_hold",
            Self::Erased { .. } => "erased",
            Self::StillInUse { .. } => "still_in_use",
            Self::CounterpartyNotUsable { .. } => "counterparty_not_usable",
            Self::ActionNotAuthorised { .. } => "action_not_authorised",
            Self::CurrencyMismatch { .. } => "currency_mismatch",
            Self::SpendingLimitExceeded { .. } => "spending_limit_exceeded",
            Self::NotReversible { .. } => "not_reversible",
            Self::TransactionUnrelated => "transaction_unrelated",
            Self::PolicyInvalid { .. } => "policy_invalid",
            Self::AlreadyDecided { .. } => "already_decided",
        }
    }
}

/// The words for a limit over time.
fn within(hours: Option<u32>) -> String {
    hours.map_or_else(String::new, |hours| format!(" within {hours} hours, with what it moved in them"))
}
