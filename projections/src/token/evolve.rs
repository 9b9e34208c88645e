//! State and event to state, one arm per event. No rules here: replay must never be able to refuse the past.

use chancery_ledger::body::Body;
use chancery_ledger::body::token::TokenIssued;
use chancery_ledger::event::Event;

use super::lineage::TOKEN_HASHES;
use super::state::{
    CHILDREN, LIVE_IN_MISSION, Revocation, TOKENS, TOKENS_BY_AGENT, TOKENS_BY_MISSION, TOKENS_BY_TENANT, Token,
    profile_code,
};
use super::usage;
use crate::rows::{RowsError, RowsMut};

/// Brings the token view forward by one event.
///
/// # Errors
/// [`RowsError`] when the view's storage fails or the view is damaged.
pub fn evolve(rows: &mut dyn RowsMut, event: &Event) -> Result<(), RowsError> {
    match &event.body {
        Body::TokenIssued(issued) => token_issued(rows, event, issued),
        Body::TokenUsed(it) => {
            let token = TOKENS.update(rows, it.token, "a token", |token| token.used = true)?;
            leave_live(rows, &token)
        }
        Body::TokenRevoked(it) => {
            let token = TOKENS.update(rows, it.token, "a token", |token| {
                token.revoked = Some(Revocation { at: event.time, reason: it.reason.clone() });
            })?;
            leave_live(rows, &token)
        }
        Body::AgentRegistered(it) => usage::agent_registered(rows, it.agent, it.organisation),
        // Facts of the log alone: the journal finds them, no row changes.
        Body::TokenRefused(_) | Body::ScopeChecked(_) | Body::TokensIntrospected(_) => Ok(()),
        // Other domains' events. That an agent or a mission ended kills tokens by their state, without a row here.
        Body::LedgerCreated(_)
        | Body::SigningKeyAdded(_)
        | Body::SigningKeyRetired(_)
        | Body::TailLost(_)
        | Body::EvidenceExported(_)
        | Body::ViewRootsPublished(_)
        | Body::CommandSigned(_)
        | Body::SubjectErased(_)
        | Body::HoldPlaced(_)
        | Body::HoldLifted(_)
        | Body::KeyDestroyed(_)
        | Body::CheckpointTimestamped(_)
        | Body::TenantCreated(_)
        | Body::TenantUpdated(_)
        | Body::TenantSuspended(_)
        | Body::TenantResumed(_)
        | Body::TenantDeleted(_)
        | Body::OrganisationCreated(_)
        | Body::OrganisationUpdated(_)
        | Body::OrganisationDeleted(_)
        | Body::OrganisationMemberAdded(_)
        | Body::MemberInvited(_)
        | Body::MemberJoined(_)
        | Body::AgentUpdated(_)
        | Body::AgentSuspended(_)
        | Body::AgentResumed(_)
        | Body::AgentDecommissioned(_)
        | Body::AgentReachChanged(_)
        | Body::HandleClaimed(_)
        | Body::HandleReleased(_)
        | Body::AgentKeyAdded(_)
        | Body::AgentKeyRevoked(_)
        | Body::CertificateIssued(_)
        | Body::CredentialCreated(_)
        | Body::CredentialRotated(_)
        | Body::CredentialRevoked(_)
        | Body::ScopesGranted(_)
        | Body::CredentialsUsed(_)
        | Body::AuthenticationFailed(_)
        | Body::ChallengeIssued(_)
        | Body::ChallengeAnswered(_)
        | Body::IssuerTrusted(_)
        | Body::IssuerUpdated(_)
        | Body::IssuerRemoved(_)
        | Body::IssuerRuleAdded(_)
        | Body::IssuerRuleRemoved(_)
        | Body::MissionOpened(_)
        | Body::MissionCompleted(_)
        | Body::MissionRevoked(_)
        | Body::AuditChainOpened(_)
        | Body::AuditEntryAppended(_)
        | Body::AuditChainClosed(_)
        | Body::OrganisationVerified(_)
        | Body::TrustEvaluated(_)
        | Body::DisputeFiled(_)
        | Body::DisputeResolved(_)
        | Body::PolicyChanged(_)
        | Body::PolicyReset(_)
        | Body::TransactionCompleted(_)
        | Body::TransactionFailed(_)
        | Body::TransactionReversed(_)
        | Body::DestinationAdded(_)
        | Body::DestinationVerified(_)
        | Body::DestinationSecretRotated(_)
        | Body::DestinationRemoved(_)
        | Body::SubscriptionCreated(_)
        | Body::SubscriptionChanged(_)
        | Body::SubscriptionEnded(_)
        | Body::DeliveriesRecorded(_)
        | Body::CheckpointCosigned(_)
        | Body::WitnessedCheckpoint(_) => Ok(()),
    }
}

fn token_issued(rows: &mut dyn RowsMut, event: &Event, it: &TokenIssued) -> Result<(), RowsError> {
    let code = profile_code(it.profile);
    let ordinal = match it.mission {
        Some(mission) => TOKENS_BY_MISSION.append(rows, (mission, code), &it.token)?,
        None => 0,
    };
    if let Some(agent) = it.agent {
        TOKENS_BY_AGENT.append(rows, (agent, code), &it.token)?;
    }
    if let Some(parent) = it.parent {
        CHILDREN.append(rows, parent, &it.token)?;
    }
    if let Some(hash) = it.hash {
        TOKEN_HASHES.put(rows, hash, &it.token)?;
    }
    TOKENS_BY_TENANT.append(rows, event.tenant, &it.token)?;
    if let Some(mission) = it.mission {
        LIVE_IN_MISSION.enter(rows, (mission, code), ordinal, ordinal, it.expires)?;
    }
    TOKENS.put(rows, it.token, &token(event, it, ordinal))?;
    usage::token_issued(rows, event, it)
}

/// The row that issuing makes, at its place in its mission's list.
#[must_use]
pub fn token(event: &Event, it: &TokenIssued, ordinal: u64) -> Token {
    Token {
        token: it.token,
        tenant: event.tenant,
        profile: it.profile,
        grant: it.grant,
        principal: it.principal.clone(),
        agent: it.agent,
        mission: it.mission,
        ordinal,
        parent: it.parent,
        depth: it.depth,
        audience: it.audience.clone(),
        scopes: it.scopes.clone(),
        terms: it.terms.clone(),
        issued: event.time,
        expires: it.expires,
        cnf: it.cnf,
        key: it.key,
        signature: it.signature,
        snapshot: it.snapshot.clone(),
        used: false,
        revoked: None,
    }
}

fn leave_live(rows: &mut dyn RowsMut, token: &Token) -> Result<(), RowsError> {
    match token.mission {
        Some(mission) => {
            let list = (mission, profile_code(token.profile));
            let length = TOKENS_BY_MISSION.len(&*rows, list)?;
            LIVE_IN_MISSION.leave(rows, list, length, token.ordinal)
        }
        None => Ok(()),
    }
}
