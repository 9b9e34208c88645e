//! That the log's tail is lost, and that somebody decided to go on without it.
//!
//! A log that ends before the last checkpoint signed for it is not continued: what is sealed next would contradict that
//! checkpoint. Whoever restored all there is to restore, and must go on all the same, says so: then this file takes the
//! place of the last checkpoint, and the next start makes the loss the first event after it
//! ([`crate::body::ledger::TailLost`]), before it seals anything else. So both the lost checkpoint and the
//! decision stay in the log for every auditor to see.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::body::Body;
use crate::body::ledger::TailLost;
use crate::event::{Event, ReadError};
use crate::ids::{LedgerId, Seq, TreeSize};
use crate::store::{LogStore, Record, StoreError, StoreNodes};
use crate::tree::Frontier;
use crate::tree::seal::{Seal, SealError};

/// Longest reason, in bytes.
pub const REASON_BYTES_MAX: usize = 1024;

/// The decision, as it waits for the next start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedLoss {
    /// The newest checkpoint that was signed for what is lost.
    pub checkpoint: String,
    /// Why it was decided so.
    pub reason: String,
}

/// What is to be done about an accepted loss.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// The event that records it comes next.
    Record(TailLost),
    /// It is the log's last event already.
    Recorded,
    /// The log holds what the checkpoint signs: nothing is lost.
    NotLost,
}

/// A decision cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum LossError {
    /// The log could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The checkpoint is none.
    #[error("the checkpoint that is accepted as lost cannot be read: {0}")]
    Seal(#[from] SealError),
    /// The log does not begin as a ledger does.
    #[error("the log's first event cannot be read: {0}")]
    Unreadable(#[from] ReadError),
    /// It is about another log.
    #[error("the loss that was accepted is of `{theirs}`, and this log is `{ours}`")]
    Foreign {
        /// The log it is about.
        theirs: String,
        /// This one.
        ours: String,
    },
}

impl AcceptedLoss {
    /// The decision in a file, if there is one.
    ///
    /// # Errors
    /// The disk's; [`io::ErrorKind::InvalidData`] when it is none.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes it, durably, for its owner alone.
    ///
    /// # Errors
    /// The disk's.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let unfinished = path.with_extension("new");
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        serde_json::to_writer_pretty(&mut file, self)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        sync_dir_of(path)
    }

    /// Takes the file away, durably, once the log says what it said.
    ///
    /// # Errors
    /// The disk's.
    pub fn clear(path: &Path) -> io::Result<()> {
        fs::remove_file(path)?;
        sync_dir_of(path)
    }

    /// What is to be done about it in a log that is not empty.
    ///
    /// # Errors
    /// [`LossError`].
    pub fn due(&self, log: &dyn LogStore) -> Result<Due, LossError> {
        let lost = Seal::parse(self.checkpoint.as_bytes())?;
        let (signed, size) = (lost.checkpoint().size, log.size());
        let (Some(last), Some((_, bytes))) = (size.last(), log.last_seal()?) else {
            return Err(StoreError::Empty.into());
        };
        let ours = Seal::parse(&bytes)?;
        if ours.checkpoint().origin != lost.checkpoint().origin {
            let (ours, theirs) = (ours.checkpoint().origin.clone(), lost.checkpoint().origin.clone());
            return Err(LossError::Foreign { theirs, ours });
        }
        if matches!(body(log, last)?, Body::TailLost(recorded) if recorded.checkpoint == self.checkpoint) {
            return Ok(Due::Recorded);
        }
        if signed <= size && Frontier::resume(signed, &StoreNodes(log))?.root() == lost.checkpoint().root {
            return Ok(Due::NotLost);
        }
        Ok(Due::Record(TailLost {
            ledger: ledger(log)?,
            found: size.0,
            signed: signed.0,
            checkpoint: self.checkpoint.clone(),
            reason: self.reason.clone(),
        }))
    }
}

/// Which ledger the log is of.
fn ledger(log: &dyn LogStore) -> Result<LedgerId, LossError> {
    match body(log, Seq(0))? {
        Body::LedgerCreated(created) => Ok(created.ledger),
        _ => Err(StoreError::Missing { seq: Seq(0) }.into()),
    }
}

fn body(log: &dyn LogStore, seq: Seq) -> Result<Body, LossError> {
    let Record { header, body, .. } = log.record(seq)?.ok_or(StoreError::Missing { seq })?;
    Ok(Event::read(&header, &body)?.0.body)
}

/// Moves the last checkpoint out of the way of a log that ends before it, into a directory that is there, and gives its
/// new place.
///
/// # Errors
/// The disk's.
pub fn set_checkpoint_aside(last_checkpoint: &Path, quarantine: &Path) -> io::Result<PathBuf> {
    let named = |number: u32| quarantine.join(format!("last-checkpoint-{number}"));
    let to = (1..).map(named).find(|path| !path.exists()).unwrap_or_else(|| named(0));
    fs::rename(last_checkpoint, &to)?;
    sync_dir_of(&to)?;
    sync_dir_of(last_checkpoint)?;
    Ok(to)
}

fn sync_dir_of(path: &Path) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir)?.sync_all()
}

/// How many events are missing from a log of a size, at least, when a checkpoint was signed.
#[must_use]
pub const fn missing(size: TreeSize, signed: TreeSize) -> u64 {
    signed.0.saturating_sub(size.0)
}
