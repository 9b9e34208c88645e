//! What readers ask of identity, now and as of a past event. Another tenant's thing is as one that does not exist.

mod agents;
mod credentials;
mod erasure;
mod issuers;
mod tenants;

pub use agents::*;
pub use credentials::*;
pub use erasure::*;
pub use issuers::*;
pub use tenants::*;

use tenants::fingerprint;

use crate::rows::RowsError;

/// A list's member, which is there for every ordinal up to the list's length.
pub(crate) fn member<V>(found: Option<V>) -> Result<V, RowsError> {
    found.ok_or(RowsError::Missing("a list's member"))
}
