//! The test vectors of `docs/format.md` are read from that page: what the page says is what the code does.
//!
//! `CHANCERY_BLESS=1 cargo test -p chancery-ledger --test format_vectors` writes them anew; that is right only for a new format.

#![allow(clippy::unwrap_used, clippy::expect_used)] // Helpers of tests may fail as tests do.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chancery_ledger::actor::{Actor, Method, Principal};
use chancery_ledger::archive::{Archive, ArchiveReader, Limits};
use chancery_ledger::body::field::JsonText;
use chancery_ledger::body::identity::{AgentUpdated, TenantResumed};
use chancery_ledger::body::ledger::{Algorithm, FORMAT, LedgerCreated};
use chancery_ledger::body::{Body, Prelude};
use chancery_ledger::event::{Envelope, Event, Idempotency};
use chancery_ledger::ids::{
    AgentId, CredentialId, KeyId, LedgerId, MemberId, Seq, TenantId, ThingId as _, TreeSize, uuid_v7,
};
use chancery_ledger::keys::SigningKey;
use chancery_ledger::link::{self, Hash};
use chancery_ledger::shred::{self, FieldContext};
use chancery_ledger::store::Record;
use chancery_ledger::time::Micros;
use chancery_ledger::tree::seal::{Checkpoint, Seal};
use chancery_ledger::tree::tlog_proof::TlogProof;
use chancery_ledger::tree::verifier_key::VerifierKey;
use chancery_ledger::tree::{Frontier, NodeHash, leaf_hash};
use chancery_ledger::verify::{Known, Trust, verify};
use zeroize::Zeroizing;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/format.md");
const BEGIN: &str = "<!-- vectors: checked by ledger/tests/format_vectors.rs -->\n";
const END: &str = "<!-- end of vectors -->\n";
const ORIGIN: &str = "chancery.example/vectors";

fn id(millis: u64, byte: u8) -> uuid::Uuid {
    uuid_v7(millis, [byte; 10])
}

fn key() -> SigningKey {
    SigningKey::from_seed(Zeroizing::new(std::array::from_fn(|n| n as u8)))
}

/// Three events that between them use every sort of field a header has.
fn events() -> [Event; 3] {
    let tenant = TenantId(id(1_767_323_045_000, 1));
    let genesis = LedgerCreated {
        ledger: LedgerId(id(1_767_323_045_000, 2)),
        origin: ORIGIN.to_owned(),
        format: FORMAT,
        key: KeyId(id(1_767_323_045_000, 3)),
        algorithm: Algorithm::Ed25519,
        public: *key().public().as_bytes(),
    };
    let updated = AgentUpdated {
        agent: AgentId(id(1_767_323_046_000, 4)),
        changes: BTreeMap::from([("semver".to_owned(), JsonText("\"2.0.0\"".to_owned()))]),
        personal: None,
    };
    let event = |seq: u64, tenant, actor, body: Body| Event {
        seq: Seq(seq),
        time: Micros(1_767_323_045_678_901 + i64::try_from(seq).unwrap()),
        tenant,
        actor,
        subjects: body.subjects(),
        correlation: None,
        causation: None,
        idempotency: None,
        prelude: Prelude::default(),
        body,
    };
    let member = Actor {
        principal: Principal::Member(MemberId(id(1_767_323_045_000, 5))),
        method: Method::ApiKey,
        credential: Some(CredentialId(id(1_767_323_045_000, 6))),
        acting_in: Some(tenant),
    };
    let subject = Actor {
        principal: Principal::Subject("https://issuer.example\nsub-1".to_owned()),
        method: Method::Token,
        credential: None,
        acting_in: None,
    };
    let mut second = event(1, tenant, member, updated.into());
    second.correlation = Some(id(1_767_323_046_000, 7));
    second.idempotency = Some(Idempotency { key: "order-4711".to_owned(), command: Hash([8; 32]) });
    let mut third = event(2, tenant, subject, TenantResumed { tenant }.into());
    third.causation = Some(Seq(1));
    third.prelude.due = Some(Micros(-1));
    [event(0, TenantId::LEDGER, Actor::system(), genesis.into()), second, third]
}

/// The vectors, as `name value` lines; a value of several lines follows its name indented by two spaces.
fn vectors() -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut say = |name: String, value: String| out.push((name, value));
    let (mut prev, mut frontier, mut leaves) = (Hash::ZERO, Frontier::empty(), Vec::new());
    for event in events() {
        let n = event.seq;
        let body = event.body.encode(&event.prelude).unwrap();
        let header = event.envelope(prev, link::body_hash(&body)).render();
        prev = link::header_hash(&header);
        leaves.push(leaf_hash(&header));
        frontier.push(leaf_hash(&header));
        say(format!("event {n} kind"), event.body.kind().name().to_owned());
        say(format!("event {n} body"), hex::encode(&body));
        say(format!("event {n} body_hash"), link::body_hash(&body).to_string());
        say(format!("event {n} header"), hex::encode(&header));
        say(format!("event {n} hash"), prev.to_string());
        say(format!("event {n} leaf_hash"), hex::encode(leaf_hash(&header).0));
        say(format!("root {}", n.0 + 1), hex::encode(frontier.root().0));
    }
    say("sealing key seed".into(), hex::encode(std::array::from_fn::<u8, 32, _>(|n| n as u8)));
    let verifier_key = VerifierKey { origin: ORIGIN.to_owned(), key: key().public() };
    say("verifier key".into(), verifier_key.to_string());
    let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: TreeSize(3), root: frontier.root() };
    let seal = Seal::sign(&checkpoint, &key()).unwrap();
    say("seal 3".into(), String::from_utf8(seal.bytes().to_vec()).unwrap());
    let path: Vec<NodeHash> = vec![leaves[0], leaves[2]];
    say("tlog-proof 1".into(), TlogProof { extra: None, index: Seq(1), path, seal }.render());

    let agent = AgentId(id(1_767_323_046_000, 4)).subject();
    let tenant = TenantId(id(1_767_323_045_000, 1));
    let place = FieldContext { tenant, kind: 130, version: 1, field: "personal" };
    let encrypted = shred::encrypt(&[9; 32], agent, [10; 24], &place, b"plain");
    say("field data key".into(), hex::encode([9; 32]));
    say("field tenant".into(), hex::encode(tenant.0.as_bytes()));
    say("field place".into(), "kind 130 version 1 field personal".into());
    say("field key of".into(), format!("thing kind {} id {}", agent.kind.code(), hex::encode(agent.id.as_bytes())));
    say("field nonce".into(), hex::encode(encrypted.nonce));
    say("field plaintext".into(), hex::encode(b"plain"));
    say("field ciphertext".into(), hex::encode(&encrypted.ciphertext));
    out
}

fn rendered(vectors: &[(String, String)]) -> String {
    let mut text = String::from("```text\n");
    for (name, value) in vectors {
        if value.contains('\n') {
            writeln!(text, "{name}:").unwrap();
            for line in value.lines() {
                writeln!(text, "{}", format!("  {line}").trim_end()).unwrap();
            }
        } else {
            writeln!(text, "{name}: {value}").unwrap();
        }
    }
    text + "```\n"
}

fn page() -> (String, String, String) {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page has its vectors");
    let (vectors, after) = rest.split_once(END).expect("the vectors end");
    (before.to_owned(), vectors.to_owned(), after.to_owned())
}

#[test]
fn the_documented_vectors_are_what_the_code_makes() {
    let made = rendered(&vectors());
    let (before, documented, after) = page();
    if std::env::var_os("CHANCERY_BLESS").is_some() {
        std::fs::write(PAGE, format!("{before}{BEGIN}{made}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(documented, made, "docs/format.md and the code disagree");
}

/// From the page back into the code's types: readers agree with writers.
#[test]
fn the_documented_vectors_read_back() {
    let (_, documented, _) = page();
    let value = |name: &str| {
        let start = documented.find(&format!("{name}:")).unwrap() + name.len() + 1;
        documented[start..].lines().next().unwrap().trim().to_owned()
    };
    let block = |name: &str| {
        let start = documented.find(&format!("{name}:\n")).unwrap() + name.len() + 2;
        let lines = documented[start..].lines().take_while(|line| line.is_empty() || line.starts_with("  "));
        let text: Vec<&str> = lines.map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
        text.join("\n") + "\n"
    };
    let bytes = |name: &str| hex::decode(value(name)).unwrap();
    for (seq, expected) in events().into_iter().enumerate() {
        let (header, body) = (bytes(&format!("event {seq} header")), bytes(&format!("event {seq} body")));
        let (event, envelope) = Event::read(&header, &body).unwrap();
        assert_eq!(event, expected);
        assert_eq!(Envelope::parse(&header).unwrap().render(), header);
        assert_eq!(envelope.body_hash.to_string(), value(&format!("event {seq} body_hash")));
    }
    let verifier_key: VerifierKey = value("verifier key").parse().unwrap();
    let seal = Seal::parse(block("seal 3").as_bytes()).unwrap();
    seal.verify(&verifier_key.key).unwrap();
    assert_eq!(hex::encode(seal.checkpoint().root.0), value("root 3"));
    let proof = TlogProof::parse(block("tlog-proof 1").as_bytes()).unwrap();
    proof.verify(&bytes("event 1 header"), &verifier_key.key, ORIGIN).unwrap();
    assert!(proof.verify(&bytes("event 2 header"), &verifier_key.key, ORIGIN).is_err());
}

/// A closed segment with the three events, byte for byte; the Python verifier reads the same file.
#[test]
fn an_archive_segment_keeps_its_bytes() {
    const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/segment-00000000000000000000-0.archive");
    let (mut prev, mut frontier) = (Hash::ZERO, Frontier::empty());
    let records = events().map(|event| {
        let body = event.body.encode(&event.prelude).unwrap();
        let header = event.envelope(prev, link::body_hash(&body)).render();
        prev = link::header_hash(&header);
        Record { nodes: frontier.push(leaf_hash(&header)), header, body: body.into() }
    });
    let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: TreeSize(3), root: frontier.root() };
    let seal = Seal::sign(&checkpoint, &key()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut archive = Archive::open(dir.path(), Limits::default()).unwrap();
    archive.append(&records, seal.bytes()).unwrap();
    archive.close().unwrap();
    let made = std::fs::read(dir.path().join("segment-00000000000000000000-0.archive")).unwrap();
    if std::env::var_os("CHANCERY_BLESS").is_some() {
        std::fs::write(GOLDEN, &made).unwrap();
    }
    assert_eq!(std::fs::read(GOLDEN).unwrap(), made);
    let verifier_key = VerifierKey { origin: ORIGIN.to_owned(), key: key().public() };
    let known = Known { key: Some((verifier_key, Trust::Given)), ..Known::default() };
    let report = verify(ArchiveReader::open(GOLDEN.as_ref()).unwrap(), &known, |_| {}).unwrap();
    assert!(report.whole && report.events == 3, "{:?}", report.findings);
}
