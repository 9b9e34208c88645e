//! Timestamps: what an authority says of a checkpoint is recorded only if it is over that one.

use chancery_ledger::body::timestamp::CheckpointTimestamped;
use chancery_ledger::ids::{TenantId, TreeSize};
use chancery_ledger::timestamp::{Imprint, Token};
use chancery_ledger::tree::NodeHash;
use chancery_ledger::tree::seal::Checkpoint;

use crate::command::RecordTimestamp;
use crate::context::Context;
use crate::decision::{Decided, State, Stop};
use crate::identity::state::{LEDGER, TIMESTAMPED};
use crate::output::Output;
use crate::rejection::Rejection;
use crate::rows::RowsError;

/// Decides [`RecordTimestamp`]. A checkpoint has one; another of the same changes nothing.
///
/// # Errors
/// [`Rejection::Invalid`] when the token is none, or is over something else.
pub fn record(state: &State<'_>, command: &RecordTimestamp, _: &mut Context<'_>) -> Result<Decided, Stop> {
    let RecordTimestamp { size, root, token } = command;
    if TIMESTAMPED.get(state.identity, *size)?.is_some() {
        return Ok(Decided::unchanged(Output::Done));
    }
    let ledger = LEDGER.get(state.identity, ())?.ok_or(RowsError::Missing("the ledger"))?;
    let invalid = |why: String| Rejection::Invalid { field: "token", why };
    let read = Token::parse(token).map_err(|error| invalid(error.to_string()))?;
    let checkpoint = Checkpoint { origin: ledger.origin, size: TreeSize(*size), root: NodeHash(root.0) };
    if !read.is_over(Imprint::of(&checkpoint)) {
        return Err(invalid("is over another checkpoint".to_owned()).into());
    }
    let (ledger, at) = (ledger.ledger, read.time());
    let event = CheckpointTimestamped { ledger, size: *size, root: *root, at, token: token.clone() };
    Ok(Decided::facts(TenantId::LEDGER, vec![event.into()]))
}
