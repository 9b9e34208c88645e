//! How the daemon does: health, metrics, and the views as things to look after.

use std::sync::Arc;

use chancery_ledger::archive::Mode;
use chancery_ledger::ids::{Seq, TreeSize};
use chancery_projections::rejection::Rejection;
use chancery_projections::scope::Scope;
use chancery_projections::sequencer::SubmitError;
use chancery_projections::views::View;
use chancery_projections::worker::WorkerError;
use hyper::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use super::operation::{Access, Content, Form, Operation, path};
use crate::app::App;
use crate::observability::metrics::Standing;
use crate::problem::{Problem, Unreadable};
use crate::response::{self, Response};

const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// A view further behind than this many events makes the daemon unready: its reads would time out.
const LAG_MAX: u64 = 100_000;

const VIEW: super::operation::Parameter =
    path("view", Form::OneOf(|| View::ALL.into_iter().map(View::name).collect()), "Which view.");

/// `GET /livez`.
pub const LIVE: Operation = Operation {
    id: "getLiveness",
    summary: "Whether the daemon runs.",
    access: Access::Open,
    parameters: &[],
    bodies: &[],
    answers: &[Content::json::<Health>()],
    problems: &[],
    handler: |call| Box::pin(live(call)),
};

/// `GET /readyz`.
pub const READY: Operation = Operation {
    id: "getReadiness",
    summary: "Whether the daemon takes commands and its views follow.",
    access: Access::Open,
    parameters: &[],
    bodies: &[],
    answers: &[Content::json::<Health>()],
    problems: &[503],
    handler: |call| Box::pin(ready(call)),
};

/// `GET /metrics`.
pub const METRICS: Operation = Operation {
    id: "getMetrics",
    summary: "What the daemon measures, for Prometheus. The root tenant's alone.",
    access: Access::Scope(Scope::LedgerRead),
    parameters: &[],
    bodies: &[],
    answers: &[Content::text(METRICS_TYPE)],
    problems: &[],
    handler: |call| Box::pin(metrics(call)),
};

/// `GET /v1/trust`.
pub const TRUST: Operation = Operation {
    id: "getTrustView",
    summary: "How far the trust view has read.",
    access: Access::Scope(Scope::LedgerRead),
    parameters: &[],
    bodies: &[],
    answers: &[Content::json::<ViewStatus>()],
    problems: &[],
    handler: |call| Box::pin(trust(call)),
};

/// `GET /v1/views`.
pub const VIEWS: Operation = Operation {
    id: "listViews",
    summary: "How far each view has read, and what it takes on disk.",
    access: Access::Scope(Scope::LedgerRead),
    parameters: &[],
    bodies: &[],
    answers: &[Content::json::<ViewList>()],
    problems: &[],
    handler: |call| Box::pin(views(call)),
};

/// `GET /v1/views/{view}/digest`.
pub const DIGEST: Operation = Operation {
    id: "getViewDigest",
    summary: "The digest of a view's state: equal wherever the same events were read. Reads the whole view.",
    access: Access::Scope(Scope::LedgerAdminister),
    parameters: &[VIEW],
    bodies: &[],
    answers: &[Content::json::<ViewDigest>()],
    problems: &[],
    handler: |call| Box::pin(digest(call)),
};

/// `POST /v1/views/{view}/rebuild`.
pub const REBUILD: Operation = Operation {
    id: "rebuildView",
    summary: "Rebuild a view from the log beside the live one, compare the two, and put it in place. Reads the whole log.",
    access: Access::Scope(Scope::LedgerAdminister),
    parameters: &[VIEW],
    bodies: &[],
    answers: &[Content::json::<ViewRebuilt>()],
    problems: &[],
    handler: |call| Box::pin(rebuild(call)),
};

/// How the daemon does.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Health {
    /// `live` or `ready`.
    pub status: &'static str,
    /// How the archive stands, where one is kept. One that follows and fails holds no command back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchiveHealth>,
}

/// How the archive does.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ArchiveHealth {
    /// `follow` or `synchronous`.
    pub mode: &'static str,
    /// `following` or `failing`. The daemon's own log says why.
    pub status: &'static str,
    /// How many events it has still to take.
    pub lag: u64,
}

/// How far a view has read.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ViewStatus {
    /// Which view.
    pub view: &'static str,
    /// How many events it reflects.
    pub cursor: TreeSize,
    /// How many events it has still to read.
    pub lag: u64,
    /// What it takes on disk, in bytes; `null` when that cannot be found out now.
    pub disk_bytes: Option<u64>,
}

/// The views.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ViewList {
    /// How many events the log has.
    pub events: TreeSize,
    /// Each view.
    pub views: Vec<ViewStatus>,
}

/// A view's digest.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ViewDigest {
    /// Which view.
    pub view: &'static str,
    /// How many events it reflects.
    pub cursor: TreeSize,
    /// The last of them.
    pub last: Option<Seq>,
    /// BLAKE3 of its state, in hexadecimal.
    pub digest: String,
}

/// What a rebuild found.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ViewRebuilt {
    /// Which view.
    pub view: &'static str,
    /// How many events both reflect.
    pub cursor: TreeSize,
    /// Digest of the view as it was.
    pub before: String,
    /// Digest of the view rebuilt from the log.
    pub after: String,
    /// Whether they are equal, as they must be.
    pub equal: bool,
}

async fn live(_: Call) -> Result<Response, Problem> {
    Ok(response::json(StatusCode::OK, &Health { status: "live", archive: None }))
}

async fn ready(call: Call) -> Result<Response, Problem> {
    let status = call.app.sequencer().status();
    if *call.app.stopping().borrow() {
        return Err(SubmitError::Stopped { why: "the daemon is shutting down".to_owned() }.into());
    }
    if let Some(why) = status.stopped {
        return Err(SubmitError::Stopped { why }.into());
    }
    let behind = call.app.views().iter().find(|(_, view)| {
        let is_late = lag(status.durable, view.store.cursor()) > LAG_MAX;
        is_late || !view.is_following()
    });
    if let Some((view, handle)) = behind {
        let (reached, wanted) = (handle.store.cursor(), status.durable);
        return Err(chancery_projections::views::Lagging { view, reached, wanted }.into());
    }
    let archive = call.app.engine().archive().map(|archive| ArchiveHealth {
        mode: match archive.mode {
            Mode::Follow => "follow",
            Mode::Synchronous => "synchronous",
        },
        status: if archive.failed.is_some() { "failing" } else { "following" },
        lag: lag(status.durable, archive.size),
    });
    Ok(response::json(StatusCode::OK, &Health { status: "ready", archive }))
}

async fn metrics(call: Call) -> Result<Response, Problem> {
    // They tell of every tenant.
    if !call.principal()?.sees_ledger() {
        return Err(Rejection::NotRoot.into());
    }
    let app = &call.app;
    let status = app.sequencer().status();
    let views = tokio::task::block_in_place(|| statuses(app, status.durable));
    let standing = Standing {
        log_bytes: app.engine().log().disk_bytes().ok(),
        archive: app.engine().archive().map(|archive| (lag(status.durable, archive.size), archive.failed.is_some())),
        views: views.iter().map(|view| (view.view, view.lag, view.disk_bytes)).collect(),
        status,
    };
    let text = app.metrics().render(&standing).map_err(|_| Problem::Internal)?;
    Ok(response::typed(StatusCode::OK, METRICS_TYPE, text))
}

async fn trust(call: Call) -> Result<Response, Problem> {
    let size = call.app.sequencer().acknowledged();
    let found = statuses(&call.app, size).into_iter().find(|status| status.view == View::Trust.name());
    Ok(response::json(StatusCode::OK, &found.ok_or(Problem::Internal)?))
}

async fn views(call: Call) -> Result<Response, Problem> {
    let events = call.app.sequencer().acknowledged();
    let views = tokio::task::block_in_place(|| statuses(&call.app, events));
    Ok(response::json(StatusCode::OK, &ViewList { events, views }))
}

fn statuses(app: &App, size: TreeSize) -> Vec<ViewStatus> {
    let status = |(view, handle): (View, &chancery_projections::views::ViewHandle)| {
        let cursor = handle.store.cursor();
        ViewStatus { view: view.name(), cursor, lag: lag(size, cursor), disk_bytes: handle.store.disk_bytes().ok() }
    };
    app.views().iter().map(status).collect()
}

const fn lag(size: TreeSize, cursor: TreeSize) -> u64 {
    size.0.saturating_sub(cursor.0)
}

async fn digest(call: Call) -> Result<Response, Problem> {
    let view = named(&call)?;
    let place = alone(&call.app)?;
    // Of what its caller may know, not of what it may have reached.
    call.app.view(view).await?;
    let store = call.app.views().get(view).store.clone();
    let digest = blocking(move || {
        let _place = place;
        store.digest()
    });
    let (cursor, digest) = digest.await??;
    let answer = ViewDigest { view: view.name(), cursor, last: cursor.last(), digest: hex::encode(digest) };
    Ok(response::json(StatusCode::OK, &answer))
}

async fn rebuild(call: Call) -> Result<Response, Problem> {
    let view = named(&call)?;
    let place = alone(&call.app)?;
    let app = call.app.clone();
    let rebuilt = blocking(move || {
        let _place = place;
        app.engine().rebuild(view)
    });
    let rebuilt = rebuilt.await?.map_err(|error| match error {
        WorkerError::Rows(error) => Unreadable::Rows(error),
        WorkerError::Store(error) => Unreadable::Store(error),
        WorkerError::Unreadable { source, .. } => Unreadable::Event(source),
    })?;
    let answer = ViewRebuilt {
        view: view.name(),
        cursor: rebuilt.cursor,
        before: hex::encode(rebuilt.before),
        after: hex::encode(rebuilt.after),
        equal: rebuilt.before == rebuilt.after,
    };
    Ok(response::json(StatusCode::OK, &answer))
}

fn named(call: &Call) -> Result<View, Problem> {
    call.text("view").and_then(View::from_name).ok_or_else(|| Rejection::NotFound { thing: "view" }.into())
}

/// Only one reading of a whole view or log at a time.
///
/// # Errors
/// [`Problem::Exhausted`] when there is one.
pub fn alone(app: &App) -> Result<tokio::sync::OwnedSemaphorePermit, Problem> {
    Arc::clone(app.long_readings())
        .try_acquire_owned()
        .map_err(|_| Problem::Exhausted { what: "places for exports, rebuilds and digests" })
}

/// Does what waits for the disk, or takes a while, where it holds nobody up.
///
/// # Errors
/// [`Problem::Internal`] when it panicked.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Problem::Internal)
}
