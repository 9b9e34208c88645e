//! Inclusion and consistency proofs: made from stored nodes (RFC 6962 §2.1.1 and §2.1.2), checked without them
//! (RFC 9162 §2.1.3.2 and §2.1.4.2).

use super::{NodeHash, Nodes, complete_subtrees, fold, node_hash};
use crate::ids::{Seq, TreeSize};

/// Most hashes in a proof of either kind: 64 levels, and in a consistency proof the node both trees share.
pub const PROOF_HASHES_MAX: usize = 65;

/// A proof cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError<E> {
    /// The tree has no such leaf, or is smaller than the one it should be consistent with.
    #[error("position {at} is beyond a tree of {size} leaves")]
    Beyond {
        /// The leaf's position, or the smaller tree's size.
        at: u64,
        /// The tree's size.
        size: TreeSize,
    },
    /// A node could not be read.
    #[error(transparent)]
    Nodes(#[from] E),
}

/// Proves that an event is a leaf of the tree of `size` events: the hashes from its sibling's up to a child of the
/// root. Reads O(log n) nodes.
///
/// # Errors
/// [`ProofError::Beyond`] when `seq` is not in that tree; [`ProofError::Nodes`] when reading fails.
///
/// # Source
/// RFC 6962 §2.1.1, `PATH(m, D[n])`.
pub fn inclusion<N: Nodes>(seq: Seq, size: TreeSize, nodes: &N) -> Result<Vec<NodeHash>, ProofError<N::Error>> {
    if seq.0 >= size.0 {
        return Err(ProofError::Beyond { at: seq.0, size });
    }
    let (mut first, mut end) = (0, size.0);
    let mut path = Vec::new();
    while end - first > 1 {
        let middle = first + left_leaves(end - first);
        if seq.0 < middle {
            path.push(root_of(middle, end, nodes)?);
            end = middle;
        } else {
            path.push(root_of(first, middle, nodes)?);
            first = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// Whether `path` proves that `leaf` is the leaf at `seq` of the tree of `size` leaves with this `root`.
///
/// # Source
/// RFC 9162 §2.1.3.2.
#[must_use]
pub fn verify_inclusion(leaf: NodeHash, seq: Seq, size: TreeSize, path: &[NodeHash], root: NodeHash) -> bool {
    if seq.0 >= size.0 {
        return false;
    }
    let (mut index, mut last) = (seq.0, size.0 - 1);
    let mut node = leaf;
    for sibling in path {
        if last == 0 {
            return false;
        }
        if index & 1 == 1 || index == last {
            node = node_hash(*sibling, node);
            // A node without a right sibling rises unchanged until it is a right child itself.
            let unpaired = index.trailing_zeros();
            (index, last) = (index >> unpaired, last >> unpaired);
        } else {
            node = node_hash(node, *sibling);
        }
        (index, last) = (index >> 1, last >> 1);
    }
    last == 0 && node == root
}

/// Proves that the tree of `old` leaves is a prefix of the one of `new` leaves. The proof is empty when either both are
/// the same or the old one has no leaves. Reads O(log n) nodes.
///
/// # Errors
/// [`ProofError::Beyond`] when `old` is greater than `new`; [`ProofError::Nodes`] when reading fails.
///
/// # Source
/// RFC 6962 §2.1.2, `PROOF(m, D[n])`.
pub fn consistency<N: Nodes>(old: TreeSize, new: TreeSize, nodes: &N) -> Result<Vec<NodeHash>, ProofError<N::Error>> {
    if old > new {
        return Err(ProofError::Beyond { at: old.0, size: new });
    }
    if old.0 == 0 {
        return Ok(Vec::new());
    }
    let (mut first, mut end) = (0, new.0);
    let mut path = Vec::new();
    while end != old.0 {
        let middle = first + left_leaves(end - first);
        if old.0 <= middle {
            path.push(root_of(middle, end, nodes)?);
            end = middle;
        } else {
            path.push(root_of(first, middle, nodes)?);
            first = middle;
        }
    }
    // What starts at leaf 0 is the old tree itself, whose root the verifier has.
    if first != 0 {
        path.push(root_of(first, end, nodes)?);
    }
    path.reverse();
    Ok(path)
}

/// Whether `path` proves that the tree of `old` leaves with root `old_root` is a prefix of the one of `new` leaves with
/// root `new_root`.
///
/// # Source
/// RFC 9162 §2.1.4.2; the tree without leaves, which it leaves out, is a prefix of every tree.
#[must_use]
pub fn verify_consistency(
    old: TreeSize, old_root: NodeHash, new: TreeSize, new_root: NodeHash, path: &[NodeHash],
) -> bool {
    if old == new {
        return path.is_empty() && old_root == new_root;
    }
    if old > new {
        return false;
    }
    if old.0 == 0 {
        return path.is_empty() && old_root == NodeHash::empty_root();
    }
    let shared = if old.0.is_power_of_two() { Some(old_root) } else { None };
    let mut path = shared.into_iter().chain(path.iter().copied());
    let Some(start) = path.next() else { return false };
    // The start is the largest subtree that ends where the old tree ends.
    let level = (old.0 - 1).trailing_ones();
    let (mut index, mut last) = ((old.0 - 1) >> level, (new.0 - 1) >> level);
    let (mut old_node, mut new_node) = (start, start);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if index & 1 == 1 || index == last {
            old_node = node_hash(sibling, old_node);
            new_node = node_hash(sibling, new_node);
            let unpaired = index.trailing_zeros();
            (index, last) = (index >> unpaired, last >> unpaired);
        } else {
            new_node = node_hash(new_node, sibling);
        }
        (index, last) = (index >> 1, last >> 1);
    }
    last == 0 && old_node == old_root && new_node == new_root
}

/// How many of `leaves` (at least two) lie under the left child of their root: RFC 6962's `k`.
const fn left_leaves(leaves: u64) -> u64 {
    1 << (leaves - 1).ilog2()
}

/// The root over leaves `first..end`, which are a subtree as RFC 6962 splits them and not empty.
fn root_of<N: Nodes>(first: u64, end: u64, nodes: &N) -> Result<NodeHash, N::Error> {
    let subtrees =
        complete_subtrees(first, end).map(|(level, index)| nodes.node(level, index)).collect::<Result<Vec<_>, _>>()?;
    Ok(fold(subtrees.into_iter()).unwrap_or_else(NodeHash::empty_root))
}
