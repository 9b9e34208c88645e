//! What witnesses said of this log's checkpoints, and what this ledger, as a witness, said of other logs'.

use chancery_ledger::ids::KeyId;
use chancery_ledger::link::Hash;
use chancery_ledger::time::Micros;
use serde::{Deserialize, Serialize};

use crate::rows::table::Table;

/// Checkpoints of this log that witnesses cosigned, by size.
pub const COSIGNED: Table<CosignedCheckpoint> = Table::new(59);
/// The newest checkpoint that this ledger cosigned of another log, by that log's origin.
pub const WITNESSED: Table<WitnessedLog> = Table::new(63);

/// A checkpoint of this log that witnesses cosigned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CosignedCheckpoint {
    /// The root it signs.
    pub root: Hash,
    /// Who cosigned it, in the order in which they did.
    pub cosignatures: Vec<RecordedCosignature>,
}

/// What a witness said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedCosignature {
    /// The witness, as a verifier key.
    pub witness: String,
    /// When, and its signature.
    pub cosignature: Vec<u8>,
}

/// The newest checkpoint that this ledger cosigned of another log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WitnessedLog {
    /// The key that cosigned it.
    pub key: KeyId,
    /// How many leaves it signs.
    pub size: u64,
    /// Their root.
    pub root: Hash,
    /// The checkpoint, signed by that log alone.
    pub checkpoint: String,
    /// This ledger's signature line's bytes behind the key's id.
    pub cosignature: Vec<u8>,
    /// When it was cosigned.
    pub at: Micros,
}
