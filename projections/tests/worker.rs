//! Workers: a view follows commits, finds in the log what it was not handed, and is rebuilt when it knows too much.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use chancery_ledger::actor::Actor;
use chancery_ledger::body::execution::MissionOpened;
use chancery_ledger::body::{Body, Prelude};
use chancery_ledger::commit::{Commit, Committer, Numbered};
use chancery_ledger::event::Event;
use chancery_ledger::ids::{MissionId, Seq, TenantId, TreeSize, uuid_v7};
use chancery_ledger::keys::KeyDirectory;
use chancery_ledger::last_checkpoint::LastCheckpoint;
use chancery_ledger::store::{Group, LogStore, Record, Records, Seals, StoreError};
use chancery_ledger::time::Micros;
use chancery_projections::rows::store::ViewStore;
use chancery_projections::views::View;
use chancery_projections::worker::{Worker, catch_up};
use support::MemoryLog;

const TENANT: TenantId = TenantId(uuid::Uuid::from_u128(7));

fn committer(dir: &Path, log: &Arc<MemoryLog>) -> Committer {
    let keys = KeyDirectory::open(&dir.join("keys"), None).unwrap();
    let last = LastCheckpoint::open(&dir.join("last-checkpoint")).unwrap();
    let key = keys.create().unwrap();
    Committer::create(log.clone(), keys, last, "ledger.example/worker".to_owned(), key)
}

fn mission(seq: u64) -> Event {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&seq.to_be_bytes());
    let opened = MissionOpened {
        mission: MissionId(uuid_v7(seq, random)),
        agent: None,
        implicit: false,
        key: None,
        terms: None,
        services: vec!["sweeping".to_owned()],
        limits: std::collections::BTreeMap::new(),
        expires: None,
    };
    let body = Body::from(opened);
    Event {
        seq: Seq(seq),
        time: Micros(1_767_323_045_000_000),
        tenant: TENANT,
        actor: Actor::system(),
        subjects: body.subjects(),
        correlation: None,
        causation: None,
        idempotency: None,
        prelude: Prelude::default(),
        body,
    }
}

fn commit(committer: &mut Committer, events: u64) -> Arc<Commit> {
    let first = committer.size().0;
    let mut group = Numbered::default();
    (first..first + events).for_each(|seq| group.push(mission(seq)).unwrap());
    Arc::new(committer.commit(Arc::new(group)).unwrap())
}

fn wait_for(progress: &tokio::sync::watch::Receiver<TreeSize>, size: TreeSize) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(progress.clone().wait_for(|cursor| *cursor >= size)).unwrap();
}

/// What a view says that has read the log from its beginning.
fn digest_from_the_log(dir: &Path, view: View, log: &MemoryLog) -> (TreeSize, [u8; 32]) {
    let store = ViewStore::open(&dir.join("afresh")).unwrap();
    catch_up(view, &store, log, log.size()).unwrap();
    store.digest().unwrap()
}

#[test]
fn a_worker_that_is_handed_more_than_may_wait_reads_the_rest_from_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let log = MemoryLog::new();
    let mut committer = committer(dir.path(), &log);
    let commits: Vec<_> = (0..500).map(|_| commit(&mut committer, 1)).collect();
    let store = ViewStore::open(&dir.path().join("view")).unwrap();
    // The worker starts while the log is empty to it, and is then told of everything at once, three times over.
    let late = Arc::new(Late { log: log.clone(), is_hidden: AtomicBool::new(true) });
    let (worker, progress) = Worker::start(View::Execution, store.clone(), late.clone()).unwrap();
    late.is_hidden.store(false, Ordering::SeqCst);
    assert_eq!(store.cursor(), TreeSize(0));
    for commit in commits.iter().chain(&commits).chain(&commits) {
        worker.follow(commit);
    }
    wait_for(&progress.progress, log.size());
    worker.stop();
    assert_eq!(store.digest().unwrap(), digest_from_the_log(dir.path(), View::Execution, &log));
}

/// A log that seems empty at first.
struct Late {
    log: Arc<MemoryLog>,
    is_hidden: AtomicBool,
}

impl LogStore for Late {
    fn size(&self) -> TreeSize {
        if self.is_hidden.load(Ordering::SeqCst) { TreeSize(0) } else { self.log.size() }
    }

    fn append(&self, expected: TreeSize, group: &Group<'_>) -> Result<(), StoreError> {
        self.log.append(expected, group)
    }

    fn record(&self, seq: Seq) -> Result<Option<Record>, StoreError> {
        self.log.record(seq)
    }

    fn records(&self, from: Seq) -> Records<'_> {
        self.log.records(from)
    }

    fn last_seal(&self) -> Result<Option<(TreeSize, Bytes)>, StoreError> {
        self.log.last_seal()
    }

    fn seal_of(&self, seq: Seq) -> Result<Option<(TreeSize, Bytes)>, StoreError> {
        self.log.seal_of(seq)
    }

    fn seals(&self, from: TreeSize) -> Seals<'_> {
        self.log.seals(from)
    }

    fn disk_bytes(&self) -> Result<u64, StoreError> {
        self.log.disk_bytes()
    }
}

#[test]
fn a_commit_that_a_worker_was_not_told_of_is_found_with_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let log = MemoryLog::new();
    let mut committer = committer(dir.path(), &log);
    commit(&mut committer, 3);
    let store = ViewStore::open(&dir.path().join("view")).unwrap();
    let (worker, progress) = Worker::start(View::Execution, store.clone(), log.clone()).unwrap();
    assert_eq!(store.cursor(), TreeSize(3));
    commit(&mut committer, 2);
    worker.follow(&commit(&mut committer, 4));
    wait_for(&progress.progress, TreeSize(9));
    worker.stop();
    assert_eq!(store.digest().unwrap(), digest_from_the_log(dir.path(), View::Execution, &log));
}

#[test]
fn view_ahead_of_restored_log_is_rebuilt() {
    // Symptom: after a log was restored from an older copy, views went on saying what happened after that copy.
    // Cause: a cursor only says how far a view has read, not whether what it read is still there. Starting a worker
    // compares the two, and a view that knows too much is rebuilt from the log.
    let dir = tempfile::tempdir().unwrap();
    let log = MemoryLog::new();
    let mut committer = committer(dir.path(), &log);
    commit(&mut committer, 5);
    commit(&mut committer, 5);
    let store = ViewStore::open(&dir.path().join("view")).unwrap();
    catch_up(View::Execution, &store, &*log, log.size()).unwrap();
    assert_eq!(store.cursor(), TreeSize(10));
    log.truncate(TreeSize(5));
    let (worker, _) = Worker::start(View::Execution, store.clone(), log.clone()).unwrap();
    worker.stop();
    assert_eq!(store.digest().unwrap(), digest_from_the_log(dir.path(), View::Execution, &log));
    assert_eq!(store.cursor(), TreeSize(5));
}

/// Symptom: a rebuild said that the view differed from the one it replaced, and nothing was wrong. Cause: the log already
/// held a commit that the view's worker had not been told of, so the two were compared at different events. Both are
/// brought to the same one first.
#[test]
fn a_view_rebuilt_from_a_log_that_is_ahead_of_its_worker_is_compared_at_the_same_event() {
    let dir = tempfile::tempdir().unwrap();
    let log = MemoryLog::new();
    let mut committer = committer(dir.path(), &log);
    commit(&mut committer, 3);
    let store = ViewStore::open(&dir.path().join("view")).unwrap();
    let (worker, _) = Worker::start(View::Execution, store.clone(), log.clone()).unwrap();
    commit(&mut committer, 2);
    let rebuilt = worker.rebuild().unwrap();
    assert_eq!((rebuilt.cursor, rebuilt.before), (TreeSize(5), rebuilt.after));
    assert_eq!(store.cursor(), TreeSize(5));
    worker.stop();
    assert_eq!(store.digest().unwrap(), digest_from_the_log(dir.path(), View::Execution, &log));
}
