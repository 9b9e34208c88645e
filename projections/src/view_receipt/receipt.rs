//! Receipts: made from a tree and a log, written as JSON, checked with nothing but a key.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use chancery_ledger::body::Body;
use chancery_ledger::body::view_roots::ViewRoot;
use chancery_ledger::event::{Event, ReadError};
use chancery_ledger::ids::{Seq, TenantId, TreeSize};
use chancery_ledger::link::{Hash, body_hash};
use chancery_ledger::store::{LogStore, Record, StoreError, StoreNodes};
use chancery_ledger::time::Micros;
use chancery_ledger::tree::NodeHash;
use chancery_ledger::tree::proof::{PROOF_HASHES_MAX, ProofError, inclusion, verify_inclusion};
use chancery_ledger::tree::seal::Seal;
use chancery_ledger::tree::tlog_proof::{TlogProof, TlogProofError};
use chancery_ledger::tree::verifier_key::VerifierKey;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::leaf::{Leaf, place_of, row_hash};
use super::roots::Trees;
use super::thing::{NoSuchThing, Thing, owner_in};
use super::tree::Found;
use crate::identity::state::ViewRoots;
use crate::rows::store::ViewSnapshot;
use crate::rows::table::Versioned;
use crate::rows::{FORMAT, Rows as _, RowsError};
use crate::views::View;

/// What a receipt says that it is.
pub const RECEIPT: &str = "chancery view receipt 1";
/// Longest receipt that is read, in bytes: room for a row and a seal at their largest, in base64, a body, and paths.
pub const RECEIPT_BYTES_MAX: usize = 1024 * 1024;

/// A view receipt. Base64 is that of RFC 4648 §4, with padding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// `chancery view receipt 1`.
    pub receipt: String,
    /// Whose thing it is, or would be.
    pub tenant: TenantId,
    /// The thing: its sort, a colon, and its id.
    pub thing: String,
    /// The thing's row, in base64; `null` when there was none.
    pub row: Option<String>,
    /// The row's leaf; or, when there was none, the leaves next to where it would be: none in an empty view, one at either
    /// end, else two.
    pub leaves: Vec<ProvenLeaf>,
    /// Body of the event that published the view's root, in base64.
    pub body: String,
    /// That event's `tlog-proof`, with its header.
    pub proof: String,
}

/// A leaf of the view's tree, and that it is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProvenLeaf {
    /// Its number, from 0.
    pub index: u64,
    /// Its place: 64 hexadecimal digits.
    pub place: Hash,
    /// The event that wrote its row.
    pub seq: Seq,
    /// Hash of its row: 64 hexadecimal digits.
    pub row: Hash,
    /// Its inclusion path, from the leaf upward: hashes in base64.
    pub path: Vec<String>,
}

impl ProvenLeaf {
    const fn leaf(&self) -> Leaf {
        Leaf { place: self.place, seq: self.seq, row: self.row }
    }
}

/// What a receipt proves.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Proven {
    /// Whose thing.
    pub tenant: TenantId,
    /// Which thing.
    pub thing: String,
    /// The view that says it.
    pub view: &'static str,
    /// How many events the view had read.
    pub size: TreeSize,
    /// The event that published the view's root.
    pub published: Seq,
    /// When it was published.
    pub at: Micros,
    /// How many events the checkpoint signs.
    pub checkpoint: TreeSize,
    /// The event that wrote the row, and what the row says; `None` when there was none.
    pub row: Option<(Seq, Value)>,
}

/// A receipt proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// It is none.
    #[error("not a view receipt: {0}")]
    Malformed(&'static str),
    /// It is about what has no receipts.
    #[error("its thing is {0}")]
    Thing(#[from] NoSuchThing),
    /// Its event is not in the log that the key seals.
    #[error("the event that published the root: {0}")]
    Proof(#[from] TlogProofError),
    /// Its event cannot be read.
    #[error("the event that published the root: {0}")]
    Event(#[from] ReadError),
    /// The body is another event's.
    #[error("the body is not that of the event")]
    Body,
    /// Its event published nothing of the sort.
    #[error("the event did not publish a root of the {} view that reflects only what was before it", .0.name())]
    NoRoot(View),
    /// Its rows are in another format.
    #[error("its rows are in format {found}, and this program reads format {FORMAT}")]
    Format {
        /// Theirs.
        found: u16,
    },
    /// A leaf is not in the tree.
    #[error("leaf {index} does not lead to the root that was published")]
    Leaf {
        /// Its number.
        index: u64,
    },
    /// The leaf is another row's.
    #[error("the leaf is not that of this row of this thing")]
    Row,
    /// The row is not what it should be.
    #[error("the row says something else: {0}")]
    Value(#[source] RowsError),
    /// The row is another tenant's.
    #[error("the row is another tenant's")]
    Owner,
    /// Between the leaves the row may be.
    #[error("the leaves do not stand next to each other on both sides of where the row would be")]
    Gap,
}

/// A receipt could not be made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// The view could not be read.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// The tree could not be read.
    #[error("the tree over the view cannot be read: {0}")]
    Tree(#[from] std::io::Error),
    /// The log could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no tree over the view as it was then. It is being made anew, or roots were published since.
    #[error("there is no tree over the view as it was at {size} events; try again")]
    NoTree {
        /// When.
        size: TreeSize,
    },
    /// View and tree do not say the same, or not what was published.
    #[error("the view, the tree over it and the root that was published do not fit together; rebuild the view")]
    Unlike,
}

/// Roots that were published, with what proves it.
struct Publication {
    body: Bytes,
    proof: String,
}

impl Publication {
    fn read(log: &dyn LogStore, seq: Seq) -> Result<Self, MakeError> {
        let Record { header, body, .. } = log.record(seq)?.ok_or(StoreError::Missing { seq })?;
        let (size, seal) = log.seal_of(seq)?.ok_or(StoreError::Missing { seq })?;
        let path = inclusion(seq, size, &StoreNodes(log)).map_err(|error| match error {
            ProofError::Nodes(error) => MakeError::Store(error),
            ProofError::Beyond { .. } => MakeError::Unlike,
        })?;
        let seal = Seal::parse(&seal).map_err(|_| MakeError::Unlike)?;
        Ok(Self { body, proof: TlogProof { extra: Some(header.to_vec()), index: seq, path, seal }.render() })
    }
}

impl Receipt {
    /// Makes the receipt of a tenant's thing under the roots that a row of [`VIEW_ROOTS`] says were published. `view` is
    /// the thing's view, at any later moment.
    ///
    /// [`VIEW_ROOTS`]: crate::identity::state::VIEW_ROOTS
    ///
    /// # Errors
    /// [`MakeError`].
    pub fn make(
        tenant: TenantId, thing: Thing, published: &Versioned<ViewRoots>, trees: &Trees, view: ViewSnapshot,
        log: &dyn LogStore,
    ) -> Result<Self, MakeError> {
        let Versioned { seq, value: ViewRoots { size, roots, .. } } = published;
        let of = thing.sort.view();
        let root = roots.iter().find(|root| root.view == of.name()).ok_or(MakeError::Unlike)?;
        let tree = trees.open(*size, of)?.ok_or(MakeError::NoTree { size: *size })?;
        let rows = view.at(size.last().ok_or(MakeError::Unlike)?);
        let Publication { body, proof } = Publication::read(log, *seq)?;
        let key = thing.key();
        let proven = |index: u64| {
            let Leaf { place, seq, row } = tree.leaf(index)?;
            let path = tree.path(index)?.iter().map(NodeHash::to_string).collect();
            Ok::<_, MakeError>(ProvenLeaf { index, place, seq, row, path })
        };
        let (row, leaves) = match tree.find(place_of(tenant, &key))? {
            Found::At(index) => {
                let value = rows.row(&key)?.and_then(|row| row.value).ok_or(MakeError::Unlike)?;
                (Some(BASE64_STANDARD.encode(value)), vec![proven(index)?])
            }
            Found::Before(index) => {
                let beside = [index.checked_sub(1), Some(index).filter(|index| *index < tree.rows())];
                (None, beside.into_iter().flatten().map(proven).collect::<Result<_, _>>()?)
            }
        };
        let (receipt, body) = (RECEIPT.to_owned(), BASE64_STANDARD.encode(&body));
        let made = Self { receipt, tenant, thing: thing.to_string(), row, leaves, body, proof };
        // What is given away is right, whatever the disk did to tree and view.
        made.row_under(root).map_err(|_| MakeError::Unlike)?;
        Ok(made)
    }

    /// Reads a receipt.
    ///
    /// # Errors
    /// [`ReceiptError::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ReceiptError> {
        use ReceiptError::Malformed;
        if bytes.len() > RECEIPT_BYTES_MAX {
            return Err(Malformed("it is too long"));
        }
        let read: Self =
            serde_json::from_slice(bytes).map_err(|_| Malformed("it is no JSON of a receipt's members"))?;
        if read.receipt == RECEIPT { Ok(read) } else { Err(Malformed("it is of another version")) }
    }

    /// Checks everything: row or gap, tree, event, checkpoint, signature.
    ///
    /// # Errors
    /// [`ReceiptError`] names the first check that failed.
    pub fn verify(&self, key: &VerifierKey) -> Result<Proven, ReceiptError> {
        let thing: Thing = self.thing.parse()?;
        let proof = TlogProof::parse(self.proof.as_bytes())?;
        let header = proof.extra.as_deref().ok_or(ReceiptError::Malformed("its proof lacks the event's header"))?;
        proof.verify(header, &key.key, &key.origin)?;
        let body = from_base64(&self.body)?;
        let (event, envelope) = Event::read(header, &body)?;
        if envelope.body_hash != body_hash(&body) || event.seq != proof.index {
            return Err(ReceiptError::Body);
        }
        let view = thing.sort.view();
        let Body::ViewRootsPublished(published) = event.body else { return Err(ReceiptError::NoRoot(view)) };
        let root = published.roots.iter().find(|root| root.view == view.name());
        let root = root.filter(|_| published.size <= event.seq.0).ok_or(ReceiptError::NoRoot(view))?;
        if published.format != u16::from(FORMAT) {
            return Err(ReceiptError::Format { found: published.format });
        }
        Ok(Proven {
            tenant: self.tenant,
            thing: self.thing.clone(),
            view: view.name(),
            size: TreeSize(published.size),
            published: event.seq,
            at: event.time,
            checkpoint: proof.seal.checkpoint().size,
            row: self.row_under(root)?,
        })
    }

    /// The row and the event that wrote it, or that there is none, under a root that is believed.
    fn row_under(&self, root: &ViewRoot) -> Result<Option<(Seq, Value)>, ReceiptError> {
        let thing: Thing = self.thing.parse()?;
        let place = place_of(self.tenant, &thing.key());
        if self.leaves.len() > 2 {
            return Err(ReceiptError::Malformed("it has more than two leaves"));
        }
        for leaf in &self.leaves {
            leaf_under(leaf, root)?;
        }
        let Some(row) = &self.row else {
            return if is_gap(place, &self.leaves, root.rows) { Ok(None) } else { Err(ReceiptError::Gap) };
        };
        let value = from_base64(row)?;
        let [leaf] = &*self.leaves else { return Err(ReceiptError::Row) };
        if leaf.place != place || leaf.row != row_hash(&value) {
            return Err(ReceiptError::Row);
        }
        if owner_in(thing.sort, &value) != Some(self.tenant) {
            return Err(ReceiptError::Owner);
        }
        Ok(Some((leaf.seq, thing.sort.show(&value).map_err(ReceiptError::Value)?)))
    }
}

/// Checks that a leaf is in the tree.
fn leaf_under(leaf: &ProvenLeaf, root: &ViewRoot) -> Result<(), ReceiptError> {
    if leaf.path.len() > PROOF_HASHES_MAX {
        return Err(ReceiptError::Malformed("a path is longer than any tree is high"));
    }
    let path = leaf.path.iter().map(|hash| NodeHash::parse(hash)).collect::<Option<Vec<_>>>();
    let path = path.ok_or(ReceiptError::Malformed("a path holds what is no hash in base64"))?;
    let (index, size) = (Seq(leaf.index), TreeSize(root.rows));
    if verify_inclusion(leaf.leaf().hash(), index, size, &path, NodeHash(root.root)) {
        Ok(())
    } else {
        Err(ReceiptError::Leaf { index: leaf.index })
    }
}

/// Whether leaves of a tree show that it has none of a place: they are next to each other, or at its ends, and the place
/// is between them.
fn is_gap(place: Hash, leaves: &[ProvenLeaf], rows: u64) -> bool {
    match leaves {
        [] => rows == 0,
        [only] => {
            let is_first = only.index == 0 && place < only.place;
            let is_last = only.index.checked_add(1) == Some(rows) && only.place < place;
            is_first || is_last
        }
        [left, right] => left.index.checked_add(1) == Some(right.index) && left.place < place && place < right.place,
        _ => false,
    }
}

fn from_base64(text: &str) -> Result<Vec<u8>, ReceiptError> {
    BASE64_STANDARD.decode(text).map_err(|_| ReceiptError::Malformed("it holds what is not base64"))
}
