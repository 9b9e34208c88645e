//! CloudEvents 1.0, JSON format. The envelope is eight members, so that its crate, which would copy each event into a tree
//! of values first, brings nothing; tests read it with the SDK that others wrote.

use chancery_ledger::ids::TenantId;
use chancery_ledger::time::Micros;
use chancery_projections::event_view::EventView;
use serde::Serialize;

/// An event. `source` and `id` together name it for good.
#[derive(Debug, Serialize)]
pub struct CloudEvent<'a> {
    specversion: &'static str,
    id: String,
    source: String,
    r#type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    time: Micros,
    datacontenttype: &'static str,
    /// The extension `sequence`: sorts as text.
    sequence: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<TenantId>,
    data: &'a EventView,
}

impl<'a> CloudEvent<'a> {
    /// An event of the ledger of an origin.
    pub fn of(event: &'a EventView, origin: &str) -> Self {
        let subject = event.subjects.first().map(|subject| format!("{}:{}", subject.kind.name(), subject.id));
        Self {
            specversion: "1.0",
            id: event.seq.to_string(),
            source: source(origin),
            r#type: format!("org.chancery.{}", event.kind),
            subject,
            time: event.time,
            datacontenttype: "application/json",
            sequence: format!("{:020}", event.seq.0),
            tenant: event.tenant,
            data: event,
        }
    }
}

/// The ledger as a URI reference (RFC 3986): its origin after two slashes, what a path may not hold percent-encoded.
fn source(origin: &str) -> String {
    let mut text = "//".to_owned();
    for byte in origin.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::source;

    #[test]
    fn a_source_is_a_uri_reference() {
        assert_eq!(source("chancery.local/0193"), "//chancery.local/0193");
        assert_eq!(source("ledger:é?#"), "//ledger%3A%C3%A9%3F%23");
    }
}
