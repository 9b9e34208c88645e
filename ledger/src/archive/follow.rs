//! Keeping an archive close behind a log, on a thread of its own. It never holds a commit back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Archive, ArchiveError};
use crate::ids::TreeSize;
use crate::store::{LogStore, Part, Parts, Record, StoreError};

/// How often it looks for what is new. One sync then covers everything since, so that a log and an archive on one disk do
/// not wait for each other's syncs all the time.
const EVERY: Duration = Duration::from_millis(200);
/// Events between two syncs while it catches up.
const SYNC_EVENTS: u64 = 16 * 1024;
/// How long it waits after a failure, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// How often a failure that lasts is said again.
const REMIND_EVERY: Duration = Duration::from_secs(60);
/// How long a stop waits for the archive to catch up. What it lacks then, it is given after the next start.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// How an archive stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Events that are durable in it.
    pub size: TreeSize,
    /// Why it could not be written, if it could not when last tried.
    pub failed: Option<String>,
}

/// What a thread that writes an archive tells of it.
#[derive(Debug)]
pub(super) struct Told {
    size: AtomicU64,
    failed: Mutex<Option<String>>,
}

impl Told {
    pub(super) fn of(archive: &Archive) -> Arc<Self> {
        Arc::new(Self { size: AtomicU64::new(archive.durable().first.0), failed: Mutex::default() })
    }

    pub(super) fn reached(&self, size: TreeSize) {
        self.size.store(size.0, Ordering::Release);
    }

    pub(super) fn failed(&self, why: Option<String>) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    pub(super) fn standing(&self) -> Standing {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Standing { size: TreeSize(self.size.load(Ordering::Acquire)), failed }
    }
}

/// The thread that follows. Dropping it stops it.
#[derive(Debug)]
pub struct Follower {
    told: Arc<Told>,
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Follower {
    /// Begins to follow a log, from where the archive ends.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(archive: Archive, log: Arc<dyn LogStore>) -> std::io::Result<Self> {
        let (told, stop) = (Told::of(&archive), Arc::new((Mutex::new(false), Condvar::new())));
        let following = Following { archive, log, told: told.clone(), stop: stop.clone() };
        let thread = std::thread::Builder::new().name("archive".to_owned()).spawn(move || following.run())?;
        Ok(Self { told, stop, thread: Mutex::new(Some(thread)) })
    }

    /// How the archive stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.told.standing()
    }

    /// Brings the archive up to the log, closes its segment, and ends. May be called again.
    pub fn stop(&self) {
        let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        *self.stop.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.1.notify_all();
        if thread.join().is_err() {
            tracing::error!("the archive's thread ended by a panic");
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Following {
    archive: Archive,
    log: Arc<dyn LogStore>,
    told: Arc<Told>,
    stop: Arc<(Mutex<bool>, Condvar)>,
}

impl Following {
    fn run(mut self) {
        let (mut retry, mut reminded) = (RETRY.0, None::<Instant>);
        loop {
            let stop = self.stop.clone();
            let is_stopped = || *stop.0.lock().unwrap_or_else(PoisonError::into_inner);
            let wait = match catch_up(&mut self.archive, &*self.log, &self.told, is_stopped) {
                Ok(()) => {
                    if reminded.take().is_some() {
                        tracing::info!(events = %self.archive.durable().first, "the archive follows again");
                    }
                    retry = RETRY.0;
                    EVERY
                }
                Err(error) => {
                    if reminded.is_none_or(|at| at.elapsed() >= REMIND_EVERY) {
                        reminded = Some(Instant::now());
                        tracing::error!(%error, archived = %self.archive.durable().first, log = %self.log.size(), "the archive cannot be written; commands are accepted all the same, and it is tried again");
                    }
                    retry = (retry * 2).min(RETRY.1);
                    retry / 2
                }
            };
            if self.waits(wait) {
                break;
            }
        }
        let begun = Instant::now();
        let ended = catch_up(&mut self.archive, &*self.log, &self.told, || begun.elapsed() > STOP_PATIENCE);
        if let Err(error) = ended.and_then(|()| self.archive.close()) {
            tracing::error!(%error, archived = %self.archive.durable().first, log = %self.log.size(), "the archive could not be brought up to the log before the end");
        }
    }

    /// Waits so long; true when it is to stop.
    fn waits(&self, time: Duration) -> bool {
        let stop = self.stop.0.lock().unwrap_or_else(PoisonError::into_inner);
        *self.stop.1.wait_timeout_while(stop, time, |stop| !*stop).unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Brings an archive up to a log, as far as `is_enough` lets it.
///
/// # Errors
/// [`ArchiveError`]; the archive then ends where it was last durable.
pub(super) fn catch_up(
    archive: &mut Archive, log: &dyn LogStore, told: &Told, mut is_enough: impl FnMut() -> bool,
) -> Result<(), ArchiveError> {
    let caught_up = (|| {
        if log.size() > archive.end().first {
            for commit in LogCommits::new(log, archive.end().first) {
                let (records, seal) = commit?;
                archive.append(&records, &seal)?;
                if archive.end().first.0 - archive.durable().first.0 >= SYNC_EVENTS {
                    archive.sync()?;
                    told.reached(archive.durable().first);
                    if is_enough() {
                        return Ok(());
                    }
                }
            }
        }
        // Also when there is nothing new: a segment may have come of age.
        archive.sync()
    })();
    told.reached(archive.durable().first);
    told.failed(caught_up.as_ref().err().map(ToString::to_string));
    caught_up
}

/// A log's commits, whole.
pub(super) struct LogCommits<'a> {
    parts: Parts<'a>,
    size: TreeSize,
}

impl<'a> LogCommits<'a> {
    /// Those after the first `size` events.
    pub(super) fn new(log: &'a dyn LogStore, size: TreeSize) -> Self {
        Self { parts: log.parts(size.next()), size }
    }
}

impl Iterator for LogCommits<'_> {
    type Item = Result<(Vec<Record>, Bytes), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut records = Vec::new();
        loop {
            match self.parts.next() {
                Some(Ok(Part::Event(seq, record))) => {
                    records.push(record);
                    self.size = seq.tree_size();
                }
                Some(Ok(Part::Seal(size, _))) if size > self.size => {
                    return Some(Err(StoreError::Missing { seq: self.size.next() }));
                }
                // A seal of the events before these.
                Some(Ok(Part::Seal(..))) if records.is_empty() => {}
                Some(Ok(Part::Seal(_, seal))) => return Some(Ok((records, seal))),
                Some(Err(error)) => return Some(Err(error)),
                // Events without their seal yet are not whole.
                None => return None,
            }
        }
    }
}
