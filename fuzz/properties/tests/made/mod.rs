//! Seeds, made from what the repository holds.

mod requests;

use chancery_api::native::batch::MEDIA_TYPE;
use chancery_fuzz_properties::genuine::{self, LOG, key, verifier_key, witness};
use chancery_fuzz_properties::{command, envelope};
use chancery_ledger::body::Kind;
use chancery_ledger::event::Envelope;
use chancery_ledger::ids::{Seq, TreeSize};
use chancery_ledger::link::body_hash;
use chancery_ledger::tree::consistency_proof::ConsistencyProof;
use chancery_ledger::tree::proof::{consistency, inclusion};
use chancery_ledger::tree::seal::{Checkpoint, Seal};
use chancery_ledger::tree::tlog_proof::TlogProof;
use chancery_ledger::tree::{NodeHash, Nodes, leaf_hash, node_hash};
use chancery_ledger::verify::Item;
use chancery_ledger::witness::cosignature::Cosignature;
use chancery_projections::command::Command;

pub use requests::{request_words, requests};

type Seeds = Vec<(String, Vec<u8>)>;

const GOLDEN_HEADERS: &str = include_str!("../../../../ledger/tests/golden/headers.txt");

/// Every golden body behind a header of its kind, and the golden headers.
pub fn envelopes() -> Seeds {
    let mut seeds = Seeds::new();
    for (n, (kind, version, name, body)) in genuine::bodies().enumerate() {
        // A header of the log, so that every sort of actor and subject is there, with this body in it.
        let mut header = Envelope::parse(&LOG.headers[n % LOG.headers.len()]).unwrap();
        (header.kind, header.version, header.body_hash) = (kind, version, body_hash(&body));
        let choice = Kind::ALL.iter().position(|known| known.code() == kind).unwrap();
        let input = envelope::input(u8::try_from(choice).unwrap(), &header.render(), &body);
        seeds.push((format!("{kind:03}-{version}-{name}"), input));
        if n.is_multiple_of(6) {
            let input = envelope::input(u8::try_from(choice).unwrap(), b"", &body);
            seeds.push((format!("{kind:03}-{version}-{name}-alone"), input));
        }
    }
    for (line, name) in GOLDEN_HEADERS.lines().zip(["full", "bare"]) {
        let header = hex::decode(line.split(' ').nth(1).unwrap()).unwrap();
        seeds.push((format!("header-{name}"), envelope::input(0, &header, b"")));
    }
    seeds
}

/// The log as an export, and every way for an export to be none or another.
pub fn exports() -> Seeds {
    let whole = LOG.export(usize::MAX);
    let items = &LOG.items;
    let mut seeds: Seeds = vec![
        ("whole".into(), whole.clone()),
        ("beginning".into(), LOG.export(1)),
        ("first-three-commits".into(), LOG.export(3)),
        ("empty".into(), genuine::export([])),
        ("cut".into(), whole[..whole.len() / 2].to_vec()),
        ("without-end".into(), whole[..whole.len() - 21].to_vec()),
        ("with-more".into(), [whole.as_slice(), b"Z"].concat()),
        ("magic".into(), whole[..18].to_vec()),
    ];
    let mut add = |name: &str, items: Vec<Item>| seeds.push((name.into(), genuine::export(&items)));
    let without_bodies = |item: &Item| match item {
        Item::Event { header, .. } => {
            let needed = Envelope::parse(header).is_ok_and(|it| it.kind < 100);
            match item.clone() {
                Item::Event { header, nodes, .. } if !needed => Item::Event { header, body: None, nodes },
                item => item,
            }
        }
        seal => seal.clone(),
    };
    add("withheld", items.iter().map(without_bodies).collect());
    add("without-seals", items.iter().filter(|item| matches!(item, Item::Event { .. })).cloned().collect());
    add("without-an-event", items.iter().enumerate().filter(|(n, _)| *n != 3).map(|(_, item)| item.clone()).collect());
    add("without-the-first", items[1..].to_vec());
    add("twice", [items.as_slice(), items].concat());
    let mut swapped = items.clone();
    swapped.swap(2, 3);
    add("swapped", swapped);
    add("seal-twice", [&items[..2], &items[1..]].concat());
    let other_body = items.iter().map(|item| match item {
        Item::Event { header, body: Some(body), nodes } if body.len() > 300 => {
            let mut changed = body.to_vec();
            changed[200] ^= 1;
            Item::Event { header: header.clone(), body: Some(changed.into()), nodes: nodes.clone() }
        }
        item => item.clone(),
    });
    add("body-changed", other_body.collect());
    add("another-ledger", chancery_fuzz_properties::export::forged(items[..items.len() - 7].as_ref()));
    seeds
}

struct Leaves;

impl Nodes for Leaves {
    type Error = std::convert::Infallible;

    fn node(&self, level: u8, index: u64) -> Result<NodeHash, Self::Error> {
        if level == 0 {
            return Ok(leaf_hash(&LOG.headers[usize::try_from(index).unwrap()]));
        }
        Ok(node_hash(self.node(level - 1, 2 * index)?, self.node(level - 1, 2 * index + 1)?))
    }
}

/// Seals, proofs and keys: the log's, others', and such as are nearly right.
pub fn texts() -> Seeds {
    let mut seeds = Seeds::new();
    let mut add = |name: String, text: &[u8]| seeds.push((name, text.to_vec()));
    for seed in [1, 2, 3] {
        add(format!("key-{seed}"), verifier_key(seed).to_string().as_bytes());
    }
    for (n, seal) in LOG.seals.iter().enumerate().step_by(3) {
        add(format!("seal-{n}"), seal.bytes());
    }
    let (size, newest) = (TreeSize(LOG.headers.len() as u64), LOG.seals.last().unwrap());
    let proof = |seq, seal: &Seal| {
        let path = inclusion(seq, seal.checkpoint().size, &Leaves).unwrap();
        TlogProof { extra: None, index: seq, path, seal: seal.clone() }
    };
    for seq in [0, 4, size.0 - 1] {
        add(format!("proof-{seq:02}"), proof(Seq(seq), newest).render().as_bytes());
    }
    let earlier = LOG.seals[1].checkpoint().size;
    let path = consistency(earlier, size, &Leaves).unwrap();
    let consistent = TlogProof { extra: None, index: Seq(0), path, seal: newest.clone() };
    add("proof-of-consistency".into(), consistent.render().as_bytes());
    let with_extra = TlogProof { extra: Some(LOG.headers[1].to_vec()), ..proof(Seq(1), newest) };
    add("proof-with-extra".into(), with_extra.render().as_bytes());

    // The roots were never published in this log, whatever event is shown in their place.
    let receipt = serde_json::json!({
        "receipt": "chancery view receipt 1",
        "tenant": "019b7ca9-8c88-7181-8101-010101010101",
        "thing": "token:019b7ca9-8c88-7202-8202-020202020202",
        "row": null,
        "leaves": [{"index": 0, "place": "00".repeat(32), "seq": 3, "row": "11".repeat(32), "path": [newest.checkpoint().root.to_string()]}],
        "body": "AAAA",
        "proof": with_extra.render(),
    });
    add("receipt".into(), receipt.to_string().as_bytes());

    let forged = Seal::sign(newest.checkpoint(), &key(3)).unwrap();
    add("seal-by-another-key".into(), forged.bytes());
    add("proof-by-another-key".into(), proof(Seq(2), &forged).render().as_bytes());
    let line = String::from_utf8(forged.bytes().to_vec()).unwrap().lines().last().unwrap().to_owned();
    let witnessed = [newest.bytes().as_ref(), line.as_bytes(), b"\n"].concat();
    add("seal-with-another-line".into(), &witnessed);
    let huge =
        Checkpoint { origin: "chancery.test/\u{e9}".into(), size: TreeSize(u64::MAX), root: NodeHash([255; 32]) };
    add("seal-of-everything".into(), Seal::sign(&huge, &key(3)).unwrap().bytes());
    let extended = String::from_utf8(newest.bytes().to_vec()).unwrap().replacen("\n\n", "\nextension\n\n", 1);
    add("seal-extended".into(), extended.as_bytes());
    add("seal-without-line".into(), extended.split("\u{2014}").next().unwrap().as_bytes());
    let lines = [
        "\"@method\": POST",
        "\"@authority\": ledger.example",
        "\"@path\": /v1/commands",
        "\"content-digest\": sha-256=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:",
        "\"@signature-params\": (\"@method\" \"@authority\" \"@path\" \"content-digest\");created=1790000000\
         ;keyid=\"01932c07-209c-7c3a-9f1e-5b6d7e8f9a0b\";alg=\"ed25519\";expires=1790000060;nonce=\"0123456789abcdef\"",
    ];
    add("base".into(), lines.join("\n").as_bytes());
    add("base-without-digest".into(), lines[..3].join("\n").as_bytes());

    add("cosigner".into(), witness().to_string().as_bytes());
    let cosignature = Cosignature::sign(newest.text(), &key(5), 1_679_315_147);
    let cosigned = newest.with_lines(&cosignature.line(&witness()).unwrap()).unwrap();
    add("seal-cosigned".into(), cosigned.bytes());
    let path = consistency(earlier, size, &Leaves).unwrap();
    add("request-cosigned".into(), ConsistencyProof { old: earlier, path, seal: cosigned }.render().as_bytes());
    add("request-extended".into(), format!("old 0\n\n{extended}").as_bytes());
    let policy = format!(
        "# both\nlog {}\nwitness w {} https://w.example\ngroup g any w\nquorum g\n",
        verifier_key(1),
        witness()
    );
    add("policy".into(), policy.as_bytes());
    seeds
}

/// One line or more for each command, such as are decided and such as are refused.
pub fn commands() -> Seeds {
    let lines = command_lines();
    let mut seeds: Seeds = Vec::new();
    for (n, (command, params)) in lines.iter().enumerate() {
        seeds.push((format!("{n:02}-{command}"), line(command, params).into_bytes()));
    }
    let all: Vec<String> = lines.iter().take(16).map(|(command, params)| line(command, params)).collect();
    seeds.push(("batch".into(), all.join("\n").into_bytes()));
    for (name, text) in [
        ("keyed", r#"{"command":"OpenMission","params":{},"idempotency_key":"order-1","if_match":3}"#),
        ("escaped", r#"{"com\u006dand":"Open\u004dission","params":{"intent":"\ud83d\ude00\u0000"}}"#),
        ("unknown", r#"{"command":"Dance","params":{}}"#),
        (
            "internal",
            r#"{"command":"NoteAuthentication","params":{"mount":"native","credential":null,"why":"x","count":1}}"#,
        ),
        ("twice", r#"{"command":"OpenMission","command":"OpenMission","params":{}}"#),
        ("nested", r#"{"command":"CheckScope","params":{"token":"$TOKEN","tool":"x","params":[[[[[[[[[[]]]]]]]]]]}}"#),
        ("no-object", "[1,2,3]"),
        ("no-json", "\u{feff}{"),
        (
            "numbers",
            r#"{"command":"IssueToken","params":{"agent":"$AGENT","mission":{"id":"$MISSION"},"scopes":["a"],"expires":"2026-01-02T04:00:00.000001+05:30","bounds":[{"name":"n","lower":-1.7976931348623157e308,"upper":5e-324,"unit":"x"}],"immutable":{"a":1e300,"b":-0.0,"c":18446744073709551616}}}"#,
        ),
    ] {
        seeds.push((name.into(), text.as_bytes().to_vec()));
    }
    seeds
}

fn line(command: &str, params: &str) -> String {
    format!(r#"{{"command":"{command}","params":{params}}}"#)
}

/// Commands that are decided in the world of the target, in an order in which all of them are.
pub fn command_lines() -> Vec<(&'static str, &'static str)> {
    vec![
        ("CreateTenant", r#"{"slug":"third","name":"Third é"}"#),
        ("UpdateTenant", r#"{"tenant":"$TENANT","name":"Other","tier":"free","limits":{"agents":5}}"#),
        ("SuspendTenant", r#"{"tenant":"$TENANT","reason":"unpaid"}"#),
        ("ResumeTenant", r#"{"tenant":"$TENANT"}"#),
        ("CreateOrganisation", r#"{"slug":"finance","name":"Finance"}"#),
        (
            "UpdateOrganisation",
            r#"{"organisation":"$ORGANISATION","name":"Lab","tier":"pro","limits":{"agents":9},"suspended":true}"#,
        ),
        ("AddOrganisationMember", r#"{"organisation":"$ORGANISATION","agent":"$AGENT","role":"admin"}"#),
        ("DeleteOrganisation", r#"{"organisation":"$ORGANISATION"}"#),
        (
            "RegisterAgent",
            r#"{"name":"bob","did_key":true,"handles":[{"namespace":"agentidp","value":"b@c.example"}]}"#,
        ),
        (
            "RegisterAgent",
            r#"{"name":"eve","key":"make","kind":"worker","semver":"1.2.3","capabilities":["read","write"],"environment":"staging","profile":{"email":"eve@example.org","owner":"ops","purpose":"pay","metadata":{"a":"b"},"labels":{"c":"d"}},"handles":[{"namespace":"orgkernel/default","value":"eve"}],"valid_days":30,"visibility":"tenant","disclosure":"none"}"#,
        ),
        (
            "UpdateAgent",
            r#"{"agent":"$AGENT","name":"ada2","semver":null,"capabilities":["x"],"profile":{"owner":"o"}}"#,
        ),
        ("UpdateAgent", r#"{"agent":"$AGENT","kind":null,"owner":"p","disclosure":"listed","status":"suspended"}"#),
        ("SetAgentReach", r#"{"agent":"$AGENT","visibility":"owner","disclosure":"verifiable"}"#),
        ("ClaimHandle", r#"{"agent":"$AGENT","handle":{"namespace":"native","value":"duster"}}"#),
        ("ReleaseHandle", r#"{"agent":"$AGENT","handle":{"namespace":"native","value":"sweeper"}}"#),
        ("CreateCredential", r#"{"agent":"$AGENT","expires":"2030-01-02T03:04:05Z"}"#),
        ("RotateCredential", r#"{"credential":"$CLIENT_SECRET","agent":"$AGENT","expires":null}"#),
        ("RevokeCredential", r#"{"credential":"$CLIENT_SECRET","cause":"lost"}"#),
        ("GrantScopes", r#"{"agent":"$AGENT","scopes":["admin:orgs"],"administrator":true}"#),
        ("SuspendAgent", r#"{"agent":"$AGENT","reason":"audit"}"#),
        ("ResumeAgent", r#"{"agent":"$AGENT"}"#),
        ("IssueChallenge", r#"{"agent":"$AGENT","issued_by":"auditor","ttl_secs":60}"#),
        (
            "AnswerChallenge",
            r#"{"challenge":"$CHALLENGE","agent":"$AGENT","public_key":"$KEY","nonce":"$NONCE","signature":"$PROOF"}"#,
        ),
        ("CreateApiKey", r#"{"name":"ci","scopes":["agents:read","tokens:issue"],"audience":["native","orgkernel"]}"#),
        (
            "IssueToken",
            r#"{"agent":"$AGENT","mission":{"key":{"namespace":"orgkernel","text":"msn_invoice01"}},"scopes":["read_invoice"],"expires":"2026-01-02T04:00:00Z","immutable":{"currency":"EUR","n":1.0},"bounds":[{"name":"amount","upper":50000}],"snapshot":"snap_1"}"#,
        ),
        (
            "CheckScope",
            r#"{"token":"$TOKEN","tool":"read_invoice","params":{"currency":"USD","n":1,"amount":5},"agent":"$AGENT"}"#,
        ),
        ("UseToken", r#"{"token":"$TOKEN"}"#),
        ("RevokeToken", r#"{"token":"$TOKEN","reason":"done"}"#),
        (
            "OpenMission",
            r#"{"agent":"$AGENT","intent":"pay","services":["mail"],"limits":{"calls":5},"key":{"namespace":"native","text":"order-4711"}}"#,
        ),
        ("CompleteMission", r#"{"mission":"$MISSION","output":"42"}"#),
        ("RevokeMission", r#"{"mission":"$MISSION","notes":"no"}"#),
        (
            "OpenAuditChain",
            r#"{"mission":{"id":"$MISSION"},"agent_text":"aid_0123456789ab","mission_text":"msn_invoice01"}"#,
        ),
        (
            "AppendAuditEntry",
            r#"{"chain":"$CHAIN","layer":"EXECUTION","event":"EXECUTION_tool_call","agent_text":"aid_0123456789ab","mission_text":"msn_test000001","token_text":"tok_001122334455","data":{"b":[1,2.50,null,"é"],"a":{}}}"#,
        ),
        ("CloseAuditChain", r#"{"chain":"$CHAIN"}"#),
        ("AddDestination", r#"{"url":"https://hooks.example/b","secret":"hush","confirm":true}"#),
        ("VerifyDestination", r#"{"destination":"$DESTINATION","code":"00000000000000000000000000"}"#),
        ("RotateDestinationSecret", r#"{"destination":"$DESTINATION"}"#),
        (
            "Subscribe",
            r#"{"name":"ops","url":"https://hooks.example/c","events":["agent.created","token.revoked"],"rendering":"agentidp"}"#,
        ),
        ("Subscribe", r#"{"destinations":["$DESTINATION"],"events":["AgentRegistered"],"active":false}"#),
        (
            "ChangeSubscription",
            r#"{"subscription":"$SUBSCRIPTION","url":"https://hooks.example/d","events":["agent.updated"],"active":false,"name":""}"#,
        ),
        ("Redeliver", r#"{"subscription":"$SUBSCRIPTION","event":7}"#),
        ("EndSubscription", r#"{"subscription":"$SUBSCRIPTION"}"#),
        ("RemoveDestination", r#"{"destination":"$DESTINATION"}"#),
        (
            "ExecuteTransaction",
            r#"{"agent":"$PAYER","counterparty":{"agent":"$AGENT"},"amount":"12.50","currency":"USD","action":"pay","notes":"rent","key":"order-4711"}"#,
        ),
        (
            "ExecuteTransaction",
            r#"{"agent":"$PAYER","counterparty":{"external":"shop"},"amount":"1e15","action":"pay"}"#,
        ),
        ("ReverseTransaction", r#"{"transaction":"$TRANSACTION","reason":"by mistake"}"#),
        ("EvaluateTrust", r#"{"agent":"$PAYER","action":"pay","amount":"101","currency":"USD"}"#),
        ("FileDispute", r#"{"agent":"$PAYER","reason":"it lied","evidence":"a log","transaction":"$TRANSACTION"}"#),
        ("ResolveDispute", r#"{"dispute":"$DISPUTE","outcome":"dismissed"}"#),
        ("SetPolicy", r#"{"kind":"scoring","document":{"suspension_penalty":50,"trend":{"days":7,"points":5}}}"#),
        (
            "SetPolicy",
            r#"{"kind":"spending","key":"$PAYER","document":{"windows":[{"hours":24,"amount":"150","currency":"USD"}]}}"#,
        ),
        ("ResetPolicy", r#"{"kind":"spending","key":"$PAYER"}"#),
        ("SetPolicy", r#"{"kind":"retention","document":{"agents_days":30,"missions_days":365,"origins_days":90}}"#),
        ("EraseSubject", r#"{"subject":{"kind":"agent","id":"$OTHER"},"reason":"asked for"}"#),
        ("PlaceHold", r#"{"subject":{"kind":"mission","id":"$MISSION"},"matter":"2026-018","reason":"a claim"}"#),
        ("LiftHold", r#"{"subject":{"kind":"agent","id":"$HELD"},"matter":"2026-017","reason":"settled"}"#),
        ("VerifyOrganisation", r#"{"organisation":"$ORGANISATION","verified":true}"#),
        ("RevokeApiKey", r#"{"credential":"$CREDENTIAL","cause":"lost"}"#),
        ("ExportEvidence", r#"{"first":0,"end":9,"things":[{"kind":"agent","id":"$AGENT"}],"bodies":true}"#),
        ("RotateSigningKey", "{}"),
        ("DecommissionAgent", r#"{"agent":"$AGENT","cause":"revoked","by":"ops","reason":"gone"}"#),
        ("DeleteTenant", r#"{"tenant":"$TENANT","reason":"gone"}"#),
        (
            "TrustIssuer",
            r#"{"name":"Partner","iss":"https://partner.example","jwks_uri":"https://partner.example/jwks","organisations":["org"],"expires":"2030-01-02T03:04:05Z"}"#,
        ),
        ("UpdateIssuer", r#"{"issuer":"$ISSUER","name":"Other","expires":null,"suspended":true}"#),
        ("RemoveIssuer", r#"{"issuer":"$ISSUER"}"#),
        ("AddIssuerRule", r#"{"provider":"github","repository":"acme/rocket","branch":"main","agent":"$AGENT"}"#),
        ("RemoveIssuerRule", r#"{"rule":"$RULE"}"#),
        ("DelegateToken", r#"{"parent":"$ACCESS","delegatee":"$OTHER","scopes":["agents:read"],"ttl_secs":60}"#),
        (
            "ExchangeToken",
            r#"{"client":"$OTHER","proof":{"secret":"$SECRET"},"scopes":[],"subject":{"delegation":"sa_del_0"}}"#,
        ),
        (
            "ExchangeToken",
            r#"{"client":"$AGENT","proof":{"secret":"$SECRET"},"scopes":["agents:read"],"audience":["https://api.example"]}"#,
        ),
    ]
}

/// What commands are written with.
pub fn command_words() -> Vec<String> {
    let mut words: Vec<String> = Command::NAMES.iter().map(|name| format!("\"{name}\"")).collect();
    words.extend(command::WORDS.iter().map(|word| (*word).to_owned()));
    let mut fields = std::collections::BTreeSet::new();
    for (_, params) in command_lines() {
        fields.extend(params.split('"').skip(1).step_by(2).filter(|text| text.len() > 1 && !text.contains('$')));
    }
    words.extend(fields.into_iter().map(|field| format!("\"{field}\":")));
    words.extend(
        ["\"command\":", "\"params\":", "\"idempotency_key\":", "\"if_match\":", "null", "true", "1e308", "\\u0000"]
            .map(str::to_owned),
    );
    words.push(MEDIA_TYPE.to_owned());
    words
}
