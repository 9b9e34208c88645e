//! What Chancery's events mean: the native commands and their deciders, and the views rebuilt from the log.
//!
//! A [`command::Command`] goes to the [`sequencer`], which decides it against rows ([`rows`]) that reflect every command
//! before it, hands the events to `chancery_ledger::commit`, and answers once they are durable. A [`worker`] per view
//! follows the commits. Each domain is one room with the same doors: `state` (rows), `decide`, `evolve`, `view`.
//!
//! This crate knows no HTTP. The one room that knows vendors' formats is [`lane`].

pub mod agent_key;
pub mod b64u;
pub mod bootstrap;
pub mod canary;
pub mod check;
pub mod command;
pub mod context;
pub mod credential;
pub mod decide;
pub mod decision;
pub mod difference;
pub mod engine;
pub mod event_view;
pub mod execution;
pub mod identity;
pub mod journal;
pub mod json;
pub mod lane;
pub mod money;
pub mod origin;
pub mod output;
pub mod rejection;
pub mod replay;
pub mod rows;
pub mod scope;
pub mod sequencer;
pub mod shredding;
pub mod signature;
pub mod snapshot;
pub mod things;
pub mod tier;
pub mod timing;
pub mod token;
pub mod trust;
pub mod view;
pub mod view_receipt;
pub mod views;
pub mod worker;
