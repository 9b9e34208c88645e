//! Which checkpoint is published, and checkpoints as they are served: with the lines of those who cosigned them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use chancery_ledger::ids::TreeSize;
use chancery_ledger::store::{LogStore, StoreError};
use chancery_ledger::tree::seal::Seal;
use chancery_ledger::tree::verifier_key::CosignerKey;
use chancery_ledger::witness::cosignature::Cosignature;
use chancery_ledger::witness::policy::WitnessPolicy;
use chancery_projections::identity::state::{COSIGNED, CosignedCheckpoint, RecordedCosignature};
use chancery_projections::rows::RowsError;
use chancery_projections::views::View;

use crate::app::App;
use crate::problem::Problem;

/// The newest checkpoint that enough witnesses cosigned.
#[derive(Debug)]
pub struct Publication {
    policy: Arc<WitnessPolicy>,
    /// Its size; 0 before the first.
    newest: AtomicU64,
}

impl Publication {
    /// By a policy; nothing is published yet.
    #[must_use]
    pub const fn by(policy: Arc<WitnessPolicy>) -> Self {
        Self { policy, newest: AtomicU64::new(0) }
    }

    /// Makes a checkpoint the newest published one, if it is newer and enough witnesses cosigned it.
    pub fn consider(&self, size: TreeSize, checkpoint: &CosignedCheckpoint) {
        let has_cosigned = |key: &CosignerKey| {
            let key = key.to_string();
            checkpoint.cosignatures.iter().any(|it| it.witness == key)
        };
        if self.policy.is_met_by(has_cosigned) {
            self.newest.fetch_max(size.0, Ordering::Relaxed);
        }
    }

    /// The size of the newest one; `None` before the first.
    #[must_use]
    pub fn newest(&self) -> Option<TreeSize> {
        Some(TreeSize(self.newest.load(Ordering::Relaxed))).filter(|size| size.0 > 0)
    }
}

/// The checkpoint that whoever asks for the newest is given: where the policy asks for witnesses, the newest that enough of
/// them cosigned, and else the newest seal. `None` before the first of them.
///
/// # Errors
/// Those of reading log and view.
pub fn newest_checkpoint(app: &App) -> Result<Option<(TreeSize, Bytes)>, Problem> {
    let log = app.engine().log();
    let size = match app.config().witnesses.asks_for_witnesses() {
        true => app.publication().newest(),
        false => log.last_seal()?.map(|(size, _)| size),
    };
    let Some(size) = size else { return Ok(None) };
    let seal = cosigned_seal(app, &*log, size)?.ok_or(StoreError::Empty)?;
    Ok(Some((size, seal)))
}

/// The seal of the commit that ended at a size, with the lines of every witness that is recorded to have cosigned it;
/// `None` when no commit ended there.
///
/// # Errors
/// Those of reading log and view.
pub fn cosigned_seal(app: &App, log: &dyn LogStore, size: TreeSize) -> Result<Option<Bytes>, Problem> {
    let Some(last) = size.last() else { return Ok(None) };
    let Some((_, seal)) = log.seal_of(last)?.filter(|(sealed, _)| *sealed == size) else { return Ok(None) };
    let rows = app.views().get(View::Identity).store.snapshot();
    let Some(row) = COSIGNED.get(&rows, size.0)? else { return Ok(Some(seal)) };
    let mut lines = Vec::new();
    for recorded in &row.cosignatures {
        lines.extend(line(recorded).ok_or(RowsError::Missing("a recorded cosignature's parts"))?);
    }
    let cosigned = Seal::parse(&seal).and_then(|seal| seal.with_lines(&lines)).map_err(|error| {
        tracing::error!(%error, %size, "a checkpoint cannot be put together with its cosignatures");
        Problem::Internal
    })?;
    Ok(Some(cosigned.bytes().clone()))
}

fn line(recorded: &RecordedCosignature) -> Option<Vec<u8>> {
    let witness: CosignerKey = recorded.witness.parse().ok()?;
    Cosignature::from_bytes(&recorded.cosignature).ok()?.line(&witness).ok()
}
