//! Reading an export in its order.

use std::io::Read;

use bytes::Bytes;

use super::frame::Frames;
use super::{Counts, END, EVENT, MAGIC, SEAL, WITH_BODY, WITHHELD};
use crate::verify::{Item, SourceError};

/// Reads an export, frame by frame. Its bytes are anybody's: nothing is believed, memory stays bounded.
pub struct ExportReader<R: Read> {
    frames: Frames<R>,
    counts: Counts,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Frames,
    Over,
}

impl<R: Read> ExportReader<R> {
    /// Reads from here, a quarter of a megabyte at a time: a buffer in between is of no use.
    pub const fn new(input: R) -> Self {
        Self { frames: Frames::new(input), counts: Counts { events: 0, seals: 0 }, state: State::Start }
    }

    /// How many bytes the items so far take: after an item, where its frame ends.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.frames.position()
    }

    fn next_item(&mut self) -> Result<Option<Item>, SourceError> {
        if self.state == State::Start {
            if self.frames.magic()? != *MAGIC {
                return Err(malformed("it does not begin as an export does"));
            }
            self.state = State::Frames;
        }
        let frame = self.frames.next()?.ok_or(malformed("it ends before its end frame"))?;
        match frame.kind() {
            EVENT => {
                self.counts.events += 1;
                event_item(frame.payload).map(Some)
            }
            SEAL => {
                self.counts.seals += 1;
                Ok(Some(Item::Seal(frame.payload)))
            }
            END => {
                self.state = State::Over;
                if !self.counts.are_said_by(&frame.payload) {
                    return Err(malformed("it does not hold as many events and seals as it says"));
                }
                if !self.frames.is_over()? {
                    return Err(malformed("something follows its end"));
                }
                Ok(None)
            }
            _ => Err(malformed("a frame is of no known type")),
        }
    }
}

impl<R: Read> Iterator for ExportReader<R> {
    type Item = Result<Item, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::Over {
            return None;
        }
        let item = self.next_item();
        if item.is_err() {
            self.state = State::Over;
        }
        item.transpose()
    }
}

pub(crate) fn event_item(payload: Bytes) -> Result<Item, SourceError> {
    let short = || malformed("an event's frame does not fit its parts");
    let length = payload.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes) as usize).ok_or_else(short)?;
    let after = 4_usize.checked_add(length).filter(|after| *after < payload.len()).ok_or_else(short)?;
    let header = payload.slice(4..after);
    let body = payload.slice(after + 1..);
    let body = match payload[after] {
        WITH_BODY => Some(body),
        WITHHELD if body.is_empty() => None,
        _ => return Err(short()),
    };
    Ok(Item::Event { header, body, nodes: None })
}

fn malformed(why: &'static str) -> SourceError {
    SourceError::Container(why)
}
