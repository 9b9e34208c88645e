//! Whether anything has happened that witnesses should hear of.

use std::sync::Arc;

use chancery_ledger::body::Kind;
use chancery_ledger::event::{Outline, ReadError};
use chancery_ledger::ids::TreeSize;
use chancery_ledger::store::{LogStore, StoreError};
use chancery_ledger::tree::seal::Seal;

use crate::native::admin::blocking;
use crate::problem::Problem;

/// How far the log was looked through.
#[derive(Debug, Clone, Copy)]
pub(super) struct News {
    read: TreeSize,
}

impl News {
    /// Begins with the event after those that a checkpoint signs.
    pub(super) const fn after(size: TreeSize) -> Self {
        Self { read: size }
    }

    /// The newest seal, if something happened since the one before.
    pub(super) async fn newest_seal(&mut self, log: Arc<dyn LogStore>) -> Result<Option<Seal>, Problem> {
        let from = self.read;
        let (read, seal) = blocking(move || look(&*log, from)).await??;
        self.read = read;
        Ok(seal)
    }
}

/// How far the log is looked through, and its newest seal if anything beyond `from` happened.
fn look(log: &dyn LogStore, from: TreeSize) -> Result<(TreeSize, Option<Seal>), Problem> {
    let mut read = from;
    for next in log.records(from.next()) {
        let (seq, record) = next?;
        let outline = Outline::parse(&record.header).map_err(ReadError::from)?;
        if !Kind::from_code(outline.kind).is_some_and(Kind::is_attestation) {
            let (size, seal) = log.last_seal()?.ok_or(StoreError::Empty)?;
            let seal = Seal::parse(&seal).map_err(|error| {
                tracing::error!(%error, %size, "a stored seal is malformed");
                Problem::Internal
            })?;
            return Ok((size, Some(seal)));
        }
        read = seq.tree_size();
    }
    Ok((read, None))
}
