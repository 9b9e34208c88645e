//! Events of destinations, subscriptions and deliveries (DOMAIN sections 3.6 and 4).

use serde::{Deserialize, Serialize};

use super::field::Changes;
use super::{Facts, Subjects};
use crate::ids::{DestinationId, Seq, SubscriptionId};
use crate::link::Hash;
use crate::shred::Encrypted;
use crate::time::Micros;

/// Most items of one [`DeliveriesRecorded`].
pub const ITEMS_MAX: usize = 256;

/// There is an address outside, to which events can be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationAdded {
    /// The destination.
    pub destination: DestinationId,
    /// By which way it is reached.
    pub channel: Channel,
    /// The address, hashed under the tenant's key.
    pub address_hash: Hash,
    /// Text, under the destination's key: where it is.
    pub address: Encrypted,
    /// Text, under the destination's key: what is sent there is signed with it.
    pub secret: Encrypted,
    /// Text, under the destination's key: who can read what is sent there, can name it. Absent from one that needs no
    /// proof of that.
    pub code: Option<Encrypted>,
    /// Whether it can be used without such a proof.
    pub verified: bool,
}

/// By which way a destination is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// HTTP `POST` to a URL.
    Webhook,
    /// An electronic letter.
    Email,
    /// A short message to a telephone.
    Sms,
}

/// Somebody named the code that was sent to a destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationVerified {
    /// The destination.
    pub destination: DestinationId,
}

/// What is sent to a destination is signed with another secret from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationSecretRotated {
    /// The destination.
    pub destination: DestinationId,
    /// Text, under the destination's key.
    pub secret: Encrypted,
}

/// A destination is used no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationRemoved {
    /// The destination.
    pub destination: DestinationId,
}

/// Events of some kinds are told to destinations, from this event on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionCreated {
    /// The subscription.
    pub subscription: SubscriptionId,
    /// Its name, for people.
    pub name: Option<String>,
    /// Where to.
    pub destinations: Vec<DestinationId>,
    /// Its destination is its own: it comes and goes with the subscription.
    pub own: bool,
    /// Which events, in the words of the rendering.
    pub kinds: Vec<String>,
    /// In whose words and form: `native`, or a dialect's name.
    pub rendering: String,
    /// Only from this severity on.
    pub severity: Option<String>,
    /// Nothing is told until it is enabled.
    pub disabled: bool,
}

/// A subscription is another than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionChanged {
    /// The subscription.
    pub subscription: SubscriptionId,
    /// Fields of [`SubscriptionCreated`] and their new values.
    pub changes: Changes,
}

/// A subscription is over; what was not told yet is told no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionEnded {
    /// The subscription.
    pub subscription: SubscriptionId,
}

/// Events were told to the outside, or it was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveriesRecorded {
    /// By which subscription.
    pub subscription: SubscriptionId,
    /// At most [`ITEMS_MAX`], in order.
    pub items: Vec<DeliveryItem>,
    /// Text, under the subscription's key: what the last of them was answered, its beginning, or why nothing was.
    pub excerpt: Option<Encrypted>,
}

/// One attempt to tell an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryItem {
    /// Which event; `None` for a test, which tells none.
    pub event: Option<Seq>,
    /// The how-manieth attempt, from 1; 0 for one that is asked for.
    pub attempt: u8,
    /// What came of it.
    pub outcome: DeliveryOutcome,
    /// The HTTP status that was answered, if one was.
    pub status: Option<u16>,
    /// How long it took, in milliseconds.
    pub ms: u32,
    /// When it was over.
    pub at: Micros,
    /// When it is tried again, if it is.
    pub next: Option<Micros>,
}

/// What came of an attempt to tell an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryOutcome {
    /// The destination took it.
    Delivered,
    /// It did not, and it is tried again.
    Failed,
    /// It did not, and it is tried no more.
    DeadLetter,
    /// Nothing was tried yet: it is to be told once more.
    Requested,
}

impl Facts for DestinationAdded {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.destination);
    }
}

impl Facts for DestinationVerified {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.destination);
    }
}

impl Facts for DestinationSecretRotated {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.destination);
    }
}

impl Facts for DestinationRemoved {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.destination);
    }
}

impl Facts for SubscriptionCreated {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.subscription);
        self.destinations.iter().for_each(|destination| {
            into.add(*destination);
        });
    }
}

impl Facts for SubscriptionChanged {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.subscription);
    }
}

impl Facts for SubscriptionEnded {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.subscription);
    }
}

impl Facts for DeliveriesRecorded {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.subscription);
    }
}
