//! Destinations and subscriptions as a command left them.

use chancery_ledger::body::Kind;
use chancery_ledger::body::delivery::Channel;
use chancery_ledger::ids::{DestinationId, SubscriptionId};
use chancery_ledger::time::Micros;
use chancery_projections::context::{ContextError, Opener};
use chancery_projections::execution::delivery::state::{Destination, Subscription};
use schemars::JsonSchema;
use serde::Serialize;

use super::open;

/// A destination; never its secret.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DestinationResult {
    /// Its id.
    pub id: DestinationId,
    /// By which way it is reached.
    pub channel: Channel,
    /// Where it is; `null` when that was erased.
    pub url: Option<String>,
    /// Whether it can be used.
    pub verified: bool,
    /// Since when.
    pub created: Micros,
    /// When it was removed.
    pub removed: Option<Micros>,
}

/// A subscription.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SubscriptionResult {
    /// Its id.
    pub id: SubscriptionId,
    /// Its name, for people.
    pub name: Option<String>,
    /// In whose words events are told.
    pub rendering: String,
    /// Which events, in those words.
    pub events: Vec<String>,
    /// Where to.
    pub destinations: Vec<DestinationId>,
    /// Whether its destination is its own, and goes with it.
    pub own: bool,
    /// Whether events are told.
    pub active: bool,
    /// Since when.
    pub created: Micros,
    /// When it was changed last.
    pub updated: Micros,
    /// When it was over.
    pub ended: Option<Micros>,
}

pub(super) fn destination(row: Destination, opener: &Opener<'_>) -> Result<DestinationResult, ContextError> {
    Ok(DestinationResult {
        id: row.destination,
        channel: row.channel,
        url: open(Some(&row.address), opener, row.tenant, Kind::DestinationAdded, "address")?,
        verified: row.verified,
        created: row.created,
        removed: row.removed,
    })
}

pub(super) fn subscription(row: Subscription) -> SubscriptionResult {
    SubscriptionResult {
        id: row.subscription,
        name: row.name,
        rendering: row.rendering,
        events: row.kinds,
        destinations: row.destinations,
        own: row.own,
        active: !row.disabled && row.ended.is_none(),
        created: row.created,
        updated: row.updated,
        ended: row.ended,
    }
}
