//! `chancery sample`: an auditor's sample of a bundle's events, drawn by a seed that neither side chose.

use std::fs::File;
use std::io::{self, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use chancery_ledger::bundle::{BundleReader, Draw, Manifest, Piece, SAMPLE_EVENTS_MAX, Seed};
use chancery_ledger::event::Envelope;
use chancery_ledger::ids::Seq;
use chancery_ledger::tree::seal::Seal;
use chancery_ledger::verify::{Item, YesNo};
use clap::Args;
use serde_json::json;

use crate::output;
use crate::report::in_words;
use crate::verify::{self, Trusted};

/// Longest seed, in bytes: a timestamp token with its certificates takes some thousand.
const SEED_BYTES_MAX: u64 = 1024 * 1024;

/// Arguments of `chancery sample`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The bundle whose events are the population.
    bundle: PathBuf,
    #[command(flatten)]
    trusted: Trusted,
    /// How many events to draw.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=SAMPLE_EVENTS_MAX as i64))]
    size: u32,
    /// A file whose bytes are the seed, made by somebody else after the last event of the population: a witness's cosignature
    /// of a later checkpoint, or a timestamp token for one.
    #[arg(long)]
    seed_from: PathBuf,
    /// Print the sample as JSON.
    #[arg(long)]
    json: bool,
}

/// Verifies the bundle, and draws. False, and nothing is drawn, if the bundle is not whole.
///
/// # Errors
/// When the bundle cannot be read, or the seed is none.
pub fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let (known, _) = arguments.trusted.known()?;
    let path = &arguments.bundle;
    let report = verify::verify_bundle(path, &known)?;
    let population = report.bundle.with_context(|| format!("{} is no bundle", path.display()))?;
    if let Some(broken) = report.first_broken {
        output::note(&format!("nothing is drawn from a bundle that is not whole: {broken}"));
        return Ok(false);
    }
    if population.complete == YesNo::No {
        output::note("that these are all the events that were asked for is not shown: others may have been left out");
    }
    let bundle = BundleReader::open(BufReader::new(File::open(path)?))?;
    let manifest = bundle.manifest().clone();
    let seed = Seed::of(&seed_bytes(&arguments.seed_from)?);
    let mut draw = Draw::new(seed, arguments.size as usize);
    for (event, _) in chosen(bundle, &manifest) {
        draw.take(event.seq);
    }
    let drawn = draw.finish();
    let shown = shown(path, &manifest, &drawn)?;
    if arguments.json {
        output::pretty(&json!({ "seed": seed.hex(), "population": population.chosen, "sample": shown }))?;
    } else {
        let mut out = io::stdout().lock();
        writeln!(out, "{} of {} events, by the seed {}", drawn.len(), population.chosen, seed.hex())?;
        for event in shown {
            writeln!(
                out,
                "{} {} {} {}",
                event["seq"],
                text(&event["time"]),
                text(&event["hash"]),
                text(&event["what"])
            )?;
        }
    }
    Ok(true)
}

fn text(value: &serde_json::Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The bytes that the seed is made of.
fn seed_bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(SEED_BYTES_MAX + 1).read_to_end(&mut bytes));
    read.with_context(|| format!("{} cannot be read", path.display()))?;
    if bytes.is_empty() || bytes.len() as u64 > SEED_BYTES_MAX {
        bail!("{} is no seed: that has 1 to {SEED_BYTES_MAX} bytes", path.display());
    }
    // Lines can be put into a checkpoint, until the seed suits.
    if Seal::parse(&bytes).is_ok() {
        bail!(
            "{} is a whole checkpoint: give the bytes of one cosignature alone, or a timestamp token",
            path.display()
        );
    }
    Ok(bytes)
}

/// The chosen events of a bundle that was verified, and the bytes of their headers.
fn chosen<'a>(
    bundle: BundleReader<impl io::Read + 'a>, manifest: &'a Manifest,
) -> impl Iterator<Item = (Envelope, bytes::Bytes)> + 'a {
    bundle.filter_map(|piece| match piece {
        Ok(Piece::Item(Item::Event { header, .. })) => {
            Envelope::parse(&header).ok().filter(|event| manifest.choice.takes(event)).map(|event| (event, header))
        }
        _ => None,
    })
}

/// The drawn events, as they are shown.
fn shown(path: &Path, manifest: &Manifest, drawn: &[Seq]) -> anyhow::Result<Vec<serde_json::Value>> {
    let bundle = BundleReader::open(BufReader::new(File::open(path)?))?;
    let wanted = chosen(bundle, manifest).filter(|(event, _)| drawn.binary_search(&event.seq).is_ok());
    Ok(wanted
        .map(|(event, header)| {
            let hash = chancery_ledger::link::header_hash(&header);
            json!({ "seq": event.seq, "time": event.time, "hash": hash, "what": in_words(event.kind) })
        })
        .collect())
}
