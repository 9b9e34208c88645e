//! The RFC 6962 tree over all events.

pub mod proof;
pub mod seal;

use sha2::{Digest as _, Sha256};

use crate::ids::TreeSize;

/// A node of the tree: a leaf's or an interior node's SHA-256 hash (RFC 6962 §2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeHash(pub [u8; 32]);

/// The hash of an event's leaf: of its header's bytes.
#[must_use]
pub fn leaf_hash(header: &[u8]) -> NodeHash {
    NodeHash(Sha256::new().chain_update([0]).chain_update(header).finalize().into())
}

/// Where complete subtrees are kept.
pub trait Nodes {
    /// Why a node could not be read.
    type Error;

    /// The root of the complete subtree of `2^level` leaves that starts at leaf `index * 2^level`; level 0 is a leaf.
    ///
    /// # Errors
    /// Whatever reading gives.
    fn node(&self, level: u8, index: u64) -> Result<NodeHash, Self::Error>;
}

/// The right edge of the tree.
#[derive(Debug, Clone)]
pub struct Frontier;

impl Frontier {
    /// Of no leaves.
    #[must_use]
    pub fn empty() -> Self {
        todo!()
    }
    /// Of so many leaves.
    ///
    /// # Errors
    /// Whatever reading gives.
    pub fn resume<N: Nodes>(_size: TreeSize, _nodes: &N) -> Result<Self, N::Error> {
        todo!()
    }
    /// Leaves.
    #[must_use]
    pub const fn size(&self) -> TreeSize {
        TreeSize(0)
    }
    /// Root.
    #[must_use]
    pub fn root(&self) -> NodeHash {
        todo!()
    }
    /// Adds a leaf and gives the interior nodes it completes, from level 1 up.
    pub fn push(&mut self, _leaf: NodeHash) -> Vec<NodeHash> {
        todo!()
    }
}
