//! An export as a log to read from in any order: replay and inspection need events by their number.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{ExportReader, event_item};
use crate::ids::{Seq, TreeSize};
use crate::store::{Group, LogStore, Record, Records, Seals, StoreError};
use crate::verify::{Item, SourceError};

/// An export, indexed: 8 bytes of memory for each event, 16 for each seal. Whether what it says is true is
/// `crate::verify`'s to find; it holds what the file holds, and a withheld body reads as an empty one.
pub struct ExportLog {
    path: PathBuf,
    file: File,
    /// Where the frame of each event begins.
    events: Vec<u64>,
    /// Size and place of each seal, ascending.
    seals: Vec<(TreeSize, u64)>,
    bytes: u64,
}

impl ExportLog {
    /// Opens an export and reads it once, to find where things are.
    ///
    /// # Errors
    /// [`SourceError`] when it cannot be read or is damaged.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        Self::open_with(path, |_| {})
    }

    /// Opens an export as [`open`](Self::open) does. `progress` is told how many events have been read.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(path: &Path, mut progress: impl FnMut(u64)) -> Result<Self, SourceError> {
        let file = File::open(path)?;
        let mut reader = ExportReader::new(file.try_clone()?);
        let (mut events, mut seals) = (Vec::new(), Vec::new());
        let mut start = super::MAGIC.len() as u64;
        while let Some(item) = reader.next() {
            match item? {
                Item::Event { .. } => events.push(start),
                Item::Seal(_) => seals.push((TreeSize(events.len() as u64), start)),
            }
            start = reader.position();
            progress(events.len() as u64);
        }
        Ok(Self { path: path.to_owned(), bytes: reader.position(), file, events, seals })
    }

    fn io(&self, source: io::Error) -> StoreError {
        StoreError::Io { doing: "read", path: self.path.clone(), source }
    }

    /// The payload of the frame that begins at a place.
    fn payload(&self, start: u64) -> Result<Bytes, StoreError> {
        let mut head = [0; 5];
        self.file.read_exact_at(&mut head, start).map_err(|error| self.io(error))?;
        let [_, length @ ..] = head;
        let length = u32::from_be_bytes(length).min(super::FRAME_BYTES_MAX);
        let mut payload = vec![0; length as usize];
        self.file.read_exact_at(&mut payload, start + 5).map_err(|error| self.io(error))?;
        Ok(Bytes::from(payload))
    }

    fn record_at(&self, start: u64) -> Result<Record, StoreError> {
        match event_item(self.payload(start)?) {
            Ok(Item::Event { header, body, .. }) => {
                Ok(Record { header, body: body.unwrap_or_default(), nodes: Vec::new() })
            }
            _ => Err(self.io(io::Error::from(io::ErrorKind::InvalidData))),
        }
    }

    fn seal_at(&self, place: usize) -> Result<Option<(TreeSize, Bytes)>, StoreError> {
        match self.seals.get(place) {
            None => Ok(None),
            Some((size, start)) => Ok(Some((*size, self.payload(*start)?))),
        }
    }
}

impl LogStore for ExportLog {
    fn size(&self) -> TreeSize {
        TreeSize(self.events.len() as u64)
    }

    fn append(&self, _: TreeSize, _: &Group<'_>) -> Result<(), StoreError> {
        Err(StoreError::Stopped { why: format!("{} is an export, which is only read", self.path.display()) })
    }

    fn record(&self, seq: Seq) -> Result<Option<Record>, StoreError> {
        let start = usize::try_from(seq.0).ok().and_then(|place| self.events.get(place));
        start.map(|start| self.record_at(*start)).transpose()
    }

    fn records(&self, from: Seq) -> Records<'_> {
        let first = usize::try_from(from.0).unwrap_or(usize::MAX).min(self.events.len());
        let rest = (from.0..).zip(&self.events[first..]);
        Box::new(rest.map(|(seq, start)| Ok((Seq(seq), self.record_at(*start)?))))
    }

    fn last_seal(&self) -> Result<Option<(TreeSize, Bytes)>, StoreError> {
        self.seals.len().checked_sub(1).map_or(Ok(None), |last| self.seal_at(last))
    }

    fn seal_of(&self, seq: Seq) -> Result<Option<(TreeSize, Bytes)>, StoreError> {
        self.seal_at(self.seals.partition_point(|(size, _)| size.0 <= seq.0))
    }

    fn seals(&self, from: TreeSize) -> Seals<'_> {
        let first = self.seals.partition_point(|(size, _)| *size < from);
        Box::new(self.seals[first..].iter().map(|(size, start)| Ok((*size, self.payload(*start)?))))
    }

    fn disk_bytes(&self) -> Result<u64, StoreError> {
        Ok(self.bytes)
    }
}
