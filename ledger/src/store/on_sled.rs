//! The log on sled 0.34: one tree of runs, one atomic write and one `fdatasync` per group.
//!
//! A key is the sequence number of a run's first event, big-endian, because sled sorts bytes; the value is the run
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
use super::run::{FULL_BYTES, RUN_BYTES_MAX, Run, RunReader};
use super::{
    AppendTimes, Group, LogStore, Part, Parts, Record, RecordError, Records, SEAL_BYTES_MAX, Seals, StoreError,
};
use crate::ids::{Seq, TreeSize};

/// sled's page cache, beyond which it keeps some 100 MiB more before it lets go of any. The tail of the log, which most
/// readers want, takes far less.
const CACHE_BYTES: u64 = 32 * 1024 * 1024;
/// sled's unit of writing. A page of more than a quarter of it would go to a file of its own, which sled never syncs;
/// with this size none does.
const SEGMENT_BYTES: usize = 8 * 1024 * 1024;
/// Most entries of a leaf before sled splits it (`Node::should_split`).
const LEAF_ENTRIES_MAX: usize = 17;
const _: () = assert!(LEAF_ENTRIES_MAX * (RUN_BYTES_MAX + 64) < SEGMENT_BYTES / 4 - 1024);
/// How many entries a log has that sort behind all runs and hold nothing.
///
/// sled splits a leaf of 17 entries into the first nine and the last eight, and writes both. Events come in order, so that
/// without these the last eight would be runs that are soon written a third time; with them it is nothing, and what
/// has nine runs is written for good. A log so written takes a quarter less of the disk, and of writing.
const LAST_ENTRIES: u8 = 8;

/// How long opening waits for the lock: the threads of a store just closed in this process hold it for a moment more.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// The log on sled.
pub struct SledStore {
    db: sled::Db,
    /// sled's `db` file, opened beside sled's own handle, to sync it.
    file: File,
    path: PathBuf,
    size: AtomicU64,
    writer: Mutex<Writer>,
    last_append: Mutex<AppendTimes>,
}

/// What only appending needs.
struct Writer {
    /// The last run, while it may have room: the next commit writes it anew with its events. So commits of one event
    /// share runs.
    tail: Option<Run>,
    /// Why nothing may be appended any more.
    stopped: Option<String>,
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
        if !dir.exists() {
            make(dir)?;
        }
        let (db, tail) = start(dir, &quarantine).map_err(|failure| match failure {
            Failure::Damaged(cause) => quarantine.set_aside_log(&cause),
            Failure::Refused(error) => error,
        })?;
        if tail.events != tail.sealed {
            return Err(StoreError::Torn { events: tail.events, sealed: tail.sealed });
        }
        prepare(&db).map_err(|source| StoreError::Engine { doing: "prepare the log", source: Box::new(source) })?;
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
        let writer = Mutex::new(Writer { tail: tail.run, stopped });
        Ok(Self { db, file, path, size: AtomicU64::new(tail.events.0), writer, last_append: Mutex::default() })
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
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = &writer.stopped {
            return Err(StoreError::Stopped { why: why.clone() });
        }
        let actual = self.size();
        if expected != actual {
            return Err(StoreError::NotHead { expected, actual });
        }
        let begun = Instant::now();
        let (runs, end) = runs_of(writer.tail.as_ref(), actual, groups)?;
        let tail = runs.last().filter(|run| run.bytes().len() < FULL_BYTES).cloned();
        // Stands when sled panics: then, too, nobody knows what the disk holds.
        writer.stopped = Some("an earlier write was cut short by a fault in the storage".to_owned());
        match self.write(&runs, begun) {
            Ok(times) => *self.last_append.lock().unwrap_or_else(PoisonError::into_inner) = times,
            Err(error) => {
                writer.stopped = Some(format!("an earlier write failed ({error})"));
                return Err(error);
            }
        }
        *writer = Writer { tail, stopped: None };
        self.size.store(end.0, Ordering::Release);
        Ok(())
    }

    /// Makes runs durable; `begun` is when they began to be put together.
    fn write(&self, runs: &[Run], begun: Instant) -> Result<AppendTimes, StoreError> {
        let written = if let [run] = runs {
            self.db.insert(key(run.first()), run.bytes()).map(drop)
        } else {
            let mut batch = sled::Batch::default();
            for run in runs {
                batch.insert(&key(run.first()), run.bytes());
            }
            self.db.apply_batch(batch)
        };
        written.map_err(|error| self.engine("append to the log", error))?;
        if let Some(last) = runs.last() {
            // sled leaves it to whoever comes by next to split a leaf that is full by now, which takes a write. It must not
            // be a reader, who would fail once writing has.
            self.db.get(key(last.first())).map_err(|error| self.engine("append to the log", error))?;
        }
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

    /// Reads a stored run.
    fn open_run(&self, stored: sled::Result<(sled::IVec, sled::IVec)>) -> Result<RunReader, StoreError> {
        let (key, value) = stored.map_err(|error| self.engine("read events", error))?;
        let seq = number(&key).map_err(|cause| StoreError::Damaged { path: self.path.clone(), cause })?;
        // The value is shared, and not copied.
        RunReader::new(seq, Bytes::from_owner(value)).map_err(|source| StoreError::Malformed { seq, source })
    }

    /// The run that holds an event, from that event on.
    fn run_of(&self, seq: Seq) -> Result<RunReader, StoreError> {
        let missing = StoreError::Missing { seq };
        let mut run = self.open_run(self.db.range(..=key(seq)).next_back().ok_or(StoreError::Missing { seq })?)?;
        run.skip_to(seq);
        if run.at() == seq && !run.is_over() {
            return Ok(run);
        }
        let seq = run.at();
        Err(run.find_map(Result::err).map_or(missing, |source| StoreError::Malformed { seq, source }))
    }

    /// The first seal from where a run is read on, if it has one.
    fn next_seal(run: &mut RunReader) -> Result<Option<(TreeSize, Bytes)>, StoreError> {
        loop {
            let seq = run.at();
            match run.next() {
                None => return Ok(None),
                Some(Ok(Part::Event(..))) => {}
                Some(Ok(Part::Seal(size, seal))) => return Ok(Some((size, seal))),
                Some(Err(source)) => return Err(StoreError::Malformed { seq, source }),
            }
        }
    }

    fn walk(&self, from: Seq) -> Walk<'_> {
        Walk {
            store: self,
            stored: None,
            run: None,
            next: from,
            end: Seq(0),
            sealed: TreeSize(0),
            due: None,
            failed: false,
        }
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
        match self.run_of(seq)?.next() {
            Some(Ok(Part::Event(_, record))) => Ok(Some(record)),
            Some(Err(source)) => Err(StoreError::Malformed { seq, source }),
            Some(Ok(Part::Seal(..))) | None => Err(StoreError::Missing { seq }),
        }
    }

    fn records(&self, from: Seq) -> Records<'_> {
        Box::new(self.walk(from).filter_map(|part| match part {
            Ok(Part::Event(seq, record)) => Some(Ok((seq, record))),
            Ok(Part::Seal(..)) => None,
            Err(error) => Some(Err(error)),
        }))
    }

    fn last_seal(&self) -> Result<Option<(TreeSize, Bytes)>, StoreError> {
        let size = self.size();
        let Some(last) = size.last() else { return Ok(None) };
        for stored in self.db.range(..=key(last)).rev() {
            let mut run = self.open_run(stored)?;
            let mut newest = None;
            while let Some(seal) = Self::next_seal(&mut run)?.filter(|(at, _)| *at <= size) {
                newest = Some(seal);
            }
            if newest.is_some() {
                return Ok(newest);
            }
        }
        Ok(None)
    }

    fn seal_of(&self, seq: Seq) -> Result<Option<(TreeSize, Bytes)>, StoreError> {
        let size = self.size();
        if seq >= size.next() {
            return Ok(None);
        }
        let mut run = self.run_of(seq)?;
        if let Some(seal) = Self::next_seal(&mut run)? {
            return Ok(Some(seal));
        }
        let end = run.end();
        let missing = StoreError::SealMissing { size: end };
        let Some(last) = end.last().filter(|last| seq < *last && end <= size) else { return Err(missing) };
        match Self::next_seal(&mut self.run_of(last)?)? {
            Some((at, seal)) if at == end => Ok(Some((at, seal))),
            _ => Err(missing),
        }
    }

    fn seals(&self, from: TreeSize) -> Seals<'_> {
        Box::new(self.walk(from.last().unwrap_or(Seq(0))).filter_map(move |part| match part {
            Ok(Part::Seal(size, seal)) if size >= from => Some(Ok((size, seal))),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        }))
    }

    fn parts(&self, from: Seq) -> Parts<'_> {
        Box::new(self.walk(from))
    }

    fn disk_bytes(&self) -> Result<u64, StoreError> {
        self.db.size_on_disk().map_err(|error| self.engine("count its bytes", error))
    }

    fn last_append(&self) -> AppendTimes {
        *self.last_append.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The runs that hold groups, the first of them `tail` where that has room for the first group, and the size with them.
fn runs_of(tail: Option<&Run>, size: TreeSize, groups: &[Group<'_>]) -> Result<(Vec<Run>, TreeSize), StoreError> {
    let mut seq = size.next();
    // Only where all of a commit has room: else it would be written anew with every commit, and sled, after ten changes to
    // a leaf, writes the whole leaf anew.
    let bytes = groups.first().map_or(0, |group| group.records.iter().map(|record| 1 + record.encoded_len()).sum());
    let tail = tail.filter(|tail| tail.has_room(bytes)).cloned();
    let mut run = tail.unwrap_or_else(|| Run::new(seq));
    let mut runs = Vec::new();
    for group in groups {
        assert!(!group.records.is_empty(), "a group has at least one event");
        assert!(group.seal.len() <= SEAL_BYTES_MAX, "a seal of {} bytes", group.seal.len());
        let end = TreeSize(seq.0 + group.records.len() as u64);
        for record in group.records {
            if !run.has_room(record.encoded_len()) {
                runs.push(std::mem::replace(&mut run, Run::new(seq)));
            }
            run.push(record, end).map_err(|source| StoreError::Malformed { seq, source })?;
            seq = seq.next();
        }
        run.seal(group.seal);
    }
    runs.push(run);
    Ok((runs, TreeSize(seq.0)))
}

/// Events and seals in order, run after run.
///
/// sled's iterators may not see what is written after they began, and the last run is written anew with events added; so
/// each iterator runs only to the end there was when it began, and what follows is looked up.
struct Walk<'a> {
    store: &'a SledStore,
    stored: Option<sled::Iter>,
    run: Option<RunReader>,
    next: Seq,
    /// Before which events are known to be durable.
    end: Seq,
    /// Where the last seal stood.
    sealed: TreeSize,
    /// Where, as a run said, the next seal stands.
    due: Option<TreeSize>,
    failed: bool,
}

impl Walk<'_> {
    /// The next part; `None` at the end there is now.
    fn step(&mut self) -> Result<Option<Part>, StoreError> {
        loop {
            if let Some(run) = self.run.as_mut() {
                let (seq, end, part) = (run.at(), run.end(), run.next());
                match part {
                    Some(Ok(Part::Event(..))) if !self.is_durable(seq) => {
                        (self.run, self.stored) = (None, None);
                        return Ok(None);
                    }
                    Some(Ok(part)) => {
                        match &part {
                            Part::Event(..) => self.next = seq.next(),
                            Part::Seal(size, _) => self.seal_at(*size)?,
                        }
                        return Ok(Some(part));
                    }
                    Some(Err(source)) => return Err(StoreError::Malformed { seq, source }),
                    None => {
                        self.run = None;
                        self.leave_run(end)?;
                    }
                }
            }
            if !self.is_durable(self.next) {
                self.stored = None;
                return Ok(None);
            }
            self.run = Some(self.next_run()?);
        }
    }

    fn is_durable(&mut self, seq: Seq) -> bool {
        if seq >= self.end {
            self.end = self.store.size().next();
        }
        seq < self.end
    }

    fn next_run(&mut self) -> Result<RunReader, StoreError> {
        let (first, last) = (key(self.next), key(Seq(self.end.0.saturating_sub(1))));
        let stored = self.stored.get_or_insert_with(|| self.store.db.range(first..=last));
        match stored.next() {
            Some(Ok((key, value))) if key == first => self.store.open_run(Ok((key, value))),
            Some(Err(error)) => self.store.open_run(Err(error)),
            // Written anew since, with events added; or the first run, not read from its beginning; or one is missing.
            _ => {
                (self.stored, self.due) = (None, None);
                self.store.run_of(self.next)
            }
        }
    }

    fn seal_at(&mut self, size: TreeSize) -> Result<(), StoreError> {
        self.sealed = size;
        match self.due.take() {
            Some(due) if due != size => Err(self.wrong_end(due)),
            _ => Ok(()),
        }
    }

    /// Holds where a run said that its commit ends against where seals stand.
    fn leave_run(&mut self, end: TreeSize) -> Result<(), StoreError> {
        if self.sealed == TreeSize(self.next.0) {
            return if end == self.sealed { Ok(()) } else { Err(self.wrong_end(end)) };
        }
        match self.due.replace(end) {
            Some(due) if due != end => Err(self.wrong_end(end)),
            _ => Ok(()),
        }
    }

    fn wrong_end(&self, end: TreeSize) -> StoreError {
        let seq = Seq(self.next.0.saturating_sub(1));
        StoreError::Malformed { seq, source: RecordError::End(end) }
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Part, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let read = self.step().transpose();
        self.failed = matches!(read, Some(Err(_)));
        read
    }
}

/// Where a log ends.
#[derive(Default)]
struct Tail {
    events: TreeSize,
    sealed: TreeSize,
    /// The last run, if it may have room.
    run: Option<Run>,
}

impl Tail {
    fn read(db: &sled::Db) -> sled::Result<Self> {
        let mut tail = Self::default();
        // Only a log whose end was lost or altered has no seal in its last run.
        for (place, stored) in db.range(..=key(Seq(u64::MAX))).rev().enumerate() {
            let (key, value) = stored?;
            let first = number(&key).map_err(invalid)?;
            let end = RunEnd::of(first, &value);
            if place == 0 {
                tail.events = TreeSize(end.next.0);
                let room = end.whole && value.len() < FULL_BYTES;
                tail.run = room.then(|| Run::resume(first, end.next, &value));
            }
            if let Some(sealed) = end.sealed {
                tail.sealed = sealed;
                break;
            }
        }
        Ok(tail)
    }
}

/// How a stored run ends.
struct RunEnd {
    /// After its last event. A part that cannot be read is taken for an event, so that whoever reads on finds it.
    next: Seq,
    sealed: Option<TreeSize>,
    whole: bool,
}

impl RunEnd {
    fn of(first: Seq, value: &[u8]) -> Self {
        let mut end = Self { next: Seq(first.0.saturating_add(1)), sealed: None, whole: false };
        let Ok(mut run) = RunReader::new(first, Bytes::copy_from_slice(value)) else { return end };
        end.whole = true;
        while let Some(part) = run.next() {
            match part {
                Ok(Part::Event(..)) => end.next = run.at(),
                Ok(Part::Seal(size, _)) => end.sealed = Some(size),
                Err(_) => (end.next, end.whole) = (Seq(run.at().0.saturating_add(1)), false),
            }
        }
        end
    }
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

/// Makes an empty log, under another name until it is whole: sled never syncs its settings, and does not open a log
/// whose settings a power cut has torn.
fn make(dir: &Path) -> Result<(), StoreError> {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let unfinished = dir.with_file_name(name);
    // A start that was cut short has left it; nothing was ever written to it.
    match std::fs::remove_dir_all(&unfinished) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(failed("remove the unfinished log in", &unfinished)(error));
        }
        _ => {}
    }
    make_private_dir(&unfinished)?;
    let engine = |source| StoreError::Engine { doing: "make an empty log", source: Box::new(source) };
    let db = config(&unfinished).open().map_err(engine)?;
    db.flush().map_err(engine)?;
    drop(db);
    sync_files(&unfinished)?;
    sync_dir(&unfinished.join("blobs"))?;
    sync_dir(&unfinished)?;
    std::fs::rename(&unfinished, dir).map_err(failed("put in place", dir))?;
    sync_dir(&dir.join(".."))
}

/// Makes the bytes durable that sled's files have by now.
fn sync_files(dir: &Path) -> Result<(), StoreError> {
    for name in ["conf", "db"] {
        let path = dir.join(name);
        match File::open(&path).and_then(|file| file.sync_all()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed("sync", &path)(error)),
            _ => {}
        }
    }
    Ok(())
}

fn config(dir: &Path) -> sled::Config {
    sled::Config::new()
        .path(dir)
        .cache_capacity(CACHE_BYTES)
        .segment_size(SEGMENT_BYTES)
        .use_compression(false)
        .flush_every_ms(None)
}

fn start(dir: &Path, quarantine: &Quarantine) -> Result<(sled::Db, Tail), Failure> {
    // Held while files are moved: the snapshot of a running daemon is half-written, too, for a moment.
    let lock = lock(dir)?;
    quarantine.set_aside_half_written()?;
    // What a killed process wrote may be in memory alone. sled builds on all of it, and its snapshot, which it syncs,
    // must not speak of bytes that a power cut takes away.
    sync_files(dir)?;
    drop(lock);
    let config = config(dir);
    // sled panics on some damage. What it holds of the log is dropped with the panic.
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let db = config.open()?;
        let tail = Tail::read(&db)?;
        Ok((db, tail))
    }));
    match opened {
        Ok(Ok(opened)) => Ok(opened),
        Ok(Err(error)) => Err(why(dir, error)),
        Err(panic) => Err(Failure::Damaged(format!("sled panicked: {}", panic_text(&*panic)))),
    }
}

/// Puts the entries that hold nothing into a log that lacks them.
fn prepare(db: &sled::Db) -> sled::Result<()> {
    for place in 0..LAST_ENTRIES {
        let key = [&key(Seq(u64::MAX))[..], &[place]].concat();
        if !db.contains_key(&key)? {
            db.insert(key, &[])?;
        }
    }
    Ok(())
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

fn invalid(cause: String) -> sled::Error {
    sled::Error::Io(std::io::Error::new(std::io::ErrorKind::InvalidData, cause))
}

const fn key(first: Seq) -> [u8; 8] {
    first.0.to_be_bytes()
}

fn number(key: &[u8]) -> Result<Seq, String> {
    let bytes = key.try_into().map(u64::from_be_bytes);
    bytes.map(Seq).map_err(|_| format!("key {} is none of the log's", hex::encode(key)))
}
