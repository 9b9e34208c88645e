//! What is asked of views that a load has left: the trees that receipts are made of, rows proven, reads of the past.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use chancery_ledger::event;
use chancery_ledger::ids::{Seq, TreeSize};
use chancery_ledger::store::LogStore;
use chancery_ledger::tree::proof::verify_inclusion;
use chancery_projections::context::Opener;
use chancery_projections::execution::state::CHAIN_LIST;
use chancery_projections::execution::view as execution;
use chancery_projections::identity::state::{AGENTS_BY_TENANT, LEDGER};
use chancery_projections::identity::view as identity;
use chancery_projections::rows::Order;
use chancery_projections::view::{Held, LIMIT_DEFAULT, Paging, Reading, ViewError};
use chancery_projections::view_receipt::roots::{ROOTED, Trees};
use chancery_projections::view_receipt::tree::Found;
use chancery_projections::views::{View, open_stores};
use hdrhistogram::Histogram;
use serde::Serialize;

use super::offline::{Micros, disk_bytes, nanos, scattered};
use super::per_sec;
use crate::progress;
use crate::source::NoSecrets;

/// The time of a reading in which nothing depends on it.
const NO_TIME: chancery_ledger::time::Micros = chancery_ledger::time::Micros(0);
/// Rows proven and moments read at, to measure one.
const SAMPLES: u64 = 2000;

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Views {
    /// Rows of all views that have roots.
    pub rows: u64,
    /// Trees made of them, on one core: read, hashed, sorted, written.
    pub tree_rows_per_sec: f64,
    /// Bytes that the trees take on disk.
    pub tree_bytes: u64,
    /// A row's leaf found in a tree, and its path made.
    pub row_prove_micros: Micros,
    /// The same path verified.
    pub row_verify_micros: Micros,
    /// Views held still as of an event anywhere in the log, and read, by what was read.
    pub as_of_micros: BTreeMap<&'static str, Micros>,
}

/// Measures on the views of a daemon that has stopped; trees are made in `work`, and removed.
///
/// # Errors
/// When the views cannot be read.
pub fn measure(log: &dyn LogStore, data_dir: &Path, work: &Path) -> anyhow::Result<Views> {
    let stores = open_stores(&data_dir.join("views"))?;
    let size = log.size();
    let bar = progress::waiting("making trees over the views");
    let (dir, begun) = (work.join("bench-receipts"), Instant::now());
    let trees = Trees::new(dir.clone());
    let views = ROOTED.map(|view| (view, stores.get(view).snapshot()));
    let roots = trees.build(size, views, &mut || ControlFlow::Continue(()))?;
    let took = begun.elapsed();
    bar.finish_and_clear();
    let rows = roots.iter().map(|root| root.rows).sum();
    let (row_prove_micros, row_verify_micros) = prove(&trees, size)?;
    let tree_bytes = disk_bytes(&dir)?;
    std::fs::remove_dir_all(dir)?;
    let held = |at: Option<Seq>| {
        let snapshot = |view| stores.get(view).snapshot();
        let (identity, token) = (snapshot(View::Identity), snapshot(View::Token));
        Held::new(identity, token, snapshot(View::Trust), snapshot(View::Execution), at)
    };
    let as_of_micros = read_the_past(log, held)?;
    Ok(Views {
        rows,
        tree_rows_per_sec: per_sec(rows, took),
        tree_bytes,
        row_prove_micros,
        row_verify_micros,
        as_of_micros,
    })
}

fn prove(trees: &Trees, size: TreeSize) -> anyhow::Result<(Micros, Micros)> {
    let tree = trees.open(size, View::Execution)?.context("the tree over the execution view is gone")?;
    let root = tree.root()?;
    let (mut makes, mut verifies) = (Histogram::<u64>::new(3)?, Histogram::<u64>::new(3)?);
    for index in scattered(tree.rows(), SAMPLES) {
        let leaf = tree.leaf(index)?;
        let begun = Instant::now();
        let found = tree.find(leaf.place)?;
        let path = tree.path(index)?;
        makes.record(nanos(begun.elapsed()))?;
        let begun = Instant::now();
        let is_proven = verify_inclusion(leaf.hash(), Seq(index), TreeSize(tree.rows()), &path, root);
        verifies.record(nanos(begun.elapsed()))?;
        anyhow::ensure!(is_proven && found == Found::At(index), "row {index} is not proven by its tree");
    }
    Ok((Micros::of(&makes), Micros::of(&verifies)))
}

/// Reads an agent, a growing audit chain and a page of chains as of events from all over the log.
fn read_the_past<E>(
    log: &dyn LogStore, held: impl Fn(Option<Seq>) -> Result<Held, E>,
) -> anyhow::Result<BTreeMap<&'static str, Micros>>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let now = held(None)?;
    let rows = now.reading(Opener::new(&NoSecrets), NO_TIME);
    let tenant =
        LEDGER.get(rows.identity, ())?.and_then(|ledger| ledger.root).context("the ledger has no root tenant")?;
    let agents = AGENTS_BY_TENANT.len(rows.identity, tenant)?;
    let agent = AGENTS_BY_TENANT.get(rows.identity, tenant, agents)?.context("nobody was registered")?;
    let chain = CHAIN_LIST.get(rows.execution, tenant, 1)?.context("no audit chain was opened")?;
    type Read<'a> = Box<dyn Fn(&Reading<'_>) -> Result<(), ViewError> + 'a>;
    let reads: [(&'static str, Read<'_>); 3] = [
        ("an agent", Box::new(|reading| identity::agent(reading, tenant, agent).map(drop))),
        (
            "an audit chain and how far it had grown",
            Box::new(|reading| execution::audit_chain(reading, tenant, chain).map(drop)),
        ),
        (
            "a page of agents",
            Box::new(|reading| {
                let paging = Paging::new(Order::Descending, None, Some(LIMIT_DEFAULT))?;
                identity::agents(reading, tenant, identity::AgentFilter::default(), &paging).map(drop)
            }),
        ),
    ];
    let mut taken = BTreeMap::new();
    for (what, read) in reads {
        let mut times = Histogram::<u64>::new(3)?;
        for seq in scattered(log.size().0, SAMPLES).map(Seq) {
            let begun = Instant::now();
            let record = log.record(seq)?.with_context(|| format!("there is no event {seq}"))?;
            let (_, time, _) = event::peek(&record.header)?;
            read(&held(Some(seq))?.reading(Opener::new(&NoSecrets), time))?;
            times.record(nanos(begun.elapsed()))?;
        }
        taken.insert(what, Micros::of(&times));
    }
    Ok(taken)
}
