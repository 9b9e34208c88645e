//! The sequencer without threads: decider and committer, one step at a time, in whatever order their owner chooses.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use chancery_ledger::commit::Commit;
use chancery_ledger::ids::TreeSize;

use super::committer::Writer;
use super::decider::{Decider, Group, Step};
use super::{Parts, STOPPED_ON_REQUEST, STOPPED_UNEXPECTEDLY, Sequencer, Shared, StartError};

/// Decider and committer, each where its last step left it.
pub(crate) struct Steps {
    shared: Arc<Shared>,
    /// Gone when nothing is decided any more.
    decider: Option<Decider>,
    /// Gone when nothing is committed any more.
    writer: Option<Writer>,
    /// What the committer has taken and not yet made durable.
    taken: Option<Group>,
    /// What is durable, and whom to tell.
    durable: Option<(Group, Option<Arc<Commit>>)>,
}

impl Steps {
    /// A sequencer whose steps are the caller's.
    pub(crate) fn new(parts: Parts) -> Result<(Sequencer, Self), StartError> {
        let (sequencer, decider, writer) = Sequencer::prepare(parts)?;
        let shared = sequencer.shared.clone();
        Ok((sequencer, Self { shared, decider: Some(decider), writer: Some(writer), taken: None, durable: None }))
    }

    /// Decides the next command, if one waits and its group may have it.
    pub(crate) fn decide(&mut self) -> Step {
        let Some(decider) = &mut self.decider else { return Step::Over };
        let step = decider.step();
        if step == Step::Over {
            self.end_deciding();
        }
        step
    }

    /// The committer takes the group that was gathered, if it is free; how many commands are in it.
    pub(crate) fn take(&mut self) -> Option<usize> {
        if self.taken.is_some() || self.durable.is_some() {
            return None;
        }
        let group = self.decider.as_mut()?.give()?;
        if self.writer.is_none() {
            // The decider finds nobody to hand the group to, and ends as well; the group's callers are told so.
            self.end_deciding();
            return None;
        }
        let commands = group.replies.len();
        self.taken = Some(group);
        Some(commands)
    }

    /// The committer makes durable what it took; the log's size then. Fails as the committer does, and then nothing is
    /// written any more.
    pub(crate) fn commit(&mut self) -> Option<Result<TreeSize, String>> {
        let group = self.taken.take()?;
        match self.writer.as_mut()?.make_durable(&group) {
            Ok(commit) => {
                self.durable = Some((group, commit));
                Some(Ok(self.shared.log.size()))
            }
            Err(why) => {
                self.end_committing(&why);
                Some(Err(why))
            }
        }
    }

    /// The committer answers whom it made durable; how many.
    pub(crate) fn answer(&mut self) -> Option<usize> {
        let (group, commit) = self.durable.take()?;
        let count = group.replies.len();
        self.writer.as_ref()?.answer(group, commit.as_deref());
        Some(count)
    }

    /// The committer syncs the checkpoint beside the log, if it is free. Fails as [`commit`](Self::commit) does.
    pub(crate) fn sync_checkpoint(&mut self) -> Option<Result<(), String>> {
        if self.taken.is_some() || self.durable.is_some() {
            return None;
        }
        let synced = self.writer.as_mut()?.sync_checkpoint();
        if let Err(why) = &synced {
            self.end_committing(why);
        }
        Some(synced)
    }

    /// Lets nothing more in.
    pub(crate) fn stop(&self) {
        self.shared.stop(STOPPED_ON_REQUEST);
    }

    fn end_committing(&mut self, why: &str) {
        self.shared.stop(why);
        self.shared.is_committer_gone.store(true, Ordering::Release);
        self.writer = None;
    }

    fn end_deciding(&mut self) {
        self.shared.stop(STOPPED_UNEXPECTEDLY);
        self.decider = None;
    }
}
