//! What a log is restored from.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use chancery_ledger::archive::ArchiveReader;
use chancery_ledger::export::ExportReader;

use crate::backup::{KEYSTORE_FILE, LOG_FILE, SEALING_KEYS_DIR};
use crate::source::{Items, note_leftover};

/// A copy of a log, and perhaps of what belongs to it.
pub enum Source {
    /// An archive.
    Archive(PathBuf),
    /// An export.
    Export(PathBuf),
    /// A directory that `chancery backup` wrote.
    Backup(PathBuf),
}

impl Source {
    /// What lies at a path.
    ///
    /// # Errors
    /// When nothing does.
    pub fn of(path: &Path) -> anyhow::Result<Self> {
        let metadata = path.metadata().with_context(|| format!("{} cannot be read", path.display()))?;
        Ok(match metadata.is_dir() {
            true if path.join(LOG_FILE).is_file() => Self::Backup(path.to_owned()),
            true => Self::Archive(path.to_owned()),
            false => Self::Export(path.to_owned()),
        })
    }

    /// The export at a path.
    ///
    /// # Errors
    /// When there is no file.
    pub fn export(path: &Path) -> anyhow::Result<Self> {
        match Self::of(path)? {
            source @ Self::Export(_) => Ok(source),
            _ => bail!("{} is a directory, and an import is of one file", path.display()),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        match self {
            Self::Archive(path) | Self::Export(path) | Self::Backup(path) => path,
        }
    }

    /// Calls `work` with the log's items.
    ///
    /// # Errors
    /// When they cannot be read, or what `work` gives.
    pub fn with_items<T>(&self, work: impl FnOnce(Items<'_>) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let of_export = |path: &Path, work: Box<dyn FnOnce(Items<'_>) -> anyhow::Result<T> + '_>| {
            let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
            work(Box::new(ExportReader::new(BufReader::with_capacity(1 << 20, file))))
                .with_context(|| format!("no log can be made of {}", path.display()))
        };
        match self {
            Self::Export(path) => of_export(path, Box::new(work)),
            Self::Backup(dir) => of_export(&dir.join(LOG_FILE), Box::new(work)),
            Self::Archive(path) => {
                let mut reader = ArchiveReader::open(path)?;
                let done = work(Box::new(&mut reader));
                let done = done.with_context(|| format!("no log can be made of {}", path.display()))?;
                note_leftover(&reader);
                Ok(done)
            }
        }
    }

    /// The keystore's backup, if the copy has one.
    pub fn keystore(&self) -> Option<PathBuf> {
        self.part(KEYSTORE_FILE).filter(|path| path.is_file())
    }

    /// The directory of sealing keys, if the copy has one.
    pub fn sealing_keys(&self) -> Option<PathBuf> {
        self.part(SEALING_KEYS_DIR).filter(|path| path.is_dir())
    }

    fn part(&self, name: &str) -> Option<PathBuf> {
        match self {
            Self::Backup(dir) => Some(dir.join(name)),
            Self::Archive(_) | Self::Export(_) => None,
        }
    }
}
