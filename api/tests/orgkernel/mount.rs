//! What the mount does that no single exchange shows.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::kernel::{LATER, csr, entry, kernel, mint, text};
use crate::support::{Home, read_all};

#[test]
fn every_route_wants_a_key_that_opens_this_mount() {
    let home = Home::new();
    let daemon = home.start();
    let kernel = kernel(&home, &daemon);
    let (revoked, dead) = daemon.new_key(&["agents:read"], &["orgkernel"]);
    daemon.command("RevokeApiKey", json!({"credential": revoked})).ok();
    let (_, elsewhere) = daemon.new_key(&["agents:read"], &["native"]);
    for route in chancery_api::dialect::orgkernel::ROUTES {
        let path = format!("/orgkernel{}", route.path.replace(['{', '}'], ""));
        for client in [&kernel.with_key(""), &kernel.with_key("chy_nonsense"), &dead, &elsewhere] {
            let answer = client.send(route.method, &path, &[], b"{}");
            answer.detail(401);
            assert!(answer.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer")));
        }
    }
    kernel.read("/ca").ok();
}

#[test]
fn a_key_does_what_its_scopes_allow_and_no_more() {
    let home = Home::new();
    let daemon = home.start();
    let kernel = kernel(&home, &daemon);
    let agent = text(&kernel.issue("worker")["identity"]["agent_id"]);
    let (_, reader) = daemon.new_key(&["agents:read"], &["orgkernel"]);
    reader.read(&format!("/identity/{agent}")).ok();
    reader.post("/identity/verify", &json!({"agent_id": agent})).ok();
    let refusals = [
        (reader.read("/identity/org/acme-corp"), "agents:list"),
        (reader.read("/ca"), "organisations:read"),
        (reader.post("/identity/issue", &csr("more")), "agents:register"),
        (reader.post("/identity/csr/submit", &csr("more")), "agents:register"),
        (reader.act(&format!("/identity/{agent}/suspend")), "agents:suspend"),
        (
            reader.post(&format!("/identity/{agent}/revoke"), &json!({"revoked_by": "x", "reason": "x"})),
            "agents:decommission",
        ),
        (reader.post("/token/mint", &mint(&agent, "msn_first0")), "tokens:issue"),
        (reader.read("/token/agent/aid_x"), "tokens:list"),
        (reader.post("/audit/initialize", &json!({"agent_id": agent, "mission_id": "msn_first0"})), "audit:append"),
        (reader.read("/audit/ac_x"), "audit:read"),
        (reader.read("/audit/ac_x/verify"), "audit:verify"),
    ];
    for (answer, scope) in refusals {
        let detail = text(&answer.detail(403));
        assert!(detail.contains(scope), "{detail}");
    }
    assert_eq!(kernel.read(&format!("/identity/{agent}")).ok()["status"], "ACTIVE");
}

#[test]
fn a_restart_changes_nothing_that_can_be_read() {
    let home = Home::new();
    let daemon = home.start();
    let kernel_1 = kernel(&home, &daemon);
    let agent = text(&kernel_1.issue("worker")["identity"]["agent_id"]);
    let gone = text(&kernel_1.issue("gone")["identity"]["agent_id"]);
    kernel_1.post(&format!("/identity/{gone}/revoke"), &json!({"revoked_by": "ops", "reason": "lost"})).ok();
    let token = text(&kernel_1.mint(&agent, "msn_first0")["token_id"]);
    let chain = kernel_1.initialize(&agent, "msn_first0");
    kernel_1.post(&format!("/audit/{chain}/append"), &entry("msn_first0")).ok();
    let paths = [
        "/ca".to_owned(),
        format!("/identity/{agent}"),
        format!("/identity/{gone}"),
        format!("/identity/{agent}/certificate"),
        "/identity/org/acme-corp".to_owned(),
        "/identity/org/acme-corp/page?page_size=1".to_owned(),
        format!("/token/{token}"),
        "/token/mission/msn_first0/active".to_owned(),
        format!("/token/agent/{agent}/page"),
        format!("/audit/{chain}"),
        format!("/audit/{chain}/verify"),
        format!("/audit/agent/{agent}/page"),
    ];
    let before: Vec<String> = paths.iter().map(|path| kernel_1.read(path).text).collect();
    daemon.stop();
    let daemon = home.start();
    let kernel_2 = kernel(&home, &daemon);
    for (path, before) in paths.iter().zip(before) {
        let after = kernel_2.read(path);
        assert_eq!((after.status, after.text), (200, before), "{path}");
    }
    kernel_2.post("/identity/issue", &csr("worker")).detail(409);
    let appended = kernel_2.post(&format!("/audit/{chain}/append"), &entry("msn_first0")).ok();
    assert_eq!(appended["sequence"], 2);
    assert_eq!(kernel_2.read(&format!("/audit/{chain}/verify")).ok()["valid"], true);
}

#[test]
fn agents_of_the_native_api_show_here_too() {
    let home = Home::new();
    let daemon = home.start();
    let kernel = kernel(&home, &daemon);
    let register = |params: Value| {
        let id = text(&daemon.command("RegisterAgent", params).ok()["result"]["agent"]["id"]);
        let id = chancery_projections::lane::orgkernel::ids::render_agent(id.parse().unwrap());
        (id.clone(), kernel.read(&format!("/identity/{id}")).ok())
    };
    let (bare, shown) = register(json!({"name": "Ada Lövelace (2)", "organisation": {"slug": "native-corp"}}));
    assert_eq!((shown["agent_name"].as_str(), shown["public_key"].as_str()), (Some("ada-l-velace-2"), Some("")));
    assert_eq!((shown["org_id"].as_str(), shown["issued_by"].as_str()), (Some("native-corp"), Some("native-corp")));
    assert_eq!((shown["status"].as_str(), shown["is_active"].as_bool()), (Some("ACTIVE"), Some(true)));
    assert_eq!((&shown["valid_until"], &shown["metadata"]), (&Value::Null, &json!({})));
    kernel.read(&format!("/identity/{bare}/certificate")).detail(404);
    let (made, shown) = register(json!({"name": "bob", "organisation": {"slug": "native-corp"}, "key": "make"}));
    let certificate = kernel.read(&format!("/identity/{made}/certificate")).ok();
    assert_eq!(
        (&certificate["public_key"], certificate["issued_by"].as_str()),
        (&shown["public_key"], Some("native-corp"))
    );
    assert_eq!(kernel.read("/identity/org/native-corp").ok().as_array().unwrap().len(), 2);

    // It is one agent: what is done to it here shows there, and the other way round.
    kernel.mint(&bare, "msn_first0");
    assert_eq!(kernel.act(&format!("/identity/{bare}/suspend")).ok()["status"], "SUSPENDED");
    kernel.post("/token/mint", &mint(&bare, "msn_first0")).detail(409);
    let native = daemon.command("ResumeAgent", json!({"agent": bare})).ok();
    assert_eq!(native["result"]["agent"]["status"], "active");
    daemon.command("DecommissionAgent", json!({"agent": bare})).ok();
    let shown = kernel.read(&format!("/identity/{bare}")).ok();
    assert_eq!((shown["status"].as_str(), &shown["revoked_by"]), (Some("REVOKED"), &Value::Null));
    assert!(shown["revoked_at"].is_string());
    kernel.act(&format!("/identity/{bare}/suspend")).detail(400);
}

#[test]
fn missions_go_by_the_callers_text_or_by_their_id() {
    let home = Home::new();
    let daemon = home.start();
    let kernel = kernel(&home, &daemon);
    let agent = text(&kernel.issue("worker")["identity"]["agent_id"]);
    // Opened natively, under no name of ours: known here by its id.
    let mission = text(&daemon.command("OpenMission", json!({})).ok()["result"]["mission"]["id"]);
    let msn = chancery_projections::lane::orgkernel::ids::render_mission(mission.parse().unwrap());
    let token = kernel.mint(&agent, &msn);
    assert_eq!(token["mission_id"], msn);
    assert_eq!(kernel.read(&format!("/token/mission/{msn}")).ok().as_array().unwrap().len(), 1);
    assert_eq!(kernel.read(&format!("/token/mission/{mission}")).ok(), json!([]), "only the vendor's spelling counts");
    // Named by a caller: known by that name, also when somebody asks by the id.
    let named = kernel.mint(&agent, "msn_named00");
    let id = text(&daemon.get("/v1/token/tokens?limit=1").ok()["items"][0]["mission"]);
    let id = chancery_projections::lane::orgkernel::ids::render_mission(id.parse().unwrap());
    assert_eq!(kernel.read(&format!("/token/mission/{id}/active")).ok(), named);
    assert_eq!(kernel.mint(&agent, &id)["mission_id"], "msn_named00");
    assert_eq!(kernel.read("/token/mission/msn_named00/page").ok()["total"], 2);
    assert_eq!(kernel.read("/token/mission/msn_nothing/active").text, "null");
    // A mission that is over takes no more tokens.
    daemon.command("CompleteMission", json!({"mission": mission})).ok();
    kernel.post("/token/mint", &mint(&agent, &msn)).detail(409);
}

#[test]
fn numbers_keep_their_spelling() {
    let home = Home::new();
    let daemon = home.start();
    let kernel = kernel(&home, &daemon);
    let agent = text(&kernel.issue("worker")["identity"]["agent_id"]);
    let spelled =
        r#"{"a":[1,1.0,-0.0,1E2,1e-05,123456789012345678901234567890,18446744073709551615],"b":{"é😀":"\u0001\"\\"}}"#;
    let sent = format!(
        r#"{{"agent_id":"{agent}","mission_id":"msn_first0","execution_scope":["read"],"expires_at":"{LATER}","immutable_params":{spelled}}}"#
    );
    let headers = [("content-type", "application/json")];
    let minted = kernel.send("POST", "/orgkernel/token/mint", &headers, sent.as_bytes());
    assert!(minted.text.contains(spelled), "{}", minted.text);
    let token = text(&minted.ok()["token_id"]);
    assert!(kernel.read(&format!("/token/{token}")).text.contains(spelled));
    let chain = kernel.initialize(&agent, "msn_first0");
    let sent = format!(
        r#"{{"layer":"GOVERNANCE","event":"GOVERNANCE_note","agent_id":"{agent}","mission_id":"msn_first0","data":{spelled}}}"#
    );
    kernel.send("POST", &format!("/orgkernel/audit/{chain}/append"), &headers, sent.as_bytes()).ok();
    assert!(kernel.read(&format!("/audit/{chain}")).text.contains(spelled));
    assert_eq!(kernel.read(&format!("/audit/{chain}/verify")).ok()["valid"], true);
}

#[test]
fn a_long_list_comes_whole() {
    let home = Home::new();
    let daemon = home.start();
    let kernel = kernel(&home, &daemon);
    let agent = text(&kernel.issue("worker")["identity"]["agent_id"]);
    let chain = kernel.initialize(&agent, "msn_first0");
    let appends: Vec<u64> = std::thread::scope(|scope| {
        let work = |_| {
            let kernel = kernel.clone();
            let path = format!("/audit/{chain}/append");
            scope.spawn(move || {
                let sequence = |_| kernel.post(&path, &entry("msn_first0")).ok()["sequence"].as_u64().unwrap();
                (0..100).map(sequence).collect::<Vec<_>>()
            })
        };
        let threads: Vec<_> = (0..6).map(work).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let mut sorted = appends;
    sorted.sort_unstable();
    assert_eq!(sorted, (1..=600).collect::<Vec<_>>(), "every append has a place of its own");
    kernel.act(&format!("/audit/{chain}/close")).ok();
    kernel.post(&format!("/audit/{chain}/append"), &entry("msn_first0")).detail(400);
    let whole = kernel.read(&format!("/audit/{chain}")).ok();
    let entries = whole["entries"].as_array().unwrap();
    assert_eq!((whole["entry_count"].as_u64(), entries.len()), (Some(602), 602));
    assert!(entries.iter().enumerate().all(|(index, entry)| entry["sequence"] == index));
    assert!(entries.windows(2).all(|pair| pair[0]["entry_hash"] == pair[1]["prev_hash"]));
    assert_eq!(whole["head_hash"], entries[601]["entry_hash"]);
    assert_eq!(kernel.read(&format!("/audit/{chain}/verify")).ok()["valid"], true);
}

#[test]
fn refusals_say_what_is_right_in_the_vendors_shape() {
    let home = Home::new();
    let daemon = home.start();
    let kernel = kernel(&home, &daemon);
    assert_eq!(kernel.read("/nothing").detail(404), "Not Found");
    let answer = kernel.send("PUT", "/orgkernel/token/mint", &[], b"");
    assert_eq!((answer.detail(405), answer.header("allow")), (json!("Method Not Allowed"), Some("POST, GET")));
    assert_eq!(kernel.read("/identity/aid_x").detail(404), "AgentIdentity not found");
    // What only the decider finds wrong is told where the caller wrote it.
    let agent = text(&kernel.issue("worker")["identity"]["agent_id"]);
    let mut ask = mint(&agent, "msn_first0");
    ask["immutable_params"] = json!({"x": "y".repeat(20_000)});
    assert_eq!(kernel.post("/token/mint", &ask).detail(422)[0]["loc"], json!(["body", "immutable_params"]));
    let mut ask = csr("another");
    ask["metadata"] = json!({"x": "y".repeat(20_000)});
    assert_eq!(kernel.post("/identity/issue", &ask).detail(422)[0]["loc"], json!(["body", "metadata"]));
    let token = text(&kernel.mint(&agent, "msn_first0")["token_id"]);
    let long = kernel.act(&format!("/token/{token}/invalidate?reason={}", "y".repeat(501)));
    assert_eq!(long.detail(422)[0]["loc"], json!(["query", "reason"]));
    // Refused by its announced length, before any of it is sent.
    let mut stream = kernel.connect();
    let head = format!(
        "POST /orgkernel/token/mint HTTP/1.1\r\nHost: chancery\r\nAuthorization: Bearer {}\r\nContent-Length: 2097152\r\nConnection: close\r\n\r\n",
        kernel.key
    );
    stream.write_all(head.as_bytes()).unwrap();
    let said = read_all(stream);
    assert!(said.starts_with("HTTP/1.1 413 ") && said.contains("{\"detail\":\"the body is longer than"), "{said}");
    assert_eq!(kernel.read(&format!("/token/{token}")).ok()["is_valid"], true);
}

#[test]
fn an_identity_past_its_date_is_not_active_and_may_nothing() {
    let home = Home::new();
    let daemon = home.start();
    let kernel = kernel(&home, &daemon);
    let issued = json!({
        "agent_name": "past", "org_id": "acme-corp", "issued_by": "ops", "valid_until": "2020-01-01T00:00:00Z",
    });
    let mut issued = kernel.post("/identity/", &issued).ok();
    for shown_once in ["agent_private_key_pem", "private_key_pem"] {
        assert!(issued.as_object_mut().unwrap().remove(shown_once).unwrap().is_string());
    }
    assert_eq!((issued["status"].as_str(), issued["is_active"].as_bool()), (Some("ACTIVE"), Some(false)));
    let id = text(&issued["agent_id"]);
    assert_eq!(kernel.read(&format!("/identity/{id}")).ok(), issued);
    assert_eq!(kernel.read("/identity/org/acme-corp?status=ACTIVE").ok(), json!([issued]));
    assert_eq!(kernel.read("/identity/org/acme-corp?status=EXPIRED").ok(), json!([]), "it is derived, never stored");
    assert_eq!(kernel.read("/identity/org/acme-corp/page?status=EXPIRED").ok()["total"], 0);
    let verified = kernel.post("/identity/verify", &json!({"agent_id": id})).ok();
    assert_eq!(
        (verified["is_active"].as_bool(), verified["message"].as_str()),
        (Some(false), Some("AgentIdentity has expired."))
    );
    kernel.post("/token/mint", &mint(&id, "msn_first0")).detail(409);
}

#[test]
fn a_scope_check_denies_in_the_contracts_order() {
    let home = Home::new();
    let daemon = home.start();
    let kernel = kernel(&home, &daemon);
    let [ada, bob] = ["ada", "bob"].map(|name| text(&kernel.issue(name)["identity"]["agent_id"]));
    let mut ask = mint(&ada, "msn_first0");
    ask["immutable_params"] = json!({"currency": "USD"});
    ask["bounded_params"] = json!([{"param_name": "amount", "lower_bound": 0, "upper_bound": 10}]);
    let token = text(&kernel.post("/token/mint", &ask).ok()["token_id"]);
    let check = |token: &str, tool: &str, params: Value, agent: Option<&str>| {
        let asked = json!({"token_id": token, "tool_name": tool, "params": params, "agent_id": agent});
        let found = kernel.post("/token/scope/check", &asked).ok();
        assert_eq!((&found["token_id"], &found["tool_name"]), (&asked["token_id"], &asked["tool_name"]));
        assert_eq!(found["passed"].as_bool().map(|passed| !passed), found["blocked"].as_bool());
        let codes: Vec<String> = found["violations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|violation| violation.as_str().unwrap().split(':').next().unwrap().to_owned())
            .collect();
        assert_eq!(codes.is_empty(), found["passed"].as_bool().unwrap());
        codes
    };
    let good = json!({"currency": "USD", "amount": 10});
    for token in ["tok_000000000000", "tok_01jcp0e84wfgx9y7jvdnz8z6gb", "no id whatever", &bob] {
        assert_eq!(check(token, "read", good.clone(), None), ["token_invalid_or_expired"], "{token}");
    }
    assert!(check(&token, "read", good.clone(), Some(&ada)).is_empty());
    assert_eq!(check(&token, "read", good.clone(), Some(&bob)), ["agent_mismatch"]);
    assert_eq!(check(&token, "Read", json!({"amount": "5"}), Some("nobody")), ["agent_mismatch"]);
    assert_eq!(
        check(&token, "Read", json!({"amount": "5"}), None),
        ["tool_not_in_scope", "immutable_param_mismatch", "bounded_param_violation"]
    );
    kernel.act(&format!("/identity/{ada}/suspend")).ok();
    assert_eq!(check(&token, "read", good.clone(), Some(&bob)), ["agent_not_active"]);
    kernel.act(&format!("/identity/{ada}/reactivate")).ok();
    assert!(check(&token, "read", good.clone(), None).is_empty());
    kernel.act(&format!("/token/{token}/use")).ok();
    assert_eq!(check(&token, "read", good, None), ["token_invalid_or_expired"]);
}

#[test]
fn the_first_reason_of_an_invalidation_stands() {
    let home = Home::new();
    let daemon = home.start();
    let kernel = kernel(&home, &daemon);
    let agent = text(&kernel.issue("worker")["identity"]["agent_id"]);
    let token = text(&kernel.mint(&agent, "msn_first0")["token_id"]);
    let first = kernel.act(&format!("/token/{token}/invalidate?reason=first")).ok();
    assert_eq!(first["invalidation_reason"], "first");
    assert_eq!(kernel.act(&format!("/token/{token}/invalidate?reason=second")).ok(), first);
    assert_eq!(kernel.read(&format!("/token/{token}")).ok(), first);
    assert_eq!(kernel.read("/token/mission/msn_first0/active").text, "null");
}
