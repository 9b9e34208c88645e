//! Tiers: what the caller's organisation may use, and what of it is used.

use chancery_projections::identity::state::{AGENTS_BY_ORGANISATION, IDLE_IN_ORGANISATION, ORGANISATIONS, TENANTS};
use chancery_projections::rows::RowsError;
use chancery_projections::tier::{AGENTS, CALLS_PER_DAY, TOKENS_PER_DAY, TOKENS_PER_MONTH, Tier, quota};
use chancery_projections::token::usage::{Day, issued_on};
use hyper::StatusCode;

use super::account::Account;
use super::call::{Call, ok};
use super::error::Failure;
use super::fields::Fault;
use super::wire::tiers::{Limits, TierStatus, Usage};
use crate::response::Response;

/// `GET /tiers/status`.
pub(super) async fn status(call: Call) -> Result<Response, Failure> {
    let held = call.hold().await?;
    let (reading, id) = (call.reading(&held), call.tenant()?);
    let account = Account::of(&call, &reading)?;
    let (identity, organisation) = (reading.identity, account.organisation);
    let tenant = TENANTS.get(identity, id)?.ok_or(RowsError::Missing("a tenant"))?;
    let row = ORGANISATIONS.get(identity, organisation)?.ok_or(RowsError::Missing("an organisation"))?;
    // What the organisation may is its own; where nobody said, the tenant's. Either bound holds.
    let limit = |of: &str| {
        let own = quota(row.tier.as_deref().unwrap_or_default(), &row.limits, of);
        [own, quota(&tenant.tier, &tenant.limits, of)].into_iter().flatten().min()
    };
    let ended = IDLE_IN_ORGANISATION.get(identity, organisation)?.unwrap_or_default().decommissioned;
    let answer = TierStatus {
        tier: row.tier.as_deref().unwrap_or(&tenant.tier).to_owned(),
        limits: Limits {
            max_agents: limit(AGENTS),
            max_calls_per_day: limit(CALLS_PER_DAY),
            max_tokens_per_day: limit(TOKENS_PER_DAY),
            max_tokens_per_month: limit(TOKENS_PER_MONTH),
        },
        usage: Usage {
            agent_count: AGENTS_BY_ORGANISATION.len(identity, organisation)?.saturating_sub(ended),
            calls_today: call.app.rates().calls_today(id, reading.now),
            tokens_today: issued_on(reading.token, organisation, Day::of(reading.now))?,
        },
    };
    Ok(ok(&answer))
}

/// `POST /tiers/upgrade`. Who runs this server sets its tiers; there is nobody to pay.
pub(super) async fn upgrade(mut call: Call) -> Result<Response, Failure> {
    let fields = call.json().await?;
    let tiers = Tier::ALL.map(|tier| (tier.name(), tier));
    let target = fields.one_of("targetTier", &tiers)?.ok_or_else(|| Fault::missing("targetTier"))?;
    let message = format!(
        "this server sells nothing; its operator can change the tier to `{}` (UpdateTenant, UpdateOrganisation)",
        target.name()
    );
    Err(Failure::coded(StatusCode::NOT_IMPLEMENTED, "NOT_IMPLEMENTED", message))
}
