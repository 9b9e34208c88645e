//! Roots of views: what the rows of each come to, published at a place of the log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::field::hex_bytes;
use super::{Facts, Subjects};
use crate::ids::LedgerId;

/// What the views said when they had read so many events, each in one hash. Whoever has a view's root can be shown what
/// is in the view and what is not (`docs/format.md`, "View receipts").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewRootsPublished {
    /// The ledger.
    pub ledger: LedgerId,
    /// How many events the roots reflect: those before this number, and no others.
    pub size: u64,
    /// In which format the rows are. Roots of another format cannot be compared.
    pub format: u16,
    /// A root for each view that has one.
    pub roots: Vec<ViewRoot>,
}

/// The root of a view's rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ViewRoot {
    /// The view's name.
    pub view: String,
    /// How many rows.
    pub rows: u64,
    /// The root of the Merkle tree over them (RFC 6962 §2.1).
    #[serde(with = "hex_bytes")]
    #[schemars(with = "String")]
    pub root: [u8; 32],
}

impl Facts for ViewRootsPublished {
    fn subjects(&self, into: &mut Subjects) {
        into.add(self.ledger);
    }
}
