//! What the sequencer promises to whoever sends commands.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use chancery_ledger::actor::{Actor, Principal};
use chancery_ledger::body::Kind;
use chancery_ledger::ids::{AgentId, Seq, TenantId, TreeSize, uuid_v7};
use chancery_ledger::store::LogStore;
use chancery_ledger::time::Micros;
use chancery_projections::command::{
    Command, CreateOrganisation, CreateTenant, DeleteTenant, IssueToken, NoteAuthentication, OpenMission,
    RegisterAgent, ResumeAgent, SuspendAgent, SuspendTenant, UpdateAgent,
};
use chancery_projections::context::Caller;
use chancery_projections::identity::state::AGENTS;
use chancery_projections::origin::{self, Origin};
use chancery_projections::output::Output;
use chancery_projections::rejection::Rejection;
use chancery_projections::sequencer::{Request, Stage, SubmitError};
use chancery_projections::views::View;
use serde_json::json;
use support::{HandClock, MemoryLog, Mode, World, agent, agent_with_key};
use tempfile::TempDir;

struct Test {
    dir: TempDir,
    world: World,
}

impl Test {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let world = World::open(dir.path(), &MemoryLog::new(), &HandClock::new());
        Self { dir, world }
    }

    fn restart(self) -> Self {
        let Self { dir, world } = self;
        let (log, clock) = (world.log.clone(), world.clock.clone());
        drop(world);
        let world = World::open(dir.path(), &log, &clock);
        Self { dir, world }
    }

    /// Waits until the decider has taken all that was handed in.
    fn drain(&self) {
        while self.world.engine.sequencer().status().waiting > 0 {
            std::thread::yield_now();
        }
    }
}

fn parse(name: &str, params: serde_json::Value) -> Command {
    Command::parse(name, &params.to_string()).unwrap().unwrap()
}

fn registered(output: Output) -> AgentId {
    let Output::Registered(registered) = output else { panic!("{output:?}") };
    registered.agent.agent
}

fn suspend(agent: AgentId) -> SuspendAgent {
    SuspendAgent { agent, reason: None }
}

fn issue_token(agent: AgentId) -> IssueToken {
    let Command::IssueToken(command) = parse(
        "IssueToken",
        json!({
            "agent": agent,
            "mission": { "key": { "namespace": "native", "text": "spring cleaning" } },
            "scopes": ["sweep"],
            "expires": "2026-01-03T00:00:00Z",
        }),
    ) else {
        panic!()
    };
    command
}

#[test]
fn a_read_after_an_answer_reflects_it() {
    let test = Test::new();
    for n in 0..20 {
        let receipt = test.world.send(agent(&format!("agent {n}")));
        assert!(receipt.size <= test.world.engine.sequencer().acknowledged());
        let id = registered(receipt.answer.unwrap());
        assert!(AGENTS.get(&test.world.view(View::Identity), id).unwrap().is_some());
    }
}

#[test]
fn commands_that_wait_together_are_one_commit_and_see_each_other() {
    let test = Test::new();
    let world = &test.world;
    world.log.set(Mode::Wait);
    let first = world.hand_in(agent("first"));
    world.log.wait_for_append();
    let commits = world.log.commits();
    let organisation = CreateOrganisation::new("acme", "Acme");
    let pending = [
        world.hand_in(organisation.clone()),
        // Refused by what the one before did, which is not durable yet: so it is not answered yet either.
        world.hand_in(organisation),
        world.hand_in(parse("RegisterAgent", json!({ "name": "ada", "organisation": { "slug": "acme" } }))),
        world.hand_in(parse("RegisterAgent", json!({ "name": "ada", "organisation": { "slug": "nova" } }))),
    ];
    test.drain();
    assert_eq!(world.log.commits(), commits);
    world.log.set(Mode::Work);
    first.wait().unwrap();
    let receipts = pending.map(|pending| pending.wait().unwrap());
    assert_eq!(world.log.commits(), commits + 2, "the first, and then the rest together");
    let size = world.log.size();
    assert!(receipts.iter().all(|receipt| receipt.size == size && receipt.seal == receipts[0].seal));
    let kinds: Vec<Vec<Kind>> = receipts.iter().map(|it| it.events.iter().map(|event| event.kind).collect()).collect();
    let expected: [&[Kind]; 4] = [
        &[Kind::OrganisationCreated],
        &[],
        &[Kind::AgentRegistered],
        &[Kind::OrganisationCreated, Kind::AgentRegistered],
    ];
    assert_eq!(kinds, expected);
    assert_eq!(receipts[1].answer.as_ref().unwrap_err(), &Rejection::SlugTaken);
    let events = world.log.events();
    for recorded in receipts.iter().flat_map(|receipt| &receipt.events) {
        let record = world.log.record(recorded.seq).unwrap().unwrap();
        assert_eq!(chancery_ledger::link::header_hash(&record.header), recorded.hash);
        assert_eq!(events[recorded.seq.0 as usize].body.kind(), recorded.kind);
    }
}

#[test]
fn events_of_a_command_name_the_first_as_their_cause_and_share_a_correlation() {
    let test = Test::new();
    let world = &test.world;
    let correlation = uuid_v7(1, [9; 10]);
    let mut request = world.request(agent_with_key("ada"));
    request.correlation = Some(correlation);
    let first = world.ask(request).events[0].seq;
    let drawn = world.send(agent_with_key("grace")).events[0].seq;
    let events = world.log.events();
    let shape = |seq: Seq| {
        let of = &events[seq.0 as usize..seq.0 as usize + 3];
        of.iter().map(|event| (event.causation, event.correlation)).collect::<Vec<_>>()
    };
    let given = Some(correlation);
    assert_eq!(shape(first), [(None, given), (Some(first), given), (Some(first), given)]);
    let other = events[drawn.0 as usize].correlation;
    assert!(other.is_some() && other != given);
    assert_eq!(shape(drawn), [(None, other), (Some(drawn), other), (Some(drawn), other)]);
}

mod idempotency {
    use super::*;

    fn once(world: &World, key: &str, command: impl Into<Command>) -> Request {
        let mut request = world.request(command);
        request.idempotency_key = Some(key.to_owned());
        request
    }

    #[test]
    fn a_retry_is_answered_alike_without_secrets_and_without_events_also_after_a_restart() {
        let mut test = Test::new();
        let first = test.world.ask(once(&test.world, "k", agent_with_key("ada")));
        assert!(!first.replayed);
        let Ok(Output::Registered(made)) = &first.answer else { panic!("{:?}", first.answer) };
        assert!(made.private_key_pem.is_some());
        // The command after it, of the same undertaking, is no part of it.
        test.world.accepted(agent_with_key("grace"));
        let size = test.world.log.size();
        for _ in 0..2 {
            let retry = test.world.ask(once(&test.world, "k", agent_with_key("ada")));
            assert!(retry.replayed);
            assert_eq!((&retry.events, retry.size, &retry.seal), (&first.events, first.size, &first.seal));
            let Ok(Output::Registered(again)) = retry.answer else { panic!("{:?}", retry.answer) };
            assert_eq!((&again.agent, &again.certificate), (&made.agent, &made.certificate));
            assert!(again.private_key_pem.is_none());
            assert_eq!(test.world.log.size(), size);
            test = test.restart();
        }
    }

    #[test]
    fn a_retry_shows_things_as_they_are_today() {
        let test = Test::new();
        let id = registered(test.world.ask(once(&test.world, "k", agent("ada"))).answer.unwrap());
        test.world.accepted(suspend(id));
        let retry = test.world.ask(once(&test.world, "k", agent("ada")));
        let Ok(Output::Registered(today)) = retry.answer else { panic!("{:?}", retry.answer) };
        assert_eq!(today.agent.unusable(Micros(0)), Some("suspended"));
    }

    #[test]
    fn two_that_wait_together_happen_once() {
        let test = Test::new();
        let world = &test.world;
        world.log.set(Mode::Wait);
        // The first is on its way to the disk, the second retry finds it there; the third and fourth are of one group.
        let sent = ["a", "a", "b", "b"].map(|key| {
            let pending = world.engine.sequencer().submit(once(world, key, agent_with_key("ada"))).unwrap();
            if key == "a" && world.log.commits() == 1 {
                world.log.wait_for_append();
            }
            pending
        });
        test.drain();
        world.log.set(Mode::Work);
        let [a1, a2, b1, b2] = sent.map(|pending| pending.wait().unwrap());
        assert_eq!([&a1, &a2, &b1, &b2].map(|it| it.replayed), [false, true, false, true]);
        assert_eq!((a1.events.len(), &a1.events, &a1.seal), (3, &a2.events, &a2.seal));
        assert_eq!((b1.events.len(), &b1.events, &b1.seal), (3, &b2.events, &b2.seal));
        assert_ne!(a1.events, b1.events);
    }

    #[test]
    fn another_command_under_the_key_is_refused() {
        let test = Test::new();
        let first = test.world.ask(once(&test.world, "k", agent("ada")));
        let test = test.restart();
        let refused = test.world.ask(once(&test.world, "k", agent("grace")));
        assert_eq!(refused.answer.unwrap_err(), Rejection::IdempotencyConflict { original: first.events[0].seq });
        // The mount is part of what was asked.
        let mut through_another: RegisterAgent = agent("ada");
        through_another.via = chancery_projections::command::Via::OrgKernel;
        let refused = test.world.ask(once(&test.world, "k", through_another));
        assert!(matches!(refused.answer, Err(Rejection::IdempotencyConflict { .. })));
    }

    #[test]
    fn a_refused_attempt_does_not_spend_the_key_though_it_is_a_fact() {
        let test = Test::new();
        let world = &test.world;
        let id = registered(world.accepted(agent("ada")));
        world.accepted(suspend(id));
        let refused = world.ask(once(world, "k", issue_token(id)));
        assert_eq!(refused.answer.unwrap_err(), Rejection::AgentNotUsable { why: "suspended" });
        assert_eq!(refused.events.iter().map(|event| event.kind).collect::<Vec<_>>(), [Kind::TokenRefused]);
        world.accepted(ResumeAgent { agent: id, reason: None });
        let accepted = world.ask(once(world, "k", issue_token(id)));
        assert!(!accepted.replayed);
        assert!(matches!(accepted.answer, Ok(Output::Token(_))));
        assert!(world.ask(once(world, "k", issue_token(id))).replayed);
    }

    #[test]
    fn a_command_whose_events_are_another_tenants_happens_once_too() {
        let test = Test::new();
        let command = || CreateTenant::new("acme", "Acme");
        let first = test.world.ask(once(&test.world, "k", command()));
        let retry = test.world.ask(once(&test.world, "k", command()));
        assert!(retry.replayed && retry.events == first.events);
        let (Ok(Output::Tenant { api_key: shown, .. }), Ok(Output::Tenant { api_key: hidden, .. })) =
            (first.answer, retry.answer)
        else {
            panic!()
        };
        assert!(shown.is_some() && hidden.is_none());
    }

    #[test]
    fn principals_do_not_share_keys() {
        let test = Test::new();
        let world = &test.world;
        world.ask(once(world, "k", agent("ada")));
        let mut strangers = Request::new(world.second, world.stranger(), agent("grace"));
        strangers.idempotency_key = Some("k".to_owned());
        assert!(!world.ask(strangers).replayed);
        let mut entered = world.admin.clone();
        entered.actor.acting_in = Some(world.second);
        let mut entered = Request::new(world.second, entered, agent("edsger"));
        entered.idempotency_key = Some("k".to_owned());
        assert!(!world.ask(entered).replayed);
    }

    #[test]
    fn a_key_has_a_length() {
        let test = Test::new();
        for key in [String::new(), "k".repeat(256)] {
            let refused = test.world.ask(once(&test.world, &key, agent("ada")));
            assert!(matches!(refused.answer, Err(Rejection::Invalid { field: "idempotency_key", .. })));
        }
        test.world.ask(once(&test.world, &"k".repeat(255), agent("ada"))).answer.unwrap();
    }
}

mod if_match {
    use super::*;

    fn if_match(world: &World, version: Seq, command: impl Into<Command>) -> Result<Output, Rejection> {
        let mut request = world.request(command);
        request.if_match = Some(version);
        world.ask(request).answer
    }

    #[test]
    fn a_stale_version_is_refused_and_the_current_one_passes() {
        let test = Test::new();
        let world = &test.world;
        let receipt = world.send(agent("ada"));
        let version = receipt.events[0].seq;
        let id = registered(receipt.answer.unwrap());
        let rename = |name: &str| -> Command { parse("UpdateAgent", json!({ "agent": id, "name": name })) };
        if_match(world, version, rename("Ada")).unwrap();
        let now = AGENTS.get_versioned(&world.view(View::Identity), id).unwrap().unwrap().seq;
        assert!(now > version);
        let refused = if_match(world, version, rename("Ada L.")).unwrap_err();
        assert_eq!(refused, Rejection::Conflict { expected: version, actual: now });
        if_match(world, now, rename("Ada L.")).unwrap();
    }

    #[test]
    fn it_tells_nothing_of_what_another_tenant_has() {
        let test = Test::new();
        let world = &test.world;
        let id = registered(world.accepted(agent("ada")));
        let mut request = Request::new(world.second, world.stranger(), suspend(id));
        request.if_match = Some(Seq(0));
        assert_eq!(world.ask(request).answer.unwrap_err(), Rejection::NotFound { thing: "agent" });
        let administer = SuspendTenant { tenant: world.root, reason: None };
        let mut request = Request::new(world.second, world.stranger(), administer);
        request.if_match = Some(Seq(0));
        assert_eq!(world.ask(request).answer.unwrap_err(), Rejection::NotRoot);
    }

    #[test]
    fn what_makes_a_new_thing_has_no_version() {
        let test = Test::new();
        let refused = if_match(&test.world, Seq(0), agent("ada")).unwrap_err();
        assert!(matches!(refused, Rejection::Invalid { field: "if_match", .. }));
    }
}

mod tenants {
    use super::*;

    fn entering(world: &World) -> Caller {
        let mut caller = world.admin.clone();
        caller.actor.acting_in = Some(world.second);
        caller
    }

    #[test]
    fn another_tenants_things_do_not_exist() {
        let test = Test::new();
        let world = &test.world;
        let id = registered(world.accepted(agent_with_key("ada")));
        let as_stranger =
            |command: Command| world.ask(Request::new(world.second, world.stranger(), command)).answer.unwrap_err();
        let absent: AgentId = parse_agent("019b7ca9-8c88-7def-aca1-e1e1128bf45c");
        for agent in [id, absent] {
            let not_found = Rejection::NotFound { thing: "agent" };
            assert_eq!(as_stranger(suspend(agent).into()), not_found);
            assert_eq!(as_stranger(issue_token(agent).into()), not_found);
            let rename = parse("UpdateAgent", json!({ "agent": agent, "name": "mine" }));
            assert_eq!(as_stranger(rename), not_found);
        }
    }

    fn parse_agent(text: &str) -> AgentId {
        text.parse().unwrap()
    }

    #[test]
    fn only_root_enters_another_tenant_and_says_so() {
        let test = Test::new();
        let world = &test.world;
        let no_tenant = Rejection::NotFound { thing: "tenant" };
        let refused = |tenant: TenantId, caller: Caller| {
            world.ask(Request::new(tenant, caller, agent("ada"))).answer.unwrap_err()
        };
        assert_eq!(refused(world.root, world.stranger()), no_tenant);
        assert_eq!(refused(world.second, world.admin.clone()), no_tenant, "root did not say that it enters");
        assert_eq!(refused(world.root, entering(world)), no_tenant, "it entered another");
        let mut stranger = world.stranger();
        stranger.actor.acting_in = Some(world.root);
        assert_eq!(refused(world.root, stranger), no_tenant);
        let nowhere = TenantId(uuid_v7(1, [1; 10]));
        let mut lost = world.admin.clone();
        lost.actor.acting_in = Some(nowhere);
        assert_eq!(refused(nowhere, lost), no_tenant);

        let receipt = world.ask(Request::new(world.second, entering(world), agent("ada")));
        let id = registered(receipt.answer.unwrap());
        let event = &world.log.events()[receipt.events[0].seq.0 as usize];
        assert_eq!((event.tenant, event.actor.acting_in), (world.second, Some(world.second)));
        // It is the second tenant's, whoever made it.
        world.ask(Request::new(world.second, world.stranger(), suspend(id))).answer.unwrap();
        assert_eq!(world.rejected(suspend(id)), Rejection::NotFound { thing: "agent" });
    }

    #[test]
    fn a_suspended_tenant_is_refused_and_root_may_still_mend_it() {
        let test = Test::new();
        let world = &test.world;
        let second = world.second;
        let ask = |caller: Caller| world.ask(Request::new(second, caller, agent("ada"))).answer;
        world.accepted(SuspendTenant { tenant: second, reason: None });
        assert_eq!(ask(world.stranger()).unwrap_err(), Rejection::TenantSuspended);
        ask(entering(world)).unwrap();
        world.accepted(DeleteTenant { tenant: second, reason: None });
        assert_eq!(ask(world.stranger()).unwrap_err(), Rejection::TenantSuspended);
        assert_eq!(ask(entering(world)).unwrap_err(), Rejection::TenantSuspended);
        assert_eq!(world.rejected(SuspendTenant { tenant: world.root, reason: None }), Rejection::RootTenant);
    }

    #[test]
    fn what_only_the_daemon_does_nobody_else_may() {
        let test = Test::new();
        let world = &test.world;
        let note = || NoteAuthentication {
            claimed: None,
            mount: "native".to_owned(),
            credential: None,
            why: "unknown".to_owned(),
            count: 3,
        };
        assert!(matches!(world.rejected(note()), Rejection::ScopeMissing { .. }));
        world.accepted(SuspendTenant { tenant: world.second, reason: None });
        let daemon = Caller { tenant: world.second, actor: Actor::system() };
        let receipt = world.ask(Request::new(world.second, daemon, note()));
        assert!(matches!(receipt.answer, Ok(Output::Done)));
        assert_eq!(receipt.events[0].kind, Kind::AuthenticationFailed);
    }
}

#[test]
fn an_event_says_where_it_came_from_until_that_is_erased() {
    let test = Test::new();
    let world = &test.world;
    let came_from = Origin { ip: "192.0.2.7".to_owned(), user_agent: Some("ada/1.0".to_owned()) };
    let open = |seq: Seq| {
        let event = &world.log.events()[seq.0 as usize];
        let origin = event.prelude.origin.as_ref()?;
        Some((origin.key, origin::open(&*world.engine.secrets(), event.tenant, event.body.kind(), origin).unwrap()))
    };
    let mut request = world.request(agent_with_key("ada"));
    request.origin = Some(came_from.clone());
    let events = world.ask(request).events;
    let (owner, opened) = open(events[0].seq).unwrap();
    assert_eq!(opened, Some(came_from.clone()));
    assert!(open(events[1].seq).is_none(), "a command came from one place, and its first event says so");
    let Principal::Member(member) = world.admin.actor.principal else { panic!() };
    assert_eq!(owner, chancery_ledger::ids::ThingId::subject(member));

    // The events of these are another tenant's and the ledger's own, and can be opened as such.
    let mut request = world.request(CreateTenant::new("acme", "Acme"));
    request.origin = Some(came_from.clone());
    assert_eq!(open(world.ask(request).events[0].seq).unwrap().1, Some(came_from.clone()));
    let daemon = Caller { tenant: world.second, actor: Actor::system() };
    let note = NoteAuthentication {
        claimed: None,
        mount: "native".to_owned(),
        credential: None,
        why: "unknown".to_owned(),
        count: 1,
    };
    let mut request = Request::new(world.second, daemon, note);
    request.origin = Some(came_from.clone());
    let (owner, opened) = open(world.ask(request).events[0].seq).unwrap();
    assert_eq!(opened, Some(came_from));
    assert_ne!(owner.id, world.second.0, "one who is nobody has a key that can be destroyed alone");
}

/// A registration that is within every bound and yet makes a larger body than bodies may be.
fn too_large(organisation: &str) -> Command {
    let long = |chars: usize| "\u{1F980}".repeat(chars);
    let map = json!({ "k": "v".repeat(16_000) });
    let profile = json!({ "description": long(4096), "metadata": map, "labels": map, "annotations": map });
    let params = json!({
        "name": "large",
        "organisation": { "slug": organisation },
        "capabilities": vec![long(128); 64],
        "profile": profile,
    });
    parse("RegisterAgent", params)
}

#[test]
fn a_body_that_is_too_large_costs_its_own_command_alone() {
    let test = Test::new();
    let world = &test.world;
    world.log.set(Mode::Wait);
    let first = world.hand_in(agent("first"));
    world.log.wait_for_append();
    let before = world.hand_in(agent("before"));
    let refused = world.hand_in(too_large("acme"));
    // The organisation that the refused command would have made along with its agent is not there.
    let after = world.hand_in(CreateOrganisation::new("acme", "Acme"));
    test.drain();
    world.log.set(Mode::Work);
    first.wait().unwrap();
    assert!(before.wait().unwrap().answer.is_ok());
    let refused = refused.wait().unwrap();
    assert!(matches!(refused.answer, Err(Rejection::LimitReached { max: 65_536, .. })), "{:?}", refused.answer);
    assert!(refused.events.is_empty());
    let after = after.wait().unwrap();
    assert!(matches!(after.answer, Ok(Output::Organisation(_))), "{:?}", after.answer);
    let seqs: Vec<u64> = world.log.events().iter().map(|event| event.seq.0).collect();
    assert_eq!(seqs, (0..world.log.size().0).collect::<Vec<_>>());
    for view in View::ALL {
        let rebuilt = world.engine.rebuild(view).unwrap();
        assert_eq!(rebuilt.before, rebuilt.after, "{}", view.name());
    }
}

#[test]
fn an_agent_at_the_limit_of_a_body_can_still_be_changed_and_ended() {
    let test = Test::new();
    let world = &test.world;
    let map = json!({ "k": "v".repeat(16_000) });
    let profile = json!({ "metadata": map, "labels": map, "annotations": map, "description": "d".repeat(4096) });
    let capabilities = vec!["c".repeat(128); 64];
    let params = json!({ "name": "large", "capabilities": capabilities, "profile": profile, "key": "make" });
    let id = registered(world.accepted(parse("RegisterAgent", params)));
    let long = "\u{1F980}".repeat(500);
    world.accepted(SuspendAgent { agent: id, reason: Some(long.clone()) });
    let rename: UpdateAgent =
        serde_json::from_value(json!({ "agent": id, "name": "\u{1F980}".repeat(256), "profile": profile })).unwrap();
    world.accepted(rename);
    world.accepted(parse("DecommissionAgent", json!({ "agent": id, "reason": long })));
}

#[test]
fn when_too_many_wait_the_next_is_told_to_come_again_and_one_that_waits_gets_in() {
    let dir = tempfile::tempdir().unwrap();
    let (log, clock) = (MemoryLog::new(), HandClock::new());
    let world = World::open_with(dir.path(), &log, &clock, |config| config.waiting_max = 2);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mission = || world.request(parse("OpenMission", json!({})));
    runtime.block_on(async {
        let sequencer = world.engine.sequencer();
        log.set(Mode::Wait);
        let mut pending = vec![sequencer.submit(mission()).unwrap()];
        log.wait_for_append();
        // A full group is gathered behind the commit that waits, and two commands wait behind that.
        for _ in 0..512 + 2 {
            pending.push(sequencer.submit_when_free(mission()).await.unwrap());
        }
        let busy = sequencer.submit(mission()).unwrap_err();
        assert!(matches!(busy, SubmitError::Busy { retry_after_secs: 1.. }), "{busy}");
        assert_eq!((sequencer.status().waiting, sequencer.status().waiting_max), (2, 2));
        let mut patient = std::pin::pin!(sequencer.submit_when_free(mission()));
        let early = std::future::poll_fn(|cx| std::task::Poll::Ready(patient.as_mut().poll(cx).is_ready())).await;
        assert!(!early, "there is no room yet");
        log.set(Mode::Work);
        pending.push(patient.await.unwrap());
        for pending in pending {
            assert!(matches!(pending.await.unwrap().answer, Ok(Output::Mission(_))));
        }
        let counts = sequencer.status().counts;
        assert_eq!((counts.commands, counts.events, counts.refused), (516, 516, 0));
        assert!(counts.commits <= 4, "{counts:?}");
        for (stage, timing) in sequencer.stages().iter() {
            // The last group's answers are counted when all of them were given.
            let counted = timing.read().count;
            assert!(counted == 516 || stage == Stage::Answer && counted < 516, "{stage:?}: {counted}");
        }
        assert!(sequencer.stages().get(Stage::Decide).read().sum_secs > 0.0);
    });
}

#[test]
fn a_failed_commit_stops_all_writing_and_answers_everybody() {
    for mode in [Mode::Fail, Mode::Panic] {
        let test = Test::new();
        let world = &test.world;
        let known = registered(world.accepted(agent("known")));
        let size = world.log.size();
        world.log.set(Mode::Wait);
        let lost = world.hand_in(agent("lost"));
        world.log.wait_for_append();
        let mut keyed = world.request(agent("behind"));
        keyed.idempotency_key = Some("k".to_owned());
        let behind = world.engine.sequencer().submit(keyed.clone()).unwrap();
        // A refusal rests on what was not made durable, so it is not given either.
        let refused = world.hand_in(suspend(AgentId(uuid_v7(1, [1; 10]))));
        test.drain();
        world.log.set(mode);
        for pending in [lost, behind, refused] {
            let stopped = pending.wait().unwrap_err();
            let expected = if mode == Mode::Fail { "missing" } else { "unexpectedly" };
            assert!(matches!(&stopped, SubmitError::Stopped { why } if why.contains(expected)), "{stopped}");
        }
        world.log.set(Mode::Work);
        let late = world.engine.sequencer().submit(world.request(agent("late"))).unwrap_err();
        assert!(matches!(late, SubmitError::Stopped { .. }), "{late}");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let late = runtime.block_on(world.engine.sequencer().submit_when_free(world.request(agent("late"))));
        assert!(matches!(late, Err(SubmitError::Stopped { .. })));
        assert!(world.engine.sequencer().status().stopped.is_some());
        assert_eq!(world.log.size(), size);
        // Reads go on.
        assert!(AGENTS.get(&world.view(View::Identity), known).unwrap().is_some());

        // After a restart the log goes on from what is durable, and a key that was not spent is free.
        let test = test.restart();
        assert_eq!(test.world.log.size(), size);
        let receipt = test.world.ask(keyed);
        assert!(!receipt.replayed);
        assert_eq!(receipt.events[0].seq, size.next());
    }
}

#[test]
fn the_durable_size_is_announced() {
    let test = Test::new();
    let world = &test.world;
    let mut size = world.engine.sequencer().subscribe();
    assert_eq!(*size.borrow_and_update(), world.log.size());
    let receipt = world.send(OpenMission {
        agent: None,
        key: None,
        intent: None,
        services: Vec::new(),
        limits: std::collections::BTreeMap::new(),
    });
    assert!(size.has_changed().unwrap());
    assert_eq!(*size.borrow_and_update(), receipt.size);
    assert_eq!(receipt.size, TreeSize(receipt.events[0].seq.0 + 1));
}

mod looks_into_tokens {
    use chancery_ledger::body::Body;
    use chancery_ledger::body::token::Introspection;
    use chancery_ledger::event::Event;

    use super::*;

    fn look(world: &World) -> Introspection {
        Introspection { token: None, caller: Principal::Tenant(world.root), active: false }
    }

    fn note(world: &World, tenant: TenantId, count: usize) {
        for _ in 0..count {
            world.engine.sequencer().note_introspection(tenant, look(world)).unwrap();
        }
    }

    /// Waits until every look that was noted is recorded.
    fn settle(world: &World) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(world.engine.sequencer().introspections_recorded());
    }

    /// How many looks each event records, with its tenant.
    fn recorded(events: &[Event]) -> Vec<(TenantId, usize)> {
        let looks = events.iter().filter_map(|event| match &event.body {
            Body::TokensIntrospected(it) => Some((event.tenant, it.items.len())),
            _ => None,
        });
        looks.collect()
    }

    #[test]
    fn a_look_alone_makes_a_commit_of_its_own_at_once() {
        let test = Test::new();
        let world = &test.world;
        let commits = world.log.commits();
        note(world, world.root, 1);
        settle(world);
        assert_eq!(world.log.commits(), commits + 1);
        let event = world.log.events().pop().unwrap();
        assert_eq!((event.actor, event.tenant), (Actor::system(), world.root));
        assert_eq!(event.body.kind(), Kind::TokensIntrospected);
    }

    #[test]
    fn all_looks_of_a_commit_are_in_one_event_of_each_tenant() {
        let test = Test::new();
        let world = &test.world;
        world.log.set(Mode::Wait);
        let first = world.hand_in(agent("first"));
        world.log.wait_for_append();
        let (commits, before) = (world.log.commits(), world.log.size());
        note(world, world.root, 300);
        note(world, world.second, 2);
        note(world, world.root, 1);
        let second = world.hand_in(agent("second"));
        test.drain();
        world.log.set(Mode::Work);
        first.wait().unwrap();
        second.wait().unwrap();
        settle(world);
        assert_eq!(world.log.commits(), commits + 2, "the first, and then the rest together");
        let events = world.log.events();
        let mut looks = recorded(&events[before.0 as usize..]);
        looks.sort();
        let mut wanted = vec![(world.root, 256), (world.root, 45), (world.second, 2)];
        wanted.sort();
        assert_eq!(looks, wanted);
    }

    #[test]
    fn many_looks_at_once_are_all_recorded_and_those_beyond_are_asked_to_come_again() {
        let test = Test::new();
        let world = &test.world;
        world.log.set(Mode::Wait);
        let first = world.hand_in(agent("first"));
        world.log.wait_for_append();
        let mut noted = 0;
        let refused = loop {
            match world.engine.sequencer().note_introspection(world.root, look(world)) {
                Ok(()) => noted += 1,
                Err(refused) => break refused,
            }
        };
        assert!(matches!(refused, SubmitError::Busy { .. }));
        world.log.set(Mode::Work);
        first.wait().unwrap();
        settle(world);
        let looks = recorded(&world.log.events());
        assert_eq!(looks.iter().map(|(_, count)| count).sum::<usize>(), noted);
        assert!(looks.iter().all(|(_, count)| *count <= 256));
    }

    #[test]
    fn what_was_noted_before_an_orderly_stop_is_recorded() {
        let test = Test::new();
        note(&test.world, test.world.root, 5);
        test.world.engine.stop();
        assert_eq!(recorded(&test.world.log.events()).iter().map(|(_, count)| count).sum::<usize>(), 5);
        note(&test.world, test.world.root, 1);
        settle(&test.world);
    }
}
