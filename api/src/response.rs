//! Answers: a status, header fields, and a body that is there or that streams.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{self, HeaderValue};
use hyper::{StatusCode, http};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::export::{Cut, Piece};

/// Room for an answer in JSON; most need no more.
const JSON_BYTES: usize = 1000;

/// An answer.
pub type Response = http::Response<ResponseBody>;

/// An answer's body.
#[derive(Debug)]
pub enum ResponseBody {
    /// All of it.
    Whole(Bytes),
    /// Pieces as they come; the sender's end ends it.
    Stream(mpsc::Receiver<Bytes>),
    /// Pieces of a file up to its end. Without that the body is broken, so that what was cut off passes for no file.
    File(mpsc::Receiver<Piece>),
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Stream(pieces) => pieces.poll_recv(cx).map(|piece| piece.map(|bytes| Ok(Frame::data(bytes)))),
            Self::File(pieces) => pieces.poll_recv(cx).map(|piece| match piece {
                Some(Piece::Bytes(bytes)) => Some(Ok(Frame::data(bytes))),
                Some(Piece::End) => None,
                None => Some(Err(Cut)),
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(_) | Self::File(_) => SizeHint::default(),
        }
    }
}

/// An answer with a body of some media type.
#[must_use]
pub fn typed(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Response {
    with_body(status, media_type, ResponseBody::Whole(body.into()))
}

/// An answer without a body.
#[must_use]
pub fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(ResponseBody::Whole(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// A JSON answer.
#[must_use]
pub fn json(status: StatusCode, value: &impl Serialize) -> Response {
    json_as(status, "application/json", value)
}

/// A JSON answer of a media type of its own.
#[must_use]
pub fn json_as(status: StatusCode, media_type: &'static str, value: &impl Serialize) -> Response {
    let mut text = Vec::with_capacity(JSON_BYTES);
    match serde_json::to_writer(&mut text, value) {
        Ok(()) => typed(status, media_type, text),
        Err(error) => {
            // A row that holds JSON text which is none: the view is damaged, and the caller cannot help it.
            tracing::error!(%error, "an answer cannot be rendered");
            empty(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

/// An answer whose body comes piece by piece.
#[must_use]
pub fn stream(media_type: &'static str, pieces: mpsc::Receiver<Bytes>) -> Response {
    with_body(StatusCode::OK, media_type, ResponseBody::Stream(pieces))
}

/// An answer whose body is a file that is made while its reader takes it, to be kept under a name.
#[must_use]
pub fn file(media_type: &'static str, name: &str, pieces: mpsc::Receiver<Piece>) -> Response {
    let mut response = with_body(StatusCode::OK, media_type, ResponseBody::File(pieces));
    if let Ok(disposition) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, disposition);
    }
    response
}

fn with_body(status: StatusCode, media_type: &'static str, body: ResponseBody) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    // What one caller is shown, secrets among it, is kept by no cache between.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
