//! How far a sink has been told: a small file, apart from the log, because it is about what lies outside.
//!
//! It names the last event that the sink took, by position and hash, and is replaced in one piece once the sink has what
//! stands before it. If it is lost, or the log does not bear it out, the sink is told everything again: more than once
//! rather than not at all.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use chancery_ledger::ids::Seq;
use chancery_ledger::link;
use chancery_ledger::store::{LogStore, StoreError};

/// A sink's cursor.
#[derive(Debug)]
pub struct Cursor {
    file: PathBuf,
    /// The next event to tell.
    pub next: Seq,
}

/// A cursor could not be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum CursorError {
    /// Its file failed.
    #[error("{file} cannot be used: {source}", file = file.display())]
    Io {
        /// Which.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The log failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Cursor {
    /// Reads the cursor of a sink; at the first event when there is none that this log bears out.
    ///
    /// # Errors
    /// [`CursorError`].
    pub fn open(data_dir: &Path, name: &str, log: &dyn LogStore) -> Result<Self, CursorError> {
        let dir = data_dir.join("sinks");
        let file = dir.join(format!("{name}.cursor"));
        let io = |source| CursorError::Io { file: file.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(io)?;
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self { file, next: Seq(0) }),
            Err(error) => return Err(io(error)),
        };
        let told = text.trim_end().split_once(' ').and_then(|(seq, hash)| Some((Seq(seq.parse().ok()?), hash)));
        let next = match told {
            Some((seq, hash)) if hash_of(log, seq)?.as_deref() == Some(hash) => seq.next(),
            _ => {
                tracing::warn!(
                    sink = name,
                    "this log does not bear the sink's cursor out; it is told everything again"
                );
                Seq(0)
            }
        };
        Ok(Self { file, next })
    }

    /// Moves the cursor behind an event, durably.
    ///
    /// # Errors
    /// [`CursorError`]; then it is where it was.
    pub fn move_behind(&mut self, seq: Seq, log: &dyn LogStore) -> Result<(), CursorError> {
        let hash = hash_of(log, seq)?.ok_or(StoreError::Missing { seq })?;
        let unfinished = self.file.with_extension("new");
        let write = || -> io::Result<()> {
            let mut options = OpenOptions::new();
            let mut writing = options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
            writeln!(writing, "{seq} {hash}")?;
            writing.sync_all()?;
            fs::rename(&unfinished, &self.file)?;
            self.file.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
        };
        write().map_err(|source| CursorError::Io { file: self.file.clone(), source })?;
        self.next = seq.next();
        Ok(())
    }
}

/// The hash of an event, which binds every event before it; `None` when there is no such event.
fn hash_of(log: &dyn LogStore, seq: Seq) -> Result<Option<String>, StoreError> {
    if seq >= log.size().next() {
        return Ok(None);
    }
    Ok(log.record(seq)?.map(|record| link::header_hash(&record.header).to_string()))
}
