//! What one event says of the next, compared in order.

use std::collections::BTreeMap;

use super::agents::{AgentFact, Agents};
use super::item::{BodyState, Fact, Prepared, PreparedEvent};
use super::population::Census;
use super::report::{Against, BodyCounts, Finding, KeyInForce, Report, Trust, Why};
use super::timestamps::Times;
use super::witnessed::Witnessed;
use super::{Known, Pending, PendingSeal, SourceError};
use crate::body::Kind;
use crate::bundle::Manifest;
use crate::ids::Seq;
use crate::keys::PublicKey;
use crate::link::Hash;
use crate::time::Micros;
use crate::tree::seal::Seal;
use crate::tree::verifier_key::VerifierKey;
use crate::tree::{Frontier, NodeHash, Subtree};

/// The state of a verification: constant in size but for the keys of the log and of its agents.
pub(super) struct Chain<'a> {
    known: &'a Known,
    /// Items taken so far, which orders findings.
    order: u64,
    /// The number the next event must have.
    next: u64,
    events: u64,
    seals: u64,
    /// The hash of the event before; `None` when that one is not shown.
    prev: Option<Hash>,
    time: Micros,
    frontier: Frontier,
    /// Cleared by the first broken header or root: later roots then say nothing new.
    roots_hold: bool,
    /// Likewise, for the nodes kept with events.
    nodes_hold: bool,
    origin: Option<String>,
    keys: Vec<(u64, PublicKey)>,
    /// A key named in the commit being read, and by which event.
    rotation: Option<(u64, PublicKey)>,
    sealed: Option<(u64, NodeHash)>,
    last_seal: Option<Seal>,
    trusted_key_sealed: bool,
    bodies: BodyCounts,
    agents: Agents,
    times: Times<'a>,
    /// Roots of the log at the sizes of the reader's heads.
    head_roots: Vec<Option<NodeHash>>,
    witnessed: Witnessed<'a>,
    chunk: Vec<(u64, Finding)>,
    findings: Vec<Finding>,
    findings_total: u64,
    against: Against,
    /// Of a bundle, what it was asked for.
    census: Option<Census<'a>>,
}

impl<'a> Chain<'a> {
    pub(super) fn new(known: &'a Known) -> Self {
        Self {
            known,
            order: 0,
            next: 0,
            events: 0,
            seals: 0,
            prev: Some(Hash::ZERO),
            time: Micros(i64::MIN),
            frontier: Frontier::empty(),
            roots_hold: true,
            nodes_hold: true,
            origin: None,
            keys: Vec::new(),
            rotation: None,
            sealed: None,
            last_seal: None,
            trusted_key_sealed: false,
            bodies: BodyCounts::default(),
            agents: Agents::default(),
            times: Times::new(known.authorities.as_ref()),
            head_roots: vec![None; known.heads.len()],
            witnessed: Witnessed::new(known),
            chunk: Vec::new(),
            findings: Vec::new(),
            findings_total: 0,
            against: Against::default(),
            census: None,
        }
    }

    pub(super) fn of_bundle(known: &'a Known, manifest: &'a Manifest) -> Self {
        Self { census: Some(Census::new(manifest)), ..Self::new(known) }
    }

    pub(super) const fn events(&self) -> u64 {
        self.events
    }

    /// Takes the next item; a signature that is to be checked comes back.
    pub(super) fn push(&mut self, item: Prepared) -> Option<Pending> {
        self.order += 1;
        match item {
            Prepared::Event(event) => self.event(event),
            Prepared::Skipped(subtrees) => {
                self.skipped(&subtrees);
                None
            }
            Prepared::Seal(Ok(seal)) => self.seal(seal).map(|seal| Pending::Seal(Box::new(seal))),
            Prepared::Seal(Err(error)) => {
                self.seals += 1;
                self.found(self.before_next(), Why::Checkpoint, error.to_string());
                None
            }
        }
    }

    fn event(&mut self, event: PreparedEvent) -> Option<Pending> {
        self.events += 1;
        self.commit_goes_on();
        let mut pending = None;
        match event.outline {
            Err(error) => {
                self.found(self.next, Why::Header, error.to_string());
                self.roots_hold = false;
            }
            Ok(header) => {
                if header.seq.0 != self.next {
                    let detail = format!("event {} stands where {} should", header.seq, self.next);
                    self.found(self.next, Why::Gap, detail);
                    self.roots_hold = false;
                    self.next = header.seq.0;
                }
                if self.prev.is_some_and(|prev| prev != header.prev) {
                    self.found(self.next, Why::Link, "it does not name the hash of the event before it");
                }
                if header.time < self.time {
                    self.found(self.next, Why::Time, "it is earlier than the event before it");
                }
                self.time = header.time;
                self.body(event.body);
                self.fact(event.fact, header.kind);
                let (seq, census) = (Seq(self.next), self.census.as_mut());
                let lacking = census
                    .zip(event.role)
                    .and_then(|(census, role)| census.event(seq, header.time, header.kind, &role));
                if let Some(lacking) = lacking {
                    self.found(self.next, Why::Choice, lacking);
                }
                pending = event.agent.and_then(|fact| self.agent_fact(*fact, header.time));
                if let (Some(stamped), Some(origin)) = (event.stamped, &self.origin)
                    && let Err(detail) = self.times.take(*stamped, origin)
                {
                    self.found(self.next, Why::Timestamp, detail);
                }
            }
        }
        let nodes = self.frontier.push(event.leaf);
        if self.roots_hold && self.nodes_hold && event.nodes.is_some_and(|kept| kept != nodes) {
            self.found(self.next, Why::Tree, "the tree's nodes kept with it are not those of the events");
            self.nodes_hold = false;
        }
        self.prev = Some(event.hash);
        self.next = self.next.saturating_add(1);
        self.note_heads();
        pending
    }

    /// Keeps the root where a head of the reader's signs one.
    fn note_heads(&mut self) {
        if self.roots_hold {
            for (head, root) in self.known.heads.iter().zip(&mut self.head_roots) {
                if head.checkpoint().size.0 == self.next {
                    *root = Some(self.frontier.root());
                }
            }
        }
    }

    fn agent_fact(&mut self, fact: AgentFact, time: Micros) -> Option<Pending> {
        match self.agents.take(fact, time) {
            Ok(signature) => signature.map(|signature| Pending::Agent(signature.at(self.order, self.next))),
            Err(detail) => {
                self.found(self.next, Why::AgentSignature, detail);
                None
            }
        }
    }

    /// A key that was added must be the last of its commit.
    fn commit_goes_on(&mut self) {
        if let Some((seq, _)) = self.rotation.take() {
            self.found(seq, Why::Key, "a sealing key was added, and its commit went on");
        }
    }

    /// Goes by events that are not shown.
    fn skipped(&mut self, subtrees: &[Subtree]) {
        self.commit_goes_on();
        self.agents.some_are_not_shown();
        for subtree in subtrees {
            if !subtree.fits_after(self.next) {
                if self.roots_hold {
                    self.found(self.next, Why::Tree, "no subtree as large as the one given can start here");
                }
                self.roots_hold = false;
                continue;
            }
            if let Some(missing) = self.census.as_mut().and_then(|census| census.skipped(self.next, subtree.leaves())) {
                self.found(missing, Why::Choice, "it was asked for and is not here");
            }
            // Where the roots hold, the edge is as long as the log.
            self.roots_hold &= self.frontier.push_subtree(*subtree);
            self.next = self.next.saturating_add(subtree.leaves());
            self.note_heads();
        }
        self.prev = None;
    }

    fn body(&mut self, body: BodyState) {
        match body {
            BodyState::Intact => self.bodies.intact += 1,
            BodyState::Withheld => self.bodies.withheld += 1,
            BodyState::Unknown => self.bodies.unknown += 1,
            BodyState::Damaged(detail) => self.found(self.next, Why::Body, detail),
        }
    }

    fn fact(&mut self, fact: Option<Box<Fact>>, kind: u16) {
        let first = self.next == 0;
        match fact.map(|fact| *fact) {
            Some(Fact::Created { origin, key }) if first => {
                self.origin = Some(origin);
                self.keys.push((1, key));
            }
            Some(Fact::Added(key)) if !first => self.rotation = Some((self.next, key)),
            Some(Fact::Broken(why)) => self.found(self.next, Why::Key, why),
            Some(Fact::Cosigned(it)) if !first => {
                let origin = self.origin.as_deref().unwrap_or_default();
                let finding = self.witnessed.recorded(self.next, origin, &it);
                self.chunk.extend(finding.map(|finding| (self.order, finding)));
            }
            _ if first => self.found(0, Why::Key, "it is not the first event of a ledger"),
            _ if kind == Kind::LedgerCreated.code() => {
                self.found(self.next, Why::Key, "a second ledger begins here");
            }
            _ => {}
        }
    }

    fn seal(&mut self, seal: Seal) -> Option<PendingSeal> {
        self.seals += 1;
        let seq = self.before_next();
        let checkpoint = seal.checkpoint();
        if self.origin.as_ref().is_some_and(|origin| *origin != checkpoint.origin) {
            let detail = format!("the seal is of another log, `{}`", checkpoint.origin);
            self.found(seq, Why::Checkpoint, detail);
        } else if checkpoint.size.0 != self.next {
            let detail = format!("the seal signs {} events where {} end", checkpoint.size, self.next);
            self.found(seq, Why::Checkpoint, detail);
        } else if self.roots_hold {
            let root = self.frontier.root();
            if checkpoint.root == root {
                self.sealed = Some((self.next, root));
                self.witnessed.sealed(self.next, root);
                let findings = self.witnessed.lines(&seal, "the seal");
                self.chunk.extend(findings.into_iter().map(|finding| (self.order, finding)));
                self.times.sealed(self.next, root);
            } else {
                self.found(seq, Why::Checkpoint, "the seal does not sign the events before it");
                self.roots_hold = false;
            }
        }
        let pending = self.keys.last().map(|(_, in_force)| PendingSeal {
            seal: seal.clone(),
            order: self.order,
            seq,
            in_force: *in_force,
            others: self.keys.iter().rev().skip(1).map(|(_, key)| *key).collect(),
        });
        if let (Some(pending), Some((trusted, _))) = (&pending, &self.known.key) {
            self.trusted_key_sealed |= pending.in_force == trusted.key;
        }
        if let Some((_, key)) = self.rotation.take() {
            self.keys.push((self.next + 1, key));
        }
        self.last_seal = Some(seal);
        pending
    }

    /// Sorts what was found in a chunk into the order in which it was read.
    pub(super) fn end_chunk(&mut self, signatures: Vec<(u64, Finding)>) {
        self.chunk.extend(signatures);
        self.chunk.sort_by_key(|(order, _)| *order);
        for (_, finding) in std::mem::take(&mut self.chunk) {
            self.keep(finding);
        }
    }

    pub(super) fn source_fault(&mut self, fault: &SourceError) {
        let why = match fault {
            SourceError::Container(_) | SourceError::Archive(_) | SourceError::Read(_) => Why::Container,
            SourceError::Store(_) => Why::Record,
        };
        self.keep(Finding::new(self.next, why, fault.to_string()));
    }

    pub(super) fn finish(mut self) -> Report {
        let end = self.last_seal.as_ref().map_or(0, |seal| seal.checkpoint().size.0);
        if self.next == 0 {
            self.keep(Finding::new(0, Why::Gap, "there is no event"));
        } else if end < self.next {
            self.keep(Finding::new(end, Why::Checkpoint, "no seal signs this event"));
        }
        self.check_trust();
        let not_compared = self.check_heads();
        if let Some(finding) = self.witnessed.missing() {
            self.keep(finding);
        }
        let verifier_key =
            |key: &PublicKey| VerifierKey { origin: self.origin.clone().unwrap_or_default(), key: *key }.to_string();
        let keys = self
            .keys
            .iter()
            .map(|(from_size, key)| KeyInForce { from_size: *from_size, verifier_key: verifier_key(key) });
        let heads = self.known.heads.iter().map(|head| head.checkpoint().size.0);
        let whole = self.findings_total == 0;
        Report {
            whole,
            events: self.events,
            seals: self.seals,
            size: self.sealed.map_or(0, |(size, _)| size),
            root: self.sealed.map(|(_, root)| Hash(root.0)),
            trust: self.known.key.as_ref().map_or(Trust::SelfNamed, |(_, trust)| *trust),
            keys: keys.collect(),
            checks: self.against.checks(),
            bodies: self.bodies,
            agent_signatures: self.agents.counts(),
            timestamps: self.times.found(),
            truncation_excluded_to: heads.filter(|size| !not_compared.contains(size)).max(),
            witnesses: self.witnessed.verdict(),
            witnessed_size: self.witnessed.size(),
            cosigned_by: self.witnessed.by(),
            diverged: self.against.diverged,
            first_broken: self.findings.first().cloned(),
            bundle: self.census.map(|census| census.finish(whole, not_compared)),
            last_seal: self.last_seal.map(|seal| seal.bytes().clone()),
            origin: self.origin,
            findings: self.findings,
            findings_total: self.findings_total,
        }
    }

    /// As [`finish`](Self::finish), of a bundle whose end says these counts.
    pub(super) fn finish_bundle(mut self, said: Option<&BTreeMap<u16, u64>>) -> Report {
        if let (Some(census), Some(said)) = (&self.census, said) {
            let manifest = census.manifest;
            let agrees = census.agrees_with(Some(said));
            if self.origin.as_ref() != Some(&manifest.origin) || self.next != manifest.size.0 {
                self.keep(Finding::new(
                    self.next,
                    Why::Container,
                    "its manifest is of another log, or another size of it",
                ));
            } else if !agrees {
                self.keep(Finding::new(
                    self.next,
                    Why::Container,
                    "it does not hold as many events of each kind as it says",
                ));
            }
        }
        self.finish()
    }

    fn check_trust(&mut self) {
        let Some((trusted, _)) = &self.known.key else { return };
        if self.events > 0 && (!self.trusted_key_sealed || self.origin.as_ref() != Some(&trusted.origin)) {
            self.keep(Finding::new(0, Why::Key, "the log is not sealed by the trusted key"));
        }
    }

    /// Compares the reader's heads; gives the sizes of those that a bundle has nothing to compare with.
    fn check_heads(&mut self) -> Vec<u64> {
        let mut not_compared = Vec::new();
        for (head, root) in self.known.heads.iter().zip(std::mem::take(&mut self.head_roots)) {
            let checkpoint = head.checkpoint();
            let (size, last) = (checkpoint.size.0, checkpoint.size.0.saturating_sub(1));
            let ours = self.origin.as_ref() == Some(&checkpoint.origin);
            if !ours || !self.keys.iter().any(|(_, key)| head.verify(key).is_ok()) {
                self.keep(Finding::new(last, Why::Head, "the head given is not signed by a key of this log"));
            } else if self.census.is_some() && root.is_none() {
                not_compared.push(size);
            } else if size > self.next {
                let detail = format!("the log ends here, and a head for {size} events was signed");
                self.keep(Finding::new(self.next, Why::Truncated, detail));
            } else if root.is_some_and(|root| root != checkpoint.root) {
                self.keep(Finding::new(last, Why::Diverged, "the log is not the one that the head given signs"));
            } else if root.is_some() {
                for finding in self.witnessed.lines(head, "the head given") {
                    self.keep(finding);
                }
            }
        }
        not_compared
    }

    const fn before_next(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    fn found(&mut self, seq: u64, why: Why, detail: impl Into<String>) {
        self.chunk.push((self.order, Finding::new(seq, why, detail)));
    }

    fn keep(&mut self, finding: Finding) {
        self.against.note(finding.reason);
        self.findings_total += 1;
        if self.findings.len() < Report::FINDINGS_MAX {
            self.findings.push(finding);
        }
    }
}
