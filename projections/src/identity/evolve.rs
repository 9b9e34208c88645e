//! State and event to state, one arm per event. No rules here: replay must never be able to refuse the past.

use chancery_ledger::actor::Principal;
use chancery_ledger::body::Body;
use chancery_ledger::body::identity::{
    AgentKeyPurpose, AgentRegistered, AgentUpdated, CertificateIssued, Disclosure, Handle,
};
use chancery_ledger::body::ledger::{LedgerCreated, Purpose, SigningKeyAdded};
use chancery_ledger::event::Event;
use chancery_ledger::ids::{AgentId, OrganisationId, TenantId, TreeSize};
use chancery_ledger::time::Micros;

use super::nonces;
use super::state::{
    AGENTS, AGENTS_BY_KEY, AGENTS_BY_ORGANISATION, AGENTS_BY_TENANT, Agent, AgentEnd, AgentKey, AgentStatus,
    CERTIFICATES, CHALLENGES, CREDENTIAL_HASHES, CREDENTIAL_LIST, CREDENTIALS, CREDENTIALS_BY_AGENT,
    CREDENTIALS_OF_AGENT, Certificate, Challenge, Credential, GRANTS, Granted, HANDLES, IDLE_IN_ORGANISATION,
    IDLE_IN_TENANT, IdleAgents, KEY_LIST, KEYS, KIND_IN_TENANT, LEDGER, LISTED, LISTED_NOW, LISTED_PLACE, Ledger,
    MEMBER_LIST, MEMBERS, MEMBERSHIP_LIST, MEMBERSHIPS, Member, Membership, ORG_CAS, ORGANISATION_LIST,
    ORGANISATION_SLUGS, ORGANISATIONS, OWNER_IN_TENANT, Organisation, PublicKeyRow, SEALING_KEY, SIGNING_KEYS,
    STANDING_IN_TENANT, STATUS_IN_ORGANISATION, STATUS_IN_TENANT, Standing, TENANT_LIST, TENANT_SLUGS, TENANTS,
    TIMESTAMPED, TOKEN_KEY_LIST, Tenant, TimestampedCheckpoint, VIEW_ROOTS, ViewRoots, purpose_code,
};
use crate::rows::table::{Key, Table};
use crate::rows::{RowsError, RowsMut};

mod erasure;
mod issuer;
mod witness;

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
                Purpose::JwtEddsa | Purpose::JwtRs256 | Purpose::Witness => {
                    SIGNING_KEYS.delete(rows, purpose_code(key.purpose))
                }
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
            let ordinal = ORGANISATION_LIST.append(rows, event.tenant, &created.organisation)?;
            let organisation = Organisation {
                organisation: created.organisation,
                tenant: event.tenant,
                slug: created.slug.clone(),
                name: created.name.clone(),
                tier: created.tier.clone(),
                limits: created.limits.clone(),
                default: created.default,
                verified: false,
                standing: Standing::Active,
                ordinal,
                created: at,
                updated: at,
            };
            ORGANISATIONS.put(rows, created.organisation, &organisation)?;
            ORGANISATION_SLUGS.put(rows, (event.tenant, created.slug.as_str()), &created.organisation)?;
            enter_standing(rows, &organisation)?;
            if created.default {
                TENANTS.update(rows, event.tenant, "a tenant", |tenant| {
                    tenant.default_organisation = Some(created.organisation);
                })?;
            }
            Ok(())
        }
        Body::OrganisationUpdated(updated) => organisation_changes(rows, event, updated.organisation, |it| {
            for (field, value) in &updated.changes {
                match field.as_str() {
                    "name" => assign(&mut it.name, value.as_str()),
                    "tier" => assign(&mut it.tier, value.as_str()),
                    "limits" => assign(&mut it.limits, value.as_str()),
                    "standing" => assign(&mut it.standing, value.as_str()),
                    _ => {}
                }
            }
        }),
        Body::OrganisationDeleted(it) => {
            organisation_changes(rows, event, it.organisation, |organisation| organisation.standing = Standing::Deleted)
        }
        Body::OrganisationMemberAdded(added) => {
            let membership = Membership {
                membership: added.membership,
                organisation: added.organisation,
                agent: added.agent,
                role: added.role,
                joined: at,
            };
            MEMBERSHIPS.put(rows, (added.organisation, added.agent), &membership)?;
            MEMBERSHIP_LIST.append(rows, added.organisation, &added.agent)?;
            Ok(())
        }
        Body::OrganisationVerified(it) => {
            ORGANISATIONS.update(rows, it.organisation, "an organisation", |row| row.verified = it.verified)?;
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
        Body::AgentReachChanged(it) => {
            let agent = AGENTS.update(rows, it.agent, "an agent", |agent| {
                agent.visibility = it.visibility.unwrap_or(agent.visibility);
                agent.disclosure = it.disclosure.unwrap_or(agent.disclosure);
                agent.listed = listed_since(agent.disclosure, agent.listed.unwrap_or(at));
                agent.updated = at;
            })?;
            list(rows, &agent)
        }
        Body::HandleClaimed(it) => {
            let handle = Handle { namespace: it.namespace.clone(), value: it.value.clone() };
            HANDLES.put(rows, (event.tenant, it.namespace.as_str(), it.value.as_str()), &it.agent)?;
            AGENTS.update(rows, it.agent, "an agent", |agent| agent.handles.push(handle))?;
            Ok(())
        }
        Body::HandleReleased(it) => {
            HANDLES.delete(rows, (event.tenant, it.namespace.as_str(), it.value.as_str()))?;
            AGENTS.update(rows, it.agent, "an agent", |agent| {
                agent.handles.retain(|held| held.namespace != it.namespace || held.value != it.value);
            })?;
            Ok(())
        }
        Body::AgentSuspended(it) => set_status(rows, event, it.agent, AgentStatus::Suspended, |_| {}),
        Body::AgentResumed(it) => set_status(rows, event, it.agent, AgentStatus::Active, |_| {}),
        Body::AgentDecommissioned(it) => {
            set_status(rows, event, it.agent, AgentStatus::Decommissioned, |agent| {
                agent.end = Some(AgentEnd { cause: it.cause, at, personal: it.personal.clone() });
            })?;
            erasure::retain(rows, event, it.agent)
        }
        Body::AgentKeyAdded(added) => {
            let key = AgentKey { key: added.key, purpose: added.purpose, public: added.public.clone() };
            match added.purpose {
                AgentKeyPurpose::Identity => {
                    AGENTS.update(rows, added.agent, "an agent", |agent| agent.identity_key = Some(key))?;
                    AGENTS_BY_KEY.put(rows, added.key, &added.agent)?;
                }
                AgentKeyPurpose::Did => {
                    AGENTS.update(rows, added.agent, "an agent", |agent| agent.did_key = Some(key))?;
                }
                AgentKeyPurpose::Enrolled => {}
            }
            Ok(())
        }
        Body::AgentKeyRevoked(revoked) => {
            AGENTS.update(rows, revoked.agent, "an agent", |agent| {
                agent.identity_key.take_if(|key| key.key == revoked.key);
                agent.did_key.take_if(|key| key.key == revoked.key);
            })?;
            Ok(())
        }
        Body::CertificateIssued(issued) => CERTIFICATES.put(rows, issued.agent, &certificate(issued)),
        Body::CredentialCreated(created) => {
            let mut credential = Credential {
                credential: created.credential,
                tenant: event.tenant,
                principal: created.principal.clone(),
                kind: created.kind,
                hash: created.hash,
                ordinal: 0,
                name: created.name.clone(),
                scopes: created.scopes.clone(),
                audience: created.audience.clone(),
                expires: created.expires,
                revoked: None,
                created: at,
            };
            if let Some(agent) = credential.agent() {
                credential.ordinal = CREDENTIALS_BY_AGENT.append(rows, agent, &created.credential)?;
                enter_credentials(rows, agent, &credential)?;
            }
            CREDENTIALS.put(rows, created.credential, &credential)?;
            CREDENTIAL_HASHES.put(rows, created.hash, &created.credential)?;
            CREDENTIAL_LIST.append(rows, event.tenant, &created.credential)?;
            Ok(())
        }
        Body::CredentialRotated(rotated) => {
            let before = row(CREDENTIALS.get(rows, rotated.credential)?, "a credential")?;
            CREDENTIAL_HASHES.delete(rows, before.hash)?;
            CREDENTIAL_HASHES.put(rows, rotated.hash, &rotated.credential)?;
            let after = Credential { hash: rotated.hash, expires: rotated.expires, ..before };
            CREDENTIALS.put(rows, rotated.credential, &after)
        }
        Body::CredentialRevoked(revoked) => {
            let before = row(CREDENTIALS.get(rows, revoked.credential)?, "a credential")?;
            let after = Credential { revoked: Some(at), ..before.clone() };
            CREDENTIALS.put(rows, revoked.credential, &after)?;
            if let Some(agent) = after.agent() {
                let length = CREDENTIALS_BY_AGENT.len(&*rows, agent)?;
                CREDENTIALS_OF_AGENT.leave(rows, (agent, before.code()), length, before.ordinal)?;
                enter_credentials(rows, agent, &after)?;
            }
            Ok(())
        }
        Body::ScopesGranted(granted) => match granted.principal {
            Principal::Agent(agent) => {
                let (scopes, administrator) = (granted.scopes.clone(), granted.administrator);
                GRANTS.put(rows, agent, &Granted { agent, tenant: event.tenant, scopes, administrator })
            }
            // No other principal asks for scopes.
            Principal::System
            | Principal::Anonymous
            | Principal::Tenant(_)
            | Principal::Member(_)
            | Principal::Client(_)
            | Principal::Execution(_)
            | Principal::Subject(_) => Ok(()),
        },
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
        Body::ViewRootsPublished(it) => {
            let roots =
                ViewRoots { size: TreeSize(it.size), format: it.format, roots: it.roots.clone(), published: at };
            VIEW_ROOTS.put(rows, (), &roots)
        }
        Body::CheckpointTimestamped(it) => {
            let row = TimestampedCheckpoint { root: it.root, at: it.at, token: it.token.clone() };
            TIMESTAMPED.put(rows, it.size, &row)
        }
        Body::CommandSigned(signed) => nonces::spend(rows, event.time, signed),
        Body::SubjectErased(it) => erasure::erased(rows, event, it),
        Body::HoldPlaced(it) => erasure::hold_placed(rows, event, it),
        Body::HoldLifted(it) => erasure::hold_lifted(rows, event, it),
        Body::KeyDestroyed(it) => erasure::key_destroyed(rows, event, it),
        Body::CheckpointCosigned(it) => witness::cosigned(rows, it),
        Body::WitnessedCheckpoint(it) => witness::witnessed(rows, event, it),
        // Facts of the log alone: the journal finds them, no row changes.
        Body::TailLost(_) | Body::EvidenceExported(_) | Body::CredentialsUsed(_) | Body::AuthenticationFailed(_) => {
            Ok(())
        }
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
        | Body::TrustEvaluated(_)
        | Body::DisputeFiled(_)
        | Body::DisputeResolved(_)
        | Body::PolicyChanged(_)
        | Body::PolicyReset(_)
        | Body::TransactionCompleted(_)
        | Body::TransactionFailed(_)
        | Body::TransactionReversed(_)
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
            SIGNING_KEYS.put(rows, purpose_code(added.purpose), &key)?;
            TOKEN_KEY_LIST.append(rows, (), &key.key)?;
        }
        (Purpose::Witness, _) => SIGNING_KEYS.put(rows, purpose_code(added.purpose), &key)?,
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
        listed: listed_since(it.disclosure, event.time),
        personal: it.personal.clone(),
        personal_updated: false,
        owner_hash: it.owner_hash,
        identity_key: None,
        did_key: None,
        status: AgentStatus::Active,
        end: None,
        created: event.time,
        updated: event.time,
    };
    AGENTS.put(rows, it.agent, &agent)?;
    for handle in &it.handles {
        HANDLES.put(rows, (event.tenant, handle.namespace.as_str(), handle.value.as_str()), &it.agent)?;
    }
    enter_found_by(rows, &agent)?;
    enter_status(rows, &agent)?;
    list(rows, &agent)
}

fn agent_updated(rows: &mut dyn RowsMut, event: &Event, it: &AgentUpdated) -> Result<(), RowsError> {
    let before = row(AGENTS.get(rows, it.agent)?, "an agent")?;
    let mut agent = before.clone();
    for (field, value) in &it.changes {
        match field.as_str() {
            "name" => assign(&mut agent.name, value.as_str()),
            "kind" => assign(&mut agent.kind, value.as_str()),
            "semver" => assign(&mut agent.semver, value.as_str()),
            "capabilities" => assign(&mut agent.capabilities, value.as_str()),
            "environment" => assign(&mut agent.environment, value.as_str()),
            "actions" => assign(&mut agent.actions, value.as_str()),
            "limit" => assign(&mut agent.limit, value.as_str()),
            "owner_hash" => assign(&mut agent.owner_hash, value.as_str()),
            _ => {}
        }
    }
    if let Some(personal) = &it.personal {
        agent.personal = personal.clone();
        agent.personal_updated = true;
    }
    agent.updated = event.time;
    AGENTS.put(rows, it.agent, &agent)?;
    if (&before.kind, &before.owner_hash) != (&agent.kind, &agent.owner_hash) {
        leave_found_by(rows, &before)?;
        enter_found_by(rows, &agent)?;
    }
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
    let before = row(AGENTS.get(rows, agent)?, "an agent")?;
    leave_status(rows, &before)?;
    let was = before.status;
    let mut after = before;
    after.status = status;
    after.updated = event.time;
    change(&mut after);
    AGENTS.put(rows, agent, &after)?;
    tally(rows, &IDLE_IN_TENANT, after.tenant, was, status)?;
    tally(rows, &IDLE_IN_ORGANISATION, after.organisation, was, status)?;
    enter_status(rows, &after)?;
    list(rows, &after)
}

/// Counts an agent that had one status and has another.
fn tally(
    rows: &mut dyn RowsMut, idle: &Table<IdleAgents>, key: impl Key + Copy, was: AgentStatus, is: AgentStatus,
) -> Result<(), RowsError> {
    let mut tally = idle.get(&*rows, key)?.unwrap_or_default();
    if let Some(count) = tally.of(was) {
        *count = count.saturating_sub(1);
    }
    if let Some(count) = tally.of(is) {
        *count += 1;
    }
    idle.put(rows, key, &tally)
}

fn organisation_changes(
    rows: &mut dyn RowsMut, event: &Event, id: OrganisationId, change: impl FnOnce(&mut Organisation),
) -> Result<(), RowsError> {
    let before = row(ORGANISATIONS.get(rows, id)?, "an organisation")?;
    let length = ORGANISATION_LIST.len(&*rows, event.tenant)?;
    STANDING_IN_TENANT.leave(rows, (event.tenant, before.standing.code()), length, before.ordinal)?;
    let mut after = before;
    change(&mut after);
    after.updated = event.time;
    ORGANISATIONS.put(rows, id, &after)?;
    enter_standing(rows, &after)
}

fn enter_standing(rows: &mut dyn RowsMut, it: &Organisation) -> Result<(), RowsError> {
    let length = ORGANISATION_LIST.len(&*rows, it.tenant)?;
    STANDING_IN_TENANT.enter(rows, (it.tenant, it.standing.code()), length, it.ordinal, Micros::MAX)
}

fn enter_credentials(rows: &mut dyn RowsMut, agent: AgentId, credential: &Credential) -> Result<(), RowsError> {
    let length = CREDENTIALS_BY_AGENT.len(&*rows, agent)?;
    CREDENTIALS_OF_AGENT.enter(rows, (agent, credential.code()), length, credential.ordinal, Micros::MAX)
}

fn listed_since(disclosure: Disclosure, since: Micros) -> Option<Micros> {
    (disclosure == Disclosure::Listed).then_some(since)
}

/// Brings the list of what anybody can find up to what an agent is now.
fn list(rows: &mut dyn RowsMut, agent: &Agent) -> Result<(), RowsError> {
    if rows.is_for_deciders() {
        return Ok(());
    }
    let is_listed = agent.disclosure == Disclosure::Listed && agent.status != AgentStatus::Decommissioned;
    let place = match LISTED_PLACE.get(&*rows, agent.agent)? {
        Some(place) => place,
        None if !is_listed => return Ok(()),
        None => {
            let place = LISTED.append(rows, (), &agent.agent)?;
            LISTED_PLACE.put(rows, agent.agent, &place)?;
            place
        }
    };
    let length = LISTED.len(&*rows, ())?;
    if is_listed {
        LISTED_NOW.enter(rows, (), length, place, Micros::MAX)
    } else {
        LISTED_NOW.leave(rows, (), length, place)
    }
}

fn enter_found_by(rows: &mut dyn RowsMut, agent: &Agent) -> Result<(), RowsError> {
    let length = AGENTS_BY_TENANT.len(&*rows, agent.tenant)?;
    if let Some(kind) = &agent.kind {
        let of = (agent.tenant, kind.as_str());
        KIND_IN_TENANT.enter(rows, of, length, agent.ordinal_in_tenant, Micros::MAX)?;
    }
    if let Some(owner) = agent.owner_hash {
        OWNER_IN_TENANT.enter(rows, (agent.tenant, owner), length, agent.ordinal_in_tenant, Micros::MAX)?;
    }
    Ok(())
}

fn leave_found_by(rows: &mut dyn RowsMut, agent: &Agent) -> Result<(), RowsError> {
    let length = AGENTS_BY_TENANT.len(&*rows, agent.tenant)?;
    if let Some(kind) = &agent.kind {
        KIND_IN_TENANT.leave(rows, (agent.tenant, kind.as_str()), length, agent.ordinal_in_tenant)?;
    }
    if let Some(owner) = agent.owner_hash {
        OWNER_IN_TENANT.leave(rows, (agent.tenant, owner), length, agent.ordinal_in_tenant)?;
    }
    Ok(())
}

/// A row that an earlier event wrote.
fn row<T>(found: Option<T>, what: &'static str) -> Result<T, RowsError> {
    found.ok_or(RowsError::Missing(what))
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
