//! A run: events in a row, and the seals that follow them, as one stored value. This is `docs/format.md`, "The log on
//! disk", as code.
//!
//! An event on its own is too small a value for a store to keep well: its place in the store's index costs more memory,
//! and more time at every start, than the event is worth. A run holds some, and stays small enough that reading one event
//! of it is cheap.

use bytes::{Buf as _, BufMut as _, Bytes};

use super::SEAL_BYTES_MAX;
use super::record::{RECORD_BYTES_MAX, Record, RecordError};
use crate::ids::{Seq, TreeSize};

/// A run that would have more bytes with a further event does not take it. Longer ones would save little more, and cost
/// memory: sled keeps some thousands of leaves beyond what its cache may hold before it lets go of any.
pub const FULL_BYTES: usize = 2 * 1024;
/// Longest run, in bytes: when one event of the largest size is all it holds, or comes last into one nearly full, no
/// other follows, and then the seals of its commits.
pub const RUN_BYTES_MAX: usize = FULL_BYTES + 1 + RECORD_BYTES_MAX + 1 + 4 + SEAL_BYTES_MAX;

const EVENT: u8 = b'E';
const SEAL: u8 = b'S';
/// Bytes of the size at the run's beginning.
const END_BYTES: usize = 8;

/// What a log consists of, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// An event.
    Event(Seq, Record),
    /// The seal of the commit that ends with the event before it, and the size it stands at.
    Seal(TreeSize, Bytes),
}

/// A run being written.
#[derive(Debug, Clone)]
pub struct Run {
    first: Seq,
    next: Seq,
    bytes: Vec<u8>,
}

impl Run {
    /// A run that begins with the event at `first`.
    #[must_use]
    pub fn new(first: Seq) -> Self {
        let mut bytes = Vec::with_capacity(FULL_BYTES + FULL_BYTES / 4);
        bytes.put_bytes(0, END_BYTES);
        Self { first, next: first, bytes }
    }

    /// Goes on with a stored run.
    pub(super) fn resume(first: Seq, next: Seq, stored: &[u8]) -> Self {
        Self { first, next, bytes: stored.to_vec() }
    }

    /// The run's first event, under whose number it is stored.
    #[must_use]
    pub const fn first(&self) -> Seq {
        self.first
    }

    /// The bytes to store.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether it may take a further event of this many bytes.
    #[must_use]
    pub fn has_room(&self, record_bytes: usize) -> bool {
        self.next == self.first || self.bytes.len() + 1 + record_bytes <= FULL_BYTES
    }

    /// Adds the next event, of a commit that ends at the size `end`.
    ///
    /// # Errors
    /// [`RecordError`] when it could not be read back; the run is as before.
    pub fn push(&mut self, record: &Record, end: TreeSize) -> Result<(), RecordError> {
        let before = self.bytes.len();
        self.bytes.put_u8(EVENT);
        if let Err(error) = record.encode_into(self.next, &mut self.bytes) {
            self.bytes.truncate(before);
            return Err(error);
        }
        self.bytes[..END_BYTES].copy_from_slice(&end.0.to_be_bytes());
        self.next = after(self.next);
        Ok(())
    }

    /// Adds the seal of the commit whose last event was added just before: at most [`SEAL_BYTES_MAX`] bytes.
    pub fn seal(&mut self, seal: &[u8]) {
        self.bytes.put_u8(SEAL);
        self.bytes.put_u32(u32::try_from(seal.len()).unwrap_or(u32::MAX));
        self.bytes.put_slice(seal);
    }
}

/// Reads a stored run, part by part. After an error there is no further part.
#[derive(Debug, Clone)]
pub struct RunReader {
    next: Seq,
    end: TreeSize,
    rest: Bytes,
}

impl RunReader {
    /// Reads the run whose first event is `first`. The parts share the bytes.
    ///
    /// # Errors
    /// [`RecordError::Short`] when it is too short to be one.
    pub fn new(first: Seq, mut stored: Bytes) -> Result<Self, RecordError> {
        let end = TreeSize(stored.try_get_u64().map_err(|_| RecordError::Short)?);
        Ok(Self { next: first, end, rest: stored })
    }

    /// The event that comes next, if one does.
    #[must_use]
    pub const fn at(&self) -> Seq {
        self.next
    }

    /// The size at which, as the run says, the commit of its last event ends.
    #[must_use]
    pub const fn end(&self) -> TreeSize {
        self.end
    }

    /// Whether there is nothing more to read.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.rest.is_empty()
    }

    /// Passes over all parts before the event at `seq`; a part that is malformed is left for [`Iterator::next`].
    pub(super) fn skip_to(&mut self, seq: Seq) {
        loop {
            let mut rest = self.rest.clone();
            match rest.try_get_u8() {
                Ok(EVENT) if self.next < seq && Record::skip(self.next, &mut rest).is_ok() => {
                    self.next = after(self.next);
                }
                Ok(SEAL) if take_seal(&mut rest).is_ok() => {}
                _ => return,
            }
            self.rest = rest;
        }
    }
}

impl Iterator for RunReader {
    type Item = Result<Part, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        let kind = self.rest.try_get_u8().ok()?;
        let part = match kind {
            EVENT => Record::decode_from(self.next, &mut self.rest).map(|record| Part::Event(self.next, record)),
            SEAL => take_seal(&mut self.rest).map(|seal| Part::Seal(TreeSize(self.next.0), seal)),
            other => Err(RecordError::Part(other)),
        };
        match part {
            Ok(Part::Event(..)) => self.next = after(self.next),
            Ok(Part::Seal(..)) => {}
            Err(_) => self.rest.clear(),
        }
        Some(part)
    }
}

/// The position after one that anybody may have written down.
const fn after(seq: Seq) -> Seq {
    Seq(seq.0.saturating_add(1))
}

fn take_seal(rest: &mut Bytes) -> Result<Bytes, RecordError> {
    let len = rest.try_get_u32().map_err(|_| RecordError::Short)? as usize;
    if len > SEAL_BYTES_MAX || len > rest.len() {
        return Err(RecordError::Seal(len));
    }
    Ok(rest.split_to(len))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tree::NodeHash;

    fn record(seq: u64, body: &[u8]) -> Record {
        let nodes = (0..seq.trailing_ones()).map(|level| NodeHash([level as u8; 32])).collect();
        Record { header: Bytes::from_static(b"head"), body: Bytes::copy_from_slice(body), nodes }
    }

    /// The bytes of `docs/format.md`, "The log on disk".
    #[test]
    fn golden_run() {
        let mut run = Run::new(Seq(2));
        run.push(&record(2, b"body"), TreeSize(3)).unwrap();
        run.seal(b"seal");
        run.push(&record(3, b""), TreeSize(7)).unwrap();
        let expected = [
            "0000000000000007",
            "45000000046865616400000004626f6479",
            "53000000047365616c",
            "45000000046865616400000000",
            &"00".repeat(32),
            &"01".repeat(32),
        ];
        assert_eq!(hex::encode(run.bytes()), expected.concat());
    }

    #[test]
    fn the_longest_run_is_as_long_as_it_says() {
        let largest = Record {
            header: vec![1; crate::store::record::HEADER_BYTES_MAX].into(),
            body: vec![2; crate::codec::BODY_BYTES_MAX].into(),
            nodes: vec![NodeHash([3; 32]); 64],
        };
        let mut run = Run::new(Seq(u64::MAX - 1));
        let small = Record { body: vec![2; FULL_BYTES].into(), nodes: Vec::new(), ..largest.clone() };
        run.push(&small, TreeSize(u64::MAX)).unwrap();
        assert!(!run.has_room(0), "a full run takes no more");
        let mut run = Run::new(Seq(u64::MAX));
        assert!(run.has_room(largest.encoded_len()), "an empty one takes anything");
        run.push(&largest, TreeSize(u64::MAX)).unwrap();
        run.seal(&[4; SEAL_BYTES_MAX]);
        assert!(run.bytes().len() <= RUN_BYTES_MAX, "{} bytes", run.bytes().len());
    }

    #[test]
    fn what_is_no_part_is_refused() {
        let mut run = Run::new(Seq(0));
        run.push(&record(0, b"body"), TreeSize(1)).unwrap();
        run.seal(b"seal");
        let whole = Bytes::copy_from_slice(run.bytes());
        let read = |bytes: Bytes| -> Result<Vec<Part>, RecordError> { RunReader::new(Seq(0), bytes)?.collect() };
        assert_eq!(read(whole.clone()).unwrap().len(), 2);
        let boundaries = [END_BYTES, whole.len() - 9];
        for cut in (0..whole.len()).filter(|cut| !boundaries.contains(cut)) {
            assert!(read(whole.slice(..cut)).is_err(), "cut to {cut} bytes");
        }
        assert_eq!(read([&whole[..], b"Z"].concat().into()), Err(RecordError::Part(b'Z')));
        assert_eq!(read([&whole[..], b"S\0\0\x40\x01"].concat().into()), Err(RecordError::Seal(0x4001)));
    }

    proptest! {
        #[test]
        fn runs_are_two_way_and_read_from_any_event(
            first in 0u64..1000, bodies in proptest::collection::vec((0usize..300, any::<bool>()), 1..12),
            from in any::<prop::sample::Index>(),
        ) {
            let mut run = Run::new(Seq(first));
            let mut parts = Vec::new();
            for (seq, (len, sealed)) in (first..).zip(&bodies) {
                let record = record(seq, &vec![seq as u8; *len]);
                run.push(&record, TreeSize(seq + 1000)).unwrap();
                parts.push(Part::Event(Seq(seq), record));
                if *sealed {
                    run.seal(b"seal");
                    parts.push(Part::Seal(TreeSize(seq + 1), Bytes::from_static(b"seal")));
                }
            }
            let stored = Bytes::copy_from_slice(run.bytes());
            let mut reader = RunReader::new(Seq(first), stored).unwrap();
            prop_assert_eq!(reader.end(), TreeSize(first + bodies.len() as u64 + 999));
            let read: Result<Vec<_>, _> = reader.clone().collect();
            prop_assert_eq!(&read.unwrap(), &parts);
            let from = Seq(first + from.index(bodies.len()) as u64);
            reader.skip_to(from);
            let at = parts.iter().position(|part| matches!(part, Part::Event(seq, _) if *seq == from)).unwrap();
            prop_assert_eq!(reader.at(), from);
            let read: Result<Vec<_>, _> = reader.collect();
            prop_assert_eq!(read.unwrap(), &parts[at..]);
        }

        #[test]
        fn any_bytes_are_parts_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200), seq in 0u64..9) {
            if let Ok(mut reader) = RunReader::new(Seq(seq), Bytes::from(bytes)) {
                reader.clone().for_each(drop);
                reader.skip_to(Seq(seq + 3));
            }
        }
    }
}
