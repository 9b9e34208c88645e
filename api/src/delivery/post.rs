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
use uuid::Uuid;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::form::Form;
use crate::app::App;
use crate::egress::Outgoing;
use crate::limits::{DELIVERY_ANSWER_BYTES, DELIVERY_SECS};

/// What came of a post.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Posted {
    /// Whether the destination took it: its answer was a success.
    pub delivered: bool,
    /// The HTTP status of its answer; `null` when none came.
    pub status: Option<u16>,
    /// How long it took, in milliseconds.
    pub ms: u32,
    /// Of what was not taken, the beginning of the answer, or why there was none.
    pub excerpt: Option<String>,
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
pub(super) async fn post(app: &App, place: &Place, form: &Form, id: Uuid, word: &str, body: Bytes) -> Posted {
    let since = Instant::now();
    let failed = |excerpt: String, since: Instant| Posted {
        delivered: false,
        status: None,
        ms: millis(since),
        excerpt: Some(cut(&excerpt)),
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
        headers: form.headers(id, word, &body, &secret.0),
        body,
        time: Duration::from_secs(DELIVERY_SECS),
        answer_bytes_max: DELIVERY_ANSWER_BYTES,
    };
    match app.egress().send(outgoing).await {
        Ok(answer) => {
            let delivered = answer.status.is_success();
            Posted {
                delivered,
                status: Some(answer.status.as_u16()),
                ms: millis(since),
                excerpt: (!delivered).then(|| cut(&String::from_utf8_lossy(&answer.body))),
            }
        }
        Err(error) => failed(error.to_string(), since),
    }
}

fn millis(since: Instant) -> u32 {
    u32::try_from(since.elapsed().as_millis()).unwrap_or(u32::MAX)
}

/// The beginning of a text, on one line.
fn cut(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).take(EXCERPT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_the_beginning_on_one_line() {
        assert_eq!(cut("a\r\nb\u{7}"), "a  b ");
        assert_eq!(cut(&"\u{e9}".repeat(300)), "\u{e9}".repeat(EXCERPT_CHARS_MAX));
    }
}
