//! How often clients ask: limits at the door, within a window that slides, and what was asked since midnight.
//!
//! Nothing of it is an event, and a restart forgets it. Only who has proved who it is is counted, so nobody uses up what is
//! another's.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chancery_ledger::ids::TenantId;
use chancery_ledger::time::Micros;
use chancery_projections::token::usage::Day;
use uuid::Uuid;

use crate::auth::Principal;
use crate::config::Config;
use crate::limits::RATED_CLIENTS_MAX;

pub mod by_key;

/// What is counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sort {
    /// Every request.
    Request,
    /// Verifying an audit log, which takes much longer than others.
    Verification,
}

/// A request that was admitted: what is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admitted {
    /// How many there may be in a window.
    pub limit: u64,
    /// How many more there may be now.
    pub remaining: u64,
    /// How long until the next window begins.
    pub reset: Duration,
}

/// A request that was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// How many there may be in a window.
    pub limit: u64,
    /// How long a window is.
    pub window: Duration,
    /// When one more may be.
    pub retry_after: Duration,
}

/// What clients asked lately.
#[derive(Debug)]
pub struct Rates {
    window: Duration,
    max_requests: u64,
    max_verifications: u64,
    tiers: Vec<String>,
    windows: Mutex<Windows<(Sort, TenantId, Uuid)>>,
    calls: Mutex<Calls>,
}

/// Calls of each tenant on one day.
#[derive(Debug)]
struct Calls {
    day: Day,
    by_tenant: HashMap<TenantId, u64>,
}

impl Rates {
    /// As it is set up.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let tiers = config.rate_limit_tiers.split(',').map(|tier| tier.trim().to_owned());
        Self {
            window: Duration::from_millis(config.rate_limit_window_ms),
            max_requests: config.rate_limit_max_requests,
            max_verifications: config.rate_limit_max_verifications,
            tiers: tiers.filter(|tier| !tier.is_empty()).collect(),
            windows: Mutex::default(),
            calls: Mutex::new(Calls { day: Day(0), by_tenant: HashMap::new() }),
        }
    }

    /// Admits a request; `None` when nothing limits it.
    ///
    /// # Errors
    /// [`Refused`] when its client has asked too often.
    pub fn admit(&self, sort: Sort, principal: &Principal) -> Result<Option<Admitted>, Refused> {
        let limit = match sort {
            Sort::Request => self.max_requests,
            Sort::Verification => self.max_verifications,
        };
        let home = principal.home();
        if limit == 0 || !self.tiers.contains(&home.tier) {
            return Ok(None);
        }
        let client = (sort, home.tenant, principal.caller().actor.principal.uuid());
        lock(&self.windows).admit(client, limit, self.window, Instant::now()).map(Some)
    }

    /// Counts a call of a tenant, and gives how many there were today.
    pub fn count_call(&self, tenant: TenantId, now: Micros) -> u64 {
        let mut calls = lock(&self.calls);
        calls.turn_to(Day::of(now));
        let count = calls.by_tenant.entry(tenant).or_default();
        *count += 1;
        *count
    }

    /// How many calls of a tenant were counted today, in UTC, as far back as the daemon has run.
    pub fn calls_today(&self, tenant: TenantId, now: Micros) -> u64 {
        let mut calls = lock(&self.calls);
        calls.turn_to(Day::of(now));
        calls.by_tenant.get(&tenant).copied().unwrap_or(0)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Calls {
    fn turn_to(&mut self, day: Day) {
        if self.day != day {
            self.day = day;
            self.by_tenant.clear();
        }
    }
}

/// What each client asked in its current window and in the one before.
///
/// What slid out of sight is taken to have come evenly: with a part of the current window gone, that part of the window
/// before no longer counts.
#[derive(Debug)]
struct Windows<K> {
    clients: HashMap<K, Counter>,
    /// When those who had long asked nothing were last forgotten, which takes a look at all.
    swept: Option<Instant>,
}

impl<K> Default for Windows<K> {
    fn default() -> Self {
        Self { clients: HashMap::new(), swept: None }
    }
}

#[derive(Debug, Clone, Copy)]
struct Counter {
    /// When the current window began.
    began: Instant,
    current: u64,
    before: u64,
}

impl<K: Eq + Hash> Windows<K> {
    fn admit(&mut self, client: K, limit: u64, window: Duration, now: Instant) -> Result<Admitted, Refused> {
        if self.clients.len() >= RATED_CLIENTS_MAX && !self.clients.contains_key(&client) {
            if self.swept.is_none_or(|swept| now.saturating_duration_since(swept) >= window) {
                // Whoever asked nothing for two windows is as one who never did.
                self.clients.retain(|_, counter| now.saturating_duration_since(counter.began) < window * 2);
                self.swept = Some(now);
            }
            if self.clients.len() >= RATED_CLIENTS_MAX {
                // As many clients as there is room for are at work: one more is let through uncounted.
                return Ok(Admitted { limit, remaining: 0, reset: window });
            }
        }
        let counter = self.clients.entry(client).or_insert(Counter { began: now, current: 0, before: 0 });
        counter.slide(window, now);
        let retry_after = counter.wait(limit, window, now);
        if !retry_after.is_zero() {
            return Err(Refused { limit, window, retry_after });
        }
        counter.current += 1;
        let used = counter.used(window, now).ceil() as u64;
        let reset = (counter.began + window).saturating_duration_since(now);
        Ok(Admitted { limit, remaining: limit.saturating_sub(used), reset })
    }
}

impl Counter {
    fn slide(&mut self, window: Duration, now: Instant) {
        let gone = now.saturating_duration_since(self.began);
        if gone >= window * 2 {
            (self.began, self.current, self.before) = (now, 0, 0);
        } else if gone >= window {
            (self.began, self.current, self.before) = (self.began + window, 0, self.current);
        }
    }

    /// The part of the current window that is gone.
    fn gone(&self, window: Duration, now: Instant) -> f64 {
        now.saturating_duration_since(self.began).div_duration_f64(window)
    }

    fn used(&self, window: Duration, now: Instant) -> f64 {
        self.current as f64 + self.before as f64 * (1.0 - self.gone(window, now))
    }

    /// How long until what counts is below the limit, so that one more may be.
    fn wait(&self, limit: u64, window: Duration, now: Instant) -> Duration {
        if self.used(window, now) < limit as f64 {
            return Duration::ZERO;
        }
        // So much of a window must be gone until what counts of `counted` is no more than `left`.
        let part = |counted: u64, left: u64| 1.0 - left as f64 / counted as f64;
        let gone = self.gone(window, now);
        let wait = match limit.saturating_sub(self.current) {
            0 => 1.0 - gone + part(self.current, limit),
            left => part(self.before, left) - gone,
        };
        // A moment more, so that rounding never has a client come back in vain.
        window.mul_f64(wait.max(0.0)) + Duration::from_millis(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    #[test]
    fn a_client_has_its_limit_and_then_waits() {
        let (mut windows, start) = (Windows::default(), Instant::now());
        for used in 1..=100_u64 {
            let admitted = windows.admit("a", 100, WINDOW, start).unwrap();
            assert_eq!((admitted.limit, admitted.remaining), (100, 100 - used));
        }
        let refused = windows.admit("a", 100, WINDOW, start).unwrap_err();
        // All hundred count until the window is over; then fewer with every moment.
        assert_eq!(refused.retry_after.as_millis(), 60_001);
        assert!(windows.admit("b", 100, WINDOW, start).is_ok(), "another client has its own");
        assert!(windows.admit("a", 100, WINDOW, start + Duration::from_secs(60)).is_err());
        assert!(windows.admit("a", 100, WINDOW, start + refused.retry_after).is_ok());
        assert_eq!(windows.admit("a", 100, WINDOW, start + WINDOW * 4).unwrap().remaining, 99);
    }

    #[test]
    fn clients_that_are_kept_are_bounded() {
        let (mut windows, start) = (Windows::default(), Instant::now());
        for client in 0..2 * RATED_CLIENTS_MAX {
            assert!(windows.admit(client, 1, WINDOW, start).is_ok());
        }
        assert_eq!(windows.clients.len(), RATED_CLIENTS_MAX);
        windows.admit(usize::MAX, 1, WINDOW, start + WINDOW * 2).unwrap();
        assert_eq!(windows.clients.len(), 1);
    }

    proptest! {
        #[test]
        fn whoever_waits_as_told_is_admitted_and_no_sooner(
            pauses in prop::collection::vec(0..30_000_u64, 1..200), limit in 1..20_u64
        ) {
            let (mut windows, mut now) = (Windows::default(), Instant::now());
            let mut admitted = Vec::new();
            for pause in pauses {
                now += Duration::from_millis(pause);
                if let Err(refused) = windows.admit("a", limit, WINDOW, now) {
                    let early = refused.retry_after - Duration::from_millis(5).min(refused.retry_after);
                    let mut other = Windows { clients: windows.clients.clone(), swept: None };
                    prop_assert!(other.admit("a", limit, WINDOW, now + early).is_err() || early.is_zero());
                    now += refused.retry_after;
                    prop_assert!(windows.admit("a", limit, WINDOW, now).is_ok());
                }
                admitted.push(now);
                // Counting by halves lets no more through than two windows' worth at their border would have.
                let lately = admitted.iter().filter(|at| now.saturating_duration_since(**at) < WINDOW).count() as u64;
                prop_assert!(lately < 2 * limit.max(1) + 1, "{lately} of {limit}");
            }
        }
    }
}
