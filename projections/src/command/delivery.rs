//! Destinations, and who is told what there.

use chancery_ledger::body::delivery::DeliveryOutcome;
use chancery_ledger::ids::{DestinationId, Seq, SubscriptionId};
use chancery_ledger::time::Micros;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// See [`super::Command::AddDestination`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddDestination {
    /// The `https` address that events are posted to: up to 2,048 characters.
    pub url: String,
    /// What the posts are signed with: 1 to 256 characters. One is made, and shown once, if it is absent.
    #[serde(default)]
    pub secret: Option<String>,
    /// Whether it can be used only when somebody has named the code that was sent there.
    #[serde(default)]
    pub confirm: bool,
}

/// See [`super::Command::VerifyDestination`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyDestination {
    /// Which.
    pub destination: DestinationId,
    /// The code that was sent there.
    pub code: String,
}

/// See [`super::Command::RotateDestinationSecret`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateDestinationSecret {
    /// Which.
    pub destination: DestinationId,
    /// The new secret: 1 to 256 characters. One is made, and shown once, if it is absent.
    #[serde(default)]
    pub secret: Option<String>,
}

/// See [`super::Command::RemoveDestination`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveDestination {
    /// Which.
    pub destination: DestinationId,
}

/// See [`super::Command::Subscribe`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Subscribe {
    /// Its name for people: up to 128 characters.
    #[serde(default)]
    pub name: Option<String>,
    /// Destinations that there are: at most 8.
    #[serde(default)]
    pub destinations: Vec<DestinationId>,
    /// Instead of those, the address of one that is the subscription's own and goes with it.
    #[serde(default)]
    pub url: Option<String>,
    /// With `url`: what the posts are signed with. One is made, and shown once, if it is absent.
    #[serde(default)]
    pub secret: Option<String>,
    /// Which events, in the words of the rendering: at least one. `*`, where the rendering has it, is every one.
    pub events: Vec<String>,
    /// In whose words: `native`, which are the kinds of events, or a dialect's name.
    #[serde(default = "native")]
    pub rendering: String,
    /// Whether events are told at once.
    #[serde(default = "yes")]
    pub active: bool,
}

fn native() -> String {
    "native".to_owned()
}

const fn yes() -> bool {
    true
}

/// See [`super::Command::ChangeSubscription`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeSubscription {
    /// Which.
    pub subscription: SubscriptionId,
    /// Its new name; empty for none.
    #[serde(default)]
    pub name: Option<String>,
    /// Other destinations, for one that has none of its own.
    #[serde(default)]
    pub destinations: Option<Vec<DestinationId>>,
    /// Another address, for one that has a destination of its own. The secret stays.
    #[serde(default)]
    pub url: Option<String>,
    /// Other events.
    #[serde(default)]
    pub events: Option<Vec<String>>,
    /// Whether events are told.
    #[serde(default)]
    pub active: Option<bool>,
}

/// See [`super::Command::EndSubscription`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EndSubscription {
    /// Which.
    pub subscription: SubscriptionId,
}

/// See [`super::Command::Redeliver`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Redeliver {
    /// By which subscription.
    pub subscription: SubscriptionId,
    /// Which event: one that it told, or tried to. If several words stand for it, all are told once more.
    pub event: Seq,
}

/// See [`super::Command::RecordDeliveries`]. Sent by the daemon alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordDeliveries {
    /// By which subscription.
    pub subscription: SubscriptionId,
    /// What was tried, in order: 1 to 256.
    pub attempts: Vec<Attempt>,
}

/// One attempt to tell an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// Which event; none for a test.
    pub event: Option<Seq>,
    /// The how-manieth attempt, from 1.
    pub attempt: u8,
    /// What came of it.
    pub outcome: DeliveryOutcome,
    /// The HTTP status that was answered.
    pub status: Option<u16>,
    /// How long it took, in milliseconds.
    pub ms: u32,
    /// When it was over.
    pub at: Micros,
    /// When it is tried again.
    pub next: Option<Micros>,
    /// What was answered, its beginning, or why nothing was: up to 256 characters.
    pub excerpt: Option<String>,
}
