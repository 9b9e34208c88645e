//! How often an API key asks, in an hour (contracts/alsorn.md section 6): off unless configured.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use hyper::HeaderMap;
use hyper::header::HeaderValue;
use uuid::Uuid;

/// Keys after which those that asked nothing lately are forgotten.
const KEYS_MAX: usize = 10_000;

type Limiter = RateLimiter<Uuid, DefaultKeyedStateStore<Uuid>, DefaultClock, StateInformationMiddleware>;

/// What keys asked lately.
pub struct KeyRates(Option<(NonZeroU32, Limiter)>);

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many there may be in an hour.
    pub limit: u32,
    /// How many more there may be now.
    pub remaining: u32,
    /// In how many seconds there may be more: all of them, or after a refusal one.
    pub reset_secs: u64,
}

impl KeyRates {
    /// So many requests of a key in an hour; 0 is as many as it likes.
    #[must_use]
    pub fn new(per_hour: u64) -> Self {
        let quota = NonZeroU32::new(u32::try_from(per_hour).unwrap_or(u32::MAX));
        Self(quota.map(|per_hour| {
            let limiter = RateLimiter::keyed(Quota::per_hour(per_hour));
            (per_hour, limiter.with_middleware::<StateInformationMiddleware>())
        }))
    }

    /// Counts a request; `None` when nothing limits it.
    ///
    /// # Errors
    /// The rate, when it is one too many.
    pub fn admit(&self, key: Uuid) -> Result<Option<Rate>, Rate> {
        let Some((per_hour, limiter)) = &self.0 else { return Ok(None) };
        if limiter.len() > KEYS_MAX {
            limiter.retain_recent();
        }
        let limit = per_hour.get();
        match limiter.check_key(&key) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                let missing = limit.saturating_sub(remaining);
                let reset = state.quota().replenish_interval().saturating_mul(missing);
                Ok(Some(Rate { limit, remaining, reset_secs: whole_secs(reset) }))
            }
            Err(refused) => {
                let wait = refused.wait_time_from(DefaultClock::default().now());
                Err(Rate { limit, remaining: 0, reset_secs: whole_secs(wait).max(1) })
            }
        }
    }
}

fn whole_secs(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

impl Rate {
    /// Tells the caller.
    pub fn tell(self, headers: &mut HeaderMap, now_secs: u64) {
        headers.insert("x-ratelimit-limit", HeaderValue::from(self.limit));
        headers.insert("x-ratelimit-remaining", HeaderValue::from(self.remaining));
        headers.insert("x-ratelimit-reset", HeaderValue::from(now_secs.saturating_add(self.reset_secs)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_asks_so_often_and_no_more_and_others_are_not_held_back() {
        let rates = KeyRates::new(2);
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(rates.admit(one).unwrap().unwrap().remaining, 1);
        assert_eq!(rates.admit(one).unwrap().unwrap().remaining, 0);
        let refused = rates.admit(one).unwrap_err();
        assert!((1..=1800).contains(&refused.reset_secs), "{refused:?}");
        assert_eq!(rates.admit(other).unwrap().unwrap().remaining, 1);
        assert_eq!(KeyRates::new(0).admit(one), Ok(None));
    }
}
