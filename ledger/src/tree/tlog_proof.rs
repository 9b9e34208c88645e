//! The proof of one event, as text that verifies offline: C2SP `tlog-proof`.
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! index 73894
//! gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=
//! B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=
//!
//! example.org/ledger
//! 109482
//! sFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=
//!
//! — example.org/ledger hI2DJw...
//! ```

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::proof::{PROOF_HASHES_MAX, verify_inclusion};
use super::seal::{SEAL_BYTES_MAX, Seal, SealError};
use super::{NodeHash, leaf_hash};
use crate::ids::Seq;
use crate::keys::PublicKey;

/// First line of every proof.
pub const HEADER_LINE: &str = "c2sp.org/tlog-proof@v1";
/// Most extra data, in bytes: room for an event's header or body.
pub const EXTRA_BYTES_MAX: usize = 64 * 1024;
/// Largest proof that is read, in bytes: its parts at their largest, extra data in base64.
const TEXT_BYTES_MAX: usize = SEAL_BYTES_MAX + EXTRA_BYTES_MAX / 3 * 4 + PROOF_HASHES_MAX * 45 + 256;

/// That an event is in a log: its position, its inclusion path, and the seal whose root the path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// Anything, not empty. Nothing vouches for it.
    pub extra: Option<Vec<u8>>,
    /// The event's position.
    pub index: Seq,
    /// The hashes from the leaf's sibling up to a child of the root.
    pub path: Vec<NodeHash>,
    /// The signed checkpoint of a tree that holds the event.
    pub seal: Seal,
}

/// A proof proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlogProofError {
    /// Not the text C2SP defines.
    #[error("not a tlog-proof: {0}")]
    Malformed(&'static str),
    /// Its checkpoint is not one, or not signed by the key.
    #[error("the proof's checkpoint: {0}")]
    Seal(#[from] SealError),
    /// Its checkpoint is another log's.
    #[error("the proof is of another log, `{found}`")]
    Origin {
        /// The other's origin.
        found: String,
    },
    /// The event is not at that place in the tree that was signed.
    #[error("the path does not lead from this event to the signed root")]
    Path,
}

impl TlogProof {
    /// The text.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = format!("{HEADER_LINE}\n");
        if let Some(extra) = &self.extra {
            text.push_str("extra ");
            BASE64_STANDARD.encode_string(extra, &mut text);
            text.push('\n');
        }
        // Writing to a string cannot fail.
        let _ = writeln!(text, "index {}", self.index);
        for hash in &self.path {
            let _ = writeln!(text, "{hash}");
        }
        text.push('\n');
        text.push_str(&String::from_utf8_lossy(self.seal.bytes())); // A seal is UTF-8, as every signed note.
        text
    }

    /// Reads what [`TlogProof::render`] writes, and nothing else.
    ///
    /// # Errors
    /// [`TlogProofError::Malformed`], or [`TlogProofError::Seal`] for the checkpoint's part.
    pub fn parse(bytes: &[u8]) -> Result<Self, TlogProofError> {
        use TlogProofError::Malformed;
        if bytes.len() > TEXT_BYTES_MAX {
            return Err(Malformed("it is too long"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Malformed("it is not UTF-8"))?;
        let (head, note) = text.split_once("\n\n").ok_or(Malformed("no empty line stands before the checkpoint"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER_LINE) {
            return Err(Malformed("its first line is not `c2sp.org/tlog-proof@v1`"));
        }
        let extra = lines.next_if(|line| line.starts_with("extra ")).map(parse_extra).transpose()?;
        let index = lines.next().and_then(parse_index).ok_or(Malformed("it has no line `index` and a number"))?;
        let path = lines
            .map(|line| NodeHash::parse(line).ok_or(Malformed("a line of its path is not a hash in base64")))
            .collect::<Result<Vec<_>, _>>()?;
        if path.len() > PROOF_HASHES_MAX {
            return Err(Malformed("its path is longer than any tree is high"));
        }
        Ok(Self { extra, index, path, seal: Seal::parse(note.as_bytes())? })
    }

    /// Checks everything: that the checkpoint is the log's and signed by its key, and that the event with this header
    /// is the leaf at [`TlogProof::index`] of the tree that was signed.
    ///
    /// # Errors
    /// [`TlogProofError`] names the first check that failed.
    pub fn verify(&self, header: &[u8], key: &PublicKey, origin: &str) -> Result<(), TlogProofError> {
        let checkpoint = self.seal.checkpoint();
        if checkpoint.origin != origin {
            return Err(TlogProofError::Origin { found: checkpoint.origin.clone() });
        }
        self.seal.verify(key)?;
        if verify_inclusion(leaf_hash(header), self.index, checkpoint.size, &self.path, checkpoint.root) {
            Ok(())
        } else {
            Err(TlogProofError::Path)
        }
    }
}

fn parse_extra(line: &str) -> Result<Vec<u8>, TlogProofError> {
    let base64 = line.strip_prefix("extra ").unwrap_or_default();
    match BASE64_STANDARD.decode(base64) {
        Ok(extra) if (1..=EXTRA_BYTES_MAX).contains(&extra.len()) => Ok(extra),
        _ => Err(TlogProofError::Malformed("its extra data is not base64, is empty or is too long")),
    }
}

fn parse_index(line: &str) -> Option<Seq> {
    let digits = line.strip_prefix("index ")?;
    let index: u64 = digits.parse().ok()?;
    (index.to_string() == digits).then_some(Seq(index))
}
