//! The text that the organisation's CA signs for an execution token.

use chancery_ledger::time::Micros;

use super::canonical_json::{array, canonical_members, double_or_null, object, text, text_or_null};
use super::time::to_offset;
use crate::json::Members;
use crate::token::scope::Bound;

/// What an execution token's signature covers; its use and invalidation are not covered, so it lasts.
///
/// # Source
/// contracts/orgkernel.md, section 6, "Preimage and signature".
#[derive(Debug, Clone, Copy)]
pub struct TokenPreimage<'a> {
    /// The token, `tok_…`.
    pub token_id: &'a str,
    /// The agent that holds it, `aid_…`.
    pub agent_id: &'a str,
    /// The mission it is for, `msn_…`.
    pub mission_id: &'a str,
    /// Tools, in any order.
    pub execution_scope: &'a [String],
    /// Parameters with fixed values.
    pub immutable_params: &'a Members,
    /// Parameters held to a range, in the order of the request. Ends must be finite.
    pub bounded_params: &'a [Bound<'a>],
    /// When it was minted.
    pub issued_at: Micros,
    /// Its last instant.
    pub expires_at: Micros,
    /// The caller's reference to a policy snapshot.
    pub boundary_snapshot_id: Option<&'a str>,
}

impl TokenPreimage<'_> {
    /// The nine members as canonical JSON: ASCII, whose bytes are signed.
    #[must_use]
    pub fn canonical(&self) -> String {
        let mut scope: Vec<&str> = self.execution_scope.iter().map(String::as_str).collect();
        scope.sort_unstable();
        let bounds = self.bounded_params.iter().map(|bound| {
            object([
                ("lower_bound", double_or_null(bound.lower)),
                ("param_name", text(bound.name)),
                ("unit", text_or_null(bound.unit)),
                ("upper_bound", double_or_null(bound.upper)),
            ])
        });
        object([
            ("agent_id", text(self.agent_id)),
            ("boundary_snapshot_id", text_or_null(self.boundary_snapshot_id)),
            ("bounded_params", array(bounds)),
            ("execution_scope", array(scope.into_iter().map(text))),
            ("expires_at", text(&to_offset(self.expires_at))),
            ("immutable_params", canonical_members(self.immutable_params)),
            ("issued_at", text(&to_offset(self.issued_at))),
            ("mission_id", text(self.mission_id)),
            ("token_id", text(self.token_id)),
        ])
    }
}
