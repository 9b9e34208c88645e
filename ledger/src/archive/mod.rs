//! The archive: a second, independent copy of the log on another disk, from which the whole log can be restored. This
//! is `docs/format.md`, section 15, as code.
//!
//! An archive is a directory of segments. A segment holds a run of whole commits in the frames of an export, and is
//! only ever appended to; once it is closed nobody touches it again, and it may be moved to write-once storage. What a
//! crash tears stays as it is: the next segment begins after the last whole commit, so nothing is ever rewritten.
//!
//! [`Archive`] writes one, [`ArchiveReader`] reads one back as the verifier's items. [`follow::Follower`] keeps one close
//! behind a log; [`mirror::Mirrored`] makes a log of two copies, where nothing is durable that is not durable in both.
//! [`reconcile()`] holds an archive against the log it belongs to, [`restore::Restoring`] makes a log of one.

pub mod follow;
pub mod mark;
pub mod mirror;
mod reader;
mod reconcile;
pub mod restore;
mod segment;
#[cfg(test)]
mod tests;
mod writer;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use reader::{ArchiveReader, Leftover};
pub use reconcile::{Reconciled, reconcile};
pub use segment::{Head, Segment, SegmentCommit, SegmentEnd};
pub use writer::Archive;

use crate::ids::TreeSize;
use crate::store::StoreError;
use crate::verify::SourceError;

/// First bytes of every segment.
pub const MAGIC: &[u8; 19] = b"chancery archive 1\n";
/// BLAKE3 derive-key context of the checksums.
const CONTEXT: &str = "chancery 2026 archive commit v1";
/// What a segment goes on from.
const HEAD: u8 = b'A';
/// Checksum of what came since the one before.
const CHECKSUM: u8 = b'C';

/// How long a segment may grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A segment of at least so many bytes is closed.
    pub bytes: u64,
    /// A segment that holds anything is closed when it was begun so long ago.
    pub age: Duration,
}

impl Default for Limits {
    /// 64 MiB, a few hundred thousand events; an hour.
    fn default() -> Self {
        Self { bytes: 64 * 1024 * 1024, age: Duration::from_secs(3600) }
    }
}

/// When a command is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Once the log is durable; the archive follows within a second.
    Follow,
    /// Once both are durable.
    Synchronous,
}

/// An archive cannot be read, written, or used for this log. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Another process has it.
    #[error("the archive in {dir} is in use by another process; each ledger needs an archive directory of its own")]
    InUse {
        /// The archive.
        dir: PathBuf,
    },
    /// The file system refused.
    #[error("cannot {doing} {path}: {source}; check the archive's disk, its free space and the permissions")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A segment is not what it must be.
    #[error("{segment} is damaged: {why}; put back an intact copy of this segment")]
    Damaged {
        /// The segment's file.
        segment: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Segments do not join.
    #[error(
        "the archive in {dir} has no event {at}: {next} begins beyond it. Put back the segments that were moved away"
    )]
    Gap {
        /// The archive.
        dir: PathBuf,
        /// The first event that is missing.
        at: TreeSize,
        /// The segment after the gap.
        next: String,
    },
    /// There is nothing to read.
    #[error("there is no archive segment in {dir}; check the path")]
    Empty {
        /// Where one was looked for.
        dir: PathBuf,
    },
    /// It is the archive of another ledger.
    #[error(
        "the archive in {dir} is of another ledger, `{theirs}`, and this one is `{ours}`: name another archive directory"
    )]
    Foreign {
        /// The archive.
        dir: PathBuf,
        /// Whose it is.
        theirs: String,
        /// Whose it should be.
        ours: String,
    },
    /// Archive and log contradict each other.
    #[error(
        "the archive in {dir} contradicts the log {at}: {why}. They are two histories of one ledger. Run `chancery \
         verify` on both, find out which is the true one, and name an empty archive directory or restore the log"
    )]
    Diverged {
        /// The archive.
        dir: PathBuf,
        /// Where.
        at: String,
        /// How.
        why: String,
    },
    /// The archive has events and the log none.
    #[error(
        "the archive in {dir} holds {archived} events of `{origin}`, but the log is empty: restore it with `chancery \
         restore --from {dir}`, or name another archive directory",
        dir = dir.display()
    )]
    LogEmpty {
        /// The archive.
        dir: PathBuf,
        /// Whose it is.
        origin: String,
        /// How many events it holds.
        archived: TreeSize,
    },
    /// The log could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No key opens what the log ends with.
    #[error("the archive is ahead of the log, and which key seals the next event cannot be told: {0}")]
    Key(String),
}

impl ArchiveError {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}

impl From<ArchiveError> for SourceError {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Io { source, .. } => Self::Read(source),
            ArchiveError::Store(error) => Self::Store(error),
            other => Self::Archive(other.to_string()),
        }
    }
}

/// A segment by its name: `segment-FIRST-N.archive`, FIRST in 20 decimal digits, N telling apart those that begin alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    first: TreeSize,
    number: u32,
}

impl Name {
    fn render(&self) -> String {
        format!("segment-{:020}-{}.archive", self.first.0, self.number)
    }

    fn parse(name: &OsStr) -> Option<Self> {
        let (first, number) = name.to_str()?.strip_prefix("segment-")?.strip_suffix(".archive")?.split_once('-')?;
        let parsed = Self { first: TreeSize(first.parse().ok()?), number: number.parse().ok()? };
        // One spelling for each.
        (Some(parsed.render().as_str()) == name.to_str()).then_some(parsed)
    }
}

/// The segments in a directory, in order. Other files are left alone.
fn list(dir: &Path) -> Result<Vec<Name>, ArchiveError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(ArchiveError::io("list", dir))? {
        let name = entry.map_err(ArchiveError::io("list", dir))?.file_name();
        names.extend(Name::parse(&name));
    }
    names.sort();
    Ok(names)
}
