//! Retries: how long one waits before telling an event is tried again, how often that is done, and what then.
//!
//! Each wait is longer than the one before, up to a longest, and shortened by a chance of its own, so that those who
//! failed at the same moment do not come back at the same moment. What was drawn is recorded with the attempt, so
//! replay draws nothing.

/// Microseconds of a second.
const SECOND: u64 = 1_000_000;
/// The longest wait of those that tell for days.
const SIX_HOURS_SECS: u64 = 6 * 3600;
/// One part of so many is taken off a wait at the most.
const JITTER_PARTS: u128 = 5;

/// When telling an event is tried again, and when no more.
#[derive(Debug, PartialEq, Eq)]
pub struct Retry {
    /// The first wait at the most, in seconds; `None` where the configured one holds.
    first_secs_max: Option<u64>,
    /// The waits, as multiples of the first; after these each is `factor` times the one before.
    steps: &'static [u64],
    factor: u64,
    /// The longest wait, in seconds.
    longest_secs: u64,
    /// How often telling one event is tried, the first time included.
    pub attempts_max: u8,
    /// What becomes of a subscription one of whose events is given up.
    pub then: GivenUp,
}

/// What becomes of a subscription one of whose events is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GivenUp {
    /// The next event's turn comes.
    GoesOn,
    /// It is disabled: nothing more is sent until somebody enables it.
    Disables,
}

impl Retry {
    /// Twice as long each time up to six hours, for a day and some hours: with the usual first wait of 5 s, 29 hours at
    /// the most and 23 at the least.
    pub const OVER_A_DAY: Self = Self {
        first_secs_max: None,
        steps: &[1],
        factor: 2,
        longest_secs: SIX_HOURS_SECS,
        attempts_max: 17,
        then: GivenUp::Disables,
    };

    /// Ten times, each wait twice as long as the one before (contracts/agentidp.md section 11).
    pub const TEN_TIMES: Self = Self {
        first_secs_max: None,
        steps: &[1],
        factor: 2,
        longest_secs: SIX_HOURS_SECS,
        attempts_max: 10,
        then: GivenUp::GoesOn,
    };

    /// 2 s, 10 s, 60 s, then four times as long each time up to six hours, for 72 hours at the most
    /// (contracts/alsorn.md section 11).
    pub const OVER_THREE_DAYS: Self = Self {
        first_secs_max: Some(2),
        steps: &[1, 5, 30],
        factor: 4,
        longest_secs: SIX_HOURS_SECS,
        attempts_max: 19,
        then: GivenUp::Disables,
    };

    /// How long to wait after a failed attempt, in microseconds. `attempt` counts from 1, `first_secs` is the configured
    /// first wait, and `chance` any number, which says how much of a fifth is taken off.
    #[must_use]
    pub fn wait_micros(&self, attempt: u8, first_secs: u64, chance: u32) -> i64 {
        let whole = u128::from(self.wait_secs(attempt, first_secs)) * u128::from(SECOND);
        let off = whole * u128::from(chance) / (u128::from(u32::MAX) * JITTER_PARTS);
        i64::try_from(whole - off).unwrap_or(i64::MAX)
    }

    fn wait_secs(&self, attempt: u8, first_secs: u64) -> u64 {
        let first = self.first_secs_max.map_or(first_secs, |most| most.min(first_secs));
        let place = usize::from(attempt.saturating_sub(1));
        let steps = self.steps;
        let multiple = steps.get(place).copied().unwrap_or_else(|| {
            let beyond = u32::try_from(place + 1 - steps.len()).unwrap_or(u32::MAX);
            steps.last().map_or(1, |last| last.saturating_mul(self.factor.saturating_pow(beyond)))
        });
        first.saturating_mul(multiple).min(self.longest_secs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600;

    fn waits(retry: &Retry, first_secs: u64) -> Vec<u64> {
        (1..retry.attempts_max).map(|attempt| retry.wait_secs(attempt, first_secs)).collect()
    }

    #[test]
    fn waits_grow_up_to_a_longest() {
        assert_eq!(waits(&Retry::TEN_TIMES, 5), [5, 10, 20, 40, 80, 160, 320, 640, 1280]);
        let alsorn = waits(&Retry::OVER_THREE_DAYS, 5);
        assert_eq!(alsorn[..8], [2, 10, 60, 240, 960, 3840, 15_360, 6 * HOUR]);
        assert!(alsorn[8..].iter().all(|secs| *secs == 6 * HOUR));
        assert!((66 * HOUR..=72 * HOUR).contains(&alsorn.iter().sum()), "{alsorn:?}");
        let native = waits(&Retry::OVER_A_DAY, 5);
        assert!((29 * HOUR..30 * HOUR).contains(&native.iter().sum()), "{native:?}");
    }

    #[test]
    fn chance_takes_up_to_a_fifth_off_a_wait() {
        let wait = |chance| Retry::TEN_TIMES.wait_micros(2, 5, chance);
        assert_eq!((wait(0), wait(u32::MAX)), (10_000_000, 8_000_000));
        assert!((8_000_000..=10_000_000).contains(&wait(0x1234_5678)));
        assert_eq!(Retry::OVER_A_DAY.wait_micros(1, 0, 77), 0);
        assert_eq!(Retry::OVER_A_DAY.wait_micros(u8::MAX, u64::MAX, 0), 6 * 3600 * 1_000_000);
    }
}
