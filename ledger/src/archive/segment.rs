//! One segment: frames that close in checksums, a commit at a time.

use std::io::Read;

use bytes::Bytes;

use super::{CHECKSUM, CONTEXT, HEAD, MAGIC};
use crate::commit::GROUP_EVENTS_MAX;
use crate::export::frame::{Frame, Frames};
use crate::export::{Counts, END, EVENT, SEAL, event_item, write_event, write_frame};
use crate::ids::TreeSize;
use crate::link::Hash;
use crate::store::Record;
use crate::verify::{Item, SourceError};

/// What a segment goes on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Events before it: its first event has this number.
    pub first: TreeSize,
    /// Hash of the event before; zero for none.
    pub prev: Hash,
    /// Seal of the commit before; empty for none.
    pub seal: Bytes,
}

/// A whole commit of a segment.
#[derive(Debug, Clone)]
pub struct SegmentCommit {
    /// Header and body of each event; a body may be withheld.
    pub events: Vec<(Bytes, Option<Bytes>)>,
    /// The seal that signs them.
    pub seal: Bytes,
}

impl SegmentCommit {
    /// As a verifier reads it.
    pub fn into_items(self) -> impl Iterator<Item = Item> {
        let events = self.events.into_iter().map(|(header, body)| Item::Event { header, body, nodes: None });
        events.chain([Item::Seal(self.seal)])
    }
}

/// How a segment ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SegmentEnd {
    /// With its end frame: nothing will follow.
    Closed,
    /// After a whole commit: it is under way, or was left so.
    Open,
    /// In what is no whole commit: a write that a crash cut short, or damage.
    Torn {
        /// What is wrong there.
        why: &'static str,
    },
}

/// Reads a segment, commit by commit. Its bytes are anybody's: nothing is believed, and of a commit either all comes back
/// or nothing.
pub struct Segment<R: Read> {
    frames: Frames<R>,
    hasher: blake3::Hasher,
    head: Option<Head>,
    counts: Counts,
    end: Option<SegmentEnd>,
    /// Where the last whole part ends.
    whole: u64,
}

impl<R: Read> Segment<R> {
    /// Begins to read a segment. Give it a buffered reader.
    ///
    /// # Errors
    /// [`SourceError::Read`] alone; a segment that was torn before it held anything has no [`head`](Self::head).
    pub fn new(input: R) -> Result<Self, SourceError> {
        let mut segment = Self {
            frames: Frames::new(input),
            hasher: blake3::Hasher::new_derive_key(CONTEXT),
            head: None,
            counts: Counts::default(),
            end: None,
            whole: 0,
        };
        match segment.read_head() {
            Ok(head) => segment.head = Some(head),
            Err(error) => segment.torn(error)?,
        }
        Ok(segment)
    }

    /// What it goes on from.
    #[must_use]
    pub const fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// How it ends, once [`next_commit`](Self::next_commit) has given its last.
    #[must_use]
    pub const fn end(&self) -> Option<&SegmentEnd> {
        self.end.as_ref()
    }

    /// Bytes up to the end of the last whole part read.
    #[must_use]
    pub const fn whole_bytes(&self) -> u64 {
        self.whole
    }

    /// What was read so far.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// The next whole commit; `None` at the end, however the segment ends.
    ///
    /// # Errors
    /// [`SourceError::Read`] when the file cannot be read at all.
    pub fn next_commit(&mut self) -> Result<Option<SegmentCommit>, SourceError> {
        if self.end.is_some() {
            return Ok(None);
        }
        match self.read_commit() {
            Ok(Some(commit)) => {
                self.counts.events += commit.events.len() as u64;
                self.counts.seals += 1;
                self.whole = self.frames.position();
                Ok(Some(commit))
            }
            Ok(None) => Ok(None),
            Err(error) => self.torn(error).map(|()| None),
        }
    }

    fn torn(&mut self, error: SourceError) -> Result<(), SourceError> {
        match error {
            SourceError::Container(why) => {
                self.end = Some(SegmentEnd::Torn { why });
                Ok(())
            }
            other => Err(other),
        }
    }

    fn read_head(&mut self) -> Result<Head, SourceError> {
        let magic = self.frames.magic()?;
        if magic != *MAGIC {
            return Err(malformed("it does not begin as a segment does"));
        }
        self.hasher.update(&magic);
        let frame = self.frame()?.ok_or(malformed("it ends before its head"))?;
        let (HEAD, Some((fixed, seal))) = (frame.kind(), frame.payload.split_first_chunk::<40>()) else {
            return Err(malformed("it does not say what it goes on from"));
        };
        let (first, prev) = fixed.split_at(8);
        let first = first.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        let prev = Hash(prev.try_into().map_err(|_| malformed("it does not say what it goes on from"))?);
        let seal = frame.payload.slice_ref(seal);
        match self.frame()? {
            Some(frame) if frame.kind() == CHECKSUM => self.check(&frame)?,
            _ => return Err(malformed("its head has no checksum")),
        }
        self.whole = self.frames.position();
        Ok(Head { first: TreeSize(first), prev, seal })
    }

    fn read_commit(&mut self) -> Result<Option<SegmentCommit>, SourceError> {
        let mut events = Vec::new();
        loop {
            let Some(frame) = self.frame()? else {
                if !events.is_empty() {
                    return Err(malformed("it ends within a commit"));
                }
                self.end = Some(SegmentEnd::Open);
                return Ok(None);
            };
            match frame.kind() {
                EVENT if events.len() == GROUP_EVENTS_MAX => {
                    return Err(malformed("a commit has more events than commits have"));
                }
                EVENT => match event_item(frame.payload)? {
                    Item::Event { header, body, .. } => events.push((header, body)),
                    Item::Seal(_) => return Err(malformed("an event's frame does not fit its parts")),
                },
                SEAL if !events.is_empty() => {
                    return match self.frame()? {
                        Some(sum) if sum.kind() == CHECKSUM => {
                            self.check(&sum)?;
                            Ok(Some(SegmentCommit { events, seal: frame.payload }))
                        }
                        _ => Err(malformed("a commit has no checksum")),
                    };
                }
                END if events.is_empty() => {
                    if !self.counts.are_said_by(&frame.payload) {
                        return Err(malformed("it does not hold as many events and seals as it says"));
                    }
                    if !self.frames.is_over()? {
                        return Err(malformed("something follows its end"));
                    }
                    self.whole = self.frames.position();
                    self.end = Some(SegmentEnd::Closed);
                    return Ok(None);
                }
                _ => return Err(malformed("a frame is out of place, or of no known type")),
            }
        }
    }

    /// The next frame. All but checksums go into the next checksum.
    fn frame(&mut self) -> Result<Option<Frame>, SourceError> {
        let frame = self.frames.next()?;
        if let Some(frame) = frame.as_ref().filter(|frame| frame.kind() != CHECKSUM) {
            self.hasher.update(&frame.head).update(&frame.payload);
        }
        Ok(frame)
    }

    fn check(&mut self, frame: &Frame) -> Result<(), SourceError> {
        let expected = self.hasher.finalize();
        self.hasher.reset();
        if frame.payload == expected.as_bytes()[..] {
            Ok(())
        } else {
            Err(malformed("a checksum is not that of its bytes"))
        }
    }
}

const fn malformed(why: &'static str) -> SourceError {
    SourceError::Container(why)
}

/// Writes the beginning of a segment.
///
/// # Errors
/// When the seal is longer than a frame may be.
pub(super) fn render_head(out: &mut Vec<u8>, head: &Head) -> std::io::Result<()> {
    let from = out.len();
    out.extend_from_slice(MAGIC);
    let payload = [&head.first.0.to_be_bytes(), &head.prev.0[..], &head.seal].concat();
    write_frame(out, HEAD, &payload)?;
    checksum(out, from)
}

/// Writes a commit.
///
/// # Errors
/// When something of it is longer than a frame may be.
pub(super) fn render_commit<'a>(
    out: &mut Vec<u8>, records: impl IntoIterator<Item = &'a Record>, seal: &[u8],
) -> std::io::Result<()> {
    let from = out.len();
    for record in records {
        write_event(out, &record.header, Some(&record.body))?;
    }
    write_frame(out, SEAL, seal)?;
    checksum(out, from)
}

/// Writes the end of a segment.
///
/// # Errors
/// None that a memory can have.
pub(super) fn render_end(out: &mut Vec<u8>, counts: Counts) -> std::io::Result<()> {
    write_frame(out, END, &counts.render())
}

fn checksum(out: &mut Vec<u8>, from: usize) -> std::io::Result<()> {
    let sum = blake3::Hasher::new_derive_key(CONTEXT).update(&out[from..]).finalize();
    write_frame(out, CHECKSUM, sum.as_bytes())
}
