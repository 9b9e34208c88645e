//! Snapshots: the views of moments, kept in a directory of their own so that a replay need not begin at the first event.
//!
//! A snapshot is derived data. Its manifest binds a digest of every row, past ones too, to the log's size and root; both
//! are held against the rows and the log before any answer is taken from it, and one that fails is removed and made anew.
//! What that cannot tell: whether somebody rewrote rows and manifest alike. Only a replay from the first event can.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::thread;

use chancery_ledger::ids::TreeSize;
use chancery_ledger::store::{LogStore, StoreError, StoreNodes};
use chancery_ledger::tree::{Frontier, NodeHash};
use serde::{Deserialize, Serialize};

use crate::rows::RowsError;
use crate::rows::store::ViewStore;
use crate::views::{PerView, View, open_stores};

/// The version of what [`Manifest`] says.
const FORMAT: u8 = 1;
const MANIFEST: &str = "snapshot.json";
/// Where the next one is made.
const BUILDING: &str = "building";

/// Snapshots cannot be used. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Another process works with them.
    #[error("{path} is in use by another process: wait for it, or name another directory")]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The directory holds other things.
    #[error("{path} holds `{name}`, which is no snapshot: name an empty directory")]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// What is there.
        name: String,
    },
    /// The directory cannot be read or written.
    #[error("{path} cannot be used: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The views cannot be read or written.
    #[error("a snapshot's views cannot be used: {0}; is there room on the disk?")]
    Rows(#[from] RowsError),
}

/// Why a snapshot is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// Its manifest cannot be read.
    #[error("its manifest cannot be read")]
    Manifest,
    /// It is of a log with another root at that size.
    #[error("it is of another log: the root of its first {0} events is not this log's")]
    Root(TreeSize),
    /// Its rows are not those that it was made of.
    #[error("its rows are not those that it was made of")]
    Digest,
}

/// A snapshot that was not believed, and was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// How many events it was said to reflect.
    pub size: TreeSize,
    /// Why not.
    pub why: Distrust,
}

/// What a snapshot says of itself.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: u8,
    size: TreeSize,
    /// The log's root at that size, in base64 as in a checkpoint.
    root: String,
    /// Over size, root and rows, in hexadecimal digits.
    digest: String,
}

/// A directory of snapshots, which this process has to itself.
#[derive(Debug)]
pub struct Snapshots {
    dir: PathBuf,
    _lock: File,
}

/// Which moment is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// So many events.
    pub size: TreeSize,
    /// Whether views of exactly so many are needed; else those of more will do, since their rows keep the past.
    pub exactly: bool,
    /// A snapshot that is behind by fewer events than this is moved on; of one that is further behind a copy is.
    pub apart: u64,
}

/// Where to replay.
#[derive(Debug)]
pub struct Start {
    /// The views' directory.
    pub path: PathBuf,
    /// How many events are there already.
    pub size: TreeSize,
    /// The snapshots that were not believed.
    pub refused: Vec<Refused>,
}

impl Snapshots {
    /// Takes a directory of snapshots, making it when there is none, for its owner alone. It must hold nothing else, since
    /// what is not believed is removed.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn open(dir: &Path) -> Result<Self, SnapshotError> {
        let io = |source| SnapshotError::Io { path: dir.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io)?;
        for entry in fs::read_dir(dir).map_err(io)? {
            let entry = entry.map_err(io)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // What is no snapshot is never removed, though its name be a number.
            let is_snapshot = name.parse::<u64>().is_ok() && entry.path().join(MANIFEST).exists();
            if name != "lock" && name != BUILDING && !is_snapshot {
                return Err(SnapshotError::Foreign { path: dir.to_owned(), name });
            }
        }
        let lock = File::options().create(true).truncate(false).write(true).open(dir.join("lock")).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { dir: dir.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(SnapshotError::InUse { path: dir.to_owned() }),
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }

    /// How many events the snapshots that there are reflect, ascending.
    ///
    /// # Errors
    /// [`SnapshotError::Io`].
    pub fn sizes(&self) -> Result<Vec<TreeSize>, SnapshotError> {
        let mut sizes = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(|source| self.io(source))? {
            let name = entry.map_err(|source| self.io(source))?.file_name();
            sizes.extend(name.to_str().and_then(|name| name.parse().ok()).map(TreeSize));
        }
        sizes.sort_unstable();
        Ok(sizes)
    }

    /// Finds the nearest snapshot that this log bears out: the smallest that reaches what is wanted, else the greatest before
    /// it, which is made ready to be replayed on from; else an empty directory.
    ///
    /// # Errors
    /// [`SnapshotError`] when the log or the directory cannot be read or written.
    pub fn nearest(&self, log: &dyn LogStore, wanted: Wanted) -> Result<Start, SnapshotError> {
        // What was not finished is begun anew.
        let building = self.dir.join(BUILDING);
        remove(&building).map_err(|source| self.io(source))?;
        let (before, mut after): (Vec<_>, Vec<_>) = self.sizes()?.into_iter().partition(|size| *size < wanted.size);
        if wanted.exactly {
            after.retain(|size| *size == wanted.size);
        }
        let mut refused = Vec::new();
        for size in after.into_iter().chain(before.into_iter().rev()) {
            let path = self.dir.join(size.0.to_string());
            if let Some(why) = distrust(&path, log, size)? {
                remove(&path).map_err(|source| self.io(source))?;
                refused.push(Refused { size, why });
                continue;
            }
            if size >= wanted.size {
                return Ok(Start { path, size, refused });
            }
            // Until it is whole again it does not stand under the name of a whole one.
            let moved = if wanted.size.0 - size.0 < wanted.apart {
                fs::rename(&path, &building).and_then(|()| remove_file(&building.join(MANIFEST)))
            } else {
                copy_views(&path, &building)
            };
            moved.map_err(|source| self.io(source))?;
            return Ok(Start { path: building, size, refused });
        }
        DirBuilder::new().mode(0o700).create(&building).map_err(|source| self.io(source))?;
        Ok(Start { path: building, size: TreeSize(0), refused })
    }

    /// Keeps what was replayed in [`nearest`](Self::nearest)'s directory as the snapshot of a size, and says where it is then.
    /// Nobody may have its views open.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn keep(&self, log: &dyn LogStore, size: TreeSize) -> Result<PathBuf, SnapshotError> {
        let (building, path) = (self.dir.join(BUILDING), self.dir.join(size.0.to_string()));
        let root = root_at(log, size)?;
        let digest = digest(&open_stores(&building)?, size, root)?;
        let manifest = Manifest { format: FORMAT, size, root: root.to_string(), digest: hex::encode(digest) };
        let text = serde_json::to_vec(&manifest).map_err(|error| self.io(error.into()))?;
        fs::write(building.join(MANIFEST), text)
            .and_then(|()| remove(&path))
            .and_then(|()| fs::rename(&building, &path))
            .map_err(|source| self.io(source))?;
        Ok(path)
    }

    fn io(&self, source: io::Error) -> SnapshotError {
        SnapshotError::Io { path: self.dir.clone(), source }
    }
}

/// Why a snapshot is not to be believed, if it is not.
fn distrust(path: &Path, log: &dyn LogStore, size: TreeSize) -> Result<Option<Distrust>, SnapshotError> {
    let manifest = fs::read(path.join(MANIFEST)).ok().and_then(|text| serde_json::from_slice::<Manifest>(&text).ok());
    let Some(manifest) = manifest.filter(|it| it.format == FORMAT && it.size == size) else {
        return Ok(Some(Distrust::Manifest));
    };
    if size > log.size() {
        return Ok(Some(Distrust::Root(size)));
    }
    let root = root_at(log, size)?;
    if root.to_string() != manifest.root {
        return Ok(Some(Distrust::Root(size)));
    }
    // A view that cannot be opened is begun anew there, and then is not the one that it was made of.
    let found = digest(&open_stores(path)?, size, root);
    Ok(found.map_or(true, |found| hex::encode(found) != manifest.digest).then_some(Distrust::Digest))
}

fn root_at(log: &dyn LogStore, size: TreeSize) -> Result<NodeHash, StoreError> {
    Ok(Frontier::resume(size, &StoreNodes(log))?.root())
}

/// Over every row of every view, bound to the log; the views are read side by side.
fn digest(stores: &PerView<ViewStore>, size: TreeSize, root: NodeHash) -> Result<[u8; 32], RowsError> {
    let of_views: Vec<_> = thread::scope(|scope| {
        let running: Vec<_> =
            stores.iter().map(|(view, store)| (view, scope.spawn(|| store.snapshot().whole_digest()))).collect();
        let joined = running.into_iter().map(|(view, running)| match running.join() {
            Ok(digest) => Ok((view, digest?)),
            // Of files that somebody changed fjall may despair.
            Err(_) => Err(RowsError::Missing("a view's rows")),
        });
        joined.collect::<Result<Vec<(View, [u8; 32])>, RowsError>>()
    })?;
    let mut hasher = blake3::Hasher::new_derive_key("chancery 2026 view snapshot v1");
    hasher.update(&size.0.to_be_bytes()).update(&root.0);
    for (view, digest) in of_views {
        hasher.update(view.name().as_bytes()).update(&[0]).update(&digest);
    }
    Ok(hasher.finalize().into())
}

fn remove(path: &Path) -> io::Result<()> {
    fs::remove_dir_all(path).or_else(ignore_missing)
}

fn remove_file(path: &Path) -> io::Result<()> {
    fs::remove_file(path).or_else(ignore_missing)
}

fn ignore_missing(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// Copies a snapshot's views, and not its manifest.
fn copy_views(from: &Path, to: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(to)?;
    for view in View::ALL {
        copy_dir(&from.join(view.name()), &to.join(view.name()))?;
    }
    Ok(())
}

fn copy_dir(from: &Path, to: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_dir(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
