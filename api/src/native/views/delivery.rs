//! `/v1/execution`: who outside is told of which events, and what came of it.

use chancery_ledger::ids::ThingKind;
use chancery_projections::execution::delivery::rendering::RENDERINGS;
use chancery_projections::execution::delivery::state::DeliveryState;
use chancery_projections::execution::delivery::view::{
    self, DeliveryView, DestinationView, SubscriptionView, TriedView,
};
use chancery_projections::rejection::Rejection;
use chancery_projections::scope::Scope;
use hyper::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::{get, list, page, versioned};
use crate::delivery::{self, Posted, RequestView};
use crate::native::call::Call;
use crate::native::operation::{Access, Content, Form, Operation, Parameter, path, query};
use crate::problem::Problem;
use crate::response::{self, Response};

const DESTINATION_ID: Parameter =
    path("destination", Form::Id(ThingKind::Destination), "The destination's id, in any spelling.");
const SUBSCRIPTION_ID: Parameter =
    path("subscription", Form::Id(ThingKind::Subscription), "The subscription's id, in any spelling.");

/// `GET /v1/execution/destinations`.
pub const DESTINATIONS: Operation = list!(
    "listDestinations",
    "The tenant's destinations that are not removed.",
    DeliveryRead,
    [],
    DestinationView,
    destinations
);

/// `GET /v1/execution/destinations/{destination}`.
pub const DESTINATION: Operation =
    get!("getDestination", "A destination.", DeliveryRead, [DESTINATION_ID], DestinationView, destination);

/// `POST /v1/execution/destinations/{destination}/send-code`.
pub const SEND_CODE: Operation = Operation {
    id: "sendDestinationCode",
    summary: "Post a destination's code to it, once; whoever reads it there names it with `VerifyDestination`.",
    access: Access::Scope(Scope::DeliveryWrite),
    parameters: &[DESTINATION_ID],
    bodies: &[],
    answers: &[Content::json::<Posted>()],
    problems: &[404],
    handler: |call| Box::pin(send_code(call)),
};

/// `GET /v1/execution/subscriptions`.
pub const SUBSCRIPTIONS: Operation = list!(
    "listSubscriptions",
    "The tenant's subscriptions that are not over.",
    DeliveryRead,
    [query(
        "rendering",
        Form::OneOf(|| RENDERINGS.iter().map(|rendering| rendering.name).collect()),
        "Only those that tell events in these words."
    )],
    SubscriptionView,
    subscriptions
);

/// `GET /v1/execution/subscriptions/{subscription}`.
pub const SUBSCRIPTION: Operation =
    get!("getSubscription", "A subscription.", DeliveryRead, [SUBSCRIPTION_ID], SubscriptionView, subscription);

/// `GET /v1/execution/subscriptions/{subscription}/deliveries`.
pub const DELIVERIES: Operation = Operation {
    problems: &[404],
    ..list!(
        "listDeliveries",
        "The events that a subscription tells, and how far each has come.",
        DeliveryRead,
        [
            SUBSCRIPTION_ID,
            query(
                "state",
                Form::OneOf(|| DeliveryState::ALL.map(DeliveryState::name).to_vec()),
                "Only those that stand so."
            )
        ],
        DeliveryView,
        deliveries
    )
};

/// `GET /v1/execution/subscriptions/{subscription}/deliveries/{delivery}`.
pub const DELIVERY: Operation = get!(
    "getDelivery",
    "What a subscription posts of an event, and what every attempt was answered.",
    DeliveryRead,
    [SUBSCRIPTION_ID, path("delivery", Form::Text { max: 36 }, "The delivery's id.")],
    DeliveryLog,
    delivery
);

/// A delivery, what is posted, and what was answered.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct DeliveryLog {
    /// Where it stands.
    #[serde(flatten)]
    pub delivery: DeliveryView,
    /// What is posted.
    pub request: RequestView,
    /// Its attempts, oldest first: the newest hundred.
    pub tries: Vec<TriedView>,
}

/// Most attempts of one delivery that are shown.
const TRIES_MAX: usize = 100;

/// `POST /v1/execution/subscriptions/{subscription}/test`.
pub const TEST: Operation = Operation {
    id: "testSubscription",
    summary: "Post a test to a subscription's destinations, once, and say what came of it.",
    access: Access::Scope(Scope::DeliveryWrite),
    parameters: &[SUBSCRIPTION_ID],
    bodies: &[],
    answers: &[Content::json::<Posted>()],
    problems: &[404],
    handler: |call| Box::pin(test(call)),
};

async fn destinations(call: Call) -> Result<Response, Problem> {
    let (held, now) = call.held().await?;
    Ok(page(&view::destinations(&held.reading(call.app.opener(), now), call.tenant()?, &call.paging()?)?))
}

async fn destination(call: Call) -> Result<Response, Problem> {
    let (id, tenant) = (call.path_id("destination")?, call.tenant()?);
    let (held, now) = call.held().await?;
    let found = view::destination(&held.reading(call.app.opener(), now), tenant, id)?;
    versioned(found, "destination", |destination| destination.version)
}

async fn send_code(call: Call) -> Result<Response, Problem> {
    let posted = delivery::send_code(&call.app, call.tenant()?, call.path_id("destination")?).await?;
    Ok(response::json(StatusCode::OK, &posted))
}

async fn subscriptions(call: Call) -> Result<Response, Problem> {
    let (held, now) = call.held().await?;
    let reading = held.reading(call.app.opener(), now);
    Ok(page(&view::subscriptions(&reading, call.tenant()?, call.text("rendering"), &call.paging()?)?))
}

async fn subscription(call: Call) -> Result<Response, Problem> {
    let (id, tenant) = (call.path_id("subscription")?, call.tenant()?);
    let (held, now) = call.held().await?;
    let found = view::subscription(&held.reading(call.app.opener(), now), tenant, id)?;
    versioned(found, "subscription", |subscription| subscription.version)
}

async fn deliveries(call: Call) -> Result<Response, Problem> {
    let (id, tenant) = (call.path_id("subscription")?, call.tenant()?);
    let (held, now) = call.held().await?;
    let reading = held.reading(call.app.opener(), now);
    let found = view::subscription(&reading, tenant, id)?.ok_or(Rejection::NotFound { thing: "subscription" })?;
    let state = call.text("state").and_then(DeliveryState::from_name);
    Ok(page(&view::deliveries(&reading, &found, state, &call.paging()?)?))
}

async fn delivery(call: Call) -> Result<Response, Problem> {
    let (id, tenant) = (call.path_id("subscription")?, call.tenant()?);
    let missing = || Problem::from(Rejection::NotFound { thing: "delivery" });
    let named = call.text("delivery").and_then(|text| text.parse().ok()).and_then(view::parse_delivery_id);
    let (event, index) = named.ok_or_else(missing)?;
    let (held, now) = call.held().await?;
    let (found, delivery, tries) = {
        let reading = held.reading(call.app.opener(), now);
        let found = view::subscription(&reading, tenant, id)?.ok_or(Rejection::NotFound { thing: "subscription" })?;
        let delivery = view::delivery(&reading, &found, event, index)?.ok_or_else(missing)?;
        let tries = view::attempts(&reading, &found, event, index, TRIES_MAX)?;
        (found, delivery, tries)
    };
    let request = delivery::request(&call.app, tenant, &found, event, index).await?.ok_or_else(missing)?;
    Ok(response::json(StatusCode::OK, &DeliveryLog { delivery, request, tries }))
}

async fn test(call: Call) -> Result<Response, Problem> {
    let tested = delivery::test(&call.app, call.tenant()?, call.path_id("subscription")?).await?;
    Ok(response::json(StatusCode::OK, &tested.posted))
}
