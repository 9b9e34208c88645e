//! An auditor's sample of a bundle's events, drawn so that neither side chose it. This is `docs/format.md`, section 21, as code.
//!
//! Each event has a ticket, which is a hash of a seed and its position; the lowest tickets are drawn. Who does not know the
//! seed while the events are made cannot know which will be drawn, and afterwards anybody can draw the same again.

use std::collections::BinaryHeap;

use sha2::{Digest as _, Sha256};

use crate::ids::Seq;

/// Most events that are drawn at a time; a ticket takes 40 bytes.
pub const SAMPLE_EVENTS_MAX: usize = 1_000_000;

/// What a draw depends on: made of bytes that nobody could know before the events were there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed([u8; 32]);

impl Seed {
    /// The seed that some bytes make.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::new().chain_update(b"chancery sample seed 1\n").chain_update(bytes).finalize().into())
    }

    /// The seed in hexadecimal.
    #[must_use]
    pub fn hex(self) -> String {
        hex::encode(self.0)
    }

    fn ticket(self, seq: Seq) -> [u8; 32] {
        Sha256::new()
            .chain_update(b"chancery sample ticket 1\n")
            .chain_update(self.0)
            .chain_update(seq.0.to_be_bytes())
            .finalize()
            .into()
    }
}

/// Draws a sample from events that come by in any order, each once.
#[derive(Debug)]
pub struct Draw {
    seed: Seed,
    size: usize,
    /// The lowest tickets so far, the highest of them on top.
    drawn: BinaryHeap<([u8; 32], Seq)>,
}

impl Draw {
    /// Draws so many, at most [`SAMPLE_EVENTS_MAX`].
    #[must_use]
    pub fn new(seed: Seed, size: usize) -> Self {
        Self { seed, size: size.min(SAMPLE_EVENTS_MAX), drawn: BinaryHeap::new() }
    }

    /// An event of the population.
    pub fn take(&mut self, seq: Seq) {
        self.drawn.push((self.seed.ticket(seq), seq));
        if self.drawn.len() > self.size {
            self.drawn.pop();
        }
    }

    /// The sample, in the order of the log.
    #[must_use]
    pub fn finish(self) -> Vec<Seq> {
        let mut sample: Vec<Seq> = self.drawn.into_iter().map(|(_, seq)| seq).collect();
        sample.sort_unstable();
        sample
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(seed: Seed, size: usize, population: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let mut draw = Draw::new(seed, size);
        population.into_iter().for_each(|seq| draw.take(Seq(seq)));
        draw.finish().into_iter().map(|seq| seq.0).collect()
    }

    /// As `docs/format.md` says, and as the verifier in Python draws.
    #[test]
    fn the_draw_is_the_documented_one() {
        assert_eq!(Seed::of(b"seed").hex(), "39df6038087f1186ce2f7d62f0555c5c08f247cbd0ee53a9e9413de0ffea8649");
        assert_eq!(sample(Seed::of(b"seed"), 5, 0..1000), [138, 230, 623, 672, 744]);
    }

    proptest! {
        #[test]
        fn a_sample_is_of_the_population_whatever_its_order_and_grows_by_what_it_was(
            population in prop::collection::btree_set(0u64..5000, 0..200), size in 0usize..60, bytes in any::<[u8; 4]>(),
        ) {
            let seed = Seed::of(&bytes);
            let drawn = sample(seed, size, population.iter().copied());
            prop_assert_eq!(drawn.len(), size.min(population.len()));
            prop_assert!(drawn.iter().all(|seq| population.contains(seq)));
            prop_assert_eq!(&drawn, &sample(seed, size, population.iter().rev().copied()));
            let more = sample(seed, size + 7, population.iter().copied());
            prop_assert!(drawn.iter().all(|seq| more.contains(seq)));
        }
    }
}
