//! Requests about execution tokens.

use chancery_ledger::body::token::Bound;
use chancery_ledger::time::Micros;
use chancery_projections::command::{CheckScope, IssueToken};
use chancery_projections::json::Members;

use super::fields::{Fault, Fields, Part, Pattern, TextRule};
use super::{AGENT_ID, MISSION_PATTERN, agent, json_text, mission, small, small_or_digit};

const MISSION_ID: TextRule = TextRule { min: 10, max: 32, pattern: Some(MISSION_PATTERN) };

const TOOL: TextRule = TextRule {
    min: 0,
    max: usize::MAX,
    pattern: Some(Pattern {
        written: "^[a-z][a-z0-9_]*$",
        prefix: "",
        first: Some(small),
        rest: |byte| small_or_digit(byte) || byte == b'_',
    }),
};

/// Reads which token is to be minted.
///
/// # Errors
/// What is wrong with it.
pub fn mint(body: &Members, now: Micros) -> Result<IssueToken, Vec<Fault>> {
    let mut read = Fields::new(Part::Body, body);
    let command = IssueToken {
        agent: agent(&read.text("agent_id", &AGENT_ID)),
        mission: mission(&read.text("mission_id", &MISSION_ID)),
        scopes: read.distinct_texts("execution_scope", &TOOL),
        expires: read.later_time("expires_at", now),
        immutable: json_text(read.object("immutable_params")),
        bounds: read.objects("bounded_params", bound),
        snapshot: read.text_or_null("boundary_snapshot_id", &TextRule::length(0, 32)),
    };
    read.done(command)
}

fn bound(read: &mut Fields<'_>) -> Bound {
    // The README writes `name` where the code writes `param_name`.
    let field = if read.has("param_name") || !read.has("name") { "param_name" } else { "name" };
    let bound = Bound {
        name: read.text(field, &TextRule::ANY),
        upper: read.double_or_null("upper_bound"),
        lower: read.double_or_null("lower_bound"),
        unit: read.text_or_null("unit", &TextRule::ANY),
    };
    if bound.lower.zip(bound.upper).is_some_and(|(lower, upper)| upper < lower) {
        read.fault_of_all("value_error", "Value error, upper_bound must be >= lower_bound.");
    }
    bound
}

/// A use to be held against a token, and the texts as they were sent.
#[derive(Debug, Clone, PartialEq)]
pub struct ScopeCheck {
    /// As sent.
    pub token_id: String,
    /// As sent.
    pub tool_name: String,
    /// What it becomes.
    pub command: CheckScope,
}

/// Reads a use to be held against a token.
///
/// # Errors
/// What is wrong with it.
pub fn scope_check(body: &Members) -> Result<ScopeCheck, Vec<Fault>> {
    let mut read = Fields::new(Part::Body, body);
    let token_id = read.text("token_id", &TextRule::length(10, 32));
    let tool_name = read.text("tool_name", &TextRule::length(1, 64));
    let command = CheckScope {
        token: super::token_id(&token_id),
        tool: tool_name.clone(),
        params: json_text(read.object("params")),
        agent: read.text_or_null("agent_id", &TextRule::ANY).map(|text| agent(&text).to_string()),
    };
    read.done(ScopeCheck { token_id, tool_name, command })
}

/// Reads why a token is invalidated.
///
/// # Errors
/// What is wrong with it.
pub fn invalidate(query: &Members) -> Result<String, Vec<Fault>> {
    let mut read = Fields::new(Part::Query, query);
    let reason = read.text("reason", &TextRule::ANY);
    read.done(reason)
}
