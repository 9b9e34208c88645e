//! Writing an archive: only ever at the end of the segment under way.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use bytes::Bytes;

use super::reader::failed;
use super::segment::{render_commit, render_end, render_head};
use super::{ArchiveError, Head, Limits, Name, Segment, SegmentEnd, list};
use crate::codec::BODY_BYTES_MAX;
use crate::event;
use crate::export::Counts;
use crate::ids::TreeSize;
use crate::link::{self, Hash};
use crate::store::Record;
use crate::store::record::HEADER_BYTES_MAX;

/// Bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 1024 * 1024;
/// Mode of a segment under way.
const OPEN_MODE: u32 = 0o600;
/// Mode of one that is never written again.
const CLOSED_MODE: u32 = 0o400;

/// An archive, open for writing: this process has it to itself.
#[derive(Debug)]
pub struct Archive {
    dir: PathBuf,
    _lock: File,
    limits: Limits,
    /// Where it ends, durably.
    durable: Head,
    /// Where it ends with what was written since.
    written: Head,
    under_way: Option<UnderWay>,
    /// What is to be written next.
    buffer: Vec<u8>,
}

/// The segment that is appended to.
#[derive(Debug)]
struct UnderWay {
    path: PathBuf,
    file: File,
    counts: Counts,
    bytes: u64,
    begun: Instant,
    /// Whether anything of it is durable.
    is_durable: bool,
}

impl Archive {
    /// Opens the archive in a directory, making it when there is none, and finds where it ends: after the last whole
    /// commit of its last segment. That segment is closed if it ends there, and left alone for good if it is torn.
    ///
    /// # Errors
    /// [`ArchiveError::InUse`], [`ArchiveError::Damaged`], or what the disk said.
    pub fn open(dir: &Path, limits: Limits) -> Result<Self, ArchiveError> {
        let dir = &std::path::absolute(dir).map_err(ArchiveError::io("find", dir))?;
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(ArchiveError::io("make", dir))?;
        let lock = lock(dir)?;
        let end = resume(dir)?;
        Ok(Self {
            dir: dir.clone(),
            _lock: lock,
            limits,
            durable: end.clone(),
            written: end,
            under_way: None,
            buffer: Vec::new(),
        })
    }

    /// Where it is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where it ends with all that was appended: the next commit must go on from there. After an error that is where it
    /// ends durably.
    #[must_use]
    pub const fn end(&self) -> &Head {
        &self.written
    }

    /// Where it ends durably.
    #[must_use]
    pub const fn durable(&self) -> &Head {
        &self.durable
    }

    /// Appends a whole commit. It is durable after [`sync`](Self::sync).
    ///
    /// # Errors
    /// [`ArchiveError::Io`]. What was appended since the last sync is then to be appended again: the segment is left as
    /// it is, and another begun.
    ///
    /// # Panics
    /// When the commit is empty.
    pub fn append(&mut self, records: &[Record], seal: &[u8]) -> Result<(), ArchiveError> {
        let Some(last) = records.last() else { panic!("a commit has events") };
        let end = Head {
            first: TreeSize(self.written.first.0 + records.len() as u64),
            prev: link::header_hash(&last.header),
            seal: Bytes::copy_from_slice(seal),
        };
        self.try_append(records, seal).inspect_err(|_| self.give_up())?;
        self.written = end;
        Ok(())
    }

    fn try_append(&mut self, records: &[Record], seal: &[u8]) -> Result<(), ArchiveError> {
        let is_too_long =
            |record: &Record| record.header.len() > HEADER_BYTES_MAX || record.body.len() > BODY_BYTES_MAX;
        let first = records.first().and_then(|record| event::peek(&record.header).ok());
        let is_next = first.is_some_and(|(seq, ..)| seq == self.written.first.next());
        if !is_next || records.iter().any(is_too_long) {
            // The log refuses such a record, so the archive must not have it.
            let error =
                io::Error::new(io::ErrorKind::InvalidInput, "what is to be archived is not the log's next commit");
            return Err(ArchiveError::io("write to", &self.dir)(error));
        }
        if self.under_way.is_none() {
            self.begin()?;
        }
        let from = self.buffer.len();
        render_commit(&mut self.buffer, records, seal).map_err(ArchiveError::io("write to", &self.dir))?;
        if let Some(segment) = &mut self.under_way {
            segment.counts.events += records.len() as u64;
            segment.counts.seals += 1;
            segment.bytes += (self.buffer.len() - from) as u64;
        }
        if self.buffer.len() >= BUFFER_BYTES {
            self.write_out()?;
        }
        Ok(())
    }

    /// Makes all that was appended durable, and closes the segment when it is due.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn sync(&mut self) -> Result<(), ArchiveError> {
        self.try_sync().inspect_err(|_| self.give_up())?;
        let due = |segment: &UnderWay| segment.bytes >= self.limits.bytes || segment.begun.elapsed() >= self.limits.age;
        if self.under_way.as_ref().is_some_and(due) { self.close() } else { Ok(()) }
    }

    fn try_sync(&mut self) -> Result<(), ArchiveError> {
        if self.written.first == self.durable.first {
            return Ok(());
        }
        self.write_out()?;
        if let Some(segment) = &mut self.under_way {
            segment.file.sync_data().map_err(ArchiveError::io("sync", &segment.path))?;
            if !segment.is_durable {
                sync_dir(&self.dir)?;
                segment.is_durable = true;
            }
        }
        self.durable = self.written.clone();
        Ok(())
    }

    /// Closes the segment under way, if there is one: it is never written again.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn close(&mut self) -> Result<(), ArchiveError> {
        self.try_sync().inspect_err(|_| self.give_up())?;
        let Some(segment) = &self.under_way else { return Ok(()) };
        let counts = segment.counts;
        let closed = render_end(&mut self.buffer, counts)
            .map_err(ArchiveError::io("write to", &self.dir))
            .and_then(|()| self.write_out())
            .and_then(|()| self.under_way.as_ref().map_or(Ok(()), |segment| finish(&segment.path, &segment.file)));
        self.under_way = None;
        closed.inspect_err(|_| self.give_up())
    }

    /// Begins a segment after the last whole commit.
    fn begin(&mut self) -> Result<(), ArchiveError> {
        let first = self.written.first;
        let (path, file) = (0..=u32::MAX)
            .find_map(|number| {
                let path = self.dir.join(Name { first, number }.render());
                match OpenOptions::new().append(true).create_new(true).mode(OPEN_MODE).open(&path) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => None,
                    opened => Some(opened.map(|file| (path.clone(), file)).map_err(ArchiveError::io("make", &path))),
                }
            })
            .unwrap_or_else(|| Err(ArchiveError::io("make", &self.dir)(io::ErrorKind::AlreadyExists.into())))?;
        self.buffer.clear();
        render_head(&mut self.buffer, &self.written).map_err(ArchiveError::io("write to", &path))?;
        let bytes = self.buffer.len() as u64;
        let (counts, begun) = (Counts::default(), Instant::now());
        self.under_way = Some(UnderWay { path, file, counts, bytes, begun, is_durable: false });
        Ok(())
    }

    fn write_out(&mut self) -> Result<(), ArchiveError> {
        if let Some(segment) = &mut self.under_way {
            segment.file.write_all(&self.buffer).map_err(ArchiveError::io("write to", &segment.path))?;
        }
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_BYTES);
        Ok(())
    }

    /// Leaves the segment as it is. What the disk holds of it beyond the last sync is unknown, and a sync that failed is
    /// never tried again; so the next commit goes into another segment, after the last that is durable.
    fn give_up(&mut self) {
        if let Some(segment) = self.under_way.take() {
            let left = if segment.is_durable {
                fs::set_permissions(&segment.path, fs::Permissions::from_mode(CLOSED_MODE))
            } else {
                // Nothing in it ever counted. Kept, each try on a full disk would leave another.
                fs::remove_file(&segment.path)
            };
            if let Err(error) = left {
                tracing::debug!(path = %segment.path.display(), %error, "an archive segment that was given up stays as it is");
            }
        }
        self.buffer.clear();
        self.written = self.durable.clone();
    }
}

/// Makes a segment durable that gets nothing more, and says so in its mode. Storage that has no modes is as good.
fn finish(path: &Path, file: &File) -> Result<(), ArchiveError> {
    if let Err(error) = fs::set_permissions(path, fs::Permissions::from_mode(CLOSED_MODE)) {
        tracing::debug!(path = %path.display(), %error, "the mode of a closed archive segment cannot be set");
    }
    file.sync_all().map_err(ArchiveError::io("sync", path))
}

fn sync_dir(dir: &Path) -> Result<(), ArchiveError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(ArchiveError::io("sync", dir))
}

fn lock(dir: &Path) -> Result<File, ArchiveError> {
    let path = dir.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(OPEN_MODE).open(&path);
    let file = file.map_err(ArchiveError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ArchiveError::InUse { dir: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(ArchiveError::io("lock", &path)(source)),
    }
}

/// Where an archive ends. What a crash left is made durable first: it was read, so it must not go away any more.
fn resume(dir: &Path) -> Result<Head, ArchiveError> {
    // A segment that was begun says that the ones before it count no further than there.
    let mut limit: Option<TreeSize> = None;
    for name in list(dir)?.iter().rev() {
        let path = dir.join(name.render());
        let file = File::open(&path).map_err(ArchiveError::io("open", &path))?;
        file.sync_data().map_err(ArchiveError::io("sync", &path))?;
        let read = |error| failed(&path, error);
        let mut segment = Segment::new(BufReader::with_capacity(BUFFER_BYTES, &file)).map_err(read)?;
        let Some(mut end) = segment.head().cloned() else {
            // Torn before it held anything; the one before says where the archive ends.
            limit = Some(name.first);
            continue;
        };
        while limit.is_none_or(|limit| end.first < limit) {
            let Some(commit) = segment.next_commit().map_err(read)? else { break };
            end.first.0 += commit.events.len() as u64;
            if let Some((header, _)) = commit.events.last() {
                end.prev = link::header_hash(header);
            }
            end.seal = commit.seal;
        }
        if let Some(limit) = limit.filter(|limit| end.first != *limit) {
            let why = format!("it holds {} events and the next segment begins after {limit}", end.first);
            return Err(ArchiveError::Damaged { segment: path, why });
        }
        match segment.end() {
            Some(SegmentEnd::Open) => close_again(&path, segment.counts())?,
            Some(SegmentEnd::Torn { why }) => {
                tracing::warn!(segment = %path.display(), why, events = %end.first, "an archive segment is torn, as a crash leaves it: it stays as it is, and the next begins after its last whole commit");
            }
            Some(SegmentEnd::Closed) | None => {}
        }
        sync_dir(dir)?;
        return Ok(end);
    }
    match limit {
        Some(at) if at > TreeSize(0) => {
            Err(ArchiveError::Gap { dir: dir.to_owned(), at: TreeSize(0), next: format!("the segment of event {at}") })
        }
        _ => Ok(Head { first: TreeSize(0), prev: Hash::ZERO, seal: Bytes::new() }),
    }
}

/// Closes a segment that a crash, or storage that let nothing more in, left open. Where that is not allowed it stays open,
/// which reads the same.
fn close_again(path: &Path, counts: Counts) -> Result<(), ArchiveError> {
    let mut end = Vec::new();
    render_end(&mut end, counts).map_err(ArchiveError::io("close", path))?;
    let opened = OpenOptions::new().append(true).open(path);
    let written = opened.and_then(|mut file| file.write_all(&end).map(|()| file));
    match written {
        Ok(file) => finish(path, &file),
        Err(error) => {
            tracing::debug!(path = %path.display(), %error, "an archive segment cannot be closed; it stays open");
            Ok(())
        }
    }
}
