//! What the reader's witnesses say of the log that is read: cosignatures recorded in it, and on heads from elsewhere.

use std::collections::VecDeque;

use super::report::{CosignedBy, Finding, Why};
use super::{Known, Witnessing};
use crate::body::witness::CheckpointCosigned;
use crate::ids::TreeSize;
use crate::tree::NodeHash;
use crate::tree::seal::{Checkpoint, Seal};
use crate::witness::cosignature::Cosignature;

/// Seals whose roots are remembered: a cosignature is recorded some commits after the seal it is of, and not millions. 2.5
/// MiB.
const ROOTS_KEPT: usize = 65_536;

/// What is known of each witness so far.
pub(super) struct Witnessed<'a> {
    witnessing: Option<&'a Witnessing>,
    /// The newest sizes whose root held, oldest first.
    roots: VecDeque<(u64, NodeHash)>,
    newest: Vec<Option<(u64, u64)>>,
}

impl<'a> Witnessed<'a> {
    pub(super) fn new(known: &'a Known) -> Self {
        let witnessing = known.witnesses.as_ref();
        let count = witnessing.map_or(0, |it| it.policy.witnesses().len());
        Self { witnessing, roots: VecDeque::new(), newest: vec![None; count] }
    }

    /// A seal's root held.
    pub(super) fn sealed(&mut self, size: u64, root: NodeHash) {
        if self.witnessing.is_some() {
            if self.roots.len() == ROOTS_KEPT {
                self.roots.pop_front();
            }
            self.roots.push_back((size, root));
        }
    }

    /// The log records a cosignature, in the event of that number. What other witnesses are said to have said is nothing to
    /// the reader.
    pub(super) fn recorded(&mut self, seq: u64, origin: &str, it: &CheckpointCosigned) -> Option<Finding> {
        let witnesses = self.witnessing?.policy.witnesses();
        let (at, witness) = witnesses.iter().enumerate().find(|(_, known)| known.key.to_string() == it.witness)?;
        let root = NodeHash(it.root.0);
        let checkpoint = Checkpoint { origin: origin.to_owned(), size: TreeSize(it.size), root };
        let read = Cosignature::from_bytes(&it.cosignature);
        let Some(cosignature) = read.ok().filter(|read| read.verify_checkpoint(&checkpoint, &witness.key).is_ok())
        else {
            return Some(Finding::new(
                seq,
                Why::Cosignature,
                "the witness named did not cosign what it is said to have",
            ));
        };
        let sealed = self.roots.binary_search_by_key(&it.size, |(size, _)| *size).ok()?;
        if self.roots[sealed].1 == root {
            self.note(at, it.size, cosignature.time_secs);
            None
        } else {
            let detail = format!("`{}` cosigned another tree of this size", witness.key.name);
            Some(Finding::new(it.size.saturating_sub(1), Why::Diverged, detail))
        }
    }

    /// A seal or a head is one of this log's checkpoints; what stands on it counts too.
    pub(super) fn lines(&mut self, seal: &Seal, what: &str) -> Vec<Finding> {
        let Some(witnessing) = self.witnessing.filter(|_| seal.has_further_lines()) else { return Vec::new() };
        let mut findings = Vec::new();
        for (at, witness) in witnessing.policy.witnesses().iter().enumerate() {
            let size = seal.checkpoint().size.0;
            match Cosignature::of(seal, &witness.key) {
                Ok(Some(cosignature)) => self.note(at, size, cosignature.time_secs),
                Ok(None) => {}
                Err(_) => {
                    let detail = format!("{what} has a line of `{}` that is not its cosignature", witness.key.name);
                    findings.push(Finding::new(size.saturating_sub(1), Why::Cosignature, detail));
                }
            }
        }
        findings
    }

    fn note(&mut self, at: usize, size: u64, time_secs: u64) {
        self.newest[at] = self.newest[at].max(Some((size, time_secs)));
    }

    /// The greatest size up to which enough witnesses cosigned. Who cosigned a checkpoint cosigned, by that, the tree of
    /// every smaller one: it is the beginning.
    pub(super) fn size(&self) -> Option<u64> {
        let policy = &self.witnessing?.policy;
        let mut sizes: Vec<u64> = self.newest.iter().flatten().map(|(size, _)| *size).collect();
        sizes.sort_unstable_by(|one, other| other.cmp(one));
        let is_enough = |size: u64| {
            policy.is_met_by(|key| {
                let mut known = policy.witnesses().iter().zip(&self.newest);
                known.any(|(witness, newest)| witness.key == *key && newest.is_some_and(|(newest, _)| newest >= size))
            })
        };
        sizes.into_iter().find(|size| is_enough(*size))
    }

    /// What is wrong when the reader's policy must be met and is not.
    pub(super) fn missing(&self) -> Option<Finding> {
        let is_required = self.witnessing.is_some_and(|it| it.is_required && it.policy.asks_for_witnesses());
        (is_required && self.size().is_none())
            .then(|| Finding::new(0, Why::Unwitnessed, "fewer witnesses cosigned the log than the policy asks for"))
    }

    /// The verdict: how many of how many, or `unwitnessed`.
    pub(super) fn verdict(&self) -> String {
        match self.size() {
            None => "unwitnessed".to_owned(),
            Some(size) => {
                let count = self.newest.iter().flatten().filter(|(newest, _)| *newest >= size).count();
                format!("{count} of {}", self.newest.len())
            }
        }
    }

    /// What each witness cosigned last.
    pub(super) fn by(&self) -> Vec<CosignedBy> {
        let witnesses = self.witnessing.map_or(&[][..], |it| it.policy.witnesses());
        let known = witnesses.iter().zip(&self.newest);
        let by = known.map(|(witness, newest)| CosignedBy {
            witness: witness.key.to_string(),
            size: newest.map(|(size, _)| size),
            time_secs: newest.map(|(_, time_secs)| time_secs),
        });
        by.collect()
    }
}
