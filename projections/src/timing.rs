//! How long things take, counted so cheaply that every command can be: buckets of powers of two, and a sum.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets: up to 1 µs, 2 µs, 4 µs and so on to 16 s, and one for what is longer.
const BUCKETS: usize = 26;

/// A histogram of durations that any thread adds to and any thread reads.
#[derive(Debug, Default)]
pub struct Timing {
    buckets: [AtomicU64; BUCKETS],
    nanos: AtomicU64,
}

/// What a [`Timing`] had counted when it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The sum of all durations, in seconds.
    pub sum_secs: f64,
    /// How many there were.
    pub count: u64,
    /// Upper bounds in seconds, ascending, the last infinite; and how many lie between each and the one before it.
    pub buckets: Vec<(f64, u64)>,
}

impl Timing {
    /// Counts one duration.
    pub fn observe(&self, took: Duration) {
        self.observe_many(took, 1);
    }

    /// Counts a duration as many times as there were those who waited for it.
    pub fn observe_many(&self, took: Duration, times: u64) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get(bucket_of(nanos)) {
            bucket.fetch_add(times, Ordering::Relaxed);
        }
        self.nanos.fetch_add(nanos.saturating_mul(times), Ordering::Relaxed);
    }

    /// What was counted so far.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "for people and graphs: 2^53 ns are a hundred days")]
    pub fn read(&self) -> Reading {
        let buckets: Vec<(f64, u64)> = (0..BUCKETS)
            .zip(&self.buckets)
            .map(|(at, bucket)| {
                let bound = if at + 1 == BUCKETS { f64::INFINITY } else { (1u64 << at) as f64 / 1e6 };
                (bound, bucket.load(Ordering::Relaxed))
            })
            .collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        Reading { sum_secs: self.nanos.load(Ordering::Relaxed) as f64 / 1e9, count, buckets }
    }
}

/// The first bucket whose bound is not below a duration.
fn bucket_of(nanos: u64) -> usize {
    let micros = nanos.div_ceil(1000);
    let bits = u64::BITS - micros.saturating_sub(1).leading_zeros();
    usize::try_from(bits).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_is_in_the_first_bucket_that_can_hold_it() {
        for (nanos, bound) in [
            (0, 1e-6),
            (1000, 1e-6),
            (1001, 2e-6),
            (2000, 2e-6),
            (2001, 4e-6),
            (1_000_000, 1024e-6),
            (16_777_216_000, 16.777_216),
            (16_777_216_001, f64::INFINITY),
            (u64::MAX, f64::INFINITY),
        ] {
            let timing = Timing::default();
            timing.observe(Duration::from_nanos(nanos));
            let reading = timing.read();
            let found = reading.buckets.iter().find(|(_, count)| *count == 1).map(|(bound, _)| *bound);
            assert_eq!(found, Some(bound), "{nanos} ns");
            assert_eq!(reading.count, 1);
        }
    }

    #[test]
    fn who_waited_together_is_counted_apart() {
        let timing = Timing::default();
        timing.observe_many(Duration::from_millis(2), 3);
        timing.observe(Duration::from_millis(4));
        let reading = timing.read();
        assert_eq!(reading.count, 4);
        assert!((reading.sum_secs - 0.010).abs() < 1e-9, "{reading:?}");
    }
}
