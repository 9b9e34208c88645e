//! What Chancery's events mean.

pub mod lane;
pub mod rows;
