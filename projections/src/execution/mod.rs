//! Execution: missions and the audit chains kept for them.

pub mod decide;
pub mod evolve;
pub mod state;
pub mod view;
