//! State and command to events, one function per command.

pub mod audit;
pub mod mission;
pub mod mission_ref;
pub mod transaction;
