//! The views: which there are, where they lie, and how far each has read.

use std::path::Path;
use std::time::Duration;

use chancery_ledger::event::Event;
use chancery_ledger::ids::TreeSize;
use tokio::sync::watch;

use crate::decision::State;
use crate::rows::overlay::Overlay;
use crate::rows::store::{ViewSnapshot, ViewStore};
use crate::rows::{RowsError, RowsMut};
use crate::worker::Hurry;
use crate::{execution, identity, journal, token, trust};

/// A view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum View {
    /// Who there is.
    Identity,
    /// What they may.
    Token,
    /// How far they are trusted.
    Trust,
    /// What they do.
    Execution,
    /// Where events stand in the log.
    Journal,
}

impl View {
    /// Every view.
    pub const ALL: [Self; 5] = [Self::Identity, Self::Token, Self::Trust, Self::Execution, Self::Journal];

    /// The view's name, in paths and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Token => "token",
            Self::Trust => "trust",
            Self::Execution => "execution",
            Self::Journal => "journal",
        }
    }

    /// The view of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|view| view.name() == name)
    }

    /// Brings the view's rows forward by one event.
    ///
    /// # Errors
    /// [`RowsError`] when the view's storage fails or the view is damaged.
    pub fn evolve(self, rows: &mut dyn RowsMut, event: &Event) -> Result<(), RowsError> {
        match self {
            Self::Identity => identity::evolve::evolve(rows, event),
            Self::Token => token::evolve::evolve(rows, event),
            Self::Trust => trust::evolve::evolve(rows, event),
            Self::Execution => execution::evolve::evolve(rows, event),
            Self::Journal => journal::evolve(rows, event),
        }
    }
}

/// One value for each view.
#[derive(Debug, Clone)]
pub struct PerView<T>([T; 5]);

impl<T> PerView<T> {
    /// Makes one for each.
    ///
    /// # Errors
    /// The first that `make` gives.
    pub fn try_make<E>(mut make: impl FnMut(View) -> Result<T, E>) -> Result<Self, E> {
        let [a, b, c, d, e] = View::ALL;
        Ok(Self([make(a)?, make(b)?, make(c)?, make(d)?, make(e)?]))
    }

    /// Makes another of each.
    ///
    /// # Errors
    /// The first that `make` gives.
    pub fn try_map<U, E>(self, mut make: impl FnMut(View, T) -> Result<U, E>) -> Result<PerView<U>, E> {
        let [a, b, c, d, e] = self.0;
        let [va, vb, vc, vd, ve] = View::ALL;
        Ok(PerView([make(va, a)?, make(vb, b)?, make(vc, c)?, make(vd, d)?, make(ve, e)?]))
    }

    /// Each view's.
    pub fn iter(&self) -> impl Iterator<Item = (View, &T)> {
        View::ALL.into_iter().zip(&self.0)
    }

    /// Each view's, to change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (View, &mut T)> {
        View::ALL.into_iter().zip(&mut self.0)
    }

    /// One view's.
    #[must_use]
    pub const fn get(&self, view: View) -> &T {
        &self.0[view as usize]
    }
}

impl<A, B> PerView<(A, B)> {
    /// The first of each, and the second of each.
    #[must_use]
    pub fn unzip(self) -> (PerView<A>, PerView<B>) {
        let [(a1, a2), (b1, b2), (c1, c2), (d1, d2), (e1, e2)] = self.0;
        (PerView([a1, b1, c1, d1, e1]), PerView([a2, b2, c2, d2, e2]))
    }
}

/// A view's storage and how far its worker has brought it.
#[derive(Clone)]
pub struct ViewHandle {
    /// The storage.
    pub store: ViewStore,
    /// The worker's announcements.
    pub progress: watch::Receiver<TreeSize>,
    /// Has the worker make haste.
    pub hurry: Hurry,
}

impl ViewHandle {
    /// Whether its worker still follows the log. One that does not has said why in the trace; a restart, at the worst
    /// a rebuild, mends it.
    #[must_use]
    pub fn is_following(&self) -> bool {
        self.progress.has_changed().is_ok()
    }
}

/// A view did not reach what its reader may already know.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the {} view is behind: it has read {reached} of {wanted} events; try again", view.name())]
pub struct Lagging {
    /// Which.
    pub view: View,
    /// How far it has read.
    pub reached: TreeSize,
    /// How far it should have.
    pub wanted: TreeSize,
}

/// All views, for readers.
#[derive(Clone)]
pub struct Views(PerView<ViewHandle>);

impl Views {
    /// The views with these storages and announcements.
    #[must_use]
    pub const fn new(handles: PerView<ViewHandle>) -> Self {
        Self(handles)
    }

    /// One view.
    #[must_use]
    pub const fn get(&self, view: View) -> &ViewHandle {
        self.0.get(view)
    }

    /// Each view.
    pub fn iter(&self) -> impl Iterator<Item = (View, &ViewHandle)> {
        self.0.iter()
    }

    /// The view, held still, as soon as it reflects a log of size `wanted`.
    ///
    /// # Errors
    /// [`Lagging`] when that takes longer than `patience`.
    pub async fn read(&self, view: View, wanted: TreeSize, patience: Duration) -> Result<ViewSnapshot, Lagging> {
        let handle = self.get(view);
        if handle.store.cursor() < wanted {
            handle.hurry.up();
            let mut progress = handle.progress.clone();
            let reached = tokio::time::timeout(patience, progress.wait_for(|cursor| *cursor >= wanted)).await;
            if !matches!(reached, Ok(Ok(_))) {
                return Err(Lagging { view, reached: handle.store.cursor(), wanted });
            }
        }
        Ok(handle.store.snapshot())
    }
}

/// Opens each view's storage below a directory.
///
/// # Errors
/// [`RowsError::Storage`] when one cannot be made.
pub fn open_stores(dir: &Path) -> Result<PerView<ViewStore>, RowsError> {
    PerView::try_make(|view| ViewStore::open(&dir.join(view.name())))
}

/// What deciders know, over each view's overlay.
#[must_use]
pub fn state(overlays: &PerView<Overlay>) -> State<'_> {
    State {
        identity: overlays.get(View::Identity),
        token: overlays.get(View::Token),
        trust: overlays.get(View::Trust),
        execution: overlays.get(View::Execution),
        journal: overlays.get(View::Journal),
    }
}
