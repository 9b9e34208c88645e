//! Webhooks: subscriptions with a destination of their own, and what is posted to them.

use bytes::Bytes;
use chancery_ledger::body::Body;
use chancery_ledger::event::Event;
use chancery_ledger::ids::{AgentId, OrganisationId, SubscriptionId, ThingId, ThingKind, parse_typeid};
use chancery_ledger::store::StoreError;
use chancery_projections::command::{ChangeSubscription, EndSubscription, Subscribe};
use chancery_projections::execution::delivery::decide::{SUBSCRIPTIONS_MAX, URL_CHARS_MAX};
use chancery_projections::execution::delivery::rendering::{ALSORN, SCORE_CHANGED};
use chancery_projections::execution::delivery::view::{self, SubscriptionView};
use chancery_projections::execution::view::transaction;
use chancery_projections::identity::state::TENANTS;
use chancery_projections::output::Output;
use chancery_projections::rows::RowsError;
use chancery_projections::trust::view::{dispute, movements};
use chancery_projections::view::{PageNumber, Paging, Reading};
use serde_json::{Value, json};

use super::agents::shown;
use super::call::{Call, created, no_content, ok, unexpected};
use super::error::Failure;
use super::wire;
use crate::app::App;
use crate::delivery::form::{Form, IdOf, Tested, Told, written};
use crate::delivery::{self, Test};
use crate::problem::Problem;
use crate::response::Response;

/// Longest word, in characters: what is longer is none.
const EVENT_CHARS_MAX: usize = 64;
const TEST: &str = "webhook.test";

/// What is posted.
pub const FORM: Form = Form {
    rendering: ALSORN.name,
    signature: "x-alsorn-signature",
    event: "x-alsorn-event",
    id: "x-alsorn-delivery",
    id_of: IdOf::Attempt,
    time: Some("x-alsorn-timestamp"),
    body,
    test: test_body,
};

/// `POST /webhooks/`.
pub(super) async fn register(mut call: Call) -> Result<Response, Failure> {
    let mut body = call.json().await?;
    body.must("events");
    let url = body.required("url", 1, URL_CHARS_MAX);
    let events = body.texts("events", EVENT_CHARS_MAX).unwrap_or_default();
    body.done()?;
    let command = Subscribe {
        name: None,
        destinations: Vec::new(),
        url: Some(url),
        secret: None,
        events,
        rendering: ALSORN.name.to_owned(),
        active: true,
    };
    let (Output::Subscription { subscription, secret }, _) = call.submit(command).await? else {
        return Err(unexpected());
    };
    let mut made = wire::webhook(&found(&call, subscription.subscription).await?, organisation(&call).await?);
    // A request that was answered before under its key is answered again without what is shown once.
    if let (Some(fields), Some(secret)) = (made.as_object_mut(), secret) {
        fields.insert("secret".to_owned(), json!(*secret));
    }
    Ok(created(&made))
}

/// `GET /webhooks/`.
pub(super) async fn list(call: Call) -> Result<Response, Failure> {
    let (held, tenant) = (call.hold().await?, call.tenant()?);
    let all = PageNumber { number: 1, size: SUBSCRIPTIONS_MAX as usize };
    let organisation = organisation(&call).await?;
    let reading = call.reading(&held);
    let found = tokio::task::block_in_place(|| view::numbered_subscriptions(&reading, tenant, ALSORN.name, all))?;
    Ok(ok(&found.items.iter().map(|it| wire::webhook(it, organisation)).collect::<Vec<Value>>()))
}

/// `GET /webhooks/{id}`.
pub(super) async fn get(call: Call) -> Result<Response, Failure> {
    whole(&call, named(&call)?).await
}

/// `PUT /webhooks/{id}`, which changes what it names and nothing else.
pub(super) async fn update(mut call: Call) -> Result<Response, Failure> {
    let id = named(&call)?;
    let mut body = call.json().await?;
    let names: Vec<String> = body.names().map(str::to_owned).collect();
    for name in names {
        match name.as_str() {
            "url" | "events" | "active" if body.is_null(&name) => body.wrong(&name, "must not be null"),
            "url" | "events" | "active" => {}
            _ => body.wrong(&name, "cannot be changed"),
        }
    }
    let command = ChangeSubscription {
        subscription: id,
        name: None,
        destinations: None,
        url: body.text("url", 1, URL_CHARS_MAX),
        events: body.texts("events", EVENT_CHARS_MAX),
        active: body.flag("active"),
    };
    body.done()?;
    found(&call, id).await?;
    call.submit(command).await?;
    whole(&call, id).await
}

/// `DELETE /webhooks/{id}`.
pub(super) async fn delete(call: Call) -> Result<Response, Failure> {
    let subscription = found(&call, named(&call)?).await?.id;
    call.submit(EndSubscription { subscription }).await?;
    Ok(no_content())
}

/// `POST /webhooks/{id}/test`.
pub(super) async fn test(mut call: Call) -> Result<Response, Failure> {
    let id = named(&call)?;
    call.json().await?;
    found(&call, id).await?;
    let tested = delivery::test(&call.app, call.tenant()?, id).await?;
    Ok(ok(&delivery_result(id, &tested)))
}

fn delivery_result(id: SubscriptionId, it: &Test) -> Value {
    let payload: Value = serde_json::from_slice(&it.body).unwrap_or_default();
    let posted = &it.posted;
    json!({
        "id": it.attempt,
        "webhook_id": wire::webhook_text(id),
        "event_type": it.word,
        "status": if posted.delivered { "delivered" } else { "failed" },
        "success": posted.delivered,
        "attempts": 1,
        "created_at": wire::time_text(it.at),
        "payload": payload,
        "http_status": posted.status,
        "status_code": posted.status,
        // Of what never came, nothing is shown as if it had.
        "response_body": posted.status.and(posted.excerpt.as_ref()),
        "duration_ms": posted.ms,
    })
}

fn named(call: &Call) -> Result<SubscriptionId, Failure> {
    parse_typeid("wh", &call.argument).map(SubscriptionId::from_uuid).map_err(|_| Failure::not_found("Webhook"))
}

/// The webhook with an id; subscriptions in other words are none.
async fn found(call: &Call, id: SubscriptionId) -> Result<SubscriptionView, Failure> {
    let (held, tenant) = (call.hold().await?, call.tenant()?);
    let found = view::subscription(&call.reading(&held), tenant, id)?;
    let found = found.filter(|view| view.rendering == ALSORN.name && view.ended.is_none());
    found.ok_or_else(|| Failure::not_found("Webhook"))
}

async fn whole(call: &Call, id: SubscriptionId) -> Result<Response, Failure> {
    Ok(ok(&wire::webhook(&found(call, id).await?, organisation(call).await?)))
}

/// The organisation that the tenant's things belong to when nothing else is said.
async fn organisation(call: &Call) -> Result<Option<OrganisationId>, Failure> {
    let held = call.hold().await?;
    let tenant = TENANTS.get(call.reading(&held).identity, call.tenant()?)?;
    Ok(tenant.ok_or(RowsError::Missing("a tenant"))?.default_organisation)
}

/// What tells an event: the thing that it is about, as it was right after it.
fn body(app: &App, reading: &Reading<'_>, told: &Told<'_>) -> Result<Bytes, Problem> {
    let record = app.engine().log().record(told.event)?.ok_or(StoreError::Missing { seq: told.event })?;
    let event = Event::read(&record.header, &record.body)?.0;
    let data = if told.word == SCORE_CHANGED { score(reading, told, &event)? } else { thing(reading, told, &event)? };
    written(&wire::webhook_event(told.id, told.word, told.time, data.ok_or(Problem::Internal)?))
}

fn thing(reading: &Reading<'_>, told: &Told<'_>, event: &Event) -> Result<Option<Value>, Problem> {
    let transacted = |id| Ok(transaction(reading, told.tenant, id)?.map(|it| wire::transaction(&it)));
    match &event.body {
        Body::TransactionCompleted(it) => transacted(it.transaction),
        Body::TransactionFailed(it) => transacted(it.transaction),
        Body::TransactionReversed(it) => transacted(it.transaction),
        Body::DisputeFiled(it) => Ok(dispute(reading, told.tenant, it.dispute)?.map(|it| wire::dispute(&it, &[]))),
        // What else has a word here is about one agent.
        _ => match agents(event).next() {
            Some(agent) => shown(reading, told.tenant, agent),
            None => Ok(None),
        },
    }
}

/// The move of a score that an event caused.
fn score(reading: &Reading<'_>, told: &Told<'_>, event: &Event) -> Result<Option<Value>, Problem> {
    for agent in agents(event) {
        let newest = movements(reading, told.tenant, agent, None, &Paging::newest(1))?;
        let newest = newest.into_iter().flat_map(|page| page.items).next();
        if let Some(moved) = newest.filter(|moved| moved.event == told.event) {
            return Ok(Some(wire::score_change(agent, &moved)));
        }
    }
    Ok(None)
}

fn agents(event: &Event) -> impl Iterator<Item = AgentId> {
    let subjects = event.body.subjects().into_iter();
    subjects.filter(|subject| subject.kind == ThingKind::Agent).map(|subject| AgentId::from_uuid(subject.id))
}

fn test_body(tested: &Tested) -> Result<(&'static str, Bytes), Problem> {
    let data = json!({ "webhook_id": wire::webhook_text(tested.subscription) });
    Ok((TEST, written(&wire::webhook_event(tested.id, TEST, tested.at, data))?))
}
