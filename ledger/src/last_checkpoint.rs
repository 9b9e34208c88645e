//! The last checkpoint signed, kept apart from the log, so that a log which is put back to an older copy of itself is
//! recognised and never forked.
//!
//! One small file with two slots. A slot holds a seal and a checksum. Until a write is synced, only the other slot is
//! written; so whatever a power cut tears, the last seal that was synced is still there.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::block_file::BlockFile;
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
    file: Box<dyn BlockFile>,
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
        Self::over(Box::new(file), path)
    }

    /// Takes over an open file that is known as `path`; [`format`](Self::format) makes one.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn over(file: Box<dyn BlockFile>, path: &Path) -> io::Result<Self> {
        let slots = [read_slot(&*file, 0)?, read_slot(&*file, 1)?];
        let at = match &slots {
            [None, None] => return Err(damaged(path)),
            [Some(first), Some(second)] => u64::from(second.0 > first.0),
            [first, _] => u64::from(first.is_none()),
        };
        let newest = slots.into_iter().flatten().max_by_key(|(size, _)| *size).ok_or_else(|| damaged(path))?;
        // The newest slot may have been written just before a crash; only once it is synced may the other be written.
        file.sync()?;
        Ok(Self { file, newest, next: 1 - at, dirty: false })
    }

    /// Makes an empty file one that holds no seal yet, durably.
    ///
    /// # Errors
    /// The disk's.
    pub fn format(file: &dyn BlockFile) -> io::Result<()> {
        let mut slots = render_slot(TreeSize(0), &[]);
        slots.resize(2 * SLOT_BYTES, 0);
        file.write_all_at(&slots, 0)?;
        file.sync()
    }

    /// The newest seal in the file, with the size it signs, for readers; `None` when there is no file or no seal. Writes
    /// nothing.
    ///
    /// # Errors
    /// The disk's; [`io::ErrorKind::InvalidData`] when neither slot can be read.
    pub fn read(path: &Path) -> io::Result<Option<(TreeSize, Bytes)>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let slots = [read_slot(&file, 0)?, read_slot(&file, 1)?];
        let newest = slots.into_iter().flatten().max_by_key(|(size, _)| *size).ok_or_else(|| damaged(path))?;
        Ok(Some(newest).filter(|(_, seal)| !seal.is_empty()))
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
            self.file.sync()?;
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
    // A start that was cut off may have left one, with whatever mode.
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => (),
    }
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&unfinished)?;
    LastCheckpoint::format(&file)?;
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
fn read_slot(file: &dyn BlockFile, slot: u64) -> io::Result<Option<(TreeSize, Bytes)>> {
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;

    fn seal(size: u64) -> Vec<u8> {
        format!("seal of {size}\n").repeat(size as usize % 7 + 1).into_bytes()
    }

    fn recorded(size: u64) -> Option<(TreeSize, Bytes)> {
        Some((TreeSize(size), seal(size).into()))
    }

    fn record(last: &mut LastCheckpoint, size: u64) {
        last.record(TreeSize(size), &seal(size)).unwrap();
    }

    /// Overwrites part of a slot, as a torn write or a bad sector does.
    fn damage(path: &Path, slot: u64, from: usize, bytes: &[u8]) {
        let file = OpenOptions::new().write(true).open(path).unwrap();
        file.write_all_at(bytes, slot * SLOT_BYTES as u64 + from as u64).unwrap();
    }

    #[test]
    fn a_new_file_holds_nothing_and_is_its_owners() {
        let at = TempDir::new().unwrap();
        let path = at.path().join("last-checkpoint");
        // Left by a start that was cut off.
        fs::write(at.path().join("last-checkpoint.new"), "half").unwrap();
        for _ in 0..2 {
            assert_eq!(LastCheckpoint::open(&path).unwrap().newest(), None);
            let metadata = path.metadata().unwrap();
            assert_eq!(metadata.permissions().mode() & 0o7777, 0o600);
            assert_eq!(metadata.len(), 2 * SLOT_BYTES as u64);
        }
        assert_eq!(at.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn the_newest_is_there_after_every_reopen() {
        let at = TempDir::new().unwrap();
        let path = at.path().join("last-checkpoint");
        for size in 1..20 {
            let mut last = LastCheckpoint::open(&path).unwrap();
            record(&mut last, size);
            assert_eq!(last.newest(), recorded(size));
            if size % 3 == 0 {
                last.sync().unwrap();
            }
            drop(last);
            assert_eq!(LastCheckpoint::read(&path).unwrap(), recorded(size));
            assert_eq!(LastCheckpoint::open(&path).unwrap().newest(), recorded(size));
        }
    }

    #[test]
    fn reading_makes_nothing_and_says_what_opening_says() {
        let at = TempDir::new().unwrap();
        let path = at.path().join("last-checkpoint");
        assert_eq!(LastCheckpoint::read(&path).unwrap(), None);
        assert!(!path.exists());
        drop(LastCheckpoint::open(&path).unwrap());
        assert_eq!(LastCheckpoint::read(&path).unwrap(), None);
        fs::write(&path, "").unwrap();
        let (read, opened) = (LastCheckpoint::read(&path).unwrap_err(), LastCheckpoint::open(&path).unwrap_err());
        assert_eq!((read.kind(), read.to_string()), (opened.kind(), opened.to_string()));
    }

    #[test]
    fn a_torn_write_leaves_the_one_synced_before() {
        let at = TempDir::new().unwrap();
        let path = at.path().join("last-checkpoint");
        let mut last = LastCheckpoint::open(&path).unwrap();
        record(&mut last, 1);
        last.sync().unwrap();
        let before = fs::read(&path).unwrap();
        let slot = last.next;
        // None of these may touch the slot that was synced, however many there are.
        for size in 2..5 {
            record(&mut last, size);
        }
        let after = fs::read(&path).unwrap();
        for written in 0..render_slot(TreeSize(4), &seal(4)).len() {
            fs::write(&path, &before).unwrap();
            let from = slot as usize * SLOT_BYTES;
            damage(&path, slot, 0, &after[from..from + written]);
            assert_eq!(LastCheckpoint::open(&path).unwrap().newest(), recorded(1), "{written} bytes written");
        }
    }

    #[test]
    fn the_first_write_torn_leaves_nothing_recorded() {
        let at = TempDir::new().unwrap();
        let path = at.path().join("last-checkpoint");
        let mut last = LastCheckpoint::open(&path).unwrap();
        record(&mut last, 1);
        damage(&path, last.next, 20, b"torn");
        assert_eq!(LastCheckpoint::open(&path).unwrap().newest(), None);
    }

    #[test]
    fn both_slots_damaged_is_an_error_that_says_what_to_do() {
        let at = TempDir::new().unwrap();
        let path = at.path().join("last-checkpoint");
        let mut last = LastCheckpoint::open(&path).unwrap();
        for size in 1..3 {
            record(&mut last, size);
            last.sync().unwrap();
        }
        let whole = fs::read(&path).unwrap();
        let both_torn = |path: &Path| {
            damage(path, 0, 21, b"torn");
            damage(path, 1, 21, b"torn");
        };
        let ways: [&dyn Fn(&Path); 3] = [&both_torn, &|path| fs::write(path, "").unwrap(), &|path| {
            fs::write(path, &whole[..SLOT_BYTES / 2]).unwrap()
        }];
        for way in ways {
            fs::write(&path, &whole).unwrap();
            way(&path);
            let error = LastCheckpoint::open(&path).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            for words in ["chancery verify", "move", &*path.to_string_lossy()] {
                assert!(error.to_string().contains(words), "{error}");
            }
        }
    }

    #[test]
    fn every_byte_of_a_slot_counts() {
        let slot = render_slot(TreeSize(9), &seal(9));
        assert_eq!(parse_slot(&slot), recorded(9));
        for at in 0..slot.len() {
            let mut changed = slot.clone();
            changed[at] ^= 1;
            assert_eq!(parse_slot(&changed), None, "byte {at} changed");
            assert_eq!(parse_slot(&slot[..at]), None, "cut to {at} bytes");
        }
    }

    #[test]
    fn what_would_lose_the_newest_is_not_recorded() {
        let at = TempDir::new().unwrap();
        let mut last = LastCheckpoint::open(&at.path().join("last-checkpoint")).unwrap();
        record(&mut last, 5);
        assert_eq!(last.record(TreeSize(4), b"older").unwrap_err().kind(), io::ErrorKind::InvalidInput);
        let long = vec![b'x'; SEAL_BYTES_MAX + 1];
        assert_eq!(last.record(TreeSize(6), &long).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(last.newest(), recorded(5));
        last.record(TreeSize(6), &long[1..]).unwrap();
        assert_eq!(last.newest(), Some((TreeSize(6), long[1..].to_vec().into())));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Record,
        Sync,
        Restart,
        /// Power is cut in the middle of a write: the slot written since the last sync holds anything.
        PowerCut(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            5 => Just(Step::Record),
            2 => Just(Step::Sync),
            1 => Just(Step::Restart),
            1 => any::<u8>().prop_map(Step::PowerCut),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_was_synced_is_never_lost(steps in prop::collection::vec(step(), 1..40)) {
            let at = TempDir::new().unwrap();
            let path = at.path().join("last-checkpoint");
            let mut last = LastCheckpoint::open(&path).unwrap();
            let (mut newest, mut synced) = (0, 0);
            for step in steps {
                match step {
                    Step::Record => {
                        newest += 1;
                        record(&mut last, newest);
                    }
                    Step::Sync => {
                        last.sync().unwrap();
                        synced = newest;
                    }
                    Step::Restart => {
                        last = LastCheckpoint::open(&path).unwrap();
                        synced = newest; // Opening syncs what it reads.
                    }
                    Step::PowerCut(byte) => {
                        if last.dirty {
                            damage(&path, last.next, byte as usize % 52, &[byte; 3]);
                        }
                        last = LastCheckpoint::open(&path).unwrap();
                        let found = last.newest().map_or(0, |(size, _)| size.0);
                        prop_assert!(found == newest || found == synced, "{found} is neither {newest} nor {synced}");
                        (newest, synced) = (found, found);
                    }
                }
                prop_assert_eq!(last.newest(), Some(newest).filter(|size| *size > 0).and_then(recorded));
            }
        }
    }
}
