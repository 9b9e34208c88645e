//! Cosignatures: what witnesses said of this log's checkpoints is recorded only if it holds, and another log's checkpoint
//! is cosigned only if it continues the newest one that was.

use chancery_ledger::body::witness::{CheckpointCosigned, WitnessedCheckpoint};
use chancery_ledger::ids::{TenantId, TreeSize};
use chancery_ledger::link::Hash;
use chancery_ledger::tree::NodeHash;
use chancery_ledger::tree::proof::verify_consistency;
use chancery_ledger::tree::seal::Checkpoint;
use chancery_ledger::tree::verifier_key::CosignerKey;
use chancery_ledger::witness::cosignature::Cosignature;
use chancery_ledger::witness::policy::NAMED_MAX;

use crate::command::{RecordCosignature, WitnessCheckpoint};
use crate::context::Context;
use crate::decision::{Decided, State, Stop};
use crate::identity::state::{COSIGNED, LEDGER, WITNESSED, WitnessedLog};
use crate::output::Output;
use crate::rejection::Rejection;
use crate::rows::RowsError;

/// For so long the same checkpoint of another log is answered with the same cosignature, and makes no event: whoever has
/// the checkpoint can ask for it, and as often as they like.
pub const SAME_COSIGNATURE_SECS: i64 = 3_600;

/// Decides [`RecordCosignature`].
///
/// # Errors
/// [`Rejection::Invalid`] when the witness did not make it of this checkpoint, or another of this size was cosigned
/// before; [`Rejection::LimitReached`].
pub fn record_cosignature(
    state: &State<'_>, command: &RecordCosignature, _: &mut Context<'_>,
) -> Result<Decided, Stop> {
    let RecordCosignature { size, root, witness, cosignature } = command;
    let ledger = LEDGER.get(state.identity, ())?.ok_or(RowsError::Missing("the ledger"))?;
    let known = COSIGNED.get(state.identity, *size)?;
    if let Some(known) = &known {
        if known.root != *root {
            return Err(invalid("root", "is not that of the checkpoint of this size that was cosigned before"));
        }
        if known.cosignatures.iter().any(|known| known.witness == *witness) {
            return Ok(Decided::unchanged(Output::Done));
        }
        if known.cosignatures.len() >= NAMED_MAX {
            return Err(Rejection::LimitReached { limit: "witnesses of a checkpoint", max: NAMED_MAX }.into());
        }
    }
    let key: CosignerKey = witness.parse().map_err(|_| invalid("witness", "is no verifier key of a witness"))?;
    let checkpoint = Checkpoint { origin: ledger.origin, size: TreeSize(*size), root: NodeHash(root.0) };
    let holds = Cosignature::from_bytes(cosignature).and_then(|it| it.verify_checkpoint(&checkpoint, &key));
    holds.map_err(|_| invalid("cosignature", "is not the witness's signature of this checkpoint"))?;
    let event = CheckpointCosigned {
        ledger: ledger.ledger,
        size: *size,
        root: *root,
        witness: witness.clone(),
        cosignature: cosignature.clone(),
    };
    Ok(Decided::facts(TenantId::LEDGER, vec![event.into()]))
}

/// Decides [`WitnessCheckpoint`]. Answered unchanged, with the newest checkpoint that was cosigned, when that is not the one
/// the log takes for the newest, or when it is this one and was cosigned not long ago.
///
/// # Errors
/// [`Rejection::Invalid`] when this checkpoint does not continue the newest one.
pub fn witness(state: &State<'_>, command: &WitnessCheckpoint, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    let newest = WITNESSED.get(state.identity, command.log.as_str())?;
    let (size, root) = newest.as_ref().map_or((0, Hash(NodeHash::empty_root().0)), |newest| (newest.size, newest.root));
    if command.old != size {
        return Ok(unchanged(newest));
    }
    let path: Vec<NodeHash> = command.path.iter().map(|hash| NodeHash(hash.0)).collect();
    let (old, new) = (TreeSize(size), TreeSize(command.size));
    if !verify_consistency(old, NodeHash(root.0), new, NodeHash(command.root.0), &path) {
        return Err(invalid("path", "does not lead from the newest checkpoint cosigned to this one"));
    }
    let is_good = |newest: &WitnessedLog| {
        newest.size == command.size
            && newest.key == command.key
            && ctx.now().0 - newest.at.0 < SAME_COSIGNATURE_SECS * 1_000_000
    };
    if newest.as_ref().is_some_and(is_good) {
        return Ok(unchanged(newest));
    }
    let event = WitnessedCheckpoint {
        key: command.key,
        log: command.log.clone(),
        size: command.size,
        root: command.root,
        checkpoint: command.checkpoint.clone(),
        cosignature: command.cosignature.clone(),
    };
    Ok(Decided::facts(TenantId::LEDGER, vec![event.into()]))
}

fn unchanged(newest: Option<WitnessedLog>) -> Decided {
    Decided::unchanged(Output::Witnessed(newest.map(Box::new)))
}

fn invalid(field: &'static str, why: &str) -> Stop {
    Rejection::Invalid { field, why: why.to_owned() }.into()
}
