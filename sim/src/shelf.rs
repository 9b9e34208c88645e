//! The keystore's shelf on the simulated disk: one frame for what is put together, and a sync when the keystore says so.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chancery_ledger::keystore::{Each, KeystoreError, Shelf};

use crate::canary::Canary;
use crate::disk::SimFile;
use crate::frames::{self, Frames};

/// A shelf in a file.
#[derive(Debug)]
pub struct SimShelf {
    inner: Mutex<Inner>,
    canary: Option<Canary>,
}

#[derive(Debug)]
struct Inner {
    frames: Frames,
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
    /// A write failed, and nothing more is written.
    is_poisoned: bool,
}

fn storage(error: io::Error) -> KeystoreError {
    KeystoreError::Storage(fjall::Error::Io(error))
}

impl SimShelf {
    /// Opens the shelf in a file.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(file: SimFile, canary: Option<Canary>) -> Result<Self, KeystoreError> {
        let mut entries = BTreeMap::new();
        let frames = Frames::open(file, true, |_, payload| entries.extend(entries_of(payload))).map_err(storage)?;
        Ok(Self { inner: Mutex::new(Inner { frames, entries, is_poisoned: false }), canary })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn written<T>(&self, write: impl FnOnce(&mut Inner) -> io::Result<T>) -> Result<T, KeystoreError> {
        let mut inner = self.inner();
        if inner.is_poisoned {
            return Err(KeystoreError::Storage(fjall::Error::Poisoned));
        }
        write(&mut inner).map_err(|error| {
            inner.is_poisoned = true;
            storage(error)
        })
    }
}

fn entries_of(mut payload: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut entries = Vec::new();
    while let (Some(name), Some(value)) = (frames::take(&mut payload), frames::take(&mut payload)) {
        entries.push((name.to_vec(), value.to_vec()));
    }
    entries
}

impl Shelf for SimShelf {
    fn get(&self, name: &[u8]) -> Result<Option<Vec<u8>>, KeystoreError> {
        Ok(self.inner().entries.get(name).cloned())
    }

    fn put(&self, entries: Vec<(Vec<u8>, Vec<u8>)>) -> Result<(), KeystoreError> {
        self.written(|inner| {
            let mut payload = Vec::new();
            for (name, value) in &entries {
                frames::put(&mut payload, name);
                frames::put(&mut payload, value);
            }
            inner.frames.append(&payload)?;
            inner.entries.extend(entries);
            Ok(())
        })
    }

    fn each(&self, each: &mut Each<'_>) -> Result<(), KeystoreError> {
        let inner = self.inner();
        // Ending early is no failure.
        let _ = inner.entries.iter().try_for_each(|(name, value)| each(name, value));
        Ok(())
    }

    fn sync(&self) -> Result<(), KeystoreError> {
        if self.canary == Some(Canary::KeysNotSynced) {
            return Ok(());
        }
        self.written(|inner| inner.frames.sync())
    }

    /// Nobody looks at what a simulated disk keeps beside its files.
    fn purge(&self) -> Result<(), KeystoreError> {
        Ok(())
    }
}
