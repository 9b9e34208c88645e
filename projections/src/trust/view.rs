//! What readers ask of trust: an agent's score, what it is made of and what moved it, disputes, rules, and what scores
//! would be under other rules.

use std::borrow::Cow;

use chancery_ledger::actor::Principal;
use chancery_ledger::body::Kind;
use chancery_ledger::body::field::JsonText;
use chancery_ledger::body::identity::{Disclosure, Environment};
use chancery_ledger::body::trust::{DisputeOutcome, DisputeTexts};
use chancery_ledger::ids::{AgentId, DisputeId, OrganisationId, PolicyId, Seq, TenantId, TransactionId};
use chancery_ledger::time::Micros;
use schemars::JsonSchema;
use serde::Serialize;

use super::retention::Retention;
use super::scoring::{Basis, Components, Scoring, Weights, days_between};
use super::state::{
    Cause, DISPUTES, DISPUTES_BY_AGENT, DISPUTES_BY_TENANT, Dispute, POINTS, POLICIES, POLICY_PLACES, POLICY_VERSIONS,
    Point, Policy, PolicyKind, RECORDS, Record, scoring,
};
use crate::execution::transaction::first_after;
use crate::identity::state::{AGENTS, AGENTS_BY_TENANT, ORGANISATIONS};
use crate::identity::view::member;
use crate::rows::RowsError;
use crate::rows::table::Versioned;
use crate::view::{Page, Paging, Reading, ViewError};

/// Most points that are looked at to explain a score at once.
const EXPLAINED_MAX: usize = 200;

/// How far an agent is trusted.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct TrustView {
    /// The agent.
    pub agent: AgentId,
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its organisation.
    pub organisation: OrganisationId,
    /// That organisation's name.
    pub organisation_name: String,
    /// Where it runs.
    pub environment: Environment,
    /// Its score: 0 to 1000.
    pub score: u16,
    /// What such a score is called.
    pub assessment: String,
    /// The same, more finely.
    pub tier: String,
    /// Which way the score moved lately.
    pub trend: TrendView,
    /// What the score is the sum of.
    pub components: Components,
    /// The most that each of them brings.
    pub weights: Weights,
    /// What counted when it was scored.
    pub basis: Basis,
    /// Transactions that it carried out, taken back or not.
    pub tasks: u64,
    /// The version of the rules that scored it; 0 is the one that nobody set.
    pub policy: u32,
    /// Since when the agent exists.
    pub registered: Micros,
    /// How many whole days that is; its age counts from the next time that it is scored.
    pub age_days: u32,
    /// When it was scored last.
    pub scored: Micros,
    /// When its own tenant last asked.
    pub evaluated: Option<Micros>,
    /// Since when it is suspended.
    pub suspended: Option<Micros>,
    /// When asked for: the events that moved the score, the newest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Vec<Movement>>,
}

/// Which way a score moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrendView {
    /// Up.
    Improving,
    /// Down.
    Declining,
    /// Neither.
    Stable,
}

impl TrendView {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Improving => "improving",
            Self::Declining => "declining",
            Self::Stable => "stable",
        }
    }
}

/// A score that an agent had, the event that gave it, and what moved it from the one before.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Movement {
    /// The event.
    pub event: Seq,
    /// When.
    pub at: Micros,
    /// What it was.
    pub cause: Cause,
    /// The score from then on.
    pub score: u16,
    /// What that is called.
    pub assessment: String,
    /// How much it differs from the score before; the first is its beginning.
    pub moved: i32,
    /// Which parts of that are whose; they add up to it.
    pub by: MovedBy,
    /// What the score is the sum of.
    pub components: Components,
    /// What counted.
    pub basis: Basis,
    /// The version of the rules.
    pub policy: u32,
}

/// What moved a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct MovedBy {
    /// Other rules than those of the score before.
    pub policy: i32,
    /// The agent's age since then.
    pub age: i32,
    /// Its organisation is vouched for since then, or no longer.
    pub verification: i32,
    /// The event itself, and what came since then and had moved nothing alone.
    pub event: i32,
}

/// A dispute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DisputeView {
    /// Its id.
    pub id: DisputeId,
    /// Of which agent.
    pub agent: AgentId,
    /// About what.
    pub transaction: Option<TransactionId>,
    /// Who filed it; `null` when that is another tenant's.
    pub reporter: Option<Principal>,
    /// What is wrong; `null` when erased.
    pub reason: Option<String>,
    /// What shows it, likewise.
    pub evidence: Option<String>,
    /// When it was filed.
    pub filed: Micros,
    /// How it was decided.
    pub outcome: Option<DisputeOutcome>,
    /// When.
    pub resolved: Option<Micros>,
    /// The event that last changed it, for `If-Match`.
    pub version: Seq,
}

/// A policy at some version.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct PolicyView {
    /// The policy; `null` when nobody ever set it.
    pub id: Option<PolicyId>,
    /// What the rules are about.
    pub kind: String,
    /// Which of that kind.
    pub key: String,
    /// Its version: 0 when these are the rules that nobody set.
    pub version: u32,
    /// Whether somebody set these rules.
    pub set: bool,
    /// The rules; `null` where there are none.
    pub document: JsonText,
    /// When they were set or reset.
    pub changed: Option<Micros>,
    /// By whom.
    pub by: Option<Principal>,
}

/// What an agent's score would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DryRunView {
    /// The agent.
    pub agent: AgentId,
    /// Its name.
    pub name: String,
    /// Its score now.
    pub score: u16,
    /// What that is called now.
    pub assessment: String,
    /// What it would be, scored now by the other rules.
    pub would_be: u16,
    /// What that would be called.
    pub would_be_assessment: String,
}

/// Which disputes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisputeFilter {
    /// Those about an agent of the tenant's, whoever filed them.
    About(AgentId),
    /// Those that the tenant filed.
    Filed,
}

/// How far an agent is trusted: one of the tenant's, or one whose profile is public.
///
/// # Errors
/// [`ViewError`] when views cannot be read.
pub fn trust(
    reading: &Reading<'_>, tenant: Option<TenantId>, id: AgentId, explain: bool,
) -> Result<Option<TrustView>, ViewError> {
    let Some(agent) = AGENTS.get(reading.identity, id)? else { return Ok(None) };
    if tenant != Some(agent.tenant) && agent.disclosure == Disclosure::None {
        return Ok(None);
    }
    let record = record(reading, id)?;
    let (_, rules) = scoring(reading.trust, record.tenant)?;
    let score = record.components.score();
    let organisation = ORGANISATIONS.get(reading.identity, agent.organisation)?;
    let organisation_name = organisation.ok_or(RowsError::Missing("an organisation"))?.name;
    // What moved a score is told to its tenant alone.
    let explanation = match explain && tenant == Some(agent.tenant) {
        true => Some(
            movements(reading, agent.tenant, id, None, &Paging::newest(EXPLAINED_MAX))?.map_or(vec![], |it| it.items),
        ),
        false => None,
    };
    Ok(Some(TrustView {
        agent: id,
        name: agent.name,
        tenant: agent.tenant,
        organisation: agent.organisation,
        organisation_name,
        environment: agent.environment,
        score,
        assessment: rules.assessment(score).to_owned(),
        tier: rules.tier(score).to_owned(),
        trend: trend(reading, &record, &rules)?,
        components: record.components,
        weights: rules.weights,
        tasks: record.basis.counts.tasks(),
        basis: record.basis,
        policy: record.policy,
        registered: record.registered,
        age_days: days_between(record.registered, reading.now),
        scored: record.scored,
        evaluated: record.evaluated,
        suspended: record.suspended,
        explanation,
    }))
}

/// The scores that an agent of the tenant had, each with the event that gave it; only those since a time, if one is given.
///
/// # Errors
/// [`ViewError`] when views cannot be read.
pub fn movements(
    reading: &Reading<'_>, tenant: TenantId, id: AgentId, since: Option<Micros>, paging: &Paging,
) -> Result<Option<Page<Movement>>, ViewError> {
    let Some(record) = RECORDS.get(reading.trust, id)?.filter(|record| record.tenant == tenant) else {
        return Ok(None);
    };
    let length = POINTS.len(reading.trust, id)?;
    let from = match since {
        Some(since) => first_after(length, Micros(since.0.saturating_sub(1)), |n| Ok(point(reading, id, n)?.at))?,
        None => 1,
    };
    let (_, rules) = scoring(reading.trust, record.tenant)?;
    let mut versions = Versions { reading, tenant: record.tenant, known: Vec::new() };
    let page = paging.over(length, |ordinal| {
        if ordinal < from {
            return Ok::<_, ViewError>(None);
        }
        let now = point(reading, id, ordinal)?;
        let before = if ordinal > 1 { Some(point(reading, id, ordinal - 1)?) } else { None };
        Ok(Some(movement(&now, before.as_ref(), &rules, &mut versions)?))
    })?;
    // Ordered by time, so that nothing that is wanted lies beyond what is not.
    let next = page.next.filter(|_| {
        paging.is_ascending() || page.items.last().is_some_and(|last| last.at > since.unwrap_or(Micros(i64::MIN)))
    });
    Ok(Some(Page { items: page.items, next }))
}

fn movement(
    now: &Point, before: Option<&Point>, rules: &Scoring, versions: &mut Versions<'_>,
) -> Result<Movement, ViewError> {
    let score = now.components.score();
    let by = match before {
        None => MovedBy { event: i32::from(score), ..MovedBy::default() },
        Some(before) => {
            // One thing after the other becomes as it is now; each step is what that thing moved.
            let then = versions.rules(now.policy)?;
            let step = |basis: Basis| i32::from(then.components(&basis).score());
            let old = i32::from(before.components.score());
            let by_policy = step(before.basis);
            let aged = Basis { tenure_days: now.basis.tenure_days, ..before.basis };
            let verified = Basis { operator_verified: now.basis.operator_verified, ..aged };
            MovedBy {
                policy: by_policy - old,
                age: step(aged) - by_policy,
                verification: step(verified) - step(aged),
                event: i32::from(score) - step(verified),
            }
        }
    };
    Ok(Movement {
        event: now.seq,
        at: now.at,
        cause: now.cause,
        score,
        assessment: rules.assessment(score).to_owned(),
        moved: by.policy + by.age + by.verification + by.event,
        by,
        components: now.components,
        basis: now.basis,
        policy: now.policy,
    })
}

/// Rules of a tenant by their versions, each read once.
struct Versions<'a> {
    reading: &'a Reading<'a>,
    tenant: TenantId,
    known: Vec<(u32, Scoring)>,
}

impl Versions<'_> {
    fn rules(&mut self, version: u32) -> Result<Cow<'_, Scoring>, ViewError> {
        if version == 0 {
            return Ok(Cow::Borrowed(&*super::scoring::UNSET));
        }
        if !self.known.iter().any(|(known, _)| *known == version) {
            let list = (self.tenant, PolicyKind::Scoring.name(), super::state::DEFAULT_KEY);
            let mut found = None;
            // Resets stand between the versions, so a version's place is at or after its number.
            for ordinal in u64::from(version)..=POLICY_VERSIONS.len(self.reading.trust, list)? {
                let policy = member(POLICY_VERSIONS.get(self.reading.trust, list, ordinal)?)?;
                if let Some(document) = policy.document.filter(|_| policy.version == version) {
                    found = serde_json::from_str(&document).ok();
                    break;
                }
            }
            self.known.push((version, found.ok_or(RowsError::Missing("a version of a policy"))?));
        }
        let found = self.known.iter().find(|(known, _)| *known == version);
        Ok(Cow::Borrowed(&found.ok_or(RowsError::Missing("a version of a policy"))?.1))
    }
}

/// Against the oldest score of the days that the rules name; the one that held when they began counts among them.
fn trend(reading: &Reading<'_>, record: &Record, rules: &Scoring) -> Result<TrendView, ViewError> {
    let since = reading.now.plus_secs(-86_400 * i64::from(rules.trend.days));
    let length = POINTS.len(reading.trust, record.agent)?;
    let first = first_after(length, Micros(since.0.saturating_sub(1)), |n| Ok(point(reading, record.agent, n)?.at))?;
    if first > length {
        return Ok(TrendView::Stable);
    }
    let then = i32::from(point(reading, record.agent, first)?.components.score());
    let moved = i32::from(record.components.score()) - then;
    let by = i32::from(rules.trend.points);
    Ok(match moved {
        0 => TrendView::Stable,
        moved if moved >= by => TrendView::Improving,
        moved if moved <= -by => TrendView::Declining,
        _ => TrendView::Stable,
    })
}

fn record(reading: &Reading<'_>, id: AgentId) -> Result<Record, RowsError> {
    RECORDS.get(reading.trust, id)?.ok_or(RowsError::Missing("an agent's record of trust"))
}

fn point(reading: &Reading<'_>, id: AgentId, ordinal: u64) -> Result<Point, RowsError> {
    POINTS.get(reading.trust, id, ordinal)?.ok_or(RowsError::Missing("a list's member"))
}

/// A dispute: one that the tenant filed, or one about an agent of its own.
///
/// # Errors
/// [`ViewError`] when view or keys cannot be read.
pub fn dispute(reading: &Reading<'_>, tenant: TenantId, id: DisputeId) -> Result<Option<DisputeView>, ViewError> {
    let Some(Versioned { seq, value }) = DISPUTES.get_versioned(reading.trust, id)? else { return Ok(None) };
    let about_own = RECORDS.get(reading.trust, value.agent)?.is_some_and(|record| record.tenant == tenant);
    if value.tenant != tenant && !about_own {
        return Ok(None);
    }
    let texts: Option<DisputeTexts> = reading.opener.open(value.tenant, Kind::DisputeFiled, "texts", &value.texts)?;
    let Dispute { dispute, agent, transaction, reporter, filed, resolved, .. } = value;
    let (reason, evidence) = texts.map_or((None, None), |texts| (Some(texts.reason), texts.evidence));
    Ok(Some(DisputeView {
        id: dispute,
        agent,
        transaction,
        reporter: (value.tenant == tenant).then_some(reporter),
        reason,
        evidence,
        filed,
        outcome: resolved.map(|(outcome, _)| outcome),
        resolved: resolved.map(|(_, at)| at),
        version: seq,
    }))
}

/// Disputes; none about an agent that is not the tenant's.
///
/// # Errors
/// [`ViewError`] when view or keys cannot be read.
pub fn disputes(
    reading: &Reading<'_>, tenant: TenantId, filter: DisputeFilter, paging: &Paging,
) -> Result<Page<DisputeView>, ViewError> {
    let rows = reading.trust;
    match filter {
        DisputeFilter::About(agent) => {
            if RECORDS.get(rows, agent)?.is_none_or(|record| record.tenant != tenant) {
                return Ok(Page { items: Vec::new(), next: None });
            }
            let length = DISPUTES_BY_AGENT.len(rows, agent)?;
            paging.over(length, |n| dispute(reading, tenant, member(DISPUTES_BY_AGENT.get(rows, agent, n)?)?))
        }
        DisputeFilter::Filed => {
            let length = DISPUTES_BY_TENANT.len(rows, tenant)?;
            paging.over(length, |n| dispute(reading, tenant, member(DISPUTES_BY_TENANT.get(rows, tenant, n)?)?))
        }
    }
}

/// A policy as it is in force; of scoring there always is one.
///
/// # Errors
/// [`ViewError`] when the view cannot be read.
pub fn policy(
    reading: &Reading<'_>, tenant: TenantId, kind: PolicyKind, key: &str,
) -> Result<Option<PolicyView>, ViewError> {
    let found = POLICIES.get(reading.trust, (tenant, kind.name(), key))?;
    let is_default = key == super::state::DEFAULT_KEY;
    Ok(match found {
        None if !is_default => None,
        found => Some(policy_view(kind, key, found)),
    })
}

/// The policy of an id, as it is in force.
///
/// # Errors
/// [`ViewError`] when the view cannot be read.
pub fn policy_by_id(reading: &Reading<'_>, tenant: TenantId, id: PolicyId) -> Result<Option<PolicyView>, ViewError> {
    let place = POLICY_PLACES.get(reading.trust, id)?.filter(|place| place.tenant == tenant);
    match place.and_then(|place| Some((PolicyKind::parse(&place.kind)?, place.key))) {
        Some((kind, key)) => policy(reading, tenant, kind, &key),
        None => Ok(None),
    }
}

/// A policy at each of its versions, resets among them.
///
/// # Errors
/// [`ViewError`] when the view cannot be read.
pub fn policy_versions(
    reading: &Reading<'_>, tenant: TenantId, kind: PolicyKind, key: &str, paging: &Paging,
) -> Result<Page<PolicyView>, ViewError> {
    let list = (tenant, kind.name(), key);
    let length = POLICY_VERSIONS.len(reading.trust, list)?;
    let pick = |n| Ok(Some(policy_view(kind, key, Some(member(POLICY_VERSIONS.get(reading.trust, list, n)?)?))));
    paging.over(length, pick)
}

/// What a policy's row says, or that there is none.
#[must_use]
pub fn policy_view(kind: PolicyKind, key: &str, found: Option<Policy>) -> PolicyView {
    let unset = match kind {
        PolicyKind::Scoring => serde_json::to_string(&*super::scoring::UNSET).unwrap_or_else(|_| "null".to_owned()),
        PolicyKind::Spending => r#"{"windows":[]}"#.to_owned(),
        PolicyKind::Scope => r#"{"tools":null,"refused_tools":[],"bounds":[]}"#.to_owned(),
        PolicyKind::Retention => serde_json::to_string(&Retention::default()).unwrap_or_else(|_| "null".to_owned()),
    };
    let set = found.as_ref().and_then(|policy| policy.document.clone());
    PolicyView {
        id: found.as_ref().map(|policy| policy.policy),
        kind: kind.name().to_owned(),
        key: key.to_owned(),
        version: found.as_ref().filter(|_| set.is_some()).map_or(0, |policy| policy.version),
        set: set.is_some(),
        document: JsonText(set.unwrap_or(unset)),
        changed: found.as_ref().map(|policy| policy.changed),
        by: found.map(|policy| policy.by),
    }
}

/// What the scores of the tenant's agents would be by other rules, scored now.
///
/// # Errors
/// [`ViewError`] when views cannot be read.
pub fn dry_run(
    reading: &Reading<'_>, tenant: TenantId, rules: &Scoring, paging: &Paging,
) -> Result<Page<DryRunView>, ViewError> {
    let (_, in_force) = scoring(reading.trust, tenant)?;
    let length = AGENTS_BY_TENANT.len(reading.identity, tenant)?;
    paging.over(length, |ordinal| {
        let id = member(AGENTS_BY_TENANT.get(reading.identity, tenant, ordinal)?)?;
        let agent = AGENTS.get(reading.identity, id)?.ok_or(RowsError::Missing("an agent"))?;
        let record = record(reading, id)?;
        let (_, basis, _) = super::evolve::scored(reading.trust, &record, reading.now)?;
        let (score, would_be) = (record.components.score(), rules.components(&basis).score());
        Ok(Some(DryRunView {
            agent: id,
            name: agent.name,
            score,
            assessment: in_force.assessment(score).to_owned(),
            would_be,
            would_be_assessment: rules.assessment(would_be).to_owned(),
        }))
    })
}

/// The newest of what a list of points holds since a time, for a page that has no cursor.
///
/// # Errors
/// [`ViewError`] when views cannot be read.
pub fn history(
    reading: &Reading<'_>, tenant: Option<TenantId>, id: AgentId, since: Micros, limit: usize,
) -> Result<Option<Vec<Movement>>, ViewError> {
    let Some(agent) = AGENTS.get(reading.identity, id)? else { return Ok(None) };
    if tenant != Some(agent.tenant) && agent.disclosure == Disclosure::None {
        return Ok(None);
    }
    let found = movements(reading, agent.tenant, id, Some(since), &Paging::newest(limit))?;
    Ok(found.map(|page| page.items))
}
