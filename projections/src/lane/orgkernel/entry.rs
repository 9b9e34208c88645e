//! Entries of a mission's audit chain: what is hashed, and whether a chain is whole.

use chancery_ledger::time::Micros;
use sha2::{Digest as _, Sha256};

use super::canonical_json::{canonical_members, object, text, text_or_null};
use super::time::{to_offset, to_zulu};
use crate::json::{Json, Members};

/// What the first entry has in place of a predecessor's hash.
pub const NO_HASH: [u8; 32] = [0; 32];
/// The first entry's layer and event.
pub const GENESIS: (&str, &str) = ("IDENTITY", "IDENTITY_chain_initialized");
/// The last entry's layer and event, once the chain is closed.
pub const TERMINAL: (&str, &str) = ("EXECUTION", "EXECUTION_chain_closed");

/// The first entry's data.
#[must_use]
pub fn genesis_data(initialized_at: Micros) -> Members {
    Members::from([("initialized_at".to_owned(), Json::Text(to_offset(initialized_at)))])
}

/// The last entry's data.
#[must_use]
pub fn terminal_data(chain_id: &str) -> Members {
    Members::from([("chain_id".to_owned(), Json::from(chain_id))])
}

/// What an entry's hash covers: every field but the hash.
///
/// # Source
/// contracts/orgkernel.md, section 8, "Entry hash".
#[derive(Debug, Clone, Copy)]
pub struct EntryPreimage<'a> {
    /// The entry, `aue_…`.
    pub entry_id: &'a str,
    /// The chain, `ac_…`.
    pub chain_id: &'a str,
    /// Entries before this one in the chain.
    pub sequence: u64,
    /// `IDENTITY`, `EXECUTION`, `COMPLIANCE` or `GOVERNANCE`.
    pub layer: &'a str,
    /// What happened, in the caller's words.
    pub event: &'a str,
    /// The agent the caller named.
    pub agent_id: &'a str,
    /// The mission the caller named.
    pub mission_id: &'a str,
    /// The token the caller named.
    pub token_id: Option<&'a str>,
    /// When the entry was made.
    pub timestamp: Micros,
    /// The caller's data.
    pub data: &'a Members,
    /// Hash of the entry before, or [`NO_HASH`].
    pub prev_hash: &'a [u8; 32],
}

impl EntryPreimage<'_> {
    /// The eleven members as canonical JSON: ASCII, whose bytes are hashed.
    #[must_use]
    pub fn canonical(&self) -> String {
        object([
            ("agent_id", text(self.agent_id)),
            ("chain_id", text(self.chain_id)),
            ("data", canonical_members(self.data)),
            ("entry_id", text(self.entry_id)),
            ("event", text(self.event)),
            ("layer", text(self.layer)),
            ("mission_id", text(self.mission_id)),
            ("prev_hash", text(&hex::encode(self.prev_hash))),
            ("sequence", self.sequence.to_string()),
            ("timestamp", text(&to_zulu(self.timestamp))),
            ("token_id", text_or_null(self.token_id)),
        ])
    }

    /// The entry's hash: SHA-256 of [`Self::canonical`]; on the wire as lowercase hexadecimal.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.canonical()).into()
    }
}

/// An entry as it is stored.
#[derive(Debug, Clone, Copy)]
pub struct StoredEntry<'a> {
    /// The hashed fields.
    pub preimage: EntryPreimage<'a>,
    /// The hash kept with them.
    pub entry_hash: &'a [u8; 32],
}

/// The first place where a chain is not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("entry {index} of the chain: {why}")]
pub struct ChainFault {
    /// Entries before the fault. For [`ChainFaultKind::Empty`] 0, for [`ChainFaultKind::Head`] all of them.
    pub index: u64,
    /// What is wrong there.
    pub why: ChainFaultKind,
}

/// What is wrong with a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChainFaultKind {
    /// A chain has at least its first entry.
    #[error("there are no entries")]
    Empty,
    /// An entry's number is not the count of entries before it: one was removed, inserted or moved.
    #[error("its sequence is not its place in the chain")]
    Sequence,
    /// An entry does not name the hash of the one before it.
    #[error("its previous hash is not that of the entry before")]
    Prev,
    /// An entry's fields do not have the hash kept with them.
    #[error("its fields do not match its hash")]
    Hash,
    /// The head is not the last entry's hash: the tail was cut off, or the head moved.
    #[error("the chain's head is not the hash of its last entry")]
    Head,
}

/// Verifies a chain entry by entry, for those who do not hold all of it at once.
#[derive(Debug)]
pub struct ChainVerifier {
    entries: u64,
    last: [u8; 32],
}

impl ChainVerifier {
    /// A verifier that has seen no entry.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: 0, last: NO_HASH }
    }

    /// Takes the next entry, by ascending sequence.
    ///
    /// # Errors
    /// [`ChainFault`] if the entry does not continue the chain; what is taken after that says nothing.
    pub fn push(&mut self, entry: &StoredEntry<'_>) -> Result<(), ChainFault> {
        self.take(entry.preimage.sequence, entry.preimage.prev_hash, entry.entry_hash, || {
            entry.preimage.hash() == *entry.entry_hash
        })
    }

    /// Takes the next entry when its data was erased: its place and its link are checked, its hash is believed.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn push_erased(
        &mut self, sequence: u64, prev_hash: &[u8; 32], entry_hash: &[u8; 32],
    ) -> Result<(), ChainFault> {
        self.take(sequence, prev_hash, entry_hash, || true)
    }

    fn take(
        &mut self, sequence: u64, prev_hash: &[u8; 32], entry_hash: &[u8; 32], holds: impl FnOnce() -> bool,
    ) -> Result<(), ChainFault> {
        let why = if sequence != self.entries {
            ChainFaultKind::Sequence
        } else if *prev_hash != self.last {
            ChainFaultKind::Prev
        } else if !holds() {
            ChainFaultKind::Hash
        } else {
            self.entries += 1;
            self.last = *entry_hash;
            return Ok(());
        };
        Err(ChainFault { index: self.entries, why })
    }

    /// Ends the chain at the head kept with it.
    ///
    /// # Errors
    /// [`ChainFaultKind::Empty`] without any entry; [`ChainFaultKind::Head`] if the head is not the last entry's hash.
    pub fn finish(self, head_hash: &[u8; 32]) -> Result<(), ChainFault> {
        let why = match self.entries {
            0 => ChainFaultKind::Empty,
            _ if self.last != *head_hash => ChainFaultKind::Head,
            _ => return Ok(()),
        };
        Err(ChainFault { index: self.entries, why })
    }
}

impl Default for ChainVerifier {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether the entries, by ascending sequence, are one whole chain that ends in `head_hash`.
///
/// A suffix rewritten together with the head, or cut off with the head moved back, cannot be seen here; the ledger
/// that the entries come from shows both.
///
/// # Errors
/// The first [`ChainFault`].
///
/// # Source
/// contracts/orgkernel.md, section 8, "`verify_integrity`".
pub fn verify_chain<'a>(
    entries: impl IntoIterator<Item = StoredEntry<'a>>, head_hash: &[u8; 32],
) -> Result<(), ChainFault> {
    let mut verifier = ChainVerifier::new();
    for entry in entries {
        verifier.push(&entry)?;
    }
    verifier.finish(head_hash)
}
