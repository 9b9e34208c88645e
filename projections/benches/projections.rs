//! What one command costs the decider, and one event each view: `cargo bench -p chancery-projections`.

#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on should say where")]
#![allow(missing_docs, reason = "the macros make functions that nobody calls")]

use std::hint::black_box;

use chancery_ledger::actor::{Actor, Method, Principal};
use chancery_ledger::body::Prelude;
use chancery_ledger::event::Event;
use chancery_ledger::ids::{Seq, TenantId};
use chancery_ledger::keystore::Secrets;
use chancery_projections::command::Command;
use chancery_projections::context::{Caller, Clock as _, Context, PooledRandom, SystemClock};
use chancery_projections::decide::decide;
use chancery_projections::engine::{Engine, EngineConfig};
use chancery_projections::identity::state::LEDGER;
use chancery_projections::output::Output;
use chancery_projections::rows::batch::Batch;
use chancery_projections::rows::overlay::Overlay;
use chancery_projections::rows::store::ViewStore;
use chancery_projections::sequencer::Request;
use chancery_projections::views::{self, PerView, View};
use chancery_projections::worker;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Commands in the log that views are rebuilt from.
const COMMANDS: usize = 20_000;
/// Commands that one measurement decides, each on what the ones before it left.
const DECIDED: u64 = 1000;

/// A ledger with an agent, audit chains and a token.
struct Scene {
    engine: Engine,
    caller: Caller,
    chains: Vec<String>,
    token: String,
    dir: TempDir,
}

fn parse(name: &str, params: &Value) -> Command {
    Command::parse(name, &params.to_string()).unwrap().unwrap()
}

fn id(shown: &impl serde::Serialize) -> String {
    serde_json::to_value(shown).unwrap().as_str().unwrap().to_owned()
}

impl Scene {
    fn set() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (engine, _) = Engine::open(EngineConfig::new(dir.path().join("data"))).unwrap();
        let identity = engine.views().get(View::Identity).store.snapshot();
        let root = LEDGER.get(&identity, ()).unwrap().unwrap().root.unwrap();
        let principal = Principal::Tenant(root);
        let actor = Actor { principal, method: Method::ApiKey, credential: None, acting_in: None };
        let caller = Caller { tenant: root, actor };
        let mut scene = Self { engine, caller, chains: Vec::new(), token: String::new(), dir };
        let Output::Registered(agent) = scene.send("RegisterAgent", json!({ "name": "ada" })) else { panic!() };
        let mission = |n: usize| json!({ "key": { "namespace": "native", "text": format!("m{n}") } });
        for n in 0..16 {
            let params = json!({ "mission": mission(n), "agent_text": "ada", "mission_text": "m" });
            let Output::AuditChain(chain) = scene.send("OpenAuditChain", params) else { panic!() };
            scene.chains.push(id(&chain.chain));
        }
        let token = json!({
            "agent": agent.agent.agent, "mission": mission(0), "scopes": ["read"], "expires": "2099-01-01T00:00:00Z",
        });
        let Output::Token(token) = scene.send("IssueToken", token) else { panic!() };
        scene.token = id(&token.token);
        scene
    }

    fn tenant(&self) -> TenantId {
        self.caller.tenant
    }

    fn send(&self, name: &str, params: Value) -> Output {
        let request = Request::new(self.tenant(), self.caller.clone(), parse(name, &params));
        self.engine.sequencer().submit(request).unwrap().wait().unwrap().answer.unwrap()
    }

    fn command(&self, name: &str, n: usize) -> Command {
        let params = match name {
            "AppendAuditEntry" => json!({
                "chain": self.chains[n % self.chains.len()], "layer": "EXECUTION", "event": "EXECUTION_tool_call",
                "agent_text": "ada", "mission_text": "m",
                "data": { "tool": "read_invoice", "result": "success", "n": n },
            }),
            "CheckScope" => json!({ "token": self.token, "tool": "read" }),
            "RegisterAgent" => json!({ "name": format!("agent {n}") }),
            _ => json!({ "services": ["billing"] }),
        };
        parse(name, &params)
    }

    /// Fills the log with appended entries, and waits until views have them.
    fn fill(&self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut pending = std::collections::VecDeque::new();
            for n in 0..COMMANDS {
                let command = self.command("AppendAuditEntry", n);
                let request = Request::new(self.tenant(), self.caller.clone(), command);
                pending.push_back(self.engine.sequencer().submit_when_free(request).await.unwrap());
                if pending.len() > 1000 {
                    pending.pop_front().unwrap().await.unwrap().answer.unwrap();
                }
            }
            for each in pending {
                each.await.unwrap().answer.unwrap();
            }
        });
    }

    fn overlays(&self) -> PerView<Overlay> {
        let views = self.engine.views();
        PerView::try_make(|view| Ok::<_, ()>(Overlay::new(views.get(view).store.clone()))).unwrap()
    }
}

/// Decides a command and brings the overlays forward by its events, as the sequencer does.
fn take(
    scene: &Scene, overlays: &mut PerView<Overlay>, random: &mut PooledRandom, secrets: &dyn Secrets, next: &mut Seq,
    command: &Command,
) {
    let now = SystemClock.now();
    let state = views::state(overlays);
    let decision = decide(&state, command, Context::new(now, scene.tenant(), &scene.caller, random, secrets)).unwrap();
    for (tenant, body) in decision.events {
        let event = Event {
            seq: *next,
            time: now,
            tenant,
            actor: scene.caller.actor.clone(),
            subjects: body.subjects(),
            correlation: None,
            causation: None,
            idempotency: None,
            prelude: Prelude::default(),
            body,
        };
        for (view, overlay) in overlays.iter_mut() {
            overlay.begin(*next);
            view.evolve(overlay, &event).unwrap();
            overlay.keep();
        }
        *next = next.next();
    }
}

fn deciding(c: &mut Criterion) {
    let scene = Scene::set();
    let secrets = scene.engine.secrets();
    let mut random = PooledRandom::default();
    let mut group = c.benchmark_group("decide and evolve");
    group.sample_size(20).throughput(Throughput::Elements(DECIDED));
    for name in ["AppendAuditEntry", "CheckScope", "OpenMission", "RegisterAgent"] {
        let commands: Vec<Command> = (0..usize::try_from(DECIDED).unwrap()).map(|n| scene.command(name, n)).collect();
        group.bench_function(name, |b| {
            b.iter_batched_ref(
                || (scene.overlays(), scene.engine.log().size().next()),
                |(overlays, next)| {
                    for command in &commands {
                        take(&scene, overlays, &mut random, &*secrets, next, black_box(command));
                    }
                },
                BatchSize::LargeInput,
            )
        });
    }
    group.finish();
}

fn rebuilding(c: &mut Criterion) {
    let scene = Scene::set();
    scene.fill();
    let log = scene.engine.log();
    let records: Vec<_> = log.records(Seq(0)).map(|item| item.unwrap().1).collect();
    let read = |record: &chancery_ledger::store::Record| Event::read(&record.header, &record.body).unwrap().0;
    let events: Vec<Event> = records.iter().map(read).collect();
    let mut group = c.benchmark_group("rebuild");
    group.sample_size(10).throughput(Throughput::Elements(events.len() as u64));
    group.bench_function("decode", |b| b.iter(|| records.iter().for_each(|record| drop(black_box(read(record))))));
    for view in View::ALL {
        let mut number = 0;
        let mut fresh = || {
            number += 1;
            ViewStore::open(&scene.dir.path().join(format!("{}-{number}", view.name()))).unwrap()
        };
        let store = fresh();
        group.bench_function(format!("evolve {}", view.name()), |b| {
            b.iter(|| {
                let mut batch = Batch::new(&store);
                for event in &events {
                    batch.begin(event.seq);
                    view.evolve(&mut batch, black_box(event)).unwrap();
                }
                black_box(&batch);
            })
        });
        group.bench_function(format!("read, decode, evolve, store {}", view.name()), |b| {
            b.iter_batched_ref(
                &mut fresh,
                |store| worker::catch_up(view, store, &*log, log.size()).unwrap(),
                BatchSize::PerIteration,
            )
        });
    }
    group.finish();
}

criterion_group!(benches, deciding, rebuilding);
criterion_main!(benches);
