//! A small ledger with a bit of everything, made by the engine itself; and the program, run on it.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Output as ProcessOutput, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chancery_ledger::actor::{Actor, Method};
use chancery_ledger::body::Body;
use chancery_ledger::event::Event;
use chancery_ledger::ids::{Seq, TenantId, TreeSize};
use chancery_ledger::time::Micros;
use chancery_projections::command::Command;
use chancery_projections::context::{Caller, Clock};
use chancery_projections::engine::{Engine, EngineConfig};
use chancery_projections::identity::state::LEDGER;
use chancery_projections::output::Output;
use chancery_projections::sequencer::Request;
use chancery_projections::views::View;
use serde_json::{Value, json};
use tempfile::TempDir;

/// 2026-01-02 03:04:05 UTC.
pub const START: i64 = 1_767_323_045_000_000;

/// A clock that goes on by a second each time it is looked at.
struct Ticking(AtomicI64);

impl Clock for Ticking {
    fn now(&self) -> Micros {
        Micros(self.0.fetch_add(1_000_000, Ordering::SeqCst))
    }
}

/// A running engine on a data directory of its own.
pub struct Running {
    pub engine: Engine,
    root: TenantId,
    admin: Caller,
    dir: TempDir,
}

impl Running {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = EngineConfig::new(dir.path().join("data"));
        config.origin = Some("chancery.test/tools".to_owned());
        config.clock = Arc::new(Ticking(AtomicI64::new(START)));
        let (engine, first_start) = Engine::open(config).unwrap();
        assert!(first_start.is_some());
        let (root, admin) = administrator(&engine);
        Self { engine, root, admin, dir }
    }

    /// Sends a command that must be accepted: a commit of its own.
    pub fn send(&self, command: impl Into<Command>) -> Output {
        let request = Request::new(self.root, self.admin.clone(), command);
        self.engine.sequencer().submit(request).unwrap().wait().unwrap().answer.unwrap()
    }

    /// As [`send`](Self::send), from a command's name and its parameters.
    pub fn submit(&self, name: &str, params: Value) -> Output {
        self.send(Command::parse(name, &params.to_string()).unwrap().unwrap())
    }

    pub fn size(&self) -> u64 {
        self.engine.log().size().0
    }

    pub fn data(&self) -> String {
        self.dir.path().join("data").to_str().unwrap().to_owned()
    }

    pub fn stop(self) -> TempDir {
        self.engine.stop();
        self.dir
    }
}

/// The root tenant, and who may do everything in it.
pub fn administrator(engine: &Engine) -> (TenantId, Caller) {
    let identity = engine.views().get(View::Identity).store.snapshot();
    let root = LEDGER.get(&identity, ()).unwrap().unwrap().root.unwrap();
    let credential = engine.log().records(Seq(0)).find_map(|item| {
        let record = item.unwrap().1;
        match Event::read(&record.header, &record.body).unwrap().0.body {
            Body::CredentialCreated(created) => Some(created),
            _ => None,
        }
    });
    let credential = credential.unwrap();
    let actor = Actor {
        principal: credential.principal,
        method: Method::ApiKey,
        credential: Some(credential.credential),
        acting_in: None,
    };
    (root, Caller { tenant: root, actor })
}

/// Opens a data directory, sends commands that must be accepted, each a commit of its own, and stops.
pub fn send(config: EngineConfig, commands: impl IntoIterator<Item = Command>) {
    let (engine, _) = Engine::open(config).unwrap();
    let (root, admin) = administrator(&engine);
    for command in commands {
        let request = Request::new(root, admin.clone(), command);
        engine.sequencer().submit(request).unwrap().wait().unwrap().answer.unwrap();
    }
    engine.stop();
}

/// The ids of what happened, and when.
pub struct World {
    dir: TempDir,
    /// Sizes at which commits end.
    pub ends: Vec<u64>,
    pub tenant: String,
    pub agent: String,
    pub token: String,
    pub mission: String,
    pub chain: String,
    /// The event that registered the agent.
    pub registered: u64,
    /// The event that suspended it.
    pub suspended: u64,
    /// The event that let it work again.
    pub resumed: u64,
    /// The event that names the second sealing key.
    pub rotated: u64,
    /// Digest of each view, by name, as the engine had it in the end.
    pub digests: Vec<(String, String)>,
}

impl World {
    pub fn new() -> Self {
        let running = Running::start();
        let next = || running.size();
        let registered = next();
        let profile = json!({ "email": "ada@example.org", "purpose": "sums" });
        let Output::Registered(ada) =
            running.submit("RegisterAgent", json!({ "name": "ada", "key": "make", "profile": profile }))
        else {
            panic!("no agent")
        };
        let agent = ada.agent.agent.to_string();
        let mission = json!({ "key": { "namespace": "native", "text": "invoices" } });
        let token = running.submit(
            "IssueToken",
            json!({ "agent": agent, "mission": mission, "scopes": ["read"], "expires": "2026-01-02T03:30:00Z" }),
        );
        let Output::Token(token) = token else { panic!("no token") };
        let suspended = next();
        running.submit("SuspendAgent", json!({ "agent": agent, "reason": "it looked odd" }));
        let resumed = next();
        running.submit("ResumeAgent", json!({ "agent": agent }));
        let chain = running
            .submit("OpenAuditChain", json!({ "mission": mission, "agent_text": "ada", "mission_text": "invoices" }));
        let Output::AuditChain(chain) = chain else { panic!("no chain") };
        let chain = chain.chain.to_string();
        let entry = json!({
            "chain": chain, "layer": "EXECUTION", "event": "EXECUTION_tool_call", "agent_text": "ada",
            "mission_text": "invoices", "data": { "amount": 1.50 },
        });
        running.submit("AppendAuditEntry", entry);
        running.submit("CloseAuditChain", json!({ "chain": chain }));
        let public = *running.engine.new_sealing_key().unwrap().as_bytes();
        running.send(chancery_projections::command::RotateSigningKey::seal(&public));
        // The commit's last event names the new key.
        let rotated = next() - 1;
        running.submit("RegisterAgent", json!({ "name": "bob" }));
        let digests = || {
            let views = running.engine.views().iter();
            let digest = |(view, handle): (View, &chancery_projections::views::ViewHandle)| {
                let (size, digest) = handle.store.digest().unwrap();
                assert_eq!(size, running.engine.log().size());
                (view.name().to_owned(), digest.iter().map(|byte| format!("{byte:02x}")).collect())
            };
            views.map(digest).collect()
        };
        running.engine.stop();
        let ends = running.engine.log().seals(TreeSize(0)).map(|seal| seal.unwrap().0.0).collect();
        Self {
            ends,
            tenant: running.root.to_string(),
            agent,
            token: token.token.to_string(),
            mission: token.mission.unwrap().to_string(),
            chain,
            registered,
            suspended,
            resumed,
            rotated,
            digests: digests(),
            dir: running.stop(),
        }
    }

    pub fn size(&self) -> u64 {
        *self.ends.last().unwrap()
    }

    /// The directory that holds the data directory, for more files.
    pub fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    pub fn data(&self) -> String {
        self.path("data")
    }

    /// A copy of the data directory, to be damaged.
    pub fn copy(&self, name: &str) -> String {
        let copy = self.path(name);
        copy_dir(Path::new(&self.data()), Path::new(&copy));
        copy
    }

    /// The log as an export.
    pub fn export(&self) -> String {
        let path = self.path("log.export");
        if !Path::new(&path).exists() {
            chancery(&["export", "--data-dir", &self.data(), "--out", &path]).is(0);
        }
        path
    }
}

/// Copies a directory with what is in it, and its mode.
pub fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// What the program said.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
    command: String,
}

impl Ran {
    /// The exit code must be this one.
    #[track_caller]
    pub fn is(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n--- out\n{}\n--- err\n{}", self.command, self.out, self.err);
        self
    }

    /// It must have said this on standard error, in one line, and nothing on standard output.
    #[track_caller]
    pub fn complains(self, of: &str) -> Self {
        assert!(self.err.contains(of), "{}\n{}", self.command, self.err);
        assert!(self.err.starts_with("chancery: ") && self.err.lines().count() == 1, "{}", self.err);
        assert_eq!(self.out, "");
        self
    }

    /// What it printed, as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{}: {error}\n{}", self.command, self.out))
    }

    /// What it printed, as lines of JSON.
    #[track_caller]
    pub fn lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

pub fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_chancery"))
}

/// The program, with nothing of the environment that it would heed.
pub fn process(program: impl AsRef<Path>, arguments: &[&str]) -> Process {
    let mut process = Process::new(program.as_ref());
    process.args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CHANCERY_") || name == "RUST_LOG" {
            process.env_remove(name);
        }
    }
    process
}

pub fn ran(mut process: Process) -> Ran {
    let ProcessOutput { status, stdout, stderr } = process.output().unwrap();
    Ran {
        code: status.code().unwrap_or_else(|| panic!("{process:?} ended by signal {:?}", status.signal())),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
        command: format!("{process:?}"),
    }
}

pub fn chancery(arguments: &[&str]) -> Ran {
    ran(process(program(), arguments))
}
