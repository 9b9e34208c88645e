//! Encrypted fields: per-subject data keys, whose destruction erases.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::ids::{Subject, TenantId};

/// An encrypted field of a body: XChaCha20-Poly1305 under the data key of a thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encrypted {
    /// Whose data key.
    pub key: Subject,
    /// The nonce.
    pub nonce: [u8; 24],
    /// Ciphertext and tag.
    pub ciphertext: Vec<u8>,
}

/// Where a field stands; bound into its ciphertext.
#[derive(Debug, Clone, Copy)]
pub struct FieldContext<'a> {
    /// The event's tenant.
    pub tenant: TenantId,
    /// The event's kind.
    pub kind: u16,
    /// The body's version.
    pub version: u16,
    /// The field's name.
    pub field: &'a str,
}

/// A field cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the ciphertext was altered or belongs elsewhere")]
pub struct ShredError;

/// Encrypts.
#[must_use]
pub fn encrypt(
    _key: &[u8; 32], _owner: Subject, _nonce: [u8; 24], _place: &FieldContext<'_>, _plain: &[u8],
) -> Encrypted {
    todo!()
}

/// Decrypts.
///
/// # Errors
/// [`ShredError`].
pub fn decrypt(
    _key: &[u8; 32], _place: &FieldContext<'_>, _value: &Encrypted,
) -> Result<Zeroizing<Vec<u8>>, ShredError> {
    todo!()
}

/// Hashes under a data key.
#[must_use]
pub fn keyed_hash(_key: &[u8; 32], _purpose: &str, _value: &[u8]) -> [u8; 32] {
    todo!()
}
