//! One worker per view: follow the log, evolve the view, move its cursor; rebuild it beside itself on request.
//!
//! A worker takes events from committed groups as long as it keeps up, and from the log when it does not, so a slow
//! view costs bounded memory and never holds a commit back. It never sees an event that is not durable.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use chancery_ledger::commit::Commit;
use chancery_ledger::event::{Event, ReadError};
use chancery_ledger::ids::{Seq, TreeSize};
use chancery_ledger::store::{LogStore, StoreError};
use crossbeam_channel::{Receiver, Sender, TryRecvError, TrySendError, bounded};
use tokio::sync::watch;

use crate::rows::RowsError;
use crate::rows::batch::Batch;
use crate::rows::store::{ViewSnapshot, ViewStore};
use crate::timing::Timing;
use crate::views::{View, ViewHandle};

/// Commits that may wait for a worker; what is beyond it reads from the log.
const WAITING_MAX: usize = 256;
/// How long a worker lets commits gather when nobody waits for it: one write for many costs far less than many writes.
const GATHER: Duration = Duration::from_millis(10);
/// Bytes of bodies that may wait for a worker: two commits of the largest kind.
const WAITING_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A view cannot be brought forward. It keeps what it has; reads that need more say so.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The view's storage failed, or the view is damaged.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// The log could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An event is of a kind this version does not know.
    #[error("event {seq} cannot be read: {source}")]
    Unreadable {
        /// Its position.
        seq: Seq,
        /// Why.
        source: ReadError,
    },
}

/// What a rebuild found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rebuilt {
    /// How far both had read.
    pub cursor: TreeSize,
    /// Digest of the view as it was.
    pub before: [u8; 32],
    /// Digest of the view rebuilt from the log.
    pub after: [u8; 32],
}

/// What is asked of a worker.
enum Message {
    /// A commit, and when it was durable.
    Commit(Arc<Commit>, Instant),
    Missed,
    Adopt(ViewStore),
    Stop,
}

/// Who asked a worker to adopt a rebuilt view. It lies apart from the message, which a worker that ends leaves where it
/// is: nobody would be told then.
#[derive(Default)]
enum Asking {
    #[default]
    Nobody,
    Somebody(Sender<Result<Adopted, WorkerError>>),
    /// The worker has ended, and nobody is answered any more.
    TooLate,
}

/// A view and the one that took its place, both held still at the same cursor.
struct Adopted {
    cursor: TreeSize,
    before: ViewSnapshot,
    after: ViewSnapshot,
}

/// Tells a worker that somebody waits for it.
#[derive(Debug, Clone)]
pub struct Hurry(Sender<()>);

impl Hurry {
    /// Where to hurry, and where it is heard.
    #[must_use]
    pub fn new() -> (Self, Receiver<()>) {
        let (hurry, hurried) = bounded(1);
        (Self(hurry), hurried)
    }

    /// Has the worker apply what it was told, without letting more gather.
    pub fn up(&self) {
        // One that was told so already will.
        let _ = self.0.try_send(());
    }
}

/// A running worker.
pub struct Worker {
    view: View,
    store: ViewStore,
    log: Arc<dyn LogStore>,
    messages: Sender<Message>,
    hurry: Hurry,
    waiting: Arc<Waiting>,
    rebuilding: Mutex<()>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
}

/// What waits for a worker.
#[derive(Default)]
struct Waiting {
    bytes: AtomicUsize,
    /// A commit was not handed over, because too much waited; it is to be read from the log.
    missed: AtomicBool,
    /// Who waits for a rebuilt view to be adopted.
    asking: Mutex<Asking>,
    /// From a commit's being durable to its being in the view.
    visible: Timing,
}

impl Worker {
    /// Brings a view up to the log, then follows it on a thread of its own.
    ///
    /// # Errors
    /// [`WorkerError`] when the view cannot be brought up to the log.
    pub fn start(view: View, store: ViewStore, log: Arc<dyn LogStore>) -> Result<(Self, ViewHandle), WorkerError> {
        let (mut worker, follower, handle) = Self::prepare(view, store, log)?;
        let thread = thread::Builder::new()
            .name(format!("view-{}", view.name()))
            .spawn(move || follower.run())
            .map_err(|error| RowsError::Storage(fjall::Error::Io(error)))?;
        worker.thread = Mutex::new(Some(thread));
        Ok((worker, handle))
    }

    /// Brings a view up to the log; who follows it from there, and on which thread, is the caller's to say.
    ///
    /// # Errors
    /// [`WorkerError`] when the view cannot be brought up to the log.
    pub(crate) fn prepare(
        view: View, store: ViewStore, log: Arc<dyn LogStore>,
    ) -> Result<(Self, Follower, ViewHandle), WorkerError> {
        if store.cursor() > log.size() {
            // The view has read events that are no more: the log was restored from an older copy.
            tracing::warn!(view = view.name(), "view is ahead of the log; rebuilding it");
            let rebuilt = store.next_generation()?;
            catch_up(view, &rebuilt, &*log, log.size())?;
            store.adopt(rebuilt)?;
        }
        catch_up(view, &store, &*log, log.size())?;
        let (messages, received) = bounded(WAITING_MAX);
        let (announce, progress) = watch::channel(store.cursor());
        let (hurry, hurried) = Hurry::new();
        let waiting = Arc::new(Waiting::default());
        let follower = Follower {
            view,
            store: store.clone(),
            log: log.clone(),
            messages: received,
            announce,
            hurried,
            waiting: waiting.clone(),
        };
        let (rebuilding, thread) = (Mutex::default(), Mutex::default());
        let handle = ViewHandle { store: store.clone(), progress, hurry: hurry.clone() };
        Ok((Self { view, store, log, messages, hurry, waiting, rebuilding, thread }, follower, handle))
    }

    /// Which view it is.
    #[must_use]
    pub const fn view(&self) -> View {
        self.view
    }

    /// How long commits took from being durable to being in the view; those that the worker read from the log, because
    /// it was too far behind, are not counted.
    #[must_use]
    pub fn visible(&self) -> &Timing {
        &self.waiting.visible
    }

    /// Tells the worker of a commit, without waiting. One that is busy finds it in the log later.
    pub fn follow(&self, commit: &Arc<Commit>) {
        let bytes = commit.body_bytes();
        let before = self.waiting.bytes.fetch_add(bytes, Ordering::AcqRel);
        // One commit may be larger than all that may wait, so the first is always handed over.
        if before == 0 || before + bytes <= WAITING_BYTES_MAX {
            match self.messages.try_send(Message::Commit(commit.clone(), Instant::now())) {
                Ok(()) => {
                    if self.messages.len() >= WAITING_MAX / 2 {
                        self.hurry.up();
                    }
                    return;
                }
                Err(TrySendError::Full(_)) => {}
                Err(TrySendError::Disconnected(_)) => {
                    tracing::error!(view = self.view.name(), "the view's worker has stopped");
                }
            }
        }
        self.waiting.bytes.fetch_sub(bytes, Ordering::AcqRel);
        self.look();
    }

    /// Tells the worker that the log may hold what it was not told of, without waiting.
    pub fn look(&self) {
        self.waiting.missed.store(true, Ordering::Release);
        // If there is no room for this either, the worker has yet to take what fills it, and then sees the mark.
        let _ = self.messages.try_send(Message::Missed);
    }

    /// Rebuilds the view from the log beside the live one, puts the rebuilt one in place, and compares the two at the
    /// same cursor. Takes as long as reading the log does; reads and writes go on meanwhile.
    ///
    /// # Errors
    /// [`WorkerError`] when it cannot be rebuilt; the live one then stays.
    pub fn rebuild(&self) -> Result<Rebuilt, WorkerError> {
        let _one_at_a_time = self.rebuilding.lock().unwrap_or_else(PoisonError::into_inner);
        self.begin_rebuild()?.finish()
    }

    /// Rebuilds the view beside the live one, and asks the follower to put it in place. One at a time.
    pub(crate) fn begin_rebuild(&self) -> Result<Rebuilding, WorkerError> {
        let rebuilt = self.store.next_generation()?;
        catch_up(self.view, &rebuilt, &*self.log, self.log.size())?;
        let (reply, answer) = bounded(1);
        {
            let mut asking = self.waiting.asking.lock().unwrap_or_else(PoisonError::into_inner);
            if matches!(*asking, Asking::TooLate) {
                return Err(stopped());
            }
            *asking = Asking::Somebody(reply);
        }
        self.messages.send(Message::Adopt(rebuilt)).map_err(|_| stopped())?;
        Ok(Rebuilding { view: self.view, answer })
    }

    /// Lets the worker finish what it was told, and waits for it.
    pub fn stop(&self) {
        let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        // A worker that is gone already needs no telling.
        let _ = self.messages.send(Message::Stop);
        if thread.join().is_err() {
            tracing::error!(view = self.view.name(), "the view's worker ended by a panic");
        }
    }
}

fn stopped() -> WorkerError {
    WorkerError::Rows(RowsError::Missing("the view's worker"))
}

/// A rebuilt view that is about to take the live one's place.
pub(crate) struct Rebuilding {
    view: View,
    answer: Receiver<Result<Adopted, WorkerError>>,
}

impl Rebuilding {
    /// Waits until the follower has put it in place, and compares the two.
    pub(crate) fn finish(self) -> Result<Rebuilt, WorkerError> {
        let Adopted { cursor, before, after } = self.answer.recv().map_err(|_| stopped())??;
        let rebuilt = Rebuilt { cursor, before: before.digest()?, after: after.digest()? };
        if rebuilt.before != rebuilt.after {
            tracing::error!(view = self.view.name(), %cursor, "the rebuilt view differs from the live one it replaced");
        }
        Ok(rebuilt)
    }
}

impl Waiting {
    /// Puts somebody else in the place of who asked, and gives back that one.
    fn ask(&self, asking: Asking) -> Asking {
        std::mem::replace(&mut *self.asking.lock().unwrap_or_else(PoisonError::into_inner), asking)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.waiting.ask(Asking::TooLate);
    }
}

/// Who brings a view forward.
pub(crate) struct Follower {
    view: View,
    store: ViewStore,
    log: Arc<dyn LogStore>,
    messages: Receiver<Message>,
    announce: watch::Sender<TreeSize>,
    hurried: Receiver<()>,
    waiting: Arc<Waiting>,
}

impl Follower {
    fn run(self) {
        while let Ok(message) = self.messages.recv() {
            if matches!(message, Message::Commit(..)) {
                // Whether somebody hurries or the time is up, what gathered is applied.
                let _ = self.hurried.recv_timeout(GATHER);
            }
            if self.take(message).is_break() {
                return;
            }
        }
    }

    /// One step of what [`run`](Self::run) does, by whoever has no thread for it. Breaks when it is over.
    pub(crate) fn step(&self) -> ControlFlow<()> {
        match self.messages.try_recv() {
            Ok(message) => self.take(message),
            Err(TryRecvError::Empty) => ControlFlow::Continue(()),
            Err(TryRecvError::Disconnected) => ControlFlow::Break(()),
        }
    }

    /// Takes a message and all that waits behind it. Breaks when the view cannot follow any further, or need not.
    fn take(&self, message: Message) -> ControlFlow<()> {
        let (mut commits, mut durable) = (Vec::new(), Vec::new());
        let mut next = Some(message);
        let mut other = None;
        // Everything that waits goes into one write.
        while let Some(message) = next {
            match message {
                Message::Commit(commit, since) => {
                    commits.push(commit);
                    durable.push(since);
                }
                Message::Missed => {}
                Message::Adopt(..) | Message::Stop => {
                    other = Some(message);
                    break;
                }
            }
            next = if commits.len() < WAITING_MAX { self.messages.try_recv().ok() } else { None };
        }
        if let Err(error) = self.apply(&commits) {
            tracing::error!(view = self.view.name(), %error, "the view cannot follow the log and has stopped");
            return ControlFlow::Break(());
        }
        durable.into_iter().for_each(|since| self.waiting.visible.observe(since.elapsed()));
        match other {
            // Whoever asked may have gone; the rebuilt view is in place all the same.
            Some(Message::Adopt(store)) => {
                let adopted = self.adopt(store);
                if let Asking::Somebody(reply) = self.waiting.ask(Asking::Nobody) {
                    drop(reply.send(adopted));
                }
            }
            Some(Message::Stop) => {
                if let Err(error) = self.store.store_cursor() {
                    tracing::error!(view = self.view.name(), %error, "the view's cursor could not be stored");
                }
                return ControlFlow::Break(());
            }
            Some(Message::Commit(..) | Message::Missed) | None => {}
        }
        ControlFlow::Continue(())
    }

    fn apply(&self, commits: &[Arc<Commit>]) -> Result<(), WorkerError> {
        let mut batch = Batch::new(&self.store);
        let mut cursor = self.store.cursor();
        let mut is_behind = false;
        for event in commits.iter().flat_map(|commit| commit.events()) {
            if event.seq < cursor.next() {
                continue;
            }
            if event.seq > cursor.next() {
                // Commits were missed before this one; the log has them all.
                is_behind = true;
                break;
            }
            batch.begin(event.seq);
            self.view.evolve(&mut batch, event)?;
            cursor = event.seq.tree_size();
            if batch.is_full() {
                self.store.apply(batch, cursor)?;
                batch = Batch::new(&self.store);
            }
        }
        if cursor > self.store.cursor() {
            self.store.apply(batch, cursor)?;
        }
        self.waiting.bytes.fetch_sub(commits.iter().map(|commit| commit.body_bytes()).sum(), Ordering::AcqRel);
        if self.waiting.missed.swap(false, Ordering::AcqRel) || is_behind {
            catch_up(self.view, &self.store, &*self.log, self.log.size())?;
        }
        self.announce.send_replace(self.store.cursor());
        Ok(())
    }

    fn adopt(&self, rebuilt: ViewStore) -> Result<Adopted, WorkerError> {
        // The log may have been longer when the other was read from it than what this one was told of.
        let cursor = self.store.cursor().max(rebuilt.cursor());
        catch_up(self.view, &self.store, &*self.log, cursor)?;
        catch_up(self.view, &rebuilt, &*self.log, cursor)?;
        let before = self.store.snapshot();
        self.store.adopt(rebuilt)?;
        Ok(Adopted { cursor, before, after: self.store.snapshot() })
    }
}

/// Brings a view forward from the log until it reflects `size` events.
///
/// # Errors
/// [`WorkerError`] when log or view cannot be read or written.
pub fn catch_up(view: View, store: &ViewStore, log: &dyn LogStore, size: TreeSize) -> Result<(), WorkerError> {
    let mut cursor = store.cursor();
    if cursor >= size {
        return Ok(());
    }
    let mut batch = Batch::new(store);
    for record in log.records(cursor.next()) {
        let (seq, record) = record?;
        let (event, _) =
            Event::read(&record.header, &record.body).map_err(|source| WorkerError::Unreadable { seq, source })?;
        batch.begin(seq);
        view.evolve(&mut batch, &event)?;
        cursor = seq.tree_size();
        if batch.is_full() {
            store.apply(batch, cursor)?;
            batch = Batch::new(store);
        }
        if cursor >= size {
            break;
        }
    }
    store.apply(batch, cursor)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use chancery_ledger::store::on_sled::SledStore;

    use super::*;

    /// Symptom: whoever asked for a rebuild waited for ever. Cause: the view's worker ended before it came to the request,
    /// which stayed in the queue with the means to answer it. Who asked is kept apart from it, and told.
    #[test]
    fn whoever_waits_for_a_rebuild_is_told_when_the_worker_ends() {
        let dir = tempfile::tempdir().unwrap();
        let log = Arc::new(SledStore::open(&dir.path().join("log")).unwrap());
        let store = ViewStore::open(&dir.path().join("view")).unwrap();
        let (worker, follower, _) = Worker::prepare(View::Execution, store, log).unwrap();
        let rebuilding = worker.begin_rebuild().unwrap();
        drop(follower);
        assert!(rebuilding.finish().is_err());
        assert!(worker.begin_rebuild().is_err());
    }
}
