//! Back-pressure by views, which a real worker gives no handle on: here the views that deciders read are moved by hand.

use std::collections::BTreeMap;
use std::path::Path;

use chancery_ledger::last_checkpoint::LastCheckpoint;
use chancery_ledger::store::on_sled::SledStore;

use super::*;
use crate::bootstrap;
use crate::command::OpenMission;
use crate::context::{SystemClock, SystemRandom};
use crate::identity::state::LEDGER;
use crate::views::{ViewHandle, open_stores};
use crate::worker::{Hurry, catch_up};

struct Stage {
    sequencer: Sequencer,
    threads: Threads,
    log: Arc<SledStore>,
    stores: PerView<ViewStore>,
    /// While a view's is here, its worker seems to follow.
    following: PerView<watch::Sender<TreeSize>>,
    request: Request,
}

/// A sequencer whose views nobody brings forward, and which may be three events ahead of them.
fn stage(dir: &Path) -> Stage {
    let log = Arc::new(SledStore::open(&dir.join("log")).unwrap());
    let keys = KeyDirectory::open(&dir.join("keys"), None).unwrap();
    let secrets = Arc::new(Keystore::open(&dir.join("keystore")).unwrap());
    let last = LastCheckpoint::open(&dir.join("last-checkpoint")).unwrap();
    let key = keys.create().unwrap();
    let founding = bootstrap::found(SystemClock.now(), None, &key.public(), &mut SystemRandom, &*secrets).unwrap();
    secrets.put(&founding.secrets).unwrap();
    let mut committer = Committer::create(log.clone(), keys, last, founding.origin, key);
    committer.commit(Arc::new(founding.events)).unwrap();

    let stores = open_stores(&dir.join("views")).unwrap();
    stores.iter().for_each(|(view, store)| catch_up(view, store, &*log, log.size()).unwrap());
    let others = open_stores(&dir.join("others")).unwrap();
    let worker = |view| Worker::start(view, others.get(view).clone(), log.clone()).map(|(worker, _)| worker);
    let workers = Arc::new(PerView::try_make(worker).unwrap());
    let following = PerView::try_make(|_| Ok::<_, ()>(watch::Sender::new(log.size()))).unwrap();
    let handle = |view| {
        let (store, progress) = (stores.get(view).clone(), following.get(view).subscribe());
        let handle = ViewHandle { store, progress, hurry: Hurry::new().0 };
        Ok::<_, ()>(handle)
    };
    let root = LEDGER.get(&stores.get(crate::views::View::Identity).snapshot(), ()).unwrap().unwrap().root.unwrap();
    let caller = Caller { tenant: root, actor: chancery_ledger::actor::Actor::system() };
    let mission = OpenMission { agent: None, key: None, intent: None, services: Vec::new(), limits: BTreeMap::new() };
    let (sequencer, threads) = Sequencer::start(Parts {
        committer,
        log: log.clone(),
        secrets,
        keys: Arc::new(KeyDirectory::open(&dir.join("keys"), None).unwrap()),
        clock: Arc::new(SystemClock),
        random: Box::new(SystemRandom),
        stores: stores.clone(),
        views: Views::new(PerView::try_make(handle).unwrap()),
        workers,
        deliver: Box::new(Answers::deliver),
        waiting_max: 8,
        lag_events_max: 3,
    })
    .unwrap();
    Stage { sequencer, threads, log, stores, following, request: Request::new(root, caller, mission) }
}

#[test]
fn deciding_waits_for_a_view_that_is_too_far_behind() {
    let dir = tempfile::tempdir().unwrap();
    let stage = stage(dir.path());
    let founded = stage.log.size();
    let send = || stage.sequencer.submit(stage.request.clone()).unwrap();
    for _ in 0..4 {
        send().wait().unwrap().answer.unwrap();
    }
    // Four events ahead: the next waits for the views, however long they take.
    let mut held = send();
    std::thread::yield_now();
    assert!(held.answer.try_recv().is_err());
    assert_eq!(stage.sequencer.status().waiting, 1);
    let size = stage.log.size();
    assert_eq!(size.0, founded.0 + 4);
    stage.stores.iter().for_each(|(view, store)| catch_up(view, store, &*stage.log, size).unwrap());
    held.wait().unwrap().answer.unwrap();
    stage.sequencer.stop(stage.threads);
}

#[test]
fn a_view_that_will_never_follow_again_stops_writing_instead_of_filling_memory() {
    let dir = tempfile::tempdir().unwrap();
    let Stage { sequencer, threads, following, request, log, .. } = stage(dir.path());
    let founded = log.size();
    drop(following);
    let stopped = loop {
        match sequencer.submit(request.clone()).and_then(Pending::wait) {
            Ok(receipt) => drop(receipt.answer.unwrap()),
            Err(error) => break error,
        }
    };
    assert!(matches!(&stopped, SubmitError::Stopped { why } if why.contains("view stopped following")), "{stopped}");
    assert_eq!(log.size().0, founded.0 + 4);
    sequencer.stop(threads);
}
