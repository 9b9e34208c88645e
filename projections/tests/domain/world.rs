//! A whole daemon's state without a daemon: rows in memory, a clock that stands, randomness from a seed.

use std::collections::{BTreeMap, HashMap};
use std::ops::{Bound, ControlFlow};
use std::sync::Mutex;

use chancery_ledger::actor::{Actor, Method, Principal};
use chancery_ledger::body::execution::AuditLayer;
use chancery_ledger::body::field::JsonText;
use chancery_ledger::body::identity::{ChallengePurpose, Disclosure, EndCause, Environment, Visibility};
use chancery_ledger::body::ledger::Purpose;
use chancery_ledger::body::token::Bound as Limit;
use chancery_ledger::body::{Body, Kind, Prelude, SUBJECTS_MAX};
use chancery_ledger::event::Event;
use chancery_ledger::ids::{
    AgentId, AuditChainId, ChallengeId, CredentialId, MissionId, Seq, Subject, TenantId, TokenId,
};
use chancery_ledger::keys::SigningKey;
use chancery_ledger::keystore::{KeystoreError, NewSecret, SecretName, Secrets};
use chancery_ledger::time::Micros;
use chancery_projections::bootstrap;
use chancery_projections::command::*;
use chancery_projections::context::{Caller, Context, Opener, Random, RandomError};
use chancery_projections::decide::decide;
use chancery_projections::decision::{Answer, State, Stop};
use chancery_projections::identity::view as identity;
use chancery_projections::output::Output;
use chancery_projections::rejection::Rejection;
use chancery_projections::rows::{Order, Row, Rows, RowsError, RowsMut, Scan, StoredRow, Value, Visit};
use chancery_projections::view::Reading;
use chancery_projections::views::{PerView, View};
use zeroize::Zeroizing;

/// 2026-01-02 03:04:05 UTC.
pub const START: Micros = Micros(1_767_323_045_000_000);

/// Rows in memory.
#[derive(Default, Clone)]
pub struct Memory {
    rows: BTreeMap<Vec<u8>, Row>,
    seq: u64,
    is_for_deciders: bool,
}

impl Memory {
    /// Rows that deciders ask for, and no others.
    pub fn for_deciders() -> Self {
        Self { is_for_deciders: true, ..Self::default() }
    }
}

impl Rows for Memory {
    fn row(&self, key: &[u8]) -> Result<Option<Row>, RowsError> {
        Ok(self.rows.get(key).cloned())
    }
}

impl Scan for Memory {
    fn scan(&self, prefix: &[u8], from: Option<&[u8]>, order: Order, visit: &mut Visit<'_>) -> Result<(), RowsError> {
        let range = (Bound::Included(prefix.to_vec()), Bound::Unbounded);
        let mut found: Vec<_> =
            self.rows.range::<Vec<u8>, _>(range).take_while(|(key, _)| key.starts_with(prefix)).collect();
        if order == Order::Descending {
            found.reverse();
        }
        for (key, row) in found {
            let rest = &key[prefix.len()..];
            let before = from.is_some_and(|from| if order == Order::Ascending { rest < from } else { rest > from });
            if let (false, Some(value)) = (before, &row.value)
                && visit(rest, value) == ControlFlow::Break(())
            {
                break;
            }
        }
        Ok(())
    }
}

impl RowsMut for Memory {
    fn put(&mut self, key: Vec<u8>, value: Option<Value>) -> Result<(), RowsError> {
        self.rows.insert(key, StoredRow::new(Seq(self.seq), value).row());
        Ok(())
    }

    fn is_for_deciders(&self) -> bool {
        self.is_for_deciders
    }
}

/// Secrets in memory; a destroyed one is kept as `None`.
#[derive(Default)]
pub struct Keys(Mutex<HashMap<SecretName, Option<Zeroizing<[u8; 32]>>>>);

impl Keys {
    pub fn put(&self, secrets: Vec<NewSecret>) {
        for NewSecret { name, secret } in secrets {
            assert!(self.0.lock().unwrap().insert(name, Some(secret)).is_none(), "a secret is put once: {name}");
        }
    }

    /// Destroys the key of what was erased, as the committer does.
    fn erase(&self, subject: Subject) {
        self.0.lock().unwrap().insert(SecretName::Data(subject), None);
    }

    /// Erases what is encrypted under a secret.
    pub fn destroy(&self, name: SecretName) {
        assert!(self.0.lock().unwrap().insert(name, None).flatten().is_some());
    }
}

impl Secrets for Keys {
    fn secret(&self, name: &SecretName) -> Result<Option<Zeroizing<[u8; 32]>>, KeystoreError> {
        Ok(self.0.lock().unwrap().get(name).cloned().flatten())
    }

    fn is_destroyed(&self, name: &SecretName) -> Result<bool, KeystoreError> {
        Ok(self.0.lock().unwrap().get(name).is_some_and(Option::is_none))
    }
}

/// Bytes that look random and are the same every time.
pub struct Seeded(blake3::OutputReader);

impl Seeded {
    pub fn new(seed: u64) -> Self {
        Self(blake3::Hasher::new().update(&seed.to_be_bytes()).finalize_xof())
    }
}

impl Random for Seeded {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), RandomError> {
        self.0.fill(bytes);
        Ok(())
    }
}

pub struct World {
    pub views: PerView<Memory>,
    pub keys: Keys,
    pub now: Micros,
    pub random: Seeded,
    pub events: Vec<Event>,
    /// The root tenant, for which commands are when nobody says otherwise.
    pub root: TenantId,
    /// A tenant that has nothing.
    pub second: TenantId,
    /// The root tenant's owner, with the first admin key.
    pub owner: Caller,
    /// The same, with the OrgKernel key.
    pub orgkernel: Caller,
}

impl World {
    /// As a first start leaves it.
    pub fn new() -> Self {
        let mut random = Seeded::new(0);
        let keys = Keys::default();
        let seal = SigningKey::from_seed(Zeroizing::new([9; 32])).public();
        let founding = bootstrap::found(START, Some("chancery.test/log"), &seal, &mut random, &keys).unwrap();
        keys.put(founding.secrets);
        let events = founding.events.events().to_vec();
        let tenants: Vec<TenantId> = of_kind(&events, |body| match body {
            Body::TenantCreated(it) => Some(it.tenant),
            _ => None,
        });
        let credentials: Vec<(CredentialId, Principal)> = of_kind(&events, |body| match body {
            Body::CredentialCreated(it) => Some((it.credential, it.principal.clone())),
            _ => None,
        });
        let caller = |(credential, principal): &(CredentialId, Principal)| Caller {
            tenant: tenants[0],
            actor: Actor {
                principal: principal.clone(),
                method: Method::ApiKey,
                credential: Some(*credential),
                acting_in: None,
            },
        };
        let mut world = Self {
            views: PerView::try_make(|_| Ok::<_, ()>(Memory::default())).unwrap(),
            keys,
            now: START,
            random,
            events: Vec::new(),
            root: tenants[0],
            second: tenants[1],
            owner: caller(&credentials[0]),
            orgkernel: caller(&credentials[1]),
        };
        events.into_iter().for_each(|event| world.apply(event));
        world
    }

    pub fn reading(&self) -> Reading<'_> {
        Reading {
            identity: self.views.get(View::Identity),
            token: self.views.get(View::Token),
            trust: self.views.get(View::Trust),
            execution: self.views.get(View::Execution),
            opener: Opener::new(&self.keys),
            now: self.now,
        }
    }

    pub fn advance_secs(&mut self, secs: i64) {
        self.now = self.now.plus_secs(secs);
    }

    /// The root tenant's owner sends a command for the root tenant.
    #[track_caller]
    pub fn when(&mut self, command: impl Into<Command>) -> Outcome {
        let (caller, tenant) = (self.owner.clone(), self.root);
        self.when_as(&caller, tenant, command)
    }

    /// The second tenant sends a command for itself.
    #[track_caller]
    pub fn when_second(&mut self, command: impl Into<Command>) -> Outcome {
        let caller = self.second_caller();
        self.when_as(&caller, self.second, command)
    }

    pub fn second_caller(&self) -> Caller {
        let actor = Actor {
            principal: Principal::Tenant(self.second),
            method: Method::ApiKey,
            credential: None,
            acting_in: None,
        };
        Caller { tenant: self.second, actor }
    }

    /// Decides a command; its events become part of the world. Whatever was decided must be storable and evolve.
    #[track_caller]
    pub fn when_as(&mut self, caller: &Caller, tenant: TenantId, command: impl Into<Command>) -> Outcome {
        let command = command.into();
        let state = State {
            identity: self.views.get(View::Identity),
            token: self.views.get(View::Token),
            trust: self.views.get(View::Trust),
            execution: self.views.get(View::Execution),
            journal: self.views.get(View::Journal),
        };
        let ctx = Context::new(self.now, tenant, caller, &mut self.random, &self.keys);
        let decision = match decide(&state, &command, ctx) {
            Ok(decision) => decision,
            Err(Stop::Refused(rejection)) => {
                return Outcome { events: Vec::new(), answer: Answer::Refused(rejection) };
            }
            Err(stop) => panic!("{} could not be decided: {stop}", command.name()),
        };
        assert!(decision.events.len() <= 1024, "one command has at most 1,024 events");
        self.keys.put(decision.keys);
        let first = self.events.len();
        for (tenant, body) in decision.events {
            let event = Event {
                seq: Seq(self.events.len() as u64),
                time: self.now,
                tenant,
                actor: caller.actor.clone(),
                subjects: body.subjects(),
                correlation: None,
                causation: None,
                idempotency: None,
                prelude: Prelude::default(),
                body,
            };
            self.apply(event);
        }
        Outcome { events: self.events[first..].to_vec(), answer: decision.answer }
    }

    #[track_caller]
    fn apply(&mut self, event: Event) {
        assert!(event.subjects.len() <= SUBJECTS_MAX);
        let kind = event.body.kind();
        let stored = event.body.encode(&event.prelude).unwrap();
        let read = Body::decode(kind.code(), kind.version(), &stored).unwrap();
        assert_eq!(read, (event.prelude.clone(), event.body.clone()), "what is read is what was written");
        for (view, rows) in self.views.iter_mut() {
            rows.seq = event.seq.0;
            view.evolve(rows, &event).unwrap_or_else(|error| panic!("{view:?} does not evolve: {error}"));
        }
        if let Body::SubjectErased(erased) = &event.body {
            self.keys.erase(erased.subject);
        }
        self.events.push(event);
    }

    /// It happened so, whoever decided it.
    #[track_caller]
    pub fn given(&mut self, tenant: TenantId, principal: Principal, body: impl Into<Body>) {
        let body = body.into();
        let event = Event {
            seq: Seq(self.events.len() as u64),
            time: self.now,
            tenant,
            actor: Actor { principal, method: Method::ApiKey, credential: None, acting_in: None },
            subjects: body.subjects(),
            correlation: None,
            causation: None,
            idempotency: None,
            prelude: Prelude::default(),
            body,
        };
        self.apply(event);
    }

    // What tests need again and again.

    /// Registers an agent with a made key, in the default organisation.
    #[track_caller]
    pub fn agent(&mut self, name: &str) -> AgentId {
        registered(&self.when(register(name)).then_decided())
    }

    /// The same, and its private key: 32 bytes from a seed that the test knows.
    #[track_caller]
    pub fn agent_with_key(&mut self, name: &str, seed: u8) -> (AgentId, SigningKey) {
        let key = SigningKey::from_seed(Zeroizing::new([seed; 32]));
        let command = RegisterAgent { key: KeyChoice::Bring(hex::encode(key.public().as_bytes())), ..register(name) };
        (registered(&self.when(command).then_decided()), key)
    }

    /// A key to sign access tokens with.
    pub fn token_key(&mut self) {
        let system = Caller { tenant: self.root, actor: Actor::system() };
        let purpose = Purpose::JwtEddsa;
        drop(self.when_as(&system, self.root, ProvideTokenKey { purpose, public: Vec::new() }));
    }

    /// A client secret of an agent, and a key to sign its tokens with.
    pub fn client_secret(&mut self, agent: AgentId) -> String {
        self.token_key();
        let created = self.when(CreateCredential { agent, expires: None, as_administrator: false });
        created.shown().to_owned()
    }

    /// Issues a token for `msn_test000001`, good for an hour.
    #[track_caller]
    pub fn token(&mut self, agent: AgentId) -> TokenId {
        let command = issue(agent, self.now);
        issued(&self.when(command).then_decided())
    }

    pub fn agent_view(&self, id: AgentId) -> identity::AgentView {
        identity::agent(&self.reading(), self.root, id).unwrap().unwrap()
    }
}

/// What a command led to.
pub struct Outcome {
    pub events: Vec<Event>,
    pub answer: Answer,
}

impl Outcome {
    pub fn kinds(&self) -> Vec<Kind> {
        self.events.iter().map(|event| event.body.kind()).collect()
    }

    /// It was accepted with facts.
    #[track_caller]
    pub fn then_decided(self) -> Vec<Event> {
        assert!(matches!(self.answer, Answer::AsDecided(_)), "{:?}", self.answer);
        assert!(!self.events.is_empty());
        self.events
    }

    /// It was accepted with facts of these kinds.
    #[track_caller]
    pub fn then(self, kinds: &[Kind]) -> Vec<Event> {
        assert_eq!(
            (self.kinds().as_slice(), matches!(self.answer, Answer::AsDecided(_))),
            (kinds, true),
            "{:?}",
            self.answer
        );
        self.events
    }

    /// It was so already: accepted with no fact.
    #[track_caller]
    pub fn then_unchanged(self) -> Output {
        assert_eq!(self.kinds(), []);
        match self.answer {
            Answer::Unchanged(output) => *output,
            answer => panic!("{answer:?}"),
        }
    }

    /// It was refused, and that left no fact.
    #[track_caller]
    pub fn then_rejected(self, wanted: Rejection) {
        self.then_refused(wanted, &[]);
    }

    /// It was refused, and that is a fact.
    #[track_caller]
    pub fn then_refused(self, wanted: Rejection, kinds: &[Kind]) {
        assert_eq!(self.kinds(), kinds);
        match self.answer {
            Answer::Refused(rejection) => assert_eq!(rejection, wanted),
            answer => panic!("{answer:?}"),
        }
    }

    /// It was refused because of a field.
    #[track_caller]
    pub fn then_invalid(self, wanted: &str) {
        assert_eq!(self.kinds(), []);
        match self.answer {
            Answer::Refused(Rejection::Invalid { field, .. }) => assert_eq!(field, wanted),
            answer => panic!("{answer:?}"),
        }
    }

    /// The secret it shows once.
    #[track_caller]
    pub fn shown(&self) -> &str {
        match &self.answer {
            Answer::AsDecided(Some(shown)) => shown,
            answer => panic!("{answer:?}"),
        }
    }
}

pub fn of_kind<T>(events: &[Event], pick: impl Fn(&Body) -> Option<T>) -> Vec<T> {
    events.iter().filter_map(|event| pick(&event.body)).collect()
}

/// The facts of the one event of a kind.
#[macro_export]
macro_rules! the {
    ($events:expr, $kind:ident) => {{
        let found = $crate::world::of_kind($events, |body| match body {
            chancery_ledger::body::Body::$kind(facts) => Some(facts.clone()),
            _ => None,
        });
        assert_eq!(found.len(), 1, "one {} among the events", stringify!($kind));
        found.into_iter().next().unwrap()
    }};
}

#[track_caller]
pub fn registered(events: &[Event]) -> AgentId {
    the!(events, AgentRegistered).agent
}

#[track_caller]
pub fn issued(events: &[Event]) -> TokenId {
    the!(events, TokenIssued).token
}

// Commands, with what a test does not care about filled in.

pub fn register(name: &str) -> RegisterAgent {
    RegisterAgent {
        organisation: None,
        name: name.into(),
        handles: Vec::new(),
        profile: AgentProfile::default(),
        kind: None,
        semver: None,
        capabilities: Vec::new(),
        environment: Environment::Production,
        actions: Vec::new(),
        limit: None,
        key: KeyChoice::Make,
        did_key: false,
        valid_until: None,
        valid_days: None,
        visibility: Visibility::Tenant,
        disclosure: Disclosure::None,
        via: Via::Native,
    }
}

pub fn suspend(agent: AgentId) -> SuspendAgent {
    SuspendAgent { agent, reason: None }
}

pub fn resume(agent: AgentId) -> ResumeAgent {
    ResumeAgent { agent, reason: None }
}

pub fn revoke(agent: AgentId) -> DecommissionAgent {
    DecommissionAgent { agent, cause: EndCause::Revoked, by: Some("ops".into()), reason: Some("gone".into()) }
}

pub fn secret_of(agent: AgentId) -> CreateCredential {
    CreateCredential { agent, expires: None, as_administrator: false }
}

pub fn rotate(credential: CredentialId) -> RotateCredential {
    RotateCredential { credential, agent: None, expires: None, as_administrator: false }
}

pub fn end_secret(credential: CredentialId) -> RevokeCredential {
    RevokeCredential { credential, agent: None, cause: "requested".into(), as_administrator: false }
}

pub fn challenge(agent: AgentId) -> IssueChallenge {
    IssueChallenge { agent, purpose: ChallengePurpose::Prove, issued_by: "auditor".into(), nonce: None, ttl_secs: 300 }
}

pub fn answer(challenge: ChallengeId, agent: AgentId, key: &SigningKey, nonce: &str) -> AnswerChallenge {
    AnswerChallenge {
        challenge,
        agent,
        certificate: None,
        public_key: hex::encode(key.public().as_bytes()),
        nonce: nonce.into(),
        signature: hex::encode(key.sign(nonce.as_bytes())),
    }
}

pub fn mission_key(text: &str) -> MissionRef {
    MissionRef::Key(MissionKey { namespace: "orgkernel".into(), text: text.into() })
}

pub fn issue(agent: AgentId, now: Micros) -> IssueToken {
    IssueToken {
        agent,
        mission: mission_key("msn_test000001"),
        scopes: vec!["read_invoice".into(), "write_draft".into()],
        expires: now.plus_secs(3600),
        immutable: JsonText(r#"{"currency":"USD","n":1}"#.into()),
        bounds: vec![Limit { name: "amount".into(), lower: None, upper: Some(50_000.0), unit: None }],
        snapshot: None,
    }
}

pub fn check(token: TokenId, tool: &str, params: &str) -> CheckScope {
    CheckScope { token, tool: tool.into(), params: JsonText(params.into()), agent: None }
}

pub fn revoke_token(token: TokenId) -> RevokeToken {
    RevokeToken { token, reason: Some("done".into()) }
}

pub fn open_mission() -> OpenMission {
    OpenMission { agent: None, key: None, intent: None, services: Vec::new(), limits: BTreeMap::new() }
}

pub fn complete(mission: MissionId) -> CompleteMission {
    CompleteMission { mission, output: Some("42".into()) }
}

pub fn open_chain(mission: &str) -> OpenAuditChain {
    OpenAuditChain { mission: mission_key(mission), agent_text: "aid_somebody".into(), mission_text: mission.into() }
}

pub fn append(chain: AuditChainId, event: &str) -> AppendAuditEntry {
    AppendAuditEntry {
        chain,
        layer: AuditLayer::Execution,
        event: event.into(),
        agent_text: "aid_somebody".into(),
        mission_text: "msn_test000001".into(),
        token_text: None,
        data: JsonText(r#"{"tool":"read_invoice","n":1.0}"#.into()),
    }
}
