//! Who is let in, and what of others is seen: nothing.

use serde_json::json;

use crate::support::{Answer, Home};

#[test]
fn nothing_but_health_and_a_witness_is_to_be_had_without_a_key() {
    let home = Home::new();
    let daemon = home.start();
    let nobody = daemon.with_key("");
    let paths = daemon.get("/openapi.json").ok()["paths"].as_object().unwrap().clone();
    assert!(paths.len() > 25);
    for (path, item) in paths {
        for method in item.as_object().unwrap().keys() {
            let path = path.replace("{seq}", "0").replace("{view}", "identity").replace(['{', '}'], "");
            let answer = nobody.send(&method.to_uppercase(), &path, &[], b"");
            if path == "/livez" || path == "/readyz" {
                assert_eq!(answer.status, 200);
            } else if path.starts_with("/witness/") {
                // Logs that ask for cosignatures have no credential: what they send is signed (C2SP tlog-witness). None is known.
                assert!([400, 404].contains(&answer.status), "{path} answered {}", answer.status);
            } else {
                answer.problem(401, "unauthenticated");
                assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"chancery\""));
            }
        }
    }
}

/// What a caller can tell of a refusal: all but the request's id.
fn shape(answer: &Answer) -> (u16, Vec<String>, serde_json::Value) {
    let mut problem = answer.json();
    problem.as_object_mut().unwrap().remove("request_id");
    (answer.status, answer.headers.iter().map(|(name, _)| name.clone()).collect(), problem)
}

#[test]
fn every_failure_has_the_same_shape() {
    let home = Home::new();
    let daemon = home.start();
    let (revoked_id, revoked) = daemon.new_key(&["agents:list"], &["native"]);
    daemon.command("RevokeApiKey", json!({"credential": revoked_id})).ok();
    let (_, elsewhere) = daemon.new_key(&["agents:list"], &["orgkernel"]);
    let wanted = shape(&daemon.with_key("chy_nonsense").get("/v1/identity/agents"));
    assert_eq!(wanted.0, 401);
    for key in [&revoked.key, &elsewhere.key, "x", ""] {
        assert_eq!(shape(&daemon.with_key(key).get("/v1/identity/agents")), wanted, "{key}");
    }
    let twice = daemon.send("GET", "/v1/identity/agents", &[("x-api-key", &daemon.key)], b"");
    assert_eq!(shape(&twice), wanted, "a key in two places");
    let in_its_own_field = daemon.with_key("").send("GET", "/v1/identity/agents", &[("x-api-key", &daemon.key)], b"");
    assert_eq!(in_its_own_field.status, 200);
}

#[test]
fn a_key_works_from_its_creation_to_its_revocation_and_for_its_scopes_alone() {
    let home = Home::new();
    let daemon = home.start();
    for _ in 0..20 {
        let (id, key) = daemon.new_key(&["agents:list"], &["native"]);
        assert_eq!(key.get("/v1/identity/agents").status, 200);
        assert_eq!(key.get("/v1/token/tokens").problem(403, "scope_missing")["scope"], "tokens:list");
        key.command("RegisterAgent", json!({"name": "x"})).problem(403, "scope_missing");
        daemon.command("RevokeApiKey", json!({"credential": id})).ok();
        key.get("/v1/identity/agents").problem(401, "unauthenticated");
    }
    let asked = json!({"name": "more", "scopes": ["agents:read"], "audience": ["native"]});
    let (_, key) = daemon.new_key(&["api_keys:create"], &["native"]);
    key.command("CreateApiKey", asked).problem(403, "scope_not_held");
}

#[test]
fn refused_log_ins_become_events_ten_singly_and_one_count() {
    let home = Home::new();
    let daemon = home.start();
    let (_, elsewhere) = daemon.new_key(&["agents:list"], &["orgkernel"]);
    let mut events = daemon.stream("/v1/events/stream?kind=AuthenticationFailed", None);
    for _ in 0..15 {
        daemon.with_key("chy_nonsense").get("/v1/views").problem(401, "unauthenticated");
    }
    elsewhere.get("/v1/views").problem(401, "unauthenticated");
    for _ in 0..10 {
        let (_, _, event) = events.next().unwrap();
        assert_eq!(event["body"]["why"], "unknown");
        assert_eq!(event["body"]["count"], 1);
        assert_eq!(event["actor"]["principal"]["kind"], "system");
    }
    // The rest is noted as one count, at the latest when the daemon stops.
    daemon.stop();
    let daemon = home.start();
    let noted = daemon.get("/v1/events?kind=AuthenticationFailed").ok();
    let counts: Vec<_> =
        noted["items"].as_array().unwrap().iter().map(|event| event["body"]["count"].clone()).collect();
    assert_eq!(counts, [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 6]);
}

#[test]
fn a_tenant_sees_and_changes_nothing_of_another() {
    let home = Home::new();
    let root = home.start();
    let (acme_id, acme) = root.new_tenant("acme");
    let (_, other) = root.new_tenant("other");
    let agent = acme.register("ada");
    assert_eq!(acme.get("/v1/identity/agents").ok()["items"].as_array().unwrap().len(), 1);
    let event = acme.get("/v1/events?kind=AgentRegistered").ok()["items"][0]["seq"].as_u64().unwrap();

    for (stranger, own) in [(&other, 0), (&root.client, 1)] {
        assert_eq!(stranger.get("/v1/identity/agents").ok()["items"].as_array().unwrap().len(), own);
        // An id of another tenant answers as one that does not exist.
        let theirs = stranger.get(&format!("/v1/identity/agents/{agent}"));
        let none = stranger.get("/v1/identity/agents/01932c07-209c-7c3a-9f1e-5b6d7e8f9a0b");
        assert_eq!(shape(&theirs), shape(&none));
        let theirs = stranger.command("SuspendAgent", json!({"agent": agent}));
        let none = stranger.command("SuspendAgent", json!({"agent": "01932c07-209c-7c3a-9f1e-5b6d7e8f9a0b"}));
        assert_eq!(shape(&theirs), shape(&none));
        assert_eq!(theirs.status, 404);
    }
    other.get(&format!("/v1/events/{event}")).problem(404, "not_found");
    other.get(&format!("/v1/events/{event}/proof")).problem(404, "not_found");
    other.get("/v1/events/0").problem(404, "not_found");
    assert_eq!(other.get(&format!("/v1/events?subject=agent:{agent}")).ok()["items"], json!([]));
    assert_eq!(other.get(&format!("/v1/events?tenant={acme_id}")).ok()["items"], json!([]));
    for path in ["/v1/identity/tenants", "/v1/views/identity/digest"] {
        other.get(path).problem(403, "scope_missing");
    }
    other.get("/metrics").problem(403, "not_root");
    other.entering("acme").get("/v1/identity/agents").problem(404, "not_found");
    other.entering("nobody").get("/v1/identity/agents").problem(404, "not_found");

    // The root tenant enters on purpose, and the events say so.
    let entered = root.entering("acme");
    assert_eq!(entered.get(&format!("/v1/identity/agents/{agent}")).ok()["name"], "ada");
    entered.command("SuspendAgent", json!({"agent": agent})).ok();
    let suspended = acme.get("/v1/events?kind=AgentSuspended").ok();
    assert_eq!(suspended["items"][0]["actor"]["acting_in"], acme_id.as_str());
    assert_eq!(root.entering(&acme_id).get("/v1/identity/agents").ok()["items"].as_array().unwrap().len(), 1);
    root.entering("nobody").get("/v1/identity/agents").problem(404, "not_found");
}

#[test]
fn a_suspended_tenant_is_told_so_and_does_nothing() {
    let home = Home::new();
    let root = home.start();
    let (id, acme) = root.new_tenant("acme");
    root.command("SuspendTenant", json!({"tenant": id})).ok();
    acme.get("/v1/identity/agents").problem(403, "tenant_suspended");
    acme.command("RegisterAgent", json!({"name": "x"})).problem(403, "tenant_suspended");
    root.command("ResumeTenant", json!({"tenant": id})).ok();
    acme.register("x");
}
