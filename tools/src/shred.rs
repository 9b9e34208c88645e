//! `chancery shred`: the keys of what the log says was erased, struck out of a copy of the keystore from before.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use chancery_ledger::body::{Body, Kind};
use chancery_ledger::event::{Envelope, Event};
use chancery_ledger::keystore::{Keystore, SecretName, backup};
use chancery_ledger::verify::Item;
use clap::Args;
use serde::Serialize;

use crate::backup::KEYSTORE_FILE;
use crate::progress;
use crate::source::{Items, Log};

/// Keys destroyed at once in a keystore.
const AT_ONCE: usize = 1024;

/// Arguments of `chancery shred`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The copy: a directory that `chancery backup` wrote, the file `keystore.backup` of one, or a copied `keystore/` with
    /// its wrapping key. It is changed where it lies.
    #[arg(value_name = "COPY")]
    from_before: PathBuf,
    #[command(flatten)]
    log: Log,
    /// Print what was done as JSON.
    #[arg(long)]
    json: bool,
}

/// What was done.
#[derive(Debug, Serialize)]
struct Done {
    /// The copy.
    copy: PathBuf,
    /// Things that the log says were erased.
    erased: usize,
    /// Keys of theirs that the copy had, and has no more.
    struck: u64,
}

/// Strikes keys out, and says how many.
///
/// # Errors
/// When log or copy cannot be read, or the copy not be written; it is then as it was.
pub fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let erased = arguments.log.with_items(|items, total, _| erased(items, total))?;
    let copy = &arguments.from_before;
    let struck = match copy {
        dir if dir.join("db").is_dir() => in_keystore(dir, &erased),
        dir if dir.join(KEYSTORE_FILE).is_file() => in_backup(&dir.join(KEYSTORE_FILE), &erased),
        file if file.is_file() => in_backup(file, &erased),
        other => bail!("{} is neither a backup nor a copied keystore", other.display()),
    };
    let struck = struck.with_context(|| format!("{} was not rid of what was erased", copy.display()))?;
    let done = Done { copy: copy.clone(), erased: erased.len(), struck };
    let mut out = io::stdout().lock();
    if arguments.json {
        serde_json::to_writer(&mut out, &done).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        writeln!(out, "{}: {struck} keys struck out, of {} things erased", copy.display(), erased.len())?;
    }
    Ok(true)
}

/// The names of the data keys of what a log says was erased.
fn erased(items: Items<'_>, total: Option<u64>) -> anyhow::Result<HashSet<SecretName>> {
    let bar = progress::events(total, "reading the log");
    let mut erased = HashSet::new();
    let mut events = 0;
    for item in items {
        let Item::Event { header, body, .. } = item? else { continue };
        events += 1;
        bar.set_position(events);
        let envelope =
            Envelope::parse(&header).context("an event of the log is damaged; `chancery verify` says more")?;
        if envelope.kind != Kind::SubjectErased.code() {
            continue;
        }
        let body = body.context("the log withholds what was erased: give one with all bodies")?;
        if let Body::SubjectErased(facts) = Event::read(&header, &body)?.0.body {
            erased.insert(SecretName::Data(facts.subject));
        }
    }
    bar.finish_and_clear();
    Ok(erased)
}

/// Writes a backup anew beside the old one, and puts it in its place.
fn in_backup(file: &Path, erased: &HashSet<SecretName>) -> anyhow::Result<u64> {
    let names: HashSet<Vec<u8>> = erased.iter().map(SecretName::to_bytes).collect();
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Readable by its owner alone, as temporary files are.
    let new = tempfile::Builder::new().prefix(".chancery-shred-").tempfile_in(dir)?;
    let mut out = BufWriter::with_capacity(1 << 20, new.as_file());
    let from = BufReader::with_capacity(1 << 20, File::open(file)?);
    let done = backup::strike(from, |name| names.contains(name), &mut out)?;
    drop(out);
    if done.struck > 0 {
        new.as_file().sync_all()?;
        new.persist(file)?;
        File::open(dir)?.sync_all()?;
    }
    Ok(done.struck)
}

/// Destroys keys in a copied keystore, and has its files written anew.
fn in_keystore(dir: &Path, erased: &HashSet<SecretName>) -> anyhow::Result<u64> {
    if !fs::exists(dir.join("wrapping.key"))? {
        bail!("{} has no `wrapping.key`, which tells that the keystore is whole", dir.display());
    }
    let keystore = Keystore::open(dir)?;
    let names: Vec<_> = erased.iter().copied().collect();
    let mut struck = 0;
    for names in names.chunks(AT_ONCE) {
        struck += keystore.destroy(names)? as u64;
    }
    if struck > 0 {
        keystore.purge()?;
    }
    Ok(struck)
}
