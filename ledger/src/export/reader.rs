//! Reading an export in its order.

use std::io::{self, Read};

use bytes::Bytes;

use super::{Counts, END, EVENT, FRAME_BYTES_MAX, MAGIC, SEAL, WITH_BODY, WITHHELD};
use crate::verify::{Item, SourceError};

/// Reads an export, frame by frame. Its bytes are anybody's: nothing is believed, memory stays bounded.
pub struct ExportReader<R: Read> {
    input: R,
    counts: Counts,
    state: State,
    position: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Frames,
    Over,
}

impl<R: Read> ExportReader<R> {
    /// Reads from here. Give it a buffered reader.
    pub const fn new(input: R) -> Self {
        Self { input, counts: Counts { events: 0, seals: 0 }, state: State::Start, position: 0 }
    }

    /// How many bytes were read: after an item, where its frame ends.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    fn next_item(&mut self) -> Result<Option<Item>, SourceError> {
        if self.state == State::Start {
            let mut magic = [0; MAGIC.len()];
            self.fill(&mut magic)?;
            if magic != *MAGIC {
                return Err(malformed("it does not begin as an export does"));
            }
            self.state = State::Frames;
        }
        let mut head = [0; 5];
        self.fill(&mut head)?;
        let [kind, length @ ..] = head;
        let length = u32::from_be_bytes(length);
        if length > FRAME_BYTES_MAX {
            return Err(malformed("a frame is longer than frames may be"));
        }
        let mut payload = vec![0; length as usize];
        self.fill(&mut payload)?;
        match kind {
            EVENT => {
                self.counts.events += 1;
                event_item(Bytes::from(payload)).map(Some)
            }
            SEAL => {
                self.counts.seals += 1;
                Ok(Some(Item::Seal(Bytes::from(payload))))
            }
            END => {
                self.state = State::Over;
                self.check_end(&payload)?;
                Ok(None)
            }
            _ => Err(malformed("a frame is of no known type")),
        }
    }

    fn check_end(&mut self, payload: &[u8]) -> Result<(), SourceError> {
        let expected = [self.counts.events.to_be_bytes(), self.counts.seals.to_be_bytes()].concat();
        if payload != expected {
            return Err(malformed("it does not hold as many events and seals as it says"));
        }
        match self.input.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(malformed("something follows its end")),
            Err(error) => Err(SourceError::Read(error)),
        }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), SourceError> {
        self.input.read_exact(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => malformed("it ends before its end frame"),
            _ => SourceError::Read(error),
        })?;
        self.position += buffer.len() as u64;
        Ok(())
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

pub(super) fn event_item(payload: Bytes) -> Result<Item, SourceError> {
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
