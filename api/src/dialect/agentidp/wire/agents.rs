//! Agents.

use chancery_ledger::body::identity::{AgentPersonal, Disclosure, Environment};
use chancery_ledger::ids::{AgentId, OrganisationId, ThingId as _, render_typeid};
use chancery_projections::identity::state::AgentStatus;
use chancery_projections::identity::view::AgentView;
use serde::Serialize;

use super::Time;

/// The sorts of agents (contract section 5); an agent of none of them is `custom`.
pub const TYPES: &[&str] =
    &["screener", "classifier", "orchestrator", "extractor", "summarizer", "router", "monitor", CUSTOM];
/// The sort of what has none of the others.
pub const CUSTOM: &str = "custom";
/// Where agents run.
pub const ENVIRONMENTS: &[(&str, Environment)] = &[
    ("development", Environment::Development),
    ("staging", Environment::Staging),
    ("production", Environment::Production),
];
/// Statuses of agents.
pub const STATUSES: &[(&str, AgentStatus)] = &[
    ("active", AgentStatus::Active),
    ("suspended", AgentStatus::Suspended),
    ("decommissioned", AgentStatus::Decommissioned),
];
/// The version of an agent that has none.
pub const VERSION: &str = "1.0.0";

/// An agent (contract section 5).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Agent {
    /// Its id, and its OAuth 2.0 client id.
    pub agent_id: AgentId,
    /// Its e-mail address.
    pub email: String,
    /// Its sort.
    pub agent_type: &'static str,
    /// Its version.
    pub version: String,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// Who is responsible for it.
    pub owner: String,
    /// Where it runs.
    pub deployment_env: &'static str,
    /// Its status.
    pub status: &'static str,
    /// Since when.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
    /// Its organisation; `null` for the default one.
    pub organization_id: Option<OrganisationId>,
    /// Its decentralised identifier.
    pub did: String,
    /// Whether it is listed in the marketplace.
    pub is_public: bool,
}

impl Agent {
    /// An agent as its view has it. What it never said of itself shows as contract and model have it.
    #[must_use]
    pub fn of(agent: AgentView, default_organisation: Option<OrganisationId>, host: &str) -> Self {
        let profile = agent.profile.as_ref();
        Self {
            agent_id: agent.id,
            email: email(agent.id, profile),
            agent_type: agent_type(agent.kind.as_deref()),
            version: agent.semver.unwrap_or_else(|| VERSION.to_owned()),
            capabilities: capabilities(&agent.capabilities, &agent.actions),
            owner: profile.and_then(|it| it.owner.clone()).unwrap_or(agent.organisation_slug),
            deployment_env: environment(agent.environment),
            status: status(agent.status, agent.unusable_because),
            created_at: Time(agent.created),
            updated_at: Time(agent.updated),
            organization_id: Some(agent.organisation).filter(|id| Some(*id) != default_organisation),
            did: did(host, agent.id),
            is_public: agent.disclosure == Disclosure::Listed,
        }
    }
}

/// An agent's e-mail address; one that has none, or whose was erased, has one that no mail reaches (RFC 2606).
#[must_use]
pub fn email(agent: AgentId, profile: Option<&AgentPersonal>) -> String {
    let known = profile.and_then(|profile| profile.email.clone());
    known.unwrap_or_else(|| {
        let text = render_typeid("a", agent.uuid());
        format!("{}@agents.invalid", &text["a_".len()..])
    })
}

/// The sort that an agent shows.
#[must_use]
pub fn agent_type(kind: Option<&str>) -> &'static str {
    TYPES.iter().find(|known| Some(**known) == kind).copied().unwrap_or(CUSTOM)
}

/// What an agent can do, as far as this vendor can say it; the actions of one that says nothing.
#[must_use]
pub fn capabilities(capabilities: &[String], actions: &[String]) -> Vec<String> {
    let said = |list: &[String]| list.iter().filter(|text| is_capability(text)).cloned().collect::<Vec<_>>();
    let found = said(capabilities);
    if found.is_empty() { said(actions) } else { found }
}

/// `resource`, or `resource:action`: `^[a-z0-9_-]+(:[a-z0-9_*-]+)?$`.
#[must_use]
pub fn is_capability(text: &str) -> bool {
    let is_word = |word: &str, more: &[u8]| {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || more.contains(&byte);
        !word.is_empty() && word.bytes().all(fits)
    };
    match text.split_once(':') {
        Some((resource, action)) => is_word(resource, b"_-") && is_word(action, b"_*-"),
        None => is_word(text, b"_-"),
    }
}

/// The environment's word.
#[must_use]
pub fn environment(environment: Environment) -> &'static str {
    ENVIRONMENTS.iter().find(|(_, known)| *known == environment).map_or("production", |(word, _)| word)
}

/// The status that an agent shows: one past its time is as one that is suspended.
#[must_use]
pub fn status(status: AgentStatus, unusable_because: Option<&str>) -> &'static str {
    match (status, unusable_because) {
        (AgentStatus::Active, Some("expired")) | (AgentStatus::Suspended, _) => "suspended",
        (AgentStatus::Active, _) => "active",
        (AgentStatus::Decommissioned, _) => "decommissioned",
    }
}

/// An agent's decentralised identifier on a host, whose port's colon is percent-encoded (did:web, section 3).
#[must_use]
pub fn did(host: &str, agent: AgentId) -> String {
    format!("did:web:{}:agents:{agent}", host.replace(':', "%3A"))
}

#[cfg(test)]
mod tests {
    use chancery_ledger::ids::uuid_v7;

    use super::*;

    #[test]
    fn capabilities_are_words_or_pairs_of_words() {
        for good in ["text-classification", "resume:read", "agents:*", "a_b:c-*", "0"] {
            assert!(is_capability(good), "{good}");
        }
        for bad in ["", ":", "a:", ":b", "A:read", "a:b:c", "a b", "*:read", "é"] {
            assert!(!is_capability(bad), "{bad}");
        }
    }

    #[test]
    fn what_was_never_said_shows_as_the_model_has_it() {
        let agent = AgentId(uuid_v7(1_767_323_045_678, [7; 10]));
        let shown = email(agent, None);
        assert_eq!((shown.len(), shown.ends_with("@agents.invalid")), (26 + "@agents.invalid".len(), true));
        assert_eq!(agent_type(None), "custom");
        assert_eq!(agent_type(Some("router")), "router");
        assert_eq!(capabilities(&["Sweep floors".to_owned()], &["floor:sweep".to_owned()]), ["floor:sweep"]);
        assert_eq!(status(AgentStatus::Active, Some("expired")), "suspended");
        assert_eq!(status(AgentStatus::Active, Some("organisation_not_active")), "active");
        assert_eq!(did("localhost:8420", agent), format!("did:web:localhost%3A8420:agents:{agent}"));
    }
}
