//! Past scope checks, asked again under other rules: which would have been refused, or permitted, that were not?
//!
//! Each is decided again upon what there was right before it, at its own time; only the tenant's rules are others. What
//! the caller claimed to be is not on record, so a check that failed by that fails again.

use std::ops::ControlFlow;

use chancery_ledger::body::{Body, Kind};
use chancery_ledger::event::{Event, ReadError};
use chancery_ledger::ids::{AgentId, MissionId, Seq, TenantId, TokenId};
use chancery_ledger::store::{LogStore, StoreError};
use chancery_ledger::time::Micros;
use schemars::JsonSchema;
use serde::Serialize;

use super::check::{MISMATCH, Use};
use super::state::TOKENS;
use crate::context::Opener;
use crate::decision::{State, Stop};
use crate::journal::{self, Filter};
use crate::json::Json;
use crate::rows::{Order, Row, Rows, RowsError, Scan};
use crate::trust::scope_rules::ScopeRules;
use crate::trust::state::scope_rules;
use crate::view::Held;

/// Positions read at a time.
const PAGE: usize = 256;

/// A past scope check, and what it would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CheckDryRun {
    /// The event.
    pub event: Seq,
    /// When it was.
    pub time: Micros,
    /// The token's agent.
    pub agent: Option<AgentId>,
    /// The token's mission.
    pub mission: Option<MissionId>,
    /// The token.
    pub token: TokenId,
    /// What was to be used.
    pub tool: String,
    /// Whether it was permitted.
    pub passed: bool,
    /// Why not.
    pub violations: Vec<String>,
    /// Whether it would be permitted; `null` when its parameters were erased, so that nobody can tell.
    pub would_pass: Option<bool>,
    /// Why it would not be.
    pub would_violations: Vec<String>,
}

impl CheckDryRun {
    /// Whether it would end otherwise, or nobody can tell.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.would_pass != Some(self.passed)
    }
}

/// Under which rules checks are asked again.
#[derive(Clone, Copy)]
pub enum Under<'a> {
    /// Under these, whoever's token it is.
    Given(&'a ScopeRules),
    /// Under those that are in force by these rows of the trust view: of some later moment.
    InForce(&'a dyn Rows),
}

/// Past scope checks could not be asked again.
#[derive(Debug, thiserror::Error)]
pub enum DryRunError {
    /// The log could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A view could not be read.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// An event is malformed.
    #[error("event {seq} cannot be read: {source}")]
    Event {
        /// Which.
        seq: Seq,
        /// Why.
        source: ReadError,
    },
    /// Views, keys or randomness were not to be had.
    #[error("the scope check of event {seq} cannot be asked again: {source}")]
    Stopped {
        /// Which.
        seq: Seq,
        /// Why.
        source: Stop,
    },
}

/// What is asked again.
#[derive(Clone, Copy)]
pub struct Past<'a> {
    /// The log.
    pub log: &'a dyn LogStore,
    /// Where events stand in it.
    pub journal: &'a dyn Scan,
    /// Opens what checks were about.
    pub opener: Opener<'a>,
    /// Whose checks.
    pub tenant: TenantId,
    /// Only those of this agent's tokens.
    pub agent: Option<AgentId>,
    /// Under which rules.
    pub under: Under<'a>,
}

impl Past<'_> {
    /// Calls `visit` with each scope check from `first` to `last`, in order; also with events that are none of the
    /// agent's, as `None`, so that it can bound how many are looked at. Ends early when `visit` says so.
    ///
    /// # Errors
    /// [`DryRunError`].
    pub fn each(
        &self, mut held: Held, first: Seq, last: Seq,
        mut visit: impl FnMut(Seq, Option<CheckDryRun>) -> ControlFlow<()>,
    ) -> Result<(), DryRunError> {
        let filter = Filter::Kind(self.tenant, Kind::ScopeChecked.code());
        let mut next = first;
        loop {
            let page = journal::positions(self.journal, filter, Some(next), Order::Ascending, PAGE)?;
            for seq in page.iter().copied() {
                if seq > last {
                    return Ok(());
                }
                // The first event of a ledger makes it, so there is one before any check.
                held = held.at(Seq(seq.0.saturating_sub(1)));
                if visit(seq, self.again(&held, seq)?).is_break() {
                    return Ok(());
                }
            }
            match page.last() {
                Some(seq) if page.len() == PAGE => next = seq.next(),
                _ => return Ok(()),
            }
        }
    }

    fn again(&self, before: &Held, seq: Seq) -> Result<Option<CheckDryRun>, DryRunError> {
        let record = self.log.record(seq)?.ok_or(StoreError::Missing { seq })?;
        let read = Event::read(&record.header, &record.body);
        let (event, envelope) = read.map_err(|source| DryRunError::Event { seq, source })?;
        let Body::ScopeChecked(it) = event.body else { return Ok(None) };
        if self.agent.is_some() && self.agent != it.agent {
            return Ok(None);
        }
        let stopped = |source: Stop| DryRunError::Stopped { seq, source };
        let place = chancery_ledger::shred::FieldContext {
            tenant: event.tenant,
            kind: envelope.kind,
            version: envelope.version,
            field: "params",
        };
        let params: Option<String> = match &it.params {
            Some(params) => self.opener.open_at(&place, params).map_err(|error| stopped(error.into()))?,
            None => None,
        };
        let params = params.and_then(|text| Json::parse_members(&text).ok());
        let reading = before.reading(self.opener, event.time);
        let token = TOKENS.get(reading.token, it.token)?.ok_or(RowsError::Missing("a token"))?;
        let own;
        let rules = match (self.under, it.agent) {
            (Under::Given(rules), _) => Some(rules),
            (Under::InForce(_), None) => None,
            (Under::InForce(rows), Some(agent)) => {
                own = scope_rules(rows, event.tenant, agent)?;
                own.as_ref()
            }
        };
        let state = State {
            identity: reading.identity,
            token: reading.token,
            trust: reading.trust,
            execution: reading.execution,
            journal: &Nothing,
        };
        let would = if it.violations.iter().any(|why| why.starts_with(MISMATCH)) {
            Some(it.violations.clone())
        } else if let Some(params) = &params {
            let asked = Use { token: &token, tool: &it.tool, params, claimed: None };
            Some(asked.violations(&state, &self.opener, event.time, rules).map_err(stopped)?)
        } else {
            None
        };
        Ok(Some(CheckDryRun {
            event: seq,
            time: event.time,
            agent: it.agent,
            mission: it.mission,
            token: it.token,
            tool: it.tool,
            passed: it.passed,
            violations: it.violations,
            would_pass: would.as_ref().map(Vec::is_empty),
            would_violations: would.unwrap_or_default(),
        }))
    }
}

/// Rows of which nobody asks any: no check looks into the journal.
struct Nothing;

impl Rows for Nothing {
    fn row(&self, _: &[u8]) -> Result<Option<Row>, RowsError> {
        Ok(None)
    }
}
