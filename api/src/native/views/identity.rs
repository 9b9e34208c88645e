//! `/v1/identity`: who there is.

use chancery_ledger::body::ledger::Purpose;
use chancery_ledger::ids::{TenantId, ThingKind};
use chancery_ledger::keys::PublicKey;
use chancery_ledger::tree::verifier_key::{CosignerKey, VerifierKey};
use chancery_projections::identity::state::AgentStatus;
use chancery_projections::identity::view::{
    self, AgentFilter, AgentView, CertificateView, ChallengeView, CredentialFilter, CredentialView, LedgerView,
    MemberView, MembershipView, OrganisationView, PublicKeyView, TenantView,
};
use chancery_projections::rejection::Rejection;
use chancery_projections::view::Page;
use schemars::JsonSchema;
use serde::Serialize;

use super::{get, list, one, page, versioned};
use crate::native::call::Call;
use crate::native::operation::{Form, Operation, path, query};
use crate::problem::Problem;
use crate::response::Response;

/// A public key.
#[derive(Debug, Serialize, JsonSchema)]
pub struct KeyView {
    /// The key.
    #[serde(flatten)]
    pub key: PublicKeyView,
    /// Of a key that seals the log, or cosigns others: what verifiers trust, as a C2SP verifier key.
    pub verifier_key: Option<String>,
}

/// `GET /v1/identity/ledger`.
pub const LEDGER: Operation =
    get!("getLedger", "The ledger: its origin and the key that seals it.", LedgerRead, [], LedgerView, ledger);

/// `GET /v1/identity/keys`.
pub const KEYS: Operation = list!(
    "listKeys",
    "Public keys of the tenant, or of the ledger itself: retired ones too.",
    LedgerRead,
    [query(
        "of",
        Form::OneOf(|| vec!["tenant", "ledger"]),
        "Whose: the tenant's, which is the default, or the ledger's."
    )],
    KeyView,
    keys
);

/// `GET /v1/identity/tenants`.
pub const TENANTS: Operation =
    list!("listTenants", "All tenants. For principals of the root tenant.", TenantsList, [], TenantView, tenants);

/// `GET /v1/identity/tenants/{tenant}`.
pub const TENANT: Operation = get!(
    "getTenant",
    "A tenant. For principals of the root tenant.",
    TenantsList,
    [path("tenant", Form::Id(ThingKind::Tenant), "The tenant's id.")],
    TenantView,
    tenant
);

/// `GET /v1/identity/organisations`.
pub const ORGANISATIONS: Operation = list!(
    "listOrganisations",
    "The tenant's organisations.",
    OrganisationsRead,
    [query("slug", Form::Text { max: 64 }, "Only the one of this slug.")],
    OrganisationView,
    organisations
);

/// `GET /v1/identity/organisations/{organisation}`.
pub const ORGANISATION: Operation = get!(
    "getOrganisation",
    "An organisation.",
    OrganisationsRead,
    [path("organisation", Form::Id(ThingKind::Organisation), "The organisation's id.")],
    OrganisationView,
    organisation
);

/// `GET /v1/identity/members`.
pub const MEMBERS: Operation = list!("listMembers", "The tenant's members.", MembersRead, [], MemberView, members);

/// `GET /v1/identity/agents`.
pub const AGENTS: Operation = list!(
    "listAgents",
    "The tenant's agents.",
    AgentsList,
    [
        query("organisation", Form::Id(ThingKind::Organisation), "Only those of this organisation."),
        query(
            "status",
            Form::OneOf(|| vec!["active", "suspended", "decommissioned"]),
            "Only those whose stored status this is; expired agents count as active."
        )
    ],
    AgentView,
    agents
);

/// `GET /v1/identity/agents/{agent}`.
pub const AGENT: Operation = get!(
    "getAgent",
    "An agent.",
    AgentsRead,
    [path("agent", Form::Id(ThingKind::Agent), "The agent's id, in any spelling.")],
    AgentView,
    agent
);

/// `GET /v1/identity/agents/{agent}/certificate`.
pub const CERTIFICATE: Operation = get!(
    "getCertificate",
    "The certificate of an agent's identity key.",
    AgentsRead,
    [path("agent", Form::Id(ThingKind::Agent), "The agent's id, in any spelling.")],
    CertificateView,
    certificate
);

/// `GET /v1/identity/agents/{agent}/credentials`.
pub const CLIENT_SECRETS: Operation = list!(
    "listClientSecrets",
    "The client secrets of an agent: never the secrets themselves.",
    CredentialsList,
    [path("agent", Form::Id(ThingKind::Agent), "The agent's id, in any spelling.")],
    CredentialView,
    client_secrets
);

/// `GET /v1/identity/organisations/{organisation}/members`.
pub const MEMBERSHIPS: Operation = list!(
    "listMemberships",
    "Agents that have roles in an organisation.",
    OrganisationsRead,
    [path("organisation", Form::Id(ThingKind::Organisation), "The organisation's id.")],
    MembershipView,
    memberships
);

/// `GET /v1/identity/credentials`.
pub const CREDENTIALS: Operation = list!(
    "listCredentials",
    "The tenant's credentials, without their secrets.",
    ApiKeysList,
    [query("live", Form::Flag, "Only those that let somebody in now, or only those that do not.")],
    CredentialView,
    credentials
);

/// `GET /v1/identity/credentials/{credential}`.
pub const CREDENTIAL: Operation = get!(
    "getCredential",
    "A credential, without its secret.",
    ApiKeysList,
    [path("credential", Form::Id(ThingKind::Credential), "The credential's id.")],
    CredentialView,
    credential
);

/// `GET /v1/identity/challenges/{challenge}`.
pub const CHALLENGE: Operation = get!(
    "getChallenge",
    "A challenge, and whether it was answered.",
    AgentsRead,
    [path("challenge", Form::Id(ThingKind::Challenge), "The challenge's id.")],
    ChallengeView,
    challenge
);

async fn ledger(call: Call) -> Result<Response, Problem> {
    let (held, now) = call.held().await?;
    one(view::ledger(&held.reading(call.app.opener(), now))?, "ledger")
}

async fn keys(call: Call) -> Result<Response, Problem> {
    let (held, now) = call.held().await?;
    let owner = if call.text("of") == Some("ledger") { TenantId::LEDGER } else { call.tenant()? };
    let found = view::public_keys(&held.reading(call.app.opener(), now), owner, &call.paging()?)?;
    let origin = call.app.engine().origin();
    let items = found.items.into_iter().map(|key| KeyView { verifier_key: verifier_key(origin, &key), key }).collect();
    Ok(page(&Page { items, next: found.next }))
}

/// What verifiers trust, of a key that makes seals, or cosigns other logs' checkpoints.
fn verifier_key(origin: &str, key: &PublicKeyView) -> Option<String> {
    let (name, public) = (origin.to_owned(), PublicKey::from_slice(&key.public.0));
    match key.purpose {
        Purpose::Seal => Some(VerifierKey { origin: name, key: public? }.to_string()),
        Purpose::Witness => Some(CosignerKey { name, key: public? }.to_string()),
        Purpose::OrgCa | Purpose::JwtEddsa | Purpose::JwtRs256 => None,
    }
}

async fn tenants(call: Call) -> Result<Response, Problem> {
    root(&call)?;
    let (held, now) = call.held().await?;
    Ok(page(&view::tenants(&held.reading(call.app.opener(), now), &call.paging()?)?))
}

async fn tenant(call: Call) -> Result<Response, Problem> {
    root(&call)?;
    let id = call.path_id("tenant")?;
    let (held, now) = call.held().await?;
    versioned(view::tenant(&held.reading(call.app.opener(), now), id)?, "tenant", |tenant| tenant.version)
}

/// A root principal that has entered another tenant is there as one of its own.
fn root(call: &Call) -> Result<(), Problem> {
    if call.principal()?.sees_ledger() { Ok(()) } else { Err(Rejection::NotRoot.into()) }
}

async fn organisations(call: Call) -> Result<Response, Problem> {
    let (held, now) = call.held().await?;
    let reading = held.reading(call.app.opener(), now);
    let tenant = call.tenant()?;
    let found = match call.text("slug") {
        Some(slug) => {
            let items = view::organisation_by_slug(&reading, tenant, slug)?.into_iter().collect();
            Page { items, next: None }
        }
        None => view::organisations(&reading, tenant, &call.paging()?)?,
    };
    Ok(page(&found))
}

async fn organisation(call: Call) -> Result<Response, Problem> {
    let (id, tenant) = (call.path_id("organisation")?, call.tenant()?);
    let (held, now) = call.held().await?;
    let found = view::organisation(&held.reading(call.app.opener(), now), tenant, id)?;
    versioned(found, "organisation", |organisation| organisation.version)
}

async fn members(call: Call) -> Result<Response, Problem> {
    let (held, now) = call.held().await?;
    Ok(page(&view::members(&held.reading(call.app.opener(), now), call.tenant()?, &call.paging()?)?))
}

async fn agents(call: Call) -> Result<Response, Problem> {
    let (held, now) = call.held().await?;
    let status = call.text("status").and_then(|text| match text {
        "active" => Some(AgentStatus::Active),
        "suspended" => Some(AgentStatus::Suspended),
        "decommissioned" => Some(AgentStatus::Decommissioned),
        _ => None,
    });
    let filter = AgentFilter { organisation: call.id("organisation"), status };
    let reading = held.reading(call.app.opener(), now);
    Ok(page(&view::agents(&reading, call.tenant()?, filter, &call.paging()?)?))
}

async fn agent(call: Call) -> Result<Response, Problem> {
    let (id, tenant) = (call.path_id("agent")?, call.tenant()?);
    let (held, now) = call.held().await?;
    versioned(view::agent(&held.reading(call.app.opener(), now), tenant, id)?, "agent", |agent| agent.version)
}

async fn certificate(call: Call) -> Result<Response, Problem> {
    let (id, tenant) = (call.path_id("agent")?, call.tenant()?);
    let (held, now) = call.held().await?;
    one(view::certificate(&held.reading(call.app.opener(), now), tenant, id)?, "certificate")
}

async fn credentials(call: Call) -> Result<Response, Problem> {
    let (held, now) = call.held().await?;
    let filter = CredentialFilter { principal: None, live: call.flag("live") };
    let reading = held.reading(call.app.opener(), now);
    Ok(page(&view::credentials(&reading, call.tenant()?, &filter, &call.paging()?)?))
}

async fn client_secrets(call: Call) -> Result<Response, Problem> {
    let (id, tenant) = (call.path_id("agent")?, call.tenant()?);
    let (held, now) = call.held().await?;
    Ok(page(&view::client_secrets(&held.reading(call.app.opener(), now), tenant, id, &call.paging()?)?))
}

async fn memberships(call: Call) -> Result<Response, Problem> {
    let (id, tenant) = (call.path_id("organisation")?, call.tenant()?);
    let (held, now) = call.held().await?;
    Ok(page(&view::memberships(&held.reading(call.app.opener(), now), tenant, id, &call.paging()?)?))
}

async fn credential(call: Call) -> Result<Response, Problem> {
    let (id, tenant) = (call.path_id("credential")?, call.tenant()?);
    let (held, now) = call.held().await?;
    let found = view::credential(&held.reading(call.app.opener(), now), tenant, id)?;
    versioned(found, "credential", |credential| credential.version)
}

async fn challenge(call: Call) -> Result<Response, Problem> {
    let (id, tenant) = (call.path_id("challenge")?, call.tenant()?);
    let (held, now) = call.held().await?;
    let found = view::challenge(&held.reading(call.app.opener(), now), tenant, id)?;
    versioned(found, "challenge", |challenge| challenge.version)
}
