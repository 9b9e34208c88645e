//! Erasure, holds and retention.

use chancery_ledger::actor::{Actor, Method, Principal};
use chancery_ledger::body::{Body, Kind};
use chancery_ledger::ids::{AgentId, MissionId, Seq, Subject, ThingId, ThingKind};
use chancery_ledger::keystore::{SecretName, Secrets as _};
use chancery_ledger::time::Micros;
use chancery_projections::command::*;
use chancery_projections::context::Caller;
use chancery_projections::identity::view;
use chancery_projections::origin;
use chancery_projections::output::Output;
use chancery_projections::rejection::Rejection;
use chancery_projections::view::{PageNumber, Paging};
use serde_json::json;

use crate::the;
use crate::world::*;

const DAY: i64 = 86_400;

fn erase(subject: Subject) -> EraseSubject {
    EraseSubject { subject, reason: "asked for by the person concerned".into() }
}

fn hold(subject: Subject, matter: &str) -> PlaceHold {
    PlaceHold { subject, matter: matter.into(), reason: "a claim is to be expected".into() }
}

fn lift(subject: Subject, matter: &str) -> LiftHold {
    LiftHold { subject, matter: matter.into(), reason: "it was settled".into() }
}

fn retain(document: serde_json::Value) -> SetPolicy {
    serde_json::from_value(json!({ "kind": "retention", "document": document })).unwrap()
}

fn ada(w: &mut World) -> AgentId {
    let profile =
        AgentProfile { email: Some("ada@example.org".into()), owner: Some("Ada L.".into()), ..AgentProfile::default() };
    registered(&w.when(RegisterAgent { profile, ..register("ada") }).then_decided())
}

fn mission_of(w: &mut World, agent: AgentId) -> MissionId {
    let command = OpenMission { agent: Some(agent), intent: Some("sweep".into()), ..open_mission() };
    the!(&w.when(command).then_decided(), MissionOpened).mission
}

/// What the daemon sends by itself.
fn when_system(w: &mut World, command: impl Into<Command>) -> Outcome {
    let system = Caller { tenant: w.root, actor: Actor::system() };
    w.when_as(&system, w.root, command)
}

#[test]
fn an_erased_agent_reads_null_and_nothing_else_of_it_changes() {
    let mut w = World::new();
    let id = ada(&mut w);
    let before = w.agent_view(id);
    let of_owner = |w: &World| {
        let search = view::AgentSearch { status: None, kind: None, owner: Some("Ada L.") };
        view::agents_found(&w.reading(), w.root, search, PageNumber { number: 1, size: 10 }).unwrap().total
    };
    assert_eq!(of_owner(&w), 1);
    let events = w.when(erase(id.subject())).then(&[Kind::SubjectErased]);
    assert_eq!(events[0].subjects, [id.subject()]);
    let after = w.agent_view(id);
    assert_eq!((after.profile.clone(), of_owner(&w)), (None, 0));
    let unchanged = view::AgentView { profile: before.profile.clone(), version: before.version, ..after };
    assert_eq!(unchanged, before);
    // Again it is no news; what comes later is erased at once.
    assert!(matches!(w.when(erase(id.subject())).then_unchanged(), Output::Erasure(_)));
    let profile = Some(AgentProfile { owner: Some("Ada L.".into()), ..AgentProfile::default() });
    w.when(UpdateAgent { profile, ..UpdateAgent::of(id) }).then(&[Kind::AgentUpdated]);
    assert_eq!((w.agent_view(id).profile, of_owner(&w)), (None, 0));
    let erasure = view::erasure(&w.reading(), w.root, id.subject()).unwrap().unwrap();
    assert_eq!((erasure.at, erasure.policy, erasure.destroyed), (w.now, None, None));
    assert_eq!(view::erasure(&w.reading(), w.second, id.subject()).unwrap(), None);
}

#[test]
fn what_is_still_needed_is_not_erased() {
    let mut w = World::new();
    let agent = ada(&mut w);
    let mission = mission_of(&mut w, agent);
    let subject = mission.subject();
    let needs = |first| Rejection::StillInUse { thing: "mission", first };
    w.when(erase(subject)).then_rejected(needs("complete or revoke it"));
    let opened =
        w.when(OpenAuditChain { mission: MissionRef::Id(mission), ..open_chain("msn_test000001") }).then_decided();
    let chain = the!(&opened, AuditChainOpened).chain;
    w.when(complete(mission)).then_decided();
    w.when(erase(subject)).then_rejected(needs("close its audit chain"));
    w.when(CloseAuditChain { chain }).then_decided();
    w.when(erase(subject)).then(&[Kind::SubjectErased]);
    w.when(erase(w.second.subject())).then_invalid("subject");
    w.when(erase(Subject { kind: ThingKind::Token, id: subject.id })).then_invalid("subject");
    w.when(erase(Subject { kind: ThingKind::Agent, id: subject.id }))
        .then_rejected(Rejection::NotFound { thing: "agent" });
    w.when_second(erase(agent.subject())).then_rejected(Rejection::NotFound { thing: "agent" });
    w.when(EraseSubject { reason: String::new(), ..erase(agent.subject()) }).then_invalid("reason");
}

#[test]
fn a_hold_on_a_thing_or_on_what_it_belongs_to_keeps_it() {
    let mut w = World::new();
    let agent = ada(&mut w);
    let mission = mission_of(&mut w, agent);
    w.when(complete(mission)).then_decided();
    let organisation = w.agent_view(agent).organisation.subject();
    for held in [mission.subject(), agent.subject(), organisation, w.root.subject()] {
        w.when(hold(held, "2026-017")).then(&[Kind::HoldPlaced]);
        w.when(hold(held, "2026-018")).then(&[Kind::HoldPlaced]);
        w.when(hold(held, "2026-018")).then_unchanged();
        for matter in ["2026-017", "2026-018"] {
            w.when(erase(mission.subject())).then_rejected(Rejection::OnHold { thing: held.kind.name() });
            w.when(lift(held, matter)).then(&[Kind::HoldLifted]);
            w.when(lift(held, matter)).then_rejected(Rejection::NotFound { thing: "hold" });
        }
    }
    let listed = view::held(&w.reading(), w.root, &Paging::newest(10)).unwrap().items;
    assert_eq!(listed, [], "what is held no more is not listed");
    w.when(hold(agent.subject(), "m")).then_decided();
    let listed = view::held(&w.reading(), w.root, &Paging::newest(10)).unwrap().items;
    assert_eq!((listed.len(), listed[0].subject, listed[0].holds.len()), (1, agent.subject(), 1));
    w.when(lift(agent.subject(), "m")).then_decided();
    w.when(erase(mission.subject())).then_decided();
    w.when(hold(mission.subject(), "late")).then_rejected(Rejection::Erased { thing: "mission" });
    w.when_second(hold(agent.subject(), "m")).then_rejected(Rejection::NotFound { thing: "agent" });
    w.when(hold(agent.subject(), "")).then_invalid("matter");
}

#[test]
fn what_the_operator_holds_in_a_tenant_the_tenant_does_not_lift() {
    let mut w = World::new();
    let events = w.when_second(register("grace")).then_decided();
    let grace = registered(&events).subject();
    let operator = Caller { tenant: w.root, actor: Actor { acting_in: Some(w.second), ..w.owner.actor.clone() } };
    w.when_as(&operator, w.second, hold(grace, "subpoena")).then_decided();
    w.when_second(lift(grace, "subpoena")).then_rejected(Rejection::NotRoot);
    w.when_second(erase(grace)).then_rejected(Rejection::OnHold { thing: "agent" });
    w.when_as(&operator, w.second, lift(grace, "subpoena")).then_decided();
    w.when_second(erase(grace)).then_decided();
}

#[test]
fn a_destroyed_key_is_reported_once() {
    let mut w = World::new();
    let id = ada(&mut w);
    let erased = w.when(erase(id.subject())).then_decided()[0].seq;
    w.advance_secs(5);
    let report = || ReportShredded { erased: vec![erased, erased, Seq(0)] };
    let events = when_system(&mut w, report()).then(&[Kind::KeyDestroyed]);
    assert!(matches!(&events[0].body, Body::KeyDestroyed(it) if it.key == id.subject() && it.cause == erased));
    when_system(&mut w, report()).then_unchanged();
    let erasure = view::erasure(&w.reading(), w.root, id.subject()).unwrap().unwrap();
    assert_eq!(erasure.destroyed, Some(w.now));
}

#[test]
fn retention_erases_what_is_over_for_long_enough_and_nothing_else() {
    let mut w = World::new();
    let (old, held, working) = (ada(&mut w), w.agent("held"), w.agent("working"));
    let mission = mission_of(&mut w, working);
    w.when(revoke(old)).then_decided();
    w.when(revoke(held)).then_decided();
    w.when(hold(held.subject(), "m")).then_decided();
    let all = || ApplyRetention {
        subjects: vec![old.subject(), old.subject(), held.subject(), working.subject(), mission.subject()],
        months: Vec::new(),
    };
    w.advance_secs(40 * DAY);
    when_system(&mut w, all()).then_unchanged();
    w.when(retain(json!({ "agents_days": 41, "missions_days": 1 }))).then(&[Kind::PolicyChanged]);
    when_system(&mut w, all()).then_unchanged();
    w.advance_secs(DAY);
    let events = when_system(&mut w, all()).then(&[Kind::SubjectErased]);
    let erased = the!(&events, SubjectErased);
    assert_eq!((erased.subject, erased.policy), (old.subject(), Some(1)));
    w.when(complete(mission)).then_decided();
    w.advance_secs(DAY);
    assert_eq!(the!(&when_system(&mut w, all()).then_decided(), SubjectErased).subject, mission.subject());
    w.when(lift(held.subject(), "m")).then_decided();
    assert_eq!(the!(&when_system(&mut w, all()).then_decided(), SubjectErased).subject, held.subject());
    when_system(&mut w, all()).then_unchanged();
    for bad in [json!({ "agents_days": 0 }), json!({ "years": 1 }), json!({ "origins_days": 36_526 })] {
        match w.when(retain(bad)).answer {
            chancery_projections::decision::Answer::Refused(Rejection::PolicyInvalid { .. }) => {}
            answer => panic!("{answer:?}"),
        }
    }
}

#[test]
fn addresses_of_a_month_are_erased_by_the_month() {
    let mut w = World::new();
    let nobody = Actor { principal: Principal::Anonymous, method: Method::None, credential: None, acting_in: None };
    let key = origin::owner(&nobody.principal, w.root, w.now);
    assert_eq!(key, origin::owner(&Principal::Tenant(w.root), w.root, w.now));
    let month = origin::month_of(w.now);
    let end = origin::end_of_month(month).unwrap();
    assert_eq!(origin::month_of(Micros(end.0 - 1)), month);
    assert_eq!(origin::month_of(end), month + 1);
    w.when(retain(json!({ "origins_days": 1 }))).then_decided();
    let apply = || ApplyRetention { subjects: Vec::new(), months: vec![month, month, month + 1] };
    w.now = Micros(end.plus_secs(DAY).0 - 1);
    when_system(&mut w, apply()).then_unchanged();
    w.now = end.plus_secs(DAY);
    w.when(hold(w.root.subject(), "all")).then_decided();
    when_system(&mut w, apply()).then_unchanged();
    w.when(lift(w.root.subject(), "all")).then_decided();
    let events = when_system(&mut w, apply()).then(&[Kind::SubjectErased]);
    assert_eq!(the!(&events, SubjectErased).subject, key);
    assert!(w.keys.is_destroyed(&SecretName::Data(key)).unwrap());
}
