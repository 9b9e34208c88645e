//! Taking over a log that has events: is its end what was written, and may this writer go on from there?

use std::path::PathBuf;
use std::sync::Arc;

use super::{Committer, seal_key};
use crate::body::Kind;
use crate::event::{Envelope, Event};
use crate::ids::{Seq, TreeSize};
use crate::keys::{KeyDirectory, KeyFileError, PublicKey};
use crate::last_checkpoint::LastCheckpoint;
use crate::link::{self, Hash};
use crate::store::{LogStore, Record, StoreError, StoreNodes};
use crate::tree::seal::{Seal, SealError};
use crate::tree::{Frontier, leaf_hash};

/// Events that are verified at every start, also when the last checkpoint is newer: what was written last is what a
/// crash can have hurt.
const TAIL_EVENTS_MIN: u64 = 256;

/// A log cannot be continued. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An event near the log's end is not what was recorded.
    #[error(
        "event {seq}, near the log's end, is damaged: {why}; run `chancery verify` on the data directory, then restore \
         the log from its archive, a backup or an export (`chancery restore`)"
    )]
    Damaged {
        /// Its position.
        seq: Seq,
        /// What is wrong with it.
        why: String,
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
        dir: PathBuf,
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

impl Committer {
    /// Takes over a log that has events: compares it with the last checkpoint kept apart from it, verifies what came
    /// after that, and finds the key that may seal next. Reads the events since that checkpoint, which is never much
    /// older than a second, and O(log n) others; nothing before it is hashed again.
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
        let frontier = Frontier::resume(size, &StoreNodes(&*store))?;
        if seal.checkpoint().size != size || seal.checkpoint().root != frontier.root() {
            return Err(OpenError::Tampered);
        }
        let origin = seal.checkpoint().origin.clone();
        let signed = compare(&*store, &origin, &last_checkpoint)?;
        let head = verify_tail(&*store, TreeSize(signed.0.min(size.0.saturating_sub(TAIL_EVENTS_MIN))), &frontier)?;
        let wrong_key = |dir: &KeyDirectory| {
            let dir = dir.path().to_owned();
            move |source| OpenError::WrongKey { dir, source }
        };
        let sealed_by = keys.find_by(|public| seal.verify(public).is_ok()).map_err(wrong_key(&keys))?;
        let key = match rotated_to(last, &record(&*store, last)?)? {
            None => sealed_by,
            Some(public) => keys.find(&public).map_err(wrong_key(&keys))?,
        };
        Ok(Self { store, keys, last_checkpoint, origin, key, frontier, head })
    }
}

/// Holds the log against the last checkpoint signed for it, and gives its size; 0 when none was kept.
fn compare(store: &dyn LogStore, origin: &str, last: &LastCheckpoint) -> Result<TreeSize, OpenError> {
    let Some((signed, bytes)) = last.newest() else { return Ok(TreeSize(0)) };
    if signed > store.size() {
        return Err(OpenError::Behind { found: store.size(), signed });
    }
    let seal = Seal::parse(&bytes)?;
    let same = Frontier::resume(signed, &StoreNodes(store))?.root() == seal.checkpoint().root;
    if same && seal.checkpoint().origin == origin { Ok(signed) } else { Err(OpenError::Diverged { size: signed }) }
}

/// Verifies the newest events of a log that others may append to meanwhile: their bodies, links and nodes, and that they
/// come to the root that the last seal signs, by one of these keys. Gives how many they are.
///
/// # Errors
/// [`OpenError`] says what is damaged, or that the log cannot be read.
pub fn verify_newest(store: &dyn LogStore, events: u64, keys: &[PublicKey]) -> Result<u64, OpenError> {
    let (size, bytes) = store.last_seal()?.ok_or(StoreError::Empty)?;
    let seal = Seal::parse(&bytes)?;
    let frontier = Frontier::resume(size, &StoreNodes(store))?;
    let is_signed = keys.iter().any(|key| seal.verify(key).is_ok());
    if !is_signed || seal.checkpoint().size != size || seal.checkpoint().root != frontier.root() {
        return Err(OpenError::Tampered);
    }
    let from = TreeSize(size.0.saturating_sub(events));
    verify_tail(store, from, &frontier)?;
    Ok(size.0 - from.0)
}

/// Verifies the events from a size on, up to the tree's right edge, against the nodes before it
/// and that edge after them, and gives the hash of the last.
fn verify_tail(store: &dyn LogStore, from: TreeSize, edge: &Frontier) -> Result<Hash, OpenError> {
    let mut frontier = Frontier::resume(from, &StoreNodes(store))?;
    let mut head = match from.last() {
        None => Hash::ZERO,
        Some(before) => link::header_hash(&record(store, before)?.header),
    };
    for item in store.records(from.next()) {
        if frontier.size() == edge.size() {
            break;
        }
        let (seq, record) = item?;
        let damaged = |why: &str| Err(OpenError::Damaged { seq, why: why.to_owned() });
        let envelope = match Envelope::parse(&record.header) {
            Ok(envelope) => envelope,
            Err(error) => return damaged(&error.to_string()),
        };
        if envelope.seq != seq || seq != frontier.size().next() {
            return damaged("it does not stand in its place");
        }
        if envelope.prev != head {
            return damaged("it does not name the hash of the event before it");
        }
        if envelope.body_hash != link::body_hash(&record.body) {
            return damaged("its body does not have the hash in its header");
        }
        if frontier.push(leaf_hash(&record.header)) != record.nodes {
            return damaged("the tree's nodes kept with it are not those of the events");
        }
        head = link::header_hash(&record.header);
    }
    if frontier.size() == edge.size() && frontier.root() == edge.root() { Ok(head) } else { Err(OpenError::Tampered) }
}

fn record(store: &dyn LogStore, seq: Seq) -> Result<Record, OpenError> {
    Ok(store.record(seq)?.ok_or(StoreError::Missing { seq })?)
}

/// The key that the log's last record, if it is a rotation, put in place.
fn rotated_to(seq: Seq, record: &Record) -> Result<Option<PublicKey>, OpenError> {
    let damaged = |why: String| OpenError::Damaged { seq, why };
    let envelope = Envelope::parse(&record.header).map_err(|error| damaged(error.to_string()))?;
    if envelope.kind != Kind::SigningKeyAdded.code() {
        return Ok(None);
    }
    let (event, _) = Event::read(&record.header, &record.body).map_err(|error| damaged(error.to_string()))?;
    match seal_key(&event.body) {
        None => Ok(None),
        Some(added) => Ok(Some(PublicKey::from_slice(&added.public).ok_or(SealError::Key)?)),
    }
}
