//! One command: its receipt, its refusals, once, and only if.

use serde_json::json;

use crate::support::{FIRST_AGENTS, Home};

#[test]
fn a_command_is_answered_with_its_receipt_and_its_result() {
    let home = Home::new();
    let daemon = home.start();
    let answer =
        daemon.command("RegisterAgent", json!({"name": "ada", "key": "make", "profile": {"email": "ada@example.org"}}));
    let answer = answer.ok();
    let events = answer["receipt"]["events"].as_array().unwrap();
    let kinds: Vec<_> = events.iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["AgentRegistered", "AgentKeyAdded", "CertificateIssued"]);
    let last = events.last().unwrap()["seq"].as_u64().unwrap();
    assert!(answer["receipt"]["size"].as_u64().unwrap() > last);
    assert_eq!(answer["receipt"]["replayed"], false);
    assert_eq!(answer["result"]["agent"]["profile"]["email"], "ada@example.org");
    assert!(answer["result"]["shown_once"]["private_key_pem"].as_str().unwrap().contains("PRIVATE KEY"));

    // What was answered is read at once, by every way there is.
    let id = answer["result"]["agent"]["id"].as_str().unwrap();
    let agent = daemon.get(&format!("/v1/identity/agents/{id}"));
    assert_eq!(agent.ok()["usable"], true);
    let event = daemon.get(&format!("/v1/events/{}", events[0]["seq"])).ok();
    assert_eq!(event["hash"], events[0]["hash"]);
    assert_eq!(event["body"]["name"], "ada");
}

#[test]
fn a_receipt_holds_proofs_when_asked() {
    let home = Home::new();
    let daemon = home.start();
    let body = json!({"command": "RegisterAgent", "params": {"name": "ada"}}).to_string();
    let answer = daemon.send("POST", "/v1/commands?proof=true", &[], body.as_bytes()).ok();
    let seq = answer["receipt"]["events"][0]["seq"].as_u64().unwrap();
    let proof = answer["receipt"]["proofs"][0].as_str().unwrap();
    assert!(proof.starts_with(&format!("c2sp.org/tlog-proof@v1\nindex {seq}\n")), "{proof}");
    let alone = daemon.get(&format!("/v1/events/{seq}/proof"));
    assert_eq!(alone.text, proof);
    assert_eq!(alone.header("content-type"), Some("text/plain; charset=utf-8"));

    // It verifies with what the ledger says of itself.
    let proof = chancery_ledger::tree::tlog_proof::TlogProof::parse(proof.as_bytes()).unwrap();
    let ledger = daemon.get("/v1/identity/ledger").ok();
    let public = hex::decode(ledger["sealing_key"]["public"].as_str().unwrap()).unwrap();
    let public = chancery_ledger::keys::PublicKey::from_slice(&public).unwrap();
    proof.seal.verify(&public).unwrap();
    assert_eq!(proof.seal.checkpoint().origin, ledger["origin"]);
    let newest = daemon.get("/checkpoint");
    assert!(newest.text.starts_with(ledger["origin"].as_str().unwrap()));
}

#[test]
fn a_command_under_an_idempotency_key_happens_once_also_across_a_restart() {
    let home = Home::new();
    let daemon = home.start();
    let ask = |client: &crate::support::Client, name: &str| {
        client.command_with("RegisterAgent", json!({"name": name, "key": "make"}), &[("idempotency-key", "order 66")])
    };
    let first = ask(&daemon, "ada").ok();
    let again = ask(&daemon, "ada").ok();
    assert_eq!(again["receipt"]["replayed"], true);
    assert_eq!(again["result"]["agent"], first["result"]["agent"]);
    assert_eq!(again["receipt"]["events"], first["receipt"]["events"]);
    assert!(again["result"]["shown_once"]["private_key_pem"].is_null(), "what was shown once is gone");
    let original = first["receipt"]["events"][0]["seq"].clone();
    assert_eq!(ask(&daemon, "bob").problem(422, "idempotency_conflict")["original"], original);
    daemon.kill();

    let daemon = home.start();
    assert_eq!(ask(&daemon, "ada").ok()["receipt"]["events"], first["receipt"]["events"]);
    assert_eq!(daemon.get("/v1/identity/agents").ok()["items"].as_array().unwrap().len(), 1 + FIRST_AGENTS);
    let long = "x".repeat(256);
    daemon
        .command_with("RegisterAgent", json!({"name": "c"}), &[("idempotency-key", &long)])
        .problem(400, "parameter_invalid");
}

#[test]
fn if_match_refuses_what_was_changed_since() {
    let home = Home::new();
    let daemon = home.start();
    let id = daemon.register("ada");
    let tag = daemon.get(&format!("/v1/identity/agents/{id}")).header("etag").unwrap().to_owned();
    daemon.command_with("SuspendAgent", json!({"agent": id}), &[("if-match", &tag)]).ok();
    let refused = daemon.command_with("ResumeAgent", json!({"agent": id}), &[("if-match", &tag)]);
    assert_eq!(format!("\"{}\"", refused.problem(412, "conflict")["expected"]), tag);
    assert_eq!(daemon.get(&format!("/v1/identity/agents/{id}")).ok()["status"], "suspended");
    for bad in ["*", "1", "\"x\"", "W/\"1\""] {
        daemon
            .command_with("ResumeAgent", json!({"agent": id}), &[("if-match", bad)])
            .problem(400, "parameter_invalid");
    }
    daemon.command_with("RegisterAgent", json!({"name": "b"}), &[("if-match", "\"1\"")]).problem(422, "invalid");
}

#[test]
fn what_is_so_already_is_accepted_without_an_event() {
    let home = Home::new();
    let daemon = home.start();
    let id = daemon.register("ada");
    daemon.command("SuspendAgent", json!({"agent": id})).ok();
    let again = daemon.command("SuspendAgent", json!({"agent": id})).ok();
    assert_eq!(again["receipt"]["events"], json!([]));
    assert_eq!(again["result"]["agent"]["status"], "suspended");
}

#[test]
fn a_refusal_says_what_to_do() {
    let home = Home::new();
    let daemon = home.start();
    let id = daemon.register("ada");
    daemon.command("DecommissionAgent", json!({"agent": id})).ok();
    daemon.command("ResumeAgent", json!({"agent": id})).problem(409, "agent_decommissioned");
    let refused = daemon.command("RegisterAgent", json!({"name": ""}));
    assert_eq!(refused.problem(422, "invalid")["field"], "name");
    let refused = daemon.command("RegisterAgent", json!({"name": "x", "profile": {"mail": 1}}));
    assert_eq!(refused.problem(400, "malformed")["path"], "params.profile.mail");
    daemon.command("Dance", json!({})).problem(400, "malformed");
    daemon
        .command("NoteAuthentication", json!({"mount": "native", "credential": null, "why": "x", "count": 1}))
        .problem(400, "malformed");
    let other_type = daemon.send("POST", "/v1/commands", &[("content-type", "text/plain")], b"{}");
    other_type.problem(415, "media_type_unsupported");
}

#[test]
fn the_sealing_key_rotates_while_running_and_old_proofs_stay_good() {
    let home = Home::new();
    let daemon = home.start();
    let key = |client: &crate::support::Client| {
        let ledger = client.get("/v1/identity/ledger").ok();
        let public = hex::decode(ledger["sealing_key"]["public"].as_str().unwrap()).unwrap();
        chancery_ledger::keys::PublicKey::from_slice(&public).unwrap()
    };
    let old = key(&daemon);
    let before = daemon.get("/checkpoint").text;
    let rotated = daemon.command("RotateSigningKey", json!({})).ok();
    let new = key(&daemon);
    assert_eq!(rotated["result"]["sealing_key"]["public"], hex::encode(new.as_bytes()));
    assert_ne!(old.as_bytes(), new.as_bytes());
    daemon.register("ada");
    let seal = |text: &str| chancery_ledger::tree::seal::Seal::parse(text.as_bytes()).unwrap();
    seal(&before).verify(&old).unwrap();
    let after = seal(&daemon.get("/checkpoint").text);
    after.verify(&new).unwrap();
    assert!(after.verify(&old).is_err(), "a rotated-out key seals nothing new");
    let (_, lesser) = daemon.new_key(&["agents:list"], &["native"]);
    lesser.command("RotateSigningKey", json!({})).problem(403, "scope_missing");
    assert_eq!(std::fs::read_dir(home.path("data/keys")).unwrap().count(), 2, "a refused rotation makes no key");
    daemon.kill();
    let daemon = home.start();
    daemon.register("bob");
}

#[test]
fn the_whole_log_is_exported_while_the_daemon_runs() {
    use chancery_ledger::export::ExportReader;
    use chancery_ledger::verify::{Known, Trust, verify};

    let home = Home::new();
    let daemon = home.start();
    (0..10).for_each(|n| drop(daemon.register(&format!("a{n}"))));
    let keys = daemon.get("/v1/identity/keys?of=ledger&order=ascending").ok();
    let key = keys["items"][0]["verifier_key"].as_str().unwrap().parse().unwrap();
    let known = Known { key: Some((key, Trust::Given)), ..Known::default() };
    let events = daemon.get("/v1/views").ok()["events"].as_u64().unwrap();
    for path in ["/v1/ledger/export", "/v1/ledger/export?bodies=false"] {
        let export = daemon.get(path);
        assert_eq!(export.header("content-type"), Some("application/octet-stream"));
        let report = verify(ExportReader::new(&export.bytes[..]), &known, |_| {}).unwrap();
        assert!(report.whole, "{report:?}");
        assert_eq!(report.events, events);
        assert_eq!(report.bodies.withheld > 0, path.ends_with("false"));
    }
    let (_, acme) = daemon.new_tenant("acme");
    acme.get("/v1/ledger/export").problem(403, "scope_missing");
    daemon.entering("acme").get("/v1/ledger/export").problem(403, "not_root");
}
