//! `chancery export`: the whole log as one file, or evidence of a part of it, from a log or from a running daemon.

mod bundle;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use chancery_ledger::export::{Bodies, Counts, ExportReader, export_items};
use chancery_ledger::verify::Item;
use clap::Args;

use self::bundle::Choosing;
use crate::client::Daemon;
use crate::progress;
use crate::source::{self, data_dir_of_environment};

/// Arguments of `chancery export`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    log: source::Log,
    #[command(flatten)]
    daemon: Daemon,
    #[command(flatten)]
    choosing: Choosing,
    /// The file to write; it must not exist yet. Only its owner may read it.
    #[arg(long)]
    out: PathBuf,
    /// Leave the bodies out: what is written still verifies, and says nothing of what happened.
    #[arg(long)]
    without_bodies: bool,
}

/// Exports, and says what was written.
///
/// # Errors
/// When the log cannot be read or the file not written; then no file of that name is left.
pub fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let out = &arguments.out;
    if out.symlink_metadata().is_ok() {
        bail!("{} exists already, and an export never replaces a file: name another", out.display());
    }
    if arguments.choosing.is_asked() || arguments.daemon.tenant().is_some() {
        return bundle::run(arguments);
    }
    let Counts { events, seals } = whole_or_nothing(out, |file| write(arguments, file))?;
    let out = out.display();
    writeln!(io::stdout(), "{out}: {events} events, {seals} seals; `chancery verify --export {out}` verifies it")?;
    Ok(true)
}

fn write(arguments: &Arguments, file: &File) -> anyhow::Result<Counts> {
    let mut file = BufWriter::with_capacity(1 << 20, file);
    let counts = match arguments.of_running()? {
        true => of_running(&arguments.daemon, arguments.without_bodies, &mut file)?,
        false => of_log(&arguments.log, arguments.bodies(), &mut file)?,
    };
    file.flush()?;
    Ok(counts)
}

impl Arguments {
    /// Whether the running daemon is asked, and no log read.
    fn of_running(&self) -> anyhow::Result<bool> {
        let has_key = self.daemon.has_key();
        if !has_key && !self.log.is_named() && data_dir_of_environment().is_none() {
            bail!("name a stopped daemon's --data-dir, or give an --api-key for the one that runs");
        }
        Ok(has_key && !self.log.is_named())
    }

    const fn bodies(&self) -> Bodies {
        if self.without_bodies { Bodies::Withheld } else { Bodies::Included }
    }
}

fn of_log(log: &source::Log, bodies: Bodies, out: &mut impl Write) -> anyhow::Result<Counts> {
    log.with_items(|items, total, _| {
        let bar = progress::events(total, "exporting");
        let counts = export_items(items, bodies, out, |events| bar.set_position(events));
        bar.finish_and_clear();
        Ok(counts?)
    })
}

/// Copies what the daemon sends, and reads it on the way: a stream that broke off looks like a short one otherwise.
pub fn of_running(daemon: &Daemon, without_bodies: bool, out: &mut impl Write) -> anyhow::Result<Counts> {
    let path = if without_bodies { "/v1/ledger/export?bodies=false" } else { "/v1/ledger/export" };
    let mut answer = daemon.get(path)?;
    let from = answer.body_mut().as_reader();
    let bar = progress::events(None, "exporting");
    let mut counts = Counts::default();
    for item in ExportReader::new(Tee { from, to: out }) {
        match item.context("the daemon did not send a whole export; try again")? {
            Item::Event { .. } => counts.events += 1,
            Item::Seal(_) => counts.seals += 1,
        }
        bar.set_position(counts.events);
    }
    bar.finish_and_clear();
    Ok(counts)
}

/// Reads from one, and writes what was read to the other.
struct Tee<'a, R, W> {
    /// What is read.
    from: R,
    /// Where it goes too.
    to: &'a mut W,
}

impl<R: Read, W: Write> Read for Tee<'_, R, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.to.write_all(&buffer[..count])?;
        Ok(count)
    }
}

/// Has a file written beside its place and, when it is whole and durable, moves it there. On failure nothing is left.
pub fn whole_or_nothing<T>(out: &Path, write: impl FnOnce(&File) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let dir = out.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = out.file_name().with_context(|| format!("{} is not the name of a file", out.display()))?;
    let mut prefix = OsString::from(".");
    prefix.push(name);
    let partial = tempfile::Builder::new().prefix(&prefix).suffix(".partial").tempfile_in(dir);
    let partial = partial.with_context(|| format!("no file can be made in {}", dir.display()))?;
    let counts = write(partial.as_file()).with_context(|| format!("{} was not written", out.display()))?;
    let moved = partial.as_file().sync_all().and_then(|()| {
        partial.persist_noclobber(out)?;
        File::open(dir)?.sync_all()
    });
    moved.with_context(|| format!("{} could not be written to its end", out.display()))?;
    Ok(counts)
}
