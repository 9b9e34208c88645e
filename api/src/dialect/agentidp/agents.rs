//! The registry of agents: rows 1 to 5 of the contract.

use std::ops::RangeInclusive;

use chancery_ledger::body::identity::{Disclosure, EndCause, Visibility};
use chancery_ledger::ids::{AgentId, OrganisationId};
use chancery_projections::command::{
    AgentProfile, DecommissionAgent, HandleClaim, KeyChoice, OrganisationRef, RegisterAgent, UpdateAgent, Via,
};
use chancery_projections::identity::decide::handle::EMAIL_HANDLES;
use chancery_projections::identity::view::{self, AgentSearch, AgentView, KindSearch};
use chancery_projections::output::Output;
use chancery_projections::rejection::Rejection;

use super::call::{Call, created, no_content, ok, page, unexpected};
use super::error::Failure;
use super::fields::{Fault, Fields};
use super::wire::Page;
use super::wire::agents::{Agent, CUSTOM, ENVIRONMENTS, STATUSES, TYPES, is_capability};
use crate::problem::Problem;
use crate::response::Response;

/// Characters of an owner.
const OWNER: RangeInclusive<usize> = 1..=128;
/// Characters of a version.
const VERSION: RangeInclusive<usize> = 1..=64;
/// What a registration fixes for good, or the server sets.
const FIXED: &[&str] = &["agentId", "email", "createdAt", "updatedAt", "organization_id", "organizationId", "did"];

pub(super) async fn register(mut call: Call) -> Result<Response, Failure> {
    let fields = call.json().await?;
    let command = registration(&fields)?;
    let agent = match call.submit(command).await {
        Ok(Output::Registered(registered)) => registered.agent.agent,
        Ok(_) => return Err(unexpected()),
        // The organisation is a field here and no path.
        Err(Failure::Problem(Problem::Rejected(
            Rejection::NotFound { thing: "organisation" } | Rejection::OrganisationDeleted,
        ))) => return Err(Fault::new("organization_id", "is no organization of yours").into()),
        Err(failure) => return Err(failure),
    };
    Ok(created(&read(&call, agent).await?))
}

fn registration(fields: &Fields) -> Result<RegisterAgent, Fault> {
    let email = email(fields)?;
    let kind = agent_type(fields)?.ok_or_else(|| Fault::missing("agentType"))?;
    let semver = version(fields)?.ok_or_else(|| Fault::missing("version"))?;
    let capabilities = capabilities(fields)?.ok_or_else(|| Fault::missing("capabilities"))?;
    let owner = fields.required("owner", OWNER)?.to_owned();
    let environment = fields.one_of("deploymentEnv", ENVIRONMENTS)?.ok_or_else(|| Fault::missing("deploymentEnv"))?;
    let organisation: Option<OrganisationId> = match fields.id("organization_id")? {
        Some(id) => Some(id),
        None => fields.id("organizationId")?,
    };
    let is_public = fields.flag("isPublic")?.unwrap_or(false);
    Ok(RegisterAgent {
        organisation: organisation.map(OrganisationRef::Id),
        // What stands before the `@` names the machine; the address as a whole can concern a person.
        name: email.split('@').next().unwrap_or_default().to_owned(),
        handles: vec![HandleClaim { namespace: EMAIL_HANDLES.to_owned(), value: email.clone() }],
        profile: AgentProfile { email: Some(email), owner: Some(owner), ..AgentProfile::default() },
        kind: Some(kind.to_owned()),
        semver: Some(semver),
        capabilities,
        environment,
        actions: Vec::new(),
        limit: None,
        key: KeyChoice::None,
        did_key: true,
        valid_until: None,
        valid_days: None,
        visibility: Visibility::Tenant,
        disclosure: disclosure(is_public),
        via: Via::AgentIdp,
    })
}

pub(super) async fn list(call: Call) -> Result<Response, Failure> {
    let query = call.query()?;
    let asked = page(&query, 20, 100)?;
    let status = query.one_of("status", STATUSES)?;
    let kind = agent_type(&query)?.map(|kind| match kind {
        CUSTOM => KindSearch::NoneOf(&TYPES[..TYPES.len() - 1]),
        kind => KindSearch::Is(kind),
    });
    let search = AgentSearch { status, kind, owner: query.text("owner", OWNER)? };
    let held = call.hold().await?;
    let (reading, tenant) = (call.reading(&held), call.tenant()?);
    // Several conditions can take a walk through many agents.
    let found = tokio::task::block_in_place(|| view::agents_found(&reading, tenant, search, asked))?;
    let (default, host) = (call.default_organisation(&reading)?, call.host());
    Ok(ok(&Page::of(asked, found, |agent| Agent::of(agent, default, &host))))
}

pub(super) async fn get(call: Call) -> Result<Response, Failure> {
    Ok(ok(&read(&call, call.id("agentId")).await?))
}

pub(super) async fn update(mut call: Call) -> Result<Response, Failure> {
    let agent: AgentId = call.id("agentId");
    let command = change(agent, &call.json().await?)?;
    call.submit(command).await?;
    Ok(ok(&read(&call, agent).await?))
}

fn change(agent: AgentId, fields: &Fields) -> Result<UpdateAgent, Fault> {
    if let Some(field) = FIXED.iter().find(|fixed| fields.names().any(|name| name == **fixed)) {
        return Err(Fault::new(field, "cannot be changed"));
    }
    let command = UpdateAgent {
        agent,
        name: None,
        semver: version(fields)?.map(Some),
        kind: agent_type(fields)?.map(|kind| Some(kind.to_owned())),
        capabilities: capabilities(fields)?,
        environment: fields.one_of("deploymentEnv", ENVIRONMENTS)?,
        actions: None,
        limit: None,
        profile: None,
        owner: fields.text("owner", OWNER)?.map(str::to_owned),
        disclosure: fields.flag("isPublic")?.map(disclosure),
        status: fields.one_of("status", STATUSES)?,
    };
    let is_empty = command.semver.is_none()
        && command.kind.is_none()
        && command.capabilities.is_none()
        && command.environment.is_none()
        && command.owner.is_none()
        && command.disclosure.is_none()
        && command.status.is_none();
    if is_empty { Err(Fault::new("body", "must have something to change")) } else { Ok(command) }
}

pub(super) async fn decommission(call: Call) -> Result<Response, Failure> {
    let agent = call.id("agentId");
    call.submit(DecommissionAgent { agent, cause: EndCause::Decommissioned, by: None, reason: None }).await?;
    Ok(no_content())
}

/// The agent as everybody who asks sees it.
async fn read(call: &Call, id: AgentId) -> Result<Agent, Failure> {
    let held = call.hold().await?;
    let reading = call.reading(&held);
    let agent: AgentView =
        view::agent(&reading, call.tenant()?, id)?.ok_or(Problem::Rejected(Rejection::NotFound { thing: "agent" }))?;
    Ok(Agent::of(agent, call.default_organisation(&reading)?, &call.host()))
}

const fn disclosure(is_public: bool) -> Disclosure {
    if is_public { Disclosure::Listed } else { Disclosure::Verifiable }
}

fn email(fields: &Fields) -> Result<String, Fault> {
    let text = fields.required("email", 3..=255)?;
    if is_email(text) { Ok(text.to_owned()) } else { Err(Fault::new("email", "must be an e-mail address")) }
}

/// A local part and a name of at least two labels; not every address that RFC 5321 allows, and none that no server takes.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let is_local = |byte: u8| byte.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&byte);
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    (1..=64).contains(&local.len())
        && local.bytes().all(is_local)
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
        && domain.contains('.')
        && domain.split('.').all(is_label)
}

fn agent_type(fields: &Fields) -> Result<Option<&'static str>, Fault> {
    let words: Vec<(&str, &'static str)> = TYPES.iter().map(|word| (*word, *word)).collect();
    fields.one_of("agentType", &words)
}

fn version(fields: &Fields) -> Result<Option<String>, Fault> {
    let Some(text) = fields.text("version", VERSION)? else { return Ok(None) };
    if is_version(text) {
        Ok(Some(text.to_owned()))
    } else {
        Err(Fault::new("version", "must be a semantic version, for example 1.4.0 or 2.0.0-rc.1"))
    }
}

/// Semantic Versioning 2.0.0, without build metadata.
fn is_version(text: &str) -> bool {
    let (core, pre) = text.split_once('-').map_or((text, None), |(core, pre)| (core, Some(pre)));
    let is_number = |part: &str| {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        digits && (part == "0" || !part.starts_with('0'))
    };
    let is_identifier = |part: &str| {
        let fits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        fits && (is_number(part) || !part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let parts: Vec<&str> = core.split('.').collect();
    parts.len() == 3 && parts.into_iter().all(is_number) && pre.is_none_or(|pre| pre.split('.').all(is_identifier))
}

fn capabilities(fields: &Fields) -> Result<Option<Vec<String>>, Fault> {
    let found = fields.texts("capabilities", 1..=64, 1..=128)?;
    let is_wrong = |list: &Vec<String>| list.iter().any(|text| !is_capability(text));
    if found.as_ref().is_some_and(is_wrong) {
        return Err(Fault::new("capabilities", "must be like `resource:action` or `resource`, in lower case"));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Fields {
        Fields::json(json.as_bytes()).unwrap()
    }

    const GOOD: &str = r#"{"email":"Screener-001@acme.example","agentType":"screener","version":"1.2.0-rc.1",
        "capabilities":["resume:read","text-classification"],"owner":"talent","deploymentEnv":"staging"}"#;

    #[test]
    fn a_registration_is_a_native_one() {
        let command = registration(&fields(GOOD)).unwrap();
        assert_eq!((command.name.as_str(), command.kind.as_deref()), ("Screener-001", Some("screener")));
        assert_eq!(command.handles[0].value, "Screener-001@acme.example");
        assert!(command.did_key && command.disclosure == Disclosure::Verifiable && command.organisation.is_none());
        let public = GOOD.replace("\"owner\"", "\"isPublic\":true,\"owner\"");
        assert_eq!(registration(&fields(&public)).unwrap().disclosure, Disclosure::Listed);
        for organisation in ["organization_id", "organizationId"] {
            let id = "01932c07-209c-7c3a-9f1e-5b6d7e8f9a0b";
            let json = GOOD.replace("\"owner\"", &format!("\"{organisation}\":\"{id}\",\"owner\""));
            assert!(registration(&fields(&json)).unwrap().organisation.is_some());
        }
    }

    #[test]
    fn what_is_wrong_with_a_registration_is_named() {
        let wrong = |from: &str, to: &str| registration(&fields(&GOOD.replace(from, to))).unwrap_err().field;
        assert_eq!(wrong("Screener-001@acme.example", "no address"), "email");
        assert_eq!(wrong("\"screener\"", "\"butler\""), "agentType");
        assert_eq!(wrong("1.2.0-rc.1", "1.2"), "version");
        assert_eq!(wrong("resume:read", "Resume:Read"), "capabilities");
        assert_eq!(wrong("\"talent\"", "\"\""), "owner");
        assert_eq!(wrong("\"talent\"", "7"), "owner");
        assert_eq!(wrong("staging", "moon"), "deploymentEnv");
        assert_eq!(wrong("\"owner\"", "\"organization_id\":\"acme\",\"owner\""), "organization_id");
        for field in ["email", "agentType", "version", "capabilities", "owner", "deploymentEnv"] {
            assert_eq!(wrong(&format!("\"{field}\""), "\"else\""), field);
        }
    }

    #[test]
    fn addresses_and_versions() {
        for good in ["a@b.co", "first.last+tag@sub.acme.example"] {
            assert!(is_email(good), "{good}");
        }
        for bad in ["", "a", "a@b", "@b.co", "a@", "a b@c.de", ".a@b.co", "a..b@c.de", "a@-b.co", "a@b..co", "ä@b.co"]
        {
            assert!(!is_email(bad), "{bad}");
        }
        for good in ["0.0.0", "1.2.3", "1.0.0-alpha.1", "1.0.0-x-y-z"] {
            assert!(is_version(good), "{good}");
        }
        for bad in ["", "1", "1.2", "1.2.3.4", "01.2.3", "v1.2.3", "1.2.3-", "1.2.3-a..b", "1.2.3-01", "1.2.3+build"] {
            assert!(!is_version(bad), "{bad}");
        }
    }

    #[test]
    fn a_change_needs_something_that_can_change() {
        let agent = AgentId(uuid::Uuid::max());
        let wrong = |json: &str| change(agent, &fields(json)).unwrap_err().field;
        assert_eq!(wrong("{}"), "body");
        assert_eq!(wrong(r#"{"unknown":1}"#), "body");
        assert_eq!(wrong(r#"{"version":"1.0.1","email":"x@y.zz"}"#), "email");
        assert_eq!(wrong(r#"{"agentId":null}"#), "agentId");
        assert_eq!(wrong(r#"{"createdAt":"2026-01-01T00:00:00Z"}"#), "createdAt");
        assert_eq!(wrong(r#"{"status":"asleep"}"#), "status");
        let command = change(agent, &fields(r#"{"status":"suspended","owner":"ops"}"#)).unwrap();
        assert_eq!((command.owner.as_deref(), command.status.is_some()), (Some("ops"), true));
    }
}
