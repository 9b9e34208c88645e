//! Events, as pages and as they come.

use serde_json::{Value, json};

use crate::support::{FIRST_AGENTS, Home};

fn seqs(page: &Value) -> Vec<u64> {
    page["items"].as_array().unwrap().iter().map(|event| event["seq"].as_u64().unwrap()).collect()
}

#[test]
fn a_live_stream_has_no_gap_and_no_repeat() {
    let home = Home::new();
    let daemon = home.start();
    let writer = daemon.client.clone();
    let writing = std::thread::spawn(move || (0..200).for_each(|n| drop(writer.register(&format!("a{n}")))));
    // A client that comes back again and again, each time behind what it has seen.
    let mut seen: Vec<u64> = Vec::new();
    while seen.len() < 200 {
        let stream = daemon.stream("/v1/events/stream?from=0", seen.last().copied());
        for (id, kind, event) in stream.take(17) {
            assert_eq!(event["seq"], id);
            assert_eq!(event["kind"], kind.as_str());
            seen.push(id);
        }
    }
    writing.join().unwrap();
    assert_eq!(seen, (0..seen.len() as u64).collect::<Vec<_>>());
}

#[test]
fn a_live_stream_begins_now_and_takes_filters() {
    let home = Home::new();
    let root = home.start();
    let (acme_id, acme) = root.new_tenant("acme");
    let before = acme.register("before");
    let mut all = acme.stream("/v1/events", None);
    let mut of_kind = root.stream(&format!("/v1/events/stream?kind=AgentSuspended&tenant={acme_id}"), None);
    let mut about = acme.stream(&format!("/v1/events/stream?from=0&subject=agent:{before}"), None);
    root.register("another tenant's");
    let after = acme.register("after");
    acme.command("SuspendAgent", json!({"agent": before})).ok();
    assert_eq!(all.next().unwrap().2["subjects"][0]["id"], after.as_str());
    assert_eq!(all.next().unwrap().1, "AgentSuspended");
    assert_eq!(of_kind.next().unwrap().1, "AgentSuspended");
    assert_eq!(about.next().unwrap().1, "AgentRegistered");
    assert_eq!(about.next().unwrap().1, "AgentSuspended");
}

#[test]
fn a_live_stream_ends_with_its_key() {
    let home = Home::new();
    let daemon = home.start();
    let (id, reader) = daemon.new_key(&["ledger:read"], &["native"]);
    let mut events = reader.stream("/v1/events/stream", None);
    daemon.register("ada");
    assert_eq!(events.next().unwrap().1, "AgentRegistered");
    daemon.command("RevokeApiKey", json!({"credential": id})).ok();
    daemon.register("bob");
    assert!(events.next().is_none());
}

#[test]
fn a_client_that_has_seen_more_than_there_is_is_told() {
    let home = Home::new();
    let daemon = home.start();
    let answer = daemon.send("GET", "/v1/events/stream", &[("last-event-id", "1000000")], b"");
    assert_eq!(answer.problem(400, "as_of_future")["asked"], 1_000_000);
    for bad in ["x", "-1", "1.5"] {
        let answer = daemon.send("GET", "/v1/events/stream", &[("last-event-id", bad)], b"");
        answer.problem(400, "parameter_invalid");
    }
}

#[test]
fn pages_hold_every_event_once_in_both_orders() {
    let home = Home::new();
    let daemon = home.start();
    (0..30).for_each(|n| drop(daemon.register(&format!("a{n}"))));
    let size = daemon.get("/v1/views").ok()["events"].as_u64().unwrap();
    let walk = |query: &str| {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = daemon.get(&format!("/v1/events?limit=7{query}{cursor}")).ok();
            assert!(seqs(&page).len() <= 7);
            found.extend(seqs(&page));
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return found,
            }
        }
    };
    let all: Vec<u64> = (0..size).collect();
    assert_eq!(walk(""), all);
    assert_eq!(walk("&order=descending"), all.iter().rev().copied().collect::<Vec<_>>());
    assert_eq!(walk("&from=5&to=9"), [5, 6, 7, 8, 9]);
    assert_eq!(walk("&from=5&to=9&order=descending"), [9, 8, 7, 6, 5]);
    let registered = walk("&kind=AgentRegistered");
    assert_eq!(registered.len(), 30 + FIRST_AGENTS);
    let tenant = daemon.get("/v1/identity/tenants?order=ascending").ok()["items"][0]["id"].as_str().unwrap().to_owned();
    let own = walk(&format!("&tenant={tenant}"));
    assert!(own.len() < all.len() && own.is_sorted());
    assert_eq!(walk(&format!("&tenant={tenant}&kind=AgentRegistered")), registered);
    let mut backwards = walk(&format!("&tenant={tenant}&order=descending"));
    backwards.reverse();
    assert_eq!(backwards, own);
}

#[test]
fn events_are_found_by_time() {
    let home = Home::new();
    let daemon = home.start();
    (0..5).for_each(|n| drop(daemon.register(&format!("a{n}"))));
    let all = daemon.get("/v1/events").ok();
    let items = all["items"].as_array().unwrap();
    let middle = items[items.len() - 3]["time"].as_str().unwrap();
    let from = seqs(&daemon.get(&format!("/v1/events?from_time={middle}")).ok());
    let to = seqs(&daemon.get(&format!("/v1/events?to_time={middle}")).ok());
    let times = |keep: &dyn Fn(&str) -> bool| {
        let kept = items.iter().filter(|event| keep(event["time"].as_str().unwrap()));
        kept.map(|event| event["seq"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(from, times(&|time| time >= middle));
    assert_eq!(to, times(&|time| time <= middle));
    assert_eq!(daemon.get("/v1/events?to_time=2001-01-01T00:00:00Z").ok()["items"], json!([]));
    daemon.get("/v1/events?from_time=yesterday").problem(400, "parameter_invalid");
    daemon.get("/v1/events?kind=Nothing").problem(400, "parameter_invalid");
    daemon.get("/v1/events?subject=agent").problem(400, "parameter_invalid");
}
