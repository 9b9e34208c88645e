//! The product on the simulated disk: its own engine, keystore and last checkpoint, and views in a temporary directory.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chancery_ledger::data_dir::DataDir;
use chancery_ledger::ids::TreeSize;
use chancery_ledger::keys::{KeyDirectory, PublicKey, SigningKey};
use chancery_ledger::keystore::Keystore;
use chancery_ledger::last_checkpoint::LastCheckpoint;
use chancery_ledger::time::Micros;
use chancery_projections::context::Clock;
use chancery_projections::engine::{EngineConfig, Stepped, Storage};
use chancery_projections::rows::store::ViewStore;
use chancery_projections::views::View;
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::canary::Canary;
use crate::disk::Disk;
use crate::history::History;
use crate::log::SimLog;
use crate::random::Dice;
use crate::shelf::SimShelf;

/// The log's origin.
pub const ORIGIN: &str = "simulation.invalid/log";
/// 2026-01-02 03:04:05 UTC, when every run begins.
const START: i64 = 1_767_323_045_000_000;
const LAST_CHECKPOINT: &str = "last-checkpoint";

/// A clock that stands until it is moved.
#[derive(Debug)]
pub struct SimClock(AtomicI64);

impl SimClock {
    /// Moves the clock, in whichever direction.
    pub fn advance(&self, micros: i64) {
        self.0.fetch_add(micros, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Micros {
        Micros(self.0.load(Ordering::Relaxed))
    }
}

/// How much may wait, in this run.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Commands that may wait to be decided.
    pub waiting_max: usize,
    /// Events a view may be behind.
    pub lag_events_max: u64,
}

/// How a view comes back from a crash. Nothing in it is synced, so it may be any earlier state of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comeback {
    /// As it was.
    Kept,
    /// As it was after so many events.
    Earlier(TreeSize),
    /// Not at all.
    Gone,
}

/// What lies beneath the product, and outlives it.
pub struct Ground {
    /// The disk.
    pub disk: Disk,
    /// The clock.
    pub clock: Arc<SimClock>,
    /// Sealing keys. The system's disk keeps them, and they are durable before anybody hears of them.
    pub keys: KeyDirectory,
    /// The key that seals the first commit.
    pub first_key: PublicKey,
    dir: TempDir,
    wrapping: Zeroizing<[u8; 32]>,
    bounds: Bounds,
    canary: Option<Canary>,
}

impl Ground {
    /// An empty data directory and an empty disk.
    ///
    /// # Errors
    /// When the system gives no temporary directory.
    pub fn new(dice: &mut Dice, bounds: Bounds, canary: Option<Canary>) -> Result<Self, String> {
        // Views and key files lie there. Nothing in them needs a real disk, and in memory they cost no waiting for one.
        let mut named = tempfile::Builder::new();
        named.prefix("chancery-sim-");
        let dir = named.tempdir_in("/dev/shm").or_else(|_| named.tempdir());
        let dir = dir.map_err(|error| format!("no temporary directory: {error}"))?;
        let data = DataDir::create_or_open(dir.path()).map_err(|error| error.to_string())?;
        let keys = KeyDirectory::open(&data.keys(), None).map_err(|error| error.to_string())?;
        // The first start finds this one, as if an earlier one had been cut short, and draws none of its own.
        let first = SigningKey::from_seed(Zeroizing::new(dice.bytes()));
        keys.keep(&first).map_err(|error| error.to_string())?;
        let disk = Disk::new(dice.fork("disk"));
        LastCheckpoint::format(&disk.file(LAST_CHECKPOINT)).map_err(|error| error.to_string())?;
        let wrapping = Zeroizing::new(dice.bytes());
        let clock = Arc::new(SimClock(AtomicI64::new(START)));
        Ok(Self { disk, clock, keys, first_key: first.public(), dir, wrapping, bounds, canary })
    }

    /// Starts the product.
    ///
    /// # Errors
    /// Why it does not start, as its operator is told.
    pub fn start(&self, dice: Dice) -> Result<Stepped, String> {
        let Self { disk, canary, .. } = self;
        let told =
            |error: &dyn std::fmt::Display| error.to_string().replace(&*self.dir.path().to_string_lossy(), "DIR");
        let log = SimLog::open(disk.file("log"), *canary).map_err(|error| told(&error))?;
        let shelf = SimShelf::open(disk.file("keystore"), *canary).map_err(|error| told(&error))?;
        let secrets = Keystore::over(Box::new(shelf), self.wrapping.clone()).map_err(|error| told(&error))?;
        let file = Box::new(disk.file(LAST_CHECKPOINT));
        let last_checkpoint = LastCheckpoint::over(file, Path::new(LAST_CHECKPOINT)).map_err(|error| told(&error))?;
        let mut config = EngineConfig::new(self.dir.path());
        config.origin = Some(ORIGIN.to_owned());
        config.clock = self.clock.clone();
        config.random = Box::new(dice);
        (config.waiting_max, config.lag_events_max) = (self.bounds.waiting_max, self.bounds.lag_events_max);
        let storage = Storage { log: Arc::new(log), secrets, last_checkpoint };
        Stepped::open(config, storage).map(|(node, _)| node).map_err(|error| told(&error))
    }

    /// Has a view come back from a crash. The product does not run meanwhile.
    ///
    /// # Errors
    /// When the temporary directory cannot be used.
    pub fn bring_back(&self, view: View, how: Comeback, history: &History) -> Result<(), String> {
        if how == Comeback::Kept {
            return Ok(());
        }
        let dir = self.dir.path().join("views").join(view.name());
        match std::fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.to_string()),
            _ => {}
        }
        let Comeback::Earlier(size) = how else { return Ok(()) };
        let rows = if self.canary == Some(Canary::ViewsAhead) { history.size() } else { size };
        let store = ViewStore::open(&dir).map_err(|error| error.to_string())?;
        history.write(view, rows, size, &store).map_err(|error| error.to_string())
    }
}
