//! `chancery inspect`: events, seals and proofs as they are.

use std::io::{self, Write as _};

use anyhow::{Context as _, bail};
use chancery_ledger::event::Envelope;
use chancery_ledger::ids::{Seq, TreeSize};
use chancery_ledger::link;
use chancery_ledger::store::{LogStore, StoreNodes};
use chancery_ledger::tree::seal::Seal;
use chancery_ledger::tree::tlog_proof::TlogProof;
use chancery_ledger::tree::{leaf_hash, proof};
use chancery_projections::context::Opener;
use chancery_projections::event_view;
use clap::{Args, Subcommand};

use crate::source;

/// Arguments of `chancery inspect`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    log: source::Log,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// What there is: origin, sizes, times, the last seal.
    Summary,
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
    /// An event's signature as a C2SP `tlog-proof`; from a data directory only.
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
    let mut out = io::stdout().lock();
    match arguments.what {
        What::Summary => writeln!(out, "{}", summary(log)?)?,
        What::Events { from, to } => {
            for seq in from..=to.unwrap_or(from) {
                let Some(record) = log.record(Seq(seq))? else { bail!("the log has {} events", log.size()) };
                let event = event_view::render_record(&record, &Opener::new(&*opened.secrets));
                let event = event.with_context(|| format!("event {seq} cannot be shown"))?;
                writeln!(out, "{}", serde_json::to_string(&event)?)?;
            }
        }
        What::Bytes { seq } => writeln!(out, "{}", bytes(log, Seq(seq))?)?,
        What::Seal { seq } => out.write_all(&seal_of(log, Seq(seq))?.1)?,
        What::Proof { seq } => write!(out, "{}", tlog_proof(log, Seq(seq))?.render())?,
    }
    Ok(true)
}

fn summary(log: &dyn LogStore) -> anyhow::Result<serde_json::Value> {
    let size = log.size();
    let time = |seq: Seq| -> anyhow::Result<String> {
        let record = log.record(seq)?.context("the event is missing")?;
        let envelope = Envelope::parse(&record.header).with_context(|| format!("event {seq} cannot be read"))?;
        Ok(jiff::Timestamp::from_microsecond(envelope.time.0)?.to_string())
    };
    let (first, last) = match size.last() {
        Some(last) => (Some(time(Seq(0))?), Some(time(last)?)),
        None => (None, None),
    };
    let seal = log.last_seal()?.map(|(_, bytes)| Seal::parse(&bytes)).transpose()?;
    Ok(serde_json::json!({
        "origin": seal.as_ref().map(|seal| seal.checkpoint().origin.clone()),
        "events": size,
        "first_time": first,
        "last_time": last,
        "bytes": log.disk_bytes()?,
        "checkpoint": seal.map(|seal| String::from_utf8_lossy(seal.bytes()).into_owned()),
    }))
}

fn bytes(log: &dyn LogStore, seq: Seq) -> anyhow::Result<serde_json::Value> {
    let record = log.record(seq)?.with_context(|| format!("there is no event {seq}"))?;
    Ok(serde_json::json!({
        "header": hex::encode(&record.header),
        "body": hex::encode(&record.body),
        "body_hash": link::body_hash(&record.body),
        "hash": link::header_hash(&record.header),
        "leaf_hash": hex::encode(leaf_hash(&record.header).0),
    }))
}

fn seal_of(log: &dyn LogStore, seq: Seq) -> anyhow::Result<(TreeSize, bytes::Bytes)> {
    log.seal_of(seq)?.with_context(|| format!("no seal signs event {seq}: the log has {} events", log.size()))
}

fn tlog_proof(log: &dyn LogStore, seq: Seq) -> anyhow::Result<TlogProof> {
    let (size, seal) = seal_of(log, seq)?;
    let path = proof::inclusion(seq, size, &StoreNodes(log))
        .context("the path cannot be read; an export keeps no nodes, so ask for proofs from a data directory")?;
    Ok(TlogProof { extra: None, index: seq, path, seal: Seal::parse(&seal)? })
}
