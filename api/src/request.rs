//! A request on its way through the daemon: its head, its body within bounds, its id.

use std::cell::RefCell;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chancery_ledger::ids::uuid_v7;
use chancery_ledger::time::Micros;
use chancery_projections::context::{PooledRandom, Random as _};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::header::HeaderValue;
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, header};
use uuid::Uuid;

use crate::limits::REQUEST_ID_CHARS_MAX;

/// A request.
#[derive(Debug)]
pub struct Request {
    /// Its id.
    pub id: RequestId,
    /// Where it comes from.
    pub peer: IpAddr,
    head: Box<Parts>,
    body: Incoming,
    unread: Option<Unread>,
}

/// Tells whether a body still waits to be read, when its request is answered and gone.
#[derive(Debug, Clone)]
pub struct Unread(Arc<AtomicBool>);

impl Unread {
    /// Whether it does.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Request {
    /// Takes over what hyper read.
    #[must_use]
    pub fn new(id: RequestId, peer: IpAddr, request: hyper::Request<Incoming>) -> Self {
        let (head, body) = request.into_parts();
        let unread = (!body.is_end_stream()).then(|| Unread(Arc::new(AtomicBool::new(true))));
        Self { id, peer, head: Box::new(head), body, unread }
    }

    /// What tells whether its body was read; `None` when it has none.
    #[must_use]
    pub fn unread(&self) -> Option<Unread> {
        self.unread.clone()
    }

    /// Its method.
    #[must_use]
    pub const fn method(&self) -> &Method {
        &self.head.method
    }

    /// Its path, as sent: percent-encoded.
    #[must_use]
    pub fn path(&self) -> &str {
        self.head.uri.path()
    }

    /// What stands behind the `?`, as sent.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.head.uri.query()
    }

    /// The host that it is for, and its port, as sent; `None` when it does not say.
    #[must_use]
    pub fn authority(&self) -> Option<&str> {
        let uri = self.head.uri.authority().map(|authority| authority.as_str());
        uri.or_else(|| self.head.headers.get(header::HOST).and_then(|host| host.to_str().ok()))
    }

    /// Its header fields.
    #[must_use]
    pub const fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// A header field that may stand once and in visible ASCII.
    ///
    /// # Errors
    /// [`BadHeader`] when it stands twice or holds something else.
    pub fn header(&self, name: &'static str) -> Result<Option<&str>, BadHeader> {
        let mut values = self.head.headers.get_all(name).iter();
        let Some(value) = values.next() else { return Ok(None) };
        match (value.to_str(), values.next()) {
            (Ok(text), None) => Ok(Some(text)),
            _ => Err(BadHeader(name)),
        }
    }

    /// Whether the body is of this media type, parameters aside; a body without a type counts as JSON.
    #[must_use]
    pub fn content_is(&self, media_type: &str) -> bool {
        match self.head.headers.get(header::CONTENT_TYPE) {
            None => media_type == "application/json",
            Some(value) => value.to_str().is_ok_and(|text| essence(text).eq_ignore_ascii_case(media_type)),
        }
    }

    /// Whether the caller asks for this media type by name.
    #[must_use]
    pub fn accepts(&self, media_type: &str) -> bool {
        let values = self.head.headers.get_all(header::ACCEPT).iter();
        let mut ranges = values.filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','));
        ranges.any(|range| essence(range).eq_ignore_ascii_case(media_type))
    }

    /// The whole body.
    ///
    /// # Errors
    /// [`BodyError`] when it is longer than `max` bytes, does not arrive in `time`, or breaks off.
    pub async fn body(&mut self, max: usize, time: Duration) -> Result<Bytes, BodyError> {
        // A length that is announced is refused before anything is read.
        if self.body.size_hint().lower() > max as u64 {
            return Err(BodyError::TooLarge { max });
        }
        let body = &mut self.body;
        let read = async move {
            let mut whole = BytesMut::new();
            while let Some(frame) = body.frame().await {
                let Ok(data) = frame.map_err(|_| BodyError::BrokenOff)?.into_data() else { continue };
                if whole.len() + data.len() > max {
                    return Err(BodyError::TooLarge { max });
                }
                if whole.is_empty() && body.is_end_stream() {
                    return Ok(data);
                }
                whole.extend_from_slice(&data);
            }
            Ok(whole.freeze())
        };
        let read = tokio::time::timeout(time, read).await.unwrap_or(Err(BodyError::TooSlow));
        if read.is_ok() {
            self.no_longer_waits();
        }
        read
    }

    fn no_longer_waits(&self) {
        if let Some(unread) = &self.unread {
            unread.0.store(false, Ordering::Relaxed);
        }
    }

    /// The body, to be read piece by piece.
    pub fn into_body(self) -> Incoming {
        self.no_longer_waits();
        self.body
    }
}

fn essence(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or_default().trim()
}

/// A header field stands twice, or holds what is no visible ASCII.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the header field `{0}` must stand once, in visible ASCII")]
pub struct BadHeader(pub &'static str);

/// A body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is too long.
    #[error("the body is longer than {max} bytes")]
    TooLarge {
        /// How long it may be.
        max: usize,
    },
    /// It did not arrive in time.
    #[error("the body did not arrive in time")]
    TooSlow,
    /// It broke off.
    #[error("the body broke off")]
    BrokenOff,
}

/// Names a request, in answers, in diagnostics and, as its correlation, in the events it causes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId {
    /// The caller's own text; without one, the correlation is the id.
    given: Option<Arc<str>>,
    correlation: Uuid,
}

impl RequestId {
    /// Takes over the caller's `X-Request-Id` when it is 1 to 64 of `A-Za-z0-9._-`; makes one otherwise. The
    /// correlation is the id itself when that is a UUID.
    #[must_use]
    pub fn of(headers: &HeaderMap, now: Micros) -> Self {
        let given = headers.get("x-request-id").and_then(|value| value.to_str().ok()).filter(|text| is_id(text));
        let correlation = given.and_then(|text| Uuid::try_parse(text).ok()).filter(|id| !id.is_nil());
        Self { given: given.map(Arc::from), correlation: correlation.unwrap_or_else(|| made(now)) }
    }

    /// What the events of the request have in common.
    #[must_use]
    pub const fn correlation(&self) -> Uuid {
        self.correlation
    }

    /// The id as a header field; `None` cannot be, as every id is harmless.
    #[must_use]
    pub fn header_value(&self) -> Option<HeaderValue> {
        match &self.given {
            Some(given) => HeaderValue::from_str(given).ok(),
            None => {
                HeaderValue::from_str(self.correlation.as_hyphenated().encode_lower(&mut Uuid::encode_buffer())).ok()
            }
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.given {
            Some(given) => f.write_str(given),
            None => self.correlation.fmt(f),
        }
    }
}

fn is_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=REQUEST_ID_CHARS_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

thread_local! {
    static RANDOM: RefCell<PooledRandom> = RefCell::default();
}

fn made(now: Micros) -> Uuid {
    let mut random = [0; 10];
    // An id without randomness still names the request by its time; nothing secret hangs on it.
    let _ = RANDOM.with_borrow_mut(|source| source.fill(&mut random));
    uuid_v7(now.millis(), random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_are_taken_over_only_when_harmless() {
        let id = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-request-id", HeaderValue::from_str(text).unwrap());
            RequestId::of(&headers, Micros(1_700_000_000_000_000))
        };
        assert_eq!(id("job-7.a_B").to_string(), "job-7.a_B");
        for bad in ["", "a b", "a\"b", &"x".repeat(65)] {
            let made = id(bad);
            assert_eq!(made.to_string(), made.correlation().to_string());
        }
        let uuid = "01932C07-209c-7c3a-9f1e-5b6d7e8f9a0b";
        assert_eq!(id(uuid).correlation().to_string(), uuid.to_lowercase());
        for sent in ["job-7.a_B", "a b", uuid] {
            assert_eq!(id(sent).header_value().unwrap().len(), id(sent).to_string().len());
        }
        assert_eq!(id(uuid).header_value().unwrap(), uuid, "as it was sent");
    }
}
