//! Where wrapped secrets lie: a shelf of names and values. The keystore's is a fjall database; a simulation has another.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::KeystoreError;
use crate::keys::KeyFileError;

/// The directory of the database.
pub(super) const DATABASE: &str = "db";
/// That directory before it is whole.
const UNFINISHED_DATABASE: &str = "db.new";

/// fjall's block cache. The keystore's own cache takes most reads.
const CACHE_BYTES: u64 = 1024 * 1024;
/// fjall's write buffer before it goes to a table: some 30,000 secrets.
const MEMTABLE_BYTES: u64 = 4 * 1024 * 1024;

/// What is called with each entry of a shelf, name and value.
pub type Each<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Names and values, of which the keystore wraps and unwraps what it must. All methods can be called from any thread.
pub trait Shelf: Send + Sync {
    /// The value under a name.
    ///
    /// # Errors
    /// [`KeystoreError::Storage`].
    fn get(&self, name: &[u8]) -> Result<Option<Vec<u8>>, KeystoreError>;

    /// Puts values, all or none: visible at once, durable after [`sync`](Self::sync). What is put later never survives a
    /// crash without what was put before.
    ///
    /// # Errors
    /// [`KeystoreError::Storage`].
    fn put(&self, entries: Vec<(Vec<u8>, Vec<u8>)>) -> Result<(), KeystoreError>;

    /// Every name with its value, as they were at one moment, in the order of the names; ends when `each` says so.
    ///
    /// # Errors
    /// [`KeystoreError::Storage`].
    fn each(&self, each: &mut Each<'_>) -> Result<(), KeystoreError>;

    /// Makes everything put before durable, also by a process before this one.
    ///
    /// # Errors
    /// [`KeystoreError::Storage`]; then every later call but [`get`](Self::get) fails, too.
    fn sync(&self) -> Result<(), KeystoreError>;
}

/// A shelf in a fjall database.
pub(super) struct FjallShelf {
    db: Database,
    secrets: Keyspace,
}

impl FjallShelf {
    /// Opens the database below a keystore's directory, making it when there is none.
    pub(super) fn open(dir: &Path) -> Result<Self, KeystoreError> {
        if !dir.join(DATABASE).exists() {
            Self::make(dir)?;
        }
        Self::open_as(dir, DATABASE)
    }

    /// Makes an empty database, under another name until it is whole: fjall opens none that a power cut left half made.
    fn make(dir: &Path) -> Result<(), KeystoreError> {
        let unfinished = dir.join(UNFINISHED_DATABASE);
        let io = |source| KeyFileError::Io { path: unfinished.clone(), source };
        // A start that was cut short has left it; no secret was ever put into it.
        match std::fs::remove_dir_all(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error).into()),
            _ => {}
        }
        Self::open_as(dir, UNFINISHED_DATABASE)?.sync()?;
        std::fs::rename(&unfinished, dir.join(DATABASE)).map_err(io)?;
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(io)?;
        Ok(())
    }

    fn open_as(dir: &Path, name: &str) -> Result<Self, KeystoreError> {
        let opened = Database::builder(dir.join(name)).cache_size(CACHE_BYTES).worker_threads(1).open();
        let db = opened.map_err(|error| match error {
            fjall::Error::Locked => KeystoreError::InUse { path: dir.to_owned() },
            other => other.into(),
        })?;
        let secrets = db.keyspace("secrets", || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES))?;
        Ok(Self { db, secrets })
    }
}

impl Shelf for FjallShelf {
    fn get(&self, name: &[u8]) -> Result<Option<Vec<u8>>, KeystoreError> {
        Ok(self.secrets.get(name)?.map(|value| value.to_vec()))
    }

    fn put(&self, entries: Vec<(Vec<u8>, Vec<u8>)>) -> Result<(), KeystoreError> {
        let mut batch = self.db.batch();
        for (name, value) in entries {
            batch.insert(&self.secrets, name, value);
        }
        Ok(batch.commit()?)
    }

    fn each(&self, each: &mut Each<'_>) -> Result<(), KeystoreError> {
        for entry in self.secrets.iter() {
            let (name, value) = entry.into_inner()?;
            if each(&name, &value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), KeystoreError> {
        Ok(self.db.persist(PersistMode::SyncAll)?)
    }
}
