//! Ed25519 keys, and the directory in which the ledger's sealing keys lie.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// A public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// 32 bytes that are a point.
    #[must_use]
    pub fn from_slice(_bytes: &[u8]) -> Option<Self> {
        todo!()
    }
    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
    /// Strictly.
    #[must_use]
    pub fn verify(&self, _message: &[u8], _signature: &[u8; 64]) -> bool {
        todo!()
    }
}

/// A signing key.
pub struct SigningKey;

impl SigningKey {
    /// From its seed.
    #[must_use]
    #[allow(clippy::needless_pass_by_value)]
    pub fn from_seed(_seed: Zeroizing<[u8; 32]>) -> Self {
        todo!()
    }
    /// Public.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        todo!()
    }
    /// Signs.
    #[must_use]
    pub fn sign(&self, _message: &[u8]) -> [u8; 64] {
        todo!()
    }
    /// PKCS#8.
    ///
    /// # Errors
    /// pkcs8's.
    pub fn to_pkcs8_pem(&self) -> Result<Zeroizing<String>, pkcs8::Error> {
        todo!()
    }
}

/// A key file.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// None there.
    #[error("no key file")]
    NotFound,
}

/// Where sealing keys lie.
pub struct KeyDirectory {
    path: PathBuf,
}

impl KeyDirectory {
    /// Opens.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn open(_path: &Path, _passphrase: Option<Zeroizing<String>>) -> Result<Self, KeyFileError> {
        todo!()
    }
    /// Path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
    /// Makes a new key and its file, durable.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn create(&self) -> Result<SigningKey, KeyFileError> {
        todo!()
    }
    /// Finds.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn find(&self, _public: &PublicKey) -> Result<SigningKey, KeyFileError> {
        todo!()
    }
    /// Finds.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn find_by(&self, _wanted: impl Fn(&PublicKey) -> bool) -> Result<SigningKey, KeyFileError> {
        todo!()
    }
}
