//! The only user of bincode: how bodies become bytes and are read back.
//!
//! bincode 2 with its standard configuration: integers as varints, little-endian; texts, lists and maps behind their
//! length; options behind one byte. What is hashed and signed is the header's own layout ([`crate::event`]), never
//! this; a body is bound by its hash alone.

use bincode::config::{self, Configuration, Limit, LittleEndian, Varint};
use serde::de::{DeserializeOwned, Error as _, SeqAccess, Visitor};
use serde::ser::SerializeTuple as _;
use serde::{Deserializer, Serialize, Serializer};

/// No value may take more bytes than this, written or read. A full group of 256 such bodies takes 16 MiB of memory.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// No row of a view may take more bytes than this. A row gathers what several bodies brought, so it may be larger than
/// any of them; else what one event made, another could not change.
pub const ROW_BYTES_MAX: usize = 4 * BODY_BYTES_MAX;

type Limited<const MAX: usize> = Configuration<LittleEndian, Varint, Limit<MAX>>;

/// Bytes that are no value, or a value that makes no bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The value is larger than a body may be.
    #[error("the value takes {bytes} bytes, more than the {max} it may have")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The most it may have.
        max: usize,
    },
    /// The value cannot be written.
    #[error("the value cannot be encoded: {0}")]
    Encode(String),
    /// The bytes are not such a value.
    #[error("the bytes are no such value: {0}")]
    Decode(String),
    /// The value ends before the bytes do.
    #[error("{0} bytes follow the value")]
    Trailing(usize),
}

/// Writes a body, or a value within one.
///
/// # Errors
/// [`CodecError::TooLarge`] above [`BODY_BYTES_MAX`].
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    let mut out = Vec::with_capacity(128);
    encode_after(&mut out, value, BODY_BYTES_MAX)?;
    Ok(out)
}

/// Reads what [`encode`] writes, from all of the bytes.
///
/// # Errors
/// [`CodecError::Decode`] or [`CodecError::Trailing`] when the bytes are not exactly one such value.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    decode_within::<T, BODY_BYTES_MAX>(bytes)
}

/// Writes the value of a view's row behind what `out` holds.
///
/// # Errors
/// [`CodecError::TooLarge`] above [`ROW_BYTES_MAX`].
pub fn encode_row_after<T: Serialize>(out: &mut Vec<u8>, value: &T) -> Result<(), CodecError> {
    encode_after(out, value, ROW_BYTES_MAX)
}

/// Reads what [`encode_row_after`] writes, from all of the bytes.
///
/// # Errors
/// As [`decode`].
pub fn decode_row<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    decode_within::<T, ROW_BYTES_MAX>(bytes)
}

/// Bytes within a value, written and read as one piece.
///
/// serde has no arrays of bytes: it hands them over byte by byte, which was most of the time a body took. What is stored
/// is the same either way: an array is its bytes, a vector its length and its bytes.
pub trait StoredBytes: Sized {
    /// Writes the bytes.
    ///
    /// # Errors
    /// The serializer's.
    fn store<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error>;

    /// Reads what [`store`](Self::store) writes.
    ///
    /// # Errors
    /// The deserializer's.
    fn load<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error>;
}

impl<const N: usize> StoredBytes for [u8; N] {
    fn store<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let (words, rest) = self.as_chunks::<8>();
        let mut tuple = to.serialize_tuple(words.len() + rest.len())?;
        for word in words {
            // Of all that serde knows, only an f64 is stored as eight bytes as they are.
            tuple.serialize_element(&f64::from_le_bytes(*word))?;
        }
        for byte in rest {
            tuple.serialize_element(byte)?;
        }
        tuple.end()
    }

    fn load<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Array<const N: usize>;
        impl<'de, const N: usize> Visitor<'de> for Array<N> {
            type Value = [u8; N];

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{N} bytes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<[u8; N], A::Error> {
                let mut bytes = [0; N];
                let (words, rest) = bytes.as_chunks_mut::<8>();
                for word in words {
                    let read: Option<f64> = from.next_element()?;
                    *word = read.ok_or_else(|| A::Error::invalid_length(N, &self))?.to_le_bytes();
                }
                for byte in rest {
                    *byte = from.next_element()?.ok_or_else(|| A::Error::invalid_length(N, &self))?;
                }
                Ok(bytes)
            }
        }
        from.deserialize_tuple(N / 8 + N % 8, Array)
    }
}

impl StoredBytes for Vec<u8> {
    fn store<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(self)
    }

    fn load<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Vector;
        impl Visitor<'_> for Vector {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }

            fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
                Ok(bytes)
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
        }
        from.deserialize_byte_buf(Vector)
    }
}

fn encode_after<T: Serialize>(out: &mut Vec<u8>, value: &T, max: usize) -> Result<(), CodecError> {
    let before = out.len();
    bincode::serde::encode_into_std_write(value, out, config::standard())
        .map_err(|error| CodecError::Encode(error.to_string()))?;
    let bytes = out.len() - before;
    if bytes > max { Err(CodecError::TooLarge { bytes, max }) } else { Ok(()) }
}

fn decode_within<T: DeserializeOwned, const MAX: usize>(bytes: &[u8]) -> Result<T, CodecError> {
    let config: Limited<MAX> = config::standard().with_limit();
    let (value, read) =
        bincode::serde::decode_from_slice(bytes, config).map_err(|e| CodecError::Decode(e.to_string()))?;
    if read == bytes.len() { Ok(value) } else { Err(CodecError::Trailing(bytes.len() - read)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    /// Bytes as [`StoredBytes`] hands them over.
    #[derive(Debug, PartialEq)]
    struct Piece<T>(T);

    impl<T: StoredBytes> Serialize for Piece<T> {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            self.0.store(to)
        }
    }

    impl<'de, T: StoredBytes> Deserialize<'de> for Piece<T> {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            T::load(from).map(Self)
        }
    }

    fn same<T>(bytes: T) -> Result<(), TestCaseError>
    where
        T: StoredBytes + Serialize + DeserializeOwned + Clone + PartialEq + std::fmt::Debug,
    {
        let stored = encode(&Piece(bytes.clone())).unwrap();
        prop_assert_eq!(&stored, &encode(&bytes).unwrap());
        prop_assert_eq!(decode::<Piece<T>>(&stored).unwrap(), Piece(bytes));
        for cut in 0..stored.len() {
            prop_assert!(decode::<Piece<T>>(&stored[..cut]).is_err());
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn bytes_in_one_piece_are_stored_as_byte_by_byte(
            whole in any::<[u8; 32]>(), uneven in any::<[u8; 27]>(), few in any::<[u8; 3]>(),
            vector in proptest::collection::vec(any::<u8>(), 0..400),
        ) {
            same(whole)?;
            same(uneven)?;
            same(few)?;
            same(vector)?;
        }
    }

    /// Floating-point numbers that are no numbers come through bit by bit, too.
    #[test]
    fn every_sort_of_float_is_only_bytes() {
        for high in [0x7f, 0xff] {
            for next in [0xf0, 0xf4, 0xf8, 0xff] {
                for low in [0, 1, 0xff] {
                    same([low, low, 0, 0, 0, 0, next, high]).unwrap();
                }
            }
        }
    }
}
