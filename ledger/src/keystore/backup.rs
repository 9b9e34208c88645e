//! A backup of the keystore: its secrets as they lie there, wrapped. This is `docs/format.md`, section 16, as code.
//!
//! The wrapping key is never in it. It does not change, so one copy of its file, kept apart, opens every backup.

use std::fs::DirBuilder;
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use super::shelf::FjallShelf;
use super::{CHECK, DIRECTORY_MODE, KeystoreError, Shelf, unwrap, wrapping_key};
use crate::export::frame::Frames;
use crate::export::{END, write_frame};
use crate::verify::SourceError;

/// First bytes of every backup.
pub const MAGIC: &[u8; 20] = b"chancery keystore 1\n";
/// BLAKE3 derive-key context of the checksum.
const CONTEXT: &str = "chancery 2026 keystore backup v1";
const SECRET: u8 = b'K';
/// Secrets that are put at once.
const BATCH: usize = 4096;

/// A keystore could not be backed up or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The keystore failed.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// The backup could not be written.
    #[error("the keystore's backup could not be written: {0}")]
    Write(io::Error),
    /// The backup could not be read.
    #[error("the keystore's backup cannot be used: {0}")]
    Read(#[from] SourceError),
    /// There is a keystore already.
    #[error("there is a keystore in {0} already, and a backup never replaces one")]
    Exists(std::path::PathBuf),
}

/// Writes every entry of a shelf, and gives how many secrets there are.
pub(super) fn write(shelf: &dyn Shelf, out: impl Write) -> Result<u64, BackupError> {
    let mut out = Summed { out, hasher: blake3::Hasher::new_derive_key(CONTEXT) };
    out.write_all(MAGIC).map_err(BackupError::Write)?;
    let (mut count, mut failed) = (0_u64, None);
    shelf.each(&mut |name, value| {
        // A name's length takes a byte; the longest name has 18.
        let length = u8::try_from(name.len()).map(|length| [length]).map_err(io::Error::other);
        let written = length.and_then(|length| write_frame(&mut out, SECRET, &[&length, name, value].concat()));
        count += 1;
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    if let Some(error) = failed {
        return Err(BackupError::Write(error));
    }
    let sum = out.hasher.finalize();
    let end = [&count.to_be_bytes(), &sum.as_bytes()[..]].concat();
    write_frame(&mut out, END, &end).and_then(|()| out.flush()).map_err(BackupError::Write)?;
    // What tells the wrapping key is no secret.
    Ok(count.saturating_sub(1))
}

/// Reads a backup to its end, and gives each entry to `each`.
///
/// # Errors
/// [`BackupError::Read`] when it is none, or not whole; what `each` gives.
pub fn read(
    from: impl Read, mut each: impl FnMut(&[u8], &[u8]) -> Result<(), BackupError>,
) -> Result<u64, BackupError> {
    let malformed = |why| BackupError::Read(SourceError::Container(why));
    let mut frames = Frames::new(from);
    let magic = frames.magic()?;
    if magic != *MAGIC {
        return Err(malformed("it does not begin as a keystore's backup does"));
    }
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    hasher.update(&magic);
    let mut count = 0_u64;
    loop {
        let frame = frames.next()?.ok_or_else(|| malformed("it ends before its end frame"))?;
        match frame.kind() {
            SECRET => {
                hasher.update(&frame.head).update(&frame.payload);
                let split =
                    frame.payload.split_first().and_then(|(length, rest)| rest.split_at_checked((*length).into()));
                let (name, value) = split.ok_or_else(|| malformed("a secret's frame does not fit its parts"))?;
                count += 1;
                each(name, value)?;
            }
            END => {
                let expected = [&count.to_be_bytes(), &hasher.finalize().as_bytes()[..]].concat();
                if frame.payload != expected || !frames.is_over()? {
                    return Err(malformed("it does not hold what it says"));
                }
                return Ok(count);
            }
            _ => return Err(malformed("a frame is of no known type")),
        }
    }
}

/// Makes a keystore of a backup, in a directory that has the wrapping key's file or nothing, and checks that the key
/// opens every secret. Gives how many there are.
///
/// # Errors
/// [`BackupError`]; what was made by then is to be removed.
pub fn restore(from: impl Read, dir: &Path) -> Result<u64, BackupError> {
    if dir.join("db").exists() {
        return Err(BackupError::Exists(dir.to_owned()));
    }
    let io = |source| KeystoreError::KeyFile(crate::keys::KeyFileError::Io { path: dir.to_owned(), source });
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(dir).map_err(io)?;
    let wrapping = wrapping_key(dir)?;
    let shelf = FjallShelf::open(dir)?;
    let mut entries: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut opens = false;
    let count = read(from, |name, value| {
        if !value.is_empty() && unwrap(&wrapping, name, value).is_none() {
            return Err(KeystoreError::WrappingKeyWrong { path: dir.join(super::WRAPPING_KEY) }.into());
        }
        opens |= name == CHECK;
        entries.push((name.to_vec(), value.to_vec()));
        if entries.len() == BATCH {
            shelf.put(std::mem::take(&mut entries))?;
        }
        Ok(())
    })?;
    if !opens {
        return Err(BackupError::Read(SourceError::Container("it lacks what tells its wrapping key")));
    }
    shelf.put(entries)?;
    shelf.sync()?;
    Ok(count.saturating_sub(1))
}

/// Writes, and hashes what was written.
struct Summed<W> {
    out: W,
    hasher: blake3::Hasher,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
