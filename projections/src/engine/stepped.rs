//! An engine without threads. Its owner says whose turn it is: so a simulation runs the daemon's own decider, committer
//! and view workers in any order, from one seed.

use std::ops::ControlFlow;
use std::sync::Arc;

use chancery_ledger::data_dir::DataDir;
use chancery_ledger::ids::TreeSize;
use chancery_ledger::keystore::Keystore;
use chancery_ledger::store::LogStore;

use super::{EngineConfig, Ground, OpenError, Storage};
use crate::bootstrap::FirstStart;
use crate::sequencer::{Sequencer, Step, Steps};
use crate::views::{PerView, View, Views};
use crate::worker::{Follower, Rebuilding, Rebuilt, Worker, WorkerError};

/// An open data directory over storage of its owner's, which does nothing but what it is told. Dropping it is a crash:
/// nothing more is written, and whoever waits is told that writing has stopped.
pub struct Stepped {
    sequencer: Sequencer,
    steps: Steps,
    workers: Arc<PerView<Worker>>,
    /// Gone when its view cannot follow any more.
    followers: PerView<Option<Follower>>,
    rebuilding: PerView<Option<Rebuilding>>,
    views: Views,
    log: Arc<dyn LogStore>,
    secrets: Arc<Keystore>,
    /// Held for as long as it is in use.
    _dir: DataDir,
}

impl Stepped {
    /// Opens a data directory as [`Engine::open`](super::Engine::open) does, one thing after another.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(mut config: EngineConfig, storage: Storage) -> Result<(Self, Option<FirstStart>), OpenError> {
        let dir = DataDir::create_or_open(&config.data_dir)?;
        let (ground, first_start) = Ground::lay(&mut config, &dir, storage)?;
        let (log, secrets) = (ground.log.clone(), ground.secrets.clone());
        let prepared = PerView::try_make(|view| {
            let prepared = Worker::prepare(view, ground.stores.get(view).clone(), log.clone());
            let (worker, follower, handle) = prepared.map_err(|source| OpenError::View { view, source })?;
            Ok::<_, OpenError>((worker, (Some(follower), handle)))
        })?;
        ground.carry_out_erasures()?;
        let (workers, rest) = prepared.unzip();
        let (followers, handles) = rest.unzip();
        let (parts, views) = ground.build(config, workers, handles);
        let workers = parts.workers.clone();
        let (sequencer, steps) = Steps::new(parts)?;
        let rebuilding = PerView::try_make(|_| Ok::<_, OpenError>(None))?;
        let stepped = Self { sequencer, steps, workers, followers, rebuilding, views, log, secrets, _dir: dir };
        Ok((stepped, first_start))
    }

    /// Where commands go in.
    #[must_use]
    pub const fn sequencer(&self) -> &Sequencer {
        &self.sequencer
    }

    /// What readers read.
    #[must_use]
    pub const fn views(&self) -> &Views {
        &self.views
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> &dyn LogStore {
        &*self.log
    }

    /// The data keys.
    #[must_use]
    pub fn secrets(&self) -> &Keystore {
        &self.secrets
    }

    /// The decider decides the next command, if one waits and its group may have it.
    pub fn decide(&mut self) -> Step {
        self.steps.decide()
    }

    /// The committer takes the group that was gathered; how many commands are in it. `None` when there is none, or the
    /// committer is busy.
    pub fn take(&mut self) -> Option<usize> {
        self.steps.take()
    }

    /// The committer makes durable what it took, and tells the views; the log's size then. `None` when it took nothing.
    /// An error says why writing has stopped.
    pub fn commit(&mut self) -> Option<Result<TreeSize, String>> {
        self.steps.commit()
    }

    /// The committer answers whom it made durable; how many. `None` when there is nobody.
    pub fn answer(&mut self) -> Option<usize> {
        self.steps.answer()
    }

    /// The committer syncs the checkpoint beside the log. `None` when it is busy; an error says why writing has stopped.
    pub fn sync_checkpoint(&mut self) -> Option<Result<(), String>> {
        self.steps.sync_checkpoint()
    }

    /// A view's worker takes what it was told of; whether it still follows.
    pub fn follow(&mut self, view: View) -> bool {
        let Some((_, follower)) = self.followers.iter_mut().find(|(of, _)| *of == view) else { return false };
        if follower.as_ref().is_some_and(|follower| follower.step() == ControlFlow::Break(())) {
            *follower = None;
        }
        follower.is_some()
    }

    /// Rebuilds a view beside the live one, for its worker to put in place at its next turn. Does nothing when the view
    /// is being rebuilt already, or does not follow.
    ///
    /// # Errors
    /// [`WorkerError`] when it cannot be rebuilt; the live one then stays.
    pub fn begin_rebuild(&mut self, view: View) -> Result<(), WorkerError> {
        // Its worker takes what waits first, so that there is room for this.
        let follows = self.follow(view);
        let Some((_, rebuilding)) = self.rebuilding.iter_mut().find(|(of, _)| *of == view) else { return Ok(()) };
        if follows && rebuilding.is_none() {
            *rebuilding = Some(self.workers.get(view).begin_rebuild()?);
        }
        Ok(())
    }

    /// Has the view's worker put a rebuilt view in place, and compares it with the one it took the place of; `None` when
    /// none is being rebuilt.
    ///
    /// # Errors
    /// [`WorkerError`] when the view cannot follow, or its storage fails.
    pub fn finish_rebuild(&mut self, view: View) -> Result<Option<Rebuilt>, WorkerError> {
        let Some((_, rebuilding)) = self.rebuilding.iter_mut().find(|(of, _)| *of == view) else { return Ok(None) };
        let Some(rebuilding) = rebuilding.take() else { return Ok(None) };
        self.follow(view);
        rebuilding.finish().map(Some)
    }

    /// Lets no more commands in. What was let in may still be decided, committed and answered.
    pub fn stop(&self) {
        self.steps.stop();
    }
}
