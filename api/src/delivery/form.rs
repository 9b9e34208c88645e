//! Forms: what a post looks like in each rendering. A dialect's is made in the dialect's own room.

use std::fmt;

use aws_lc_rs::hmac;
use bytes::Bytes;
use chancery_ledger::ids::{Seq, SubscriptionId, TenantId};
use chancery_ledger::store::StoreError;
use chancery_ledger::time::Micros;
use chancery_projections::event_view::render_record;
use chancery_projections::view::Reading;
use hyper::HeaderMap;
use hyper::header::{self, HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::App;
use crate::dialect::{agentidp, alsorn};
use crate::problem::Problem;

/// What a post looks like in a rendering.
pub struct Form {
    /// The rendering's name.
    pub rendering: &'static str,
    /// The header field that holds the signature: `sha256=` and the HMAC-SHA256 of the body in hexadecimal.
    pub signature: &'static str,
    /// The header field that says which event it is.
    pub event: &'static str,
    /// The header field that holds an id.
    pub id: &'static str,
    /// Whose id that is.
    pub id_of: IdOf,
    /// The header field that says when it was sent, in Unix seconds, if there is one.
    pub time: Option<&'static str>,
    /// The body that tells an event.
    pub body: Body,
    /// The word and the body of a test.
    pub test: Test,
}

/// Whose id a post names in its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdOf {
    /// The delivery's, the same in every attempt.
    Delivery,
    /// The attempt's own.
    Attempt,
}

/// A post, beside its body.
#[derive(Debug, Clone, Copy)]
pub struct Post<'a> {
    /// The delivery's id, or that of a test or a code.
    pub id: Uuid,
    /// The attempt's own id.
    pub attempt: Uuid,
    /// The word for what it tells.
    pub word: &'a str,
    /// When it is sent.
    pub at: Micros,
}

/// Makes the body that tells an event.
pub type Body = fn(&App, &Reading<'_>, &Told<'_>) -> Result<Bytes, Problem>;

/// Makes a test of a subscription: its word, and its body.
pub type Test = fn(&Tested) -> Result<(&'static str, Bytes), Problem>;

/// A test that is to be posted.
#[derive(Debug, Clone, Copy)]
pub struct Tested {
    /// Its id.
    pub id: Uuid,
    /// Of which subscription.
    pub subscription: SubscriptionId,
    /// When.
    pub at: Micros,
}

/// An event that is to be told.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// Whose it is.
    pub tenant: TenantId,
    /// The delivery's id, the same in every attempt.
    pub id: Uuid,
    /// The event.
    pub event: Seq,
    /// When it was decided.
    pub time: Micros,
    /// The rendering's word for it.
    pub word: &'a str,
}

/// Every form.
const FORMS: &[&Form] = &[&NATIVE, &agentidp::webhooks::FORM, &alsorn::webhooks::FORM];

const NATIVE: Form = Form {
    rendering: "native",
    signature: "chancery-signature",
    event: "chancery-event",
    id: "chancery-delivery",
    id_of: IdOf::Delivery,
    time: None,
    body: native,
    test,
};

impl Form {
    /// The form of a rendering.
    #[must_use]
    pub fn of(rendering: &str) -> Option<&'static Self> {
        FORMS.iter().copied().find(|form| form.rendering == rendering)
    }

    /// The native form, for what is said in no rendering.
    #[must_use]
    pub const fn native() -> &'static Self {
        &NATIVE
    }

    /// The header fields of a post with this body, but for its signature.
    #[must_use]
    pub fn headers(&self, post: &Post<'_>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let id = match self.id_of {
            IdOf::Delivery => post.id,
            IdOf::Attempt => post.attempt,
        };
        set(&mut headers, self.event, post.word);
        set(&mut headers, self.id, &id.to_string());
        if let Some(time) = self.time {
            set(&mut headers, time, &(post.at.millis() / 1_000).to_string());
        }
        headers
    }

    /// The same with the signature under a secret.
    #[must_use]
    pub fn signed_headers(&self, post: &Post<'_>, body: &[u8], secret: &str) -> HeaderMap {
        let mut headers = self.headers(post);
        set(&mut headers, self.signature, &sign(secret, body));
        headers
    }
}

/// Words, ids and digits are all that these fields hold, and header fields can hold those.
fn set(headers: &mut HeaderMap, name: &'static str, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Form({})", self.rendering)
    }
}

/// The signature of a body: what its receiver computes from the body as it came and the secret, and compares.
#[must_use]
pub fn sign(secret: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    format!("sha256={}", hex::encode(hmac::sign(&key, body)))
}

/// The JSON of a body.
///
/// # Errors
/// [`Problem::Internal`] when it cannot be written.
pub fn written(body: &impl Serialize) -> Result<Bytes, Problem> {
    Ok(serde_json::to_vec(body).map_err(|_| Problem::Internal)?.into())
}

/// The body of what tells no event: a test, a code.
pub(super) fn note(id: Uuid, word: &str, data: Value) -> Result<Bytes, Problem> {
    written(&json!({ "id": id, "event": word, "data": data }))
}

/// A test in native words, which renderings without a test of their own post too.
///
/// # Errors
/// [`Problem::Internal`] when it cannot be written.
pub fn test(tested: &Tested) -> Result<(&'static str, Bytes), Problem> {
    Ok(("test", note(tested.id, "test", json!({ "subscription": tested.subscription }))?))
}

/// The event as `GET /v1/events/{seq}` shows it.
fn native(app: &App, reading: &Reading<'_>, told: &Told<'_>) -> Result<Bytes, Problem> {
    let record = app.engine().log().record(told.event)?.ok_or(StoreError::Missing { seq: told.event })?;
    let event = render_record(&record, &reading.opener)?;
    written(&json!({ "id": told.id, "event": told.word, "data": event }))
}

#[cfg(test)]
mod tests {
    use chancery_projections::execution::delivery::rendering::RENDERINGS;

    use super::*;

    #[test]
    fn every_rendering_has_a_form() {
        for rendering in RENDERINGS {
            assert!(Form::of(rendering.name).is_some(), "{}", rendering.name);
        }
        assert_eq!(FORMS.len(), RENDERINGS.len());
        assert!(Form::of("esperanto").is_none());
    }

    /// RFC 4231, test case 2.
    #[test]
    fn a_body_is_signed_with_hmac_sha256() {
        assert_eq!(
            sign("Jefe", b"what do ya want for nothing?"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn a_post_names_its_event_and_its_id_and_is_signed() {
        let post = Post { id: Uuid::nil(), attempt: Uuid::max(), word: "AgentRegistered", at: Micros(7_900_000) };
        let headers = NATIVE.signed_headers(&post, b"{}", "hush");
        assert_eq!(headers["chancery-event"], "AgentRegistered");
        assert_eq!(headers["chancery-delivery"], Uuid::nil().to_string());
        assert_eq!(headers["chancery-signature"], sign("hush", b"{}"));
        let by_attempt = Form { id_of: IdOf::Attempt, time: Some("sent-at"), ..NATIVE }.headers(&post);
        assert_eq!(by_attempt["chancery-delivery"], Uuid::max().to_string());
        assert_eq!(by_attempt["sent-at"], "7");
        assert_eq!(headers[header::CONTENT_TYPE], "application/json");
    }
}
