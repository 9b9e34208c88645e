//! What the log says, read by somebody who trusts nobody: every event, and every view after every event, kept in memory.
//!
//! The product's views know now and, of versioned rows, the past; here every row's whole past is kept, so that a view can
//! be compared at whatever event it has reached, and a command can be decided anew on what was known when it was.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use chancery_ledger::actor::{Actor, Principal};
use chancery_ledger::event::Event;
use chancery_ledger::ids::{Seq, TenantId, TreeSize};
use chancery_ledger::keystore::{KeystoreError, SecretName, Secrets};
use chancery_ledger::link::{self, Hash};
use chancery_ledger::store::LogStore;
use chancery_projections::context::Opener;
use chancery_projections::decision::State;
use chancery_projections::event_view;
use chancery_projections::rows::batch::Batch;
use chancery_projections::rows::store::{ViewSnapshot, ViewStore};
use chancery_projections::rows::{Keeping, Order, Row, Rows, RowsError, RowsMut, Scan, StoredRow, Value, Visit};
use chancery_projections::views::{PerView, View};
use zeroize::Zeroizing;

/// One event of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// Its hash.
    pub hash: Hash,
    /// What it says.
    pub event: Event,
}

/// The log and the views, read from it.
pub struct History {
    events: Vec<Known>,
    views: PerView<Versions>,
    /// First events of the commands that asked to happen once, by whose key it is and the key.
    once: BTreeMap<(String, String), Seq>,
}

impl History {
    /// Of an empty log.
    #[must_use]
    pub fn new() -> Self {
        let views = PerView::try_make(|_| {
            Ok::<_, std::convert::Infallible>(Versions { rows: BTreeMap::new(), seq: Seq(0), again: None })
        });
        let views = match views {
            Ok(views) => views,
            Err(never) => match never {},
        };
        Self { events: Vec::new(), views, once: BTreeMap::new() }
    }

    /// How many events were read.
    #[must_use]
    pub fn size(&self) -> TreeSize {
        TreeSize(self.events.len() as u64)
    }

    /// An event.
    #[must_use]
    pub fn event(&self, seq: Seq) -> Option<&Known> {
        self.events.get(usize::try_from(seq.0).ok()?)
    }

    /// Every event.
    #[must_use]
    pub fn events(&self) -> &[Known] {
        &self.events
    }

    /// Reads on to the end of the log.
    ///
    /// # Errors
    /// What is wrong with it: a link, an event that cannot be read, a field whose key is gone, a command that happened
    /// twice.
    pub fn read_on(&mut self, log: &dyn LogStore, secrets: &dyn Secrets) -> Result<(), String> {
        let from = self.size().next();
        for read in log.records(from) {
            let (seq, record) = read.map_err(|error| format!("the log cannot be read: {error}"))?;
            let wrong = |what: String| format!("event {seq}: {what}");
            let (event, envelope) =
                Event::read(&record.header, &record.body).map_err(|error| wrong(error.to_string()))?;
            if seq != self.size().next() || event.seq != seq {
                return Err(wrong(format!("it stands where event {} should", self.size())));
            }
            if envelope.prev != self.events.last().map_or(Hash::ZERO, |before| before.hash) {
                return Err(wrong("it does not continue the one before".to_owned()));
            }
            let keys = Watched { secrets, missed: AtomicBool::new(false) };
            event_view::render_record(&record, &Opener::new(&keys)).map_err(|error| wrong(error.to_string()))?;
            if keys.missed.into_inner() {
                return Err(wrong(format!("{}: the key of an encrypted field is gone", event.body.kind().name())));
            }
            if let Some(idempotency) = &event.idempotency {
                let key = (whose(&event.actor, event.tenant), idempotency.key.clone());
                if let Some(first) = self.once.insert(key, seq) {
                    return Err(wrong(format!("the command of event {first} happened again under its key")));
                }
            }
            for (view, rows) in self.views.iter_mut() {
                rows.seq = seq;
                view.evolve(rows, &event)
                    .map_err(|error| wrong(format!("the {} view cannot take it: {error}", view.name())))?;
                if let Some(key) = rows.again.take() {
                    let key = hex::encode(key);
                    return Err(wrong(format!(
                        "it writes row {key} of the {} view, which is written once",
                        view.name()
                    )));
                }
            }
            self.events.push(Known { hash: link::header_hash(&record.header), event });
        }
        Ok(())
    }

    /// How many rows a view has or had.
    #[must_use]
    pub fn rows(&self, view: View) -> usize {
        self.views.get(view).rows.len()
    }

    /// The key of one of them.
    #[must_use]
    pub fn key(&self, view: View, which: usize) -> Option<&[u8]> {
        self.views.get(view).rows.keys().nth(which).map(Vec::as_slice)
    }

    /// A view as it was after so many events.
    #[must_use]
    pub const fn view(&self, view: View, size: TreeSize) -> AsOf<'_> {
        AsOf { versions: self.views.get(view), size }
    }

    /// All views as they were after so many events.
    #[must_use]
    pub fn at(&self, size: TreeSize) -> AllAsOf<'_> {
        AllAsOf(View::ALL.map(|view| self.view(view, size)))
    }

    /// Brings an empty view to what it is after `rows` events, and has it say that it has read `cursor`.
    ///
    /// # Errors
    /// When the view's storage fails.
    pub fn write(&self, view: View, rows: TreeSize, cursor: TreeSize, store: &ViewStore) -> Result<(), RowsError> {
        let mut batch = Batch::new(store);
        for Known { event, .. } in self.events.iter().take_while(|known| known.event.seq.0 < rows.0) {
            batch.begin(event.seq);
            view.evolve(&mut batch, event)?;
        }
        store.apply(batch, cursor)
    }

    /// Holds a view against what the log says it should be at the event it has reached.
    ///
    /// # Errors
    /// The first row that differs.
    pub fn compare(&self, view: View, live: &ViewSnapshot) -> Result<TreeSize, String> {
        let size = live.cursor().map_err(|error| error.to_string())?;
        if size > self.size() {
            return Err(format!("the {} view has read {size} events of {}", view.name(), self.size()));
        }
        self.compare_under(view, &[], live, size, size)?;
        // A scan shows no row that was taken away, nor which event wrote one; a view's digest covers both.
        for (key, versions) in &self.views.get(view).rows {
            let is_kept = |row: &&Row| row.value.is_some() || Keeping::of(key) == Keeping::Versions;
            let (expected, found) = (version(versions, size).filter(is_kept), live.row(key));
            let found = found.map_err(|error| error.to_string())?;
            if found.as_ref() != expected {
                let (key, found, expected) = (hex::encode(key), written(found.as_ref()), written(expected));
                return Err(format!("the {} view at {size}: row {key} is {found} and not {expected}", view.name()));
            }
        }
        Ok(size)
    }

    /// Likewise the rows under a prefix, with the view as of an event that it had read when it reached `size`.
    ///
    /// # Errors
    /// The first row that differs.
    pub fn compare_under(
        &self, view: View, prefix: &[u8], live: &dyn Scan, as_of: TreeSize, size: TreeSize,
    ) -> Result<(), String> {
        let rows = &self.views.get(view).rows;
        let mut expected = rows
            .range(prefix.to_vec()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter_map(|(key, versions)| Some((key, shown(key, versions, as_of, size)?)));
        let told = |what: &str, key: &[u8]| {
            format!("the {} view at {size}, as of {as_of}: row {} {what}", view.name(), hex::encode(key))
        };
        let mut fault = None;
        let mut differs = |what: &str, key: &[u8]| {
            fault = Some(told(what, key));
            ControlFlow::Break(())
        };
        let scanned = live.scan(prefix, None, Order::Ascending, &mut |rest, value| {
            let key = [prefix, rest].concat();
            match expected.next() {
                None => differs("should not be there", &key),
                Some((wanted, _)) if *wanted < key => differs("is missing", wanted),
                Some((wanted, _)) if *wanted > key => differs("should not be there", &key),
                Some((_, row)) if row.value.as_deref() != Some(value) => differs("is not what it should be", &key),
                Some(_) => ControlFlow::Continue(()),
            }
        });
        scanned.map_err(|error| error.to_string())?;
        let fault = fault.or_else(|| expected.next().map(|(key, _)| told("is missing", key)));
        fault.map_or(Ok(()), Err)
    }
}

impl Default for History {
    fn default() -> Self {
        Self::new()
    }
}

/// Whose idempotency keys an actor's are among: its own, in the tenant it has entered; of somebody without an id, those of
/// that name in the tenant.
#[must_use]
pub fn whose(actor: &Actor, tenant: TenantId) -> String {
    match &actor.principal {
        Principal::Anonymous | Principal::Subject(_) => format!("{:?} in {tenant}", actor.principal),
        principal => format!("{principal:?} in {:?}", actor.acting_in),
    }
}

/// A view's rows, each with all it ever was.
struct Versions {
    rows: BTreeMap<Vec<u8>, Vec<Row>>,
    /// The event that writes.
    seq: Seq,
    /// A key that another event had written, of a table whose keys are each written once.
    again: Option<Vec<u8>>,
}

/// The version of a row after so many events.
fn version(versions: &[Row], size: TreeSize) -> Option<&Row> {
    versions.iter().rev().find(|row| row.seq.0 < size.0)
}

/// What a view that has read `size` events shows of a row as of an earlier one: some tables keep no past.
fn shown<'a>(key: &[u8], versions: &'a [Row], as_of: TreeSize, size: TreeSize) -> Option<&'a Row> {
    let row = version(versions, if Keeping::of(key) == Keeping::Versions { as_of } else { size })?;
    (row.seq.0 < as_of.0 && row.value.is_some()).then_some(row)
}

/// Who wrote a row, and whether it is there.
fn written(row: Option<&Row>) -> String {
    match row {
        None => "none".to_owned(),
        Some(Row { seq, value: None }) => format!("taken away by event {seq}"),
        Some(Row { seq, value: Some(value) }) => format!("{} bytes of event {seq}", value.len()),
    }
}

/// Visits rows in memory as [`Rows::scan`] says.
fn scan<'a>(
    rows: impl Iterator<Item = (&'a Vec<u8>, &'a Row)>, prefix: &[u8], from: Option<&[u8]>, order: Order,
    visit: &mut Visit<'_>,
) {
    let mut found: Vec<(&[u8], &Bytes)> =
        rows.filter_map(|(key, row)| Some((key.strip_prefix(prefix)?, row.value.as_ref()?))).collect();
    if order == Order::Descending {
        found.reverse();
    }
    for (rest, value) in found {
        let is_before = from.is_some_and(|from| if order == Order::Ascending { rest < from } else { rest > from });
        if !is_before && visit(rest, value).is_break() {
            return;
        }
    }
}

impl Rows for Versions {
    fn row(&self, key: &[u8]) -> Result<Option<Row>, RowsError> {
        Ok(self.rows.get(key).and_then(|versions| versions.last()).cloned())
    }
}

impl RowsMut for Versions {
    fn put(&mut self, key: Vec<u8>, value: Option<Value>) -> Result<(), RowsError> {
        let is_once = Keeping::of(&key) == Keeping::Once;
        let versions = self.rows.entry(key.clone()).or_default();
        // One event that writes a row twice leaves one version.
        versions.pop_if(|row| row.seq == self.seq);
        if is_once && !versions.is_empty() {
            self.again = Some(key);
        }
        versions.push(StoredRow::new(self.seq, value).row());
        Ok(())
    }
}

/// A view as it was after so many events.
#[derive(Clone, Copy)]
pub struct AsOf<'a> {
    versions: &'a Versions,
    size: TreeSize,
}

impl Rows for AsOf<'_> {
    fn row(&self, key: &[u8]) -> Result<Option<Row>, RowsError> {
        Ok(self.versions.rows.get(key).and_then(|versions| version(versions, self.size)).cloned())
    }
}

impl Scan for AsOf<'_> {
    fn scan(&self, prefix: &[u8], from: Option<&[u8]>, order: Order, visit: &mut Visit<'_>) -> Result<(), RowsError> {
        let range = self.versions.rows.range(prefix.to_vec()..).take_while(|(key, _)| key.starts_with(prefix));
        scan(
            range.filter_map(|(key, versions)| Some((key, version(versions, self.size)?))),
            prefix,
            from,
            order,
            visit,
        );
        Ok(())
    }
}

/// All views as they were after so many events.
pub struct AllAsOf<'a>([AsOf<'a>; View::ALL.len()]);

impl AllAsOf<'_> {
    /// One of them.
    #[must_use]
    pub const fn view(&self, view: View) -> &AsOf<'_> {
        &self.0[view as usize]
    }

    /// As deciders see them.
    #[must_use]
    pub const fn state(&self) -> State<'_> {
        State {
            identity: self.view(View::Identity),
            token: self.view(View::Token),
            trust: self.view(View::Trust),
            execution: self.view(View::Execution),
            journal: self.view(View::Journal),
        }
    }
}

/// Secrets that note when one is asked for that is not there, and was not erased.
struct Watched<'a> {
    secrets: &'a dyn Secrets,
    missed: AtomicBool,
}

impl Secrets for Watched<'_> {
    fn secret(&self, name: &SecretName) -> Result<Option<Zeroizing<[u8; 32]>>, KeystoreError> {
        let secret = self.secrets.secret(name)?;
        let is_missed = secret.is_none() && !self.secrets.is_destroyed(name)?;
        self.missed.fetch_or(is_missed, Ordering::Relaxed);
        Ok(secret)
    }

    fn is_destroyed(&self, name: &SecretName) -> Result<bool, KeystoreError> {
        self.secrets.is_destroyed(name)
    }
}
