//! The daemon from outside: a real process, a real socket, a data directory of its own.

#![allow(clippy::unwrap_used, clippy::expect_used)] // Helpers of tests may fail as tests do.

mod answers;
mod auth;
mod batches;
mod bounds;
mod commands;
mod crash;
mod deliveries;
mod events;
mod process;
mod proofs;
mod reads;
mod support;
