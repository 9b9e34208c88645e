//! Event references: ids of what is said about an event, such as an audit entry or a delivery.
//!
//! They are no things of their own but UUIDv8 (RFC 9562 §5.8): 48 bits of the event's time in milliseconds, then 74 bits
//! that name event, lane and index. So they decode to their event without an index, sort as the log does, and are the
//! same on every rebuild.

use uuid::{Builder, Uuid, Variant};

use crate::ids::Seq;
use crate::time::Micros;

/// Bits of the index within one event's entries of one lane: one event makes at most 1,024.
const INDEX_BITS: u32 = 10;
const LANE_BITS: u32 = 4;
const SEQ_BITS: u32 = 60;
/// Bits behind the variant.
const LOW_BITS: u32 = 62;

/// In whose words something is said about an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Lane {
    /// Our own.
    Native = 0,
    /// OrgKernel's.
    OrgKernel = 1,
    /// AgentIdP's.
    AgentIdp = 2,
    /// Alsorn's.
    Alsorn = 3,
    /// getstack's.
    Getstack = 4,
    /// AEGIS's.
    Aegis = 5,
    /// Deliveries to the outside.
    Delivery = 6,
}

impl Lane {
    /// Every lane, in code order.
    pub const ALL: [Self; 7] =
        [Self::Native, Self::OrgKernel, Self::AgentIdp, Self::Alsorn, Self::Getstack, Self::Aegis, Self::Delivery];

    /// Its number in references.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The lane of that number.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|lane| lane.code() == code)
    }
}

/// Something that is said about an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventRef {
    /// When the event was decided, in milliseconds since the epoch.
    pub millis: u64,
    /// The event.
    pub seq: Seq,
    /// In whose words.
    pub lane: Lane,
    /// Which of the things that the lane says about the event, from 0.
    pub index: u16,
}

impl EventRef {
    /// Refers to what a lane says about an event.
    #[must_use]
    pub fn new(time: Micros, seq: Seq, lane: Lane, index: u16) -> Self {
        Self { millis: time.millis(), seq, lane, index }
    }

    /// The reference as an id. Of a time, a position or an index that is too large, the low bits are kept: the log reaches
    /// none of them.
    #[must_use]
    pub fn uuid(self) -> Uuid {
        let place = (u128::from(self.seq.0) & mask(SEQ_BITS)) << (LANE_BITS + INDEX_BITS)
            | u128::from(self.lane.code()) << INDEX_BITS
            | u128::from(self.index) & mask(INDEX_BITS);
        let millis = u128::from(self.millis) & mask(48);
        // `from_custom_bytes` puts version and variant in their places.
        let value = millis << 80 | (place >> LOW_BITS) << 64 | place & mask(LOW_BITS);
        Builder::from_custom_bytes(value.to_be_bytes()).into_uuid()
    }

    /// What an id refers to; `None` when it is no reference.
    #[must_use]
    pub fn from_uuid(id: Uuid) -> Option<Self> {
        if id.get_version_num() != 8 || id.get_variant() != Variant::RFC4122 {
            return None;
        }
        let value = id.as_u128();
        let place = (value >> 64 & mask(12)) << LOW_BITS | value & mask(LOW_BITS);
        let seq = place >> (LANE_BITS + INDEX_BITS);
        let lane = place >> INDEX_BITS & mask(LANE_BITS);
        Some(Self {
            millis: u64::try_from(value >> 80).ok()?,
            seq: Seq(u64::try_from(seq).ok()?),
            lane: Lane::from_code(u8::try_from(lane).ok()?)?,
            index: u16::try_from(place & mask(INDEX_BITS)).ok()?,
        })
    }
}

const fn mask(bits: u32) -> u128 {
    (1 << bits) - 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::parse_uuid;

    /// The example of DOMAIN section 1.
    #[test]
    fn documented_example() {
        let reference = EventRef { millis: 1_767_323_045_678, seq: Seq(4711), lane: Lane::AgentIdp, index: 0 };
        assert_eq!(reference.uuid().to_string(), "019b7ca9-8f2e-8000-8000-00000499c800");
        assert_eq!(EventRef::new(Micros(1_767_323_045_678_999), Seq(4711), Lane::AgentIdp, 0), reference);
    }

    #[test]
    fn other_ids_are_no_references() {
        for text in ["01932c07-209c-7c3a-9f1e-5b6d7e8f9a0b", "019b7ca9-8f2e-8000-8000-00000499fc00"] {
            assert_eq!(EventRef::from_uuid(parse_uuid(text).unwrap()), None, "{text}");
        }
        assert_eq!(EventRef::from_uuid(Uuid::nil()), None);
    }

    fn reference() -> impl Strategy<Value = EventRef> {
        let lane = (0..7_u8).prop_map(|code| Lane::from_code(code).unwrap());
        (0..1_u64 << 48, 0..1_u64 << 60, lane, 0..1024_u16).prop_map(|(millis, seq, lane, index)| EventRef {
            millis,
            seq: Seq(seq),
            lane,
            index,
        })
    }

    proptest! {
        #[test]
        fn references_decode_and_sort_as_the_log_does(a in reference(), b in reference()) {
            prop_assert_eq!(EventRef::from_uuid(a.uuid()), Some(a));
            prop_assert_eq!(parse_uuid(&a.uuid().to_string()), Ok(a.uuid()));
            prop_assert_eq!(a.cmp(&b), a.uuid().cmp(&b.uuid()));
        }
    }
}
