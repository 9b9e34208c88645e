//! A view on disk: fjall, one database per view, dropped and rebuilt at will.
//!
//! `current` maps a key to its newest row; `past` keeps superseded rows of versioned tables under key and sequence
//! number; `meta` holds the cursor. Nothing is synced: after a crash the view is some earlier state of itself, and the
//! log brings it forward again.

use std::fs::DirBuilder;
use std::ops::Bound;
use std::os::unix::fs::DirBuilderExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use chancery_ledger::ids::{Seq, TreeSize};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, Readable, Snapshot};

use super::batch::Batch;
use super::{
    FIRST_INDEX, FORMAT, Keeping, Order, Row, Rows, RowsError, Scan, StoredRow, Visit, VisitKept, scan_bounds,
};

/// Block cache of one view. Five views take five times this, beside their write buffers.
const CACHE_BYTES: u64 = 8 * 1024 * 1024;
/// Write buffer of one keyspace before it goes to disk.
const MEMTABLE_BYTES: u64 = 8 * 1024 * 1024;
/// Events that may pass without a row for the view before its cursor is stored all the same: so many are read again, for
/// nothing, after a restart.
const CURSOR_EVERY: u64 = 16 * 1024;
const CURSOR: &[u8] = b"cursor";
const FORMAT_KEY: &[u8] = b"format";

/// One view's storage. Clones share it, and follow when another generation takes its place.
#[derive(Clone)]
pub struct ViewStore {
    shared: Arc<Shared>,
}

struct Shared {
    dir: PathBuf,
    generation: ArcSwap<Generation>,
    /// How far the view has read. What is stored of it can be behind, by events that changed no row.
    cursor: AtomicU64,
    stored_cursor: AtomicU64,
}

/// One database: a view is rebuilt into a new one beside the old, which serves until the new one has caught up.
struct Generation {
    number: u64,
    db: Database,
    current: Keyspace,
    past: Keyspace,
    meta: Keyspace,
}

impl ViewStore {
    /// Opens the view in a directory, making it when there is none. A view that cannot be read, or is of another
    /// version, is dropped and starts empty: it holds nothing that the log does not.
    ///
    /// # Errors
    /// [`RowsError::Storage`] when even an empty view cannot be made.
    pub fn open(dir: &Path) -> Result<Self, RowsError> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(fjall::Error::Io)?;
        let mut numbers = generations(dir)?;
        let newest = numbers.pop().unwrap_or(0);
        // What is older was replaced. A rebuild that was cut short lies elsewhere (`next_generation`).
        for old in numbers {
            std::fs::remove_dir_all(generation_dir(dir, old)).map_err(fjall::Error::Io)?;
        }
        // Of a view that a power cut has torn fjall may also despair.
        match catch_unwind(AssertUnwindSafe(|| Generation::open(dir, newest))) {
            Ok(Ok(Some(generation))) => return Self::of(dir, generation),
            Ok(Ok(None)) => {
                tracing::warn!(view = %dir.display(), "view is of another version; rebuilding it from the log")
            }
            Ok(Err(error)) => {
                tracing::warn!(view = %dir.display(), %error, "view cannot be opened; rebuilding it from the log");
            }
            Err(_) => tracing::warn!(view = %dir.display(), "view cannot be read; rebuilding it from the log"),
        }
        std::fs::remove_dir_all(generation_dir(dir, newest)).map_err(fjall::Error::Io)?;
        let generation = Generation::open(dir, newest)?.ok_or(RowsError::Missing("a new view's format"))?;
        Self::of(dir, generation)
    }

    /// An empty generation of the same view, to rebuild it into.
    ///
    /// # Errors
    /// [`RowsError::Storage`] when it cannot be made.
    pub fn next_generation(&self) -> Result<Self, RowsError> {
        let number = self.generation().number + 1;
        let building = self.shared.dir.join("building");
        std::fs::remove_dir_all(&building).or_else(ignore_missing).map_err(fjall::Error::Io)?;
        let generation = Generation::open(&building, number)?.ok_or(RowsError::Missing("a new view's format"))?;
        Self::of(&building, generation)
    }

    /// Puts a rebuilt generation in this one's place, for every clone of this view; the old one is removed at the next
    /// start. The caller has brought it to the same cursor.
    ///
    /// # Errors
    /// [`RowsError::Storage`] when the rebuilt one cannot be moved to its place.
    pub fn adopt(&self, rebuilt: Self) -> Result<(), RowsError> {
        let (number, cursor) = (rebuilt.generation().number, rebuilt.cursor());
        let stored_cursor = rebuilt.shared.stored_cursor.load(Ordering::Relaxed);
        let building = generation_dir(&rebuilt.shared.dir, number);
        rebuilt.generation().db.persist(fjall::PersistMode::SyncAll)?;
        drop(rebuilt);
        std::fs::rename(building, generation_dir(&self.shared.dir, number)).map_err(fjall::Error::Io)?;
        let generation =
            Generation::open(&self.shared.dir, number)?.ok_or(RowsError::Missing("a rebuilt view's format"))?;
        self.shared.generation.store(Arc::new(generation));
        self.shared.cursor.store(cursor.0, Ordering::Release);
        self.shared.stored_cursor.store(stored_cursor, Ordering::Relaxed);
        Ok(())
    }

    fn of(dir: &Path, generation: Generation) -> Result<Self, RowsError> {
        let cursor = generation.meta.get(CURSOR)?.map_or(0, |bytes| read_u64(&bytes));
        let shared = Shared {
            dir: dir.to_owned(),
            generation: ArcSwap::from_pointee(generation),
            cursor: AtomicU64::new(cursor),
            stored_cursor: AtomicU64::new(cursor),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    fn generation(&self) -> arc_swap::Guard<Arc<Generation>> {
        self.shared.generation.load()
    }

    /// How far the view has read: the number of events it reflects.
    #[must_use]
    pub fn cursor(&self) -> TreeSize {
        TreeSize(self.shared.cursor.load(Ordering::Acquire))
    }

    /// Which database of the view serves: another number, another rebuild.
    #[must_use]
    pub fn generation_number(&self) -> u64 {
        self.generation().number
    }

    /// Writes a batch of rows and moves the cursor, in one atomic write.
    ///
    /// # Errors
    /// [`RowsError::Storage`] when the storage fails; then nothing of the batch is there.
    pub fn apply(&self, batch: Batch<'_>, cursor: TreeSize) -> Result<(), RowsError> {
        let rows = batch.into_sorted();
        let stored_cursor = self.shared.stored_cursor.load(Ordering::Relaxed);
        if rows.is_empty() && cursor.0.saturating_sub(stored_cursor) < CURSOR_EVERY {
            self.shared.cursor.store(cursor.0, Ordering::Release);
            return Ok(());
        }
        let view = self.generation();
        let mut writes = view.db.batch();
        for (key, written) in rows {
            if Keeping::of(&key) == Keeping::Versions {
                let before = view.current.get(&key)?.map(|bytes| StoredRow::from_bytes(bytes.into()));
                for row in before.into_iter().chain(written.superseded) {
                    writes.insert(&view.past, past_key(&key, row.seq()), row.into_bytes());
                }
            } else if written.newest.row().value.is_none() {
                writes.remove(&view.current, key);
                continue;
            }
            writes.insert(&view.current, key, written.newest.into_bytes());
        }
        writes.insert(&view.meta, CURSOR, cursor.0.to_be_bytes());
        writes.commit()?;
        self.shared.cursor.store(cursor.0, Ordering::Release);
        self.shared.stored_cursor.store(cursor.0, Ordering::Relaxed);
        Ok(())
    }

    /// Stores how far the view has read, if what is stored of that is behind: what a stop does, so that the next start
    /// reads nothing again.
    ///
    /// # Errors
    /// [`RowsError::Storage`] when the storage fails.
    pub fn store_cursor(&self) -> Result<(), RowsError> {
        let TreeSize(cursor) = self.cursor();
        if self.shared.stored_cursor.load(Ordering::Relaxed) < cursor {
            self.generation().meta.insert(CURSOR, cursor.to_be_bytes())?;
            self.shared.stored_cursor.store(cursor, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The newest row under a key, as it is stored.
    ///
    /// # Errors
    /// [`RowsError::Storage`] when the storage fails.
    pub(super) fn stored(&self, key: &[u8]) -> Result<Option<StoredRow>, RowsError> {
        Ok(self.generation().current.get(key)?.map(|bytes| StoredRow::from_bytes(bytes.into())))
    }

    /// The view as it is now, held still for one reader.
    #[must_use]
    pub fn snapshot(&self) -> ViewSnapshot {
        // Before the snapshot: what the cursor says is in the rows by then.
        let cursor = self.cursor();
        let view = self.generation();
        ViewSnapshot {
            cursor,
            snapshot: view.db.snapshot(),
            current: view.current.clone(),
            past: view.past.clone(),
            meta: view.meta.clone(),
            as_of: None,
        }
    }

    /// How far the view has read, and its [digest](ViewSnapshot::digest) there.
    ///
    /// # Errors
    /// [`RowsError::Storage`] when the storage fails.
    pub fn digest(&self) -> Result<(TreeSize, [u8; 32]), RowsError> {
        let held = self.snapshot();
        Ok((held.cursor()?, held.digest()?))
    }

    /// Bytes the view takes on disk.
    ///
    /// # Errors
    /// [`RowsError::Storage`] when the storage fails.
    pub fn disk_bytes(&self) -> Result<u64, RowsError> {
        Ok(self.generation().db.disk_space()?)
    }
}

impl Generation {
    /// Opens or makes a database; `None` when it is of another version.
    fn open(dir: &Path, number: u64) -> Result<Option<Self>, RowsError> {
        let db = Database::builder(generation_dir(dir, number)).cache_size(CACHE_BYTES).worker_threads(1).open()?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
        let meta = db.keyspace("meta", options)?;
        match meta.get(FORMAT_KEY)? {
            None => meta.insert(FORMAT_KEY, [FORMAT])?,
            Some(found) if *found == [FORMAT] => {}
            Some(_) => return Ok(None),
        }
        let (current, past) = (db.keyspace("current", options)?, db.keyspace("past", options)?);
        Ok(Some(Self { number, db, current, past, meta }))
    }
}

fn generation_dir(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("generation-{number}"))
}

/// The numbers of the generations in a directory, ascending.
fn generations(dir: &Path) -> Result<Vec<u64>, RowsError> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(fjall::Error::Io)? {
        let name = entry.map_err(fjall::Error::Io)?.file_name();
        let number: Option<u64> = name.to_str().and_then(|name| name.strip_prefix("generation-")?.parse().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn ignore_missing(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// The newest rows, read without holding the view still: for the one who knows what is not yet in them.
impl Rows for ViewStore {
    fn row(&self, key: &[u8]) -> Result<Option<Row>, RowsError> {
        Ok(self.stored(key)?.map(|stored| stored.row()))
    }
}

/// A view held still: as it was when the snapshot was taken, or as of an event before that.
pub struct ViewSnapshot {
    cursor: TreeSize,
    snapshot: Snapshot,
    current: Keyspace,
    past: Keyspace,
    meta: Keyspace,
    as_of: Option<Seq>,
}

impl ViewSnapshot {
    /// The same view as of an event: what it said when that event, and none after it, had been read.
    #[must_use]
    pub fn at(mut self, seq: Seq) -> Self {
        self.as_of = Some(seq);
        self
    }

    /// How far the view had read when the snapshot was taken.
    ///
    /// # Errors
    /// [`RowsError::Storage`] when the storage fails.
    pub fn cursor(&self) -> Result<TreeSize, RowsError> {
        let stored = self.snapshot.get(&self.meta, CURSOR)?.map_or(0, |bytes| read_u64(&bytes));
        Ok(self.cursor.max(TreeSize(stored)))
    }

    /// Proves what the view says: BLAKE3 over its newest rows in key order, whatever past event it is read as of. Equal
    /// for every view that has read the same events, however it came to be.
    ///
    /// # Errors
    /// [`RowsError::Storage`] when the storage fails.
    pub fn digest(&self) -> Result<[u8; 32], RowsError> {
        let mut hasher = blake3::Hasher::new_derive_key("chancery 2026 view digest v1");
        self.absorb(&self.current, &mut hasher)?;
        Ok(hasher.finalize().into())
    }

    /// Tells whether two copies of a view hold the same: BLAKE3 over its cursor and all its rows, past ones too.
    ///
    /// # Errors
    /// [`RowsError::Storage`] when the storage fails.
    pub fn whole_digest(&self) -> Result<[u8; 32], RowsError> {
        let mut hasher = blake3::Hasher::new_derive_key("chancery 2026 view rows v1");
        hasher.update(&self.cursor()?.0.to_be_bytes());
        for rows in [&self.current, &self.past] {
            self.absorb(rows, &mut hasher)?;
            // No key is so long.
            hasher.update(&u64::MAX.to_be_bytes());
        }
        Ok(hasher.finalize().into())
    }

    fn absorb(&self, rows: &Keyspace, hasher: &mut blake3::Hasher) -> Result<(), RowsError> {
        for entry in self.snapshot.iter(rows) {
            let (key, value) = entry.into_inner()?;
            hasher.update(&(key.len() as u64).to_be_bytes()).update(&key);
            hasher.update(&(value.len() as u64).to_be_bytes()).update(&value);
        }
        Ok(())
    }

    /// Visits every present row that is kept for good, which is what a read of the past reads (tables below
    /// [`FIRST_INDEX`]), in key order: key and row. Ends early when `visit` says so.
    ///
    /// # Errors
    /// [`RowsError::Storage`] when the storage fails.
    pub fn each_kept(&self, visit: &mut VisitKept<'_>) -> Result<(), RowsError> {
        for entry in self.snapshot.range::<Vec<u8>, _>(&self.current, ..vec![FIRST_INDEX]) {
            let (key, stored) = entry.into_inner()?;
            if let Some(Row { seq, value: Some(value) }) = self.resolve(&key, StoredRow::from_bytes(stored.into()))?
                && visit(&key, seq, &value).is_break()
            {
                break;
            }
        }
        Ok(())
    }

    fn resolve(&self, key: &[u8], stored: StoredRow) -> Result<Option<Row>, RowsError> {
        let Some(seq) = self.as_of.filter(|seq| stored.seq() > *seq) else { return Ok(Some(stored.row())) };
        if Keeping::of(key) != Keeping::Versions {
            return Ok(None);
        }
        let range = past_key(key, Seq(0))..=past_key(key, seq);
        match self.snapshot.range(&self.past, range).next_back() {
            None => Ok(None),
            Some(entry) => Ok(Some(StoredRow::from_bytes(entry.value()?.into()).row())),
        }
    }
}

impl Rows for ViewSnapshot {
    fn row(&self, key: &[u8]) -> Result<Option<Row>, RowsError> {
        match self.snapshot.get(&self.current, key)? {
            None => Ok(None),
            Some(bytes) => self.resolve(key, StoredRow::from_bytes(bytes.into())),
        }
    }
}

impl Scan for ViewSnapshot {
    fn scan(&self, prefix: &[u8], from: Option<&[u8]>, order: Order, visit: &mut Visit<'_>) -> Result<(), RowsError> {
        let range = key_range(scan_bounds(prefix, from, order));
        let mut rows = self.snapshot.range::<Vec<u8>, _>(&self.current, range);
        loop {
            let next = match order {
                Order::Ascending => rows.next(),
                Order::Descending => rows.next_back(),
            };
            let Some(entry) = next else { return Ok(()) };
            let (key, stored) = entry.into_inner()?;
            let row = self.resolve(&key, StoredRow::from_bytes(stored.into()))?;
            if let Some(value) = row.and_then(|row| row.value)
                && visit(&key[prefix.len()..], &value).is_break()
            {
                return Ok(());
            }
        }
    }
}

fn key_range((start, end): (Vec<u8>, Option<Vec<u8>>)) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    (Bound::Included(start), end.map_or(Bound::Unbounded, Bound::Excluded))
}

fn past_key(key: &[u8], seq: Seq) -> Vec<u8> {
    [key, &seq.0.to_be_bytes()].concat()
}

/// The first eight bytes; what is shorter was not written here and reads as 0.
fn read_u64(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}
