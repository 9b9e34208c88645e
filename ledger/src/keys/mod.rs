//! Ed25519 keys, and the directory in which the ledger's sealing keys lie ([`KeyDirectory`]).

mod directory;
mod pem;

#[cfg(test)]
mod tests;

use std::fmt;

use ed25519_dalek::{Signature, Signer as _, VerifyingKey};
use zeroize::Zeroizing;

pub(crate) use directory::refuse_wider;
pub use directory::{KeyDirectory, KeyFileError};

/// A public key: a point of the curve in its one encoding, and none of the few under which signatures mean nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads 32 bytes; `None` when they are not a point, not its canonical encoding, or a point of small order, for
    /// which anyone can make signatures.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; 32] = bytes.try_into().ok()?;
        let key = VerifyingKey::from_bytes(bytes).ok()?;
        // Decoding keeps the bytes as they were, also when they are a number beyond the field's.
        (key.to_edwards().compress().as_bytes() == bytes && !key.is_weak()).then_some(Self(key))
    }

    /// The 32 bytes (RFC 8032 §5.1.2).
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Whether this key made this signature of this message. Strictly: no signature can be altered and stay valid, and
    /// none is valid for two messages.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// A signing key. Its memory is overwritten when it is dropped, and no text of it shows more than its public key.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// The key of a seed (RFC 8032 §5.1.5).
    #[must_use]
    #[allow(clippy::needless_pass_by_value)] // Taking the seed overwrites it.
    pub fn from_seed(seed: Zeroizing<[u8; 32]>) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(&seed))
    }

    /// Reads the PKCS#8 PEM of a key that is not encrypted, with or without the public key in it.
    ///
    /// # Errors
    /// [`pkcs8::Error`] when it is another kind of key, or no key.
    pub fn from_pkcs8_pem(pem: &str) -> Result<Self, pkcs8::Error> {
        pem::parse(pem)
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs a message (RFC 8032 §5.1.6).
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }

    /// The key as PKCS#8 PEM, not encrypted.
    ///
    /// # Errors
    /// [`pkcs8::Error`] when encoding fails.
    pub fn to_pkcs8_pem(&self) -> Result<Zeroizing<String>, pkcs8::Error> {
        pem::render(self)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(of {})", self.public())
    }
}
