//! Events about what the log was asked to prove.

use serde::{Deserialize, Serialize};

use super::{Facts, Subjects};
use crate::ids::{Seq, Subject, TenantId};
use crate::time::Micros;

/// Somebody had an evidence bundle made: which events were asked for, and in which form (`docs/format.md`, section 17).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceExported {
    /// The first position asked for.
    pub first: Seq,
    /// The position after the last.
    pub end: Seq,
    /// The earliest time, where the period was named by times.
    pub from: Option<Micros>,
    /// The latest time, likewise.
    pub to: Option<Micros>,
    /// Only events of this tenant.
    pub of: Option<TenantId>,
    /// Only what concerns one of these.
    pub things: Vec<Subject>,
    /// Whether the bodies went with it, or their hashes alone.
    pub bodies: bool,
    /// Whether the headers of all other events of the range did.
    pub headers: bool,
}

impl Facts for EvidenceExported {
    // What was asked about can be anybody's, and nothing happened to it.
    fn subjects(&self, _: &mut Subjects) {}
}
