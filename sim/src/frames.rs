//! Frames, one after another in a file: whole ones are found again, and where one is not whole the file ends.
//!
//! A frame is magic, length of the payload, checksum of the frame before it, payload, checksum of all that. So what an
//! earlier, longer end of the file left behind never passes for a frame of this one.

use std::io;

use chancery_ledger::block_file::BlockFile as _;

use crate::disk::SimFile;

const MAGIC: [u8; 8] = *b"simframe";
const SUM_BYTES: usize = 32;
const HEAD_BYTES: usize = MAGIC.len() + 4 + SUM_BYTES;
/// Bytes written at a time, so that a frame is written in more than one step.
const PIECE_BYTES: usize = 1500;

type Sum = [u8; SUM_BYTES];

/// A file of frames, open at its end.
#[derive(Debug)]
pub struct Frames {
    file: SimFile,
    end: u64,
    sum: Sum,
}

impl Frames {
    /// Opens a file, and calls `visit` with each frame's payload and where it lies. `is_checked` is off for a fault that
    /// the simulation must find.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(file: SimFile, is_checked: bool, mut visit: impl FnMut(u64, &[u8])) -> io::Result<Self> {
        let mut frames = Self { file, end: 0, sum: [0; SUM_BYTES] };
        while let Some((payload, sum)) = frames.read(is_checked)? {
            visit(frames.end + HEAD_BYTES as u64, &payload);
            frames.end += (HEAD_BYTES + payload.len() + SUM_BYTES) as u64;
            frames.sum = sum;
        }
        // What is found may be in the system's cache alone, and is taken for durable from here on.
        frames.file.sync()?;
        Ok(frames)
    }

    /// The frame at the end there is, if it is whole.
    fn read(&self, is_checked: bool) -> io::Result<Option<(Vec<u8>, Sum)>> {
        let mut head = [0; HEAD_BYTES];
        if self.end + HEAD_BYTES as u64 > self.file.len() {
            return Ok(None);
        }
        self.file.read_exact_at(&mut head, self.end)?;
        let Some((len, before)) = head.strip_prefix(&MAGIC).and_then(|rest| rest.split_first_chunk::<4>()) else {
            return Ok(None);
        };
        let len = u32::from_be_bytes(*len) as usize;
        if self.end + (HEAD_BYTES + len + SUM_BYTES) as u64 > self.file.len() || (is_checked && *before != self.sum) {
            return Ok(None);
        }
        let mut rest = vec![0; len + SUM_BYTES];
        self.file.read_exact_at(&mut rest, self.end + HEAD_BYTES as u64)?;
        let sum = checksum(&head, &rest[..len]);
        if is_checked && rest[len..] != sum {
            return Ok(None);
        }
        rest.truncate(len);
        Ok(Some((rest, sum)))
    }

    /// Writes a frame after the others, without syncing; where its payload lies.
    ///
    /// # Errors
    /// The disk's; then the file must not be written any more.
    pub fn append(&mut self, payload: &[u8]) -> io::Result<u64> {
        let len = u32::try_from(payload.len()).map_err(io::Error::other)?;
        let head = [&MAGIC[..], &len.to_be_bytes(), &self.sum].concat();
        let sum = checksum(&head, payload);
        let frame = [&head[..], payload, &sum].concat();
        let at = self.end + head.len() as u64;
        for piece in frame.chunks(PIECE_BYTES) {
            self.file.write_all_at(piece, self.end)?;
            self.end += piece.len() as u64;
        }
        self.sum = sum;
        Ok(at)
    }

    /// Makes what was appended durable.
    ///
    /// # Errors
    /// The disk's; then the file must not be written any more.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    /// Reads part of a payload.
    ///
    /// # Errors
    /// The disk's.
    pub fn read_at(&self, at: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    }

    /// How long the file is, as far as it counts.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.end
    }
}

fn checksum(head: &[u8], payload: &[u8]) -> Sum {
    blake3::Hasher::new_derive_key("chancery 2026 simulation frame v1").update(head).update(payload).finalize().into()
}

/// Takes a length and so many bytes from the front; `None` when there are not so many.
#[must_use]
pub fn take<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let (taken, rest) = rest.split_at_checked(u32::from_be_bytes(*len) as usize)?;
    *bytes = rest;
    Some(taken)
}

/// Puts a length and bytes at the end. What is put is never as long as 4 GiB.
pub fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}
