//! Who asks: an API key becomes a principal with scopes, in a tenant, at a mount. Every failure has the same shape.
//!
//! Out of scope: what a principal may do to which thing (the deciders), and how a dialect words a refusal.

use std::sync::Arc;

use chancery_ledger::actor;
use chancery_ledger::actor::{Actor, Method};
use chancery_ledger::body::identity::CredentialKind;
use chancery_ledger::ids::{AgentId, CredentialId, TenantId};
use chancery_ledger::link::Hash;
use chancery_ledger::time::Micros;
use chancery_projections::context::Caller;
use chancery_projections::identity::state::{
    CREDENTIAL_HASHES, CREDENTIALS, Credential, Standing, TENANT_SLUGS, TENANTS, Tenant,
};
use chancery_projections::rejection::Rejection;
use chancery_projections::rows::{Rows, RowsError};
use chancery_projections::scope::Scope;
use hyper::{HeaderMap, header};

use self::access_token::AccessToken;
use crate::limits::TOKEN_BYTES_MAX;
use crate::problem::Problem;

pub mod access_token;
pub mod client;
pub mod known;
pub mod refusals;
pub mod tries;

/// A part of the API that credentials are made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mount {
    /// `/v1` and what stands beside it.
    Native,
    /// `/orgkernel`.
    OrgKernel,
    /// `/agentidp`.
    AgentIdp,
    /// `/alsorn`.
    Alsorn,
}

impl Mount {
    /// Its name, in credentials and events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::OrgKernel => "orgkernel",
            Self::AgentIdp => "agentidp",
            Self::Alsorn => "alsorn",
        }
    }
}

/// Whom a secret stands for, whether or not it lets them in: its credential, and the tenant of that.
#[derive(Debug, Clone)]
pub struct Holder {
    credential: Arc<Credential>,
    home: Arc<Tenant>,
}

/// By what right somebody is let in.
#[derive(Debug, Clone)]
enum Right {
    /// An API key.
    Key(Arc<Credential>),
    /// An OAuth 2.0 client's own proof of itself, which opens the routes that take one, and no others.
    Client(Arc<Client>),
    /// An access token.
    Token(Arc<AccessToken>),
    /// An agent's own signature of the request.
    Signature(Arc<SignedAgent>),
}

/// An OAuth 2.0 client that proved who it is.
#[derive(Debug, Clone)]
pub struct Client {
    /// The agent that it is.
    pub agent: AgentId,
    /// How it proved that.
    pub method: Method,
    /// Its credential, if it was one.
    pub credential: Option<CredentialId>,
}

/// An agent that signed a request.
#[derive(Debug, Clone)]
pub struct SignedAgent {
    /// The agent.
    pub agent: AgentId,
    /// What it may.
    pub allows: Vec<Scope>,
}

/// What a client may do by its own proof of itself (RFC 7009, RFC 7662).
const CLIENT_SCOPES: [Scope; 2] = [Scope::TokensIntrospect, Scope::TokensRevoke];

impl Holder {
    /// Whom the secret of this hash stands for; `None` when for nobody. The look-up is by a hash of 256 bits, so its
    /// time tells nothing of the secret.
    ///
    /// # Errors
    /// [`RowsError`] when the view cannot be read.
    pub fn find(identity: &dyn Rows, secret: Hash) -> Result<Option<Self>, RowsError> {
        let Some(id) = CREDENTIAL_HASHES.get(identity, secret)? else { return Ok(None) };
        let Some(credential) = CREDENTIALS.get(identity, id)? else { return Ok(None) };
        let home = TENANTS.get(identity, credential.tenant)?;
        Ok(home.map(|home| Self { credential: Arc::new(credential), home: Arc::new(home) }))
    }

    /// Lets them in at a mount.
    ///
    /// # Errors
    /// [`Refused`] when the secret opens nothing there now.
    pub fn let_in(self, mount: Mount, now: Micros) -> Result<Principal, Refused> {
        let Self { credential, home } = &self;
        let why = if credential.kind != CredentialKind::ApiKey {
            // A client's secret is for the token routes, which do not take it as a bearer's.
            Refusal::Audience
        } else if credential.revoked.is_some() {
            Refusal::Revoked
        } else if credential.dead(now).is_some() {
            Refusal::Expired
        } else if !credential.audience.iter().any(|name| name == mount.name()) {
            Refusal::Audience
        } else if home.standing != Standing::Active {
            Refusal::TenantSuspended
        } else {
            return Ok(Principal { right: Right::Key(self.credential), home: self.home, acting_in: None });
        };
        Err(Refused { credential: Some((credential.tenant, credential.credential)), why })
    }

    /// Lets them in as the OAuth 2.0 client that they say they are.
    ///
    /// # Errors
    /// [`Refused`] when the secret is not that client's, or good no more.
    pub fn as_client(self, client: AgentId, now: Micros) -> Result<Principal, Refused> {
        let Self { credential, home } = &self;
        if credential.kind != CredentialKind::ClientSecret || credential.principal != actor::Principal::Agent(client) {
            return Err(Refused::UNKNOWN);
        }
        let why = if credential.revoked.is_some() {
            Refusal::Revoked
        } else if credential.dead(now).is_some() {
            Refusal::Expired
        } else if home.standing != Standing::Active {
            Refusal::TenantSuspended
        } else {
            let (credential, home) = (credential.credential, self.home);
            let client = Client { agent: client, method: Method::ClientSecret, credential: Some(credential) };
            return Ok(Principal::of_client(client, home));
        };
        Err(Refused { credential: Some((credential.tenant, credential.credential)), why })
    }
}

/// Who asks.
#[derive(Debug, Clone)]
pub struct Principal {
    right: Right,
    home: Arc<Tenant>,
    acting_in: Option<TenantId>,
}

impl Principal {
    /// The tenant it acts in.
    #[must_use]
    pub fn tenant(&self) -> TenantId {
        self.acting_in.unwrap_or(self.home().tenant)
    }

    /// Whoever an access token that is good stands for.
    #[must_use]
    pub fn of_token(token: Arc<AccessToken>) -> Self {
        Self { home: token.home.clone(), right: Right::Token(token), acting_in: None }
    }

    /// A client that proved who it is.
    #[must_use]
    pub fn of_client(client: Client, home: Arc<Tenant>) -> Self {
        Self { right: Right::Client(Arc::new(client)), home, acting_in: None }
    }

    /// An agent that signed a request.
    #[must_use]
    pub fn of_signature(signed: SignedAgent, home: Arc<Tenant>) -> Self {
        Self { right: Right::Signature(Arc::new(signed)), home, acting_in: None }
    }

    /// The tenant of its credential.
    #[must_use]
    pub fn home(&self) -> &Tenant {
        &self.home
    }

    /// The agent that it is, if it is one.
    #[must_use]
    pub fn agent(&self) -> Option<AgentId> {
        match self.actor() {
            actor::Principal::Agent(agent) => Some(agent),
            _ => None,
        }
    }

    /// The access token that it came with, if it came with one.
    #[must_use]
    pub fn access_token(&self) -> Option<&Arc<AccessToken>> {
        match &self.right {
            Right::Token(token) => Some(token),
            Right::Key(_) | Right::Client(_) | Right::Signature(_) => None,
        }
    }

    /// Who it is, in events.
    #[must_use]
    pub fn actor(&self) -> actor::Principal {
        match &self.right {
            Right::Key(credential) => credential.principal.clone(),
            Right::Client(client) => actor::Principal::Agent(client.agent),
            Right::Signature(signed) => actor::Principal::Agent(signed.agent),
            // Whoever acts by a right that is another's is still itself.
            Right::Token(token) => match token.token.agent {
                Some(agent) => actor::Principal::Agent(agent),
                None => token.token.principal.clone(),
            },
        }
    }

    /// Whether it is one of the root tenant, which administers the others.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.home().root
    }

    /// Whether it sees the ledger's own events: it is of the root tenant, and has not entered another.
    #[must_use]
    pub fn sees_ledger(&self) -> bool {
        self.home().root && self.acting_in.is_none()
    }

    /// Whether its credential has a scope, and its tenant may use it.
    #[must_use]
    pub fn holds(&self, scope: Scope) -> bool {
        let is_held = match &self.right {
            Right::Key(credential) => credential.scopes.iter().any(|held| held == scope.text()),
            Right::Client(_) => CLIENT_SCOPES.contains(&scope),
            Right::Token(token) => token.allows.contains(&scope),
            Right::Signature(signed) => signed.allows.contains(&scope),
        };
        is_held && (self.home().root || !scope.is_root_only())
    }

    /// Insists on a scope.
    ///
    /// # Errors
    /// [`Rejection::ScopeMissing`].
    pub fn require(&self, scope: Scope) -> Result<(), Rejection> {
        if self.holds(scope) { Ok(()) } else { Err(Rejection::ScopeMissing { scope: scope.text() }) }
    }

    /// Whether what it came with reaches the credentials of agents that are not it.
    #[must_use]
    pub fn manages_all_agents(&self) -> bool {
        self.holds(Scope::OrganisationsWrite)
    }

    /// Lets a principal of the root tenant act in another, named by slug or id; in its own it acts anyway.
    ///
    /// # Errors
    /// [`Rejection::NotFound`] when there is no such tenant, or the principal may not know.
    pub fn enter(mut self, identity: &dyn Rows, tenant: &str) -> Result<Self, Problem> {
        let by_slug = TENANT_SLUGS.get(identity, tenant)?;
        let found = by_slug.or_else(|| tenant.parse().ok()).filter(|id| self.home().root || *id == self.home().tenant);
        let found = match found {
            Some(id) => TENANTS.get(identity, id)?,
            None => None,
        };
        let Some(entered) = found else { return Err(Rejection::NotFound { thing: "tenant" }.into()) };
        self.acting_in = (entered.tenant != self.home().tenant).then_some(entered.tenant);
        Ok(self)
    }

    /// Whether its credential and its tenant would let it in now.
    ///
    /// # Errors
    /// [`RowsError`] when the view cannot be read.
    pub fn is_still_good(&self, identity: &dyn Rows, now: Micros) -> Result<bool, RowsError> {
        let is_good = match &self.right {
            Right::Key(credential) => {
                CREDENTIALS.get(identity, credential.credential)?.is_some_and(|it| it.dead(now).is_none())
            }
            // None of them opens what outlasts a request.
            Right::Client(_) | Right::Token(_) | Right::Signature(_) => false,
        };
        let home = TENANTS.get(identity, self.home().tenant)?;
        Ok(is_good && home.is_some_and(|home| home.standing == Standing::Active))
    }

    /// Who sends its commands.
    #[must_use]
    pub fn caller(&self) -> Caller {
        let (method, credential) = match &self.right {
            Right::Key(credential) => (Method::ApiKey, Some(credential.credential)),
            Right::Client(client) => (client.method, client.credential),
            Right::Token(_) => (Method::Token, None),
            Right::Signature(_) => (Method::Signature, None),
        };
        let actor = Actor { principal: self.actor(), method, credential, acting_in: self.acting_in };
        Caller { tenant: self.home().tenant, actor }
    }
}

/// Why a credential is not accepted: for the log; a caller is told less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Nobody has it.
    Unknown,
    /// It was revoked.
    Revoked,
    /// It has lapsed.
    Expired,
    /// It opens other mounts.
    Audience,
    /// Its tenant is suspended or gone.
    TenantSuspended,
    /// Its agent may not act.
    AgentNotUsable,
    /// It is a signature that does not hold.
    Signature,
}

impl Refusal {
    /// Its name in events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Audience => "audience",
            Self::TenantSuspended => "tenant_suspended",
            Self::AgentNotUsable => "agent_not_usable",
            Self::Signature => "signature",
        }
    }

    /// What the caller is told. Only who holds a good key learns that the tenant is suspended.
    #[must_use]
    pub const fn problem(self) -> Problem {
        match self {
            Self::Unknown | Self::Revoked | Self::Expired | Self::Audience | Self::AgentNotUsable | Self::Signature => {
                Problem::Unauthenticated
            }
            Self::TenantSuspended => Problem::Rejected(Rejection::TenantSuspended),
        }
    }
}

/// A credential that is not accepted: whose it is, where that is known, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Refused {
    /// The credential and its tenant.
    pub credential: Option<(TenantId, CredentialId)>,
    /// Why.
    pub why: Refusal,
}

impl Refused {
    /// What stands for nobody.
    pub const UNKNOWN: Self = Self { credential: None, why: Refusal::Unknown };
}

/// The credential that a request presents, of at most so many bytes: `Authorization: Bearer …`, or `X-Api-Key: …`, and only
/// one of them.
#[must_use]
pub fn presented(headers: &HeaderMap, max: usize) -> Option<&str> {
    let bearer = |text: &'_ str| -> Option<usize> {
        let (scheme, _) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(scheme.len() + 1)
    };
    let mut authorizations = headers.get_all(header::AUTHORIZATION).iter();
    let mut keys = headers.get_all("x-api-key").iter();
    let secret = match (authorizations.next(), keys.next()) {
        (Some(value), None) => {
            let text = value.to_str().ok()?;
            text[bearer(text)?..].trim_matches(' ')
        }
        (None, Some(value)) => value.to_str().ok()?,
        _ => return None,
    };
    let only = authorizations.next().is_none() && keys.next().is_none();
    (only && (1..=max).contains(&secret.len())).then_some(secret)
}

/// The access token that a request presents with a proof of possession: `Authorization: DPoP …` (RFC 9449 section 7.1).
#[must_use]
pub fn presented_with_proof(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let text = values.next()?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    let is_only = values.next().is_none() && !headers.contains_key("x-api-key");
    let token = token.trim_matches(' ');
    let fits = (1..=TOKEN_BYTES_MAX).contains(&token.len());
    (is_only && fits && scheme.eq_ignore_ascii_case("dpop")).then_some(token)
}

#[cfg(test)]
mod tests {
    use chancery_ledger::actor;
    use chancery_ledger::body::identity::CredentialKind;
    use chancery_ledger::ids::ThingId as _;
    use hyper::header::HeaderValue;
    use uuid::Uuid;

    use super::*;

    /// Somebody whose secret opens the native mount until the time 100.
    pub(super) fn holder() -> Holder {
        let (tenant, credential) = (TenantId::from_uuid(Uuid::max()), CredentialId::from_uuid(Uuid::max()));
        let credential = Credential {
            credential,
            tenant,
            principal: actor::Principal::Tenant(tenant),
            kind: CredentialKind::ApiKey,
            hash: Hash([1; 32]),
            ordinal: 0,
            name: None,
            scopes: Vec::new(),
            audience: vec![Mount::Native.name().to_owned()],
            expires: Some(Micros(100)),
            revoked: None,
            created: Micros(0),
        };
        let home = Tenant {
            tenant,
            slug: "acme".to_owned(),
            name: "Acme".to_owned(),
            tier: "standard".to_owned(),
            limits: Default::default(),
            root: false,
            standing: Standing::Active,
            default_organisation: None,
            created: Micros(0),
        };
        Holder { credential: Arc::new(credential), home: Arc::new(home) }
    }

    #[test]
    fn a_secret_lets_in_where_and_while_it_is_good() {
        let why = |holder: Holder, mount, now| holder.let_in(mount, Micros(now)).map_err(|refused| refused.why).err();
        assert_eq!(why(holder(), Mount::Native, 100), None);
        assert_eq!(why(holder(), Mount::Native, 101), Some(Refusal::Expired));
        assert_eq!(why(holder(), Mount::OrgKernel, 100), Some(Refusal::Audience));
        let mut revoked = holder();
        Arc::make_mut(&mut revoked.credential).revoked = Some(Micros(50));
        assert_eq!(why(revoked, Mount::Native, 100), Some(Refusal::Revoked));
        let mut suspended = holder();
        Arc::make_mut(&mut suspended.home).standing = Standing::Suspended;
        assert_eq!(why(suspended, Mount::Native, 100), Some(Refusal::TenantSuspended));
    }

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(*name, HeaderValue::from_static(value));
            headers
        })
    }

    #[test]
    fn one_credential_in_one_place_is_presented() {
        let found = |fields| presented(&headers(fields), 256).map(str::to_owned);
        assert_eq!(found(&[("authorization", "Bearer chy_x")]).as_deref(), Some("chy_x"));
        assert_eq!(found(&[("authorization", "bearer   chy_x ")]).as_deref(), Some("chy_x"));
        assert_eq!(found(&[("x-api-key", "chy_x")]).as_deref(), Some("chy_x"));
        assert_eq!(found(&[]), None);
        assert_eq!(found(&[("authorization", "Basic chy_x")]), None);
        assert_eq!(found(&[("authorization", "Bearer")]), None);
        assert_eq!(found(&[("authorization", "Bearer ")]), None);
        assert_eq!(found(&[("authorization", "Bearer a"), ("x-api-key", "a")]), None);
        assert_eq!(found(&[("x-api-key", "a"), ("x-api-key", "a")]), None);
    }
}
