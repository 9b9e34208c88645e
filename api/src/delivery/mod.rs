//! Telling events to the outside: the process manager of deliveries.
//!
//! The log is the outbox. What is to be told, and when, stands in rows of the execution view from the moment an event is in
//! it (`projections::execution::delivery`); this room asks for what is due, posts it, and records what came of it with a
//! command. So it keeps nothing of its own: after a crash, what was posted and not recorded is posted again, under the same
//! id, and nothing is left out.
//!
//! - A subscription's events are posted one after another, in the order of the log; the first that is not taken waits, and
//!   those behind it with it. Subscriptions do not wait for each other.
//! - Subscriptions with a turn at once, posts of a turn, time and bytes of a post are bounded.
//! - Nothing is posted while nothing can be recorded.
//!
//! Out of scope: which addresses may be called ([`crate::egress`]), and what a post looks like in a dialect
//! ([`form`], and the dialect's own room).

pub mod form;
mod post;
mod turn;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chancery_ledger::actor::Actor;
use chancery_ledger::ids::{DestinationId, SubscriptionId, TenantId};
use chancery_projections::command::{AddDestination, ChangeSubscription, Command, RecordDeliveries, Subscribe};
use chancery_projections::context::Caller;
use chancery_projections::execution::delivery::state::{DELIVERIES, SUBSCRIPTIONS};
use chancery_projections::execution::delivery::view;
use chancery_projections::rejection::Rejection;
use chancery_projections::rows::RowsError;
use chancery_projections::sequencer::{Request, SubmitError};
use chancery_projections::views::View;
use tokio::task::JoinSet;

use crate::app::App;
use crate::limits::{DELIVERY_DUE, DELIVERY_TURNS, DELIVERY_TURNS_OF_TENANT, VIEW_PATIENCE_SECS};
use crate::problem::Problem;

pub use post::Posted;

/// Longest time without looking for what is due: what a clock that was set makes due is found by then.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// After something could not be read or recorded, so long nothing is tried.
const PAUSE: Duration = Duration::from_secs(5);

/// Tells events until the daemon stops. What is under way then ends, and is recorded.
pub async fn run(app: Arc<App>) {
    let mut stopping = app.stopping();
    let mut read = app.views().get(View::Execution).progress.clone();
    let mut turns: JoinSet<SubscriptionId> = JoinSet::new();
    let mut busy: HashMap<SubscriptionId, TenantId> = HashMap::new();
    while !*stopping.borrow_and_update() {
        let pause = match look(&app, &busy) {
            Ok((due, pause)) => {
                for (tenant, subscription) in due {
                    busy.insert(subscription, tenant);
                    let app = app.clone();
                    turns.spawn(async move {
                        turn::take(&app, tenant, subscription).await;
                        subscription
                    });
                }
                pause
            }
            Err(error) => {
                tracing::error!(%error, "what is to be delivered cannot be read");
                PAUSE
            }
        };
        tokio::select! {
            _ = stopping.changed() => {}
            Some(ended) = turns.join_next() => match ended {
                Ok(subscription) => drop(busy.remove(&subscription)),
                // Which turn it was is not known, so all count as over; one that goes on only posts something twice.
                Err(error) => {
                    tracing::error!(%error, "a delivery ended by a defect");
                    busy.clear();
                }
            },
            Ok(()) = read.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    while turns.join_next().await.is_some() {}
}

/// Who is due and has no turn yet, as far as there are turns to have, and when to look again.
fn look(
    app: &App, busy: &HashMap<SubscriptionId, TenantId>,
) -> Result<(Vec<(TenantId, SubscriptionId)>, Duration), RowsError> {
    if busy.len() >= DELIVERY_TURNS {
        return Ok((Vec::new(), LOOK_AGAIN));
    }
    let now = app.now();
    let due = view::due(&app.views().get(View::Execution).store.snapshot(), now, DELIVERY_DUE)?;
    let pause = due.later.map_or(LOOK_AGAIN, |later| {
        Duration::from_micros(u64::try_from(later.0.saturating_sub(now.0)).unwrap_or(0)).min(LOOK_AGAIN)
    });
    Ok((turns(due.now, busy), pause))
}

/// Who of those that are due has a turn now: the longest due first, but nobody whose tenant has its share of turns.
fn turns(
    due: Vec<(TenantId, SubscriptionId)>, busy: &HashMap<SubscriptionId, TenantId>,
) -> Vec<(TenantId, SubscriptionId)> {
    let mut shares: HashMap<TenantId, usize> = HashMap::new();
    busy.values().for_each(|tenant| *shares.entry(*tenant).or_default() += 1);
    let mut chosen = Vec::new();
    for (tenant, subscription) in due {
        let share = shares.entry(tenant).or_default();
        if *share >= DELIVERY_TURNS_OF_TENANT || busy.contains_key(&subscription) {
            continue;
        }
        *share += 1;
        chosen.push((tenant, subscription));
        if chosen.len() + busy.len() == DELIVERY_TURNS {
            break;
        }
    }
    chosen
}

/// Has what came of posts recorded, and waits until the view knows.
async fn record(app: &App, tenant: TenantId, command: RecordDeliveries) -> Result<(), Problem> {
    let request = Request::new(tenant, Caller { tenant, actor: Actor::system() }, command);
    let receipt = app.sequencer().submit_when_free(request).await?.await?;
    app.views().read(View::Execution, receipt.size, Duration::from_secs(VIEW_PATIENCE_SECS)).await?;
    match receipt.answer {
        Ok(_) => Ok(()),
        Err(rejection) => Err(rejection.into()),
    }
}

/// Posts a test of a subscription, once, and records what came of it.
///
/// # Errors
/// [`Rejection::NotFound`] when the tenant has no such subscription; those of reading, and of recording.
pub async fn test(app: &App, tenant: TenantId, subscription: SubscriptionId) -> Result<Posted, Problem> {
    turn::test(app, tenant, subscription).await
}

/// Posts a destination's code to it, once.
///
/// # Errors
/// [`Rejection::NotFound`] when the tenant has no such destination, or it needs no code; those of reading.
pub async fn send_code(app: &App, tenant: TenantId, destination: DestinationId) -> Result<Posted, Problem> {
    turn::send_code(app, tenant, destination).await
}

/// Checks of a command what its decider cannot know: whether an address may be called at all, and whether an event was ever
/// told.
///
/// # Errors
/// [`Rejection::TargetForbidden`], [`Rejection::NotFound`]; those of reading the view.
pub fn check(app: &App, tenant: TenantId, command: &Command) -> Result<(), Problem> {
    let url = match command {
        Command::AddDestination(AddDestination { url, .. }) => Some(url),
        Command::Subscribe(Subscribe { url, .. }) | Command::ChangeSubscription(ChangeSubscription { url, .. }) => {
            url.as_ref()
        }
        Command::Redeliver(it) => {
            let rows = app.views().get(View::Execution).store.snapshot();
            let is_theirs = SUBSCRIPTIONS.get(&rows, it.subscription)?.is_some_and(|found| found.tenant == tenant);
            if !is_theirs || DELIVERIES.get(&rows, (it.subscription, it.event.0))?.is_none() {
                return Err(Rejection::NotFound { thing: "delivery" }.into());
            }
            None
        }
        _ => None,
    };
    match url.map(|url| app.egress().target(url)) {
        Some(Err(forbidden)) => Err(Rejection::TargetForbidden { why: forbidden.to_string() }.into()),
        Some(Ok(_)) | None => Ok(()),
    }
}

/// Whether writing goes on.
fn can_record(app: &App) -> Result<(), SubmitError> {
    match app.sequencer().status().stopped {
        Some(why) => Err(SubmitError::Stopped { why }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use chancery_ledger::ids::{ThingId as _, uuid_v7};

    use super::*;

    fn tenant(n: u8) -> TenantId {
        TenantId::from_uuid(uuid_v7(1, [n; 10]))
    }

    fn subscription(n: u8) -> SubscriptionId {
        SubscriptionId::from_uuid(uuid_v7(2, [n; 10]))
    }

    #[test]
    fn no_tenant_has_more_than_its_share_of_turns() {
        let of_first: Vec<_> = (0..100).map(|n| (tenant(1), subscription(n))).collect();
        let of_second = (tenant(2), subscription(200));
        let due = [of_first.clone(), vec![of_second]].concat();
        let chosen = turns(due.clone(), &HashMap::new());
        assert_eq!(chosen, [&of_first[..DELIVERY_TURNS_OF_TENANT], &[of_second]].concat());
        // Those have turns, so nobody of the first tenant gets another.
        let busy: HashMap<_, _> = chosen.into_iter().map(|(tenant, subscription)| (subscription, tenant)).collect();
        assert_eq!(turns(due, &busy), []);
        // And there are so many turns in all.
        let many: Vec<_> = (0..100).map(|n| (tenant(n), subscription(n))).collect();
        assert_eq!(turns(many.clone(), &HashMap::new()), many[..DELIVERY_TURNS]);
        assert_eq!(turns(many, &busy).len() + busy.len(), DELIVERY_TURNS);
    }
}
