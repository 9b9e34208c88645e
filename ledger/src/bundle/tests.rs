//! Bundles of a log that was made by hand: what they prove, and every way to damage or bend one.

use std::io::{Cursor, Read as _, Write as _};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;
use crate::body::identity::AgentSuspended;
use crate::body::{Body, Kind};
use crate::event::Envelope;
use crate::export::{Bodies, write_frame};
use crate::ids::{AgentId, Seq, Subject, ThingId as _, TreeSize, uuid_v7};
use crate::store::on_sled::SledStore;
use crate::store::{Group, LogStore as _, Record};
use crate::time::Micros;
use crate::tree::seal::{Checkpoint, Seal};
use crate::tree::{Frontier, NodeHash, Subtree, leaf_hash};
use crate::verify::tests::{ORIGIN, good, key, verifier_key};
use crate::verify::{Item, Known, Report, SourceError, Trust, Why, YesNo, verify_bundle};

/// Events of the log; event 15 suspends an agent, 16 names the second key.
const SIZE: u64 = 25;

fn agent(n: u8) -> Subject {
    AgentId(uuid_v7(7, [n; 10])).subject()
}

fn trusting() -> Known {
    Known { key: Some((verifier_key(1), Trust::Given)), ..Known::default() }
}

fn manifest(choice: Choice, bodies: Bodies, others: Others) -> Manifest {
    Manifest::new(ORIGIN.to_owned(), TreeSize(SIZE), choice, bodies, others, None)
}

fn period(first: u64, end: u64) -> Choice {
    Choice { first: Seq(first), end: Seq(end), ..Choice::all(TreeSize(SIZE)) }
}

fn bundle_of(items: &[Item], manifest: &Manifest) -> Result<Vec<u8>, BundleError> {
    bundle_with(items, manifest, &[])
}

fn bundle_with(items: &[Item], manifest: &Manifest, checkpoints: &[u64]) -> Result<Vec<u8>, BundleError> {
    let checkpoints = checkpoints.iter().map(|size| (TreeSize(*size), None));
    let bundling = Bundling::new(Vec::new(), manifest, checkpoints).unwrap();
    bundle_items(items.iter().cloned().map(Ok), bundling, |_| {}).map(|(bytes, _)| bytes)
}

fn made(manifest: &Manifest) -> Vec<u8> {
    bundle_of(&good(), manifest).unwrap()
}

fn check(bytes: &[u8], known: &Known) -> Result<Report, SourceError> {
    let mut reader = BundleReader::open(Cursor::new(bytes))?;
    verify_bundle(&mut reader, known, |_| {})
}

#[track_caller]
fn first_broken(bytes: &[u8]) -> (u64, Why) {
    let report = check(bytes, &trusting()).unwrap();
    let first = report.first_broken.expect("it is broken");
    (first.seq, first.reason)
}

fn plain(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain).unwrap();
    plain
}

fn packed(plain: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(plain).unwrap();
    out.finish().unwrap()
}

/// A bundle's frames: type and payload.
fn frames(bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let plain = plain(bytes);
    let (mut frames, mut rest) = (Vec::new(), &plain[MAGIC.len()..]);
    while let Some((head, tail)) = rest.split_first_chunk::<5>() {
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        frames.push((head[0], tail[..length].to_vec()));
        rest = &tail[length..];
    }
    frames
}

/// Frames as a bundle whose end counts them rightly.
fn joined(frames: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    let (mut counts, parts) = (BundleCounts::default(), &frames[..frames.len() - 1]);
    for (kind, payload) in parts {
        match *kind {
            b'E' => counts.events += 1,
            b'S' => counts.seals += 1,
            SKIPPED => counts.subtrees += (payload.len() / SUBTREE_BYTES) as u64,
            _ => {}
        }
        write_frame(&mut out, *kind, payload).unwrap();
    }
    write_frame(&mut out, b'Z', &counts.render()).unwrap();
    packed(&out)
}

#[test]
fn a_period_is_proved_gapless() {
    let report = check(&made(&manifest(period(3, 9), Bodies::Included, Others::LeftOut)), &trusting()).unwrap();
    assert!(report.whole, "{:?}", report.findings);
    assert_eq!((report.size, report.keys.len()), (SIZE, 2));
    let population = report.bundle.unwrap();
    assert_eq!((population.chosen, population.beside), (6, 2));
    assert_eq!(population.kinds.into_iter().collect::<Vec<_>>(), [(Kind::AgentSuspended.code(), 6)]);
    assert_eq!((population.complete, population.period_complete), (YesNo::Yes, YesNo::Yes));
}

#[test]
fn an_agents_events_are_proved_and_that_there_are_no_others_only_with_the_headers() {
    let choice = Choice { things: vec![agent(0)], ..Choice::all(TreeSize(SIZE)) };
    let known = trusting();
    let alone = check(&made(&manifest(choice.clone(), Bodies::Included, Others::LeftOut)), &known).unwrap();
    let with_headers = check(&made(&manifest(choice, Bodies::Withheld, Others::Headers)), &known).unwrap();
    assert!(alone.whole && with_headers.whole);
    assert_eq!((alone.root, alone.size), (with_headers.root, with_headers.size));
    let (alone, with_headers) = (alone.bundle.unwrap(), with_headers.bundle.unwrap());
    assert_eq!(alone.chosen, with_headers.chosen);
    assert_eq!((alone.complete, with_headers.complete), (YesNo::No, YesNo::Yes));
    assert_eq!(with_headers.chosen + with_headers.beside, SIZE);
}

#[test]
fn a_period_named_by_times_shows_what_bounds_it() {
    let log = good();
    let time = |seq: usize| match log.iter().filter(|item| matches!(item, Item::Event { .. })).nth(seq) {
        Some(Item::Event { header, .. }) => Envelope::parse(header).unwrap().time,
        _ => unreachable!("the log has that event"),
    };
    let (from, to) = (Micros(time(4).0 - 1), Micros(time(8).0 + 1));
    let choice = Choice { from_time: Some(from), to_time: Some(to), ..period(4, 9) };
    let bytes = made(&manifest(choice.clone(), Bodies::Included, Others::LeftOut));
    let population = check(&bytes, &trusting()).unwrap().bundle.unwrap();
    assert_eq!((population.chosen, population.beside), (5, 4));
    assert_eq!(population.period_complete, YesNo::Yes);
    // Somebody who answers with less of the period than there is cannot bound it.
    let less = Choice { first: Seq(5), ..choice };
    let population =
        check(&made(&manifest(less, Bodies::Included, Others::LeftOut)), &trusting()).unwrap().bundle.unwrap();
    assert_eq!((population.complete, population.period_complete), (YesNo::Yes, YesNo::No));
}

#[test]
fn what_was_asked_for_cannot_be_left_out() {
    let log = good();
    let manifest = manifest(period(3, 9), Bodies::Included, Others::LeftOut);
    let frames = frames(&bundle_of(&log, &manifest).unwrap());
    let events: Vec<usize> = (0..frames.len()).filter(|at| frames[*at].0 == b'E').collect();
    // The first event shown is event 0, then come 3 to 8.
    let at = events[3];
    let header = {
        let payload = &frames[at].1;
        let length = u32::from_be_bytes(*payload.first_chunk().unwrap()) as usize;
        payload[4..4 + length].to_vec()
    };
    let mut without = frames.clone();
    without[at] = (SKIPPED, [&[0][..], &leaf_hash(&header).0].concat());
    assert_eq!(first_broken(&joined(&without)), (5, Why::Choice));
    let mut bare = frames.clone();
    bare[at].1 = [&u32::try_from(header.len()).unwrap().to_be_bytes()[..], &header, &[0]].concat();
    assert_eq!(first_broken(&joined(&bare)), (5, Why::Choice));
    let mut gone = frames;
    gone.remove(at);
    assert_eq!(first_broken(&joined(&gone)), (5, Why::Gap));
}

#[test]
fn every_byte_behind_the_manifest_is_bound() {
    let choice = Choice { things: vec![agent(0)], ..period(2, 20) };
    let manifest = manifest(choice, Bodies::Included, Others::LeftOut);
    let whole = plain(&made(&manifest));
    let start = MAGIC.len() + 5 + serde_json::to_vec(&manifest).unwrap().len();
    for at in start..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        let report = check(&packed(&damaged), &trusting());
        assert!(!report.is_ok_and(|report| report.whole), "byte {at} went unnoticed");
    }
    let bytes = packed(&whole);
    for length in 0..bytes.len() {
        let report = check(&bytes[..length], &trusting());
        assert!(!report.is_ok_and(|report| report.whole), "cut to {length} bytes");
    }
    assert!(!check(&[&bytes[..], b"\0"].concat(), &trusting()).unwrap().whole, "something follows its end");
    assert!(!check(&[&bytes[..], &bytes[..]].concat(), &trusting()).unwrap().whole, "it is there twice");
}

#[test]
fn a_manifest_that_asks_for_more_than_is_there_is_found_out() {
    let frames = frames(&made(&manifest(period(3, 9), Bodies::Included, Others::LeftOut)));
    let with = |choice: Choice, size: u64| {
        let manifest = Manifest { size: TreeSize(size), ..manifest(choice, Bodies::Included, Others::LeftOut) };
        let mut frames = frames.clone();
        frames[0].1 = serde_json::to_vec(&manifest).unwrap();
        first_broken(&joined(&frames))
    };
    assert_eq!(with(period(3, 12), SIZE), (9, Why::Choice));
    assert_eq!(with(period(1, 9), SIZE), (1, Why::Choice));
    // One that asks for less has other counts.
    assert_eq!(with(period(3, 8), SIZE), (SIZE, Why::Container));
    assert_eq!(with(period(3, 9), SIZE + 1), (SIZE, Why::Container));
}

/// The log's first event, and then a key of the forger's own that signs the rest.
#[test]
fn a_key_that_the_key_before_did_not_sign_seals_nothing() {
    let items: Vec<Item> = good().into_iter().filter(|item| matches!(item, Item::Event { .. })).collect();
    let mut frontier = Frontier::empty();
    let mut forged = Vec::new();
    for item in &items {
        let Item::Event { header, body, .. } = item else { continue };
        frontier.push(leaf_hash(header));
        forged.push(Item::Event { header: header.clone(), body: body.clone(), nodes: None });
        let size = frontier.size();
        if size.0 == 17 || size.0 == SIZE {
            // The second key is the forger's: it is named by event 16, and the first key never sealed that.
            let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size, root: frontier.root() };
            forged.push(Item::Seal(Seal::sign(&checkpoint, &key(2)).unwrap().bytes().clone()));
        }
    }
    let manifest = manifest(period(20, 22), Bodies::Included, Others::LeftOut);
    assert_eq!(first_broken(&bundle_of(&forged, &manifest).unwrap()), (16, Why::Signature));
    let rotation = forged.iter().position(|item| matches!(item, Item::Seal(_))).unwrap();
    forged.remove(rotation);
    assert_eq!(first_broken(&bundle_of(&forged, &manifest).unwrap()), (16, Why::Key));
}

#[test]
fn heads_are_compared_where_the_tree_is_shown() {
    let log = good();
    let seals: Vec<Seal> = log
        .iter()
        .filter_map(|item| match item {
            Item::Seal(bytes) => Some(Seal::parse(bytes).unwrap()),
            Item::Event { .. } => None,
        })
        .collect();
    let head = seals.iter().find(|seal| seal.checkpoint().size == TreeSize(7)).unwrap().clone();
    let known = Known { heads: vec![head.clone()], ..trusting() };
    let manifest = manifest(period(12, 14), Bodies::Included, Others::LeftOut);
    let report = check(&bundle_of(&log, &manifest).unwrap(), &known).unwrap();
    assert!(report.whole);
    assert_eq!(report.truncation_excluded_to, None);
    assert_eq!(report.bundle.unwrap().heads_not_compared, [7]);

    let bytes = bundle_with(&log, &manifest, &[7]).unwrap();
    let report = check(&bytes, &known).unwrap();
    assert!(report.whole);
    assert_eq!((report.truncation_excluded_to, report.seals), (Some(7), 3));
    let checkpoint = Checkpoint { root: NodeHash([7; 32]), ..head.checkpoint().clone() };
    let other = Known { heads: vec![Seal::sign(&checkpoint, &key(1)).unwrap()], ..trusting() };
    assert!(check(&bytes, &other).unwrap().diverged);
    assert!(matches!(bundle_with(&log, &manifest, &[6]), Err(BundleError::Unsealed { size: TreeSize(6) })));
}

#[test]
fn subtrees_stand_only_where_their_size_divides() {
    let frames = frames(&made(&manifest(period(3, 9), Bodies::Included, Others::LeftOut)));
    let at = frames.iter().position(|(kind, _)| *kind == SKIPPED).unwrap();
    let mut misplaced = frames.clone();
    misplaced[at].1[0] = 1;
    assert_eq!(first_broken(&joined(&misplaced)), (1, Why::Tree));
    misplaced[at].1[0] = 64;
    assert_eq!(first_broken(&joined(&misplaced)), (1, Why::Tree));
}

#[test]
fn a_body_that_the_log_withholds_cannot_be_asked_for() {
    let mut log = good();
    for item in &mut log {
        if let Item::Event { body, header, .. } = item
            && Envelope::parse(header).unwrap().seq == Seq(4)
        {
            *body = None;
        }
    }
    let asked = |bodies| bundle_of(&log, &manifest(period(3, 9), bodies, Others::LeftOut));
    assert!(matches!(asked(Bodies::Included), Err(BundleError::Withheld { seq: Seq(4) })));
    assert!(check(&asked(Bodies::Withheld).unwrap(), &trusting()).unwrap().whole);
}

/// `CHANCERY_BLESS=1` writes it anew.
#[test]
fn the_bytes_are_the_golden_ones() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/agent.bundle");
    let choice = Choice { things: vec![agent(3)], ..period(2, 20) };
    let made = made(&manifest(choice, Bodies::Included, Others::LeftOut));
    if std::env::var_os("CHANCERY_BLESS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    // Compressors may change; what is compressed may not.
    let golden = std::fs::read(path).unwrap();
    assert_eq!(plain(&golden), plain(&made));
    assert!(check(&golden, &trusting()).unwrap().whole);
}

/// The log, in a store that keeps its tree.
fn stored() -> (tempfile::TempDir, SledStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = SledStore::open(&dir.path().join("log")).unwrap();
    let mut records = Vec::new();
    for item in good() {
        match item {
            Item::Event { header, body, nodes } => {
                records.push(Record { header, body: body.unwrap(), nodes: nodes.unwrap() });
            }
            Item::Seal(seal) => {
                store.append(store.size(), &Group { records: &std::mem::take(&mut records), seal: &seal }).unwrap();
            }
        }
    }
    (dir, store)
}

proptest! {
    /// What is read where it must be is what is read from end to end.
    #[test]
    fn a_bundle_by_the_trees_nodes_is_the_one_by_all_events(
        first in 0u64..=SIZE, length in 0u64..=SIZE, of_agent in any::<bool>(), headers in any::<bool>(), times in any::<bool>(),
        recorded in prop::option::of(0..SIZE), cuts in prop::collection::vec(prop::sample::select(vec![1u64, 2, 7, 15, 17]), 0..3),
    ) {
        let (_dir, store) = stored();
        let mut choice = period(first, SIZE.min(first + length));
        choice.things = of_agent.then(|| agent(3)).into_iter().collect();
        (choice.from_time, choice.to_time) = if times { (Some(Micros(0)), Some(Micros(i64::MAX))) } else { (None, None) };
        let others = if headers { Others::Headers } else { Others::LeftOut };
        let manifest = Manifest { recorded: recorded.map(Seq), ..manifest(choice, Bodies::Included, others) };
        let checkpoints = cuts.iter().map(|size| (TreeSize(*size), None));
        let bundling = Bundling::new(Vec::new(), &manifest, checkpoints).unwrap();
        let (bytes, counts) = bundle_log(&store, &[Seq(0), Seq(16)], bundling, |_| {}).unwrap();
        prop_assert_eq!(plain(&bytes), plain(&bundle_with(&good(), &manifest, &cuts).unwrap()));
        prop_assert!(counts.events >= counts.chosen);
    }

    /// Any choice, against a plain walk over the log.
    #[test]
    fn a_bundle_holds_what_was_chosen_and_leads_to_the_logs_root(
        first in 0u64..=SIZE, length in 0u64..=SIZE, agents in prop::collection::vec(0u8..10, 0..4),
        headers in any::<bool>(), bodies in any::<bool>(), cuts in prop::collection::vec(prop::sample::select(vec![1u64, 2, 7, 15, 17]), 0..3),
    ) {
        let log = good();
        let things: Vec<Subject> = agents.iter().map(|n| agent(*n)).collect();
        let choice = Choice { things, ..period(first, SIZE.min(first + length)) };
        let bodies = if bodies { Bodies::Included } else { Bodies::Withheld };
        let others = if headers { Others::Headers } else { Others::LeftOut };
        let manifest = manifest(choice.clone(), bodies, others);
        let bytes = bundle_with(&log, &manifest, &cuts).unwrap();
        let report = check(&bytes, &trusting()).unwrap();
        prop_assert!(report.whole, "{:?}", report.findings);

        let mut frontier = Frontier::empty();
        let mut wanted = Vec::new();
        for item in &log {
            if let Item::Event { header, body, .. } = item {
                frontier.push(leaf_hash(header));
                let event = Envelope::parse(header).unwrap();
                let about = match Body::decode(event.kind, event.version, body.as_ref().unwrap()).unwrap().1 {
                    Body::AgentSuspended(AgentSuspended { agent, .. }) => choice.things.contains(&agent.subject()),
                    _ => false,
                };
                if choice.covers(event.seq) && (choice.things.is_empty() || about) {
                    wanted.push(event.seq);
                }
            }
        }
        prop_assert_eq!(report.root.unwrap().0, frontier.root().0);
        let population = report.bundle.unwrap();
        prop_assert_eq!(population.chosen, wanted.len() as u64);
        prop_assert_eq!(population.complete == YesNo::Yes, headers || choice.things.is_empty());
        let mut shown = Vec::new();
        for piece in BundleReader::open(Cursor::new(&bytes)).unwrap() {
            if let Piece::Item(Item::Event { header, body, .. }) = piece.unwrap() {
                let event = Envelope::parse(&header).unwrap();
                if choice.takes(&event) {
                    prop_assert!(body.is_some() == (bodies == Bodies::Included) || event.kind < 5);
                    shown.push(event.seq);
                }
            }
        }
        prop_assert_eq!(shown, wanted);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>()) {
        let whole = plain(&made(&manifest(period(3, 9), Bodies::Included, Others::LeftOut)));
        let at = at.index(whole.len());
        let damaged = [&whole[..at], &bytes, &whole[(at + bytes.len()).min(whole.len())..]].concat();
        let _ = check(&packed(&damaged), &trusting());
        let _ = check(&bytes, &trusting());
    }

    /// A run of leaves covered one by one is the run's complete subtrees, read from where they are kept.
    #[test]
    fn a_cover_is_the_largest_subtrees(first in 0u64..300, length in 0u64..300) {
        let leaf = |n: u64| leaf_hash(&n.to_be_bytes());
        let mut cover = crate::tree::Cover::starting_at(first);
        (first..first + length).for_each(|n| cover.push(leaf(n)));
        let expected: Vec<Subtree> = crate::tree::complete_subtrees(first, first + length)
            .map(|(level, index)| {
                let mut edge = Frontier::empty();
                (index << level..(index + 1) << level).for_each(|n| drop(edge.push(leaf(n))));
                Subtree { level, root: edge.root() }
            })
            .collect();
        let covered = cover.take();
        prop_assert_eq!(&covered, &expected);
        let mut edge = Frontier::empty();
        (0..first).for_each(|n| drop(edge.push(leaf(n))));
        covered.into_iter().for_each(|subtree| assert!(edge.push_subtree(subtree)));
        let mut whole = Frontier::empty();
        (0..first + length).for_each(|n| drop(whole.push(leaf(n))));
        prop_assert_eq!(edge, whole);
    }
}
