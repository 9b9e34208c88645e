//! What the execution view keeps of the audit log, and how a place in it is found.
//!
//! For each event with entries there is a [`Mark`] in the tenant's list, and one in the list of each agent that the entries
//! name. A mark says how many entries of each action there are up to there; so how many entries a selection has, and which
//! event holds the nth, is found by halving. No decider reads any of it.

use std::collections::BTreeMap;

use chancery_ledger::body::Body;
use chancery_ledger::event::Event;
use chancery_ledger::ids::{AgentId, OrganisationId, Seq, TenantId, TokenId};
use chancery_ledger::link::Hash;
use chancery_ledger::time::Micros;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::entry::{self, Action, Belongs, entries};
use crate::rows::table::Table;
use crate::rows::{Rows, RowsError, RowsMut};

/// Marks of a tenant, by tenant and place from 1.
const MARKS: Table<Mark> = Table::new(110).for_readers();
/// Marks of an agent within a tenant, by tenant, agent and place from 1.
const AGENT_MARKS: Table<Mark> = Table::new(111).for_readers();
/// Tokens whose end the audit log tells.
const TOKENS: Table<()> = Table::new(112).for_readers();
/// The organisation of an agent within a tenant, by both, unless it is the default one.
const ORGANISATIONS: Table<OrganisationId> = Table::new(113).for_readers();
/// A tenant's default organisation.
const DEFAULT_ORGANISATIONS: Table<OrganisationId> = Table::new(114).for_readers();
/// How far a tenant's list has grown: only now. [`List::marks`] also knows it as of a past event.
const TAILS: Table<Tail> = Table::new(174).for_readers();
/// How far an agent's list has grown, by tenant and agent: only now.
const AGENT_TAILS: Table<Tail> = Table::new(175).for_readers();

/// How many entries of each action there are, by the action's place among all; those at the end can be missing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts(Vec<u64>);

impl Counts {
    /// One more of an action.
    pub fn add(&mut self, action: Action) {
        let place = action as usize;
        if self.0.len() <= place {
            self.0.resize(place + 1, 0);
        }
        if let Some(count) = self.0.get_mut(place) {
            *count += 1;
        }
    }

    /// How many entries there are of those actions.
    #[must_use]
    pub fn of(&self, is_meant: impl Fn(Action) -> bool) -> u64 {
        let meant = Action::ALL.iter().filter(|action| is_meant(**action));
        meant.map(|action| self.0.get(*action as usize).copied().unwrap_or(0)).sum()
    }
}

/// An event with entries, in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The event.
    pub seq: Seq,
    /// When it was decided.
    pub at: i64,
    /// The list's entries up to it, its own among them.
    pub counts: Counts,
    /// The hash of its last entry, in a tenant's list.
    pub head: Option<Hash>,
}

/// How far a list has grown.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Tail {
    marks: u64,
    counts: Counts,
    /// The hash of the last entry, of a tenant's list.
    head: Option<Hash>,
    /// Of a tenant's list, the default organisation. Of an agent's, the agent's organisation, unless that is the default.
    organisation: Option<OrganisationId>,
}

/// Brings the lists forward by one event.
///
/// # Errors
/// [`RowsError`] when the view's storage fails or the view is damaged.
pub fn evolve(rows: &mut dyn RowsMut, event: &Event) -> Result<(), RowsError> {
    if rows.is_for_deciders() || event.tenant == TenantId::LEDGER {
        return Ok(());
    }
    match &event.body {
        Body::TokenIssued(it) if it.agent.is_some() && entry::knows(it.profile) => TOKENS.put(rows, it.token, &())?,
        Body::TokenRevoked(it) if !is_known(&*rows, it.token)? => return Ok(()),
        _ => {}
    }
    let mut entries = entries(event).enumerate().peekable();
    if entries.peek().is_none() {
        return Ok(());
    }
    let tenant = event.tenant;
    let mut tail = TAILS.get(&*rows, tenant)?.unwrap_or_default();
    if let Body::OrganisationCreated(it) = &event.body
        && it.default
    {
        DEFAULT_ORGANISATIONS.put(rows, tenant, &it.organisation)?;
        tail.organisation = Some(it.organisation);
    }
    let mut agents: BTreeMap<Uuid, Tail> = BTreeMap::new();
    for (index, entry) in entries {
        let agent = match agents.entry(entry.agent) {
            std::collections::btree_map::Entry::Occupied(found) => found.into_mut(),
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(AGENT_TAILS.get(&*rows, (tenant, AgentId(entry.agent)))?.unwrap_or_default())
            }
        };
        if let Body::AgentRegistered(it) = &event.body {
            agent.organisation = Some(it.organisation).filter(|it| Some(*it) != tail.organisation);
            if let Some(organisation) = &agent.organisation {
                ORGANISATIONS.put(rows, (tenant, it.agent), organisation)?;
            }
        }
        let organisation = match entry.organisation {
            Belongs::ToItsAgents => agent.organisation,
            Belongs::To(organisation) => Some(organisation).filter(|it| Some(*it) != tail.organisation),
        };
        let reference = entry::reference(event, index);
        tail.head = Some(entry::hash(reference, event.time, &entry, organisation, tail.head));
        tail.counts.add(entry.action);
        agent.counts.add(entry.action);
    }
    for (agent, mut tail) in agents {
        let list = (tenant, AgentId(agent));
        let mark = grow(&mut tail, event);
        AGENT_MARKS.put(rows, (list, tail.marks), &mark)?;
        AGENT_TAILS.put(rows, list, &tail)?;
    }
    let mark = grow(&mut tail, event);
    MARKS.put(rows, (tenant, tail.marks), &mark)?;
    TAILS.put(rows, tenant, &tail)
}

/// The event's mark, at the end of a list whose counts have its entries already.
fn grow(tail: &mut Tail, event: &Event) -> Mark {
    tail.marks += 1;
    Mark { seq: event.seq, at: event.time.0, counts: tail.counts.clone(), head: tail.head }
}

/// Whether the audit log tells of a token's end.
///
/// # Errors
/// As [`Table::get`].
pub fn is_known(rows: &dyn Rows, token: TokenId) -> Result<bool, RowsError> {
    Ok(TOKENS.get(rows, token)?.is_some())
}

/// The organisation of an agent within a tenant, unless it is the default; none of what is no agent of the tenant.
///
/// # Errors
/// As [`Table::get`].
pub fn organisation(rows: &dyn Rows, tenant: TenantId, agent: Uuid) -> Result<Option<OrganisationId>, RowsError> {
    ORGANISATIONS.get(rows, (tenant, AgentId(agent)))
}

/// A tenant's default organisation.
///
/// # Errors
/// As [`Table::get`].
pub fn default_organisation(rows: &dyn Rows, tenant: TenantId) -> Result<Option<OrganisationId>, RowsError> {
    DEFAULT_ORGANISATIONS.get(rows, tenant)
}

/// A list of marks.
#[derive(Clone, Copy)]
pub struct List<'a> {
    rows: &'a dyn Rows,
    tenant: TenantId,
    agent: Option<Uuid>,
}

impl<'a> List<'a> {
    /// A tenant's, or of it an agent's.
    #[must_use]
    pub const fn new(rows: &'a dyn Rows, tenant: TenantId, agent: Option<Uuid>) -> Self {
        Self { rows, tenant, agent }
    }

    /// Whose it is.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// How many marks it has.
    ///
    /// # Errors
    /// As [`Table::get`].
    pub fn marks(&self) -> Result<u64, RowsError> {
        let tail = match self.agent {
            None => TAILS.get(self.rows, self.tenant)?,
            Some(agent) => AGENT_TAILS.get(self.rows, (self.tenant, AgentId(agent)))?,
        };
        if let Some(tail) = tail {
            return Ok(tail.marks);
        }
        // In a reading of the past, which has no tails, it is found among the marks, which are without gaps: the mark at
        // `there` is there, and the one at `missing` is not.
        let (mut there, mut missing) = (0, 1);
        while self.found(missing)?.is_some() {
            (there, missing) = (missing, missing * 2);
        }
        while missing - there > 1 {
            let middle = there + (missing - there) / 2;
            if self.found(middle)?.is_some() { there = middle } else { missing = middle }
        }
        Ok(there)
    }

    /// The mark at a place, from 1.
    ///
    /// # Errors
    /// As [`Table::get`]; [`RowsError::Missing`] when there is none.
    pub fn mark(&self, place: u64) -> Result<Mark, RowsError> {
        self.found(place)?.ok_or(RowsError::Missing("a mark of an audit log"))
    }

    fn found(&self, place: u64) -> Result<Option<Mark>, RowsError> {
        match self.agent {
            None => MARKS.get(self.rows, (self.tenant, place)),
            Some(agent) => AGENT_MARKS.get(self.rows, ((self.tenant, AgentId(agent)), place)),
        }
    }

    /// The first place of `first..end` whose mark is as wanted, where all from there on are; `end` when none is.
    ///
    /// # Errors
    /// As [`mark`](Self::mark).
    pub fn first_where(
        &self, mut first: u64, mut end: u64, is_wanted: impl Fn(&Mark) -> bool,
    ) -> Result<u64, RowsError> {
        while first < end {
            let middle = first + (end - first) / 2;
            if is_wanted(&self.mark(middle)?) { end = middle } else { first = middle + 1 }
        }
        Ok(first)
    }

    /// The same, for a place that is likely near the end, where the last mark is as wanted: in steps that double.
    ///
    /// # Errors
    /// As [`mark`](Self::mark).
    pub fn first_near_end(&self, first: u64, end: u64, is_wanted: impl Fn(&Mark) -> bool) -> Result<u64, RowsError> {
        // The mark at `wanted` is as wanted.
        let (mut wanted, mut step) = (end.saturating_sub(1), 1);
        while wanted > first {
            let before = wanted.saturating_sub(step).max(first);
            if !is_wanted(&self.mark(before)?) {
                return self.first_where(before + 1, wanted, is_wanted);
            }
            (wanted, step) = (before, step * 2);
        }
        Ok(wanted)
    }

    /// The places of the marks whose events were decided within a time, in whole milliseconds, both ends included.
    ///
    /// # Errors
    /// As [`mark`](Self::mark).
    pub fn within(&self, from: Option<Micros>, to: Option<Micros>) -> Result<std::ops::Range<u64>, RowsError> {
        let millis = |time: i64| time.div_euclid(1_000);
        let end = self.marks()? + 1;
        let first = match from {
            Some(from) => self.first_where(1, end, |mark| millis(mark.at) >= millis(from.0))?,
            None => 1,
        };
        let end = match to {
            Some(to) => self.first_where(first, end, |mark| millis(mark.at) > millis(to.0))?,
            None => end,
        };
        Ok(first..end)
    }
}
