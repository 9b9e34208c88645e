//! The audit log: contracts/agentidp.md rows 13, 14, 26 and section 9.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::{Client, Home};

const AUDIT: &str = "/agentidp/api/v1/audit";

fn query(client: &Client, query: &str) -> Value {
    client.get(&format!("{AUDIT}?{query}")).ok()
}

fn actions(page: &Value) -> Vec<&str> {
    page["data"].as_array().unwrap().iter().map(|event| event["action"].as_str().unwrap()).collect()
}

/// What a refused request is told.
#[track_caller]
fn refused(client: &Client, path: &str, status: u16, code: &str) -> Value {
    let answer = client.get(path);
    assert_eq!((answer.status, answer.json()["code"].as_str()), (status, Some(code)), "{path}: {}", answer.text);
    answer.json()["details"]["field"].clone()
}

#[test]
fn what_was_done_is_told_and_found_again_after_a_restart() {
    let home = Home::with(&["--record-origin"]);
    let daemon = home.start();
    let agent = daemon.register("ada");
    daemon.command("SuspendAgent", json!({"agent": agent})).ok();
    daemon.command("ResumeAgent", json!({"agent": agent})).ok();

    let page = query(&daemon, &format!("agentId={agent}"));
    assert_eq!(actions(&page), ["agent.reactivated", "agent.suspended", "agent.created"]);
    assert_eq!((&page["total"], &page["page"], &page["limit"]), (&json!(3), &json!(1), &json!(50)));
    let created = &page["data"][2];
    assert_eq!(created["agentId"], json!(agent));
    assert_eq!((&created["outcome"], &created["ipAddress"]), (&json!("success"), &json!("127.0.0.1")));
    assert_eq!(created["metadata"]["agentType"], json!("custom"));
    assert!(created["metadata"]["actorId"].is_string() && created["userAgent"].is_string());
    assert_eq!(created["timestamp"].as_str().unwrap().len(), "2026-03-31T23:59:59.123Z".len());

    let one = daemon.get(&format!("{AUDIT}/{}", created["eventId"].as_str().unwrap())).ok();
    assert_eq!(one, *created);
    let two = query(&daemon, &format!("agentId={agent}&limit=2&page=2"));
    assert_eq!((two["data"].as_array().unwrap().as_slice(), &two["total"]), ([created.clone()].as_slice(), &json!(3)));
    let beyond = query(&daemon, "page=9");
    assert_eq!((actions(&beyond).len(), &beyond["page"]), (0, &json!(9)));

    // Natively it is the same log, now and as of a past event.
    let native = daemon.get(&format!("/v1/execution/audit-log/agentidp?agent={agent}&limit=2")).ok();
    let ids = |items: &Value, name: &str| -> Vec<Value> {
        items.as_array().unwrap().iter().map(|item| item[name].clone()).collect()
    };
    assert_eq!(ids(&native["items"], "id"), ids(&page["data"], "eventId")[..2]);
    assert!(native["next"].is_string());
    let size = daemon.get("/v1/execution/audit-log/agentidp/verify").ok()["checked"].as_u64().unwrap();
    // An entry's id names its event: behind 4 bits of lane and 10 of index.
    let id = uuid::Uuid::parse_str(created["eventId"].as_str().unwrap()).unwrap().as_u128();
    let seq = (id & ((1 << 62) - 1)) >> 14;
    let path = format!("/v1/execution/audit-log/agentidp/verify?as_of={seq}");
    let before = daemon.get(&path).ok()["checked"].as_u64().unwrap();
    assert_eq!(size, before + 2, "the agent was registered by then");

    let rebuilt = daemon.send("POST", "/v1/views/execution/rebuild", &[], b"").ok();
    assert_eq!(rebuilt["equal"], json!(true));
    assert!(daemon.stop().0.success());
    let daemon = home.start();
    assert_eq!(query(&daemon, &format!("agentId={agent}")), page);
}

#[test]
fn filters_combine_and_dates_are_inclusive() {
    let home = Home::new();
    let daemon = home.start();
    let of = |text: &str| query(&daemon, text)["total"].as_u64().unwrap();
    let (all, agents) = (of(""), of("action=agent.created"));
    let (a, b) = (daemon.register("a"), daemon.register("b"));
    daemon.command("SuspendAgent", json!({"agent": a})).ok();
    assert_eq!(
        (of("action=agent.created"), of("action=agent.suspended"), of("action=token.issued")),
        (agents + 2, 1, 0)
    );
    assert_eq!(
        (of(&format!("agentId={b}&action=agent.created")), of(&format!("agentId={b}&action=agent.suspended"))),
        (1, 0)
    );
    assert_eq!((of("outcome=success"), of("outcome=failure")), (all + 3, 0));
    // What names no agent is about none.
    assert_eq!((of("agentId=a1b2c3d4-..."), of("agentId=a1b2c3d4-0000-4000-8000-000000000000")), (0, 0));

    let newest = query(&daemon, "limit=1")["data"][0]["timestamp"].as_str().unwrap().to_owned();
    assert!(of(&format!("fromDate={newest}")) >= 1);
    assert_eq!(of(&format!("toDate={newest}")), all + 3);
    assert_eq!(of(&format!("toDate={}", &newest[..10])), all + 3, "a day is all of it");
    assert_eq!((of("toDate=2026-03-31T23:59:59Z"), of("fromDate=9998-01-01T00:00:00Z")), (0, 0));
}

#[test]
fn what_cannot_be_asked_is_refused_by_field() {
    let home = Home::new();
    let daemon = home.start();
    for (text, field) in [
        ("action=agent.exploded", "action"),
        ("outcome=maybe", "outcome"),
        ("fromDate=yesterday", "fromDate"),
        ("toDate=2026-02-30", "toDate"),
        ("fromDate=2026-03-02T00:00:00Z&toDate=2026-03-01T00:00:00Z", "fromDate"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("page=0", "page"),
        ("page=x", "page"),
    ] {
        assert_eq!(refused(&daemon, &format!("{AUDIT}?{text}"), 400, "VALIDATION_ERROR"), json!(field), "{text}");
    }
    refused(&daemon, &format!("{AUDIT}/verify?fromDate=x"), 400, "VALIDATION_ERROR");
    for id in ["event-uuid", "019b7ca9-8f2e-8000-8000-00000499c800", "01932c07-209c-7c3a-9f1e-5b6d7e8f9a0b"] {
        refused(&daemon, &format!("{AUDIT}/{id}"), 404, "AUDIT_EVENT_NOT_FOUND");
    }
    assert_eq!(daemon.send("DELETE", &format!("{AUDIT}/event-uuid"), &[], b"").status, 405);
    assert_eq!(daemon.send("POST", AUDIT, &[], b"{}").status, 405);
}

#[test]
fn the_chain_is_verified_and_anybody_can_compute_it() {
    let home = Home::new();
    let daemon = home.start();
    for name in ["a", "b", "c"] {
        daemon.register(name);
    }
    let verdict = daemon.get(&format!("{AUDIT}/verify")).ok();
    let count = query(&daemon, "")["total"].clone();
    assert_eq!(
        (&verdict["verified"], &verdict["checkedCount"], &verdict["brokenAtEventId"]),
        (&json!(true), &count, &Value::Null)
    );
    assert!(verdict.get("fromDate").is_none());

    let events = query(&daemon, "limit=200");
    let hash = events["data"].as_array().unwrap().iter().rev().fold(String::new(), |previous, event| {
        let text = |name: &str| event[name].as_str().unwrap_or("org_system").to_owned();
        let names = ["eventId", "timestamp", "action", "outcome", "agentId", "organizationId"];
        let preimage: String = names.into_iter().map(text).chain([previous]).collect();
        hex::encode(Sha256::digest(preimage))
    });
    assert_eq!(verdict["hash"], json!(hash));

    let none = daemon.get(&format!("{AUDIT}/verify?fromDate=2020-01-01T00:00:00Z&toDate=2020-01-02T00:00:00Z")).ok();
    assert_eq!((&none["verified"], &none["checkedCount"]), (&json!(true), &json!(0)));
    assert_eq!((&none["fromDate"], &none["toDate"]), (&json!("2020-01-01T00:00:00Z"), &json!("2020-01-02T00:00:00Z")));
}

#[test]
fn a_tenant_sees_its_own_log_alone_and_only_with_the_scope() {
    let home = Home::new();
    let daemon = home.start();
    daemon.register("ours");
    let event = query(&daemon, "limit=1")["data"][0]["eventId"].as_str().unwrap().to_owned();
    let (_, other) = daemon.new_tenant("other");
    let (_, other) = other.new_key(&["audit:read", "audit:verify"], &["agentidp"]);
    assert_eq!(actions(&query(&other, "")), ["org.created"]);
    refused(&other, &format!("{AUDIT}/{event}"), 404, "AUDIT_EVENT_NOT_FOUND");
    assert_eq!(other.get(&format!("{AUDIT}/verify")).ok()["checkedCount"], json!(1));

    let (_, narrow) = daemon.new_key(&["agents:list"], &["agentidp"]);
    for path in ["", "/verify", "/event-uuid", "?limit=0"] {
        refused(&narrow, &format!("{AUDIT}{path}"), 403, "FORBIDDEN");
    }
    refused(&daemon.with_key("nobody"), AUDIT, 401, "UNAUTHORIZED");
}
