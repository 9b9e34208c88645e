//! State and event to state. No rules here: replay must never be able to refuse the past.

use std::collections::BTreeMap;

use chancery_ledger::body::delivery::{
    DeliveriesRecorded, DeliveryItem, DeliveryOutcome, DestinationAdded, SubscriptionChanged, SubscriptionCreated,
};
use chancery_ledger::body::field::JsonText;
use chancery_ledger::event::Event;
use chancery_ledger::ids::{DestinationId, SubscriptionId, TenantId};
use chancery_ledger::shred::Encrypted;
use chancery_ledger::time::Micros;
use serde::de::DeserializeOwned;

use super::rendering::Rendering;
use super::state::{
    COUNTS, Counts, DELIVERIES, DELIVERIES_IN_STATE, DELIVERY_LIST, DESTINATION_LIST, DESTINATIONS, DESTINATIONS_KEPT,
    DUE, Delivery, DeliveryState, Destination, LISTENERS, Listener, SUBSCRIPTION_LIST, SUBSCRIPTIONS,
    SUBSCRIPTIONS_LIVE, Secret, Subscription, TURNS, counts,
};
use super::view;
use crate::rows::{RowsError, RowsMut};

/// The fields that a subscription's changes have.
pub mod fields {
    /// [`super::Subscription::name`]
    pub const NAME: &str = "name";
    /// [`super::Subscription::destinations`]
    pub const DESTINATIONS: &str = "destinations";
    /// [`super::Subscription::kinds`]
    pub const KINDS: &str = "kinds";
    /// [`super::Subscription::disabled`]
    pub const DISABLED: &str = "disabled";
}

/// Notes for every subscription of an event's tenant whether it is to tell the event. An event that makes, changes or ends
/// a subscription is told as it was before.
pub(in crate::execution) fn tell(rows: &mut dyn RowsMut, event: &Event) -> Result<(), RowsError> {
    // Deciders ask nothing about deliveries.
    if rows.is_for_deciders() {
        return Ok(());
    }
    let Some(listeners) = LISTENERS.get(&*rows, event.tenant)? else { return Ok(()) };
    for Listener { subscription, rendering, codes } in listeners {
        let Some(rendering) = Rendering::find(&rendering) else { continue };
        let Some(code) = rendering.code_of(&*rows, event)?.filter(|code| codes.contains(code)) else { continue };
        let ordinal = DELIVERY_LIST.append(rows, subscription, &event.seq)?;
        let delivery = Delivery {
            event: event.seq,
            ordinal,
            code,
            created: event.time,
            state: DeliveryState::Pending,
            attempts: 0,
            status: None,
            last: None,
            next: None,
            excerpt: None,
        };
        DELIVERIES.put(rows, (subscription, event.seq.0), &delivery)?;
        let list = (subscription, DeliveryState::Pending.code());
        DELIVERIES_IN_STATE.enter(rows, list, ordinal, ordinal, Micros::MAX)?;
        // Whoever waits already waits for one before this.
        if TURNS.get(&*rows, subscription)?.is_none() {
            set_turn(rows, event.tenant, subscription, Some(event.time))?;
        }
    }
    Ok(())
}

pub(in crate::execution) fn destination_added(
    rows: &mut dyn RowsMut, event: &Event, it: &DestinationAdded,
) -> Result<(), RowsError> {
    let ordinal = DESTINATION_LIST.append(rows, event.tenant, &it.destination)?;
    let destination = Destination {
        destination: it.destination,
        tenant: event.tenant,
        ordinal,
        channel: it.channel,
        address: it.address.clone(),
        secret: Secret::Added(it.secret.clone()),
        code: it.code.clone(),
        verified: it.verified,
        users: 0,
        created: event.time,
        removed: None,
    };
    DESTINATIONS.put(rows, it.destination, &destination)?;
    DESTINATIONS_KEPT.enter(rows, event.tenant, ordinal, ordinal, Micros::MAX)?;
    count(rows, event.tenant, |counts| counts.destinations += 1)
}

pub(in crate::execution) fn destination_verified(rows: &mut dyn RowsMut, id: DestinationId) -> Result<(), RowsError> {
    DESTINATIONS.update(rows, id, "a destination", |it| (it.verified, it.code) = (true, None))?;
    Ok(())
}

pub(in crate::execution) fn secret_rotated(
    rows: &mut dyn RowsMut, id: DestinationId, secret: &Encrypted,
) -> Result<(), RowsError> {
    DESTINATIONS.update(rows, id, "a destination", |it| it.secret = Secret::Rotated(secret.clone()))?;
    Ok(())
}

pub(in crate::execution) fn destination_removed(
    rows: &mut dyn RowsMut, event: &Event, id: DestinationId,
) -> Result<(), RowsError> {
    let destination = DESTINATIONS.update(rows, id, "a destination", |it| it.removed = Some(event.time))?;
    let length = DESTINATION_LIST.len(&*rows, destination.tenant)?;
    DESTINATIONS_KEPT.leave(rows, destination.tenant, length, destination.ordinal)?;
    count(rows, destination.tenant, |counts| counts.destinations = counts.destinations.saturating_sub(1))
}

pub(in crate::execution) fn created(
    rows: &mut dyn RowsMut, event: &Event, it: &SubscriptionCreated,
) -> Result<(), RowsError> {
    let ordinal = SUBSCRIPTION_LIST.append(rows, event.tenant, &it.subscription)?;
    let subscription = Subscription {
        subscription: it.subscription,
        tenant: event.tenant,
        ordinal,
        name: it.name.clone(),
        destinations: it.destinations.clone(),
        own: it.own,
        kinds: it.kinds.clone(),
        rendering: it.rendering.clone(),
        disabled: it.disabled,
        created: event.time,
        updated: event.time,
        ended: None,
    };
    SUBSCRIPTIONS.put(rows, it.subscription, &subscription)?;
    for list in ["", &subscription.rendering] {
        SUBSCRIPTIONS_LIVE.enter(rows, (event.tenant, list), ordinal, ordinal, Micros::MAX)?;
    }
    use_destinations(rows, &[], &subscription.destinations)?;
    count(rows, event.tenant, |counts| counts.subscriptions += 1)?;
    listen(rows, &subscription)
}

pub(in crate::execution) fn changed(
    rows: &mut dyn RowsMut, event: &Event, it: &SubscriptionChanged,
) -> Result<(), RowsError> {
    let mut before = Vec::new();
    let subscription = SUBSCRIPTIONS.update(rows, it.subscription, "a subscription", |subscription| {
        before = subscription.destinations.clone();
        subscription.updated = event.time;
        set(&it.changes, fields::NAME, &mut subscription.name);
        set(&it.changes, fields::DESTINATIONS, &mut subscription.destinations);
        set(&it.changes, fields::KINDS, &mut subscription.kinds);
        set(&it.changes, fields::DISABLED, &mut subscription.disabled);
    })?;
    use_destinations(rows, &before, &subscription.destinations)?;
    listen(rows, &subscription)?;
    take_turn(rows, subscription.tenant, subscription.subscription)
}

pub(in crate::execution) fn ended(rows: &mut dyn RowsMut, event: &Event, id: SubscriptionId) -> Result<(), RowsError> {
    let subscription = SUBSCRIPTIONS.update(rows, id, "a subscription", |it| it.ended = Some(event.time))?;
    let length = SUBSCRIPTION_LIST.len(&*rows, subscription.tenant)?;
    for list in ["", &subscription.rendering] {
        SUBSCRIPTIONS_LIVE.leave(rows, (subscription.tenant, list), length, subscription.ordinal)?;
    }
    use_destinations(rows, &subscription.destinations, &[])?;
    count(rows, subscription.tenant, |counts| counts.subscriptions = counts.subscriptions.saturating_sub(1))?;
    listen(rows, &subscription)?;
    take_turn(rows, subscription.tenant, subscription.subscription)
}

pub(in crate::execution) fn tenant_deleted(rows: &mut dyn RowsMut, tenant: TenantId) -> Result<(), RowsError> {
    if rows.is_for_deciders() {
        return Ok(());
    }
    for Listener { subscription, .. } in LISTENERS.get(&*rows, tenant)?.unwrap_or_default() {
        set_turn(rows, tenant, subscription, None)?;
    }
    LISTENERS.delete(rows, tenant)
}

pub(in crate::execution) fn recorded(
    rows: &mut dyn RowsMut, event: &Event, it: &DeliveriesRecorded,
) -> Result<(), RowsError> {
    if rows.is_for_deciders() {
        return Ok(());
    }
    let last = it.items.len().saturating_sub(1);
    let length = DELIVERY_LIST.len(&*rows, it.subscription)?;
    for (at, item) in it.items.iter().enumerate() {
        let Some(told) = item.event else { continue };
        let Some(mut delivery) = DELIVERIES.get(&*rows, (it.subscription, told.0))? else { continue };
        let before = delivery.state;
        if !settle(&mut delivery, item, it.excerpt.as_ref().filter(|_| at == last)) {
            continue;
        }
        DELIVERIES.put(rows, (it.subscription, told.0), &delivery)?;
        if before != delivery.state {
            let (left, entered) = (before.code(), delivery.state.code());
            DELIVERIES_IN_STATE.leave(rows, (it.subscription, left), length, delivery.ordinal)?;
            let list = (it.subscription, entered);
            DELIVERIES_IN_STATE.enter(rows, list, length, delivery.ordinal, Micros::MAX)?;
        }
    }
    take_turn(rows, event.tenant, it.subscription)
}

/// What an attempt makes of a delivery; `false` when it changes nothing.
fn settle(delivery: &mut Delivery, item: &DeliveryItem, excerpt: Option<&Encrypted>) -> bool {
    delivery.state = match item.outcome {
        DeliveryOutcome::Requested if !delivery.state.is_settled() => return false,
        DeliveryOutcome::Requested => {
            (delivery.attempts, delivery.next) = (0, None);
            delivery.state = DeliveryState::Pending;
            return true;
        }
        DeliveryOutcome::Delivered => DeliveryState::Delivered,
        DeliveryOutcome::Failed => DeliveryState::Failed,
        DeliveryOutcome::DeadLetter => DeliveryState::DeadLetter,
    };
    delivery.attempts = item.attempt;
    delivery.status = item.status;
    delivery.last = Some(item.at);
    delivery.next = item.next;
    delivery.excerpt = excerpt.cloned();
    true
}

/// Finds out anew when a subscription's next delivery is due.
fn take_turn(rows: &mut dyn RowsMut, tenant: TenantId, subscription: SubscriptionId) -> Result<(), RowsError> {
    if rows.is_for_deciders() {
        return Ok(());
    }
    let listeners = LISTENERS.get(&*rows, tenant)?.unwrap_or_default();
    // Nothing is sent while nobody listens, though it stays pending.
    let next = if listeners.iter().any(|listener| listener.subscription == subscription) {
        view::unsettled(&*rows, subscription, 1)?.pop()
    } else {
        None
    };
    set_turn(rows, tenant, subscription, next.map(|delivery| delivery.next.unwrap_or(delivery.created)))
}

fn set_turn(
    rows: &mut dyn RowsMut, tenant: TenantId, subscription: SubscriptionId, due: Option<Micros>,
) -> Result<(), RowsError> {
    let before = TURNS.get(&*rows, subscription)?;
    if before == due {
        return Ok(());
    }
    if let Some(before) = before {
        DUE.delete(rows, (key(before), subscription))?;
    }
    match due {
        Some(due) => {
            TURNS.put(rows, subscription, &due)?;
            DUE.put(rows, (key(due), subscription), &tenant)
        }
        None => TURNS.delete(rows, subscription),
    }
}

/// A time as the part of a key of [`DUE`].
pub(super) fn key(time: Micros) -> u64 {
    u64::try_from(time.0).unwrap_or(0)
}

/// Puts a subscription among those that are told events, or takes it from among them.
fn listen(rows: &mut dyn RowsMut, subscription: &Subscription) -> Result<(), RowsError> {
    if rows.is_for_deciders() {
        return Ok(());
    }
    let before = LISTENERS.get(&*rows, subscription.tenant)?.unwrap_or_default();
    let mut listeners = before.clone();
    listeners.retain(|listener| listener.subscription != subscription.subscription);
    if !subscription.disabled
        && subscription.ended.is_none()
        && let Some(rendering) = Rendering::find(&subscription.rendering)
    {
        listeners.push(Listener {
            subscription: subscription.subscription,
            rendering: subscription.rendering.clone(),
            codes: subscription.kinds.iter().filter_map(|word| rendering.code(word)).collect(),
        });
    }
    if listeners == before {
        return Ok(());
    }
    if listeners.is_empty() {
        return LISTENERS.delete(rows, subscription.tenant);
    }
    LISTENERS.put(rows, subscription.tenant, &listeners)
}

/// Counts a subscription among the users of destinations, and no more among those of others.
fn use_destinations(
    rows: &mut dyn RowsMut, before: &[DestinationId], after: &[DestinationId],
) -> Result<(), RowsError> {
    for id in before.iter().filter(|id| !after.contains(id)) {
        DESTINATIONS.update(rows, *id, "a destination", |it| it.users = it.users.saturating_sub(1))?;
    }
    for id in after.iter().filter(|id| !before.contains(id)) {
        DESTINATIONS.update(rows, *id, "a destination", |it| it.users += 1)?;
    }
    Ok(())
}

fn count(rows: &mut dyn RowsMut, tenant: TenantId, change: impl FnOnce(&mut Counts)) -> Result<(), RowsError> {
    let mut counts = counts(&*rows, tenant)?;
    change(&mut counts);
    COUNTS.put(rows, tenant, &counts)
}

/// Takes a changed field over. What is no such value was written by no decider, and changes nothing.
fn set<T: DeserializeOwned>(changes: &BTreeMap<String, JsonText>, field: &str, to: &mut T) {
    if let Some(value) = changes.get(field).and_then(|text| serde_json::from_str(text.as_str()).ok()) {
        *to = value;
    }
}
