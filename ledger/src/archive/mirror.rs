//! A log of two copies: nothing is durable that is not durable in both.
//!
//! Each group goes to log and archive at once, and both are synced side by side. Readers see a group when both have it.
//! So the archive can be ahead of the log by one commit after a crash: one that nobody was told of, but that is sealed.
//! [`super::reconcile()`] gives it to the log at the next start; a mark in the data directory ([`super::mark::Mark`]) sees to it that
//! no start goes on without the archive that may hold it, because that would seal another commit in its place.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;

use super::Archive;
use super::follow::{Standing, Told, catch_up};
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

enum Job {
    /// Append a group and sync.
    Group { records: Vec<Record>, seal: Bytes },
    /// Append and sync all that the log has and the archive lacks.
    CatchUp,
}

impl Mirrored {
    /// Makes one store of both. The archive must have been reconciled with the log. One that is behind takes nothing new
    /// before it was [brought up](Self::bring_up).
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(archive: Archive, log: Arc<dyn LogStore>) -> io::Result<Self> {
        let told = Told::of(&archive);
        let size = AtomicU64::new(log.size().0);
        let (jobs, waiting) = sync_channel(1);
        let (finished, done) = sync_channel(1);
        let (telling, source) = (told.clone(), log.clone());
        let run = move || write(archive, &*source, &waiting, &finished, &telling);
        let thread = std::thread::Builder::new().name("archive".to_owned()).spawn(run)?;
        let lane = Lane { stopped: None, jobs: Some(jobs), done };
        let (lane, thread) = (Mutex::new(lane), Mutex::new(Some(thread)));
        Ok(Self { log, size, told, lane, thread })
    }

    /// Brings the archive up to the log, durably.
    ///
    /// # Errors
    /// [`StoreError::Archive`].
    pub fn bring_up(&self) -> Result<(), StoreError> {
        let lane = self.lane.lock().unwrap_or_else(PoisonError::into_inner);
        let (archived, log) = (self.told.standing().size, self.log.size());
        if archived < log {
            tracing::info!(%archived, %log, "bringing the archive up to the log");
        }
        lane.hand(Job::CatchUp)?;
        lane.finish()
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

impl Lane {
    fn hand(&self, job: Job) -> Result<(), StoreError> {
        self.jobs.as_ref().and_then(|jobs| jobs.send(job).ok()).ok_or_else(gone)
    }

    /// Waits for what was handed over.
    fn finish(&self) -> Result<(), StoreError> {
        self.done.recv().map_err(|_| gone())?.map_err(|why| StoreError::Archive { why })
    }
}

fn gone() -> StoreError {
    StoreError::Archive { why: "its thread has ended".to_owned() }
}

/// The archive's thread: writes and syncs a group at a time.
fn write(
    mut archive: Archive, log: &dyn LogStore, jobs: &Receiver<Job>, done: &SyncSender<Result<(), String>>, told: &Told,
) {
    let mut failed = false;
    loop {
        match jobs.recv_timeout(IDLE) {
            Ok(job) => {
                let written = match job {
                    Job::Group { records, seal } => archive.append(&records, &seal).and_then(|()| archive.sync()),
                    Job::CatchUp => catch_up(&mut archive, log, told, || false),
                };
                let written = written.map_err(|error| error.to_string());
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
        let job = Job::Group { records: group.records.to_vec(), seal: Bytes::copy_from_slice(group.seal) };
        // Stands when anything below panics.
        lane.stopped = Some("an earlier write was cut short by a fault".to_owned());
        let appended = lane.hand(job).and_then(|()| {
            let logged = self.log.append(expected, group);
            // Waited for in any case: what the thread says next must be about the next group.
            let archived = lane.finish();
            logged.and(archived)
        });
        match &appended {
            Ok(()) => {
                lane.stopped = None;
                self.size.fetch_add(group.records.len() as u64, Ordering::AcqRel);
            }
            Err(error) => lane.stopped = Some(format!("an earlier write failed ({error})")),
        }
        appended
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
