//! `chancery inspect`: events, seals, proofs and keys as they are.

use std::io::{self, Write as _};
use std::ops::ControlFlow;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use chancery_ledger::body::Body;
use chancery_ledger::body::ledger::Purpose;
use chancery_ledger::event::{Envelope, Event};
use chancery_ledger::ids::{Seq, TreeSize};
use chancery_ledger::keys::PublicKey;
use chancery_ledger::link;
use chancery_ledger::store::{LogStore, Record, StoreError, StoreNodes};
use chancery_ledger::tree::seal::Seal;
use chancery_ledger::tree::tlog_proof::TlogProof;
use chancery_ledger::tree::verifier_key::VerifierKey;
use chancery_ledger::tree::{Frontier, NodeHash, Nodes, leaf_hash, proof};
use chancery_projections::context::Opener;
use chancery_projections::event_view;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::output::{self, Lines};
use crate::progress;
use crate::source::{self, Opened};

/// Arguments of `chancery inspect`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    log: source::Log,
    #[command(flatten)]
    keys: source::Keys,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// What there is: origin, first key, sizes, times, the last seal. Nothing of it is verified.
    Summary,
    /// The sealing keys that the log names, in order, each as the verifier key that an auditor trusts. Reads the whole log,
    /// and verifies nothing.
    Keys,
    /// Events as JSON, one a line, their encrypted fields opened where the keys are.
    Events {
        /// The first.
        from: u64,
        /// The last; the same as the first if absent.
        to: Option<u64>,
    },
    /// The bytes of an event's header and body in hexadecimal, with the hashes made of them.
    Bytes {
        /// Which event.
        seq: u64,
    },
    /// The seal of the commit that holds an event: a signed checkpoint.
    Seal {
        /// Which event.
        seq: u64,
    },
    /// An event's signature as a C2SP `tlog-proof`. From an export it takes reading all of it, since exports keep no nodes
    /// of the tree.
    Proof {
        /// Which event.
        seq: u64,
    },
}

/// Prints what was asked for.
///
/// # Errors
/// When it is not there or cannot be read.
pub fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let opened = arguments.log.open()?;
    let log = &*opened.log;
    match arguments.what {
        What::Summary => output::pretty(&summary(log)?)?,
        What::Keys => keys(log)?,
        What::Events { from, to } => events(&opened, &arguments.keys, from, to.unwrap_or(from))?,
        What::Bytes { seq } => output::pretty(&bytes(&opened, Seq(seq))?)?,
        What::Seal { seq } => io::stdout().write_all(&seal_of(log, Seq(seq))?.1)?,
        What::Proof { seq } => io::stdout().write_all(tlog_proof(&opened, Seq(seq))?.render().as_bytes())?,
    }
    Ok(true)
}

fn record(log: &dyn LogStore, seq: Seq) -> anyhow::Result<Record> {
    let record = log.record(seq)?;
    record.with_context(|| format!("there is no event {seq}: the log has {} events", log.size()))
}

fn summary(log: &dyn LogStore) -> anyhow::Result<Value> {
    let time = |seq: Seq| -> anyhow::Result<_> {
        let envelope = Envelope::parse(&record(log, seq)?.header);
        Ok(envelope.with_context(|| format!("event {seq} cannot be read; run `chancery verify`"))?.time)
    };
    let (first, last) = match log.size().last() {
        Some(last) => (Some(time(Seq(0))?), Some(time(last)?)),
        None => (None, None),
    };
    let genesis = log.record(Seq(0))?.and_then(|record| sealing_key(&record));
    let (origin, key) = genesis.map(|(origin, key)| (origin.unwrap_or_default(), key)).unzip();
    let verifier_key = origin.clone().zip(key).map(|(origin, key)| VerifierKey { origin, key }.to_string());
    Ok(json!({
        "origin": origin,
        "verifier_key": verifier_key,
        "events": log.size(),
        "first_time": first,
        "last_time": last,
        "bytes": log.disk_bytes()?,
        "checkpoint": log.last_seal()?.map(|(_, bytes)| String::from_utf8_lossy(&bytes).into_owned()),
    }))
}

fn keys(log: &dyn LogStore) -> anyhow::Result<()> {
    let mut lines = Lines::new();
    let mut origin = String::new();
    let bar = progress::events(Some(log.size().0), "reading");
    for item in log.records(Seq(0)) {
        let (seq, record) = item?;
        bar.set_position(seq.0);
        let Some((named, key)) = sealing_key(&record) else { continue };
        origin = named.unwrap_or(origin);
        // The commit that names a key is the last of the one before, except for the first.
        let from_size = if seq == Seq(0) { TreeSize(1) } else { TreeSize(seq.0 + 2) };
        let verifier_key = VerifierKey { origin: origin.clone(), key }.to_string();
        if lines.write(&json!({ "event": seq, "from_size": from_size, "verifier_key": verifier_key })).is_break() {
            break;
        }
    }
    bar.finish_and_clear();
    lines.finish()?;
    Ok(())
}

/// The sealing key that an event names, with the origin where it names that too.
fn sealing_key(record: &Record) -> Option<(Option<String>, PublicKey)> {
    match Event::read(&record.header, &record.body).ok()?.0.body {
        Body::LedgerCreated(created) => Some((Some(created.origin), PublicKey::from_slice(&created.public)?)),
        Body::SigningKeyAdded(added) if added.purpose == Purpose::Seal => {
            Some((None, PublicKey::from_slice(&added.public)?))
        }
        _ => None,
    }
}

fn events(opened: &Opened, keys: &source::Keys, from: u64, to: u64) -> anyhow::Result<()> {
    if from > to {
        bail!("the first event, {from}, comes after the last, {to}");
    }
    let secrets = opened.secrets(keys)?;
    let mut lines = Lines::new();
    for seq in (from..=to).map(Seq) {
        let record = record(&*opened.log, seq)?;
        if opened.withholds(seq)? {
            bail!("the body of event {seq} is withheld from this export; `inspect bytes {seq}` shows its header");
        }
        let event = event_view::render_record(&record, &Opener::new(&*secrets));
        let event = event.with_context(|| format!("event {seq} cannot be shown; run `chancery verify`"))?;
        if lines.write(&event) == ControlFlow::Break(()) {
            break;
        }
    }
    lines.finish()?;
    Ok(())
}

fn bytes(opened: &Opened, seq: Seq) -> anyhow::Result<Value> {
    let Record { header, body, .. } = record(&*opened.log, seq)?;
    let withheld = opened.withholds(seq)?;
    let body = Some(body).filter(|_| !withheld);
    let hash_in_header = Envelope::parse(&header).ok().map(|envelope| envelope.body_hash);
    Ok(json!({
        "header": hex::encode(&header),
        "body": body.as_ref().map(hex::encode),
        "body_hash": body.as_ref().map(|body| link::body_hash(body)).or(hash_in_header),
        "hash": link::header_hash(&header),
        "leaf_hash": hex::encode(leaf_hash(&header).0),
    }))
}

fn seal_of(log: &dyn LogStore, seq: Seq) -> anyhow::Result<(TreeSize, Bytes)> {
    log.seal_of(seq)?.with_context(|| format!("no seal signs event {seq}: the log has {} events", log.size()))
}

fn tlog_proof(opened: &Opened, seq: Seq) -> anyhow::Result<TlogProof> {
    let log = &*opened.log;
    let (size, seal) = seal_of(log, seq)?;
    let seal = Seal::parse(&seal).context("the seal is malformed; run `chancery verify`")?;
    let path = match opened.is_export() {
        true => proof::inclusion(seq, size, &Recomputed(log)),
        false => proof::inclusion(seq, size, &StoreNodes(log)),
    };
    let path = path.context("the tree cannot be read; run `chancery verify`")?;
    let leaf = leaf_hash(&record(log, seq)?.header);
    if !proof::verify_inclusion(leaf, seq, size, &path, seal.checkpoint().root) {
        bail!("event {seq} does not lead to the root that its seal signs; run `chancery verify`");
    }
    Ok(TlogProof { extra: None, index: seq, path, seal })
}

/// The tree's nodes, made anew from the events below each.
pub struct Recomputed<'a>(pub &'a dyn LogStore);

impl Nodes for Recomputed<'_> {
    type Error = StoreError;

    fn node(&self, level: u8, index: u64) -> Result<NodeHash, StoreError> {
        let leaves = 1u64.checked_shl(level.into()).unwrap_or(u64::MAX);
        let first = index.saturating_mul(leaves);
        let mut subtree = Frontier::empty();
        for item in self.0.records(Seq(first)) {
            let (seq, record) = item?;
            subtree.push(leaf_hash(&record.header));
            if seq.0 - first + 1 == leaves {
                return Ok(subtree.root());
            }
        }
        Err(StoreError::Missing { seq: self.0.size().next() })
    }
}
