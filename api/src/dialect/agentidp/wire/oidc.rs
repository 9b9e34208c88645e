//! Policies that let workflows in as agents (rows 50 to 52).

use chancery_ledger::ids::{AgentId, IssuerRuleId};
use chancery_projections::identity::state::IssuerRule;
use chancery_projections::identity::view::IssuerRuleView;
use serde::Serialize;

use super::Time;

/// A policy.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TrustPolicy {
    id: IssuerRuleId,
    provider: String,
    repository: String,
    branch: Option<String>,
    agent_id: AgentId,
    created_at: Time,
    updated_at: Time,
}

impl TrustPolicy {
    /// A rule, as a view shows it.
    #[must_use]
    pub fn of(rule: IssuerRuleView) -> Self {
        Self {
            id: rule.id,
            provider: rule.provider,
            repository: rule.repository,
            branch: rule.branch,
            agent_id: rule.agent,
            created_at: Time(rule.created),
            updated_at: Time(rule.updated),
        }
    }

    /// A rule, as a command left it.
    #[must_use]
    pub fn left(rule: IssuerRule) -> Self {
        Self {
            id: rule.rule,
            provider: rule.provider,
            repository: rule.repository,
            branch: rule.branch,
            agent_id: rule.agent,
            created_at: Time(rule.created),
            updated_at: Time(rule.updated),
        }
    }
}
