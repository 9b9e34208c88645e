//! State and event to state, one arm per event. No rules here: replay must never be able to refuse the past.

use chancery_ledger::body::Body;
use chancery_ledger::body::identity::{AgentKeyPurpose, AgentRegistered, AgentUpdated, CertificateIssued};
use chancery_ledger::body::ledger::{LedgerCreated, Purpose, SigningKeyAdded};
use chancery_ledger::event::Event;
use chancery_ledger::ids::{AgentId, TenantId};
use chancery_ledger::time::Micros;

use super::state::{
    AGENTS, AGENTS_BY_ORGANISATION, AGENTS_BY_TENANT, Agent, AgentEnd, AgentKey, AgentStatus, CERTIFICATES, CHALLENGES,
    CREDENTIAL_HASHES, CREDENTIAL_LIST, CREDENTIALS, Certificate, Challenge, Credential, HANDLES, KEY_LIST, KEYS,
    LEDGER, Ledger, MEMBER_LIST, MEMBERS, Member, ORG_CAS, ORGANISATION_LIST, ORGANISATION_SLUGS, ORGANISATIONS,
    Organisation, PublicKeyRow, SEALING_KEY, STATUS_IN_ORGANISATION, STATUS_IN_TENANT, Standing, TENANT_LIST,
    TENANT_SLUGS, TENANTS, TOKEN_KEY_LIST, TOKEN_KEYS, Tenant, purpose_code,
};
use crate::rows::{RowsError, RowsMut};

mod issuer;

/// Brings the identity view forward by one event.
///
/// # Errors
/// [`RowsError`] when the view's storage fails or the view is damaged.
pub fn evolve(rows: &mut dyn RowsMut, event: &Event) -> Result<(), RowsError> {
    let at = event.time;
    match &event.body {
        Body::LedgerCreated(created) => ledger_created(rows, event, created),
        Body::SigningKeyAdded(added) => signing_key_added(rows, event, added),
        Body::SigningKeyRetired(retired) => {
            let key = KEYS.update(rows, retired.key, "a public key", |key| key.retired = Some(at))?;
            match key.purpose {
                Purpose::JwtEddsa | Purpose::JwtRs256 => TOKEN_KEYS.delete(rows, purpose_code(key.purpose)),
                Purpose::Seal | Purpose::OrgCa => Ok(()),
            }
        }
        Body::TenantCreated(created) => {
            let tenant = Tenant {
                tenant: created.tenant,
                slug: created.slug.clone(),
                name: created.name.clone(),
                tier: created.tier.clone(),
                limits: created.limits.clone(),
                root: created.root,
                standing: Standing::Active,
                default_organisation: None,
                created: at,
            };
            TENANTS.put(rows, created.tenant, &tenant)?;
            TENANT_SLUGS.put(rows, created.slug.as_str(), &created.tenant)?;
            TENANT_LIST.append(rows, (), &created.tenant)?;
            if created.root {
                LEDGER.update(rows, (), "the ledger", |ledger| ledger.root = Some(created.tenant))?;
            }
            Ok(())
        }
        Body::TenantUpdated(updated) => {
            TENANTS.update(rows, updated.tenant, "a tenant", |tenant| {
                for (field, value) in &updated.changes {
                    match field.as_str() {
                        "name" => assign(&mut tenant.name, value.as_str()),
                        "tier" => assign(&mut tenant.tier, value.as_str()),
                        "limits" => assign(&mut tenant.limits, value.as_str()),
                        _ => {}
                    }
                }
            })?;
            Ok(())
        }
        Body::TenantSuspended(it) => stand(rows, it.tenant, Standing::Suspended),
        Body::TenantResumed(it) => stand(rows, it.tenant, Standing::Active),
        Body::TenantDeleted(it) => stand(rows, it.tenant, Standing::Deleted),
        Body::OrganisationCreated(created) => {
            let organisation = Organisation {
                organisation: created.organisation,
                tenant: event.tenant,
                slug: created.slug.clone(),
                name: created.name.clone(),
                default: created.default,
                standing: Standing::Active,
                created: at,
            };
            ORGANISATIONS.put(rows, created.organisation, &organisation)?;
            ORGANISATION_SLUGS.put(rows, (event.tenant, created.slug.as_str()), &created.organisation)?;
            ORGANISATION_LIST.append(rows, event.tenant, &created.organisation)?;
            if created.default {
                TENANTS.update(rows, event.tenant, "a tenant", |tenant| {
                    tenant.default_organisation = Some(created.organisation);
                })?;
            }
            Ok(())
        }
        Body::MemberInvited(invited) => {
            let member = Member {
                member: invited.member,
                tenant: event.tenant,
                personal: invited.personal.clone(),
                role: invited.role,
                joined: false,
                expires: invited.expires,
            };
            MEMBERS.put(rows, invited.member, &member)?;
            MEMBER_LIST.append(rows, event.tenant, &invited.member)?;
            Ok(())
        }
        Body::MemberJoined(joined) => {
            MEMBERS.update(rows, joined.member, "a member", |member| member.joined = true)?;
            Ok(())
        }
        Body::AgentRegistered(registered) => agent_registered(rows, event, registered),
        Body::AgentUpdated(updated) => agent_updated(rows, event, updated),
        Body::AgentSuspended(it) => set_status(rows, event, it.agent, AgentStatus::Suspended, |_| {}),
        Body::AgentResumed(it) => set_status(rows, event, it.agent, AgentStatus::Active, |_| {}),
        Body::AgentDecommissioned(it) => set_status(rows, event, it.agent, AgentStatus::Decommissioned, |agent| {
            agent.end = Some(AgentEnd { cause: it.cause, at, personal: it.personal.clone() });
        }),
        Body::AgentKeyAdded(added) => {
            if added.purpose == AgentKeyPurpose::Identity {
                AGENTS.update(rows, added.agent, "an agent", |agent| {
                    let key = AgentKey { key: added.key, purpose: added.purpose, public: added.public.clone() };
                    agent.identity_key = Some(key);
                })?;
            }
            Ok(())
        }
        Body::AgentKeyRevoked(revoked) => {
            AGENTS.update(rows, revoked.agent, "an agent", |agent| {
                agent.identity_key.take_if(|key| key.key == revoked.key);
            })?;
            Ok(())
        }
        Body::CertificateIssued(issued) => CERTIFICATES.put(rows, issued.agent, &certificate(issued)),
        Body::CredentialCreated(created) => {
            let credential = Credential {
                credential: created.credential,
                tenant: event.tenant,
                principal: created.principal.clone(),
                kind: created.kind,
                name: created.name.clone(),
                scopes: created.scopes.clone(),
                audience: created.audience.clone(),
                expires: created.expires,
                revoked: None,
                created: at,
            };
            CREDENTIALS.put(rows, created.credential, &credential)?;
            CREDENTIAL_HASHES.put(rows, created.hash, &created.credential)?;
            CREDENTIAL_LIST.append(rows, event.tenant, &created.credential)?;
            Ok(())
        }
        Body::CredentialRevoked(revoked) => {
            CREDENTIALS.update(rows, revoked.credential, "a credential", |credential| credential.revoked = Some(at))?;
            Ok(())
        }
        Body::ChallengeIssued(issued) => {
            let challenge = Challenge {
                challenge: issued.challenge,
                tenant: event.tenant,
                purpose: issued.purpose,
                about: issued.about,
                nonce: issued.nonce.clone(),
                issued_by: issued.issued_by.clone(),
                created: at,
                expires: issued.expires,
                answered: None,
            };
            CHALLENGES.put(rows, issued.challenge, &challenge)
        }
        Body::ChallengeAnswered(answered) => {
            CHALLENGES.update(rows, answered.challenge, "a challenge", |it| it.answered = Some(answered.passed))?;
            Ok(())
        }
        Body::IssuerTrusted(it) => issuer::trusted(rows, event, it),
        Body::IssuerUpdated(it) => issuer::updated(rows, event, it),
        Body::IssuerRemoved(it) => issuer::removed(rows, event, it),
        Body::IssuerRuleAdded(it) => issuer::rule_added(rows, event, it),
        Body::IssuerRuleRemoved(it) => issuer::rule_removed(rows, event, it),
        // Facts of the log alone: the journal finds them, no row changes.
        Body::TailLost(_) | Body::CredentialsUsed(_) | Body::AuthenticationFailed(_) => Ok(()),
        // Other domains' events.
        Body::TokenIssued(_)
        | Body::TokenRefused(_)
        | Body::TokenUsed(_)
        | Body::TokenRevoked(_)
        | Body::ScopeChecked(_)
        | Body::TokensIntrospected(_)
        | Body::MissionOpened(_)
        | Body::MissionCompleted(_)
        | Body::MissionRevoked(_)
        | Body::AuditChainOpened(_)
        | Body::AuditEntryAppended(_)
        | Body::AuditChainClosed(_)
        | Body::DestinationAdded(_)
        | Body::DestinationVerified(_)
        | Body::DestinationSecretRotated(_)
        | Body::DestinationRemoved(_)
        | Body::SubscriptionCreated(_)
        | Body::SubscriptionChanged(_)
        | Body::SubscriptionEnded(_)
        | Body::DeliveriesRecorded(_) => Ok(()),
    }
}

/// The row a certificate event makes.
#[must_use]
pub fn certificate(issued: &CertificateIssued) -> Certificate {
    Certificate {
        agent: issued.agent,
        key: issued.key,
        ca_key: issued.ca_key,
        agent_name: issued.agent_name.clone(),
        organisation_slug: issued.organisation_slug.clone(),
        issued_by: issued.issued_by.clone(),
        issued: issued.issued,
        valid_until: issued.valid_until,
        signature: issued.signature,
    }
}

fn ledger_created(rows: &mut dyn RowsMut, event: &Event, created: &LedgerCreated) -> Result<(), RowsError> {
    LEDGER.put(rows, (), &Ledger { ledger: created.ledger, origin: created.origin.clone(), root: None })?;
    let key = PublicKeyRow {
        key: created.key,
        purpose: Purpose::Seal,
        algorithm: created.algorithm,
        public: created.public.to_vec(),
        tenant: None,
        added: event.time,
        retired: None,
    };
    SEALING_KEY.put(rows, (), &key)?;
    add_key(rows, &key)
}

fn signing_key_added(rows: &mut dyn RowsMut, event: &Event, added: &SigningKeyAdded) -> Result<(), RowsError> {
    let key = PublicKeyRow {
        key: added.key,
        purpose: added.purpose,
        algorithm: added.algorithm,
        public: added.public.clone(),
        tenant: added.tenant,
        added: event.time,
        retired: None,
    };
    match (added.purpose, added.tenant) {
        (Purpose::Seal, _) => SEALING_KEY.put(rows, (), &key)?,
        (Purpose::OrgCa, Some(tenant)) => ORG_CAS.put(rows, tenant, &key)?,
        (Purpose::JwtEddsa | Purpose::JwtRs256, _) => {
            TOKEN_KEYS.put(rows, purpose_code(added.purpose), &key)?;
            TOKEN_KEY_LIST.append(rows, (), &key.key)?;
        }
        (Purpose::OrgCa, None) => {}
    }
    add_key(rows, &key)
}

fn add_key(rows: &mut dyn RowsMut, key: &PublicKeyRow) -> Result<(), RowsError> {
    KEYS.put(rows, key.key, key)?;
    KEY_LIST.append(rows, key.tenant.unwrap_or(TenantId::LEDGER), &key.key)?;
    Ok(())
}

fn agent_registered(rows: &mut dyn RowsMut, event: &Event, it: &AgentRegistered) -> Result<(), RowsError> {
    let ordinal = AGENTS_BY_ORGANISATION.append(rows, it.organisation, &it.agent)?;
    let ordinal_in_tenant = AGENTS_BY_TENANT.append(rows, event.tenant, &it.agent)?;
    let agent = Agent {
        agent: it.agent,
        tenant: event.tenant,
        organisation: it.organisation,
        ordinal,
        ordinal_in_tenant,
        owner: it.owner.clone(),
        via: it.via.clone(),
        name: it.name.clone(),
        handles: it.handles.clone(),
        kind: it.kind.clone(),
        semver: it.semver.clone(),
        capabilities: it.capabilities.clone(),
        environment: it.environment,
        actions: it.actions.clone(),
        limit: it.limit.clone(),
        accountability: it.accountability.clone(),
        valid_until: it.valid_until,
        visibility: it.visibility,
        disclosure: it.disclosure,
        personal: it.personal.clone(),
        personal_updated: false,
        identity_key: None,
        status: AgentStatus::Active,
        end: None,
        created: event.time,
        updated: event.time,
    };
    AGENTS.put(rows, it.agent, &agent)?;
    for handle in &it.handles {
        HANDLES.put(rows, (event.tenant, handle.namespace.as_str(), handle.value.as_str()), &it.agent)?;
    }
    enter_status(rows, &agent)
}

fn agent_updated(rows: &mut dyn RowsMut, event: &Event, it: &AgentUpdated) -> Result<(), RowsError> {
    AGENTS.update(rows, it.agent, "an agent", |agent| {
        for (field, value) in &it.changes {
            match field.as_str() {
                "name" => assign(&mut agent.name, value.as_str()),
                "semver" => assign(&mut agent.semver, value.as_str()),
                "capabilities" => assign(&mut agent.capabilities, value.as_str()),
                "environment" => assign(&mut agent.environment, value.as_str()),
                "actions" => assign(&mut agent.actions, value.as_str()),
                "limit" => assign(&mut agent.limit, value.as_str()),
                _ => {}
            }
        }
        if let Some(personal) = &it.personal {
            agent.personal = personal.clone();
            agent.personal_updated = true;
        }
        agent.updated = event.time;
    })?;
    Ok(())
}

/// Takes a changed field's new value; one that is not of the field's type was never written by `decide`.
fn assign<T: serde::de::DeserializeOwned>(field: &mut T, json: &str) {
    if let Ok(value) = serde_json::from_str(json) {
        *field = value;
    }
}

fn stand(rows: &mut dyn RowsMut, tenant: TenantId, standing: Standing) -> Result<(), RowsError> {
    TENANTS.update(rows, tenant, "a tenant", |it| it.standing = standing)?;
    Ok(())
}

fn set_status(
    rows: &mut dyn RowsMut, event: &Event, agent: AgentId, status: AgentStatus, change: impl FnOnce(&mut Agent),
) -> Result<(), RowsError> {
    let Some(before) = AGENTS.get(rows, agent)? else { return Err(RowsError::Missing("an agent")) };
    leave_status(rows, &before)?;
    let mut after = before;
    after.status = status;
    after.updated = event.time;
    change(&mut after);
    AGENTS.put(rows, agent, &after)?;
    enter_status(rows, &after)
}

fn enter_status(rows: &mut dyn RowsMut, agent: &Agent) -> Result<(), RowsError> {
    let (until, code) = (agent.valid_until.unwrap_or(Micros::MAX), agent.status.code());
    let length = AGENTS_BY_ORGANISATION.len(&*rows, agent.organisation)?;
    STATUS_IN_ORGANISATION.enter(rows, (agent.organisation, code), length, agent.ordinal, until)?;
    let length = AGENTS_BY_TENANT.len(&*rows, agent.tenant)?;
    STATUS_IN_TENANT.enter(rows, (agent.tenant, code), length, agent.ordinal_in_tenant, until)
}

fn leave_status(rows: &mut dyn RowsMut, agent: &Agent) -> Result<(), RowsError> {
    let code = agent.status.code();
    let length = AGENTS_BY_ORGANISATION.len(&*rows, agent.organisation)?;
    STATUS_IN_ORGANISATION.leave(rows, (agent.organisation, code), length, agent.ordinal)?;
    let length = AGENTS_BY_TENANT.len(&*rows, agent.tenant)?;
    STATUS_IN_TENANT.leave(rows, (agent.tenant, code), length, agent.ordinal_in_tenant)
}
