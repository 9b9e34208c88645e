//! chancery: the operator's and auditor's command for a Chancery ledger.
//!
//! `verify`, `replay`, `inspect` and `export` work offline on a data directory or an export; `submit` and `keys` talk to
//! a running daemon.

mod client;
mod export;
mod inspect;
mod keys;
mod moment;
mod progress;
mod replay;
mod source;
mod submit;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Verify, replay, export and inspect a Chancery ledger; send commands to a running daemon.
#[derive(Debug, Parser)]
#[command(name = "chancery", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Verify a whole log offline; exit code 0 only if it is whole.
    Verify(verify::Arguments),
    /// Say what the log says of a thing or a view, now or at a past moment; a timeline; a difference.
    Replay(replay::Arguments),
    /// Write the whole log as one file that verifies anywhere.
    Export(export::Arguments),
    /// Show events, seals and proofs as they are.
    Inspect(inspect::Arguments),
    /// Send one command, or many as NDJSON, to a daemon.
    Submit(submit::Arguments),
    /// List, make and revoke API keys; show and rotate the ledger's sealing key.
    Keys(keys::Arguments),
}

/// Everything is as it should be.
const OK: u8 = 0;
/// What was asked was done, and the answer is bad news: a log that is not whole, a command that was refused.
const BAD_NEWS: u8 = 1;
/// What was asked could not be done.
const NOT_DONE: u8 = 2;

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let done = match Arguments::parse().command {
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Submit(arguments) => submit::run(&arguments),
        Command::Keys(arguments) => keys::run(&arguments),
    };
    match done {
        Ok(true) => ExitCode::from(OK),
        Ok(false) => ExitCode::from(BAD_NEWS),
        Err(error) if is_broken_pipe(&error) => ExitCode::from(OK),
        Err(error) => {
            eprintln!("chancery: {error:#}");
            ExitCode::from(NOT_DONE)
        }
    }
}

/// Whether the reader of our output went away, as `| head` does.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
