//! One worker per view: follow the log, evolve the view, move its cursor; rebuild it beside itself on request.
//!
//! A worker takes events from committed groups as long as it keeps up, and from the log when it does not, so a slow
//! view costs bounded memory and never holds a commit back. It never sees an event that is not durable.

use std::sync::Arc;
use std::thread;

use chancery_ledger::commit::Commit;
use chancery_ledger::event::{Event, ReadError};
use chancery_ledger::ids::{Seq, TreeSize};
use chancery_ledger::store::{LogStore, StoreError};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use tokio::sync::{oneshot, watch};

use crate::rows::RowsError;
use crate::rows::overlay::Batch;
use crate::rows::store::ViewStore;
use crate::views::View;

/// Commits that may wait for a worker; what is beyond it reads from the log.
const WAITING_MAX: usize = 64;
/// Rows gathered before a batch is written.
const BATCH_ROWS: usize = 16 * 1024;

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
    Commit(Arc<Commit>),
    Adopt(ViewStore, oneshot::Sender<Result<Rebuilt, WorkerError>>),
}

/// A running worker.
pub struct Worker {
    view: View,
    store: ViewStore,
    log: Arc<dyn LogStore>,
    messages: Sender<Message>,
    thread: thread::JoinHandle<()>,
}

impl Worker {
    /// Brings a view up to the log, then follows it on a thread of its own.
    ///
    /// # Errors
    /// [`WorkerError`] when the view cannot be brought up to the log.
    pub fn start(
        view: View, store: ViewStore, log: Arc<dyn LogStore>,
    ) -> Result<(Self, watch::Receiver<TreeSize>), WorkerError> {
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
        let follower = Follower { view, store: store.clone(), log: log.clone(), announce };
        let thread = thread::Builder::new()
            .name(format!("view-{}", view.name()))
            .spawn(move || follower.run(&received))
            .map_err(|error| RowsError::Storage(fjall::Error::Io(error)))?;
        Ok((Self { view, store, log, messages, thread }, progress))
    }

    /// Which view it is.
    #[must_use]
    pub const fn view(&self) -> View {
        self.view
    }

    /// Tells the worker of a commit. One that is busy finds it in the log later.
    pub fn follow(&self, commit: &Arc<Commit>) {
        match self.messages.try_send(Message::Commit(commit.clone())) {
            Ok(()) | Err(TrySendError::Full(_)) => {}
            Err(TrySendError::Disconnected(_)) => {
                tracing::error!(view = self.view.name(), "the view's worker has stopped");
            }
        }
    }

    /// Rebuilds the view from the log beside the live one, compares the two at the same cursor, and puts the rebuilt
    /// one in place. Takes as long as reading the log does; reads and writes go on meanwhile.
    ///
    /// # Errors
    /// [`WorkerError`] when it cannot be rebuilt; the live one then stays.
    pub fn rebuild(&self) -> Result<Rebuilt, WorkerError> {
        let rebuilt = self.store.next_generation()?;
        catch_up(self.view, &rebuilt, &*self.log, self.log.size())?;
        let (reply, answer) = oneshot::channel();
        let stopped = || WorkerError::Rows(RowsError::Missing("the view's worker"));
        self.messages.send(Message::Adopt(rebuilt, reply)).map_err(|_| stopped())?;
        answer.blocking_recv().map_err(|_| stopped())?
    }

    /// Lets the worker finish what it was told, and waits for it.
    pub fn stop(self) {
        drop(self.messages);
        if self.thread.join().is_err() {
            tracing::error!(view = self.view.name(), "the view's worker ended by a panic");
        }
    }
}

struct Follower {
    view: View,
    store: ViewStore,
    log: Arc<dyn LogStore>,
    announce: watch::Sender<TreeSize>,
}

impl Follower {
    fn run(self, messages: &Receiver<Message>) {
        let mut waiting = Vec::new();
        while let Ok(message) = messages.recv() {
            let mut next = Some(message);
            let mut adopt = None;
            // Everything that waits goes into one write.
            while let Some(message) = next {
                match message {
                    Message::Commit(commit) => waiting.push(commit),
                    Message::Adopt(store, reply) => {
                        adopt = Some((store, reply));
                        break;
                    }
                }
                next = if waiting.len() < WAITING_MAX { messages.try_recv().ok() } else { None };
            }
            if let Err(error) = self.apply(&waiting) {
                tracing::error!(view = self.view.name(), %error, "the view cannot follow the log and has stopped");
                return;
            }
            waiting.clear();
            if let Some((store, reply)) = adopt {
                // Whoever asked may have gone; the rebuilt view is in place all the same.
                let _ = reply.send(self.adopt(store));
            }
        }
    }

    fn apply(&self, commits: &[Arc<Commit>]) -> Result<(), WorkerError> {
        let mut batch = Batch::new(&self.store);
        let mut cursor = self.store.cursor();
        for event in commits.iter().flat_map(|commit| commit.events()) {
            if event.seq < cursor.next() {
                continue;
            }
            if event.seq > cursor.next() {
                // Commits were dropped while this worker was busy.
                self.store.apply(batch.into_writes(), cursor)?;
                catch_up(self.view, &self.store, &*self.log, self.log.size())?;
                self.announce.send_replace(self.store.cursor());
                return Ok(());
            }
            batch.begin(event.seq);
            self.view.evolve(&mut batch, event)?;
            cursor = event.seq.tree_size();
        }
        if cursor > self.store.cursor() {
            self.store.apply(batch.into_writes(), cursor)?;
        }
        // The last of several dropped commits has nobody behind it to show the gap.
        if self.store.cursor() < self.log.size() {
            catch_up(self.view, &self.store, &*self.log, self.log.size())?;
        }
        self.announce.send_replace(self.store.cursor());
        Ok(())
    }

    fn adopt(&self, rebuilt: ViewStore) -> Result<Rebuilt, WorkerError> {
        let cursor = self.store.cursor();
        catch_up(self.view, &rebuilt, &*self.log, cursor)?;
        let (_, before) = self.store.digest()?;
        let (_, after) = rebuilt.digest()?;
        if before != after {
            tracing::error!(view = self.view.name(), %cursor, "the rebuilt view differs from the live one it replaces");
        }
        self.store.adopt(rebuilt)?;
        Ok(Rebuilt { cursor, before, after })
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
        if batch.len() >= BATCH_ROWS {
            store.apply(batch.into_writes(), cursor)?;
            batch = Batch::new(store);
        }
        if cursor >= size {
            break;
        }
    }
    store.apply(batch.into_writes(), cursor)?;
    Ok(())
}
