//! Runs of the simulation: nothing is found in the product, the same seed gives the same run, and every fault planted
//! beneath the product is found.
//!
//! `CHANCERY_SIM_SEED`, `CHANCERY_SIM_RUNS` and `CHANCERY_SIM_STEPS` make a longer run of the first.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use chancery_sim::{Canary, Passed, simulate};

/// Runs within which a planted fault must be found.
const CANARY_RUNS: u64 = 60;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(format!("CHANCERY_SIM_{name}")).map_or(default, |text| text.parse().unwrap())
}

fn passes(seed: u64, steps: u64) -> Passed {
    simulate(seed, steps, None, |_| {}).unwrap_or_else(|found| {
        let from = found.lines.len().saturating_sub(200);
        panic!("{}\n{found}\nagain: chancery sim --seed {seed} --steps {steps}", found.lines[from..].join("\n"))
    })
}

#[test]
fn nothing_is_found_in_any_of_some_runs() {
    let (first, steps) = (setting("SEED", 1), setting("STEPS", 800));
    let mut all = chancery_sim::Summary::default();
    for seed in first..first + setting("RUNS", 20) {
        all.add(&passes(seed, steps).summary);
    }
    // A simulation in which nothing happens finds nothing either.
    assert!(all.power_cuts > 0 && all.kills > 0 && all.disk_faults > 0 && all.stops > 0, "{all:?}");
    assert!(all.replayed > 0 && all.refused > 0 && all.answered > all.refused && all.commits > 0, "{all:?}");
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in [3, 7] {
        assert_eq!(passes(seed, 600), passes(seed, 600));
    }
    assert_ne!(passes(3, 100).trace, passes(4, 100).trace);
}

#[test]
fn every_fault_planted_beneath_the_product_is_found() {
    for canary in Canary::ALL {
        let found = (1..=CANARY_RUNS).find_map(|seed| simulate(seed, 800, Some(canary), |_| {}).err());
        let found = found.unwrap_or_else(|| panic!("{canary:?} was not found in {CANARY_RUNS} runs"));
        println!("{canary:?}: {found}");
        // It is found again where it was found.
        let again = simulate(found.seed, 800, Some(canary), |_| {}).unwrap_err();
        assert_eq!((again.step, &again.what, &again.lines), (found.step, &found.what, &found.lines));
    }
}
