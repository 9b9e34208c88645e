//! The program `chancery` from outside, offline: run on data directories and exports that an engine made.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod bundle;
mod damage;
mod export;
mod forge;
mod inspect;
mod pin;
mod refusals;
mod replay;
mod snapshots;
mod tamper;
mod verify;
mod world;
