//! The tree over HTTP: tiles, entries, and proofs against the checkpoints that were published.

use chancery_ledger::ids::{Seq, TreeSize};
use chancery_ledger::tree::leaf_hash;
use chancery_ledger::tree::proof::verify_inclusion;
use chancery_ledger::tree::seal::Seal;
use chancery_ledger::tree::tiles::entries_of;
use chancery_ledger::tree::tlog_proof::TlogProof;

use crate::support::Home;

#[test]
fn tiles_hold_the_hashes_and_headers_of_the_log() {
    let home = Home::new();
    let daemon = home.start();
    for n in 0..300 {
        daemon.register(&format!("a{n}"));
    }
    let seal = Seal::parse(daemon.get("/checkpoint").text.as_bytes()).unwrap();
    let size = seal.checkpoint().size.0;
    let rest = size - 256;
    let full = daemon.get("/tile/entries/000");
    assert_eq!(full.header("cache-control"), Some("private, max-age=31536000, immutable"));
    assert_eq!(daemon.get(&format!("/tile/entries/001.p/{rest}")).header("cache-control"), Some("no-store"));
    let both = |level: &str| {
        let tile = |index: &str| daemon.get(&format!("/tile/{level}/{index}")).bytes;
        [tile("000"), tile(&format!("001.p/{rest}"))].concat()
    };
    let bundle = both("entries");
    let leaves: Vec<_> = entries_of(&bundle).unwrap().into_iter().map(leaf_hash).collect();
    assert_eq!(leaves.len() as u64, size);
    assert_eq!(both("0"), leaves.iter().flat_map(|leaf| leaf.0).collect::<Vec<u8>>());
    let mut edge = chancery_ledger::tree::Frontier::empty();
    leaves[..256].iter().for_each(|leaf| drop(edge.push(*leaf)));
    assert_eq!(daemon.get("/tile/1/000.p/1").bytes, edge.root().0);
    leaves[256..].iter().for_each(|leaf| drop(edge.push(*leaf)));
    assert_eq!(edge.root(), seal.checkpoint().root);

    for missing in ["/tile/0/001", "/tile/1/000", "/tile/0/001.p/256", "/tile/0/9", "/tile/8/000", "/tile/2/000.p/1"] {
        daemon.get(missing).problem(404, "not_found");
    }
    let (_, other) = daemon.new_tenant("acme");
    assert_eq!(other.get("/tile/0/000").status, 200);
    other.get("/tile/entries/000").problem(403, "not_root");
}

#[test]
fn an_event_is_proved_against_any_later_checkpoint() {
    let home = Home::new();
    let daemon = home.start();
    let size = |text: &str| Seal::parse(text.as_bytes()).unwrap().checkpoint().size.0;
    let old = daemon.get("/checkpoint").text;
    for n in 0..20 {
        daemon.register(&format!("a{n}"));
    }
    let new = daemon.get("/checkpoint").text;
    assert_eq!(daemon.get(&format!("/v1/ledger/checkpoints/{}", size(&old))).text, old);
    daemon.get(&format!("/v1/ledger/checkpoints/{}", size(&new) + 1)).problem(404, "not_found");
    daemon.get("/v1/ledger/checkpoints/0").problem(404, "not_found");
    for seal in [&old, &new] {
        let proof = daemon.get(&format!("/v1/events/0/proof?header=true&size={}", size(seal)));
        let proof = TlogProof::parse(proof.text.as_bytes()).unwrap();
        assert_eq!(proof.seal.bytes(), seal.as_bytes());
        let (leaf, root) = (leaf_hash(proof.extra.as_ref().unwrap()), proof.seal.checkpoint().root);
        assert!(verify_inclusion(leaf, Seq(0), TreeSize(size(seal)), &proof.path, root));
    }
    let last = size(&new) - 1;
    daemon.get(&format!("/v1/events/{last}/proof?size={}", size(&old))).problem(404, "not_found");

    let proof = daemon.get(&format!("/v1/ledger/consistency/{}/{}", size(&old), size(&new))).ok();
    assert_eq!((proof["old"]["checkpoint"].as_str(), proof["new"]["checkpoint"].as_str()), (Some(&*old), Some(&*new)));
    let root = |text: &str| Seal::parse(text.as_bytes()).unwrap().checkpoint().root.to_string();
    assert_eq!(
        (proof["old"]["root"].as_str(), proof["new"]["root"].as_str()),
        (Some(&*root(&old)), Some(&*root(&new)))
    );
    assert!(!proof["proof"].as_array().unwrap().is_empty());
    daemon.get(&format!("/v1/ledger/consistency/{}/{}", size(&new), size(&old))).problem(404, "not_found");
    daemon.get(&format!("/v1/ledger/consistency/0/{}", size(&new) + 1)).problem(404, "not_found");
}
