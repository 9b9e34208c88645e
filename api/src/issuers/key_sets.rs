//! Issuers' key sets, fetched and remembered.
//!
//! A set is good for a while, and is fetched again sooner when a token names a key that it lacks, since issuers change
//! their keys without telling. How often that happens is bounded for each issuer, so that tokens with invented key names
//! cannot make the daemon knock there all day. While an issuer does not answer, the keys it had go on for a time.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, StatusCode};
use quick_cache::sync::Cache;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::foreign::KeySet;
use crate::egress::{Egress, EgressError, Forbidden, Outgoing};
use crate::limits::{
    KEY_SET_BYTES_MAX, KEY_SET_FETCHES, KEY_SET_FRESH_SECS, KEY_SET_STALE_SECS, KEY_SET_TIMEOUT_SECS, KEY_SETS_MAX,
};

/// Key sets, by where they are.
pub struct KeySets(Cache<String, Arc<Place>>);

impl Default for KeySets {
    fn default() -> Self {
        Self(Cache::new(KEY_SETS_MAX))
    }
}

/// One key set.
struct Place {
    kept: RwLock<Option<(Instant, Arc<KeySet>)>>,
    /// Whoever fetches has it, so that all who wait get what the first one got. Who needs no fetch does not wait.
    fetching: Mutex<()>,
    fetches: DefaultDirectRateLimiter,
}

/// There is no key set.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FetchError {
    /// Its address may not be called.
    #[error("the address of the key set {0}")]
    Forbidden(#[from] Forbidden),
    /// It did not come.
    #[error("the key set cannot be fetched: {0}")]
    Egress(#[from] EgressError),
    /// Something else came.
    #[error("the key set cannot be fetched: the answer is {status}, {what}")]
    Answer {
        /// With which status.
        status: StatusCode,
        /// And what.
        what: &'static str,
    },
    /// It was fetched too often of late.
    #[error("the key set was fetched {KEY_SET_FETCHES} times within the last minute; try again")]
    TooOften,
}

impl KeySets {
    /// The keys at an address: those that are known, if they are fresh and `suffice`, else those that are there now.
    ///
    /// # Errors
    /// [`FetchError`] when there are none.
    pub async fn get(
        &self, egress: &Egress, uri: &str, suffice: impl Fn(&KeySet) -> bool,
    ) -> Result<Arc<KeySet>, FetchError> {
        let made = || Ok::<_, std::convert::Infallible>(Arc::new(Place::new()));
        let Ok(place) = self.0.get_or_insert_with(uri, made);
        if let Some(keys) = place.fresh(&suffice) {
            return Ok(keys);
        }
        let _fetching = place.fetching.lock().await;
        if let Some(keys) = place.fresh(&suffice) {
            return Ok(keys);
        }
        let known = place.known();
        let fetched = if place.fetches.check().is_ok() { fetch(egress, uri).await } else { Err(FetchError::TooOften) };
        match (fetched, known) {
            (Ok(keys), _) => {
                let keys = Arc::new(keys);
                *place.kept.write().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), keys.clone()));
                Ok(keys)
            }
            (Err(error), Some((age, keys))) if age.as_secs() < KEY_SET_STALE_SECS => {
                tracing::warn!(%error, "an issuer's keys are used on as they were");
                Ok(keys)
            }
            (Err(error), _) => Err(error),
        }
    }
}

impl Place {
    fn new() -> Self {
        let fetches = RateLimiter::direct(Quota::per_minute(KEY_SET_FETCHES));
        Self { kept: RwLock::default(), fetching: Mutex::default(), fetches }
    }

    /// The keys as they were fetched last, and how long ago.
    fn known(&self) -> Option<(Duration, Arc<KeySet>)> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().map(|(at, keys)| (at.elapsed(), keys.clone()))
    }

    /// Those, if they are fresh and suffice.
    fn fresh(&self, suffice: impl Fn(&KeySet) -> bool) -> Option<Arc<KeySet>> {
        let (age, keys) = self.known()?;
        (age.as_secs() < KEY_SET_FRESH_SECS && suffice(&keys)).then_some(keys)
    }
}

async fn fetch(egress: &Egress, uri: &str) -> Result<KeySet, FetchError> {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    let outgoing = Outgoing {
        method: Method::GET,
        target: egress.target(uri)?,
        headers,
        body: Bytes::new(),
        time: Duration::from_secs(KEY_SET_TIMEOUT_SECS),
        answer_bytes_max: KEY_SET_BYTES_MAX,
    };
    let answer = egress.send(outgoing).await?;
    let status = answer.status;
    if status != StatusCode::OK {
        return Err(FetchError::Answer { status, what: "not 200" });
    }
    if !answer.is_whole {
        return Err(FetchError::Answer { status, what: "with more than a key set takes" });
    }
    KeySet::parse(&answer.body).ok_or(FetchError::Answer { status, what: "with no set of keys (RFC 7517)" })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// An issuer that answers with its key set while it is up; its address, whether it is up, and how often it was asked.
    async fn issuer() -> (String, Arc<AtomicBool>, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/jwks", listener.local_addr().unwrap());
        let (is_up, asked) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
        let (up, count) = (is_up.clone(), asked.clone());
        tokio::spawn(async move {
            loop {
                let (mut connection, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") && connection.read_buf(&mut head).await.unwrap() > 0 {}
                let status = if up.load(Ordering::SeqCst) { "200 OK" } else { "503 Service Unavailable" };
                let answer =
                    format!("HTTP/1.1 {status}\r\ncontent-length: 11\r\nconnection: close\r\n\r\n{{\"keys\":[]}}");
                connection.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        (uri, is_up, asked)
    }

    #[tokio::test]
    async fn a_set_is_fetched_once_while_it_suffices_and_not_endlessly_when_it_does_not() {
        let (uri, is_up, asked) = issuer().await;
        let (sets, egress) = (KeySets::default(), Egress::new(true));
        for _ in 0..20 {
            assert!(sets.get(&egress, &uri, |_| true).await.is_ok());
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        assert!(sets.get(&egress, &uri, |_| false).await.is_ok());
        assert_eq!(asked.load(Ordering::SeqCst), 2, "a key that it lacks may be new");
        is_up.store(false, Ordering::SeqCst);
        for _ in 0..20 {
            assert!(sets.get(&egress, &uri, |_| false).await.is_ok(), "what is known goes on");
        }
        assert_eq!(asked.load(Ordering::SeqCst), KEY_SET_FETCHES.get() as usize);
    }

    #[tokio::test]
    async fn without_a_set_it_is_said_why() {
        let (uri, is_up, _) = issuer().await;
        is_up.store(false, Ordering::SeqCst);
        let said = |result: Result<Arc<KeySet>, FetchError>| result.err().unwrap().to_string();
        let (sets, egress) = (KeySets::default(), Egress::new(true));
        assert!(said(sets.get(&egress, &uri, |_| true).await).contains("503"));
        let guarded = Egress::new(false);
        assert!(said(sets.get(&guarded, &uri, |_| true).await).contains("https://"));
    }

    #[tokio::test]
    async fn who_waits_gets_what_the_first_one_got() {
        let (uri, _, asked) = issuer().await;
        let (sets, egress) = (Arc::new(KeySets::default()), Egress::new(true));
        let waiting: Vec<_> = (0..16)
            .map(|_| {
                let (sets, egress, uri) = (sets.clone(), egress.clone(), uri.clone());
                tokio::spawn(async move { sets.get(&egress, &uri, |_| true).await.is_ok() })
            })
            .collect();
        for one in waiting {
            assert!(one.await.unwrap());
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }
}
