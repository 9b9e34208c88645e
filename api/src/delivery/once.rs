//! Posts that are made once, while somebody waits for what comes of them: tests, codes.

use bytes::Bytes;
use chancery_ledger::body::Kind;
use chancery_ledger::body::delivery::DeliveryOutcome;
use chancery_ledger::ids::{DestinationId, SubscriptionId, TenantId};
use chancery_ledger::time::Micros;
use chancery_projections::command::{Attempt, RecordDeliveries};
use chancery_projections::execution::delivery::state::{DESTINATIONS, SUBSCRIPTIONS};
use chancery_projections::rejection::Rejection;
use chancery_projections::views::View;
use serde_json::json;
use uuid::Uuid;

use super::form::{Form, Post, Tested, note};
use super::post::{Place, Posted, Secret, post};
use super::turn::{new_id, places, post_everywhere};
use super::{can_record, record};
use crate::app::App;
use crate::problem::Problem;

/// A test that was posted, and what came of it.
#[derive(Debug)]
pub struct Test {
    /// The attempt's id.
    pub attempt: Uuid,
    /// The word of a test.
    pub word: &'static str,
    /// What was posted.
    pub body: Bytes,
    /// When.
    pub at: Micros,
    /// What came of it.
    pub posted: Posted,
}

/// Posts a test of a subscription, once, and records what came of it.
///
/// # Errors
/// [`Rejection::NotFound`] when the tenant has no such subscription; those of reading, and of recording.
pub async fn test(app: &App, tenant: TenantId, id: SubscriptionId) -> Result<Test, Problem> {
    can_record(app)?;
    let rows = app.view(View::Execution).await?;
    let found = SUBSCRIPTIONS.get(&rows, id)?.filter(|it| it.tenant == tenant && it.ended.is_none());
    let subscription = found.ok_or(Rejection::NotFound { thing: "subscription" })?;
    let form = Form::of(&subscription.rendering).ok_or(Problem::Internal)?;
    let (test, attempt, at) = (new_id(app)?, new_id(app)?, app.now());
    let (word, body) = (form.test)(&Tested { id: test, subscription: id, at })?;
    let it = Post { id: test, attempt, word, at };
    let posted = post_everywhere(app, &places(app, &subscription)?, form, &it, &body).await;
    let outcome = if posted.delivered { DeliveryOutcome::Delivered } else { DeliveryOutcome::Failed };
    let (status, ms, excerpt) = (posted.status, posted.ms, posted.kept_excerpt());
    let attempted = Attempt { event: None, attempt: 1, outcome, status, ms, at: app.now(), next: None, excerpt };
    record(app, tenant, RecordDeliveries { subscription: id, attempts: vec![attempted] }).await?;
    Ok(Test { attempt, word, body, at, posted })
}

/// Posts a destination's code to it, once.
///
/// # Errors
/// [`Rejection::NotFound`] when the tenant has no such destination, or it needs no code; those of reading.
pub async fn send_code(app: &App, tenant: TenantId, id: DestinationId) -> Result<Posted, Problem> {
    let rows = app.view(View::Execution).await?;
    let missing = || Problem::from(Rejection::NotFound { thing: "destination" });
    let found = DESTINATIONS.get(&rows, id)?.filter(|it| it.tenant == tenant && it.removed.is_none());
    let destination = found.ok_or_else(missing)?;
    let field = destination.code.as_ref().ok_or_else(missing)?;
    let code: Option<Secret> = app.opener().open(tenant, Kind::DestinationAdded, "code", field)?;
    let (code, place) = (code.ok_or_else(missing)?, Place::open(&app.opener(), &destination)?);
    let it = Post { id: new_id(app)?, attempt: new_id(app)?, word: "verification", at: app.now() };
    let body = note(it.id, it.word, json!({ "destination": id, "code": code.0 }))?;
    Ok(post(app, &place, Form::native(), &it, body).await)
}
