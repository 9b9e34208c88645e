//! Faults planted on purpose, which the simulation must find: a net that never caught anything may have a hole.

/// A fault in what the simulation puts under the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Canary {
    /// The log says that a group is durable without syncing it.
    LogNotSynced,
    /// The log takes a second sync's word after the first one failed.
    LogSyncTriedAgain,
    /// The log keeps groups of which a power cut left a part.
    TornGroupsKept,
    /// The keystore says that keys are durable without syncing them.
    KeysNotSynced,
    /// Views come back from a crash with rows of events that they have not read.
    ViewsAhead,
}

impl Canary {
    /// Every one.
    pub const ALL: [Self; 5] =
        [Self::LogNotSynced, Self::LogSyncTriedAgain, Self::TornGroupsKept, Self::KeysNotSynced, Self::ViewsAhead];
}
