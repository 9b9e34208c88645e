//! Writing a bundle.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::{KINDS, MAGIC, MANIFEST, Manifest, Others, SKIPPED};
use crate::body::ledger::Purpose;
use crate::body::{Body, Kind};
use crate::event::{Envelope, HeaderError};
use crate::export::{Bodies, END, SEAL, needed_by_verifiers, write_event, write_frame};
use crate::ids::{Seq, TreeSize};
use crate::store::{LogStore, Record, StoreError, StoreNodes};
use crate::tree::{Cover, Nodes as _, Subtree, complete_subtrees, leaf_hash};
use crate::verify::{Item, SourceError};

/// A bundle could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The log could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bundle could not be written.
    #[error("the bundle could not be written: {0}")]
    Write(#[from] io::Error),
    /// The log holds what no bundle can.
    #[error("the log is damaged: {0}; run `chancery verify` on it")]
    Damaged(String),
    /// A header of the log is none.
    #[error("the header of event {seq} is malformed: {source}; run `chancery verify` on the log")]
    Header {
        /// Which event.
        seq: Seq,
        /// What is wrong with it.
        source: HeaderError,
    },
    /// A body that was asked for is not in what is read.
    #[error("the body of event {seq} is withheld from this export: ask for a bundle without bodies")]
    Withheld {
        /// Which event.
        seq: Seq,
    },
    /// No commit ended at the size the bundle was to prove everything at, or the log is shorter.
    #[error("no checkpoint signs {size} events")]
    Unsealed {
        /// The size.
        size: TreeSize,
    },
}

/// What a bundle holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BundleCounts {
    /// Events shown, chosen or not.
    pub events: u64,
    /// Seals.
    pub seals: u64,
    /// Subtrees that stand for events that are not shown.
    pub subtrees: u64,
    /// Events that were chosen.
    pub chosen: u64,
}

impl BundleCounts {
    /// The payload of the end frame.
    pub(super) fn render(self) -> [u8; 24] {
        let mut payload = [0; 24];
        for (place, count) in payload.chunks_exact_mut(8).zip([self.events, self.seals, self.subtrees]) {
            place.copy_from_slice(&count.to_be_bytes());
        }
        payload
    }
}

/// Makes a bundle of a log that is given in order.
pub struct Bundling<'a, W: Write> {
    out: GzEncoder<W>,
    manifest: &'a Manifest,
    /// Sizes at which a checkpoint is put in, with the note to put there if it is not the log's own.
    checkpoints: BTreeMap<TreeSize, Option<Bytes>>,
    cover: Cover,
    /// The position that comes next.
    next: Seq,
    /// Whether the commit that is being given added a sealing key.
    key_added: bool,
    kinds: BTreeMap<u16, u64>,
    counts: BundleCounts,
}

impl<'a, W: Write> Bundling<'a, W> {
    /// Begins a bundle. Its checkpoints are those that end a commit which adds a sealing key, that of the manifest's size, and
    /// those of the sizes given: each as the log has it, or as the note that is given, which may carry cosignatures.
    ///
    /// # Errors
    /// The writer's.
    pub fn new(
        out: W, manifest: &'a Manifest, checkpoints: impl IntoIterator<Item = (TreeSize, Option<Bytes>)>,
    ) -> io::Result<Self> {
        let mut out = GzEncoder::new(out, Compression::fast());
        out.write_all(MAGIC)?;
        write_frame(&mut out, MANIFEST, &serde_json::to_vec(manifest)?)?;
        let mut checkpoints: BTreeMap<_, _> = checkpoints.into_iter().collect();
        checkpoints.entry(manifest.size).or_insert(None);
        Ok(Self {
            out,
            manifest,
            checkpoints,
            cover: Cover::starting_at(0),
            next: Seq(0),
            key_added: false,
            kinds: BTreeMap::new(),
            counts: BundleCounts::default(),
        })
    }

    /// Takes the log's next event.
    ///
    /// # Errors
    /// [`BundleError`]; what was written by then is no bundle.
    pub fn event(&mut self, header: &[u8], body: Option<&[u8]>) -> Result<(), BundleError> {
        let seq = self.next;
        self.next = seq.tree_size().next();
        let event = Envelope::parse(header).map_err(|source| BundleError::Header { seq, source })?;
        let chosen = self.manifest.choice.takes(&event);
        let of_keys = of_key_history(&event, body);
        self.key_added = of_keys && event.kind == Kind::SigningKeyAdded.code();
        let beside = of_keys || self.manifest.is_bound(seq) || self.manifest.recorded == Some(seq);
        let as_other = self.manifest.others == Others::Headers && self.manifest.choice.covers(seq);
        if !chosen && !beside && !as_other {
            self.cover.push(leaf_hash(header));
            return Ok(());
        }
        self.show_skipped()?;
        self.cover.pass();
        let wanted = needed_by_verifiers(event.kind)
            || (chosen && self.manifest.bodies == Bodies::Included)
            || self.manifest.recorded == Some(seq);
        let body = if wanted { Some(body.ok_or(BundleError::Withheld { seq })?) } else { None };
        write_event(&mut self.out, header, body)?;
        self.counts.events += 1;
        if chosen {
            self.counts.chosen += 1;
            *self.kinds.entry(event.kind).or_default() += 1;
        }
        Ok(())
    }

    /// Takes the seal of the commit whose last event was given just before.
    ///
    /// # Errors
    /// [`BundleError`]; what was written by then is no bundle.
    pub fn seal(&mut self, seal: &[u8]) -> Result<(), BundleError> {
        let size = TreeSize(self.next.0);
        let asked = self.checkpoints.remove(&size);
        if asked.is_none() && !self.key_added {
            return Ok(());
        }
        self.key_added = false;
        self.show_skipped()?;
        let note = asked.flatten();
        write_frame(&mut self.out, SEAL, note.as_deref().unwrap_or(seal))?;
        self.counts.seals += 1;
        Ok(())
    }

    /// Goes by all events before a position, whose subtrees are read from where they are kept. Checkpoints on the way are put in.
    fn pass_to(&mut self, log: &dyn LogStore, to: Seq) -> Result<(), BundleError> {
        while self.next < to {
            let on_the_way = |size: &&TreeSize| (self.next.0 + 1..=to.0).contains(&size.0);
            let end = self.checkpoints.keys().find(on_the_way).map_or(to, |size| size.next());
            for (level, index) in complete_subtrees(self.next.0, end.0) {
                self.cover.push_subtree(Subtree { level, root: StoreNodes(log).node(level, index)? });
            }
            self.next = end;
            self.seal_here(log)?;
        }
        Ok(())
    }

    /// Takes the log's seal of all events up to here, if one is wanted here.
    fn seal_here(&mut self, log: &dyn LogStore) -> Result<(), BundleError> {
        let size = TreeSize(self.next.0);
        let wanted = self.key_added || self.checkpoints.contains_key(&size);
        let Some(last) = size.last().filter(|_| wanted) else { return Ok(()) };
        match log.seal_of(last)? {
            Some((sealed, seal)) if sealed == size => self.seal(&seal),
            // A checkpoint that is missing in the end is an error then.
            _ => Ok(()),
        }
    }

    fn show_skipped(&mut self) -> io::Result<()> {
        let subtrees = self.cover.take();
        if subtrees.is_empty() {
            return Ok(());
        }
        let mut payload = Vec::with_capacity(subtrees.len() * super::SUBTREE_BYTES);
        for Subtree { level, root } in &subtrees {
            payload.push(*level);
            payload.extend_from_slice(&root.0);
        }
        self.counts.subtrees += subtrees.len() as u64;
        write_frame(&mut self.out, SKIPPED, &payload)
    }

    /// Ends the bundle, and gives what it holds.
    ///
    /// # Errors
    /// [`BundleError::Unsealed`] when a checkpoint that it should have was not given; else the writer's.
    pub fn finish(mut self) -> Result<(W, BundleCounts), BundleError> {
        if let Some((size, _)) = self.checkpoints.pop_first() {
            return Err(BundleError::Unsealed { size });
        }
        let mut payload = Vec::with_capacity(10 * self.kinds.len());
        for (kind, count) in &self.kinds {
            payload.extend_from_slice(&kind.to_be_bytes());
            payload.extend_from_slice(&count.to_be_bytes());
        }
        write_frame(&mut self.out, KINDS, &payload)?;
        write_frame(&mut self.out, END, &self.counts.render())?;
        let mut out = self.out.finish()?;
        out.flush()?;
        Ok((out, self.counts))
    }
}

/// Makes a bundle of a log's items, in order, up to the manifest's size. Memory stays constant. `progress` is told how many
/// events have been read.
///
/// # Errors
/// [`BundleError`]; what was written by then is no bundle.
pub fn bundle_items<W: Write>(
    items: impl IntoIterator<Item = Result<Item, SourceError>>, mut bundling: Bundling<'_, W>,
    mut progress: impl FnMut(u64),
) -> Result<(W, BundleCounts), BundleError> {
    for item in items {
        match item {
            Ok(Item::Event { header, body, .. }) => {
                bundling.event(&header, body.as_deref())?;
                progress(bundling.next.0);
            }
            Ok(Item::Seal(seal)) => {
                bundling.seal(&seal)?;
                if bundling.next.0 >= bundling.manifest.size.0 {
                    break;
                }
            }
            Err(SourceError::Store(error)) => return Err(error.into()),
            Err(other) => return Err(BundleError::Damaged(other.to_string())),
        }
    }
    bundling.finish()
}

/// Makes a bundle of a log that keeps its tree, up to the manifest's size. Only what may be shown is read; for all else the
/// tree's nodes stand. `of_keys` are the positions of all events of kinds 1 to 4 that are the ledger's own. Memory stays constant.
/// `progress` is told how far it has come.
///
/// # Errors
/// [`BundleError`]; what was written by then is no bundle.
pub fn bundle_log<W: Write>(
    log: &dyn LogStore, of_keys: &[Seq], mut bundling: Bundling<'_, W>, mut progress: impl FnMut(u64),
) -> Result<(W, BundleCounts), BundleError> {
    let Manifest { size, recorded, ref choice, .. } = *bundling.manifest;
    // What bounds a period stands right before and right after it.
    let range = choice.first.0.saturating_sub(1)..choice.end.0.saturating_add(1).min(size.0);
    let alone = of_keys.iter().copied().chain(recorded);
    let alone: BTreeSet<Seq> = alone.filter(|seq| seq.0 < size.0 && !range.contains(&seq.0)).collect();
    let (before, after): (Vec<Seq>, Vec<Seq>) = alone.into_iter().partition(|seq| seq.0 < range.start);
    let record =
        |seq| -> Result<(Seq, Record), StoreError> { Ok((seq, log.record(seq)?.ok_or(StoreError::Missing { seq })?)) };
    let in_range = log.records(Seq(range.start)).zip(range).map(|(read, _)| read);
    for read in before.into_iter().map(record).chain(in_range).chain(after.into_iter().map(record)) {
        let (seq, record) = read?;
        bundling.pass_to(log, seq)?;
        bundling.event(&record.header, Some(&record.body))?;
        bundling.seal_here(log)?;
        progress(seq.0);
    }
    bundling.pass_to(log, size.next())?;
    bundling.finish()
}

/// Whether an event is of the log's own history: its beginning, its sealing keys, a tail given up. Every bundle has those.
fn of_key_history(event: &Envelope, body: Option<&[u8]>) -> bool {
    match Kind::from_code(event.kind) {
        Some(Kind::LedgerCreated | Kind::TailLost) => true,
        Some(Kind::SigningKeyAdded | Kind::SigningKeyRetired) => {
            match Body::decode(event.kind, event.version, body.unwrap_or_default()) {
                Ok((_, Body::SigningKeyAdded(key))) => key.purpose == Purpose::Seal,
                Ok((_, Body::SigningKeyRetired(key))) => key.purpose == Purpose::Seal,
                _ => true,
            }
        }
        _ => false,
    }
}
