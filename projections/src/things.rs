//! The things that views show, by their kind and id alone: for who looks at a log as a whole.

use chancery_ledger::ids::{
    AgentId, AuditChainId, ChallengeId, CredentialId, DestinationId, DisputeId, IssuerId, IssuerRuleId, MemberId,
    MissionId, OrganisationId, PolicyId, Subject, SubscriptionId, TenantId, ThingKind, TokenId, TransactionId,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use crate::execution::delivery::state::{DESTINATIONS, SUBSCRIPTIONS};
use crate::execution::delivery::view as delivery;
use crate::execution::state::{CHAINS, MISSIONS};
use crate::execution::transaction::TRANSACTIONS;
use crate::execution::view as execution;
use crate::identity::state::{AGENTS, CHALLENGES, CREDENTIALS, ISSUER_RULES, ISSUERS, MEMBERS, ORGANISATIONS, TENANTS};
use crate::identity::view as identity;
use crate::rows::table::Table;
use crate::rows::{Order, RowsError, Scan};
use crate::token::state::TOKENS;
use crate::token::view as token;
use crate::trust::state::{DISPUTES, POLICY_PLACES};
use crate::trust::view as trust;
use crate::view::{Reading, ViewError};

/// Ids read at a time.
const PAGE: usize = 256;

/// Kind, view, id, table of its rows, and what renders one: a reading, whose it is, and its id.
macro_rules! shown {
    ($($kind:ident: $view:ident $id:ident $table:ident $render:path;)*) => {
        /// The kinds of things that views show.
        pub const SHOWN: &[ThingKind] = &[$(ThingKind::$kind),*];

        /// Whose a thing is, by its row; `None` when there is no such row, or no view shows things of the kind.
        ///
        /// # Errors
        /// As [`Table::get`].
        pub fn tenant_of(reading: &Reading<'_>, subject: Subject) -> Result<Option<TenantId>, RowsError> {
            Ok(match subject.kind {
                $(ThingKind::$kind => $table.get(reading.$view, $id(subject.id))?.map(|it| it.tenant),)*
                _ => None,
            })
        }

        /// A thing as its view shows it, whoever's it is.
        ///
        /// # Errors
        /// [`ViewError`] when views or keys cannot be read.
        pub fn render(reading: &Reading<'_>, subject: Subject) -> Result<Option<Value>, ViewError> {
            let Some(tenant) = tenant_of(reading, subject)? else { return Ok(None) };
            Ok(match subject.kind {
                $(ThingKind::$kind => json($render(reading, tenant, $id(subject.id))?),)*
                _ => None,
            })
        }

        /// Ids of the things of a kind from one on (inclusive), ascending: some, or none when there are no more.
        ///
        /// # Errors
        /// As [`Table::list`].
        pub fn ids_from(
            reading: &Reading<'_>, kind: ThingKind, from: Option<[u8; 16]>,
        ) -> Result<Vec<Uuid>, RowsError> {
            match kind {
                $(ThingKind::$kind => page_of_ids(&$table, reading.$view, from),)*
                _ => Ok(Vec::new()),
            }
        }
    };
}

shown! {
    Tenant: identity TenantId TENANTS tenant;
    Organisation: identity OrganisationId ORGANISATIONS identity::organisation;
    Member: identity MemberId MEMBERS identity::tenant_member;
    Agent: identity AgentId AGENTS identity::agent;
    Credential: identity CredentialId CREDENTIALS identity::credential;
    Challenge: identity ChallengeId CHALLENGES identity::challenge;
    Issuer: identity IssuerId ISSUERS identity::issuer;
    IssuerRule: identity IssuerRuleId ISSUER_RULES identity::issuer_rule;
    Token: token TokenId TOKENS token::token;
    Dispute: trust DisputeId DISPUTES trust::dispute;
    Policy: trust PolicyId POLICY_PLACES trust::policy_by_id;
    Mission: execution MissionId MISSIONS execution::mission;
    AuditChain: execution AuditChainId CHAINS execution::audit_chain;
    Transaction: execution TransactionId TRANSACTIONS execution::transaction;
    Destination: execution DestinationId DESTINATIONS delivery::destination;
    Subscription: execution SubscriptionId SUBSCRIPTIONS delivery::subscription;
}

fn tenant(reading: &Reading<'_>, _: TenantId, id: TenantId) -> Result<Option<identity::TenantView>, ViewError> {
    identity::tenant(reading, id)
}

fn page_of_ids<V: Serialize + DeserializeOwned>(
    table: &Table<V>, rows: &dyn Scan, from: Option<[u8; 16]>,
) -> Result<Vec<Uuid>, RowsError> {
    let page = table.list(rows, (), from.as_ref().map(<[u8; 16]>::as_slice), Order::Ascending, PAGE)?;
    Ok(page.iter().filter_map(|(key, _)| Uuid::from_slice(key).ok()).collect())
}

fn json<T: Serialize>(value: Option<T>) -> Option<Value> {
    // Views are made of texts, numbers and lists, which always have JSON.
    value.and_then(|value| serde_json::to_value(value).ok())
}

/// How far an agent is trusted, as the trust view shows it to its own tenant.
///
/// # Errors
/// [`ViewError`] when views cannot be read.
pub fn trust_of(reading: &Reading<'_>, agent: AgentId) -> Result<Option<Value>, ViewError> {
    match AGENTS.get(reading.identity, agent)? {
        Some(row) => Ok(json(trust::trust(reading, Some(row.tenant), agent, false)?)),
        None => Ok(None),
    }
}
