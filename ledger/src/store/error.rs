//! What a store says when it fails: what happened, to what, and what to do.

use std::path::PathBuf;

use super::record::RecordError;
use crate::ids::{Seq, TreeSize};

/// The log's storage failed. When it happens to a writer, writes stop.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The log has no event, where one was needed.
    #[error("the log holds no event; start chanceryd on this data directory once, or check that it is the right one")]
    Empty,
    /// An event that the log must hold is not there.
    #[error(
        "event {seq} is missing from the log; restore the log from its archive, a backup or an export (`chancery restore`)"
    )]
    Missing {
        /// The event.
        seq: Seq,
    },
    /// What is stored for an event is not a record.
    #[error(
        "the record of event {seq} is malformed: {source}; run `chancery verify`, then restore from its archive, a backup or an export (`chancery restore`)"
    )]
    Malformed {
        /// The event.
        seq: Seq,
        /// What is wrong with it.
        source: RecordError,
    },
    /// The seal of a commit is not there.
    #[error(
        "the seal of the commit that ends at {size} events is missing; restore the log from its archive, a backup or an export (`chancery restore`)"
    )]
    SealMissing {
        /// Events up to the end of that commit.
        size: TreeSize,
    },
    /// The log's last event and its last seal do not belong to the same commit.
    #[error(
        "the log holds {events} events, but its last seal is for {sealed}: its end was lost or altered; \
         run `chancery verify`, then restore from its archive, a backup or an export (`chancery restore`)"
    )]
    Torn {
        /// Events in the log.
        events: TreeSize,
        /// Events the last seal is for; 0 when there is none.
        sealed: TreeSize,
    },
    /// A group was made for another head than the log has. Nothing was written.
    #[error(
        "a group for a log of {expected} events was refused, because the log has {actual}: is there another writer?"
    )]
    NotHead {
        /// The size the writer believed in.
        expected: TreeSize,
        /// The size there is.
        actual: TreeSize,
    },
    /// This store writes no more: an earlier write failed, so that the end of the log on disk is unknown, or it was
    /// opened to be read. Nothing was written.
    #[error("nothing more is written to this log: {why}; see to that, then restart the daemon")]
    Stopped {
        /// Since when and why.
        why: String,
    },
    /// The second copy could not be written; the log may have what it lacks.
    #[error(
        "the archive could not be written, and nothing is acknowledged that only one copy holds: {why}; mend it, then \
         restart the daemon"
    )]
    Archive {
        /// What its thread said.
        why: String,
    },
    /// There is no log in this place.
    #[error("there is no log in {path}; check the data directory's path")]
    NotFound {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Another process, or another part of this one, has the log open.
    #[error("the log in {path} is open elsewhere; stop the other chanceryd or tool that uses this data directory")]
    InUse {
        /// The log.
        path: PathBuf,
    },
    /// The log cannot be opened; it was left as it is.
    #[error(
        "the log in {path} is damaged and cannot be opened: {cause}; restore it from its archive, a backup or an export (`chancery restore`)"
    )]
    Damaged {
        /// The log.
        path: PathBuf,
        /// What opening it said.
        cause: String,
    },
    /// The log could not be opened, at this start or an earlier one, and was set aside.
    #[error(
        "the log was damaged and could not be opened: {cause}. Nothing of it was deleted: it lies in {path}. \
         No new log is begun in this data directory. Restore the log from its archive, a backup or an export (`chancery restore`), \
         or move it back to try again, and then delete {marker}"
    )]
    Quarantined {
        /// Where the damaged log lies.
        path: PathBuf,
        /// What opening it said.
        cause: String,
        /// The file that keeps the daemon from beginning a new log.
        marker: PathBuf,
    },
    /// The file system refused.
    #[error("cannot {doing} {path}: {source}; check the disk, its free space and the permissions")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The storage engine refused.
    #[error("the log's storage could not {doing}: {source}; check the disk, then restart the daemon")]
    Engine {
        /// What was tried.
        doing: &'static str,
        /// What the engine said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
