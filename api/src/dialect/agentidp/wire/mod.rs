//! The vendor's JSON: shapes, and how native things become them. One file per resource.

pub mod agents;
pub mod analytics;
pub mod audit;
pub mod compliance;
pub mod credentials;
pub mod delegation;
pub mod did;
pub mod federation;
pub mod oidc;
pub mod organisations;
pub mod tiers;
pub mod token;
pub mod webhooks;

use chancery_ledger::time::Micros;
use chancery_projections::view::{NumberedPage, PageNumber};
use serde::{Serialize, Serializer};

/// A page of a list (contract section 4).
#[derive(Debug, Serialize)]
pub struct Page<T> {
    /// The rows of this page.
    pub data: Vec<T>,
    /// How many rows there are over all pages.
    pub total: u64,
    /// Which page it is, from 1.
    pub page: u64,
    /// Most rows of a page.
    pub limit: usize,
}

impl<T> Page<T> {
    /// A page as views give it.
    pub fn of<V>(asked: PageNumber, found: NumberedPage<V>, render: impl FnMut(V) -> T) -> Self {
        let NumberedPage { items, total } = found;
        Self { data: items.into_iter().map(render).collect(), total, page: asked.number, limit: asked.size }
    }
}

/// A time: ISO 8601, UTC, with milliseconds and `Z` (contract section 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time(pub Micros);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The text has six digits of a second's fraction, and then `Z`.
        let text = self.0.to_string();
        serializer.collect_str(&format_args!("{}Z", &text[..text.len() - "000Z".len()]))
    }
}
