//! Identity and administration: tenants, organisations, members, agents, keys, credentials, challenges.

pub mod decide;
pub mod evolve;
pub mod nonces;
pub mod state;
pub mod view;
