//! Webhooks and their deliveries (contract section 11, rows 30 to 35), and what is posted to them.

use chancery_ledger::ids::SubscriptionId;
use chancery_projections::execution::delivery::view::{DeliveryView, SubscriptionView};
use serde::Serialize;
use uuid::Uuid;

use super::Time;
use super::audit::AuditEvent;

/// A webhook: a subscription with a destination of its own.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    id: SubscriptionId,
    name: Option<String>,
    url: String,
    events: Vec<String>,
    active: bool,
    created_at: Time,
    updated_at: Time,
}

impl From<SubscriptionView> for Webhook {
    fn from(view: SubscriptionView) -> Self {
        Self {
            id: view.id,
            name: view.name,
            // An address that was erased is empty, because a webhook must have one.
            url: view.destinations.into_iter().next().and_then(|place| place.url).unwrap_or_default(),
            events: view.events,
            active: view.active,
            created_at: Time(view.created),
            updated_at: Time(view.updated),
        }
    }
}

/// An event on its way to a webhook.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    id: Uuid,
    event: &'static str,
    status: &'static str,
    attempts: u8,
    response_status: Option<u16>,
    created_at: Time,
    last_attempt_at: Option<Time>,
    next_attempt_at: Option<Time>,
}

impl From<DeliveryView> for Delivery {
    fn from(view: DeliveryView) -> Self {
        Self {
            id: view.id,
            event: view.word,
            status: view.state.name(),
            attempts: view.attempts,
            response_status: view.status,
            created_at: Time(view.created),
            last_attempt_at: view.last.map(Time),
            next_attempt_at: view.next.map(Time),
        }
    }
}

/// What is posted to a webhook.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Post {
    /// The delivery's id, the same in every attempt.
    pub id: Uuid,
    /// The event's type.
    pub event: String,
    /// When it happened.
    pub created_at: Time,
    /// The audit event that it is.
    pub data: AuditEvent,
}
