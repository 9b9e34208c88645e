//! Any history of commands: the log verifies, every view rebuilt from it equals the live one, and every answer is what
//! the views say as of its last event. Restarts, rebuilds, retries and a clock that runs both ways are among the steps.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::Path;

use chancery_ledger::actor::Actor;
use chancery_ledger::body::Body;
use chancery_ledger::body::execution::AuditLayer;
use chancery_ledger::body::field::{Decimal, JsonText};
use chancery_ledger::body::identity::{ChallengePurpose, OrganisationRole, SpendingLimit};
use chancery_ledger::body::transaction::Counterparty;
use chancery_ledger::body::trust::DisputeOutcome;
use chancery_ledger::body::view_roots::ViewRoot;
use chancery_ledger::ids::{
    AgentId, AuditChainId, ChallengeId, CredentialId, DisputeId, IssuerId, IssuerRuleId, MissionId, OrganisationId,
    Seq, SubscriptionId, TenantId, TokenId, TransactionId, TreeSize,
};
use chancery_ledger::store::LogStore;
use chancery_ledger::time::Micros;
use chancery_ledger::verify::{Known, StoreItems, verify};
use chancery_projections::command::{
    AddIssuerRule, AddOrganisationMember, AnswerChallenge, AppendAuditEntry, CheckScope, CloseAuditChain, Command,
    CompleteMission, CreateApiKey, CreateCredential, CreateOrganisation, CreateTenant, DecommissionAgent,
    EndSubscription, EvaluateTrust, ExecuteTransaction, FileDispute, IssueChallenge, IssueToken, MissionKey,
    MissionRef, OpenAuditChain, OpenMission, OrganisationRef, PublishViewRoots, RemoveIssuer, RemoveIssuerRule,
    ResetPolicy, ResolveDispute, ResumeAgent, ReverseTransaction, RevokeApiKey, RevokeCredential, RevokeMission,
    RevokeToken, RotateCredential, RotateSigningKey, SetPolicy, Subscribe, SuspendAgent, SuspendTenant, TrustIssuer,
    UpdateAgent, UpdateIssuer, UseToken, VerifyOrganisation,
};
use chancery_projections::context::Caller;
use chancery_projections::execution::delivery::state::{DESTINATIONS, SUBSCRIPTIONS};
use chancery_projections::execution::state::{ENTRIES, MISSIONS, audit_chain};
use chancery_projections::execution::transaction::TRANSACTIONS;
use chancery_projections::identity::state::{
    AGENTS, CERTIFICATES, CHALLENGES, CREDENTIALS, ISSUER_RULES, ISSUERS, KEYS, MEMBERSHIPS, ORGANISATIONS, TENANTS,
};
use chancery_projections::output::Output;
use chancery_projections::sequencer::{Pending, Receipt, Request};
use chancery_projections::token::state::TOKENS;
use chancery_projections::trust::state::{DISPUTES, POLICIES};
use chancery_projections::view_receipt::roots::{ROOTED, root_of};
use chancery_projections::view_receipt::thing::{Sort, owner_of};
use chancery_projections::views::View;
use proptest::prelude::*;
use support::{HandClock, MemoryLog, START, World, agent, agent_with_key};

/// One step. Numbers choose among what there is, modulo how many there are.
#[derive(Debug, Clone)]
enum Step {
    Send { what: What, key: Option<u8> },
    Clock(i32),
    Settle,
    Restart,
    Rebuild(u8),
    Publish,
}

#[derive(Debug, Clone)]
enum What {
    Register { with_key: bool, organisation: Option<u8> },
    Update(u8, u8),
    Suspend(u8),
    Resume(u8),
    Decommission(u8),
    Challenge(u8),
    Answer(u8),
    Organisation(u8),
    Tenant(u8),
    SuspendTenant(u8),
    ApiKey,
    RevokeApiKey(u8),
    Believe(u8),
    Doubt(u8, bool),
    Disbelieve(u8),
    Rule(u8, u8),
    Unrule(u8),
    Secret(u8),
    RotateSecret(u8),
    RevokeSecret(u8),
    Join(u8, u8),
    Mission(Option<u8>),
    Complete(u8),
    CallOff(u8),
    Issue(u8, u8, u16),
    Use(u8),
    Revoke(u8),
    Check(u8),
    Chain(u8),
    Append(u8),
    Close(u8),
    Rotate,
    Subscribe,
    Unsubscribe(u8),
    Pay(u8, u8, Option<u8>),
    Reverse(u8),
    Evaluate(u8),
    Dispute(u8),
    Resolve(u8),
    Scoring(u8),
    Spending(u8, u8),
    Vouch(u8, bool),
}

fn what() -> impl Strategy<Value = What> {
    let n = any::<u8>;
    prop_oneof![
        4 => (any::<bool>(), proptest::option::of(0..3_u8))
            .prop_map(|(with_key, organisation)| What::Register { with_key, organisation }),
        2 => (n(), n()).prop_map(|(a, b)| What::Update(a, b)),
        2 => n().prop_map(What::Suspend),
        2 => n().prop_map(What::Resume),
        1 => n().prop_map(What::Decommission),
        2 => n().prop_map(What::Challenge),
        2 => n().prop_map(What::Answer),
        1 => (0..4_u8).prop_map(What::Organisation),
        1 => (0..4_u8).prop_map(What::Tenant),
        1 => n().prop_map(What::SuspendTenant),
        1 => Just(What::ApiKey),
        1 => n().prop_map(What::RevokeApiKey),
        1 => (0..3_u8).prop_map(What::Believe),
        1 => (n(), any::<bool>()).prop_map(|(a, b)| What::Doubt(a, b)),
        1 => n().prop_map(What::Disbelieve),
        2 => (n(), 0..3_u8).prop_map(|(a, b)| What::Rule(a, b)),
        1 => n().prop_map(What::Unrule),
        3 => n().prop_map(What::Secret),
        2 => n().prop_map(What::RotateSecret),
        1 => n().prop_map(What::RevokeSecret),
        1 => (n(), n()).prop_map(|(a, b)| What::Join(a, b)),
        2 => proptest::option::of(0..4_u8).prop_map(What::Mission),
        1 => n().prop_map(What::Complete),
        1 => n().prop_map(What::CallOff),
        4 => (n(), 0..4_u8, 1..600_u16).prop_map(|(a, b, c)| What::Issue(a, b, c)),
        2 => n().prop_map(What::Use),
        2 => n().prop_map(What::Revoke),
        3 => n().prop_map(What::Check),
        2 => (0..4_u8).prop_map(What::Chain),
        3 => n().prop_map(What::Append),
        1 => n().prop_map(What::Close),
        1 => Just(What::Rotate),
        2 => Just(What::Subscribe),
        1 => n().prop_map(What::Unsubscribe),
        4 => (n(), n(), proptest::option::of(0..4_u8)).prop_map(|(a, b, c)| What::Pay(a, b, c)),
        2 => n().prop_map(What::Reverse),
        2 => n().prop_map(What::Evaluate),
        1 => n().prop_map(What::Dispute),
        1 => n().prop_map(What::Resolve),
        1 => n().prop_map(What::Scoring),
        1 => (0..6_u8, n()).prop_map(|(a, b)| What::Spending(a, b)),
        1 => (n(), any::<bool>()).prop_map(|(a, b)| What::Vouch(a, b)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        30 => (what(), proptest::option::weighted(0.3, 0..6_u8)).prop_map(|(what, key)| Step::Send { what, key }),
        2 => (-100..300_i32).prop_map(Step::Clock),
        4 => Just(Step::Settle),
        1 => Just(Step::Restart),
        1 => any::<u8>().prop_map(Step::Rebuild),
        1 => Just(Step::Publish),
    ]
}

/// What the history made so far.
#[derive(Default)]
struct Made {
    agents: Vec<AgentId>,
    challenges: Vec<(ChallengeId, AgentId, String)>,
    keys: Vec<CredentialId>,
    secrets: Vec<CredentialId>,
    tenants: Vec<TenantId>,
    organisations: Vec<OrganisationId>,
    issuers: Vec<IssuerId>,
    rules: Vec<IssuerRuleId>,
    missions: Vec<MissionId>,
    tokens: Vec<TokenId>,
    chains: Vec<AuditChainId>,
    subscriptions: Vec<SubscriptionId>,
    transactions: Vec<TransactionId>,
    disputes: Vec<DisputeId>,
}

fn pick<T>(from: &[T], n: u8) -> Option<&T> {
    from.get(usize::from(n) % from.len().max(1))
}

impl Made {
    /// The command of a step; `None` when there is nothing yet that it could be about.
    fn command(&self, world: &World, what: &What) -> Option<Command> {
        let mission =
            |n: u8| MissionRef::Key(MissionKey { namespace: "native".to_owned(), text: format!("mission {n}") });
        Some(match what {
            What::Register { with_key, organisation } => {
                let mut command = if *with_key { agent_with_key("ada") } else { agent("grace") };
                command.organisation = organisation.map(|n| OrganisationRef::Slug(format!("org-{n}")));
                command.profile.owner = Some("Ada Lovelace".to_owned());
                command.actions = vec!["sweep".to_owned()];
                command.limit = Some(SpendingLimit { amount: Decimal::whole(1), currency: "USD".to_owned() });
                command.valid_days = organisation.is_some().then_some(1);
                command.into()
            }
            What::Update(n, to) => UpdateAgent {
                name: Some(format!("agent {to}")),
                capabilities: (to % 2 == 0).then(|| vec!["sweep".to_owned()]),
                profile: (to % 3 == 0).then(Default::default),
                ..UpdateAgent::of(*pick(&self.agents, *n)?)
            }
            .into(),
            What::Suspend(n) => SuspendAgent { agent: *pick(&self.agents, *n)?, reason: Some("why".into()) }.into(),
            What::Resume(n) => ResumeAgent { agent: *pick(&self.agents, *n)?, reason: None }.into(),
            What::Decommission(n) => {
                let agent = *pick(&self.agents, *n)?;
                DecommissionAgent { agent, cause: Default::default(), by: None, reason: None }.into()
            }
            What::Challenge(n) => IssueChallenge {
                agent: *pick(&self.agents, *n)?,
                purpose: ChallengePurpose::Prove,
                issued_by: "gate".to_owned(),
                nonce: None,
                ttl_secs: 60,
            }
            .into(),
            What::Answer(n) => {
                let (challenge, agent, nonce) = pick(&self.challenges, *n)?.clone();
                let (public_key, signature) = ("00".repeat(32), "00".repeat(64));
                AnswerChallenge { challenge, agent, certificate: None, public_key, nonce, signature }.into()
            }
            What::Organisation(n) => CreateOrganisation::new(&format!("org-{n}"), "Organisation").into(),
            What::Tenant(n) => CreateTenant::new(&format!("tenant-{n}"), "Tenant").into(),
            What::SuspendTenant(n) => SuspendTenant { tenant: *pick(&self.tenants, *n)?, reason: None }.into(),
            What::ApiKey => CreateApiKey {
                name: "key".to_owned(),
                scopes: vec!["agents:read".to_owned()],
                audience: vec!["native".to_owned()],
                expires: None,
            }
            .into(),
            What::Secret(n) => {
                let agent = *pick(&self.agents, *n)?;
                CreateCredential { agent, expires: None, as_administrator: false }.into()
            }
            What::RotateSecret(n) => {
                let credential = *pick(&self.secrets, *n)?;
                RotateCredential { credential, agent: None, expires: None, as_administrator: false }.into()
            }
            What::RevokeSecret(n) => {
                let (credential, cause) = (*pick(&self.secrets, *n)?, "requested".to_owned());
                RevokeCredential { credential, agent: None, cause, as_administrator: false }.into()
            }
            What::Join(n, m) => {
                let (organisation, agent) = (*pick(&self.organisations, *n)?, *pick(&self.agents, *m)?);
                AddOrganisationMember { organisation, agent, role: OrganisationRole::Member }.into()
            }
            What::RevokeApiKey(n) => {
                RevokeApiKey { credential: *pick(&self.keys, *n)?, cause: "requested".to_owned() }.into()
            }
            What::Believe(n) => TrustIssuer {
                name: "Partner".to_owned(),
                iss: format!("https://issuer-{n}.example"),
                jwks_uri: "https://issuer.example/jwks".to_owned(),
                organisations: vec!["org".to_owned()],
                expires: (*n == 0).then_some(Micros(START + 300_000_000)),
            }
            .into(),
            What::Doubt(n, suspended) => UpdateIssuer {
                issuer: *pick(&self.issuers, *n)?,
                name: None,
                jwks_uri: None,
                organisations: None,
                expires: suspended.then_some(None),
                suspended: Some(*suspended),
            }
            .into(),
            What::Disbelieve(n) => RemoveIssuer { issuer: *pick(&self.issuers, *n)? }.into(),
            What::Rule(n, to) => AddIssuerRule {
                provider: "github".to_owned(),
                repository: format!("acme/repository-{to}"),
                branch: None,
                agent: *pick(&self.agents, *n)?,
                as_administrator: false,
            }
            .into(),
            What::Unrule(n) => RemoveIssuerRule { rule: *pick(&self.rules, *n)?, as_administrator: false }.into(),
            What::Mission(key) => OpenMission {
                agent: None,
                key: key.map(|n| MissionKey { namespace: "native".to_owned(), text: format!("mission {n}") }),
                intent: Some("sweep".to_owned()),
                services: Vec::new(),
                limits: BTreeMap::new(),
            }
            .into(),
            What::Complete(n) => {
                CompleteMission { mission: *pick(&self.missions, *n)?, output: Some("swept".to_owned()) }.into()
            }
            What::CallOff(n) => RevokeMission { mission: *pick(&self.missions, *n)?, notes: None }.into(),
            What::Issue(n, to, secs) => IssueToken {
                agent: *pick(&self.agents, *n)?,
                mission: mission(*to),
                scopes: vec!["sweep".to_owned()],
                expires: Micros(START + i64::from(*secs) * 1_000_000),
                immutable: JsonText::object(),
                bounds: Vec::new(),
                snapshot: None,
            }
            .into(),
            What::Pay(n, to, key) => ExecuteTransaction {
                agent: *pick(&self.agents, *n)?,
                counterparty: match pick(&self.agents, *to).filter(|_| to % 2 == 0) {
                    Some(other) => Counterparty::Agent(*other),
                    None => Counterparty::External("bob".to_owned()),
                },
                amount: Decimal::whole(i64::from(*to % 3)),
                currency: "USD".to_owned(),
                action: "sweep".to_owned(),
                notes: Some("dust".to_owned()),
                key: key.map(|key| format!("key {key}")),
            }
            .into(),
            What::Reverse(n) => ReverseTransaction { transaction: *pick(&self.transactions, *n)?, reason: None }.into(),
            What::Evaluate(n) => {
                EvaluateTrust { agent: *pick(&self.agents, *n)?, action: None, amount: None, currency: None }.into()
            }
            What::Dispute(n) => FileDispute {
                agent: *pick(&self.agents, *n)?,
                reason: "dust".to_owned(),
                evidence: None,
                transaction: None,
            }
            .into(),
            What::Resolve(n) => ResolveDispute {
                dispute: *pick(&self.disputes, *n)?,
                outcome: if n % 2 == 0 { DisputeOutcome::Dismissed } else { DisputeOutcome::Upheld },
            }
            .into(),
            What::Scoring(n) if n % 4 == 0 => {
                ResetPolicy { kind: "scoring".to_owned(), key: "default".to_owned() }.into()
            }
            What::Scoring(n) => SetPolicy {
                kind: "scoring".to_owned(),
                key: "default".to_owned(),
                document: JsonText(format!("{{\"suspension_penalty\":{n}}}")),
            }
            .into(),
            What::Spending(0, _) => ResetPolicy { kind: "spending".to_owned(), key: "default".to_owned() }.into(),
            What::Spending(amount, n) => SetPolicy {
                kind: "spending".to_owned(),
                key: match pick(&self.agents, *n).filter(|_| n % 2 == 0) {
                    Some(agent) => agent.to_string(),
                    None => "default".to_owned(),
                },
                document: JsonText(format!(
                    "{{\"windows\":[{{\"hours\":1,\"amount\":\"{amount}\",\"currency\":\"USD\"}}]}}"
                )),
            }
            .into(),
            What::Vouch(n, verified) => {
                VerifyOrganisation { organisation: *pick(&self.organisations, *n)?, verified: *verified }.into()
            }
            What::Use(n) => UseToken { token: *pick(&self.tokens, *n)? }.into(),
            What::Revoke(n) => RevokeToken { token: *pick(&self.tokens, *n)?, reason: None }.into(),
            What::Check(n) => CheckScope {
                token: *pick(&self.tokens, *n)?,
                tool: "sweep".to_owned(),
                params: JsonText("{\"floor\": 1.0}".to_owned()),
                agent: None,
            }
            .into(),
            What::Chain(to) => OpenAuditChain {
                mission: mission(*to),
                agent_text: "ada".to_owned(),
                mission_text: format!("mission {to}"),
            }
            .into(),
            What::Append(n) => AppendAuditEntry {
                chain: *pick(&self.chains, *n)?,
                layer: AuditLayer::Execution,
                event: "EXECUTION_swept".to_owned(),
                agent_text: "ada".to_owned(),
                mission_text: "mission".to_owned(),
                token_text: None,
                data: JsonText("{\"dust\": [1, 2.50]}".to_owned()),
            }
            .into(),
            What::Close(n) => CloseAuditChain { chain: *pick(&self.chains, *n)? }.into(),
            What::Subscribe => Subscribe {
                name: None,
                destinations: Vec::new(),
                url: Some("https://hooks.example/".to_owned()),
                secret: None,
                events: vec!["AgentRegistered".to_owned(), "TokenIssued".to_owned(), "SubscriptionEnded".to_owned()],
                rendering: "native".to_owned(),
                active: true,
            }
            .into(),
            What::Unsubscribe(n) => EndSubscription { subscription: *pick(&self.subscriptions, *n)? }.into(),
            What::Rotate => RotateSigningKey::seal(world.engine.new_sealing_key().unwrap().as_bytes()).into(),
        })
    }

    fn note(&mut self, output: &Output) {
        match output {
            Output::Registered(it) => self.agents.push(it.agent.agent),
            Output::Challenge(it) => self.challenges.push((it.challenge, it.about, it.nonce.clone())),
            Output::ApiKey { credential, .. } => self.keys.push(credential.credential),
            Output::ClientSecret { credential, .. } => self.secrets.push(credential.credential),
            Output::Tenant { tenant, .. } => self.tenants.push(tenant.tenant),
            Output::Organisation(it) => self.organisations.push(it.organisation),
            Output::Issuer(it) => self.issuers.push(it.issuer),
            Output::IssuerRule(it) => self.rules.push(it.rule),
            Output::Mission(it) => self.missions.push(it.mission),
            Output::Token(it) | Output::AccessToken { token: it, .. } | Output::Delegation { token: it, .. } => {
                self.tokens.push(it.token);
            }
            Output::AuditChain(it) => self.chains.push(it.chain),
            Output::Done
            | Output::Agent(_)
            | Output::ChallengeAnswered(_)
            | Output::Credential(_)
            | Output::Membership(_)
            | Output::ScopeCheck { .. }
            | Output::AuditEntry { .. }
            | Output::AuditChainClosed(_)
            | Output::SigningKey(_)
            | Output::Witnessed(_)
            | Output::Destination { .. } => {}
            Output::Subscription { subscription: it, .. } => self.subscriptions.push(it.subscription),
            Output::TrustEvaluated(_) | Output::Policy { .. } | Output::Erasure(_) | Output::Holds { .. } => {}
            Output::Dispute(it) => self.disputes.push(it.dispute),
            Output::Transaction(it) => self.transactions.push(it.transaction),
        }
    }
}

/// The fields that a sort's rows have by docs/format.md.
fn fields_on_the_page(sort: Sort) -> BTreeSet<&'static str> {
    let begin = format!("| {} | {} | {} | ", sort.name(), sort.view().name(), sort.table());
    let line = include_str!("../../docs/format.md").lines().find_map(|line| line.strip_prefix(&begin)).unwrap();
    let fields = line.split_once(" | ").unwrap().1.trim_end_matches(" |");
    let mut depth = 0;
    let parts = fields.split(move |char| {
        depth += i32::from("([{".contains(char)) - i32::from(")]}".contains(char));
        char == ',' && depth == 0
    });
    parts.filter_map(|part| part.split_whitespace().next()).map(|name| name.trim_end_matches('?')).collect()
}

/// The roots of the views as they were at a size.
fn roots_at(world: &World, size: TreeSize, scratch: &Path) -> Vec<ViewRoot> {
    let go_on = &mut || ControlFlow::Continue(());
    ROOTED.into_iter().map(|view| root_of(view, world.view(view), size, scratch, go_on).unwrap()).collect()
}

struct History {
    dir: tempfile::TempDir,
    world: Option<World>,
    made: Made,
    /// What is under way, with the request that asked for it.
    pending: Vec<(Request, Pending)>,
    /// First answers under each idempotency key, by the command.
    keyed: BTreeMap<String, (Command, Vec<Seq>)>,
    seen: u64,
}

impl History {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let world = World::open(dir.path(), &MemoryLog::new(), &HandClock::new());
        let seen = world.log.size().0;
        Self { dir, world: Some(world), made: Made::default(), pending: Vec::new(), keyed: BTreeMap::new(), seen }
    }

    fn world(&self) -> &World {
        self.world.as_ref().unwrap()
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Send { what, key } => {
                let Some(command) = self.made.command(self.world(), what) else { return };
                let mut request = self.world().request(command);
                request.idempotency_key = key.map(|key| format!("key {key}"));
                let pending = self.world().engine.sequencer().submit(request.clone()).unwrap();
                self.pending.push((request, pending));
            }
            Step::Clock(secs) => self.world().clock.advance_secs(i64::from(*secs)),
            Step::Settle => self.settle(),
            Step::Restart => {
                self.settle();
                let world = self.world.take().unwrap();
                let (log, clock) = (world.log.clone(), world.clock.clone());
                drop(world);
                self.world = Some(World::open(self.dir.path(), &log, &clock));
            }
            Step::Rebuild(n) => {
                let view = View::ALL[usize::from(*n) % View::ALL.len()];
                let rebuilt = self.world().engine.rebuild(view).unwrap();
                assert_eq!(rebuilt.before, rebuilt.after, "{}", view.name());
            }
            Step::Publish => {
                self.settle();
                let (world, scratch) = (self.world(), tempfile::tempdir().unwrap());
                let size = world.log.size();
                let roots = roots_at(world, size, scratch.path());
                let system = Caller { tenant: world.root, actor: Actor::system() };
                let request = Request::new(world.root, system, PublishViewRoots { size, roots });
                let pending = world.engine.sequencer().submit(request.clone()).unwrap();
                self.pending.push((request, pending));
            }
        }
    }

    /// Waits for what is under way, and holds the answers against the views.
    fn settle(&mut self) {
        let settled: Vec<(Request, Receipt)> =
            self.pending.drain(..).map(|(request, pending)| (request, pending.wait().unwrap())).collect();
        for (request, receipt) in settled {
            let seqs: Vec<Seq> = receipt.events.iter().map(|event| event.seq).collect();
            if receipt.replayed {
                let (command, first) = &self.keyed[request.idempotency_key.as_ref().unwrap()];
                // As JSON: the public key that the API adds to a rotation is no part of what was asked.
                let asked = |command| serde_json::to_value(command).unwrap();
                assert_eq!((asked(command), first), (asked(&request.command), &seqs));
                assert!(receipt.answer.is_ok());
                continue;
            }
            for seq in &seqs {
                assert_eq!(seq.0, self.seen, "answers come in the order of the log");
                self.seen += 1;
            }
            if let (Ok(output), Some(last)) = (&receipt.answer, seqs.last()) {
                self.made.note(output);
                self.is_what_the_views_say(output, *last);
                if let Some(key) = request.idempotency_key {
                    let before = self.keyed.insert(key, (request.command, seqs));
                    assert!(before.is_none(), "a key was spent twice");
                }
            }
        }
    }

    fn is_what_the_views_say(&self, output: &Output, last: Seq) {
        let at = |view| self.world().view(view).at(last);
        match output {
            Output::Registered(it) => {
                let identity = at(View::Identity);
                assert_eq!(AGENTS.get(&identity, it.agent.agent).unwrap().as_ref(), Some(&it.agent));
                assert_eq!(CERTIFICATES.get(&identity, it.agent.agent).unwrap(), it.certificate);
            }
            Output::Agent(it) => assert_eq!(AGENTS.get(&at(View::Identity), it.agent).unwrap().as_ref(), Some(&**it)),
            Output::Challenge(it) => {
                assert_eq!(CHALLENGES.get(&at(View::Identity), it.challenge).unwrap().as_ref(), Some(it));
            }
            Output::Membership(it) => {
                let row = MEMBERSHIPS.get(&at(View::Identity), (it.organisation, it.agent)).unwrap();
                assert_eq!(row.as_ref(), Some(it));
            }
            Output::ClientSecret { credential: it, .. }
            | Output::ApiKey { credential: it, .. }
            | Output::Credential(it) => {
                assert_eq!(CREDENTIALS.get(&at(View::Identity), it.credential).unwrap().as_ref(), Some(it));
            }
            Output::Tenant { tenant: it, .. } => {
                assert_eq!(TENANTS.get(&at(View::Identity), it.tenant).unwrap().as_ref(), Some(it));
            }
            Output::Organisation(it) => {
                assert_eq!(ORGANISATIONS.get(&at(View::Identity), it.organisation).unwrap().as_ref(), Some(it));
            }
            Output::Issuer(it) => {
                assert_eq!(ISSUERS.get(&at(View::Identity), it.issuer).unwrap().as_ref(), Some(&**it));
            }
            Output::IssuerRule(it) => {
                assert_eq!(ISSUER_RULES.get(&at(View::Identity), it.rule).unwrap().as_ref(), Some(&**it));
            }
            Output::Witnessed(it) => panic!("no history here witnesses another log: {it:?}"),
            Output::Erasure(_) | Output::Holds { .. } => panic!("no history here erases or holds: {output:?}"),
            Output::SigningKey(it) => assert_eq!(KEYS.get(&at(View::Identity), it.key).unwrap().as_ref(), Some(it)),
            Output::Token(it) | Output::AccessToken { token: it, .. } | Output::Delegation { token: it, .. } => {
                assert_eq!(TOKENS.get(&at(View::Token), it.token).unwrap().as_ref(), Some(&**it))
            }
            Output::Mission(it) => {
                assert_eq!(MISSIONS.get(&at(View::Execution), it.mission).unwrap().as_ref(), Some(it));
            }
            Output::AuditChain(it) | Output::AuditChainClosed(it) => {
                assert_eq!(
                    audit_chain(&at(View::Execution), it.chain).unwrap().map(|found| found.value).as_ref(),
                    Some(it)
                );
            }
            Output::AuditEntry { entry: it } => {
                assert_eq!(ENTRIES.get(&at(View::Execution), (it.chain, it.sequence)).unwrap().as_ref(), Some(it));
            }
            Output::Destination { destination: it, .. } => {
                assert_eq!(DESTINATIONS.get(&at(View::Execution), it.destination).unwrap().as_ref(), Some(&**it));
            }
            Output::Subscription { subscription: it, .. } => {
                assert_eq!(SUBSCRIPTIONS.get(&at(View::Execution), it.subscription).unwrap().as_ref(), Some(&**it));
            }
            Output::Done | Output::ChallengeAnswered(_) | Output::ScopeCheck { .. } | Output::TrustEvaluated(_) => {}
            Output::Dispute(it) => {
                assert_eq!(DISPUTES.get(&at(View::Trust), it.dispute).unwrap().as_ref(), Some(it));
            }
            Output::Transaction(it) => {
                let rows = at(View::Execution);
                assert_eq!(TRANSACTIONS.get(&rows, it.transaction).unwrap().as_ref(), Some(&**it));
            }
            Output::Policy { kind, key, policy } => {
                let root = self.world().root;
                let row = POLICIES.get(&at(View::Trust), (root, kind.name(), key.as_str())).unwrap();
                assert_eq!(row.as_ref(), Some(policy));
            }
        }
    }

    fn published_roots_are_those_of_the_rebuilt_views(&self) {
        let scratch = tempfile::tempdir().unwrap();
        for event in self.world().log.events() {
            if let Body::ViewRootsPublished(published) = event.body {
                let roots = roots_at(self.world(), TreeSize(published.size), scratch.path());
                assert_eq!(roots, published.roots, "at {}", published.size);
            }
        }
    }

    fn rows_are_what_receipts_are_specified_of(&self) {
        for sort in Sort::ALL {
            let view = self.world().view(sort.view());
            let check = &mut |key: &[u8], _, value: &[u8]| {
                if key[0] == sort.table() {
                    let shown = sort.show(value).unwrap();
                    let owner = serde_json::json!(owner_of(sort.view(), key, value));
                    assert_eq!(shown["tenant"], owner, "{}", sort.name());
                    let members: BTreeSet<&str> = shown.as_object().unwrap().keys().map(String::as_str).collect();
                    assert_eq!(members, fields_on_the_page(*sort), "{} in docs/format.md", sort.name());
                }
                ControlFlow::Continue(())
            };
            view.each_kept(check).unwrap();
        }
    }

    fn end(mut self) {
        self.settle();
        for view in View::ALL {
            self.world().view(view);
            let rebuilt = self.world().engine.rebuild(view).unwrap();
            assert_eq!(rebuilt.before, rebuilt.after, "{}", view.name());
        }
        self.published_roots_are_those_of_the_rebuilt_views();
        self.rows_are_what_receipts_are_specified_of();
        let log = &self.world().log;
        assert_eq!(log.size().0, self.seen, "nothing is in the log that nobody was told of");
        let times: Vec<i64> = log.events().iter().map(|event| event.time.0).collect();
        assert!(times.is_sorted(), "{times:?}");
        let report = verify(StoreItems::new(&**log, log.size()), &Known::default(), |_| {}).unwrap();
        assert!(report.whole, "{report:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_history_verifies_rebuilds_and_was_answered_as_the_views_say(steps in proptest::collection::vec(step(), 1..120)) {
        let mut history = History::new();
        for step in &steps {
            history.take(step);
        }
        history.end();
    }
}
