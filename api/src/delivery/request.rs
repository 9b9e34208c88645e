//! What a delivery posts, for the delivery log: made anew from the log, as it was posted.

use std::collections::BTreeMap;

use chancery_ledger::ids::{Seq, TenantId};
use chancery_projections::execution::delivery::rendering::Rendering;
use chancery_projections::execution::delivery::state::DELIVERIES;
use chancery_projections::execution::delivery::view::{SubscriptionView, delivery_id};
use chancery_projections::views::View;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::form::{Form, IdOf, Post};
use super::turn::body;
use crate::app::App;
use crate::problem::Problem;

/// What a delivery posts.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct RequestView {
    /// The header fields that are the same in every attempt; signature, time and the attempt's own id are not among them.
    pub headers: BTreeMap<String, String>,
    /// The body's text, which the signature covers.
    pub body: String,
}

/// What the delivery of an event posts, by which of the event's words it is; `None` when the subscription does not tell it.
///
/// # Errors
/// Those of reading views and log.
pub async fn request(
    app: &App, tenant: TenantId, subscription: &SubscriptionView, event: Seq, index: u8,
) -> Result<Option<RequestView>, Problem> {
    let rows = app.views().get(View::Execution).store.snapshot();
    let found = Form::of(&subscription.rendering).zip(Rendering::find(&subscription.rendering));
    let Some((form, rendering)) = found else { return Ok(None) };
    let Some(delivery) = DELIVERIES.get(&rows, (subscription.id, event.0, index))? else { return Ok(None) };
    let word = rendering.word(delivery.code);
    let bytes = body(app, tenant, form, &delivery, word).await?;
    let body = String::from_utf8(bytes.to_vec()).map_err(|_| Problem::Internal)?;
    let post = Post { id: delivery_id(&delivery), attempt: Uuid::nil(), word, at: delivery.created };
    let is_same = |name: &str| {
        let is_attempts = form.id_of == IdOf::Attempt && name == form.id;
        !is_attempts && form.time != Some(name)
    };
    let fields = form.headers(&post);
    let headers = fields
        .iter()
        .filter(|(name, _)| is_same(name.as_str()))
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
        .collect();
    Ok(Some(RequestView { headers, body }))
}
