//! Webhooks: subscriptions with a destination of their own, and what is posted to them.

use bytes::Bytes;
use chancery_ledger::event_ref::{EventRef, Lane};
use chancery_ledger::ids::SubscriptionId;
use chancery_projections::command::{ChangeSubscription, EndSubscription, Subscribe};
use chancery_projections::execution::delivery::decide::{NAME_CHARS_MAX, SECRET_CHARS_MAX, URL_CHARS_MAX};
use chancery_projections::execution::delivery::rendering::AGENTIDP;
use chancery_projections::execution::delivery::state::DeliveryState;
use chancery_projections::execution::delivery::view::{self, SubscriptionView};
use chancery_projections::lane::agentidp::view::find as find_entry;
use chancery_projections::output::Output;
use chancery_projections::view::Reading;

use super::call::{Call, created, no_content, ok, page, unexpected};
use super::error::Failure;
use super::fields::Fault;
use super::wire::audit::AuditEvent;
use super::wire::webhooks::{Delivery, Post, Webhook};
use super::wire::{Page, Time};
use crate::app::App;
use crate::delivery::form::{Form, IdOf, Told, test, written};
use crate::problem::Problem;
use crate::response::Response;

const LIMIT_DEFAULT: u64 = 20;
const LIMIT_MAX: u64 = 100;
/// Most words of one webhook, and longest word, in characters: a list with more is not looked through.
const EVENTS_MAX: usize = 64;
const EVENT_CHARS_MAX: usize = 64;

/// What is posted.
pub const FORM: Form = Form {
    rendering: AGENTIDP.name,
    signature: "x-sentryagent-signature",
    event: "x-sentryagent-event",
    id: "x-sentryagent-delivery",
    id_of: IdOf::Delivery,
    time: None,
    body,
    test,
};

/// `POST /webhooks`.
pub(super) async fn create(mut call: Call) -> Result<Response, Failure> {
    let fields = call.json().await?;
    let command = Subscribe {
        name: fields.text("name", 0..=NAME_CHARS_MAX)?.map(str::to_owned),
        destinations: Vec::new(),
        url: Some(fields.required("url", 1..=URL_CHARS_MAX)?.to_owned()),
        secret: Some(fields.required("secret", 1..=SECRET_CHARS_MAX)?.to_owned()),
        events: fields.texts("events", 1..=EVENTS_MAX, 1..=EVENT_CHARS_MAX)?.ok_or_else(|| Fault::missing("events"))?,
        rendering: AGENTIDP.name.to_owned(),
        active: fields.flag("active")?.unwrap_or(true),
    };
    let Output::Subscription { subscription, .. } = call.submit(command).await? else { return Err(unexpected()) };
    Ok(created(&Webhook::from(found(&call, subscription.subscription).await?)))
}

/// `GET /webhooks`.
pub(super) async fn list(call: Call) -> Result<Response, Failure> {
    let asked = page(&call.query()?, LIMIT_DEFAULT, LIMIT_MAX)?;
    let held = call.hold().await?;
    let found = view::numbered_subscriptions(&call.reading(&held), call.tenant()?, AGENTIDP.name, asked)?;
    Ok(ok(&Page::of(asked, found, Webhook::from)))
}

/// `GET /webhooks/{id}`.
pub(super) async fn get(call: Call) -> Result<Response, Failure> {
    Ok(ok(&Webhook::from(found(&call, call.id("id")).await?)))
}

/// `PATCH /webhooks/{id}`.
pub(super) async fn change(mut call: Call) -> Result<Response, Failure> {
    let fields = call.json().await?;
    let command = ChangeSubscription {
        subscription: call.id("id"),
        name: fields.text("name", 0..=NAME_CHARS_MAX)?.map(str::to_owned),
        destinations: None,
        url: fields.text("url", 1..=URL_CHARS_MAX)?.map(str::to_owned),
        events: fields.texts("events", 1..=EVENTS_MAX, 1..=EVENT_CHARS_MAX)?,
        active: fields.flag("active")?,
    };
    let ChangeSubscription { subscription, name, url, events, active, .. } = &command;
    if name.is_none() && url.is_none() && events.is_none() && active.is_none() {
        return Err(Fault::new("body", "must have one of url, events, active, name").into());
    }
    let id = *subscription;
    found(&call, id).await?;
    call.submit(command).await?;
    Ok(ok(&Webhook::from(found(&call, id).await?)))
}

/// `DELETE /webhooks/{id}`.
pub(super) async fn end(call: Call) -> Result<Response, Failure> {
    let subscription = found(&call, call.id("id")).await?.id;
    call.submit(EndSubscription { subscription }).await?;
    Ok(no_content())
}

/// `GET /webhooks/{id}/deliveries`.
pub(super) async fn deliveries(call: Call) -> Result<Response, Failure> {
    let query = call.query()?;
    let asked = page(&query, LIMIT_DEFAULT, LIMIT_MAX)?;
    let state = query.one_of("status", &DeliveryState::ALL.map(|state| (state.name(), state)))?;
    let webhook = found(&call, call.id("id")).await?;
    let held = call.hold().await?;
    let found = view::numbered_deliveries(&call.reading(&held), &webhook, state, asked)?;
    Ok(ok(&Page::of(asked, found, Delivery::from)))
}

/// The webhook with an id; subscriptions in other words are none.
async fn found(call: &Call, id: SubscriptionId) -> Result<SubscriptionView, Failure> {
    let held = call.hold().await?;
    let found = view::subscription(&call.reading(&held), call.tenant()?, id)?;
    found
        .filter(|view| view.rendering == AGENTIDP.name && view.ended.is_none())
        .ok_or_else(|| Failure::not_found("WEBHOOK_NOT_FOUND", "there is no such webhook"))
}

/// The event as the audit log has it.
fn body(app: &App, reading: &Reading<'_>, told: &Told<'_>) -> Result<Bytes, Problem> {
    let log = app.engine().log();
    let reference = EventRef::new(told.time, told.event, Lane::AgentIdp, 0);
    let entry = find_entry(reading, &*log, told.tenant, reference.uuid())?.ok_or(Problem::Internal)?;
    let post =
        Post { id: told.id, event: told.word.to_owned(), created_at: Time(entry.time), data: AuditEvent::of(entry) };
    written(&post)
}
