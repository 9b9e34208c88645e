//! The RFC 6962 tree over all events: SHA-256, one leaf an event, the leaf's bytes being the event's header.
//!
//! The writer keeps only the tree's right edge ([`Frontier`]); everything to its left lies in the store and is read
//! node by node ([`Nodes`]) when something is to be proved ([`proof`]). What goes to others is text: the signed
//! checkpoint that ends each commit ([`seal`]), the proof of one event ([`tlog_proof`]) and the key to check both by
//! ([`verifier_key`]); and the tree itself in pieces ([`tiles`]).

pub mod consistency_proof;
mod cover;
mod frontier;
pub mod origin;
pub mod proof;
pub mod seal;
pub mod tiles;
pub mod tlog_proof;
pub mod verifier_key;

#[cfg(test)]
mod tests;

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};

pub use cover::Cover;
pub use frontier::Frontier;

/// First byte of what a leaf hashes. RFC 6962 §2.1 sets leaves and nodes apart, so that no leaf passes for a node.
const LEAF: [u8; 1] = [0];
/// First byte of what an interior node hashes.
const NODE: [u8; 1] = [1];

/// A node of the tree: a leaf's or an interior node's SHA-256 hash (RFC 6962 §2.1). Shown in base64, as C2SP does.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeHash(pub [u8; 32]);

impl NodeHash {
    /// The root of the tree without leaves: the hash of nothing (RFC 6962 §2.1).
    #[must_use]
    pub fn empty_root() -> Self {
        Self(Sha256::digest([]).into())
    }

    /// Reads 44 characters of base64, the one spelling of a hash.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        BASE64_STANDARD.decode(text).ok()?.try_into().ok().map(Self)
    }
}

impl fmt::Display for NodeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_STANDARD.encode(self.0))
    }
}

impl fmt::Debug for NodeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeHash({self})")
    }
}

/// The hash of an event's leaf: of its header's bytes.
#[must_use]
pub fn leaf_hash(header: &[u8]) -> NodeHash {
    NodeHash(Sha256::new().chain_update(LEAF).chain_update(header).finalize().into())
}

/// The hash of the interior node over two others.
#[must_use]
pub fn node_hash(left: NodeHash, right: NodeHash) -> NodeHash {
    NodeHash(Sha256::new().chain_update(NODE).chain_update(left.0).chain_update(right.0).finalize().into())
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

/// The root of a complete subtree of `2^level` leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subtree {
    /// How high it is; 0 is a leaf, at most [`SUBTREE_LEVEL_MAX`].
    pub level: u8,
    /// Its root.
    pub root: NodeHash,
}

/// The highest subtree in a tree of less than 2⁶⁴ leaves.
pub const SUBTREE_LEVEL_MAX: u8 = 63;

/// The complete subtrees that leaves `first..end` consist of, each as large as it can be, in order, as level and index.
///
/// Of a range that RFC 6962 splits a tree into, they come largest first.
pub(crate) fn complete_subtrees(first: u64, end: u64) -> impl Iterator<Item = (u8, u64)> {
    let mut at = first;
    std::iter::from_fn(move || {
        // One starts only where its size divides.
        let level = (end - at).checked_ilog2()?.min(at.trailing_zeros());
        let index = at >> level;
        at += 1 << level;
        Some((level as u8, index))
    })
}

/// The root over subtrees given largest first; `None` when there are none.
fn fold(subtrees: impl DoubleEndedIterator<Item = NodeHash>) -> Option<NodeHash> {
    subtrees.rev().reduce(|right, left| node_hash(left, right))
}
