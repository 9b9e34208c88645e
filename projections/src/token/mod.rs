//! Tokens: rights of limited scope and life, and whether a use lies within them.

pub mod check;
pub mod decide;
pub mod dry_run;
pub mod evolve;
pub mod lineage;
pub mod scope;
pub mod state;
pub mod usage;
pub mod view;
