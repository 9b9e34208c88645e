//! A subscription's turn: its due events are posted, one after another, and what came of it is recorded.

use std::time::{Duration, Instant};

use bytes::Bytes;
use chancery_ledger::body::delivery::DeliveryOutcome;
use chancery_ledger::ids::{SubscriptionId, TenantId, uuid_v7};
use chancery_ledger::time::Micros;
use chancery_projections::command::{Attempt, RecordDeliveries};
use chancery_projections::context::{Random as _, SystemRandom};
use chancery_projections::execution::delivery::rendering::Rendering;
use chancery_projections::execution::delivery::state::{DESTINATIONS, Delivery, SUBSCRIPTIONS, Subscription};
use chancery_projections::execution::delivery::view::{delivery_id, unsettled};
use chancery_projections::view::Held;
use chancery_projections::views::View;
use uuid::Uuid;

use super::form::{Form, Post, Told};
use super::post::{Place, Posted, post};
use super::{PAUSE, can_record, record};
use crate::app::App;
use crate::limits::{DELIVERY_TURN_EXCERPTS, DELIVERY_TURN_MILLIS, DELIVERY_TURN_POSTS, VIEW_PATIENCE_SECS};
use crate::problem::Problem;

/// Takes a subscription's turn. What goes wrong here is the operator's to know; the deliveries stay due.
pub(super) async fn take(app: &App, tenant: TenantId, subscription: SubscriptionId) {
    match tell(app, tenant, subscription).await {
        Ok(true) => return,
        // The view told of something that is no more. Whoever is due for nothing again and again waits for it.
        Ok(false) => {}
        Err(problem) => {
            tracing::error!(%subscription, %problem, "deliveries of a subscription could not be made or recorded");
        }
    }
    let mut stopping = app.stopping();
    tokio::select! {
        () = tokio::time::sleep(PAUSE) => {}
        _ = stopping.wait_for(|stopping| *stopping) => {}
    }
}

/// What a turn begins with.
struct Work {
    form: &'static Form,
    rendering: &'static Rendering,
    places: Vec<Place>,
    deliveries: Vec<Delivery>,
}

/// Posts what is due, and says whether anything was.
async fn tell(app: &App, tenant: TenantId, id: SubscriptionId) -> Result<bool, Problem> {
    can_record(app)?;
    let Some(work) = work(app, id)? else { return Ok(false) };
    let (began, stopping) = (Instant::now(), app.stopping());
    let (mut attempts, mut trouble, mut excerpts) = (Vec::new(), None, 0);
    for delivery in &work.deliveries {
        if delivery.next.is_some_and(|next| next > app.now()) {
            break;
        }
        let posted = match post_delivery(app, tenant, &work, delivery).await {
            Ok(posted) => posted,
            // What was posted before is recorded all the same, or it would be posted again.
            Err(problem) => {
                trouble = Some(problem);
                break;
            }
        };
        app.metrics().count_delivery(posted.delivered);
        let attempt = attempted(delivery, &work, &posted, app.now(), app.config().webhook_retry_secs)?;
        excerpts += usize::from(attempt.excerpt.is_some());
        attempts.push(attempt);
        let is_time_up = began.elapsed() >= Duration::from_millis(DELIVERY_TURN_MILLIS) || *stopping.borrow();
        if !posted.delivered || is_time_up || excerpts == DELIVERY_TURN_EXCERPTS {
            break;
        }
    }
    let is_any = !attempts.is_empty();
    if is_any {
        record(app, tenant, RecordDeliveries { subscription: id, attempts }).await?;
    }
    trouble.map_or(Ok(is_any), Err)
}

/// Reads what a turn needs; `None` when the subscription has nothing to tell any more.
fn work(app: &App, id: SubscriptionId) -> Result<Option<Work>, Problem> {
    let rows = app.views().get(View::Execution).store.snapshot();
    let Some(subscription) = SUBSCRIPTIONS.get(&rows, id)? else { return Ok(None) };
    if subscription.disabled || subscription.ended.is_some() {
        return Ok(None);
    }
    let found = Form::of(&subscription.rendering).zip(Rendering::find(&subscription.rendering));
    let Some((form, rendering)) = found else { return Ok(None) };
    let places = places(app, &subscription)?;
    Ok(Some(Work { form, rendering, places, deliveries: unsettled(&rows, id, DELIVERY_TURN_POSTS)? }))
}

/// Where a subscription's events go.
pub(super) fn places(app: &App, subscription: &Subscription) -> Result<Vec<Place>, Problem> {
    let rows = app.views().get(View::Execution).store.snapshot();
    let mut places = Vec::new();
    for id in &subscription.destinations {
        if let Some(row) = DESTINATIONS.get(&rows, *id)? {
            places.push(Place::open(&app.opener(), &row)?);
        }
    }
    Ok(places)
}

/// Posts an event to every destination of its subscription. One that is not taken everywhere is later posted everywhere.
async fn post_delivery(app: &App, tenant: TenantId, work: &Work, delivery: &Delivery) -> Result<Posted, Problem> {
    let word = work.rendering.word(delivery.code);
    let body = body(app, tenant, work.form, delivery, word).await?;
    let it = Post { id: delivery_id(delivery), attempt: new_id(app)?, word, at: app.now() };
    Ok(post_everywhere(app, &work.places, work.form, &it, &body).await)
}

/// What tells an event: of things as they were right after it, so every attempt says the same.
pub(super) async fn body(
    app: &App, tenant: TenantId, form: &Form, delivery: &Delivery, word: &str,
) -> Result<Bytes, Problem> {
    // Another view can still be behind this one.
    let patience = Duration::from_secs(VIEW_PATIENCE_SECS);
    let held = Held::wait(app.views(), delivery.event.tree_size(), Some(delivery.event), patience).await?;
    let (event, time) = (delivery.event, delivery.created);
    let told = Told { tenant, id: delivery_id(delivery), event, time, word };
    (form.body)(app, &held.reading(app.opener(), time), &told)
}

/// Posts a body to one place after another, until one does not take it.
pub(super) async fn post_everywhere(app: &App, places: &[Place], form: &Form, it: &Post<'_>, body: &Bytes) -> Posted {
    let nowhere = "the subscription has no destination any more".to_owned();
    let mut all = Posted { delivered: false, status: None, ms: 0, excerpt: Some(nowhere) };
    for place in places {
        let posted = post(app, place, form, it, body.clone()).await;
        all = Posted { ms: all.ms.saturating_add(posted.ms), ..posted };
        if !all.delivered {
            break;
        }
    }
    all
}

/// What an attempt came to, and when the next is.
fn attempted(
    delivery: &Delivery, work: &Work, posted: &Posted, at: Micros, first_secs: u64,
) -> Result<Attempt, Problem> {
    let (attempt, retry) = (delivery.attempts.saturating_add(1), &work.rendering.retry);
    let (outcome, next) = if posted.delivered {
        (DeliveryOutcome::Delivered, None)
    } else if attempt >= retry.attempts_max {
        (DeliveryOutcome::DeadLetter, None)
    } else {
        let mut chance = [0; 4];
        SystemRandom.fill(&mut chance).map_err(|_| Problem::Internal)?;
        let wait = retry.wait_micros(attempt, first_secs, u32::from_be_bytes(chance));
        (DeliveryOutcome::Failed, Some(Micros(at.0.saturating_add(wait))))
    };
    let (event, status, ms, excerpt) = (Some(delivery.event), posted.status, posted.ms, posted.kept_excerpt());
    Ok(Attempt { event, attempt, outcome, status, ms, at, next, excerpt })
}

/// An id for what is posted.
pub(super) fn new_id(app: &App) -> Result<Uuid, Problem> {
    let mut random = [0; 10];
    SystemRandom.fill(&mut random).map_err(|_| Problem::Internal)?;
    Ok(uuid_v7(app.now().millis(), random))
}
