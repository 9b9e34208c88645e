//! What is in the data directory, and putting a log in its place. Nothing that was there is deleted but views, which are
//! made from the log.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use chancery_ledger::accepted_loss::set_checkpoint_aside;
use chancery_ledger::data_dir::DataDir;
use chancery_ledger::ids::TreeSize;
use chancery_ledger::keystore::backup;
use chancery_ledger::last_checkpoint::LastCheckpoint;
use chancery_ledger::store::on_sled::SledStore;
use chancery_ledger::store::{LogStore as _, StoreError, quarantine};
use chancery_ledger::tree::seal::Seal;
use chancery_ledger::verify::{self, Known, StoreItems};

use super::copy::Source;
use crate::{output, progress};

/// How long sled's threads are waited for, which hold a log for a moment after it was closed.
const CLOSING: Duration = Duration::from_secs(30);

/// The log that is in the data directory.
pub enum Present {
    /// None: there never was one, or it was set aside.
    Nothing,
    /// One that cannot be opened.
    Unopenable {
        /// What opening it said.
        cause: String,
    },
    /// One that opens and is not whole, or ends before the last checkpoint signed for it.
    Damaged {
        /// The log.
        log: Box<SledStore>,
        /// What is wrong with it.
        cause: String,
    },
}

impl Present {
    /// Looks.
    ///
    /// # Errors
    /// When there is a whole log, which is never replaced; when it cannot be told.
    pub fn look(dir: &DataDir) -> anyhow::Result<Self> {
        let path = dir.log();
        if !path.join("db").is_file() {
            return Ok(Self::Nothing);
        }
        let log = match SledStore::open_to_read(&path) {
            Ok(log) => log,
            Err(StoreError::Damaged { cause, .. }) => return Ok(Self::Unopenable { cause }),
            Err(error) => return Err(error.into()),
        };
        if log.size() == TreeSize(0) {
            return Ok(Self::Damaged { log: Box::new(log), cause: "it holds no event".to_owned() });
        }
        let last = LastCheckpoint::read(&dir.last_checkpoint()).ok().flatten();
        let heads = last.and_then(|(_, seal)| Seal::parse(&seal).ok()).into_iter().collect();
        let bar = progress::events(Some(log.size().0), "verifying the log that is there");
        let items = StoreItems::new(&log, TreeSize(u64::MAX));
        let report = verify::verify(items, &Known { heads, ..Known::default() }, |events| bar.set_position(events))?;
        bar.finish_and_clear();
        if let Some(broken) = report.first_broken {
            return Ok(Self::Damaged { log: Box::new(log), cause: broken.to_string() });
        }
        // A restoration that was cut short after its last step but this.
        quarantine::lift(&path)?;
        bail!(
            "{} holds a whole log of {} events, and nothing is restored over that. If an archive holds more, start chanceryd \
             with it: it gives the log what that lacks. To restore elsewhere, name an empty directory",
            dir.path().display(),
            report.events
        );
    }

    fn cause(&self) -> Option<&str> {
        match self {
            Self::Nothing => None,
            Self::Unopenable { cause } | Self::Damaged { cause, .. } => Some(cause),
        }
    }
}

/// Puts a log that was made and verified in its place, and says where the one that was there lies now.
///
/// # Errors
/// When something cannot be moved.
pub fn put(dir: &DataDir, making: &Path, present: Present, moves_checkpoint: bool) -> anyhow::Result<Option<PathBuf>> {
    wait_for_close(making)?;
    // They may have seen events that are no more.
    remove(&dir.views())?;
    let cause = present.cause().map(ToOwned::to_owned);
    drop(present);
    let log = dir.log();
    let aside = match log.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        _ => {
            if log.join("db").is_file() {
                wait_for_close(&log)?;
            }
            let cause = cause.as_deref().unwrap_or("it held no log");
            Some(quarantine::set_aside(&log, cause)?)
        }
    };
    quarantine::put_in_place(making, &log)?;
    if moves_checkpoint {
        let moved = DirBuilder::new().recursive(true).mode(0o700).create(dir.quarantine());
        moved
            .and_then(|()| set_checkpoint_aside(&dir.last_checkpoint(), &dir.quarantine()))
            .context("the last checkpoint cannot be moved to quarantine/")?;
    }
    Ok(aside)
}

/// Gives the data directory what a backup has of keys, where it has none. How many secrets, and how many files.
///
/// # Errors
/// When there is a backup of keys that cannot be used.
pub fn keys(dir: &DataDir, source: &Source, wrapping_key: Option<&Path>) -> anyhow::Result<(Option<u64>, usize)> {
    Ok((keystore(dir, source, wrapping_key)?, sealing_keys(dir, source)?))
}

fn keystore(dir: &DataDir, source: &Source, wrapping_key: Option<&Path>) -> anyhow::Result<Option<u64>> {
    let Some(from) = source.keystore() else { return Ok(None) };
    let to = dir.keystore();
    if to.join("db").exists() {
        output::note(&format!("{} is left as it is; the backup's keystore was not used", to.display()));
        return Ok(None);
    }
    let Some(wrapping_key) = wrapping_key else {
        output::note("the backup's keystore was not restored: --wrapping-key names the file that opens it");
        return Ok(None);
    };
    let making = dir.path().join("keystore.restoring");
    remove(&making)?;
    let restored = (|| {
        DirBuilder::new().mode(0o700).create(&making)?;
        let key = fs::read(wrapping_key).with_context(|| format!("{} cannot be read", wrapping_key.display()))?;
        write_private(&making.join("wrapping.key"), &key)?;
        let file = File::open(&from).with_context(|| format!("{} cannot be read", from.display()))?;
        let count = backup::restore(io::BufReader::new(file), &making)?;
        // An empty one, of a start that was cut short.
        remove(&to)?;
        fs::rename(&making, &to)?;
        File::open(dir.path())?.sync_all()?;
        anyhow::Ok(count)
    })();
    restored.map(Some).or_else(|error| {
        remove(&making)?;
        Err(error.context("the keystore was not restored"))
    })
}

fn sealing_keys(dir: &DataDir, source: &Source) -> anyhow::Result<usize> {
    let Some(from) = source.sealing_keys() else { return Ok(0) };
    let to = dir.keys();
    DirBuilder::new().recursive(true).mode(0o700).create(&to)?;
    let mut count = 0;
    for entry in fs::read_dir(&from).with_context(|| format!("{} cannot be read", from.display()))? {
        let entry = entry?;
        let path = to.join(entry.file_name());
        if entry.file_type()?.is_file() && !path.exists() {
            write_private(&path, &fs::read(entry.path())?)?;
            count += 1;
        }
    }
    File::open(&to)?.sync_all()?;
    Ok(count)
}

fn write_private(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = opened.and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.with_context(|| format!("{} cannot be written", path.display()))
}

/// Removes a directory that is there and holds nothing that is not elsewhere.
///
/// # Errors
/// When it cannot be removed.
pub fn remove(dir: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} cannot be removed", dir.display()))
        }
        _ => Ok(()),
    }
}

/// Waits until sled let go of a log that was closed.
fn wait_for_close(log: &Path) -> anyhow::Result<()> {
    let file = File::open(log.join("db"))?;
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if begun.elapsed() < CLOSING => std::thread::sleep(Duration::from_millis(5)),
            Err(TryLockError::WouldBlock) => bail!("{} is open elsewhere", log.display()),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
}
