//! Timestamps of this log's checkpoints.

use serde::{Deserialize, Serialize};

use super::field::hex_bytes;
use super::{Facts, Subjects};
use crate::ids::LedgerId;
use crate::link::Hash;
use crate::time::Micros;

/// An authority that keeps a clock of its own says that it saw a checkpoint of this log (RFC 3161).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointTimestamped {
    /// The ledger.
    pub ledger: LedgerId,
    /// How many events the checkpoint signs.
    pub size: u64,
    /// Their root.
    pub root: Hash,
    /// When, by the authority's clock: what the token says.
    pub at: Micros,
    /// The timestamp token: DER of a CMS `ContentInfo` ([`crate::timestamp`]).
    #[serde(with = "hex_bytes")]
    pub token: Vec<u8>,
}

impl Facts for CheckpointTimestamped {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.ledger);
    }
}
