//! Commands as JSON: how they are read, and what is decided about them in a small world.
//!
//! An input is lines as `POST /v1/commands` takes them, one command each. The words of [`WORDS`] stand for things of the
//! world. The deciders' own tests share that world, which insists that whatever is decided can be stored and evolves.

use chancery_api::native::command::{Parsed, parse};
use chancery_api::problem::Problem;
use chancery_ledger::body::Body;
use chancery_ledger::body::identity::ChallengePurpose;
use chancery_ledger::body::ledger::Purpose;
use chancery_ledger::keys::SigningKey;
use chancery_projections::command::{
    AddDestination, AddIssuerRule, ClaimHandle, ClientProof, Command, CreateOrganisation, ExchangeToken, HandleClaim,
    IssueChallenge, SecretText, Subscribe, TrustIssuer, Via,
};
use chancery_projections::decision::Answer;
use chancery_projections::scope::Scope;
use serde_json::json;
use zeroize::Zeroizing;

use crate::the;
use crate::words::Words;
use crate::world::{self, World};

/// Words that stand for things.
pub const WORDS: &[&str] = &[
    "$AGENT",
    "$TOKEN",
    "$MISSION",
    "$CHAIN",
    "$CHALLENGE",
    "$CREDENTIAL",
    "$TENANT",
    "$KEY",
    "$ISSUER",
    "$RULE",
    "$DESTINATION",
    "$SUBSCRIPTION",
    "$SECRET",
    "$ACCESS",
    "$OTHER",
    "$PAYER",
    "$TRANSACTION",
    "$DISPUTE",
];
/// Lines of one input that are decided; more add nothing but time.
const LINES_MAX: usize = 16;

/// `decided` when a command was, else `refused` when one was, else `malformed`.
///
/// # Panics
/// When a property does not hold.
pub fn hold(input: &[u8]) -> &'static str {
    let (mut world, words) = scene();
    let mut became = ["malformed"; LINES_MAX];
    for (line, became) in input.split(|byte| *byte == b'\n').zip(&mut became) {
        let line = words.fill(line);
        if let Some(parsed) = read(&line) {
            world.advance_secs(1);
            *became = decided(&mut world, parsed.command);
        }
    }
    ["decided", "refused"].into_iter().find(|word| became.contains(word)).unwrap_or("malformed")
}

/// Reads a line: what is wrong is said, what is right means the same however it is spelled.
fn read(line: &[u8]) -> Option<Parsed> {
    match parse(line) {
        Err(problem) => {
            let Problem::Malformed { why, .. } = &problem else { panic!("reading gave {problem:?}") };
            assert!(!why.is_empty() && problem.status() == 400 && problem.code() == "malformed");
            None
        }
        Ok(parsed) => {
            assert_ne!(parsed.command.scope(), Scope::Internal, "a command of the daemon's own came from outside");
            assert!(Command::NAMES.contains(&parsed.command.name()));
            // A retry is told from another command by this spelling, so it must say everything.
            let spelled = serde_json::to_vec(&parsed.command).expect("a command can be written");
            let again = parse(&spelled).expect("and read again");
            assert_eq!(again.command, parsed.command);
            Some(parsed)
        }
    }
}

fn decided(world: &mut World, mut command: Command) -> &'static str {
    if let Command::RotateSigningKey(rotate) = &mut command {
        rotate.public = key(10).public().as_bytes().to_vec();
    }
    let outcome = world.when(command.clone());
    match outcome.answer {
        Answer::AsDecided(_) => "decided",
        Answer::Unchanged(_) => {
            assert!(outcome.events.is_empty());
            "decided"
        }
        Answer::Refused(rejection) => {
            assert!(!rejection.code().is_empty() && !rejection.to_string().is_empty());
            "refused"
        }
    }
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(Zeroizing::new([seed; 32]))
}

/// A world with one of each thing, the same every time.
fn scene() -> (World, Words) {
    let mut world = World::new();
    let mut words = Words::default();
    let (agent, key) = world.agent_with_key("ada", 7);
    let token = world.token(agent);
    let opened = world.when(world::open_chain("msn_test000001")).then_decided();
    let mission = world.when(world::open_mission()).then_decided();
    let nonce = "QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8";
    let challenge = IssueChallenge {
        agent,
        purpose: ChallengePurpose::Prove,
        issued_by: "auditor".to_owned(),
        nonce: Some(nonce.to_owned()),
        ttl_secs: 300,
    };
    let challenge = world.when(challenge).then_decided();
    let issuer = TrustIssuer {
        name: "Neighbour".to_owned(),
        iss: "https://neighbour.example".to_owned(),
        jwks_uri: "https://neighbour.example/jwks".to_owned(),
        organisations: Vec::new(),
        expires: None,
    };
    let issuer = world.when(issuer).then_decided();
    let (provider, repository) = ("github".to_owned(), "acme/neighbour".to_owned());
    let rule =
        world.when(AddIssuerRule { provider, repository, branch: None, agent, as_administrator: false }).then_decided();
    words.mean("ISSUER", the!(&issuer, IssuerTrusted).issuer);
    words.mean("RULE", the!(&rule, IssuerRuleAdded).rule);
    let to = |url: &str| AddDestination { url: url.to_owned(), secret: None, confirm: false };
    let destination = world.when(to("https://hooks.example/")).then_decided();
    let subscribe = Subscribe {
        name: None,
        destinations: Vec::new(),
        url: Some("https://hooks.example/a".to_owned()),
        secret: None,
        events: vec!["agent.created".to_owned()],
        rendering: "agentidp".to_owned(),
        active: true,
    };
    let subscribed = world.when(subscribe).then_decided();
    words.mean("DESTINATION", the!(&destination, DestinationAdded).destination);
    words.mean("SUBSCRIPTION", the!(&subscribed, SubscriptionCreated).subscription);
    let secret = world.client_secret(agent);
    let access = ExchangeToken {
        client: agent.to_string(),
        proof: ClientProof::Secret(SecretText(Zeroizing::new(secret.clone()))),
        scopes: vec!["agents:read".to_owned()],
        audience: Vec::new(),
        cnf: None,
        subject: None,
        signer: Purpose::JwtEddsa,
        via: Via::AgentIdp,
    };
    let access = world.when(access).then_decided();
    words.mean("ACCESS", the!(&access, TokenIssued).token);
    words.mean("OTHER", world.agent("grace"));
    words.mean("SECRET", secret);
    let made = world.events.iter().rev().find_map(|event| match &event.body {
        Body::CredentialCreated(it) => Some(it.credential),
        _ => None,
    });
    words.mean("CLIENT_SECRET", made.unwrap());
    let organisation = world.when(CreateOrganisation::new("laboratory", "Laboratory")).then_decided();
    words.mean("ORGANISATION", the!(&organisation, OrganisationCreated).organisation);
    let handle = HandleClaim { namespace: "native".to_owned(), value: "sweeper".to_owned() };
    world.when(ClaimHandle { agent, handle }).then_decided();
    let mut when = |name: &str, params: serde_json::Value| {
        let command = Command::parse(name, &params.to_string()).expect("there is such a command");
        world.when(command.expect("its parameters are right")).then_decided()
    };
    let payer = the!(
        &when(
            "RegisterAgent",
            json!({"name": "payer", "actions": ["pay"], "limit": {"amount": "100", "currency": "USD"}})
        ),
        AgentRegistered
    )
    .agent;
    let paid = json!({"agent": payer, "counterparty": {"external": "shop"}, "amount": "1.50", "action": "pay"});
    words.mean("TRANSACTION", the!(&when("ExecuteTransaction", paid), TransactionCompleted).transaction);
    let filed = json!({"agent": payer, "reason": "it lied"});
    words.mean("DISPUTE", the!(&when("FileDispute", filed), DisputeFiled).dispute);
    let windows = json!([{"hours": 12, "amount": "90", "currency": "USD"}]);
    when("SetPolicy", json!({"kind": "spending", "key": payer, "document": {"windows": windows}}));
    words.mean("PAYER", payer);
    let held = the!(&when("RegisterAgent", json!({"name": "held"})), AgentRegistered).agent;
    when("PlaceHold", json!({"subject": {"kind": "agent", "id": held}, "matter": "2026-017", "reason": "a claim"}));
    words.mean("HELD", held);
    words.mean("AGENT", agent);
    words.mean("TOKEN", token);
    words.mean("CHAIN", the!(&opened, AuditChainOpened).chain);
    words.mean("MISSION", the!(&mission, MissionOpened).mission);
    words.mean("CHALLENGE", the!(&challenge, ChallengeIssued).challenge);
    words.mean("CREDENTIAL", world.orgkernel.actor.credential.unwrap());
    words.mean("TENANT", world.second);
    words.mean("KEY", hex(key.public().as_bytes()));
    words.mean("NONCE", nonce);
    words.mean("PROOF", hex(&key.sign(nonce.as_bytes())));
    (world, words)
}

fn hex(bytes: &[u8]) -> String {
    hex::encode(bytes)
}
