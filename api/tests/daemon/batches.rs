//! Many commands on one stream.

use std::io::{BufRead as _, BufReader, Write as _};

use serde_json::{Value, json};

use crate::support::{Answer, Client, FIRST_AGENTS, Home};

const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");

fn lines(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn batch(client: &Client, text: &str) -> Vec<Value> {
    lines(&client.send("POST", "/v1/commands", &[NDJSON], text.as_bytes()))
}

#[test]
fn each_line_is_answered_in_order() {
    let home = Home::new();
    let daemon = home.start();
    let text: String = (0..500)
        .map(|n| format!("{}\n", json!({"command": "RegisterAgent", "params": {"name": format!("a{n}")}})))
        .collect();
    let answers = batch(&daemon, &text);
    assert_eq!(answers.len(), 500);
    for (index, answer) in answers.iter().enumerate() {
        assert_eq!(answer["index"], index);
        assert_eq!(answer["status"], 200);
        assert_eq!(answer["result"]["agent"]["name"], format!("a{index}"));
    }
    let seqs: Vec<_> = answers.iter().map(|answer| answer["receipt"]["events"][0]["seq"].as_u64().unwrap()).collect();
    assert!(seqs.is_sorted());
}

#[test]
fn a_bad_line_is_answered_in_its_place_and_the_rest_goes_on() {
    let home = Home::new();
    let daemon = home.start();
    let good = json!({"command": "RegisterAgent", "params": {"name": "x"}});
    let text = format!("{good}\n{{\n\n{{\"command\":\"Dance\"}}\n   \n{good}");
    let answers = batch(&daemon, &text);
    let statuses: Vec<_> = answers.iter().map(|answer| answer["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [200, 400, 400, 200], "empty lines count for nothing");
    assert_eq!(answers[1]["problem"]["code"], "malformed");
    assert_eq!(answers[2]["problem"]["path"], "command");
    assert_eq!(answers[3]["index"], 3);

    let (_, lesser) = daemon.new_key(&["agents:list"], &["native"]);
    assert_eq!(batch(&lesser, &text)[0]["problem"]["code"], "scope_missing");
}

#[test]
fn a_line_that_is_too_long_ends_the_batch() {
    let home = Home::new();
    let daemon = home.start();
    let good = json!({"command": "RegisterAgent", "params": {"name": "x"}});
    let text = format!("{good}\n{}\n{good}\n", "x".repeat(300 * 1024));
    let answers = batch(&daemon, &text);
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[0]["status"], 200);
    assert_eq!(answers[1]["status"], 413);
    assert_eq!(answers[1]["problem"]["code"], "body_too_large");
}

#[test]
fn a_batch_under_a_key_is_sent_again_without_harm() {
    let home = Home::new();
    let daemon = home.start();
    let text: String = (0..10)
        .map(|n| format!("{}\n", json!({"command": "RegisterAgent", "params": {"name": format!("a{n}")}})))
        .chain([json!({"command": "RegisterAgent", "params": {"name": "own"}, "idempotency_key": "own"}).to_string()])
        .collect();
    let send = || lines(&daemon.send("POST", "/v1/commands", &[NDJSON, ("idempotency-key", "batch")], text.as_bytes()));
    let (first, again) = (send(), send());
    for (first, again) in first.iter().zip(&again) {
        assert_eq!(again["receipt"]["replayed"], true);
        assert_eq!(again["result"], first["result"]);
    }
    assert_eq!(daemon.get("/v1/identity/agents").ok()["items"].as_array().unwrap().len(), 11 + FIRST_AGENTS);
    let id = &first[0]["result"]["agent"]["id"];
    let text = json!({"command": "SuspendAgent", "params": {"agent": id}, "if_match": 0}).to_string();
    assert_eq!(batch(&daemon, &text)[0]["status"], 412);
    let refused = daemon.send("POST", "/v1/commands", &[NDJSON, ("if-match", "\"1\"")], text.as_bytes());
    refused.problem(400, "parameter_invalid");
}

#[test]
fn answers_come_while_lines_are_still_being_sent() {
    let home = Home::new();
    let daemon = home.start();
    let mut stream = daemon.connect();
    let head = format!(
        "POST /v1/commands HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/x-ndjson\r\n\
         Transfer-Encoding: chunked\r\n\r\n",
        daemon.key
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut said = BufReader::new(stream.try_clone().unwrap());
    for n in 0..5 {
        let line = format!("{}\n", json!({"command": "RegisterAgent", "params": {"name": format!("a{n}")}}));
        stream.write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes()).unwrap();
        let answer = loop {
            let mut line = String::new();
            assert_ne!(said.read_line(&mut line).unwrap(), 0);
            if line.starts_with("{\"index\"") {
                break serde_json::from_str::<Value>(&line).unwrap();
            }
        };
        assert_eq!(answer["index"], n, "the answer to this line came before the next was sent");
    }
}
