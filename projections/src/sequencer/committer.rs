//! Makes groups durable, then tells the views and answers everybody in the group.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chancery_ledger::body::Kind;
use chancery_ledger::commit::{Commit, Committer};
use chancery_ledger::event::Envelope;
use chancery_ledger::ids::Seq;
use chancery_ledger::keystore::Keystore;
use chancery_ledger::link;
use chancery_ledger::store::{LogStore, StoreError};
use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::decider::{Group, Outcome, Reply};
use super::{Answers, Deliver, Receipt, Recorded, Shared, Stage, StopOnPanic, SubmitError};
use crate::canary::{self, Canary};
use crate::rejection::Rejection;
use crate::views::PerView;
use crate::worker::Worker;

/// How often at most the checkpoint beside the log is synced: what it guards against is an older copy of the log, which
/// is never a second old.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);

/// The thread that commits.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) groups: Receiver<Group>,
    pub(super) committer: Committer,
    pub(super) secrets: Arc<Keystore>,
    pub(super) log: Arc<dyn LogStore>,
    pub(super) workers: Arc<PerView<Worker>>,
    pub(super) deliver: Deliver,
    /// The newest seal.
    pub(super) seal: Bytes,
    /// Since when a checkpoint waits to be synced.
    pub(super) unsynced: Option<Instant>,
}

impl Writer {
    /// Commits until the decider is gone, or something fails; then nothing is written any more.
    pub(super) fn run(mut self) {
        loop {
            let group = match self.next_group() {
                Ok(Some(group)) => group,
                Ok(None) => break,
                Err(why) => return self.shared.stop(&why),
            };
            match self.make_durable(&group) {
                Ok(commit) => self.answer(group, commit.as_deref()),
                Err(why) => {
                    // The reason is there before the group's callers, who are answered by dropping the group, ask for it.
                    self.shared.stop(&why);
                    return;
                }
            }
            if self.unsynced.is_some_and(|since| since.elapsed() >= CHECKPOINT_EVERY)
                && let Err(why) = self.sync_checkpoint()
            {
                return self.shared.stop(&why);
            }
        }
        if let Err(why) = self.sync_checkpoint() {
            self.shared.stop(&why);
        }
    }

    /// The next group; meanwhile the checkpoint is synced when that is due. `None` when the decider is gone.
    fn next_group(&mut self) -> Result<Option<Group>, String> {
        loop {
            let Some(since) = self.unsynced else { return Ok(self.groups.recv().ok()) };
            match self.groups.recv_timeout(CHECKPOINT_EVERY.saturating_sub(since.elapsed())) {
                Ok(group) => return Ok(Some(group)),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => self.sync_checkpoint()?,
            }
        }
    }

    /// Makes the checkpoint beside the log durable, if one waits for that.
    pub(super) fn sync_checkpoint(&mut self) -> Result<(), String> {
        if self.unsynced.take().is_some() {
            let synced = self.committer.sync_last_checkpoint();
            synced.map_err(|error| format!("the last checkpoint could not be synced: {error}"))?;
        }
        Ok(())
    }

    /// Makes a group durable, if it has events: first its keys, then them.
    pub(super) fn make_durable(&mut self, group: &Group) -> Result<Option<Arc<Commit>>, String> {
        let _stops = StopOnPanic(self.shared.clone());
        let taken = Instant::now();
        if group.has_new_keys && !canary::is(Canary::KeysNotSynced) {
            self.secrets.sync().map_err(|error| error.to_string())?;
        }
        if group.numbered.events().is_empty() {
            return Ok(None);
        }
        let begun = Instant::now();
        let commit = match self.committer.commit(group.numbered.clone()) {
            Ok(commit) => Arc::new(commit),
            Err(_) if canary::is(Canary::FailedCommitsAnswered) => return Ok(None),
            Err(error) => {
                // The log may hold the group all the same, when it was the checkpoint beside it that failed; and readers
                // wait for what the log holds.
                self.workers.iter().for_each(|(_, worker)| worker.look());
                return Err(error.to_string());
            }
        };
        if !group.erased.is_empty() {
            // Whoever is told that something was erased finds it erased. After a crash here, the next start does it.
            let destroyed = self.secrets.destroy(&group.erased);
            destroyed.map_err(|error| format!("what was erased could not be destroyed: {error}"))?;
        }
        let durable = Instant::now();
        self.workers.iter().for_each(|(_, worker)| worker.follow(&commit));
        self.seal = commit.seal().bytes().clone();
        if commit.events().iter().any(|event| changes_access(event.body.kind())) {
            self.shared.access.store(commit.size().0, Ordering::Release);
        }
        if commit.events().iter().any(|event| changes_tokens(event.body.kind())) {
            self.shared.tokens.store(commit.size().0, Ordering::Release);
        }
        self.shared.looks.recorded(group.looks);
        self.shared.durable.send_replace(commit.size());
        let took = begun.elapsed();
        let (commands, keys) = (group.replies.len() as u64, begun - taken);
        self.shared.stages.committed(commands, keys, &commit.times(), durable.elapsed());
        self.shared.commits.fetch_add(1, Ordering::Relaxed);
        self.shared.events.fetch_add(commit.events().len() as u64, Ordering::Relaxed);
        self.shared.commit_micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        tracing::debug!(size = %commit.size(), events = commit.events().len(), ?took, "committed");
        self.unsynced.get_or_insert(begun);
        Ok(Some(commit))
    }

    /// Answers everybody in a group, once it and all before it are durable.
    pub(super) fn answer(&self, group: Group, commit: Option<&Commit>) {
        let (begun, commands) = (Instant::now(), group.replies.len() as u64);
        let answers = group.replies.into_iter().map(|Reply { to, outcome, span, taken }| {
            self.shared.stages.get(Stage::Gather).observe(group.closed - taken);
            self.shared.count(&outcome);
            (to, span.in_scope(|| self.receipt(outcome, commit).inspect(trace)))
        });
        (self.deliver)(Answers(answers.collect()));
        self.shared.stages.get(Stage::Answer).observe_many(begun.elapsed(), commands);
    }

    fn receipt(&self, outcome: Outcome, commit: Option<&Commit>) -> Result<Receipt, SubmitError> {
        match outcome {
            Outcome::Decided { events, answer } => {
                let events = commit.map_or_else(Vec::new, |commit| {
                    let events = commit.events().get(events).unwrap_or_default().iter();
                    events
                        .filter_map(|event| {
                            let hash = commit.hash(event.seq)?;
                            Some(Recorded { seq: event.seq, time: event.time, kind: event.body.kind(), hash })
                        })
                        .collect()
                });
                let size = self.committer.size();
                Ok(Receipt { events, size, seal: self.seal.clone(), answer, replayed: false })
            }
            Outcome::Replayed { events, output } => {
                let unavailable = |why: String| SubmitError::Unavailable { why };
                let recorded: Result<Vec<_>, _> = events.clone().map(|seq| self.recorded(Seq(seq))).collect();
                let seal = self.log.seal_of(Seq(events.end.saturating_sub(1)));
                let (size, seal) = seal
                    .map_err(|error| unavailable(error.to_string()))?
                    .unwrap_or_else(|| (self.committer.size(), self.seal.clone()));
                let events = recorded.map_err(unavailable)?;
                Ok(Receipt { events, size, seal, answer: Ok(output), replayed: true })
            }
        }
    }

    /// An event of the log, as a receipt names it.
    fn recorded(&self, seq: Seq) -> Result<Recorded, String> {
        let record = self.log.record(seq).map_err(|error| error.to_string())?;
        let record = record.ok_or_else(|| format!("event {seq} is missing from the log"))?;
        let envelope = Envelope::parse(&record.header).map_err(|error| error.to_string())?;
        let kind = Kind::from_code(envelope.kind).ok_or_else(|| format!("event {seq} is of an unknown kind"))?;
        Ok(Recorded { seq, time: envelope.time, kind, hash: link::header_hash(&record.header) })
    }
}

/// Whether events of a kind change who is let in, or where.
const fn changes_access(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::TenantCreated
            | Kind::TenantUpdated
            | Kind::TenantSuspended
            | Kind::TenantResumed
            | Kind::TenantDeleted
            | Kind::CredentialCreated
            | Kind::CredentialRotated
            | Kind::CredentialRevoked
    )
}

/// Whether events of a kind change what tokens that exist are worth, or which keys they are checked with.
const fn changes_tokens(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::SigningKeyAdded
            | Kind::SigningKeyRetired
            | Kind::TenantSuspended
            | Kind::TenantResumed
            | Kind::TenantDeleted
            | Kind::OrganisationUpdated
            | Kind::OrganisationDeleted
            | Kind::AgentSuspended
            | Kind::AgentResumed
            | Kind::AgentDecommissioned
            | Kind::TokenUsed
            | Kind::TokenRevoked
            | Kind::MissionCompleted
            | Kind::MissionRevoked
    )
}

/// The last a trace tells of a command, in the span in which it was handed in.
fn trace(receipt: &Receipt) {
    let Receipt { events, size, answer, replayed, .. } = receipt;
    let (first, refused) = (events.first().map(|event| event.seq.0), answer.as_ref().err().map(Rejection::code));
    tracing::debug!(%size, first, events = events.len(), refused, replayed, "durable");
}

/// The newest seal of a log, to begin with.
pub(super) fn newest_seal(log: &dyn LogStore) -> Result<Bytes, StoreError> {
    Ok(log.last_seal()?.map(|(_, seal)| seal).unwrap_or_default())
}
