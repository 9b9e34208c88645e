//! Malformed, oversized and slow requests: each gets a clear error, and nothing is lost.

use std::io::{Read as _, Write as _};

use serde_json::json;

use crate::support::{Client, FIRST_AGENTS, Home, read_all};

fn head(client: &Client, fields: &str) -> String {
    format!("POST /v1/commands HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n{fields}\r\n", client.key)
}

#[test]
fn bad_json_is_named() {
    let home = Home::new();
    let daemon = home.start();
    let post = |body: &[u8]| daemon.send("POST", "/v1/commands", &[("content-type", "application/json")], body);
    for body in [
        &b"{"[..],
        b"[]",
        b"null",
        b"{\"command\":1}",
        b"\xff",
        b"{\"command\":\"RegisterAgent\",\"params\":{\"name\":\"a\",\"name\":\"b\"}}",
        b"{\"command\":\"RegisterAgent\",\"params\":{\"name\":\"a\"}}{}",
        &[b'['; 100_000],
    ] {
        post(body).problem(400, "malformed");
    }
    daemon
        .send("POST", "/v1/commands", &[("content-type", "application/json"), ("content-length", "0")], b"")
        .problem(400, "malformed");
    daemon.register("still here");
}

#[test]
fn an_oversized_body_is_refused_announced_or_not() {
    let home = Home::with(&["--body-bytes-max", "65536"]);
    let daemon = home.start();
    let mut announced = daemon.connect();
    announced.write_all(head(&daemon, "Content-Length: 70000\r\n").as_bytes()).unwrap();
    let said = read_all(announced);
    assert!(said.starts_with("HTTP/1.1 413 ") && said.contains("body_too_large") && said.contains("65536"), "{said}");

    let mut chunked = daemon.connect();
    chunked.write_all(head(&daemon, "Transfer-Encoding: chunked\r\n").as_bytes()).unwrap();
    let piece = format!("{:x}\r\n{}\r\n", 40_000, "x".repeat(40_000));
    chunked.write_all(piece.as_bytes()).unwrap();
    // The daemon may have answered and closed already.
    let _ = chunked.write_all(piece.as_bytes());
    let mut said = [0; 12];
    chunked.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"HTTP/1.1 413");

    let big = daemon.command("RegisterAgent", json!({"name": "x", "profile": {"description": "y".repeat(66_000)}}));
    big.problem(413, "body_too_large");
    daemon.register("still here");
}

#[test]
fn a_long_head_and_a_long_query_are_refused() {
    let home = Home::new();
    let daemon = home.start();
    let mut stream = daemon.connect();
    stream
        .write_all(format!("GET /livez HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "x".repeat(100_000)).as_bytes())
        .unwrap();
    assert!(read_all(stream).starts_with("HTTP/1.1 431 "));
    let long = format!("/v1/identity/agents?cursor={}", "x".repeat(5000));
    daemon.get(&long).problem(400, "parameter_invalid");
    let mut stream = daemon.connect();
    stream.write_all(b"this is not HTTP\r\n\r\n").unwrap();
    assert!(read_all(stream).starts_with("HTTP/1.1 400 "));
    daemon.register("still here");
}

#[test]
fn slow_requests_are_told_and_cut_off() {
    let home = Home::with(&["--header-timeout-secs", "1", "--body-timeout-secs", "1"]);
    let daemon = home.start();
    let mut heads = daemon.connect();
    heads.write_all(b"GET /livez HTTP/1.1\r\nHost:").unwrap();
    let said = read_all(heads);
    assert!(said.starts_with("HTTP/1.1 408 ") && said.contains("header_too_slow"), "{said}");

    let mut preface = daemon.connect();
    preface.write_all(b"PRI * HT").unwrap();
    assert!(read_all(preface).starts_with("HTTP/1.1 408 "));

    let mut bodies = daemon.connect();
    bodies.write_all(head(&daemon, "Content-Length: 100\r\n").as_bytes()).unwrap();
    bodies.write_all(b"{\"command\":").unwrap();
    let mut said = [0; 12];
    bodies.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"HTTP/1.1 408");

    let mut batch = daemon.connect();
    let fields = "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n";
    batch.write_all(head(&daemon, fields).as_bytes()).unwrap();
    let line = "{\"command\":\"RegisterAgent\",\"params\":{\"name\":\"a\"}}\n";
    batch.write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes()).unwrap();
    let said = read_all(batch);
    assert!(said.contains("\"status\":200") && said.contains("body_too_slow"), "{said}");
    let agents = daemon.get("/v1/identity/agents").ok()["items"].as_array().unwrap().len();
    assert_eq!(agents, 1 + FIRST_AGENTS, "what was whole was done");

    let silent = daemon.connect();
    assert_eq!(read_all(silent), "", "who says nothing is told nothing");
}

#[test]
fn connections_beyond_the_bound_are_turned_away_and_let_in_again() {
    let home = Home::with(&["--connections-max", "3"]);
    let daemon = home.start();
    let mut held: Vec<_> = (0..3).map(|_| daemon.connect()).collect();
    for stream in &mut held {
        // An answer shows that the connection has its place.
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut said = [0; 12];
        stream.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"HTTP/1.1 200");
    }
    let said = read_all(daemon.connect());
    assert!(said.starts_with("HTTP/1.1 503 ") && said.contains("retry-after: 1"), "{said}");
    drop(held);
    while daemon.with_key("").get("/livez").status != 200 {}
}

#[test]
fn commands_beyond_the_queue_are_refused_with_retry_after_and_batches_wait() {
    let home = Home::with(&["--queue-max", "1"]);
    let daemon = home.start();
    let answers: Vec<_> = std::thread::scope(|scope| {
        let send = |writer: usize| {
            let client = &daemon.client;
            let send = move |n| client.command("RegisterAgent", json!({"name": format!("w{writer}n{n}")}));
            scope.spawn(move || (0..50).map(send).collect::<Vec<_>>())
        };
        let writers: Vec<_> = (0..16).map(send).collect();
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    });
    let (done, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    for answer in &refused {
        answer.problem(503, "busy");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    assert!(!refused.is_empty() && !done.is_empty(), "{} done, {} refused", done.len(), refused.len());
    let lines: String =
        (0..200).map(|n| format!("{{\"command\":\"RegisterAgent\",\"params\":{{\"name\":\"b{n}\"}}}}\n")).collect();
    let batch = daemon.send("POST", "/v1/commands", &[("content-type", "application/x-ndjson")], lines.as_bytes());
    assert_eq!(batch.text.matches("\"status\":200").count(), 200);
    let agents = daemon.get("/v1/identity/agents?limit=1000").ok()["items"].as_array().unwrap().len();
    assert_eq!(agents, done.len() + 200 + FIRST_AGENTS, "what was refused was not done");
}

#[test]
fn no_answer_shows_what_is_inside() {
    let home = Home::new();
    let daemon = home.start();
    let mut texts = Vec::new();
    for path in [
        "/v1/nothing",
        "/v1/identity/agents?as_of=99999999",
        "/v1/events/x",
        "/v1/views/x/digest",
        "/%00",
        "/v1/events?cursor=x",
    ] {
        texts.push(daemon.get(path).text);
    }
    texts.push(
        daemon.send("POST", "/v1/commands", &[("content-type", "application/json")], b"{\"command\":\"X\"}").text,
    );
    texts.push(daemon.with_key("chy_x").get("/v1/views").text);
    let home = home.path("").display().to_string();
    for text in texts {
        for inside in ["panicked", ".rs:", "fjall", "sled", "tokio", "RowsError", home.as_str()] {
            assert!(!text.contains(inside), "{inside} in {text}");
        }
    }
}
