//! What the trust view knows: rows, and the tables they stand in.

use std::borrow::Cow;

use chancery_ledger::actor::Principal;
use chancery_ledger::body::trust::DisputeOutcome;
use chancery_ledger::ids::{AgentId, DisputeId, OrganisationId, PolicyId, Seq, TenantId, TransactionId};
use chancery_ledger::shred::Encrypted;
use chancery_ledger::time::Micros;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::retention::Retention;
use super::scope_rules::ScopeRules;
use super::scoring::{Basis, Components, Scoring, UNSET};
use super::spending::Spending;
use crate::rows::table::{DenseList, Table};
use crate::rows::{Rows, RowsError};

/// How far each agent is trusted, by agent.
pub const RECORDS: Table<Record> = Table::new(1);
/// The scores an agent had, by agent, each with the event that gave it.
pub const POINTS: DenseList<Point> = DenseList::new(2).for_readers();
/// Disputes, by id.
pub const DISPUTES: Table<Dispute> = Table::new(3);
/// Disputes about an agent, whoever filed them.
pub const DISPUTES_BY_AGENT: DenseList<DisputeId> = DenseList::new(4).for_readers();
/// Disputes that a tenant filed.
pub const DISPUTES_BY_TENANT: DenseList<DisputeId> = DenseList::new(5).for_readers();
/// Organisations that are vouched for, by id.
pub const VERIFIED: Table<bool> = Table::new(6);
/// Policies as they are, by tenant, kind and key.
pub const POLICIES: Table<Policy> = Table::new(7);
/// Policies as they ever were, by tenant, kind and key.
pub const POLICY_VERSIONS: DenseList<Policy> = DenseList::new(8).for_readers();
/// Rules of scoring that are in force, by tenant; none where nobody set any.
pub const SCORING: Table<InForce<Scoring>> = Table::new(9);
/// Rules of spending that are in force, by tenant and key.
pub const SPENDING: Table<InForce<Spending>> = Table::new(10);

/// Rules of scope checks that are in force, by tenant and key.
pub const SCOPE_RULES: Table<InForce<ScopeRules>> = Table::new(12);
/// Where the policy of an id stands in [`POLICIES`].
pub const POLICY_PLACES: Table<PolicyPlace> = Table::new(11).for_readers();
/// Rules of retention that are in force, by tenant.
pub const RETENTION: Table<InForce<Retention>> = Table::new(13);

/// The tables that scoring needs. The trust view has [`STANDINGS`]; who else has to know that a score moves, as it moves,
/// keeps tables of its own and has [`standing`](super::evolve::standing) bring them forward.
pub struct Standings {
    /// As [`RECORDS`].
    pub records: Table<Record>,
    /// As [`VERIFIED`].
    pub verified: Table<bool>,
    /// As [`SCORING`].
    pub scoring: Table<InForce<Scoring>>,
}

/// The trust view's.
pub const STANDINGS: Standings = Standings { records: RECORDS, verified: VERIFIED, scoring: SCORING };

impl Standings {
    /// The rules of scoring of a tenant, and their version.
    ///
    /// # Errors
    /// As [`Table::get`].
    pub fn rules(&self, rows: &dyn Rows, tenant: TenantId) -> Result<(u32, Cow<'static, Scoring>), RowsError> {
        Ok(match self.scoring.get(rows, tenant)? {
            Some(in_force) => (in_force.version, Cow::Owned(in_force.rules)),
            None => (0, Cow::Borrowed(&*UNSET)),
        })
    }
}

/// What rules are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyKind {
    /// How agents are scored; its one key is [`DEFAULT_KEY`].
    Scoring,
    /// How much agents may move over time; its keys are [`DEFAULT_KEY`] and the ids of agents.
    Spending,
    /// What execution tokens may not be used for, whatever they say; keys as of spending.
    Scope,
    /// How long what is personal is kept; its one key is [`DEFAULT_KEY`].
    Retention,
}

/// The key of a policy that holds for all that have none of their own.
pub const DEFAULT_KEY: &str = "default";

impl PolicyKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Scoring, Self::Spending, Self::Scope, Self::Retention];

    /// Its name in events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scoring => "scoring",
            Self::Spending => "spending",
            Self::Scope => "scope",
            Self::Retention => "retention",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// How far an agent is trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The agent.
    pub agent: AgentId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its organisation.
    pub organisation: OrganisationId,
    /// Since when it exists.
    pub registered: Micros,
    /// What counted when it was scored last.
    pub basis: Basis,
    /// What its score is the sum of.
    pub components: Components,
    /// The version of the rules that scored it; 0 is the one that nobody set.
    pub policy: u32,
    /// When it was scored last.
    pub scored: Micros,
    /// When its own tenant last asked.
    pub evaluated: Option<Micros>,
    /// Since when it is suspended.
    pub suspended: Option<Micros>,
}

/// A score, and what gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// The event.
    pub seq: Seq,
    /// When.
    pub at: Micros,
    /// What it was.
    pub cause: Cause,
    /// What counted.
    pub basis: Basis,
    /// What the score is the sum of.
    pub components: Components,
    /// The version of the rules that scored it.
    pub policy: u32,
}

/// What gave a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The agent was registered.
    Registered,
    /// Its tenant asked.
    Evaluated,
    /// A transaction was completed.
    TransactionCompleted,
    /// A transaction was not allowed.
    TransactionFailed,
    /// A transaction was reversed.
    TransactionReversed,
    /// Somebody complained.
    DisputeFiled,
    /// A complaint was dismissed.
    DisputeDismissed,
    /// A token did not allow what the agent would do.
    ScopeCheckRefused,
    /// A mission of its was called off.
    MissionRevoked,
    /// It was suspended.
    Suspended,
}

/// A dispute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispute {
    /// Its id.
    pub dispute: DisputeId,
    /// Who filed it: the tenant.
    pub tenant: TenantId,
    /// Who filed it.
    pub reporter: Principal,
    /// Of which agent.
    pub agent: AgentId,
    /// About what.
    pub transaction: Option<TransactionId>,
    /// `DisputeTexts`, under the agent's key.
    pub texts: Encrypted,
    /// When.
    pub filed: Micros,
    /// How it was decided, and when.
    pub resolved: Option<(DisputeOutcome, Micros)>,
}

/// A policy at some version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The policy.
    pub policy: PolicyId,
    /// Its version, from 1; a reset has the version before it.
    pub version: u32,
    /// The rules, as JSON; `None` after a reset.
    pub document: Option<String>,
    /// When it was set or reset.
    pub changed: Micros,
    /// By whom.
    pub by: Principal,
}

/// Where a policy stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyPlace {
    /// Whose it is.
    pub tenant: TenantId,
    /// What it is about.
    pub kind: String,
    /// For whom it holds.
    pub key: String,
}

/// Rules in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForce<T> {
    /// Their version.
    pub version: u32,
    /// The rules.
    pub rules: T,
}

/// The rules of scoring of a tenant, and their version.
///
/// # Errors
/// As [`Table::get`].
pub fn scoring(rows: &dyn Rows, tenant: TenantId) -> Result<(u32, Cow<'static, Scoring>), RowsError> {
    STANDINGS.rules(rows, tenant)
}

/// The rules of retention of a tenant, if somebody set any.
///
/// # Errors
/// As [`Table::get`].
pub fn retention(rows: &dyn Rows, tenant: TenantId) -> Result<Option<InForce<Retention>>, RowsError> {
    RETENTION.get(rows, tenant)
}

/// The rules of spending that hold for an agent of a tenant: its own, else the tenant's.
///
/// # Errors
/// As [`Table::get`].
pub fn spending(rows: &dyn Rows, tenant: TenantId, agent: AgentId) -> Result<Option<Spending>, RowsError> {
    of_agent(&SPENDING, rows, tenant, agent)
}

/// The rules of scope checks that hold for an agent of a tenant: its own, else the tenant's.
///
/// # Errors
/// As [`Table::get`].
pub fn scope_rules(rows: &dyn Rows, tenant: TenantId, agent: AgentId) -> Result<Option<ScopeRules>, RowsError> {
    of_agent(&SCOPE_RULES, rows, tenant, agent)
}

fn of_agent<T: Serialize + DeserializeOwned>(
    table: &Table<InForce<T>>, rows: &dyn Rows, tenant: TenantId, agent: AgentId,
) -> Result<Option<T>, RowsError> {
    let own = table.get(rows, (tenant, agent.to_string().as_str()))?;
    let in_force = match own {
        Some(own) => Some(own),
        None => table.get(rows, (tenant, DEFAULT_KEY))?,
    };
    Ok(in_force.map(|in_force| in_force.rules))
}
