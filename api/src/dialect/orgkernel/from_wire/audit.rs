//! Requests about audit chains.

use chancery_ledger::body::execution::AuditLayer;
use chancery_ledger::ids::AuditChainId;
use chancery_projections::command::{AppendAuditEntry, OpenAuditChain};
use chancery_projections::json::Members;

use super::fields::{Fault, Fields, Part, TextRule};
use super::{AGENT_ID, MISSION_PATTERN, json_text, mission};

const MISSION_ID: TextRule = TextRule { min: 0, max: 32, pattern: Some(MISSION_PATTERN) };

/// The layers, by their names.
const LAYERS: [(&str, AuditLayer); 4] = [
    ("IDENTITY", AuditLayer::Identity),
    ("EXECUTION", AuditLayer::Execution),
    ("COMPLIANCE", AuditLayer::Compliance),
    ("GOVERNANCE", AuditLayer::Governance),
];

/// Reads which chain is to be started.
///
/// # Errors
/// What is wrong with it.
pub fn initialize(body: &Members) -> Result<OpenAuditChain, Vec<Fault>> {
    let mut read = Fields::new(Part::Body, body);
    let mission_text = read.text("mission_id", &MISSION_ID);
    let command =
        OpenAuditChain { mission: mission(&mission_text), agent_text: read.text("agent_id", &AGENT_ID), mission_text };
    read.done(command)
}

/// Reads what is to be appended.
///
/// # Errors
/// What is wrong with it.
pub fn append(chain: AuditChainId, body: &Members) -> Result<AppendAuditEntry, Vec<Fault>> {
    let mut read = Fields::new(Part::Body, body);
    let layer = read.one_of("layer", &LAYERS).unwrap_or(AuditLayer::Identity);
    let command = AppendAuditEntry {
        chain,
        layer,
        event: read.text("event", &TextRule::length(1, 128)),
        agent_text: read.text("agent_id", &AGENT_ID),
        mission_text: read.text("mission_id", &MISSION_ID),
        token_text: read.text_or_null("token_id", &TextRule::length(0, 32)),
        data: json_text(read.object_or_null("data")),
    };
    read.done(command)
}
