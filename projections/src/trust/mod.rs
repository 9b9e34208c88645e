//! Trust: how far agents are trusted, computed from how things ended. The view follows the log.

pub mod evolve;
