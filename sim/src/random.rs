//! All chance there is in a run, from one seed.

use chancery_projections::context::{Random, RandomError};
use uuid::Uuid;

/// Bytes that look random and are the same for every run of a seed: BLAKE3's extendable output.
pub struct Dice(blake3::OutputReader);

impl Dice {
    /// The dice of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("chancery 2026 simulation dice v1");
        Self(hasher.update(&seed.to_be_bytes()).finalize_xof())
    }

    /// Other dice, for a part of the run whose throws shall not depend on how often others throw.
    #[must_use]
    pub fn fork(&mut self, part: &str) -> Self {
        let seed: [u8; 32] = self.bytes();
        let mut hasher = blake3::Hasher::new_derive_key("chancery 2026 simulation dice v1");
        Self(hasher.update(&seed).update(part.as_bytes()).finalize_xof())
    }

    /// So many bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill(&mut bytes);
        bytes
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        u64::from_be_bytes(self.bytes())
    }

    /// A number below `end`; 0 when that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        // The remainder favours small numbers by less than one in 2^40 for what is asked for here.
        usize::try_from(self.number() % (end.max(1) as u64)).unwrap_or(0)
    }

    /// A number in a range, both ends included.
    pub fn between(&mut self, first: i64, last: i64) -> i64 {
        let span = last.saturating_sub(first).max(0).unsigned_abs().saturating_add(1);
        first.saturating_add_unsigned(self.number() % span)
    }

    /// Whether something happens that does so `per_mille` times in a thousand.
    pub fn chance(&mut self, per_mille: usize) -> bool {
        self.below(1000) < per_mille
    }

    /// One of them; `None` when there is none.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len()))
    }

    /// One of them, by weight; `None` when all weights are 0.
    pub fn weighted<T: Copy>(&mut self, of: &[(usize, T)]) -> Option<T> {
        let mut left = self.below(of.iter().map(|(weight, _)| weight).sum());
        of.iter()
            .find(|(weight, _)| {
                let is_it = left < *weight;
                left = left.saturating_sub(*weight);
                is_it
            })
            .map(|(_, it)| *it)
    }

    /// An id that nothing has.
    pub fn uuid(&mut self) -> Uuid {
        uuid::Builder::from_random_bytes(self.bytes()).into_uuid()
    }
}

impl Random for Dice {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), RandomError> {
        self.0.fill(bytes);
        Ok(())
    }
}
