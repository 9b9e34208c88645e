//! Reading an archive back: segment after segment, as the verifier's items.

use std::collections::VecDeque;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use super::{ArchiveError, Head, Name, Segment, SegmentCommit, SegmentEnd, list};
use crate::ids::TreeSize;
use crate::verify::{Item, SourceError};

/// Bytes read ahead.
const BUFFER_BYTES: usize = 1024 * 1024;

/// What stands after the last whole commit of an archive's last segment: what a crash tore, or damage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// The segment.
    pub segment: PathBuf,
    /// Bytes that are no whole commit.
    pub bytes: u64,
    /// What is wrong with them.
    pub why: &'static str,
}

/// Reads an archive in order, from its directory or from one segment's file. Memory is bounded by the largest commit.
///
/// A segment that was left before it was closed counts up to where the next begins; only the last may end in something
/// that is no whole commit.
pub struct ArchiveReader {
    dir: PathBuf,
    /// Segments not begun yet, the next one last.
    names: Vec<Name>,
    current: Option<(PathBuf, Segment<BufReader<File>>)>,
    /// Events given so far, and those before the first.
    size: TreeSize,
    /// Where the segment after the current one begins.
    limit: Option<TreeSize>,
    items: VecDeque<Item>,
    leftover: Option<Leftover>,
    failed: bool,
}

impl ArchiveReader {
    /// Reads a whole archive, from event 0 on.
    ///
    /// # Errors
    /// [`ArchiveError::Empty`] when there is no segment; [`ArchiveError::Io`].
    pub fn open(path: &Path) -> Result<Self, ArchiveError> {
        Self::open_from(path, TreeSize(0))
    }

    /// Reads the commits that come after the first `size` events, which must end a commit.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_from(path: &Path, size: TreeSize) -> Result<Self, ArchiveError> {
        let (dir, mut names) = if path.is_file() {
            let dir = path.parent().unwrap_or(Path::new("")).to_owned();
            let name = path.file_name().and_then(Name::parse);
            (dir, name.into_iter().collect())
        } else {
            (path.to_owned(), list(path)?)
        };
        // Those that end before `size` say nothing of what follows: each ends where the next begins.
        let skipped = names.partition_point(|name| name.first <= size).saturating_sub(1);
        names.drain(..skipped);
        names.reverse();
        if names.is_empty() {
            return Err(ArchiveError::Empty { dir });
        }
        let begin = names.last().map_or(size, |name| name.first.min(size));
        let (items, leftover) = (VecDeque::new(), None);
        let mut reader = Self { dir, names, current: None, size: begin, limit: None, items, leftover, failed: false };
        while reader.size < size {
            let before = reader.size;
            if reader.next_commit()?.is_none() || reader.size > size {
                let next = format!("the commit after event {before}");
                return Err(ArchiveError::Gap { dir: reader.dir, at: size, next });
            }
        }
        Ok(reader)
    }

    /// What the last segment ends in, if that is no whole commit; known at the end.
    #[must_use]
    pub const fn leftover(&self) -> Option<&Leftover> {
        self.leftover.as_ref()
    }

    /// How many events the archive has up to here.
    #[must_use]
    pub const fn size(&self) -> TreeSize {
        self.size
    }

    /// The next whole commit.
    ///
    /// # Errors
    /// [`ArchiveError`] says which segment is missing or damaged.
    pub fn next_commit(&mut self) -> Result<Option<SegmentCommit>, ArchiveError> {
        loop {
            if self.current.is_none() && !self.begin()? {
                return Ok(None);
            }
            let Some((path, segment)) = &mut self.current else { return Ok(None) };
            if self.limit.is_some_and(|limit| self.size >= limit) {
                // The next segment takes over here, whatever else stands in this one.
                self.current = None;
                continue;
            }
            if let Some(commit) = segment.next_commit().map_err(|error| failed(path, error))? {
                self.size.0 += commit.events.len() as u64;
                if let Some(limit) = self.limit.filter(|limit| self.size > *limit) {
                    let why = format!("a commit in it goes beyond event {limit}, where the next segment begins");
                    return Err(ArchiveError::Damaged { segment: path.clone(), why });
                }
                return Ok(Some(commit));
            }
            self.end_segment()?;
        }
    }

    /// Begins the next segment; false when there is none.
    fn begin(&mut self) -> Result<bool, ArchiveError> {
        let Some(name) = self.names.pop() else { return Ok(false) };
        if name.first > self.size {
            return Err(ArchiveError::Gap { dir: self.dir.clone(), at: self.size, next: name.render() });
        }
        let path = self.dir.join(name.render());
        let file = File::open(&path).map_err(ArchiveError::io("open", &path))?;
        let segment =
            Segment::new(BufReader::with_capacity(BUFFER_BYTES, file)).map_err(|error| failed(&path, error))?;
        if segment.head().is_some_and(|head: &Head| head.first != name.first) {
            let why = "it begins with another event than its name says".to_owned();
            return Err(ArchiveError::Damaged { segment: path, why });
        }
        self.limit = self.names.last().map(|next| next.first);
        self.current = Some((path, segment));
        Ok(true)
    }

    /// Looks at how the segment ended that has no more commits.
    fn end_segment(&mut self) -> Result<(), ArchiveError> {
        let Some((path, segment)) = self.current.take() else { return Ok(()) };
        let torn = match segment.end() {
            Some(SegmentEnd::Torn { why }) => Some(*why),
            _ => None,
        };
        match self.limit {
            Some(limit) if self.size < limit => {
                let why = torn.unwrap_or("it ends before the next segment begins");
                let why = format!("{why}, after event count {}, and the next segment begins at {limit}", self.size);
                Err(ArchiveError::Damaged { segment: path, why })
            }
            Some(_) => Ok(()),
            None => {
                if let Some(why) = torn {
                    let length = path.metadata().map_err(ArchiveError::io("measure", &path))?.len();
                    let bytes = length.saturating_sub(segment.whole_bytes());
                    self.leftover = Some(Leftover { segment: path, bytes, why });
                }
                Ok(())
            }
        }
    }
}

pub(super) fn failed(path: &Path, error: SourceError) -> ArchiveError {
    match error {
        SourceError::Read(source) => ArchiveError::io("read", path)(source),
        other => ArchiveError::Damaged { segment: path.to_owned(), why: other.to_string() },
    }
}

impl Iterator for ArchiveReader {
    type Item = Result<Item, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        if self.items.is_empty() {
            match self.next_commit() {
                Ok(Some(commit)) => self.items.extend(commit.into_items()),
                Ok(None) => return None,
                Err(error) => {
                    self.failed = true;
                    return Some(Err(error.into()));
                }
            }
        }
        self.items.pop_front().map(Ok)
    }
}
