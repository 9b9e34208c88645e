//! The seal that ends each commit: a C2SP checkpoint as a signed note.

use bytes::Bytes;

use super::NodeHash;
use crate::ids::TreeSize;
use crate::keys::{PublicKey, SigningKey};

/// What a seal signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// How many leaves.
    pub size: TreeSize,
    /// Their root.
    pub root: NodeHash,
}

/// A signed checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    checkpoint: Checkpoint,
    bytes: Bytes,
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not a signed note with a checkpoint.
    #[error("not a signed checkpoint: {0}")]
    Malformed(String),
    /// A key that is none.
    #[error("not an Ed25519 public key")]
    Key,
    /// No signature by that key.
    #[error("no valid signature by this key")]
    Signature,
}

impl Seal {
    /// Reads.
    ///
    /// # Errors
    /// [`SealError::Malformed`].
    pub fn parse(_bytes: &[u8]) -> Result<Self, SealError> {
        todo!()
    }
    /// Signs.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn sign(_checkpoint: &Checkpoint, _key: &SigningKey) -> Result<Self, SealError> {
        todo!()
    }
    /// What it signs.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }
    /// The note.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }
    /// Checks.
    ///
    /// # Errors
    /// [`SealError::Signature`].
    pub fn verify(&self, _key: &PublicKey) -> Result<(), SealError> {
        todo!()
    }
}
