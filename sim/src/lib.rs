//! A deterministic simulation of Chancery: sequencer, store and views, from one seed.
//!
//! The product's own decider, committer, keystore, last checkpoint and view workers run, step by step, in an order that
//! dice choose ([`run`]). Under them is a disk that forgets what was not synced and fails when told to ([`disk`]), a clock
//! that also runs backwards, and randomness from the seed. After every step what must hold is checked: the log verifies,
//! whatever was acknowledged is there, nothing happened twice under one idempotency key, every answer is the one that the
//! log calls for ([`answers`]), and every view equals the one that the log makes ([`history`]).
//!
//! The same seed gives the same run, to the byte. What is found is told with its seed and the steps that led there.
//!
//! It is a crate of its own, and not a room of the tools, because its tests also run with a fault planted in the product
//! (feature `canary`), and that must never be part of the tools that are released.

pub mod answers;
pub mod canary;
pub mod cast;
pub mod disk;
pub mod frames;
pub mod history;
pub mod log;
pub mod node;
pub mod random;
pub mod run;
pub mod shelf;
pub mod summary;
pub mod trace;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use canary::Canary;
pub use summary::Summary;

use crate::run::Run;
use crate::trace::Trace;

/// Something that must hold did not.
#[derive(Debug, Clone, thiserror::Error)]
#[error("seed {seed}, step {step}: {what}")]
pub struct Found {
    /// The run's seed.
    pub seed: u64,
    /// The step after which it did not hold.
    pub step: u64,
    /// What.
    pub what: String,
    /// What the run did until then, or the end of it.
    pub lines: Vec<String>,
}

/// A run that found nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// What it did.
    pub summary: Summary,
    /// Hash of all it did: equal whenever the seed and the number of steps are.
    pub trace: String,
}

/// Runs a seed for so many steps, with a fault planted or none. `progress` is told each step.
///
/// # Errors
/// [`Found`].
pub fn simulate(
    seed: u64, steps: u64, canary: Option<Canary>, progress: impl FnMut(u64),
) -> Result<Passed, Box<Found>> {
    let mut trace = Trace::default();
    let done = catch_unwind(AssertUnwindSafe(|| Run::new(seed, canary, &mut trace)?.take(steps, progress)));
    let what = match done {
        Ok(Ok(summary)) => return Ok(Passed { summary, trace: trace.hash() }),
        Ok(Err(what)) => what,
        Err(panic) => format!("it panicked: {}", panic_text(&*panic)),
    };
    Err(Box::new(Found { seed, step: trace.step, what, lines: trace.into_lines() }))
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without saying why")
}
