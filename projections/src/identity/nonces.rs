//! Nonces of what agents signed: each is good once. They are forgotten when the signature could not be taken any more, so
//! there are never more than a key can sign in that time.

use chancery_ledger::body::signature::CommandSigned;
use chancery_ledger::ids::KeyId;
use chancery_ledger::signature_base::LIFE_SECS;
use chancery_ledger::time::Micros;
use serde::{Deserialize, Serialize};

use crate::rows::table::Table;
use crate::rows::{Rows, RowsError, RowsMut};

/// Until when a nonce is remembered, by key and nonce.
const SPENT: Table<Micros> = Table::new(128);
/// A key's nonces in the order in which they came, by key and place.
const QUEUE: Table<String> = Table::new(129);
/// Where that queue begins and ends, by key.
const ENDS: Table<Ends> = Table::new(130);
/// Nonces forgotten for each that comes: more than one, so that the queue of a key that signed much gets shorter.
const FORGOTTEN_AT_ONCE: usize = 2;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Ends {
    first: u64,
    next: u64,
}

/// Whether something was taken before that was signed with a key under this nonce.
///
/// # Errors
/// [`RowsError`] when the view's storage fails.
pub fn is_spent(rows: &dyn Rows, key: KeyId, nonce: &str) -> Result<bool, RowsError> {
    Ok(SPENT.get(rows, (key, nonce))?.is_some())
}

/// Remembers the nonce of what an agent signed, at the time of the event.
///
/// # Errors
/// [`RowsError`] when the view's storage fails or the view is damaged.
pub fn spend(rows: &mut dyn RowsMut, at: Micros, signed: &CommandSigned) -> Result<(), RowsError> {
    let (key, nonce) = (signed.key, signed.nonce.as_str());
    let mut ends = ENDS.get(&*rows, key)?.unwrap_or_default();
    for _ in 0..FORGOTTEN_AT_ONCE {
        let Some(oldest) = QUEUE.get(&*rows, (key, ends.first))? else { break };
        let until = SPENT.get(&*rows, (key, oldest.as_str()))?.ok_or(RowsError::Missing("a nonce that was spent"))?;
        if until >= at {
            break;
        }
        SPENT.delete(rows, (key, oldest.as_str()))?;
        QUEUE.delete(rows, (key, ends.first))?;
        ends.first += 1;
    }
    SPENT.put(rows, (key, nonce), &signed.created.plus_secs(LIFE_SECS))?;
    QUEUE.put(rows, (key, ends.next), &nonce.to_owned())?;
    ends.next += 1;
    ENDS.put(rows, key, &ends)
}
