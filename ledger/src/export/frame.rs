//! Frames: what exports and archive segments are made of. A type, a length, a payload.

use std::io::{self, Read};

use bytes::Bytes;

use super::FRAME_BYTES_MAX;
use crate::verify::SourceError;

/// Bytes before the payload.
const HEAD_BYTES: usize = 5;

/// One frame.
pub(crate) struct Frame {
    /// Type and length, as they stood there.
    pub(crate) head: [u8; HEAD_BYTES],
    /// What it holds.
    pub(crate) payload: Bytes,
}

impl Frame {
    /// Its type.
    pub(crate) const fn kind(&self) -> u8 {
        self.head[0]
    }
}

/// Reads frames. Their bytes are anybody's: memory is taken only within [`FRAME_BYTES_MAX`].
pub(crate) struct Frames<R: Read> {
    input: R,
    position: u64,
}

impl<R: Read> Frames<R> {
    pub(crate) const fn new(input: R) -> Self {
        Self { input, position: 0 }
    }

    /// How many bytes were read.
    pub(crate) const fn position(&self) -> u64 {
        self.position
    }

    /// Takes the first bytes of a file, which say what it is.
    pub(crate) fn magic<const N: usize>(&mut self) -> Result<[u8; N], SourceError> {
        let mut magic = [0; N];
        self.fill(&mut magic)?;
        Ok(magic)
    }

    /// The next frame; `None` when the bytes end where a frame would begin.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, SourceError> {
        let mut head = [0; HEAD_BYTES];
        loop {
            match self.input.read(&mut head[..1]) {
                Ok(0) => return Ok(None),
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.position += 1;
        self.fill(&mut head[1..])?;
        let [_, length @ ..] = head;
        let length = u32::from_be_bytes(length);
        if length > FRAME_BYTES_MAX {
            return Err(SourceError::Container("a frame is longer than frames may be"));
        }
        let mut payload = vec![0; length as usize];
        self.fill(&mut payload)?;
        Ok(Some(Frame { head, payload: Bytes::from(payload) }))
    }

    /// Whether nothing follows.
    pub(crate) fn is_over(&mut self) -> Result<bool, SourceError> {
        Ok(self.input.read(&mut [0])? == 0)
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), SourceError> {
        self.input.read_exact(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => SourceError::Container("it ends before its end frame"),
            _ => SourceError::Read(error),
        })?;
        self.position += buffer.len() as u64;
        Ok(())
    }
}
