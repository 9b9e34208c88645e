//! The seal that ends each commit: a C2SP checkpoint as a signed note.
//!
//! ```text
//! example.org/ledger
//! 109482
//! sFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=
//!
//! — example.org/ledger hI2DJw...
//! ```
//!
//! The log's own line is the first signature line a seal gets: name = origin, Ed25519, type 0x01. Lines of others,
//! such as witnesses' cosignatures, may follow it; they are kept, and count for nothing here.

use bytes::Bytes;
use signed_note::{Note, NoteError, VerificationError, Verifier, Verifiers};

use super::NodeHash;
use super::origin::{ORIGIN_BYTES_MAX, is_origin};
use super::verifier_key::key_id;
use crate::ids::TreeSize;
use crate::keys::{PublicKey, SigningKey};

/// Largest seal that is read, in bytes: room for the 16 signatures that C2SP asks verifiers to accept, each as large
/// as a post-quantum one, and more.
pub const SEAL_BYTES_MAX: usize = 256 * 1024;

/// What a seal signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// How many leaves its tree has.
    pub size: TreeSize,
    /// Their root.
    pub root: NodeHash,
}

/// A signed checkpoint. That it is well-formed says nothing about its signature: see [`Seal::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    checkpoint: Checkpoint,
    bytes: Bytes,
}

/// A seal cannot be read, made or trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not a signed note whose text is a checkpoint.
    #[error("not a signed checkpoint: {0}")]
    Malformed(&'static str),
    /// The name cannot stand in a signed note.
    #[error("an origin has 1 to {ORIGIN_BYTES_MAX} bytes and neither spaces, control characters nor `+`")]
    Origin,
    /// Bytes that should be a public key are none.
    #[error("not an Ed25519 public key")]
    Key,
    /// No line of that key, or one that is not its signature.
    #[error("no valid signature by this key")]
    Signature,
}

impl Checkpoint {
    /// The text that is signed: three lines.
    fn render(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, self.root)
    }

    fn parse(text: &[u8]) -> Result<Self, SealError> {
        let parsed = tlog_tiles::Checkpoint::from_bytes(text)
            .map_err(|_| SealError::Malformed("the text is not origin, size and root hash"))?;
        let checkpoint =
            Self { origin: parsed.origin().to_owned(), size: TreeSize(parsed.size()), root: NodeHash(parsed.hash().0) };
        if !is_origin(&checkpoint.origin) {
            return Err(SealError::Malformed("its origin is not one"));
        }
        if checkpoint.render().as_bytes() != text {
            return Err(SealError::Malformed("it has extension lines, which seals never have"));
        }
        Ok(checkpoint)
    }
}

impl Seal {
    /// Reads a seal of at most [`SEAL_BYTES_MAX`] bytes, with any number of signature lines up to 100.
    ///
    /// # Errors
    /// [`SealError::Malformed`] when the bytes differ in any way from what C2SP `signed-note` and `tlog-checkpoint`
    /// define, or carry extension lines.
    pub fn parse(bytes: &[u8]) -> Result<Self, SealError> {
        if bytes.len() > SEAL_BYTES_MAX {
            return Err(SealError::Malformed("it is too long"));
        }
        let note = Note::from_bytes(bytes).map_err(|_| SealError::Malformed("it is not a signed note"))?;
        Ok(Self { checkpoint: Checkpoint::parse(note.text())?, bytes: Bytes::copy_from_slice(bytes) })
    }

    /// Signs a checkpoint in the name of its origin.
    ///
    /// # Errors
    /// [`SealError::Origin`] when the origin cannot be a key's name.
    pub fn sign(checkpoint: &Checkpoint, key: &SigningKey) -> Result<Self, SealError> {
        if !is_origin(&checkpoint.origin) {
            return Err(SealError::Origin);
        }
        let mut note = checkpoint.render();
        let signature = key.sign(note.as_bytes()).to_vec();
        let id = key_id(&checkpoint.origin, &key.public());
        let line = signed_note::Signature::new(checkpoint.origin.clone(), id, signature)
            .map_err(|_| SealError::Origin)?
            .to_bytes();
        note.push('\n');
        let mut bytes = note.into_bytes();
        bytes.extend_from_slice(&line);
        Ok(Self { checkpoint: checkpoint.clone(), bytes: bytes.into() })
    }

    /// What it signs.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The whole note.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Checks the signature of the log's key. Lines of other names or keys are ignored, as C2SP demands.
    ///
    /// # Errors
    /// [`SealError::Signature`] when the key's line is missing or its signature is not strictly valid.
    pub fn verify(&self, key: &PublicKey) -> Result<(), SealError> {
        let known = LogKey { origin: &self.checkpoint.origin, id: key_id(&self.checkpoint.origin, key), key };
        let note = Note::from_bytes(&self.bytes).map_err(|_| SealError::Malformed("it is not a signed note"))?;
        note.verify(&known).map(drop).map_err(|error| match error {
            NoteError::MalformedNote => SealError::Malformed("it is not a signed note"),
            _ => SealError::Signature,
        })
    }
}

/// The one key a seal is checked by.
struct LogKey<'a> {
    origin: &'a str,
    id: u32,
    key: &'a PublicKey,
}

impl Verifier for LogKey<'_> {
    fn name(&self) -> &str {
        self.origin
    }

    fn key_id(&self) -> u32 {
        self.id
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        signature.try_into().is_ok_and(|signature| self.key.verify(message, signature))
    }
}

impl Verifiers for LogKey<'_> {
    fn verifier(&self, name: &str, id: u32) -> Result<&dyn Verifier, VerificationError> {
        if name == self.origin && id == self.id {
            Ok(self)
        } else {
            Err(VerificationError::UnknownKey { name: name.to_owned(), id })
        }
    }
}
