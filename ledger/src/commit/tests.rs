//! Taking over a log: every sort of damage near its end is found before anything is added to it.

use std::path::Path;

use super::*;
use crate::actor::Actor;
use crate::body::Prelude;
use crate::body::identity::AgentSuspended;
use crate::body::ledger::{Algorithm, FORMAT, LedgerCreated};
use crate::ids::{AgentId, KeyId, LedgerId, TenantId, uuid_v7};
use crate::store::Part;
use crate::store::on_sled::SledStore;
use crate::store::tests::change_parts;
use crate::time::Micros;

pub(crate) const ORIGIN: &str = "chancery.test/commit";

pub(crate) fn parts(dir: &Path) -> (Arc<dyn LogStore>, KeyDirectory, LastCheckpoint) {
    let log = SledStore::open(&dir.join("log")).unwrap();
    let keys = KeyDirectory::open(&dir.join("keys"), None).unwrap();
    (Arc::new(log), keys, LastCheckpoint::open(&dir.join("last-checkpoint")).unwrap())
}

pub(crate) fn event(seq: u64, body: Body) -> Event {
    Event {
        seq: Seq(seq),
        time: Micros(1_000 + i64::try_from(seq).unwrap()),
        tenant: TenantId::LEDGER,
        actor: Actor::system(),
        subjects: body.subjects(),
        correlation: None,
        causation: None,
        idempotency: None,
        prelude: Prelude::default(),
        body,
    }
}

pub(crate) fn suspended(seq: u64) -> Event {
    let agent = AgentId(uuid_v7(7, [u8::try_from(seq % 251).unwrap(); 10]));
    event(seq, AgentSuspended { agent, cause: None, reason: None }.into())
}

pub(crate) fn commit(committer: &mut Committer, events: impl IntoIterator<Item = Event>) {
    let mut group = Numbered::default();
    for event in events {
        group.push(event).unwrap();
    }
    committer.commit(Arc::new(group)).unwrap();
}

/// A log of genesis and `more` events, whose checkpoint was synced at its end, or never.
pub(crate) fn log(dir: &Path, more: u64, synced: bool) {
    let (log, keys, last) = parts(dir);
    let key = keys.create().unwrap();
    let genesis = LedgerCreated {
        ledger: LedgerId(uuid_v7(1, [1; 10])),
        origin: ORIGIN.to_owned(),
        format: FORMAT,
        key: KeyId(uuid_v7(1, [2; 10])),
        algorithm: Algorithm::Ed25519,
        public: *key.public().as_bytes(),
    };
    let mut committer = Committer::create(log, keys, last, ORIGIN.to_owned(), key);
    commit(&mut committer, [event(0, genesis.into())]);
    commit(&mut committer, (1..=more).map(suspended));
    drop(committer);
    if synced {
        let (_, _, last) = parts(dir);
        assert_eq!(last.newest().map(|(size, _)| size), Some(TreeSize(more + 1)));
    } else {
        std::fs::remove_file(dir.join("last-checkpoint")).unwrap();
    }
}

pub(crate) fn open(dir: &Path) -> Result<Committer, OpenError> {
    let (log, keys, last) = parts(dir);
    Committer::open(log, keys, last)
}

/// Changes one byte of a stored record: of its header, or, counted from the end, of its body and nodes.
fn damage(dir: &Path, damaged: u64, at: isize) {
    change_parts(&dir.join("log"), |parts| {
        for part in parts {
            let Part::Event(seq, record) = part else { continue };
            if seq.0 != damaged {
                continue;
            }
            let place = at.unsigned_abs();
            if at >= 0 {
                let mut header = record.header.to_vec();
                header[place] ^= 1;
                record.header = header.into();
            } else if let Some(node) = record.nodes.last_mut() {
                node.0[32 - place] ^= 1;
            } else {
                let mut body = record.body.to_vec();
                let place = body.len() - place;
                body[place] ^= 1;
                record.body = body.into();
            }
        }
    });
}

#[test]
fn a_log_is_continued_where_it_ended() {
    let dir = tempfile::tempdir().unwrap();
    log(dir.path(), 300, true);
    let mut committer = open(dir.path()).unwrap();
    assert_eq!((committer.size(), committer.origin()), (TreeSize(301), ORIGIN));
    commit(&mut committer, [suspended(301)]);
    drop(committer);
    assert_eq!(open(dir.path()).unwrap().size(), TreeSize(302));
}

#[test]
fn damage_near_the_end_is_found_at_start_and_named() {
    // In a header: layout, seq, time.
    for (seq, at) in [(290, 8), (290, 26), (290, -3), (291, -3), (300, 36)] {
        for synced in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            log(dir.path(), 300, synced);
            damage(dir.path(), seq, at);
            match open(dir.path()) {
                Err(OpenError::Damaged { seq: found, .. }) => {
                    assert!((seq..=seq + 1).contains(&found.0), "{found} for {seq} at {at}");
                }
                Err(OpenError::Tampered | OpenError::Diverged { .. } | OpenError::Store(_)) => {}
                Err(other) => panic!("event {seq}, byte {at}: {other}"),
                Ok(_) => panic!("event {seq}, byte {at}: not noticed"),
            }
        }
    }
}

#[test]
fn all_that_came_after_the_last_checkpoint_is_verified() {
    let dir = tempfile::tempdir().unwrap();
    log(dir.path(), 2_000, false);
    // Far from the end, and no checkpoint was kept: everything came after it.
    damage(dir.path(), 5, 26);
    assert!(matches!(open(dir.path()), Err(OpenError::Damaged { seq: Seq(5 | 6), .. })));
}

#[test]
fn the_newest_events_are_verified_alone_and_under_a_key_of_the_log() {
    let dir = tempfile::tempdir().unwrap();
    log(dir.path(), 300, true);
    let newest = |events, keys: &[PublicKey]| {
        let (log, ..) = parts(dir.path());
        verify_newest(&*log, events, keys)
    };
    let key = parts(dir.path()).1.find_by(|_| true).unwrap().public();
    let other = SigningKey::from_seed([7; 32].into()).public();
    assert_eq!((newest(10, &[key]).unwrap(), newest(1_000, &[other, key]).unwrap()), (10, 301));
    assert!(matches!(newest(10, &[other]), Err(OpenError::Tampered)));
    damage(dir.path(), 280, -3);
    assert!(matches!(newest(300, &[key]), Err(OpenError::Damaged { seq: Seq(280), .. })));
    assert_eq!(newest(10, &[key]).unwrap(), 10, "which is not among the newest ten");
}

#[test]
fn a_log_behind_its_last_checkpoint_is_not_continued() {
    let dir = tempfile::tempdir().unwrap();
    log(dir.path(), 3, true);
    change_parts(&dir.path().join("log"), |parts| {
        parts.retain(|part| matches!(part, Part::Event(Seq(0), _) | Part::Seal(TreeSize(1), _)));
    });
    assert!(matches!(open(dir.path()), Err(OpenError::Behind { found: TreeSize(1), signed: TreeSize(4) })));
}
