//! Organisations: rows 15 to 20 of the contract.

use std::collections::BTreeMap;

use chancery_ledger::ids::OrganisationId;
use chancery_projections::command::{
    AddOrganisationMember, CreateOrganisation, DeleteOrganisation, UpdateOrganisation,
};
use chancery_projections::identity::state::Standing;
use chancery_projections::identity::view::{self, OrganisationView};
use chancery_projections::output::Output;
use chancery_projections::rejection::Rejection;
use chancery_projections::tier;
use chancery_projections::view::Reading;

use super::call::{Call, created, no_content, ok, page, unexpected};
use super::error::Failure;
use super::fields::{Fault, Fields};
use super::wire::Page;
use super::wire::organisations::{Membership, Organisation, ROLES, STATUSES, TIERS};
use crate::problem::Problem;
use crate::response::Response;

/// The greatest quota: what every JSON reader keeps exact.
const QUOTA_MAX: u64 = (1 << 53) - 1;
/// Fields that are quotas, and the quotas' native names.
const QUOTAS: [(&str, &str); 2] = [("maxAgents", tier::AGENTS), ("maxTokensPerMonth", tier::TOKENS_PER_MONTH)];

/// Row 15.
pub(super) async fn create(mut call: Call) -> Result<Response, Failure> {
    let fields = call.json().await?;
    let mut limits = BTreeMap::new();
    for (field, native) in QUOTAS {
        if let Some(limit) = fields.number(field, 0, QUOTA_MAX)? {
            limits.insert(native.to_owned(), limit);
        }
    }
    let command = CreateOrganisation {
        name: fields.required("name", 2..=100)?.to_owned(),
        slug: fields.required("slug", 2..=64)?.to_owned(),
        tier: fields.one_of("planTier", TIERS)?.map(|tier| tier.name().to_owned()),
        limits,
    };
    let Output::Organisation(made) = call.submit(command).await? else { return Err(unexpected()) };
    Ok(created(&read(&call, made.organisation).await?))
}

/// Row 16.
pub(super) async fn list(call: Call) -> Result<Response, Failure> {
    let query = call.query()?;
    let (asked, standing) = (page(&query, 20, 100)?, query.one_of("status", STATUSES)?);
    let held = call.hold().await?;
    let reading = call.reading(&held);
    let found = view::organisations_page(&reading, call.tenant()?, standing, asked)?;
    let tier = tenants_tier(&call, &reading)?;
    Ok(ok(&Page::of(asked, found, |organisation| Organisation::of(organisation, &tier))))
}

/// Row 17.
pub(super) async fn get(call: Call) -> Result<Response, Failure> {
    Ok(ok(&read(&call, call.id("orgId")).await?))
}

/// Row 18.
pub(super) async fn update(mut call: Call) -> Result<Response, Failure> {
    let organisation = call.id("orgId");
    let command = change(organisation, &call.json().await?)?;
    call.submit(command).await?;
    Ok(ok(&read(&call, organisation).await?))
}

fn change(organisation: OrganisationId, fields: &Fields) -> Result<UpdateOrganisation, Fault> {
    let has = |name: &str| fields.names().any(|known| known == name);
    if let Some(field) = ["slug", "organizationId", "createdAt", "updatedAt"].into_iter().find(|name| has(name)) {
        return Err(Fault::new(field, "cannot be changed"));
    }
    let mut limits = BTreeMap::new();
    for (field, native) in QUOTAS {
        if has(field) {
            // `null` gives the quota back to the tier.
            limits.insert(native.to_owned(), fields.number(field, 0, QUOTA_MAX)?);
        }
    }
    let command = UpdateOrganisation {
        organisation,
        name: fields.text("name", 2..=100)?.map(str::to_owned),
        tier: fields.one_of("planTier", TIERS)?.map(|tier| Some(tier.name().to_owned())),
        limits,
        suspended: match fields.one_of("status", STATUSES)? {
            None => None,
            Some(Standing::Active) => Some(false),
            Some(Standing::Suspended) => Some(true),
            Some(Standing::Deleted) => return Err(Fault::new("status", "is set to deleted by DELETE alone")),
        },
    };
    let is_empty =
        command.name.is_none() && command.tier.is_none() && command.limits.is_empty() && command.suspended.is_none();
    if is_empty { Err(Fault::new("body", "must have something to change")) } else { Ok(command) }
}

/// Row 19.
pub(super) async fn remove(call: Call) -> Result<Response, Failure> {
    call.submit(DeleteOrganisation { organisation: call.id("orgId") }).await?;
    Ok(no_content())
}

/// Row 20.
pub(super) async fn join(mut call: Call) -> Result<Response, Failure> {
    let fields = call.json().await?;
    let command = AddOrganisationMember {
        organisation: call.id("orgId"),
        agent: fields.id("agentId")?.ok_or_else(|| Fault::missing("agentId"))?,
        role: fields.one_of("role", ROLES)?.ok_or_else(|| Fault::missing("role"))?,
    };
    match call.submit(command).await? {
        Output::Membership(membership) => Ok(created(&Membership::from(membership))),
        _ => Err(unexpected()),
    }
}

async fn read(call: &Call, id: OrganisationId) -> Result<Organisation, Failure> {
    let held = call.hold().await?;
    let reading = call.reading(&held);
    let found: OrganisationView = view::organisation(&reading, call.tenant()?, id)?
        .ok_or(Problem::Rejected(Rejection::NotFound { thing: "organisation" }))?;
    Ok(Organisation::of(found, &tenants_tier(call, &reading)?))
}

fn tenants_tier(call: &Call, reading: &Reading<'_>) -> Result<String, Failure> {
    Ok(view::tenant(reading, call.tenant()?)?.map_or_else(String::new, |tenant| tenant.tier))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_names_what_is_wrong_with_it() {
        let change = |json: &str| change(OrganisationId(uuid::Uuid::max()), &Fields::json(json.as_bytes()).unwrap());
        for (json, field) in [
            ("{}", "body"),
            (r#"{"slug":"acme"}"#, "slug"),
            (r#"{"name":"A"}"#, "name"),
            (r#"{"planTier":"gold"}"#, "planTier"),
            (r#"{"maxAgents":-1}"#, "maxAgents"),
            (r#"{"maxAgents":1.5}"#, "maxAgents"),
            (r#"{"status":"deleted"}"#, "status"),
        ] {
            assert_eq!(change(json).unwrap_err().field, field, "{json}");
        }
        let command = change(r#"{"maxAgents":null,"maxTokensPerMonth":5,"status":"suspended"}"#).unwrap();
        assert_eq!((command.limits["agents"], command.limits["tokens_per_month"]), (None, Some(5)));
        assert_eq!(command.suspended, Some(true));
    }
}
