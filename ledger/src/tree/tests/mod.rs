//! The tree against what others published and built, and its texts against every change of a byte.

mod shape;
mod text;
mod tiles;

use std::cell::Cell;
use std::collections::HashMap;
use std::convert::Infallible;

use super::{Frontier, NodeHash, Nodes, leaf_hash};
use crate::ids::TreeSize;

/// A tree in memory, as a store would keep it; it counts what is read.
#[derive(Default)]
struct Memory {
    nodes: HashMap<(u8, u64), NodeHash>,
    /// The edge at each size, from 0 up.
    edges: Vec<Frontier>,
    reads: Cell<usize>,
}

impl Memory {
    fn of(leaves: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        let mut edge = Frontier::empty();
        let mut tree = Self { edges: vec![edge.clone()], ..Self::default() };
        for leaf in leaves {
            let index = edge.size().0;
            let leaf = leaf_hash(leaf.as_ref());
            tree.nodes.insert((0, index), leaf);
            for (node, level) in edge.push(leaf).into_iter().zip(1..) {
                tree.nodes.insert((level, index >> level), node);
            }
            tree.edges.push(edge.clone());
        }
        tree
    }

    /// So many leaves, each its position in decimal.
    fn counting(leaves: u64) -> Self {
        Self::of((0..leaves).map(|leaf| leaf.to_string()))
    }

    fn leaf(&self, index: u64) -> NodeHash {
        self.nodes[&(0, index)]
    }

    fn root(&self, size: u64) -> NodeHash {
        self.edges[size as usize].root()
    }

    fn size(&self) -> TreeSize {
        TreeSize(self.edges.len() as u64 - 1)
    }
}

impl Nodes for Memory {
    type Error = Infallible;

    fn node(&self, level: u8, index: u64) -> Result<NodeHash, Infallible> {
        self.reads.set(self.reads.get() + 1);
        Ok(self.nodes[&(level, index)])
    }
}
