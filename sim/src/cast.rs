//! Who sends commands, and which: of every kind, to every tenant, right and wrong, by people who know what happened so far
//! and by people who guess.

use std::collections::BTreeMap;

use chancery_ledger::actor::{Actor, Method, Principal};
use chancery_ledger::body::delivery::DeliveryOutcome;
use chancery_ledger::body::execution::AuditLayer;
use chancery_ledger::body::field::{Decimal, JsonText};
use chancery_ledger::body::identity::{
    ChallengePurpose, Disclosure, EndCause, Environment, OrganisationRole, SpendingLimit, Visibility,
};
use chancery_ledger::body::token::Bound;
use chancery_ledger::body::transaction::Counterparty;
use chancery_ledger::body::trust::DisputeOutcome;
use chancery_ledger::ids::{
    AgentId, AuditChainId, ChallengeId, CredentialId, DestinationId, DisputeId, IssuerId, IssuerRuleId, MissionId,
    OrganisationId, Seq, SubscriptionId, TenantId, ThingId, ThingKind, TokenId, TransactionId,
};
use chancery_ledger::keys::{PublicKey, SigningKey};
use chancery_ledger::time::Micros;
use chancery_projections::command::{
    AddDestination, AddIssuerRule, AddOrganisationMember, AgentProfile, AnswerChallenge, AppendAuditEntry, Attempt,
    ChangeSubscription, CheckScope, ClaimHandle, CloseAuditChain, Command, CompleteMission, CreateApiKey,
    CreateCredential, CreateOrganisation, CreateTenant, DecommissionAgent, DeleteOrganisation, DeleteTenant,
    EndSubscription, EraseSubject, EvaluateTrust, ExecuteTransaction, ExportEvidence, FileDispute, GrantScopes,
    HandleClaim, IssueChallenge, IssueToken, KeyChoice, LiftHold, MissionKey, MissionRef, NoteAuthentication,
    OpenAuditChain, OpenMission, OrganisationRef, PlaceHold, RecordDeliveries, Redeliver, RegisterAgent, ReleaseHandle,
    RemoveDestination, RemoveIssuer, RemoveIssuerRule, ResetPolicy, ResolveDispute, ResumeAgent, ResumeTenant,
    ReverseTransaction, RevokeApiKey, RevokeCredential, RevokeMission, RevokeToken, RotateCredential,
    RotateDestinationSecret, RotateSigningKey, SetAgentReach, SetPolicy, Subscribe, SuspendAgent, SuspendTenant,
    TrustIssuer, UpdateAgent, UpdateIssuer, UpdateOrganisation, UpdateTenant, UseToken, VerifyDestination,
    VerifyOrganisation, Via,
};
use chancery_projections::context::Caller;
use chancery_projections::identity::state::AgentStatus;
use chancery_projections::origin::Origin;
use chancery_projections::output::Output;
use chancery_projections::sequencer::Request;
use zeroize::Zeroizing;

use crate::random::Dice;

/// Requests that may be sent again.
const SENT_MAX: usize = 48;

/// Everybody, and what they know of.
pub struct Cast {
    dice: Dice,
    /// Keys that agents hold, and answer challenges with.
    keys: Vec<SigningKey>,
    tenants: Vec<TenantId>,
    /// The root tenant's owner.
    owner: Option<Caller>,
    organisations: Vec<(TenantId, OrganisationId)>,
    agents: Vec<(TenantId, AgentId)>,
    challenges: Vec<(TenantId, (ChallengeId, AgentId, String))>,
    credentials: Vec<(TenantId, CredentialId)>,
    issuers: Vec<(TenantId, IssuerId)>,
    rules: Vec<(TenantId, IssuerRuleId)>,
    secrets: Vec<(TenantId, CredentialId)>,
    missions: Vec<(TenantId, MissionId)>,
    tokens: Vec<(TenantId, TokenId)>,
    chains: Vec<(TenantId, AuditChainId)>,
    destinations: Vec<(TenantId, DestinationId)>,
    subscriptions: Vec<(TenantId, SubscriptionId)>,
    transactions: Vec<(TenantId, TransactionId)>,
    disputes: Vec<(TenantId, DisputeId)>,
    /// The name that was asked for last.
    last_slug: String,
    /// What was sent under a key, and may be sent again.
    sent: Vec<Request>,
}

macro_rules! thing {
    ($self:ident, $of:ident, $tenant:expr) => {{
        let tenant = $tenant;
        // Now and then somebody knows a thing of another tenant.
        let elsewhere = $self.dice.chance(60);
        let of: Vec<_> = $self.$of.iter().filter(|(of, _)| *of == tenant || elsewhere).map(|(_, it)| it).collect();
        // Things made lately are asked for more often.
        let lately = &of[of.len().saturating_sub(6)..];
        let among = if $self.dice.chance(700) { lately } else { &of[..] };
        $self.dice.pick(among).map(|it| (*it).clone())
    }};
}

macro_rules! id {
    ($self:ident, $of:ident, $tenant:expr) => {
        match thing!($self, $of, $tenant).filter(|_| !$self.dice.chance(20)) {
            Some(id) => id,
            None => ThingId::from_uuid($self.dice.uuid()),
        }
    };
}

impl Cast {
    /// Nobody yet.
    #[must_use]
    pub fn new(mut dice: Dice) -> Self {
        let keys = (0..3).map(|_| SigningKey::from_seed(Zeroizing::new(dice.bytes()))).collect();
        Self {
            dice,
            keys,
            tenants: Vec::new(),
            owner: None,
            organisations: Vec::new(),
            agents: Vec::new(),
            challenges: Vec::new(),
            credentials: Vec::new(),
            issuers: Vec::new(),
            rules: Vec::new(),
            secrets: Vec::new(),
            missions: Vec::new(),
            tokens: Vec::new(),
            chains: Vec::new(),
            destinations: Vec::new(),
            subscriptions: Vec::new(),
            transactions: Vec::new(),
            disputes: Vec::new(),
            last_slug: String::new(),
            sent: Vec::new(),
        }
    }

    /// Lets everybody know who there is after the first start.
    pub fn enter(&mut self, tenants: &[TenantId], owner: Caller) {
        self.tenants = tenants.to_vec();
        self.owner = Some(owner);
    }

    /// Lets everybody know of what was made.
    pub fn note(&mut self, tenant: TenantId, output: &Output) {
        match output {
            Output::Registered(it) => self.agents.push((tenant, it.agent.agent)),
            Output::Challenge(it) => {
                self.challenges.push((tenant, (it.challenge, it.about, it.nonce.clone())));
            }
            Output::ClientSecret { credential, .. } => self.secrets.push((tenant, credential.credential)),
            Output::ApiKey { credential, .. } => self.credentials.push((tenant, credential.credential)),
            Output::Tenant { tenant, api_key: Some(_) } => self.tenants.push(tenant.tenant),
            Output::Organisation(it) => self.organisations.push((tenant, it.organisation)),
            Output::Issuer(it) => self.issuers.push((tenant, it.issuer)),
            Output::IssuerRule(it) => self.rules.push((tenant, it.rule)),
            Output::Mission(it) => self.missions.push((tenant, it.mission)),
            Output::Token(it) | Output::AccessToken { token: it, .. } | Output::Delegation { token: it, .. } => {
                self.tokens.push((tenant, it.token));
            }
            Output::AuditChain(it) => self.chains.push((tenant, it.chain)),
            Output::Destination { destination: it, .. } => self.destinations.push((tenant, it.destination)),
            Output::Subscription { subscription: it, .. } => self.subscriptions.push((tenant, it.subscription)),
            Output::Transaction(it) => self.transactions.push((tenant, it.transaction)),
            Output::Dispute(it) => self.disputes.push((tenant, it.dispute)),
            Output::Done
            | Output::Tenant { .. }
            | Output::Agent(_)
            | Output::ChallengeAnswered(_)
            | Output::Credential(_)
            | Output::Membership(_)
            | Output::ScopeCheck { .. }
            | Output::AuditEntry { .. }
            | Output::AuditChainClosed(_)
            | Output::TrustEvaluated(_)
            | Output::Policy { .. }
            | Output::Erasure(_)
            | Output::Holds { .. }
            | Output::SigningKey(_)
            | Output::Witnessed(_) => {}
        }
    }

    /// The next request. `version` tells the version of what a command is about, as somebody would know it who read it
    /// just now; `new_key` makes a sealing key.
    pub fn request(
        &mut self, now: Micros, version: impl FnOnce(TenantId, &Command) -> Option<Seq>,
        new_key: impl FnOnce(&mut Dice) -> PublicKey,
    ) -> Request {
        if self.dice.chance(90)
            && let Some(again) = self.dice.pick(&self.sent).cloned()
        {
            return again;
        }
        let (tenant, caller) = self.caller();
        let command = if caller.actor.principal == Principal::System {
            self.noted(tenant, now)
        } else {
            self.command(tenant, now, new_key)
        };
        let mut request = Request::new(tenant, caller, command);
        if self.dice.chance(150) {
            let exact = version(tenant, &request.command);
            request.if_match = if self.dice.chance(700) { exact } else { Some(Seq(self.dice.below(40) as u64)) };
        }
        if self.dice.chance(300) {
            request.correlation = Some(self.dice.uuid());
        }
        if self.dice.chance(300) {
            let user_agent = self.dice.chance(500).then(|| "sim/1".to_owned());
            request.origin = Some(Origin { ip: format!("192.0.2.{}", self.dice.below(250)), user_agent });
        }
        if self.dice.chance(350) {
            let few = self.dice.chance(200);
            let n = if few { self.dice.below(8) as u64 } else { self.dice.number() };
            request.idempotency_key = Some(format!("key-{n}"));
            if self.dice.chance(20) {
                request.idempotency_key = Some("k".repeat(self.dice.below(2) * 256));
            }
            if self.sent.len() >= SENT_MAX {
                self.sent.remove(0);
            }
            self.sent.push(request.clone());
        }
        request
    }

    fn caller(&mut self) -> (TenantId, Caller) {
        let Some(owner) = self.owner.clone() else { return (TenantId::LEDGER, system(TenantId::LEDGER)) };
        let root = owner.tenant;
        let others = self.tenants.get(1..).unwrap_or_default();
        let other = self.dice.pick(others).copied().unwrap_or(root);
        let of = |tenant, principal| Caller {
            tenant,
            actor: Actor { principal, method: Method::ApiKey, credential: None, acting_in: None },
        };
        match self.dice.below(100) {
            0..55 => (root, owner),
            55..63 => {
                let mut caller = owner;
                caller.actor.acting_in = Some(other);
                (other, caller)
            }
            63..80 => (other, of(other, Principal::Tenant(other))),
            80..86 => match self.dice.pick(&self.agents).copied() {
                Some((tenant, agent)) => (tenant, of(tenant, Principal::Agent(agent))),
                None => (root, owner),
            },
            // The root tenant's work on other tenants is done by principals with an id (`journal`).
            86..92 => (other, of(other, Principal::Subject("https://issuer.invalid\nada".to_owned()))),
            92..95 => (root, of(other, Principal::Tenant(other))),
            95..98 => (other, system(root)),
            _ => (other, of(other, Principal::Subject("s".repeat(300 + self.dice.below(1000))))),
        }
    }

    /// What only the daemon notes.
    fn noted(&mut self, tenant: TenantId, now: Micros) -> Command {
        if self.dice.chance(400) {
            let subscription = id!(self, subscriptions, tenant);
            let outcome = if self.dice.chance(500) { DeliveryOutcome::Delivered } else { DeliveryOutcome::Failed };
            let next = (outcome == DeliveryOutcome::Failed).then(|| now.plus_secs(5));
            let event = Some(Seq(self.dice.below(200) as u64));
            let excerpt = self.maybe("no");
            let attempt = Attempt { event, attempt: 1, outcome, status: None, ms: 3, at: now, next, excerpt };
            return RecordDeliveries { subscription, attempts: vec![attempt] }.into();
        }
        if self.dice.chance(100) {
            let (first, end) = (Seq(0), Seq(1 + self.dice.below(200) as u64));
            let things = vec![id!(self, agents, tenant).subject()];
            let of = Some(tenant);
            return ExportEvidence { first, end, from: None, to: None, of, things, bodies: true, headers: false }
                .into();
        }
        let credential = self.dice.pick(&self.credentials).map(|(_, id)| *id);
        let why = (*self.dice.pick(&["unknown", "revoked", "expired"]).unwrap_or(&"unknown")).to_owned();
        NoteAuthentication {
            claimed: None,
            mount: "native".to_owned(),
            credential,
            why,
            count: 1 + self.dice.below(9) as u32,
        }
        .into()
    }

    /// A text of a sensible length, or of one that is out of bounds.
    fn text(&mut self, stem: &str) -> String {
        match self.dice.below(90) {
            0 => String::new(),
            1 => stem.repeat(1200),
            2 => "\u{1F980}".repeat(self.dice.below(300)),
            _ => format!("{stem} {}", self.dice.below(1000)),
        }
    }

    fn maybe(&mut self, stem: &str) -> Option<String> {
        self.dice.chance(400).then(|| self.text(stem))
    }

    fn slug(&mut self, stem: &str) -> String {
        match self.dice.below(25) {
            0 => "No Slug".to_owned(),
            // What somebody else asked for a moment ago, and may or may not have got.
            1..9 if self.last_slug.starts_with(stem) => self.last_slug.clone(),
            _ => {
                self.last_slug = format!("{stem}-{}", self.dice.below(40));
                self.last_slug.clone()
            }
        }
    }

    fn mission_key(&mut self) -> MissionKey {
        MissionKey { namespace: "native".to_owned(), text: format!("mission {}", self.dice.below(30)) }
    }

    fn mission_ref(&mut self, tenant: TenantId) -> MissionRef {
        if self.dice.chance(600) {
            MissionRef::Key(self.mission_key())
        } else {
            MissionRef::Id(id!(self, missions, tenant))
        }
    }

    fn json(&mut self) -> JsonText {
        JsonText(match self.dice.below(40) {
            0 => "[1]".to_owned(),
            1 => "{".to_owned(),
            2 => format!("{{\"n\": {}, \"n\": 2}}", self.dice.below(9)),
            3 => format!("{{\"long\": \"{}\"}}", "x".repeat(self.dice.below(40_000))),
            _ => format!("{{\"floor\": {}.50, \"who\": \"ada\"}}", self.dice.below(9)),
        })
    }

    /// A profile, seldom one that makes an event larger than events may be.
    fn profile(&mut self) -> AgentProfile {
        let mut profile =
            AgentProfile { owner: self.maybe("Ada"), purpose: self.maybe("sweeping"), ..AgentProfile::default() };
        if self.dice.chance(100) {
            let map = || BTreeMap::from([("k".to_owned(), "v".repeat(16_000))]);
            (profile.metadata, profile.labels, profile.annotations) = (map(), map(), map());
            profile.description = Some("\u{1F980}".repeat(4096));
        }
        profile
    }

    fn register(&mut self, tenant: TenantId, now: Micros) -> RegisterAgent {
        let profile = self.profile();
        let is_large = !profile.metadata.is_empty();
        let organisation = match self.dice.below(10) {
            0..4 => None,
            4..8 => Some(OrganisationRef::Slug(self.slug("org"))),
            _ => Some(OrganisationRef::Id(id!(self, organisations, tenant))),
        };
        let key = match self.dice.below(10) {
            0..3 => KeyChoice::None,
            3..6 => KeyChoice::Make,
            6..9 => {
                let keys = &self.keys;
                KeyChoice::Bring(self.dice.pick(keys).map(|key| key.public().to_string()).unwrap_or_default())
            }
            _ => KeyChoice::Bring("00".repeat(32)),
        };
        let handles = (0..self.dice.below(3))
            .map(|_| HandleClaim { namespace: "sim".to_owned(), value: format!("h{}", self.dice.below(40)) })
            .collect();
        RegisterAgent {
            organisation,
            name: self.text("agent"),
            handles,
            profile,
            kind: self.maybe("sweeper"),
            semver: self.maybe("1"),
            capabilities: vec!["\u{1F980}".repeat(if is_large { 128 } else { 2 }); if is_large { 64 } else { 1 }],
            environment: Environment::Staging,
            actions: vec!["sweep".to_owned()],
            limit: self.dice.chance(700).then(|| spending_limit(self.dice.below(200))),
            key,
            valid_until: self.dice.chance(200).then(|| now.plus_secs(self.dice.between(-50, 600))),
            valid_days: self.dice.chance(100).then(|| self.dice.below(5) as u32),
            visibility: Visibility::Tenant,
            disclosure: if self.dice.chance(200) { Disclosure::Listed } else { Disclosure::None },
            did_key: self.dice.chance(300),
            via: if self.dice.chance(300) { Via::OrgKernel } else { Via::Native },
        }
    }

    fn tier(&mut self) -> Option<String> {
        self.dice.chance(300).then(|| (*self.dice.pick(&["free", "pro", "no-tier"]).unwrap_or(&"pro")).to_owned())
    }

    fn status(&mut self) -> AgentStatus {
        // Seldom the end: what is left would be few.
        match self.dice.below(10) {
            0 => AgentStatus::Decommissioned,
            1..6 => AgentStatus::Suspended,
            _ => AgentStatus::Active,
        }
    }

    fn tenant(&mut self, _: TenantId) -> Command {
        let tier = self.tier().unwrap_or_else(|| "enterprise".to_owned());
        let limits = BTreeMap::from([("agents".to_owned(), 3 + self.dice.below(9) as u64)]);
        let limits = if self.dice.chance(200) { limits } else { BTreeMap::new() };
        CreateTenant { slug: self.slug("tenant"), name: self.text("Tenant"), tier, limits }.into()
    }

    fn organisation(&mut self, tenant: TenantId) -> Command {
        let organisation = id!(self, organisations, tenant);
        match self.dice.below(9) {
            8 => VerifyOrganisation { organisation, verified: self.dice.chance(700) }.into(),
            0 => DeleteOrganisation { organisation }.into(),
            1 | 2 => UpdateOrganisation {
                organisation,
                name: self.maybe("Organisation"),
                tier: self.dice.chance(300).then(|| self.tier()),
                limits: BTreeMap::from([("agents".to_owned(), self.dice.chance(500).then_some(4))]),
                suspended: self.dice.chance(300).then(|| self.dice.chance(400)),
            }
            .into(),
            3 => {
                let (agent, role) = (id!(self, agents, tenant), OrganisationRole::Admin);
                AddOrganisationMember { organisation, agent, role }.into()
            }
            _ => {
                let (slug, name, tier) = (self.slug("org"), self.text("Organisation"), self.tier());
                CreateOrganisation { slug, name, tier, limits: BTreeMap::new() }.into()
            }
        }
    }

    /// Erasure and holds. What deciders open is left readable, because answers are checked when it may be erased by then.
    fn erasure(&mut self, tenant: TenantId) -> Command {
        let (matter, reason) =
            (self.dice.pick(&["17", "18"]).copied().unwrap_or_default().to_owned(), self.text("why"));
        let subject = match self.dice.below(4) {
            0 => id!(self, subscriptions, tenant).subject(),
            1 if self.dice.chance(300) => id!(self, agents, tenant).subject(),
            _ => id!(self, missions, tenant).subject(),
        };
        match self.dice.below(5) {
            0 => PlaceHold { subject, matter, reason }.into(),
            1 => LiftHold { subject, matter, reason }.into(),
            _ if subject.kind == ThingKind::Agent => PlaceHold { subject, matter, reason }.into(),
            _ => EraseSubject { subject, reason }.into(),
        }
    }

    /// Transactions, and what is thought of those who make them.
    fn trusted(&mut self, tenant: TenantId) -> Command {
        let agent = id!(self, agents, tenant);
        let amount = Decimal { mantissa: self.dice.below(150) as i128, scale: 1 };
        match self.dice.below(20) {
            0..9 => {
                let other = Counterparty::Agent(id!(self, agents, tenant));
                ExecuteTransaction {
                    agent,
                    counterparty: if self.dice.chance(300) { other } else { Counterparty::External(self.text("bob")) },
                    amount,
                    currency: "USD".to_owned(),
                    action: self.dice.pick(&["sweep", "pay"]).copied().unwrap_or_default().to_owned(),
                    notes: self.maybe("dust"),
                    key: self.dice.chance(300).then(|| format!("key {}", self.dice.below(6))),
                }
                .into()
            }
            9..12 => {
                let transaction = id!(self, transactions, tenant);
                ReverseTransaction { transaction, reason: self.maybe("why") }.into()
            }
            12..15 => {
                let amount = self.dice.chance(500).then_some(amount);
                EvaluateTrust { agent, action: self.maybe("sweep"), amount, currency: None }.into()
            }
            15..17 => {
                let transaction = self.dice.chance(500).then(|| id!(self, transactions, tenant));
                FileDispute { agent, reason: self.text("dust"), evidence: self.maybe("photo"), transaction }.into()
            }
            17 => {
                let outcome = if self.dice.chance(500) { DisputeOutcome::Dismissed } else { DisputeOutcome::Upheld };
                ResolveDispute { dispute: id!(self, disputes, tenant), outcome }.into()
            }
            18 => {
                let (kind, document) = match self.dice.below(3) {
                    0 => ("scoring", format!("{{\"suspension_penalty\":{}}}", self.dice.below(1200))),
                    1 => ("scoring", "{\"weights\":{}}".to_owned()),
                    _ => (
                        "spending",
                        format!(
                            "{{\"windows\":[{{\"hours\":{},\"amount\":\"20\",\"currency\":\"USD\"}}]}}",
                            self.dice.below(4)
                        ),
                    ),
                };
                SetPolicy { kind: kind.to_owned(), key: "default".to_owned(), document: JsonText(document) }.into()
            }
            _ => {
                let kind = if self.dice.chance(500) { "scoring" } else { "spending" };
                ResetPolicy { kind: kind.to_owned(), key: "default".to_owned() }.into()
            }
        }
    }

    fn reach(&mut self, tenant: TenantId) -> Command {
        let agent = id!(self, agents, tenant);
        let handle = HandleClaim {
            namespace: (*self.dice.pick(&["sim", "agentidp"]).unwrap_or(&"sim")).to_owned(),
            value: format!("H{}", self.dice.below(40)),
        };
        match self.dice.below(4) {
            0 => SetAgentReach { agent, visibility: Some(Visibility::Owner), disclosure: None }.into(),
            1 => SetAgentReach { agent, visibility: None, disclosure: Some(Disclosure::Verifiable) }.into(),
            2 => ClaimHandle { agent, handle }.into(),
            _ => ReleaseHandle { agent, handle }.into(),
        }
    }

    fn secret(&mut self, tenant: TenantId, now: Micros) -> Command {
        let (agent, credential) = (id!(self, agents, tenant), id!(self, secrets, tenant));
        let expires = self.dice.chance(300).then(|| now.plus_secs(self.dice.between(-50, 600)));
        let as_administrator = self.dice.chance(300);
        let named = self.dice.chance(200).then_some(agent);
        match self.dice.below(6) {
            0 => RotateCredential { credential, agent: named, expires: expires.map(Some), as_administrator }.into(),
            1 => {
                let cause = "requested".to_owned();
                RevokeCredential { credential, agent: named, cause, as_administrator }.into()
            }
            2 => {
                let scope = *self.dice.pick(&["admin:orgs", "openid", "no:scope"]).unwrap_or(&"openid");
                GrantScopes { agent, scopes: vec![scope.to_owned()], administrator: self.dice.chance(300) }.into()
            }
            _ => CreateCredential { agent, expires, as_administrator }.into(),
        }
    }

    fn answer(&mut self, tenant: TenantId) -> AnswerChallenge {
        let known = thing!(self, challenges, tenant);
        let (challenge, agent, nonce) = known.unwrap_or_else(|| {
            let (challenge, agent) = (self.dice.uuid(), self.dice.uuid());
            (ChallengeId(challenge), AgentId(agent), "sixteen-or-more-of".to_owned())
        });
        let key = self.dice.below(self.keys.len());
        let (public_key, signature) = match self.keys.get(key) {
            Some(key) if !self.dice.chance(150) => (key.public().to_string(), hex::encode(key.sign(nonce.as_bytes()))),
            _ => ("00".repeat(32), "00".repeat(64)),
        };
        AnswerChallenge { challenge, agent, certificate: None, public_key, nonce, signature }
    }

    /// About issuers and their rules.
    fn foreign(&mut self, tenant: TenantId, now: Micros) -> Command {
        match self.dice.below(5) {
            0 => TrustIssuer {
                name: self.text("partner"),
                iss: format!("https://issuer-{}.example", self.dice.below(4)),
                jwks_uri: "https://issuer.example/jwks".to_owned(),
                organisations: Vec::new(),
                expires: self.dice.chance(300).then(|| now.plus_secs(self.dice.between(-50, 600))),
            }
            .into(),
            1 => UpdateIssuer {
                issuer: id!(self, issuers, tenant),
                name: self.maybe("partner"),
                jwks_uri: None,
                organisations: self.dice.chance(300).then(|| vec!["org".to_owned()]),
                expires: self.dice.chance(300).then_some(None),
                suspended: self.dice.chance(500).then(|| self.dice.chance(500)),
            }
            .into(),
            2 => RemoveIssuer { issuer: id!(self, issuers, tenant) }.into(),
            3 => AddIssuerRule {
                provider: "github".to_owned(),
                repository: format!("acme/repository-{}", self.dice.below(4)),
                branch: self.dice.chance(300).then(|| "main".to_owned()),
                agent: id!(self, agents, tenant),
                as_administrator: false,
            }
            .into(),
            _ => RemoveIssuerRule { rule: id!(self, rules, tenant), as_administrator: false }.into(),
        }
    }

    /// Something about destinations and subscriptions; nothing is sent to them here.
    fn delivery(&mut self, tenant: TenantId) -> Command {
        let destination = id!(self, destinations, tenant);
        let subscription = id!(self, subscriptions, tenant);
        let url = format!("https://hooks.example/{}", self.dice.below(5));
        let events = vec!["AgentRegistered".to_owned(), "MissionOpened".to_owned()];
        match self.dice.below(9) {
            0 => AddDestination { url, secret: self.maybe("s"), confirm: self.dice.chance(300) }.into(),
            1 => VerifyDestination { destination, code: self.text("code") }.into(),
            2 => RotateDestinationSecret { destination, secret: None }.into(),
            3 => RemoveDestination { destination }.into(),
            4 | 5 => {
                let own = self.dice.chance(600);
                Subscribe {
                    name: self.maybe("hook"),
                    destinations: if own { Vec::new() } else { vec![destination] },
                    url: own.then_some(url),
                    secret: None,
                    events,
                    rendering: "native".to_owned(),
                    active: self.dice.chance(800),
                }
                .into()
            }
            6 => ChangeSubscription {
                subscription,
                name: None,
                destinations: None,
                url: self.dice.chance(400).then_some(url),
                events: None,
                active: Some(self.dice.chance(500)),
            }
            .into(),
            7 => EndSubscription { subscription }.into(),
            _ => Redeliver { subscription, event: Seq(self.dice.below(200) as u64) }.into(),
        }
    }

    #[allow(clippy::too_many_lines, reason = "one arm for each command; apart they would be harder to compare")]
    fn command(&mut self, tenant: TenantId, now: Micros, new_key: impl FnOnce(&mut Dice) -> PublicKey) -> Command {
        match self.dice.below(122) {
            0..12 => self.register(tenant, now).into(),
            12..17 if self.dice.chance(250) => self.reach(tenant),
            12..17 => {
                let agent = id!(self, agents, tenant);
                UpdateAgent {
                    agent,
                    kind: self.dice.chance(300).then(|| self.maybe("sweeper")),
                    owner: self.dice.chance(100).then(|| self.text("Grace")),
                    disclosure: self.dice.chance(150).then_some(Disclosure::Listed),
                    status: self.dice.chance(200).then(|| self.status()),
                    name: self.maybe("agent"),
                    semver: self.dice.chance(300).then(|| self.maybe("2")),
                    capabilities: self.dice.chance(300).then(|| vec!["sweep".to_owned()]),
                    environment: None,
                    actions: self.dice.chance(200).then(|| vec!["sweep".to_owned(), "pay".to_owned()]),
                    limit: self.dice.chance(200).then(|| spending_limit(self.dice.below(200))),
                    profile: self.dice.chance(300).then(|| self.profile()),
                }
                .into()
            }
            17..21 => {
                let agent = id!(self, agents, tenant);
                SuspendAgent { agent, reason: self.maybe("why") }.into()
            }
            21..25 => {
                let agent = id!(self, agents, tenant);
                ResumeAgent { agent, reason: self.maybe("why") }.into()
            }
            25..27 => {
                let agent = id!(self, agents, tenant);
                DecommissionAgent { agent, cause: EndCause::Revoked, by: self.maybe("ops"), reason: None }.into()
            }
            27..32 => {
                let agent = id!(self, agents, tenant);
                let purpose = ChallengePurpose::Prove;
                let ttl_secs = self.dice.below(400) as u32;
                IssueChallenge { agent, purpose, issued_by: self.text("gate"), nonce: None, ttl_secs }.into()
            }
            32..37 => self.answer(tenant).into(),
            37..40 => self.organisation(tenant),
            40..42 => self.tenant(tenant),
            42..46 => {
                // The first two stay: the root tenant, which cannot be suspended, and one that nobody does that to.
                let ended = self.tenants.get(2..).unwrap_or_default();
                let about = match self.dice.pick(ended) {
                    Some(tenant) if !self.dice.chance(100) => *tenant,
                    _ => self.tenants.first().copied().unwrap_or(TenantId(self.dice.uuid())),
                };
                match self.dice.below(6) {
                    0..2 => SuspendTenant { tenant: about, reason: self.maybe("why") }.into(),
                    2..4 => ResumeTenant { tenant: about }.into(),
                    4 => UpdateTenant { tenant: about, name: self.maybe("Tenant"), tier: self.tier(), limits: None }
                        .into(),
                    _ => DeleteTenant { tenant: about, reason: None }.into(),
                }
            }
            46..49 if self.dice.chance(600) => self.secret(tenant, now),
            46..49 => CreateApiKey {
                name: self.text("key"),
                scopes: vec![
                    (*self.dice.pick(&["agents:read", "tenants:manage", "no:scope"]).unwrap_or(&"")).to_owned(),
                ],
                audience: vec!["native".to_owned()],
                expires: self.dice.chance(300).then(|| now.plus_secs(self.dice.between(-50, 600))),
            }
            .into(),
            49..51 => {
                let credential = id!(self, credentials, tenant);
                RevokeApiKey { credential, cause: "requested".to_owned() }.into()
            }
            51..57 => {
                let agent = thing!(self, agents, tenant).filter(|_| self.dice.chance(300));
                OpenMission {
                    agent,
                    key: self.dice.chance(500).then(|| self.mission_key()),
                    intent: self.maybe("sweep the floor"),
                    services: Vec::new(),
                    limits: BTreeMap::from([("usd".to_owned(), 5)]),
                }
                .into()
            }
            57..59 => {
                let mission = id!(self, missions, tenant);
                CompleteMission { mission, output: self.maybe("swept") }.into()
            }
            59..61 => {
                let mission = id!(self, missions, tenant);
                RevokeMission { mission, notes: self.maybe("no more") }.into()
            }
            61..71 => {
                let agent = id!(self, agents, tenant);
                let mission = self.mission_ref(tenant);
                let bound = Bound { name: "floor".to_owned(), lower: Some(0.0), upper: Some(5.0), unit: None };
                IssueToken {
                    agent,
                    mission,
                    scopes: (0..=self.dice.below(3)).map(|_| format!("sweep-{}", self.dice.below(3))).collect(),
                    expires: now.plus_secs(self.dice.between(-20, 900)),
                    immutable: self.json(),
                    bounds: if self.dice.chance(300) { vec![bound] } else { Vec::new() },
                    snapshot: None,
                }
                .into()
            }
            71..74 => {
                let token = id!(self, tokens, tenant);
                UseToken { token }.into()
            }
            74..77 => {
                let token = id!(self, tokens, tenant);
                RevokeToken { token, reason: self.maybe("why") }.into()
            }
            77..82 => {
                let token = id!(self, tokens, tenant);
                let tool = format!("sweep-{}", self.dice.below(3));
                CheckScope { token, tool, params: self.json(), agent: None }.into()
            }
            82..86 => {
                let mission = self.mission_ref(tenant);
                OpenAuditChain { mission, agent_text: self.text("ada"), mission_text: "mission".to_owned() }.into()
            }
            86..95 => {
                let chain = id!(self, chains, tenant);
                AppendAuditEntry {
                    chain,
                    layer: AuditLayer::Execution,
                    event: "EXECUTION_swept".to_owned(),
                    agent_text: self.text("ada"),
                    mission_text: "mission".to_owned(),
                    token_text: self.maybe("tok"),
                    data: self.json(),
                }
                .into()
            }
            95 => {
                let chain = id!(self, chains, tenant);
                CloseAuditChain { chain }.into()
            }
            96 => self.delivery(tenant),
            97 if self.dice.chance(600) => self.erasure(tenant),
            97 => self.noted(tenant, now),
            100..104 => self.foreign(tenant, now),
            104.. => self.trusted(tenant),
            _ => RotateSigningKey::seal(new_key(&mut self.dice).as_bytes()).into(),
        }
    }
}

fn system(tenant: TenantId) -> Caller {
    Caller { tenant, actor: Actor::system() }
}

fn spending_limit(amount: usize) -> SpendingLimit {
    SpendingLimit { amount: Decimal { mantissa: amount as i128, scale: 1 }, currency: "USD".to_owned() }
}
