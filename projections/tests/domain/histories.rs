//! What holds after any history at all.

use std::collections::{BTreeMap, HashMap, HashSet};

use chancery_ledger::actor::Principal;
use chancery_ledger::body::Body;
use chancery_ledger::body::execution::AuditEntryAppended;
use chancery_ledger::body::identity::{CredentialKind, Disclosure};
use chancery_ledger::body::token::Profile;
use chancery_ledger::event::Event;
use chancery_ledger::ids::{
    AgentId, AuditChainId, ChallengeId, CredentialId, MissionId, OrganisationId, Seq, TenantId, TokenId, TreeSize,
};
use chancery_ledger::keys::SigningKey;
use chancery_ledger::link::Hash;
use chancery_ledger::time::Micros;
use chancery_projections::command::*;
use chancery_projections::execution::view as execution;
use chancery_projections::identity::state::{AgentStatus, CREDENTIAL_HASHES, CREDENTIALS, LISTED, LISTED_NOW};
use chancery_projections::identity::view as identity;
use chancery_projections::rows::batch::Batch;
use chancery_projections::rows::overlay::Overlay;
use chancery_projections::rows::store::ViewStore;
use chancery_projections::rows::{Keeping, Rows as _, Scan};
use chancery_projections::token::view as token;
use chancery_projections::view::{PageNumber, Paging};
use chancery_projections::views::View;
use proptest::prelude::*;
use zeroize::Zeroizing;

use crate::world::*;

/// A step of a history. Numbers choose among what there is, so every step can be taken in every world.
#[derive(Debug, Clone)]
enum Step {
    Register { organisation: u8, handle: u8, days: bool },
    Suspend(usize),
    Resume(usize),
    Decommission(usize),
    Update(usize, u8),
    Challenge(usize),
    Answer { challenge: usize, right: bool },
    Issue { agent: usize, mission: u8, secs: i64 },
    Use(usize),
    RevokeToken(usize),
    Check { token: usize, good: bool },
    OpenMission(u8),
    CompleteMission(usize),
    RevokeMission(usize),
    OpenChain(u8),
    Append(usize),
    CloseChain(usize),
    CreateKey,
    RevokeKey(usize),
    CreateSecret(usize),
    RotateSecret(usize),
    RevokeSecret(usize),
    Status(usize, AgentStatus),
    CreateOrganisation(u8),
    StandSecond { suspend: bool },
    Advance(i64),
}

/// Each step, and whether the second tenant takes it.
fn steps(max: usize) -> impl Strategy<Value = Vec<(Step, bool)>> {
    use Step::*;
    let n = || 0..64_usize;
    let step = prop_oneof![
        4 => (0..3_u8, 0..4_u8, any::<bool>()).prop_map(|(organisation, handle, days)| Register { organisation, handle, days }),
        2 => n().prop_map(Suspend),
        2 => n().prop_map(Resume),
        1 => n().prop_map(Decommission),
        1 => (n(), 0..3_u8).prop_map(|(agent, what)| Update(agent, what)),
        1 => n().prop_map(Challenge),
        1 => (n(), any::<bool>()).prop_map(|(challenge, right)| Answer { challenge, right }),
        8 => (n(), 0..3_u8, 1..200_i64).prop_map(|(agent, mission, secs)| Issue { agent, mission, secs }),
        2 => n().prop_map(Use),
        3 => n().prop_map(RevokeToken),
        2 => (n(), any::<bool>()).prop_map(|(token, good)| Check { token, good }),
        1 => (0..4_u8).prop_map(OpenMission),
        1 => n().prop_map(CompleteMission),
        1 => n().prop_map(RevokeMission),
        2 => (0..4_u8).prop_map(OpenChain),
        4 => n().prop_map(Append),
        1 => n().prop_map(CloseChain),
        1 => Just(CreateKey),
        1 => n().prop_map(RevokeKey),
        3 => n().prop_map(CreateSecret),
        1 => n().prop_map(RotateSecret),
        1 => n().prop_map(RevokeSecret),
        1 => (n(), prop::sample::select(AgentStatus::ALL.as_slice())).prop_map(|(agent, status)| Status(agent, status)),
        1 => (0..3_u8).prop_map(CreateOrganisation),
        1 => any::<bool>().prop_map(|suspend| StandSecond { suspend }),
        2 => (0..100_i64).prop_map(Advance),
    ];
    prop::collection::vec((step, prop::bool::weighted(0.15)), 1..max)
}

/// What the events alone say, kept without a row.
#[derive(Default)]
struct Model {
    agents: Vec<(AgentId, ModelAgent)>,
    handles: HashSet<(TenantId, String, String)>,
    tokens: Vec<(TokenId, ModelToken)>,
    missions: Vec<(MissionId, bool)>,
    chains: Vec<AuditChainId>,
    entries: HashMap<AuditChainId, Vec<AuditEntryAppended>>,
    closed: HashSet<AuditChainId>,
    challenges: Vec<(ChallengeId, AgentId, String)>,
    keys: Vec<CredentialId>,
    secrets: Vec<(CredentialId, ModelSecret)>,
    organisations: Vec<(OrganisationId, TenantId)>,
    second_active: bool,
}

struct ModelAgent {
    tenant: TenantId,
    organisation: OrganisationId,
    status: AgentStatus,
    valid_until: Option<Micros>,
    kind: Option<String>,
    owner: Option<Hash>,
    listed: bool,
}

struct ModelSecret {
    tenant: TenantId,
    agent: AgentId,
    hash: Hash,
    revoked: bool,
}

struct ModelToken {
    tenant: TenantId,
    agent: AgentId,
    mission: MissionId,
    expires: Micros,
    ended: bool,
}

impl Model {
    fn take(&mut self, event: &Event) {
        match &event.body {
            Body::OrganisationCreated(it) => self.organisations.push((it.organisation, event.tenant)),
            Body::AgentRegistered(it) => {
                for handle in &it.handles {
                    let fresh = self.handles.insert((event.tenant, handle.namespace.clone(), handle.value.clone()));
                    assert!(fresh, "a handle is held alone, for good");
                }
                let agent = ModelAgent {
                    tenant: event.tenant,
                    organisation: it.organisation,
                    status: AgentStatus::Active,
                    valid_until: it.valid_until,
                    kind: it.kind.clone(),
                    owner: it.owner_hash,
                    listed: it.disclosure == Disclosure::Listed,
                };
                self.agents.push((it.agent, agent));
            }
            Body::AgentSuspended(it) => self.stand(it.agent, AgentStatus::Active, AgentStatus::Suspended),
            Body::AgentResumed(it) => self.stand(it.agent, AgentStatus::Suspended, AgentStatus::Active),
            Body::AgentDecommissioned(it) => {
                let status = self.agent(it.agent).status;
                assert_ne!(status, AgentStatus::Decommissioned, "nothing leaves decommissioned");
                let live = self.secrets.iter().any(|(_, secret)| secret.agent == it.agent && !secret.revoked);
                assert!(!live, "an agent's secrets end before it");
                self.stand(it.agent, status, AgentStatus::Decommissioned);
            }
            Body::TokenIssued(it) => {
                let (agent, mission) = (it.agent.unwrap(), it.mission.unwrap());
                assert!(self.usable(agent, event.time), "a token is of an agent that may act");
                assert!(self.is_open(mission), "a token is for a mission that is open");
                let token = ModelToken { tenant: event.tenant, agent, mission, expires: it.expires, ended: false };
                self.tokens.push((it.token, token));
            }
            Body::TokenUsed(it) => self.token(it.token).ended = true,
            Body::TokenRevoked(it) => self.token(it.token).ended = true,
            Body::ScopeChecked(it) => {
                let token = self.tokens.iter().find(|(id, _)| *id == it.token).unwrap();
                assert!(!it.passed || self.is_live(&token.1, event.time), "nothing dead passes a scope check");
            }
            Body::MissionOpened(it) => self.missions.push((it.mission, true)),
            Body::MissionCompleted(it) => self.end(it.mission),
            Body::MissionRevoked(it) => self.end(it.mission),
            Body::AuditChainOpened(it) => self.chains.push(it.chain),
            Body::AuditEntryAppended(it) => {
                let entries = self.entries.entry(it.chain).or_default();
                assert!(!self.closed.contains(&it.chain), "a closed chain takes no entry");
                assert_eq!(it.sequence, entries.len() as u64, "entries are contiguous");
                assert_eq!(it.prev, entries.last().map_or(Hash::ZERO, |last| last.entry_hash), "entries link");
                entries.push(it.clone());
            }
            Body::AuditChainClosed(it) => {
                let entries = &self.entries[&it.chain];
                assert_eq!((it.entries, it.head), (entries.len() as u64, entries.last().unwrap().entry_hash));
                assert!(self.closed.insert(it.chain));
            }
            Body::ChallengeIssued(it) => self.challenges.push((it.challenge, it.about, it.nonce.clone())),
            Body::CredentialCreated(it) => match it.principal {
                Principal::Agent(agent) if it.kind == CredentialKind::ClientSecret => {
                    assert!(self.usable(agent, event.time), "a secret is for an agent that may act");
                    let secret = ModelSecret { tenant: event.tenant, agent, hash: it.hash, revoked: false };
                    self.secrets.push((it.credential, secret));
                }
                _ => self.keys.push(it.credential),
            },
            Body::CredentialRotated(it) => self.secret(it.credential).hash = it.hash,
            Body::CredentialRevoked(it) => {
                if let Some((_, secret)) = self.secrets.iter_mut().find(|(id, _)| *id == it.credential) {
                    assert!(!std::mem::replace(&mut secret.revoked, true), "a secret ends once");
                }
            }
            Body::AgentUpdated(it) => {
                let (_, agent) = self.agents.iter_mut().find(|(agent, _)| *agent == it.agent).unwrap();
                if let Some(kind) = it.changes.get("kind") {
                    agent.kind = serde_json::from_str(kind.as_str()).unwrap();
                }
                if let Some(owner) = it.changes.get("owner_hash") {
                    agent.owner = serde_json::from_str(owner.as_str()).unwrap();
                }
            }
            Body::AgentReachChanged(it) => {
                let (_, agent) = self.agents.iter_mut().find(|(agent, _)| *agent == it.agent).unwrap();
                agent.listed = it.disclosure.map_or(agent.listed, |to| to == Disclosure::Listed);
            }
            Body::TenantSuspended(_) => self.second_active = false,
            Body::TenantResumed(_) => self.second_active = true,
            _ => {}
        }
    }

    fn agent(&self, id: AgentId) -> &ModelAgent {
        &self.agents.iter().find(|(agent, _)| *agent == id).unwrap().1
    }

    fn token(&mut self, id: TokenId) -> &mut ModelToken {
        &mut self.tokens.iter_mut().find(|(token, _)| *token == id).unwrap().1
    }

    fn secret(&mut self, id: CredentialId) -> &mut ModelSecret {
        &mut self.secrets.iter_mut().find(|(secret, _)| *secret == id).unwrap().1
    }

    fn stand(&mut self, id: AgentId, from: AgentStatus, to: AgentStatus) {
        let (_, agent) = self.agents.iter_mut().find(|(agent, _)| *agent == id).unwrap();
        assert_eq!(std::mem::replace(&mut agent.status, to), from);
    }

    fn is_open(&self, mission: MissionId) -> bool {
        self.missions.iter().find(|(id, _)| *id == mission).unwrap().1
    }

    fn end(&mut self, mission: MissionId) {
        let (_, open) = self.missions.iter_mut().find(|(id, _)| *id == mission).unwrap();
        assert!(std::mem::replace(open, false), "a mission ends once");
    }

    fn usable(&self, id: AgentId, now: Micros) -> bool {
        let agent = self.agent(id);
        let tenant = self.second_active || agent.tenant == self.organisations[0].1;
        tenant && agent.status == AgentStatus::Active && agent.valid_until.is_none_or(|until| now <= until)
    }

    fn is_live(&self, token: &ModelToken, now: Micros) -> bool {
        !token.ended && now <= token.expires && self.is_open(token.mission) && self.usable(token.agent, now)
    }
}

struct History {
    world: World,
    model: Model,
    key: SigningKey,
}

impl History {
    fn of(steps: Vec<(Step, bool)>) -> Self {
        let world = World::new();
        let mut model = Model { second_active: true, ..Model::default() };
        world.events.iter().for_each(|event| model.take(event));
        let key = SigningKey::from_seed(Zeroizing::new([7; 32]));
        let mut history = Self { world, model, key };
        for (step, second) in steps {
            history.take(step, second);
        }
        history
    }

    fn take(&mut self, step: Step, second: bool) {
        if let Step::Advance(secs) = step {
            return self.world.advance_secs(secs);
        }
        let Some(command) = self.command(step) else { return };
        let is_root_only = matches!(command, Command::SuspendTenant(_) | Command::ResumeTenant(_));
        let outcome = if second && !is_root_only { self.world.when_second(command) } else { self.world.when(command) };
        outcome.events.iter().for_each(|event| self.model.take(event));
    }

    fn command(&self, step: Step) -> Option<Command> {
        fn pick<T: Clone>(list: &[T], n: usize) -> Option<T> {
            if list.is_empty() { None } else { Some(list[n % list.len()].clone()) }
        }
        let model = &self.model;
        let secrets: Vec<CredentialId> = model.secrets.iter().map(|(id, _)| *id).collect();
        let agents: Vec<AgentId> = model.agents.iter().map(|(id, _)| *id).collect();
        let tokens: Vec<TokenId> = model.tokens.iter().map(|(id, _)| *id).collect();
        let missions: Vec<MissionId> = model.missions.iter().map(|(id, _)| *id).collect();
        let name = |n: u8| format!("msn_test00000{n}");
        Some(match step {
            Step::Register { organisation, handle, days } => {
                let handles = vec![HandleClaim { namespace: "orgkernel/x".into(), value: handle.to_string() }];
                RegisterAgent {
                    organisation: (organisation > 0).then(|| OrganisationRef::Slug(format!("org-{organisation}"))),
                    handles: if handle == 0 { Vec::new() } else { handles },
                    key: KeyChoice::Bring(hex::encode(self.key.public().as_bytes())),
                    valid_until: days.then(|| self.world.now.plus_secs(60)),
                    ..register("bot")
                }
                .into()
            }
            Step::Suspend(n) => suspend(pick(&agents, n)?).into(),
            Step::Resume(n) => resume(pick(&agents, n)?).into(),
            Step::Decommission(n) => revoke(pick(&agents, n)?).into(),
            Step::Update(n, what) => UpdateAgent {
                name: Some(format!("bot-{what}")),
                semver: Some((what > 0).then(|| what.to_string())),
                kind: Some((what > 1).then(|| "sweeper".into())),
                profile: Some(AgentProfile {
                    owner: Some(format!("team {what}")),
                    purpose: Some(what.to_string()),
                    ..AgentProfile::default()
                }),
                disclosure: Some(if what == 1 { Disclosure::Listed } else { Disclosure::None }),
                ..UpdateAgent::of(pick(&agents, n)?)
            }
            .into(),
            Step::Challenge(n) => challenge(pick(&agents, n)?).into(),
            Step::Answer { challenge, right } => {
                let (id, about, nonce) = pick(&model.challenges, challenge)?;
                answer(id, about, &self.key, if right { &nonce } else { "another-nonce-than-that" }).into()
            }
            Step::Issue { agent, mission, secs } => IssueToken {
                mission: mission_key(&name(mission)),
                expires: self.world.now.plus_secs(secs),
                ..issue(pick(&agents, agent)?, self.world.now)
            }
            .into(),
            Step::Use(n) => UseToken { token: pick(&tokens, n)? }.into(),
            Step::RevokeToken(n) => revoke_token(pick(&tokens, n)?).into(),
            Step::Check { token, good } => {
                let params = if good { r#"{"currency":"USD","n":1}"# } else { "{}" };
                check(pick(&tokens, token)?, "read_invoice", params).into()
            }
            Step::OpenMission(n) => {
                let key = MissionKey { namespace: "orgkernel".into(), text: name(n) };
                OpenMission { key: (n > 0).then_some(key), ..open_mission() }.into()
            }
            Step::CompleteMission(n) => complete(pick(&missions, n)?).into(),
            Step::RevokeMission(n) => RevokeMission { mission: pick(&missions, n)?, notes: None }.into(),
            Step::OpenChain(n) => open_chain(&name(n)).into(),
            Step::Append(n) => append(pick(&model.chains, n)?, "EXECUTION_tool_call").into(),
            Step::CloseChain(n) => CloseAuditChain { chain: pick(&model.chains, n)? }.into(),
            Step::CreateKey => CreateApiKey {
                name: "ci".into(),
                scopes: vec!["agents:read".into()],
                audience: vec!["native".into()],
                expires: None,
            }
            .into(),
            Step::RevokeKey(n) => {
                // The owner's own two stay, or the history would end here.
                let made = model.keys.get(2..).unwrap_or_default();
                RevokeApiKey { credential: pick(made, n)?, cause: "requested".into() }.into()
            }
            Step::CreateSecret(n) => secret_of(pick(&agents, n)?).into(),
            Step::RotateSecret(n) => rotate(pick(&secrets, n)?).into(),
            Step::RevokeSecret(n) => end_secret(pick(&secrets, n)?).into(),
            Step::Status(n, status) => {
                UpdateAgent { status: Some(status), ..UpdateAgent::of(pick(&agents, n)?) }.into()
            }
            Step::CreateOrganisation(n) => CreateOrganisation::new(&format!("org-{n}"), "Org").into(),
            Step::StandSecond { suspend: true } => SuspendTenant { tenant: self.world.second, reason: None }.into(),
            Step::StandSecond { suspend: false } => ResumeTenant { tenant: self.world.second }.into(),
            Step::Advance(_) => return None,
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 400, ..ProptestConfig::default() })]

    /// Rows say what the events say: nothing dead is live, lists and counts are complete, chains are whole.
    #[test]
    fn rows_agree_with_events(steps in steps(70)) {
        let History { world: w, model, .. } = History::of(steps);
        let reading = w.reading();
        for (id, it) in &model.agents {
            let shown = identity::agent(&reading, it.tenant, *id).unwrap().unwrap();
            prop_assert_eq!((shown.status, shown.usable), (it.status, model.usable(*id, w.now)));
        }
        for (id, it) in &model.tokens {
            let shown = token::token(&reading, it.tenant, *id).unwrap().unwrap();
            prop_assert_eq!(shown.live, model.is_live(it, w.now));
            prop_assert_eq!(shown.valid, !it.ended && w.now <= it.expires);
        }
        for (mission, _) in &model.missions {
            let of_mission: Vec<_> = model.tokens.iter().filter(|(_, token)| token.mission == *mission).collect();
            let Some(tenant) = of_mission.first().map(|(_, token)| token.tenant) else { continue };
            let newest = of_mission.iter().rev().find(|(_, token)| !token.ended && w.now <= token.expires);
            let found = token::newest_valid_token(&reading, tenant, Profile::Execution, *mission).unwrap();
            prop_assert_eq!(found.map(|token| token.id), newest.map(|(id, _)| *id));
            let page = PageNumber { number: 1, size: 1000 };
            let all = token::tokens_page(&reading, tenant, Profile::Execution, token::TokensOf::Mission(*mission), page);
            let all = all.unwrap();
            let wanted: Vec<_> = of_mission.iter().rev().map(|(id, _)| *id).collect();
            prop_assert_eq!(all.total, wanted.len() as u64);
            prop_assert_eq!(all.items.iter().map(|token| token.id).collect::<Vec<_>>(), wanted);
        }
        for (organisation, tenant) in &model.organisations {
            let members: Vec<_> = model.agents.iter().filter(|(_, agent)| agent.organisation == *organisation).collect();
            let shown = identity::organisation(&reading, *tenant, *organisation).unwrap().unwrap();
            for (status, count) in [
                (AgentStatus::Active, shown.agents.active),
                (AgentStatus::Suspended, shown.agents.suspended),
                (AgentStatus::Decommissioned, shown.agents.decommissioned),
            ] {
                let wanted: Vec<_> = members.iter().rev().filter(|(_, it)| it.status == status).map(|(id, _)| *id).collect();
                let page = PageNumber { number: 1, size: 1000 };
                let page = identity::agents_page(&reading, *tenant, *organisation, Some(status), page).unwrap();
                prop_assert_eq!((count, page.total), (wanted.len() as u64, wanted.len() as u64));
                prop_assert_eq!(page.items.iter().map(|it| it.id).collect::<Vec<_>>(), wanted);
            }
        }
        for tenant in [w.root, w.second] {
            for status in AgentStatus::ALL {
                let filter = identity::AgentFilter { organisation: None, status: Some(status) };
                let found = identity::agents(&reading, tenant, filter, &Paging::newest(1000)).unwrap();
                let of_tenant = model.agents.iter().rev().filter(|(_, it)| it.tenant == tenant && it.status == status);
                let wanted: Vec<_> = of_tenant.map(|(id, _)| *id).collect();
                prop_assert_eq!(found.items.iter().map(|it| it.id).collect::<Vec<_>>(), wanted);
            }
        }
        for (agent, it) in &model.agents {
            for revoked in [None, Some(false), Some(true)] {
                let wanted: Vec<_> = model.secrets.iter().rev()
                    .filter(|(_, secret)| secret.agent == *agent && revoked.is_none_or(|revoked| revoked == secret.revoked))
                    .map(|(id, _)| *id)
                    .collect();
                let page = PageNumber { number: 1, size: 1000 };
                let found = identity::credentials_of_agent(&reading, it.tenant, *agent, revoked, page).unwrap();
                prop_assert_eq!(found.total, wanted.len() as u64);
                prop_assert_eq!(found.items.iter().map(|it| it.id).collect::<Vec<_>>(), wanted);
            }
        }
        for (id, secret) in &model.secrets {
            let row = CREDENTIALS.get(reading.identity, *id).unwrap().unwrap();
            prop_assert_eq!((row.tenant, row.hash, row.revoked.is_some()), (secret.tenant, secret.hash, secret.revoked));
            prop_assert_eq!(CREDENTIAL_HASHES.get(reading.identity, secret.hash).unwrap(), Some(*id));
        }
        for tenant in [w.root, w.second] {
            let owners = [None, Some("team 0"), Some("team 2")];
            let kinds = [None, Some(identity::KindSearch::Is("sweeper")), Some(identity::KindSearch::NoneOf(&["sweeper", "x"]))];
            for (owner, kind) in owners.iter().flat_map(|owner| kinds.map(|kind| (*owner, kind))) {
                for status in [None, Some(AgentStatus::Active), Some(AgentStatus::Decommissioned)] {
                    let hash = owner.map(|owner| reading.opener.keyed_hash(tenant, "agent owner", owner).unwrap());
                    let fits = |it: &ModelAgent| it.tenant == tenant
                        && status.is_none_or(|status| it.status == status)
                        && hash.is_none_or(|hash| hash.is_some() && it.owner == hash)
                        && match kind {
                            None => true,
                            Some(identity::KindSearch::Is(kind)) => it.kind.as_deref() == Some(kind),
                            Some(identity::KindSearch::NoneOf(kinds)) => !kinds.iter().any(|kind| it.kind.as_deref() == Some(*kind)),
                        };
                    let wanted: Vec<_> = model.agents.iter().rev().filter(|(_, it)| fits(it)).map(|(id, _)| *id).collect();
                    let search = identity::AgentSearch { status, kind, owner };
                    let mut found = Vec::new();
                    for number in 1.. {
                        let page = identity::agents_found(&reading, tenant, search, PageNumber { number, size: 3 }).unwrap();
                        prop_assert_eq!(page.total, wanted.len() as u64, "{:?}", search);
                        if page.items.is_empty() { break }
                        found.extend(page.items.into_iter().map(|it| it.id));
                    }
                    prop_assert_eq!(found, wanted, "{:?}", search);
                }
            }
        }
        let length = LISTED.len(reading.identity, ()).unwrap();
        let listed = model.agents.iter().filter(|(_, it)| it.listed && it.status != AgentStatus::Decommissioned).count();
        prop_assert_eq!(LISTED_NOW.len(reading.identity, (), length).unwrap(), listed as u64);
        for (chain, entries) in &model.entries {
            let tenant = w.events.iter().find(|event| matches!(&event.body, Body::AuditChainOpened(it) if it.chain == *chain));
            let tenant = tenant.unwrap().tenant;
            let (header, shown) = execution::whole_audit_chain(&reading, tenant, *chain).unwrap().unwrap();
            prop_assert_eq!(header.head, entries.last().unwrap().entry_hash);
            prop_assert_eq!(header.entries, entries.len() as u64);
            prop_assert_eq!(shown.iter().map(|it| it.entry_hash).collect::<Vec<_>>(), entries.iter().map(|it| it.entry_hash).collect::<Vec<_>>());
            prop_assert_eq!(header.closed.is_some(), model.closed.contains(chain));
            prop_assert!(execution::verify_audit_chain(&reading, tenant, *chain).unwrap().unwrap().valid);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 60, ..ProptestConfig::default() })]

    /// A view is the same however it came to be, and its past is what it was: rebuilt in other batches it has the same
    /// digest, and as of an event it says what the events up to there made.
    #[test]
    fn views_on_disk_agree_with_rows_in_memory(
        steps in steps(60), cuts in prop::collection::vec(1..20_usize, 1..40), moments in prop::collection::vec(any::<prop::sample::Index>(), 4)
    ) {
        let History { world: w, .. } = History::of(steps);
        // In memory where there is such a place: a view's file system is not what is tested here.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        for view in View::ALL {
            let all = ViewStore::open(&dir.path().join("all").join(view.name())).unwrap();
            let piecewise = ViewStore::open(&dir.path().join("piecewise").join(view.name())).unwrap();
            feed(view, &all, &w.events);
            let (mut rest, mut cuts) = (w.events.as_slice(), cuts.iter().cycle());
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
                feed(view, &piecewise, now);
                rest = later;
            }
            prop_assert_eq!(all.digest().unwrap(), piecewise.digest().unwrap(), "{:?}", view);

            // What deciders read: an overlay over a view that is behind, pruned now and then.
            let behind = ViewStore::open(&dir.path().join("behind").join(view.name())).unwrap();
            let mut overlay = Overlay::new(behind.clone());
            let (first, second) = w.events.split_at(w.events.len() / 2);
            for event in first.iter().chain(second) {
                overlay.begin(event.seq);
                view.evolve(&mut overlay, event).unwrap();
            }
            feed(view, &behind, first);
            overlay.prune();

            let live = w.views.get(view);
            let mut deciders = Memory::for_deciders();
            for event in &w.events {
                view.evolve(&mut deciders, event).unwrap();
            }
            for (key, row) in dump(live) {
                prop_assert_eq!(all.row(&key).unwrap().map(|row| row.value), Some(row.clone()), "{:?}", view);
                if let Some(decided) = deciders.row(&key).unwrap() {
                    prop_assert_eq!(&decided.value, &row, "{:?}", view);
                    prop_assert_eq!(overlay.row(&key).unwrap().map(|row| row.value), Some(row), "{:?}", view);
                }
            }
            prop_assert_eq!(dump(&all.snapshot()), dump(live));

            for moment in &moments {
                let count = moment.index(w.events.len()) + 1;
                let mut then = Memory::default();
                for event in &w.events[..count] {
                    view.evolve(&mut then, event).unwrap();
                }
                let past = piecewise.snapshot().at(Seq(count as u64 - 1));
                let of_the_past = |rows: BTreeMap<Vec<u8>, _>| rows.into_iter().filter(|(key, _)| Keeping::of(key) != Keeping::Newest).collect::<BTreeMap<_, _>>();
                prop_assert_eq!(of_the_past(dump(&past)), of_the_past(dump(&then)), "{:?} as of {}", view, count - 1);
            }
        }
    }
}

pub fn feed(view: View, store: &ViewStore, events: &[Event]) {
    let mut batch = Batch::new(store);
    for event in events {
        batch.begin(event.seq);
        view.evolve(&mut batch, event).unwrap();
    }
    let cursor = events.last().map_or(TreeSize(0), |event| event.seq.tree_size());
    store.apply(batch, cursor).unwrap();
}

/// Every present row.
fn dump(rows: &dyn Scan) -> BTreeMap<Vec<u8>, Option<bytes::Bytes>> {
    let mut found = BTreeMap::new();
    for order in [chancery_projections::rows::Order::Ascending, chancery_projections::rows::Order::Descending] {
        let mut count = 0;
        rows.scan(&[], None, order, &mut |key, value| {
            count += 1;
            found.insert(key.to_vec(), Some(bytes::Bytes::copy_from_slice(value)));
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(count, found.len(), "both orders give the same rows");
    }
    found
}
