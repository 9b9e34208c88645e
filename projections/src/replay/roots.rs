//! Published roots, held against those of the replayed views.

use std::ops::ControlFlow;
use std::path::Path;

use chancery_ledger::body::view_roots::{ViewRoot, ViewRootsPublished};
use chancery_ledger::body::{Body, Kind};
use chancery_ledger::event::Event;
use chancery_ledger::ids::{Seq, TenantId, TreeSize};
use chancery_ledger::store::StoreError;
use serde::Serialize;

use super::{PAGE, Replay, ReplayError};
use crate::journal::{self, Filter};
use crate::rows::{FORMAT, Order};
use crate::view_receipt::roots::{RootsError, root_of};
use crate::views::View;
use crate::worker::WorkerError;

/// Roots that were published, and what became of comparing them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComparedRoots {
    /// The event that published them.
    pub event: Seq,
    /// How many events they reflect.
    pub size: TreeSize,
    /// Whether every root is that of the replayed view; `null` when its rows are in another format than this program's.
    pub equal: Option<bool>,
    /// The published roots that the replayed views do not have, with those that they have.
    pub differing: Vec<DifferingRoot>,
}

/// A published root that a replayed view does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DifferingRoot {
    /// What was published.
    pub published: ViewRoot,
    /// What the replayed view has; `null` when there is no such view.
    pub replayed: Option<ViewRoot>,
}

impl Replay {
    /// Calls `visit` with each publication of roots from an event on, in order, compared with the replayed views as of the
    /// same event. Each takes a walk over those views. `scratch` is a directory in which a file may be made. Ends early when
    /// `visit` says so.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub fn compare_roots(
        &self, from: Seq, scratch: &Path, mut visit: impl FnMut(ComparedRoots) -> ControlFlow<()>,
    ) -> Result<(), ReplayError> {
        let journal = self.stores.get(View::Journal).snapshot();
        let of_kind = Filter::Kind(TenantId::LEDGER, Kind::ViewRootsPublished.code());
        let mut next = from;
        loop {
            let page = journal::positions(&journal, of_kind, Some(next), Order::Ascending, PAGE)?;
            for seq in &page {
                let compared = self.compared(*seq, self.published_by(*seq)?, scratch)?;
                if visit(compared).is_break() {
                    return Ok(());
                }
            }
            match page.last() {
                Some(last) if page.len() == PAGE => next = last.next(),
                _ => return Ok(()),
            }
        }
    }

    fn published_by(&self, seq: Seq) -> Result<ViewRootsPublished, ReplayError> {
        let record = self.log.record(seq)?.ok_or(StoreError::Missing { seq })?;
        let read = Event::read(&record.header, &record.body);
        match read.map_err(|source| WorkerError::Unreadable { seq, source })?.0.body {
            Body::ViewRootsPublished(published) => Ok(published),
            _ => Err(StoreError::Missing { seq }.into()),
        }
    }

    fn compared(
        &self, event: Seq, published: ViewRootsPublished, scratch: &Path,
    ) -> Result<ComparedRoots, ReplayError> {
        let size = TreeSize(published.size);
        let mut differing = Vec::new();
        if published.format != u16::from(FORMAT) {
            return Ok(ComparedRoots { event, size, equal: None, differing });
        }
        for published in published.roots {
            let replayed = match View::from_name(&published.view) {
                Some(view) => Some(self.root(view, size, scratch)?),
                None => None,
            };
            if replayed.as_ref() != Some(&published) {
                differing.push(DifferingRoot { published, replayed });
            }
        }
        Ok(ComparedRoots { event, size, equal: Some(differing.is_empty()), differing })
    }

    fn root(&self, view: View, size: TreeSize, scratch: &Path) -> Result<ViewRoot, ReplayError> {
        let snapshot = self.stores.get(view).snapshot();
        root_of(view, snapshot, size, scratch, &mut || ControlFlow::Continue(())).map_err(|error| match error {
            RootsError::Rows(error) => error.into(),
            error => ReplayError::Roots(error),
        })
    }
}
