//! Trust: how far agents are trusted, computed from how things ended, by rules that are themselves on record.

pub mod decide;
pub mod evolve;
pub mod retention;
pub mod scope_rules;
pub mod scoring;
pub mod spending;
pub mod state;
pub mod view;
