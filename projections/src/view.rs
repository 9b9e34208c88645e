//! What readers of every domain share: the rows they read, the errors they can get, and how lists are paged.
//!
//! A reading is of one moment: now, or as of a past event, whose time is then the `now` from which whatever depends on
//! the time is computed. Encrypted fields are opened as they are rendered; what was erased reads `null`.

use std::time::Duration;

use chancery_ledger::ids::{Seq, TreeSize};
use chancery_ledger::time::Micros;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::b64u;
use crate::context::{ContextError, Opener};
use crate::rows::store::ViewSnapshot;
use crate::rows::subset::{Span, Subset};
use crate::rows::table::Key;
use crate::rows::{Order, Rows, RowsError, Scan};
use crate::views::{Lagging, View, Views};

/// Most items of one page.
pub const LIMIT_MAX: usize = 1000;
/// Items of a page when nobody says how many.
pub const LIMIT_DEFAULT: usize = 100;
/// Most members that one request looks at to fill a page, which takes a fraction of a second; a page that stops here says
/// where to go on.
const LOOKED_AT_MAX: u64 = 2_000;

/// The rows of one moment, and what rendering them needs.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    /// Who there is.
    pub identity: &'a dyn Scan,
    /// What they may.
    pub token: &'a dyn Scan,
    /// How far they are trusted.
    pub trust: &'a dyn Scan,
    /// What they do.
    pub execution: &'a dyn Scan,
    /// Opens encrypted fields.
    pub opener: Opener<'a>,
    /// The moment's time.
    pub now: Micros,
}

/// The domains' views, held still at one and the same event.
pub struct Held {
    identity: ViewSnapshot,
    token: ViewSnapshot,
    trust: ViewSnapshot,
    execution: ViewSnapshot,
    size: TreeSize,
    reached: TreeSize,
}

impl Held {
    /// Waits until every domain's view reflects a log of size `wanted`, and holds them still: as they are, or as of an
    /// event below that size.
    ///
    /// # Errors
    /// [`HoldError`] when that takes longer than `patience`, or a view's storage fails.
    pub async fn wait(
        views: &Views, wanted: TreeSize, as_of: Option<Seq>, patience: Duration,
    ) -> Result<Self, HoldError> {
        let identity = views.read(View::Identity, wanted, patience).await?;
        let token = views.read(View::Token, wanted, patience).await?;
        let trust = views.read(View::Trust, wanted, patience).await?;
        let execution = views.read(View::Execution, wanted, patience).await?;
        Ok(Self::new(identity, token, trust, execution, as_of)?)
    }

    /// Holds snapshots still where the slowest of them is, or as of an event. The caller has waited until all of them
    /// reflect what it wants to read.
    ///
    /// # Errors
    /// [`RowsError::Storage`] when a view's storage fails.
    pub fn new(
        identity: ViewSnapshot, token: ViewSnapshot, trust: ViewSnapshot, execution: ViewSnapshot, as_of: Option<Seq>,
    ) -> Result<Self, RowsError> {
        let reached = identity.cursor()?.min(token.cursor()?).min(trust.cursor()?).min(execution.cursor()?);
        let size = as_of.map_or(reached, |seq| seq.tree_size().min(reached));
        let at = |snapshot: ViewSnapshot| match size.last() {
            Some(seq) => snapshot.at(seq),
            None => snapshot,
        };
        let (identity, token) = (at(identity), at(token));
        Ok(Self { identity, token, trust: at(trust), execution: at(execution), size, reached })
    }

    /// The same views as of another event, at the latest the newest that they had when they were held.
    #[must_use]
    pub fn at(self, seq: Seq) -> Self {
        let seq = self.reached.last().map_or(seq, |last| seq.min(last));
        let (identity, token) = (self.identity.at(seq), self.token.at(seq));
        let (trust, execution) = (self.trust.at(seq), self.execution.at(seq));
        Self { identity, token, trust, execution, size: seq.tree_size(), reached: self.reached }
    }

    /// How many events the reading reflects.
    #[must_use]
    pub const fn size(&self) -> TreeSize {
        self.size
    }

    /// The reading. `now` is the clock's time, or that of the event which was asked for.
    #[must_use]
    pub fn reading<'a>(&'a self, opener: Opener<'a>, now: Micros) -> Reading<'a> {
        let Self { identity, token, trust, execution, .. } = self;
        Reading { identity, token, trust, execution, opener, now }
    }
}

/// Views could not be held still: the caller may try again.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// A view is behind.
    #[error(transparent)]
    Lagging(#[from] Lagging),
    /// A view's storage failed.
    #[error(transparent)]
    Rows(#[from] RowsError),
}

/// A read failed.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// The view could not be read: the caller may try again.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// Keys could not be read: the caller may try again.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// The caller sent a cursor that no page gave.
    #[error("the cursor is not one that a page of this list in this order gave")]
    Cursor,
}

/// Part of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Page<T> {
    /// The items. There can be fewer than asked for, even none, though there is more.
    pub items: Vec<T>,
    /// Where the next page begins; `null` when there is none.
    pub next: Option<String>,
}

/// A page by number, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct NumberedPage<T> {
    /// The items.
    pub items: Vec<T>,
    /// How many the whole list has.
    pub total: u64,
}

/// Which page by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageNumber {
    /// From 1.
    pub number: u64,
    /// Items on each page.
    pub size: usize,
}

impl PageNumber {
    pub(crate) fn skip(self) -> u64 {
        self.number.saturating_sub(1).saturating_mul(self.size as u64)
    }

    pub(crate) fn span(self) -> Span {
        Span { order: Order::Descending, after: None, skip: self.skip(), limit: self.size }
    }
}

/// Which part of a list, in which order. Lists are ordered by when their members came.
#[derive(Debug, Clone, Copy)]
pub struct Paging {
    order: Order,
    after: Option<u64>,
    limit: usize,
}

impl Paging {
    /// A page after a cursor that an earlier page gave. The limit is held to 1 … [`LIMIT_MAX`].
    ///
    /// # Errors
    /// [`ViewError::Cursor`] when no page in this order gave the cursor.
    pub fn new(order: Order, cursor: Option<&str>, limit: Option<usize>) -> Result<Self, ViewError> {
        let after = match cursor {
            Some(text) => Some(parse_cursor(order, text).ok_or(ViewError::Cursor)?),
            None => None,
        };
        Ok(Self { order, after, limit: limit.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX) })
    }

    /// The first page, newest first.
    #[must_use]
    pub const fn newest(limit: usize) -> Self {
        Self { order: Order::Descending, after: None, limit }
    }

    /// Whether the oldest come first.
    #[must_use]
    pub fn is_ascending(&self) -> bool {
        self.order == Order::Ascending
    }

    /// Goes through a list whose ordinals are `1..=length`, and takes what `pick` gives.
    pub(crate) fn over<T, E>(
        &self, length: u64, mut pick: impl FnMut(u64) -> Result<Option<T>, E>,
    ) -> Result<Page<T>, E> {
        let mut items = Vec::new();
        let left = match (self.order, self.after) {
            (Order::Ascending, after) => length.saturating_sub(after.unwrap_or(0)),
            (Order::Descending, None) => length,
            (Order::Descending, Some(after)) => length.min(after.saturating_sub(1)),
        };
        for step in 0..left {
            let ordinal = match self.order {
                Order::Ascending => length - left + 1 + step,
                Order::Descending => left - step,
            };
            items.extend(pick(ordinal)?);
            if step + 1 < left && (items.len() == self.limit || step + 1 == LOOKED_AT_MAX) {
                return Ok(Page { items, next: Some(render_cursor(self.order, ordinal)) });
            }
        }
        Ok(Page { items, next: None })
    }

    /// Goes through the members of a subset of such a list, and takes what `pick` gives.
    pub(crate) fn within<T>(
        &self, subset: &Subset, rows: &dyn Rows, prefix: impl Key + Copy, length: u64,
        mut pick: impl FnMut(u64) -> Result<Option<T>, ViewError>,
    ) -> Result<Page<T>, ViewError> {
        let mut items = Vec::new();
        let (mut after, mut looked_at) = (self.after, 0);
        loop {
            // One more than fits tells whether there is a next page.
            let limit = self.limit - items.len() + 1;
            let ordinals = subset.page(rows, prefix, length, Span { order: self.order, after, skip: 0, limit })?;
            let more = ordinals.len() == limit;
            for ordinal in ordinals.into_iter().take(limit - 1) {
                items.extend(pick(ordinal)?);
                (after, looked_at) = (Some(ordinal), looked_at + 1);
            }
            if !more {
                return Ok(Page { items, next: None });
            }
            if items.len() == self.limit || looked_at >= LOOKED_AT_MAX {
                return Ok(Page { items, next: after.map(|ordinal| render_cursor(self.order, ordinal)) });
            }
        }
    }
}

fn render_cursor(order: Order, ordinal: u64) -> String {
    let mut bytes = [0; 9];
    bytes[0] = order_byte(order);
    bytes[1..].copy_from_slice(&ordinal.to_be_bytes());
    b64u::render(&bytes)
}

fn parse_cursor(order: Order, text: &str) -> Option<u64> {
    let [first, ordinal @ ..] = b64u::parse::<9>(text)?;
    (first == order_byte(order)).then(|| u64::from_be_bytes(ordinal))
}

const fn order_byte(order: Order) -> u8 {
    match order {
        Order::Ascending => b'a',
        Order::Descending => b'd',
    }
}

/// Bytes that JSON shows as hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Hex(
    /// The bytes.
    #[serde(with = "chancery_ledger::body::field::hex_bytes")]
    #[schemars(with = "String")]
    pub Vec<u8>,
);
