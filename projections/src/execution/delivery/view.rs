//! What readers ask of destinations, subscriptions and deliveries, now and as of a past event; and what whoever sends asks,
//! now. Another tenant's thing is as one that does not exist.

use std::ops::ControlFlow;

use chancery_ledger::body::Kind;
use chancery_ledger::body::delivery::{Channel, DeliveryOutcome};
use chancery_ledger::event_ref::{EventRef, Lane};
use chancery_ledger::ids::{DestinationId, Seq, SubscriptionId, TenantId};
use chancery_ledger::shred::Encrypted;
use chancery_ledger::time::Micros;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::evolve::key;
use super::rendering::{Rendering, WORDS_MAX};
use super::state::{
    DELIVERIES, DELIVERIES_IN_STATE, DELIVERY_LIST, DESTINATION_LIST, DESTINATIONS, DESTINATIONS_KEPT, DUE, Delivery,
    DeliveryState, Destination, EARLIER, SUBSCRIPTION_LIST, SUBSCRIPTIONS, SUBSCRIPTIONS_LIVE, Subscription, Tried,
    failures,
};
use crate::identity::view::member;
use crate::rows::subset::Span;
use crate::rows::table::Versioned;
use crate::rows::{Order, Rows, RowsError, Scan};
use crate::view::{NumberedPage, Page, PageNumber, Paging, Reading, ViewError};

/// A destination; never its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DestinationView {
    /// Its id.
    pub id: DestinationId,
    /// Whose it is.
    pub tenant: TenantId,
    /// By which way it is reached.
    pub channel: Channel,
    /// Where it is; `null` when that was erased.
    pub url: Option<String>,
    /// Whether it can be used.
    pub verified: bool,
    /// How many subscriptions use it.
    pub subscriptions: u32,
    /// Since when.
    pub created: Micros,
    /// When it was removed.
    pub removed: Option<Micros>,
    /// The event that last changed it, for `If-Match`.
    pub version: Seq,
}

/// A subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SubscriptionView {
    /// Its id.
    pub id: SubscriptionId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its name, for people.
    pub name: Option<String>,
    /// In whose words events are told.
    pub rendering: String,
    /// Which events, in those words.
    pub events: Vec<String>,
    /// Where to.
    pub destinations: Vec<PlaceView>,
    /// Whether its destination is its own, and goes with it.
    pub own: bool,
    /// Whether events are told.
    pub active: bool,
    /// How many attempts failed since the last that did not.
    pub failures: u32,
    /// Since when.
    pub created: Micros,
    /// When it was changed last.
    pub updated: Micros,
    /// When it was over.
    pub ended: Option<Micros>,
    /// The event that last changed it, for `If-Match`.
    pub version: Seq,
}

/// Where a subscription's events go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PlaceView {
    /// The destination.
    pub id: DestinationId,
    /// Where it is; `null` when that was erased.
    pub url: Option<String>,
}

/// An event that is told by a subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DeliveryView {
    /// Its id: a reference to the event, the same for every attempt and every subscription.
    pub id: Uuid,
    /// The event.
    pub event: Seq,
    /// The word for it.
    pub word: &'static str,
    /// Where it stands.
    pub state: DeliveryState,
    /// How often it was tried since it was last asked for.
    pub attempts: u8,
    /// The HTTP status of the last attempt.
    pub status: Option<u16>,
    /// How long the last attempt took, in milliseconds.
    pub ms: Option<u32>,
    /// When the event was decided.
    pub created: Micros,
    /// When it was tried last.
    pub last: Option<Micros>,
    /// When it is tried again.
    pub next: Option<Micros>,
    /// What the last attempt was answered, its beginning, or why nothing was; `null` when the answer was empty, or erased.
    pub excerpt: Option<String>,
}

/// An attempt to tell an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TriedView {
    /// The how-manieth it was since it was asked for, from 1.
    pub attempt: u8,
    /// What came of it.
    pub outcome: DeliveryOutcome,
    /// The HTTP status that was answered; `null` when none was.
    pub status: Option<u16>,
    /// How long it took, in milliseconds.
    pub ms: u32,
    /// When it was over.
    pub at: Micros,
    /// What was answered, its beginning, or why nothing was; `null` when the answer was empty, or erased.
    pub excerpt: Option<String>,
}

/// A destination of a tenant, also one that was removed.
///
/// # Errors
/// [`ViewError`] when view or keys cannot be read.
pub fn destination(
    reading: &Reading<'_>, tenant: TenantId, id: DestinationId,
) -> Result<Option<DestinationView>, ViewError> {
    let found = DESTINATIONS.get_versioned(reading.execution, id)?.filter(|it| it.value.tenant == tenant);
    let Some(Versioned { seq, value }) = found else { return Ok(None) };
    Ok(Some(DestinationView {
        id,
        tenant,
        channel: value.channel,
        url: url(reading, &value)?,
        verified: value.verified,
        subscriptions: value.users,
        created: value.created,
        removed: value.removed,
        version: seq,
    }))
}

/// The destinations of a tenant that are not removed.
///
/// # Errors
/// [`ViewError`] when view or keys cannot be read.
pub fn destinations(
    reading: &Reading<'_>, tenant: TenantId, paging: &Paging,
) -> Result<Page<DestinationView>, ViewError> {
    let rows = reading.execution;
    let length = DESTINATION_LIST.len(rows, tenant)?;
    paging.within(&DESTINATIONS_KEPT, rows, tenant, length, |ordinal| {
        destination(reading, tenant, member(DESTINATION_LIST.get(rows, tenant, ordinal)?)?)
    })
}

/// A subscription of a tenant, also one that is over.
///
/// # Errors
/// [`ViewError`] when view or keys cannot be read.
pub fn subscription(
    reading: &Reading<'_>, tenant: TenantId, id: SubscriptionId,
) -> Result<Option<SubscriptionView>, ViewError> {
    let found = SUBSCRIPTIONS.get_versioned(reading.execution, id)?.filter(|it| it.value.tenant == tenant);
    match found {
        Some(Versioned { seq, value }) => Ok(Some(subscription_view(reading, value, seq)?)),
        None => Ok(None),
    }
}

/// A subscription as readers see it, from its row.
///
/// # Errors
/// [`ViewError`] when view or keys cannot be read.
pub fn subscription_view(
    reading: &Reading<'_>, row: Subscription, version: Seq,
) -> Result<SubscriptionView, ViewError> {
    let mut places = Vec::new();
    for id in row.destinations {
        let found = DESTINATIONS.get(reading.execution, id)?;
        let url = found.map_or(Ok(None), |found| url(reading, &found))?;
        places.push(PlaceView { id, url });
    }
    Ok(SubscriptionView {
        id: row.subscription,
        tenant: row.tenant,
        name: row.name,
        rendering: row.rendering,
        events: row.kinds,
        destinations: places,
        own: row.own,
        active: !row.disabled && row.ended.is_none(),
        failures: failures(reading.execution, row.subscription)?,
        created: row.created,
        updated: row.updated,
        ended: row.ended,
        version,
    })
}

/// The subscriptions of a tenant that are not over: of one rendering, or of all.
///
/// # Errors
/// [`ViewError`] when view or keys cannot be read.
pub fn subscriptions(
    reading: &Reading<'_>, tenant: TenantId, rendering: Option<&str>, paging: &Paging,
) -> Result<Page<SubscriptionView>, ViewError> {
    let rows = reading.execution;
    let length = SUBSCRIPTION_LIST.len(rows, tenant)?;
    paging.within(&SUBSCRIPTIONS_LIVE, rows, (tenant, rendering.unwrap_or_default()), length, |ordinal| {
        subscription(reading, tenant, member(SUBSCRIPTION_LIST.get(rows, tenant, ordinal)?)?)
    })
}

/// A page, by number, of the subscriptions of a tenant in one rendering that are not over.
///
/// # Errors
/// [`ViewError`] when view or keys cannot be read.
pub fn numbered_subscriptions(
    reading: &Reading<'_>, tenant: TenantId, rendering: &str, page: PageNumber,
) -> Result<NumberedPage<SubscriptionView>, ViewError> {
    let rows = reading.execution;
    let (list, length) = ((tenant, rendering), SUBSCRIPTION_LIST.len(rows, tenant)?);
    let mut items = Vec::new();
    for ordinal in SUBSCRIPTIONS_LIVE.page(rows, list, length, page.span())? {
        items.extend(subscription(reading, tenant, member(SUBSCRIPTION_LIST.get(rows, tenant, ordinal)?)?)?);
    }
    Ok(NumberedPage { items, total: SUBSCRIPTIONS_LIVE.len(rows, list, length)? })
}

/// The deliveries of a subscription that the caller has found: those that stand somewhere, or all.
///
/// # Errors
/// [`ViewError`] when view or keys cannot be read.
pub fn deliveries(
    reading: &Reading<'_>, subscription: &SubscriptionView, state: Option<DeliveryState>, paging: &Paging,
) -> Result<Page<DeliveryView>, ViewError> {
    let (rows, id) = (reading.execution, subscription.id);
    let length = DELIVERY_LIST.len(rows, id)?;
    let pick = |ordinal| {
        let (event, index) = member(DELIVERY_LIST.get(rows, id, ordinal)?)?;
        delivery(reading, subscription, event, index)
    };
    match state {
        Some(state) => paging.within(&DELIVERIES_IN_STATE, rows, (id, state.code()), length, pick),
        None => paging.over(length, pick),
    }
}

/// A page of them by number.
///
/// # Errors
/// [`ViewError`] when view or keys cannot be read.
pub fn numbered_deliveries(
    reading: &Reading<'_>, subscription: &SubscriptionView, state: Option<DeliveryState>, page: PageNumber,
) -> Result<NumberedPage<DeliveryView>, ViewError> {
    let (rows, id) = (reading.execution, subscription.id);
    let length = DELIVERY_LIST.len(rows, id)?;
    let (told, total) = match state {
        Some(state) => {
            let list = (id, state.code());
            let mut told = Vec::new();
            for ordinal in DELIVERIES_IN_STATE.page(rows, list, length, page.span())? {
                told.push(member(DELIVERY_LIST.get(rows, id, ordinal)?)?);
            }
            (told, DELIVERIES_IN_STATE.len(rows, list, length)?)
        }
        None => {
            let found = DELIVERY_LIST.page(rows, id, Order::Descending, page.skip(), page.size)?;
            (found.into_iter().map(|(_, told)| told).collect(), length)
        }
    };
    let mut items = Vec::new();
    for (event, index) in told {
        items.extend(delivery(reading, subscription, event, index)?);
    }
    Ok(NumberedPage { items, total })
}

/// A delivery of a subscription that the caller has found, by its event and which of the event's words it is.
///
/// # Errors
/// [`ViewError`] when view or keys cannot be read.
pub fn delivery(
    reading: &Reading<'_>, subscription: &SubscriptionView, event: Seq, index: u8,
) -> Result<Option<DeliveryView>, ViewError> {
    let Some(row) = DELIVERIES.get(reading.execution, (subscription.id, event.0, index))? else { return Ok(None) };
    let excerpt = match row.last.as_ref().and_then(|last| last.excerpt.as_ref()) {
        Some(excerpt) => open_excerpt(reading, subscription.tenant, excerpt)?,
        None => None,
    };
    let last = row.last.as_ref();
    Ok(Some(DeliveryView {
        id: delivery_id(&row),
        event,
        word: Rendering::find(&subscription.rendering).map_or("", |rendering| rendering.word(row.code)),
        state: row.state,
        attempts: row.attempts,
        status: last.and_then(|last| last.status),
        ms: last.map(|last| last.ms),
        created: row.created,
        last: last.map(|last| last.at),
        next: row.next,
        excerpt,
    }))
}

/// The attempts of a delivery of a subscription that the caller has found: the newest `limit`, oldest first.
///
/// # Errors
/// [`ViewError`] when view or keys cannot be read.
pub fn attempts(
    reading: &Reading<'_>, subscription: &SubscriptionView, event: Seq, index: u8, limit: usize,
) -> Result<Vec<TriedView>, ViewError> {
    let (rows, key) = (reading.execution, (subscription.id, event.0, index));
    let Some(last) = DELIVERIES.get(rows, key)?.and_then(|row| row.last) else { return Ok(Vec::new()) };
    let earlier = EARLIER.page(rows, key, Order::Descending, 0, limit.saturating_sub(1))?;
    let mut found = Vec::new();
    for Tried { attempt, outcome, status, ms, at, excerpt } in
        earlier.into_iter().rev().map(|(_, tried)| tried).chain([last])
    {
        let excerpt = match &excerpt {
            Some(excerpt) => open_excerpt(reading, subscription.tenant, excerpt)?,
            None => None,
        };
        found.push(TriedView { attempt, outcome, status, ms, at, excerpt });
    }
    Ok(found)
}

fn open_excerpt(reading: &Reading<'_>, tenant: TenantId, excerpt: &Encrypted) -> Result<Option<String>, ViewError> {
    Ok(reading.opener.open(tenant, Kind::DeliveriesRecorded, "excerpt", excerpt)?)
}

/// The id of a delivery, the same for every attempt.
#[must_use]
pub fn delivery_id(row: &Delivery) -> Uuid {
    EventRef::new(row.created, row.event, Lane::Delivery, u16::from(row.index)).uuid()
}

/// The event that a delivery's id refers to, and which of the event's words; `None` when it is no such id.
#[must_use]
pub fn parse_delivery_id(id: Uuid) -> Option<(Seq, u8)> {
    let reference = EventRef::from_uuid(id).filter(|reference| reference.lane == Lane::Delivery)?;
    Some((reference.seq, u8::try_from(reference.index).ok()?))
}

/// Whether a subscription told an event, tried to, or is to.
///
/// # Errors
/// [`RowsError`] when the view cannot be read.
pub fn is_told(rows: &dyn Rows, subscription: SubscriptionId, event: Seq) -> Result<bool, RowsError> {
    for index in 0..WORDS_MAX as u8 {
        if DELIVERIES.get(rows, (subscription, event.0, index))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// How many deliveries of a tenant's subscriptions stand somewhere; of subscriptions that are not over.
///
/// # Errors
/// [`RowsError`] when the view cannot be read.
pub fn count_deliveries(rows: &dyn Rows, tenant: TenantId, state: DeliveryState) -> Result<u64, RowsError> {
    let length = SUBSCRIPTION_LIST.len(rows, tenant)?;
    let span = Span { order: Order::Ascending, after: None, skip: 0, limit: super::decide::SUBSCRIPTIONS_MAX as usize };
    let mut count = 0;
    for ordinal in SUBSCRIPTIONS_LIVE.page(rows, (tenant, ""), length, span)? {
        let id = member(SUBSCRIPTION_LIST.get(rows, tenant, ordinal)?)?;
        count += DELIVERIES_IN_STATE.len(rows, (id, state.code()), DELIVERY_LIST.len(rows, id)?)?;
    }
    Ok(count)
}

/// Who has something to tell now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Due {
    /// Subscriptions whose next delivery is due, the longest due first, those that are slow behind the others.
    pub now: Vec<DueNow>,
    /// When the first one is due that is not yet; of those of which more are due now than were asked for, none counts.
    pub later: Option<Micros>,
}

/// A subscription whose next delivery is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueNow {
    /// Whose it is.
    pub tenant: TenantId,
    /// Which.
    pub subscription: SubscriptionId,
    /// Whether its last attempt failed, or took long.
    pub is_slow: bool,
}

/// Subscriptions whose next delivery is due by `now`: at most `limit` that are slow, and as many that are not.
///
/// # Errors
/// [`RowsError`] when the view cannot be read.
pub fn due(rows: &dyn Scan, now: Micros, limit: usize) -> Result<Due, RowsError> {
    let mut due = Due::default();
    for is_slow in [false, true] {
        let mut count = 0;
        DUE.visit(rows, u8::from(is_slow), None, Order::Ascending, &mut |rest, tenant| {
            let Some((time, id)) = rest.split_first_chunk::<8>() else { return ControlFlow::Continue(()) };
            let time = u64::from_be_bytes(*time);
            if time > key(now) {
                let time = i64::try_from(time).ok().map(Micros);
                due.later = [due.later, time].into_iter().flatten().min();
                return ControlFlow::Break(());
            }
            if count == limit {
                return ControlFlow::Break(());
            }
            count += 1;
            let found = Uuid::from_slice(id).ok();
            due.now.extend(found.map(|id| DueNow { tenant, subscription: SubscriptionId(id), is_slow }));
            ControlFlow::Continue(())
        })?;
    }
    Ok(due)
}

/// A subscription's deliveries that are not settled, in the order of the log.
///
/// # Errors
/// [`RowsError`] when the view cannot be read.
pub fn unsettled(rows: &dyn Rows, subscription: SubscriptionId, limit: usize) -> Result<Vec<Delivery>, RowsError> {
    let length = DELIVERY_LIST.len(rows, subscription)?;
    let span = Span { order: Order::Ascending, after: None, skip: 0, limit };
    let mut ordinals = Vec::new();
    for state in [DeliveryState::Pending, DeliveryState::Failed] {
        ordinals.extend(DELIVERIES_IN_STATE.page(rows, (subscription, state.code()), length, span)?);
    }
    ordinals.sort_unstable();
    let mut found = Vec::new();
    for ordinal in ordinals.into_iter().take(limit) {
        let (event, index) = member(DELIVERY_LIST.get(rows, subscription, ordinal)?)?;
        let row = DELIVERIES.get(rows, (subscription, event.0, index))?;
        found.push(row.ok_or(RowsError::Missing("a delivery"))?);
    }
    Ok(found)
}

fn url(reading: &Reading<'_>, row: &Destination) -> Result<Option<String>, ViewError> {
    Ok(reading.opener.open(row.tenant, Kind::DestinationAdded, "address", &row.address)?)
}
