//! The only way into the log: link, extend the tree, seal, make durable. Only then is anything acknowledged.
//!
//! One [`Committer`] owns the head of a log. Its groups are atomic; each ends in a seal. A seal leaves this module
//! inside a [`Commit`], and only a durable group becomes one.

mod open;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::body::Body;
use crate::body::ledger::{Purpose, SigningKeyAdded};
use crate::codec::CodecError;
use crate::event::Event;
use crate::ids::{Seq, TreeSize};
use crate::keys::{KeyDirectory, KeyFileError, PublicKey, SigningKey};
use crate::last_checkpoint::LastCheckpoint;
use crate::link::{self, Hash};
use crate::store::{AppendTimes, Group, LogStore, Record, StoreError};
use crate::tree::seal::{Checkpoint, Seal, SealError};
use crate::tree::{Frontier, leaf_hash};

pub use open::{OpenError, verify_newest};

/// Most events in one commit: bounds memory and the time one flush covers.
pub const GROUP_EVENTS_MAX: usize = 4096;

/// Numbered events, each with its body's bytes: what one commit is to make durable. That a body can be stored is known
/// before it is part of a group, so that one command's body never costs another its commit.
#[derive(Debug, Default)]
pub struct Numbered {
    events: Vec<Event>,
    bodies: Vec<Bytes>,
    body_bytes: usize,
}

impl Numbered {
    /// An empty group with room for so many events, so that it need not be moved as it grows.
    #[must_use]
    pub fn with_capacity(events: usize) -> Self {
        Self { events: Vec::with_capacity(events), bodies: Vec::with_capacity(events), body_bytes: 0 }
    }

    /// Adds an event after the others.
    ///
    /// # Errors
    /// [`CodecError::TooLarge`] when its body is larger than bodies may be; the group is as before.
    pub fn push(&mut self, event: Event) -> Result<(), CodecError> {
        let body = Bytes::from(event.body.encode(&event.prelude)?);
        self.body_bytes += body.len();
        self.bodies.push(body);
        self.events.push(event);
        Ok(())
    }

    /// Takes away all but the first `len` events.
    pub fn truncate(&mut self, len: usize) {
        self.events.truncate(len);
        self.body_bytes -= self.bodies.drain(len.min(self.bodies.len())..).map(|body| body.len()).sum::<usize>();
    }

    /// The events, in log order.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Bytes of all bodies.
    #[must_use]
    pub const fn body_bytes(&self) -> usize {
        self.body_bytes
    }

    /// The event at a position, if it is of this group.
    #[must_use]
    pub fn event(&self, seq: Seq) -> Option<&Event> {
        let first = self.events.first()?.seq.0;
        self.events.get(usize::try_from(seq.0.checked_sub(first)?).ok()?)
    }
}

/// A durable group of events. Nothing but [`Committer::commit`] makes one.
#[derive(Debug)]
pub struct Commit {
    group: Arc<Numbered>,
    hashes: Vec<Hash>,
    seal: Seal,
    times: CommitTimes,
}

/// Where the time of one commit went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CommitTimes {
    /// Rendering headers, hashing, and extending the tree.
    pub link: Duration,
    /// Signing the checkpoint.
    pub seal: Duration,
    /// Making it durable.
    pub append: AppendTimes,
    /// Keeping the checkpoint apart from the log.
    pub keep: Duration,
}

impl Commit {
    /// The events, in log order; never empty.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.group.events
    }

    /// Bytes of all bodies.
    #[must_use]
    pub fn body_bytes(&self) -> usize {
        self.group.body_bytes
    }

    /// The hash of one of the events.
    #[must_use]
    pub fn hash(&self, seq: Seq) -> Option<Hash> {
        let first = self.events().first()?.seq.0;
        self.hashes.get(usize::try_from(seq.0.checked_sub(first)?).ok()?).copied()
    }

    /// The seal that signs them all.
    #[must_use]
    pub const fn seal(&self) -> &Seal {
        &self.seal
    }

    /// The size of the log with this commit.
    #[must_use]
    pub fn size(&self) -> TreeSize {
        self.seal.checkpoint().size
    }

    /// Where its time went.
    #[must_use]
    pub const fn times(&self) -> CommitTimes {
        self.times
    }
}

/// A group was not committed, and nothing may be written any more.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The disk failed, or another process wrote to the log.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The new sealing key cannot be used.
    #[error("the new sealing key cannot be used: {0}")]
    Key(#[from] KeyFileError),
    /// A seal could not be made.
    #[error("the commit could not be sealed: {0}")]
    Seal(#[from] SealError),
    /// The last checkpoint could not be kept apart from the log.
    #[error("the last checkpoint could not be written beside the log: {0}")]
    LastCheckpoint(std::io::Error),
}

/// The one writer of a log.
pub struct Committer {
    store: Arc<dyn LogStore>,
    keys: KeyDirectory,
    last_checkpoint: LastCheckpoint,
    origin: String,
    key: SigningKey,
    frontier: Frontier,
    head: Hash,
}

impl Committer {
    /// Takes over an empty log, to be sealed by `key` under `origin`. The first group must begin with genesis.
    #[must_use]
    pub fn create(
        store: Arc<dyn LogStore>, keys: KeyDirectory, last_checkpoint: LastCheckpoint, origin: String, key: SigningKey,
    ) -> Self {
        Self { store, keys, last_checkpoint, origin, key, frontier: Frontier::empty(), head: Hash::ZERO }
    }

    /// The number of events in the log.
    #[must_use]
    pub const fn size(&self) -> TreeSize {
        self.frontier.size()
    }

    /// The log's origin.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The public key that seals the next commit.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.key.public()
    }

    /// The log.
    #[cfg(test)]
    pub(crate) fn store(&self) -> Arc<dyn LogStore> {
        self.store.clone()
    }

    /// Links, seals and makes durable one group of numbered events. When it returns, the group survives a power cut.
    ///
    /// A [`SigningKeyAdded`] of purpose `seal` must be the group's last event: this group is sealed by the old key,
    /// the next by the new one.
    ///
    /// # Errors
    /// [`CommitError`]; the log's end on disk is then unknown, and the committer must not be used again.
    ///
    /// # Panics
    /// When the group is empty or does not continue the log: one that was numbered wrongly must never be signed.
    pub fn commit(&mut self, group: Arc<Numbered>) -> Result<Commit, CommitError> {
        assert!(!group.events.is_empty(), "a commit has events");
        let begun = Instant::now();
        let expected = self.size();
        let mut frontier = self.frontier.clone();
        let mut head = self.head;
        let mut records = Vec::with_capacity(group.events.len());
        let mut hashes = Vec::with_capacity(group.events.len());
        for (event, body) in group.events.iter().zip(&group.bodies) {
            assert_eq!(event.seq, frontier.size().next(), "an event does not continue the log");
            let header = event.envelope(head, link::body_hash(body)).render();
            head = link::header_hash(&header);
            let nodes = frontier.push(leaf_hash(&header));
            hashes.push(head);
            records.push(Record { header, body: body.clone(), nodes });
        }
        let next_key = match group.events.split_last() {
            None => None,
            Some((last, rest)) => {
                assert!(!rest.iter().any(|e| seal_key(&e.body).is_some()), "a key rotation must end its group");
                seal_key(&last.body).map(|added| self.next_key(added)).transpose()?
            }
        };
        let checkpoint = Checkpoint { origin: self.origin.clone(), size: frontier.size(), root: frontier.root() };
        let linked = Instant::now();
        let seal = Seal::sign(&checkpoint, &self.key)?;
        let sealed = Instant::now();
        self.store.append(expected, &Group { records: &records, seal: seal.bytes() })?;
        let appended = Instant::now();
        self.last_checkpoint.record(checkpoint.size, seal.bytes()).map_err(CommitError::LastCheckpoint)?;
        let times = CommitTimes {
            link: linked - begun,
            seal: sealed - linked,
            append: self.store.last_append(),
            keep: appended.elapsed(),
        };
        (self.frontier, self.head) = (frontier, head);
        if let Some(key) = next_key {
            self.key = key;
        }
        Ok(Commit { group, hashes, seal, times })
    }

    /// Makes the checkpoint kept apart from the log as durable as the log itself.
    ///
    /// # Errors
    /// The disk's, when it fails.
    pub fn sync_last_checkpoint(&mut self) -> std::io::Result<()> {
        self.last_checkpoint.sync()
    }

    fn next_key(&self, added: &SigningKeyAdded) -> Result<SigningKey, CommitError> {
        let public = PublicKey::from_slice(&added.public).ok_or(SealError::Key)?;
        Ok(self.keys.find(&public)?)
    }
}

/// The sealing key that an event puts in place.
pub(crate) fn seal_key(body: &Body) -> Option<&SigningKeyAdded> {
    match body {
        Body::SigningKeyAdded(added) if added.purpose == Purpose::Seal => Some(added),
        _ => None,
    }
}

#[cfg(test)]
pub(crate) mod tests;
