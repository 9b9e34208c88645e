//! Where a command's time goes between being handed in and being answered: each command counts each stage once.

use std::time::Duration;

use chancery_ledger::commit::CommitTimes;

use crate::timing::Timing;

/// A part of the way of a command through the sequencer, in order. They follow one another and leave nothing out but
/// what the last command of a group waits for the others' answers; [`Decide`](Self::Decide) alone lies within another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// From being handed in to being taken up by the decider.
    Queue,
    /// Being decided: the decider's own work on this command, and part of [`Gather`](Self::Gather).
    Decide,
    /// From being taken up to being handed to the committer with the rest of its group: as long as the commit before
    /// takes.
    Gather,
    /// Making new data keys durable.
    Keys,
    /// Rendering headers, hashing, and extending the tree.
    Link,
    /// Signing the checkpoint.
    Seal,
    /// Handing the records to the store's engine.
    Write,
    /// The engine's writing them out.
    Flush,
    /// Waiting for the disk to have them.
    Sync,
    /// Keeping the checkpoint beside the log, and telling the views' workers.
    Publish,
    /// Answering everybody in the group.
    Answer,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 11] = [
        Self::Queue,
        Self::Decide,
        Self::Gather,
        Self::Keys,
        Self::Link,
        Self::Seal,
        Self::Write,
        Self::Flush,
        Self::Sync,
        Self::Publish,
        Self::Answer,
    ];

    /// The stage's name, in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Decide => "decide",
            Self::Gather => "gather",
            Self::Keys => "keys",
            Self::Link => "link",
            Self::Seal => "seal",
            Self::Write => "write",
            Self::Flush => "flush",
            Self::Sync => "sync",
            Self::Publish => "publish",
            Self::Answer => "answer",
        }
    }
}

/// The time of every stage, over all commands since the start.
#[derive(Debug, Default)]
pub struct Stages([Timing; Stage::ALL.len()]);

impl Stages {
    /// One stage's.
    #[must_use]
    pub const fn get(&self, stage: Stage) -> &Timing {
        &self.0[stage as usize]
    }

    /// Each stage's, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Stage, &Timing)> {
        Stage::ALL.into_iter().zip(&self.0)
    }

    /// Counts a commit for every command of its group. `keys` went before it, and `published` is what it took from
    /// there on until the views' workers were told.
    pub(super) fn committed(&self, commands: u64, keys: Duration, times: &CommitTimes, published: Duration) {
        let CommitTimes { link, seal, append, keep } = *times;
        let stages = [
            (Stage::Keys, keys),
            (Stage::Link, link),
            (Stage::Seal, seal),
            (Stage::Write, append.write),
            (Stage::Flush, append.flush),
            (Stage::Sync, append.sync),
            (Stage::Publish, keep + published),
        ];
        for (stage, took) in stages {
            self.get(stage).observe_many(took, commands);
        }
    }
}
