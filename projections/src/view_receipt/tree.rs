//! The tree over a view's rows, in two files: the leaves in order, and the roots of all complete subtrees of [`BLOCK`]
//! leaves and more. What is smaller is computed from the leaves. Both are derived, and are made anew when they are lost.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use chancery_ledger::ids::{Seq, TreeSize};
use chancery_ledger::link::Hash;
use chancery_ledger::tree::proof::{ProofError, inclusion};
use chancery_ledger::tree::{Frontier, NodeHash, Nodes};

use super::leaf::{LEAF_BYTES, Leaf};
use super::sorter::read_leaves;

/// Level of the smallest subtrees whose roots are kept.
const BLOCK_LEVEL: u8 = 8;
/// Leaves of such a subtree: what proving a leaf reads at most, 18 KiB.
pub const BLOCK: u64 = 1 << BLOCK_LEVEL;
const HASH_BYTES: u64 = 32;

/// Writes a tree.
pub struct TreeWriter {
    leaves: BufWriter<File>,
    nodes: BufWriter<File>,
    frontier: Frontier,
    last: Option<Hash>,
}

impl TreeWriter {
    /// A tree without leaves, in two files that are made.
    ///
    /// # Errors
    /// When they cannot be made.
    pub fn create(leaves: &Path, nodes: &Path) -> io::Result<Self> {
        Ok(Self {
            leaves: BufWriter::new(File::create_new(leaves)?),
            nodes: BufWriter::new(File::create_new(nodes)?),
            frontier: Frontier::empty(),
            last: None,
        })
    }

    /// Adds a leaf, whose place is behind all others'.
    ///
    /// # Errors
    /// When the files cannot be written, or the place is not.
    pub fn push(&mut self, leaf: Leaf) -> io::Result<()> {
        if self.last.is_some_and(|last| last >= leaf.place) {
            return Err(io::Error::other("two rows of a view have one place"));
        }
        self.last = Some(leaf.place);
        self.leaves.write_all(&leaf.to_bytes())?;
        // The first that a leaf completes is of level 1.
        for node in self.frontier.push(leaf.hash()).iter().skip(usize::from(BLOCK_LEVEL) - 1) {
            self.nodes.write_all(&node.0)?;
        }
        Ok(())
    }

    /// Makes the tree durable; how many leaves it has, and its root.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn finish(self) -> io::Result<(u64, NodeHash)> {
        for file in [self.leaves, self.nodes] {
            file.into_inner()?.sync_all()?;
        }
        Ok((self.frontier.size().0, self.frontier.root()))
    }
}

/// Where a leaf of some place stands, or would.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It is the leaf with this number.
    At(u64),
    /// There is none; so many leaves stand before it.
    Before(u64),
}

/// A tree, to read.
#[derive(Debug)]
pub struct TreeFile {
    leaves: File,
    nodes: File,
    rows: u64,
}

impl TreeFile {
    /// Opens the tree in two files.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn open(leaves: &Path, nodes: &Path) -> io::Result<Self> {
        let (leaves, nodes) = (File::open(leaves)?, File::open(nodes)?);
        let rows = leaves.metadata()?.len() / LEAF_BYTES as u64;
        Ok(Self { leaves, nodes, rows })
    }

    /// How many leaves it has.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// Its root, from the largest subtrees that are kept.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn root(&self) -> io::Result<NodeHash> {
        Ok(Frontier::resume(TreeSize(self.rows), self)?.root())
    }

    /// A leaf.
    ///
    /// # Errors
    /// When there is none of that number, or the file cannot be read.
    pub fn leaf(&self, index: u64) -> io::Result<Leaf> {
        let mut bytes = [0; LEAF_BYTES];
        self.leaves.read_exact_at(&mut bytes, index * LEAF_BYTES as u64)?;
        Ok(Leaf::from_bytes(&bytes))
    }

    /// Finds a place, by halving.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn find(&self, place: Hash) -> io::Result<Found> {
        let (mut from, mut to) = (0, self.rows);
        while from < to {
            let middle = from + (to - from) / 2;
            let found = self.leaf(middle)?.place;
            if found == place {
                return Ok(Found::At(middle));
            }
            if found < place { from = middle + 1 } else { to = middle }
        }
        Ok(Found::Before(from))
    }

    /// The inclusion path of a leaf (RFC 6962 §2.1.1).
    ///
    /// # Errors
    /// When there is no such leaf, or the files cannot be read.
    pub fn path(&self, index: u64) -> io::Result<Vec<NodeHash>> {
        inclusion(Seq(index), TreeSize(self.rows), self).map_err(|error| match error {
            ProofError::Nodes(error) => error,
            error @ ProofError::Beyond { .. } => io::Error::other(error.to_string()),
        })
    }
}

impl Nodes for TreeFile {
    type Error = io::Error;

    fn node(&self, level: u8, index: u64) -> io::Result<NodeHash> {
        let Some(above) = level.checked_sub(BLOCK_LEVEL) else {
            let mut frontier = Frontier::empty();
            for leaf in read_leaves(&self.leaves, (index << level) * LEAF_BYTES as u64, 1 << level)? {
                frontier.push(leaf.hash());
            }
            return Ok(frontier.root());
        };
        // A subtree is written when its last block is: behind those of the blocks before, of which each writes one and as
        // many more as the number of blocks so far has trailing zero bits, and behind the smaller ones of its own.
        let block = ((index + 1) << above) - 1;
        let at = 2 * block - u64::from(block.count_ones()) + u64::from(above);
        let mut node = NodeHash([0; 32]);
        self.nodes.read_exact_at(&mut node.0, at * HASH_BYTES)?;
        Ok(node)
    }
}
