//! `chancery export`: the whole log as one file, from a data directory or from a running daemon.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use chancery_ledger::data_dir::DataDir;
use chancery_ledger::export::{Bodies, export_log};
use chancery_ledger::store::LogStore as _;
use chancery_ledger::store::on_sled::SledStore;
use clap::Args;

use crate::client::Daemon;
use crate::progress;

/// Arguments of `chancery export`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A daemon's data directory; the daemon must be stopped. Without it, the running daemon is asked.
    #[arg(long, env = "CHANCERY_DATA_DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    daemon: Daemon,
    /// The file to write; it must not exist yet.
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
    if out.exists() {
        bail!("{} exists already; an export never replaces a file", out.display());
    }
    let partial = partial(out);
    let file = File::create(&partial).with_context(|| format!("{} cannot be written", partial.display()))?;
    let done =
        write(arguments, &file).and_then(|()| Ok(file.sync_all()?)).and_then(|()| Ok(fs::rename(&partial, out)?));
    if done.is_err() {
        // What failed is reported; the rest of a file that is no export helps nobody.
        let _ = fs::remove_file(&partial);
    }
    done.with_context(|| format!("{} was not written", out.display()))?;
    writeln!(io::stdout(), "{}: verify it with `chancery verify --export {}`", out.display(), out.display())?;
    Ok(true)
}

fn write(arguments: &Arguments, file: &File) -> anyhow::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, file);
    match &arguments.data_dir {
        Some(dir) => {
            let held = DataDir::open(dir)?;
            let log = SledStore::open(&held.log())?;
            let bodies = if arguments.without_bodies { Bodies::Withheld } else { Bodies::Included };
            let bar = progress::events(Some(log.size().0), "exporting");
            export_log(&log, log.size(), bodies, &mut file, |events| bar.set_position(events))?;
            bar.finish_and_clear();
        }
        None => {
            let path = if arguments.without_bodies { "/v1/ledger/export?bodies=false" } else { "/v1/ledger/export" };
            let mut answer = arguments.daemon.get(path)?;
            io::copy(&mut answer.body_mut().as_reader(), &mut file).context("the daemon's answer broke off")?;
        }
    }
    Ok(file.flush()?)
}

fn partial(out: &Path) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    out.with_file_name(name)
}
