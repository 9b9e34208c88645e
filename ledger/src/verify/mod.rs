//! The one verifier: daemon, tools, tests and fuzz targets all call it. This is `docs/format.md`, section 13, as code.
//!
//! It believes nothing it reads. Hashing, decoding and signatures are spread over the cores, a chunk of the log at a
//! time, so memory stays bounded; what one event says of the next is then compared in order.

mod agents;
mod chain;
mod item;
mod population;
mod report;
mod timestamps;
mod witnessed;

pub use item::{Item, SourceError, StoreItems};
pub use population::Population;
pub use report::{
    AgentSignatures, BodyCounts, Checks, CosignedBy, Finding, KeyInForce, NewestTimestamp, Report, Timestamps, Trust,
    Why, YesNo,
};

use std::io::Read;

use rayon::iter::{IndexedParallelIterator as _, IntoParallelIterator as _, ParallelIterator as _};

use crate::bundle::{BundleReader, Piece};
use crate::keys::PublicKey;
use crate::timestamp::Authorities;
use crate::tree::seal::Seal;
use crate::tree::verifier_key::VerifierKey;
use crate::witness::policy::WitnessPolicy;

use agents::PendingSignature;
use chain::Chain;
use item::Prepared;
use population::Census;

/// Items read, prepared and compared at a time: with the largest bodies 256 MiB, with usual ones 4 MiB.
const CHUNK_ITEMS: usize = 4096;

/// What the reader knows from elsewhere.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The key the reader trusts, and how it came by it.
    pub key: Option<(VerifierKey, Trust)>,
    /// Checkpoints of this log that the reader kept: the log must contain what they sign.
    pub heads: Vec<Seal>,
    /// Whom the reader trusts to know the time.
    pub authorities: Option<Authorities>,
    /// The witnesses that the reader trusts.
    pub witnesses: Option<Witnessing>,
}

/// The witnesses that a reader trusts, and whether enough of them must have cosigned.
#[derive(Debug, Clone)]
pub struct Witnessing {
    /// Which, and how many of them are enough.
    pub policy: WitnessPolicy,
    /// Whether a log that fewer of them cosigned is not what the reader asks for.
    pub is_required: bool,
}

/// Verifies a log. `progress` is told how many events have been read.
///
/// # Errors
/// [`SourceError::Read`] when the source cannot be read at all; damage is not an error but a finding.
pub fn verify<S>(items: S, known: &Known, progress: impl FnMut(u64)) -> Result<Report, SourceError>
where
    S: Iterator<Item = Result<Item, SourceError>> + Send,
{
    let chain = follow(items.map(|item| item.map(Piece::Item)), Chain::new(known), None, progress)?;
    Ok(chain.finish())
}

/// Verifies a bundle, of which only the manifest was read. `progress` is told how many events have been read.
///
/// # Errors
/// [`SourceError::Read`] when it cannot be read at all; damage is not an error but a finding.
pub fn verify_bundle<R>(
    bundle: &mut BundleReader<R>, known: &Known, progress: impl FnMut(u64),
) -> Result<Report, SourceError>
where
    R: Read + Send,
{
    let manifest = bundle.manifest().clone();
    // Chosen or not is said of each event by itself, while the chain counts.
    let census = Census::new(&manifest);
    let chain = follow(&mut *bundle, Chain::of_bundle(known, &manifest), Some(&census), progress)?;
    Ok(chain.finish_bundle(bundle.kinds()))
}

/// Reads pieces to their end.
fn follow<'a, S>(
    mut pieces: S, mut chain: Chain<'a>, census: Option<&Census<'_>>, mut progress: impl FnMut(u64),
) -> Result<Chain<'a>, SourceError>
where
    S: Iterator<Item = Result<Piece, SourceError>> + Send,
{
    let mut chunk = prepare_chunk(&mut pieces, census);
    while !chunk.0.is_empty() || chunk.1.is_some() {
        let (prepared, end) = chunk;
        let over = end.is_some();
        // The next chunk is read and prepared while this one is compared.
        let (next, ()) = rayon::join(
            || if over { (Vec::new(), None) } else { prepare_chunk(&mut pieces, census) },
            || compare(&mut chain, prepared),
        );
        progress(chain.events());
        match end {
            None | Some(End::Over) => {}
            Some(End::Fault(SourceError::Read(error))) => return Err(SourceError::Read(error)),
            Some(End::Fault(fault)) => chain.source_fault(&fault),
        }
        chunk = next;
    }
    Ok(chain)
}

enum End {
    Over,
    Fault(SourceError),
}

/// Reads a chunk, and works out of each piece all that needs no other.
fn prepare_chunk<S>(pieces: &mut S, census: Option<&Census<'_>>) -> (Vec<Prepared>, Option<End>)
where
    S: Iterator<Item = Result<Piece, SourceError>>,
{
    let mut read = Vec::with_capacity(CHUNK_ITEMS);
    let end = loop {
        if read.len() == CHUNK_ITEMS {
            break None;
        }
        match pieces.next() {
            Some(Ok(piece)) => read.push(piece),
            Some(Err(fault)) => break Some(End::Fault(fault)),
            None => break Some(End::Over),
        }
    };
    (read.into_par_iter().with_min_len(64).map(|piece| Prepared::of(piece, census)).collect(), end)
}

fn compare(chain: &mut Chain<'_>, prepared: Vec<Prepared>) {
    let mut pending = Vec::new();
    for item in prepared {
        pending.extend(chain.push(item));
    }
    // Only the signatures are left: one a commit, and those of agents, independent of each other.
    let findings: Vec<_> = pending.into_par_iter().filter_map(Pending::check).collect();
    chain.end_chunk(findings);
}

/// A signature that is yet to be checked.
enum Pending {
    Seal(Box<PendingSeal>),
    Agent(PendingSignature),
}

impl Pending {
    fn check(self) -> Option<(u64, Finding)> {
        match self {
            Self::Seal(seal) => seal.check(),
            Self::Agent(signature) => signature.check(),
        }
    }
}

/// A seal whose signature is yet to be checked.
struct PendingSeal {
    seal: Seal,
    order: u64,
    seq: u64,
    in_force: PublicKey,
    others: Vec<PublicKey>,
}

impl PendingSeal {
    fn check(self) -> Option<(u64, Finding)> {
        if self.seal.verify(&self.in_force).is_ok() {
            return None;
        }
        let finding = if self.others.iter().any(|key| self.seal.verify(key).is_ok()) {
            Finding::new(self.seq, Why::Key, "the seal is by a key of this log, but not by the one then in force")
        } else {
            Finding::new(self.seq, Why::Signature, "the seal is not signed by the key then in force")
        };
        Some((self.order, finding))
    }
}

#[cfg(test)]
pub(crate) mod tests;
