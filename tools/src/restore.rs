//! `chancery restore` and `chancery import`: a log made of a copy, verified, and only then put in its place.

mod copy;
mod place;

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use chancery_ledger::accepted_loss::{self, AcceptedLoss, REASON_BYTES_MAX};
use chancery_ledger::archive::restore::Restoring;
use chancery_ledger::data_dir::DataDir;
use chancery_ledger::event::Envelope;
use chancery_ledger::ids::{Seq, TreeSize};
use chancery_ledger::last_checkpoint::LastCheckpoint;
use chancery_ledger::store::LogStore;
use chancery_ledger::time::Micros;
use chancery_ledger::tree::seal::Seal;
use chancery_ledger::verify::{self, Report, StoreItems};
use clap::Args;
use serde::Serialize;

use self::copy::Source;
use self::place::Present;
use crate::verify::Trusted;
use crate::{output, progress};

/// Arguments of `chancery restore`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The copy: an archive's directory, a directory that `chancery backup` wrote, or a file that `chancery export` wrote.
    #[arg(long)]
    from: PathBuf,
    #[command(flatten)]
    to: To,
    /// The file `wrapping.key` that the backup's keystore was wrapped with; needed where the data directory has no keystore.
    #[arg(long)]
    wrapping_key: Option<PathBuf>,
    /// Go on although events are lost for which a checkpoint was signed. The loss becomes an event of the log, with that
    /// checkpoint and the reason. Only when there is no better copy.
    #[arg(long, requires = "reason")]
    accept_loss: bool,
    /// Why events are lost and are not to be had, for every auditor to read.
    #[arg(long, requires = "accept_loss")]
    reason: Option<String>,
}

/// Arguments of `chancery import`.
#[derive(Debug, Args)]
pub struct ImportArguments {
    /// A file that `chancery export` wrote, with all bodies.
    #[arg(long)]
    export: PathBuf,
    #[command(flatten)]
    to: To,
}

/// Where to, and what must hold.
#[derive(Debug, Args)]
struct To {
    /// The data directory; the daemon must be stopped.
    #[arg(long, env = "CHANCERY_DATA_DIR")]
    data_dir: PathBuf,
    #[command(flatten)]
    trusted: Trusted,
    /// Print what was done as JSON.
    #[arg(long)]
    json: bool,
}

/// What was done.
#[derive(Debug, Serialize)]
struct Done {
    /// The log's name.
    origin: Option<String>,
    /// Events in the log now.
    events: u64,
    /// When the last of them was decided.
    last_time: Option<Micros>,
    /// The root over all of them, in hexadecimal.
    root: Option<String>,
    /// Of these, events that the copy lacked and the damaged log still held.
    salvaged: u64,
    /// The size that the last checkpoint known was signed for.
    signed: Option<TreeSize>,
    /// How many of these are lost, at least.
    lost: u64,
    /// Where the log that was there lies now.
    set_aside: Option<PathBuf>,
    /// Secrets that the keystore was given.
    secrets: Option<u64>,
    /// Sealing keys' files that `keys/` was given.
    sealing_keys: usize,
}

/// Restores, and says what was done. True if the log is in its place.
///
/// # Errors
/// When it cannot be done; the data directory is then as it was.
pub fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let source = Source::of(&arguments.from)?;
    if arguments.reason.as_ref().is_some_and(|reason| reason.trim().is_empty() || reason.len() > REASON_BYTES_MAX) {
        bail!("--reason needs a text of at most {REASON_BYTES_MAX} bytes");
    }
    let dir = DataDir::create_or_open(&arguments.to.data_dir)?;
    let present = Present::look(&dir)?;
    restore(&dir, &source, present, &arguments.to, arguments.reason.as_deref(), arguments.wrapping_key.as_deref())
}

/// Imports an export into a data directory without a log. True if the log is in its place.
///
/// # Errors
/// As [`run`].
pub fn import(arguments: &ImportArguments) -> anyhow::Result<bool> {
    let source = Source::export(&arguments.export)?;
    let dir = DataDir::create_or_open(&arguments.to.data_dir)?;
    let present = Present::look(&dir)?;
    if !matches!(present, Present::Nothing) || dir.last_checkpoint().exists() {
        bail!(
            "{} has had a ledger, and an import begins one: name an empty directory, or use `chancery restore`",
            dir.path().display()
        );
    }
    restore(&dir, &source, present, &arguments.to, None, None)
}

fn restore(
    dir: &DataDir, source: &Source, present: Present, to: &To, accepted: Option<&str>, wrapping_key: Option<&Path>,
) -> anyhow::Result<bool> {
    let signed = last_checkpoint(dir)?;
    let (mut known, _) = to.trusted.known()?;
    let making = dir.path().join("log.restoring");
    // What a restoration that was cut short left.
    place::remove(&making)?;
    let made = make(&making, source, &present);
    let made = made.and_then(|(restoring, salvaged)| {
        let size = restoring.log().size();
        let behind = signed.as_ref().filter(|seal| seal.checkpoint().size > size);
        let lost = behind.map_or(0, |seal| accepted_loss::missing(size, seal.checkpoint().size));
        if behind.is_none() {
            known.heads.extend(signed.clone());
        }
        let bar = progress::events(Some(size.0), "verifying");
        let items = StoreItems::new(restoring.log(), TreeSize(u64::MAX));
        let report = verify::verify(items, &known, |events| bar.set_position(events))?;
        bar.finish_and_clear();
        let last_time = size.last().map(|last| time_of(restoring.log(), last)).transpose()?;
        Ok((report, last_time, salvaged, lost))
    });
    let (report, last_time, salvaged, lost) = match made {
        Ok(made) => made,
        Err(error) => {
            place::remove(&making)?;
            return Err(error);
        }
    };
    if !report.whole || (lost > 0 && accepted.is_none()) {
        place::remove(&making)?;
        refuse(source, &report, last_time, lost, signed.as_ref());
        return Ok(false);
    }
    check_origin(&report, signed.as_ref(), &making)?;
    let (secrets, sealing_keys) = place::keys(dir, source, wrapping_key)?;
    if let (Some(reason), Some(lost_seal)) = (accepted.filter(|_| lost > 0), &signed) {
        let checkpoint = String::from_utf8_lossy(lost_seal.bytes()).into_owned();
        let decision = AcceptedLoss { checkpoint, reason: reason.to_owned() };
        decision.write(&dir.accepted_loss()).context("the decision cannot be written down")?;
    }
    let set_aside = place::put(dir, &making, present, lost > 0)?;
    keep_checkpoint(dir, &report)?;
    to.trusted.advance(&report)?;
    let done = Done {
        origin: report.origin.clone(),
        events: report.events,
        last_time,
        root: report.root.map(|root| root.to_string()),
        salvaged,
        signed: signed.map(|seal| seal.checkpoint().size),
        lost,
        set_aside,
        secrets,
        sealing_keys,
    };
    tell(dir, source, to, &done)?;
    Ok(true)
}

/// Writes the copy, and what the damaged log has beyond it, into a log of its own.
fn make(making: &Path, source: &Source, present: &Present) -> anyhow::Result<(Restoring, u64)> {
    let mut restoring = Restoring::begin(making)?;
    let bar = progress::events(None, "restoring");
    source.with_items(|items| Ok(restoring.write(items, |events| bar.set_position(events))?))?;
    let salvaged = match present {
        Present::Damaged { log, .. } => restoring.salvage(&**log)?,
        Present::Nothing | Present::Unopenable { .. } => 0,
    };
    bar.finish_and_clear();
    Ok((restoring, salvaged))
}

/// The last checkpoint that the daemon kept apart from the log.
fn last_checkpoint(dir: &DataDir) -> anyhow::Result<Option<Seal>> {
    let path = dir.last_checkpoint();
    let read = LastCheckpoint::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    let parsed = read.map(|(_, seal)| Seal::parse(&seal)).transpose();
    parsed.with_context(|| format!("{} holds no checkpoint", path.display()))
}

/// A loss can only be accepted of the ledger that is restored.
fn check_origin(report: &Report, signed: Option<&Seal>, making: &Path) -> anyhow::Result<()> {
    let Some(signed) = signed.filter(|seal| Some(&seal.checkpoint().origin) != report.origin.as_ref()) else {
        return Ok(());
    };
    place::remove(making)?;
    let (theirs, ours) = (report.origin.as_deref().unwrap_or("an unknown origin"), &signed.checkpoint().origin);
    bail!(
        "the copy is of `{theirs}`, and this data directory is of `{ours}`: name the right copy, or another directory"
    );
}

/// Keeps the newest checkpoint of the restored log, where none is kept, so that an older copy put in its place is noticed.
fn keep_checkpoint(dir: &DataDir, report: &Report) -> anyhow::Result<()> {
    let path = dir.last_checkpoint();
    if path.exists() {
        return Ok(());
    }
    let Some(seal) = &report.last_seal else { return Ok(()) };
    let kept = LastCheckpoint::open(&path).and_then(|mut last| {
        last.record(TreeSize(report.size), seal)?;
        last.sync()
    });
    kept.with_context(|| format!("the log is restored, but {} cannot be written", path.display()))
}

fn time_of(log: &dyn LogStore, seq: Seq) -> anyhow::Result<Micros> {
    let record = log.record(seq)?.with_context(|| format!("event {seq} is missing"))?;
    Ok(Envelope::parse(&record.header).map_or(Micros(0), |envelope| envelope.time))
}

/// Says why nothing was put in place.
fn refuse(source: &Source, report: &Report, last_time: Option<Micros>, lost: u64, signed: Option<&Seal>) {
    let from = source.path().display();
    if let Some(broken) = &report.first_broken {
        output::note(&format!("what {from} holds is not whole: {broken}. Nothing was changed"));
        return;
    }
    let signed = signed.map_or(TreeSize(0), |seal| seal.checkpoint().size);
    let upto = last_time.map_or_else(String::new, |time| format!(", the last of {time}"));
    output::note(&format!(
        "{from} ends at {} events{upto}; a checkpoint for {signed} was signed, so the last {lost} events are missing, and \
         whoever was answered about them, or holds that checkpoint, knows them. Nothing was changed. Look for a newer copy. \
         If there is none, `--accept-loss --reason TEXT` goes on without them, and makes that an event of the log",
        report.events
    ));
}

fn tell(dir: &DataDir, source: &Source, to: &To, done: &Done) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if to.json {
        serde_json::to_writer(&mut out, done).map_err(io::Error::from)?;
        return Ok(writeln!(out)?);
    }
    let path = dir.path().display();
    let upto = match (done.events.checked_sub(1), done.last_time) {
        (Some(last), Some(time)) => format!(", up to event {last} of {time}"),
        _ => String::new(),
    };
    writeln!(out, "restored {} events{upto}, into {path}", done.events)?;
    writeln!(out, "  from        {}", source.path().display())?;
    writeln!(out, "  origin      {}", done.origin.as_deref().unwrap_or("unknown"))?;
    writeln!(out, "  root        {}", done.root.as_deref().unwrap_or("none"))?;
    if done.salvaged > 0 {
        writeln!(out, "  salvaged    {} events from the damaged log, which the copy lacked", done.salvaged)?;
    }
    match (done.signed, done.lost) {
        (None, _) => writeln!(out, "  checkpoint  none was kept here, so a lost tail cannot be excluded")?,
        (Some(signed), 0) => writeln!(out, "  checkpoint  holds the last one signed, of {signed} events")?,
        (Some(signed), lost) => writeln!(
            out,
            "  checkpoint  {lost} of the {signed} events signed for are lost; the next start records that in the log"
        )?,
    }
    if let Some(aside) = &done.set_aside {
        writeln!(out, "  set aside   the log that was there, in {}", aside.display())?;
    }
    match done.secrets {
        Some(secrets) => writeln!(out, "  keystore    {secrets} secrets")?,
        None if dir.keystore().join("db").exists() => writeln!(out, "  keystore    as it was")?,
        None => writeln!(out, "  keystore    none: encrypted fields read as erased, and no certificate can be issued")?,
    }
    if has_sealing_key(dir) {
        writeln!(out, "  keys        there are sealing keys; `chanceryd --data-dir {path}` goes on with this log")?;
    } else {
        writeln!(
            out,
            "  keys        no sealing key: the log can be verified, replayed, inspected and exported, and chanceryd \
             cannot go on with it until {} holds the keys",
            dir.keys().display()
        )?;
    }
    Ok(())
}

fn has_sealing_key(dir: &DataDir) -> bool {
    let names = fs::read_dir(dir.keys()).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.into_iter().any(|name| name.to_str().is_some_and(|name| name.starts_with("seal-") && name.ends_with(".pem")))
}
