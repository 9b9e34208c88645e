//! What one event and one commit cost the ledger, apart from the disk: `cargo bench -p chancery-ledger`.

#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on should say where")]
#![allow(missing_docs, reason = "the macros make functions that nobody calls")]

use std::hint::black_box;
use std::sync::Arc;

use chancery_ledger::actor::{Actor, Method, Principal};
use chancery_ledger::body::execution::{AuditEntryAppended, AuditLayer};
use chancery_ledger::body::ledger::{Algorithm, FORMAT, LedgerCreated};
use chancery_ledger::body::{Body, Prelude};
use chancery_ledger::commit::{Committer, Numbered};
use chancery_ledger::event::Event;
use chancery_ledger::ids::{
    AuditChainId, AuditEntryId, CredentialId, KeyId, LedgerId, MissionId, Seq, TenantId, ThingId as _, TreeSize,
    uuid_v7,
};
use chancery_ledger::keys::{KeyDirectory, PublicKey, SigningKey};
use chancery_ledger::last_checkpoint::LastCheckpoint;
use chancery_ledger::link::{self, Hash};
use chancery_ledger::shred::Encrypted;
use chancery_ledger::store::on_sled::SledStore;
use chancery_ledger::store::{LogStore, Record, StoreNodes};
use chancery_ledger::time::Micros;
use chancery_ledger::tree::seal::{Checkpoint, Seal};
use chancery_ledger::tree::tlog_proof::TlogProof;
use chancery_ledger::tree::{Frontier, leaf_hash, proof};
use chancery_ledger::verify::{Item, Known, StoreItems, verify};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tempfile::TempDir;
use zeroize::Zeroizing;

const ORIGIN: &str = "chancery.test/bench";
/// Events of the log that is verified and proved from.
const EVENTS: u64 = 20_000;
/// Events in each of its commits.
const GROUP: u64 = 50;

fn event(seq: u64, body: Body) -> Event {
    let tenant = TenantId(uuid_v7(1, [3; 10]));
    Event {
        seq: Seq(seq),
        time: Micros(1_000 + i64::try_from(seq).unwrap()),
        tenant,
        actor: Actor {
            principal: Principal::Tenant(tenant),
            method: Method::ApiKey,
            credential: Some(CredentialId(uuid_v7(1, [4; 10]))),
            acting_in: None,
        },
        subjects: body.subjects(),
        correlation: Some(uuid_v7(1, [5; 10])),
        causation: None,
        idempotency: None,
        prelude: Prelude::default(),
        body,
    }
}

/// The typical small event: an audit entry with 80 bytes of encrypted data.
fn entry(seq: u64) -> Event {
    let mission = MissionId(uuid_v7(2, [2; 10]));
    let entry = AuditEntryAppended {
        entry: AuditEntryId(uuid_v7(seq, [9; 10])),
        chain: AuditChainId(uuid_v7(2, [8; 10])),
        mission,
        sequence: seq,
        layer: AuditLayer::Execution,
        event: "EXECUTION_tool_call".into(),
        agent_text: "aid_01m87xmbr5fccbwh03yw44at68".into(),
        mission_text: "bench".into(),
        token_text: None,
        at: Micros(1_000),
        data: Encrypted { key: mission.subject(), nonce: [7; 24], ciphertext: vec![6; 80] },
        prev: Hash([15; 32]),
        entry_hash: Hash([16; 32]),
    };
    event(seq, entry.into())
}

/// A log on disk as a daemon leaves it.
struct Log {
    store: Arc<SledStore>,
    key: PublicKey,
    _dir: TempDir,
}

impl Log {
    fn make() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(SledStore::open(&dir.path().join("log")).unwrap());
        let keys = KeyDirectory::open(&dir.path().join("keys"), None).unwrap();
        let last = LastCheckpoint::open(&dir.path().join("last-checkpoint")).unwrap();
        let signing = keys.create().unwrap();
        let key = signing.public();
        let genesis = LedgerCreated {
            ledger: LedgerId(uuid_v7(1, [1; 10])),
            origin: ORIGIN.to_owned(),
            format: FORMAT,
            key: KeyId(uuid_v7(1, [2; 10])),
            algorithm: Algorithm::Ed25519,
            public: *key.as_bytes(),
        };
        let mut committer = Committer::create(store.clone(), keys, last, ORIGIN.to_owned(), signing);
        let mut commit = |events: &mut dyn Iterator<Item = Event>| {
            let mut group = Numbered::default();
            events.for_each(|event| group.push(event).unwrap());
            committer.commit(Arc::new(group)).unwrap();
        };
        commit(&mut std::iter::once(event(0, genesis.into())));
        for first in (1..EVENTS).step_by(usize::try_from(GROUP).unwrap()) {
            commit(&mut (first..(first + GROUP).min(EVENTS)).map(entry));
        }
        Self { store, key, _dir: dir }
    }
}

/// What linking makes of an event.
fn record(event: &Event) -> Record {
    let body = event.body.encode(&event.prelude).unwrap();
    let header = event.envelope(Hash([1; 32]), link::body_hash(&body)).render();
    let nodes = Frontier::empty().push(leaf_hash(&header));
    Record { header, body: body.into(), nodes }
}

fn events(c: &mut Criterion) {
    let event = entry(7);
    let record = record(&event);
    let mut group = c.benchmark_group("event");
    group.throughput(Throughput::Elements(1));
    group.bench_function("encode body", |b| b.iter(|| event.body.encode(black_box(&event.prelude)).unwrap()));
    let kind = event.body.kind();
    group.bench_function("decode body", |b| {
        b.iter(|| Body::decode(kind.code(), kind.version(), black_box(&record.body)).unwrap())
    });
    group.bench_function("read header and body", |b| {
        b.iter(|| Event::read(black_box(&record.header), &record.body).unwrap())
    });
    group.bench_function("hash body, render header, link", |b| {
        b.iter(|| {
            let header = event.envelope(Hash([1; 32]), link::body_hash(black_box(&record.body))).render();
            (link::header_hash(&header), header)
        })
    });
    group.bench_function("leaf hash and tree", |b| {
        b.iter_batched_ref(
            Frontier::empty,
            |tree| {
                for _ in 0..1000 {
                    black_box(tree.push(leaf_hash(black_box(&record.header))));
                }
            },
            BatchSize::SmallInput,
        )
    });
    group.bench_function("encode record", |b| {
        let mut out = Vec::with_capacity(4096);
        b.iter(|| {
            out.clear();
            black_box(&record).encode_into(event.seq, &mut out).unwrap();
        })
    });
    let mut bytes = Vec::new();
    record.encode_into(event.seq, &mut bytes).unwrap();
    let bytes = bytes::Bytes::from(bytes);
    group.bench_function("decode record", |b| {
        b.iter(|| Record::decode_from(event.seq, black_box(&mut bytes.clone())).unwrap())
    });
    group.finish();
}

fn seals(c: &mut Criterion) {
    let key = SigningKey::from_seed(Zeroizing::new([7; 32]));
    let root = leaf_hash(b"root");
    let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: TreeSize(1_000_000), root };
    let seal = Seal::sign(&checkpoint, &key).unwrap();
    let mut group = c.benchmark_group("seal");
    group.bench_function("sign", |b| b.iter(|| Seal::sign(black_box(&checkpoint), &key).unwrap()));
    group.bench_function("parse and verify", |b| {
        b.iter(|| Seal::parse(black_box(seal.bytes())).unwrap().verify(&key.public()).unwrap())
    });
    group.finish();
}

fn logs(c: &mut Criterion) {
    let log = Log::make();
    let items: Vec<Item> = StoreItems::new(&*log.store, TreeSize(u64::MAX)).map(Result::unwrap).collect();
    let mut group = c.benchmark_group("log");
    group.sample_size(10).throughput(Throughput::Elements(EVENTS));
    group.bench_function("verify from memory", |b| {
        b.iter_batched(
            || items.clone(),
            |items| assert!(verify(items.into_iter().map(Ok), &Known::default(), |_| {}).unwrap().whole),
            BatchSize::LargeInput,
        )
    });
    group.bench_function("verify from disk", |b| {
        b.iter(|| {
            let items = StoreItems::new(&*log.store, TreeSize(u64::MAX));
            assert!(verify(items, &Known::default(), |_| {}).unwrap().whole);
        })
    });
    group.bench_function("read and decode from disk", |b| {
        b.iter(|| {
            for item in log.store.records(Seq(0)) {
                let (_, record) = item.unwrap();
                black_box(Event::read(&record.header, &record.body).unwrap());
            }
        })
    });
    group.finish();
    let prove = |seq: Seq| {
        let (size, seal) = log.store.seal_of(seq).unwrap().unwrap();
        let path = proof::inclusion(seq, size, &StoreNodes(&*log.store)).unwrap();
        TlogProof { extra: None, index: seq, path, seal: Seal::parse(&seal).unwrap() }.render()
    };
    let mut group = c.benchmark_group("proof");
    let mut seqs = (0..).map(|n: u64| Seq(n * 7919 % EVENTS));
    group.bench_function("make", |b| b.iter_batched(|| seqs.next().unwrap(), prove, BatchSize::SmallInput));
    let seq = Seq(EVENTS / 2);
    let (text, header) = (prove(seq), log.store.record(seq).unwrap().unwrap().header);
    group.bench_function("verify", |b| {
        b.iter(|| TlogProof::parse(black_box(text.as_bytes())).unwrap().verify(&header, &log.key, ORIGIN).unwrap())
    });
    group.finish();
}

criterion_group!(benches, events, seals, logs);
criterion_main!(benches);
