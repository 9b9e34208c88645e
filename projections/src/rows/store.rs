//! A view on disk: fjall, one database per view, dropped and rebuilt at will.
//!
//! `current` maps a key to its newest row; `past` keeps superseded rows of versioned tables under key and sequence
//! number; `meta` holds the cursor. Nothing is synced: after a crash the view is some earlier state of itself, and the
//! log brings it forward again.

use std::fs::DirBuilder;
use std::ops::{Bound, ControlFlow};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use bytes::Bytes;
use chancery_ledger::ids::{Seq, TreeSize};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, Readable, Snapshot};

use super::{Order, Row, Rows, RowsError, Visit, is_versioned, scan_bounds};

/// Block cache of one view. Five views take five times this, beside their write buffers.
const CACHE_BYTES: u64 = 8 * 1024 * 1024;
/// Write buffer of one keyspace before it goes to disk.
const MEMTABLE_BYTES: u64 = 8 * 1024 * 1024;
/// Bumped when rows change shape; a view of another version is rebuilt.
const FORMAT: u8 = 1;
const CURSOR: &[u8] = b"cursor";
const FORMAT_KEY: &[u8] = b"format";

/// Rows that one batch writes: per key, the versions in the order of their events.
pub type Writes = std::collections::BTreeMap<Vec<u8>, Vec<Row>>;

/// One view's storage. Clones share it, and follow when another generation takes its place.
#[derive(Clone)]
pub struct ViewStore {
    shared: Arc<Shared>,
}

struct Shared {
    dir: PathBuf,
    generation: ArcSwap<Generation>,
    cursor: AtomicU64,
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
        match Generation::open(dir, newest) {
            Ok(Some(generation)) => return Self::of(dir, generation),
            Ok(None) => tracing::warn!(view = %dir.display(), "view is of another version; rebuilding it from the log"),
            Err(error) => {
                tracing::warn!(view = %dir.display(), %error, "view cannot be opened; rebuilding it from the log");
            }
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
        let building = generation_dir(&rebuilt.shared.dir, number);
        rebuilt.generation().db.persist(fjall::PersistMode::SyncAll)?;
        drop(rebuilt);
        std::fs::rename(building, generation_dir(&self.shared.dir, number)).map_err(fjall::Error::Io)?;
        let generation =
            Generation::open(&self.shared.dir, number)?.ok_or(RowsError::Missing("a rebuilt view's format"))?;
        self.shared.generation.store(Arc::new(generation));
        self.shared.cursor.store(cursor.0, Ordering::Release);
        Ok(())
    }

    fn of(dir: &Path, generation: Generation) -> Result<Self, RowsError> {
        let cursor = generation.meta.get(CURSOR)?.map_or(0, |bytes| read_u64(&bytes));
        let shared = Shared {
            dir: dir.to_owned(),
            generation: ArcSwap::from_pointee(generation),
            cursor: AtomicU64::new(cursor),
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

    /// Writes a batch of rows and moves the cursor, in one atomic write.
    ///
    /// # Errors
    /// [`RowsError::Storage`] when the storage fails; then nothing of the batch is there.
    pub fn apply(&self, writes: Writes, cursor: TreeSize) -> Result<(), RowsError> {
        let view = self.generation();
        let mut batch = view.db.batch();
        for (key, versions) in writes {
            if !is_versioned(&key) {
                match versions.into_iter().next_back() {
                    Some(Row { seq, value: Some(value) }) => {
                        batch.insert(&view.current, key, stored(seq, Some(&value)))
                    }
                    _ => batch.remove(&view.current, key),
                }
                continue;
            }
            let before = view.current.get(&key)?.map(|bytes| parse(&bytes));
            let mut versions = before.into_iter().chain(versions).peekable();
            while let Some(row) = versions.next() {
                let bytes = stored(row.seq, row.value.as_deref());
                match versions.peek() {
                    None => batch.insert(&view.current, key.clone(), bytes),
                    // One event that writes a row twice leaves one version.
                    Some(next) if next.seq == row.seq => {}
                    Some(_) => batch.insert(&view.past, past_key(&key, row.seq), bytes),
                }
            }
        }
        batch.insert(&view.meta, CURSOR, cursor.0.to_be_bytes());
        batch.commit()?;
        self.shared.cursor.store(cursor.0, Ordering::Release);
        Ok(())
    }

    /// The view as it is now, held still for one reader.
    #[must_use]
    pub fn snapshot(&self) -> ViewSnapshot {
        let view = self.generation();
        ViewSnapshot {
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
        Ok(self.generation().current.get(key)?.map(|bytes| parse(&bytes)))
    }

    fn scan(&self, prefix: &[u8], from: Option<&[u8]>, order: Order, visit: &mut Visit<'_>) -> Result<(), RowsError> {
        let range = key_range(scan_bounds(prefix, from, order));
        visit_current(self.generation().current.range::<Vec<u8>, _>(range), prefix.len(), order, &mut |key, row| {
            match row.value {
                Some(value) => visit(key, &value),
                None => ControlFlow::Continue(()),
            }
        })
    }
}

/// A view held still: as it was when the snapshot was taken, or as of an event before that.
pub struct ViewSnapshot {
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
        Ok(TreeSize(self.snapshot.get(&self.meta, CURSOR)?.map_or(0, |bytes| read_u64(&bytes))))
    }

    /// Proves what the view says: BLAKE3 over its newest rows in key order, whatever past event it is read as of. Equal
    /// for every view that has read the same events, however it came to be.
    ///
    /// # Errors
    /// [`RowsError::Storage`] when the storage fails.
    pub fn digest(&self) -> Result<[u8; 32], RowsError> {
        let mut hasher = blake3::Hasher::new_derive_key("chancery 2026 view digest v1");
        for entry in self.snapshot.iter(&self.current) {
            let (key, value) = entry.into_inner()?;
            hasher.update(&(key.len() as u64).to_be_bytes()).update(&key);
            hasher.update(&(value.len() as u64).to_be_bytes()).update(&value);
        }
        Ok(hasher.finalize().into())
    }

    fn resolve(&self, key: &[u8], row: Row) -> Result<Option<Row>, RowsError> {
        let Some(seq) = self.as_of.filter(|seq| row.seq > *seq) else { return Ok(Some(row)) };
        if !is_versioned(key) {
            return Ok(None);
        }
        let range = past_key(key, Seq(0))..=past_key(key, seq);
        match self.snapshot.range(&self.past, range).next_back() {
            None => Ok(None),
            Some(entry) => Ok(Some(parse(&entry.value()?))),
        }
    }
}

impl Rows for ViewSnapshot {
    fn row(&self, key: &[u8]) -> Result<Option<Row>, RowsError> {
        match self.snapshot.get(&self.current, key)? {
            None => Ok(None),
            Some(bytes) => self.resolve(key, parse(&bytes)),
        }
    }

    fn scan(&self, prefix: &[u8], from: Option<&[u8]>, order: Order, visit: &mut Visit<'_>) -> Result<(), RowsError> {
        let range = key_range(scan_bounds(prefix, from, order));
        let mut fault = None;
        let rows = self.snapshot.range::<Vec<u8>, _>(&self.current, range);
        visit_current(rows, prefix.len(), order, &mut |rest, row| {
            let key = [prefix, rest].concat();
            match self.resolve(&key, row) {
                Ok(Some(Row { value: Some(value), .. })) => visit(rest, &value),
                Ok(_) => ControlFlow::Continue(()),
                Err(error) => {
                    fault = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        fault.map_or(Ok(()), Err)
    }
}

fn visit_current(
    rows: fjall::Iter, prefix_len: usize, order: Order, visit: &mut dyn FnMut(&[u8], Row) -> ControlFlow<()>,
) -> Result<(), RowsError> {
    let mut step = |entry: fjall::Guard| -> Result<ControlFlow<()>, RowsError> {
        let (key, value) = entry.into_inner()?;
        Ok(visit(&key[prefix_len..], parse(&value)))
    };
    match order {
        Order::Ascending => {
            for entry in rows {
                if step(entry)?.is_break() {
                    break;
                }
            }
        }
        Order::Descending => {
            for entry in rows.rev() {
                if step(entry)?.is_break() {
                    break;
                }
            }
        }
    }
    Ok(())
}

fn key_range((start, end): (Vec<u8>, Option<Vec<u8>>)) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    (Bound::Included(start), end.map_or(Bound::Unbounded, Bound::Excluded))
}

fn past_key(key: &[u8], seq: Seq) -> Vec<u8> {
    [key, &seq.0.to_be_bytes()].concat()
}

/// A stored row: sequence number, then 1 and the value, or 0 for one taken away.
fn stored(seq: Seq, value: Option<&[u8]>) -> Vec<u8> {
    let mut out = Vec::with_capacity(9 + value.map_or(0, <[u8]>::len));
    out.extend_from_slice(&seq.0.to_be_bytes());
    out.push(u8::from(value.is_some()));
    out.extend_from_slice(value.unwrap_or_default());
    out
}

fn parse(bytes: &[u8]) -> Row {
    let value = (bytes.get(8) == Some(&1)).then(|| Bytes::copy_from_slice(&bytes[9..]));
    Row { seq: Seq(read_u64(bytes)), value }
}

/// The first eight bytes; what is shorter was not written here and reads as 0.
fn read_u64(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}
