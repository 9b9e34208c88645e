use std::collections::BTreeMap;

use chancery_ledger::ids::{Seq, TreeSize};
use chancery_ledger::link::Hash;
use chancery_ledger::tree::Frontier;
use chancery_ledger::tree::proof::verify_inclusion;
use proptest::prelude::*;

use super::leaf::{LEAF_BYTES, Leaf};
use super::sorter::Sorter;
use super::tree::{BLOCK, Found, TreeFile, TreeWriter};

fn leaf(n: u64) -> Leaf {
    let place = Hash(blake3::hash(&n.to_be_bytes()).into());
    Leaf { place, seq: Seq(n), row: Hash([n as u8; 32]) }
}

fn written(leaves: &[Leaf]) -> (tempfile::TempDir, TreeFile) {
    let dir = tempfile::tempdir().unwrap();
    let (leaves_path, nodes_path) = (dir.path().join("leaves"), dir.path().join("nodes"));
    let mut tree = TreeWriter::create(&leaves_path, &nodes_path).unwrap();
    let mut frontier = Frontier::empty();
    for leaf in leaves {
        tree.push(*leaf).unwrap();
        frontier.push(leaf.hash());
    }
    assert_eq!(tree.finish().unwrap(), (leaves.len() as u64, frontier.root()));
    let tree = TreeFile::open(&leaves_path, &nodes_path).unwrap();
    assert_eq!((tree.rows(), tree.root().unwrap()), (leaves.len() as u64, frontier.root()));
    (dir, tree)
}

fn ascending(count: u64) -> Vec<Leaf> {
    let mut leaves: Vec<Leaf> = (0..count).map(leaf).collect();
    leaves.sort_unstable();
    leaves
}

proptest! {
    #[test]
    fn leaves_are_sorted_however_few_a_run_takes(
        numbers in proptest::collection::vec(any::<u64>(), 0..600), run_leaves in 1..700_usize,
    ) {
        let leaves: BTreeMap<Hash, Leaf> = numbers.iter().map(|n| leaf(*n)).map(|leaf| (leaf.place, leaf)).collect();
        let mut given: Vec<Leaf> = leaves.values().copied().collect();
        given.sort_unstable_by_key(|leaf| leaf.row);
        let mut sorter = Sorter::new(tempfile::tempfile().unwrap(), run_leaves);
        given.into_iter().try_for_each(|leaf| sorter.push(leaf)).unwrap();
        let mut sorted = Vec::new();
        sorter.finish(|leaf| {
            sorted.push(leaf);
            Ok(())
        }).unwrap();
        prop_assert_eq!(sorted, leaves.into_values().collect::<Vec<_>>());
    }

    #[test]
    fn a_leaf_is_its_bytes(place in any::<[u8; 32]>(), seq in any::<u64>(), row in any::<[u8; 32]>()) {
        let leaf = Leaf { place: Hash(place), seq: Seq(seq), row: Hash(row) };
        prop_assert_eq!(leaf.to_bytes().len(), LEAF_BYTES);
        prop_assert_eq!(Leaf::from_bytes(&leaf.to_bytes()), leaf);
    }
}

#[test]
fn every_leaf_of_a_tree_of_any_shape_is_proven() {
    for count in [0, 1, 2, 3, 5, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 5 * BLOCK + 77, 8 * BLOCK, 11 * BLOCK + 1] {
        let leaves = ascending(count);
        let (_dir, tree) = written(&leaves);
        let root = tree.root().unwrap();
        for (index, leaf) in (0..).zip(&leaves).step_by(if count > 2 * BLOCK { 37 } else { 1 }) {
            let path = tree.path(index).unwrap();
            assert!(verify_inclusion(leaf.hash(), Seq(index), TreeSize(count), &path, root), "{index} of {count}");
            assert_eq!(tree.find(leaf.place).unwrap(), Found::At(index));
            assert_eq!(tree.leaf(index).unwrap(), *leaf);
        }
        assert!(tree.path(count).is_err());
        for n in 0..50 {
            let place = leaf(1 << 40 | n).place;
            let before = leaves.iter().filter(|leaf| leaf.place < place).count() as u64;
            assert_eq!(tree.find(place).unwrap(), Found::Before(before));
        }
    }
}

#[test]
fn two_rows_of_one_place_make_no_tree() {
    let dir = tempfile::tempdir().unwrap();
    let mut tree = TreeWriter::create(&dir.path().join("leaves"), &dir.path().join("nodes")).unwrap();
    tree.push(leaf(1)).unwrap();
    assert!(tree.push(leaf(1)).is_err());
}
