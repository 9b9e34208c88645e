//! Requests that the daemon itself sends: the one door for every effect that goes out over HTTP.
//!
//! Where somebody names an address for the daemon to call, they could name one that only the daemon reaches: a service on
//! its machine, its network, its cloud's metadata. So, unless the operator allows private targets,
//!
//! - a target is an `https` address of a name, not of a bare IP address ([`Target`]);
//! - a name that stands for any address that is not public is refused, and the connection goes to the very addresses
//!   that were looked at, so a name that changes its mind in between changes nothing (`resolver`);
//! - an address of the machine's own link is refused, whatever the operator allows;
//! - no redirect is followed, no proxy of the environment is used.
//!
//! Time, bytes read and requests at once are bounded. Out of scope: what is sent, and when it is sent again.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::{HeaderMap, Method, StatusCode};
use tokio::sync::Semaphore;

use crate::limits::{EGRESS_CONNECT_SECS, EGRESS_IDLE_PER_HOST, EGRESS_IDLE_SECS, EGRESS_IN_FLIGHT};

mod address;
mod resolver;
mod target;

pub use target::{Forbidden, Target};

/// Sends requests to targets that may be called.
#[derive(Clone)]
pub struct Egress {
    /// Or why there is none: no program's TLS works without the machine's root certificates.
    client: Result<reqwest::Client, Arc<str>>,
    allows_private: bool,
    places: Arc<Semaphore>,
}

/// A request to send.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Its method.
    pub method: Method,
    /// Where it goes.
    pub target: Target,
    /// Its header fields, beside those of any request.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// Time for all of it, from the wait for a place to the last byte of the answer.
    pub time: Duration,
    /// How much of the answer's body is read, in bytes.
    pub answer_bytes_max: usize,
}

/// An answer that came.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status; a redirect is an answer like any other.
    pub status: StatusCode,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Its body, or the first of it.
    pub body: Bytes,
    /// Whether that is all of the body.
    pub is_whole: bool,
}

/// No answer came.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EgressError {
    /// It may not be called.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// It took too long.
    #[error("{host} did not answer within {secs} s")]
    TooSlow {
        /// Who.
        host: String,
        /// The time it had.
        secs: u64,
    },
    /// It cannot be reached, or breaks off.
    #[error("{host} cannot be called: {why}")]
    Unreachable {
        /// Who.
        host: String,
        /// Why.
        why: String,
    },
    /// This machine cannot call anybody.
    #[error("nothing can be called from here: {why}")]
    Unable {
        /// Why.
        why: Arc<str>,
    },
}

impl Egress {
    /// The door, with private targets allowed or not. A machine without root certificates has one that opens for nobody.
    #[must_use]
    pub fn new(allows_private: bool) -> Self {
        let client = reqwest::Client::builder()
            .user_agent(concat!("chancery/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(resolver::Guarded::new(allows_private))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .https_only(!allows_private)
            .referer(false)
            .connect_timeout(Duration::from_secs(EGRESS_CONNECT_SECS))
            .pool_idle_timeout(Duration::from_secs(EGRESS_IDLE_SECS))
            .pool_max_idle_per_host(EGRESS_IDLE_PER_HOST)
            .build();
        let client = client.map_err(|error| Arc::from(why(&error)));
        if let Err(why) = &client {
            tracing::warn!(%why, "nothing outside can be called; install the system's root certificates and restart");
        }
        Self { client, allows_private, places: Arc::new(Semaphore::new(EGRESS_IN_FLIGHT)) }
    }

    /// A door that opens for nobody.
    #[must_use]
    pub fn shut(why: &str) -> Self {
        Self { client: Err(why.into()), allows_private: false, places: Arc::new(Semaphore::new(0)) }
    }

    /// A target by its address; what its name stands for is looked at when it is called.
    ///
    /// # Errors
    /// [`Forbidden`] when it may not be called whatever its name stands for.
    pub fn target(&self, url: &str) -> Result<Target, Forbidden> {
        Target::parse(url, self.allows_private)
    }

    /// Sends a request, once.
    ///
    /// # Errors
    /// [`EgressError`] when no answer came.
    pub async fn send(&self, outgoing: Outgoing) -> Result<Answer, EgressError> {
        let client = self.client.as_ref().map_err(|why| EgressError::Unable { why: why.clone() })?;
        let (host, time) = (outgoing.target.host().to_owned(), outgoing.time);
        match tokio::time::timeout(time, self.exchange(client, outgoing)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(match resolver::forbidden(&error) {
                Some(forbidden) => forbidden.into(),
                None => EgressError::Unreachable { host, why: why(&error) },
            }),
            Err(_) => Err(EgressError::TooSlow { host, secs: time.as_secs() }),
        }
    }

    async fn exchange(&self, client: &reqwest::Client, outgoing: Outgoing) -> Result<Answer, reqwest::Error> {
        // The semaphore is never closed, so there is always a place in the end.
        let _place = self.places.acquire().await.ok();
        let Outgoing { method, target, headers, body, answer_bytes_max, .. } = outgoing;
        let request = client.request(method, target.into_url()).headers(headers).body(body);
        let mut response = request.send().await?;
        let mut body = BytesMut::new();
        let mut is_whole = true;
        while let Some(piece) = response.chunk().await? {
            let room = answer_bytes_max - body.len();
            body.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.len() > room {
                is_whole = false;
                break;
            }
        }
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        Ok(Answer { status, headers, body: body.freeze(), is_whole })
    }
}

/// An error and its causes, without the address: that can hold what its owner keeps secret.
fn why(error: &reqwest::Error) -> String {
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
    let mut text = String::new();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            let colon = if text.is_empty() { "" } else { ": " };
            text.push_str(colon);
            text.push_str(&said);
        }
        cause = error.source();
    }
    if text.is_empty() { "the exchange broke off".to_owned() } else { text }
}

#[cfg(test)]
mod tests;
