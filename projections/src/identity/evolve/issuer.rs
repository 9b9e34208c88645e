//! Issuers and their rules.

use chancery_ledger::body::issuer::{IssuerRemoved, IssuerRuleAdded, IssuerRuleRemoved, IssuerTrusted, IssuerUpdated};
use chancery_ledger::event::Event;

use super::assign;
use crate::identity::state::{
    ISSUER_LIST, ISSUER_RULE_LIST, ISSUER_RULES, ISSUERS, ISSUERS_BY_ISS, Issuer, IssuerRule, KEPT_ISSUER_RULES,
    KEPT_ISSUERS, RULES_OF_AGENT, RULES_OF_REPOSITORY, TENANTS_OF_REPOSITORY, repository_key,
};
use crate::rows::{RowsError, RowsMut};
use chancery_ledger::time::Micros;

pub(super) fn trusted(rows: &mut dyn RowsMut, event: &Event, it: &IssuerTrusted) -> Result<(), RowsError> {
    let ordinal = ISSUER_LIST.append(rows, event.tenant, &it.issuer)?;
    KEPT_ISSUERS.enter(rows, event.tenant, ordinal, ordinal, Micros::MAX)?;
    let issuer = Issuer {
        issuer: it.issuer,
        tenant: event.tenant,
        ordinal,
        name: it.name.clone(),
        iss: it.iss.clone(),
        jwks_uri: it.jwks_uri.clone(),
        organisations: it.organisations.clone(),
        suspended: false,
        expires: it.expires,
        removed: None,
        created: event.time,
        updated: event.time,
    };
    ISSUERS.put(rows, it.issuer, &issuer)?;
    ISSUERS_BY_ISS.put(rows, (event.tenant, it.iss.as_str()), &it.issuer)
}

pub(super) fn updated(rows: &mut dyn RowsMut, event: &Event, it: &IssuerUpdated) -> Result<(), RowsError> {
    ISSUERS.update(rows, it.issuer, "an issuer", |issuer| {
        for (field, value) in &it.changes {
            match field.as_str() {
                "name" => assign(&mut issuer.name, value.as_str()),
                "jwks_uri" => assign(&mut issuer.jwks_uri, value.as_str()),
                "organisations" => assign(&mut issuer.organisations, value.as_str()),
                "expires" => assign(&mut issuer.expires, value.as_str()),
                "suspended" => assign(&mut issuer.suspended, value.as_str()),
                _ => {}
            }
        }
        issuer.updated = event.time;
    })?;
    Ok(())
}

pub(super) fn removed(rows: &mut dyn RowsMut, event: &Event, it: &IssuerRemoved) -> Result<(), RowsError> {
    let issuer = ISSUERS.update(rows, it.issuer, "an issuer", |issuer| {
        issuer.removed = Some(event.time);
        issuer.updated = event.time;
    })?;
    ISSUERS_BY_ISS.delete(rows, (issuer.tenant, issuer.iss.as_str()))?;
    let length = ISSUER_LIST.len(&*rows, issuer.tenant)?;
    KEPT_ISSUERS.leave(rows, issuer.tenant, length, issuer.ordinal)
}

pub(super) fn rule_added(rows: &mut dyn RowsMut, event: &Event, it: &IssuerRuleAdded) -> Result<(), RowsError> {
    let tenant = event.tenant;
    let ordinal = ISSUER_RULE_LIST.append(rows, tenant, &it.rule)?;
    KEPT_ISSUER_RULES.enter(rows, tenant, ordinal, ordinal, Micros::MAX)?;
    let rule = IssuerRule {
        rule: it.rule,
        tenant,
        ordinal,
        provider: it.provider.clone(),
        repository: it.repository.clone(),
        branch: it.branch.clone(),
        agent: it.agent,
        removed: None,
        created: event.time,
        updated: event.time,
    };
    ISSUER_RULES.put(rows, it.rule, &rule)?;
    let repository = repository_key(&it.repository);
    let (provider, repository) = (it.provider.as_str(), repository.as_str());
    let mut of_repository = RULES_OF_REPOSITORY.get(&*rows, (tenant, provider, repository))?.unwrap_or_default();
    of_repository.push(it.rule);
    RULES_OF_REPOSITORY.put(rows, (tenant, provider, repository), &of_repository)?;
    let mut tenants = TENANTS_OF_REPOSITORY.get(&*rows, (provider, repository))?.unwrap_or_default();
    if !tenants.contains(&tenant) {
        tenants.push(tenant);
        TENANTS_OF_REPOSITORY.put(rows, (provider, repository), &tenants)?;
    }
    let mut of_agent = RULES_OF_AGENT.get(&*rows, it.agent)?.unwrap_or_default();
    of_agent.push(it.rule);
    RULES_OF_AGENT.put(rows, it.agent, &of_agent)
}

pub(super) fn rule_removed(rows: &mut dyn RowsMut, event: &Event, it: &IssuerRuleRemoved) -> Result<(), RowsError> {
    let rule = ISSUER_RULES.update(rows, it.rule, "a rule", |rule| {
        rule.removed = Some(event.time);
        rule.updated = event.time;
    })?;
    let tenant = rule.tenant;
    let length = ISSUER_RULE_LIST.len(&*rows, tenant)?;
    KEPT_ISSUER_RULES.leave(rows, tenant, length, rule.ordinal)?;
    let repository = repository_key(&rule.repository);
    let (provider, repository) = (rule.provider.as_str(), repository.as_str());
    let mut of_repository = RULES_OF_REPOSITORY.get(&*rows, (tenant, provider, repository))?.unwrap_or_default();
    of_repository.retain(|id| *id != it.rule);
    RULES_OF_REPOSITORY.put(rows, (tenant, provider, repository), &of_repository)?;
    if of_repository.is_empty() {
        let mut tenants = TENANTS_OF_REPOSITORY.get(&*rows, (provider, repository))?.unwrap_or_default();
        tenants.retain(|id| *id != tenant);
        TENANTS_OF_REPOSITORY.put(rows, (provider, repository), &tenants)?;
    }
    let mut of_agent = RULES_OF_AGENT.get(&*rows, rule.agent)?.unwrap_or_default();
    of_agent.retain(|id| *id != it.rule);
    RULES_OF_AGENT.put(rows, rule.agent, &of_agent)
}
