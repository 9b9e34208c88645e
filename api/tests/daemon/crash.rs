//! A power cut, as far as a process can play one: killed in the middle of its work, again and again.

use std::io::{BufRead as _, BufReader, Write as _};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::{Client, Home};

const ROUNDS: usize = 20;
const WRITERS: usize = 4;

/// Sends commands until the daemon is gone, and keeps what was acknowledged.
fn write_until_gone(client: &Client, round: usize, writer: usize, acknowledged: &Mutex<Vec<(u64, String)>>) {
    let Ok(mut stream) = std::net::TcpStream::connect(client.authority()) else { return };
    let head = format!(
        "POST /v1/commands HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/x-ndjson\r\n\
         Transfer-Encoding: chunked\r\n\r\n",
        client.key
    );
    if stream.write_all(head.as_bytes()).is_err() {
        return;
    }
    let reader = BufReader::new(stream.try_clone().unwrap());
    let sending = std::thread::spawn(move || {
        for n in 0.. {
            let line = format!(
                "{}\n",
                json!({"command": "RegisterAgent", "params": {"name": format!("r{round}w{writer}n{n}")}})
            );
            if stream.write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes()).is_err() {
                return;
            }
        }
    });
    for line in reader.lines() {
        let Ok(line) = line else { break };
        // A line that was cut off acknowledges nothing.
        let Some(answer) = serde_json::from_str::<Value>(&line).ok().filter(|answer| answer["status"] == 200) else {
            continue;
        };
        let event = &answer["receipt"]["events"][0];
        acknowledged.lock().unwrap().push((event["seq"].as_u64().unwrap(), event["hash"].as_str().unwrap().to_owned()));
    }
    sending.join().unwrap();
}

#[test]
fn what_was_acknowledged_survives_twenty_kills() {
    let home = Home::new();
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    for round in 0..ROUNDS {
        let daemon = home.start();
        check(&daemon, &acknowledged.lock().unwrap(), round);
        let before = acknowledged.lock().unwrap().len();
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (client, acknowledged) = (daemon.client.clone(), acknowledged.clone());
                std::thread::spawn(move || write_until_gone(&client, round, writer, &acknowledged))
            })
            .collect();
        // Rounds differ in how much is under way when the end comes.
        while acknowledged.lock().unwrap().len() < before + 1 + 37 * round {
            std::thread::yield_now();
        }
        daemon.kill();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
    }
    let daemon = home.start();
    check(&daemon, &acknowledged.lock().unwrap(), ROUNDS);
    assert_eq!(daemon.stop().0.code(), Some(0));
}

/// Everything acknowledged is there, as it was acknowledged, and so is everything before it.
fn check(client: &Client, acknowledged: &[(u64, String)], round: usize) {
    let mut wanted: std::collections::HashMap<u64, &str> =
        acknowledged.iter().map(|(seq, hash)| (*seq, hash.as_str())).collect();
    let (mut next, mut prev) = (0, Value::from("0".repeat(64)));
    let mut cursor = String::new();
    loop {
        let page = client.get(&format!("/v1/events?limit=1000{cursor}")).ok();
        for event in page["items"].as_array().unwrap() {
            assert_eq!(event["seq"], next, "round {round}");
            assert_eq!(event["prev"], prev, "round {round}, event {next}");
            if let Some(hash) = wanted.remove(&next) {
                assert_eq!(event["hash"], hash, "round {round}, event {next}");
            }
            prev = event["hash"].clone();
            next += 1;
        }
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert!(wanted.is_empty(), "round {round}: {} acknowledged events are gone", wanted.len());
}
