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
use signed_note::{Note, NoteError, Signature, VerificationError, Verifier, Verifiers};

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
    pub(crate) fn render(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, self.root)
    }

    /// Reads the text; of one that has extension lines all but those.
    fn parse(text: &[u8]) -> Result<(Self, bool), SealError> {
        let parsed = tlog_tiles::Checkpoint::from_bytes(text)
            .map_err(|_| SealError::Malformed("the text is not origin, size and root hash"))?;
        let checkpoint =
            Self { origin: parsed.origin().to_owned(), size: TreeSize(parsed.size()), root: NodeHash(parsed.hash().0) };
        if !is_origin(&checkpoint.origin) {
            return Err(SealError::Malformed("its origin is not one"));
        }
        let is_extended = checkpoint.render().as_bytes() != text;
        Ok((checkpoint, is_extended))
    }
}

impl Seal {
    /// Reads a seal of at most [`SEAL_BYTES_MAX`] bytes, with any number of signature lines up to 100.
    ///
    /// # Errors
    /// [`SealError::Malformed`] when the bytes differ in any way from what C2SP `signed-note` and `tlog-checkpoint`
    /// define, or carry extension lines.
    pub fn parse(bytes: &[u8]) -> Result<Self, SealError> {
        match Self::parse_extended(bytes)? {
            (_, true) => Err(SealError::Malformed("it has extension lines, which seals never have")),
            (seal, false) => Ok(seal),
        }
    }

    /// Reads the signed checkpoint of any log, which may have extension lines; they are signed, and mean nothing here.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), but for extension lines.
    pub fn parse_foreign(bytes: &[u8]) -> Result<Self, SealError> {
        Self::parse_extended(bytes).map(|(seal, _)| seal)
    }

    fn parse_extended(bytes: &[u8]) -> Result<(Self, bool), SealError> {
        if bytes.len() > SEAL_BYTES_MAX {
            return Err(SealError::Malformed("it is too long"));
        }
        let note = Note::from_bytes(bytes).map_err(|_| SealError::Malformed("it is not a signed note"))?;
        let (checkpoint, is_extended) = Checkpoint::parse(note.text())?;
        Ok((Self { checkpoint, bytes: Bytes::copy_from_slice(bytes) }, is_extended))
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
        let line = Signature::new(checkpoint.origin.clone(), id, signature).map_err(|_| SealError::Origin)?.to_bytes();
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

    /// The text that is signed.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        let end = self.bytes.windows(2).rposition(|pair| pair == b"\n\n").map_or(self.bytes.len(), |at| at + 1);
        &self.bytes[..end]
    }

    /// Whether it has more signature lines than the one it was signed with.
    #[must_use]
    pub fn has_further_lines(&self) -> bool {
        let lines = &self.bytes[self.text().len()..];
        // The empty line before them, and each one's end.
        lines.iter().filter(|byte| **byte == b'\n').count() > 2
    }

    /// The same checkpoint with further signature lines behind those it has.
    ///
    /// # Errors
    /// [`SealError::Malformed`] when that is no note, or too long for one.
    pub fn with_lines(&self, lines: &[u8]) -> Result<Self, SealError> {
        Self::parse_foreign(&[&self.bytes, lines].concat())
    }

    /// The same checkpoint with the lines of the log's key alone.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn of_log_alone(&self, key: &PublicKey) -> Result<Self, SealError> {
        let (by_log, _) = self.verified(key)?;
        let mut bytes = [self.text(), b"\n"].concat();
        by_log.iter().for_each(|line| bytes.extend(line.to_bytes()));
        Ok(Self { checkpoint: self.checkpoint.clone(), bytes: bytes.into() })
    }

    /// Checks the signature of the log's key. Lines of other names or keys are ignored, as C2SP demands.
    ///
    /// # Errors
    /// [`SealError::Signature`] when the key's line is missing or its signature is not strictly valid.
    pub fn verify(&self, key: &PublicKey) -> Result<(), SealError> {
        self.verified(key).map(drop)
    }

    /// The lines of the log's key, which are valid, and the others.
    fn verified(&self, key: &PublicKey) -> Result<(Vec<Signature>, Vec<Signature>), SealError> {
        let known = LogKey { origin: &self.checkpoint.origin, id: key_id(&self.checkpoint.origin, key), key };
        let note = Note::from_bytes(&self.bytes).map_err(|_| SealError::Malformed("it is not a signed note"))?;
        note.verify(&known).map_err(|error| match error {
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
