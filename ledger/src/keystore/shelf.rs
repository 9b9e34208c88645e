//! Where wrapped secrets lie: a shelf of names and values. The keystore's is a fjall database; a simulation has another.
//!
//! fjall keeps a value that was replaced: in its journal until that has grown to 64 MiB, in its tables until they are
//! compacted. A value that must be gone is therefore left behind: what is to stay is copied into a database of its own,
//! which takes the place of the old one.
//!
//! | Directory | Is |
//! |---|---|
//! | `db` | the database |
//! | `db.new` | one that is being made: of no worth |
//! | `db.whole` | a whole copy that is about to take the place of `db`: it is the database where there is no `db` |
//! | `db.old` | the one whose place was taken: of no worth |

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::KeystoreError;
use crate::keys::KeyFileError;

/// The directory of the database.
pub(super) const DATABASE: &str = "db";
/// That directory before it is whole.
const UNFINISHED_DATABASE: &str = "db.new";
/// A copy that is whole, before it has its name.
const WHOLE_COPY: &str = "db.whole";
/// The database whose place a copy took.
const OLD_DATABASE: &str = "db.old";
/// Entries that are copied at once.
const COPIED_AT_ONCE: usize = 4096;

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

    /// Sees that nothing is left of values that were replaced before.
    ///
    /// # Errors
    /// [`KeystoreError`].
    fn purge(&self) -> Result<(), KeystoreError>;
}

/// A shelf in a fjall database.
pub(super) struct FjallShelf {
    dir: PathBuf,
    /// `None` when the database could not be opened after a copy took its place.
    open: RwLock<Option<Opened>>,
    /// What was put since a copy was begun, and goes into that, too; `None` when none is being made.
    meanwhile: Mutex<Option<Vec<Entry>>>,
    /// Read by who goes through all entries, written by who closes the database under them.
    walked: RwLock<()>,
}

/// A name and a value.
type Entry = (Vec<u8>, Vec<u8>);

/// A database that is open.
#[derive(Clone)]
struct Opened {
    db: Database,
    secrets: Keyspace,
}

impl FjallShelf {
    /// Opens the database below a keystore's directory, making it when there is none.
    pub(super) fn open(dir: &Path) -> Result<Self, KeystoreError> {
        if !dir.join(DATABASE).exists() {
            begin(dir)?.sync()?;
            std::fs::rename(dir.join(UNFINISHED_DATABASE), dir.join(DATABASE)).map_err(io(dir))?;
            sync_dir(dir)?;
        }
        Ok(Self {
            dir: dir.to_owned(),
            open: RwLock::new(Some(Opened::at(dir, DATABASE)?)),
            meanwhile: Mutex::new(None),
            walked: RwLock::new(()),
        })
    }

    fn opened(&self) -> Result<Opened, KeystoreError> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.clone().ok_or(KeystoreError::Storage(fjall::Error::Poisoned))
    }

    fn meanwhile(&self) -> MutexGuard<'_, Option<Vec<Entry>>> {
        self.meanwhile.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Copies everything into a database of its own, and then what was put meanwhile until nothing is.
    fn copy(&self) -> Result<Opened, KeystoreError> {
        *self.meanwhile() = Some(Vec::new());
        // What failed before has left it.
        remove(&self.dir.join(WHOLE_COPY))?;
        let (from, to) = (self.opened()?, begin(&self.dir)?);
        let mut entries = Vec::with_capacity(COPIED_AT_ONCE);
        for entry in from.secrets.iter() {
            let (name, value) = entry.into_inner()?;
            entries.push((name.to_vec(), value.to_vec()));
            if entries.len() == COPIED_AT_ONCE {
                to.put(std::mem::take(&mut entries))?;
            }
        }
        to.put(entries)?;
        Ok(to)
    }

    /// Has a copy take the place of the database. Nothing is put meanwhile, and nobody reads.
    fn replace(&self, copy: Opened) -> Result<(), KeystoreError> {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        let put = self.meanwhile().take();
        copy.put(put.unwrap_or_default())?;
        copy.sync()?;
        // fjall writes by path, so that neither may be open when its directory gets another name.
        drop(copy);
        let named = |name: &str| self.dir.join(name);
        std::fs::rename(named(UNFINISHED_DATABASE), named(WHOLE_COPY)).map_err(io(&self.dir))?;
        sync_dir(&self.dir)?;
        *open = None;
        finish_purge_with(&self.dir, true)?;
        *open = Some(Opened::at(&self.dir, DATABASE)?);
        Ok(())
    }
}

impl Opened {
    fn at(dir: &Path, name: &str) -> Result<Self, KeystoreError> {
        let opened = Database::builder(dir.join(name)).cache_size(CACHE_BYTES).worker_threads(1).open();
        let db = opened.map_err(|error| match error {
            fjall::Error::Locked => KeystoreError::InUse { path: dir.to_owned() },
            other => other.into(),
        })?;
        let secrets = db.keyspace("secrets", || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES))?;
        Ok(Self { db, secrets })
    }

    fn put(&self, entries: Vec<Entry>) -> Result<(), KeystoreError> {
        let mut batch = self.db.batch();
        for (name, value) in entries {
            batch.insert(&self.secrets, name, value);
        }
        Ok(batch.commit()?)
    }

    fn sync(&self) -> Result<(), KeystoreError> {
        Ok(self.db.persist(PersistMode::SyncAll)?)
    }
}

/// Makes an empty database, under another name until it is whole: fjall opens none that a power cut left half made.
fn begin(dir: &Path) -> Result<Opened, KeystoreError> {
    // What was cut short has left it.
    remove(&dir.join(UNFINISHED_DATABASE))?;
    Opened::at(dir, UNFINISHED_DATABASE)
}

/// Ends what a crash interrupted between the steps of [`Shelf::purge`]; nobody has the database open.
pub(super) fn finish_purge(dir: &Path) -> Result<(), KeystoreError> {
    finish_purge_with(dir, false)
}

/// `is_newer` says that a whole copy holds all that the database does. After a crash nobody knows, so the database stays.
fn finish_purge_with(dir: &Path, is_newer: bool) -> Result<(), KeystoreError> {
    let named = |name: &str| dir.join(name);
    let (database, whole, old) = (named(DATABASE), named(WHOLE_COPY), named(OLD_DATABASE));
    if whole.exists() {
        if is_newer {
            remove(&old)?;
            std::fs::rename(&database, &old).map_err(io(dir))?;
        }
        match database.exists() {
            true => remove(&whole)?,
            false => std::fs::rename(&whole, &database).map_err(io(dir))?,
        }
        sync_dir(dir)?;
    }
    if old.exists() && database.exists() {
        remove(&old)?;
        sync_dir(dir)?;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), KeystoreError> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io(path)(error).into()),
        _ => Ok(()),
    }
}

fn sync_dir(dir: &Path) -> Result<(), KeystoreError> {
    Ok(File::open(dir).and_then(|dir| dir.sync_all()).map_err(io(dir))?)
}

fn io(path: &Path) -> impl Fn(io::Error) -> KeyFileError {
    let path = path.to_owned();
    move |source| KeyFileError::Io { path: path.clone(), source }
}

impl Shelf for FjallShelf {
    fn get(&self, name: &[u8]) -> Result<Option<Vec<u8>>, KeystoreError> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let opened = open.as_ref().ok_or(KeystoreError::Storage(fjall::Error::Poisoned))?;
        Ok(opened.secrets.get(name)?.map(|value| value.to_vec()))
    }

    fn put(&self, entries: Vec<Entry>) -> Result<(), KeystoreError> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let opened = open.as_ref().ok_or(KeystoreError::Storage(fjall::Error::Poisoned))?;
        // Held until it is put: what one of the two databases has, the other has, too.
        let mut meanwhile = self.meanwhile();
        match &mut *meanwhile {
            Some(meanwhile) => {
                opened.put(entries.clone())?;
                meanwhile.extend(entries);
                Ok(())
            }
            None => opened.put(entries),
        }
    }

    fn each(&self, each: &mut Each<'_>) -> Result<(), KeystoreError> {
        let _open = self.walked.read().unwrap_or_else(PoisonError::into_inner);
        for entry in self.opened()?.secrets.iter() {
            let (name, value) = entry.into_inner()?;
            if each(&name, &value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), KeystoreError> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.as_ref().ok_or(KeystoreError::Storage(fjall::Error::Poisoned))?.sync()
    }

    fn purge(&self) -> Result<(), KeystoreError> {
        let _walked = self.walked.write().unwrap_or_else(PoisonError::into_inner);
        let purged = self.copy().and_then(|copy| self.replace(copy));
        *self.meanwhile() = None;
        purged
    }
}
