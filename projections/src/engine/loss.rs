//! Recording that the log's tail was lost, before anything else is sealed after it.

use std::path::Path;
use std::sync::Arc;

use chancery_ledger::accepted_loss::{AcceptedLoss, Due};
use chancery_ledger::actor::Actor;
use chancery_ledger::body::{Body, Prelude};
use chancery_ledger::commit::{Committer, Numbered};
use chancery_ledger::event::{self, Event};
use chancery_ledger::ids::TenantId;
use chancery_ledger::store::{LogStore, StoreError};
use chancery_ledger::time::Micros;

use super::OpenError;

/// Does what was decided about a lost tail, if anything was: makes it the log's next event, unless the log says it
/// already or nothing is lost after all.
pub(super) fn record(path: &Path, committer: &mut Committer, log: &dyn LogStore, now: Micros) -> Result<(), OpenError> {
    let unfit =
        |source: Box<dyn std::error::Error + Send + Sync>| OpenError::AcceptedLoss { path: path.to_owned(), source };
    let Some(accepted) = AcceptedLoss::read(path).map_err(|error| unfit(error.into()))? else { return Ok(()) };
    match accepted.due(log).map_err(|error| unfit(error.into()))? {
        Due::Record(lost) => {
            tracing::warn!(
                found = lost.found,
                signed = lost.signed,
                reason = lost.reason,
                "the loss of the log's tail is recorded"
            );
            let mut group = Numbered::default();
            let next = log.size().next();
            let time = last_time(log)?.map_or(now, |last| last.max(now));
            let body = Body::from(lost);
            let event = Event {
                seq: next,
                time,
                tenant: TenantId::LEDGER,
                actor: Actor::system(),
                subjects: body.subjects(),
                correlation: None,
                causation: None,
                idempotency: None,
                prelude: Prelude::default(),
                body,
            };
            group.push(event).map_err(|error| unfit(error.into()))?;
            committer.commit(Arc::new(group))?;
            committer.sync_last_checkpoint().map_err(|error| unfit(error.into()))?;
        }
        Due::Recorded => {}
        Due::NotLost => tracing::info!("the log holds what was accepted as lost; nothing is recorded"),
    }
    AcceptedLoss::clear(path).map_err(|error| unfit(error.into()))
}

fn last_time(log: &dyn LogStore) -> Result<Option<Micros>, OpenError> {
    let Some(last) = log.size().last() else { return Ok(None) };
    let record = log.record(last)?.ok_or(StoreError::Missing { seq: last })?;
    Ok(event::peek(&record.header).ok().map(|(_, time, _)| time))
}
