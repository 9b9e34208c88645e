//! `chancery health`: whether a daemon takes commands and its views follow. For health checks of containers and units.

use clap::Args;

use crate::client::Daemon;
use crate::output;

/// Ask a daemon whether it is ready; no key is needed.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    daemon: Daemon,
}

/// Runs it: whether the daemon is ready.
///
/// # Errors
/// When the daemon cannot be reached.
pub fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    match arguments.daemon.readiness()? {
        None => {
            output::note("ready");
            Ok(true)
        }
        Some(why) => {
            output::note(&format!("not ready: {why}"));
            Ok(false)
        }
    }
}
