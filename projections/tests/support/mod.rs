//! What the tests of engine and sequencer share: an engine in a directory of its own, a clock that is set by hand, and
//! a log in memory that can be told to wait, to fail and to panic.

#![allow(dead_code, reason = "each test uses its part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use bytes::Bytes;
use chancery_ledger::actor::{Actor, Method, Principal};
use chancery_ledger::event::Event;
use chancery_ledger::ids::{CredentialId, Seq, TenantId, TreeSize};
use chancery_ledger::store::{Group, LogStore, Record, Records, Seals, StoreError};
use chancery_ledger::time::Micros;
use chancery_projections::bootstrap::FirstStart;
use chancery_projections::command::{Command, RegisterAgent};
use chancery_projections::context::{Caller, Clock};
use chancery_projections::credential::secret_hash;
use chancery_projections::engine::{Engine, EngineConfig};
use chancery_projections::identity::state::{CREDENTIAL_HASHES, CREDENTIALS, LEDGER, TENANT_SLUGS};
use chancery_projections::output::Output;
use chancery_projections::rejection::Rejection;
use chancery_projections::rows::store::ViewSnapshot;
use chancery_projections::sequencer::{Pending, Receipt, Request};
use chancery_projections::views::View;

/// 2026-01-02 03:04:05 UTC.
pub const START: i64 = 1_767_323_045_000_000;

/// A clock that stands until it is set.
pub struct HandClock(AtomicI64);

impl HandClock {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(START)))
    }

    pub fn set(&self, micros: i64) {
        self.0.store(micros, Ordering::SeqCst);
    }

    pub fn advance_secs(&self, secs: i64) {
        self.0.fetch_add(secs * 1_000_000, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Micros {
        Micros(self.0.load(Ordering::SeqCst))
    }
}

/// What the next appends do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    #[default]
    Work,
    /// Wait until the mode is another.
    Wait,
    /// Fail, with nothing written.
    Fail,
    /// Panic, with nothing written.
    Panic,
}

/// A log in memory.
#[derive(Default)]
pub struct MemoryLog {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    records: Vec<Record>,
    seals: BTreeMap<u64, Bytes>,
    mode: Mode,
    /// Appends that wait.
    waiting: usize,
    /// From where records were read.
    read_from: Vec<Seq>,
}

impl MemoryLog {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    pub fn set(&self, mode: Mode) {
        self.inner.lock().unwrap().mode = mode;
        self.changed.notify_all();
    }

    /// Waits until an append waits.
    pub fn wait_for_append(&self) {
        let inner = self.inner.lock().unwrap();
        drop(self.changed.wait_while(inner, |inner| inner.waiting == 0).unwrap());
    }

    pub fn commits(&self) -> usize {
        self.inner.lock().unwrap().seals.len()
    }

    /// Every event.
    pub fn events(&self) -> Vec<Event> {
        let inner = self.inner.lock().unwrap();
        inner.records.iter().map(|record| Event::read(&record.header, &record.body).unwrap().0).collect()
    }

    /// From where records were read since this was last asked.
    pub fn take_reads(&self) -> Vec<Seq> {
        std::mem::take(&mut self.inner.lock().unwrap().read_from)
    }

    /// Forgets events from a size on, as a restored older copy would.
    pub fn truncate(&self, size: TreeSize) {
        let mut inner = self.inner.lock().unwrap();
        inner.records.truncate(size.0 as usize);
        inner.seals.retain(|at, _| *at <= size.0);
    }
}

impl LogStore for MemoryLog {
    fn size(&self) -> TreeSize {
        TreeSize(self.inner.lock().unwrap().records.len() as u64)
    }

    fn append(&self, expected: TreeSize, group: &Group<'_>) -> Result<(), StoreError> {
        let mut inner = self.inner.lock().unwrap();
        if inner.mode == Mode::Wait {
            inner.waiting += 1;
            self.changed.notify_all();
            inner = self.changed.wait_while(inner, |inner| inner.mode == Mode::Wait).unwrap();
            inner.waiting -= 1;
        }
        match inner.mode {
            Mode::Work | Mode::Wait => {}
            Mode::Fail => return Err(StoreError::Missing { seq: expected.next() }),
            Mode::Panic => {
                drop(inner);
                panic!("the store was told to panic");
            }
        }
        assert_eq!(expected.0, inner.records.len() as u64);
        inner.records.extend_from_slice(group.records);
        let size = inner.records.len() as u64;
        inner.seals.insert(size, Bytes::copy_from_slice(group.seal));
        Ok(())
    }

    fn record(&self, seq: Seq) -> Result<Option<Record>, StoreError> {
        Ok(self.inner.lock().unwrap().records.get(seq.0 as usize).cloned())
    }

    fn records(&self, from: Seq) -> Records<'_> {
        let mut inner = self.inner.lock().unwrap();
        inner.read_from.push(from);
        let records: Vec<_> = inner.records.iter().skip(from.0 as usize).cloned().collect();
        Box::new((from.0..).map(Seq).zip(records).map(Ok))
    }

    fn last_seal(&self) -> Result<Option<(TreeSize, Bytes)>, StoreError> {
        let inner = self.inner.lock().unwrap();
        Ok(inner.seals.last_key_value().map(|(size, seal)| (TreeSize(*size), seal.clone())))
    }

    fn seal_of(&self, seq: Seq) -> Result<Option<(TreeSize, Bytes)>, StoreError> {
        let inner = self.inner.lock().unwrap();
        Ok(inner.seals.range(seq.0 + 1..).next().map(|(size, seal)| (TreeSize(*size), seal.clone())))
    }

    fn seals(&self, from: TreeSize) -> Seals<'_> {
        let inner = self.inner.lock().unwrap();
        let seals: Vec<_> =
            inner.seals.range(from.0..).map(|(size, seal)| Ok((TreeSize(*size), seal.clone()))).collect();
        Box::new(seals.into_iter())
    }

    fn disk_bytes(&self) -> Result<u64, StoreError> {
        Ok(0)
    }
}

/// An engine over a log in memory, and what is needed to ask it.
pub struct World {
    pub engine: Engine,
    pub log: Arc<MemoryLog>,
    pub clock: Arc<HandClock>,
    pub root: TenantId,
    pub second: TenantId,
    /// The root tenant's owner, by the first admin key.
    pub admin: Caller,
    pub first_start: Option<FirstStart>,
}

impl World {
    pub fn open(dir: &Path, log: &Arc<MemoryLog>, clock: &Arc<HandClock>) -> Self {
        Self::open_with(dir, log, clock, |_| {})
    }

    pub fn open_with(
        dir: &Path, log: &Arc<MemoryLog>, clock: &Arc<HandClock>, configure: impl FnOnce(&mut EngineConfig),
    ) -> Self {
        let mut config = config(dir, clock);
        configure(&mut config);
        let (engine, first_start) = Engine::open_over(config, log.clone()).unwrap();
        let identity = engine.views().get(View::Identity).store.snapshot();
        let root = LEDGER.get(&identity, ()).unwrap().unwrap().root.unwrap();
        let second = TENANT_SLUGS.get(&identity, "second").unwrap().unwrap();
        // The first admin key is the ledger's first credential.
        let admin = log.events().iter().find_map(|event| match &event.body {
            chancery_ledger::body::Body::CredentialCreated(created) => Some(created.credential),
            _ => None,
        });
        let admin = caller_of(&identity, admin.unwrap());
        Self { engine, log: log.clone(), clock: clock.clone(), root, second, admin, first_start }
    }

    /// A request of the root tenant's owner.
    pub fn request(&self, command: impl Into<Command>) -> Request {
        Request::new(self.root, self.admin.clone(), command)
    }

    pub fn hand_in(&self, command: impl Into<Command>) -> Pending {
        self.engine.sequencer().submit(self.request(command)).unwrap()
    }

    pub fn ask(&self, request: Request) -> Receipt {
        self.engine.sequencer().submit(request).unwrap().wait().unwrap()
    }

    pub fn send(&self, command: impl Into<Command>) -> Receipt {
        self.ask(self.request(command))
    }

    pub fn accepted(&self, command: impl Into<Command>) -> Output {
        self.send(command).answer.unwrap()
    }

    pub fn rejected(&self, command: impl Into<Command>) -> Rejection {
        self.send(command).answer.unwrap_err()
    }

    /// The view, as soon as it reflects everything acknowledged.
    pub fn view(&self, view: View) -> ViewSnapshot {
        let wanted = self.engine.sequencer().acknowledged();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(self.engine.views().read(view, wanted, Duration::from_secs(60))).unwrap()
    }

    /// A caller of the second tenant, as a whole.
    pub fn stranger(&self) -> Caller {
        let principal = Principal::Tenant(self.second);
        Caller {
            tenant: self.second,
            actor: Actor { principal, method: Method::ApiKey, credential: None, acting_in: None },
        }
    }
}

pub fn config(dir: &Path, clock: &Arc<HandClock>) -> EngineConfig {
    let mut config = EngineConfig::new(dir);
    config.clock = clock.clone();
    config
}

fn caller_of(identity: &ViewSnapshot, credential: CredentialId) -> Caller {
    let credential = CREDENTIALS.get(identity, credential).unwrap().unwrap();
    let actor = Actor {
        principal: credential.principal,
        method: Method::ApiKey,
        credential: Some(credential.credential),
        acting_in: None,
    };
    Caller { tenant: credential.tenant, actor }
}

/// The credential that a key's text belongs to.
pub fn credential_of(identity: &ViewSnapshot, secret: &str) -> Option<CredentialId> {
    CREDENTIAL_HASHES.get(identity, secret_hash(secret)).unwrap()
}

/// A registration with nothing but a name.
pub fn agent(name: &str) -> RegisterAgent {
    serde_json::from_value(serde_json::json!({ "name": name })).unwrap()
}

/// A registration with a key made here.
pub fn agent_with_key(name: &str) -> RegisterAgent {
    serde_json::from_value(serde_json::json!({ "name": name, "key": "make" })).unwrap()
}
