//! Missions: DOMAIN sections 1 and 3.5.

use chancery_ledger::body::Kind;
use chancery_ledger::ids::{MissionId, uuid_v7};
use chancery_projections::command::*;
use chancery_projections::execution::state::MissionState;
use chancery_projections::execution::view::{MissionFilter, mission, mission_by_key, missions};
use chancery_projections::lane::orgkernel;
use chancery_projections::rejection::Rejection;
use chancery_projections::view::Paging;

use crate::the;
use crate::world::*;

fn key(text: &str) -> Option<MissionKey> {
    Some(MissionKey { namespace: "native".into(), text: text.into() })
}

#[test]
fn a_mission_is_opened_and_ends_once() {
    let mut w = World::new();
    let ada = w.agent("ada");
    let command = OpenMission {
        agent: Some(ada),
        key: key("q1"),
        intent: Some("close the books".into()),
        services: vec!["erp".into()],
        limits: [("calls".to_owned(), 10)].into(),
    };
    let id = the!(&w.when(command).then(&[Kind::MissionOpened]), MissionOpened).mission;
    let shown = mission(&w.reading(), w.root, id).unwrap().unwrap();
    assert_eq!((shown.state, shown.implicit, shown.agent), (MissionState::Open, false, Some(ada)));
    assert_eq!(shown.intent.as_deref(), Some("close the books"));
    w.advance_secs(1);
    w.when(complete(id)).then(&[Kind::MissionCompleted]);
    // The earlier state is the answer to a repetition, of either kind.
    w.when(RevokeMission { mission: id, notes: Some("late".into()) }).then_unchanged();
    w.when(complete(id)).then_unchanged();
    let shown = mission(&w.reading(), w.root, id).unwrap().unwrap();
    assert_eq!((shown.state, shown.ended), (MissionState::Completed, Some(w.now)));
    assert_eq!((shown.output.as_deref(), shown.notes), (Some("42"), None));
}

#[test]
fn a_mission_s_name_is_taken_once_in_its_namespace() {
    let mut w = World::new();
    let named = |text: &str| OpenMission { key: key(text), ..open_mission() };
    let first = the!(&w.when(named("q1")).then_decided(), MissionOpened).mission;
    w.when(named("q1")).then_rejected(Rejection::MissionExists);
    w.when(complete(first)).then_decided();
    w.when(named("q1")).then_rejected(Rejection::MissionExists);
    let elsewhere = MissionKey { namespace: "orgkernel".into(), text: "q1".into() };
    w.when(OpenMission { key: Some(elsewhere), ..open_mission() }).then_decided();
    w.when_second(named("q1")).then_decided();
    // No name shadows an id: what spells the id of a mission is that mission.
    for spelling in [first.to_string(), orgkernel::ids::render_mission(first)] {
        w.when(named(&spelling)).then_rejected(Rejection::MissionExists);
        let found = mission_by_key(&w.reading(), w.root, "native", &spelling).unwrap().unwrap();
        assert_eq!(found.id, first);
        // To another tenant it is a name like any other.
        assert_eq!(mission_by_key(&w.reading(), w.second, "native", &spelling).unwrap(), None);
        w.when_second(named(&spelling)).then_decided();
    }
}

#[test]
fn a_mission_s_fields_are_checked() {
    let mut w = World::new();
    let many = |n: usize| (0..n).map(|n| n.to_string());
    let cases: Vec<(&str, OpenMission)> = vec![
        ("intent", OpenMission { intent: Some("x".repeat(4097)), ..open_mission() }),
        ("services", OpenMission { services: many(65).collect(), ..open_mission() }),
        ("services", OpenMission { services: vec![String::new()], ..open_mission() }),
        ("services", OpenMission { limits: many(65).map(|name| (name, 1)).collect(), ..open_mission() }),
        ("limits", OpenMission { limits: [(String::new(), 1)].into(), ..open_mission() }),
        ("key.text", OpenMission { key: key(""), ..open_mission() }),
        ("key.text", OpenMission { key: key(&"x".repeat(129)), ..open_mission() }),
    ];
    for (field, command) in cases {
        w.when(command).then_invalid(field);
    }
    let ada = w.agent("ada");
    w.when(suspend(ada)).then_decided();
    let why = Rejection::AgentNotUsable { why: "suspended" };
    w.when(OpenMission { agent: Some(ada), ..open_mission() }).then_rejected(why);
    let nothing = MissionId(uuid_v7(1, [1; 10]));
    w.when(complete(nothing)).then_rejected(Rejection::NotFound { thing: "mission" });
    let own = the!(&w.when(open_mission()).then_decided(), MissionOpened).mission;
    w.when_second(complete(own)).then_rejected(Rejection::NotFound { thing: "mission" });
    w.when(CompleteMission { mission: own, output: Some("x".repeat(4097)) }).then_invalid("output");
    w.when(RevokeMission { mission: own, notes: Some("x".repeat(4097)) }).then_invalid("notes");
    assert_eq!(mission(&w.reading(), w.second, own).unwrap(), None);
}

#[test]
fn missions_are_listed_by_state_and_apart_when_implicit() {
    let mut w = World::new();
    let ada = w.agent("ada");
    w.token(ada);
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(the!(&w.when(open_mission()).then_decided(), MissionOpened).mission);
    }
    w.when(complete(ids[3])).then_decided();
    w.when(complete(ids[17])).then_decided();
    w.when(RevokeMission { mission: ids[5], notes: None }).then_decided();
    let list = |implicit, state| {
        let filter = MissionFilter { implicit, state };
        let page = missions(&w.reading(), w.root, filter, &Paging::newest(100)).unwrap();
        page.items.into_iter().map(|mission| mission.id).collect::<Vec<_>>()
    };
    assert_eq!(list(false, None), ids.iter().rev().copied().collect::<Vec<_>>());
    assert_eq!(list(false, Some(MissionState::Completed)), [ids[17], ids[3]]);
    assert_eq!(list(false, Some(MissionState::Revoked)), [ids[5]]);
    assert_eq!(list(false, Some(MissionState::Open)).len(), 17);
    assert_eq!((list(true, None).len(), list(true, Some(MissionState::Open)).len()), (1, 1));
}
