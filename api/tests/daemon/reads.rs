//! Views, now and as of a past moment.

use serde_json::{Value, json};

use crate::support::{FIRST_AGENTS, Home};

#[test]
fn every_read_takes_a_past_moment() {
    let home = Home::new();
    let daemon = home.start();
    let id = daemon.register("ada");
    let registered = daemon.get(&format!("/v1/identity/agents/{id}")).ok();
    let seq = registered["version"].as_u64().unwrap();
    let suspended = daemon.command("SuspendAgent", json!({"agent": id})).ok();
    let event = &suspended["receipt"]["events"][0];
    daemon.register("bob");

    let agent = |as_of: &str| daemon.get(&format!("/v1/identity/agents/{id}?as_of={as_of}"));
    let names = |as_of: &str| {
        let page = daemon.get(&format!("/v1/identity/agents?order=ascending&as_of={as_of}")).ok();
        page["items"].as_array().unwrap().iter().map(|agent| agent["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(agent(&seq.to_string()).ok()["status"], "active");
    assert_eq!(agent(&event["seq"].to_string()).ok()["status"], "suspended");
    assert_eq!(agent(event["time"].as_str().unwrap()).ok()["status"], "suspended");
    agent(&(seq - 1).to_string()).problem(404, "not_found");
    assert_eq!(names(&seq.to_string()), ["administrator", "ada"]);
    assert_eq!(names(&(seq - 1).to_string()), ["administrator"]);
    assert_eq!(names("2001-01-01T00:00:00Z"), [""; 0]);
    let by_status = |status: &str| {
        daemon.get(&format!("/v1/identity/agents?status={status}&as_of={seq}")).ok()["items"].as_array().unwrap().len()
    };
    assert_eq!((by_status("active"), by_status("suspended")), (1 + FIRST_AGENTS, 0), "indexes know the past too");

    // A moment that has not come is refused in one way everywhere.
    let size = daemon.get("/v1/views").ok()["events"].as_u64().unwrap();
    for path in every_read(&daemon.get("/openapi.json").ok()) {
        let path = path.replace(['{', '}'], "");
        assert_eq!(daemon.get(&format!("{path}?as_of={size}")).problem(400, "as_of_future")["size"], size, "{path}");
        daemon.get(&format!("{path}?as_of=2999-01-01T00:00:00Z")).problem(400, "parameter_invalid");
        daemon.get(&format!("{path}?as_of=x")).problem(400, "parameter_invalid");
        let last = daemon.get(&format!("{path}?as_of={}", size - 1));
        assert!(matches!(last.status, 200 | 404), "{path}: {}", last.text);
    }
}

/// The paths of the views' reads without an id that would have to exist.
fn every_read(document: &Value) -> Vec<String> {
    let paths = document["paths"].as_object().unwrap();
    let takes = |item: &Value| {
        let parameters = item["get"]["parameters"].as_array();
        parameters.is_some_and(|all| all.iter().any(|parameter| parameter["name"] == "as_of"))
    };
    let found: Vec<_> =
        paths.iter().filter(|(path, item)| takes(item) && !path.contains('{')).map(|(path, _)| path.clone()).collect();
    assert!(found.len() >= 9, "{found:?}");
    found
}

#[test]
fn lists_page_by_cursors_in_both_orders() {
    let home = Home::new();
    let daemon = home.start();
    let made: Vec<String> = (0..25).map(|n| daemon.register(&format!("a{n}"))).collect();
    let walk = |query: &str| {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = daemon.get(&format!("/v1/identity/agents?limit=10{query}{cursor}")).ok();
            found
                .extend(page["items"].as_array().unwrap().iter().map(|agent| agent["id"].as_str().unwrap().to_owned()));
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return found,
            }
        }
    };
    let ascending = walk("&order=ascending");
    assert_eq!(ascending[FIRST_AGENTS..], made);
    assert_eq!(walk(""), ascending.into_iter().rev().collect::<Vec<_>>());
    let first = daemon.get("/v1/identity/agents?limit=10").ok();
    let next = first["next"].as_str().unwrap();
    daemon.get(&format!("/v1/identity/agents?order=ascending&cursor={next}")).problem(400, "parameter_invalid");
    for bad in [
        "limit=0",
        "limit=1001",
        "limit=+1",
        "limit=x",
        "cursor=x",
        "order=up",
        "unknown=1",
        "limit=1&limit=2",
        "status=gone",
        "organisation=x",
        "x=%ff",
    ] {
        daemon.get(&format!("/v1/identity/agents?{bad}")).problem(400, "parameter_invalid");
    }
}

#[test]
fn one_agent_has_one_place_under_every_spelling_of_its_id() {
    let home = Home::new();
    let daemon = home.start();
    let id = daemon.register("ada");
    let uuid = chancery_ledger::ids::parse_uuid(&id).unwrap();
    for prefix in ["aid", "agent", "agt"] {
        let spelt = chancery_ledger::ids::render_typeid(prefix, uuid);
        assert_eq!(daemon.get(&format!("/v1/identity/agents/{spelt}")).ok()["id"], id.as_str());
    }
    for none in
        [id.to_uppercase(), "ada".to_owned(), chancery_ledger::ids::render_typeid("tok", uuid), "%ff".to_owned()]
    {
        daemon.get(&format!("/v1/identity/agents/{none}")).problem(404, "not_found");
    }
}

#[test]
fn tokens_missions_and_audit_chains_are_read_back() {
    let home = Home::new();
    let daemon = home.start();
    let agent = daemon.register("ada");
    let expires = "2999-01-01T00:00:00Z";
    let issued = daemon.command(
        "IssueToken",
        json!({"agent": agent, "mission": {"key": {"namespace": "native", "text": "clean up"}}, "scopes": ["fs.read"], "expires": expires, "immutable": {"n": 1.0}}),
    );
    let token = issued.ok()["result"]["token"].clone();
    let read = daemon.get(&format!("/v1/token/tokens/{}", token["id"].as_str().unwrap()));
    assert!(read.text.contains("\"immutable\":{\"n\":1.0}"), "numbers keep their spelling: {}", read.text);
    assert_eq!(read.ok()["live"], true);
    let mission = token["mission"].as_str().unwrap();
    assert_eq!(daemon.get(&format!("/v1/execution/missions/{mission}")).ok()["key"]["text"], "clean up");
    assert_eq!(
        daemon.get(&format!("/v1/token/tokens?mission={mission}&live=true")).ok()["items"].as_array().unwrap().len(),
        1
    );

    let chain = daemon
        .command("OpenAuditChain", json!({"mission": {"id": mission}, "agent_text": "ada", "mission_text": "clean up"}))
        .ok();
    let chain = chain["result"]["audit_chain"]["id"].as_str().unwrap().to_owned();
    let entry = json!({"chain": chain, "layer": "EXECUTION", "event": "read", "agent_text": "ada", "mission_text": "clean up", "data": {"file": "x"}});
    daemon.command("AppendAuditEntry", entry).ok();
    daemon.command("CloseAuditChain", json!({"chain": chain})).ok();
    let entries = daemon.get(&format!("/v1/execution/audit-chains/{chain}/entries?order=ascending")).ok();
    let events: Vec<_> = entries["items"].as_array().unwrap().iter().map(|entry| entry["event"].clone()).collect();
    let at = events.iter().position(|event| event == "read").unwrap_or_else(|| panic!("{events:?}"));
    assert_eq!(entries["items"][at]["data"]["file"], "x");
    assert_eq!(daemon.get(&format!("/v1/execution/audit-chains/{chain}/verify")).ok()["valid"], true);
    daemon.command("CompleteMission", json!({"mission": mission, "output": "done"})).ok();
    assert_eq!(daemon.get(&format!("/v1/execution/missions/{mission}")).ok()["output"], "done");
    let dead = daemon.get(&format!("/v1/token/tokens/{}", token["id"].as_str().unwrap())).ok();
    assert_eq!((dead["live"].clone(), dead["dead_because"].clone()), (json!(false), json!("revoked")));
}

#[test]
fn a_view_is_rebuilt_beside_itself_and_is_the_same() {
    let home = Home::new();
    let daemon = home.start();
    (0..20).for_each(|n| drop(daemon.register(&format!("a{n}"))));
    for view in ["identity", "token", "trust", "execution", "journal"] {
        let before = daemon.get(&format!("/v1/views/{view}/digest")).ok();
        let rebuilt = daemon.send("POST", &format!("/v1/views/{view}/rebuild"), &[], b"").ok();
        assert_eq!(rebuilt["equal"], true);
        assert_eq!(rebuilt["after"], before["digest"]);
    }
    daemon.get("/v1/views/nothing/digest").problem(404, "not_found");
    assert_eq!(daemon.get("/v1/identity/agents").ok()["items"].as_array().unwrap().len(), 20 + FIRST_AGENTS);
    assert_eq!(daemon.get("/v1/trust").ok()["lag"], 0);
}
