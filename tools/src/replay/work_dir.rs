//! Where replayed views lie: a temporary directory, or one that is kept and then remembers which log it is of.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use chancery_ledger::ids::Seq;
use chancery_ledger::link::{self, Hash};
use chancery_ledger::store::LogStore;
use tempfile::TempDir;

/// The file that remembers: the number and the hash of the last event asked for.
const REMEMBERED: &str = "replayed";

/// A directory for replayed views.
pub struct WorkDir {
    path: PathBuf,
    _temporary: Option<TempDir>,
}

impl WorkDir {
    /// A temporary one, or a kept one, which must be empty, or of this log.
    ///
    /// # Errors
    /// When it cannot be made or read, or holds the views of another log.
    pub fn take(kept: Option<&Path>, log: &dyn LogStore, last: Seq) -> anyhow::Result<Self> {
        let Some(path) = kept else {
            let temporary = tempfile::tempdir().context("no temporary directory can be made; give --work-dir")?;
            return Ok(Self { path: temporary.path().to_owned(), _temporary: Some(temporary) });
        };
        fs::create_dir_all(path).with_context(|| format!("{} cannot be made", path.display()))?;
        let file = path.join(REMEMBERED);
        let last = match fs::read_to_string(&file) {
            Ok(text) => check(path, &text, log)?.max(last),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if fs::read_dir(path)?.next().is_some() {
                    bail!("{} holds something else than replayed views: name an empty directory", path.display());
                }
                last
            }
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", file.display())),
        };
        let hash = hash_of(log, last)?.with_context(|| format!("the log has no event {last}"))?;
        fs::write(&file, format!("{last} {hash}\n"))
            .with_context(|| format!("{} cannot be written", file.display()))?;
        Ok(Self { path: path.to_owned(), _temporary: None })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The event up to which the views are of this log.
fn check(dir: &Path, remembered: &str, log: &dyn LogStore) -> anyhow::Result<Seq> {
    let of_another = || format!("{} holds views of another log: name another directory", dir.display());
    let (seq, hash) = remembered.trim_end().split_once(' ').with_context(of_another)?;
    let seq = Seq(seq.parse().with_context(of_another)?);
    match hash_of(log, seq)? {
        Some(found) if found.to_string() == hash => Ok(seq),
        _ => bail!(of_another()),
    }
}

/// The hash of an event binds every event before it.
fn hash_of(log: &dyn LogStore, seq: Seq) -> anyhow::Result<Option<Hash>> {
    Ok(log.record(seq)?.map(|record| link::header_hash(&record.header)))
}
