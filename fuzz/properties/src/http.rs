//! The whole HTTP service within the process: hyper, bounds, authentication, routes, dialects, engine, and the way back.
//!
//! An input is a request as a person writes one: a line of method and target, header fields, an empty line, the body.
//! What belongs to the framing of the message (its length, that the connection ends) is added, so that every input is
//! one whole request. An input that begins with a zero byte is sent as it is, and the client goes away.
//!
//! Words stand for credentials and things that are there: [`WORDS`]. The ledger is the same at every start, and is begun
//! anew after some hundred inputs, so that what they wrote does not gather and what they ended is there again.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chancery_api::app::App;
use chancery_api::auth::refusals;
use chancery_api::config::Config;
use chancery_api::egress::Egress;
use chancery_api::observability::metrics::Metrics;
use chancery_api::server::serve_stream;
use chancery_ledger::actor::Actor;
use chancery_ledger::event_ref::{EventRef, Lane};
use chancery_ledger::ids::{Seq, TreeSize, render_typeid};
use chancery_ledger::link::Hash;
use chancery_ledger::time::Micros;
use chancery_ledger::timestamp::{Imprint, Nonce, Token};
use chancery_ledger::tree::NodeHash;
use chancery_ledger::tree::consistency_proof::ConsistencyProof;
use chancery_ledger::tree::seal::{Checkpoint, Seal};
use chancery_ledger::witness::policy::WitnessPolicy;
use chancery_projections::command::{ProvideWitnessKey, RecordTimestamp};
use chancery_projections::context::{Caller, Clock};
use chancery_projections::engine::{Engine, EngineConfig};
use chancery_projections::identity::state::LEDGER;
use chancery_projections::sequencer;
use chancery_projections::views::View;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::genuine::{LOG, verifier_key};
use crate::words::Words;
use crate::world::{START, Seeded};

/// Words that stand for credentials and things.
pub const WORDS: &[&str] = &[
    "$ADMIN",
    "$ORGKERNEL",
    "$DESTINATION",
    "$SUBSCRIPTION",
    "$DELIVERY",
    "$READER",
    "$OTHER",
    "$REVOKED",
    "$TENANT",
    "$AGENT",
    "$MISSION",
    "$TOKEN",
    "$CHAIN",
    "$CHALLENGE",
    "$CREDENTIAL",
    "$AID",
    "$TOK",
    "$AC",
    "$CHAL",
    "$ORGANISATION",
    "$ISSUER",
    "$RULE",
    "$PAYER",
    "$SIZE",
    "$TRANSACTION",
    "$DISPUTE",
    "$LOG",
];
/// Inputs after which the ledger is begun anew.
const INPUTS_MAX: u32 = 256;
/// Longer than any answer takes; a request that has none by then hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of an answer that are read; a live stream has no end.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes that are on their way between client and server at once.
const BUFFER_BYTES: usize = 64 * 1024;
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

static SERVICE: Mutex<Option<Service>> = Mutex::new(None);

/// The status that is answered; `gone` for an input that is sent as it is.
///
/// # Panics
/// When a property does not hold.
pub fn hold(input: &[u8]) -> String {
    let mut kept = SERVICE.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.as_ref().is_some_and(|service| service.inputs >= INPUTS_MAX) {
        *kept = None;
    }
    let service = kept.get_or_insert_with(Service::start);
    service.inputs += 1;
    let input = service.words.fill(input);
    match input.strip_prefix(b"\0") {
        Some(bytes) => {
            service.leave(bytes);
            "gone".to_owned()
        }
        None => service.ask(&Request::of(&input)).status.to_string(),
    }
}

/// Begins the ledger anew, so that the next input finds it as the first did.
pub fn begin_anew() {
    *SERVICE.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

/// A clock that stands.
struct Standing;

impl Clock for Standing {
    fn now(&self) -> Micros {
        START
    }
}

/// The policy of a witness of the genuine log.
fn policy() -> WitnessPolicy {
    let text = format!("log {}\nquorum none\n", verifier_key(1));
    WitnessPolicy::parse(text.as_bytes()).expect("a policy")
}

/// What the genuine log asks its witness about its first checkpoint, when it takes that of a size for the last cosigned.
#[must_use]
pub fn add_checkpoint(old: u64) -> String {
    let seal = LOG.seals[0].clone();
    ConsistencyProof { old: TreeSize(old), path: Vec::new(), seal }.render()
}

/// The daemon but for its process and its socket.
struct Service {
    runtime: Runtime,
    app: Arc<App>,
    stop: watch::Sender<bool>,
    words: Words,
    inputs: u32,
    dir: TempDir,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        self.app.engine().stop();
    }
}

impl Service {
    fn start() -> Self {
        let dir = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap();
        let mut config = EngineConfig::new(dir.path());
        config.clock = Arc::new(Standing);
        config.random = Box::new(Seeded::new(1));
        let (engine, first) = Engine::open(config).unwrap();
        let first = first.expect("the directory is new");
        let (stop, stopping) = watch::channel(false);
        // Nobody notes refused log-ins here: they would wait for a minute to be over.
        let (refusals, _) = refusals::channel();
        let mut config = Config::defaults();
        config.witnesses = Arc::new(policy());
        let app = App::new(Arc::new(engine), config, Metrics::new(), refusals, stopping)
            .with_egress(Egress::shut("nobody is called from here"));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        let mut service = Self { runtime, app: Arc::new(app), stop, words: Words::default(), inputs: 0, dir };
        service.words.mean("ADMIN", &**first.admin_key);
        service.words.mean("ORGKERNEL", &**first.orgkernel_token);
        service.furnish();
        service
    }

    /// Makes one of each thing.
    fn furnish(&mut self) {
        let other = self.command("CreateTenant", json!({"slug": "other", "name": "Other"}));
        self.words.mean("OTHER", text(&other, "/result/shown_once/api_key"));
        self.words.mean("TENANT", text(&other, "/result/tenant/id"));
        let reader = self.command("CreateApiKey", json!({"name": "reader", "scopes": ["agents:read"]}));
        self.words.mean("READER", text(&reader, "/result/shown_once/api_key"));
        self.words.mean("CREDENTIAL", text(&reader, "/result/credential/id"));
        let revoked = self.command("CreateApiKey", json!({"name": "revoked", "scopes": ["agents:read"]}));
        self.words.mean("REVOKED", text(&revoked, "/result/shown_once/api_key"));
        self.command("RevokeApiKey", json!({"credential": text(&revoked, "/result/credential/id")}));
        let organisation = self.command("CreateOrganisation", json!({"slug": "acme-corp", "name": "Acme"}));
        self.words.mean("ORGANISATION", text(&organisation, "/result/organisation/id"));
        let agent = self.command(
            "RegisterAgent",
            json!({
                "name": "ada", "key": "make", "organisation": {"slug": "acme-corp"},
                "handles": [{"namespace": "orgkernel/acme-corp", "value": "ada"}],
            }),
        );
        let agent = text(&agent, "/result/agent/id");
        let mission = json!({"key": {"namespace": "orgkernel", "text": "msn_invoice01"}});
        let token = self.command(
            "IssueToken",
            json!({
                "agent": agent, "mission": mission, "scopes": ["read_invoice"], "expires": "2026-01-02T04:00:00Z",
                "immutable": {"currency": "EUR"}, "bounds": [{"name": "amount", "upper": 50.5}],
            }),
        );
        let token = text(&token, "/result/token/id");
        let chain = self.command(
            "OpenAuditChain",
            json!({
                "mission": mission, "agent_text": "aid_0123456789ab", "mission_text": "msn_invoice01",
            }),
        );
        let chain_id = text(&chain, "/result/audit_chain/id");
        let challenge = self.command("IssueChallenge", json!({"agent": agent, "issued_by": "auditor"}));
        let challenge = text(&challenge, "/result/challenge/id");
        let mission = self.command("OpenMission", json!({"agent": agent, "intent": "pay"}));
        self.words.mean("MISSION", text(&mission, "/result/mission/id"));
        let issuer = self.command(
            "TrustIssuer",
            json!({
                "name": "Neighbour", "iss": "https://neighbour.example", "jwks_uri": "https://neighbour.example/jwks",
            }),
        );
        self.words.mean("ISSUER", text(&issuer, "/result/issuer/id"));
        let rule = json!({"provider": "github", "repository": "acme/neighbour", "agent": agent});
        self.words.mean("RULE", text(&self.command("AddIssuerRule", rule), "/result/issuer_rule/id"));
        // The name stands for an address that is not called, so nothing leaves this machine.
        let destination = json!({"url": "https://localhost:9/", "confirm": true});
        let destination = self.command("AddDestination", destination);
        self.words.mean("DESTINATION", text(&destination, "/result/destination/id"));
        let subscription = json!({"url": "https://localhost:9/", "events": ["AgentRegistered"]});
        let subscription = self.command("Subscribe", subscription);
        self.words.mean("SUBSCRIPTION", text(&subscription, "/result/subscription/id"));
        let payer = json!({
            "name": "payer", "actions": ["pay"], "limit": {"amount": "100", "currency": "USD"}, "disclosure": "verifiable",
        });
        let registered = self.command("RegisterAgent", payer);
        let payer = text(&registered, "/result/agent/id");
        let told = registered.pointer("/receipt/events/0/seq").and_then(Value::as_u64).map(Seq).unwrap();
        self.words.mean("DELIVERY", EventRef::new(START, told, Lane::Delivery, 0).uuid());
        let paid = json!({"agent": payer, "counterparty": {"external": "shop"}, "amount": "1.50", "action": "pay"});
        let paid = self.command("ExecuteTransaction", paid);
        self.words.mean("TRANSACTION", text(&paid, "/result/transaction/id"));
        let filed = self.command("FileDispute", json!({"agent": payer, "reason": "it lied"}));
        self.words.mean("DISPUTE", text(&filed, "/result/dispute/id"));
        self.words.mean("PAYER", &payer);
        let gone = text(&self.command("RegisterAgent", json!({"name": "gone"})), "/result/agent/id");
        let held = json!({"subject": {"kind": "agent", "id": gone}, "matter": "2026-017", "reason": "a claim"});
        self.command("PlaceHold", held.clone());
        self.command("LiftHold", held);
        self.command("EraseSubject", json!({"subject": {"kind": "agent", "id": gone}, "reason": "asked for"}));
        self.words.mean("SUBJECT", format!("agent:{gone}"));
        self.witness();
        let published =
            self.ask(&Request::of(&self.words.fill(b"POST /v1/views/roots\nauthorization: Bearer $ADMIN\n\n")));
        assert_eq!(published.status, 200, "{}", String::from_utf8_lossy(&published.body));
        let log = self.app.engine().log();
        let (size, seal) = log.last_seal().expect("the log can be read").expect("the log has a seal");
        self.words.mean("SIZE", size);
        self.timestamp(&Seal::parse(&seal).unwrap());
        for (word, prefix, id) in [
            ("AGENT", "AID", &agent),
            ("TOKEN", "TOK", &token),
            ("CHAIN", "AC", &chain_id),
            ("CHALLENGE", "CHAL", &challenge),
        ] {
            let uuid = chancery_ledger::ids::parse_uuid(id).unwrap();
            self.words.mean(word, id);
            self.words.mean(prefix, render_typeid(&prefix.to_ascii_lowercase(), uuid));
        }
    }

    /// Cosigns the genuine log's first checkpoint, as its witness.
    fn witness(&mut self) {
        let identity = self.app.views().get(View::Identity).store.snapshot();
        let ledger = LEDGER.get(&identity, ()).unwrap().expect("there is a ledger");
        let tenant = ledger.root.expect("it has a root tenant");
        let caller = Caller { tenant, actor: Actor::system() };
        let provide = sequencer::Request::new(tenant, caller, ProvideWitnessKey {});
        let provided = self.app.sequencer().submit(provide).expect("it is taken");
        let provided = self.runtime.block_on(async { timeout(PATIENCE, provided).await });
        provided.expect("it is answered").expect("it is durable").answer.expect("a key is provided");
        self.words.mean("LOG", policy().logs()[0].origin_hash());
        let text = ["POST /witness/add-checkpoint\n\n", &add_checkpoint(0)].concat();
        let answer = self.ask(&Request::of(text.as_bytes()));
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    }

    /// Has a checkpoint timestamped, as far as the daemon looks when it records one: by a golden token, made to be over this
    /// checkpoint.
    fn timestamp(&self, seal: &Seal) {
        const VECTORS_ROOT: &str = "c1a7bf56cb5cae26f5ecdf449fa0b28d9b1aaa437354dc92e1e8dd26517e75d4";
        const GOLDEN: &[u8] = include_bytes!("../../../ledger/tests/golden/timestamp/ecdsa.tsr");
        let vectors = Checkpoint {
            origin: "chancery.example/vectors".to_owned(),
            size: TreeSize(3),
            root: NodeHash(hex::decode(VECTORS_ROOT).unwrap().try_into().unwrap()),
        };
        let (from, to) = (Imprint::of(&vectors), Imprint::of(seal.checkpoint()));
        let mut token = Token::of_response(GOLDEN, from, Nonce::new([0x0B; 8])).unwrap().as_bytes().to_vec();
        let at = token.windows(32).position(|bytes| bytes == from.as_bytes()).unwrap();
        token[at..at + 32].copy_from_slice(to.as_bytes());
        let (size, root) = (seal.checkpoint().size.0, Hash(seal.checkpoint().root.0));
        let ledger = LEDGER.get(&self.app.views().get(View::Identity).store.snapshot(), ()).unwrap();
        let tenant = ledger.and_then(|ledger| ledger.root).unwrap();
        let caller = Caller { tenant, actor: Actor::system() };
        let request = sequencer::Request::new(tenant, caller, RecordTimestamp { size, root, token });
        self.app.sequencer().submit(request).unwrap().wait().unwrap().answer.unwrap();
    }

    fn command(&self, name: &str, params: Value) -> Value {
        let text = format!(
            "POST /v1/commands\nauthorization: Bearer $ADMIN\n\n{}",
            json!({"command": name, "params": params})
        );
        let answer = self.ask(&Request::of(&self.words.fill(text.as_bytes())));
        assert_eq!(answer.status, 200, "{name}: {}", String::from_utf8_lossy(&answer.body));
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// Sends a request, and holds the answer against what every answer must be.
    fn ask(&self, request: &Request) -> Answer {
        let (said, live) = self.runtime.block_on(async {
            let (client, server) = duplex(BUFFER_BYTES);
            // One before may have been an export, which lets go of its place a moment after its last byte.
            drop(timeout(PATIENCE, self.app.long_readings().acquire()).await.expect("an export keeps its place"));
            let stopping = self.app.stopping();
            let serving = tokio::spawn(serve_stream(self.app.clone(), PEER, server, stopping));
            let said = timeout(PATIENCE, exchange(client, &request.bytes())).await.expect("no answer came");
            // How it ended is hyper's to say; that it ends is ours.
            timeout(PATIENCE, serving)
                .await
                .expect("the connection does not end")
                .expect("the connection panicked")
                .ok();
            said
        });
        let answer = Answer::read(&said, live, request.is_head())
            .unwrap_or_else(|why| panic!("{why} in the answer to {request:?}:\n{}", String::from_utf8_lossy(&said)));
        answer.holds(request, &self.dir.path().to_string_lossy());
        answer
    }

    /// Sends bytes and goes away: the connection must end all the same.
    fn leave(&self, bytes: &[u8]) {
        self.runtime.block_on(async {
            let (mut client, server) = duplex(BUFFER_BYTES);
            let serving = tokio::spawn(serve_stream(self.app.clone(), PEER, server, self.app.stopping()));
            let sent = async {
                // A server that hung up is right to.
                let _ = client.write_all(bytes).await;
                drop(client);
            };
            timeout(PATIENCE, sent).await.ok();
            timeout(PATIENCE, serving)
                .await
                .expect("the connection does not end")
                .expect("the connection panicked")
                .ok();
        });
    }
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{pointer} in {value}")).to_owned()
}

/// Sends while it reads. Gives what was said, and whether it goes on.
async fn exchange(client: DuplexStream, request: &[u8]) -> (Vec<u8>, bool) {
    let (mut reading, mut writing) = tokio::io::split(client);
    let read = async {
        let (mut said, mut piece) = (Vec::new(), vec![0; 16 * 1024]);
        loop {
            let head = head_end(&said);
            let is_live = head.is_some_and(|end| is_live(&said[..end]));
            if is_live || said.len() > ANSWER_BYTES_MAX {
                return (said, true);
            }
            match reading.read(&mut piece).await {
                Ok(0) | Err(_) => return (said, false),
                Ok(length) => said.extend_from_slice(&piece[..length]),
            }
        }
    };
    let write = async {
        // A server may answer and hang up before it has read everything.
        let _ = writing.write_all(request).await;
        std::future::pending().await
    };
    tokio::select! {
        said = read => said,
        () = write => unreachable!("it only writes"),
    }
}

fn head_end(said: &[u8]) -> Option<usize> {
    said.windows(4).position(|four| four == b"\r\n\r\n")
}

fn is_live(head: &[u8]) -> bool {
    String::from_utf8_lossy(head).lines().any(|line| line.starts_with("content-type: text/event-stream"))
}

/// A request as it is sent.
#[derive(Debug)]
struct Request {
    line: Vec<u8>,
    headers: Vec<Vec<u8>>,
    body: Vec<u8>,
}

impl Request {
    fn of(input: &[u8]) -> Self {
        let mut rest = input;
        let mut line = || {
            let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
            rest = rest.get(end + 1..).unwrap_or_default();
            line
        };
        let first = line().to_vec();
        let mut headers = Vec::new();
        loop {
            match line() {
                b"" => break,
                header if is_framing(header) => {}
                header => headers.push(header.to_vec()),
            }
        }
        Self { line: first, headers, body: rest.to_vec() }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = [&self.line, b" HTTP/1.1\r\nhost: chancery.test\r\n".as_slice()].concat();
        for header in &self.headers {
            bytes.extend_from_slice(header);
            bytes.extend_from_slice(b"\r\n");
        }
        let length = self.body.len();
        bytes.extend_from_slice(format!("content-length: {length}\r\nconnection: close\r\n\r\n").as_bytes());
        bytes.extend_from_slice(&self.body);
        bytes
    }

    fn is_head(&self) -> bool {
        self.line.starts_with(b"HEAD ")
    }

    /// Whether it is OrgKernel's mount that answers.
    fn is_orgkernel(&self) -> bool {
        self.is_below(b"/orgkernel")
    }

    /// Whether the ledger is asked as a witness.
    fn is_to_witness(&self) -> bool {
        self.is_below(b"/witness")
    }

    fn is_below(&self, mount: &[u8]) -> bool {
        let target = self.line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        // A target may name the whole address.
        let path = match target.windows(3).position(|three| three == b"://") {
            Some(at) if target[0] != b'/' => {
                let rest = &target[at + 3..];
                rest.iter().position(|byte| matches!(byte, b'/' | b'?')).map_or(&b""[..], |at| &rest[at..])
            }
            _ => target,
        };
        let path = path.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
        path.strip_prefix(mount).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    }
}

/// Header fields that say how the message is framed, which [`Request::bytes`] adds.
fn is_framing(header: &[u8]) -> bool {
    let name = header.split(|byte| *byte == b':').next().unwrap_or_default();
    let name = String::from_utf8_lossy(name).trim().to_ascii_lowercase();
    ["content-length", "transfer-encoding", "connection", "expect", "upgrade", "te"].contains(&name.as_str())
}

/// An answer, taken apart.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    live: bool,
}

impl Answer {
    fn read(said: &[u8], live: bool, is_head: bool) -> Result<Self, &'static str> {
        let end = head_end(said).ok_or("no end of the head")?;
        let head = std::str::from_utf8(&said[..end]).map_err(|_| "no text")?;
        let mut lines = head.split("\r\n");
        let line = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).ok_or("no status line")?;
        let status = line.get(..3).and_then(|digits| digits.parse().ok()).ok_or("no status")?;
        let headers: Option<Vec<(String, String)>> = lines
            .map(|line| line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())))
            .collect();
        let mut answer = Self { status, headers: headers.ok_or("a header line is none")?, body: Vec::new(), live };
        let body = &said[end + 4..];
        answer.body = match (answer.header("content-length"), answer.header("transfer-encoding")) {
            _ if is_head => {
                if !body.is_empty() {
                    return Err("a body after HEAD");
                }
                Vec::new()
            }
            (Some(length), None) => {
                if length.parse() != Ok(body.len()) {
                    return Err("another length than it says");
                }
                body.to_vec()
            }
            (None, Some("chunked")) if live => Vec::new(),
            (None, Some("chunked")) => unchunked(body).ok_or("malformed chunks")?,
            _ => return Err("no framing"),
        };
        Ok(answer)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// What every answer is.
    fn holds(&self, request: &Request, data_dir: &str) {
        let shown = String::from_utf8_lossy(&self.body);
        let context = || format!("{request:?}\n{self:?}\n{shown}");
        let Some(id) = self.header("x-request-id") else {
            // What is no HTTP is hyper's to refuse: with a status, no more, and the end of the connection.
            assert!(matches!(self.status, 400 | 414 | 431) && self.body.is_empty(), "{}", context());
            return;
        };
        assert!((1..=64).contains(&id.len()), "{}", context());
        assert!(!shown.contains(data_dir) && !shown.contains("panicked at"), "internal text: {}", context());
        assert!(self.status < 500 || self.status == 503, "{}", context());
        assert_eq!(self.header("cache-control"), Some("no-store"), "{}", context());
        match self.status {
            401 => assert!(self.header("www-authenticate").is_some(), "{}", context()),
            405 => assert!(self.header("allow").is_some() || request.is_orgkernel(), "{}", context()),
            503 => assert!(self.header("retry-after").is_some(), "{}", context()),
            _ => {}
        }
        if request.is_head() || self.live {
            return;
        }
        let kind = self.header("content-type").unwrap_or_default();
        if self.status == 200 {
            match kind {
                "application/json" => drop(self.json(&context)),
                "application/x-ndjson" => self.lines_hold(&context),
                _ => assert!(!kind.is_empty(), "{}", context()),
            }
        } else if request.is_orgkernel() {
            assert_eq!(kind, "application/json", "{}", context());
            let json = self.json(&context);
            let detail = &json["detail"];
            let faults = detail.as_array().is_some_and(|faults| {
                !faults.is_empty()
                    && faults.iter().all(|it| it["type"].is_string() && it["loc"].is_array() && it["msg"].is_string())
            });
            assert!(faults || detail.as_str().is_some_and(|text| !text.is_empty()), "{}", context());
            assert_eq!(json.as_object().unwrap().len(), 1, "{}", context());
        } else if kind == "text/x.tlog.size" {
            assert!(request.is_to_witness() && self.status == 409, "{}", context());
            assert!(shown.trim_end().parse::<u64>().is_ok(), "{}", context());
        } else if kind.starts_with("text/plain") {
            // A witness is asked by programs that look at the status, and at one line of text at most (C2SP tlog-witness).
            assert!(request.is_to_witness() && shown.lines().count() == 1, "{}", context());
        } else {
            assert_eq!(kind, "application/problem+json", "{}", context());
            self.problem_holds(&self.json(&context), id, &context);
        }
    }

    fn json(&self, context: &dyn Fn() -> String) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", context()))
    }

    fn problem_holds(&self, problem: &Value, id: &str, context: &dyn Fn() -> String) {
        assert_eq!(problem["status"], self.status, "{}", context());
        assert_eq!(problem["request_id"], id, "{}", context());
        for field in ["title", "code", "detail"] {
            assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "no {field}: {}", context());
        }
    }

    /// A line for each command, in order.
    fn lines_hold(&self, context: &dyn Fn() -> String) {
        let lines = self.body.split_inclusive(|byte| *byte == b'\n');
        for (index, line) in lines.enumerate() {
            let line: Value = serde_json::from_slice(line).unwrap_or_else(|error| panic!("{error}: {}", context()));
            assert_eq!(line["index"], index as u64, "{}", context());
            let status = line["status"].as_u64().unwrap_or_default();
            assert!((200..500).contains(&status) || status == 503, "{}", context());
            assert_eq!(status == 200, line["problem"].is_null() && line["receipt"].is_object(), "{}", context());
        }
    }
}

/// The body within chunks (RFC 9112 §7.1).
fn unchunked(mut chunks: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = chunks.windows(2).position(|two| two == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&chunks[..end]).ok()?, 16).ok()?;
        chunks = &chunks[end + 2..];
        let (data, rest) = chunks.split_at_checked(size)?;
        body.extend_from_slice(data);
        chunks = rest.strip_prefix(b"\r\n")?;
        if size == 0 {
            return chunks.is_empty().then_some(body);
        }
    }
}
