//! Attacks on what agents sign: the operator, who has the log and every key of the ledger's, says that an agent asked for
//! what it did not; somebody asks again with a signature that was seen on the way.

use std::sync::Arc;

use chancery_ledger::actor::{Actor, Method, Principal};
use chancery_ledger::body::Body;
use chancery_ledger::body::field::Signature;
use chancery_ledger::body::signature::CommandSigned;
use chancery_ledger::ids::{AgentId, Seq};
use chancery_ledger::keys::SigningKey;
use chancery_ledger::signature_base::SignatureBase;
use chancery_ledger::time::Micros;
use chancery_projections::command::{Command, RegisterAgent};
use chancery_projections::context::{Caller, Clock};
use chancery_projections::engine::{Engine, EngineConfig};
use chancery_projections::output::Output;
use chancery_projections::sequencer::{Receipt, Request};
use chancery_projections::signature::AgentSignature;
use serde_json::json;
use zeroize::Zeroizing;

use super::attack::{StolenKeys, verify};
use super::log::at;
use crate::forge::Forge;
use crate::world::{START, administrator};

attacks! { "agent's signature":
    /// An agent is said to have signed another request: the digest of its content is exchanged.
    [Verify: "agent_signature"]
    fn a_signed_request_is_exchanged(world) {
        let signed = Signed::new(world);
        let other = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
        let data = signed.retold(|it| it.base = it.base.replace(DIGEST, other));
        vec![verify(&data)]
    }

    /// An agent's signature is made up.
    [Verify: "agent_signature"]
    fn a_signature_of_an_agent_is_made_up(world) {
        let signed = Signed::new(world);
        let data = signed.retold(|it| it.signature = Signature([7; 64]));
        vec![verify(&data)]
    }

    /// What one agent signed is said to be another's.
    [Verify: "agent_signature"]
    fn a_signature_is_put_under_another_name(world) {
        let signed = Signed::new(world);
        let other: AgentId = world.agent.parse().unwrap();
        let data = signed.retold(|it| it.agent = other);
        vec![verify(&data)]
    }

    /// What an agent signed once stands in the log twice.
    [Verify: "agent_signature"]
    fn a_signed_command_stands_in_the_log_twice(world) {
        let signed = Signed::new(world);
        let keys = StolenKeys::of(&signed.data);
        let mut forge = Forge::of(&signed.data);
        let again = forge.events[at(signed.seq.0)].clone();
        forge.events.insert(at(signed.seq.0 + 1), again);
        forge.link();
        forge.seal_by(signed.seq.0, |size| keys.at(size));
        forge.write(&signed.data);
        vec![verify(&signed.data)]
    }

    /// A signed request that was seen on the way is sent again.
    [Sequencer: "this signature was used before"]
    fn a_signed_request_is_sent_again(world) {
        let signed = Signed::new(world);
        let receipt = signed.with_engine(|engine| signed.ask(engine));
        assert!(receipt.events.is_empty(), "{receipt:?}");
        vec![Seen(By::Sequencer, receipt.answer.unwrap_err().to_string())]
    }
}

/// SHA-256 of `{}`, as RFC 9530 writes it.
const DIGEST: &str = "sha-256=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:";
/// When the agent signs: a day after everything else.
const SIGNED: i64 = START + 86_400_000_000;

/// A clock that stands there.
struct Standing;

impl Clock for Standing {
    fn now(&self) -> Micros {
        Micros(SIGNED)
    }
}

/// A copy of the data directory with a command that an agent signed.
struct Signed {
    data: String,
    agent: AgentId,
    /// What it signed.
    base: String,
    /// The event.
    seq: Seq,
}

impl Signed {
    fn new(world: &World) -> Self {
        let (agent, seq) = (world.agent.parse().unwrap(), Seq(0));
        let mut signed = Self { data: world.copy("signed"), agent, base: String::new(), seq };
        let public = secret().public().to_string();
        let register = json!({ "name": "signer", "key": { "bring": public } }).to_string();
        let register = Command::parse("RegisterAgent", &register).unwrap().unwrap();
        let registered = signed.with_engine(|engine| {
            let (root, admin) = administrator(engine);
            engine.sequencer().submit(Request::new(root, admin, register)).unwrap().wait().unwrap().answer.unwrap()
        });
        let Output::Registered(it) = registered else { panic!("no agent") };
        signed.agent = it.agent.agent;
        signed.base = format!(
            "\"@method\": POST\n\"@target-uri\": https://ledger.example/v1/commands\n\"content-digest\": {DIGEST}\n\
             \"@signature-params\": (\"@method\" \"@target-uri\" \"content-digest\")\
             ;created={};keyid=\"{}\";nonce=\"0123456789abcdef\"",
            SIGNED / 1_000_000,
            it.agent.identity_key.unwrap().key
        );
        let receipt = signed.with_engine(|engine| signed.ask(engine));
        signed.seq = receipt.events[0].seq;
        signed
    }

    fn with_engine<T>(&self, act: impl FnOnce(&Engine) -> T) -> T {
        let mut config = EngineConfig::new(&self.data);
        config.clock = Arc::new(Standing);
        let (engine, _) = Engine::open(config).unwrap();
        let done = act(&engine);
        engine.stop();
        done
    }

    /// Sends what the agent signed.
    fn ask(&self, engine: &Engine) -> Receipt {
        let (root, _) = administrator(engine);
        let principal = Principal::Agent(self.agent);
        let actor = Actor { principal, method: Method::Signature, credential: None, acting_in: None };
        let mut request = Request::new(root, Caller { tenant: root, actor }, RegisterAgent::named("made".to_owned()));
        request.signature = Some(Box::new(AgentSignature {
            agent: self.agent,
            base: SignatureBase::parse(&self.base).unwrap(),
            signature: Signature(secret().sign(self.base.as_bytes())),
            content: "{}".to_owned(),
        }));
        engine.sequencer().submit(request).unwrap().wait().unwrap()
    }

    /// Has the event say something else, and everything above signed anew with stolen keys.
    fn retold(&self, change: impl FnOnce(&mut CommandSigned)) -> String {
        let keys = StolenKeys::of(&self.data);
        let mut forge = Forge::of(&self.data);
        forge.change_body(self.seq.0, |body| {
            let Body::CommandSigned(signed) = body else { panic!("no signed command") };
            change(signed);
        });
        forge.link();
        forge.seal_by(self.seq.0, |size| keys.at(size));
        forge.write(&self.data);
        self.data.clone()
    }
}

/// The agent's key, which the ledger never had.
fn secret() -> SigningKey {
    SigningKey::from_seed(Zeroizing::new([7; 32]))
}
