//! The engine as a whole: founded, stopped, opened again, rebuilt, and refused where going on would do harm.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use chancery_ledger::actor::Actor;
use chancery_ledger::actor::Principal;
use chancery_ledger::block_file::BlockFile;
use chancery_ledger::body::Body;
use chancery_ledger::body::ledger::Purpose;
use chancery_ledger::commit;
use chancery_ledger::data_dir::DataDirError;
use chancery_ledger::ids::{Seq, TenantId, TreeSize};
use chancery_ledger::keys::{KeyDirectory, PublicKey};
use chancery_ledger::keystore::Keystore;
use chancery_ledger::last_checkpoint::LastCheckpoint;
use chancery_ledger::store::LogStore;
use chancery_ledger::tree::seal::Seal;
use chancery_projections::bootstrap::FirstStart;
use chancery_projections::command::RotateSigningKey;
use chancery_projections::context::Caller;
use chancery_projections::engine::{Engine, EngineConfig, OpenError, Stepped, Storage};
use chancery_projections::identity::decide::credential::MOUNTS;
use chancery_projections::identity::state::{AGENTS, CREDENTIALS, LEDGER, MEMBERS, SEALING_KEY, TENANTS};
use chancery_projections::output::Output;
use chancery_projections::rejection::Rejection;
use chancery_projections::scope::Scope;
use chancery_projections::sequencer::{Request, Step, SubmitError};
use chancery_projections::views::View;
use support::{HandClock, MemoryLog, Mode, START, World, agent, agent_with_key, config, credential_of};

#[test]
fn the_first_start_makes_what_a_newcomer_needs_and_the_second_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (log, clock) = (MemoryLog::new(), HandClock::new());
    let world = World::open(dir.path(), &log, &clock);
    let shown = world.first_start.as_ref().unwrap();
    assert_eq!(shown.tenant, "root");
    let identity = world.view(View::Identity);
    let credential = |secret: &str| {
        let id = credential_of(&identity, secret).unwrap();
        CREDENTIALS.get(&identity, id).unwrap().unwrap()
    };
    let admin = credential(&shown.admin_key);
    assert_eq!(admin.scopes.len(), Scope::ALL.len());
    assert_eq!(admin.audience, MOUNTS);
    let client = credential(&shown.agentidp.client_secret);
    assert_eq!(client.principal, Principal::Agent(shown.agentidp.client_id));
    assert!(AGENTS.get(&identity, shown.agentidp.client_id).unwrap().unwrap().did_key.is_some());
    let orgkernel = credential(&shown.orgkernel_token);
    assert_eq!((orgkernel.principal, orgkernel.audience), (admin.principal, vec!["orgkernel".to_owned()]));
    assert!(TENANTS.get(&identity, world.root).unwrap().unwrap().root);
    assert!(!TENANTS.get(&identity, world.second).unwrap().unwrap().root);

    assert_eq!(log.commits(), 1);
    let events = log.events();
    assert!(matches!(&events[0].body, Body::LedgerCreated(created) if created.origin == world.engine.origin()));
    assert_eq!(events[0].tenant, TenantId::LEDGER);
    assert!(events.iter().skip(1).all(|event| event.causation == Some(Seq(0)) && event.tenant != TenantId::LEDGER));
    let owner = events.iter().find_map(|event| match &event.body {
        Body::MemberJoined(joined) => Some(joined.member),
        _ => None,
    });
    assert!(MEMBERS.get(&identity, owner.unwrap()).unwrap().unwrap().joined);
    drop((identity, world));

    let world = World::open(dir.path(), &log, &clock);
    assert!(world.first_start.is_none());
    assert_eq!(log.commits(), 1);
}

#[test]
fn a_first_start_that_was_cut_short_is_a_first_start_again() {
    let dir = tempfile::tempdir().unwrap();
    let (log, clock) = (MemoryLog::new(), HandClock::new());

    let mut unwritable = config(dir.path(), &clock);
    unwritable.on_first_start = Some(Box::new(|_| Err(std::io::Error::other("no such directory"))));
    let refused = Engine::open_over(unwritable, log.clone()).map(|_| ()).unwrap_err();
    assert!(matches!(refused, OpenError::FirstStart(_)), "{refused}");
    assert_eq!(log.size(), TreeSize(0));

    log.set(Mode::Fail);
    let refused = Engine::open_over(config(dir.path(), &clock), log.clone()).map(|_| ()).unwrap_err();
    assert!(matches!(refused, OpenError::FirstCommit(_)), "{refused}");
    assert_eq!(log.size(), TreeSize(0));

    log.set(Mode::Work);
    let told: Arc<Mutex<Option<FirstStart>>> = Arc::default();
    let world = World::open_with(dir.path(), &log, &clock, |config| {
        let (told, log) = (told.clone(), log.clone());
        config.on_first_start = Some(Box::new(move |first| {
            assert_eq!(log.size(), TreeSize(0), "the credentials are written down before they are good");
            *told.lock().unwrap() = Some(first.clone());
            Ok(())
        }));
    });
    let told = told.lock().unwrap().take().unwrap();
    assert_eq!(told.admin_key, world.first_start.as_ref().unwrap().admin_key);
    assert!(credential_of(&world.view(View::Identity), &told.admin_key).is_some());
    assert_eq!(std::fs::read_dir(dir.path().join("keys")).unwrap().count(), 1, "the first key file was used again");
}

#[test]
fn what_was_acknowledged_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let open = || {
        let mut config = EngineConfig::new(dir.path());
        config.clock = clock.clone();
        Engine::open(config).unwrap()
    };
    let (engine, first_start) = open();
    assert!(first_start.is_some());
    let size = engine.log().size();
    drop(engine);
    let (engine, first_start) = open();
    assert!(first_start.is_none());
    assert_eq!(engine.log().size(), size);
    for (view, handle) in engine.views().iter() {
        assert_eq!(handle.store.cursor(), size, "{}", view.name());
    }
}

#[test]
fn a_restart_resumes_views_from_their_cursors_and_rebuilds_one_that_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let (log, clock) = (MemoryLog::new(), HandClock::new());
    let world = World::open(dir.path(), &log, &clock);
    for name in ["ada", "grace", "edsger"] {
        world.accepted(agent_with_key(name));
    }
    world.engine.stop();
    let digests = |world: &World| {
        world.engine.views().iter().map(|(_, handle)| handle.store.digest().unwrap()).collect::<Vec<_>>()
    };
    let before = digests(&world);
    assert!(before.iter().all(|(cursor, _)| *cursor == log.size()));
    drop(world);

    log.take_reads();
    let world = World::open(dir.path(), &log, &clock);
    assert_eq!(log.take_reads(), [Seq(0)], "the log's end is verified, and no view reads what it has read before");
    assert_eq!(digests(&world), before);
    drop(world);

    std::fs::remove_dir_all(dir.path().join("views").join("token")).unwrap();
    let world = World::open(dir.path(), &log, &clock);
    assert_eq!(log.take_reads(), [Seq(0), Seq(0)], "so it is again, and one view begins anew");
    assert_eq!(digests(&world), before);
    drop(world);

    std::fs::remove_dir_all(dir.path().join("views")).unwrap();
    let world = World::open(dir.path(), &log, &clock);
    assert_eq!(digests(&world), before);
}

#[test]
fn a_view_is_rebuilt_while_it_is_read_and_written() {
    let dir = tempfile::tempdir().unwrap();
    let (log, clock) = (MemoryLog::new(), HandClock::new());
    let world = World::open(dir.path(), &log, &clock);
    let Output::Registered(ada) = world.accepted(agent("ada")) else { panic!() };
    for view in View::ALL {
        let held = world.view(view);
        let rebuilt = world.engine.rebuild(view).unwrap();
        assert_eq!(rebuilt.before, rebuilt.after, "{}", view.name());
        assert_eq!(rebuilt.cursor, world.engine.log().size());
        assert_eq!(held.digest().unwrap(), rebuilt.before, "a reader keeps what it holds");
    }
    world.accepted(agent("grace"));
    assert_eq!(AGENTS.get(&world.view(View::Identity), ada.agent.agent).unwrap().unwrap(), ada.agent);
    // Again, with the first rebuilt generation as the live one; and it is the one a restart finds.
    let rebuilt = world.engine.rebuild(View::Identity).unwrap();
    assert_eq!(rebuilt.before, rebuilt.after);
    drop(world);
    log.take_reads();
    let world = World::open(dir.path(), &log, &clock);
    assert_eq!(log.take_reads(), [Seq(0)], "the log's end alone is read");
    assert_eq!(world.engine.views().get(View::Identity).store.digest().unwrap().1, rebuilt.after);
}

#[test]
fn a_data_directory_serves_one_engine() {
    let dir = tempfile::tempdir().unwrap();
    let (log, clock) = (MemoryLog::new(), HandClock::new());
    let world = World::open(dir.path(), &log, &clock);
    let refused = Engine::open_over(config(dir.path(), &clock), log.clone()).map(|_| ()).unwrap_err();
    assert!(matches!(refused, OpenError::DataDir(DataDirError::InUse { .. })), "{refused}");
    assert!(refused.to_string().contains(&dir.path().display().to_string()), "{refused}");
    drop(world);
    World::open(dir.path(), &log, &clock);
}

#[test]
fn a_log_that_is_behind_what_was_signed_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (log, clock) = (MemoryLog::new(), HandClock::new());
    let world = World::open(dir.path(), &log, &clock);
    let founded = log.size();
    world.accepted(agent("ada"));
    let signed = log.size();
    drop(world);

    let refused = Engine::open_over(config(dir.path(), &clock), MemoryLog::new()).map(|_| ()).unwrap_err();
    assert!(matches!(refused, OpenError::LogGone { signed: at, .. } if at == signed), "{refused}");
    log.truncate(founded);
    let refused = Engine::open_over(config(dir.path(), &clock), log).map(|_| ()).unwrap_err();
    let behind = matches!(&refused, OpenError::Log(commit::OpenError::Behind { found, signed: at })
        if (*found, *at) == (founded, signed));
    assert!(behind, "{refused}");
}

#[test]
fn a_log_of_another_origin_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (log, clock) = (MemoryLog::new(), HandClock::new());
    let open = |origin: &str| {
        let mut config = config(dir.path(), &clock);
        config.origin = Some(origin.to_owned());
        Engine::open_over(config, log.clone()).map_err(Box::new)
    };
    assert_eq!(open("ledger.example/a").unwrap().0.origin(), "ledger.example/a");
    let refused = open("ledger.example/b").map(|_| ()).unwrap_err();
    assert!(matches!(*refused, OpenError::Origin { .. }), "{refused}");
    open("ledger.example/a").unwrap();
}

#[test]
fn a_rotated_out_key_seals_nothing_more_and_what_it_sealed_stays_valid() {
    let dir = tempfile::tempdir().unwrap();
    let (log, clock) = (MemoryLog::new(), HandClock::new());
    let world = World::open(dir.path(), &log, &clock);
    let sealing_key = |world: &World| {
        let row = SEALING_KEY.get(&world.view(View::Identity), ()).unwrap().unwrap();
        PublicKey::from_slice(&row.public).unwrap()
    };
    let old = sealing_key(&world);
    assert_eq!(world.rejected(RotateSigningKey::seal(old.as_bytes())), Rejection::KeyInUse);
    let elsewhere = KeyDirectory::open(&dir.path().join("elsewhere"), None).unwrap().create().unwrap().public();
    let lost = world.request(RotateSigningKey::seal(elsewhere.as_bytes()));
    let refused = world.engine.sequencer().submit(lost).unwrap().wait().unwrap_err();
    assert!(matches!(refused, SubmitError::Unavailable { .. }), "a key that is not here would seal nothing: {refused}");
    let new = world.engine.new_sealing_key().unwrap();

    // All three wait together, and still the commit that names the new key is the last under the old one.
    log.set(Mode::Wait);
    let first = world.hand_in(agent("first"));
    log.wait_for_append();
    let commits = log.commits();
    let before = world.hand_in(agent("before"));
    let mut rotation = world.request(RotateSigningKey::seal(new.as_bytes()));
    rotation.idempotency_key = Some("rotate once".to_owned());
    let rotated = world.engine.sequencer().submit(rotation.clone()).unwrap();
    let after = world.hand_in(agent("after"));
    log.set(Mode::Work);
    first.wait().unwrap();
    let before = before.wait().unwrap();
    let rotated = rotated.wait().unwrap();
    let after = after.wait().unwrap();
    assert!(log.commits() - commits >= 2);
    let Ok(Output::SigningKey(key)) = rotated.answer else { panic!("{:?}", rotated.answer) };
    assert_eq!((key.purpose, key.public.as_slice()), (Purpose::Seal, new.as_bytes().as_slice()));
    let sealed_by = |seal: &[u8], key: &PublicKey| Seal::parse(seal).unwrap().verify(key).is_ok();
    assert!(sealed_by(&before.seal, &old));
    assert!(sealed_by(&rotated.seal, &old) && !sealed_by(&rotated.seal, &new));
    assert!(sealed_by(&after.seal, &new) && !sealed_by(&after.seal, &old));
    assert_eq!(sealing_key(&world), new);

    // Its events are the ledger's own, and a retry finds them all the same.
    rotation.command = RotateSigningKey::seal(world.engine.new_sealing_key().unwrap().as_bytes()).into();
    let replayed = world.ask(rotation);
    assert!(replayed.replayed && replayed.events == rotated.events);
    assert_eq!(replayed.seal, rotated.seal);
    drop(world);

    let world = World::open(dir.path(), &log, &clock);
    let restarted = world.send(agent("restarted"));
    assert!(sealed_by(&restarted.seal, &new) && !sealed_by(&restarted.seal, &old));
}

#[test]
fn time_in_the_log_never_runs_backwards() {
    let dir = tempfile::tempdir().unwrap();
    let (log, clock) = (MemoryLog::new(), HandClock::new());
    let world = World::open(dir.path(), &log, &clock);
    clock.advance_secs(10);
    world.accepted(agent("ada"));
    clock.set(START - 3_600_000_000);
    world.accepted(agent("grace"));
    drop(world);
    let world = World::open(dir.path(), &log, &clock);
    world.accepted(agent("edsger"));
    clock.set(START + 20_000_000);
    world.accepted(agent("barbara"));
    let times: Vec<i64> = log.events().iter().map(|event| event.time.0).collect();
    assert!(times.is_sorted(), "{times:?}");
    let held = times.iter().filter(|time| **time == START + 10_000_000).count();
    assert_eq!(held, 3, "the clock ran back twice, and the log stood still");
    assert_eq!(times.last(), Some(&(START + 20_000_000)));
}

#[test]
fn stopping_finishes_what_was_let_in_and_lets_nothing_more_in() {
    let dir = tempfile::tempdir().unwrap();
    let (log, clock) = (MemoryLog::new(), HandClock::new());
    let world = World::open(dir.path(), &log, &clock);
    log.set(Mode::Wait);
    let pending: Vec<_> = (0..10).map(|n| world.hand_in(agent(&format!("agent {n}")))).collect();
    log.wait_for_append();
    std::thread::scope(|scope| {
        scope.spawn(|| world.engine.stop());
        // The stop is under way as soon as nothing is let in any more; what was let in has yet to be committed.
        while world.engine.sequencer().status().stopped.is_none() {
            std::thread::yield_now();
        }
        log.set(Mode::Work);
    });
    for pending in pending {
        assert!(matches!(pending.wait().unwrap().answer, Ok(Output::Registered(_))));
    }
    let refused = world.engine.sequencer().submit(world.request(agent("late"))).unwrap_err();
    assert!(matches!(&refused, SubmitError::Stopped { why } if why.contains("shutting down")), "{refused}");
    for (view, handle) in world.engine.views().iter() {
        assert_eq!(handle.store.cursor(), log.size(), "{}", view.name());
    }
    world.engine.stop();
}

/// A file in memory, whose writes can be made to fail.
#[derive(Debug, Clone, Default)]
struct FailingFile {
    bytes: Arc<Mutex<Vec<u8>>>,
    fails: Arc<AtomicBool>,
}

impl BlockFile for FailingFile {
    fn read_exact_at(&self, bytes: &mut [u8], at: u64) -> std::io::Result<()> {
        let stored = self.bytes.lock().unwrap();
        bytes.copy_from_slice(&stored[at as usize..at as usize + bytes.len()]);
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], at: u64) -> std::io::Result<()> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(std::io::Error::other("full"));
        }
        let mut stored = self.bytes.lock().unwrap();
        let end = at as usize + bytes.len();
        let len = stored.len().max(end);
        stored.resize(len, 0);
        stored[at as usize..end].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Symptom: when the checkpoint beside the log could not be written, every read was answered "the view is behind" until a
/// restart. Cause: the log held the group by then, and readers wait for what the log holds; but nobody told the views.
#[test]
fn a_commit_that_fails_after_the_log_has_it_leaves_no_view_behind() {
    let dir = tempfile::tempdir().unwrap();
    let (log, clock) = (MemoryLog::new(), HandClock::new());
    let file = FailingFile::default();
    LastCheckpoint::format(&file).unwrap();
    let storage = Storage {
        log: log.clone(),
        secrets: Keystore::open(&dir.path().join("keystore")).unwrap(),
        last_checkpoint: LastCheckpoint::over(Box::new(file.clone()), Path::new("last-checkpoint")).unwrap(),
    };
    let (mut node, _) = Stepped::open(config(dir.path(), &clock), storage).unwrap();
    let founded = log.size();
    let identity = node.views().get(View::Identity).store.snapshot();
    let root = LEDGER.get(&identity, ()).unwrap().unwrap().root.unwrap();
    let caller = Caller { tenant: root, actor: Actor::system() };
    let pending = node.sequencer().submit(Request::new(root, caller, agent("ada"))).unwrap();
    assert_eq!((node.decide(), node.take()), (Step::Decided(founded.next()), Some(1)));
    file.fails.store(true, Ordering::SeqCst);
    let failed = node.commit().unwrap().unwrap_err();
    assert!(failed.contains("full"), "{failed}");
    assert!(matches!(pending.wait(), Err(SubmitError::Stopped { .. })));
    assert!(node.sequencer().acknowledged() > founded);
    for view in View::ALL {
        assert!(node.follow(view));
        assert_eq!(node.views().get(view).store.cursor(), node.sequencer().acknowledged(), "{}", view.name());
    }
}
