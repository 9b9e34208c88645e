//! Exports, and the whole verification of what they say.
//!
//! Beside the file as it is, each input is read as the work of somebody who can write anything but does not have the
//! log's key: sequence, links, tree and seals are made right again, with another key. Consistent in itself it may be;
//! who trusts the log's key must never take it for the log.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use bytes::Bytes;
use chancery_ledger::body::Body;
use chancery_ledger::event::Envelope;
use chancery_ledger::export::{Bodies, ExportLog, ExportReader, export_log};
use chancery_ledger::ids::{Seq, TreeSize};
use chancery_ledger::link::{Hash, body_hash, header_hash};
use chancery_ledger::store::LogStore as _;
use chancery_ledger::tree::seal::Checkpoint;
use chancery_ledger::tree::{Frontier, NodeHash, leaf_hash};
use chancery_ledger::verify::{Item, Known, Report, SourceError, Trust, verify};

use crate::genuine::{self, LOG, key, verifier_key};

/// `whole` when it is an export of the log, `consistent` when it is whole to those alone who trust nothing, `broken`
/// when something is wrong with what it says, `damaged` when it is no export.
///
/// # Panics
/// When a property does not hold.
pub fn hold(input: &[u8]) -> &'static str {
    let read: Result<Vec<Item>, SourceError> = ExportReader::new(Cursor::new(input)).collect();
    if let Ok(items) = &read {
        assert_eq!(genuine::export(items), input, "an export that is read is written again as it was");
    }
    let trusting_none = verified(input, &Known::default());
    let trusting = verified(input, &trusting(Vec::new()));
    let newest = LOG.seals.last().unwrap();
    let holding_newest = verified(input, &self::trusting(vec![newest.clone()]));

    if trusting.whole {
        assert!(trusting_none.whole, "to trust the log's key adds a demand and takes none away");
        is_genuine(&trusting, read.as_deref().expect("what is whole can be read"));
    }
    assert!(!trusting_none.whole || read.is_ok(), "a damaged export is not whole");
    if holding_newest.whole {
        assert_eq!(holding_newest.size, newest.checkpoint().size.0, "the newest head excludes that the tail was cut");
        assert_eq!(holding_newest.truncation_excluded_to, Some(holding_newest.size));
    }
    if let Ok(items) = &read {
        indexed(input, items);
        let forged = verified(&genuine::export(&forged(items)), &self::trusting(Vec::new()));
        assert!(!forged.whole, "a log sealed by another key passed for the log");
    }
    match &read {
        _ if trusting.whole => "whole",
        _ if trusting_none.whole => "consistent",
        Ok(_) => "broken",
        Err(_) => "damaged",
    }
}

fn trusting(heads: Vec<chancery_ledger::tree::seal::Seal>) -> Known {
    Known { key: Some((verifier_key(1), Trust::Given)), heads, ..Known::default() }
}

/// A report that agrees with itself.
fn verified(input: &[u8], known: &Known) -> Report {
    let report = verify(ExportReader::new(Cursor::new(input)), known, |_| {}).expect("memory can be read");
    assert_eq!(report.whole, report.findings_total == 0);
    assert_eq!(report.whole, report.first_broken.is_none());
    assert_eq!(report.first_broken.as_ref(), report.findings.first());
    assert!(report.findings.len() as u64 <= report.findings_total);
    assert!(report.size <= report.events || !report.whole);
    if report.whole {
        assert_eq!(report.size, report.events, "the last seal signs every event");
        assert_eq!(report.bodies.intact + report.bodies.withheld + report.bodies.unknown, report.events);
    }
    report
}

/// What is whole to one who trusts the log's key is the log, or its beginning.
fn is_genuine(report: &Report, items: &[Item]) {
    let root = NodeHash(report.root.expect("a whole log is sealed").0);
    let checkpoint = Checkpoint { origin: genuine::ORIGIN.to_owned(), size: TreeSize(report.size), root };
    assert!(LOG.signed(&checkpoint), "{checkpoint:?} was never signed");
    let events = items.iter().filter_map(|item| match item {
        Item::Event { header, body, .. } => Some((header, body)),
        Item::Seal(_) => None,
    });
    for ((header, body), (known, known_body)) in events.zip(LOG.headers.iter().zip(&LOG.bodies)) {
        assert_eq!(header, known);
        assert!(body.as_ref().is_none_or(|body| body == known_body), "a body was changed");
    }
}

static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    dir.join(format!("chancery-fuzz-{}.export", std::process::id()))
});

/// An export that is read by number says the same as one that is read in order.
fn indexed(input: &[u8], items: &[Item]) {
    fs::write(&*FILE, input).unwrap();
    let log = ExportLog::open(&FILE);
    // The open file stays readable.
    fs::remove_file(&*FILE).unwrap();
    let log = log.expect("what is read in order is read by number");
    let (mut seq, mut withheld) = (Seq(0), false);
    for item in items {
        match item {
            Item::Event { header, body, .. } => {
                let record = log.record(seq).unwrap().expect("every event has its number");
                assert_eq!((&record.header, &record.body), (header, &body.clone().unwrap_or_default()));
                withheld |= body.is_none();
                seq = seq.tree_size().next();
            }
            Item::Seal(seal) => assert!(log.seals(TreeSize(seq.0)).any(|known| known.unwrap().1 == seal)),
        }
    }
    assert_eq!(log.size(), TreeSize(seq.0));
    assert!(log.record(seq).unwrap().is_none());
    // Seals stand where the log puts them, each behind the event it ends with: then it is written as it was read.
    let mut again = Vec::new();
    let written = export_log(&log, log.size(), Bodies::Included, &mut again, |_| {});
    if !withheld && written.is_ok() && verified(input, &Known::default()).whole {
        assert_eq!(again, input);
    }
}

/// The same, with everything made right but the key.
#[must_use]
pub fn forged(items: &[Item]) -> Vec<Item> {
    let (mut head, mut time, mut frontier) = (Hash::ZERO, i64::MIN, Frontier::empty());
    let mut forged = Vec::new();
    for item in items {
        forged.push(match item {
            Item::Event { header, body, .. } => {
                let (mut header, mut body) = (header.clone(), body.clone());
                if let Ok(mut envelope) = Envelope::parse(&header) {
                    if let Some(bytes) = &body {
                        body = Some(with_key(&envelope, bytes));
                    }
                    envelope.seq = frontier.size().next();
                    time = time.max(envelope.time.0);
                    envelope.time.0 = time;
                    envelope.prev = head;
                    envelope.body_hash = body.as_ref().map_or(envelope.body_hash, |body| body_hash(body));
                    header = envelope.render();
                }
                head = header_hash(&header);
                frontier.push(leaf_hash(&header));
                Item::Event { header, body, nodes: None }
            }
            Item::Seal(_) => Item::Seal(genuine::seal(frontier.size(), &frontier, &key(3)).bytes().clone()),
        });
    }
    forged
}

/// The body, naming the forger's key where it names the ledger's first.
fn with_key(envelope: &Envelope, bytes: &Bytes) -> Bytes {
    match Body::decode(envelope.kind, envelope.version, bytes) {
        Ok((prelude, Body::LedgerCreated(mut created))) => {
            created.public = *key(3).public().as_bytes();
            Body::from(created).encode(&prelude).map_or_else(|_| bytes.clone(), Bytes::from)
        }
        _ => bytes.clone(),
    }
}
