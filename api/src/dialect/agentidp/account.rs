//! The account that a caller is of: its organisation.

use chancery_ledger::actor;
use chancery_ledger::ids::OrganisationId;
use chancery_projections::identity::state::{AGENTS, TENANTS};
use chancery_projections::lane::agentidp::entry::DEFAULT_ORGANISATION;
use chancery_projections::rows::RowsError;
use chancery_projections::view::Reading;

use super::call::Call;
use super::error::Failure;

/// An account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) organisation: OrganisationId,
    /// Whether it is the tenant's default organisation.
    pub(super) is_default: bool,
}

impl Account {
    /// The caller's: an agent's organisation, and of anybody else the tenant's default one.
    pub(super) fn of(call: &Call, reading: &Reading<'_>) -> Result<Self, Failure> {
        let principal = call.principal()?;
        let tenant = TENANTS.get(reading.identity, principal.tenant())?;
        let default = tenant.and_then(|tenant| tenant.default_organisation);
        let agent = match principal.caller().actor.principal {
            actor::Principal::Agent(agent) => AGENTS.get(reading.identity, agent)?,
            _ => None,
        };
        let organisation = agent.map(|agent| agent.organisation).or(default);
        let organisation = organisation.ok_or(RowsError::Missing("a tenant's default organisation"))?;
        Ok(Self { organisation, is_default: default == Some(organisation) })
    }

    /// As the dialect names it.
    pub(super) fn text(&self) -> String {
        if self.is_default { DEFAULT_ORGANISATION.to_owned() } else { self.organisation.to_string() }
    }
}
