//! Events of the ledger itself: genesis and the history of public keys.

use serde::{Deserialize, Serialize};

use super::field::hex_bytes;
use super::{Facts, Subjects};
use crate::ids::{KeyId, LedgerId, TenantId};

/// The format that genesis declares: envelope, tree and seals as in `docs/format.md`.
pub const FORMAT: u16 = 1;

/// The first event: names the ledger, its format, its origin and the first key that seals it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerCreated {
    /// The ledger.
    pub ledger: LedgerId,
    /// The log's origin: first line of every seal and name of every sealing key.
    pub origin: String,
    /// See [`FORMAT`].
    pub format: u16,
    /// The first sealing key.
    pub key: KeyId,
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// Its public part.
    #[serde(with = "hex_bytes")]
    pub public: [u8; 32],
}

/// A public key is used from now on. For [`Purpose::Seal`]: from the next commit on; this one is sealed by the old key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKeyAdded {
    /// The key.
    pub key: KeyId,
    /// What it signs.
    pub purpose: Purpose,
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// Its public part, as the algorithm defines it.
    #[serde(with = "hex_bytes")]
    pub public: Vec<u8>,
    /// Whose it is, for a tenant's key.
    pub tenant: Option<TenantId>,
}

/// A public key signs nothing more; what it has signed stays valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKeyRetired {
    /// The key.
    pub key: KeyId,
    /// What it signed.
    pub purpose: Purpose,
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// Its public part.
    #[serde(with = "hex_bytes")]
    pub public: Vec<u8>,
    /// Whose it was, for a tenant's key.
    pub tenant: Option<TenantId>,
}

/// Events at the log's end are lost, and whoever answers for the ledger decided to go on without them. What they said is
/// unknown to the log; that they were is not: a checkpoint for them was signed, and it contradicts what follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TailLost {
    /// The ledger.
    pub ledger: LedgerId,
    /// Events that are left: those from here on are lost, and this one takes the place of the first of them.
    pub found: u64,
    /// Events that the last checkpoint known was signed for. There may have been more.
    pub signed: u64,
    /// That checkpoint.
    pub checkpoint: String,
    /// Why it was decided so.
    pub reason: String,
}

/// What a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// The seals of commits.
    Seal,
    /// A tenant's certificates and execution tokens.
    OrgCa,
    /// JSON Web Tokens, EdDSA.
    JwtEddsa,
    /// JSON Web Tokens, RS256.
    JwtRs256,
    /// Cosignatures of other logs' checkpoints.
    Witness,
}

/// How a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// RFC 8032.
    Ed25519,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rsa,
    /// ECDSA on P-256.
    P256,
}

impl Facts for LedgerCreated {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.ledger).add(self.key);
    }
}

impl Facts for SigningKeyAdded {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.key).maybe(self.tenant);
    }
}

impl Facts for TailLost {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.ledger);
    }
}

impl Facts for SigningKeyRetired {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.key).maybe(self.tenant);
    }
}
