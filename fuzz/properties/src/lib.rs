//! What holds for any bytes from outside. Each module is the body of one fuzz target (`fuzz/fuzz_targets`), and runs
//! over the target's seeds (`fuzz/seeds`) with every other test, so that no target rots.
//!
//! A module's `hold` takes the bytes, panics where a property does not hold, and gives a word for what became of them,
//! by which the seeds are checked to reach what they are there for.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what does not hold here is what fuzzing looks for")]

pub mod command;
pub mod envelope;
pub mod export;
pub mod genuine;
pub mod http;
pub mod notes;
mod words;

/// The world of the deciders' own tests: rows in memory, a clock that stands, randomness from a seed.
#[allow(dead_code, missing_docs, reason = "its tests use the rest")]
#[path = "../../../projections/tests/domain/world.rs"]
mod world;
