//! The process manager of erasures: keys that are gone for every reader leave the keystore's files too, which is then
//! reported; and what was kept for long enough, by the policies of its tenant, is erased like anything else.
//!
//! It keeps nothing of its own. What is to be done stands in rows of the views (`projections::shredding`), so that after a
//! crash it is done again, from the beginning.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chancery_ledger::actor::Actor;
use chancery_ledger::ids::TenantId;
use chancery_projections::command::Command;
use chancery_projections::context::Caller;
use chancery_projections::engine::Engine;
use chancery_projections::sequencer::{Request, SubmitError};
use chancery_projections::shredding::{self, ShredError, Stock, Walk};
use chancery_projections::views::{Lagging, View};
use tokio::sync::watch;

use crate::limits::VIEW_PATIENCE_SECS;

/// Shortest time between two writings of the keystore's files.
const PAUSE: Duration = Duration::from_secs(1);
/// The files are written anew for at most this part of the time.
const REST: u32 = 10;
/// After something failed, so long nothing is tried.
const TRY_AGAIN: Duration = Duration::from_secs(30);

/// Erasures could not be finished, for now.
#[derive(Debug, thiserror::Error)]
pub enum Unfinished {
    /// Views or keystore failed.
    #[error(transparent)]
    Shred(#[from] ShredError),
    /// It could not be reported.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The view does not get there.
    #[error(transparent)]
    Lagging(#[from] Lagging),
    /// The work ended by a defect.
    #[error("it ended by a defect: {0}")]
    Defect(#[from] tokio::task::JoinError),
}

/// Finishes erasures whose keys are not reported gone, and gives how many there were.
///
/// # Errors
/// [`Unfinished`]; what is not reported is done again.
pub async fn finish(engine: &Arc<Engine>) -> Result<usize, Unfinished> {
    let mut finished = 0;
    loop {
        let on = engine.clone();
        let shred = move || shredding::shred(&on.views().get(View::Identity).store.snapshot(), &on.secrets());
        let reports = tokio::task::spawn_blocking(shred).await??;
        if reports.is_empty() {
            return Ok(finished);
        }
        for (tenant, report) in reports {
            finished += report.erased.len();
            submit(engine, tenant, report).await?;
        }
    }
}

/// Erases what was kept for long enough.
///
/// # Errors
/// [`Unfinished`]; what is left is erased the next time.
pub async fn apply_retention(engine: &Arc<Engine>) -> Result<(), Unfinished> {
    let mut walk = Walk::default();
    loop {
        let on = engine.clone();
        let step = move || {
            let views = on.views();
            let (identity, trust) = (views.get(View::Identity), views.get(View::Trust));
            let rows = (identity.store.snapshot(), trust.store.snapshot(), views.get(View::Execution).store.snapshot());
            let stock = Stock {
                identity: &rows.0,
                trust: &rows.1,
                execution: &rows.2,
                secrets: &on.secrets(),
                now: on.clock().now(),
            };
            walk.next(&stock).map(|found| (walk, found))
        };
        let (next, found) = tokio::task::spawn_blocking(step).await??;
        walk = next;
        let Some((tenant, command)) = found else { return Ok(()) };
        submit(engine, tenant, command).await?;
    }
}

/// Sends a command as the daemon itself, and waits until the views reflect it.
async fn submit(engine: &Engine, tenant: TenantId, command: impl Into<Command>) -> Result<(), Unfinished> {
    let request = Request::new(tenant, Caller { tenant, actor: Actor::system() }, command);
    let receipt = engine.sequencer().submit_when_free(request).await?.await?;
    let patience = Duration::from_secs(VIEW_PATIENCE_SECS);
    for view in [View::Identity, View::Execution] {
        engine.views().read(view, receipt.size, patience).await?;
    }
    if let Err(rejection) = receipt.answer {
        tracing::error!(%rejection, "what the daemon reports of erasures was refused");
    }
    Ok(())
}

/// Finishes erasures as they come, and applies retention policies each time so many seconds have passed, until the daemon
/// stops.
pub async fn run(engine: Arc<Engine>, retention_secs: u64, mut stopping: watch::Receiver<bool>) {
    let mut read = engine.views().get(View::Identity).progress.clone();
    let mut retention_due = Instant::now();
    while !*stopping.borrow_and_update() {
        // What comes while this works is seen, because its progress is news then.
        read.borrow_and_update();
        let began = Instant::now();
        let done = async {
            if retention_due <= began {
                apply_retention(&engine).await?;
            }
            finish(&engine).await
        };
        let pause = match done.await {
            Ok(0) => Duration::ZERO,
            Ok(finished) => {
                tracing::info!(keys = finished, took = ?began.elapsed(), "keys of what was erased are gone from the keystore's files");
                PAUSE.max(began.elapsed() * REST)
            }
            // Writing has stopped, and why was said then.
            Err(Unfinished::Submit(_)) => TRY_AGAIN,
            Err(error) => {
                tracing::error!(%error, "erasures could not be finished; they are tried again");
                TRY_AGAIN
            }
        };
        if retention_due <= began {
            retention_due = began + Duration::from_secs(retention_secs);
        }
        tokio::select! {
            _ = stopping.wait_for(|stopping| *stopping) => {}
            () = async {
                tokio::time::sleep(pause).await;
                tokio::select! {
                    changed = read.changed() => if changed.is_err() { std::future::pending().await },
                    () = tokio::time::sleep_until(retention_due.into()) => {}
                }
            } => {}
        }
    }
}
