//! State and command to events, one function per command.

pub mod agent;
pub mod challenge;
pub mod credential;
pub mod erasure;
pub mod handle;
pub mod issuer;
pub mod ledger;
pub mod tenant;
pub mod timestamp;
pub mod witness;
