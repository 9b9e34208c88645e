//! OCSF 1.5, class API Activity (6003, <https://schema.ocsf.io/1.5.0/classes/api_activity>): each event as the call that
//! brought it about.

use chancery_ledger::actor::Principal;
use chancery_projections::event_view::EventView;
use serde_json::{Value, json};

const CLASS: u64 = 6003;
const CATEGORY: u64 = 6;

/// What was done to its object, as the class tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Activity {
    Create = 1,
    Read = 2,
    Update = 3,
    Delete = 4,
    Other = 99,
}

impl Activity {
    /// By the last word of an event's kind, which is how kinds are named.
    fn of(kind: &str) -> Self {
        let start = kind.rfind(|letter: char| letter.is_ascii_uppercase()).unwrap_or(0);
        match kind.get(start..).unwrap_or_default() {
            "Created" | "Registered" | "Added" | "Issued" | "Opened" | "Invited" | "Joined" | "Filed" | "Claimed"
            | "Appended" | "Trusted" | "Placed" => Self::Create,
            "Checked" | "Introspected" | "Evaluated" | "Exported" => Self::Read,
            "Updated" | "Changed" | "Suspended" | "Resumed" | "Rotated" | "Granted" | "Verified" | "Answered"
            | "Used" | "Resolved" | "Completed" | "Reset" | "Reversed" | "Recorded" => Self::Update,
            "Deleted" | "Removed" | "Revoked" | "Retired" | "Decommissioned" | "Ended" | "Released" | "Closed"
            | "Erased" | "Destroyed" | "Lifted" => Self::Delete,
            _ => Self::Other,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Create => "Create",
            Self::Read => "Read",
            Self::Update => "Update",
            Self::Delete => "Delete",
            Self::Other => "Other",
        }
    }
}

/// The record of an event of the ledger of an origin. The whole event stands under `unmapped`.
///
/// # Errors
/// When the event has no JSON.
pub fn api_activity(event: &EventView, origin: &str) -> Result<Value, serde_json::Error> {
    let activity = Activity::of(event.kind);
    let failed = is_failure(event);
    let resources: Vec<Value> = event
        .subjects
        .iter()
        .map(|subject| json!({ "type": subject.kind.name(), "uid": subject.id.to_string() }))
        .collect();
    let mut record = json!({
        "activity_id": activity as u64,
        "activity_name": activity.name(),
        "category_uid": CATEGORY,
        "category_name": "Application Activity",
        "class_uid": CLASS,
        "class_name": "API Activity",
        "type_uid": CLASS * 100 + activity as u64,
        "type_name": format!("API Activity: {}", activity.name()),
        "time": event.time.millis(),
        // Low for what was not allowed, else informational: which of them is an incident is the reader's to say.
        "severity_id": if failed { 2 } else { 1 },
        "severity": if failed { "Low" } else { "Informational" },
        "status_id": if failed { 2 } else { 1 },
        "status": if failed { "Failure" } else { "Success" },
        "metadata": {
            "version": "1.5.0",
            "product": { "name": "Chancery", "vendor_name": "Chancery", "version": env!("CARGO_PKG_VERSION") },
            "uid": event.hash.to_string(),
            "sequence": event.seq,
            "event_code": event.kind,
            "log_name": origin,
        },
        "api": { "operation": event.kind, "service": { "name": "Chancery" } },
        "actor": { "user": user(&event.actor.principal) },
        "src_endpoint": { "name": "not recorded" },
        "resources": resources,
        "unmapped": serde_json::to_value(event)?,
    });
    if let Some(tenant) = event.tenant {
        record["metadata"]["tenant_uid"] = json!(tenant);
    }
    if let Some(correlation) = event.correlation {
        record["metadata"]["correlation_uid"] = json!(correlation.to_string());
    }
    if let Some(from) = &event.origin {
        record["src_endpoint"] = json!({ "ip": from.ip });
        if let Some(agent) = &from.user_agent {
            record["http_request"] = json!({ "user_agent": agent });
        }
    } else if event.actor.principal == Principal::System {
        record["src_endpoint"] = json!({ "svc_name": "chanceryd" });
    }
    Ok(record)
}

/// Whether an event is that something was not allowed or did not succeed.
fn is_failure(event: &EventView) -> bool {
    let says_no = |fact: &str| event.body.0.get(fact).is_some_and(|value| value.get() == "false");
    event.kind.ends_with("Refused") || event.kind.ends_with("Failed") || says_no("passed") || says_no("allowed")
}

/// A principal as a user: 1 a person, 3 the system, 99 a program. Without an id its name says what it is.
fn user(principal: &Principal) -> Value {
    let of = |kind: &str, type_id: u64, uid: String| json!({ "type": kind, "type_id": type_id, "uid": uid });
    match principal {
        Principal::System => json!({ "type": "System", "type_id": 3, "name": "chanceryd" }),
        Principal::Anonymous => json!({ "type": "Unknown", "type_id": 0, "name": "anonymous" }),
        Principal::Member(id) => of("User", 1, id.to_string()),
        Principal::Tenant(id) => of("tenant", 99, id.to_string()),
        Principal::Agent(id) => of("agent", 99, id.to_string()),
        Principal::Client(id) => of("client", 99, id.to_string()),
        Principal::Execution(id) => of("execution", 99, id.to_string()),
        Principal::Subject(text) => of("subject", 99, text.replace('\n', " ")),
    }
}

#[cfg(test)]
mod tests {
    use chancery_ledger::body::Kind;

    use super::Activity;

    #[test]
    fn kinds_are_told_by_their_last_word() {
        for (kind, activity) in [
            ("AgentRegistered", Activity::Create),
            ("ScopeChecked", Activity::Read),
            ("PolicyReset", Activity::Update),
            ("TokenRevoked", Activity::Delete),
            ("TransactionFailed", Activity::Other),
        ] {
            assert_eq!(Activity::of(kind), activity, "{kind}");
        }
        let others = Kind::ALL.iter().filter(|kind| Activity::of(kind.name()) == Activity::Other).count();
        assert!(others * 5 < Kind::ALL.len(), "{others} kinds have a last word that is not known");
    }
}
