//! What lies where in a data directory, and who may use it: one process at a time.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// A data directory that this process has to itself, until it drops this.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: Option<File>,
}

/// A data directory cannot be used. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process has it.
    #[error("{path} is in use by another process: stop the chanceryd that runs on it, or name another data directory")]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// It is not there.
    #[error("{path} holds no log; is it a Chancery data directory?")]
    NoLog {
        /// The directory.
        path: PathBuf,
    },
    /// It cannot be made or written.
    #[error("{path} cannot be used: {source}; check that the directory is there and that this user may write to it")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Makes a directory for its owner alone, with those above it, and makes their names durable.
fn make_durable_dir(path: &Path) -> io::Result<()> {
    let path = std::path::absolute(path)?;
    let made: Vec<&Path> = path.ancestors().take_while(|above| !above.exists()).collect();
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
    for within in made.iter().rev().filter_map(|made| made.parent()) {
        File::open(within)?.sync_all()?;
    }
    Ok(())
}

impl DataDir {
    /// Takes a data directory, making it when there is none, for its owner alone.
    ///
    /// # Errors
    /// [`DataDirError`].
    pub fn create_or_open(path: &Path) -> Result<Self, DataDirError> {
        make_durable_dir(path).map_err(|source| DataDirError::Io { path: path.to_owned(), source })?;
        Self::take(path)
    }

    /// Takes a data directory that holds a log, to read it: writes nothing, not even a lock file where there is none.
    ///
    /// # Errors
    /// [`DataDirError`].
    pub fn open_to_read(path: &Path) -> Result<Self, DataDirError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| DataDirError::Io { path, source }
        };
        let log = path.join("log");
        match fs::metadata(&log) {
            Ok(metadata) if metadata.is_dir() => {}
            Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Err(io(&log)(error));
            }
            _ => return Err(DataDirError::NoLog { path: path.to_owned() }),
        }
        let lock_path = path.join("lock");
        let lock = match File::open(&lock_path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            opened => Some(opened.map_err(io(&lock_path))?),
        };
        Self::locked(path, lock)
    }

    fn take(path: &Path) -> Result<Self, DataDirError> {
        let lock_path = path.join("lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&lock_path);
        let lock = lock.map_err(|source| DataDirError::Io { path: lock_path, source })?;
        Self::locked(path, Some(lock))
    }

    fn locked(path: &Path, lock: Option<File>) -> Result<Self, DataDirError> {
        match lock.as_ref().map_or(Ok(()), File::try_lock) {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(DataDirError::Io { path: path.join("lock"), source }),
        }
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    /// The ledger's sealing keys.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.path.join("keys")
    }

    /// Data keys and tenants' CA keys.
    #[must_use]
    pub fn keystore(&self) -> PathBuf {
        self.path.join("keystore")
    }

    /// The views.
    #[must_use]
    pub fn views(&self) -> PathBuf {
        self.path.join("views")
    }

    /// The trees over views that receipts are made of.
    #[must_use]
    pub fn receipts(&self) -> PathBuf {
        self.path.join("receipts")
    }

    /// The last checkpoint that was signed.
    #[must_use]
    pub fn last_checkpoint(&self) -> PathBuf {
        self.path.join("last-checkpoint")
    }

    /// What names the archive that may be ahead of the log ([`crate::archive::mark::Mark`]).
    #[must_use]
    pub fn archive_mark(&self) -> PathBuf {
        self.path.join("archived-in")
    }

    /// What says that a lost tail was accepted ([`crate::accepted_loss`]).
    #[must_use]
    pub fn accepted_loss(&self) -> PathBuf {
        self.path.join("accepted-loss")
    }

    /// What was set aside.
    #[must_use]
    pub fn quarantine(&self) -> PathBuf {
        self.path.join("quarantine")
    }
}
