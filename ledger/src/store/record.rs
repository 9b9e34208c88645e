//! An event as it is stored, and its bytes. This is `docs/format.md`, "The log on disk", as code.

use bytes::{Buf as _, BufMut as _, Bytes};

use crate::codec::BODY_BYTES_MAX;
use crate::event::HeaderError;
use crate::ids::{Seq, TreeSize};
use crate::tree::NodeHash;

/// Longest header a record can hold, in bytes. One of layout 1 takes at most 2,579.
pub const HEADER_BYTES_MAX: usize = 4096;
/// Bytes of a node.
const NODE_BYTES: usize = 32;
/// Longest record, in bytes: two lengths, header, body, and a node for each level that 64 bits can count.
pub const RECORD_BYTES_MAX: usize = 4 + HEADER_BYTES_MAX + 4 + BODY_BYTES_MAX + 64 * NODE_BYTES;

/// An event as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its header's bytes.
    pub header: Bytes,
    /// Its body's bytes.
    pub body: Bytes,
    /// The interior nodes its leaf completes, from level 1 up: as many as `seq + 1` has trailing zero bits.
    pub nodes: Vec<NodeHash>,
}

/// Stored bytes, or what is to be stored, are not the record of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The header is longer than headers are, or than the record.
    #[error("a header of {0} bytes does not fit")]
    Header(usize),
    /// The body is longer than bodies are, or than the record.
    #[error("a body of {0} bytes does not fit")]
    Body(usize),
    /// The header is not one.
    #[error(transparent)]
    Unreadable(#[from] HeaderError),
    /// The record ends within a length.
    #[error("it ends too early")]
    Short,
    /// The nodes are not as many as this event completes.
    #[error("{found} bytes of tree nodes stand where {expected} belong")]
    Nodes {
        /// Bytes the event's nodes take.
        expected: usize,
        /// Bytes there are.
        found: usize,
    },
    /// A part of a run is neither an event nor a seal.
    #[error("a part of kind {0:#04x} is neither an event nor a seal")]
    Part(u8),
    /// A seal is longer than seals are, or than the run.
    #[error("a seal of {0} bytes does not fit")]
    Seal(usize),
    /// A run names another end of its commit than the one where the seal is.
    #[error("its commit is said to end at {0} events, and does not")]
    End(TreeSize),
}

/// How many interior nodes the leaf of an event completes.
const fn nodes_completed(seq: Seq) -> usize {
    seq.0.trailing_ones() as usize
}

impl Record {
    /// Bytes of its encoding.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        8 + self.header.len() + self.body.len() + self.nodes.len() * NODE_BYTES
    }

    /// Writes the record of the event at `seq` behind what `out` holds.
    ///
    /// # Errors
    /// [`RecordError`] when [`decode_from`](Self::decode_from) would refuse the bytes: what cannot be read back is never
    /// written. Nothing was added then.
    pub fn encode_into(&self, seq: Seq, out: &mut Vec<u8>) -> Result<(), RecordError> {
        let header_len = length(self.header.len(), HEADER_BYTES_MAX).ok_or(RecordError::Header(self.header.len()))?;
        let body_len = length(self.body.len(), BODY_BYTES_MAX).ok_or(RecordError::Body(self.body.len()))?;
        check_nodes(seq, self.nodes.len() * NODE_BYTES)?;
        out.reserve(self.encoded_len());
        out.put_u32(header_len);
        out.put_slice(&self.header);
        out.put_u32(body_len);
        out.put_slice(&self.body);
        for node in &self.nodes {
            out.put_slice(&node.0);
        }
        Ok(())
    }

    /// Reads the record of the event at `seq` from the front of `bytes`, and leaves what follows it. One record has one
    /// encoding. Header and body share the bytes.
    ///
    /// # Errors
    /// [`RecordError`] names the part that is not as it must be. What header and body say is not looked at.
    pub fn decode_from(seq: Seq, bytes: &mut Bytes) -> Result<Self, RecordError> {
        let header = take(bytes, HEADER_BYTES_MAX, RecordError::Header)?;
        let body = take(bytes, BODY_BYTES_MAX, RecordError::Body)?;
        let nodes = take_nodes(seq, bytes)?;
        let (nodes, _) = nodes.as_chunks::<NODE_BYTES>();
        Ok(Self { header, body, nodes: nodes.iter().map(|node| NodeHash(*node)).collect() })
    }

    /// Passes over what [`decode_from`](Self::decode_from) reads.
    pub(super) fn skip(seq: Seq, bytes: &mut Bytes) -> Result<(), RecordError> {
        take(bytes, HEADER_BYTES_MAX, RecordError::Header)?;
        take(bytes, BODY_BYTES_MAX, RecordError::Body)?;
        take_nodes(seq, bytes).map(drop)
    }
}

fn length(len: usize, max: usize) -> Option<u32> {
    if len <= max { u32::try_from(len).ok() } else { None }
}

fn take(bytes: &mut Bytes, max: usize, too_long: fn(usize) -> RecordError) -> Result<Bytes, RecordError> {
    let len = bytes.try_get_u32().map_err(|_| RecordError::Short)? as usize;
    if len > max || len > bytes.len() {
        return Err(too_long(len));
    }
    Ok(bytes.split_to(len))
}

fn take_nodes(seq: Seq, bytes: &mut Bytes) -> Result<Bytes, RecordError> {
    let expected = nodes_completed(seq) * NODE_BYTES;
    if bytes.len() < expected {
        Err(RecordError::Nodes { expected, found: bytes.len() })
    } else {
        Ok(bytes.split_to(expected))
    }
}

fn check_nodes(seq: Seq, found: usize) -> Result<(), RecordError> {
    let expected = nodes_completed(seq) * NODE_BYTES;
    if found == expected { Ok(()) } else { Err(RecordError::Nodes { expected, found }) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Record {
        fn encode(&self, seq: Seq) -> Result<Vec<u8>, RecordError> {
            let mut out = Vec::new();
            self.encode_into(seq, &mut out)?;
            assert_eq!(out.len(), self.encoded_len());
            Ok(out)
        }
    }

    /// Reads one record, and tells how many bytes follow it.
    fn decode(seq: Seq, mut bytes: Bytes) -> Result<(Record, usize), RecordError> {
        let mut skipped = bytes.clone();
        let record = Record::decode_from(seq, &mut bytes);
        let skip = Record::skip(seq, &mut skipped);
        assert_eq!((skip, skipped), (record.clone().map(drop), bytes.clone()));
        Ok((record?, bytes.len()))
    }

    fn record(header: &[u8], body: &[u8], nodes: &[u8]) -> Record {
        Record {
            header: Bytes::copy_from_slice(header),
            body: Bytes::copy_from_slice(body),
            nodes: nodes.iter().map(|fill| NodeHash([*fill; 32])).collect(),
        }
    }

    /// The bytes of `docs/format.md`, "The log on disk". Event 3 completes the trees of 2 and of 4 leaves.
    #[test]
    fn golden_record() {
        let bytes = record(b"head", b"bodies", &[0xaa, 0xbb]).encode(Seq(3)).unwrap();
        let expected =
            ["00000004", "68656164", "00000006", "626f64696573", &"aa".repeat(32), &"bb".repeat(32)].concat();
        assert_eq!(hex::encode(bytes), expected);
    }

    #[test]
    fn nothing_is_written_that_could_not_be_read() {
        let too_long = vec![0; HEADER_BYTES_MAX + 1];
        assert_eq!(record(&too_long, b"", &[]).encode(Seq(0)), Err(RecordError::Header(4097)));
        let too_long = vec![0; BODY_BYTES_MAX + 1];
        assert_eq!(record(b"h", &too_long, &[]).encode(Seq(0)), Err(RecordError::Body(65_537)));
        assert_eq!(record(b"h", b"b", &[1]).encode(Seq(0)), Err(RecordError::Nodes { expected: 0, found: 32 }));
        assert_eq!(record(b"h", b"b", &[]).encode(Seq(1)), Err(RecordError::Nodes { expected: 32, found: 0 }));
        let longest = record(&[1; HEADER_BYTES_MAX], &vec![2; BODY_BYTES_MAX], &[3; 64]).encode(Seq(u64::MAX)).unwrap();
        assert_eq!(longest.len(), RECORD_BYTES_MAX);
    }

    #[test]
    fn a_length_beyond_the_record_is_refused() {
        let decode = |bytes: &[u8]| decode(Seq(0), Bytes::copy_from_slice(bytes)).map(drop);
        assert_eq!(decode(&[0, 0, 0]), Err(RecordError::Short));
        assert_eq!(decode(&[0, 0, 0, 2, 1]), Err(RecordError::Header(2)));
        assert_eq!(decode(&[0, 0, 0, 1, 1, 0, 0]), Err(RecordError::Short));
        assert_eq!(decode(&[0, 0, 0, 1, 1, 0xff, 0xff, 0xff, 0xff]), Err(RecordError::Body(u32::MAX as usize)));
    }

    proptest! {
        #[test]
        fn records_are_two_way_and_every_cut_is_seen(
            header in proptest::collection::vec(any::<u8>(), 0..300),
            body in proptest::collection::vec(any::<u8>(), 0..600),
            seq in any::<u64>().prop_map(Seq), cut in any::<prop::sample::Index>(),
        ) {
            let fills: Vec<u8> = (1..).take(nodes_completed(seq)).collect();
            let record = record(&header, &body, &fills);
            let bytes = Bytes::from(record.encode(seq).unwrap());
            prop_assert_eq!(decode(seq, bytes.clone()), Ok((record.clone(), 0)));
            prop_assert!(decode(seq, bytes.slice(..cut.index(bytes.len()))).is_err());
            let longer = [&bytes[..], &[0]].concat();
            prop_assert_eq!(decode(seq, Bytes::from(longer)), Ok((record, 1)));
        }

        #[test]
        fn any_bytes_are_a_record_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200), seq in 0u64..9) {
            let bytes = Bytes::from(bytes);
            if let Ok((record, left)) = decode(Seq(seq), bytes.clone()) {
                prop_assert_eq!(record.encode(Seq(seq)).unwrap(), &bytes[..bytes.len() - left]);
            }
        }
    }
}
