//! Events in the words of security tools: CloudEvents and OCSF, one JSON object a line, for who asks
//! (`GET /v1/events?format=`) and pushed to files and HTTP sinks ([`push`]).

use chancery_projections::event_view::EventView;

mod cloudevents;
mod cursor;
mod ocsf;
pub mod push;
pub mod sinks;

/// The media type of lines of JSON.
pub const MEDIA_TYPE: &str = "application/x-ndjson";

/// In whose words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// CloudEvents 1.0 in JSON, the event as its data.
    CloudEvents,
    /// OCSF 1.5, class API Activity (6003).
    Ocsf,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 2] = [Self::CloudEvents, Self::Ocsf];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CloudEvents => "cloudevents",
            Self::Ocsf => "ocsf",
        }
    }

    /// The format of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// Appends an event as a line.
    ///
    /// # Errors
    /// When it has no JSON.
    pub fn write(self, event: &EventView, origin: &str, line: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        match self {
            Self::CloudEvents => serde_json::to_writer(&mut *line, &cloudevents::CloudEvent::of(event, origin))?,
            Self::Ocsf => serde_json::to_writer(&mut *line, &ocsf::api_activity(event, origin)?)?,
        }
        line.push(b'\n');
        Ok(())
    }
}
