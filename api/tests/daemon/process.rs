//! Starting, stopping, and what is said meanwhile.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use serde_json::json;

use crate::support::{Client, FIRST_AGENTS, Home, mode};

#[test]
fn it_starts_says_one_line_and_stops_in_order() {
    let home = Home::new();
    let daemon = home.start();
    assert!(daemon.url.starts_with("http://127.0.0.1:"));
    assert_eq!(daemon.with_key("").get("/livez").ok(), json!({"status": "live"}));
    assert_eq!(daemon.with_key("").get("/readyz").ok(), json!({"status": "ready"}));
    let (status, said) = daemon.stop();
    assert_eq!(status.code(), Some(0));
    assert_eq!(said, "", "standard output has the one line that scripts wait for");
}

#[test]
fn the_bootstrap_file_has_working_credentials_for_its_owner_alone() {
    let home = Home::new();
    let daemon = home.start();
    let file = home.path("bootstrap.json");
    assert_eq!(mode(&file), 0o600);
    let first: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(first["tenant"], "root");
    assert!(first["orgkernel"]["token"].as_str().unwrap().starts_with("chy_"));
    assert_eq!(daemon.get("/v1/identity/tenants").ok()["items"].as_array().unwrap().len(), 2);
    daemon.stop();

    // A second start makes no second keys.
    std::fs::write(&file, first.to_string()).unwrap();
    let daemon = home.start();
    assert_eq!(daemon.get("/v1/identity/tenants").status, 200);
}

#[test]
fn without_a_bootstrap_file_the_first_keys_are_shown_on_standard_error() {
    let home = Home::new();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_chanceryd"));
    command.env_clear().env("CHANCERY_LISTEN", "127.0.0.1:0").env("CHANCERY_DATA_DIR", home.path("data"));
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut ready = [0; 16];
    child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
    let _ = std::process::Command::new("kill").arg(child.id().to_string()).status().unwrap();
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(said.contains("admin key         chy_") && said.contains("OrgKernel token   chy_"), "{said}");
    assert_eq!(ended.status.code(), Some(0));
}

#[test]
fn a_second_daemon_on_the_same_directory_is_refused() {
    let home = Home::new();
    let first = home.start();
    let second = home.command().output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert_eq!(second.stdout, b"");
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains("is in use by another"), "{said}");
    assert_eq!(first.get("/v1/views").status, 200, "the first goes on");
}

#[test]
fn a_wrong_setting_is_named() {
    let home = Home::new();
    let said = |flags: &[&str]| {
        let ended = home.command().args(flags).output().unwrap();
        assert_ne!(ended.status.code(), Some(0));
        String::from_utf8(ended.stderr).unwrap()
    };
    assert!(said(&["--tls-cert", "/nonexistent"]).contains("tls_key"));
    assert!(said(&["--lsten", "x"]).contains("--lsten"));
    assert!(!home.path("data").exists(), "nothing was begun");
}

#[test]
fn a_stop_lets_what_is_under_way_end() {
    let home = Home::new();
    let daemon = home.start();
    let mut events = daemon.stream("/v1/events/stream", None);
    // A batch whose second half comes after the daemon was told to stop.
    let mut batch = daemon.connect();
    let line = |name: &str| format!("{{\"command\":\"RegisterAgent\",\"params\":{{\"name\":\"{name}\"}}}}\n");
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let head = format!(
        "POST /v1/commands HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/x-ndjson\r\n\
         Transfer-Encoding: chunked\r\n\r\n{}",
        daemon.key,
        chunk(&line("before"))
    );
    batch.write_all(head.as_bytes()).unwrap();
    let (_, kind, _) = events.next().unwrap();
    assert_eq!(kind, "AgentRegistered", "the first line is under way");
    daemon.signal("TERM");
    assert!(events.next().is_none(), "live streams end");
    batch.write_all(format!("{}0\r\n\r\n", chunk(&line("after"))).as_bytes()).unwrap();
    let said = crate::support::read_all(batch);
    assert_eq!(said.matches("\"status\":200").count(), 2, "{said}");
    assert_eq!(daemon.end().0.code(), Some(0));

    let daemon = home.start();
    assert_eq!(daemon.get("/v1/identity/agents").ok()["items"].as_array().unwrap().len(), 2 + FIRST_AGENTS);
}

#[test]
fn the_sealing_key_can_be_kept_under_a_passphrase() {
    let home = Home::new();
    let passphrase = home.path("passphrase");
    std::fs::write(&passphrase, "correct horse battery staple\n").unwrap();
    let home_with = Home::with(&["--passphrase-file", passphrase.to_str().unwrap()]);
    let daemon = home_with.start();
    daemon.register("ada");
    daemon.stop();
    let keys = home_with.path("data/keys");
    for key in std::fs::read_dir(&keys).unwrap() {
        let key = key.unwrap().path();
        assert_eq!(mode(&key), 0o600);
        assert!(std::fs::read_to_string(&key).unwrap().contains("BEGIN ENCRYPTED PRIVATE KEY"));
    }
    std::fs::write(&passphrase, "another\n").unwrap();
    assert_eq!(home_with.command().output().unwrap().status.code(), Some(1), "a wrong passphrase opens nothing");
    std::fs::write(&passphrase, "correct horse battery staple\n").unwrap();
    let daemon = home_with.start();
    daemon.register("bob");
}

#[test]
fn tls_is_served_with_a_certificate() {
    let home = Home::new();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (cert, key) = (home.path("cert.pem"), home.path("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let home = Home::with(&["--tls-cert", cert.to_str().unwrap(), "--tls-key", key.to_str().unwrap()]);
    let daemon = home.start();
    assert!(daemon.url.starts_with("https://127.0.0.1:"));

    let root = ureq::tls::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let tls = ureq::tls::TlsConfig::builder().root_certs(ureq::tls::RootCerts::Specific(Arc::new(vec![root]))).build();
    let agent = ureq::Agent::config_builder().tls_config(tls).http_status_as_error(false).build().new_agent();
    let client = Client { url: daemon.url.replace("127.0.0.1", "localhost"), ..daemon.client.clone() };
    let answer = client.send_by(&agent, "GET", "/v1/views", &[], b"");
    assert_eq!(answer.status, 200);
    drop(agent);

    // Plain HTTP gets nothing out of it.
    let mut plain = daemon.connect();
    plain.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(!crate::support::read_all(plain).contains("live"));
    assert_eq!(daemon.stop().0.code(), Some(0));
}
