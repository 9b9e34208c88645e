//! Leaves of a view's tree: this is `docs/format.md`, "View receipts", as code.

use std::sync::LazyLock;

use blake3::hazmat::{ContextKey, HasherExt as _, hash_derive_key_context};
use chancery_ledger::ids::{Seq, TenantId, ThingId as _};
use chancery_ledger::link::Hash;
use chancery_ledger::tree::{NodeHash, leaf_hash};

/// BLAKE3 derive-key context of [`place_of`].
pub const PLACE_CONTEXT: &str = "chancery 2026 view row place v1";
/// BLAKE3 derive-key context of [`row_hash`].
pub const ROW_CONTEXT: &str = "chancery 2026 view row v1";
/// Bytes of a leaf: place, sequence number, hash of the row.
pub const LEAF_BYTES: usize = 72;

static PLACE_KEY: LazyLock<ContextKey> = LazyLock::new(|| hash_derive_key_context(PLACE_CONTEXT));
static ROW_KEY: LazyLock<ContextKey> = LazyLock::new(|| hash_derive_key_context(ROW_CONTEXT));

/// A row, as the tree over a view has it. Leaves are in the order of their places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leaf {
    /// Where the row stands.
    pub place: Hash,
    /// The event that wrote it.
    pub seq: Seq,
    /// Hash of what it says.
    pub row: Hash,
}

/// Where the row of an owner under a key stands. A key begins with its table, so tables do not collide; and the owner is
/// part of it, so that to prove "this tenant has no such thing" tells nothing of another tenant's.
#[must_use]
pub fn place_of(owner: TenantId, key: &[u8]) -> Hash {
    let mut hasher = blake3::Hasher::new_from_context_key(&PLACE_KEY);
    Hash(hasher.update(owner.uuid().as_bytes()).update(key).finalize().into())
}

/// The hash that stands for a row's value.
#[must_use]
pub fn row_hash(value: &[u8]) -> Hash {
    Hash(blake3::Hasher::new_from_context_key(&ROW_KEY).update(value).finalize().into())
}

impl Leaf {
    /// The leaf's bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; LEAF_BYTES] {
        let mut bytes = [0; LEAF_BYTES];
        bytes[..32].copy_from_slice(&self.place.0);
        bytes[32..40].copy_from_slice(&self.seq.0.to_be_bytes());
        bytes[40..].copy_from_slice(&self.row.0);
        bytes
    }

    /// The leaf with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; LEAF_BYTES]) -> Self {
        let mut leaf = Self { place: Hash::ZERO, seq: Seq(0), row: Hash::ZERO };
        let mut seq = [0; 8];
        leaf.place.0.copy_from_slice(&bytes[..32]);
        seq.copy_from_slice(&bytes[32..40]);
        leaf.row.0.copy_from_slice(&bytes[40..]);
        leaf.seq = Seq(u64::from_be_bytes(seq));
        leaf
    }

    /// The leaf's hash in the tree.
    #[must_use]
    pub fn hash(self) -> NodeHash {
        leaf_hash(&self.to_bytes())
    }
}
