//! The log that an offline command works on: a data directory whose daemon is stopped, or an export.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use chancery_ledger::data_dir::DataDir;
use chancery_ledger::export::{ExportLog, ExportReader};
use chancery_ledger::ids::TreeSize;
use chancery_ledger::keystore::{Keystore, KeystoreError, SecretName, Secrets};
use chancery_ledger::store::LogStore;
use chancery_ledger::store::on_sled::SledStore;
use chancery_ledger::verify::{Item, SourceError, StoreItems};
use clap::Args;
use zeroize::Zeroizing;

/// Which log.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Log {
    /// A daemon's data directory; the daemon must be stopped.
    #[arg(long, env = "CHANCERY_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// A file that `chancery export` wrote.
    #[arg(long)]
    export: Option<PathBuf>,
}

/// Items in the order of the log.
pub type Items<'a> = Box<dyn Iterator<Item = Result<Item, SourceError>> + Send + 'a>;

/// A log to read events from in any order, the keys that open encrypted fields where they are, and what must stay
/// held meanwhile.
pub struct Opened {
    /// The log.
    pub log: Arc<dyn LogStore>,
    /// Opens encrypted fields; without a keystore every one of them shows as erased.
    pub secrets: Box<dyn Secrets>,
    _held: Option<DataDir>,
}

impl Log {
    /// Calls `work` with the log's items and, where it is known, how many events there are.
    ///
    /// # Errors
    /// When the log cannot be opened, or what `work` gives.
    pub fn with_items<T>(&self, work: impl FnOnce(Items<'_>, Option<u64>) -> anyhow::Result<T>) -> anyhow::Result<T> {
        match (&self.data_dir, &self.export) {
            (Some(dir), _) => {
                let held = DataDir::open(dir)?;
                let log = SledStore::open(&held.log())?;
                work(Box::new(StoreItems::new(&log, TreeSize(u64::MAX))), Some(log.size().0))
            }
            (None, Some(path)) => {
                let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
                work(Box::new(ExportReader::new(BufReader::with_capacity(1 << 20, file))), None)
            }
            (None, None) => bail!("name a log: --data-dir or --export"),
        }
    }

    /// Opens the log for reading in any order.
    ///
    /// # Errors
    /// When the log cannot be opened.
    pub fn open(&self) -> anyhow::Result<Opened> {
        match (&self.data_dir, &self.export) {
            (Some(dir), _) => {
                let held = DataDir::open(dir)?;
                let log: Arc<dyn LogStore> = Arc::new(SledStore::open(&held.log())?);
                let secrets: Box<dyn Secrets> = match held.keystore().is_dir() {
                    true => Box::new(Keystore::open(&held.keystore())?),
                    false => Box::new(NoSecrets),
                };
                Ok(Opened { log, secrets, _held: Some(held) })
            }
            (None, Some(path)) => {
                let log = ExportLog::open(path).with_context(|| format!("{} cannot be used", path.display()))?;
                Ok(Opened { log: Arc::new(log), secrets: Box::new(NoSecrets), _held: None })
            }
            (None, None) => bail!("name a log: --data-dir or --export"),
        }
    }
}

/// No keys: every encrypted field shows as erased.
struct NoSecrets;

impl Secrets for NoSecrets {
    fn secret(&self, _: &SecretName) -> Result<Option<Zeroizing<[u8; 32]>>, KeystoreError> {
        Ok(None)
    }

    fn is_destroyed(&self, _: &SecretName) -> Result<bool, KeystoreError> {
        Ok(true)
    }
}
