//! Issuers whose tokens are believed, and rules that let their subjects in as agents.

use chancery_ledger::body::field::{Changes, JsonText};
use chancery_ledger::body::issuer::{IssuerRemoved, IssuerRuleAdded, IssuerRuleRemoved, IssuerTrusted, IssuerUpdated};
use chancery_ledger::ids::{IssuerId, IssuerRuleId, TenantId};
use chancery_ledger::time::Micros;
use serde::Serialize;

use super::agent;
use super::credential::check_owner;
use crate::check::check_len;
use crate::command::{AddIssuerRule, RemoveIssuer, RemoveIssuerRule, TrustIssuer, UpdateIssuer};
use crate::context::Context;
use crate::decision::{Decided, State, Stop};
use crate::identity::state::{
    AgentStatus, ISSUER_RULES, ISSUERS, ISSUERS_BY_ISS, Issuer, IssuerRule, RULES_OF_AGENT, RULES_OF_REPOSITORY,
    repository_key,
};
use crate::output::Output;
use crate::rejection::Rejection;

/// The sorts of issuers that rules can be about.
pub const PROVIDERS: &[&str] = &["github"];

/// Longest `iss`, in characters: with a subject beside it, it fits into who acts in an event.
const ISS_CHARS_MAX: usize = 255;
/// Longest address of a key set, in characters.
const URI_CHARS_MAX: usize = 2048;
/// Most organisations of one issuer.
const ORGANISATIONS_MAX: usize = 64;
/// Most rules about one repository in one tenant, and of one agent: a log-in looks at each.
const RULES_MAX: usize = 100;

/// An issuer that the tenant knows.
///
/// # Errors
/// [`Rejection::NotFound`] when there is none, or it was removed.
pub fn find(state: &State<'_>, tenant: TenantId, id: IssuerId) -> Result<Issuer, Stop> {
    let found = ISSUERS.get(state.identity, id)?.filter(|it| it.tenant == tenant && it.removed.is_none());
    Ok(found.ok_or(Rejection::NotFound { thing: "issuer" })?)
}

/// Decides [`TrustIssuer`].
///
/// # Errors
/// [`Rejection::IssuerKnown`], [`Rejection::Invalid`].
pub fn trust(state: &State<'_>, command: &TrustIssuer, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    check_len("name", &command.name, 2, 100)?;
    check_uri("iss", &command.iss, ISS_CHARS_MAX)?;
    check_uri("jwks_uri", &command.jwks_uri, URI_CHARS_MAX)?;
    check_organisations(&command.organisations)?;
    check_future(command.expires, ctx.now())?;
    if ISSUERS_BY_ISS.get(state.identity, (ctx.tenant(), command.iss.as_str()))?.is_some() {
        return Err(Rejection::IssuerKnown.into());
    }
    let event = IssuerTrusted {
        issuer: ctx.id()?,
        name: command.name.clone(),
        iss: command.iss.clone(),
        jwks_uri: command.jwks_uri.clone(),
        organisations: command.organisations.clone(),
        expires: command.expires,
    };
    Ok(Decided::facts(ctx.tenant(), vec![event.into()]))
}

/// Decides [`UpdateIssuer`]: what is absent stays.
///
/// # Errors
/// [`Rejection::NotFound`], [`Rejection::Invalid`].
pub fn update(state: &State<'_>, command: &UpdateIssuer, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    let UpdateIssuer { issuer: id, name, jwks_uri, organisations, expires, suspended } = command;
    if let Some(name) = name {
        check_len("name", name, 2, 100)?;
    }
    if let Some(jwks_uri) = jwks_uri {
        check_uri("jwks_uri", jwks_uri, URI_CHARS_MAX)?;
    }
    if let Some(organisations) = organisations {
        check_organisations(organisations)?;
    }
    check_future(expires.flatten(), ctx.now())?;
    let issuer = find(state, ctx.tenant(), *id)?;
    let mut changes = Changes::new();
    change(&mut changes, "name", name.as_ref(), &issuer.name);
    change(&mut changes, "jwks_uri", jwks_uri.as_ref(), &issuer.jwks_uri);
    change(&mut changes, "organisations", organisations.as_ref(), &issuer.organisations);
    change(&mut changes, "expires", expires.as_ref(), &issuer.expires);
    change(&mut changes, "suspended", suspended.as_ref(), &issuer.suspended);
    if changes.is_empty() {
        return Ok(Decided::unchanged(Output::Issuer(Box::new(issuer))));
    }
    Ok(Decided::facts(ctx.tenant(), vec![IssuerUpdated { issuer: *id, changes }.into()]))
}

/// Decides [`RemoveIssuer`].
///
/// # Errors
/// [`Rejection::NotFound`].
pub fn remove(state: &State<'_>, command: &RemoveIssuer, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    let issuer = find(state, ctx.tenant(), command.issuer)?;
    Ok(Decided::facts(ctx.tenant(), vec![IssuerRemoved { issuer: issuer.issuer }.into()]))
}

/// Decides [`AddIssuerRule`]. A rule lets somebody in as an agent, so whoever may not make that agent's credentials may
/// not make its rules.
///
/// # Errors
/// [`Rejection::NotFound`], [`Rejection::NotOwner`], [`Rejection::AgentDecommissioned`], [`Rejection::LimitReached`],
/// [`Rejection::Invalid`].
pub fn add_rule(state: &State<'_>, command: &AddIssuerRule, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    let AddIssuerRule { provider, repository, branch, agent: agent_id, as_administrator } = command;
    check_rule(command)?;
    let agent = agent::find(state, ctx.tenant(), *agent_id)?;
    check_owner(state, &agent, "rule", *as_administrator, ctx)?;
    if agent.status == AgentStatus::Decommissioned {
        return Err(Rejection::AgentDecommissioned.into());
    }
    let of_agent = RULES_OF_AGENT.get(state.identity, *agent_id)?.unwrap_or_default();
    for id in &of_agent {
        let Some(rule) = ISSUER_RULES.get(state.identity, *id)? else { continue };
        let same = rule.provider == *provider && rule.branch == *branch;
        if same && repository_key(&rule.repository) == repository_key(repository) {
            return Ok(Decided::unchanged(Output::IssuerRule(Box::new(rule))));
        }
    }
    let key = repository_key(repository);
    let key = (ctx.tenant(), provider.as_str(), key.as_str());
    let of_repository = RULES_OF_REPOSITORY.get(state.identity, key)?.unwrap_or_default();
    if of_agent.len() >= RULES_MAX {
        return Err(Rejection::LimitReached { limit: "rules of one agent", max: RULES_MAX }.into());
    }
    if of_repository.len() >= RULES_MAX {
        return Err(Rejection::LimitReached { limit: "rules about one repository", max: RULES_MAX }.into());
    }
    let event = IssuerRuleAdded {
        rule: ctx.id()?,
        provider: provider.clone(),
        repository: repository.clone(),
        branch: branch.clone(),
        agent: *agent_id,
    };
    Ok(Decided::facts(ctx.tenant(), vec![event.into()]))
}

/// Decides [`RemoveIssuerRule`].
///
/// # Errors
/// [`Rejection::NotFound`], [`Rejection::NotOwner`].
pub fn remove_rule(state: &State<'_>, command: &RemoveIssuerRule, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    let rule = find_rule(state, ctx.tenant(), command.rule)?;
    let agent = agent::find(state, ctx.tenant(), rule.agent)?;
    check_owner(state, &agent, "rule", command.as_administrator, ctx)?;
    Ok(Decided::facts(ctx.tenant(), vec![IssuerRuleRemoved { rule: rule.rule, agent: rule.agent }.into()]))
}

fn find_rule(state: &State<'_>, tenant: TenantId, id: IssuerRuleId) -> Result<IssuerRule, Stop> {
    let found = ISSUER_RULES.get(state.identity, id)?.filter(|it| it.tenant == tenant && it.removed.is_none());
    Ok(found.ok_or(Rejection::NotFound { thing: "rule" })?)
}

fn check_rule(command: &AddIssuerRule) -> Result<(), Rejection> {
    let invalid = |field, why: &str| Err(Rejection::Invalid { field, why: why.to_owned() });
    if !PROVIDERS.contains(&command.provider.as_str()) {
        let why = format!("must be one of {}", PROVIDERS.join(", "));
        return Err(Rejection::Invalid { field: "provider", why });
    }
    let part = |text: &str| {
        (1..=100).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    };
    if !command.repository.split_once('/').is_some_and(|(owner, name)| part(owner) && part(name)) {
        return invalid("repository", "must be `owner/name`, each of 1 to 100 of A-Z, a-z, 0-9, `.`, `_` and `-`");
    }
    if let Some(branch) = &command.branch {
        check_len("branch", branch, 1, 255)?;
        if branch.chars().any(|character| character.is_control() || character.is_whitespace()) {
            return invalid("branch", "must hold no blanks and no control characters");
        }
    }
    Ok(())
}

fn check_organisations(organisations: &[String]) -> Result<(), Rejection> {
    if organisations.len() > ORGANISATIONS_MAX {
        return Err(Rejection::Invalid { field: "organisations", why: format!("at most {ORGANISATIONS_MAX}") });
    }
    organisations.iter().try_for_each(|organisation| check_len("organisations", organisation, 1, 128))
}

fn check_future(expires: Option<Micros>, now: Micros) -> Result<(), Rejection> {
    match expires {
        Some(expires) if expires <= now => {
            Err(Rejection::Invalid { field: "expires", why: "must lie in the future".into() })
        }
        _ => Ok(()),
    }
}

/// Checks that a text is an absolute URI of the web. Whether it may be called is asked when it is.
fn check_uri(field: &'static str, text: &str, max: usize) -> Result<(), Rejection> {
    check_len(field, text, 1, max)?;
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let has_host = rest.is_some_and(|rest| rest.starts_with(|first: char| first.is_alphanumeric() || first == '['));
    if has_host && !text.contains(|c: char| c.is_control() || c.is_whitespace() || c == '#') {
        return Ok(());
    }
    Err(Rejection::Invalid {
        field,
        why: "must be an absolute URI that starts with https://, without a fragment".into(),
    })
}

fn change<T: PartialEq + Serialize>(changes: &mut Changes, field: &str, wanted: Option<&T>, is: &T) {
    if let Some(wanted) = wanted.filter(|wanted| *wanted != is) {
        // Texts, lists of texts, times and flags always have JSON.
        let json = serde_json::to_string(wanted).map_or_else(|_| JsonText::null(), JsonText);
        changes.insert(field.to_owned(), json);
    }
}
