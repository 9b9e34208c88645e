//! What a verifier reads: events and seals in the order of the log, from a store or an export.

use bytes::Bytes;

use super::agents::AgentFact;
use super::population::{Census, Role};
use super::timestamps::Stamped;
use crate::body::ledger::{Algorithm, FORMAT, Purpose};
use crate::body::witness::CheckpointCosigned;
use crate::body::{Body, BodyError, Kind};
use crate::bundle::Piece;
use crate::event::{HeaderError, Outline};
use crate::ids::{Seq, TreeSize};
use crate::keys::PublicKey;
use crate::link::{self, Hash};
use crate::store::{LogStore, Part, Parts, StoreError};
use crate::tree::seal::{Seal, SealError};
use crate::tree::{NodeHash, Subtree, leaf_hash};

/// One thing read: an event, or the seal of the commit that ended with the event before it.
#[derive(Debug, Clone)]
pub enum Item {
    /// An event.
    Event {
        /// Its header's bytes.
        header: Bytes,
        /// Its body's bytes; `None` when it is withheld.
        body: Option<Bytes>,
        /// The tree's nodes kept with it, where the source keeps them.
        nodes: Option<Vec<NodeHash>>,
    },
    /// A seal's bytes.
    Seal(Bytes),
}

/// Why reading ended before the log did.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file or disk could not be read.
    #[error("it cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// The export is not one, or is cut short.
    #[error("the export is damaged: {0}")]
    Container(&'static str),
    /// A segment of the archive is missing or damaged.
    #[error("{0}")]
    Archive(String),
    /// The store holds something that is no record.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads a store's events and seals in order.
pub struct StoreItems<'a> {
    parts: Parts<'a>,
    up_to: TreeSize,
    /// Events read so far, as their positions in the store say.
    read: TreeSize,
    over: bool,
}

impl<'a> StoreItems<'a> {
    /// Everything up to a size; `TreeSize(u64::MAX)` for all there is.
    #[must_use]
    pub fn new(log: &'a dyn LogStore, up_to: TreeSize) -> Self {
        Self { parts: log.parts(Seq(0)), up_to, read: TreeSize(0), over: false }
    }
}

impl Iterator for StoreItems<'_> {
    type Item = Result<Item, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let item = match self.parts.next()? {
            Ok(Part::Event(seq, record)) if seq < self.up_to.next() => {
                self.read = seq.tree_size();
                Ok(Item::Event { header: record.header, body: Some(record.body), nodes: Some(record.nodes) })
            }
            Ok(Part::Event(..)) => {
                self.over = true;
                return None;
            }
            Ok(Part::Seal(size, bytes)) => {
                // One beyond the last event says that events are missing; nothing of the log comes after it.
                self.over = size >= self.up_to || size > self.read;
                Ok(Item::Seal(bytes))
            }
            Err(error) => {
                self.over = true;
                Err(error.into())
            }
        };
        Some(item)
    }
}

/// An item with everything about it that needs no other.
pub(super) enum Prepared {
    Event(PreparedEvent),
    Seal(Result<Seal, SealError>),
    Skipped(Vec<Subtree>),
}

pub(super) struct PreparedEvent {
    pub outline: Result<Outline, HeaderError>,
    pub hash: Hash,
    pub leaf: NodeHash,
    pub nodes: Option<Vec<NodeHash>>,
    pub body: BodyState,
    pub fact: Option<Box<Fact>>,
    /// What it is to a bundle's choice.
    pub role: Option<Role>,
    pub agent: Option<Box<AgentFact>>,
    pub stamped: Option<Box<Stamped>>,
}

/// How a body stands to its header.
pub(super) enum BodyState {
    Intact,
    Withheld,
    Unknown,
    Damaged(Box<str>),
}

/// What an event says that bears on the verdict: of the ledger's keys, or of witnesses.
pub(super) enum Fact {
    Created {
        origin: String,
        key: PublicKey,
    },
    Added(PublicKey),
    Cosigned(CheckpointCosigned),
    /// It should say something of a key, and does not.
    Broken(&'static str),
}

impl Prepared {
    pub(super) fn of(piece: Piece, census: Option<&Census<'_>>) -> Self {
        match piece {
            Piece::Skipped(subtrees) => Self::Skipped(subtrees),
            Piece::Item(Item::Seal(bytes)) => Self::Seal(Seal::parse(&bytes)),
            Piece::Item(Item::Event { header, body, nodes }) => {
                let outline = Outline::parse(&header);
                let (state, fact, agent) = match &outline {
                    Ok(outline) => body_state(outline, body.as_deref()),
                    Err(_) => (BodyState::Intact, None, None),
                };
                let stamped = outline.as_ref().ok().and_then(|outline| Stamped::read(outline, body.as_deref()?));
                Self::Event(PreparedEvent {
                    outline,
                    hash: link::header_hash(&header),
                    leaf: leaf_hash(&header),
                    nodes,
                    body: state,
                    fact: fact.map(Box::new),
                    role: census.map(|census| census.role(&header, body.is_some())),
                    agent: agent.map(Box::new),
                    stamped: stamped.map(Box::new),
                })
            }
        }
    }
}

fn body_state(header: &Outline, body: Option<&[u8]>) -> (BodyState, Option<Fact>, Option<AgentFact>) {
    let about_keys = [Kind::LedgerCreated.code(), Kind::SigningKeyAdded.code()].contains(&header.kind);
    let broken = |why| about_keys.then_some(Fact::Broken(why));
    let unread = || AgentFact::unread(header.kind);
    let Some(body) = body else {
        let why = "its body is withheld, and the log's keys are not known without it";
        return (BodyState::Withheld, broken(why), unread());
    };
    if link::body_hash(body) != header.body_hash {
        return (BodyState::Damaged("the body does not have the hash in the header".into()), None, unread());
    }
    match Body::decode(header.kind, header.version, body) {
        Ok((_, body)) => (BodyState::Intact, fact(&body), AgentFact::of(body)),
        Err(BodyError::Unknown { .. }) => (BodyState::Unknown, broken("its version is not known"), unread()),
        Err(BodyError::Codec(error)) => {
            (BodyState::Damaged(format!("the body is not of its kind: {error}").into()), None, unread())
        }
    }
}

fn fact(body: &Body) -> Option<Fact> {
    match body {
        Body::LedgerCreated(created) if created.format != FORMAT => {
            Some(Fact::Broken("the log is of a format that is not known"))
        }
        Body::LedgerCreated(created) => match (created.algorithm, PublicKey::from_slice(&created.public)) {
            (Algorithm::Ed25519, Some(key)) => Some(Fact::Created { origin: created.origin.clone(), key }),
            _ => Some(Fact::Broken("its sealing key is no Ed25519 key")),
        },
        Body::SigningKeyAdded(added) if added.purpose == Purpose::Seal => {
            match (added.algorithm, PublicKey::from_slice(&added.public)) {
                (Algorithm::Ed25519, Some(key)) => Some(Fact::Added(key)),
                _ => Some(Fact::Broken("its sealing key is no Ed25519 key")),
            }
        }
        Body::CheckpointCosigned(cosigned) => Some(Fact::Cosigned(cosigned.clone())),
        _ => None,
    }
}
