//! Making a log out of a copy of it: an archive's segments, or an export.
//!
//! What comes out is a log on disk that holds what the copy holds. Whether that is true is `crate::verify`'s to find,
//! before anybody puts it to use.

use std::path::Path;

use bytes::Bytes;

use super::follow::LogCommits;
use crate::commit::GROUP_EVENTS_MAX;
use crate::event::Envelope;
use crate::ids::Seq;
use crate::link::{self, Hash};
use crate::store::on_sled::SledStore;
use crate::store::{Group, LogStore, Record, StoreError};
use crate::tree::seal::Seal;
use crate::tree::{Frontier, leaf_hash};
use crate::verify::{Item, SourceError};

/// Bytes of commits that are written in one go: few syncs, and little memory.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// A log could not be made of a copy.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The copy cannot be read to its end.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The new log cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The copy leaves a body out, so no log can be made of it.
    #[error("the body of event {seq} is withheld: only a copy with all bodies can be restored")]
    Withheld {
        /// The first such event.
        seq: Seq,
    },
    /// The copy's last events have no seal.
    #[error("no seal signs event {seq} and those after it")]
    Unsealed {
        /// The first such event.
        seq: Seq,
    },
    /// A seal follows no event, or too many.
    #[error("the seals do not stand where commits end, at event {seq}")]
    Misplaced {
        /// Where.
        seq: Seq,
    },
}

/// A log in the making. What it holds may be put to use once it was verified.
pub struct Restoring {
    store: SledStore,
    batch: Batch,
    frontier: Frontier,
    head: Hash,
}

impl Restoring {
    /// Begins a log in a directory that holds none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn begin(dir: &Path) -> Result<Self, StoreError> {
        let store = SledStore::open(dir)?;
        Ok(Self { store, batch: Batch::default(), frontier: Frontier::empty(), head: Hash::ZERO })
    }

    /// Writes a copy's events and seals, durably. `progress` is told how many events were written. Memory is bounded by
    /// the largest commit.
    ///
    /// # Errors
    /// [`RestoreError`]; what was written by then is nothing to go on with.
    pub fn write(
        &mut self, items: impl IntoIterator<Item = Result<Item, SourceError>>, mut progress: impl FnMut(u64),
    ) -> Result<(), RestoreError> {
        let mut commit: Vec<Record> = Vec::new();
        for item in items {
            let seq = self.frontier.size().next();
            match item? {
                Item::Event { body: None, .. } => return Err(RestoreError::Withheld { seq }),
                Item::Event { .. } if commit.len() == GROUP_EVENTS_MAX => return Err(RestoreError::Misplaced { seq }),
                Item::Event { header, body: Some(body), .. } => {
                    let nodes = self.frontier.push(leaf_hash(&header));
                    self.head = link::header_hash(&header);
                    commit.push(Record { header, body, nodes });
                }
                Item::Seal(_) if commit.is_empty() => return Err(RestoreError::Misplaced { seq }),
                Item::Seal(seal) => {
                    self.batch.add(std::mem::take(&mut commit), seal);
                    if self.batch.bytes >= BATCH_BYTES {
                        self.batch.write(&self.store)?;
                        progress(self.store.size().0);
                    }
                }
            }
        }
        self.batch.write(&self.store)?;
        progress(self.store.size().0);
        match u64::try_from(commit.len()) {
            Ok(unsealed) if unsealed > 0 => Err(RestoreError::Unsealed { seq: Seq(self.frontier.size().0 - unsealed) }),
            _ => Ok(()),
        }
    }

    /// Adds what a damaged log still holds beyond the copy, commit by commit, for as long as each goes on from the one
    /// before and its seal is over the tree's root; and gives how many events that were. By which key they are sealed is
    /// the verifier's to find.
    ///
    /// # Errors
    /// [`StoreError`] when the new log cannot be written. What cannot be read of the damaged one ends it.
    pub fn salvage(&mut self, damaged: &dyn LogStore) -> Result<u64, StoreError> {
        let before = self.store.size();
        if damaged.size() <= before {
            return Ok(0);
        }
        for commit in LogCommits::new(damaged, before) {
            let Some((records, seal)) = commit.ok().and_then(|(records, seal)| self.goes_on(records, seal)) else {
                break;
            };
            self.batch.add(records, seal);
            self.batch.write(&self.store)?;
        }
        Ok(self.store.size().0 - before.0)
    }

    fn goes_on(&mut self, mut records: Vec<Record>, seal: Bytes) -> Option<(Vec<Record>, Bytes)> {
        let (mut frontier, mut head) = (self.frontier.clone(), self.head);
        for record in &mut records {
            let envelope = Envelope::parse(&record.header).ok()?;
            if envelope.prev != head || envelope.body_hash != link::body_hash(&record.body) {
                return None;
            }
            head = link::header_hash(&record.header);
            record.nodes = frontier.push(leaf_hash(&record.header));
        }
        let parsed = Seal::parse(&seal).ok()?;
        if parsed.checkpoint().size != frontier.size() || parsed.checkpoint().root != frontier.root() {
            return None;
        }
        (self.frontier, self.head) = (frontier, head);
        Some((records, seal))
    }

    /// The log, as it is now.
    #[must_use]
    pub const fn log(&self) -> &SledStore {
        &self.store
    }
}

/// Commits that wait to be written.
#[derive(Default)]
struct Batch {
    commits: Vec<(Vec<Record>, Bytes)>,
    bytes: usize,
}

impl Batch {
    fn add(&mut self, records: Vec<Record>, seal: Bytes) {
        self.bytes += records.iter().map(|record| record.header.len() + record.body.len()).sum::<usize>() + seal.len();
        self.commits.push((records, seal));
    }

    fn write(&mut self, store: &SledStore) -> Result<(), StoreError> {
        if self.commits.is_empty() {
            return Ok(());
        }
        let groups: Vec<_> = self.commits.iter().map(|(records, seal)| Group { records, seal }).collect();
        store.append_all(store.size(), &groups)?;
        drop(groups);
        self.commits.clear();
        self.bytes = 0;
        Ok(())
    }
}
