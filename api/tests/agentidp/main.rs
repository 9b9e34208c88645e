//! The AgentIdP mount from outside: a real process, a real socket, a data directory of its own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

#[path = "../daemon/support.rs"]
#[allow(dead_code, reason = "the other tests of the daemon use the rest")]
mod support;

mod account;
mod audit;
mod delegation;
mod federation;
mod issuer;
