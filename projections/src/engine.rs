//! The engine: one data directory, opened. Log, keys, views and sequencer, started in order and stopped in order.

mod archived;
mod loss;
mod stepped;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use chancery_ledger::archive::ArchiveError;
use chancery_ledger::commit::{CommitError, Committer};
use chancery_ledger::data_dir::{DataDir, DataDirError};
use chancery_ledger::ids::TreeSize;
use chancery_ledger::keys::{KeyDirectory, KeyFileError, PublicKey, SigningKey};
use chancery_ledger::keystore::{Keystore, KeystoreError};
use chancery_ledger::last_checkpoint::LastCheckpoint;
use chancery_ledger::store::on_sled::SledStore;
use chancery_ledger::store::{LogStore, StoreError};
use zeroize::Zeroizing;

use self::archived::Archived;
pub use self::archived::{ArchiveConfig, ArchiveStatus};
pub use self::stepped::Stepped;
use crate::bootstrap::{self, FirstStart, FoundError};
use crate::context::{Clock, PooledRandom, Random, SystemClock};
use crate::rows::RowsError;
use crate::rows::store::ViewStore;
use crate::sequencer::{Answers, Deliver, Parts, Sequencer, StartError, Threads};
use crate::shredding::{self, ShredError};
use crate::timing::Timing;
use crate::view_receipt::roots::Trees;
use crate::views::{self, PerView, View, ViewHandle, Views};
use crate::worker::{Rebuilt, Worker, WorkerError};

/// Commands that may wait to be decided: at 10,000 a second, a tenth of a second's worth.
pub const WAITING_MAX: usize = 1024;
/// Events a view may be behind before deciding waits for it: what they wrote takes some ten megabytes of memory a view.
pub const LAG_EVENTS_MAX: u64 = 64 * 1024;

/// What is done with the credentials of a first start before they let anybody in.
pub type OnFirstStart = Box<dyn FnOnce(&FirstStart) -> std::io::Result<()> + Send>;

/// Where and how to open.
pub struct EngineConfig {
    /// The data directory; made when there is none.
    pub data_dir: PathBuf,
    /// The log's origin. A first start names the ledger by it; later it must be the same, or absent.
    pub origin: Option<String>,
    /// Opens and protects the sealing keys' files.
    pub passphrase: Option<Zeroizing<String>>,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where randomness comes from.
    pub random: Box<dyn Random>,
    /// Commands that may wait to be decided.
    pub waiting_max: usize,
    /// Events a view may be behind before deciding waits for it.
    pub lag_events_max: u64,
    /// Has the answers to a group of commands delivered. By itself the committer does so, which is right for callers on
    /// threads of their own. Tasks of a runtime are woken for less by the runtime, all of a group's at once.
    pub deliver: Deliver,
    /// A second copy of the log, if one is to be kept.
    pub archive: Option<ArchiveConfig>,
    /// Called with the credentials of a first start before the commit that makes them good. What it writes down is
    /// there, then, before the ledger is; if it fails, no ledger is founded, and the next start is a first one again.
    pub on_first_start: Option<OnFirstStart>,
}

impl EngineConfig {
    /// A directory, with the system's clock and randomness and no passphrase.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            origin: None,
            passphrase: None,
            clock: Arc::new(SystemClock),
            random: Box::new(PooledRandom::default()),
            waiting_max: WAITING_MAX,
            lag_events_max: LAG_EVENTS_MAX,
            deliver: Box::new(Answers::deliver),
            archive: None,
            on_first_start: None,
        }
    }
}

/// The data directory cannot be opened. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory is in use by another process, or cannot be used at all.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The last checkpoint could not be read.
    #[error("the last checkpoint in {path} cannot be read: {source}", path = path.display())]
    LastCheckpoint {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The log could not be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keystore could not be opened.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// A sealing key could not be read or made.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The log cannot be continued.
    #[error(transparent)]
    Log(#[from] chancery_ledger::commit::OpenError),
    /// A view could not be opened.
    #[error("a view could not be opened: {0}")]
    Rows(#[from] RowsError),
    /// A view could not be brought up to the log.
    #[error("the {} view cannot be brought up to the log: {source}", view.name())]
    View {
        /// Which.
        view: View,
        /// Why.
        source: WorkerError,
    },
    /// The ledger could not be founded.
    #[error("the ledger could not be founded: {0}")]
    Found(#[from] FoundError),
    /// The first commit failed.
    #[error("the ledger could not be founded: {0}")]
    FirstCommit(#[from] CommitError),
    /// What was to be done with the first credentials failed.
    #[error("the first credentials could not be written down, so no ledger was founded: {0}")]
    FirstStart(std::io::Error),
    /// The log is gone, and its checkpoint is not.
    #[error(
        "the log in {} is empty, but a checkpoint for {signed} events was signed and may have left this machine: \
         restore the log. To found another ledger, choose another data directory",
        dir.display()
    )]
    LogGone {
        /// The data directory.
        dir: PathBuf,
        /// Events in the signed checkpoint.
        signed: TreeSize,
    },
    /// The archive cannot be used, or not with this log.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The log's last run ended without an orderly stop, and its archive may hold what it lacks.
    #[error(
        "the archive in {archive} {is}. The log was last run with it, synchronously, and did not stop in order, so it may \
         hold a sealed commit that the log lacks, and to go on without it could contradict that. Start once with \
         `--archive-dir {archive}`, which held at least {held} events; if it is lost for good, delete {mark} and start again",
        archive = archive.display(),
        mark = mark.display()
    )]
    ArchiveExpected {
        /// The archive.
        archive: PathBuf,
        /// How many events it held at least.
        held: TreeSize,
        /// What is the matter with it.
        is: &'static str,
        /// The file that says so.
        mark: PathBuf,
    },
    /// The file that names the archive cannot be used.
    #[error("{}, which names the log's archive, cannot be used: {source}", mark.display())]
    ArchiveMark {
        /// The file.
        mark: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The decision to go on without a lost tail cannot be followed.
    #[error(
        "what was decided about the log's lost tail, in {path}, cannot be followed: {source}. If it is not about this log, \
         move it away",
        path = path.display()
    )]
    AcceptedLoss {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Keys of what was erased may be there.
    #[error("what the log says was erased could not be destroyed in the keystore: {0}")]
    Shred(#[from] ShredError),
    /// Writing cannot go on from where the log ends.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The log is another's.
    #[error("the log's origin is `{found}`, but `{wanted}` is configured; is this another ledger's data directory?")]
    Origin {
        /// The log's.
        found: String,
        /// The configured one.
        wanted: String,
    },
}

/// What an engine keeps durable, each opened.
pub struct Storage {
    /// The log.
    pub log: Arc<dyn LogStore>,
    /// Data keys and CA keys.
    pub secrets: Keystore,
    /// The checkpoint kept apart from the log.
    pub last_checkpoint: LastCheckpoint,
}

/// What workers and sequencer stand on: a log that is not empty, checked and taken over.
struct Ground {
    committer: Committer,
    origin: String,
    log: Arc<dyn LogStore>,
    secrets: Arc<Keystore>,
    keys: Arc<KeyDirectory>,
    stores: PerView<ViewStore>,
}

impl Ground {
    /// Takes over the log, founding the ledger when it is empty, and opens the views.
    fn lay(
        config: &mut EngineConfig, dir: &DataDir, storage: Storage,
    ) -> Result<(Self, Option<FirstStart>), OpenError> {
        let Storage { log, secrets, last_checkpoint: last } = storage;
        let key_directory = || KeyDirectory::open(&dir.keys(), config.passphrase.clone());
        let (keys, keys_of_committer) = (Arc::new(key_directory()?), key_directory()?);
        let secrets = Arc::new(secrets);
        let (committer, first_start) = if log.size() == TreeSize(0) {
            if let Some((signed, _)) = last.newest() {
                return Err(OpenError::LogGone { dir: dir.path().to_owned(), signed });
            }
            let (committer, first_start) = found(config, log.clone(), keys_of_committer, last, &secrets)?;
            (committer, Some(first_start))
        } else {
            (Committer::open(log.clone(), keys_of_committer, last)?, None)
        };
        let origin = committer.origin().to_owned();
        if let Some(wanted) = config.origin.take_if(|wanted| *wanted != origin) {
            return Err(OpenError::Origin { found: origin, wanted });
        }
        let stores = views::open_stores(&dir.views())?;
        Ok((Self { committer, origin, log, secrets, keys, stores }, first_start))
    }

    /// Nobody reads what the log says was erased. The views are up to the log by now.
    fn carry_out_erasures(&self) -> Result<(), OpenError> {
        let rows = self.stores.get(View::Identity).snapshot();
        let size = rows.cursor()?;
        Ok(shredding::carry_out(&rows, size, &self.secrets)?)
    }

    /// What a sequencer starts with, and what readers read.
    fn build(self, config: EngineConfig, workers: PerView<Worker>, handles: PerView<ViewHandle>) -> (Parts, Views) {
        let views = Views::new(handles);
        let parts = Parts {
            committer: self.committer,
            log: self.log,
            secrets: self.secrets,
            keys: self.keys,
            clock: config.clock,
            random: config.random,
            stores: self.stores,
            views: views.clone(),
            workers: Arc::new(workers),
            deliver: config.deliver,
            waiting_max: config.waiting_max,
            lag_events_max: config.lag_events_max,
        };
        (parts, views)
    }
}

/// An open data directory. Dropping it stops it.
pub struct Engine {
    sequencer: Sequencer,
    threads: Mutex<Option<Threads>>,
    workers: Arc<PerView<Worker>>,
    views: Views,
    log: Arc<dyn LogStore>,
    archived: Archived,
    secrets: Arc<Keystore>,
    keys: Arc<KeyDirectory>,
    clock: Arc<dyn Clock>,
    origin: String,
    /// Held for as long as it is in use.
    dir: DataDir,
}

impl Engine {
    /// Opens a data directory: takes its lock, checks the log's tail, brings the views up to the log, and starts the
    /// sequencer. An empty one is founded first, and then the credentials to begin with are given back, once.
    ///
    /// # Errors
    /// [`OpenError`] says what to do.
    pub fn open(config: EngineConfig) -> Result<(Self, Option<FirstStart>), OpenError> {
        let dir = DataDir::create_or_open(&config.data_dir)?;
        let log = Arc::new(SledStore::open(&dir.log())?);
        let keys = KeyDirectory::open(&dir.keys(), config.passphrase.clone())?;
        let (archived, log) = Archived::prepare(config.archive.as_ref(), &dir, log, &keys)?;
        Self::over(config, dir, log, archived)
    }

    /// Opens a data directory, but with this store for a log. Tests and simulations use it.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_over(config: EngineConfig, log: Arc<dyn LogStore>) -> Result<(Self, Option<FirstStart>), OpenError> {
        let dir = DataDir::create_or_open(&config.data_dir)?;
        Self::over(config, dir, log, Archived::Without)
    }

    fn over(
        mut config: EngineConfig, dir: DataDir, log: Arc<dyn LogStore>, archived: Archived,
    ) -> Result<(Self, Option<FirstStart>), OpenError> {
        let secrets = Keystore::open(&dir.keystore())?;
        let path = dir.last_checkpoint();
        let last = LastCheckpoint::open(&path).map_err(|source| OpenError::LastCheckpoint { path, source })?;
        let (mut ground, first_start) =
            Ground::lay(&mut config, &dir, Storage { log, secrets, last_checkpoint: last })?;
        archived.begin(&ground.log)?;
        loss::record(&dir.accepted_loss(), &mut ground.committer, &*ground.log, config.clock.now())?;
        let (workers, handles) = start_workers(&ground.stores, &ground.log)?;
        ground.carry_out_erasures()?;
        let (log, secrets, keys, origin) =
            (ground.log.clone(), ground.secrets.clone(), ground.keys.clone(), ground.origin.clone());
        let clock = config.clock.clone();
        let (parts, views) = ground.build(config, workers, handles);
        let workers = parts.workers.clone();
        let (sequencer, threads) = Sequencer::start(parts)?;
        let threads = Mutex::new(Some(threads));
        let engine = Self { sequencer, threads, workers, views, log, archived, secrets, keys, clock, origin, dir };
        Ok((engine, first_start))
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
    pub fn log(&self) -> Arc<dyn LogStore> {
        self.log.clone()
    }

    /// How the archive stands; `None` without one.
    #[must_use]
    pub fn archive(&self) -> Option<ArchiveStatus> {
        self.archived.status()
    }

    /// The data keys, for readers of encrypted fields.
    #[must_use]
    pub fn secrets(&self) -> Arc<Keystore> {
        self.secrets.clone()
    }

    /// Where time comes from.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    /// The log's origin.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The trees over views that receipts are made of.
    #[must_use]
    pub fn receipt_trees(&self) -> Trees {
        Trees::new(self.dir.receipts())
    }

    /// The sealing keys' files by name, each with its text if that is encrypted under a passphrase.
    ///
    /// # Errors
    /// [`KeyFileError`] when one cannot be read.
    pub fn encrypted_sealing_keys(&self) -> Result<Vec<(String, Option<String>)>, KeyFileError> {
        self.keys.encrypted_files()
    }

    /// Makes a new sealing key and its file, for `RotateSigningKey` to put in place.
    ///
    /// # Errors
    /// [`KeyFileError`] when the file cannot be made.
    pub fn new_sealing_key(&self) -> Result<PublicKey, KeyFileError> {
        Ok(self.keys.create()?.public())
    }

    /// How long commits took to be in a view.
    #[must_use]
    pub fn visible(&self, view: View) -> &Timing {
        self.workers.get(view).visible()
    }

    /// Rebuilds a view from the log beside the live one, puts it in place, and compares the two. Takes as long as
    /// reading the log does; reads and writes go on meanwhile.
    ///
    /// # Errors
    /// [`WorkerError`] when it cannot be rebuilt; the live one then stays.
    pub fn rebuild(&self, view: View) -> Result<Rebuilt, WorkerError> {
        self.workers.get(view).rebuild()
    }

    /// Lets nothing more in, finishes what was let in, and waits until all of it is durable, answered, and in the views.
    /// May be called again.
    pub fn stop(&self) {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(threads) = threads {
            self.sequencer.stop(threads);
            self.workers.iter().for_each(|(_, worker)| worker.stop());
            self.archived.stop();
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Founds the ledger: everything it needs is durable before the commit that makes it one. A start that is cut short
/// before that leaves an empty log, a key file that the next start uses, and secrets that nothing refers to.
fn found(
    config: &mut EngineConfig, log: Arc<dyn LogStore>, keys: KeyDirectory, last: LastCheckpoint, secrets: &Keystore,
) -> Result<(Committer, FirstStart), OpenError> {
    let key = first_key(&keys)?;
    let now = config.clock.now();
    let founding = bootstrap::found(now, config.origin.as_deref(), &key.public(), &mut *config.random, secrets)?;
    secrets.put(&founding.secrets)?;
    secrets.sync()?;
    if let Some(on_first_start) = config.on_first_start.take() {
        on_first_start(&founding.first_start).map_err(OpenError::FirstStart)?;
    }
    let mut committer = Committer::create(log, keys, last, founding.origin, key);
    committer.commit(Arc::new(founding.events))?;
    Ok((committer, founding.first_start))
}

/// The first sealing key: one that a start cut short has left, or a new one.
fn first_key(keys: &KeyDirectory) -> Result<SigningKey, KeyFileError> {
    match keys.find_by(|_| true) {
        Err(KeyFileError::NotFound { .. }) => keys.create(),
        found => found,
    }
}

/// Brings every view up to the log, side by side, and has each followed by its worker.
fn start_workers(
    stores: &PerView<ViewStore>, log: &Arc<dyn LogStore>,
) -> Result<(PerView<Worker>, PerView<ViewHandle>), OpenError> {
    let started = thread::scope(|scope| {
        let starting = PerView::try_make(|view| {
            let (store, log) = (stores.get(view).clone(), log.clone());
            thread::Builder::new().spawn_scoped(scope, move || Worker::start(view, store, log))
        })
        .map_err(StartError::Thread)?;
        starting.try_map(|view, thread| match thread.join() {
            Ok(started) => started.map_err(|source| OpenError::View { view, source }),
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    Ok(started.unzip())
}
