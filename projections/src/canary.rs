//! Faults that can be planted for the simulation to find. Without the feature `canary` none can be, and asking for one
//! costs nothing.

/// A fault in the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Canary {
    /// What a command wrote in memory stays although the command was not taken.
    RowsOfRefusedCommandsStay,
    /// Events are committed before the keys that open them are durable.
    KeysNotSynced,
    /// A group is answered although its commit failed.
    FailedCommitsAnswered,
    /// Events are decided at the clock's time, also when that has run backwards.
    TimeRunsBackwards,
}

impl Canary {
    /// Every one.
    pub const ALL: [Self; 4] =
        [Self::RowsOfRefusedCommandsStay, Self::KeysNotSynced, Self::FailedCommitsAnswered, Self::TimeRunsBackwards];
}

#[cfg(feature = "canary")]
mod planted {
    use std::cell::Cell;

    use super::Canary;

    thread_local! {
        static PLANTED: Cell<Option<Canary>> = const { Cell::new(None) };
    }

    /// Plants a fault for what this thread runs, or takes it away.
    pub fn plant(canary: Option<Canary>) {
        PLANTED.set(canary);
    }

    pub(crate) fn is(canary: Canary) -> bool {
        PLANTED.get() == Some(canary)
    }
}

#[cfg(feature = "canary")]
pub(crate) use planted::is;
#[cfg(feature = "canary")]
pub use planted::plant;

#[cfg(not(feature = "canary"))]
pub(crate) const fn is(_: Canary) -> bool {
    false
}
