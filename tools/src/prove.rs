//! `chancery prove`: proofs as files that verify with no daemon and no log, from a log or from the daemon that keeps it.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use chancery_ledger::event::Envelope;
use chancery_ledger::ids::{Seq, TreeSize};
use chancery_ledger::keys::PublicKey;
use chancery_ledger::store::{LogStore, StoreError, StoreNodes};
use chancery_ledger::tree::consistency_proof::ConsistencyProof;
use chancery_ledger::tree::proof::{self, ProofError};
use chancery_ledger::tree::seal::Seal;
use chancery_ledger::tree::tlog_proof::TlogProof;
use chancery_ledger::tree::verifier_key::VerifierKey;
use chancery_ledger::tree::{NodeHash, leaf_hash};
use chancery_ledger::verify::{Known, Witnessing};
use clap::{Args, Subcommand};
use serde::Deserialize;

use crate::client::Daemon;
use crate::inspect::Recomputed;
use crate::source::{self, Opened};

/// Arguments of `chancery prove`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    log: source::Log,
    #[command(flatten)]
    daemon: Daemon,
    /// The file to write, instead of printing.
    #[arg(long, global = true)]
    out: Option<PathBuf>,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// That an event is in the log: a C2SP `tlog-proof` that holds the event's header.
    Inclusion {
        /// Which event.
        seq: u64,
        /// Against the checkpoint that signs this many events; by default that of the event's own commit.
        #[arg(long)]
        size: Option<u64>,
        /// Against the newest checkpoint that the daemon publishes, with the lines of witnesses that cosigned it.
        #[arg(long, conflicts_with = "size")]
        published: bool,
    },
    /// That the log's tree at one size is the beginning of its tree at another: what C2SP `tlog-witness` calls an
    /// add-checkpoint request.
    Consistency {
        /// The older size.
        old: u64,
        /// The newer one, at which a commit ended; by default the newest.
        new: Option<u64>,
    },
}

/// Makes the proof, checks it, and writes it.
///
/// # Errors
/// When there is nothing of the kind to prove, or the log or the daemon cannot be read.
pub fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    // An API key says that a daemon is meant, unless a log is named.
    let text = match arguments.daemon.has_key() && !arguments.log.is_named() {
        true => of_running(&arguments.daemon, &arguments.what)?,
        false => of_log(&arguments.log.open()?, &arguments.what)?,
    };
    match &arguments.out {
        Some(out) => crate::export::whole_or_nothing(out, |mut file| Ok(file.write_all(text.as_bytes())?))?,
        None => io::stdout().write_all(text.as_bytes())?,
    }
    Ok(true)
}

fn of_log(opened: &Opened, what: &What) -> anyhow::Result<String> {
    let log = &*opened.log;
    match *what {
        What::Inclusion { published: true, .. } => bail!("a log does not say what is published: ask the daemon"),
        What::Inclusion { seq, size, .. } => {
            let seq = Seq(seq);
            let record = log.record(seq)?;
            let record =
                record.with_context(|| format!("there is no event {seq}: the log has {} events", log.size()))?;
            let seal = match size {
                Some(size) if size <= seq.0 => bail!("event {seq} is not among the first {size}"),
                Some(size) => seal_at(log, TreeSize(size))?,
                None => {
                    let (_, seal) = log.seal_of(seq)?.with_context(|| format!("no seal signs event {seq}"))?;
                    parsed(&seal)?
                }
            };
            let size = seal.checkpoint().size;
            let path = match opened.is_export() {
                true => proof::inclusion(seq, size, &Recomputed(log)),
                false => proof::inclusion(seq, size, &StoreNodes(log)),
            };
            checked(TlogProof { extra: Some(record.header.to_vec()), index: seq, path: unprovable(path)?, seal })
        }
        What::Consistency { old, new } => {
            let seal = match new {
                Some(new) => seal_at(log, TreeSize(new))?,
                None => parsed(&log.last_seal()?.context("the log is empty")?.1)?,
            };
            let (old, new) = (TreeSize(old), seal.checkpoint().size);
            let path = match opened.is_export() {
                true => proof::consistency(old, new, &Recomputed(log)),
                false => proof::consistency(old, new, &StoreNodes(log)),
            };
            Ok(ConsistencyProof { old, path: unprovable(path)?, seal }.render())
        }
    }
}

fn unprovable(path: Result<Vec<NodeHash>, ProofError<StoreError>>) -> anyhow::Result<Vec<NodeHash>> {
    path.context("the tree cannot be read; run `chancery verify`")
}

fn parsed(seal: &[u8]) -> anyhow::Result<Seal> {
    Seal::parse(seal).context("the seal is malformed; run `chancery verify`")
}

fn seal_at(log: &dyn LogStore, size: TreeSize) -> anyhow::Result<Seal> {
    let sealed = match size.last() {
        Some(last) => log.seal_of(last)?,
        None => None,
    };
    match sealed {
        Some((at, seal)) if at == size => parsed(&seal),
        Some((at, _)) => bail!("no checkpoint signs {size} events: no commit ended there, the next did at {at}"),
        None => bail!("no checkpoint signs {size} events: the log has {}", log.size()),
    }
}

/// A proof's text, once it was seen to hold.
fn checked(proof: TlogProof) -> anyhow::Result<String> {
    let header = proof.extra.as_deref().context("the proof came without the event's header")?;
    let signed = proof.seal.checkpoint();
    if !proof::verify_inclusion(leaf_hash(header), proof.index, signed.size, &proof.path, signed.root) {
        bail!("event {} does not lead to the root that the checkpoint signs; run `chancery verify`", proof.index);
    }
    Ok(proof.render())
}

/// What a daemon answers of two trees.
#[derive(Deserialize)]
struct Consistency {
    new: Tree,
    proof: Vec<String>,
}

#[derive(Deserialize)]
struct Tree {
    checkpoint: Option<String>,
}

fn of_running(daemon: &Daemon, what: &What) -> anyhow::Result<String> {
    let get = |path: &str| -> anyhow::Result<String> { Ok(daemon.get(path)?.body_mut().read_to_string()?) };
    match what {
        What::Inclusion { seq, size, published } => {
            let size = match size {
                Some(size) => format!("&size={size}"),
                None if *published => "&published=true".to_owned(),
                None => String::new(),
            };
            let text = get(&format!("/v1/events/{seq}/proof?header=true{size}"))?;
            checked(TlogProof::parse(text.as_bytes()).context("the daemon did not answer with a tlog-proof")?)
        }
        What::Consistency { old, new } => {
            let new = match new {
                Some(new) => *new,
                None => parsed(get("/checkpoint")?.as_bytes())?.checkpoint().size.0,
            };
            let answer: Consistency = serde_json::from_str(&get(&format!("/v1/ledger/consistency/{old}/{new}"))?)?;
            let seal = answer.new.checkpoint.with_context(|| format!("no checkpoint signs {new} events"))?;
            let path = answer.proof.iter().map(|hash| NodeHash::parse(hash)).collect::<Option<Vec<_>>>();
            let path = path.context("the daemon did not answer with hashes")?;
            Ok(ConsistencyProof { old: TreeSize(*old), path, seal: parsed(seal.as_bytes())? }.render())
        }
    }
}

/// Checks proof files, offline, and says of each what it proves. True if all hold.
///
/// # Errors
/// When a file cannot be read, is no proof, or what it is to be checked by is missing.
pub fn verify(files: &[PathBuf], known: &Known) -> anyhow::Result<bool> {
    let key = known
        .key
        .as_ref()
        .map(|(key, _)| key)
        .context("a proof is worth what the key is that it is checked by: give --key")?;
    let mut all_hold = true;
    for file in files {
        let text = fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let said = match text.starts_with(b"old ") {
            true => consistent(&text, key, &known.heads),
            false => included(&text, key),
        };
        let said = said.map(|said| said.and_then(|(holds, seal)| witnessed(holds, &seal, known.witnesses.as_ref())));
        let said = match said.with_context(|| format!("{} was not checked", file.display()))? {
            Ok(holds) => format!("HOLDS: {holds}"),
            Err(why) => {
                all_hold = false;
                format!("DOES NOT HOLD: {why}")
            }
        };
        writeln!(io::stdout(), "{}: {said}", Path::display(file))?;
    }
    Ok(all_hold)
}

/// What a file proves, and by which checkpoint, or why it proves nothing.
type Said = Result<(String, Seal), String>;

/// What is proved, and how many of the witnesses that are trusted cosigned the checkpoint; or why that is not enough.
fn witnessed(holds: String, seal: &Seal, witnessing: Option<&Witnessing>) -> Result<String, String> {
    let Some(Witnessing { policy, is_required }) = witnessing else { return Ok(holds) };
    let cosigners = policy.cosigners(seal).map_err(|error| format!("a witness's line: {error}"))?;
    let verdict = format!("{} of {} witnesses cosigned the checkpoint", cosigners.len(), policy.witnesses().len());
    if *is_required && !policy.is_met_by(|key| cosigners.contains(&key)) {
        return Err(format!("{verdict}, which is not what the policy asks for"));
    }
    Ok(format!("{holds}; {verdict}"))
}

fn included(text: &[u8], key: &VerifierKey) -> anyhow::Result<Said> {
    let proof = match TlogProof::parse(text) {
        Ok(proof) => proof,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let header =
        proof.extra.as_deref().context("it does not hold the event's header, as those of `chancery prove` do")?;
    if let Err(error) = proof.verify(header, &key.key, &key.origin) {
        return Ok(Err(error.to_string()));
    }
    Ok(match Envelope::parse(header) {
        Ok(event) if event.seq == proof.index => {
            let holds = format!(
                "event {} of {} is among the first {} that the checkpoint signs; hash {}",
                proof.index,
                key.origin,
                proof.seal.checkpoint().size,
                chancery_ledger::link::header_hash(header)
            );
            Ok((holds, proof.seal))
        }
        Ok(event) => Err(format!("its header is that of event {}", event.seq)),
        Err(error) => Err(format!("its header: {error}")),
    })
}

fn consistent(text: &[u8], key: &VerifierKey, heads: &[Seal]) -> anyhow::Result<Said> {
    let proof = match ConsistencyProof::parse(text) {
        Ok(proof) => proof,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let old = heads.iter().find(|head| head.checkpoint().size == proof.old).with_context(|| {
        format!("it says what became of the tree of {} events: give that checkpoint as --head", proof.old)
    })?;
    let signed = |seal: &Seal, key: &PublicKey| seal.verify(key).map_err(|error| error.to_string());
    if let Err(error) = signed(old, &key.key) {
        return Ok(Err(format!("the older checkpoint: {error}")));
    }
    Ok(proof.verify(old.checkpoint(), &key.key).map_err(|error| error.to_string()).map(|()| {
        let new = proof.seal.checkpoint().size;
        (format!("the tree of {} events is the beginning of that of {new}", proof.old), proof.seal.clone())
    }))
}
