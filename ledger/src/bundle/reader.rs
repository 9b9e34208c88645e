//! Reading a bundle in its order.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, ErrorKind, Read};

use bytes::Bytes;
use flate2::bufread::GzDecoder;

use super::writer::BundleCounts;
use super::{KINDS, MAGIC, MANIFEST, MANIFEST_BYTES_MAX, Manifest, SKIPPED, SUBTREE_BYTES, SUBTREES_MAX};
use crate::export::frame::Frames;
use crate::export::{END, EVENT, SEAL, event_item};
use crate::tree::{NodeHash, Subtree};
use crate::verify::{Item, SourceError};

/// What a bundle goes on with.
#[derive(Debug, Clone)]
pub enum Piece {
    /// The next event, or a seal of all events up to here.
    Item(Item),
    /// In place of the next events: the subtrees they make up, in order.
    Skipped(Vec<Subtree>),
}

/// Reads a bundle, frame by frame. Its bytes are anybody's: nothing is believed, memory stays bounded.
pub struct BundleReader<R: Read> {
    frames: Frames<GzDecoder<BufReader<R>>>,
    manifest: Manifest,
    counts: BundleCounts,
    kinds: Option<BTreeMap<u16, u64>>,
    over: bool,
}

impl<R: Read> BundleReader<R> {
    /// Reads the manifest.
    ///
    /// # Errors
    /// [`SourceError`] when it cannot be read, or no bundle begins so.
    pub fn open(input: R) -> Result<Self, SourceError> {
        let mut frames = Frames::new(GzDecoder::new(BufReader::new(input)));
        let manifest = Self::head(&mut frames).map_err(damaged)?;
        Ok(Self { frames, manifest, counts: BundleCounts::default(), kinds: None, over: false })
    }

    fn head(frames: &mut Frames<GzDecoder<BufReader<R>>>) -> Result<Manifest, SourceError> {
        if frames.magic()? != *MAGIC {
            return Err(malformed("it does not begin as a bundle does"));
        }
        let frame = frames.next()?.ok_or(malformed("it has no manifest"))?;
        let unreadable = malformed("its manifest is not one");
        if frame.kind() != MANIFEST || frame.payload.len() > MANIFEST_BYTES_MAX {
            return Err(unreadable);
        }
        let manifest: Manifest =
            serde_json::from_slice(&frame.payload).map_err(|_| malformed("its manifest is not one"))?;
        if manifest.is_sound() { Ok(manifest) } else { Err(unreadable) }
    }

    /// What was asked, and how it is answered.
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// How many events of each kind were chosen, as the bundle's end says; `None` before it was read.
    pub const fn kinds(&self) -> Option<&BTreeMap<u16, u64>> {
        self.kinds.as_ref()
    }

    fn next_piece(&mut self) -> Result<Option<Piece>, SourceError> {
        let frame = self.frames.next()?.ok_or(malformed("it ends before its end frame"))?;
        if self.kinds.is_some() && frame.kind() != END {
            return Err(malformed("a frame stands between the counts and the end"));
        }
        match frame.kind() {
            EVENT => {
                self.counts.events += 1;
                event_item(frame.payload).map(|item| Some(Piece::Item(item)))
            }
            SEAL => {
                self.counts.seals += 1;
                Ok(Some(Piece::Item(Item::Seal(frame.payload))))
            }
            SKIPPED => {
                let subtrees = subtrees_of(&frame.payload).ok_or(malformed("a frame of subtrees is not one"))?;
                self.counts.subtrees += subtrees.len() as u64;
                Ok(Some(Piece::Skipped(subtrees)))
            }
            KINDS => {
                self.kinds = Some(kinds_of(&frame.payload).ok_or(malformed("its counts are not counts"))?);
                self.next_piece()
            }
            END => {
                self.over = true;
                if self.kinds.is_none() {
                    return Err(malformed("it does not say how many events of each kind it holds"));
                }
                if frame.payload != self.counts.render().as_slice() {
                    return Err(malformed("it does not hold as many events, seals and subtrees as it says"));
                }
                // Reading to the end of the stream also compares its checksum.
                if !self.frames.is_over()? || !self.frames.input_mut().get_mut().fill_buf()?.is_empty() {
                    return Err(malformed("something follows its end"));
                }
                Ok(None)
            }
            _ => Err(malformed("a frame is of no known type")),
        }
    }
}

impl<R: Read> Iterator for BundleReader<R> {
    type Item = Result<Piece, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let piece = self.next_piece().map_err(damaged);
        self.over |= piece.is_err();
        piece.transpose()
    }
}

fn subtrees_of(payload: &Bytes) -> Option<Vec<Subtree>> {
    let (parts, rest) = payload.as_chunks::<SUBTREE_BYTES>();
    if !rest.is_empty() || !(1..=SUBTREES_MAX).contains(&parts.len()) {
        return None;
    }
    let subtree = |[level, root @ ..]: &[u8; SUBTREE_BYTES]| Subtree { level: *level, root: NodeHash(*root) };
    Some(parts.iter().map(subtree).collect())
}

/// Codes ascend, and none is counted that there is nothing of.
fn kinds_of(payload: &[u8]) -> Option<BTreeMap<u16, u64>> {
    let (parts, rest) = payload.as_chunks::<10>();
    let mut kinds = BTreeMap::new();
    for [a, b, count @ ..] in parts {
        let (code, count) = (u16::from_be_bytes([*a, *b]), u64::from_be_bytes(*count));
        if count == 0 || kinds.last_key_value().is_some_and(|(last, _)| *last >= code) {
            return None;
        }
        kinds.insert(code, count);
    }
    rest.is_empty().then_some(kinds)
}

/// What the decompressor cannot make sense of is damage, and no failure to read.
fn damaged(error: SourceError) -> SourceError {
    match error {
        SourceError::Read(error)
            if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::InvalidData | ErrorKind::UnexpectedEof) =>
        {
            malformed("its compression is damaged or cut short")
        }
        other => other,
    }
}

const fn malformed(why: &'static str) -> SourceError {
    SourceError::Container(why)
}
