//! A log of two copies: nothing is durable that is not durable in both.
//!
//! Each group goes to log and archive at once, and both are synced side by side. Readers see a group when both have it.
//! So the archive can be ahead of the log by one commit after a crash: one that nobody was told of, but that is sealed.
//! [`super::reconcile()`] gives it to the log at the next start; a mark in the data directory ([`Mark`]) sees to it that
//! no start goes on without the archive that may hold it, because that would seal another commit in its place.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;

use super::follow::{Standing, Told, catch_up};
use super::{Archive, ArchiveError};
use crate::ids::{Seq, TreeSize};
use crate::store::{AppendTimes, Group, LogStore, Record, Records, Seals, StoreError};

/// How often a segment's age is looked at while nothing is written.
const IDLE: Duration = Duration::from_secs(10);

/// A log and its archive as one store.
pub struct Mirrored {
    log: Arc<dyn LogStore>,
    size: AtomicU64,
    told: Arc<Told>,
    lane: Mutex<Lane>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// How groups go to the archive's thread.
struct Lane {
    /// Why nothing may be appended any more.
    stopped: Option<String>,
    /// `None` once stopped on request.
    jobs: Option<SyncSender<Job>>,
    done: Receiver<Result<(), String>>,
}

impl std::fmt::Debug for Mirrored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mirrored").field("size", &self.size).field("archive", &self.told).finish_non_exhaustive()
    }
}

struct Job {
    records: Vec<Record>,
    seal: Bytes,
}

impl Mirrored {
    /// Brings the archive up to the log, then makes one store of both. The archive must have been reconciled with it.
    ///
    /// # Errors
    /// [`ArchiveError`] when the archive cannot be brought up to the log.
    pub fn start(mut archive: Archive, log: Arc<dyn LogStore>) -> Result<Self, ArchiveError> {
        let told = Told::of(&archive);
        let size = log.size();
        if size > archive.end().first {
            tracing::info!(archived = %archive.end().first, log = %size, "bringing the archive up to the log");
        }
        catch_up(&mut archive, &*log, &told, || false)?;
        let (jobs, waiting) = sync_channel(1);
        let (finished, done) = sync_channel(1);
        let telling = told.clone();
        let dir = archive.dir().to_owned();
        let run = move || write(archive, &waiting, &finished, &telling);
        let thread = std::thread::Builder::new().name("archive".to_owned()).spawn(run);
        let thread = thread.map_err(ArchiveError::io("start a thread for", &dir))?;
        let lane = Lane { stopped: None, jobs: Some(jobs), done };
        let (lane, thread) = (Mutex::new(lane), Mutex::new(Some(thread)));
        Ok(Self { log, size: AtomicU64::new(size.0), told, lane, thread })
    }

    /// How the archive stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.told.standing()
    }

    /// Closes the segment under way and ends the archive's thread; nothing can be appended after this. True if both
    /// copies hold the same. May be called again.
    pub fn stop(&self) -> bool {
        let mut lane = self.lane.lock().unwrap_or_else(PoisonError::into_inner);
        lane.jobs = None;
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
            && thread.join().is_err()
        {
            tracing::error!("the archive's thread ended by a panic");
        }
        lane.stopped.is_none() && self.told.standing() == Standing { size: self.log.size(), failed: None }
    }
}

impl Drop for Mirrored {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The archive's thread: writes and syncs a group at a time.
fn write(mut archive: Archive, jobs: &Receiver<Job>, done: &SyncSender<Result<(), String>>, told: &Told) {
    let mut failed = false;
    loop {
        match jobs.recv_timeout(IDLE) {
            Ok(Job { records, seal }) => {
                let written = archive.append(&records, &seal).and_then(|()| archive.sync()).map_err(|e| e.to_string());
                told.reached(archive.durable().first);
                failed = written.is_err();
                told.failed(written.as_ref().err().cloned());
                if done.send(written).is_err() {
                    return;
                }
            }
            Err(RecvTimeoutError::Timeout) if !failed => {
                if let Err(error) = archive.sync() {
                    // Nothing is lost by it, and the next group tells whether the disk takes anything.
                    tracing::warn!(%error, "an archive segment could not be closed");
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    if let Err(error) = archive.close() {
        tracing::warn!(%error, "the last archive segment could not be closed");
    }
}

impl LogStore for Mirrored {
    fn size(&self) -> TreeSize {
        TreeSize(self.size.load(Ordering::Acquire))
    }

    fn append(&self, expected: TreeSize, group: &Group<'_>) -> Result<(), StoreError> {
        let mut lane = self.lane.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = &lane.stopped {
            return Err(StoreError::Stopped { why: why.clone() });
        }
        let actual = self.size();
        if expected != actual {
            return Err(StoreError::NotHead { expected, actual });
        }
        let job = Job { records: group.records.to_vec(), seal: Bytes::copy_from_slice(group.seal) };
        let gone = || StoreError::Archive { why: "its thread is gone".to_owned() };
        // Stands when anything below panics.
        lane.stopped = Some("an earlier write was cut short by a fault".to_owned());
        let handed = lane.jobs.as_ref().and_then(|jobs| jobs.send(job).ok());
        let logged = self.log.append(expected, group);
        let archived = match handed.and_then(|()| lane.done.recv().ok()) {
            None => Err(gone()),
            Some(done) => done.map_err(|why| StoreError::Archive { why }),
        };
        match logged.and(archived) {
            Ok(()) => {
                lane.stopped = None;
                self.size.fetch_add(group.records.len() as u64, Ordering::AcqRel);
                Ok(())
            }
            Err(error) => {
                lane.stopped = Some(format!("an earlier write failed ({error})"));
                Err(error)
            }
        }
    }

    fn record(&self, seq: Seq) -> Result<Option<Record>, StoreError> {
        if seq >= self.size().next() { Ok(None) } else { self.log.record(seq) }
    }

    fn records(&self, from: Seq) -> Records<'_> {
        Box::new(UpToHere { store: self, records: self.log.records(from), next: from })
    }

    fn last_seal(&self) -> Result<Option<(TreeSize, Bytes)>, StoreError> {
        self.size().last().map_or(Ok(None), |last| self.log.seal_of(last))
    }

    fn seal_of(&self, seq: Seq) -> Result<Option<(TreeSize, Bytes)>, StoreError> {
        if seq >= self.size().next() { Ok(None) } else { self.log.seal_of(seq) }
    }

    fn seals(&self, from: TreeSize) -> Seals<'_> {
        Box::new(SealsUpToHere { store: self, seals: self.log.seals(from), held: None })
    }

    fn disk_bytes(&self) -> Result<u64, StoreError> {
        self.log.disk_bytes()
    }

    fn last_append(&self) -> AppendTimes {
        self.log.last_append()
    }
}

/// The log's records, up to where both copies are durable.
struct UpToHere<'a> {
    store: &'a Mirrored,
    records: Records<'a>,
    next: Seq,
}

impl Iterator for UpToHere<'_> {
    type Item = Result<(Seq, Record), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.store.size().next() {
            return None;
        }
        self.next = self.next.next();
        self.records.next()
    }
}

/// As [`UpToHere`], for seals: one that is not to be seen yet is held until it is.
struct SealsUpToHere<'a> {
    store: &'a Mirrored,
    seals: Seals<'a>,
    held: Option<(TreeSize, Bytes)>,
}

impl Iterator for SealsUpToHere<'_> {
    type Item = Result<(TreeSize, Bytes), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (size, seal) = match self.held.take() {
            Some(held) => held,
            None => match self.seals.next()? {
                Ok(seal) => seal,
                Err(error) => return Some(Err(error)),
            },
        };
        if size > self.store.size() {
            self.held = Some((size, seal));
            return None;
        }
        Some(Ok((size, seal)))
    }
}

/// A file in the data directory that names the archive which may be ahead of the log: written before a log of two copies
/// takes anything, taken away when it stopped with both equal.
#[derive(Debug)]
pub struct Mark {
    path: PathBuf,
}

impl Mark {
    /// The one at a path.
    #[must_use]
    pub const fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The archive it names, if it is there.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self) -> io::Result<Option<PathBuf>> {
        match fs::read(&self.path) {
            Ok(bytes) => Ok(Some(std::ffi::OsStr::from_bytes(bytes.trim_ascii_end()).into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes it name an archive, durably.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, archive: &Path) -> io::Result<()> {
        let unfinished = self.path.with_extension("new");
        let mut file = File::create(&unfinished)?;
        file.write_all(archive.as_os_str().as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&unfinished, &self.path)?;
        self.sync()
    }

    /// Takes it away, if it is there.
    ///
    /// # Errors
    /// When it cannot be taken away.
    pub fn clear(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => self.sync(),
        }
    }

    fn sync(&self) -> io::Result<()> {
        let dir = self.path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(dir)?.sync_all()
    }
}
