//! Connections: accepted within a bound, read and written within time, ended in order when the daemon stops.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tracing::Instrument as _;

use crate::app::App;
use crate::limits::{HEADER_LIST_BYTES_MAX, HTTP2_STREAMS_MAX, READ_BUFFER_BYTES};
use crate::observability::metrics::Held;
use crate::problem::Problem;
use crate::request::{Request, RequestId};
use crate::response::Response;
use crate::router;

mod io_guard;
use io_guard::Guarded;

/// What every HTTP/2 connection begins with (RFC 9113 §3.4).
const HTTP2_PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Pause after the system refused to give a connection: it is out of file descriptors or memory, and stays so a while.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Between two questions whether an HTTP/2 client is still there.
const HTTP2_PING: Duration = Duration::from_secs(30);

const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\n\
    content-type: application/problem+json\r\ncontent-length: 119\r\n\r\n\
    {\"status\":503,\"title\":\"Service Unavailable\",\"code\":\"exhausted\",\"detail\":\"connections are all taken; try again in a s\"}\n";
const TOO_SLOW: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\
    content-type: application/problem+json\r\ncontent-length: 119\r\n\r\n\
    {\"status\":408,\"title\":\"Request Timeout\",\"code\":\"header_too_slow\",\"detail\":\"the request's head did not arrive in time\"}\n";

/// A listening daemon.
pub struct Server {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
}

impl Server {
    /// Listens.
    ///
    /// # Errors
    /// The system's, when the address is taken or is none of this machine's.
    pub async fn bind(address: SocketAddr, tls: Option<TlsAcceptor>) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await?, tls })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until told to stop, then lets requests under way end for as long as is configured.
    pub async fn run(self, app: Arc<App>, mut stopping: watch::Receiver<bool>) {
        let room = Arc::new(Semaphore::new(app.config().connections_max));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                _ = stopping.wait_for(|stopping| *stopping) => break,
            };
            while connections.try_join_next().is_some() {}
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = room.clone().try_acquire_owned() else {
                app.metrics().connections_refused.inc();
                // What fits into a new socket's buffer goes out at once; a client that does not look loses nothing.
                let _ = stream.try_write(if self.tls.is_some() { b"" } else { TOO_MANY });
                continue;
            };
            let connection = Connection { app: app.clone(), peer: peer.ip(), stopping: stopping.clone() };
            let tls = self.tls.clone();
            connections.spawn(async move {
                let _held = (place, Held::new(&connection.app.metrics().connections));
                if let Err(error) = connection.serve(stream, tls).await {
                    tracing::debug!(%peer, %error, "a connection ended");
                }
            });
        }
        drop(self.listener);
        let patience = Duration::from_secs(app.config().stop_timeout_secs);
        if timeout(patience, async { while connections.join_next().await.is_some() {} }).await.is_err() {
            tracing::warn!(connections = connections.len(), "requests did not end in time and are cut off");
            connections.shutdown().await;
        }
    }
}

/// One connection.
struct Connection {
    app: Arc<App>,
    peer: IpAddr,
    stopping: watch::Receiver<bool>,
}

/// Why a connection ended before its client ended it.
pub type Ended = Box<dyn std::error::Error + Send + Sync>;

/// Serves a client that did not come through a [`Server`], over a stream within the process: the same bounds, the same
/// answers.
///
/// # Errors
/// What ended the connection before the client did.
pub async fn serve_stream<S>(
    app: Arc<App>, peer: IpAddr, stream: S, stopping: watch::Receiver<bool>,
) -> Result<(), Ended>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let deadline = Instant::now() + app.config().header_timeout();
    let stream = Guarded::new(stream, Duration::from_secs(app.config().write_timeout_secs));
    Connection { app, peer, stopping }.serve_stream(stream, None, deadline).await
}

impl Connection {
    async fn serve(self, stream: TcpStream, tls: Option<TlsAcceptor>) -> Result<(), Ended> {
        stream.set_nodelay(true)?;
        let deadline = Instant::now() + self.app.config().header_timeout();
        let write_timeout = Duration::from_secs(self.app.config().write_timeout_secs);
        match tls {
            None => self.serve_stream(Guarded::new(stream, write_timeout), None, deadline).await,
            Some(acceptor) => {
                let stream = timeout_at(deadline, acceptor.accept(stream)).await??;
                let chosen = stream.get_ref().1.alpn_protocol().map(|protocol| protocol == b"h2");
                self.serve_stream(Guarded::new(stream, write_timeout), chosen, deadline).await
            }
        }
    }

    async fn serve_stream<S>(
        mut self, mut stream: Guarded<S>, is_http2: Option<bool>, deadline: Instant,
    ) -> Result<(), Ended>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    {
        let is_http2 = match is_http2 {
            Some(known) => known,
            None => {
                let mut begun = Vec::with_capacity(HTTP2_PREFACE.len());
                let told = tokio::select! {
                    told = timeout_at(deadline, begins_http2(&mut stream, &mut begun)) => told,
                    _ = self.stopping.wait_for(|stopping| *stopping) => return Ok(()),
                };
                match told {
                    Ok(told) => told?,
                    // Who says nothing is told nothing.
                    Err(_) if begun.is_empty() => return Ok(()),
                    Err(_) => return too_slow(stream).await,
                }
            }
        };
        if is_http2 { self.http2(stream).await } else { self.http1(stream).await }
    }

    async fn http1<S>(mut self, stream: Guarded<S>) -> Result<(), Ended>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    {
        let (app, peer) = (self.app.clone(), self.peer);
        let service = service_fn(move |request| answer(app.clone(), peer, request));
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.app.config().header_timeout())
            .max_buf_size(READ_BUFFER_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        let ended = tokio::select! {
            ended = &mut connection => Some(ended),
            _ = self.stopping.wait_for(|stopping| *stopping) => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                Pin::new(&mut connection).graceful_shutdown();
                (&mut connection).await
            }
        };
        match ended {
            Err(error) if error.is_timeout() => {
                let parts = connection.into_parts();
                // An idle connection that is closed has nobody waiting; one with half a head has.
                if parts.read_buf.is_empty() { Ok(()) } else { too_slow(parts.io.into_inner()).await }
            }
            ended => Ok(ended?),
        }
    }

    async fn http2<S>(mut self, stream: Guarded<S>) -> Result<(), Ended>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    {
        let (app, peer) = (self.app.clone(), self.peer);
        let service = service_fn(move |request| answer(app.clone(), peer, request));
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(HTTP2_STREAMS_MAX)
            .max_header_list_size(HEADER_LIST_BYTES_MAX)
            .keep_alive_interval(HTTP2_PING)
            .keep_alive_timeout(self.app.config().header_timeout())
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => return Ok(ended?),
            _ = self.stopping.wait_for(|stopping| *stopping) => {}
        }
        connection.as_mut().graceful_shutdown();
        Ok(connection.await?)
    }
}

/// Reads until it is clear whether HTTP/2 is spoken, and puts what was read back.
async fn begins_http2<S>(stream: &mut Guarded<S>, begun: &mut Vec<u8>) -> io::Result<bool>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    loop {
        let mut piece = [0; HTTP2_PREFACE.len()];
        let read = stream.read(&mut piece[begun.len()..]).await?;
        let read_so_far = begun.len();
        begun.extend_from_slice(&piece[read_so_far..read_so_far + read]);
        let agrees = HTTP2_PREFACE.starts_with(begun);
        if !agrees || read == 0 || begun.len() == HTTP2_PREFACE.len() {
            stream.put_back(begun);
            return Ok(agrees && begun.len() == HTTP2_PREFACE.len());
        }
    }
}

/// Tells a client that its request took too long to begin.
async fn too_slow<S>(mut stream: Guarded<S>) -> Result<(), Ended>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    stream.write_all(TOO_SLOW).await?;
    Ok(stream.shutdown().await?)
}

/// Answers one request, and counts it.
async fn answer(app: Arc<App>, peer: IpAddr, request: hyper::Request<Incoming>) -> Result<Response, Infallible> {
    let begun = Instant::now();
    let id = RequestId::of(request.headers(), app.now());
    let method = router::method_label(request.method());
    // For who follows a command through its trace; what deserves a warning names the request itself.
    let span = tracing::debug_span!("request", %id, method, path = request.uri().path());
    let is_http2 = request.version() == Version::HTTP_2;
    let request = Request::new(id.clone(), peer, request);
    let unread = request.unread();
    let routed = pin!(router::answer(&app, request).instrument(span.clone()));
    let (route, mut response) = match unless_panic(routed).await {
        Some(answered) => answered,
        None => ("panic", Problem::Internal.response(&id)),
    };
    if let Some(value) = id.header_value() {
        response.headers_mut().insert("x-request-id", value);
    }
    // A request that is refused before its body came ends an HTTP/1.1 connection; a client that is not told sends its next
    // request into that end.
    let is_refused = response.status().is_client_error();
    if is_refused && !is_http2 && unread.is_some_and(|unread| unread.waits()) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let (status, took) = (response.status().as_u16(), begun.elapsed());
    app.metrics().count_request(method, route, status, took);
    if response.status() == StatusCode::INTERNAL_SERVER_ERROR {
        tracing::error!(request = %id, route, "a request failed by a defect; what comes before says which");
    }
    span.in_scope(|| tracing::debug!(route, status, micros = took.as_micros() as u64, "answered"));
    Ok(response)
}

/// The value of a future; `None` when it panics, which ends this request and no other.
async fn unless_panic<T>(mut future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(polled) => polled.map(Some),
        Err(_) => Poll::Ready(None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Canned answers say how long they are; a wrong length would leave clients waiting.
    #[test]
    fn canned_answers_are_as_long_as_they_say() {
        for canned in [TOO_MANY, TOO_SLOW] {
            let text = std::str::from_utf8(canned).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let said = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            assert_eq!(said.parse(), Ok(body.len()));
            serde_json::from_str::<serde_json::Value>(body).unwrap();
        }
    }

    #[tokio::test]
    async fn a_panic_ends_one_request() {
        assert_eq!(unless_panic(pin!(async { 1 })).await, Some(1));
        assert_eq!(unless_panic(pin!(async { panic!("as this test wants") })).await, None::<()>);
    }

    #[tokio::test]
    async fn http2_is_told_by_its_preface_alone() {
        async fn begins(bytes: &[u8]) -> bool {
            let (mut client, server) = tokio::io::duplex(64);
            client.write_all(bytes).await.unwrap();
            drop(client);
            let mut stream = Guarded::new(server, Duration::from_secs(1));
            let told = begins_http2(&mut stream, &mut Vec::new()).await.unwrap();
            let mut again = Vec::new();
            stream.read_to_end(&mut again).await.unwrap();
            assert_eq!(again, bytes, "what was read is read again");
            told
        }
        assert!(!begins(b"").await);
        assert!(begins(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nrest").await);
        assert!(!begins(b"PRI * HTTP/2.0").await);
        assert!(!begins(b"POST / HTTP/1.1\r\n\r\n").await);
    }
}
