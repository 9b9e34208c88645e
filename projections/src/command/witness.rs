//! Cosignatures. All of these the daemon itself sends.

use chancery_ledger::ids::KeyId;
use chancery_ledger::link::Hash;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// See [`super::Command::RecordCosignature`]. Sent by the daemon alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordCosignature {
    /// How many events the checkpoint signs.
    pub size: u64,
    /// Their root.
    pub root: Hash,
    /// The witness, as a verifier key.
    pub witness: String,
    /// When, and its signature: the bytes of its signature line behind the key's id.
    pub cosignature: Vec<u8>,
}

/// See [`super::Command::WitnessCheckpoint`]. Sent by the daemon alone, which has seen that the log signed the checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WitnessCheckpoint {
    /// The other log's origin.
    pub log: String,
    /// The size of the checkpoint that the log takes for the newest one cosigned.
    pub old: u64,
    /// The size of this one.
    pub size: u64,
    /// Its root.
    pub root: Hash,
    /// The hashes that lead from the old root to this one.
    pub path: Vec<Hash>,
    /// The checkpoint, signed by that log alone.
    pub checkpoint: String,
    /// The key that cosigns it.
    pub key: KeyId,
    /// When, and the signature, which leaves the daemon only if the command is accepted.
    pub cosignature: Vec<u8>,
}

/// See [`super::Command::ProvideWitnessKey`]. Sent by the daemon alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProvideWitnessKey {}
