//! That one tree is the beginning of another, as text that verifies offline: the request that C2SP `tlog-witness` calls
//! `add-checkpoint`.
//!
//! ```text
//! old 20852014
//! PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
//! jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
//!
//! example.org/ledger
//! 20852163
//! CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
//!
//! — example.org/ledger hI2DJw...
//! ```

use std::fmt::Write as _;

use super::NodeHash;
use super::proof::{PROOF_HASHES_MAX, verify_consistency};
use super::seal::{Checkpoint, SEAL_BYTES_MAX, Seal, SealError};
use crate::ids::TreeSize;
use crate::keys::PublicKey;

/// Largest proof that is read, in bytes.
const TEXT_BYTES_MAX: usize = SEAL_BYTES_MAX + PROOF_HASHES_MAX * 45 + 64;

/// That the tree of the first `old` events is the beginning of the one that a seal signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsistencyProof {
    /// The size of the older tree.
    pub old: TreeSize,
    /// The hashes that lead from its root to the newer one.
    pub path: Vec<NodeHash>,
    /// The signed checkpoint of the newer tree.
    pub seal: Seal,
}

/// A proof proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConsistencyProofError {
    /// Not the text C2SP defines.
    #[error("not a consistency proof: {0}")]
    Malformed(&'static str),
    /// Its checkpoint is not one, or not signed by the key.
    #[error("the proof's checkpoint: {0}")]
    Seal(#[from] SealError),
    /// The two checkpoints are of different logs, or the proof is about another older tree.
    #[error("the proof is not about these two checkpoints")]
    Other,
    /// One is not the beginning of the other.
    #[error(
        "the path does not lead from the older tree to the newer one: they tell two stories, or the proof was changed"
    )]
    Path,
}

impl ConsistencyProof {
    /// The text.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = format!("old {}\n", self.old);
        for hash in &self.path {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{hash}");
        }
        text.push('\n');
        text.push_str(&String::from_utf8_lossy(self.seal.bytes())); // A seal is UTF-8, as every signed note.
        text
    }

    /// Reads what [`ConsistencyProof::render`] writes, and nothing else.
    ///
    /// # Errors
    /// [`ConsistencyProofError::Malformed`], or [`ConsistencyProofError::Seal`] for the checkpoint's part.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConsistencyProofError> {
        Self::parse_by(bytes, Seal::parse)
    }

    /// Reads the request that any log sends to its witnesses: its checkpoint may have extension lines.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_foreign(bytes: &[u8]) -> Result<Self, ConsistencyProofError> {
        Self::parse_by(bytes, Seal::parse_foreign)
    }

    fn parse_by(
        bytes: &[u8], parse_seal: impl Fn(&[u8]) -> Result<Seal, SealError>,
    ) -> Result<Self, ConsistencyProofError> {
        use ConsistencyProofError::Malformed;
        if bytes.len() > TEXT_BYTES_MAX {
            return Err(Malformed("it is too long"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Malformed("it is not UTF-8"))?;
        let (head, note) = text.split_once("\n\n").ok_or(Malformed("no empty line stands before the checkpoint"))?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old "));
        let old = old.and_then(|digits| digits.parse::<u64>().ok().filter(|old| old.to_string() == digits));
        let old = old.ok_or(Malformed("its first line is not `old` and a number"))?;
        let path = lines
            .map(|line| NodeHash::parse(line).ok_or(Malformed("a line of its path is not a hash in base64")))
            .collect::<Result<Vec<_>, _>>()?;
        if path.len() > PROOF_HASHES_MAX {
            return Err(Malformed("its path is longer than any tree is high"));
        }
        Ok(Self { old: TreeSize(old), path, seal: parse_seal(note.as_bytes())? })
    }

    /// Checks that the seal is signed by the log's key, and that its tree begins with that of an older checkpoint of the
    /// same log.
    ///
    /// # Errors
    /// [`ConsistencyProofError`] names the first check that failed.
    pub fn verify(&self, old: &Checkpoint, key: &PublicKey) -> Result<(), ConsistencyProofError> {
        let new = self.seal.checkpoint();
        if new.origin != old.origin || old.size != self.old {
            return Err(ConsistencyProofError::Other);
        }
        self.seal.verify(key)?;
        if verify_consistency(old.size, old.root, new.size, new.root, &self.path) {
            Ok(())
        } else {
            Err(ConsistencyProofError::Path)
        }
    }
}
