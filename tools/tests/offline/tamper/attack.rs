//! What an attack is, who can find it, and how each of them is asked.

use std::fmt;
use std::fs;
use std::path::Path;

use chancery_ledger::event::Envelope;
use chancery_ledger::keys::{KeyDirectory, SigningKey};
use chancery_ledger::time::Micros;
use chancery_ledger::tree::verifier_key::VerifierKey;
use chancery_projections::engine::{Engine, EngineConfig};

use crate::forge::Forge;
use crate::world::{World, chancery};

/// An attack, which the test of that name performs.
pub struct Attack {
    /// What is attacked.
    pub on: &'static str,
    /// The test's name.
    pub test: &'static str,
    /// What the attacker does.
    pub does: &'static str,
    /// Who finds it, in the order in which they are asked.
    pub found: &'static [Found],
}

/// Who finds an attack, and what they say: a finding's reason, or words of a message.
pub struct Found(pub By, pub &'static str);

/// Whoever can find an attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The verifier, which knows nothing beforehand.
    Verify,
    /// The verifier, which knows the ledger's first key.
    VerifyKey,
    /// The verifier, which knows a checkpoint that was kept elsewhere.
    VerifyHead,
    /// The verifier, which remembers what it saw.
    VerifyPin,
    /// The verifier of proofs, which knows the ledger's key.
    VerifyProof,
    /// The verifier of view receipts, which knows the ledger's key.
    VerifyReceipt,
    /// Whoever reads encrypted fields.
    Replay,
    /// The daemon, before it serves.
    Start,
    /// The daemon, as it decides.
    Sequencer,
    /// The daemon, when a view is made from the log again.
    Rebuild,
    /// Restoring a copy.
    Restore,
}

impl By {
    const fn text(self) -> &'static str {
        match self {
            Self::Verify => "`chancery verify`",
            Self::VerifyKey => "`chancery verify --key`",
            Self::VerifyHead => "`chancery verify --head`",
            Self::VerifyPin => "`chancery verify --pin`",
            Self::VerifyProof => "`chancery verify --proof`",
            Self::VerifyReceipt => "`chancery verify --receipt`",
            Self::Replay => "`chancery replay`",
            Self::Start => "the daemon's start",
            Self::Sequencer => "the sequencer",
            Self::Rebuild => "`POST /v1/views/{view}/rebuild`",
            Self::Restore => "`chancery restore`",
        }
    }

    /// Whether they say a finding's reason, and not a sentence.
    const fn gives_reason(self) -> bool {
        matches!(self, Self::Verify | Self::VerifyKey | Self::VerifyHead | Self::VerifyPin)
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(by, says) = self;
        let quote = if by.gives_reason() { ("`", "`") } else { ("“", "”") };
        write!(f, "{}: {}{says}{}", by.text(), quote.0, quote.1)
    }
}

/// What somebody said who was asked.
#[derive(Debug)]
pub struct Seen(pub By, pub String);

/// Attacks of a page: what they are on; then for each what the attacker does, who finds it, and the attack, which gives
/// what those say.
macro_rules! attacks {
    ($on:literal: $($(#[doc = $does:literal])+ $([$by:ident: $says:literal])+ fn $test:ident($world:ident) $attack:block)+) => {
        use $crate::tamper::attack::{Attack, By, Found, Seen, check};
        use $crate::world::World;

        /// The attacks of this page.
        pub const ATTACKS: &[Attack] = &[$(Attack {
            on: $on,
            test: stringify!($test),
            does: concat!($($does),+),
            found: &[$(Found(By::$by, $says)),+],
        }),+];

        $(
            #[test]
            fn $test() {
                let $world = &World::new();
                let seen: Vec<Seen> = $attack;
                check(ATTACKS, stringify!($test), &seen);
            }
        )+
    };
}

/// What was said is what the table says.
#[track_caller]
pub fn check(attacks: &[Attack], test: &str, seen: &[Seen]) {
    let attack = attacks.iter().find(|attack| attack.test == test).unwrap();
    assert_eq!(seen.len(), attack.found.len(), "{test}: {seen:#?}");
    for (Seen(by, said), Found(wanted, says)) in seen.iter().zip(attack.found) {
        assert_eq!(by, wanted, "{test}");
        let holds = if by.gives_reason() { said == says } else { said.contains(says) };
        assert!(holds, "{test}: {by:?} does not say {says:?} but: {said}");
    }
}

/// Asks the verifier about a data directory.
pub fn verify(data: &str) -> Seen {
    ask(By::Verify, &["--data-dir", data])
}

/// Asks the verifier, which knows this key of the ledger's.
pub fn verify_key(data: &str, key: &str) -> Seen {
    ask(By::VerifyKey, &["--data-dir", data, "--key", key])
}

/// Asks the verifier, which knows this checkpoint.
pub fn verify_head(data: &str, head: &str) -> Seen {
    ask(By::VerifyHead, &["--data-dir", data, "--head", head])
}

/// Asks the verifier; gives the reason of the first finding.
#[track_caller]
pub fn ask(by: By, arguments: &[&str]) -> Seen {
    let verdict = chancery(&[&["verify", "--json"], arguments].concat()).is(1).json();
    Seen(by, verdict["first_broken"]["reason"].as_str().unwrap().to_owned())
}

/// Whoever knows nothing beforehand finds nothing: it takes the one who is asked next.
#[track_caller]
pub fn passes(data: &str) {
    chancery(&["verify", "--data-dir", data]).is(0);
}

/// Asks the verifier of proofs about one.
#[track_caller]
pub fn verify_proof(proof: &str, arguments: &[&str]) -> Seen {
    let ran = chancery(&[&["verify", "--proof", proof], arguments].concat()).is(1);
    Seen(By::VerifyProof, ran.out)
}

/// Starts a daemon's engine, which must refuse.
#[track_caller]
pub fn start(data: &str) -> Seen {
    start_with(EngineConfig::new(data))
}

/// Starts a daemon's engine as configured, which must refuse.
#[track_caller]
pub fn start_with(config: EngineConfig) -> Seen {
    match Engine::open(config) {
        Ok((engine, _)) => {
            engine.stop();
            panic!("it started")
        }
        Err(error) => Seen(By::Start, error.to_string()),
    }
}

/// The newest checkpoint of the ledger, as an auditor keeps it elsewhere.
pub fn kept_head(world: &World) -> String {
    kept_head_of(world, &world.data())
}

/// The newest checkpoint of a data directory's log, kept elsewhere.
pub fn kept_head_of(world: &World, data: &str) -> String {
    let head = world.path("kept-head");
    let last = (Forge::of(data).events.len() - 1).to_string();
    let seal = chancery(&["inspect", "--data-dir", data, "seal", &last]).is(0).out;
    fs::write(&head, seal).unwrap();
    head
}

/// The ledger's first key, as an auditor got it when the ledger was new.
pub fn first_key(world: &World) -> String {
    verifier_keys(&world.data())[0].1.to_string()
}

/// The keys that sealed a data directory's log, with the first size that each may seal.
pub fn verifier_keys(data: &str) -> Vec<(u64, VerifierKey)> {
    let keys = chancery(&["inspect", "--data-dir", data, "keys"]).is(0).lines();
    keys.iter()
        .map(|key| (key["from_size"].as_u64().unwrap(), key["verifier_key"].as_str().unwrap().parse().unwrap()))
        .collect()
}

/// A copy of the data directory whose log is changed by somebody who knows the format.
pub fn forged(world: &World, change: impl FnOnce(&mut Forge)) -> String {
    let data = world.copy("forged");
    let mut forge = Forge::of(&data);
    change(&mut forge);
    forge.write(&data);
    data
}

/// Takes the checkpoint away that the daemon keeps beside the log.
pub fn without_last_checkpoint(data: &str) {
    fs::remove_file(Path::new(data).join("last-checkpoint")).unwrap();
}

/// Every key that ever sealed the log, stolen, with the first size that each may seal.
pub struct StolenKeys(Vec<(u64, SigningKey)>);

impl StolenKeys {
    pub fn of(data: &str) -> Self {
        let directory = KeyDirectory::open(&Path::new(data).join("keys"), None).unwrap();
        let keys = verifier_keys(data);
        Self(keys.into_iter().map(|(from, key)| (from, directory.find(&key.key).unwrap())).collect())
    }

    /// The key that may seal a size.
    pub fn at(&self, size: u64) -> &SigningKey {
        &self.0.iter().rev().find(|(from, _)| *from <= size).unwrap().1
    }

    /// The first of them.
    pub fn first(&self) -> &SigningKey {
        &self.0[0].1
    }
}

/// Has an event say that it happened a moment later, and the log hang together again.
pub fn retell(forge: &mut Forge, seq: u64) {
    let (header, _) = &mut forge.events[usize::try_from(seq).unwrap()];
    let mut envelope = Envelope::parse(header).unwrap();
    envelope.time = Micros(envelope.time.0 + 1);
    *header = envelope.render();
    forge.link();
}
