//! State and event to state, one arm per event. No rules that could refuse: replay must never be able to refuse the past.
//!
//! An agent is scored anew by every event that counts for or against it, and whenever its tenant asks. Its age and
//! whether its organisation is vouched for count from then on, not before: a score has a moment, and an event that gave it.

use chancery_ledger::body::Body;
use chancery_ledger::body::trust::{DisputeFiled, DisputeOutcome, DisputeResolved, PolicyChanged, PolicyReset};
use chancery_ledger::event::Event;
use chancery_ledger::ids::AgentId;
use chancery_ledger::time::Micros;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::scoring::{Basis, Components, Counts, days_between};
use super::state::{
    Cause, DISPUTES, DISPUTES_BY_AGENT, DISPUTES_BY_TENANT, Dispute, InForce, POINTS, POLICIES, POLICY_PLACES,
    POLICY_VERSIONS, Point, Policy, PolicyKind, PolicyPlace, RECORDS, Record, SCOPE_RULES, SCORING, SPENDING, VERIFIED,
    scoring,
};
use crate::rows::table::{Key, Table};
use crate::rows::{Rows, RowsError, RowsMut};

/// What is missing, if it is.
const RECORD: &str = "an agent's record of trust";

/// Brings the trust view forward by one event.
///
/// # Errors
/// [`RowsError`] when the view's storage fails or the view is damaged.
pub fn evolve(rows: &mut dyn RowsMut, event: &Event) -> Result<(), RowsError> {
    match &event.body {
        Body::AgentRegistered(it) => {
            let record = Record {
                agent: it.agent,
                tenant: event.tenant,
                organisation: it.organisation,
                registered: event.time,
                basis: Basis::default(),
                components: Default::default(),
                policy: 0,
                scored: event.time,
                evaluated: None,
                suspended: None,
            };
            score(rows, event, record, true, Cause::Registered)
        }
        Body::OrganisationVerified(it) => VERIFIED.put(rows, it.organisation, &it.verified),
        Body::AgentSuspended(it) => {
            RECORDS.update(rows, it.agent, RECORD, |record| record.suspended = Some(event.time))?;
            count(rows, event, it.agent, Cause::Suspended, |it| it.suspensions += 1)
        }
        Body::AgentResumed(it) => {
            RECORDS.update(rows, it.agent, RECORD, |record| record.suspended = None)?;
            Ok(())
        }
        Body::TransactionCompleted(it) => {
            count(rows, event, it.agent, Cause::TransactionCompleted, |it| it.completed += 1)
        }
        Body::TransactionFailed(it) => count(rows, event, it.agent, Cause::TransactionFailed, |it| it.failed += 1),
        Body::TransactionReversed(it) => count(rows, event, it.agent, Cause::TransactionReversed, |it| {
            it.completed = it.completed.saturating_sub(1);
            it.reversed += 1;
        }),
        Body::ScopeChecked(it) => match it.agent.filter(|_| it.violations.iter().any(|why| is_overreach(why))) {
            Some(agent) => count(rows, event, agent, Cause::ScopeCheckRefused, |it| it.refused_scope_checks += 1),
            None => Ok(()),
        },
        Body::MissionRevoked(it) => match it.agent {
            Some(agent) => count(rows, event, agent, Cause::MissionRevoked, |it| it.revoked_missions += 1),
            None => Ok(()),
        },
        Body::TrustEvaluated(it) => {
            let mut record = record(rows, it.agent)?;
            // A stranger's question is the stranger's event, and says nothing of the agent.
            if record.tenant != event.tenant {
                return Ok(());
            }
            record.evaluated = Some(event.time);
            score(rows, event, record, true, Cause::Evaluated)
        }
        Body::DisputeFiled(filed) => dispute_filed(rows, event, filed),
        Body::DisputeResolved(resolved) => dispute_resolved(rows, event, resolved),
        Body::PolicyChanged(changed) => policy_changed(rows, event, changed),
        Body::PolicyReset(reset) => policy_reset(rows, event, reset),
        // Other domains' events.
        Body::LedgerCreated(_)
        | Body::SigningKeyAdded(_)
        | Body::SigningKeyRetired(_)
        | Body::TailLost(_)
        | Body::CommandSigned(_)
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
        | Body::TokensIntrospected(_)
        | Body::MissionOpened(_)
        | Body::MissionCompleted(_)
        | Body::AuditChainOpened(_)
        | Body::AuditEntryAppended(_)
        | Body::AuditChainClosed(_)
        | Body::DestinationAdded(_)
        | Body::DestinationVerified(_)
        | Body::DestinationSecretRotated(_)
        | Body::DestinationRemoved(_)
        | Body::SubscriptionCreated(_)
        | Body::SubscriptionChanged(_)
        | Body::SubscriptionEnded(_)
        | Body::DeliveriesRecorded(_) => Ok(()),
    }
}

/// Whether a scope check was refused because the agent would have done what its token does not allow; a token that is
/// over says nothing of the agent.
fn is_overreach(violation: &str) -> bool {
    let code = violation.split_once(':').map_or(violation, |(code, _)| code);
    matches!(code, "tool_not_in_scope" | "immutable_param_mismatch" | "bounded_param_violation")
}

fn record(rows: &dyn Rows, agent: AgentId) -> Result<Record, RowsError> {
    RECORDS.get(rows, agent)?.ok_or(RowsError::Missing(RECORD))
}

/// Counts a fact and scores the agent anew.
fn count(
    rows: &mut dyn RowsMut, event: &Event, agent: AgentId, cause: Cause, change: impl FnOnce(&mut Counts),
) -> Result<(), RowsError> {
    let mut record = record(rows, agent)?;
    change(&mut record.basis.counts);
    score(rows, event, record, false, cause)
}

/// Scores an agent, and keeps the point when it moved or is to be kept anyway.
fn score(
    rows: &mut dyn RowsMut, event: &Event, mut record: Record, is_point: bool, cause: Cause,
) -> Result<(), RowsError> {
    let before = record.components.score();
    (record.policy, record.basis, record.components) = scored(rows, &record, event.time)?;
    record.scored = event.time;
    if is_point || record.components.score() != before {
        let point = Point {
            seq: event.seq,
            at: event.time,
            cause,
            basis: record.basis,
            components: record.components,
            policy: record.policy,
        };
        POINTS.append(rows, record.agent, &point)?;
    }
    RECORDS.put(rows, record.agent, &record)
}

/// What an agent would be scored at a time, by the rules of its tenant: version of the rules, basis, components.
///
/// # Errors
/// [`RowsError`] when rows cannot be read.
pub fn scored(rows: &dyn Rows, record: &Record, at: Micros) -> Result<(u32, Basis, Components), RowsError> {
    let (version, rules) = scoring(rows, record.tenant)?;
    let basis = Basis {
        counts: record.basis.counts,
        tenure_days: days_between(record.registered, at),
        operator_verified: VERIFIED.get(rows, record.organisation)?.unwrap_or(false),
    };
    Ok((version, basis, rules.components(&basis)))
}

fn dispute_filed(rows: &mut dyn RowsMut, event: &Event, it: &DisputeFiled) -> Result<(), RowsError> {
    let dispute = Dispute {
        dispute: it.dispute,
        tenant: event.tenant,
        reporter: it.reporter.clone(),
        agent: it.agent,
        transaction: it.transaction,
        texts: it.texts.clone(),
        filed: event.time,
        resolved: None,
    };
    DISPUTES.put(rows, it.dispute, &dispute)?;
    DISPUTES_BY_AGENT.append(rows, it.agent, &it.dispute)?;
    DISPUTES_BY_TENANT.append(rows, event.tenant, &it.dispute)?;
    count(rows, event, it.agent, Cause::DisputeFiled, |it| it.disputes += 1)
}

fn dispute_resolved(rows: &mut dyn RowsMut, event: &Event, it: &DisputeResolved) -> Result<(), RowsError> {
    DISPUTES.update(rows, it.dispute, "a dispute", |dispute| dispute.resolved = Some((it.outcome, event.time)))?;
    match it.outcome {
        DisputeOutcome::Upheld => Ok(()),
        DisputeOutcome::Dismissed => count(rows, event, it.agent, Cause::DisputeDismissed, |it| {
            it.disputes = it.disputes.saturating_sub(1);
        }),
    }
}

fn policy_changed(rows: &mut dyn RowsMut, event: &Event, it: &PolicyChanged) -> Result<(), RowsError> {
    let policy = Policy {
        policy: it.policy,
        version: it.version,
        document: Some(it.document.as_str().to_owned()),
        changed: event.time,
        by: event.actor.principal.clone(),
    };
    keep_policy(rows, event, &it.kind, &it.key, &policy)?;
    let (key, document) = ((event.tenant, it.key.as_str()), it.document.as_str());
    match PolicyKind::parse(&it.kind) {
        Some(PolicyKind::Scoring) => put_in_force(rows, &SCORING, event.tenant, it.version, document),
        Some(PolicyKind::Spending) => put_in_force(rows, &SPENDING, key, it.version, document),
        Some(PolicyKind::Scope) => put_in_force(rows, &SCOPE_RULES, key, it.version, document),
        None => Ok(()),
    }
}

fn put_in_force<T: Serialize + DeserializeOwned>(
    rows: &mut dyn RowsMut, table: &Table<InForce<T>>, key: impl Key, version: u32, document: &str,
) -> Result<(), RowsError> {
    match serde_json::from_str(document) {
        Ok(rules) => table.put(rows, key, &InForce { version, rules }),
        // What is no document of its kind was never written by `decide`.
        Err(_) => Ok(()),
    }
}

fn policy_reset(rows: &mut dyn RowsMut, event: &Event, it: &PolicyReset) -> Result<(), RowsError> {
    let Some(mut policy) = POLICIES.get(rows, (event.tenant, it.kind.as_str(), it.key.as_str()))? else {
        return Err(RowsError::Missing("a policy"));
    };
    policy.document = None;
    policy.changed = event.time;
    policy.by = event.actor.principal.clone();
    keep_policy(rows, event, &it.kind, &it.key, &policy)?;
    match PolicyKind::parse(&it.kind) {
        Some(PolicyKind::Scoring) => SCORING.delete(rows, event.tenant),
        Some(PolicyKind::Spending) => SPENDING.delete(rows, (event.tenant, it.key.as_str())),
        Some(PolicyKind::Scope) => SCOPE_RULES.delete(rows, (event.tenant, it.key.as_str())),
        None => Ok(()),
    }
}

fn keep_policy(rows: &mut dyn RowsMut, event: &Event, kind: &str, key: &str, it: &Policy) -> Result<(), RowsError> {
    POLICIES.put(rows, (event.tenant, kind, key), it)?;
    POLICY_VERSIONS.append(rows, (event.tenant, kind, key), it)?;
    let place = PolicyPlace { tenant: event.tenant, kind: kind.to_owned(), key: key.to_owned() };
    POLICY_PLACES.put(rows, it.policy, &place)
}
