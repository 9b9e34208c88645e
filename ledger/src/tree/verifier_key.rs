//! The text by which a verifier pins the key it trusts: `origin+key id+base64(0x01 ‖ public key)`, C2SP's vkey.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::origin::is_origin;
use crate::keys::PublicKey;

/// C2SP `signed-note`, "Signature types": Ed25519 over the note's text.
const ED25519: u8 = 1;

/// A log's name and a key that seals it: what an auditor trusts to begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    /// The log's name, and the key's.
    pub origin: String,
    /// The key.
    pub key: PublicKey,
}

/// A text is no verifier key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifierKeyError {
    /// Not the three parts, in their one spelling.
    #[error("a verifier key reads `origin+8 hex digits+base64`")]
    Malformed,
    /// Another kind of key.
    #[error("the verifier key is not of type 0x01, Ed25519")]
    Algorithm,
    /// The bytes are no public key.
    #[error("the verifier key holds no Ed25519 public key")]
    Key,
    /// The parts do not belong together: one of them was changed.
    #[error("the verifier key's id is not that of its origin and public key")]
    Id,
}

/// The number by which a signature line names the key that made it.
#[must_use]
pub(super) fn key_id(origin: &str, key: &PublicKey) -> u32 {
    signed_note::key_id(origin, &encoded(key))
}

fn encoded(key: &PublicKey) -> [u8; 33] {
    let mut bytes = [ED25519; 33];
    bytes[1..].copy_from_slice(key.as_bytes());
    bytes
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = key_id(&self.origin, &self.key);
        write!(f, "{}+{id:08x}+{}", self.origin, BASE64_STANDARD.encode(encoded(&self.key)))
    }
}

impl FromStr for VerifierKey {
    type Err = VerifierKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(3, '+');
        let (Some(origin), Some(_), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(VerifierKeyError::Malformed);
        };
        if !is_origin(origin) {
            return Err(VerifierKeyError::Malformed);
        }
        let bytes = BASE64_STANDARD.decode(key).map_err(|_| VerifierKeyError::Malformed)?;
        let key = match bytes.split_first() {
            Some((&ED25519, key)) => PublicKey::from_slice(key).ok_or(VerifierKeyError::Key)?,
            Some(_) => return Err(VerifierKeyError::Algorithm),
            None => return Err(VerifierKeyError::Malformed),
        };
        let parsed = Self { origin: origin.to_owned(), key };
        if parsed.to_string() == text { Ok(parsed) } else { Err(VerifierKeyError::Id) }
    }
}
