//! Organisations.

use chancery_ledger::body::identity::OrganisationRole;
use chancery_ledger::ids::{AgentId, MembershipId, OrganisationId};
use chancery_projections::identity::state::{Membership as Row, Standing};
use chancery_projections::identity::view::OrganisationView;
use chancery_projections::tier::{self, Tier};
use serde::Serialize;

use super::Time;

/// Where organisations stand.
pub const STATUSES: &[(&str, Standing)] =
    &[("active", Standing::Active), ("suspended", Standing::Suspended), ("deleted", Standing::Deleted)];
/// Roles of agents.
pub const ROLES: &[(&str, OrganisationRole)] =
    &[("member", OrganisationRole::Member), ("admin", OrganisationRole::Admin)];
/// Tiers.
pub const TIERS: &[(&str, Tier)] = &[("free", Tier::Free), ("pro", Tier::Pro), ("enterprise", Tier::Enterprise)];

/// An organisation (contract section 11).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Organisation {
    /// Its id.
    pub organization_id: OrganisationId,
    /// Its name for people.
    pub name: String,
    /// Its name in paths.
    pub slug: String,
    /// Its tier, or the tenant's.
    pub plan_tier: &'static str,
    /// Most agents that are not decommissioned; `null` when there is no bound.
    pub max_agents: Option<u64>,
    /// Most tokens of one client in a calendar month, likewise.
    pub max_tokens_per_month: Option<u64>,
    /// Where it stands.
    pub status: &'static str,
    /// Since when.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
}

impl Organisation {
    /// An organisation as its view has it, in a tenant of a tier.
    #[must_use]
    pub fn of(view: OrganisationView, tenants_tier: &str) -> Self {
        let tier = Tier::find(view.tier.as_deref().unwrap_or(tenants_tier)).unwrap_or(Tier::Enterprise);
        let quota = |of| tier::quota(tier.name(), &view.limits, of);
        Self {
            organization_id: view.id,
            plan_tier: tier.name(),
            max_agents: quota(tier::AGENTS),
            max_tokens_per_month: quota(tier::TOKENS_PER_MONTH),
            status: word(STATUSES, view.standing),
            created_at: Time(view.created),
            updated_at: Time(view.updated),
            name: view.name,
            slug: view.slug,
        }
    }
}

/// An agent's role in an organisation.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Membership {
    /// Its id.
    pub member_id: MembershipId,
    /// Where.
    pub organization_id: OrganisationId,
    /// Who.
    pub agent_id: AgentId,
    /// What it may do there.
    pub role: &'static str,
    /// Since when.
    pub joined_at: Time,
}

impl From<Row> for Membership {
    fn from(row: Row) -> Self {
        Self {
            member_id: row.membership,
            organization_id: row.organisation,
            agent_id: row.agent,
            role: word(ROLES, row.role),
            joined_at: Time(row.joined),
        }
    }
}

fn word<T: PartialEq>(words: &'static [(&'static str, T)], value: T) -> &'static str {
    words.iter().find(|(_, known)| *known == value).map_or("", |(word, _)| word)
}
