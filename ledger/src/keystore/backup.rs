//! A backup of the keystore: its secrets as they lie there, wrapped. This is `docs/format.md`, section 16, as code.
//!
//! The wrapping key is never in it. It does not change, so one copy of its file, kept apart, opens every backup.

use std::fs::DirBuilder;
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use super::shelf::{self, FjallShelf};
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
    let mut writer = Writer::begin(out).map_err(BackupError::Write)?;
    let mut failed = None;
    shelf.each(&mut |name, value| match writer.put(name, value) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    })?;
    failed.map_or(Ok(()), Err).and_then(|()| writer.end()).map_err(BackupError::Write)
}

/// What [`strike`] left of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Struck {
    /// Names of secrets, struck out or not.
    pub secrets: u64,
    /// Secrets that were there and are struck out now.
    pub struck: u64,
}

/// Writes a backup once more, without the secrets of some names, which read as destroyed. It needs no key.
///
/// # Errors
/// [`BackupError`]; then what was written is of no worth.
pub fn strike(from: impl Read, is_erased: impl Fn(&[u8]) -> bool, out: impl Write) -> Result<Struck, BackupError> {
    let mut writer = Writer::begin(out).map_err(BackupError::Write)?;
    let mut struck = 0;
    read(from, |name, value| {
        let gone = is_secret(name) && !value.is_empty() && is_erased(name);
        struck += u64::from(gone);
        writer.put(name, if gone { &[] } else { value }).map_err(BackupError::Write)
    })?;
    Ok(Struck { secrets: writer.end().map_err(BackupError::Write)?, struck })
}

/// Writes a backup, entry by entry.
struct Writer<W> {
    out: Summed<W>,
    entries: u64,
    secrets: u64,
}

impl<W: Write> Writer<W> {
    fn begin(out: W) -> io::Result<Self> {
        let mut out = Summed { out, hasher: blake3::Hasher::new_derive_key(CONTEXT) };
        out.write_all(MAGIC)?;
        Ok(Self { out, entries: 0, secrets: 0 })
    }

    fn put(&mut self, name: &[u8], value: &[u8]) -> io::Result<()> {
        // A name's length takes a byte; the longest name has 18.
        let length = u8::try_from(name.len()).map_err(io::Error::other)?;
        write_frame(&mut self.out, SECRET, &[&[length], name, value].concat())?;
        self.entries += 1;
        self.secrets += u64::from(is_secret(name));
        Ok(())
    }

    /// Ends it, and gives how many secrets there are.
    fn end(mut self) -> io::Result<u64> {
        let sum = self.out.hasher.finalize();
        let end = [&self.entries.to_be_bytes(), &sum.as_bytes()[..]].concat();
        write_frame(&mut self.out, END, &end)?;
        self.out.flush()?;
        Ok(self.secrets)
    }
}

/// Whether a name is that of a secret; what the keystore knows of itself has shorter ones.
const fn is_secret(name: &[u8]) -> bool {
    name.len() > CHECK.len()
}

/// Reads a backup to its end, gives each entry to `each`, and how many secrets there are.
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
    let (mut count, mut secrets) = (0_u64, 0_u64);
    loop {
        let frame = frames.next()?.ok_or_else(|| malformed("it ends before its end frame"))?;
        match frame.kind() {
            SECRET => {
                hasher.update(&frame.head).update(&frame.payload);
                let split =
                    frame.payload.split_first().and_then(|(length, rest)| rest.split_at_checked((*length).into()));
                let (name, value) = split.ok_or_else(|| malformed("a secret's frame does not fit its parts"))?;
                count += 1;
                secrets += u64::from(is_secret(name));
                each(name, value)?;
            }
            END => {
                let expected = [&count.to_be_bytes(), &hasher.finalize().as_bytes()[..]].concat();
                if frame.payload != expected || !frames.is_over()? {
                    return Err(malformed("it does not hold what it says"));
                }
                return Ok(secrets);
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
    shelf::finish_purge(dir)?;
    if dir.join("db").exists() {
        return Err(BackupError::Exists(dir.to_owned()));
    }
    let io = |source| KeystoreError::KeyFile(crate::keys::KeyFileError::Io { path: dir.to_owned(), source });
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(dir).map_err(io)?;
    let wrapping = wrapping_key(dir)?;
    let shelf = FjallShelf::open(dir)?;
    let mut entries: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut opens = false;
    let secrets = read(from, |name, value| {
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
    Ok(secrets)
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
