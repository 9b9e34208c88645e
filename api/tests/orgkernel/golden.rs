//! One recorded exchange for each route, in `tests/golden/orgkernel/`, played in the order of their names against a new
//! daemon. Whatever differs from run to run has a name: `<aid-1>` is the first agent id that appeared, everywhere.
//!
//! `CHANCERY_BLESS=1` writes the answers anew; then read the difference.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use chancery_api::dialect::orgkernel::{PREFIX, ROUTES};
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use ed25519_dalek::{Signer as _, SigningKey};

use crate::kernel::kernel;
use crate::support::{Client, Home};

/// Ids of things, by their prefix.
const IDS: [&str; 6] = ["aid", "tok", "chal", "ac", "aue", "csr"];
/// Callers' own times lie in this year, and stay as they are.
const CALLERS_YEAR: &str = "2099-";

#[test]
fn every_route_answers_as_recorded() {
    let home = Home::new();
    let daemon = home.start();
    let client = kernel(&home, &daemon);
    let mut names = Names::default();
    let mut differing = String::new();
    let mut seen = vec![0; ROUTES.len()];
    for file in recorded() {
        let text = std::fs::read_to_string(&file).unwrap();
        let (request, wanted) = text.split_once("\n\n---\n").unwrap_or((text.trim_end(), ""));
        let method = request.split(' ').next().unwrap();
        let target = request.split([' ', '\n']).nth(1).unwrap();
        if let Some(route) = route_of(method, target) {
            seen[route] += 1;
        }
        let got = play(&client, request, &mut names);
        if got == wanted.trim_end() {
            continue;
        }
        if std::env::var_os("CHANCERY_BLESS").is_some() {
            std::fs::write(&file, format!("{request}\n\n---\n{got}\n")).unwrap();
        }
        writeln!(differing, "{}\nrecorded:\n{wanted}\nanswered:\n{got}\n", file.display()).unwrap();
    }
    assert!(differing.is_empty(), "{differing}");
    for (route, seen) in ROUTES.iter().zip(seen) {
        assert!(seen > 0, "no exchange is recorded for {} {}", route.method, route.path);
    }
}

fn recorded() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/orgkernel");
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The first route that fits: literals come first in the table.
fn route_of(method: &str, target: &str) -> Option<usize> {
    let path = target.split('?').next().unwrap().strip_prefix(PREFIX)?;
    ROUTES.iter().position(|route| {
        let (wanted, got): (Vec<&str>, Vec<&str>) = (route.path.split('/').collect(), path.split('/').collect());
        let fits = |(wanted, got): (&&str, &&str)| wanted.starts_with('{') || wanted == got;
        route.method == method && wanted.len() == got.len() && wanted.iter().zip(&got).all(fits)
    })
}

fn play(client: &Client, request: &str, names: &mut Names) -> String {
    let (head, body) = request.split_once("\n\n").unwrap_or((request, ""));
    let mut lines = head.lines();
    let (method, target) = lines.next().unwrap().split_once(' ').unwrap();
    let mut client = client.clone();
    for line in lines {
        assert_eq!(line, "Authorization: none");
        client.key = String::new();
    }
    let body = names.fill(body);
    let headers: &[(&str, &str)] = if body.is_empty() { &[] } else { &[("content-type", "application/json")] };
    let answer = client.send(method, &names.fill(target), headers, body.as_bytes());
    let shown = names.name_strings(&answer.text, &body);
    format!("{}\nContent-Type: {}\n\n{shown}", answer.status, answer.header("content-type").unwrap_or("none"))
}

/// What has a name.
#[derive(Default)]
struct Names {
    by_text: HashMap<String, String>,
    by_name: HashMap<String, String>,
    counts: HashMap<&'static str, u32>,
}

impl Names {
    /// Puts what was named in place of the names. `<proof-of-x>` is a signature over `x` by the key shown last.
    fn fill(&self, text: &str) -> String {
        let mut filled = text.to_owned();
        for (name, value) in &self.by_name {
            filled = filled.replace(&format!("<proof-of-{name}>"), &self.proof(value));
            filled = filled.replace(&format!("<{name}>"), value);
        }
        assert!(!filled.contains('<'), "{filled} names what did not appear");
        filled
    }

    fn proof(&self, nonce: &str) -> String {
        let Some(pem) = self.by_name.get("pem-1") else { return String::new() };
        let key = SigningKey::from_pkcs8_pem(&pem.replace("\\n", "\n")).unwrap();
        chancery_projections::b64u::render(&key.sign(nonce.as_bytes()).to_bytes())
    }

    /// A JSON text with names in place of the strings that differ from run to run; what the caller sent does not.
    fn name_strings(&mut self, text: &str, sent: &str) -> String {
        let mut shown = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('"') {
            let end = closing(after);
            write!(shown, "{before}\"{}\"", self.name(&after[..end], sent)).unwrap();
            rest = &after[end + 1..];
        }
        shown + rest
    }

    fn name(&mut self, text: &str, sent: &str) -> String {
        if let Some(name) = self.by_text.get(text) {
            return format!("<{name}>");
        }
        let Some(class) = class(text).filter(|_| !sent.contains(text)) else { return text.to_owned() };
        if class == "time" {
            return "<time>".to_owned();
        }
        let count = self.counts.entry(class).or_default();
        *count += 1;
        let name = format!("{class}-{count}");
        self.by_text.insert(text.to_owned(), name.clone());
        self.by_name.insert(name.clone(), text.to_owned());
        format!("<{name}>")
    }
}

/// Where a string ends.
fn closing(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    });
    end.unwrap()
}

/// What sort of text, of those that differ from run to run.
fn class(text: &str) -> Option<&'static str> {
    let id = text
        .split_once('_')
        .filter(|(_, rest)| rest.len() == 26)
        .and_then(|(prefix, _)| IDS.into_iter().find(|known| *known == prefix));
    let base64url = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    let hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_time = text.len() >= 20 && text.as_bytes()[10] == b'T' && text.ends_with(['Z', '0']);
    match text.len() {
        _ if id.is_some() => id,
        _ if text.starts_with("-----BEGIN PRIVATE KEY-----") => Some("pem"),
        _ if is_time && !text.starts_with(CALLERS_YEAR) => Some("time"),
        64 if hex && text.bytes().any(|byte| byte != b'0') => Some("hash"),
        43 if base64url => Some("key"),
        86 if base64url => Some("signature"),
        _ => None,
    }
}
