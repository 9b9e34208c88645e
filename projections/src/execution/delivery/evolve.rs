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

use super::rendering::{EVERY_CODE, RENDERINGS, Rendering, WORDS_MAX};
use super::state::{
    COUNTS, Counts, DELIVERIES, DELIVERIES_IN_STATE, DELIVERY_LIST, DESTINATION_LIST, DESTINATIONS, DESTINATIONS_KEPT,
    DUE, Delivery, DeliveryState, Destination, EARLIER, FAILURES, LISTENERS, LISTENING, SLOW, SLOW_MILLIS, STANDINGS,
    SUBSCRIPTION_LIST, SUBSCRIPTIONS, SUBSCRIPTIONS_LIVE, Secret, Subscription, TURNS, Tried, Turn, counts, failures,
};
use super::view;
use crate::identity::view::member;
use crate::rows::subset::Span;
use crate::rows::{Order, RowsError, RowsMut};
use crate::trust::evolve::{Scored, standing};

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

/// Notes for every subscription that is to tell an event that it is: of the event's tenant, and of whose agent it scored.
/// An event that makes, changes or ends a subscription is told as it was before.
pub(in crate::execution) fn tell(rows: &mut dyn RowsMut, event: &Event) -> Result<(), RowsError> {
    // Deciders ask nothing about deliveries.
    if rows.is_for_deciders() {
        return Ok(());
    }
    let scored = standing(&STANDINGS, rows, event)?;
    tell_tenant(rows, event, scored.as_ref(), event.tenant)?;
    let owner = scored.as_ref().map(|it| it.record.tenant).filter(|owner| *owner != event.tenant);
    owner.map_or(Ok(()), |owner| tell_tenant(rows, event, scored.as_ref(), owner))
}

fn tell_tenant(
    rows: &mut dyn RowsMut, event: &Event, scored: Option<&Scored>, tenant: TenantId,
) -> Result<(), RowsError> {
    if counts(&*rows, tenant)?.subscriptions == 0 {
        return Ok(());
    }
    for rendering in RENDERINGS {
        let codes = rendering.codes_of(&*rows, event, scored, tenant)?;
        for (index, code) in (0..).zip(codes) {
            for heard in [code, EVERY_CODE] {
                let listeners = LISTENERS.get(&*rows, (tenant, rendering.name, heard))?;
                for subscription in listeners.unwrap_or_default() {
                    await_delivery(rows, event, tenant, subscription, (index, code))?;
                }
            }
        }
    }
    Ok(())
}

fn await_delivery(
    rows: &mut dyn RowsMut, event: &Event, tenant: TenantId, subscription: SubscriptionId, (index, code): (u8, u16),
) -> Result<(), RowsError> {
    let ordinal = DELIVERY_LIST.append(rows, subscription, &(event.seq, index))?;
    let delivery = Delivery {
        event: event.seq,
        index,
        ordinal,
        code,
        created: event.time,
        state: DeliveryState::Pending,
        attempts: 0,
        next: None,
        last: None,
    };
    put(rows, subscription, &delivery)?;
    let list = (subscription, DeliveryState::Pending.code());
    DELIVERIES_IN_STATE.enter(rows, list, ordinal, ordinal, Micros::MAX)?;
    // Whoever waits already waits for one before this.
    if TURNS.get(&*rows, subscription)?.is_none() {
        set_turn(rows, tenant, subscription, Some(event.time))?;
    }
    Ok(())
}

fn put(rows: &mut dyn RowsMut, subscription: SubscriptionId, it: &Delivery) -> Result<(), RowsError> {
    DELIVERIES.put(rows, (subscription, it.event.0, it.index), it)
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
    listen(rows, None, &subscription)
}

pub(in crate::execution) fn changed(
    rows: &mut dyn RowsMut, event: &Event, it: &SubscriptionChanged,
) -> Result<(), RowsError> {
    let mut before = None;
    let subscription = SUBSCRIPTIONS.update(rows, it.subscription, "a subscription", |subscription| {
        before = Some(subscription.clone());
        subscription.updated = event.time;
        set(&it.changes, fields::NAME, &mut subscription.name);
        set(&it.changes, fields::DESTINATIONS, &mut subscription.destinations);
        set(&it.changes, fields::KINDS, &mut subscription.kinds);
        set(&it.changes, fields::DISABLED, &mut subscription.disabled);
    })?;
    let used = before.as_ref().map_or(&[][..], |before| &before.destinations);
    use_destinations(rows, used, &subscription.destinations)?;
    if it.changes.contains_key(fields::DISABLED) && !subscription.disabled {
        FAILURES.delete(rows, it.subscription)?;
    }
    listen(rows, before.as_ref(), &subscription)?;
    take_turn(rows, subscription.tenant, subscription.subscription)
}

pub(in crate::execution) fn ended(rows: &mut dyn RowsMut, event: &Event, id: SubscriptionId) -> Result<(), RowsError> {
    let mut before = None;
    let subscription = SUBSCRIPTIONS.update(rows, id, "a subscription", |it| {
        before = Some(it.clone());
        it.ended = Some(event.time);
    })?;
    let length = SUBSCRIPTION_LIST.len(&*rows, subscription.tenant)?;
    for list in ["", &subscription.rendering] {
        SUBSCRIPTIONS_LIVE.leave(rows, (subscription.tenant, list), length, subscription.ordinal)?;
    }
    use_destinations(rows, &subscription.destinations, &[])?;
    count(rows, subscription.tenant, |counts| counts.subscriptions = counts.subscriptions.saturating_sub(1))?;
    listen(rows, before.as_ref(), &subscription)?;
    take_turn(rows, subscription.tenant, subscription.subscription)
}

pub(in crate::execution) fn tenant_deleted(rows: &mut dyn RowsMut, tenant: TenantId) -> Result<(), RowsError> {
    if rows.is_for_deciders() {
        return Ok(());
    }
    let length = SUBSCRIPTION_LIST.len(&*rows, tenant)?;
    let all = Span { order: Order::Ascending, after: None, skip: 0, limit: usize::MAX };
    for ordinal in SUBSCRIPTIONS_LIVE.page(&*rows, (tenant, ""), length, all)? {
        let id = member(SUBSCRIPTION_LIST.get(&*rows, tenant, ordinal)?)?;
        let live = SUBSCRIPTIONS.get(&*rows, id)?.ok_or(RowsError::Missing("a subscription"))?;
        hear_no_more(rows, &live)?;
        set_turn(rows, tenant, id, None)?;
    }
    Ok(())
}

pub(in crate::execution) fn recorded(
    rows: &mut dyn RowsMut, event: &Event, it: &DeliveriesRecorded,
) -> Result<(), RowsError> {
    count_failures(rows, it)?;
    if rows.is_for_deciders() {
        return Ok(());
    }
    let last = it.items.len().saturating_sub(1);
    let length = DELIVERY_LIST.len(&*rows, it.subscription)?;
    for (at, item) in it.items.iter().enumerate() {
        let Some(told) = item.event else { continue };
        for index in 0..WORDS_MAX as u8 {
            let Some(mut delivery) = DELIVERIES.get(&*rows, (it.subscription, told.0, index))? else { continue };
            let before = delivery.state;
            let earlier = delivery.last.clone();
            if !settle(&mut delivery, item, it.excerpt.as_ref().filter(|_| at == last)) {
                continue;
            }
            if let Some(earlier) = &earlier
                && delivery.last.as_ref() != Some(earlier)
            {
                EARLIER.append(rows, (it.subscription, told.0, index), earlier)?;
            }
            put(rows, it.subscription, &delivery)?;
            if before != delivery.state {
                let (left, entered) = (before.code(), delivery.state.code());
                DELIVERIES_IN_STATE.leave(rows, (it.subscription, left), length, delivery.ordinal)?;
                let list = (it.subscription, entered);
                DELIVERIES_IN_STATE.enter(rows, list, length, delivery.ordinal, Micros::MAX)?;
            }
            // An attempt is at the first of the event's words that is not settled; asked for once more are all.
            if item.outcome != DeliveryOutcome::Requested {
                break;
            }
        }
    }
    note_pace(rows, it)?;
    take_turn(rows, event.tenant, it.subscription)
}

/// Notes whether the last attempt was slow; a test is none.
fn note_pace(rows: &mut dyn RowsMut, it: &DeliveriesRecorded) -> Result<(), RowsError> {
    let mut attempts =
        it.items.iter().filter(|item| item.event.is_some() && item.outcome != DeliveryOutcome::Requested);
    let Some(last) = attempts.next_back() else { return Ok(()) };
    let is_slow = last.outcome != DeliveryOutcome::Delivered || last.ms > SLOW_MILLIS;
    match (SLOW.get(&*rows, it.subscription)?.is_some(), is_slow) {
        (false, true) => SLOW.put(rows, it.subscription, &()),
        (true, false) => SLOW.delete(rows, it.subscription),
        _ => Ok(()),
    }
}

/// Counts attempts that failed one after another; a test is none.
fn count_failures(rows: &mut dyn RowsMut, it: &DeliveriesRecorded) -> Result<(), RowsError> {
    let before = failures(&*rows, it.subscription)?;
    let after = it.items.iter().filter(|item| item.event.is_some()).fold(before, |count, item| match item.outcome {
        DeliveryOutcome::Delivered => 0,
        DeliveryOutcome::Failed | DeliveryOutcome::DeadLetter => count.saturating_add(1),
        DeliveryOutcome::Requested => count,
    });
    match after {
        same if same == before => Ok(()),
        0 => FAILURES.delete(rows, it.subscription),
        after => FAILURES.put(rows, it.subscription, &after),
    }
}

/// What an attempt makes of a delivery; `false` when it changes nothing.
fn settle(delivery: &mut Delivery, item: &DeliveryItem, excerpt: Option<&Encrypted>) -> bool {
    let state = match item.outcome {
        DeliveryOutcome::Requested if !delivery.state.is_settled() => return false,
        DeliveryOutcome::Requested => {
            (delivery.state, delivery.attempts, delivery.next) = (DeliveryState::Pending, 0, None);
            return true;
        }
        _ if delivery.state.is_settled() => return false,
        DeliveryOutcome::Delivered => DeliveryState::Delivered,
        DeliveryOutcome::Failed => DeliveryState::Failed,
        DeliveryOutcome::DeadLetter => DeliveryState::DeadLetter,
    };
    let DeliveryItem { attempt, outcome, status, ms, at, next, .. } = *item;
    (delivery.state, delivery.attempts, delivery.next) = (state, attempt, next);
    delivery.last = Some(Tried { attempt, outcome, status, ms, at, excerpt: excerpt.cloned() });
    true
}

/// Finds out anew when a subscription's next delivery is due.
fn take_turn(rows: &mut dyn RowsMut, tenant: TenantId, subscription: SubscriptionId) -> Result<(), RowsError> {
    if rows.is_for_deciders() {
        return Ok(());
    }
    // Nothing is sent while nobody listens, though it stays pending.
    let next = if LISTENING.get(&*rows, subscription)?.is_some() {
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
    let after = match due {
        Some(due) => Some(Turn { due, is_slow: SLOW.get(&*rows, subscription)?.is_some() }),
        None => None,
    };
    if before == after {
        return Ok(());
    }
    let key = |turn: Turn| (u8::from(turn.is_slow), key(turn.due), subscription);
    if let Some(before) = before {
        DUE.delete(rows, key(before))?;
    }
    match after {
        Some(turn) => {
            TURNS.put(rows, subscription, &turn)?;
            DUE.put(rows, key(turn), &tenant)
        }
        None => TURNS.delete(rows, subscription),
    }
}

/// A time as the part of a key of [`DUE`].
pub(super) fn key(time: Micros) -> u64 {
    u64::try_from(time.0).unwrap_or(0)
}

/// Puts a subscription among those that are told events, or takes it from among them.
fn listen(rows: &mut dyn RowsMut, before: Option<&Subscription>, after: &Subscription) -> Result<(), RowsError> {
    if rows.is_for_deciders() {
        return Ok(());
    }
    if let Some(before) = before {
        hear_no_more(rows, before)?;
    }
    if after.disabled || after.ended.is_some() {
        return Ok(());
    }
    LISTENING.put(rows, after.subscription, &())?;
    for code in heard(after) {
        let key = (after.tenant, after.rendering.as_str(), code);
        let mut listeners = LISTENERS.get(&*rows, key)?.unwrap_or_default();
        listeners.push(after.subscription);
        LISTENERS.put(rows, key, &listeners)?;
    }
    Ok(())
}

fn hear_no_more(rows: &mut dyn RowsMut, it: &Subscription) -> Result<(), RowsError> {
    if LISTENING.get(&*rows, it.subscription)?.is_none() {
        return Ok(());
    }
    LISTENING.delete(rows, it.subscription)?;
    for code in heard(it) {
        let key = (it.tenant, it.rendering.as_str(), code);
        let mut listeners = LISTENERS.get(&*rows, key)?.unwrap_or_default();
        listeners.retain(|listener| *listener != it.subscription);
        match listeners.is_empty() {
            true => LISTENERS.delete(rows, key)?,
            false => LISTENERS.put(rows, key, &listeners)?,
        }
    }
    Ok(())
}

/// The codes that a subscription's words have.
fn heard(it: &Subscription) -> Vec<u16> {
    let Some(rendering) = Rendering::find(&it.rendering) else { return Vec::new() };
    let codes: Vec<u16> = it.kinds.iter().filter_map(|word| rendering.code(word)).collect();
    if codes.contains(&EVERY_CODE) { vec![EVERY_CODE] } else { codes }
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
