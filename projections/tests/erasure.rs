//! Erasure through the engine: what is acknowledged as erased is read by nobody, not after a crash, not from views that
//! were built anew, and not with an older copy of the keystore in its place.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::path::Path;
use std::sync::Arc;

use chancery_ledger::actor::Actor;
use chancery_ledger::body::{Body, Kind};
use chancery_ledger::ids::{AgentId, Seq, Subject, ThingId as _};
use chancery_ledger::keystore::{Keystore, SecretName, Secrets as _, backup};
use chancery_projections::command::{Command, DecommissionAgent, EraseSubject, RegisterAgent};
use chancery_projections::context::{Caller, Opener};
use chancery_projections::event_view::render_record;
use chancery_projections::identity::state::{AGENTS, UNREPORTED};
use chancery_projections::output::Output;
use chancery_projections::sequencer::Request;
use chancery_projections::shredding::{self, Stock, Walk};
use chancery_projections::views::View;
use serde_json::json;
use support::{HandClock, MemoryLog, World};

const DAY: i64 = 86_400;

fn register(world: &World) -> AgentId {
    let command: RegisterAgent =
        serde_json::from_value(json!({ "name": "ada", "profile": { "owner": "Ada L." } })).unwrap();
    match world.accepted(command) {
        Output::Registered(registered) => registered.agent.agent,
        output => panic!("{output:?}"),
    }
}

fn erase(world: &World, subject: Subject) -> Seq {
    world.send(EraseSubject { subject, reason: "asked for".into() }).events[0].seq
}

/// What the registration's event shows of who is responsible.
fn shown(world: &World, agent: AgentId) -> serde_json::Value {
    let event = event(world, agent);
    let is_erased = event.get("erased").is_some_and(|erased| *erased == json!(["personal"]));
    assert_eq!(event["body"]["personal"].is_null(), is_erased, "{event}");
    event["body"]["personal"].clone()
}

/// The registration's event as readers see it.
fn event(world: &World, agent: AgentId) -> serde_json::Value {
    let log = world.engine.log();
    let seq = world.log.events().iter().position(|event| match &event.body {
        Body::AgentRegistered(it) => it.agent == agent,
        _ => false,
    });
    let record = log.record(Seq(seq.unwrap() as u64)).unwrap().unwrap();
    let view = render_record(&record, &Opener::new(&*world.engine.secrets())).unwrap();
    serde_json::to_value(&view).unwrap()
}

/// The process manager's work, once.
fn finish(world: &World) -> usize {
    let identity = world.view(View::Identity);
    let reports = shredding::shred(&identity, &world.engine.secrets()).unwrap();
    let mut reported = 0;
    for (tenant, report) in reports {
        reported += report.erased.len();
        let system = Caller { tenant, actor: Actor::system() };
        world.ask(Request::new(tenant, system, report)).answer.unwrap();
    }
    reported
}

/// Backs up the keystore, for its keys to be put back later.
fn backup_of(world: &World) -> Vec<u8> {
    let mut bytes = Vec::new();
    world.engine.secrets().back_up(&mut bytes).unwrap();
    bytes
}

fn put_back(dir: &Path, bytes: &[u8]) {
    let keystore = dir.join("keystore");
    std::fs::remove_dir_all(keystore.join("db")).unwrap();
    backup::restore(bytes, &keystore).unwrap();
}

#[test]
fn whoever_is_told_that_something_was_erased_finds_it_erased() {
    let dir = tempfile::tempdir().unwrap();
    let (log, clock) = (MemoryLog::new(), HandClock::new());
    let world = World::open(dir.path(), &log, &clock);
    let ada = register(&world);
    assert_eq!(shown(&world, ada)["owner"], "Ada L.");
    erase(&world, ada.subject());
    assert!(shown(&world, ada).is_null());
    assert_eq!(finish(&world), 1);
    assert_eq!(finish(&world), 0);
    let last = log.events().last().cloned().unwrap();
    assert_eq!(last.body.kind(), Kind::KeyDestroyed);
    for view in View::ALL {
        let rebuilt = world.engine.rebuild(view).unwrap();
        assert_eq!(rebuilt.before, rebuilt.after, "a view that was built without the key is the same: {view:?}");
    }
    assert!(shown(&world, ada).is_null());
}

#[test]
fn a_keystore_from_before_an_erasure_brings_nothing_back() {
    let dir = tempfile::tempdir().unwrap();
    let (log, clock) = (MemoryLog::new(), HandClock::new());
    let world = World::open(dir.path(), &log, &clock);
    let (ada, bob) = (register(&world), register(&world));
    let old = backup_of(&world);
    erase(&world, ada.subject());
    finish(&world);
    drop(world);
    put_back(dir.path(), &old);
    assert!(
        Keystore::open(&dir.path().join("keystore"))
            .unwrap()
            .secret(&SecretName::Data(ada.subject()))
            .unwrap()
            .is_some()
    );
    let world = World::open(dir.path(), &log, &clock);
    assert!(shown(&world, ada).is_null());
    assert_eq!(shown(&world, bob)["owner"], "Ada L.");
    assert!(world.engine.secrets().is_destroyed(&SecretName::Data(ada.subject())).unwrap());
    // The views may be gone as well: the log alone says it.
    drop(world);
    std::fs::remove_dir_all(dir.path().join("views")).unwrap();
    put_back(dir.path(), &old);
    assert!(shown(&World::open(dir.path(), &log, &clock), ada).is_null());
}

#[test]
fn what_a_crash_left_to_destroy_is_destroyed_by_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let (log, clock) = (MemoryLog::new(), HandClock::new());
    let world = World::open(dir.path(), &log, &clock);
    let ada = register(&world);
    let before = backup_of(&world);
    let erased = erase(&world, ada.subject());
    drop(world);
    // The event is durable, and the key is as if it had not been destroyed yet.
    put_back(dir.path(), &before);
    let world = World::open(dir.path(), &log, &clock);
    assert!(shown(&world, ada).is_null());
    assert!(UNREPORTED.get(&world.view(View::Identity), erased.0).unwrap().is_some());
    assert_eq!(finish(&world), 1);
    assert!(UNREPORTED.get(&world.view(View::Identity), erased.0).unwrap().is_none());
}

#[test]
fn a_log_that_lost_an_erasure_does_not_hide_a_later_one() {
    let dir = tempfile::tempdir().unwrap();
    let (log, clock) = (MemoryLog::new(), HandClock::new());
    let world = World::open(dir.path(), &log, &clock);
    let (ada, bob) = (register(&world), register(&world));
    erase(&world, bob.subject());
    let old = backup_of(&world);
    drop(world);
    // A start notes how far it has looked.
    let world = World::open(dir.path(), &log, &clock);
    let noted = world.engine.secrets().carried_out().unwrap();
    assert_eq!(noted.0, log.events().len() as u64);
    erase(&world, ada.subject());
    drop(world);
    put_back(dir.path(), &old);
    let world = World::open(dir.path(), &log, &clock);
    assert!(shown(&world, ada).is_null() && shown(&world, bob).is_null());
}

#[test]
fn the_walk_finds_what_policies_keep_no_longer() {
    let dir = tempfile::tempdir().unwrap();
    let (log, clock) = (MemoryLog::new(), HandClock::new());
    let world = World::open(dir.path(), &log, &clock);
    let ada = register(&world);
    world.accepted(DecommissionAgent {
        agent: ada,
        cause: chancery_ledger::body::identity::EndCause::Decommissioned,
        by: None,
        reason: None,
    });
    let walk = |world: &World| {
        let (identity, trust, execution) =
            (world.view(View::Identity), world.view(View::Trust), world.view(View::Execution));
        let secrets: Arc<Keystore> = world.engine.secrets();
        let now = world.engine.clock().now();
        let stock = Stock { identity: &identity, trust: &trust, execution: &execution, secrets: &secrets, now };
        let (mut walk, mut found) = (Walk::default(), Vec::new());
        while let Some(next) = walk.next(&stock).unwrap() {
            found.push(next);
        }
        found
    };
    clock.advance_secs(10 * DAY);
    assert_eq!(walk(&world), []);
    let policy = json!({ "kind": "retention", "document": { "agents_days": 10, "missions_days": 1 } });
    world.accepted(Command::parse("SetPolicy", &policy.to_string()).unwrap().unwrap());
    let found = walk(&world);
    assert_eq!(found.len(), 1);
    let (tenant, command) = found[0].clone();
    assert_eq!((tenant, command.subjects.as_slice()), (world.root, &[ada.subject()][..]));
    let system = Caller { tenant, actor: Actor::system() };
    world.ask(Request::new(tenant, system, command)).answer.unwrap();
    assert!(shown(&world, ada).is_null());
    assert_eq!(walk(&world), []);
    assert!(AGENTS.get(&world.view(View::Identity), ada).unwrap().is_some());
}
