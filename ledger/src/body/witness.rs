//! Events of witnesses: what others said of this log's checkpoints, and what this ledger said of other logs'.

use serde::{Deserialize, Serialize};

use super::field::hex_bytes;
use super::{Facts, Subjects};
use crate::ids::{KeyId, LedgerId};
use crate::link::Hash;

/// A witness cosigned a checkpoint of this log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointCosigned {
    /// The ledger.
    pub ledger: LedgerId,
    /// How many events the checkpoint signs.
    pub size: u64,
    /// Their root.
    pub root: Hash,
    /// The witness, as a verifier key (C2SP `tlog-cosignature`).
    pub witness: String,
    /// What stands on its signature line behind the key's id: when, and the signature.
    #[serde(with = "hex_bytes")]
    pub cosignature: Vec<u8>,
}

/// This ledger, as a witness, cosigns a checkpoint of another log: from now on the newest of that log that it knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WitnessedCheckpoint {
    /// The key that cosigns it.
    pub key: KeyId,
    /// The other log's origin.
    pub log: String,
    /// How many leaves its checkpoint signs.
    pub size: u64,
    /// Their root.
    pub root: Hash,
    /// The checkpoint, signed by that log alone.
    pub checkpoint: String,
    /// What stands on this ledger's signature line behind the key's id: when, and the signature.
    #[serde(with = "hex_bytes")]
    pub cosignature: Vec<u8>,
}

impl Facts for CheckpointCosigned {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.ledger);
    }
}

impl Facts for WitnessedCheckpoint {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.key);
    }
}
