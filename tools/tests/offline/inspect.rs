//! `chancery inspect`: what there is, as it is.

use chancery_ledger::tree::tlog_proof::TlogProof;
use chancery_ledger::tree::verifier_key::VerifierKey;
use serde_json::Value;

use crate::world::{World, chancery};

#[test]
fn a_summary_says_whose_log_it_is_and_how_far_it_goes() {
    let world = World::new();
    let of_data = chancery(&["inspect", "--data-dir", &world.data(), "summary"]).is(0).json();
    assert_eq!(of_data["origin"], "chancery.test/tools");
    assert_eq!(of_data["events"], world.size());
    assert_eq!(of_data["first_time"], "2026-01-02T03:04:05.000000Z");
    assert!(of_data["last_time"].as_str() > of_data["first_time"].as_str());
    assert!(of_data["bytes"].as_u64().unwrap() > 0);
    let last = chancery(&["inspect", "--data-dir", &world.data(), "seal", &(world.size() - 1).to_string()]).is(0);
    assert_eq!(of_data["checkpoint"], last.out.as_str());

    let of_export = chancery(&["inspect", "--export", &world.export(), "summary"]).is(0).json();
    for (member, value) in of_data.as_object().unwrap().iter().filter(|(member, _)| *member != "bytes") {
        assert_eq!(of_export[member], *value, "{member}");
    }
    // The options of a log may stand after what is asked, too.
    assert_eq!(chancery(&["inspect", "summary", "--export", &world.export()]).is(0).json(), of_export);
}

#[test]
fn the_keys_are_those_the_verifier_finds() {
    let world = World::new();
    let keys = chancery(&["inspect", "--export", &world.export(), "keys"]).is(0).lines();
    let verdict = chancery(&["verify", "--export", &world.export(), "--json"]).is(0).json();
    assert_eq!(keys.iter().map(|key| &key["event"]).collect::<Vec<_>>(), [0, world.rotated]);
    let without_event = |mut key: Value| {
        key.as_object_mut().unwrap().remove("event");
        key
    };
    assert_eq!(Value::Array(keys.into_iter().map(without_event).collect()), verdict["keys"]);
}

#[test]
fn events_are_shown_with_their_fields_opened_or_null() {
    let world = World::new();
    let (from, to) = (world.suspended.to_string(), world.resumed.to_string());
    let events = chancery(&["inspect", "--data-dir", &world.data(), "events", &from, &to]).is(0).lines();
    assert_eq!(events.len() as u64, world.resumed - world.suspended + 1);
    assert_eq!((&events[0]["kind"], &events[0]["body"]["reason"]), (&"AgentSuspended".into(), &"it looked odd".into()));
    let without = chancery(&["inspect", "--data-dir", &world.data(), "--without-keys", "events", &from]).is(0);
    assert_eq!((without.err.as_str(), &without.json()["body"]["reason"]), ("", &Value::Null));
    let of_export = chancery(&["inspect", "--export", &world.export(), "events", &from]).is(0);
    assert_eq!(of_export.json(), without.json());
    assert!(of_export.err.contains("every encrypted field shows as null"), "{}", of_export.err);
    let keystore = format!("{}/keystore", world.data());
    let opened = chancery(&["inspect", "--export", &world.export(), "--keystore", &keystore, "events", &from]).is(0);
    assert_eq!(opened.json(), events[0]);

    let beyond = world.size().to_string();
    chancery(&["inspect", "--data-dir", &world.data(), "events", &beyond]).is(2).complains("there is no event");
    chancery(&["inspect", "--data-dir", &world.data(), "bytes", &beyond]).is(2).complains("there is no event");
    chancery(&["inspect", "--data-dir", &world.data(), "events", "5", "4"]).is(2).complains("comes after the last");
}

#[test]
fn bytes_are_those_that_hashes_are_made_of() {
    let world = World::new();
    let seq = world.registered.to_string();
    let bytes = chancery(&["inspect", "--data-dir", &world.data(), "bytes", &seq]).is(0).json();
    let event = chancery(&["inspect", "--data-dir", &world.data(), "events", &seq]).is(0).json();
    assert_eq!((&bytes["hash"], &bytes["body_hash"]), (&event["hash"], &event["body_hash"]));
    let header = hex::decode(bytes["header"].as_str().unwrap()).unwrap();
    assert_eq!(header[1..9], world.registered.to_be_bytes());
    assert!(header.windows(32).any(|window| hex::encode(window) == bytes["body_hash"].as_str().unwrap()));
}

#[test]
fn a_proof_proves_its_event_under_the_key_of_its_commit() {
    let world = World::new();
    let keys = chancery(&["inspect", "--data-dir", &world.data(), "keys"]).is(0).lines();
    let key = |size: u64| -> VerifierKey {
        let in_force = keys.iter().rev().find(|key| key["from_size"].as_u64().unwrap() <= size).unwrap();
        in_force["verifier_key"].as_str().unwrap().parse().unwrap()
    };
    for seq in [0, 5, world.suspended, world.rotated, world.size() - 1] {
        let text = seq.to_string();
        let of_data = chancery(&["inspect", "--data-dir", &world.data(), "proof", &text]).is(0).out;
        let proof = TlogProof::parse(of_data.as_bytes()).unwrap();
        let key = key(proof.seal.checkpoint().size.0);
        let bytes = chancery(&["inspect", "--data-dir", &world.data(), "bytes", &text]).is(0).json();
        let header = hex::decode(bytes["header"].as_str().unwrap()).unwrap();
        proof.verify(&header, &key.key, &key.origin).unwrap();
        let mut other = header.clone();
        *other.last_mut().unwrap() ^= 1;
        proof.verify(&other, &key.key, &key.origin).unwrap_err();
        // An export keeps no nodes; there they are made anew.
        assert_eq!(chancery(&["inspect", "--export", &world.export(), "proof", &text]).is(0).out, of_data);
    }
    let beyond = world.size().to_string();
    chancery(&["inspect", "--data-dir", &world.data(), "proof", &beyond]).is(2).complains("no seal signs event");
}
