//! The text by which a verifier pins the key it trusts, C2SP's vkey: `name+key id+base64(type ‖ public key)`, of type 0x01
//! for a log's key and 0x04 for a witness's.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::origin::is_origin;
use crate::keys::PublicKey;

/// C2SP `signed-note`, "Signature types": Ed25519 over the note's text.
const ED25519: u8 = 1;
/// Likewise: Ed25519 over a timestamp and the note's text, which is what witnesses sign.
const COSIGNATURE: u8 = 4;

/// A log's name and a key that seals it: what an auditor trusts to begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    /// The log's name, and the key's.
    pub origin: String,
    /// The key.
    pub key: PublicKey,
}

/// A witness's name and the key that it cosigns by (C2SP `tlog-cosignature`): what an auditor who asks for witnesses
/// trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CosignerKey {
    /// The witness's name, and the key's.
    pub name: String,
    /// The key.
    pub key: PublicKey,
}

/// A text is no verifier key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifierKeyError {
    /// Not the three parts, in their one spelling.
    #[error("a verifier key reads `name+8 hex digits+base64`")]
    Malformed,
    /// Another kind of key.
    #[error("the verifier key is not of type 0x{wanted:02x}, which is Ed25519 {}", what_of(*wanted))]
    Algorithm {
        /// The type it should be of.
        wanted: u8,
    },
    /// The bytes are no public key.
    #[error("the verifier key holds no Ed25519 public key")]
    Key,
    /// The parts do not belong together: one of them was changed.
    #[error("the verifier key's id is not that of its name and public key")]
    Id,
}

const fn what_of(algorithm: u8) -> &'static str {
    if algorithm == COSIGNATURE { "of a witness" } else { "of a log" }
}

/// The number by which a signature line names the log's key that made it.
#[must_use]
pub(super) fn key_id(origin: &str, key: &PublicKey) -> u32 {
    key_id_of(ED25519, origin, key)
}

/// The number by which a signature line names the witness's key that made it.
#[must_use]
pub(crate) fn cosigner_key_id(name: &str, key: &PublicKey) -> u32 {
    key_id_of(COSIGNATURE, name, key)
}

fn key_id_of(algorithm: u8, name: &str, key: &PublicKey) -> u32 {
    signed_note::key_id(name, &encoded(algorithm, key))
}

fn encoded(algorithm: u8, key: &PublicKey) -> [u8; 33] {
    let mut bytes = [algorithm; 33];
    bytes[1..].copy_from_slice(key.as_bytes());
    bytes
}

fn render(f: &mut fmt::Formatter<'_>, algorithm: u8, name: &str, key: &PublicKey) -> fmt::Result {
    let id = key_id_of(algorithm, name, key);
    write!(f, "{name}+{id:08x}+{}", BASE64_STANDARD.encode(encoded(algorithm, key)))
}

fn parse(text: &str, algorithm: u8) -> Result<(String, PublicKey), VerifierKeyError> {
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(VerifierKeyError::Malformed);
    };
    if !is_origin(name) {
        return Err(VerifierKeyError::Malformed);
    }
    let bytes = BASE64_STANDARD.decode(key).map_err(|_| VerifierKeyError::Malformed)?;
    let key = match bytes.split_first() {
        Some((found, key)) if *found == algorithm => PublicKey::from_slice(key).ok_or(VerifierKeyError::Key)?,
        Some(_) => return Err(VerifierKeyError::Algorithm { wanted: algorithm }),
        None => return Err(VerifierKeyError::Malformed),
    };
    if id == format!("{:08x}", key_id_of(algorithm, name, &key)) {
        Ok((name.to_owned(), key))
    } else {
        Err(VerifierKeyError::Id)
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        render(f, ED25519, &self.origin, &self.key)
    }
}

impl FromStr for VerifierKey {
    type Err = VerifierKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text, ED25519).map(|(origin, key)| Self { origin, key })
    }
}

impl fmt::Display for CosignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        render(f, COSIGNATURE, &self.name, &self.key)
    }
}

impl FromStr for CosignerKey {
    type Err = VerifierKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text, COSIGNATURE).map(|(name, key)| Self { name, key })
    }
}
