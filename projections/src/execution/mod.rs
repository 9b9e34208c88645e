//! Execution: missions and the audit chains kept for them; and telling events to the outside, in a room of its own.

pub mod decide;
pub mod delivery;
pub mod evolve;
pub mod state;
pub mod transaction;
pub mod view;
