//! `chancery submit`: one command, or many as NDJSON, sent to a running daemon.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use crate::client::Daemon;

/// Arguments of `chancery submit`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    daemon: Daemon,
    /// The command's name, for example `SuspendAgent`; without one, whole commands are read from --input.
    command: Option<String>,
    /// The command's parameters, as a JSON object.
    #[arg(default_value = "{}")]
    params: String,
    /// A file of commands, one JSON object a line; `-` for standard input.
    #[arg(long, default_value = "-", conflicts_with = "command")]
    input: PathBuf,
    /// Makes the command happen once, however often it is sent.
    #[arg(long, requires = "command")]
    idempotency_key: Option<String>,
    /// The version the thing must still have: the number of the event that last changed it.
    #[arg(long, requires = "command")]
    if_match: Option<u64>,
}

/// Sends, and prints each answer as one line of JSON. True if every command was accepted.
///
/// # Errors
/// When the daemon cannot be reached or its answer is none.
pub fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    match &arguments.command {
        Some(command) => one(arguments, command),
        None => many(arguments),
    }
}

fn one(arguments: &Arguments, command: &str) -> anyhow::Result<bool> {
    let params: Box<serde_json::value::RawValue> =
        serde_json::from_str(&arguments.params).context("the parameters are not JSON")?;
    let body = serde_json::json!({ "command": command, "params": params }).to_string();
    let if_match = arguments.if_match.map(|seq| format!("\"{seq}\""));
    let mut headers = Vec::new();
    headers.extend(arguments.idempotency_key.as_deref().map(|key| ("idempotency-key", key)));
    headers.extend(if_match.as_deref().map(|seq| ("if-match", seq)));
    let mut answer = arguments.daemon.post("/v1/commands", "application/json", &headers, body.as_bytes())?;
    let text = answer.body_mut().read_to_string()?;
    writeln!(io::stdout(), "{}", text.trim_end())?;
    Ok(answer.status().is_success())
}

fn many(arguments: &Arguments) -> anyhow::Result<bool> {
    let input = open(&arguments.input)?;
    let mut answer = arguments.daemon.post("/v1/commands", "application/x-ndjson", &[], input)?;
    let accepted = answer.status().is_success();
    let mut all_accepted = accepted;
    let mut out = io::stdout().lock();
    for line in BufReader::new(answer.body_mut().as_reader()).lines() {
        let line = line.context("the daemon's answer broke off")?;
        if accepted {
            all_accepted &= is_accepted(&line)?;
        }
        writeln!(out, "{line}")?;
    }
    Ok(all_accepted)
}

/// Whether a line of an NDJSON answer is of an accepted command.
fn is_accepted(line: &str) -> anyhow::Result<bool> {
    #[derive(serde::Deserialize)]
    struct Answer {
        status: u16,
    }
    let answer: Answer = serde_json::from_str(line).context("the daemon's answer is not what it should be")?;
    Ok((200..300).contains(&answer.status))
}

fn open(path: &Path) -> anyhow::Result<Box<dyn Read>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin()));
    }
    Ok(Box::new(File::open(path).with_context(|| format!("{} cannot be read", path.display()))?))
}
