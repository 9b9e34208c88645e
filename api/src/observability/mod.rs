//! What operators see: metrics for Prometheus, and the daemon's own log.

pub mod logging;
pub mod machine;
pub mod metrics;
