//! What stands for leaves that are not shown: the roots of the subtrees they make up.

use super::{NodeHash, SUBTREE_LEVEL_MAX, Subtree, node_hash};

impl Subtree {
    /// How many leaves it has.
    #[must_use]
    pub const fn leaves(self) -> u64 {
        1 << self.level
    }

    /// Whether one of its size can start after so many leaves, and no tree gets too large by it.
    #[must_use]
    pub const fn fits_after(self, leaves: u64) -> bool {
        self.level <= SUBTREE_LEVEL_MAX
            && leaves.trailing_zeros() >= self.level as u32
            && leaves.checked_add(1 << self.level).is_some()
    }
}

/// Gathers leaves in a row into complete subtrees, as large as they can be: at most 126 at a time.
#[derive(Debug, Clone)]
pub struct Cover {
    /// The leaf that comes next.
    next: u64,
    subtrees: Vec<Subtree>,
}

impl Cover {
    /// Nothing yet; the first leaf has this position.
    #[must_use]
    pub const fn starting_at(next: u64) -> Self {
        Self { next, subtrees: Vec::new() }
    }

    /// Adds the next leaf.
    pub fn push(&mut self, leaf: NodeHash) {
        self.push_subtree(Subtree { level: 0, root: leaf });
    }

    /// Adds the next leaves, by the root of a subtree that [fits](Subtree::fits_after) after those before.
    pub fn push_subtree(&mut self, subtree: Subtree) {
        let mut node = subtree;
        // A right child whose left sibling is here too makes their parent.
        while (self.next >> node.level) & 1 == 1
            && let Some(left) = self.subtrees.pop_if(|left| left.level == node.level)
        {
            node = Subtree { level: node.level + 1, root: node_hash(left.root, node.root) };
        }
        self.subtrees.push(node);
        self.next += subtree.leaves();
    }

    /// What was gathered, in order; the next leaf begins anew. A leaf that is shown instead is passed with
    /// [`pass`](Self::pass).
    pub fn take(&mut self) -> Vec<Subtree> {
        std::mem::take(&mut self.subtrees)
    }

    /// Goes by a leaf that needs no cover.
    pub const fn pass(&mut self) {
        self.next += 1;
    }
}
