//! The last checkpoint signed, kept apart from the log, so that a log which is put back to an older copy of itself is
//! recognised and never forked.
//!
//! One small file with two slots. A slot holds a seal and a checksum. Until a write is synced, only the other slot is
//! written; so whatever a power cut tears, the last seal that was synced is still there.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::ids::TreeSize;

/// Bytes of a slot: a page, so that slots share no sector of the disk.
const SLOT_BYTES: usize = 4096;
/// A slot: magic, tree size, length of the seal, the seal, checksum; then nothing more that counts.
const MAGIC: [u8; 8] = *b"chklast1";
/// Bytes before the seal.
const FIXED_BYTES: usize = MAGIC.len() + 8 + 4;
/// Bytes of the checksum.
const SUM_BYTES: usize = 32;
/// Largest seal a slot holds, in bytes; one without cosignatures has less than 800.
const SEAL_BYTES_MAX: usize = SLOT_BYTES - FIXED_BYTES - SUM_BYTES;
/// BLAKE3 derive-key context of the checksum.
const CONTEXT: &str = "chancery 2026 last checkpoint v1";

/// The file, open for writing.
#[derive(Debug)]
pub struct LastCheckpoint {
    file: File,
    newest: (TreeSize, Bytes),
    /// The slot that the next record goes to: never the one last synced.
    next: u64,
    /// Whether that slot was written since the last sync.
    dirty: bool,
}

impl LastCheckpoint {
    /// Opens the file, which is made, mode 0600, when it is missing.
    ///
    /// # Errors
    /// The disk's; [`io::ErrorKind::InvalidData`] when neither slot can be read, with what to do then.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(path)?,
            Err(error) => return Err(error),
        };
        let slots = [read_slot(&file, 0)?, read_slot(&file, 1)?];
        let at = match &slots {
            [None, None] => return Err(damaged(path)),
            [Some(first), Some(second)] => u64::from(second.0 > first.0),
            [first, _] => u64::from(first.is_none()),
        };
        let newest = slots.into_iter().flatten().max_by_key(|(size, _)| *size).ok_or_else(|| damaged(path))?;
        // The newest slot may have been written just before a crash; only once it is synced may the other be written.
        file.sync_data()?;
        Ok(Self { file, newest, next: 1 - at, dirty: false })
    }

    /// The newest seal, with the size it signs; `None` before the first.
    #[must_use]
    pub fn newest(&self) -> Option<(TreeSize, Bytes)> {
        Some(self.newest.clone()).filter(|(_, seal)| !seal.is_empty())
    }

    /// Writes a seal, without syncing.
    ///
    /// # Errors
    /// The disk's; [`io::ErrorKind::InvalidInput`] when the size is behind the newest one, or the seal too long.
    pub fn record(&mut self, size: TreeSize, seal: &[u8]) -> io::Result<()> {
        if size < self.newest.0 {
            return Err(invalid(format!("a checkpoint for {size} is behind the one recorded for {}", self.newest.0)));
        }
        if seal.len() > SEAL_BYTES_MAX {
            return Err(invalid(format!("a seal of {} bytes is longer than {SEAL_BYTES_MAX}", seal.len())));
        }
        self.dirty = true;
        self.file.write_all_at(&render_slot(size, seal), self.next * SLOT_BYTES as u64)?;
        self.newest = (size, Bytes::copy_from_slice(seal));
        Ok(())
    }

    /// Makes what was recorded durable; does nothing when nothing was.
    ///
    /// # Errors
    /// The disk's. What is on it is unknown from then on.
    pub fn sync(&mut self) -> io::Result<()> {
        if self.dirty {
            self.file.sync_data()?;
            self.dirty = false;
            self.next = 1 - self.next;
        }
        Ok(())
    }
}

/// Makes the file with an empty first slot, under another name until it is whole.
fn create(path: &Path) -> io::Result<File> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let unfinished = path.with_file_name(name);
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all_at(&render_slot(TreeSize(0), &[]), 0)?;
    file.set_len(2 * SLOT_BYTES as u64)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(file)
}

fn render_slot(size: TreeSize, seal: &[u8]) -> Vec<u8> {
    let mut slot = Vec::with_capacity(SLOT_BYTES);
    slot.extend_from_slice(&MAGIC);
    slot.extend_from_slice(&size.0.to_be_bytes());
    slot.extend_from_slice(&(seal.len() as u32).to_be_bytes());
    slot.extend_from_slice(seal);
    slot.extend_from_slice(&checksum(&slot));
    slot
}

/// What a slot holds; `None` when it is damaged or was never written.
fn read_slot(file: &File, slot: u64) -> io::Result<Option<(TreeSize, Bytes)>> {
    let mut bytes = [0; SLOT_BYTES];
    match file.read_exact_at(&mut bytes, slot * SLOT_BYTES as u64) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
        Ok(()) => Ok(parse_slot(&bytes)),
    }
}

fn parse_slot(slot: &[u8]) -> Option<(TreeSize, Bytes)> {
    let rest = slot.strip_prefix(&MAGIC)?;
    let (size, rest) = rest.split_first_chunk()?;
    let (seal_bytes, rest) = rest.split_first_chunk()?;
    let (seal, rest) = rest.split_at_checked(u32::from_be_bytes(*seal_bytes) as usize)?;
    let sum = rest.first_chunk::<SUM_BYTES>()?;
    let sealed = &slot[..FIXED_BYTES + seal.len()];
    (checksum(sealed) == *sum).then(|| (TreeSize(u64::from_be_bytes(*size)), Bytes::copy_from_slice(seal)))
}

fn checksum(bytes: &[u8]) -> [u8; SUM_BYTES] {
    blake3::Hasher::new_derive_key(CONTEXT).update(bytes).finalize().into()
}

fn invalid(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

fn damaged(path: &Path) -> io::Error {
    let path = PathBuf::from(path);
    let why = format!(
        "both slots of {path} are damaged, so it is unknown how far this ledger has signed. Run `chancery verify` on \
         the data directory and compare its size with a checkpoint or receipt kept elsewhere; if the log is not \
         behind it, move {path} away and start again",
        path = path.display()
    );
    io::Error::new(io::ErrorKind::InvalidData, why)
}
