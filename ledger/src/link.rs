//! Hash links: `body_hash`, `prev` and `hash`. This is `docs/format.md`, "Hashes", as code.

use std::fmt;
use std::sync::LazyLock;

use blake3::hazmat::{ContextKey, HasherExt as _, hash_derive_key_context};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::codec::StoredBytes as _;

/// BLAKE3 derive-key context of [`body_hash`].
pub const BODY_CONTEXT: &str = "chancery 2026 event body v1";
/// BLAKE3 derive-key context of [`header_hash`].
pub const HEADER_CONTEXT: &str = "chancery 2026 event header v1";

/// A BLAKE3 hash: 32 bytes, shown as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, JsonSchema)]
#[schemars(with = "String")]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// What the first event names as its predecessor.
    pub const ZERO: Self = Self([0; 32]);
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 64];
        hex::encode_to_slice(self.0, &mut digits).map_err(|_| fmt::Error)?;
        f.write_str(std::str::from_utf8(&digits).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.store(serializer) }
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return <[u8; 32]>::load(deserializer).map(Self);
        }
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.as_bytes(), &mut bytes).map_err(serde::de::Error::custom)?;
        Ok(Self(bytes))
    }
}

/// What a context comes to, derived once and not for every event.
static BODY_KEY: LazyLock<ContextKey> = LazyLock::new(|| hash_derive_key_context(BODY_CONTEXT));
static HEADER_KEY: LazyLock<ContextKey> = LazyLock::new(|| hash_derive_key_context(HEADER_CONTEXT));

/// The hash that stands for a body in its event's header.
#[must_use]
pub fn body_hash(body: &[u8]) -> Hash {
    derive(&BODY_KEY, body)
}

/// The hash of an event: of its header's bytes, which hold the hash of the event before it.
#[must_use]
pub fn header_hash(header: &[u8]) -> Hash {
    derive(&HEADER_KEY, header)
}

fn derive(context: &ContextKey, bytes: &[u8]) -> Hash {
    Hash(blake3::Hasher::new_from_context_key(context).update(bytes).finalize().into())
}
