//! Cosignatures, by others of this log's checkpoints and by this ledger of others'.

use chancery_ledger::body::witness::{CheckpointCosigned, WitnessedCheckpoint};
use chancery_ledger::event::Event;

use crate::identity::state::{COSIGNED, CosignedCheckpoint, RecordedCosignature, WITNESSED, WitnessedLog};
use crate::rows::{RowsError, RowsMut};

pub(super) fn cosigned(rows: &mut dyn RowsMut, it: &CheckpointCosigned) -> Result<(), RowsError> {
    let empty = || CosignedCheckpoint { root: it.root, cosignatures: Vec::new() };
    let mut checkpoint = COSIGNED.get(&*rows, it.size)?.unwrap_or_else(empty);
    let cosignature = RecordedCosignature { witness: it.witness.clone(), cosignature: it.cosignature.clone() };
    checkpoint.cosignatures.push(cosignature);
    COSIGNED.put(rows, it.size, &checkpoint)
}

pub(super) fn witnessed(rows: &mut dyn RowsMut, event: &Event, it: &WitnessedCheckpoint) -> Result<(), RowsError> {
    let row = WitnessedLog {
        key: it.key,
        size: it.size,
        root: it.root,
        checkpoint: it.checkpoint.clone(),
        cosignature: it.cosignature.clone(),
        at: event.time,
    };
    WITNESSED.put(rows, it.log.as_str(), &row)
}
