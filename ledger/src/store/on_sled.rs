//! The log on sled 0.34: one tree, two sorts of keys, one atomic batch and one `fdatasync` per group.
//!
//! Keys: `e` and a sequence number, `s` and a tree size, both big-endian, because sled sorts bytes
//! (`docs/format.md`, "The log on disk"). sled is known to this module alone.

use std::any::Any;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::quarantine::{Quarantine, failed, make_private_dir, sync_dir};
use super::record::RECORD_BYTES_MAX;
use super::{AppendTimes, Group, LogStore, Record, Records, SEAL_BYTES_MAX, Seals, StoreError};
use crate::ids::{Seq, TreeSize};

/// sled's page cache. The tail of the log, which most readers want, takes far less.
const CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// sled's unit of writing. A page of more than a quarter of it would go to a file of its own, which sled never syncs;
/// with this size none does.
const SEGMENT_BYTES: usize = 8 * 1024 * 1024;
/// Most entries of a leaf before sled splits it (`Node::should_split`).
const LEAF_ENTRIES_MAX: usize = 17;
const _: () = assert!(LEAF_ENTRIES_MAX * (RECORD_BYTES_MAX + 64) < SEGMENT_BYTES / 4 - 1024);
const _: () = assert!(SEAL_BYTES_MAX <= RECORD_BYTES_MAX);

/// How long opening waits for the lock: the threads of a store just closed in this process hold it for a moment more.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

const EVENT: u8 = b'e';
const SEAL: u8 = b's';

/// The log on sled.
pub struct SledStore {
    db: sled::Db,
    /// sled's `db` file, opened beside sled's own handle, to sync it.
    file: File,
    path: PathBuf,
    size: AtomicU64,
    /// The largest size that a seal signs, where a log that is only read has one beyond its events.
    sealed: TreeSize,
    /// Why nothing may be appended any more.
    stopped: Mutex<Option<String>>,
    last_append: Mutex<AppendTimes>,
}

impl std::fmt::Debug for SledStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SledStore").field("path", &self.path).field("size", &self.size).finish_non_exhaustive()
    }
}

impl SledStore {
    /// Opens the log in a directory, making it when there is none. Only one store at a time has it open.
    ///
    /// Snapshots that a crash left half-written, and a log that cannot be opened, are moved to `quarantine/` beside
    /// the directory. After that this refuses until a person has decided.
    ///
    /// # Errors
    /// [`StoreError::InUse`], [`StoreError::Quarantined`], [`StoreError::Torn`], or what the disk said.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let quarantine = Quarantine::of(dir)?;
        quarantine.check()?;
        make_private_dir(dir)?;
        let (db, tail) = start(dir, &quarantine).map_err(|failure| match failure {
            Failure::Damaged(cause) => quarantine.set_aside_log(&cause),
            Failure::Refused(error) => error,
        })?;
        if tail.events != tail.sealed {
            return Err(StoreError::Torn { events: tail.events, sealed: tail.sealed });
        }
        for new in [&dir.join("blobs"), dir, &dir.join("..")] {
            sync_dir(new)?;
        }
        let store = Self::of(dir, db, tail, None)?;
        // A process that ended may have left a group that the system has and the disk does not; readers see it from here.
        store.file.sync_data().map_err(failed("sync", &store.path))?;
        Ok(store)
    }

    /// Opens a log to read it. Makes none, moves no log, and opens also one whose events and seals disagree, so that
    /// a verifier can say how. Nothing can be appended to it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::InUse`], [`StoreError::Damaged`], or what the disk said.
    pub fn open_to_read(dir: &Path) -> Result<Self, StoreError> {
        let quarantine = Quarantine::of(dir)?;
        if !dir.join("db").is_file() {
            quarantine.check()?;
            return Err(StoreError::NotFound { path: dir.to_owned() });
        }
        let (db, tail) = start(dir, &quarantine).map_err(|failure| match failure {
            Failure::Damaged(cause) => StoreError::Damaged { path: dir.to_owned(), cause },
            Failure::Refused(error) => error,
        })?;
        Self::of(dir, db, tail, Some("it was opened for reading only".to_owned()))
    }

    fn of(dir: &Path, db: sled::Db, tail: Tail, stopped: Option<String>) -> Result<Self, StoreError> {
        let path = dir.join("db");
        let file = File::open(&path).map_err(failed("open", &path))?;
        let (size, sealed) = (AtomicU64::new(tail.events.0), tail.sealed);
        Ok(Self { db, file, path, size, sealed, stopped: Mutex::new(stopped), last_append: Mutex::default() })
    }

    /// Appends several groups as one write, which one sync makes durable: all or nothing, as
    /// [`append`](LogStore::append) does with one. Restoring a log writes it so.
    ///
    /// # Errors
    /// As [`append`](LogStore::append).
    ///
    /// # Panics
    /// As [`append`](LogStore::append).
    pub fn append_all(&self, expected: TreeSize, groups: &[Group<'_>]) -> Result<(), StoreError> {
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = &*stopped {
            return Err(StoreError::Stopped { why: why.clone() });
        }
        let actual = self.size();
        if expected != actual {
            return Err(StoreError::NotHead { expected, actual });
        }
        let begun = Instant::now();
        let mut batch = sled::Batch::default();
        let mut seq = actual.next();
        for group in groups {
            assert!(!group.records.is_empty(), "a group has at least one event");
            assert!(group.seal.len() <= SEAL_BYTES_MAX, "a seal of {} bytes", group.seal.len());
            for record in group.records {
                let bytes = record.encode(seq).map_err(|source| StoreError::Malformed { seq, source })?;
                batch.insert(&key(EVENT, seq.0), bytes);
                seq = seq.next();
            }
            batch.insert(&key(SEAL, seq.0), group.seal);
        }
        // Stands when sled panics: then, too, nobody knows what the disk holds.
        *stopped = Some("an earlier write was cut short by a fault in the storage".to_owned());
        match self.write(batch, begun) {
            Ok(times) => *self.last_append.lock().unwrap_or_else(PoisonError::into_inner) = times,
            Err(error) => {
                *stopped = Some(format!("an earlier write failed ({error})"));
                return Err(error);
            }
        }
        *stopped = None;
        self.size.store(seq.0, Ordering::Release);
        Ok(())
    }

    /// Makes a batch durable; `begun` is when it began to be put together.
    fn write(&self, batch: sled::Batch, begun: Instant) -> Result<AppendTimes, StoreError> {
        self.db.apply_batch(batch).map_err(|error| self.engine("append to the log", error))?;
        let written = Instant::now();
        self.db.flush().map_err(|error| self.engine("write the log out", error))?;
        let flushed = Instant::now();
        // sled's flush is no more than sync_file_range on Linux: the disk's cache and the file's length are not in it.
        self.file.sync_data().map_err(failed("sync", &self.path))?;
        Ok(AppendTimes { write: written - begun, flush: flushed - written, sync: flushed.elapsed() })
    }

    fn engine(&self, doing: &'static str, error: sled::Error) -> StoreError {
        match error {
            sled::Error::Io(source) => StoreError::Io { doing, path: self.path.clone(), source },
            other => StoreError::Engine { doing, source: Box::new(other) },
        }
    }

    fn range(&self, sort: u8, from: u64, to: u64) -> sled::Iter {
        self.db.range(key(sort, from)..=key(sort, to))
    }

    fn read_seal(&self, stored: sled::Result<(sled::IVec, sled::IVec)>) -> Result<(TreeSize, Bytes), StoreError> {
        let (key, value) = stored.map_err(|error| self.engine("read a seal", error))?;
        let size = number(&key).map_err(|cause| StoreError::Damaged { path: self.path.clone(), cause })?;
        Ok((TreeSize(size), Bytes::copy_from_slice(&value)))
    }
}

impl LogStore for SledStore {
    fn size(&self) -> TreeSize {
        TreeSize(self.size.load(Ordering::Acquire))
    }

    fn append(&self, expected: TreeSize, group: &Group<'_>) -> Result<(), StoreError> {
        self.append_all(expected, std::slice::from_ref(group))
    }

    fn record(&self, seq: Seq) -> Result<Option<Record>, StoreError> {
        if seq >= self.size().next() {
            return Ok(None);
        }
        let found = self.db.get(key(EVENT, seq.0)).map_err(|error| self.engine("read an event", error))?;
        decode(seq, &found.ok_or(StoreError::Missing { seq })?).map(Some)
    }

    fn records(&self, from: Seq) -> Records<'_> {
        Box::new(RecordIter { store: self, stored: None, next: from, end: from, failed: false })
    }

    fn last_seal(&self) -> Result<Option<(TreeSize, Bytes)>, StoreError> {
        let size = self.size();
        let stored = if size == TreeSize(0) { None } else { self.range(SEAL, 1, size.0).next_back() };
        stored.map(|stored| self.read_seal(stored)).transpose()
    }

    fn seal_of(&self, seq: Seq) -> Result<Option<(TreeSize, Bytes)>, StoreError> {
        let size = self.size();
        if seq >= size.next() {
            return Ok(None);
        }
        let stored = self.range(SEAL, seq.tree_size().0, size.0).next().ok_or(StoreError::SealMissing { size })?;
        self.read_seal(stored).map(Some)
    }

    fn seals(&self, from: TreeSize) -> Seals<'_> {
        Box::new(SealIter { store: self, stored: None, next: from, failed: false })
    }

    fn disk_bytes(&self) -> Result<u64, StoreError> {
        self.db.size_on_disk().map_err(|error| self.engine("count its bytes", error))
    }

    fn last_append(&self) -> AppendTimes {
        *self.last_append.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// sled's iterators may not see what is written after they began, so each runs only to the end there was then, and
/// another takes over from there.
struct RecordIter<'a> {
    store: &'a SledStore,
    stored: Option<sled::Iter>,
    next: Seq,
    end: Seq,
    failed: bool,
}

impl Iterator for RecordIter<'_> {
    type Item = Result<(Seq, Record), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let seq = self.next;
        if seq >= self.end {
            let last = self.store.size().last().filter(|last| seq <= *last)?;
            self.end = last.next();
            self.stored = Some(self.store.range(EVENT, seq.0, last.0));
        }
        let read = match self.stored.as_mut()?.next() {
            Some(Ok((found, value))) if found == key(EVENT, seq.0) => decode(seq, &value),
            Some(Err(error)) => Err(self.store.engine("read an event", error)),
            Some(Ok(_)) | None => Err(StoreError::Missing { seq }),
        };
        self.failed = read.is_err();
        self.next = seq.next();
        Some(read.map(|record| (seq, record)))
    }
}

/// As [`RecordIter`], over keys that have gaps.
struct SealIter<'a> {
    store: &'a SledStore,
    stored: Option<sled::Iter>,
    /// Where the iterator after `stored` begins.
    next: TreeSize,
    failed: bool,
}

impl Iterator for SealIter<'_> {
    type Item = Result<(TreeSize, Bytes), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.failed {
            if let Some(stored) = self.stored.as_mut().and_then(Iterator::next) {
                let read = self.store.read_seal(stored);
                self.failed = read.is_err();
                return Some(read);
            }
            self.stored = None;
            let end = self.store.size().max(self.store.sealed);
            if self.next > end {
                return None;
            }
            self.stored = Some(self.store.range(SEAL, self.next.0, end.0));
            self.next = TreeSize(end.0.saturating_add(1));
        }
        None
    }
}

/// Where a log ends.
struct Tail {
    events: TreeSize,
    sealed: TreeSize,
}

/// Why a log did not open.
enum Failure {
    /// Its bytes are damaged.
    Damaged(String),
    /// Anything else: trying again may help.
    Refused(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

fn start(dir: &Path, quarantine: &Quarantine) -> Result<(sled::Db, Tail), Failure> {
    // Held while files are moved: the snapshot of a running daemon is half-written, too, for a moment.
    let lock = lock(dir)?;
    quarantine.set_aside_half_written()?;
    drop(lock);
    let config = sled::Config::new()
        .path(dir)
        .cache_capacity(CACHE_BYTES)
        .segment_size(SEGMENT_BYTES)
        .use_compression(false)
        .flush_every_ms(None);
    // sled panics on some damage. What it holds of the log is dropped with the panic.
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let db = config.open()?;
        let tail = Tail {
            events: TreeSize(last(&db, EVENT)?.map_or(0, |seq| seq.saturating_add(1))),
            sealed: TreeSize(last(&db, SEAL)?.unwrap_or(0)),
        };
        Ok((db, tail))
    }));
    match opened {
        Ok(Ok(opened)) => Ok(opened),
        Ok(Err(error)) => Err(why(dir, error)),
        Err(panic) => Err(Failure::Damaged(format!("sled panicked: {}", panic_text(&*panic)))),
    }
}

/// Takes the lock that sled takes, if there is a log to lock.
fn lock(dir: &Path) -> Result<Option<File>, StoreError> {
    let path = dir.join("db");
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("open", &path)(error)),
    };
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(std::fs::TryLockError::Error(error)) => return Err(failed("lock", &path)(error)),
            Err(std::fs::TryLockError::WouldBlock) if begun.elapsed() < LOCK_PATIENCE => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(std::fs::TryLockError::WouldBlock) => return Err(StoreError::InUse { path: dir.to_owned() }),
        }
    }
}

/// Tells damage, which is set aside, from everything that another try may mend.
fn why(dir: &Path, error: sled::Error) -> Failure {
    use std::io::ErrorKind::{InvalidData, UnexpectedEof};
    match error {
        sled::Error::Corruption { .. } | sled::Error::CollectionNotFound(_) => Failure::Damaged(error.to_string()),
        sled::Error::Io(source) if matches!(source.kind(), InvalidData | UnexpectedEof) => {
            Failure::Damaged(source.to_string())
        }
        // Taken by another between our look at the lock and sled's; sled has no better way to say it.
        sled::Error::Io(source) if source.to_string().starts_with("could not acquire lock") => {
            Failure::Refused(StoreError::InUse { path: dir.to_owned() })
        }
        sled::Error::Io(source) => {
            Failure::Refused(StoreError::Io { doing: "open the log in", path: dir.to_owned(), source })
        }
        other => Failure::Refused(StoreError::Engine { doing: "open the log", source: Box::new(other) }),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without saying why")
}

/// The highest number among the keys of a sort. Never `len()`: sled counts by reading everything.
fn last(db: &sled::Db, sort: u8) -> sled::Result<Option<u64>> {
    let found = db.range(key(sort, 0)..=key(sort, u64::MAX)).next_back().transpose()?;
    let bytes = found.map(|(key, _)| number(&key)).transpose();
    bytes.map_err(|cause| sled::Error::Io(std::io::Error::new(std::io::ErrorKind::InvalidData, cause)))
}

fn key(sort: u8, number: u64) -> [u8; 9] {
    let mut key = [sort; 9];
    key[1..].copy_from_slice(&number.to_be_bytes());
    key
}

fn number(key: &[u8]) -> Result<u64, String> {
    let bytes = key.get(1..).and_then(|bytes| bytes.try_into().ok());
    bytes.map(u64::from_be_bytes).ok_or_else(|| format!("key {} is none of the log's", hex::encode(key)))
}

fn decode(seq: Seq, value: &[u8]) -> Result<Record, StoreError> {
    let bytes = Bytes::copy_from_slice(value);
    Record::decode(seq, bytes).map_err(|source| StoreError::Malformed { seq, source })
}
