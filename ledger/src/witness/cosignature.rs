//! What a witness says of a checkpoint: that at this time it was the newest it knew of that log, and that every older one
//! it ever cosigned is the beginning of it (C2SP `tlog-cosignature`, Ed25519).

use signed_note::{Note, NoteError, Signature, VerificationError, Verifier, Verifiers};

use crate::keys::SigningKey;
use crate::tree::seal::{Checkpoint, Seal, SealError};
use crate::tree::verifier_key::{CosignerKey, cosigner_key_id};

/// Bytes of a cosignature: a time and an Ed25519 signature.
pub const COSIGNATURE_BYTES: usize = 8 + 64;

/// A witness's signature of a checkpoint, with the time at which it made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cosignature {
    /// When it was made, in seconds since the Unix epoch.
    pub time_secs: u64,
    /// The signature, of the time and the checkpoint's text.
    pub signature: [u8; 64],
}

/// A cosignature proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CosignatureError {
    /// Not a time and a signature.
    #[error("not a cosignature: it has not the 72 bytes of a time and an Ed25519 signature, or the time is 0")]
    Malformed,
    /// The witness did not make it of this checkpoint.
    #[error("not the witness's signature of this checkpoint at that time")]
    Signature,
    /// The checkpoint is none.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl Cosignature {
    /// Cosigns a checkpoint's text. Whoever calls this has seen that the checkpoint is no other than a continuation of
    /// the newest one that this key cosigned, and has made it the newest, durably, before the result leaves the process.
    #[must_use]
    pub fn sign(text: &[u8], key: &SigningKey, time_secs: u64) -> Self {
        Self { time_secs, signature: key.sign(&message(text, time_secs)) }
    }

    /// Reads what stands on a signature line behind the key's id.
    ///
    /// # Errors
    /// [`CosignatureError::Malformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CosignatureError> {
        let (time, signature) = bytes.split_first_chunk().ok_or(CosignatureError::Malformed)?;
        let time_secs = u64::from_be_bytes(*time);
        let signature = signature.try_into().map_err(|_| CosignatureError::Malformed)?;
        // 0 would say that nothing is said of any time, and more than 63 bits are forbidden.
        if time_secs == 0 || i64::try_from(time_secs).is_err() {
            return Err(CosignatureError::Malformed);
        }
        Ok(Self { time_secs, signature })
    }

    /// What [`Cosignature::from_bytes`] reads.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; COSIGNATURE_BYTES] {
        let mut bytes = [0; COSIGNATURE_BYTES];
        bytes[..8].copy_from_slice(&self.time_secs.to_be_bytes());
        bytes[8..].copy_from_slice(&self.signature);
        bytes
    }

    /// Checks that a witness made it of a checkpoint's text.
    ///
    /// # Errors
    /// [`CosignatureError::Signature`].
    pub fn verify(&self, text: &[u8], witness: &CosignerKey) -> Result<(), CosignatureError> {
        if witness.key.verify(&message(text, self.time_secs), &self.signature) {
            Ok(())
        } else {
            Err(CosignatureError::Signature)
        }
    }

    /// Checks that a witness made it of a checkpoint without extension lines.
    ///
    /// # Errors
    /// [`CosignatureError::Signature`].
    pub fn verify_checkpoint(&self, checkpoint: &Checkpoint, witness: &CosignerKey) -> Result<(), CosignatureError> {
        self.verify(checkpoint.render().as_bytes(), witness)
    }

    /// The signature line that says it, with its line feed.
    ///
    /// # Errors
    /// [`CosignatureError::Malformed`] when the witness's name cannot stand in a note.
    pub fn line(&self, witness: &CosignerKey) -> Result<Vec<u8>, CosignatureError> {
        let id = cosigner_key_id(&witness.name, &witness.key);
        let line = Signature::new(witness.name.clone(), id, self.to_bytes().to_vec());
        Ok(line.map_err(|_| CosignatureError::Malformed)?.to_bytes())
    }

    /// What a witness's line of a signed checkpoint says; `None` when it has no line there.
    ///
    /// # Errors
    /// [`CosignatureError`] when it has one that is not its cosignature.
    pub fn of(seal: &Seal, witness: &CosignerKey) -> Result<Option<Self>, CosignatureError> {
        let malformed = || SealError::Malformed("it is not a signed note");
        let note = Note::from_bytes(seal.bytes()).map_err(|_| malformed())?;
        let known = Known { id: cosigner_key_id(&witness.name, &witness.key), witness };
        match note.verify(&known) {
            Ok((lines, _)) => lines.first().map(|line| Self::from_bytes(line.signature())).transpose(),
            Err(NoteError::UnverifiedNote) => Ok(None),
            Err(NoteError::InvalidSignature { .. }) => Err(CosignatureError::Signature),
            Err(_) => Err(malformed().into()),
        }
    }
}

/// What is signed.
fn message(text: &[u8], time_secs: u64) -> Vec<u8> {
    [format!("cosignature/v1\ntime {time_secs}\n").as_bytes(), text].concat()
}

/// The one witness whose lines are looked for.
struct Known<'a> {
    witness: &'a CosignerKey,
    id: u32,
}

impl Verifier for Known<'_> {
    fn name(&self) -> &str {
        &self.witness.name
    }

    fn key_id(&self) -> u32 {
        self.id
    }

    fn verify(&self, text: &[u8], signature: &[u8]) -> bool {
        Cosignature::from_bytes(signature).is_ok_and(|it| it.verify(text, self.witness).is_ok())
    }
}

impl Verifiers for Known<'_> {
    fn verifier(&self, name: &str, id: u32) -> Result<&dyn Verifier, VerificationError> {
        if name == self.witness.name && id == self.id {
            Ok(self)
        } else {
            Err(VerificationError::UnknownKey { name: name.to_owned(), id })
        }
    }
}
