//! What Chancery's events mean.

pub mod lane;
