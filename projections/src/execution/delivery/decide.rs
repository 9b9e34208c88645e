//! State and command to events, one function per command.
//!
//! Whether an address may be called at all is the edge's to check, which knows what the operator allows.

use chancery_ledger::body::delivery::{
    Channel, DeliveriesRecorded, DeliveryItem, DeliveryOutcome, DestinationAdded, DestinationRemoved,
    DestinationSecretRotated, DestinationVerified, ITEMS_MAX, SubscriptionChanged, SubscriptionCreated,
    SubscriptionEnded,
};
use chancery_ledger::body::field::{Changes, JsonText};
use chancery_ledger::body::{Body, Kind};
use chancery_ledger::ids::{DestinationId, SubscriptionId, TenantId, ThingId};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::evolve::fields;
use super::rendering::{RENDERINGS, Rendering};
use super::retry::GivenUp;
use super::state::{DESTINATIONS, Destination, SUBSCRIPTIONS, Subscription, counts, failures};
use crate::check::{check_len, check_optional};
use crate::command::{
    AddDestination, ChangeSubscription, EndSubscription, RecordDeliveries, Redeliver, RemoveDestination,
    RotateDestinationSecret, Subscribe, VerifyDestination,
};
use crate::context::Context;
use crate::credential::{new_code, new_webhook_secret, secret_hash};
use crate::decision::{Decided, State, Stop};
use crate::output::Output;
use crate::rejection::Rejection;

/// Most destinations of a tenant.
pub const DESTINATIONS_MAX: u32 = 2_000;
/// Most subscriptions of a tenant: one event can be told by every one.
pub const SUBSCRIPTIONS_MAX: u32 = 1_000;
/// Most destinations of one subscription.
const PLACES_MAX: usize = 8;
/// Longest address, in characters.
pub const URL_CHARS_MAX: usize = 2048;
/// Longest secret, in characters.
pub const SECRET_CHARS_MAX: usize = 256;
/// Longest name, in characters.
pub const NAME_CHARS_MAX: usize = 128;
/// Longest excerpt of an answer, in characters.
pub const EXCERPT_CHARS_MAX: usize = 256;

/// A secret that is opened to be encrypted anew, overwritten when it is dropped.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
struct Opened(String);

/// A destination of the tenant that is not removed.
///
/// # Errors
/// [`Rejection::NotFound`] when there is none.
pub fn find_destination(state: &State<'_>, tenant: TenantId, id: DestinationId) -> Result<Destination, Stop> {
    let found = DESTINATIONS.get(state.execution, id)?.filter(|it| it.tenant == tenant && it.removed.is_none());
    Ok(found.ok_or(Rejection::NotFound { thing: "destination" })?)
}

/// A subscription of the tenant that is not over.
///
/// # Errors
/// [`Rejection::NotFound`] when there is none.
pub fn find(state: &State<'_>, tenant: TenantId, id: SubscriptionId) -> Result<Subscription, Stop> {
    let found = SUBSCRIPTIONS.get(state.execution, id)?.filter(|it| it.tenant == tenant && it.ended.is_none());
    Ok(found.ok_or(Rejection::NotFound { thing: "subscription" })?)
}

/// Decides [`AddDestination`].
///
/// # Errors
/// [`Rejection::Invalid`], [`Rejection::LimitReached`].
pub fn add_destination(state: &State<'_>, command: &AddDestination, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    let new = Place { url: &command.url, secret: command.secret.as_deref(), confirm: command.confirm };
    let (added, shown) = add(state, &new, ctx)?;
    Ok(Decided::shown(ctx.tenant(), vec![added.into()], shown))
}

/// Decides [`VerifyDestination`]. The code has 128 random bits and more, so guesses need not be counted.
///
/// # Errors
/// [`Rejection::NotFound`], [`Rejection::CodeWrong`].
pub fn verify(state: &State<'_>, command: &VerifyDestination, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    check_len("code", &command.code, 1, 64)?;
    let destination = find_destination(state, ctx.tenant(), command.destination)?;
    if destination.verified {
        return Ok(Decided::unchanged(Output::Destination { destination: Box::new(destination), secret: None }));
    }
    let code: Option<Opened> = match &destination.code {
        Some(code) => ctx.open(Kind::DestinationAdded, "code", code)?,
        None => None,
    };
    // What is compared are hashes of both, so the time it takes tells nothing about the code.
    if code.is_none_or(|code| secret_hash(&code.0) != secret_hash(&command.code)) {
        return Err(Rejection::CodeWrong.into());
    }
    let event = DestinationVerified { destination: destination.destination };
    Ok(Decided::facts(ctx.tenant(), vec![event.into()]))
}

/// Decides [`RotateDestinationSecret`].
///
/// # Errors
/// [`Rejection::NotFound`], [`Rejection::Invalid`].
pub fn rotate_secret(
    state: &State<'_>, command: &RotateDestinationSecret, ctx: &mut Context<'_>,
) -> Result<Decided, Stop> {
    let destination = find_destination(state, ctx.tenant(), command.destination)?;
    let (secret, shown) = chosen_or_made(command.secret.as_deref(), ctx)?;
    let owner = destination.destination.subject();
    let secret = ctx.encrypt(Kind::DestinationSecretRotated, "secret", owner, &*secret)?;
    let event = DestinationSecretRotated { destination: destination.destination, secret };
    Ok(Decided::shown(ctx.tenant(), vec![event.into()], shown))
}

/// Decides [`RemoveDestination`].
///
/// # Errors
/// [`Rejection::NotFound`], [`Rejection::DestinationInUse`].
pub fn remove_destination(
    state: &State<'_>, command: &RemoveDestination, ctx: &mut Context<'_>,
) -> Result<Decided, Stop> {
    let destination = find_destination(state, ctx.tenant(), command.destination)?;
    if destination.users > 0 {
        return Err(Rejection::DestinationInUse.into());
    }
    let event = DestinationRemoved { destination: destination.destination };
    Ok(Decided::facts(ctx.tenant(), vec![event.into()]))
}

/// Decides [`Subscribe`].
///
/// # Errors
/// [`Rejection::EventUnknown`], [`Rejection::NotFound`], [`Rejection::Unverified`], [`Rejection::LimitReached`],
/// [`Rejection::Invalid`].
pub fn subscribe(state: &State<'_>, command: &Subscribe, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    check_optional("name", command.name.as_deref(), NAME_CHARS_MAX)?;
    let rendering = Rendering::find(&command.rendering).ok_or_else(|| {
        let names: Vec<&str> = RENDERINGS.iter().map(|rendering| rendering.name).collect();
        Rejection::Invalid { field: "rendering", why: format!("must be one of {}", names.join(", ")) }
    })?;
    let kinds = check_events(rendering, &command.events)?;
    if counts(state.execution, ctx.tenant())?.subscriptions >= SUBSCRIPTIONS_MAX {
        return Err(Rejection::LimitReached { limit: "subscriptions", max: SUBSCRIPTIONS_MAX as usize }.into());
    }
    let mut events: Vec<Body> = Vec::new();
    let (destinations, shown) = match &command.url {
        Some(_) if !command.destinations.is_empty() => return Err(one_of_both().into()),
        Some(url) => {
            let new = Place { url, secret: command.secret.as_deref(), confirm: false };
            let (added, shown) = add(state, &new, ctx)?;
            let id = added.destination;
            events.push(added.into());
            (vec![id], shown)
        }
        None if command.secret.is_some() => {
            let why = "goes with `url`; destinations have secrets of their own".to_owned();
            return Err(Rejection::Invalid { field: "secret", why }.into());
        }
        None => (check_destinations(state, &command.destinations, ctx.tenant())?, None),
    };
    let created = SubscriptionCreated {
        subscription: ctx.id()?,
        name: command.name.clone().filter(|name| !name.is_empty()),
        destinations,
        own: command.url.is_some(),
        kinds,
        rendering: rendering.name.to_owned(),
        severity: None,
        disabled: !command.active,
    };
    events.push(created.into());
    Ok(Decided::shown(ctx.tenant(), events, shown))
}

/// Decides [`ChangeSubscription`]. Another address is another destination, with the same secret.
///
/// # Errors
/// As [`subscribe`].
pub fn change(state: &State<'_>, command: &ChangeSubscription, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    check_optional("name", command.name.as_deref(), NAME_CHARS_MAX)?;
    let subscription = find(state, ctx.tenant(), command.subscription)?;
    let mut changes = Changes::new();
    if let Some(name) = &command.name {
        let name = Some(name).filter(|name| !name.is_empty()).cloned();
        note(&mut changes, fields::NAME, &name, &subscription.name);
    }
    if let Some(words) = &command.events {
        let rendering = Rendering::find(&subscription.rendering)
            .ok_or(Rejection::Invalid { field: "events", why: "its rendering is no more".to_owned() })?;
        note(&mut changes, fields::KINDS, &check_events(rendering, words)?, &subscription.kinds);
    }
    if let Some(active) = command.active {
        note(&mut changes, fields::DISABLED, &!active, &subscription.disabled);
        // Enabling one that is not disabled forgives what failed so far.
        if active && failures(state.execution, subscription.subscription)? > 0 {
            set(&mut changes, fields::DISABLED, &false);
        }
    }
    let (mut before, mut after): (Vec<Body>, Vec<Body>) = (Vec::new(), Vec::new());
    let destinations = match (&command.url, &command.destinations) {
        (Some(_), Some(_)) => return Err(one_of_both().into()),
        (None, None) => None,
        (Some(_), None) if !subscription.own => {
            let why = "is for a subscription with a destination of its own; name `destinations`".to_owned();
            return Err(Rejection::Invalid { field: "url", why }.into());
        }
        (None, Some(_)) if subscription.own => {
            let why = "are for a subscription without a destination of its own; name `url`".to_owned();
            return Err(Rejection::Invalid { field: "destinations", why }.into());
        }
        (None, Some(ids)) => Some(check_destinations(state, ids, ctx.tenant())?),
        (Some(url), None) => match moved(state, &subscription, url, ctx)? {
            Some((added, removed)) => {
                let id = added.destination;
                before.push(added.into());
                after.push(removed.into());
                Some(vec![id])
            }
            None => None,
        },
    };
    if let Some(destinations) = destinations {
        note(&mut changes, fields::DESTINATIONS, &destinations, &subscription.destinations);
    }
    if changes.is_empty() {
        return Ok(Decided::unchanged(Output::Subscription { subscription: Box::new(subscription), secret: None }));
    }
    let changed = SubscriptionChanged { subscription: subscription.subscription, changes };
    before.push(changed.into());
    before.append(&mut after);
    Ok(Decided::facts(ctx.tenant(), before))
}

/// Decides [`EndSubscription`]; a destination of its own goes with it.
///
/// # Errors
/// [`Rejection::NotFound`].
pub fn end(state: &State<'_>, command: &EndSubscription, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    let subscription = find(state, ctx.tenant(), command.subscription)?;
    let mut events: Vec<Body> = vec![SubscriptionEnded { subscription: subscription.subscription }.into()];
    if subscription.own {
        let removed = subscription.destinations.iter().map(|id| DestinationRemoved { destination: *id }.into());
        events.extend(removed);
    }
    Ok(Decided::facts(ctx.tenant(), events))
}

/// Decides [`Redeliver`]. Whether the subscription ever told that event is looked up by who sends the command; of one that
/// it did not, nothing is told.
///
/// # Errors
/// [`Rejection::NotFound`].
pub fn redeliver(state: &State<'_>, command: &Redeliver, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    let subscription = find(state, ctx.tenant(), command.subscription)?;
    let item = DeliveryItem {
        event: Some(command.event),
        attempt: 0,
        outcome: DeliveryOutcome::Requested,
        status: None,
        ms: 0,
        at: ctx.now(),
        next: None,
    };
    let event = DeliveriesRecorded { subscription: subscription.subscription, items: vec![item], excerpt: None };
    Ok(Decided::facts(ctx.tenant(), vec![event.into()]))
}

/// Decides [`RecordDeliveries`]. What was told stays told, so a subscription that is over has it recorded too. What is
/// given up can disable the subscription.
///
/// # Errors
/// [`Rejection::NotFound`], [`Rejection::Invalid`].
pub fn record(state: &State<'_>, command: &RecordDeliveries, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    for attempt in &command.attempts {
        check_optional("excerpt", attempt.excerpt.as_deref(), EXCERPT_CHARS_MAX)?;
    }
    if !(1..=ITEMS_MAX).contains(&command.attempts.len()) {
        return Err(Rejection::Invalid { field: "attempts", why: format!("must be 1 to {ITEMS_MAX}") }.into());
    }
    let found = SUBSCRIPTIONS.get(state.execution, command.subscription)?.filter(|it| it.tenant == ctx.tenant());
    let found = found.ok_or(Rejection::NotFound { thing: "subscription" })?;
    let subscription = found.subscription;
    let mut events: Vec<Body> = Vec::new();
    // An event holds what was answered to the last of its attempts.
    for attempts in command.attempts.chunk_by(|attempt, _| attempt.excerpt.is_none()) {
        let excerpt = match attempts.last().and_then(|last| last.excerpt.as_ref()) {
            Some(text) => Some(ctx.encrypt(Kind::DeliveriesRecorded, "excerpt", subscription.subject(), text)?),
            None => None,
        };
        let items = attempts.iter().map(|it| DeliveryItem {
            event: it.event,
            attempt: it.attempt,
            outcome: it.outcome,
            status: it.status,
            ms: it.ms,
            at: it.at,
            next: it.next,
        });
        events.push(DeliveriesRecorded { subscription, items: items.collect(), excerpt }.into());
    }
    let disables = Rendering::find(&found.rendering).is_some_and(|rendering| rendering.retry.then == GivenUp::Disables);
    let is_given_up = command.attempts.iter().any(|attempt| attempt.outcome == DeliveryOutcome::DeadLetter);
    if disables && is_given_up && !found.disabled && found.ended.is_none() {
        let mut changes = Changes::new();
        set(&mut changes, fields::DISABLED, &true);
        events.push(SubscriptionChanged { subscription, changes }.into());
    }
    Ok(Decided::facts(ctx.tenant(), events))
}

/// Where a new destination is to be.
struct Place<'a> {
    url: &'a str,
    secret: Option<&'a str>,
    confirm: bool,
}

/// The event of a new destination, and its secret if one was made.
fn add(
    state: &State<'_>, place: &Place<'_>, ctx: &mut Context<'_>,
) -> Result<(DestinationAdded, Option<Zeroizing<String>>), Stop> {
    if counts(state.execution, ctx.tenant())?.destinations >= DESTINATIONS_MAX {
        return Err(Rejection::LimitReached { limit: "destinations", max: DESTINATIONS_MAX as usize }.into());
    }
    check_url(place.url)?;
    let (secret, shown) = chosen_or_made(place.secret, ctx)?;
    let code = if place.confirm { Some(new_code(ctx)?) } else { None };
    Ok((added(place.url, &secret, code.as_deref().map(String::as_str), ctx)?, shown))
}

fn added(url: &str, secret: &str, code: Option<&str>, ctx: &mut Context<'_>) -> Result<DestinationAdded, Stop> {
    const KIND: Kind = Kind::DestinationAdded;
    let destination: DestinationId = ctx.id()?;
    let owner = destination.subject();
    let code_field = match code {
        Some(code) => Some(ctx.encrypt(KIND, "code", owner, &code)?),
        None => None,
    };
    Ok(DestinationAdded {
        destination,
        channel: Channel::Webhook,
        address_hash: ctx.keyed_hash("destination", url)?,
        address: ctx.encrypt(KIND, "address", owner, &url)?,
        secret: ctx.encrypt(KIND, "secret", owner, &secret)?,
        code: code_field,
        verified: code.is_none(),
    })
}

/// The destination that takes the place of a subscription's own one; `None` when it is at that address already.
fn moved(
    state: &State<'_>, subscription: &Subscription, url: &str, ctx: &mut Context<'_>,
) -> Result<Option<(DestinationAdded, DestinationRemoved)>, Stop> {
    check_url(url)?;
    let Some(id) = subscription.destinations.first() else {
        return Err(Rejection::NotFound { thing: "destination" }.into());
    };
    let old = find_destination(state, ctx.tenant(), *id)?;
    let address: Option<String> = ctx.open(Kind::DestinationAdded, "address", &old.address)?;
    if address.as_deref() == Some(url) {
        return Ok(None);
    }
    let (kind, field) = old.secret.field();
    let Some(secret) = ctx.open::<Opened>(kind, "secret", field)? else {
        let why = "its secret was erased; end this subscription and make another".to_owned();
        return Err(Rejection::Invalid { field: "url", why }.into());
    };
    let added = added(url, &secret.0, None, ctx)?;
    Ok(Some((added, DestinationRemoved { destination: old.destination })))
}

fn chosen_or_made(
    secret: Option<&str>, ctx: &mut Context<'_>,
) -> Result<(Zeroizing<String>, Option<Zeroizing<String>>), Stop> {
    match secret {
        Some(secret) => {
            check_len("secret", secret, 1, SECRET_CHARS_MAX)?;
            Ok((Zeroizing::new(secret.to_owned()), None))
        }
        None => {
            let made = new_webhook_secret(ctx)?;
            Ok((made.clone(), Some(made)))
        }
    }
}

fn check_url(url: &str) -> Result<(), Rejection> {
    check_len("url", url, 1, URL_CHARS_MAX)?;
    if url.starts_with("https://") || url.starts_with("http://") {
        return Ok(());
    }
    Err(Rejection::Invalid { field: "url", why: "must be an https address".to_owned() })
}

fn check_events(rendering: &Rendering, words: &[String]) -> Result<Vec<String>, Rejection> {
    if words.is_empty() {
        return Err(Rejection::Invalid { field: "events", why: "name at least one event".to_owned() });
    }
    let mut kinds: Vec<String> = Vec::new();
    for word in words {
        if rendering.code(word).is_none() {
            return Err(Rejection::EventUnknown { event: word.chars().take(64).collect() });
        }
        if !kinds.contains(word) {
            kinds.push(word.clone());
        }
    }
    Ok(kinds)
}

fn check_destinations(state: &State<'_>, ids: &[DestinationId], tenant: TenantId) -> Result<Vec<DestinationId>, Stop> {
    if !(1..=PLACES_MAX).contains(&ids.len()) {
        let why = format!("name 1 to {PLACES_MAX} destinations, or a `url`");
        return Err(Rejection::Invalid { field: "destinations", why }.into());
    }
    let mut found: Vec<DestinationId> = Vec::new();
    for id in ids {
        if !find_destination(state, tenant, *id)?.verified {
            return Err(Rejection::Unverified.into());
        }
        if !found.contains(id) {
            found.push(*id);
        }
    }
    Ok(found)
}

fn one_of_both() -> Rejection {
    Rejection::Invalid { field: "url", why: "and `destinations` exclude each other; name one".to_owned() }
}

/// Notes a field that is another than before.
fn note<T: Serialize + PartialEq>(changes: &mut Changes, field: &str, after: &T, before: &T) {
    if after != before {
        set(changes, field, after);
    }
}

fn set(changes: &mut Changes, field: &str, value: &impl Serialize) {
    if let Ok(text) = serde_json::to_string(value) {
        changes.insert(field.to_owned(), JsonText(text));
    }
}
