//! The only way into the log: link, extend the tree, seal, make durable. Only then is anything acknowledged.
//!
//! One [`Committer`] owns the head of a log. Its groups are atomic; each ends in a seal. A seal leaves this module
//! inside a [`Commit`], and only a durable group becomes one.

use std::sync::Arc;

use bytes::Bytes;

use crate::body::ledger::{Purpose, SigningKeyAdded};
use crate::body::{Body, Kind};
use crate::codec::CodecError;
use crate::event::{Envelope, Event, ReadError};
use crate::ids::{Seq, TreeSize};
use crate::keys::{KeyDirectory, KeyFileError, PublicKey, SigningKey};
use crate::last_checkpoint::LastCheckpoint;
use crate::link::{self, Hash};
use crate::store::{Group, LogStore, Record, StoreError, StoreNodes};
use crate::tree::seal::{Checkpoint, Seal, SealError};
use crate::tree::{Frontier, leaf_hash};

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

/// A log cannot be continued. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The last record is not an event.
    #[error("event {seq}, the log's last, cannot be read: {source}; run `chancery verify` on the data directory")]
    Unreadable {
        /// Its position.
        seq: Seq,
        /// Why.
        source: ReadError,
    },
    /// The last seal is not one.
    #[error("the log's last seal is malformed: {0}; run `chancery verify` on the data directory")]
    Seal(#[from] SealError),
    /// The last seal does not match the tree of the events.
    #[error("the log's last seal is not the signed root of its events; run `chancery verify` on the data directory")]
    Tampered,
    /// None of the key files made the last seal.
    #[error("no key in {dir} made the log's last seal: is this the key directory of another ledger? {source}")]
    WrongKey {
        /// The key directory.
        dir: std::path::PathBuf,
        /// What looking for the key said.
        source: KeyFileError,
    },
    /// The log is behind a checkpoint that was signed for it.
    #[error(
        "the log ends at {found} events, but a checkpoint for {signed} was signed and may have left this machine; \
         it was probably restored from an older copy. Restore a newer one: continuing would fork the ledger"
    )]
    Behind {
        /// Events in the log.
        found: TreeSize,
        /// Events in the signed checkpoint.
        signed: TreeSize,
    },
    /// The log contradicts a checkpoint that was signed for it.
    #[error("the log contradicts the last checkpoint signed for it at {size} events; run `chancery verify`")]
    Diverged {
        /// Events in that checkpoint.
        size: TreeSize,
    },
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

    /// Takes over a log that has events: reads its tail, checks the last seal, finds the key that may seal next, and
    /// compares the log with the last checkpoint kept apart from it. Reads O(log n) records and rehashes nothing.
    ///
    /// # Errors
    /// [`OpenError`] says why the log cannot be continued.
    pub fn open(
        store: Arc<dyn LogStore>, keys: KeyDirectory, last_checkpoint: LastCheckpoint,
    ) -> Result<Self, OpenError> {
        let size = store.size();
        let (Some(last), Some((_, bytes))) = (size.last(), store.last_seal()?) else {
            return Err(StoreError::Empty.into());
        };
        let seal = Seal::parse(&bytes)?;
        let record = store.record(last)?.ok_or(StoreError::Missing { seq: last })?;
        let frontier = Frontier::resume(size, &StoreNodes(&*store))?;
        if seal.checkpoint().size != size || seal.checkpoint().root != frontier.root() {
            return Err(OpenError::Tampered);
        }
        let origin = seal.checkpoint().origin.clone();
        let wrong_key = |dir: &KeyDirectory| {
            let dir = dir.path().to_owned();
            move |source| OpenError::WrongKey { dir, source }
        };
        let sealed_by = keys.find_by(|public| seal.verify(public).is_ok()).map_err(wrong_key(&keys))?;
        let key = match rotated_to(last, &record)? {
            None => sealed_by,
            Some(public) => keys.find(&public).map_err(wrong_key(&keys))?,
        };
        let committer =
            Self { head: link::header_hash(&record.header), store, keys, last_checkpoint, origin, key, frontier };
        committer.compare_with_last_checkpoint()?;
        Ok(committer)
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
        let seal = Seal::sign(&checkpoint, &self.key)?;
        self.store.append(expected, &Group { records: &records, seal: seal.bytes() })?;
        self.last_checkpoint.record(checkpoint.size, seal.bytes()).map_err(CommitError::LastCheckpoint)?;
        (self.frontier, self.head) = (frontier, head);
        if let Some(key) = next_key {
            self.key = key;
        }
        Ok(Commit { group, hashes, seal })
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

    fn compare_with_last_checkpoint(&self) -> Result<(), OpenError> {
        let Some((signed, bytes)) = self.last_checkpoint.newest() else { return Ok(()) };
        if signed > self.size() {
            return Err(OpenError::Behind { found: self.size(), signed });
        }
        let seal = Seal::parse(&bytes)?;
        let same = Frontier::resume(signed, &StoreNodes(&*self.store))?.root() == seal.checkpoint().root;
        if same && seal.checkpoint().origin == self.origin { Ok(()) } else { Err(OpenError::Diverged { size: signed }) }
    }
}

/// The sealing key that an event puts in place.
fn seal_key(body: &Body) -> Option<&SigningKeyAdded> {
    match body {
        Body::SigningKeyAdded(added) if added.purpose == Purpose::Seal => Some(added),
        _ => None,
    }
}

/// The key that the log's last record, if it is a rotation, put in place.
fn rotated_to(seq: Seq, record: &Record) -> Result<Option<PublicKey>, OpenError> {
    let unreadable = |source| OpenError::Unreadable { seq, source };
    let envelope = Envelope::parse(&record.header).map_err(|error| unreadable(error.into()))?;
    if envelope.kind != Kind::SigningKeyAdded.code() {
        return Ok(None);
    }
    let (event, _) = Event::read(&record.header, &record.body).map_err(unreadable)?;
    match seal_key(&event.body) {
        None => Ok(None),
        Some(added) => Ok(Some(PublicKey::from_slice(&added.public).ok_or(SealError::Key)?)),
    }
}
