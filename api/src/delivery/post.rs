//! One post to one destination.

use std::time::{Duration, Instant};

use bytes::Bytes;
use chancery_ledger::body::Kind;
use chancery_projections::context::{ContextError, Opener};
use chancery_projections::execution::delivery::decide::EXCERPT_CHARS_MAX;
use chancery_projections::execution::delivery::state::Destination;
use hyper::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::form::{Form, Post};
use crate::app::App;
use crate::egress::Outgoing;
use crate::limits::{DELIVERY_ANSWER_BYTES, DELIVERY_SECS};

/// Longest beginning of an answer that is shown to who waits for it, in characters.
const ANSWER_CHARS_MAX: usize = 1024;

/// What came of a post.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Posted {
    /// Whether the destination took it: its answer was a success.
    pub delivered: bool,
    /// The HTTP status of its answer; `null` when none came.
    pub status: Option<u16>,
    /// How long it took, in milliseconds.
    pub ms: u32,
    /// The beginning of the answer, or why there was none; `null` when the answer was empty.
    pub excerpt: Option<String>,
}

impl Posted {
    /// What is recorded of the answer: less of it, on one line.
    pub(super) fn kept_excerpt(&self) -> Option<String> {
        self.excerpt.as_deref().map(|text| one_line(text, EXCERPT_CHARS_MAX))
    }
}

/// Where a post goes, and what it is signed with.
pub(super) struct Place {
    /// Absent when it was erased.
    opened: Option<(String, Secret)>,
}

/// A secret in use, overwritten when it is dropped.
#[derive(Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub(super) struct Secret(pub(super) String);

impl Place {
    /// Opens a destination.
    pub(super) fn open(opener: &Opener<'_>, row: &Destination) -> Result<Self, ContextError> {
        let (kind, field) = row.secret.field();
        let url: Option<String> = opener.open(row.tenant, Kind::DestinationAdded, "address", &row.address)?;
        let secret: Option<Secret> = opener.open(row.tenant, kind, "secret", field)?;
        Ok(Self { opened: url.zip(secret) })
    }
}

/// Posts a body, once.
pub(super) async fn post(app: &App, place: &Place, form: &Form, it: &Post<'_>, body: Bytes) -> Posted {
    let since = Instant::now();
    let failed = |excerpt: String, since: Instant| Posted {
        delivered: false,
        status: None,
        ms: millis(since),
        excerpt: Some(excerpt),
    };
    let Some((url, secret)) = &place.opened else {
        return failed("the destination's address or secret was erased".to_owned(), since);
    };
    let target = match app.egress().target(url) {
        Ok(target) => target,
        Err(forbidden) => return failed(format!("the address {forbidden}"), since),
    };
    let outgoing = Outgoing {
        method: Method::POST,
        target,
        headers: form.signed_headers(it, &body, &secret.0),
        body,
        time: Duration::from_secs(DELIVERY_SECS),
        answer_bytes_max: DELIVERY_ANSWER_BYTES,
    };
    match app.egress().send(outgoing).await {
        Ok(answer) => {
            let text = String::from_utf8_lossy(&answer.body);
            Posted {
                delivered: answer.status.is_success(),
                status: Some(answer.status.as_u16()),
                ms: millis(since),
                excerpt: (!text.is_empty()).then(|| text.chars().take(ANSWER_CHARS_MAX).collect()),
            }
        }
        Err(error) => failed(error.to_string(), since),
    }
}

fn millis(since: Instant) -> u32 {
    u32::try_from(since.elapsed().as_millis()).unwrap_or(u32::MAX)
}

/// The beginning of a text, on one line.
fn one_line(text: &str, max: usize) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).take(max).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_the_beginning_on_one_line() {
        assert_eq!(one_line("a\r\nb\u{7}", 9), "a  b ");
        assert_eq!(one_line(&"\u{e9}".repeat(300), EXCERPT_CHARS_MAX), "\u{e9}".repeat(EXCERPT_CHARS_MAX));
    }
}
