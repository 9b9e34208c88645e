//! The only user of bincode: how bodies become bytes and are read back.
//!
//! bincode 2 with its standard configuration: integers as varints, little-endian; texts, lists and maps behind their
//! length; options behind one byte. What is hashed and signed is the header's own layout ([`crate::event`]), never
//! this; a body is bound by its hash alone.

use bincode::config::{self, Configuration, Limit, LittleEndian, Varint};
use serde::Serialize;
use serde::de::DeserializeOwned;

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
    encode_within(value, BODY_BYTES_MAX)
}

/// Reads what [`encode`] writes, from all of the bytes.
///
/// # Errors
/// [`CodecError::Decode`] or [`CodecError::Trailing`] when the bytes are not exactly one such value.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    decode_within::<T, BODY_BYTES_MAX>(bytes)
}

/// Writes the value of a view's row.
///
/// # Errors
/// [`CodecError::TooLarge`] above [`ROW_BYTES_MAX`].
pub fn encode_row<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    encode_within(value, ROW_BYTES_MAX)
}

/// Reads what [`encode_row`] writes, from all of the bytes.
///
/// # Errors
/// As [`decode`].
pub fn decode_row<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    decode_within::<T, ROW_BYTES_MAX>(bytes)
}

fn encode_within<T: Serialize>(value: &T, max: usize) -> Result<Vec<u8>, CodecError> {
    let bytes =
        bincode::serde::encode_to_vec(value, config::standard()).map_err(|e| CodecError::Encode(e.to_string()))?;
    if bytes.len() > max { Err(CodecError::TooLarge { bytes: bytes.len(), max }) } else { Ok(bytes) }
}

fn decode_within<T: DeserializeOwned, const MAX: usize>(bytes: &[u8]) -> Result<T, CodecError> {
    let config: Limited<MAX> = config::standard().with_limit();
    let (value, read) =
        bincode::serde::decode_from_slice(bytes, config).map_err(|e| CodecError::Decode(e.to_string()))?;
    if read == bytes.len() { Ok(value) } else { Err(CodecError::Trailing(bytes.len() - read)) }
}
