//! Seeds of the HTTP target: one request for each route of each mount, and such as are refused on the way.

use std::collections::BTreeSet;
use std::path::Path;

use chancery_api::dialect::orgkernel;
use chancery_api::router::{ROUTES, Route};
use chancery_fuzz_properties::genuine::LOG;
use chancery_fuzz_properties::http;
use chancery_projections::trust::scoring::Scoring;

use super::{Seeds, command_lines, line};

/// What stands in place of a route's parameters.
const ARGUMENTS: &[(&str, &str)] = &[
    ("seq", "3"),
    ("tenant", "$TENANT"),
    ("organisation", "$ORGANISATION"),
    ("agent", "$AGENT"),
    ("credential", "$CREDENTIAL"),
    ("challenge", "$CHALLENGE"),
    ("token", "$TOKEN"),
    ("mission", "$MISSION"),
    ("chain", "$CHAIN"),
    ("issuer", "$ISSUER"),
    ("rule", "$RULE"),
    ("destination", "$DESTINATION"),
    ("subscription", "$SUBSCRIPTION"),
    ("delivery", "$DELIVERY"),
    ("transaction", "$TRANSACTION"),
    ("dispute", "$DISPUTE"),
    ("thing", "token:$TOKEN"),
    ("kind", "scoring"),
    ("view", "execution"),
    ("level", "0"),
    ("*index", "000.p/1"),
    ("size", "$SIZE"),
    ("subject", "$SUBJECT"),
    ("log", "$LOG"),
    ("old", "0"),
    ("new", "1"),
];

/// A request for each route, some commands over HTTP, the recorded exchanges of dialects, and what is refused.
pub fn requests() -> Seeds {
    let mut seeds = Seeds::new();
    for Route(method, path, operation) in ROUTES {
        let path = ARGUMENTS
            .iter()
            .fold((*path).to_owned(), |path, (name, value)| path.replace(&format!("{{{name}}}"), value));
        let body = match operation.id {
            "submitCommand" => line("OpenMission", "{}"),
            "queryTrust" => r#"{"agents":["$AGENT"]}"#.to_owned(),
            "tryScope" => "{}".to_owned(),
            // Cosigned already, and said again.
            "witnessCheckpoint" => http::add_checkpoint(LOG.seals[0].checkpoint().size.0),
            "exportEvidence" => r#"{"things":[{"kind":"agent","id":"$AGENT"}],"headers":true}"#.to_owned(),
            "tryScoring" => serde_json::to_string(&Scoring::default()).unwrap(),
            _ => String::new(),
        };
        add(&mut seeds, &format!("native-{}", operation.id), &format!("{method} {path}"), "$ADMIN", &[], &body);
    }
    let commands = command_lines();
    for (command, params) in commands.iter().filter(|(command, _)| command.len().is_multiple_of(3)) {
        let body = line(command, params);
        add(&mut seeds, &format!("z-command-{command}"), "POST /v1/commands?proof=true", "$ADMIN", &[], &body);
    }
    let batch: Vec<String> = commands.iter().take(6).map(|(command, params)| line(command, params)).collect();
    let ndjson = &["content-type: application/x-ndjson", "idempotency-key: batch-1"];
    add(
        &mut seeds,
        "batch",
        "POST /v1/commands?proof=true",
        "$ADMIN",
        ndjson,
        &format!("{}\n\nno json", batch.join("\n")),
    );
    recorded(&mut seeds);
    for (name, first, key, headers, body) in REFUSED {
        add(&mut seeds, &format!("refused-{name}"), first, key, headers, body);
    }
    for (name, bytes) in LEFT {
        seeds.push((format!("left-{name}"), [b"\0", *bytes].concat()));
    }
    seeds
}

type Refused = (&'static str, &'static str, &'static str, &'static [&'static str], &'static str);

const REFUSED: &[Refused] = &[
    ("no-key", "GET /v1/events", "", &[], ""),
    ("unknown-key", "GET /v1/events", "chy_nobody", &[], ""),
    ("revoked-key", "GET /v1/events", "$REVOKED", &[], ""),
    ("two-keys", "GET /v1/events", "$ADMIN", &["x-api-key: $ADMIN"], ""),
    ("without-scope", "GET /v1/ledger/export", "$READER", &[], ""),
    ("another-tenants", "GET /v1/identity/agents/$AGENT", "$OTHER", &[], ""),
    ("another-mount", "GET /v1/events", "$ORGKERNEL", &[], ""),
    ("no-route", "GET /v2/%2e%2e/%00", "$ADMIN", &[], ""),
    ("method", "DELETE /v1/events", "$ADMIN", &[], ""),
    ("parameter", "GET /v1/events?limit=0&limit=1&x", "$ADMIN", &[], ""),
    ("cursor", "GET /v1/identity/agents?cursor=AAAA&order=ascending", "$ADMIN", &[], ""),
    ("future", "GET /v1/identity/agents?as_of=99999", "$ADMIN", &[], ""),
    ("time", "GET /v1/identity/agents?as_of=2026-01-02T03%3A04%3A04.5Z", "$ADMIN", &[], ""),
    ("subject", "GET /v1/events?subject=agent:$AGENT&kind=AgentRegistered&limit=1", "$ADMIN", &[], ""),
    ("no-tenant", "GET /v1/events", "$ADMIN", &["chancery-tenant: nobody"], ""),
    ("entered", "GET /v1/events", "$ADMIN", &["chancery-tenant: $TENANT"], ""),
    ("media-type", "POST /v1/commands", "$ADMIN", &["content-type: text/plain"], "x"),
    (
        "condition",
        "POST /v1/commands",
        "$ADMIN",
        &["if-match: \"1\""],
        r#"{"command":"SuspendAgent","params":{"agent":"$AGENT"}}"#,
    ),
    ("stream-by-list", "GET /v1/events", "$ADMIN", &["accept: text/event-stream", "last-event-id: 2"], ""),
    ("head", "HEAD /v1/identity/keys", "$ADMIN", &["x-request-id: job-7.a_B"], ""),
    ("options", "OPTIONS *", "$ADMIN", &[], ""),
    ("absolute", "GET http://elsewhere.test/orgkernel/ca?x", "$ORGKERNEL", &[], ""),
    ("no-http", "GE\u{7f}T /", "$ADMIN", &["a b: c"], ""),
    ("orgkernel-outside", "GET /orgkernelx/ca", "$ORGKERNEL", &[], ""),
    ("orgkernel-method", "PUT /orgkernel/token/mint", "$ORGKERNEL", &[], "{}"),
    ("orgkernel-escapes", "GET /orgkernel/identity/%61id_%ff/certificate?page_no=-1", "$ORGKERNEL", &[], ""),
    ("orgkernel-page", "GET /orgkernel/token/agent/$AID/page?page_no=2&page_size=101", "$ORGKERNEL", &[], ""),
];

/// What a client says that goes away.
const LEFT: &[(&str, &[u8])] = &[
    ("nothing", b""),
    ("half-a-head", b"GET /livez HTTP/1.1\r\nhost: x\r\nx-"),
    ("half-a-body", b"POST /v1/commands HTTP/1.1\r\nhost: x\r\nauthorization: Bearer $ADMIN\r\ncontent-length: 99\r\n\r\n{"),
    ("chunks", b"POST /v1/commands HTTP/1.1\r\nhost: x\r\nauthorization: Bearer $ADMIN\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"com\r\n0\r\n\r\n"),
    ("two-requests", b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\nGET /readyz HTTP/1.0\r\n\r\n"),
    ("http2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\x05\0\0\0\x01\x82\x84"),
];

fn add(seeds: &mut Seeds, name: &str, first: &str, key: &str, headers: &[&str], body: &str) {
    let mut text = format!("{first}\n");
    if !key.is_empty() {
        text += &format!("authorization: Bearer {key}\n");
    }
    for header in headers {
        text += &format!("{header}\n");
    }
    seeds.push((name.to_owned(), format!("{text}\n{body}").into_bytes()));
}

/// Recorded exchanges that end a thing which others need: they come last.
const ENDING: &[&str] = &["12-revoke", "25-invalidate", "29-close", "47-revoked-for-good", "48-closed-for-good"];

/// The requests of the exchanges that are recorded for dialects; what differs from run to run becomes a word.
fn recorded(seeds: &mut Seeds) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../api/tests/golden/orgkernel");
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let (request, _) = text.split_once("\n\n---\n").unwrap();
        let (head, body) = request.split_once("\n\n").unwrap_or((request, ""));
        let first = head.lines().next().unwrap();
        let key = if head.contains("Authorization: none") { "" } else { "$ORGKERNEL" };
        let stem = file.file_stem().unwrap().to_str().unwrap();
        let last = if ENDING.contains(&stem) { "z-" } else { "" };
        let name = format!("{last}orgkernel-{stem}");
        add(seeds, &name, &worded(first), key, &[], &worded(body));
    }
}

fn worded(text: &str) -> String {
    let mut worded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        let (name, behind) = after.split_once('>').unwrap();
        let word = match name.split('-').next().unwrap() {
            "aid" => "$AID",
            "tok" => "$TOK",
            "ac" => "$AC",
            "chal" => "$CHAL",
            _ => "Kay64UG8yvCyLhqU000LxzYeUm0L_hLIl5S8kyKWbdc",
        };
        worded += before;
        worded += word;
        rest = behind;
    }
    worded + rest
}

/// What requests are written with.
pub fn request_words() -> Vec<String> {
    let mut words: BTreeSet<String> = http::WORDS.iter().map(|word| (*word).to_owned()).collect();
    for Route(method, path, operation) in ROUTES {
        words.insert(format!("{method} "));
        words.extend(path.split_inclusive('/').filter(|part| !part.contains('{')).map(str::to_owned));
        words.extend(operation.parameters.iter().map(|parameter| format!("{}=", parameter.name)));
    }
    for route in orgkernel::ROUTES {
        words.extend(route.path.split_inclusive('/').filter(|part| !part.contains('{')).map(str::to_owned));
    }
    words.insert(format!("{}/", orgkernel::PREFIX));
    for header in [
        "authorization: Bearer ",
        "x-api-key: ",
        "content-type: application/json",
        "content-type: application/x-ndjson",
        "chancery-tenant: ",
        "idempotency-key: ",
        "if-match: \"3\"",
        "last-event-id: ",
        "x-request-id: ",
        "accept: text/event-stream",
        "HEAD ",
        "PUT ",
        "DELETE ",
        "OPTIONS ",
        "%2F",
        "%00",
        "agent:$AGENT",
        "as_of=",
        "cursor=",
        "order=ascending",
        "page_no=",
        "page_size=",
        "bodies=false",
    ] {
        words.insert(header.to_owned());
    }
    words.into_iter().filter(|word| word.len() > 1).collect()
}
