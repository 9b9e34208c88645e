//! `chancery submit`: one command, or many as NDJSON, sent to a running daemon.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::client::Daemon;

/// Most commands in one request: half of what the daemon has under way of one batch, so it reads all of them before it
/// waits for its answers to be read.
const BATCH: usize = 128;

/// Arguments of `chancery submit`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    daemon: Daemon,
    /// The command's name, for example `SuspendAgent`; without one, whole commands are read from --input. `/openapi.json`
    /// of the daemon has them all.
    command: Option<String>,
    /// The command's parameters, as a JSON object.
    #[arg(default_value = "{}")]
    params: String,
    /// A file of commands, one JSON object a line, `{"command": …, "params": …}`; `-` for standard input.
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
        serde_json::from_str(&arguments.params).context("the parameters are not a JSON object")?;
    let body = serde_json::json!({ "command": command, "params": params }).to_string();
    let if_match = arguments.if_match.map(|seq| format!("\"{seq}\""));
    let mut headers = Vec::new();
    headers.extend(arguments.idempotency_key.as_deref().map(|key| ("idempotency-key", key)));
    headers.extend(if_match.as_deref().map(|seq| ("if-match", seq)));
    let mut answer = arguments.daemon.post_json("/v1/commands", &headers, body.as_bytes())?;
    let text = answer.body_mut().read_to_string()?;
    writeln!(io::stdout(), "{}", text.trim_end())?;
    Ok(answer.status().is_success())
}

/// Sends what there is, at most [`BATCH`] commands in one request, so that neither side waits for the other to read.
fn many(arguments: &Arguments) -> anyhow::Result<bool> {
    let lines = lines_of(open(&arguments.input)?);
    let mut out = io::stdout().lock();
    let (mut sent, mut all_accepted) = (0, true);
    while let Ok(first) = lines.recv() {
        let batch: Vec<String> =
            std::iter::once(first).chain(lines.try_iter().take(BATCH - 1)).collect::<Result<_, _>>().with_context(
                || format!("{} cannot be read further; {sent} commands were sent", arguments.input.display()),
            )?;
        let count = batch.len() as u64;
        let body = batch.concat();
        let answer = arguments.daemon.post("/v1/commands", "application/x-ndjson", &[], body.as_bytes());
        let mut answer = answer.with_context(|| format!("{sent} commands were answered before"))?;
        if !answer.status().is_success() {
            writeln!(out, "{}", answer.body_mut().read_to_string()?.trim_end())?;
            return Ok(false);
        }
        let mut answered = 0;
        for line in BufReader::new(answer.body_mut().as_reader()).lines() {
            let broke_off =
                || format!("the daemon's answer broke off; {} commands were answered before", sent + answered);
            let (line, accepted) = numbered(&line.with_context(broke_off)?, sent)?;
            answered += 1;
            all_accepted &= accepted;
            writeln!(out, "{line}")?;
        }
        if answered != count {
            bail!("{count} commands were sent, and {answered} answered: what became of the others is not known");
        }
        sent += count;
    }
    Ok(all_accepted)
}

/// A line of an answer with its number in the whole input, and whether the command was accepted.
fn numbered(line: &str, before: u64) -> anyhow::Result<(String, bool)> {
    #[derive(Deserialize)]
    struct Answer {
        index: u64,
        status: u16,
    }
    let strange = || format!("the daemon's answer is not what it should be: {line}");
    let Answer { index, status } = serde_json::from_str(line).with_context(strange)?;
    // Raw, because numbers keep the spelling that callers gave them.
    let mut members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(line).with_context(strange)?;
    members.insert("index".to_owned(), RawValue::from_string((before + index).to_string())?);
    Ok((serde_json::to_string(&members)?, (200..300).contains(&status)))
}

/// Reads lines that are not empty on a thread of its own, so that those that come slowly are sent as they come.
fn lines_of(input: Box<dyn Read + Send>) -> Receiver<io::Result<String>> {
    let (lines, received) = sync_channel(BATCH);
    thread::spawn(move || {
        for line in BufReader::new(input).lines() {
            let line = line.map(|mut line| {
                line.truncate(line.trim_end().len());
                line.push('\n');
                line
            });
            let ended = line.is_err();
            if line.as_ref().is_ok_and(|line| line == "\n") {
                continue;
            }
            if lines.send(line).is_err() || ended {
                return;
            }
        }
    });
    received
}

fn open(path: &Path) -> anyhow::Result<Box<dyn Read + Send>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin()));
    }
    Ok(Box::new(File::open(path).with_context(|| format!("{} cannot be read", path.display()))?))
}
