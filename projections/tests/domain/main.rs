//! Given a history, when a command comes, then these events and this answer: every rule of the deciders, and what holds
//! after any history at all. Nothing here touches a disk but the tests of views, and time stands until it is set.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod audit;
mod challenges;
mod clients;
mod credentials;
mod delegation;
mod delivery;
mod erasure;
mod events;
mod exchange;
mod histories;
mod identity;
mod issuers;
mod lane;
mod missions;
mod scope_rules;
mod subsets;
mod tenants;
mod timestamps;
mod tokens;
mod transactions;
mod trust;
mod usage;
mod views;
mod witnesses;
mod world;
