//! How many access tokens were issued: by organisation and day, by agent and month, by agent, weekday and hour. All in UTC.
//!
//! Deciders read months and days, for quotas; the rest is for readers. Only the newest count is kept.

use std::collections::BTreeMap;

use chancery_ledger::body::token::{Profile, TokenIssued};
use chancery_ledger::event::Event;
use chancery_ledger::ids::{AgentId, OrganisationId, ThingId};
use chancery_ledger::time::Micros;
use schemars::JsonSchema;
use serde::Serialize;

use crate::rows::table::Table;
use crate::rows::{Order, Rows, RowsError, RowsMut, Scan};

/// The organisation of each agent.
const ORGANISATIONS: Table<OrganisationId> = Table::new(94);
/// Counts by organisation and day.
const DAYS: Table<u64> = Table::new(158);
/// Counts by agent and month.
const MONTHS: Table<u64> = Table::new(159);
/// Counts by organisation, month and agent.
const MONTHS_BY_ORGANISATION: Table<u64> = Table::new(160).for_readers();
/// Counts by organisation and agent, weekday from Sunday, and hour.
const HOURS: Table<u64> = Table::new(161).for_readers();

/// Bytes of an id in a key.
const ID_BYTES: usize = 16;

/// A day of UTC: days since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(pub u64);

/// A calendar month of UTC: months since the year 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month(pub u64);

impl Day {
    /// The day of a time; times before the epoch count as its first.
    #[must_use]
    pub const fn of(time: Micros) -> Self {
        Self(time.millis() / 86_400_000)
    }

    /// So many days before.
    #[must_use]
    pub const fn before(self, days: u64) -> Self {
        Self(self.0.saturating_sub(days))
    }

    /// The day after.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// When it begins.
    #[must_use]
    pub const fn start(self) -> Micros {
        Micros((self.0 as i64).saturating_mul(86_400_000_000))
    }

    /// 0 for a Sunday to 6 for a Saturday.
    #[must_use]
    pub const fn weekday(self) -> u8 {
        // The epoch was a Thursday.
        ((self.0 + 4) % 7) as u8
    }
}

impl Month {
    /// The month of a time.
    #[must_use]
    pub fn of(time: Micros) -> Self {
        let utc = time.utc();
        let (year, month) = (u64::try_from(utc.year()).unwrap_or(0), u64::try_from(utc.month()).unwrap_or(1));
        Self(year * 12 + month - 1)
    }
}

/// `YYYY-MM`.
impl std::fmt::Display for Month {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}", self.0 / 12, self.0 % 12 + 1)
    }
}

/// `YYYY-MM-DD`.
impl std::fmt::Display for Day {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.start().to_string();
        f.write_str(text.split('T').next().unwrap_or_default())
    }
}

/// Notes which organisation an agent is of.
///
/// # Errors
/// As [`Table::put`].
pub fn agent_registered(rows: &mut dyn RowsMut, agent: AgentId, organisation: OrganisationId) -> Result<(), RowsError> {
    ORGANISATIONS.put(rows, agent, &organisation)
}

/// Counts a token.
///
/// # Errors
/// As [`Table::get`] and [`Table::put`].
pub fn token_issued(rows: &mut dyn RowsMut, event: &Event, it: &TokenIssued) -> Result<(), RowsError> {
    let Some(agent) = it.agent.filter(|_| it.profile == Profile::Access) else { return Ok(()) };
    let (day, month) = (Day::of(event.time), Month::of(event.time));
    let issued = MONTHS.get(&*rows, (agent, month.0))?.unwrap_or(0) + 1;
    MONTHS.put(rows, (agent, month.0), &issued)?;
    let Some(organisation) = ORGANISATIONS.get(&*rows, agent)? else { return Ok(()) };
    let of_day = DAYS.get(&*rows, (organisation, day.0))?.unwrap_or(0) + 1;
    DAYS.put(rows, (organisation, day.0), &of_day)?;
    if rows.is_for_deciders() {
        return Ok(());
    }
    MONTHS_BY_ORGANISATION.put(rows, (organisation, month.0, agent), &issued)?;
    let hour = (event.time.millis() / 3_600_000 % 24) as u8;
    let key = ((organisation, agent), day.weekday(), hour);
    let of_hour = HOURS.get(&*rows, key)?.unwrap_or(0) + 1;
    HOURS.put(rows, key, &of_hour)
}

/// How many access tokens an agent was issued in the month of a time.
///
/// # Errors
/// As [`Table::get`].
pub fn issued_in_month(rows: &dyn Rows, agent: AgentId, time: Micros) -> Result<u64, RowsError> {
    Ok(MONTHS.get(rows, (agent, Month::of(time).0))?.unwrap_or(0))
}

/// How many access tokens the agents of an organisation were issued on a day.
///
/// # Errors
/// As [`Table::get`].
pub fn issued_on(rows: &dyn Rows, organisation: OrganisationId, day: Day) -> Result<u64, RowsError> {
    Ok(DAYS.get(rows, (organisation, day.0))?.unwrap_or(0))
}

/// What was counted on a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct OfDay {
    /// `YYYY-MM-DD`, UTC.
    pub date: String,
    /// How many.
    pub count: u64,
}

/// How many access tokens the agents of an organisation were issued on each of so many days up to now, oldest first.
///
/// # Errors
/// As [`Table::get`].
pub fn by_day(rows: &dyn Rows, organisation: OrganisationId, now: Micros, days: u64) -> Result<Vec<OfDay>, RowsError> {
    let today = Day::of(now);
    let of_day = |before: u64| {
        let day = today.before(before);
        Ok(OfDay { date: day.to_string(), count: issued_on(rows, organisation, day)? })
    };
    (0..days).rev().map(of_day).collect()
}

/// How many access tokens each agent of an organisation was issued in the month of a time, the busiest first, at most
/// `limit` of them.
///
/// # Errors
/// As [`Table::list`].
pub fn by_agent(
    rows: &dyn Scan, organisation: OrganisationId, now: Micros, limit: usize,
) -> Result<Vec<(AgentId, u64)>, RowsError> {
    // Counts, and those who have them: as many as are asked for, whoever else there is.
    let mut busiest: BTreeMap<(u64, AgentId), ()> = BTreeMap::new();
    MONTHS_BY_ORGANISATION.visit(
        rows,
        (organisation, Month::of(now).0),
        None,
        Order::Ascending,
        &mut |rest, count| {
            if let Some(agent) = parse_id(rest) {
                busiest.insert((count, agent), ());
                if busiest.len() > limit {
                    busiest.pop_first();
                }
            }
            std::ops::ControlFlow::Continue(())
        },
    )?;
    Ok(busiest.into_keys().rev().map(|(count, agent)| (agent, count)).collect())
}

/// How many access tokens an agent was issued at an hour of a weekday, since the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfHour {
    /// The agent.
    pub agent: AgentId,
    /// 0 for Sunday to 6 for Saturday.
    pub weekday: u8,
    /// 0 to 23.
    pub hour: u8,
    /// How many.
    pub count: u64,
}

/// When the agents of an organisation are at work, by agent, weekday and hour, at most `limit` of them; only where there
/// is anything to count.
///
/// # Errors
/// As [`Table::list`].
pub fn by_hour(rows: &dyn Scan, organisation: OrganisationId, limit: usize) -> Result<Vec<OfHour>, RowsError> {
    let found = HOURS.list(rows, organisation, None, Order::Ascending, limit)?;
    let of_hour = |(rest, count): (Vec<u8>, u64)| {
        let [weekday, hour] = *rest.get(ID_BYTES..)?.first_chunk()?;
        Some(OfHour { agent: parse_id(&rest)?, weekday, hour, count })
    };
    Ok(found.into_iter().filter_map(of_hour).collect())
}

fn parse_id(key: &[u8]) -> Option<AgentId> {
    Some(AgentId::from_uuid(uuid::Uuid::from_bytes(*key.first_chunk::<ID_BYTES>()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_months_and_weekdays_are_those_of_utc() {
        let at = |text: &str| text.parse::<Micros>().unwrap();
        let time = at("2026-03-01T00:00:00Z");
        assert_eq!((Day::of(time).to_string().as_str(), Day::of(time).weekday()), ("2026-03-01", 0));
        assert_eq!(Day::of(Micros(time.0 - 1)).to_string(), "2026-02-28");
        assert_eq!(
            (Month::of(time).to_string(), Month::of(Micros(time.0 - 1)).to_string()),
            ("2026-03".into(), "2026-02".into())
        );
        assert_eq!(Month::of(at("2025-12-31T23:59:59Z")).0 + 1, Month::of(at("2026-01-01T00:00:00Z")).0);
        assert_eq!(Day::of(time).before(1).start(), at("2026-02-28T00:00:00Z"));
    }
}
