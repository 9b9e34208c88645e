//! Faults planted in the product itself, which must be found. Built and run with the feature `canary` alone.

#![cfg(feature = "canary")]

use chancery_projections::canary::{Canary, plant};
use chancery_sim::simulate;

/// Runs within which a planted fault must be found.
const RUNS: u64 = 80;

#[test]
fn every_fault_planted_in_the_product_is_found() {
    for canary in Canary::ALL {
        plant(Some(canary));
        let found = (1..=RUNS).find_map(|seed| simulate(seed, 800, None, |_| {}).err());
        plant(None);
        let found = found.unwrap_or_else(|| panic!("{canary:?} was not found in {RUNS} runs"));
        println!("{canary:?}: {found}");
        // It was the planted fault that was found.
        assert!(simulate(found.seed, 800, None, |_| {}).is_ok(), "{found}");
    }
}
