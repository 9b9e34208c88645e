//! A log that was made as logs are, and whose key no input can know: nothing else may ever pass for it.
//!
//! Its bodies are the golden ones, whose bytes never change, so neither do the seeds that are made from it.

use std::io::Cursor;
use std::sync::LazyLock;

use bytes::Bytes;
use chancery_ledger::actor::{Actor, Method, Principal};
use chancery_ledger::body::ledger::{Algorithm, FORMAT, LedgerCreated, Purpose, SigningKeyAdded};
use chancery_ledger::body::{Body, Prelude};
use chancery_ledger::event::{Envelope, Idempotency};
use chancery_ledger::export::ExportWriter;
use chancery_ledger::ids::{CredentialId, KeyId, LedgerId, MemberId, Seq, TenantId, TreeSize, uuid_v7};
use chancery_ledger::keys::SigningKey;
use chancery_ledger::link::{Hash, body_hash, header_hash};
use chancery_ledger::time::Micros;
use chancery_ledger::tree::seal::{Checkpoint, Seal};
use chancery_ledger::tree::verifier_key::{CosignerKey, VerifierKey};
use chancery_ledger::tree::{Frontier, leaf_hash};
use chancery_ledger::verify::Item;
use zeroize::Zeroizing;

/// Its name.
pub const ORIGIN: &str = "chancery.test/fuzz";

const BODIES: &str = include_str!("../../../ledger/tests/golden/bodies.txt");
const MILLIS: u64 = 1_767_323_045_678;

/// Golden bodies it holds, in commits: the ledger's first event stands before them.
const COMMITS: &[&[&str]] = &[
    &["TenantCreated", "OrganisationCreated", "CredentialCreated"],
    &["AgentRegistered", "AgentKeyAdded", "CertificateIssued"],
    &["MissionOpened", "TokenIssued"],
    &["ScopeChecked"],
    &["AuditChainOpened"],
    &["AuditEntryAppended"],
];
/// And after the key was changed.
const LATER: &[&[&str]] = &[&["AuditChainClosed"], &["TokenRevoked", "AgentSuspended"], &["AuthenticationFailed"]];

/// The golden bodies: kind, version, name, bytes.
pub fn bodies() -> impl Iterator<Item = (u16, u16, &'static str, Vec<u8>)> {
    BODIES.lines().map(|line| {
        let mut fields = line.split(' ');
        let mut field = || fields.next().unwrap();
        (field().parse().unwrap(), field().parse().unwrap(), field(), hex::decode(field()).unwrap())
    })
}

/// A key by its seed: 1 seals the log from its beginning, 2 from the change on; 3 is somebody else's.
#[must_use]
pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(Zeroizing::new([seed; 32]))
}

/// What an auditor of the log holds.
#[must_use]
pub fn verifier_key(seed: u8) -> VerifierKey {
    VerifierKey { origin: ORIGIN.to_owned(), key: key(seed).public() }
}

/// The log's witness, whose key is that of the seed 5.
#[must_use]
pub fn witness() -> CosignerKey {
    CosignerKey { name: "witness.test".to_owned(), key: key(5).public() }
}

/// A log, and everything that was ever signed of it.
pub struct Log {
    /// Events and seals, in order.
    pub items: Vec<Item>,
    /// The headers.
    pub headers: Vec<Bytes>,
    /// The bodies.
    pub bodies: Vec<Bytes>,
    /// The seals.
    pub seals: Vec<Seal>,
}

/// The log.
pub static LOG: LazyLock<Log> = LazyLock::new(|| {
    let mut making = Making::default();
    making.created(1);
    making.seal(1);
    for names in COMMITS {
        names.iter().for_each(|name| making.golden(name));
        making.seal(1);
    }
    making.key_added(2);
    making.seal(1);
    for names in LATER {
        names.iter().for_each(|name| making.golden(name));
        making.seal(2);
    }
    making.log
});

impl Log {
    /// The export of so many of its commits.
    #[must_use]
    pub fn export(&self, seals: usize) -> Vec<u8> {
        let mut taken = 0;
        let items = self.items.iter().take_while(|item| {
            let more = taken < seals;
            taken += usize::from(matches!(item, Item::Seal(_)));
            more
        });
        export(items)
    }

    /// Whether this was signed by the log's own keys.
    #[must_use]
    pub fn signed(&self, checkpoint: &Checkpoint) -> bool {
        self.seals.iter().any(|seal| seal.checkpoint() == checkpoint)
    }
}

/// Items as an export.
///
/// # Panics
/// When one is longer than a frame.
pub fn export<'a>(items: impl IntoIterator<Item = &'a Item>) -> Vec<u8> {
    let mut writer = ExportWriter::new(Cursor::new(Vec::new())).unwrap();
    for item in items {
        match item {
            Item::Event { header, body, .. } => writer.event(header, body.as_deref()).unwrap(),
            Item::Seal(seal) => writer.seal(seal).unwrap(),
        }
    }
    writer.finish().unwrap().0.into_inner()
}

/// A log being made.
struct Making {
    log: Log,
    frontier: Frontier,
    head: Hash,
}

impl Default for Making {
    fn default() -> Self {
        let log = Log { items: Vec::new(), headers: Vec::new(), bodies: Vec::new(), seals: Vec::new() };
        Self { log, frontier: Frontier::empty(), head: Hash::ZERO }
    }
}

impl Making {
    fn created(&mut self, seed: u8) {
        let body = LedgerCreated {
            ledger: LedgerId(uuid_v7(MILLIS, [1; 10])),
            origin: ORIGIN.to_owned(),
            format: FORMAT,
            key: KeyId(uuid_v7(MILLIS, [seed; 10])),
            algorithm: Algorithm::Ed25519,
            public: *key(seed).public().as_bytes(),
        };
        self.body(TenantId::LEDGER, &body.into());
    }

    fn key_added(&mut self, seed: u8) {
        let body = SigningKeyAdded {
            key: KeyId(uuid_v7(MILLIS, [seed; 10])),
            purpose: Purpose::Seal,
            algorithm: Algorithm::Ed25519,
            public: key(seed).public().as_bytes().to_vec(),
            tenant: None,
        };
        self.body(TenantId::LEDGER, &body.into());
    }

    fn body(&mut self, tenant: TenantId, body: &Body) {
        let (kind, subjects) = (body.kind(), body.subjects());
        let bytes = body.encode(&Prelude::default()).unwrap();
        self.event(tenant, kind.code(), kind.version(), subjects, bytes.into());
    }

    fn golden(&mut self, name: &str) {
        let (kind, version, _, bytes) = bodies().find(|(_, _, known, _)| *known == name).unwrap();
        let (_, body) = Body::decode(kind, version, &bytes).unwrap();
        self.event(TenantId(uuid_v7(MILLIS, [5; 10])), kind, version, body.subjects(), bytes.into());
    }

    fn event(
        &mut self, tenant: TenantId, kind: u16, version: u16, subjects: Vec<chancery_ledger::ids::Subject>, body: Bytes,
    ) {
        let seq = self.frontier.size().next();
        let member = Actor {
            principal: Principal::Member(MemberId(uuid_v7(MILLIS, [8; 10]))),
            method: Method::ApiKey,
            credential: Some(CredentialId(uuid_v7(MILLIS, [13; 10]))),
            acting_in: None,
        };
        let header = Envelope {
            seq,
            time: Micros(1_767_323_045_678_901).plus_secs(i64::try_from(seq.0).unwrap()),
            tenant,
            kind,
            version,
            prev: self.head,
            body_hash: body_hash(&body),
            actor: if tenant == TenantId::LEDGER { Actor::system() } else { member },
            subjects,
            correlation: Some(uuid_v7(MILLIS, [14; 10])),
            causation: seq.0.checked_sub(1).map(Seq),
            idempotency: seq
                .0
                .is_multiple_of(3)
                .then(|| Idempotency { key: format!("order-{seq}"), command: Hash([15; 32]) }),
        }
        .render();
        self.head = header_hash(&header);
        self.frontier.push(leaf_hash(&header));
        self.log.items.push(Item::Event { header: header.clone(), body: Some(body.clone()), nodes: None });
        self.log.headers.push(header);
        self.log.bodies.push(body);
    }

    fn seal(&mut self, seed: u8) {
        let seal = seal(self.frontier.size(), &self.frontier, &key(seed));
        self.log.items.push(Item::Seal(seal.bytes().clone()));
        self.log.seals.push(seal);
    }
}

/// A seal of a tree, by a key, in the log's name.
///
/// # Panics
/// Never: the name is an origin.
#[must_use]
pub fn seal(size: TreeSize, frontier: &Frontier, key: &SigningKey) -> Seal {
    Seal::sign(&Checkpoint { origin: ORIGIN.to_owned(), size, root: frontier.root() }, key).unwrap()
}
