//! The engine: one data directory, opened. Log, keys, views and sequencer, started in order and stopped in order.

use std::path::PathBuf;
use std::sync::Arc;

use chancery_ledger::keys::{KeyFileError, PublicKey};
use chancery_ledger::keystore::{Keystore, KeystoreError};
use chancery_ledger::store::{LogStore, StoreError};
use zeroize::Zeroizing;

use crate::bootstrap::FirstStart;
use crate::context::{Clock, Random, SystemClock, SystemRandom};
use crate::rows::RowsError;
use crate::sequencer::Sequencer;
use crate::views::{View, Views};
use crate::worker::{Rebuilt, WorkerError};

/// Commands that may wait to be decided: at 10,000 a second, a tenth of a second's worth.
pub const WAITING_MAX: usize = 1024;

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
            random: Box::new(SystemRandom),
            waiting_max: WAITING_MAX,
        }
    }
}

/// The data directory cannot be opened. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another daemon has it.
    #[error("{dir} is in use by another chanceryd; stop that one, or choose another data directory")]
    Locked {
        /// The data directory.
        dir: PathBuf,
    },
    /// A file or directory could not be read or made.
    #[error("{path}: {source}")]
    Io {
        /// Which.
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
    /// The log is another's.
    #[error("the log's origin is `{found}`, but `{wanted}` is configured; is this another ledger's data directory?")]
    Origin {
        /// The log's.
        found: String,
        /// The configured one.
        wanted: String,
    },
}

/// An open data directory. Dropping it stops it.
pub struct Engine {
    sequencer: Sequencer,
    views: Views,
    log: Arc<dyn LogStore>,
    secrets: Arc<Keystore>,
    clock: Arc<dyn Clock>,
    origin: String,
}

impl Engine {
    /// Opens a data directory: takes its lock, checks the log's tail, brings the views up to the log, and starts the
    /// sequencer. An empty one is founded first, and then the credentials to begin with are given back, once.
    ///
    /// # Errors
    /// [`OpenError`] says what to do.
    pub fn open(_config: EngineConfig) -> Result<(Self, Option<FirstStart>), OpenError> {
        todo!()
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

    /// Makes a new sealing key and its file, for `RotateSigningKey` to put in place.
    ///
    /// # Errors
    /// [`KeyFileError`] when the file cannot be made.
    pub fn new_sealing_key(&self) -> Result<PublicKey, KeyFileError> {
        todo!()
    }

    /// Rebuilds a view from the log beside the live one and puts it in place. Takes as long as reading the log does.
    ///
    /// # Errors
    /// [`WorkerError`] when it cannot be rebuilt; the live one then stays.
    pub fn rebuild(&self, _view: View) -> Result<Rebuilt, WorkerError> {
        todo!()
    }

    /// Lets nothing more in, finishes what was let in, and waits until all of it is durable. May be called again.
    pub fn stop(&self) {
        todo!()
    }
}
