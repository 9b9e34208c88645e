//! What needs no daemon: verifying, exporting, replaying and proving, on the log that the load has left.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use chancery_ledger::body::Body;
use chancery_ledger::event::Event;
use chancery_ledger::export::{Bodies, ExportReader, export_log};
use chancery_ledger::ids::{Seq, TreeSize};
use chancery_ledger::keys::PublicKey;
use chancery_ledger::store::{LogStore, StoreNodes};
use chancery_ledger::tree::proof;
use chancery_ledger::tree::seal::Seal;
use chancery_ledger::tree::tlog_proof::TlogProof;
use chancery_ledger::verify::{self, Item, Known, SourceError, StoreItems};
use chancery_projections::rows::store::ViewStore;
use chancery_projections::views::View;
use chancery_projections::worker;
use hdrhistogram::Histogram;
use serde::Serialize;

use super::per_sec;
use super::views::{self, Views};
use crate::progress;
use crate::source::Stopped;

/// Events that are proved to measure a proof.
const PROOFS: u64 = 2000;

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Offline {
    /// Events in the log.
    pub events: u64,
    /// Commits, each with a seal.
    pub seals: u64,
    /// The events' own bytes: headers, bodies and seals, and nothing that a store adds.
    pub own_bytes: u64,
    /// Bytes that the log's files take on disk.
    pub log_bytes: u64,
    /// `log_bytes` by `own_bytes`.
    pub log_to_own: f64,
    /// Bytes that each view takes on disk.
    pub view_bytes: BTreeMap<&'static str, u64>,
    /// Everything of the data directory verified: events a second, on all cores.
    pub verify_data_dir_per_sec: f64,
    /// The same of an export.
    pub verify_export_per_sec: f64,
    /// Records read in order and decoded, on one core.
    pub decode_per_sec: f64,
    /// Each view rebuilt from the log, on one core but for its storage's own workers: read, decoded, evolved, stored.
    pub rebuild_per_sec: BTreeMap<&'static str, f64>,
    /// One event's proof made from the data directory, in microseconds.
    pub proof_make_micros: Micros,
    /// The same proof verified from its text.
    pub proof_verify_micros: Micros,
    /// What is asked of the views: receipts, and reads of the past.
    pub views: Views,
}

/// Microseconds of one thing done many times.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Micros {
    /// On average.
    pub mean: f64,
    /// 99 of 100 took no longer.
    pub p99: f64,
}

/// Measures on the data directory of a daemon that has stopped; what it writes goes to `work`.
///
/// # Errors
/// When the log cannot be read, or is not whole.
pub fn measure(data_dir: &Path, work: &Path) -> anyhow::Result<Offline> {
    let stopped = Stopped::open(data_dir, false)?;
    let log = &stopped.log;
    let events = log.size().0;
    let of_directory =
        timed(|| whole(StoreItems::new(log, TreeSize(u64::MAX)), events, "verifying the data directory"))?;
    let export = work.join("bench.export");
    let of_export = of_export(log, &export)?;
    fs::remove_file(&export)?;
    let read = read(log)?;
    let rebuild_per_sec = rebuild(log, work)?;
    let (proof_make_micros, proof_verify_micros) = prove(log)?;
    let log_bytes = disk_bytes(&data_dir.join("log"))?;
    let view_bytes = View::ALL
        .into_iter()
        .map(|view| Ok((view.name(), disk_bytes(&data_dir.join("views").join(view.name()))?)))
        .collect::<anyhow::Result<_>>()?;
    Ok(Offline {
        events,
        seals: read.seals,
        own_bytes: read.own_bytes,
        log_bytes,
        log_to_own: ratio(log_bytes, read.own_bytes),
        view_bytes,
        verify_data_dir_per_sec: per_sec(events, of_directory),
        verify_export_per_sec: per_sec(events, of_export),
        decode_per_sec: per_sec(events, read.took),
        rebuild_per_sec,
        proof_make_micros,
        proof_verify_micros,
        views: views::measure(log, data_dir, work)?,
    })
}

fn timed(work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    work()?;
    Ok(begun.elapsed())
}

fn whole(
    items: impl Iterator<Item = Result<Item, SourceError>> + Send, events: u64, doing: &'static str,
) -> anyhow::Result<()> {
    let bar = progress::events(Some(events), doing);
    let report = verify::verify(items, &Known::default(), |events| bar.set_position(events));
    bar.finish_and_clear();
    match report?.first_broken {
        None => Ok(()),
        Some(broken) => bail!("the log that was measured is not whole: {broken}"),
    }
}

fn of_export(log: &dyn LogStore, path: &Path) -> anyhow::Result<Duration> {
    let bar = progress::events(Some(log.size().0), "exporting");
    let mut file = BufWriter::with_capacity(1 << 20, File::create_new(path)?);
    export_log(log, log.size(), Bodies::Included, &mut file, |events| bar.set_position(events))?;
    file.flush()?;
    bar.finish_and_clear();
    timed(|| {
        let file = BufReader::with_capacity(1 << 20, File::open(path)?);
        whole(ExportReader::new(file), log.size().0, "verifying the export")
    })
}

/// What reading all of it once found.
struct Read {
    took: Duration,
    own_bytes: u64,
    seals: u64,
}

fn read(log: &dyn LogStore) -> anyhow::Result<Read> {
    let bar = progress::events(Some(log.size().0), "decoding");
    let (begun, mut own_bytes) = (Instant::now(), 0);
    for item in log.records(Seq(0)) {
        let (seq, record) = item?;
        own_bytes += record.header.len() as u64 + record.body.len() as u64;
        let read = Event::read(&record.header, &record.body);
        std::hint::black_box(read.with_context(|| format!("event {seq} cannot be read"))?);
        if seq.0.is_multiple_of(4096) {
            bar.set_position(seq.0);
        }
    }
    let took = begun.elapsed();
    bar.finish_and_clear();
    let mut seals = 0;
    for item in log.seals(TreeSize(0)) {
        own_bytes += item?.1.len() as u64;
        seals += 1;
    }
    Ok(Read { took, own_bytes, seals })
}

fn rebuild(log: &dyn LogStore, work: &Path) -> anyhow::Result<BTreeMap<&'static str, f64>> {
    let mut rates = BTreeMap::new();
    for view in View::ALL {
        let dir = work.join(format!("rebuilt-{}", view.name()));
        let bar = progress::waiting("rebuilding a view");
        let store = ViewStore::open(&dir)?;
        let took = timed(|| Ok(worker::catch_up(view, &store, log, log.size())?))?;
        drop(store);
        bar.finish_and_clear();
        fs::remove_dir_all(&dir)?;
        rates.insert(view.name(), per_sec(log.size().0, took));
    }
    Ok(rates)
}

fn prove(log: &dyn LogStore) -> anyhow::Result<(Micros, Micros)> {
    let size = log.size().0;
    let first = log.record(Seq(0))?.context("the log is empty")?;
    let Body::LedgerCreated(created) = Event::read(&first.header, &first.body)?.0.body else {
        bail!("the log does not begin with its ledger's making");
    };
    let key = PublicKey::from_slice(&created.public).context("the log's key is none")?;
    let (mut makes, mut verifies) = (Histogram::<u64>::new(3)?, Histogram::<u64>::new(3)?);
    for seq in scattered(size, PROOFS).map(Seq) {
        let begun = Instant::now();
        let (at, seal) = log.seal_of(seq)?.with_context(|| format!("no seal signs event {seq}"))?;
        let path = proof::inclusion(seq, at, &StoreNodes(log)).map_err(|error| anyhow::anyhow!("{error:?}"))?;
        let text = TlogProof { extra: None, index: seq, path, seal: Seal::parse(&seal)? }.render();
        makes.record(nanos(begun.elapsed()))?;
        let record = log.record(seq)?.with_context(|| format!("there is no event {seq}"))?;
        let begun = Instant::now();
        TlogProof::parse(text.as_bytes())?.verify(&record.header, &key, &created.origin)?;
        verifies.record(nanos(begun.elapsed()))?;
    }
    Ok((Micros::of(&makes), Micros::of(&verifies)))
}

/// At most so many numbers below a size, from all over, none twice.
pub fn scattered(size: u64, count: u64) -> impl Iterator<Item = u64> {
    // A step that shares no factor with the size comes to all of them before it comes to one again.
    let step = (1..).map(|n| size * 5 / 8 + n).find(|step| gcd(*step, size) == 1).unwrap_or(1);
    let nth = move |n: u64| u64::try_from(u128::from(n) * u128::from(step) % u128::from(size)).unwrap_or(0);
    (0..count.min(size)).map(nth)
}

const fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// A time as a histogram takes it.
pub fn nanos(took: Duration) -> u64 {
    u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)
}

impl Micros {
    #[expect(clippy::cast_precision_loss, reason = "2^53 ns are a hundred days")]
    pub fn of(nanos: &Histogram<u64>) -> Self {
        Self { mean: nanos.mean() / 1000.0, p99: nanos.value_at_quantile(0.99) as f64 / 1000.0 }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
fn ratio(a: u64, b: u64) -> f64 {
    a as f64 / b.max(1) as f64
}

/// Bytes that a directory's files take, as the file system counts them.
pub fn disk_bytes(dir: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    let entries = fs::read_dir(dir).with_context(|| format!("{} cannot be read", dir.display()))?;
    for entry in entries {
        let entry = entry?;
        let data = entry.metadata()?;
        bytes += if data.is_dir() { disk_bytes(&entry.path())? } else { data.blocks() * 512 };
    }
    Ok(bytes)
}
