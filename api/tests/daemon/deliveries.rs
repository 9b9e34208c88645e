//! Events told to the outside: a receiver of its own, which answers as it is told to.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use serde_json::{Value, json};

use crate::support::{Client, Home, PATIENCE};

/// What was posted.
struct Post {
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Post {
    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        &found.unwrap_or_else(|| panic!("no {name}")).1
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Makes sure that the signature is that of the body under the secret.
    #[track_caller]
    fn is_signed(&self, header: &str, secret: &str) {
        let signature = hex::decode(self.header(header).strip_prefix("sha256=").unwrap()).unwrap();
        hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), &self.body, &signature).unwrap();
    }
}

/// Somebody who is told events. Answers are taken from a list, and are 204 when it is empty; 0 is none at all.
struct Hook {
    url: String,
    posts: Receiver<Post>,
    answers: Arc<Mutex<VecDeque<u16>>>,
}

impl Hook {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (to, posts) = channel();
        let answers = Arc::new(Mutex::new(VecDeque::new()));
        let queue = answers.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (to, queue) = (to.clone(), queue.clone());
                std::thread::spawn(move || take(stream.unwrap(), &to, &queue));
            }
        });
        Self { url, posts, answers }
    }

    fn answer_with(&self, statuses: &[u16]) {
        self.answers.lock().unwrap().extend(statuses);
    }

    #[track_caller]
    fn next(&self) -> Post {
        self.posts.recv_timeout(PATIENCE).unwrap()
    }
}

fn take(stream: TcpStream, to: &Sender<Post>, answers: &Mutex<VecDeque<u16>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    if reader.read_line(&mut line).unwrap_or(0) == 0 {
        return;
    }
    let path = line.split(' ').nth(1).unwrap().to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length").unwrap().1.parse().unwrap();
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let status = answers.lock().unwrap().pop_front().unwrap_or(204);
    let _ = to.send(Post { path, headers, body });
    if status == 0 {
        // The daemon goes before its answer comes.
        std::thread::sleep(PATIENCE);
    }
    let text = if status == 204 { "" } else { "no,\nnot now" };
    let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}", text.len());
    let _ = (&stream).write_all(answer.as_bytes());
}

fn agentidp(client: &Client, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let headers = [("content-type", "application/json")];
    let answer = client.send(method, &format!("/agentidp/api/v1{path}"), &headers, body.as_bytes());
    let json = if answer.bytes.is_empty() { Value::Null } else { answer.json() };
    (answer.status, json)
}

/// Waits until a list at a path has an item that is as wanted.
fn wait_for(client: &Client, path: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
    let since = std::time::Instant::now();
    loop {
        let page = client.get(path).ok();
        let items = page["items"].as_array().or_else(|| page["data"].as_array()).unwrap().clone();
        if let Some(found) = items.into_iter().find(|item| is_wanted(item)) {
            return found;
        }
        assert!(since.elapsed() < PATIENCE, "{page}");
        std::thread::yield_now();
    }
}

fn subscribe(client: &Client, url: &str, events: &[&str]) -> (String, String) {
    let answer = client.command("Subscribe", json!({"url": url, "events": events})).ok();
    let secret = answer["result"]["shown_once"]["secret"].as_str().unwrap().to_owned();
    (answer["result"]["subscription"]["id"].as_str().unwrap().to_owned(), secret)
}

#[test]
fn events_are_told_in_order_signed_and_once() {
    let home = Home::with(&["--allow-private-targets"]);
    let (daemon, hook) = (home.start(), Hook::open());
    let (id, secret) = subscribe(&daemon, &format!("{}/a?b", hook.url), &["AgentRegistered", "AgentSuspended"]);
    let agents: Vec<String> = (0..20).map(|n| daemon.register(&format!("agent {n}"))).collect();
    daemon.command("OpenMission", json!({})).ok();
    daemon.command("SuspendAgent", json!({"agent": agents[3], "reason": "odd"})).ok();
    for agent in &agents {
        let post = hook.next();
        post.is_signed("chancery-signature", &secret);
        assert_eq!((post.path.as_str(), post.header("chancery-event")), ("/a?b", "AgentRegistered"));
        let told = post.json();
        assert_eq!((&told["event"], &told["data"]["body"]["agent"]), (&json!("AgentRegistered"), &json!(agent)));
        assert_eq!(told["id"], post.header("chancery-delivery"));
        let event = daemon.get(&format!("/v1/events/{}", told["data"]["seq"])).ok();
        assert_eq!(event["hash"], told["data"]["hash"]);
    }
    assert_eq!(hook.next().json()["data"]["body"]["reason"], "odd");

    let path = format!("/v1/execution/subscriptions/{id}/deliveries");
    let last = wait_for(&daemon, &path, |it| it["word"] == "AgentSuspended" && it["state"] == "delivered");
    assert_eq!((&last["attempts"], &last["status"], &last["excerpt"]), (&json!(1), &json!(204), &Value::Null));
    assert_eq!(daemon.get(&format!("{path}?state=delivered")).ok()["items"].as_array().unwrap().len(), 21);
    assert_eq!(daemon.get(&format!("{path}?state=pending")).ok()["items"], json!([]));

    // The secret is nowhere to be read.
    let events = daemon.get("/v1/events?limit=1000").text;
    assert!(events.contains("DestinationAdded") && !events.contains(&secret));
    let metrics = daemon.get("/metrics").text;
    assert!(metrics.contains("chancery_deliveries_total{outcome=\"delivered\"} 21"), "{metrics}");

    // Asked for once more, an event comes once more, under the same id.
    let event = last["event"].as_u64().unwrap();
    daemon.command("Redeliver", json!({"subscription": id, "event": event})).ok();
    assert_eq!(hook.next().header("chancery-delivery"), last["id"]);
    daemon.command("Redeliver", json!({"subscription": id, "event": 0})).problem(404, "not_found");

    // To another tenant there is none of this.
    let (_, other) = daemon.new_tenant("other");
    other.get(&format!("/v1/execution/subscriptions/{id}")).problem(404, "not_found");
    other.get(&path).problem(404, "not_found");
    other.command("Redeliver", json!({"subscription": id, "event": event})).problem(404, "not_found");
    assert_eq!(other.get("/v1/execution/subscriptions").ok()["items"], json!([]));
    assert_eq!(daemon.stop().0.code(), Some(0));
}

#[test]
fn what_is_not_taken_is_posted_again_and_what_is_behind_it_waits() {
    let home = Home::with(&["--allow-private-targets", "--webhook-retry-secs", "1"]);
    let (daemon, hook) = (home.start(), Hook::open());
    let webhook = json!({"url": hook.url, "events": ["agent.created"], "secret": "hush"});
    let (status, made) = agentidp(&daemon, "POST", "/webhooks", Some(webhook));
    assert_eq!((status, &made["active"], made.get("secret")), (201, &json!(true), None), "{made}");
    let path = format!("/agentidp/api/v1/webhooks/{}/deliveries", made["id"].as_str().unwrap());
    hook.answer_with(&[500, 302]);
    let (ada, bob) = (daemon.register("ada"), daemon.register("bob"));
    let first = hook.next();
    first.is_signed("x-sentryagent-signature", "hush");
    assert_eq!(first.header("x-sentryagent-event"), "agent.created");
    let told = first.json();
    assert_eq!((&told["event"], &told["data"]["agentId"]), (&json!("agent.created"), &json!(ada)));
    let failed = wait_for(&daemon, &path, |it| it["status"] == "failed");
    assert_eq!((&failed["attempts"], &failed["responseStatus"]), (&json!(1), &json!(500)));
    assert_eq!(daemon.get(&format!("{path}?status=pending")).ok()["total"], 1, "the next one waits");
    // The same event again, a redirect being no more than a refusal, and again; then the one behind it.
    for _ in 0..2 {
        assert_eq!(hook.next().json(), told);
    }
    assert_eq!(hook.next().json()["data"]["agentId"], json!(bob));
    let done = wait_for(&daemon, &format!("{path}?status=delivered"), |it| it["id"] == told["id"]);
    assert_eq!((&done["attempts"], &done["responseStatus"]), (&json!(3), &json!(204)));
    let audited = daemon.get(&format!("/agentidp/api/v1/audit/{}", told["data"]["eventId"].as_str().unwrap())).ok();
    assert_eq!(audited, told["data"], "what is told is the audit event");
}

#[test]
fn a_webhook_is_made_read_changed_and_ended() {
    let home = Home::with(&["--allow-private-targets"]);
    let (daemon, hook) = (home.start(), Hook::open());
    let good = json!({"url": hook.url, "events": ["agent.created"], "secret": "hush", "name": "ops"});
    let without = |field: &str| {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(field);
        body
    };
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body
    };
    for (field, body) in [
        ("url", without("url")),
        ("events", without("events")),
        ("secret", without("secret")),
        ("url", with("url", json!("ftp://hooks.example"))),
        ("url", with("url", json!("https://user:word@hooks.example"))),
        ("url", with("url", json!(7))),
        ("events", with("events", json!([]))),
        ("events", with("events", json!(["agent.danced"]))),
        ("secret", with("secret", json!(""))),
        ("name", with("name", json!("x".repeat(129)))),
    ] {
        let (status, refused) = agentidp(&daemon, "POST", "/webhooks", Some(body));
        assert_eq!((status, &refused["code"]), (400, &json!("VALIDATION_ERROR")), "{refused}");
        assert_eq!(refused["details"]["field"], field, "{refused}");
    }
    let (_, made) = agentidp(&daemon, "POST", "/webhooks", Some(good.clone()));
    let path = format!("/webhooks/{}", made["id"].as_str().unwrap());
    assert_eq!((&made["name"], &made["url"], &made["events"]), (&good["name"], &good["url"], &good["events"]));
    assert_eq!(agentidp(&daemon, "GET", &path, None), (200, made.clone()));
    let (_, page) = agentidp(&daemon, "GET", "/webhooks?limit=1", None);
    assert_eq!(page, json!({"data": [made], "total": 1, "page": 1, "limit": 1}));

    let change = json!({"events": ["agent.updated"], "active": false, "url": format!("{}/b", hook.url), "name": "it"});
    let (status, changed) = agentidp(&daemon, "PATCH", &path, Some(change.clone()));
    assert_eq!(status, 200, "{changed}");
    for field in ["events", "active", "url", "name"] {
        assert_eq!(changed[field], change[field]);
    }
    assert!(changed["updatedAt"].as_str() >= made["updatedAt"].as_str());
    assert_eq!(agentidp(&daemon, "PATCH", &path, Some(json!({}))).0, 400);
    assert_eq!(agentidp(&daemon, "GET", &format!("{path}/deliveries?status=lost"), None).0, 400);

    let (_, reader) = daemon.new_key(&["delivery:read"], &["agentidp"]);
    assert_eq!(agentidp(&reader, "GET", &path, None).0, 200);
    assert_eq!(agentidp(&reader, "DELETE", &path, None).1["code"], "FORBIDDEN");
    let (_, other) = daemon.new_key(&["agents:read"], &["agentidp"]);
    assert_eq!(agentidp(&other, "GET", &path, None).0, 403);

    assert_eq!(agentidp(&daemon, "DELETE", &path, None), (204, Value::Null));
    for (method, path) in [
        ("GET", path.clone()),
        ("DELETE", path.clone()),
        ("GET", format!("{path}/deliveries")),
        ("GET", "/webhooks/none".to_owned()),
    ] {
        let (status, missing) = agentidp(&daemon, method, &path, None);
        assert_eq!((status, &missing["code"]), (404, &json!("WEBHOOK_NOT_FOUND")), "{method} {path}");
    }
    // What other words tell is no webhook here.
    let (native, _) = subscribe(&daemon, &hook.url, &["AgentRegistered"]);
    assert_eq!(agentidp(&daemon, "GET", &format!("/webhooks/{native}"), None).0, 404);
}

/// Every word of AgentIdP's webhooks, each by the vendor's own calls.
#[test]
fn each_event_of_agentidp_is_told_by_its_word() {
    const WORDS: [&str; 10] = [
        "agent.created",
        "agent.updated",
        "agent.suspended",
        "agent.reactivated",
        "credential.generated",
        "credential.rotated",
        "token.issued",
        "token.revoked",
        "credential.revoked",
        "agent.decommissioned",
    ];
    let home = Home::with(&["--allow-private-targets"]);
    let (daemon, hook) = (home.start(), Hook::open());
    let webhook = json!({"url": hook.url, "events": WORDS, "secret": "hush"});
    assert_eq!(agentidp(&daemon, "POST", "/webhooks", Some(webhook)).0, 201);
    // What other words tell, and what is no agent's, is told to nobody here.
    daemon.new_key(&["agents:read"], &["native"]);
    daemon.command("OpenMission", json!({})).ok();
    let agent = json!({
        "email": "ada@agents.example",
        "agentType": "screener",
        "version": "1.0.0",
        "capabilities": ["resume:read"],
        "owner": "talent",
        "deploymentEnv": "production",
    });
    let (status, ada) = agentidp(&daemon, "POST", "/agents", Some(agent));
    assert_eq!(status, 201, "{ada}");
    let id = ada["agentId"].as_str().unwrap();
    let path = format!("/agents/{id}");
    for change in [json!({"version": "1.0.1"}), json!({"status": "suspended"}), json!({"status": "active"})] {
        let (status, changed) = agentidp(&daemon, "PATCH", &path, Some(change));
        assert_eq!(status, 200, "{changed}");
    }
    let (status, made) = agentidp(&daemon, "POST", &format!("{path}/credentials"), Some(json!({})));
    assert_eq!(status, 201, "{made}");
    let credential = format!("{path}/credentials/{}", made["credentialId"].as_str().unwrap());
    let (status, rotated) = agentidp(&daemon, "POST", &format!("{credential}/rotate"), Some(json!({})));
    assert_eq!(status, 200, "{rotated}");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let secret = rotated["clientSecret"].as_str().unwrap();
    let asked = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}&scope=agents:read");
    let token = daemon.with_key("").send("POST", "/agentidp/api/v1/token", &form, asked.as_bytes()).ok();
    let revoked = format!("token={}", token["access_token"].as_str().unwrap());
    daemon.send("POST", "/agentidp/api/v1/token/revoke", &form, revoked.as_bytes()).ok();
    assert_eq!(agentidp(&daemon, "DELETE", &credential, None).0, 204);
    assert_eq!(agentidp(&daemon, "DELETE", &path, None).0, 204);
    for word in WORDS {
        let post = hook.next();
        post.is_signed("x-sentryagent-signature", "hush");
        let told = post.json();
        assert_eq!((&told["event"], &told["data"]["action"]), (&json!(word), &json!(word)));
        assert!(!String::from_utf8(post.body).unwrap().contains(secret));
    }
}

#[test]
fn an_address_inside_is_not_called_unless_that_is_allowed() {
    let home = Home::new();
    let daemon = home.start();
    for url in ["http://hooks.example/", "https://127.0.0.1/", "https://[::1]/", "https://a:b@hooks.example/"] {
        let params = json!({"url": url, "events": ["AgentRegistered"]});
        daemon.command("Subscribe", params.clone()).problem(422, "target_forbidden");
        daemon.command("AddDestination", json!({ "url": url })).problem(422, "target_forbidden");
        let webhook = json!({"url": url, "events": ["agent.created"], "secret": "hush"});
        let (status, refused) = agentidp(&daemon, "POST", "/webhooks", Some(webhook));
        assert_eq!((status, &refused["details"]["field"]), (400, &json!("url")), "{refused}");
    }
    // What a name stands for is looked at when it is called.
    let (id, _) = subscribe(&daemon, "https://localhost:9/", &["AgentRegistered"]);
    let tested = daemon.send("POST", &format!("/v1/execution/subscriptions/{id}/test"), &[], b"").ok();
    assert_eq!((&tested["delivered"], &tested["status"]), (&json!(false), &Value::Null));
    assert!(tested["excerpt"].as_str().unwrap().contains("not public"), "{tested}");
    daemon.register("ada");
    let path = format!("/v1/execution/subscriptions/{id}/deliveries?state=failed");
    wait_for(&daemon, &path, |it| it["excerpt"].as_str().unwrap().contains("not public"));
}

#[test]
fn a_destination_is_confirmed_by_the_code_that_is_sent_there() {
    let home = Home::with(&["--allow-private-targets"]);
    let (daemon, hook) = (home.start(), Hook::open());
    let added = daemon.command("AddDestination", json!({"url": hook.url, "secret": "hush", "confirm": true})).ok();
    let id = added["result"]["destination"]["id"].as_str().unwrap();
    assert_eq!(added["result"]["destination"]["verified"], false);
    let to_it = json!({"destinations": [id], "events": ["AgentRegistered"]});
    daemon.command("Subscribe", to_it.clone()).problem(409, "unverified");
    daemon.send("POST", &format!("/v1/execution/destinations/{id}/send-code"), &[], b"").ok();
    let post = hook.next();
    post.is_signed("chancery-signature", "hush");
    assert_eq!(post.json()["event"], "verification");
    let name = |code: &str| daemon.command("VerifyDestination", json!({"destination": id, "code": code}));
    name("no such code").problem(422, "code_wrong");
    name(post.json()["data"]["code"].as_str().unwrap()).ok();
    let subscribed = daemon.command("Subscribe", to_it).ok();
    let subscription = subscribed["result"]["subscription"]["id"].as_str().unwrap();
    let tested = daemon.send("POST", &format!("/v1/execution/subscriptions/{subscription}/test"), &[], b"").ok();
    assert_eq!(tested["delivered"], true);
    assert_eq!(hook.next().json()["event"], "test");
    let recorded = daemon.get("/v1/events?kind=DeliveriesRecorded").ok();
    assert_eq!(recorded["items"][0]["body"]["items"][0]["event"], Value::Null);
    // Sent with another secret, from now on.
    daemon.command("RotateDestinationSecret", json!({"destination": id, "secret": "other"})).ok();
    daemon.register("ada");
    hook.next().is_signed("chancery-signature", "other");
    daemon.command("RemoveDestination", json!({"destination": id})).problem(409, "destination_in_use");
}

/// Whatever a crash cuts off, every event is told at least once, and none for the first time before one that is older.
#[test]
fn a_crash_leaves_no_event_untold() {
    const ROUNDS: usize = 6;
    let home = Home::with(&["--allow-private-targets", "--webhook-retry-secs", "1"]);
    let hook = Hook::open();
    let mut wanted = Vec::new();
    let mut told: Vec<u64> = Vec::new();
    let mut take = |post: Post| {
        let seq = post.json()["data"]["seq"].as_u64().unwrap();
        if !told.contains(&seq) {
            assert!(told.last().is_none_or(|last| *last < seq), "{seq} is told after {told:?}");
            told.push(seq);
        }
        told.len()
    };
    for round in 0..ROUNDS {
        let daemon = home.start();
        if round == 0 {
            subscribe(&daemon, &hook.url, &["AgentRegistered"]);
        }
        // In some rounds the last post is under way for ever when the end comes.
        if round % 2 == 1 {
            hook.answer_with(&[204, 204, 0]);
        }
        for n in 0..12 {
            let answer = daemon.command("RegisterAgent", json!({"name": format!("r{round}n{n}")})).ok();
            wanted.push(answer["receipt"]["events"][0]["seq"].as_u64().unwrap());
        }
        // Rounds differ in how much was posted by then.
        for _ in 0..round % 3 {
            take(hook.next());
        }
        daemon.kill();
    }
    let daemon = home.start();
    while take(hook.next()) < wanted.len() {}
    assert_eq!(told, wanted);
    assert_eq!(daemon.stop().0.code(), Some(0));
}
