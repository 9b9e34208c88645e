//! The first start: genesis, the root tenant with its owner, first keys and administrator agent, and a second, empty
//! tenant.

use std::collections::BTreeMap;

use chancery_ledger::actor::{Actor, Principal};
use chancery_ledger::body::identity::{
    Accountability, AgentPersonal, AgentRegistered, Disclosure, Environment, MemberInvited, MemberJoined,
    MemberPersonal, MemberRole, ScopesGranted, TenantCreated, Visibility,
};
use chancery_ledger::body::ledger::{Algorithm, FORMAT, LedgerCreated};
use chancery_ledger::body::{Body, Kind, Prelude};
use chancery_ledger::codec::CodecError;
use chancery_ledger::commit::Numbered;
use chancery_ledger::event::Event;
use chancery_ledger::ids::{AgentId, LedgerId, MemberId, OrganisationId, Seq, TenantId, ThingId, uuid_v7};
use chancery_ledger::keys::PublicKey;
use chancery_ledger::keystore::{NewSecret, Secrets};
use chancery_ledger::time::Micros;
use zeroize::Zeroizing;

use crate::agent_key;
use crate::command::{HandleClaim, Via};
use crate::context::{Caller, Context, ContextError, Random};
use crate::decision::Stop;
use crate::identity::decide::agent::owner_hash;
use crate::identity::decide::credential::{MOUNTS, client_secret};
use crate::identity::decide::handle::{self, EMAIL_HANDLES};
use crate::identity::decide::tenant;
use crate::scope::{AGENTIDP, Scope};
use crate::tier::Tier;

/// The root tenant's slug.
pub const ROOT_SLUG: &str = "root";
/// The second tenant's slug.
pub const SECOND_SLUG: &str = "second";
/// Stands for the owner's address until somebody takes the ownership over; no mail reaches it (RFC 2606).
const OWNER_EMAIL: &str = "owner@root.invalid";
/// The administrator agent's, likewise.
const ADMINISTRATOR_EMAIL: &str = "administrator@root.invalid";

/// What a first start made, shown once. The log holds hashes of the keys alone.
#[derive(Debug, Clone)]
pub struct FirstStart {
    /// The root tenant's slug.
    pub tenant: String,
    /// A native API key of the root tenant's owner, with every scope, for every mount.
    pub admin_key: Zeroizing<String>,
    /// A bearer key for the OrgKernel dialect, of the same.
    pub orgkernel_token: Zeroizing<String>,
    /// The administrator agent of the root tenant, as an OAuth 2.0 client of the AgentIdP dialect.
    pub agentidp: FirstClient,
    /// Keys for the Alsorn dialect.
    pub alsorn: FirstAlsornKeys,
}

/// An OAuth 2.0 client.
#[derive(Debug, Clone)]
pub struct FirstClient {
    /// The agent's id.
    pub client_id: AgentId,
    /// Its secret.
    pub client_secret: Zeroizing<String>,
}

/// Keys for the Alsorn dialect.
#[derive(Debug, Clone)]
pub struct FirstAlsornKeys {
    /// Of the root tenant's owner, for everything.
    pub api_key: Zeroizing<String>,
    /// Of the same, to look at things.
    pub read_key: Zeroizing<String>,
    /// Of the second tenant, for everything.
    pub other_tenant_key: Zeroizing<String>,
}

/// A ledger cannot be founded.
#[derive(Debug, thiserror::Error)]
pub enum FoundError {
    /// Keys or randomness were not to be had.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// An event's body cannot be stored.
    #[error(transparent)]
    Body(#[from] CodecError),
    /// A decider refused; what it was asked is fixed, so that is a defect.
    #[error("a decider refused the first events: {0}")]
    Refused(#[from] Stop),
}

/// The first commit of a ledger, and what goes with it.
pub struct Founding {
    /// The log's origin.
    pub origin: String,
    /// Its events; genesis is the first.
    pub events: Numbered,
    /// Secrets that must be durable before them.
    pub secrets: Vec<NewSecret>,
    /// What is shown once.
    pub first_start: FirstStart,
}

/// The origin of a ledger that was given none: a name of its own, and nobody's address (RFC 2606).
#[must_use]
pub fn default_origin(ledger: LedgerId) -> String {
    format!("chancery.invalid/{ledger}")
}

/// Decides the first commit: the ledger under an origin and its first sealing key, the root tenant, its owner and keys.
///
/// # Errors
/// [`FoundError`]; nothing was written.
pub fn found(
    now: Micros, origin: Option<&str>, seal: &PublicKey, random: &mut dyn Random, secrets: &dyn Secrets,
) -> Result<Founding, FoundError> {
    let mut ids = [[0; 10]; 4];
    ids.iter_mut().try_for_each(|id| random.fill(id)).map_err(ContextError::from)?;
    let [ledger, root, second, correlation] = ids.map(|id| uuid_v7(now.millis(), id));
    let (ledger, root, second) = (LedgerId::from_uuid(ledger), TenantId::from_uuid(root), TenantId::from_uuid(second));
    let caller = Caller { tenant: root, actor: Actor::system() };

    let mut ctx = Context::new(now, root, &caller, random, secrets);
    let origin = origin.map_or_else(|| default_origin(ledger), str::to_owned);
    let created = LedgerCreated {
        ledger,
        origin: origin.clone(),
        format: FORMAT,
        key: ctx.id()?,
        algorithm: Algorithm::Ed25519,
        public: *seal.as_bytes(),
    };
    let mut events = vec![(TenantId::LEDGER, Body::from(created))];
    let own = |tenant: TenantId| move |body: Body| (tenant, body);
    let (bodies, organisation) = tenant::found(tenant_created(root, ROOT_SLUG, "Root", None), &mut ctx)?;
    events.extend(bodies.into_iter().map(own(root)));
    let owner: MemberId = ctx.id()?;
    events.extend(owner_joins(owner, &mut ctx)?.into_iter().map(own(root)));
    let principal = Principal::Member(owner);
    let (key, admin_key) = tenant::api_key(principal.clone(), "first admin key", Scope::ALL, MOUNTS, &mut ctx)?;
    events.push((root, key.into()));
    let (key, orgkernel_token) =
        tenant::api_key(principal.clone(), "first OrgKernel key", Scope::ORGKERNEL, &["orgkernel"], &mut ctx)?;
    events.push((root, key.into()));
    let mut alsorn = |name: &str, scopes: &[Scope], ctx: &mut Context<'_>| -> Result<_, FoundError> {
        let (key, secret) = tenant::api_key(principal.clone(), name, scopes, &["alsorn"], ctx)?;
        events.push((root, key.into()));
        Ok(secret)
    };
    let api_key = alsorn("first Alsorn key", Scope::ALSORN_ADMIN, &mut ctx)?;
    let read_key = alsorn("first Alsorn key to read with", Scope::ALSORN_READ, &mut ctx)?;
    let (bodies, agentidp) = administrator(organisation, principal, &mut ctx)?;
    events.extend(bodies.into_iter().map(own(root)));
    let mut made = ctx.into_new_secrets();

    let mut ctx = Context::new(now, second, &caller, random, secrets);
    let (bodies, _) = tenant::found(tenant_created(second, SECOND_SLUG, "Second", Some(root)), &mut ctx)?;
    events.extend(bodies.into_iter().map(own(second)));
    let (key, other_tenant_key) =
        tenant::api_key(Principal::Tenant(second), "first Alsorn key", Scope::ALSORN_ADMIN, &["alsorn"], &mut ctx)?;
    events.push((second, key.into()));
    made.extend(ctx.into_new_secrets());

    let alsorn = FirstAlsornKeys { api_key, read_key, other_tenant_key };
    let mut numbered = Numbered::default();
    for (seq, (tenant, body)) in (0..).map(Seq).zip(events) {
        numbered.push(Event {
            seq,
            time: now,
            tenant,
            actor: caller.actor.clone(),
            subjects: body.subjects(),
            correlation: Some(correlation),
            causation: (seq != Seq(0)).then_some(Seq(0)),
            idempotency: None,
            prelude: Prelude::default(),
            body,
        })?;
    }
    let first_start = FirstStart { tenant: ROOT_SLUG.to_owned(), admin_key, orgkernel_token, agentidp, alsorn };
    Ok(Founding { origin, events: numbered, secrets: made, first_start })
}

fn tenant_created(tenant: TenantId, slug: &str, name: &str, parent: Option<TenantId>) -> TenantCreated {
    TenantCreated {
        tenant,
        slug: slug.to_owned(),
        name: name.to_owned(),
        tier: Tier::Enterprise.name().to_owned(),
        limits: BTreeMap::new(),
        root: parent.is_none(),
        parent,
    }
}

/// The first agent: it may ask for every scope, and gives other agents their first secrets.
fn administrator(
    organisation: OrganisationId, owner: Principal, ctx: &mut Context<'_>,
) -> Result<(Vec<Body>, FirstClient), ContextError> {
    let agent: AgentId = ctx.id()?;
    let email = HandleClaim { namespace: EMAIL_HANDLES.to_owned(), value: ADMINISTRATOR_EMAIL.to_owned() };
    let personal = AgentPersonal {
        email: Some(ADMINISTRATOR_EMAIL.to_owned()),
        owner: Some(ROOT_SLUG.to_owned()),
        ..AgentPersonal::default()
    };
    let registered = AgentRegistered {
        agent,
        organisation,
        owner,
        via: Via::AgentIdp.name().to_owned(),
        name: "administrator".to_owned(),
        handles: vec![handle::kept(&email, ctx)?],
        kind: Some("custom".to_owned()),
        semver: Some("1.0.0".to_owned()),
        capabilities: vec!["agents:manage".to_owned()],
        environment: Environment::Production,
        owner_hash: Some(owner_hash(ROOT_SLUG, ctx)?),
        actions: Vec::new(),
        limit: None,
        accountability: Accountability::default(),
        valid_until: None,
        visibility: Visibility::Tenant,
        disclosure: Disclosure::Verifiable,
        personal: ctx.encrypt(Kind::AgentRegistered, "personal", agent.subject(), &personal)?,
    };
    let key = agent_key::make(agent, ctx)?;
    let (created, client_secret) = client_secret(agent, None, ctx)?;
    let granted = ScopesGranted {
        principal: Principal::Agent(agent),
        scopes: AGENTIDP.iter().filter(|scope| !scope.is_core).map(|scope| scope.text.to_owned()).collect(),
        administrator: true,
    };
    let events = vec![registered.into(), key.into(), created.into(), granted.into()];
    Ok((events, FirstClient { client_id: agent, client_secret }))
}

/// The owner is a member from the start; who that is, nobody has said yet.
fn owner_joins(member: MemberId, ctx: &mut Context<'_>) -> Result<Vec<Body>, ContextError> {
    let personal = MemberPersonal { email: OWNER_EMAIL.to_owned(), name: None };
    let invited = MemberInvited {
        member,
        email_hash: ctx.keyed_hash("member email", OWNER_EMAIL)?,
        personal: ctx.encrypt(Kind::MemberInvited, "personal", member.subject(), &personal)?,
        role: MemberRole::Owner,
        expires: None,
    };
    Ok(vec![invited.into(), MemberJoined { member }.into()])
}
