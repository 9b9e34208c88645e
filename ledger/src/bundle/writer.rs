//! Writing a bundle.

use std::collections::BTreeMap;
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
use crate::store::StoreError;
use crate::tree::{Cover, Subtree, leaf_hash};
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
