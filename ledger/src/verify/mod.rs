//! The one verifier: daemon, tools, tests and fuzz targets all call it. This is `docs/format.md`, section 13, as code.
//!
//! It believes nothing it reads. Hashing, decoding and signatures are spread over the cores, a chunk of the log at a
//! time, so memory stays bounded; what one event says of the next is then compared in order.

mod chain;
mod item;
mod report;

pub use item::{Item, SourceError, StoreItems};
pub use report::{BodyCounts, Checks, Finding, KeyInForce, Report, Trust, Why, YesNo};

use rayon::iter::{IndexedParallelIterator as _, IntoParallelIterator as _, ParallelIterator as _};

use crate::keys::PublicKey;
use crate::tree::seal::Seal;
use crate::tree::verifier_key::VerifierKey;

use chain::Chain;
use item::Prepared;

/// Items read, prepared and compared at a time: with the largest bodies 256 MiB, with usual ones 4 MiB.
const CHUNK_ITEMS: usize = 4096;

/// What the reader knows from elsewhere.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The key the reader trusts, and how it came by it.
    pub key: Option<(VerifierKey, Trust)>,
    /// Checkpoints of this log that the reader kept: the log must contain what they sign.
    pub heads: Vec<Seal>,
}

/// Verifies a log. `progress` is told how many events have been read.
///
/// # Errors
/// [`SourceError::Read`] when the source cannot be read at all; damage is not an error but a finding.
pub fn verify<S>(mut items: S, known: &Known, mut progress: impl FnMut(u64)) -> Result<Report, SourceError>
where
    S: Iterator<Item = Result<Item, SourceError>> + Send,
{
    let mut chain = Chain::new(known);
    let mut chunk = prepare_chunk(&mut items);
    while !chunk.0.is_empty() || chunk.1.is_some() {
        let (prepared, end) = chunk;
        let over = end.is_some();
        // The next chunk is read and prepared while this one is compared.
        let (next, ()) = rayon::join(
            || if over { (Vec::new(), None) } else { prepare_chunk(&mut items) },
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
    Ok(chain.finish())
}

enum End {
    Over,
    Fault(SourceError),
}

/// Reads a chunk, and works out of each item all that needs no other.
fn prepare_chunk<S>(items: &mut S) -> (Vec<Prepared>, Option<End>)
where
    S: Iterator<Item = Result<Item, SourceError>>,
{
    let mut read = Vec::with_capacity(CHUNK_ITEMS);
    let end = loop {
        if read.len() == CHUNK_ITEMS {
            break None;
        }
        match items.next() {
            Some(Ok(item)) => read.push(item),
            Some(Err(fault)) => break Some(End::Fault(fault)),
            None => break Some(End::Over),
        }
    };
    (read.into_par_iter().with_min_len(64).map(Prepared::of).collect(), end)
}

fn compare(chain: &mut Chain<'_>, prepared: Vec<Prepared>) {
    let mut seals = Vec::new();
    for item in prepared {
        seals.extend(chain.push(item));
    }
    // Only the signatures are left: one a commit, independent of each other.
    let findings: Vec<_> = seals.into_par_iter().filter_map(|seal| seal.check()).collect();
    chain.end_chunk(findings);
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
mod tests;
