//! The vendors' own hash chains and preimages, computed from native data; the one room that knows those formats.

pub mod agentidp;
pub mod alsorn;
pub mod orgkernel;
