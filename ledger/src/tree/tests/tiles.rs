//! Tiles against `tlog_tiles`, a port of the Go library that reads those of the checksum database.

use std::cell::Cell;

use proptest::prelude::*;
use tlog_tiles::{HashReader as _, Tile, TileHashReader, TileReader};

use super::Memory;
use crate::ids::{Seq, TreeSize};
use crate::tree::proof::{consistency, inclusion};
use crate::tree::tiles::{TILE_WIDTH, TileKind, TilePath, entries_of, push_entry};
use crate::tree::{NodeHash, leaf_hash};

/// Serves the tiles of a tree to a reader that others wrote, and counts them.
struct Served<'a> {
    tree: &'a Memory,
    size: TreeSize,
    spoil: Option<usize>,
    served: Cell<usize>,
}

impl<'a> Served<'a> {
    fn of(tree: &'a Memory, size: u64) -> Self {
        Self { tree, size: TreeSize(size), spoil: None, served: Cell::new(0) }
    }
}

/// Theirs has the height in its paths, as the checksum database does.
fn ours(theirs: &str) -> TilePath {
    theirs.replacen("tile/8/", "tile/", 1).parse().unwrap()
}

impl TileReader for Served<'_> {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        let read = tiles.iter().map(|tile| {
            let path = ours(&tile.path());
            assert!(path.is_in(self.size), "{path} is asked for, of a tree of {}", self.size);
            self.served.set(self.served.get() + 1);
            let mut bytes = path.hashes(self.tree).unwrap();
            if let Some(at) = self.spoil {
                let at = at % bytes.len();
                bytes[at] ^= 1;
            }
            bytes
        });
        Ok(read.collect())
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

fn theirs(hash: NodeHash) -> tlog_tiles::Hash {
    tlog_tiles::Hash(hash.0)
}

#[test]
fn another_reader_finds_every_leaf_and_proof_in_the_tiles() {
    let tree = Memory::counting(70_000);
    for size in [1, 2, 255, 256, 257, 511, 65_535, 65_536, 65_537, 66_000, 70_000] {
        let served = Served::of(&tree, size);
        let reader = TileHashReader::new(size, theirs(tree.root(size)), &served);
        assert_eq!(tlog_tiles::tree_hash(size, &reader).unwrap(), theirs(tree.root(size)));
        for at in [0, size / 3, size / 2, size - 1] {
            let found = reader.read_hashes(&[tlog_tiles::stored_hash_index(0, at)]).unwrap();
            assert_eq!(found, [theirs(tree.leaf(at))], "leaf {at} of {size}");
            let proof = tlog_tiles::prove_record(size, at, &reader).unwrap();
            let path: Vec<_> = inclusion(Seq(at), TreeSize(size), &tree).unwrap().into_iter().map(theirs).collect();
            assert_eq!(proof, path, "leaf {at} of {size}");
            let old = at + 1;
            let proof = tlog_tiles::prove_tree(size, old, &reader).unwrap();
            let path: Vec<_> =
                consistency(TreeSize(old), TreeSize(size), &tree).unwrap().into_iter().map(theirs).collect();
            tlog_tiles::check_tree(&proof, size, theirs(tree.root(size)), old, theirs(tree.root(old))).unwrap();
            assert_eq!(proof, path, "{old} in {size}");
        }
    }
}

#[test]
fn a_tile_reads_as_many_nodes_as_it_holds() {
    let tree = Memory::counting(70_000);
    for (text, nodes) in [("tile/0/000", 256), ("tile/0/273.p/112", 112), ("tile/1/000", 256), ("tile/2/000.p/1", 1)] {
        tree.reads.set(0);
        let path: TilePath = text.parse().unwrap();
        assert_eq!(path.hashes(&tree).unwrap().len(), nodes * 32, "{text}");
        assert_eq!(tree.reads.get(), nodes, "{text}");
    }
}

#[test]
fn paths_are_those_of_the_specification() {
    for (text, kind, index, width) in [
        ("tile/0/000", TileKind::Hashes { level: 0 }, 0, 256),
        ("tile/3/x001/x234/067", TileKind::Hashes { level: 3 }, 1_234_067, 256),
        ("tile/entries/x001/x234/067.p/255", TileKind::Entries, 1_234_067, 255),
        ("tile/7/000.p/1", TileKind::Hashes { level: 7 }, 0, 1),
    ] {
        let path = TilePath::new(kind, index, width).unwrap();
        assert_eq!(path.to_string(), text);
        assert_eq!(text.parse(), Ok(path));
    }
    for bad in [
        "",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/",
        "/tile/0/000",
        "tile/0/0",
        "tile/0/0000",
        "tile/00/000",
        "tile/8/000",
        "tile/+1/000",
        "tile/-1/000",
        "tile/x/000",
        "tile/0/x000/000",
        "tile/0/001/000",
        "tile/0/x001/x000",
        "tile/0/x001",
        "tile/0/000.p",
        "tile/0/000.p/",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/1/",
        "tile/0/+12",
        "tile/entries/x001/x999",
        "tile/entry/000",
        "tile/data/000",
        "tile/0/x072/x057/x594/x037/x927/936",
        "tile/7/001",
        "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
    ] {
        assert!(bad.parse::<TilePath>().is_err(), "{bad}");
    }
}

#[test]
fn a_bundle_gives_back_its_entries_and_nothing_from_half_of_one() {
    let entries = [&b"one"[..], b"", &[7; 65_535]];
    let mut bundle = Vec::new();
    for entry in entries {
        push_entry(&mut bundle, entry).unwrap();
    }
    assert_eq!(entries_of(&bundle).unwrap(), entries);
    for cut in [1, 2, 4, 6, bundle.len() - 1] {
        assert_eq!(entries_of(&bundle[..cut]), None, "cut to {cut}");
    }
    assert_eq!(push_entry(&mut Vec::new(), &[0; 65_536]), None);
    assert_eq!(entries_of(&[]), Some(vec![]));
}

proptest! {
    #[test]
    fn a_changed_tile_is_refused_by_another_reader(size in 1_u64..2000, at in any::<prop::sample::Index>(), spoil in any::<usize>()) {
        let tree = Memory::counting(size);
        let at = at.index(size as usize) as u64;
        let served = Served { spoil: Some(spoil), ..Served::of(&tree, size) };
        let reader = TileHashReader::new(size, theirs(tree.root(size)), &served);
        prop_assert!(reader.read_hashes(&[tlog_tiles::stored_hash_index(0, at)]).is_err());
    }

    #[test]
    fn every_path_reads_as_it_is_written(level in 0..=7_u8, index in any::<u64>(), width in 1..=TILE_WIDTH, shift in 0..64_u32) {
        if let Some(path) = TilePath::new(TileKind::Hashes { level }, index >> shift, width) {
            prop_assert_eq!(path.to_string().parse(), Ok(path));
            let largest = TreeSize(u64::MAX);
            prop_assert!(path.is_in(largest));
        }
    }

    #[test]
    fn no_text_makes_the_parser_fail_otherwise(text in "(tile/)?[0-9a-z./+-]{0,40}") {
        if let Ok(path) = text.parse::<TilePath>() {
            prop_assert_eq!(path.to_string(), text);
        }
    }
}

#[test]
fn a_leaf_is_the_hash_of_its_entry() {
    let tree = Memory::counting(3);
    let mut bundle = Vec::new();
    for seq in 0..3 {
        push_entry(&mut bundle, seq.to_string().as_bytes()).unwrap();
    }
    let hashes: Vec<u8> = entries_of(&bundle).unwrap().into_iter().flat_map(|entry| leaf_hash(entry).0).collect();
    assert_eq!(hashes, "tile/0/000.p/3".parse::<TilePath>().unwrap().hashes(&tree).unwrap());
}
