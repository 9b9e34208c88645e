//! The log that an offline command works on: a data directory whose daemon is stopped, or an export.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use chancery_ledger::archive::{ArchiveReader, Leftover};
use chancery_ledger::data_dir::{DataDir, DataDirError};
use chancery_ledger::export::{Bodies, Counts, ExportLog, ExportReader, export_items};
use chancery_ledger::ids::{Seq, TreeSize};
use chancery_ledger::keystore::{Keystore, KeystoreError, SecretName, Secrets};
use chancery_ledger::last_checkpoint::LastCheckpoint;
use chancery_ledger::store::on_sled::SledStore;
use chancery_ledger::store::{LogStore, StoreError};
use chancery_ledger::tree::seal::Seal;
use chancery_ledger::verify::{Item, SourceError, StoreItems};
use clap::Args;
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::{output, progress};

/// Names the data directory where no option names a log.
const DATA_DIR_VARIABLE: &str = "CHANCERY_DATA_DIR";

/// Which log.
#[derive(Debug, Args)]
pub struct Log {
    /// A daemon's data directory; the daemon must be stopped [env: CHANCERY_DATA_DIR, unless --export is given].
    #[arg(long, global = true, conflicts_with = "export")]
    data_dir: Option<PathBuf>,
    /// A file that `chancery export` wrote.
    #[arg(long, global = true)]
    export: Option<PathBuf>,
    /// An archive: its directory, or one segment of it that begins with event 0.
    #[arg(long, global = true, conflicts_with_all = ["export", "data_dir"])]
    archive: Option<PathBuf>,
    /// Read a temporary copy of the data directory's log, as is done anyway where the directory may not be written. sled
    /// writes as it opens a log, and cuts off what follows damage: for evidence, use a copy.
    #[arg(long, global = true, conflicts_with_all = ["export", "archive"])]
    copy: bool,
}

/// Where the keys of encrypted fields are.
#[derive(Debug, Args)]
pub struct Keys {
    /// The keystore that opens encrypted fields, when it is not the data directory's own.
    #[arg(long, global = true)]
    keystore: Option<PathBuf>,
    /// Open no keystore: every encrypted field shows as `null`, as if it had been erased.
    #[arg(long, global = true, conflicts_with = "keystore")]
    without_keys: bool,
}

/// Items in the order of the log.
pub type Items<'a> = Box<dyn Iterator<Item = Result<Item, SourceError>> + Send + 'a>;

enum Place<'a> {
    DataDir(PathBuf),
    Export(&'a Path),
    Archive(&'a Path),
}

/// A log to read events from in any order, and what must stay held meanwhile.
pub struct Opened {
    /// The log.
    pub log: Arc<dyn LogStore>,
    held: Option<Held>,
}

/// A stopped daemon's log, which this process has to itself.
pub struct Stopped {
    /// The log, for reading alone.
    pub log: SledStore,
    held: Held,
}

/// A data directory, for as long as its log is read.
struct Held {
    dir: DataDir,
    copy: Option<TempDir>,
}

impl Log {
    /// A file that `chancery export` wrote.
    pub const fn of_export(path: PathBuf) -> Self {
        Self { data_dir: None, export: Some(path), archive: None, copy: false }
    }

    /// Whether an option names one.
    pub const fn is_named(&self) -> bool {
        self.data_dir.is_some() || self.export.is_some() || self.archive.is_some()
    }

    fn place(&self) -> anyhow::Result<Place<'_>> {
        match (&self.data_dir, &self.export, &self.archive) {
            (Some(dir), ..) => Ok(Place::DataDir(dir.clone())),
            (_, Some(path), _) => Ok(Place::Export(path)),
            (.., Some(path)) => Ok(Place::Archive(path)),
            (None, None, None) => match data_dir_of_environment() {
                Some(dir) => Ok(Place::DataDir(dir.into())),
                None => bail!(
                    "name a log: --data-dir with a stopped daemon's directory, --export with a file, or --archive"
                ),
            },
        }
    }

    /// Calls `work` with the log's items, how many events there are where that is known, and the last checkpoint that
    /// the daemon kept apart from the log where there is one.
    ///
    /// # Errors
    /// When the log cannot be opened, or what `work` gives.
    pub fn with_items<T>(
        &self, work: impl FnOnce(Items<'_>, Option<u64>, Option<Seal>) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        match self.place()? {
            Place::DataDir(dir) => {
                let stopped = Stopped::open(&dir, self.copy)?;
                let items = Box::new(StoreItems::new(&stopped.log, TreeSize(u64::MAX)));
                work(items, Some(stopped.log.size().0), stopped.last_checkpoint())
            }
            Place::Export(path) => {
                let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
                let items = Box::new(ExportReader::new(file));
                work(items, None, None).with_context(|| format!("{} was not read to its end", path.display()))
            }
            Place::Archive(path) => {
                let mut reader = ArchiveReader::open(path)?;
                let done = work(Box::new(&mut reader), None, None);
                let done = done.with_context(|| format!("{} was not read to its end", path.display()))?;
                note_leftover(&reader);
                Ok(done)
            }
        }
    }

    /// Opens the log for reading in any order.
    ///
    /// # Errors
    /// When the log cannot be opened.
    pub fn open(&self) -> anyhow::Result<Opened> {
        match self.place()? {
            Place::DataDir(dir) => {
                let Stopped { log, held } = Stopped::open(&dir, self.copy)?;
                Ok(Opened { log: Arc::new(log), held: Some(held) })
            }
            Place::Archive(path) => {
                // Segments are read in order only, and commits in them are whole or absent: as an export it is indexed.
                let export = tempfile::NamedTempFile::with_prefix("chancery-")?;
                let mut file = BufWriter::with_capacity(1 << 20, export.as_file());
                export_archive(path, &mut file)?;
                drop(file);
                // The index keeps the file open, so that its name is needed no longer.
                Ok(Opened { log: indexed(export.path(), path)?, held: None })
            }
            Place::Export(path) => Ok(Opened { log: indexed(path, path)?, held: None }),
        }
    }
}

/// An export, to be read in any order; `named` is what its user called it.
fn indexed(export: &Path, named: &Path) -> anyhow::Result<Arc<dyn LogStore>> {
    let bar = progress::events(None, "indexing");
    let log = ExportLog::open_with(export, |events| bar.set_position(events));
    bar.finish_and_clear();
    let damaged = || format!("{} cannot be used; `chancery verify` says more", named.display());
    Ok(Arc::new(log.with_context(damaged)?))
}

/// Writes an archive as an export, and says what stands after its last whole commit.
///
/// # Errors
/// When the archive cannot be read, or the export not written.
fn export_archive(path: &Path, out: &mut impl Write) -> anyhow::Result<Counts> {
    let mut reader = ArchiveReader::open(path)?;
    let bar = progress::events(None, "reading the archive");
    let counts = export_items(&mut reader, Bodies::Included, &mut *out, |events| bar.set_position(events));
    bar.finish_and_clear();
    let counts = counts.with_context(|| format!("{} was not read to its end", path.display()))?;
    note_leftover(&reader);
    out.flush()?;
    Ok(counts)
}

impl Opened {
    /// Whether it is an export or an archive, which keeps no nodes of the tree and can withhold bodies.
    pub const fn is_export(&self) -> bool {
        self.held.is_none()
    }

    /// Whether the body of an event is not there, as exports can have it.
    ///
    /// # Errors
    /// When the event cannot be read.
    pub fn withholds(&self, seq: Seq) -> anyhow::Result<bool> {
        // A body that is there has bytes for what is absent from it.
        Ok(self.is_export() && self.log.record(seq)?.is_some_and(|record| record.body.is_empty()))
    }

    /// What opens encrypted fields.
    ///
    /// # Errors
    /// When there is a keystore and it cannot be used.
    pub fn secrets(&self, keys: &Keys) -> anyhow::Result<Box<dyn Secrets>> {
        if keys.without_keys {
            return Ok(Box::new(NoSecrets));
        }
        // A copy of secrets is left to people: erasure must reach every one of them.
        let own = self.held.as_ref().filter(|held| held.copy.is_none()).map(|held| held.dir.keystore());
        let own = own.filter(|dir| dir.is_dir());
        keys.keystore.clone().or(own).map_or_else(without_keystore, |dir| open_keystore(&dir))
    }
}

impl Keys {
    /// What opens encrypted fields of a file that no keystore lies beside.
    ///
    /// # Errors
    /// When a keystore was named and cannot be used.
    pub fn secrets(&self) -> anyhow::Result<Box<dyn Secrets>> {
        match &self.keystore {
            Some(dir) => open_keystore(dir),
            None if self.without_keys => Ok(Box::new(NoSecrets)),
            None => without_keystore(),
        }
    }
}

fn without_keystore() -> anyhow::Result<Box<dyn Secrets>> {
    output::note("no keystore goes with this log, so every encrypted field shows as null (--keystore names one)");
    Ok(Box::new(NoSecrets))
}

fn open_keystore(dir: &Path) -> anyhow::Result<Box<dyn Secrets>> {
    // Opening would make one.
    if !dir.join("wrapping.key").is_file() || !dir.join("db").is_dir() {
        bail!(
            "{} is no whole keystore (`wrapping.key` and `db/`): restore it, or give --without-keys to go without",
            dir.display()
        );
    }
    let opened = Keystore::open(dir).context("encrypted fields cannot be opened; --without-keys goes without")?;
    Ok(Box::new(opened))
}

impl Stopped {
    /// Takes a data directory and opens its log, or a copy of it. Nothing is appended and no log moved, but sled writes
    /// to its own files: where this user may not, a copy is opened though none was asked for.
    ///
    /// # Errors
    /// When a daemon runs on it, there is no log, or it cannot be read.
    pub fn open(path: &Path, copy: bool) -> anyhow::Result<Self> {
        let dir = DataDir::open_to_read(path).map_err(|error| match error {
            // It may have been set aside; the store knows.
            DataDirError::NoLog { .. } => match SledStore::open_to_read(&path.join("log")) {
                Err(quarantined @ StoreError::Quarantined { .. }) => anyhow!(quarantined),
                _ => anyhow!(error),
            },
            other => anyhow!(other),
        })?;
        if !copy {
            match SledStore::open_to_read(&dir.log()) {
                Err(StoreError::Io { source, .. }) if forbids(&source) => {
                    output::note(&format!(
                        "{} may not be written by this user, so a copy of its log is read",
                        path.display()
                    ));
                }
                opened => return Ok(Self { log: opened?, held: Held { dir, copy: None } }),
            }
        }
        let copy = copy_of(&dir.log()).with_context(|| format!("the log in {} cannot be copied", path.display()))?;
        let log = SledStore::open_to_read(&copy.path().join("log"))?;
        Ok(Self { log, held: Held { dir, copy: Some(copy) } })
    }

    /// The last checkpoint that the daemon signed, as it kept it apart from the log.
    fn last_checkpoint(&self) -> Option<Seal> {
        let path = self.held.dir.last_checkpoint();
        let read = LastCheckpoint::read(&path).map_err(anyhow::Error::from);
        let parsed = read.and_then(|last| Ok(last.map(|(_, seal)| Seal::parse(&seal)).transpose()?));
        parsed.unwrap_or_else(|error| {
            output::note(&format!("{} cannot be read, so the log is not compared with it: {error}", path.display()));
            None
        })
    }
}

/// Says what stands after an archive's last whole commit.
pub fn note_leftover(reader: &ArchiveReader) {
    if let Some(Leftover { segment, bytes, why }) = reader.leftover() {
        output::note(&format!(
            "{} ends in {bytes} bytes that are no whole commit ({why}), as a crash leaves them, or damage: the archive \
             counts up to {} events",
            segment.display(),
            reader.size()
        ));
    }
}

/// The data directory that the environment names.
pub fn data_dir_of_environment() -> Option<OsString> {
    std::env::var_os(DATA_DIR_VARIABLE).filter(|value| !value.is_empty())
}

fn forbids(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
}

/// Copies a log's files into a temporary directory, while nobody else has it.
fn copy_of(log: &Path) -> anyhow::Result<TempDir> {
    let db = File::open(log.join("db"))?;
    if matches!(db.try_lock(), Err(TryLockError::WouldBlock)) {
        return Err(StoreError::InUse { path: log.to_owned() }.into());
    }
    let copy = tempfile::Builder::new().prefix("chancery-").tempdir()?;
    let bar = progress::waiting("copying the log");
    let files = |of: &Path, to: &Path| -> io::Result<()> {
        fs::create_dir(to)?;
        for entry in fs::read_dir(of)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                // Only the bytes: a copy that may not be written would be of no use.
                io::copy(&mut File::open(entry.path())?, &mut File::create(to.join(entry.file_name()))?)?;
            }
        }
        Ok(())
    };
    let (to, blobs) = (copy.path().join("log"), log.join("blobs"));
    files(log, &to)?;
    if blobs.is_dir() {
        files(&blobs, &to.join("blobs"))?;
    }
    bar.finish_and_clear();
    Ok(copy)
}

/// No keys: every encrypted field shows as erased.
pub struct NoSecrets;

impl Secrets for NoSecrets {
    fn secret(&self, _: &SecretName) -> Result<Option<Zeroizing<[u8; 32]>>, KeystoreError> {
        Ok(None)
    }

    fn is_destroyed(&self, _: &SecretName) -> Result<bool, KeystoreError> {
        Ok(true)
    }
}
