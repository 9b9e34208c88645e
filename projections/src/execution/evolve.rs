//! State and event to state, one arm per event. No rules here: replay must never be able to refuse the past.

use chancery_ledger::body::Body;
use chancery_ledger::body::execution::MissionOpened;
use chancery_ledger::body::transaction::TransactionReversed;
use chancery_ledger::event::Event;
use chancery_ledger::ids::{DestinationId, MissionId, Subject, SubscriptionId, ThingId as _, ThingKind, TransactionId};
use chancery_ledger::shred::Encrypted;
use chancery_ledger::time::Micros;

use super::delivery::evolve as delivery;
use super::delivery::state::{DESTINATIONS, SUBSCRIPTIONS};
use super::state::{
    CHAIN_BY_MISSION, CHAIN_LIST, CHAINS, CHAINS_BY_AGENT, ChainRow, ENTRIES, MISSION_KEYS, MISSION_LIST, MISSIONS,
    MISSIONS_IN_STATE, Mission, MissionState, RETAINED, set_tail,
};
use super::transaction::{
    AUDITED, REVERSALS, Reversal, SPENT, Spent, TRANSACTION_KEYS, TRANSACTION_LIST, TRANSACTIONS,
    TRANSACTIONS_BY_ACTION, TRANSACTIONS_BY_AGENT, TRANSACTIONS_IN_STATUS, Transaction, TransactionStatus,
};
use crate::identity::state::place_of;
use crate::lane;
use crate::lane::alsorn::rows::Audited;
use crate::money::Sum;
use crate::rows::{RowsError, RowsMut};

/// Brings the execution view forward by one event.
///
/// # Errors
/// [`RowsError`] when the view's storage fails or the view is damaged.
pub fn evolve(rows: &mut dyn RowsMut, event: &Event) -> Result<(), RowsError> {
    // Whom events are told in the words of a lane goes by what its rows know.
    lane::agentidp::rows::evolve(rows, event)?;
    let audited = lane::alsorn::rows::evolve(rows, event)?;
    delivery::tell(rows, event)?;
    match &event.body {
        Body::MissionOpened(opened) => mission_opened(rows, event, opened),
        Body::MissionCompleted(it) => end(rows, event, it.mission, MissionState::Completed, it.end.as_ref()),
        Body::MissionRevoked(it) => end(rows, event, it.mission, MissionState::Revoked, it.end.as_ref()),
        Body::AuditChainOpened(opened) => {
            CHAINS.put(rows, opened.chain, &ChainRow { tenant: event.tenant, opened: opened.clone(), closed: None })?;
            CHAIN_BY_MISSION.put(rows, opened.mission, &opened.chain)?;
            CHAINS_BY_AGENT.append(rows, (event.tenant, opened.agent_text.as_str()), &opened.chain)?;
            CHAIN_LIST.append(rows, event.tenant, &opened.chain)?;
            Ok(())
        }
        Body::AuditEntryAppended(appended) => {
            ENTRIES.put(rows, (appended.chain, appended.sequence), appended)?;
            set_tail(rows, appended)
        }
        Body::AuditChainClosed(closed) => {
            CHAINS.update(rows, closed.chain, "an audit chain", |chain| chain.closed = Some(event.time))?;
            Ok(())
        }
        Body::DestinationAdded(it) => delivery::destination_added(rows, event, it),
        Body::DestinationVerified(it) => delivery::destination_verified(rows, it.destination),
        Body::DestinationSecretRotated(it) => delivery::secret_rotated(rows, it.destination, &it.secret),
        Body::DestinationRemoved(it) => {
            delivery::destination_removed(rows, event, it.destination)?;
            retain(rows, event, it.destination.subject())
        }
        Body::SubscriptionCreated(it) => delivery::created(rows, event, it),
        Body::SubscriptionChanged(it) => delivery::changed(rows, event, it),
        Body::SubscriptionEnded(it) => {
            delivery::ended(rows, event, it.subscription)?;
            retain(rows, event, it.subscription.subject())
        }
        Body::DeliveriesRecorded(it) => delivery::recorded(rows, event, it),
        Body::TenantDeleted(it) => delivery::tenant_deleted(rows, it.tenant),
        Body::TransactionCompleted(it) => {
            let transaction = Transaction {
                transaction: it.transaction,
                tenant: event.tenant,
                ordinal: 0,
                agent: it.agent,
                agent_name: it.agent_name.clone(),
                counterparty: it.counterparty.clone(),
                amount: it.amount,
                currency: it.currency.clone(),
                action: it.action.clone(),
                notes: it.notes.clone(),
                key: it.key.clone(),
                status: TransactionStatus::Completed,
                failure: None,
                at: event.time,
                reversal: None,
            };
            if let Some(key) = &it.key {
                TRANSACTION_KEYS.put(rows, (it.agent, key.as_str()), &it.transaction)?;
            }
            if it.amount.is_positive() {
                spent(rows, &transaction)?;
            }
            add_transaction(rows, transaction, audited)
        }
        Body::TransactionFailed(it) => add_transaction(
            rows,
            Transaction {
                transaction: it.transaction,
                tenant: event.tenant,
                ordinal: 0,
                agent: it.agent,
                agent_name: it.agent_name.clone(),
                counterparty: it.counterparty.clone(),
                amount: it.amount,
                currency: it.currency.clone(),
                action: it.action.clone(),
                notes: it.notes.clone(),
                key: it.key.clone(),
                status: TransactionStatus::Failed,
                failure: Some(it.failure.clone()),
                at: event.time,
                reversal: None,
            },
            audited,
        ),
        Body::TransactionReversed(it) => transaction_reversed(rows, event, it, audited),
        Body::SubjectErased(it) => erased(rows, event, it.subject),
        // Other domains' events.
        Body::LedgerCreated(_)
        | Body::SigningKeyAdded(_)
        | Body::SigningKeyRetired(_)
        | Body::TailLost(_)
        | Body::EvidenceExported(_)
        | Body::ViewRootsPublished(_)
        | Body::CommandSigned(_)
        | Body::HoldPlaced(_)
        | Body::HoldLifted(_)
        | Body::KeyDestroyed(_)
        | Body::CheckpointCosigned(_)
        | Body::WitnessedCheckpoint(_)
        | Body::CheckpointTimestamped(_)
        | Body::TenantCreated(_)
        | Body::TenantUpdated(_)
        | Body::TenantSuspended(_)
        | Body::TenantResumed(_)
        | Body::OrganisationCreated(_)
        | Body::OrganisationUpdated(_)
        | Body::OrganisationDeleted(_)
        | Body::OrganisationMemberAdded(_)
        | Body::MemberInvited(_)
        | Body::MemberJoined(_)
        | Body::AgentRegistered(_)
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
        | Body::TokenIssued(_)
        | Body::TokenRefused(_)
        | Body::TokenUsed(_)
        | Body::TokenRevoked(_)
        | Body::ScopeChecked(_)
        | Body::TokensIntrospected(_)
        | Body::OrganisationVerified(_)
        | Body::TrustEvaluated(_)
        | Body::DisputeFiled(_)
        | Body::DisputeResolved(_)
        | Body::PolicyChanged(_)
        | Body::PolicyReset(_) => Ok(()),
    }
}

fn mission_opened(rows: &mut dyn RowsMut, event: &Event, it: &MissionOpened) -> Result<(), RowsError> {
    let list = (event.tenant, u8::from(it.implicit));
    let ordinal = MISSION_LIST.append(rows, list, &it.mission)?;
    let mission = Mission {
        mission: it.mission,
        tenant: event.tenant,
        ordinal,
        agent: it.agent,
        implicit: it.implicit,
        key: it.key.clone(),
        terms: it.terms.clone(),
        services: it.services.clone(),
        limits: it.limits.clone(),
        state: MissionState::Open,
        opened: event.time,
        ended: None,
        end: None,
    };
    MISSIONS.put(rows, it.mission, &mission)?;
    if let Some(key) = &it.key {
        MISSION_KEYS.put(rows, (event.tenant, key.namespace.as_str(), key.text.as_str()), &it.mission)?;
    }
    MISSIONS_IN_STATE.enter(rows, (event.tenant, list.1, MissionState::Open.code()), ordinal, ordinal, Micros::MAX)
}

fn end(
    rows: &mut dyn RowsMut, event: &Event, mission: MissionId, state: MissionState, end: Option<&Encrypted>,
) -> Result<(), RowsError> {
    let mut before = MissionState::Open;
    let mission = MISSIONS.update(rows, mission, "a mission", |mission| {
        before = std::mem::replace(&mut mission.state, state);
        mission.ended = Some(event.time);
        mission.end = end.cloned();
    })?;
    let list = (mission.tenant, u8::from(mission.implicit));
    let length = MISSION_LIST.len(&*rows, list)?;
    MISSIONS_IN_STATE.leave(rows, (list.0, list.1, before.code()), length, mission.ordinal)?;
    MISSIONS_IN_STATE.enter(rows, (list.0, list.1, state.code()), length, mission.ordinal, Micros::MAX)?;
    retain(rows, event, mission.mission.subject())
}

/// What is over is kept for retention's sake alone.
fn retain(rows: &mut dyn RowsMut, event: &Event, subject: Subject) -> Result<(), RowsError> {
    RETAINED.put(rows, (event.tenant, place_of(event.time), subject), &())
}

fn erased(rows: &mut dyn RowsMut, event: &Event, subject: Subject) -> Result<(), RowsError> {
    if rows.is_for_deciders() {
        return Ok(());
    }
    let since = match subject.kind {
        ThingKind::Mission => MISSIONS.get(&*rows, MissionId(subject.id))?.and_then(|it| it.ended),
        ThingKind::Destination => DESTINATIONS.get(&*rows, DestinationId(subject.id))?.and_then(|it| it.removed),
        ThingKind::Subscription => SUBSCRIPTIONS.get(&*rows, SubscriptionId(subject.id))?.and_then(|it| it.ended),
        _ => None,
    };
    since.map_or(Ok(()), |since| RETAINED.delete(rows, (event.tenant, place_of(since), subject)))
}

fn add_transaction(
    rows: &mut dyn RowsMut, mut transaction: Transaction, audited: Option<Audited>,
) -> Result<(), RowsError> {
    let Transaction { transaction: id, tenant, agent, status, .. } = transaction;
    transaction.ordinal = TRANSACTION_LIST.append(rows, tenant, &id)?;
    TRANSACTIONS_BY_AGENT.append(rows, agent, &id)?;
    TRANSACTIONS_BY_ACTION.append(rows, (tenant, transaction.action.as_str()), &id)?;
    let (length, ordinal) = (transaction.ordinal, transaction.ordinal);
    TRANSACTIONS_IN_STATUS.enter(rows, (tenant, status.code()), length, ordinal, Micros::MAX)?;
    TRANSACTIONS.put(rows, id, &transaction)?;
    note_entry(rows, id, audited)
}

/// Notes where the event of a transaction or a reversal stands in the agent's chain.
fn note_entry(rows: &mut dyn RowsMut, id: TransactionId, audited: Option<Audited>) -> Result<(), RowsError> {
    audited.map_or(Ok(()), |audited| AUDITED.put(rows, id, &audited))
}

/// Adds to what an agent has moved.
fn spent(rows: &mut dyn RowsMut, it: &Transaction) -> Result<(), RowsError> {
    let list = (it.agent, it.currency.as_str());
    let length = SPENT.len(&*rows, list)?;
    let before = match length {
        0 => Sum::default(),
        last => SPENT.get(&*rows, list, last)?.ok_or(RowsError::Missing("a list's member"))?.total,
    };
    SPENT.append(rows, list, &Spent { at: it.at, total: before + Sum::from(it.amount) })?;
    Ok(())
}

fn transaction_reversed(
    rows: &mut dyn RowsMut, event: &Event, it: &TransactionReversed, audited: Option<Audited>,
) -> Result<(), RowsError> {
    let mut before = TransactionStatus::Completed;
    let reversed = TRANSACTIONS.update(rows, it.transaction, "a transaction", |transaction| {
        before = std::mem::replace(&mut transaction.status, TransactionStatus::Reversed);
        transaction.reversal = Some(Reversal { reversal: it.reversal, at: event.time, reason: it.reason.clone() });
    })?;
    REVERSALS.put(rows, it.reversal, &it.transaction)?;
    note_entry(rows, it.reversal, audited)?;
    let (tenant, ordinal) = (reversed.tenant, reversed.ordinal);
    let length = TRANSACTION_LIST.len(&*rows, tenant)?;
    TRANSACTIONS_IN_STATUS.leave(rows, (tenant, before.code()), length, ordinal)?;
    TRANSACTIONS_IN_STATUS.enter(rows, (tenant, reversed.status.code()), length, ordinal, Micros::MAX)
}
