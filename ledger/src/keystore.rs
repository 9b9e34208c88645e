//! Secrets outside the log: data keys and tenants' CA keys.

use std::path::Path;

use zeroize::Zeroizing;

use crate::ids::{Subject, TenantId};

/// Which secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecretName {
    /// The data key of a thing.
    Data(Subject),
    /// The CA key of a tenant.
    OrgCa(TenantId),
}

/// A secret just made.
pub struct NewSecret {
    /// Which.
    pub name: SecretName,
    /// The secret.
    pub secret: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for NewSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewSecret").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Reading secrets.
pub trait Secrets: Send + Sync {
    /// The secret; `None` when there is none, or it was destroyed.
    ///
    /// # Errors
    /// [`KeystoreError`].
    fn secret(&self, name: &SecretName) -> Result<Option<Zeroizing<[u8; 32]>>, KeystoreError>;
}

/// The keystore failed.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// Storage.
    #[error("the keystore's storage failed: {0}")]
    Storage(#[from] fjall::Error),
}

/// The keystore.
pub struct Keystore;

impl Keystore {
    /// Opens or makes it.
    ///
    /// # Errors
    /// [`KeystoreError`].
    pub fn open(_dir: &Path) -> Result<Self, KeystoreError> {
        todo!()
    }
    /// Puts secrets: visible at once, durable after [`sync`](Self::sync).
    ///
    /// # Errors
    /// [`KeystoreError`].
    pub fn put(&self, _secrets: &[NewSecret]) -> Result<(), KeystoreError> {
        todo!()
    }
    /// Makes everything put before durable.
    ///
    /// # Errors
    /// [`KeystoreError`].
    pub fn sync(&self) -> Result<(), KeystoreError> {
        todo!()
    }
    /// Destroys.
    ///
    /// # Errors
    /// [`KeystoreError`].
    pub fn destroy(&self, _name: &SecretName) -> Result<bool, KeystoreError> {
        todo!()
    }
}

impl Secrets for Keystore {
    fn secret(&self, _name: &SecretName) -> Result<Option<Zeroizing<[u8; 32]>>, KeystoreError> {
        todo!()
    }
}
