//! The first start: genesis, the root tenant with its owner and first keys, and a second, empty tenant.

use chancery_ledger::actor::{Actor, Principal};
use chancery_ledger::body::identity::{MemberInvited, MemberJoined, MemberPersonal, MemberRole};
use chancery_ledger::body::ledger::{Algorithm, FORMAT, LedgerCreated};
use chancery_ledger::body::{Body, Kind, Prelude};
use chancery_ledger::codec::CodecError;
use chancery_ledger::commit::Numbered;
use chancery_ledger::event::Event;
use chancery_ledger::ids::{LedgerId, MemberId, Seq, TenantId, ThingId, uuid_v7};
use chancery_ledger::keys::PublicKey;
use chancery_ledger::keystore::{NewSecret, Secrets};
use chancery_ledger::time::Micros;
use zeroize::Zeroizing;

use crate::context::{Caller, Context, ContextError, Random};
use crate::decision::Stop;
use crate::identity::decide::credential::MOUNTS;
use crate::identity::decide::tenant;
use crate::scope::Scope;

/// The root tenant's slug.
pub const ROOT_SLUG: &str = "root";
/// The second tenant's slug.
pub const SECOND_SLUG: &str = "second";
/// Stands for the owner's address until somebody takes the ownership over; no mail reaches it (RFC 2606).
const OWNER_EMAIL: &str = "owner@root.invalid";

/// What a first start made, shown once. The log holds hashes of the keys alone.
#[derive(Debug, Clone)]
pub struct FirstStart {
    /// The root tenant's slug.
    pub tenant: String,
    /// A native API key of the root tenant's owner, with every scope, for every mount.
    pub admin_key: Zeroizing<String>,
    /// A bearer key for the OrgKernel dialect, of the same.
    pub orgkernel_token: Zeroizing<String>,
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
    events.extend(tenant::found(root, ROOT_SLUG, "Root", true, None, &mut ctx)?.into_iter().map(own(root)));
    let owner: MemberId = ctx.id()?;
    events.extend(owner_joins(owner, &mut ctx)?.into_iter().map(own(root)));
    let principal = Principal::Member(owner);
    let (key, admin_key) = tenant::api_key(principal.clone(), "first admin key", Scope::ALL, MOUNTS, &mut ctx)?;
    events.push((root, key.into()));
    let (key, orgkernel_token) =
        tenant::api_key(principal, "first OrgKernel key", Scope::ORGKERNEL, &["orgkernel"], &mut ctx)?;
    events.push((root, key.into()));
    let mut made = ctx.into_new_secrets();

    let mut ctx = Context::new(now, second, &caller, random, secrets);
    events.extend(
        tenant::found(second, SECOND_SLUG, "Second", false, Some(root), &mut ctx)?.into_iter().map(own(second)),
    );
    made.extend(ctx.into_new_secrets());

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
    let first_start = FirstStart { tenant: ROOT_SLUG.to_owned(), admin_key, orgkernel_token };
    Ok(Founding { origin, events: numbered, secrets: made, first_start })
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
