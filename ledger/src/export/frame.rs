//! Frames: what exports and archive segments are made of. A type, a length, a payload.

use std::io::{self, Read};

use bytes::Bytes;

use super::FRAME_BYTES_MAX;
use crate::verify::SourceError;

/// Bytes before the payload.
const HEAD_BYTES: usize = 5;

/// Bytes read at a time: payloads share them.
const AHEAD_BYTES: usize = 256 * 1024;

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
    /// What was read and not yet taken.
    ahead: Bytes,
    /// Why there is no more than that, if reading failed.
    failed: Option<io::Error>,
    position: u64,
}

impl<R: Read> Frames<R> {
    pub(crate) const fn new(input: R) -> Self {
        Self { input, ahead: Bytes::new(), failed: None, position: 0 }
    }

    /// How many bytes were taken.
    pub(crate) const fn position(&self) -> u64 {
        self.position
    }

    /// Takes the first bytes of a file, which say what it is.
    pub(crate) fn magic<const N: usize>(&mut self) -> Result<[u8; N], SourceError> {
        self.array()
    }

    /// The next frame; `None` when the bytes end where a frame would begin.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, SourceError> {
        if !self.has_ahead(1)? {
            return Ok(None);
        }
        let head: [u8; HEAD_BYTES] = self.array()?;
        let [_, length @ ..] = head;
        let length = u32::from_be_bytes(length);
        if length > FRAME_BYTES_MAX {
            return Err(SourceError::Container("a frame is longer than frames may be"));
        }
        Ok(Some(Frame { head, payload: self.take(length as usize)? }))
    }

    /// What it reads from, which may have been read further than was taken.
    pub(crate) const fn input_mut(&mut self) -> &mut R {
        &mut self.input
    }

    /// Whether nothing follows.
    pub(crate) fn is_over(&mut self) -> Result<bool, SourceError> {
        Ok(!self.has_ahead(1)?)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], SourceError> {
        let mut array = [0; N];
        array.copy_from_slice(&self.take(N)?);
        Ok(array)
    }

    fn take(&mut self, length: usize) -> Result<Bytes, SourceError> {
        if !self.has_ahead(length)? {
            return Err(SourceError::Container("it ends before its end frame"));
        }
        self.position += length as u64;
        Ok(self.ahead.split_to(length))
    }

    /// Reads on until there are at least so many bytes ahead; false when the input ends before that.
    fn has_ahead(&mut self, length: usize) -> io::Result<bool> {
        if self.ahead.len() < length && self.failed.is_none() {
            let room = AHEAD_BYTES.max(length);
            let mut bytes = Vec::with_capacity(room);
            bytes.extend_from_slice(&self.ahead);
            // What came before a failure is read all the same.
            self.failed = (&mut self.input).take((room - bytes.len()) as u64).read_to_end(&mut bytes).err();
            self.ahead = bytes.into();
        }
        match self.failed.take_if(|_| self.ahead.len() < length) {
            Some(error) => Err(error),
            None => Ok(self.ahead.len() >= length),
        }
    }
}
