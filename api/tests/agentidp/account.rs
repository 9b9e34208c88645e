//! Analytics and compliance: contracts/agentidp.md rows 21 to 23, 27 and 28.

use serde_json::{Value, json};

use crate::support::{Client, Home};

const API: &str = "/agentidp/api/v1";

fn get(client: &Client, path: &str) -> Value {
    client.get(&format!("{API}{path}")).ok()
}

#[test]
fn analytics_are_of_the_callers_organisation_with_every_day_in_them() {
    let home = Home::new();
    let daemon = home.start();
    let tokens = get(&daemon, "/analytics/tokens?days=3");
    assert_eq!((&tokens["tenantId"], &tokens["organizationId"]), (&json!("org_system"), &json!("org_system")));
    let days = tokens["data"].as_array().unwrap();
    assert_eq!((days.len(), &tokens["days"]), (3, &json!(3)));
    assert!(days.is_sorted_by_key(|day| day["date"].as_str().unwrap()));
    assert!(days[2]["date"].as_str().unwrap().len() == 10 && days[2]["count"].is_u64());
    assert_eq!(get(&daemon, "/analytics/tokens")["data"].as_array().unwrap().len(), 30);
    for days in ["0", "91", "x"] {
        let answer = daemon.get(&format!("{API}/analytics/tokens?days={days}"));
        assert_eq!((answer.status, &answer.json()["details"]["field"]), (400, &json!("days")));
    }
    let agents = get(&daemon, "/analytics/agents");
    assert_eq!((agents["month"].as_str().unwrap().len(), agents["data"].is_array()), (7, true));
    assert!(get(&daemon, "/analytics/agents/activity")["data"].is_array());
    assert_eq!(daemon.with_key("nobody").get(&format!("{API}/analytics/tokens")).status, 401);
}

#[test]
fn controls_are_looked_at_and_told_to_everybody() {
    let home = Home::new();
    let daemon = home.start();
    let answer = daemon.with_key("nobody").get(&format!("{API}/compliance/controls"));
    assert_eq!(answer.header("cache-control"), Some("public, max-age=60"));
    let controls = answer.ok()["controls"].clone();
    let status = |id: &str| {
        let found = controls.as_array().unwrap().iter().find(|control| control["id"] == id).unwrap();
        assert!(found["name"].is_string() && found["lastChecked"].as_str().unwrap().ends_with('Z'));
        found["status"].as_str().unwrap().to_owned()
    };
    assert_eq!(["CC6.1", "CC7.2", "CC9.2", "CC7.1"].map(status), ["pass"; 4]);
    assert_eq!(status("CC6.7"), "warn", "no TLS, on this machine alone");
    // Asked again within a minute, it is the same answer, with the same times.
    assert_eq!(get(&daemon, "/compliance/controls")["controls"], controls);
}

#[test]
fn a_report_is_kept_for_five_minutes_and_one_for_each_tenant() {
    let home = Home::new();
    let daemon = home.start();
    let path = format!("{API}/compliance/report");
    let (first, again) = (daemon.get(&path), daemon.get(&path));
    assert_eq!((first.header("x-cache"), again.header("x-cache")), (Some("MISS"), Some("HIT")));
    assert_eq!(first.text, again.text);
    let report = first.ok();
    assert_eq!((&report["tenant_id"], &report["overall_status"]), (&json!("org_system"), &json!("warn")));
    assert!(report["generated_at"].is_string() && report["agntcy_schema_version"].is_string());
    for section in report["sections"].as_array().unwrap() {
        assert!(section["name"].is_string() && section["details"].is_string());
        assert!(["pass", "warn"].contains(&section["status"].as_str().unwrap()), "{section}");
    }
    let (_, other) = daemon.new_tenant("other");
    let (_, other) = other.new_key(&["agents:list"], &["agentidp"]);
    assert_eq!(other.get(&path).header("x-cache"), Some("MISS"), "nobody else's");
}

#[test]
fn a_client_may_ask_only_so_often_and_is_told_when_again() {
    let flags = ["--rate-limit-tiers", "pro,enterprise", "--rate-limit-max-requests", "5"];
    let home = Home::with(&[flags.as_slice(), &["--rate-limit-max-verifications", "2"]].concat());
    let daemon = home.start();
    let path = format!("{API}/audit/verify");
    let number = |answer: &crate::support::Answer, name: &str| answer.header(name).unwrap().parse::<u64>().unwrap();
    let first = daemon.get(&path);
    assert_eq!(first.status, 200);
    assert_eq!((number(&first, "x-ratelimit-limit"), number(&first, "x-ratelimit-remaining")), (5, 4));
    assert!(number(&first, "x-ratelimit-reset") > 1_700_000_000);
    assert_eq!(daemon.get(&path).status, 200);
    let refused = daemon.get(&path);
    assert_eq!(
        (refused.status, &refused.json()["code"]),
        (429, &json!("RATE_LIMIT_EXCEEDED")),
        "verifications are fewer"
    );
    assert!((1..=120).contains(&number(&refused, "retry-after")));
    for left in [1, 0] {
        assert_eq!(number(&daemon.get(&format!("{API}/audit")), "x-ratelimit-remaining"), left);
    }
    let refused = daemon.get(&format!("{API}/audit"));
    assert_eq!((refused.status, number(&refused, "x-ratelimit-remaining")), (429, 0));
    assert!(refused.json()["message"].as_str().unwrap().contains("5"));
    assert_eq!(daemon.get("/v1/identity/tenants").status, 200, "our own API counts for itself");
    assert_eq!(daemon.get(&format!("{API}/compliance/controls")).status, 200, "as does what everybody may know");

    // Somebody else has all of it.
    let (_, other) = daemon.new_tenant("other");
    let (_, other) = other.new_key(&["audit:read", "audit:verify"], &["agentidp"]);
    let answer = other.get(&format!("{API}/audit"));
    assert_eq!((answer.status, number(&answer, "x-ratelimit-remaining")), (200, 4));
}

/// A tenant made with these members beside its slug, and a key of it that may do everything here.
fn tenant(daemon: &Client, slug: &str, more: Value) -> Client {
    let mut params = json!({"slug": slug, "name": slug});
    params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = daemon.command("CreateTenant", params).ok();
    let first = daemon.with_key(answer["result"]["shown_once"]["api_key"].as_str().unwrap());
    first.new_key(&["agents:list", "agents:register", "audit:read", "audit:verify"], &["agentidp", "native"]).1
}

#[test]
fn a_tier_says_what_there_may_be_and_what_there_is() {
    let home = Home::new();
    let daemon = home.start();
    let status = get(&daemon, "/tiers/status");
    assert_eq!((&status["tier"], &status["limits"]["maxAgents"]), (&json!("enterprise"), &Value::Null));
    let free = tenant(&daemon, "free", json!({"tier": "free"}));
    free.register("one of them");
    let status = get(&free, "/tiers/status");
    assert_eq!(status["tier"], json!("free"));
    assert_eq!(
        status["limits"],
        json!({"maxAgents": 100, "maxCallsPerDay": null, "maxTokensPerDay": null, "maxTokensPerMonth": 10_000})
    );
    assert_eq!((&status["usage"]["agentCount"], &status["usage"]["tokensToday"]), (&json!(1), &json!(0)));
    assert!(status["usage"]["callsToday"].as_u64().unwrap() >= 1);

    let upgrade = |body: Value| {
        let header = [("content-type", "application/json")];
        daemon.send("POST", &format!("{API}/tiers/upgrade"), &header, body.to_string().as_bytes())
    };
    let answer = upgrade(json!({"targetTier": "pro"}));
    assert_eq!((answer.status, &answer.json()["code"]), (501, &json!("NOT_IMPLEMENTED")));
    for body in [json!({}), json!({"targetTier": "gold"})] {
        let answer = upgrade(body);
        assert_eq!((answer.status, &answer.json()["details"]["field"]), (400, &json!("targetTier")));
    }
}

#[test]
fn a_tenant_of_the_free_tier_is_limited_and_a_limit_of_its_own_goes_before() {
    let home = Home::new();
    let daemon = home.start();
    assert_eq!(daemon.get(&format!("{API}/audit")).header("x-ratelimit-limit"), None, "enterprise");
    let free = tenant(&daemon, "free", json!({"tier": "free"}));
    assert_eq!(free.get(&format!("{API}/audit")).header("x-ratelimit-limit"), Some("100"));
    assert_eq!(get(&free, "/audit")["total"], json!(1));

    let few = tenant(&daemon, "few", json!({"tier": "free", "limits": {"calls_per_day": 2, "audit_days": 0}}));
    let page = get(&few, "/audit");
    assert_eq!(page["total"], json!(0), "all of it is older than the window");
    assert_eq!(get(&few, "/audit/verify")["checkedCount"], json!(1), "but none of it is gone");
    let refused = few.get(&format!("{API}/audit"));
    assert_eq!((refused.status, &refused.json()["code"]), (429, &json!("TIER_LIMIT_EXCEEDED")));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=86_400).contains(&wait));
    assert_eq!(get(&free, "/audit")["total"], json!(1), "nobody else's");
}

#[test]
fn who_proves_itself_at_the_token_routes_is_counted_and_who_does_not_uses_up_nothing() {
    let home = Home::with(&["--rate-limit-tiers", "enterprise", "--rate-limit-max-requests", "3"]);
    let daemon = home.start();
    let first: Value = serde_json::from_slice(&std::fs::read(home.path("bootstrap.json")).unwrap()).unwrap();
    let text = |name: &str| first["agentidp"][name].as_str().unwrap().to_owned();
    let (id, secret) = (text("client_id"), text("client_secret"));
    let ask = |secret: &str| {
        let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        daemon.send("POST", &format!("{API}/token"), &headers, form.as_bytes())
    };
    for _ in 0..5 {
        assert_eq!(ask(&secret.replace('0', "1").replace('2', "3")).status, 401);
    }
    for left in ["2", "1", "0"] {
        let answer = ask(&secret);
        assert_eq!((answer.status, answer.header("x-ratelimit-remaining")), (200, Some(left)));
    }
    let refused = ask(&secret);
    assert_eq!((refused.status, &refused.json()["code"]), (429, &json!("RATE_LIMIT_EXCEEDED")));
    assert!(refused.header("retry-after").is_some());
    let failures = daemon.get("/v1/execution/audit-log/agentidp?outcome=failure").ok();
    let about = |entry: &Value| entry["agent"] == json!(id) && entry["details"]["refused"]["count"] == 1;
    assert!(failures["items"].as_array().unwrap().iter().all(about));
    assert_eq!(failures["items"].as_array().unwrap().len(), 5);
}
