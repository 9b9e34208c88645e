//! `chancery verify` on whole logs, and what it says to people and to programs.

use std::fs;

use serde_json::{Value, json};

use crate::world::{World, chancery};

#[test]
fn a_whole_log_is_whole_in_words_and_in_json() {
    let world = World::new();
    for log in [["--data-dir", &world.data()], ["--export", &world.export()]] {
        let ran = chancery(&["verify", log[0], log[1]]).is(0);
        let (first, last) = (ran.out.lines().next().unwrap(), ran.out.lines().last().unwrap());
        let (events, seals) = (world.size(), world.ends.len());
        assert_eq!(first, format!("log of chancery.test/tools: {events} events, {seals} seals"));
        assert_eq!(last, "WHOLE");
        assert!(!ran.out.contains("NO"), "{}", ran.out);
        assert_eq!(ran.err, "", "no progress is drawn where nobody looks");

        let verdict = chancery(&["verify", log[0], log[1], "--json"]).is(0).json();
        let keys: Vec<_> = verdict["keys"].as_array().unwrap().iter().map(|key| &key["from_size"]).collect();
        assert_eq!(keys, [1, world.rotated + 2]);
        let expected = json!({
            "whole": true, "origin": "chancery.test/tools", "events": events, "seals": seals, "size": events,
            "root": verdict["root"], "trust": "self", "keys": verdict["keys"],
            "checks": {
                "events_authentic": "yes", "chain_whole": "yes", "tree_consistent": "yes", "keys_consistent": "yes",
            },
            "bodies": { "intact": events, "withheld": 0, "unknown": 0 },
            "agent_signatures": { "checked": 0, "unchecked": 0 },
            "timestamps": { "verified": 0, "unverified": 0, "newest": null },
            "truncation_excluded_to": null, "witnesses": "unwitnessed", "witnessed_size": null, "cosigned_by": [],
            "diverged": false,
            "first_broken": null, "findings": [], "findings_total": 0,
        });
        assert_eq!(verdict, expected);
    }
}

#[test]
fn the_key_of_the_log_is_accepted_and_another_is_not() {
    let world = World::new();
    let data = world.data();
    let keys = chancery(&["inspect", "--data-dir", &data, "keys"]).is(0).lines();
    assert_eq!(keys.len(), 2);
    for key in &keys {
        let key = key["verifier_key"].as_str().unwrap();
        let verdict = chancery(&["verify", "--data-dir", &data, "--key", key, "--json"]).is(0).json();
        assert_eq!(verdict["trust"], "given");
    }
    // The C2SP example's key, and one whose id was changed.
    let other = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    let ran = chancery(&["verify", "--data-dir", &data, "--key", other]).is(1);
    assert!(ran.out.ends_with("NOT WHOLE: first broken at event 0 (key)\n"), "{}", ran.out);
    chancery(&["verify", "--data-dir", &data, "--key", &other.replace("c74f", "c74e")]).is(2).complains("--key: ");
}

#[test]
fn a_head_that_was_kept_excludes_a_cut_up_to_it() {
    let world = World::new();
    let head = world.path("head");
    let seal = chancery(&["inspect", "--data-dir", &world.data(), "seal", "0"]).is(0).out;
    fs::write(&head, seal).unwrap();
    let verdict = chancery(&["verify", "--export", &world.export(), "--head", &head, "--json"]).is(0).json();
    assert_eq!(verdict["truncation_excluded_to"], world.ends[0]);

    // The root of another log, by the same key: two heads that cannot both be true. Its signature does not hold.
    fs::write(&head, fs::read_to_string(&head).unwrap().replace("chancery.test/tools\n", "chancery.test/other\n"))
        .unwrap();
    let verdict = chancery(&["verify", "--export", &world.export(), "--head", &head, "--json"]).is(1).json();
    assert_eq!(verdict["first_broken"]["reason"], "head");

    fs::write(&head, "not a checkpoint").unwrap();
    chancery(&["verify", "--export", &world.export(), "--head", &head]).is(2).complains("is no checkpoint");
}

#[test]
fn a_cut_or_a_scratched_export_is_not_whole() {
    let world = World::new();
    let bytes = fs::read(world.export()).unwrap();
    let damaged = world.path("damaged.export");
    let verdict = |bytes: &[u8]| -> Value {
        fs::write(&damaged, bytes).unwrap();
        chancery(&["verify", "--export", &damaged, "--json"]).is(1).json()["first_broken"].clone()
    };
    let middle = verdict(&bytes[..bytes.len() / 2]);
    assert_eq!(middle["reason"], "container");
    let seq = middle["seq"].as_u64().unwrap();
    assert!(seq > 0 && seq < world.size());
    let end = verdict(&bytes[..bytes.len() - 1]);
    assert_eq!((&end["seq"], &end["reason"]), (&world.size().into(), &"container".into()));
    assert_eq!(verdict(b"something else")["reason"], "container");
    assert_eq!(verdict(b"")["reason"], "container");
    let mut scratched = bytes.clone();
    // Magic, frame, header's length, then 20 bytes into the header of event 0: its tenant.
    scratched[18 + 5 + 4 + 20] ^= 1;
    assert_eq!((&verdict(&scratched)["seq"], &verdict(&scratched)["reason"]), (&1.into(), &"link".into()));
}

#[test]
fn a_verdict_stands_though_nobody_reads_it() {
    use std::process::Stdio;

    use crate::world::{process, program};

    let world = World::new();
    let damaged = world.path("damaged.export");
    fs::write(&damaged, "chancery export 1\n").unwrap();
    for (export, code) in [(&world.export(), 0), (&damaged, 1)] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut verify = process(program(), &["verify", "--export", export]);
        let status = verify.stdout(writer).stderr(Stdio::null()).status().unwrap();
        assert_eq!(status.code(), Some(code));
    }
}
