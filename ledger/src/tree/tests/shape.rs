//! Hashes, edges and proofs.

use std::convert::Infallible;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof};
use proptest::prelude::*;
use sha2_for_ct_merkle::Sha256;

use super::Memory;
use crate::ids::{Seq, TreeSize};
use crate::tree::proof::{PROOF_HASHES_MAX, ProofError, consistency, inclusion, verify_consistency, verify_inclusion};
use crate::tree::{Frontier, NodeHash, Nodes, leaf_hash, node_hash};

/// The leaves of Certificate Transparency's reference tree (transparency-dev/merkle, `testonly`).
const LEAVES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
/// Its roots, from the tree without leaves to the one of all eight.
const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];
/// Nodes of its published proofs, by level and index.
const NODES: [(&str, u8, u64); 9] = [
    ("96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7", 0, 1),
    ("bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b", 0, 4),
    ("b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f", 0, 6),
    ("fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125", 1, 0),
    ("5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e", 1, 1),
    ("0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a", 1, 2),
    ("ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0", 1, 3),
    ("d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7", 2, 0),
    ("6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4", 2, 1),
];

fn hash(digits: &str) -> NodeHash {
    NodeHash(hex::decode(digits).unwrap().try_into().unwrap())
}

fn reference_tree() -> Memory {
    Memory::of(LEAVES.map(|leaf| hex::decode(leaf).unwrap()))
}

/// A tree whose leaves are all the same, so that one of any size has one node for each level.
struct Uniform([NodeHash; 64]);

impl Uniform {
    fn new() -> Self {
        let mut node = leaf_hash(b"same");
        Self(std::array::from_fn(|_| {
            let parent = node_hash(node, node);
            std::mem::replace(&mut node, parent)
        }))
    }
}

impl Nodes for Uniform {
    type Error = Infallible;

    fn node(&self, level: u8, _: u64) -> Result<NodeHash, Infallible> {
        Ok(self.0[level as usize])
    }
}

#[test]
fn roots_are_those_of_the_reference_tree() {
    let tree = reference_tree();
    for (size, root) in (0..).zip(ROOTS) {
        assert_eq!(tree.root(size), hash(root), "of {size} leaves");
    }
    assert_eq!(NodeHash::empty_root(), hash(ROOTS[0]));
    for (node, level, index) in NODES {
        assert_eq!(tree.nodes[&(level, index)], hash(node), "level {level}, index {index}");
    }
}

#[test]
fn inclusion_proofs_are_those_of_the_reference_tree() {
    let tree = reference_tree();
    let published: [(u64, u64, &[&str]); 5] = [
        (0, 1, &[]),
        (0, 8, &[NODES[0].0, NODES[4].0, NODES[8].0]),
        (5, 8, &[NODES[1].0, NODES[6].0, NODES[7].0]),
        (2, 3, &[NODES[3].0]),
        (1, 5, &[ROOTS[1], NODES[4].0, NODES[1].0]),
    ];
    for (seq, size, path) in published {
        let path: Vec<NodeHash> = path.iter().map(|node| hash(node)).collect();
        let (seq, size) = (Seq(seq), TreeSize(size));
        assert_eq!(inclusion(seq, size, &tree), Ok(path.clone()));
        assert!(verify_inclusion(tree.leaf(seq.0), seq, size, &path, tree.root(size.0)));
    }
}

#[test]
fn consistency_proofs_are_those_of_the_reference_tree() {
    let tree = reference_tree();
    let published: [(u64, u64, &[&str]); 5] = [
        (1, 1, &[]),
        (1, 8, &[NODES[0].0, NODES[4].0, NODES[8].0]),
        (6, 8, &[NODES[5].0, NODES[6].0, NODES[7].0]),
        (2, 5, &[NODES[4].0, NODES[1].0]),
        (6, 7, &[NODES[5].0, NODES[2].0, NODES[7].0]),
    ];
    for (old, new, path) in published {
        let path: Vec<NodeHash> = path.iter().map(|node| hash(node)).collect();
        assert_eq!(consistency(TreeSize(old), TreeSize(new), &tree), Ok(path.clone()));
        assert!(verify_consistency(TreeSize(old), tree.root(old), TreeSize(new), tree.root(new), &path));
    }
}

#[test]
fn every_proof_of_a_small_tree_is_the_one_ct_merkle_makes_and_accepts() {
    let bytes = |path: &[NodeHash]| path.iter().flat_map(|node| node.0).collect::<Vec<u8>>();
    let tree = Memory::counting(70);
    let mut theirs = MemoryBackedTree::<Sha256, String>::new();
    let mut roots = vec![theirs.root()];
    for new in 1..=tree.size().0 {
        theirs.push((new - 1).to_string());
        roots.push(theirs.root());
        assert_eq!(tree.root(new).0.as_slice(), theirs.root().as_bytes().as_slice());
        for seq in 0..new {
            let path = inclusion(Seq(seq), TreeSize(new), &tree).unwrap();
            assert_eq!(bytes(&path), theirs.prove_inclusion(seq as usize).as_bytes(), "{seq} in {new}");
            let proof = InclusionProof::try_from_bytes(bytes(&path)).unwrap();
            roots[new as usize].verify_inclusion(&seq.to_string(), seq, &proof).unwrap();
            assert!(verify_inclusion(tree.leaf(seq), Seq(seq), TreeSize(new), &path, tree.root(new)));
        }
        for old in 1..=new {
            let path = consistency(TreeSize(old), TreeSize(new), &tree).unwrap();
            assert_eq!(bytes(&path), theirs.prove_consistency((new - old) as usize).as_bytes(), "{old} in {new}");
            let proof = ConsistencyProof::try_from_bytes(bytes(&path)).unwrap();
            roots[new as usize].verify_consistency(&roots[old as usize], &proof).unwrap();
            assert!(verify_consistency(TreeSize(old), tree.root(old), TreeSize(new), tree.root(new), &path));
        }
    }
}

#[test]
fn an_edge_resumed_at_any_size_is_the_edge_that_was_pushed() {
    let tree = Memory::counting(300);
    for (size, edge) in (0..).zip(&tree.edges) {
        tree.reads.set(0);
        assert_eq!(&Frontier::resume(TreeSize(size), &tree).unwrap(), edge);
        assert_eq!(tree.reads.get(), size.count_ones() as usize, "one read for each bit of {size}");
    }
}

#[test]
fn what_is_beyond_the_tree_is_not_proved() {
    let tree = reference_tree();
    for size in [0, 5] {
        let size = TreeSize(size);
        assert_eq!(inclusion(size.next(), size, &tree), Err(ProofError::Beyond { at: size.0, size }));
        let beyond = TreeSize(size.0 + 1);
        assert_eq!(consistency(beyond, size, &tree), Err(ProofError::Beyond { at: beyond.0, size }));
    }
    let (leaf, root) = (tree.leaf(0), tree.root(8));
    assert!(!verify_inclusion(leaf, Seq(0), TreeSize(0), &[], NodeHash::empty_root()));
    assert!(!verify_inclusion(leaf, Seq(1), TreeSize(1), &[], leaf));
    assert!(!verify_consistency(TreeSize(9), root, TreeSize(8), root, &[]));
}

#[test]
fn the_empty_tree_is_a_prefix_of_every_tree() {
    let tree = reference_tree();
    let empty = NodeHash::empty_root();
    for new in 0..=8 {
        assert_eq!(consistency(TreeSize(0), TreeSize(new), &tree), Ok(vec![]));
        assert!(verify_consistency(TreeSize(0), empty, TreeSize(new), tree.root(new), &[]));
        assert!(!verify_consistency(TreeSize(0), tree.root(8), TreeSize(new), tree.root(new), &[]));
        assert!(!verify_consistency(TreeSize(0), empty, TreeSize(new), tree.root(new), &[empty]));
    }
}

/// One change to a proof or to what it is checked against.
#[derive(Debug, Clone)]
enum Change {
    Bit { hash: prop::sample::Index, bit: usize },
    Drop(prop::sample::Index),
    Insert(prop::sample::Index, [u8; 32]),
    Swap(prop::sample::Index),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (any::<prop::sample::Index>(), 0..256_usize).prop_map(|(hash, bit)| Change::Bit { hash, bit }),
        1 => any::<prop::sample::Index>().prop_map(Change::Drop),
        1 => any::<(prop::sample::Index, [u8; 32])>().prop_map(|(at, hash)| Change::Insert(at, hash)),
        1 => any::<prop::sample::Index>().prop_map(Change::Swap),
    ]
}

/// Changes the path, or one of the `fixed` hashes it is checked with; `false` when this changes nothing.
fn apply(change: &Change, path: &mut Vec<NodeHash>, fixed: &mut [NodeHash]) -> bool {
    match change {
        Change::Bit { hash, bit } => {
            let at = hash.index(path.len() + fixed.len());
            let node = if at < path.len() { &mut path[at] } else { &mut fixed[at - path.len()] };
            node.0[bit / 8] ^= 1 << (bit % 8);
            true
        }
        Change::Drop(at) => {
            !path.is_empty() && {
                path.remove(at.index(path.len()));
                true
            }
        }
        Change::Insert(at, hash) => {
            path.insert(at.index(path.len() + 1), NodeHash(*hash));
            true
        }
        Change::Swap(at) => {
            path.len() > 1 && {
                let at = at.index(path.len() - 1);
                path.swap(at, at + 1);
                path[at] != path[at + 1]
            }
        }
    }
}

/// A tree size, often one of those where trees change shape.
fn size() -> impl Strategy<Value = u64> {
    prop_oneof![
        1_u64..600,
        1..=u64::MAX,
        (0..64_u32, 0..3_u64).prop_map(|(level, more)| (1_u64 << level).saturating_add(more).saturating_sub(1).max(1)),
    ]
}

proptest! {
    #[test]
    fn a_changed_inclusion_proof_is_refused(
        size in 1_u64..600, at in any::<prop::sample::Index>(), change in change(), other in any::<prop::sample::Index>(),
    ) {
        let tree = Memory::counting(size);
        let (seq, size) = (Seq(at.index(size as usize) as u64), TreeSize(size));
        let mut path = inclusion(seq, size, &tree).unwrap();
        let mut fixed = [tree.leaf(seq.0), tree.root(size.0)];
        let other = Seq(other.index(size.0 as usize) as u64);
        prop_assert_eq!(verify_inclusion(fixed[0], other, size, &path, fixed[1]), other == seq);
        if apply(&change, &mut path, &mut fixed) {
            prop_assert!(!verify_inclusion(fixed[0], seq, size, &path, fixed[1]));
        }
    }

    #[test]
    fn a_changed_consistency_proof_is_refused(
        new in 1_u64..600, old in any::<prop::sample::Index>(), change in change(),
    ) {
        let tree = Memory::counting(new);
        let old = old.index(new as usize) as u64 + 1;
        let mut path = consistency(TreeSize(old), TreeSize(new), &tree).unwrap();
        let mut fixed = [tree.root(old), tree.root(new)];
        if apply(&change, &mut path, &mut fixed) {
            prop_assert!(!verify_consistency(TreeSize(old), fixed[0], TreeSize(new), fixed[1], &path));
        }
    }

    #[test]
    fn trees_of_every_size_prove_their_leaves_and_prefixes(new in size(), part in size()) {
        let tree = Uniform::new();
        let root = |size| Frontier::resume(TreeSize(size), &tree).unwrap().root();
        let (seq, old) = (part % new, part % new + 1);
        let path = inclusion(Seq(seq), TreeSize(new), &tree).unwrap();
        prop_assert!(path.len() <= PROOF_HASHES_MAX);
        prop_assert!(verify_inclusion(tree.0[0], Seq(seq), TreeSize(new), &path, root(new)));
        let path = consistency(TreeSize(old), TreeSize(new), &tree).unwrap();
        prop_assert!(path.len() <= PROOF_HASHES_MAX);
        prop_assert!(verify_consistency(TreeSize(old), root(old), TreeSize(new), root(new), &path));
    }

    #[test]
    fn proofs_read_few_nodes(new in 2_u64..600, part in any::<prop::sample::Index>()) {
        let tree = Memory::counting(new);
        let part = part.index(new as usize) as u64;
        let few = 2 * (new.ilog2() as usize + 1);
        inclusion(Seq(part), TreeSize(new), &tree).unwrap();
        prop_assert!(tree.reads.take() <= few);
        consistency(TreeSize(part), TreeSize(new), &tree).unwrap();
        prop_assert!(tree.reads.take() <= few);
    }

    #[test]
    fn what_is_no_proof_proves_nothing(
        at in size(), size in size(), hashes in prop::collection::vec(any::<[u8; 32]>(), 2..70),
    ) {
        let hashes: Vec<NodeHash> = hashes.into_iter().map(NodeHash).collect();
        let (roots, path) = hashes.split_at(2);
        prop_assert!(!verify_inclusion(roots[0], Seq(at), TreeSize(size), path, roots[1]));
        prop_assert!(!verify_consistency(TreeSize(at), roots[0], TreeSize(size), roots[1], path));
    }
}
