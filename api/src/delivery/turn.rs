//! A subscription's turn: its due events are posted, one after another, and what came of it is recorded.

use std::time::{Duration, Instant};

use bytes::Bytes;
use chancery_ledger::body::Kind;
use chancery_ledger::body::delivery::DeliveryOutcome;
use chancery_ledger::ids::{DestinationId, SubscriptionId, TenantId, uuid_v7};
use chancery_ledger::time::Micros;
use chancery_projections::command::{Attempt, RecordDeliveries};
use chancery_projections::context::{Random as _, SystemRandom};
use chancery_projections::execution::delivery::rendering::Rendering;
use chancery_projections::execution::delivery::state::{DESTINATIONS, Delivery, SUBSCRIPTIONS, Subscription};
use chancery_projections::execution::delivery::view::{delivery_id, unsettled};
use chancery_projections::rejection::Rejection;
use chancery_projections::view::Held;
use chancery_projections::views::View;
use serde_json::json;
use uuid::Uuid;

use super::form::{Form, Told, note};
use super::post::{Place, Posted, Secret, post};
use super::{PAUSE, can_record, record};
use crate::app::App;
use crate::limits::{DELIVERY_TURN_MILLIS, DELIVERY_TURN_POSTS, VIEW_PATIENCE_SECS};
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
    let (mut attempts, mut excerpt, mut trouble) = (Vec::new(), None, None);
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
        let attempt = attempted(delivery, &work, &posted, app.now(), app.config().webhook_retry_secs);
        attempts.push(attempt);
        if !posted.delivered {
            excerpt = posted.excerpt;
            break;
        }
        if began.elapsed() >= Duration::from_millis(DELIVERY_TURN_MILLIS) || *stopping.borrow() {
            break;
        }
    }
    let is_any = !attempts.is_empty();
    if is_any {
        record(app, tenant, RecordDeliveries { subscription: id, attempts, excerpt }).await?;
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

fn places(app: &App, subscription: &Subscription) -> Result<Vec<Place>, Problem> {
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
    let (id, word) = (delivery_id(delivery), work.rendering.word(delivery.code));
    let body = {
        // Another view can still be behind this one.
        let patience = Duration::from_secs(VIEW_PATIENCE_SECS);
        let held = Held::wait(app.views(), delivery.event.tree_size(), None, patience).await?;
        let told = Told { tenant, id, event: delivery.event, word };
        (work.form.body)(app, &held.reading(app.opener(), app.now()), &told)?
    };
    Ok(post_everywhere(app, &work.places, work.form, id, word, &body).await)
}

/// Posts a body to one place after another, until one does not take it.
async fn post_everywhere(app: &App, places: &[Place], form: &Form, id: Uuid, word: &str, body: &Bytes) -> Posted {
    let nowhere = "the subscription has no destination any more".to_owned();
    let mut all = Posted { delivered: false, status: None, ms: 0, excerpt: Some(nowhere) };
    for place in places {
        let posted = post(app, place, form, id, word, body.clone()).await;
        all = Posted { ms: all.ms.saturating_add(posted.ms), ..posted };
        if !all.delivered {
            break;
        }
    }
    all
}

/// What an attempt came to, and when the next is: each waits twice as long as the one before.
fn attempted(delivery: &Delivery, work: &Work, posted: &Posted, at: Micros, first_secs: u64) -> Attempt {
    let attempt = delivery.attempts.saturating_add(1);
    let (outcome, next) = if posted.delivered {
        (DeliveryOutcome::Delivered, None)
    } else if attempt >= work.rendering.attempts_max {
        (DeliveryOutcome::DeadLetter, None)
    } else {
        (DeliveryOutcome::Failed, Some(at.plus_secs(delay_secs(attempt, first_secs))))
    };
    Attempt { event: Some(delivery.event), attempt, outcome, status: posted.status, ms: posted.ms, at, next }
}

fn delay_secs(attempt: u8, first_secs: u64) -> i64 {
    let doubled = 1_u64.checked_shl(u32::from(attempt.saturating_sub(1))).unwrap_or(u64::MAX);
    i64::try_from(first_secs.saturating_mul(doubled)).unwrap_or(i64::MAX)
}

/// See [`super::test`].
pub(super) async fn test(app: &App, tenant: TenantId, id: SubscriptionId) -> Result<Posted, Problem> {
    can_record(app)?;
    let rows = app.view(View::Execution).await?;
    let found = SUBSCRIPTIONS.get(&rows, id)?.filter(|it| it.tenant == tenant && it.ended.is_none());
    let subscription = found.ok_or(Rejection::NotFound { thing: "subscription" })?;
    let form = Form::of(&subscription.rendering).ok_or(Problem::Internal)?;
    let test = new_id(app)?;
    let body = note(test, "test", json!({ "subscription": id }))?;
    let all = post_everywhere(app, &places(app, &subscription)?, form, test, "test", &body).await;
    let outcome = if all.delivered { DeliveryOutcome::Delivered } else { DeliveryOutcome::Failed };
    let (status, ms, at) = (all.status, all.ms, app.now());
    let attempt = Attempt { event: None, attempt: 1, outcome, status, ms, at, next: None };
    let command = RecordDeliveries { subscription: id, attempts: vec![attempt], excerpt: all.excerpt.clone() };
    record(app, tenant, command).await?;
    Ok(all)
}

/// See [`super::send_code`].
pub(super) async fn send_code(app: &App, tenant: TenantId, id: DestinationId) -> Result<Posted, Problem> {
    let rows = app.view(View::Execution).await?;
    let missing = || Problem::from(Rejection::NotFound { thing: "destination" });
    let found = DESTINATIONS.get(&rows, id)?.filter(|it| it.tenant == tenant && it.removed.is_none());
    let destination = found.ok_or_else(missing)?;
    let field = destination.code.as_ref().ok_or_else(missing)?;
    let code: Option<Secret> = app.opener().open(tenant, Kind::DestinationAdded, "code", field)?;
    let (code, place, sent) = (code.ok_or_else(missing)?, Place::open(&app.opener(), &destination)?, new_id(app)?);
    let body = note(sent, "verification", json!({ "destination": id, "code": code.0 }))?;
    Ok(post(app, &place, Form::native(), sent, "verification", body).await)
}

fn new_id(app: &App) -> Result<Uuid, Problem> {
    let mut random = [0; 10];
    SystemRandom.fill(&mut random).map_err(|_| Problem::Internal)?;
    Ok(uuid_v7(app.now().millis(), random))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attempt_waits_twice_as_long_as_the_one_before() {
        let delays: Vec<i64> = (1..=9).map(|attempt| delay_secs(attempt, 5)).collect();
        assert_eq!(delays, [5, 10, 20, 40, 80, 160, 320, 640, 1280]);
        assert_eq!(delay_secs(u8::MAX, u64::MAX), i64::MAX);
    }
}
