//! Events as readers see them.

use chancery_ledger::body::{Body, Kind, Prelude};
use chancery_ledger::event::Event;
use chancery_ledger::ids::Seq;
use chancery_ledger::ids::ThingId;
use chancery_ledger::keystore::SecretName;
use chancery_ledger::link::Hash;
use chancery_projections::command::*;
use chancery_projections::context::{Context, Opener};
use chancery_projections::event_view::{EventView, render};
use chancery_projections::origin::{self, Origin};
use serde_json::{Value, json};

use crate::world::*;

/// The bodies of every kind and version, with everything that is optional present.
const GOLDEN: &str = include_str!("../../../ledger/tests/golden/bodies.txt");

fn shown(w: &World, event: &Event) -> EventView {
    let envelope = event.envelope(Hash([1; 32]), Hash([2; 32]));
    render(event.clone(), &envelope, Hash([3; 32]), &Opener::new(&w.keys)).unwrap()
}

fn body(view: &EventView) -> Value {
    serde_json::to_value(&view.body).unwrap()
}

/// Wherever in a JSON value an encrypted field lies.
fn ciphertexts(value: &Value) -> usize {
    match value {
        Value::Object(members) => {
            usize::from(members.contains_key("ciphertext")) + members.values().map(ciphertexts).sum::<usize>()
        }
        Value::Array(items) => items.iter().map(ciphertexts).sum(),
        _ => 0,
    }
}

#[test]
fn every_encrypted_field_of_every_kind_is_opened() {
    let w = World::new();
    let mut seen = 0;
    for line in GOLDEN.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let (kind, version) = (fields[0].parse().unwrap(), fields[1].parse().unwrap());
        let (_, body) = Body::decode(kind, version, &hex::decode(fields[3]).unwrap()).unwrap();
        let mut event = w.events[0].clone();
        let encrypted = ciphertexts(&serde_json::to_value(&body).unwrap());
        (event.subjects, event.body) = (body.subjects(), body);
        // Their keys are not in this world's keystore, so all of them are erased: `null`, and never a ciphertext.
        let view = shown(&w, &event);
        let after = serde_json::to_value(&view).unwrap();
        assert_eq!(ciphertexts(&after), 0, "{}: {after}", fields[2]);
        let nulls = view.body.0.values().filter(|value| value.get() == "null").count();
        assert!(nulls >= encrypted, "{}", fields[2]);
        seen += encrypted;
    }
    assert_eq!(GOLDEN.lines().count(), Kind::ALL.len());
    assert_eq!(seen, 24, "encrypted fields there are");
}

#[test]
fn facts_are_shown_as_they_were_decided() {
    let mut w = World::new();
    let profile = AgentProfile { email: Some("ada@example.org".into()), ..AgentProfile::default() };
    let events = w.when(RegisterAgent { profile, ..register("ada") }).then_decided();
    let ada = registered(&events);
    let view = shown(&w, &events[0]);
    assert_eq!((view.kind, view.version, view.tenant), ("AgentRegistered", 1, Some(w.root)));
    assert_eq!((view.hash, view.prev, view.body_hash), (Hash([3; 32]), Hash([1; 32]), Hash([2; 32])));
    assert_eq!(body(&view)["personal"]["email"], "ada@example.org");
    assert_eq!(body(&view)["agent"], ada.to_string());
    let key = body(&shown(&w, &events[1]));
    assert_eq!(key["public"].as_str().unwrap().len(), 64, "bytes are hexadecimal");
    let certificate = body(&shown(&w, &events[2]));
    assert_eq!(
        (&certificate["issued_by"], &certificate["issued"]),
        (&json!("root"), &json!("2026-01-02T03:04:05.000000Z"))
    );

    let events = w.when(issue(ada, w.now)).then_decided();
    let token = body(&shown(&w, &events[1]));
    assert_eq!(token["terms"]["bounds"][0]["name"], "amount");
    assert_eq!(token["expires"], "2026-01-02T04:04:05.000000Z");
    let id = issued(&events);
    let events = w.when(check(id, "read_invoice", r#"{"amount":1.0,"n":18446744073709551616}"#)).then_decided();
    let view = shown(&w, &events[0]);
    assert_eq!(
        view.body.0["params"].get(),
        r#"{"amount":1.0,"n":18446744073709551616}"#,
        "numbers keep their spelling"
    );
    let events = w.when(SuspendAgent { agent: ada, reason: Some("odd".into()) }).then_decided();
    assert_eq!(body(&shown(&w, &events[0]))["reason"], "odd");
    let events = w.when(ResumeAgent { agent: ada, reason: Some("fine".into()) }).then_decided();
    assert_eq!(body(&shown(&w, &events[0]))["reason"], "fine");
    let events = w.when(revoke_token(id)).then_decided();
    assert_eq!(body(&shown(&w, &events[0]))["reason"], "done");
    let events = w.when(revoke(ada)).then_decided();
    assert_eq!(body(&shown(&w, &events[0]))["personal"], json!({"by": "ops", "reason": "gone"}));
    let opened = OpenMission { intent: Some("why".into()), ..open_mission() };
    let events = w.when(opened).then_decided();
    assert_eq!(body(&shown(&w, &events[0]))["terms"]["intent"], "why");
    let mission = crate::the!(&events, MissionOpened).mission;
    let events = w.when(complete(mission)).then_decided();
    assert_eq!(body(&shown(&w, &events[0]))["end"]["output"], "42");
    let events = w.when(open_chain("msn_test000009")).then_decided();
    assert_eq!(body(&shown(&w, &events[2]))["data"], json!({"initialized_at": "2026-01-02T03:04:05+00:00"}));

    w.keys.destroy(SecretName::Data(ada.subject()));
    for event in w.events.clone() {
        let view = serde_json::to_value(shown(&w, &event)).unwrap();
        assert!(!view.to_string().contains("ada@example.org"));
        assert_eq!(ciphertexts(&view), 0);
    }
    // The ledger's own events are no tenant's.
    assert_eq!(shown(&w, &w.events[0]).tenant, None);
}

#[test]
fn where_a_request_came_from_is_shown_until_it_is_erased() {
    let mut w = World::new();
    let event = w.when(register("ada")).then_decided().remove(0);
    let from = Origin { ip: "192.0.2.7".into(), user_agent: Some("curl".into()) };
    let owner = origin::owner(&event.actor.principal, w.root, w.now);
    let caller = w.owner.clone();
    let mut ctx = Context::new(w.now, w.root, &caller, &mut w.random, &w.keys);
    let value = ctx.encrypt(event.body.kind(), origin::FIELD, owner, &from).unwrap();
    let made = ctx.into_new_secrets();
    w.keys.put(made);
    let event = Event { seq: Seq(9), prelude: Prelude { origin: Some(value), due: None }, ..event };
    assert_eq!(shown(&w, &event).origin, Some(from));
    w.keys.destroy(SecretName::Data(owner));
    assert_eq!(shown(&w, &event).origin, None);
}
