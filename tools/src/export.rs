//! `chancery export`: the whole log as one file, from a data directory or from a running daemon.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use chancery_ledger::export::{Bodies, Counts, ExportReader, export_log};
use chancery_ledger::store::LogStore as _;
use chancery_ledger::verify::Item;
use clap::Args;

use crate::client::Daemon;
use crate::progress;
use crate::source::{Stopped, data_dir_of_environment, export_archive};

/// Arguments of `chancery export`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A daemon's data directory; the daemon must be stopped. Without it the running daemon is asked, if there is an API
    /// key [env: CHANCERY_DATA_DIR, unless there is an API key].
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// An archive to make one file of, in place of a data directory.
    #[arg(long, conflicts_with = "data_dir")]
    archive: Option<PathBuf>,
    /// Read a temporary copy of the data directory's log, so that nothing at all is written there.
    #[arg(long)]
    copy: bool,
    #[command(flatten)]
    daemon: Daemon,
    /// The file to write; it must not exist yet. Only its owner may read it.
    #[arg(long)]
    out: PathBuf,
    /// Leave the bodies out: the export still verifies, and says nothing of what happened.
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
    let Counts { events, seals } = whole_or_nothing(out, |file| write(arguments, file))?;
    let out = out.display();
    writeln!(io::stdout(), "{out}: {events} events, {seals} seals; `chancery verify --export {out}` verifies it")?;
    Ok(true)
}

fn write(arguments: &Arguments, file: &File) -> anyhow::Result<Counts> {
    let mut file = BufWriter::with_capacity(1 << 20, file);
    let of_environment = || data_dir_of_environment().map(PathBuf::from).filter(|_| !arguments.daemon.has_key());
    if let Some(archive) = &arguments.archive {
        return export_archive(archive, bodies(arguments.without_bodies), &mut file);
    }
    let counts = match arguments.data_dir.clone().or_else(of_environment) {
        Some(dir) => of_stopped(&Stopped::open(&dir, arguments.copy)?, arguments.without_bodies, &mut file)?,
        None if arguments.daemon.has_key() => of_running(&arguments.daemon, arguments.without_bodies, &mut file)?,
        None => bail!("name a stopped daemon's --data-dir, or give an --api-key for the one that runs"),
    };
    file.flush()?;
    Ok(counts)
}

const fn bodies(without: bool) -> Bodies {
    if without { Bodies::Withheld } else { Bodies::Included }
}

fn of_stopped(stopped: &Stopped, without_bodies: bool, out: &mut impl Write) -> anyhow::Result<Counts> {
    let bodies = bodies(without_bodies);
    let bar = progress::events(Some(stopped.log.size().0), "exporting");
    let counts = export_log(&stopped.log, stopped.log.size(), bodies, out, |events| bar.set_position(events));
    bar.finish_and_clear();
    Ok(counts?)
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
    from: R,
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
