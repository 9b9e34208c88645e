//! What becomes of commands that agents sign.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use chancery_ledger::actor::{Actor, Method, Principal};
use chancery_ledger::body::field::Signature;
use chancery_ledger::body::{Body, Kind};
use chancery_ledger::ids::AgentId;
use chancery_ledger::keys::SigningKey;
use chancery_ledger::signature_base::SignatureBase;
use chancery_projections::command::{Command, RegisterAgent, ResumeAgent, SuspendAgent};
use chancery_projections::context::{Caller, Opener};
use chancery_projections::output::Output;
use chancery_projections::rejection::Rejection;
use chancery_projections::sequencer::{Receipt, Request};
use chancery_projections::signature::AgentSignature;
use support::{HandClock, MemoryLog, START, World, agent};
use tempfile::TempDir;
use zeroize::Zeroizing;

/// A world with an agent whose key we have.
struct Test {
    dir: TempDir,
    world: World,
    ada: AgentId,
    key: String,
}

fn secret() -> SigningKey {
    SigningKey::from_seed(Zeroizing::new([7; 32]))
}

impl Test {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let world = World::open(dir.path(), &MemoryLog::new(), &HandClock::new());
        let public = hex::encode(secret().public().as_bytes());
        let key = serde_json::from_value(serde_json::json!({ "bring": public })).unwrap();
        let Output::Registered(made) = world.accepted(RegisterAgent { key, ..agent("ada") }) else { panic!() };
        let key = made.agent.identity_key.unwrap().key.to_string();
        Self { dir, world, ada: made.agent.agent, key }
    }

    fn restart(self) -> Self {
        let Self { dir, world, ada, key } = self;
        let (log, clock) = (world.log.clone(), world.clock.clone());
        drop(world);
        let world = World::open(dir.path(), &log, &clock);
        Self { dir, world, ada, key }
    }

    /// A command that ada signed at a time, in seconds from the start.
    fn signed(&self, nonce: &str, at: i64, command: impl Into<Command>) -> Request {
        let base = format!(
            "\"@method\": POST\n\"@target-uri\": https://ledger.example/v1/commands\n\
             \"content-digest\": sha-256=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:\n\
             \"@signature-params\": (\"@method\" \"@target-uri\" \"content-digest\")\
             ;created={};keyid=\"{}\";nonce=\"{nonce}-0123456789abcdef\"",
            START / 1_000_000 + at,
            self.key
        );
        let signature = Signature(secret().sign(base.as_bytes()));
        let base = SignatureBase::parse(&base).unwrap();
        let principal = Principal::Agent(self.ada);
        let actor = Actor { principal, method: Method::Signature, credential: None, acting_in: None };
        let caller = Caller { tenant: self.world.root, actor };
        let mut request = Request::new(self.world.root, caller, command);
        let content = "{}".to_owned();
        request.signature = Some(Box::new(AgentSignature { agent: self.ada, base, signature, content }));
        request
    }

    fn ask(&self, request: Request) -> Receipt {
        self.world.ask(request)
    }

    fn refused(&self, request: Request) -> Rejection {
        let receipt = self.ask(request);
        assert!(receipt.events.is_empty(), "{receipt:?}");
        receipt.answer.unwrap_err()
    }
}

fn kinds(receipt: &Receipt) -> Vec<Kind> {
    receipt.events.iter().map(|event| event.kind).collect()
}

#[test]
fn the_signature_is_the_cause_of_what_the_command_does() {
    let test = Test::new();
    let receipt = test.ask(test.signed("a", 0, agent("bob")));
    assert_eq!(kinds(&receipt), [Kind::CommandSigned, Kind::AgentRegistered]);
    assert!(matches!(receipt.answer, Ok(Output::Registered(_))));
    let events = test.world.log.events();
    let (first, second) = (&events[receipt.events[0].seq.0 as usize], &events[receipt.events[1].seq.0 as usize]);
    assert_eq!((first.causation, second.causation), (None, Some(first.seq)));
    assert_eq!((first.actor.method, &first.actor), (Method::Signature, &second.actor));
    let Body::CommandSigned(signed) = &first.body else { panic!() };
    let base = SignatureBase::of(signed).unwrap();
    assert!(base.is_signed(&secret().public(), &signed.signature.0));
    let secrets = test.world.engine.secrets();
    let content = Opener::new(&*secrets).open::<String>(first.tenant, Kind::CommandSigned, "content", &signed.content);
    assert_eq!(content.unwrap().as_deref(), Some("{}"));
    assert!(base.is_of(b"{}"));
}

#[test]
fn a_signature_is_good_once_also_after_a_restart() {
    let mut test = Test::new();
    test.ask(test.signed("a", 0, agent("bob"))).answer.unwrap();
    for _ in 0..2 {
        assert_eq!(test.refused(test.signed("a", 0, agent("bob"))), Rejection::SignatureReplayed);
        assert_eq!(test.refused(test.signed("a", 1, agent("carl"))), Rejection::SignatureReplayed, "the nonce counts");
        test = test.restart();
    }
    test.ask(test.signed("b", 0, agent("bob"))).answer.unwrap();
}

#[test]
fn a_signature_is_spent_also_by_what_changes_nothing_and_by_what_is_refused() {
    let test = Test::new();
    let Output::Registered(bob) = test.world.accepted(agent("bob")) else { panic!() };
    let (bob, resume) = (bob.agent.agent, |agent| ResumeAgent { agent, reason: None });
    let unchanged = test.ask(test.signed("a", 0, resume(bob)));
    assert_eq!(kinds(&unchanged), [Kind::CommandSigned]);
    unchanged.answer.unwrap();
    let nobody = AgentId(chancery_ledger::ids::uuid_v7(1, [1; 10]));
    let refused = test.ask(test.signed("b", 0, resume(nobody)));
    assert_eq!(kinds(&refused), [Kind::CommandSigned]);
    assert_eq!(refused.answer.unwrap_err(), Rejection::NotFound { thing: "agent" });
    // Whoever kept them cannot use them once they would do something.
    test.world.accepted(SuspendAgent { agent: bob, reason: None });
    assert_eq!(test.refused(test.signed("a", 0, resume(bob))), Rejection::SignatureReplayed);
    assert_eq!(test.refused(test.signed("b", 0, resume(bob))), Rejection::SignatureReplayed);
}

#[test]
fn a_signature_lapses_and_so_does_the_memory_of_it() {
    let test = Test::new();
    test.ask(test.signed("a", 0, agent("bob"))).answer.unwrap();
    test.world.clock.advance_secs(301);
    let lapsed = test.refused(test.signed("a", 0, agent("bob")));
    assert!(matches!(&lapsed, Rejection::SignatureInvalid { why } if why.contains("was good until")), "{lapsed}");
    let early = test.refused(test.signed("b", 301 + 61, agent("bob")));
    assert!(matches!(&early, Rejection::SignatureInvalid { why } if why.contains("has not come yet")), "{early}");
    // The next one that is taken makes room; the nonce is good again, with another time.
    test.ask(test.signed("c", 301, agent("carl"))).answer.unwrap();
    test.ask(test.signed("a", 301, agent("dora"))).answer.unwrap();
}

#[test]
fn a_retry_is_signed_anew_and_answered_as_before() {
    let test = Test::new();
    let once = |nonce: &str| {
        let mut request = test.signed(nonce, 0, agent("bob"));
        request.idempotency_key = Some("k".to_owned());
        request
    };
    let first = test.ask(once("a"));
    assert_eq!(test.refused(once("a")), Rejection::SignatureReplayed);
    let again = test.ask(once("b"));
    assert!(again.replayed);
    assert_eq!(again.events, first.events);
    // What changed nothing did not spend its key, as without a signature.
    let mut unchanged = test.signed("c", 0, ResumeAgent { agent: test.ada, reason: None });
    unchanged.idempotency_key = Some("l".to_owned());
    test.ask(unchanged).answer.unwrap();
    let mut other = test.signed("d", 0, agent("carl"));
    other.idempotency_key = Some("l".to_owned());
    assert_eq!(kinds(&test.ask(other)), [Kind::CommandSigned, Kind::AgentRegistered]);
}

#[test]
fn an_agent_that_may_not_act_signs_in_vain() {
    let test = Test::new();
    test.world.accepted(SuspendAgent { agent: test.ada, reason: None });
    let refused = test.refused(test.signed("a", 0, agent("bob")));
    assert_eq!(refused, Rejection::AgentNotUsable { why: "suspended" });
}
