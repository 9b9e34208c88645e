//! Publishing what the views say: the process manager of view roots.
//!
//! Now and then, and when it is asked to, it holds the views still, computes the root over the rows of each
//! (`projections::view_receipt`) and has it recorded, so that receipts can be made under it. The trees are on disk before
//! the event is, and are made anew when they are lost: what they are computed from stays in the views. Whatever the views
//! do meanwhile, they are as they were; and the work takes at most half of one processor, so that it slows nothing down.
//!
//! Where nothing happened since, or only attestations did, nothing is published.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chancery_ledger::actor::Actor;
use chancery_ledger::body::Kind;
use chancery_ledger::body::view_roots::ViewRoot;
use chancery_ledger::event::Outline;
use chancery_ledger::ids::{Seq, TreeSize};
use chancery_ledger::store::{LogStore, StoreError};
use chancery_projections::command::PublishViewRoots;
use chancery_projections::context::Caller;
use chancery_projections::identity::state::{LEDGER, VIEW_ROOTS, ViewRoots};
use chancery_projections::rows::table::Versioned;
use chancery_projections::rows::{FORMAT, RowsError};
use chancery_projections::sequencer::Request;
use chancery_projections::view_receipt::roots::{ROOTED, RootsError, Trees};
use chancery_projections::views::View;
use tokio::sync::{Mutex, watch};

use crate::app::App;
use crate::limits::VIEW_PATIENCE_SECS;
use crate::native::admin::blocking;
use crate::problem::{Problem, Unreadable};

/// Publishes, one at a time.
pub struct Publisher {
    trees: Trees,
    turn: Mutex<()>,
}

/// Roots that were published, and the event that did.
pub type Published = Versioned<ViewRoots>;

impl Publisher {
    /// One that keeps its trees there.
    #[must_use]
    pub fn new(trees: Trees) -> Self {
        Self { trees, turn: Mutex::default() }
    }

    /// The trees that receipts are made of.
    #[must_use]
    pub const fn trees(&self) -> &Trees {
        &self.trees
    }
}

/// Sees that there are trees of what was published last, then publishes as often as is configured, until the daemon stops.
pub async fn run(app: Arc<App>) {
    let mut stopping = app.stopping();
    if let Err(error) = restore(&app).await {
        tracing::error!(%error, "the trees over the views as last published could not be made anew; receipts wait for the next");
    }
    let every = Duration::from_secs(app.config().view_roots_secs);
    while !every.is_zero() && !*stopping.borrow_and_update() {
        tokio::select! {
            _ = stopping.changed() => {}
            () = tokio::time::sleep(every) => if let Err(error) = publish_if_due(&app).await {
                tracing::error!(%error, "the roots of the views could not be published");
            },
        }
    }
}

/// The roots that were published last, as far as whoever asks may know; `None` before the first.
///
/// # Errors
/// [`Problem`] when the view cannot be read.
pub async fn last(app: &App) -> Result<Option<Published>, Problem> {
    Ok(VIEW_ROOTS.get_versioned(&app.view(View::Identity).await?, ())?)
}

/// Publishes what the views say now, unless nothing at all happened since that was done.
///
/// # Errors
/// [`Problem::Exhausted`] when somebody else does; those of reading the views, and of recording.
pub async fn publish_now(app: &App) -> Result<Published, Problem> {
    let place = app.view_roots().turn.try_lock();
    let _turn = place.map_err(|_| Problem::Exhausted { what: "places for publishing view roots" })?;
    match last(app).await? {
        Some(last) if last.seq.tree_size() == app.sequencer().acknowledged() => Ok(last),
        _ => publish(app).await,
    }
}

async fn publish_if_due(app: &App) -> Result<(), Problem> {
    let _turn = app.view_roots().turn.lock().await;
    let since = last(app).await?.map_or(Seq(0), |last| last.seq);
    if happened_since(&*app.engine().log(), since)? {
        let published = publish(app).await?;
        tracing::info!(event = published.seq.0, size = published.value.size.0, "the roots of the views are published");
    }
    Ok(())
}

/// Whether anything happened after an event that is no attestation.
fn happened_since(log: &dyn LogStore, seq: Seq) -> Result<bool, StoreError> {
    for read in log.records(seq.next()) {
        let (seq, record) = read?;
        let outline = Outline::parse(&record.header);
        let kind = outline.map_err(|source| StoreError::Malformed { seq, source: source.into() })?.kind;
        if !Kind::from_code(kind).is_some_and(Kind::is_attestation) {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn publish(app: &App) -> Result<Published, Problem> {
    let size = app.sequencer().acknowledged();
    let roots = build(app, size).await?;
    let identity = app.view(View::Identity).await?;
    let tenant =
        LEDGER.get(&identity, ())?.and_then(|ledger| ledger.root).ok_or(RowsError::Missing("the root tenant"))?;
    let command = PublishViewRoots { size, roots };
    let request = Request::new(tenant, Caller { tenant, actor: Actor::system() }, command);
    let receipt = app.sequencer().submit_when_free(request).await?.await?;
    receipt.answer?;
    let trees = app.view_roots().trees().clone();
    blocking(move || trees.prune()).await?.map_err(|error| Unreadable::Roots(error.into()))?;
    Ok(last(app).await?.ok_or(RowsError::Missing("the roots that were published"))?)
}

/// Sees that there are trees of the roots that were published last.
async fn restore(app: &App) -> Result<(), Problem> {
    let _turn = app.view_roots().turn.lock().await;
    let Some(Published { seq, value: ViewRoots { size, format, roots, .. } }) = last(app).await? else { return Ok(()) };
    let (trees, published) = (app.view_roots().trees().clone(), roots.clone());
    let hold = blocking(move || trees.hold(size, &published)).await?;
    if format != u16::from(FORMAT) || hold.map_err(|error| Unreadable::Roots(error.into()))? {
        return Ok(());
    }
    for (found, published) in build(app, size).await?.iter().zip(&roots) {
        if found != published {
            let view = &published.view;
            tracing::error!(
                view,
                event = seq.0,
                "the view is not what its published root says that it was; rebuild it"
            );
        }
    }
    Ok(())
}

/// Makes the trees over the views as they were at a size; their roots.
async fn build(app: &App, size: TreeSize) -> Result<Vec<ViewRoot>, Problem> {
    let mut views = Vec::new();
    for view in ROOTED {
        views.push((view, app.views().read(view, size, Duration::from_secs(VIEW_PATIENCE_SECS)).await?));
    }
    let (trees, stopping) = (app.view_roots().trees().clone(), app.stopping());
    let built = blocking(move || trees.build(size, views, &mut half_speed(stopping))).await?;
    built.map_err(|error| match error {
        // Nothing is the matter with anything.
        RootsError::Stopped => Problem::Exhausted { what: "places for publishing view roots" },
        error => Unreadable::Roots(error).into(),
    })
}

/// Rests as long as it has worked, until the daemon stops.
fn half_speed(stopping: watch::Receiver<bool>) -> impl FnMut() -> ControlFlow<()> {
    let mut since = Instant::now();
    move || {
        std::thread::sleep(since.elapsed());
        since = Instant::now();
        if *stopping.borrow() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
