//! The one writer: queue, decide, evolve, hand to `ledger::commit`, answer.
//!
//! Two threads. The decider takes what waits, decides each command against rows that reflect every command before it,
//! and gathers a group for as long as the committer is busy with the one before. The committer links, seals and makes
//! durable, tells the views' workers, and only then answers everybody in the group: also those whose answer needed no
//! event, because it may rest on events before it.
//!
//! A commit that fails stops all writing for good: what waits and what comes later gets [`SubmitError::Stopped`].
//! The same goes for a panic in either thread, because dropping an unanswered command answers it so.

mod admit;
mod answer;
mod committer;
mod decider;
mod looks;
mod rehearsal;
mod stages;
mod steps;
#[cfg(test)]
mod tests;

pub use self::decider::Step;
pub use self::rehearsal::{Rehearsed, rehearse};
pub(crate) use self::steps::Steps;

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context as TaskContext, Poll};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chancery_ledger::body::Kind;
use chancery_ledger::body::token::Introspection;
use chancery_ledger::commit::Committer;
use chancery_ledger::event;
use chancery_ledger::ids::{Seq, TenantId, TreeSize};
use chancery_ledger::keys::KeyDirectory;
use chancery_ledger::keystore::Keystore;
use chancery_ledger::link::Hash;
use chancery_ledger::store::LogStore;
use chancery_ledger::time::Micros;
use crossbeam_channel::{Sender, bounded, unbounded};
use tokio::sync::{Semaphore, oneshot, watch};
use uuid::Uuid;

use self::committer::Writer;
use self::decider::Decider;
use self::looks::Looks;
pub use self::stages::{Stage, Stages};
use crate::command::Command;
use crate::context::{Caller, Clock, Random};
use crate::decision::{self, Decision, Stop};
use crate::origin::Origin;
use crate::output::Output;
use crate::rejection::Rejection;
use crate::rows::overlay::Overlay;
use crate::rows::store::ViewStore;
use crate::signature::AgentSignature;
use crate::views::{PerView, Views};
use crate::worker::Worker;

/// Why writing stopped, when it was asked to.
const STOPPED_ON_REQUEST: &str = "the daemon is shutting down";
/// Why writing stopped, when nobody said so.
const STOPPED_UNEXPECTEDLY: &str = "the sequencer ended unexpectedly; see the trace, and restart the daemon";

/// How long who waits for a commit waits before it looks whether there will be any.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A command and what came with it.
#[derive(Debug, Clone)]
pub struct Request {
    /// The tenant it is for.
    pub tenant: TenantId,
    /// Who sends it.
    pub caller: Caller,
    /// What is asked.
    pub command: Command,
    /// The caller's key, when the command is to happen once: 1 to 255 bytes.
    pub idempotency_key: Option<String>,
    /// The version the caller last saw of the thing that the command is about.
    pub if_match: Option<Seq>,
    /// What the events share with others of the same undertaking; drawn if absent.
    pub correlation: Option<Uuid>,
    /// Where it came from.
    pub origin: Option<Origin>,
    /// The caller's signature, when it is an agent that proves so that it asks.
    pub signature: Option<Box<AgentSignature>>,
}

impl Request {
    /// A command of a tenant, with nothing beside it.
    #[must_use]
    pub fn new(tenant: TenantId, caller: Caller, command: impl Into<Command>) -> Self {
        let command = command.into();
        Self {
            tenant,
            caller,
            command,
            idempotency_key: None,
            if_match: None,
            correlation: None,
            origin: None,
            signature: None,
        }
    }
}

impl Request {
    /// A decision as it is recorded. What an agent signed is a fact whatever becomes of it: a refusal that would be none is
    /// one with its signature, which is spent.
    fn on_record(&self, decided: Result<Decision, Stop>) -> Result<Decision, Stop> {
        match decided {
            Err(Stop::Refused(rejection)) if self.signature.is_some() => {
                Ok(Decision { events: Vec::new(), answer: decision::Answer::Refused(rejection), keys: Vec::new() })
            }
            decided => decided,
        }
    }
}

/// What became of a command. It is durable, and so is everything it was decided on.
#[derive(Debug)]
pub struct Receipt {
    /// Its events, in order; none if nothing had to change.
    pub events: Vec<Recorded>,
    /// The size of the log that `seal` signs: with the events, or the newest when there are none.
    pub size: TreeSize,
    /// The seal over them: a signed checkpoint.
    pub seal: Bytes,
    /// What is answered.
    pub answer: Result<Output, Rejection>,
    /// Whether this is the answer to an earlier command under the same idempotency key: no new event, things as they
    /// are today, no secret.
    pub replayed: bool,
}

/// An event that was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// Its position.
    pub seq: Seq,
    /// When it was decided.
    pub time: Micros,
    /// What happened.
    pub kind: Kind,
    /// Its hash.
    pub hash: Hash,
}

/// A command was not decided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Too many wait.
    #[error("too many commands wait; try again in {retry_after_secs} s")]
    Busy {
        /// When to try again.
        retry_after_secs: u32,
    },
    /// Nothing is written any more. Whether a command that was waiting happened is unknown until the log is read again.
    #[error("writing has stopped: {why}")]
    Stopped {
        /// Why.
        why: String,
    },
    /// Views or keys could not be read for this command; nothing was decided.
    #[error("the command could not be decided: {why}")]
    Unavailable {
        /// Why.
        why: String,
    },
}

/// Where commands go in. Clones share it.
#[derive(Clone)]
pub struct Sequencer {
    shared: Arc<Shared>,
    jobs: Sender<Message>,
}

/// How writing goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Commands that wait to be decided.
    pub waiting: usize,
    /// How many may.
    pub waiting_max: usize,
    /// Events that are durable.
    pub durable: TreeSize,
    /// Why writing stopped, if it did.
    pub stopped: Option<String>,
    /// What was done since the start.
    pub counts: Counts,
}

/// What was done since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Commands answered.
    pub commands: u64,
    /// Of these, refused.
    pub refused: u64,
    /// Of these, answers given again under an idempotency key.
    pub replayed: u64,
    /// Events recorded.
    pub events: u64,
    /// Commits.
    pub commits: u64,
    /// Time spent in commits, in microseconds.
    pub commit_micros: u64,
}

impl Sequencer {
    /// Hands in a command; never waits.
    ///
    /// # Errors
    /// [`SubmitError::Busy`] when too many wait, [`SubmitError::Stopped`] when nothing is written any more.
    pub fn submit(&self, request: Request) -> Result<Pending, SubmitError> {
        match self.shared.room.try_acquire() {
            Ok(permit) => {
                permit.forget();
                self.hand_in(request)
            }
            Err(tokio::sync::TryAcquireError::NoPermits) => Err(SubmitError::Busy { retry_after_secs: 1 }),
            Err(tokio::sync::TryAcquireError::Closed) => Err(self.shared.stopped()),
        }
    }

    /// Hands in a command as soon as there is room for it.
    ///
    /// # Errors
    /// [`SubmitError::Stopped`] when nothing is written any more.
    pub async fn submit_when_free(&self, request: Request) -> Result<Pending, SubmitError> {
        match self.shared.room.acquire().await {
            Ok(permit) => {
                permit.forget();
                self.hand_in(request)
            }
            Err(_) => Err(self.shared.stopped()),
        }
    }

    /// Hands in a command for which room was taken; the decider gives the room back.
    fn hand_in(&self, request: Request) -> Result<Pending, SubmitError> {
        let (reply, answer) = oneshot::channel();
        let (span, since) = (tracing::Span::current(), Instant::now());
        let job = Message::Job(Box::new(Job { request, reply, span, since }));
        self.jobs.send(job).map_err(|_| self.shared.stopped())?;
        Ok(Pending { answer, shared: self.shared.clone() })
    }

    /// What a reader may already know: a view that reflects a log of this size reflects every answer given so far.
    #[must_use]
    pub fn acknowledged(&self) -> TreeSize {
        self.shared.log.size()
    }

    /// As [`acknowledged`](Self::acknowledged), for who checks credentials alone: a view that reflects a log of this size
    /// reflects every acknowledged change of who is let in. It moves far less often, so that checking a credential
    /// seldom waits for a view.
    #[must_use]
    pub fn access_acknowledged(&self) -> TreeSize {
        TreeSize(self.shared.access.load(Ordering::Acquire))
    }

    /// As [`access_acknowledged`](Self::access_acknowledged), for who checks tokens that were issued before: what they are
    /// worth, and the keys they are checked with. Issuing one moves nothing.
    #[must_use]
    pub fn tokens_acknowledged(&self) -> TreeSize {
        TreeSize(self.shared.tokens.load(Ordering::Acquire))
    }

    /// Notes that somebody looked into a token, to be recorded with the next commit. When writing has stopped it is not
    /// recorded: reads go on.
    ///
    /// # Errors
    /// [`SubmitError::Busy`] when too many notes wait.
    pub fn note_introspection(&self, tenant: TenantId, look: Introspection) -> Result<(), SubmitError> {
        if self.shared.stopped.get().is_some() {
            return Ok(());
        }
        match self.shared.looks.note(tenant, look) {
            Some(true) => drop(self.jobs.send(Message::Looks)),
            Some(false) => {}
            None => return Err(SubmitError::Busy { retry_after_secs: 1 }),
        }
        Ok(())
    }

    /// Waits until every look that was noted is recorded, or writing has stopped.
    pub async fn introspections_recorded(&self) {
        let noted = self.shared.looks.count();
        if self.shared.looks.are_recorded(noted) {
            return;
        }
        let mut durable = self.shared.durable.subscribe();
        while !self.shared.looks.are_recorded(noted) && self.shared.stopped.get().is_none() {
            // A commit that fails tells nobody.
            let _ = tokio::time::timeout(LOOK_AGAIN, durable.changed()).await;
        }
    }

    /// The size of the durable log, as it grows.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<TreeSize> {
        self.shared.durable.subscribe()
    }

    /// How writing goes.
    #[must_use]
    pub fn status(&self) -> Status {
        self.shared.status()
    }

    /// Where the time of commands went since the start.
    #[must_use]
    pub fn stages(&self) -> &Stages {
        &self.shared.stages
    }
}

/// An answer to come.
#[derive(Debug)]
pub struct Pending {
    answer: oneshot::Receiver<Answer>,
    shared: Arc<Shared>,
}

impl Pending {
    /// Waits for the answer, outside of any async runtime.
    ///
    /// # Errors
    /// As the future's.
    pub fn wait(self) -> Result<Receipt, SubmitError> {
        self.answer.blocking_recv().unwrap_or_else(|_| Err(self.shared.stopped()))
    }
}

impl Future for Pending {
    type Output = Result<Receipt, SubmitError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer).poll(cx).map(|answer| answer.unwrap_or_else(|_| Err(self.shared.stopped())))
    }
}

/// What becomes of a command, or why it was not decided.
type Answer = Result<Receipt, SubmitError>;

/// The answers to a group of commands, each on its way to who waits for it.
pub struct Answers(Vec<(oneshot::Sender<Answer>, Answer)>);

impl Answers {
    /// Hands each over.
    pub fn deliver(self) {
        for (to, answer) in self.0 {
            // Whoever asked may have gone.
            let _ = to.send(answer);
        }
    }
}

/// Has answers delivered. The committer calls it, and goes on with the next group when it returns.
pub type Deliver = Box<dyn Fn(Answers) + Send>;

/// What a sequencer is started with.
pub(crate) struct Parts {
    pub(crate) committer: Committer,
    pub(crate) log: Arc<dyn LogStore>,
    pub(crate) secrets: Arc<Keystore>,
    pub(crate) keys: Arc<KeyDirectory>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Box<dyn Random>,
    pub(crate) stores: PerView<ViewStore>,
    pub(crate) views: Views,
    pub(crate) workers: Arc<PerView<Worker>>,
    pub(crate) deliver: Deliver,
    /// Commands that may wait to be decided.
    pub(crate) waiting_max: usize,
    /// How many events a view may be behind before deciding waits for it, because all they wrote is held in memory.
    pub(crate) lag_events_max: u64,
}

/// The sequencer's threads.
pub(crate) struct Threads {
    decider: JoinHandle<()>,
    committer: JoinHandle<()>,
}

/// A log cannot be written to from where it ends.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its end cannot be read.
    #[error(transparent)]
    Store(#[from] chancery_ledger::store::StoreError),
    /// Its last event has no time.
    #[error("the log's last event cannot be read: {0}")]
    Unreadable(#[from] event::HeaderError),
    /// The system gave no thread.
    #[error("no thread could be started: {0}")]
    Thread(std::io::Error),
}

impl Sequencer {
    /// Starts to take commands for a log that is not empty.
    pub(crate) fn start(parts: Parts) -> Result<(Self, Threads), StartError> {
        let (sequencer, decider, writer) = Self::prepare(parts)?;
        let shared = &sequencer.shared;
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            thread::Builder::new().name(name.to_owned()).spawn(run).map_err(StartError::Thread)
        };
        let (committing, deciding) = (EndOfThread::new(shared, true), EndOfThread::new(shared, false));
        let threads = Threads {
            committer: spawn(
                "committer",
                Box::new(move || {
                    let _end = committing;
                    writer.run();
                }),
            )?,
            decider: spawn(
                "decider",
                Box::new(move || {
                    let _end = deciding;
                    decider.run();
                }),
            )?,
        };
        Ok((sequencer, threads))
    }

    /// What takes commands, what decides them and what commits them, with no thread yet.
    fn prepare(parts: Parts) -> Result<(Self, Decider, Writer), StartError> {
        let Parts {
            committer,
            log,
            secrets,
            keys,
            clock,
            random,
            stores,
            views,
            workers,
            deliver,
            waiting_max,
            lag_events_max,
        } = parts;
        let last = match log.size().last() {
            None => Micros::default(),
            Some(seq) => {
                let missing = chancery_ledger::store::StoreError::Missing { seq };
                event::peek(&log.record(seq)?.ok_or(missing)?.header)?.1
            }
        };
        let shared = Arc::new(Shared {
            log: log.clone(),
            room: Semaphore::new(waiting_max.min(Semaphore::MAX_PERMITS)),
            waiting_max,
            durable: watch::Sender::new(log.size()),
            access: AtomicU64::new(log.size().0),
            tokens: AtomicU64::new(log.size().0),
            looks: Looks::default(),
            stopped: OnceLock::new(),
            is_committer_gone: AtomicBool::new(false),
            commands: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            replayed: AtomicU64::new(0),
            events: AtomicU64::new(0),
            commits: AtomicU64::new(0),
            commit_micros: AtomicU64::new(0),
            stages: Stages::default(),
        });
        let (jobs, waiting) = unbounded();
        // Without room: a group that is not taken at once goes on gathering.
        let (groups, gathered) = bounded(0);
        let writer = Writer {
            shared: shared.clone(),
            groups: gathered,
            committer,
            secrets: secrets.clone(),
            seal: committer::newest_seal(&*log)?,
            log: log.clone(),
            workers,
            deliver,
            unsynced: Some(Instant::now()),
        };
        let overlays = PerView::try_make(|view| Ok::<_, StartError>(Overlay::new(stores.get(view).clone())))?;
        let start = decider::Start { log, secrets, keys, clock, random, overlays, views, last, lag_events_max };
        let decider = Decider::new(shared.clone(), waiting, groups, start);
        Ok((Self { shared, jobs }, decider, writer))
    }

    /// Lets nothing more in, and waits until what was let in is durable and answered.
    pub(crate) fn stop(&self, threads: Threads) {
        self.shared.stop(STOPPED_ON_REQUEST);
        // A decider that is gone already needs no telling.
        let _ = self.jobs.send(Message::Stop);
        for (name, thread) in [("decider", threads.decider), ("committer", threads.committer)] {
            if thread.join().is_err() {
                tracing::error!(name, "a thread of the sequencer ended by a panic");
            }
        }
    }
}

/// Stops writing when its thread ends, however it ends.
struct EndOfThread {
    shared: Arc<Shared>,
    is_committer: bool,
}

impl EndOfThread {
    fn new(shared: &Arc<Shared>, is_committer: bool) -> Self {
        Self { shared: shared.clone(), is_committer }
    }
}

impl Drop for EndOfThread {
    fn drop(&mut self) {
        self.shared.stop(STOPPED_UNEXPECTEDLY);
        if self.is_committer {
            self.shared.is_committer_gone.store(true, Ordering::Release);
        }
    }
}

/// Stops writing before a panic takes the commands that its owner holds, so that whoever is told so finds it so.
struct StopOnPanic(Arc<Shared>);

impl Drop for StopOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop(STOPPED_UNEXPECTEDLY);
        }
    }
}

/// What goes to the decider.
enum Message {
    Job(Box<Job>),
    /// There are notes of looks into tokens.
    Looks,
    Stop,
}

/// A command and where its answer goes. Dropping it answers [`SubmitError::Stopped`].
struct Job {
    request: Request,
    reply: oneshot::Sender<Answer>,
    /// The submitter's, so that the trace follows the command.
    span: tracing::Span,
    /// When it was handed in.
    since: Instant,
}

/// What submitters, decider and committer share.
struct Shared {
    log: Arc<dyn LogStore>,
    /// One permit for each command that may wait. The channel itself is unbounded, because only such a one drops what
    /// it holds when its receiver goes; this bounds it.
    room: Semaphore,
    waiting_max: usize,
    durable: watch::Sender<TreeSize>,
    /// The size of the log with the last commit that changed who is let in.
    access: AtomicU64,
    /// The size of the log with the last commit that changed what tokens are worth.
    tokens: AtomicU64,
    looks: Looks,
    stopped: OnceLock<String>,
    /// Nothing handed over will become durable any more.
    is_committer_gone: AtomicBool,
    commands: AtomicU64,
    refused: AtomicU64,
    replayed: AtomicU64,
    events: AtomicU64,
    commits: AtomicU64,
    commit_micros: AtomicU64,
    stages: Stages,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl Shared {
    /// Lets nothing more in, for the first reason given.
    fn stop(&self, why: &str) {
        let is_first = self.stopped.set(why.to_owned()).is_ok();
        if why != STOPPED_ON_REQUEST && (is_first || why != STOPPED_UNEXPECTEDLY) {
            tracing::error!(why, "writing has stopped for good; reads go on");
        }
        self.room.close();
    }

    fn stopped(&self) -> SubmitError {
        let why = self.stopped.get().map_or(STOPPED_UNEXPECTEDLY, String::as_str);
        SubmitError::Stopped { why: why.to_owned() }
    }

    fn status(&self) -> Status {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Status {
            waiting: self.waiting_max.saturating_sub(self.room.available_permits()),
            waiting_max: self.waiting_max,
            durable: self.log.size(),
            stopped: self.stopped.get().cloned(),
            counts: Counts {
                commands: read(&self.commands),
                refused: read(&self.refused),
                replayed: read(&self.replayed),
                events: read(&self.events),
                commits: read(&self.commits),
                commit_micros: read(&self.commit_micros),
            },
        }
    }
}
