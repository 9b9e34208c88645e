//! The daemon's own log, on standard error: text for people or JSON for programs. It never holds a secret.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Config, ConfigError, LogFormat};

/// Starts it.
///
/// # Errors
/// [`ConfigError::Value`] when the filter is none.
pub fn start(config: &Config) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(&config.log).map_err(|_| ConfigError::Value {
        option: "log",
        why: "is no filter; for example `info` or `warn,chancery_api=debug`",
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match config.log_format {
        LogFormat::Text => builder.finish().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
    };
    // A second daemon in one process, as tests have, logs where the first does.
    drop(started);
    Ok(())
}
