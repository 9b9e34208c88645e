//! What the execution view knows of delivery: rows, and the tables they stand in.

use chancery_ledger::body::Kind;
use chancery_ledger::body::delivery::{Channel, DeliveryOutcome};
use chancery_ledger::ids::{DestinationId, Seq, SubscriptionId, TenantId};
use chancery_ledger::shred::Encrypted;
use chancery_ledger::time::Micros;
use serde::{Deserialize, Serialize};

use crate::rows::subset::Subset;
use crate::rows::table::{DenseList, Table};
use crate::rows::{Rows, RowsError};
use crate::trust::state::Standings;

/// Destinations, by id.
pub const DESTINATIONS: Table<Destination> = Table::new(20);
/// Destinations of a tenant.
pub const DESTINATION_LIST: DenseList<DestinationId> = DenseList::new(21).for_readers();
/// Which of them are not removed, by tenant.
pub const DESTINATIONS_KEPT: Subset = Subset::new(22).for_readers();
/// Subscriptions, by id.
pub const SUBSCRIPTIONS: Table<Subscription> = Table::new(23);
/// Subscriptions of a tenant.
pub const SUBSCRIPTION_LIST: DenseList<SubscriptionId> = DenseList::new(24).for_readers();
/// Which of them are not over, by tenant and rendering, and by tenant and the empty text: those of all renderings.
pub const SUBSCRIPTIONS_LIVE: Subset = Subset::new(25).for_readers();
/// How many of what a tenant has.
pub const COUNTS: Table<Counts> = Table::new(26);
/// Deliveries, by subscription, event and which of the event's words it is.
pub const DELIVERIES: Table<Delivery> = Table::new(27).for_readers();
/// Deliveries of a subscription: event, and which of its words.
pub const DELIVERY_LIST: DenseList<(Seq, u8)> = DenseList::new(28).for_readers();
/// Which of them stand where, by subscription and state code.
pub const DELIVERIES_IN_STATE: Subset = Subset::new(29).for_readers();
/// How many attempts of a subscription failed since the last that did not; absent when none did.
pub const FAILURES: Table<u32> = Table::new(30);
/// Attempts of a delivery before its last, by subscription, event and which of its words.
pub const EARLIER: DenseList<Tried> = DenseList::new(31).for_readers();
/// Who is told a tenant's events by their word, by rendering and code: only now, as the four below.
pub const LISTENERS: Table<Vec<SubscriptionId>> = Table::new(148).for_readers();
/// When a subscription's next delivery is due; absent when it has none.
pub const TURNS: Table<Turn> = Table::new(149).for_readers();
/// Whose next delivery is due when, by whether it is slow, time in microseconds, and subscription.
pub const DUE: Table<TenantId> = Table::new(150).for_readers();
/// Which subscriptions are told events.
pub const LISTENING: Table<()> = Table::new(151).for_readers();
/// Which subscriptions' last attempt failed, or took longer than [`SLOW_MILLIS`].
pub const SLOW: Table<()> = Table::new(155).for_readers();
/// An attempt that takes longer is slow, in milliseconds.
pub const SLOW_MILLIS: u32 = 1_000;

/// The tables of scoring, so that who is told when a score moves is known as it moves: only now.
pub const STANDINGS: Standings = Standings {
    records: Table::new(152).for_readers(),
    verified: Table::new(153).for_readers(),
    scoring: Table::new(154).for_readers(),
};

/// An address outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// Its id.
    pub destination: DestinationId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its place in its list.
    pub ordinal: u64,
    /// By which way it is reached.
    pub channel: Channel,
    /// `address` of `DestinationAdded`, under the destination's key.
    pub address: Encrypted,
    /// What is sent there is signed with it, under the destination's key.
    pub secret: Secret,
    /// `code` of `DestinationAdded`, under the destination's key.
    pub code: Option<Encrypted>,
    /// Whether it can be used.
    pub verified: bool,
    /// How many subscriptions use it.
    pub users: u32,
    /// Since when.
    pub created: Micros,
    /// When it was removed.
    pub removed: Option<Micros>,
}

/// A destination's secret, and the event whose field it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Secret {
    /// Of `DestinationAdded`.
    Added(Encrypted),
    /// Of `DestinationSecretRotated`.
    Rotated(Encrypted),
}

impl Secret {
    /// The kind of event, and the field's value.
    #[must_use]
    pub const fn field(&self) -> (Kind, &Encrypted) {
        match self {
            Self::Added(value) => (Kind::DestinationAdded, value),
            Self::Rotated(value) => (Kind::DestinationSecretRotated, value),
        }
    }
}

/// Which events are told to whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Its id.
    pub subscription: SubscriptionId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its place in its list.
    pub ordinal: u64,
    /// Its name, for people.
    pub name: Option<String>,
    /// Where to.
    pub destinations: Vec<DestinationId>,
    /// Its destination comes and goes with it.
    pub own: bool,
    /// Which events, in the words of the rendering.
    pub kinds: Vec<String>,
    /// In whose words.
    pub rendering: String,
    /// Nothing is told while it is.
    pub disabled: bool,
    /// Since when.
    pub created: Micros,
    /// When it was changed last.
    pub updated: Micros,
    /// When it was over.
    pub ended: Option<Micros>,
}

/// How many of what a tenant has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Destinations that are not removed.
    pub destinations: u32,
    /// Subscriptions that are not over.
    pub subscriptions: u32,
}

/// How many of what a tenant has.
///
/// # Errors
/// As [`Table::get`].
pub fn counts(rows: &dyn Rows, tenant: TenantId) -> Result<Counts, RowsError> {
    Ok(COUNTS.get(rows, tenant)?.unwrap_or_default())
}

/// How many attempts of a subscription failed since the last that did not.
///
/// # Errors
/// As [`Table::get`].
pub fn failures(rows: &dyn Rows, subscription: SubscriptionId) -> Result<u32, RowsError> {
    Ok(FAILURES.get(rows, subscription)?.unwrap_or(0))
}

/// When a subscription's next delivery is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// When.
    pub due: Micros,
    /// Whether its last attempt failed, or took long.
    pub is_slow: bool,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Not tried yet.
    Pending,
    /// Tried, and it will be tried again.
    Failed,
    /// Told.
    Delivered,
    /// Tried for the last time.
    DeadLetter,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Failed, Self::Delivered, Self::DeadLetter];

    /// The byte that stands for it in keys.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Pending => 0,
            Self::Failed => 1,
            Self::Delivered => 2,
            Self::DeadLetter => 3,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Failed => "failed",
            Self::Delivered => "delivered",
            Self::DeadLetter => "dead_letter",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether nothing more is tried.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        matches!(self, Self::Delivered | Self::DeadLetter)
    }
}

/// An event that is told by a subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The event.
    pub event: Seq,
    /// Which of the event's words, from 0.
    pub index: u8,
    /// Its place in the subscription's list.
    pub ordinal: u64,
    /// The word for the event, by its code in the rendering.
    pub code: u16,
    /// When the event was decided.
    pub created: Micros,
    /// Where it stands.
    pub state: DeliveryState,
    /// How often it was tried since it was last asked for.
    pub attempts: u8,
    /// When it is tried again.
    pub next: Option<Micros>,
    /// The last attempt.
    pub last: Option<Tried>,
}

/// An attempt to tell an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// The how-manieth it was, from 1.
    pub attempt: u8,
    /// What came of it.
    pub outcome: DeliveryOutcome,
    /// The HTTP status that was answered.
    pub status: Option<u16>,
    /// How long it took, in milliseconds.
    pub ms: u32,
    /// When it was over.
    pub at: Micros,
    /// `excerpt` of `DeliveriesRecorded`, under the subscription's key.
    pub excerpt: Option<Encrypted>,
}
