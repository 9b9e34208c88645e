//! Making a log out of a copy of it: an archive's segments, or an export.
//!
//! What comes out is a log on disk that holds what the copy holds. Whether that is true is `crate::verify`'s to find,
//! before anybody puts it to use.

use std::path::Path;

use bytes::Bytes;

use crate::commit::GROUP_EVENTS_MAX;
use crate::ids::{Seq, TreeSize};
use crate::store::on_sled::SledStore;
use crate::store::{Group, LogStore as _, Record, StoreError};
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

/// Writes a copy's events and seals into a new log in a directory that holds none, durably. `progress` is told how many
/// events were written. Memory is bounded by the largest commit.
///
/// # Errors
/// [`RestoreError`]; what is in the directory is then no log to go on with.
pub fn restore_log(
    items: impl IntoIterator<Item = Result<Item, SourceError>>, dir: &Path, mut progress: impl FnMut(u64),
) -> Result<TreeSize, RestoreError> {
    let store = SledStore::open(dir)?;
    let mut batch = Batch::default();
    let mut frontier = Frontier::empty();
    let mut commit: Vec<Record> = Vec::new();
    for item in items {
        let seq = frontier.size().next();
        match item? {
            Item::Event { body: None, .. } => return Err(RestoreError::Withheld { seq }),
            Item::Event { .. } if commit.len() == GROUP_EVENTS_MAX => return Err(RestoreError::Misplaced { seq }),
            Item::Event { header, body: Some(body), .. } => {
                let nodes = frontier.push(leaf_hash(&header));
                commit.push(Record { header, body, nodes });
            }
            Item::Seal(_) if commit.is_empty() => return Err(RestoreError::Misplaced { seq }),
            Item::Seal(seal) => {
                batch.add(std::mem::take(&mut commit), seal);
                if batch.bytes >= BATCH_BYTES {
                    batch.write(&store)?;
                    progress(store.size().0);
                }
            }
        }
    }
    batch.write(&store)?;
    progress(store.size().0);
    if let Some(first) = commit.len().try_into().ok().filter(|left: &u64| *left > 0) {
        return Err(RestoreError::Unsealed { seq: Seq(frontier.size().0 - first) });
    }
    Ok(store.size())
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
