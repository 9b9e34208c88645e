//! chancery: the operator's and auditor's command for a Chancery ledger.
//!
//! `verify`, `replay`, `inspect`, `export`, `report`, `sample`, `restore`, `prove`, `shred` and `import` work offline, on a data
//! directory or a copy of its log;
//! `submit`, `health`, `keys` and `backup` talk to a running daemon; `bench` measures one; `sim` simulates one.

mod backup;
#[cfg(target_os = "linux")]
mod bench;
mod client;
mod export;
mod health;
mod inspect;
mod keys;
mod moment;
mod output;
mod progress;
mod prove;
mod receipt;
mod replay;
mod report;
mod restore;
mod sample;
mod shred;
mod sim;
mod source;
mod submit;
mod verify;

use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use anyhow::bail;
use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// Verify, replay, export, inspect, back up and restore a Chancery ledger; send commands to a running daemon.
///
/// Exit codes: 0 all is well; 1 bad news (a log that is not whole, a thing that is not there, a command refused); 2 not
/// done (a log that cannot be read, a daemon that cannot be reached, wrong arguments).
#[derive(Debug, Parser)]
#[command(name = "chancery", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Verify a whole log, or an evidence bundle, offline; exit code 0 only if it is whole.
    Verify(verify::Arguments),
    /// Say what the log says of a thing or a view, now or at a past moment; a timeline; a difference. It believes the log:
    /// verify that first.
    Replay(replay::Arguments),
    /// Write the whole log as one file that verifies anywhere; or, where a part is named or --all, an evidence bundle.
    Export(export::Arguments),
    /// Copy a running daemon's log into a directory, verified; and its keys, encrypted as they are, if asked for.
    Backup(backup::Arguments),
    /// Make the log of a data directory anew from an archive, a backup or an export. It is verified before it is put in
    /// place; a damaged log that is there is set aside, a whole one never replaced.
    Restore(restore::Arguments),
    /// Strike the keys of what the log says was erased out of an older copy of the keystore.
    Shred(shred::Arguments),
    /// Make a data directory's log of an export, where there was none.
    Import(restore::ImportArguments),
    /// Make a page for people of an evidence bundle: what it proves, who did what, a timeline. One file of HTML that needs nothing
    /// else and prints.
    Report(report::Arguments),
    /// Draw a sample of a bundle's events by a seed that nobody could know before, such as a later cosignature: whoever has the
    /// two draws the same.
    Sample(sample::Arguments),
    /// Show events, seals and proofs as they are.
    Inspect(inspect::Arguments),
    /// Prove that an event is in the log, or that a checkpoint is the beginning of a newer one; `verify --proof` checks it
    /// without the log.
    Prove(prove::Arguments),
    /// Send one command, or many as NDJSON, to a daemon.
    Submit(submit::Arguments),
    /// Ask a running daemon whether it is ready; exit code 0 only if it is.
    Health(health::Arguments),
    /// List, make and revoke API keys; show and rotate the ledger's sealing key.
    Keys(keys::Arguments),
    /// Simulate sequencer, store and views from one seed: crashes, failing disks, a clock that runs backwards; exit code 0
    /// only if everything holds.
    Sim(sim::Arguments),
    /// Measure a daemon on this machine: commands a second, latencies, verifying, replaying, growth.
    #[cfg(target_os = "linux")]
    Bench(bench::Arguments),
}

/// Everything is as it should be.
const OK: u8 = 0;
/// What was asked was done, and the answer is bad news: a log that is not whole, a command that was refused.
const BAD_NEWS: u8 = 1;
/// What was asked could not be done.
const NOT_DONE: u8 = 2;

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("chancery_ledger=warn")))
        .with_writer(std::io::stderr)
        .without_time()
        .with_target(false)
        .init();
    // sled panics on some damage, and the store makes errors of that: what a panic prints is for whoever asks.
    panic::set_hook(Box::new(|info| tracing::debug!("{info}")));
    let arguments = Arguments::parse();
    let done = panic::catch_unwind(AssertUnwindSafe(|| run(&arguments.command)));
    let done = done.unwrap_or_else(|_| {
        bail!("it ended in a fault; if `chancery verify` says the same, the log's storage is damaged (RUST_LOG=debug says more)")
    });
    match done {
        Ok(true) => ExitCode::from(OK),
        Ok(false) => ExitCode::from(BAD_NEWS),
        Err(error) if output::is_broken_pipe(&error) => ExitCode::from(OK),
        Err(error) => {
            output::note(&format!("{error:#}"));
            ExitCode::from(NOT_DONE)
        }
    }
}

fn run(command: &Command) -> anyhow::Result<bool> {
    match command {
        Command::Verify(arguments) => verify::run(arguments),
        Command::Replay(arguments) => replay::run(arguments),
        Command::Export(arguments) => export::run(arguments),
        Command::Backup(arguments) => backup::run(arguments),
        Command::Restore(arguments) => restore::run(arguments),
        Command::Shred(arguments) => shred::run(arguments),
        Command::Import(arguments) => restore::import(arguments),
        Command::Report(arguments) => report::run(arguments),
        Command::Sample(arguments) => sample::run(arguments),
        Command::Inspect(arguments) => inspect::run(arguments),
        Command::Prove(arguments) => prove::run(arguments),
        Command::Submit(arguments) => submit::run(arguments),
        Command::Health(arguments) => health::run(arguments),
        Command::Keys(arguments) => keys::run(arguments),
        Command::Sim(arguments) => sim::run(arguments),
        #[cfg(target_os = "linux")]
        Command::Bench(arguments) => bench::run(arguments),
    }
}
