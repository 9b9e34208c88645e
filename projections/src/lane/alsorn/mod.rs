//! Alsorn's audit chains, one for each agent, and its fingerprints of agents. Functions of the numbered events alone.
//!
//! - `entry`: which entries an event has, in whose chain, and what is hashed.
//! - `rows`: what the execution view keeps of them: where each chain ends, and each entry's event and hash.
//! - `view`: what readers ask: a page of a chain, whether it is whole. Entries are rendered from the log.
//!
//! # Source
//! contracts/alsorn.md section 10.

pub mod entry;
pub mod rows;
pub mod view;

use chancery_ledger::actor::Principal;
use chancery_ledger::body::identity::Environment;
use chancery_ledger::body::transaction::Counterparty;
use chancery_ledger::ids::{AgentId, OrganisationId, ThingId, TransactionId, render_typeid};
use chancery_ledger::link::Hash;
use chancery_ledger::time::Micros;

/// An agent, in the vendor's spelling.
#[must_use]
pub fn agent_text(id: AgentId) -> String {
    render_typeid("agent", id.uuid())
}

/// An organisation, in the vendor's spelling.
#[must_use]
pub fn organisation_text(id: OrganisationId) -> String {
    render_typeid("org", id.uuid())
}

/// A transaction or a reversal, in the vendor's spelling.
#[must_use]
pub fn transaction_text(id: TransactionId) -> String {
    render_typeid("tx", id.uuid())
}

/// Whoever acts or owns, in the vendor's spelling; `None` for who is nobody in particular.
#[must_use]
pub fn user_text(principal: &Principal) -> Option<String> {
    match principal {
        Principal::System | Principal::Anonymous | Principal::Subject(_) => None,
        Principal::Tenant(_)
        | Principal::Member(_)
        | Principal::Agent(_)
        | Principal::Client(_)
        | Principal::Execution(_) => Some(render_typeid("user", principal.uuid())),
    }
}

/// The other party, in the vendor's spelling.
#[must_use]
pub fn counterparty_text(counterparty: &Counterparty) -> String {
    match counterparty {
        Counterparty::Agent(id) => agent_text(*id),
        Counterparty::External(text) => text.clone(),
    }
}

/// Where an agent runs, in the vendor's words.
#[must_use]
pub const fn environment_text(environment: Environment) -> &'static str {
    match environment {
        Environment::Production => "production",
        Environment::Staging => "staging",
        Environment::Development => "sandbox",
    }
}

/// A time with milliseconds and `Z`.
#[must_use]
pub fn time_text(time: Micros) -> String {
    // The text has six digits of a second's fraction, and then `Z`.
    let text = time.to_string();
    format!("{}Z", text.get(..text.len().saturating_sub("000Z".len())).unwrap_or_default())
}

/// A SHA-256 hash, in the vendor's spelling.
#[must_use]
pub fn hash_text(hash: Hash) -> String {
    format!("sha256:{}", hex::encode(hash.0))
}
