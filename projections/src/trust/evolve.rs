//! State and event to state, one arm per event. No rules that could refuse: replay must never be able to refuse the past.
//!
//! An agent is scored anew by every event that counts for or against it, and whenever its tenant asks. Its age and
//! whether its organisation is vouched for count from then on, not before: a score has a moment, and an event that gave it.

use chancery_ledger::body::Body;
use chancery_ledger::body::trust::{DisputeFiled, DisputeOutcome, PolicyChanged, PolicyReset};
use chancery_ledger::event::Event;
use chancery_ledger::ids::AgentId;
use chancery_ledger::time::Micros;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::scoring::{Basis, Components, Counts, days_between};
use super::state::{
    Cause, DISPUTES, DISPUTES_BY_AGENT, DISPUTES_BY_TENANT, Dispute, InForce, POINTS, POLICIES, POLICY_PLACES,
    POLICY_VERSIONS, Point, Policy, PolicyKind, PolicyPlace, RETENTION, Record, SCOPE_RULES, SPENDING, STANDINGS,
    Standings,
};
use crate::rows::table::{Key, Table};
use crate::rows::{Rows, RowsError, RowsMut};

/// What is missing, if it is.
const RECORD: &str = "an agent's record of trust";

/// So many points make a move that is worth telling, beside a new word for the score (contracts/alsorn.md section 11).
pub const MOVED_MIN: u16 = 10;

/// How an event left an agent that counts for or against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scored {
    /// The agent's record.
    pub record: Record,
    /// Its score before; `None` when it has only now come to be.
    pub before: Option<u16>,
    /// Whether its score has another word than before.
    pub is_renamed: bool,
    /// Whether it is a point of the agent's history whether the score moved or not.
    is_point: bool,
    cause: Cause,
}

impl Scored {
    /// Whether the score moved so far that it is worth telling.
    #[must_use]
    pub fn is_notable(&self) -> bool {
        let after = self.record.components.score();
        self.is_renamed || self.before.is_some_and(|before| before.abs_diff(after) >= MOVED_MIN)
    }
}

/// Brings the trust view forward by one event.
///
/// # Errors
/// [`RowsError`] when the view's storage fails or the view is damaged.
pub fn evolve(rows: &mut dyn RowsMut, event: &Event) -> Result<(), RowsError> {
    let scored = standing(&STANDINGS, rows, event)?;
    if let Some(Scored { record, before, is_point, cause, .. }) = scored
        && (is_point || before != Some(record.components.score()))
    {
        let Record { basis, components, policy, .. } = record;
        let point = Point { seq: event.seq, at: event.time, cause, basis, components, policy };
        POINTS.append(rows, record.agent, &point)?;
    }
    if let Body::DisputeFiled(filed) = &event.body {
        dispute_filed(rows, event, filed)?;
    }
    if let Body::DisputeResolved(resolved) = &event.body {
        let ended = Some((resolved.outcome, event.time));
        DISPUTES.update(rows, resolved.dispute, "a dispute", |dispute| dispute.resolved = ended)?;
    }
    if let Body::PolicyChanged(changed) = &event.body {
        policy_changed(rows, event, changed)?;
    }
    if let Body::PolicyReset(reset) = &event.body {
        policy_reset(rows, event, reset)?;
    }
    Ok(())
}

/// Brings the tables of scoring forward by one event, and tells how it left the agent that it counts for or against.
///
/// # Errors
/// As [`evolve`].
pub fn standing(tables: &Standings, rows: &mut dyn RowsMut, event: &Event) -> Result<Option<Scored>, RowsError> {
    let count = |rows: &mut dyn RowsMut, agent, cause, change: fn(&mut Counts)| {
        let mut record = tables.record(&*rows, agent)?;
        change(&mut record.basis.counts);
        tables.score(rows, event, record, false, cause).map(Some)
    };
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
            let first = tables.score(rows, event, record, true, Cause::Registered)?;
            Ok(Some(Scored { before: None, is_renamed: false, ..first }))
        }
        Body::OrganisationVerified(it) => {
            tables.verified.put(rows, it.organisation, &it.verified)?;
            Ok(None)
        }
        Body::AgentSuspended(it) => {
            tables.records.update(rows, it.agent, RECORD, |record| record.suspended = Some(event.time))?;
            count(rows, it.agent, Cause::Suspended, |it| it.suspensions += 1)
        }
        Body::AgentResumed(it) => {
            tables.records.update(rows, it.agent, RECORD, |record| record.suspended = None)?;
            Ok(None)
        }
        Body::TransactionCompleted(it) => count(rows, it.agent, Cause::TransactionCompleted, |it| it.completed += 1),
        Body::TransactionFailed(it) => count(rows, it.agent, Cause::TransactionFailed, |it| it.failed += 1),
        Body::TransactionReversed(it) => count(rows, it.agent, Cause::TransactionReversed, |it| {
            it.completed = it.completed.saturating_sub(1);
            it.reversed += 1;
        }),
        Body::ScopeChecked(it) => match it.agent.filter(|_| it.violations.iter().any(|why| is_overreach(why))) {
            Some(agent) => count(rows, agent, Cause::ScopeCheckRefused, |it| it.refused_scope_checks += 1),
            None => Ok(None),
        },
        Body::MissionRevoked(it) => match it.agent {
            Some(agent) => count(rows, agent, Cause::MissionRevoked, |it| it.revoked_missions += 1),
            None => Ok(None),
        },
        Body::TrustEvaluated(it) => {
            let mut record = tables.record(&*rows, it.agent)?;
            // A stranger's question is the stranger's event, and says nothing of the agent.
            if record.tenant != event.tenant {
                return Ok(None);
            }
            record.evaluated = Some(event.time);
            tables.score(rows, event, record, true, Cause::Evaluated).map(Some)
        }
        Body::DisputeFiled(it) => count(rows, it.agent, Cause::DisputeFiled, |it| it.disputes += 1),
        Body::DisputeResolved(it) => match it.outcome {
            DisputeOutcome::Upheld => Ok(None),
            DisputeOutcome::Dismissed => count(rows, it.agent, Cause::DisputeDismissed, |it| {
                it.disputes = it.disputes.saturating_sub(1);
            }),
        },
        Body::PolicyChanged(it) => {
            if PolicyKind::parse(&it.kind) == Some(PolicyKind::Scoring) {
                put_in_force(rows, &tables.scoring, event.tenant, it.version, it.document.as_str())?;
            }
            Ok(None)
        }
        Body::PolicyReset(it) => {
            if PolicyKind::parse(&it.kind) == Some(PolicyKind::Scoring) {
                tables.scoring.delete(rows, event.tenant)?;
            }
            Ok(None)
        }
        // Other domains' events.
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
        | Body::DeliveriesRecorded(_)
        | Body::CheckpointCosigned(_)
        | Body::WitnessedCheckpoint(_) => Ok(None),
    }
}

/// Whether a scope check was refused because the agent would have done what its token does not allow; a token that is
/// over says nothing of the agent.
fn is_overreach(violation: &str) -> bool {
    let code = violation.split_once(':').map_or(violation, |(code, _)| code);
    matches!(code, "tool_not_in_scope" | "immutable_param_mismatch" | "bounded_param_violation")
}

impl Standings {
    fn record(&self, rows: &dyn Rows, agent: AgentId) -> Result<Record, RowsError> {
        self.records.get(rows, agent)?.ok_or(RowsError::Missing(RECORD))
    }

    fn score(
        &self, rows: &mut dyn RowsMut, event: &Event, mut record: Record, is_point: bool, cause: Cause,
    ) -> Result<Scored, RowsError> {
        let before = record.components.score();
        let (version, rules) = self.rules(&*rows, record.tenant)?;
        record.basis = self.basis(&*rows, &record, event.time)?;
        record.components = rules.components(&record.basis);
        (record.policy, record.scored) = (version, event.time);
        self.records.put(rows, record.agent, &record)?;
        let after = record.components.score();
        let is_renamed = before != after && rules.assessment(before) != rules.assessment(after);
        Ok(Scored { record, before: Some(before), is_renamed, is_point, cause })
    }

    /// What counts for or against an agent at a time.
    fn basis(&self, rows: &dyn Rows, record: &Record, at: Micros) -> Result<Basis, RowsError> {
        Ok(Basis {
            counts: record.basis.counts,
            tenure_days: days_between(record.registered, at),
            operator_verified: self.verified.get(rows, record.organisation)?.unwrap_or(false),
        })
    }
}

/// What an agent would be scored at a time, by the rules of its tenant: version of the rules, basis, components.
///
/// # Errors
/// [`RowsError`] when rows cannot be read.
pub fn scored(rows: &dyn Rows, record: &Record, at: Micros) -> Result<(u32, Basis, Components), RowsError> {
    let (version, rules) = STANDINGS.rules(rows, record.tenant)?;
    let basis = STANDINGS.basis(rows, record, at)?;
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
    Ok(())
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
        Some(PolicyKind::Spending) => put_in_force(rows, &SPENDING, key, it.version, document),
        Some(PolicyKind::Scope) => put_in_force(rows, &SCOPE_RULES, key, it.version, document),
        Some(PolicyKind::Retention) => put_in_force(rows, &RETENTION, event.tenant, it.version, document),
        // Rules of scoring are `standing`'s.
        Some(PolicyKind::Scoring) | None => Ok(()),
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
        Some(PolicyKind::Spending) => SPENDING.delete(rows, (event.tenant, it.key.as_str())),
        Some(PolicyKind::Scope) => SCOPE_RULES.delete(rows, (event.tenant, it.key.as_str())),
        Some(PolicyKind::Retention) => RETENTION.delete(rows, event.tenant),
        Some(PolicyKind::Scoring) | None => Ok(()),
    }
}

fn keep_policy(rows: &mut dyn RowsMut, event: &Event, kind: &str, key: &str, it: &Policy) -> Result<(), RowsError> {
    POLICIES.put(rows, (event.tenant, kind, key), it)?;
    POLICY_VERSIONS.append(rows, (event.tenant, kind, key), it)?;
    let place = PolicyPlace { tenant: event.tenant, kind: kind.to_owned(), key: key.to_owned() };
    POLICY_PLACES.put(rows, it.policy, &place)
}
