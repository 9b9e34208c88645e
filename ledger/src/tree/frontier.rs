//! The right edge of the tree: all a writer must keep to extend it and to know its root.

use super::{NodeHash, Nodes, Subtree, complete_subtrees, fold, node_hash};
use crate::ids::TreeSize;

/// The right edge of the tree: the roots of the complete subtrees its leaves consist of, one for each bit set in the
/// size, so at most 64 of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frontier {
    size: TreeSize,
    /// Largest first.
    subtrees: Vec<NodeHash>,
}

impl Frontier {
    /// The edge of the tree without leaves.
    #[must_use]
    pub const fn empty() -> Self {
        Self { size: TreeSize(0), subtrees: Vec::new() }
    }

    /// The edge of a tree of so many leaves, read from where its nodes are kept: one node for each bit set in `size`.
    ///
    /// # Errors
    /// Whatever reading a node gives.
    pub fn resume<N: Nodes>(size: TreeSize, nodes: &N) -> Result<Self, N::Error> {
        let subtrees =
            complete_subtrees(0, size.0).map(|(level, index)| nodes.node(level, index)).collect::<Result<_, _>>()?;
        Ok(Self { size, subtrees })
    }

    /// The number of leaves.
    #[must_use]
    pub const fn size(&self) -> TreeSize {
        self.size
    }

    /// The root over all leaves; [`NodeHash::empty_root`] when there are none.
    #[must_use]
    pub fn root(&self) -> NodeHash {
        fold(self.subtrees.iter().copied()).unwrap_or_else(NodeHash::empty_root)
    }

    /// Adds a leaf and gives the interior nodes it completes, from level 1 up.
    pub fn push(&mut self, leaf: NodeHash) -> Vec<NodeHash> {
        self.join(Subtree { level: 0, root: leaf })
    }

    /// Adds all leaves of a complete subtree at once. False, and nothing is added, when none can start here: its size must
    /// divide the number of leaves before it.
    #[must_use]
    pub fn push_subtree(&mut self, subtree: Subtree) -> bool {
        let fits = subtree.fits_after(self.size.0);
        if fits {
            self.join(subtree);
        }
        fits
    }

    fn join(&mut self, Subtree { level, root }: Subtree) -> Vec<NodeHash> {
        let completed = (self.size.0 >> level).trailing_ones() as usize;
        let left = self.subtrees.split_off(self.subtrees.len() - completed);
        let mut node = root;
        let nodes: Vec<NodeHash> = left
            .into_iter()
            .rev()
            .map(|left| {
                node = node_hash(left, node);
                node
            })
            .collect();
        self.subtrees.push(node);
        self.size = TreeSize(self.size.0 + (1 << level));
        nodes
    }
}
