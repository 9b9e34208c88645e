//! Telling events to the outside: the process manager of deliveries.
//!
//! The log is the outbox. What is to be told, and when, stands in rows of the execution view from the moment an event is in
//! it (`projections::execution::delivery`); this room asks for what is due, posts it, and records what came of it with a
//! command. So it keeps nothing of its own: after a crash, what was posted and not recorded is posted again, under the same
//! id, and nothing is left out.
//!
//! - A subscription's events are posted one after another, in the order of the log; the first that is not taken waits, and
//!   those behind it with it. Subscriptions do not wait for each other.
//! - Subscriptions with a turn at once, posts of a turn, time and bytes of a post are bounded. Who is slow or fails has turns
//!   of a sort of its own (`turns`).
//! - Nothing is posted while nothing can be recorded.
//!
//! Out of scope: which addresses may be called ([`crate::egress`]), and what a post looks like in a dialect
//! ([`form`], and the dialect's own room).

pub mod form;
mod once;
mod post;
mod request;
mod turn;
mod turns;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chancery_ledger::actor::Actor;
use chancery_ledger::ids::{SubscriptionId, TenantId};
use chancery_projections::command::{AddDestination, ChangeSubscription, Command, RecordDeliveries, Subscribe};
use chancery_projections::context::Caller;
use chancery_projections::execution::delivery::state::SUBSCRIPTIONS;
use chancery_projections::execution::delivery::view::{self, DueNow};
use chancery_projections::rejection::Rejection;
use chancery_projections::rows::RowsError;
use chancery_projections::sequencer::{Request, SubmitError};
use chancery_projections::views::View;
use tokio::task::JoinSet;

use crate::app::App;
use crate::limits::{DELIVERY_DUE, VIEW_PATIENCE_SECS};
use crate::problem::Problem;
use turns::Turns;

pub use once::{Test, send_code, test};
pub use post::Posted;
pub use request::{RequestView, request};

/// Longest time without looking for what is due: what a clock that was set makes due is found by then.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// While some wait for a turn, so often it is looked who else is due.
const LOOK_FOR_OTHERS: Duration = Duration::from_millis(50);
/// After something could not be read or recorded, so long nothing is tried.
const PAUSE: Duration = Duration::from_secs(5);

/// Tells events until the daemon stops. What is under way then ends, and is recorded.
pub async fn run(app: Arc<App>) {
    let mut stopping = app.stopping();
    let mut read = app.views().get(View::Execution).progress.clone();
    let mut turns: JoinSet<SubscriptionId> = JoinSet::new();
    let mut who = Turns::default();
    let mut looked = Instant::now();
    while !*stopping.borrow_and_update() {
        let mut given = who.give();
        let mut pause = LOOK_FOR_OTHERS;
        if who.is_nobody_waiting() || looked.elapsed() >= LOOK_FOR_OTHERS {
            looked = Instant::now();
            match look(&app) {
                Ok((due, later)) => {
                    who.note(due);
                    given.extend(who.give());
                    pause = if who.is_nobody_waiting() { later } else { pause };
                }
                Err(error) => {
                    tracing::error!(%error, "what is to be delivered cannot be read");
                    pause = PAUSE;
                }
            }
        }
        for DueNow { tenant, subscription, .. } in given {
            let app = app.clone();
            turns.spawn(async move {
                turn::take(&app, tenant, subscription).await;
                subscription
            });
        }
        tokio::select! {
            _ = stopping.changed() => {}
            Some(ended) = turns.join_next() => match ended {
                Ok(subscription) => who.over(subscription),
                // Which turn it was is not known, so all count as over; one that goes on only posts something twice.
                Err(error) => {
                    tracing::error!(%error, "a delivery ended by a defect");
                    who.all_over();
                }
            },
            Ok(()) = read.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    while turns.join_next().await.is_some() {}
}

/// Who is due, and how long it is until the next one is.
fn look(app: &App) -> Result<(Vec<DueNow>, Duration), RowsError> {
    let now = app.now();
    let due = view::due(&app.views().get(View::Execution).store.snapshot(), now, DELIVERY_DUE)?;
    let later = due.later.map_or(LOOK_AGAIN, |later| {
        Duration::from_micros(u64::try_from(later.0.saturating_sub(now.0)).unwrap_or(0)).min(LOOK_AGAIN)
    });
    Ok((due.now, later))
}

/// Has what came of posts recorded, and waits until the view knows.
async fn record(app: &App, tenant: TenantId, command: RecordDeliveries) -> Result<(), Problem> {
    let request = Request::new(tenant, Caller { tenant, actor: Actor::system() }, command);
    let receipt = app.sequencer().submit_when_free(request).await?.await?;
    app.views().read(View::Execution, receipt.size, Duration::from_secs(VIEW_PATIENCE_SECS)).await?;
    match receipt.answer {
        Ok(_) => Ok(()),
        Err(rejection) => Err(rejection.into()),
    }
}

/// Checks of a command what its decider cannot know: whether an address may be called at all, and whether an event was ever
/// told.
///
/// # Errors
/// [`Rejection::TargetForbidden`], [`Rejection::NotFound`]; those of reading the view.
pub fn check(app: &App, tenant: TenantId, command: &Command) -> Result<(), Problem> {
    let url = match command {
        Command::AddDestination(AddDestination { url, .. }) => Some(url),
        Command::Subscribe(Subscribe { url, .. }) | Command::ChangeSubscription(ChangeSubscription { url, .. }) => {
            url.as_ref()
        }
        Command::Redeliver(it) => {
            let rows = app.views().get(View::Execution).store.snapshot();
            let is_theirs = SUBSCRIPTIONS.get(&rows, it.subscription)?.is_some_and(|found| found.tenant == tenant);
            if !is_theirs || !view::is_told(&rows, it.subscription, it.event)? {
                return Err(Rejection::NotFound { thing: "delivery" }.into());
            }
            None
        }
        _ => None,
    };
    match url.map(|url| app.egress().target(url)) {
        Some(Err(forbidden)) => Err(Rejection::TargetForbidden { why: forbidden.to_string() }.into()),
        Some(Ok(_)) | None => Ok(()),
    }
}

/// Whether writing goes on.
fn can_record(app: &App) -> Result<(), SubmitError> {
    match app.sequencer().status().stopped {
        Some(why) => Err(SubmitError::Stopped { why }),
        None => Ok(()),
    }
}
