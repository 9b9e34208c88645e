//! `POST /v1/commands` with NDJSON: many commands on one stream, each answered in order as a line of its own.
//!
//! A line is answered when it is durable, while later ones are still on their way, so a client should read while it
//! sends. What is under way is bounded; when a client reads nothing, the daemon reads nothing more either.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use chancery_ledger::ids::Seq;
use chancery_projections::sequencer::Pending;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::mpsc;

use super::call::Call;
use super::command;
use super::result::CommandAnswer;
use crate::app::{App, Options, envelope};
use crate::auth::Principal;
use crate::limits::{BATCH_IN_FLIGHT, LINE_BYTES_MAX};
use crate::problem::{Problem, ProblemBody};
use crate::request::{BodyError, RequestId};
use crate::response::{self, Response};

/// The media type of lines of JSON.
pub const MEDIA_TYPE: &str = "application/x-ndjson";
/// Answers gathered before they are handed over, in bytes.
const CHUNK_BYTES: usize = 16 * 1024;
/// Chunks that wait for a client to read them: a client that sends some thousand commands before it reads is served.
const CHUNKS_WAITING: usize = 64;

/// The answer to one line.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LineAnswer {
    /// Which line, counted from 0; empty lines are not counted.
    pub index: u64,
    /// The status it would have had alone.
    pub status: u16,
    /// What it would have been answered with alone, if all is well.
    #[serde(flatten)]
    pub answer: Option<CommandAnswer>,
    /// What is wrong, otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<ProblemBody>,
}

/// A line on its way: its answer to come, and the secret that the answer shows.
type Entry = Result<(Pending, Option<&'static str>), Problem>;

/// Takes a batch.
///
/// # Errors
/// Those of reading the request's head; what is wrong with a line is said in its place.
pub fn submit(call: Call) -> Result<Response, Problem> {
    let with_proof = call.flag("proof") == Some(true);
    let options = call.app.options(&call.request)?;
    if options.if_match.is_some() {
        let why = "belongs to one command; in a batch, each line has `if_match`".to_owned();
        return Err(Problem::Parameter { parameter: "If-Match".to_owned(), why });
    }
    let principal = call.principal()?.clone();
    let (app, id) = (call.app.clone(), call.request.id.clone());
    let (entries, waiting) = mpsc::channel(BATCH_IN_FLIGHT);
    let (chunks, body) = mpsc::channel(CHUNKS_WAITING);
    let reader = Reader { app: app.clone(), principal, options, entries, index: 0 };
    tokio::spawn(reader.run(call.request.into_body()));
    tokio::spawn(Writer { app, id, with_proof, chunks, buffer: Vec::new() }.run(waiting));
    Ok(response::stream(MEDIA_TYPE, body))
}

/// Reads lines and hands their commands in.
struct Reader {
    app: Arc<App>,
    principal: Principal,
    options: Options,
    entries: mpsc::Sender<Entry>,
    index: u64,
}

impl Reader {
    async fn run(mut self, mut body: Incoming) {
        if let Err(error) = self.read(&mut body).await {
            // Nobody may be left to tell.
            let _ = self.entries.send(Err(error.into())).await;
        }
    }

    async fn read(&mut self, body: &mut Incoming) -> Result<(), BodyError> {
        let mut lines = Lines::default();
        loop {
            let frame = tokio::time::timeout(self.app.config().body_timeout(), body.frame());
            let Some(frame) = frame.await.map_err(|_| BodyError::TooSlow)? else { break };
            let Ok(data) = frame.map_err(|_| BodyError::BrokenOff)?.into_data() else { continue };
            let mut data = data;
            while let Some(line) = lines.next(&mut data)? {
                if !self.line(&line).await {
                    return Ok(());
                }
            }
        }
        let last = lines.rest();
        self.line(&last).await;
        Ok(())
    }

    /// Hands a line's command in; `false` when nobody waits for answers any more.
    async fn line(&mut self, line: &[u8]) -> bool {
        if line.iter().all(u8::is_ascii_whitespace) {
            return true;
        }
        let index = self.index;
        self.index += 1;
        // A place among those under way comes before the command is handed in, so that none is beyond the bound.
        let Ok(place) = self.entries.reserve().await else { return false };
        place.send(self.hand_in(line, index).await);
        true
    }

    async fn hand_in(&self, line: &[u8], index: u64) -> Entry {
        let parsed = command::parse(line)?;
        let command = command::prepared(&self.app, &self.principal, parsed.command)?;
        let mut options = self.options.clone();
        options.idempotency_key =
            parsed.idempotency_key.or_else(|| options.idempotency_key.map(|key| format!("{key}:{index}")));
        options.if_match = parsed.if_match.map(Seq);
        self.app.metrics().count_command(command.name());
        let shown = command::shown_once(&command);
        let request = envelope(&self.principal, command, options);
        Ok((self.app.sequencer().submit_when_free(request).await?, shown))
    }
}

/// Waits for answers and writes them, in order.
struct Writer {
    app: Arc<App>,
    id: RequestId,
    with_proof: bool,
    chunks: mpsc::Sender<Bytes>,
    buffer: Vec<u8>,
}

impl Writer {
    async fn run(mut self, mut waiting: mpsc::Receiver<Entry>) {
        let mut index = 0;
        loop {
            let entry = match waiting.try_recv() {
                Ok(entry) => entry,
                Err(_) => {
                    if !self.flush().await {
                        return;
                    }
                    let Some(entry) = waiting.recv().await else { return };
                    entry
                }
            };
            let answered = match entry {
                Ok((pending, shown)) => match self.wait(pending, shown).await {
                    Some(answered) => answered,
                    None => return,
                },
                Err(problem) => Err(problem),
            };
            self.write(index, answered);
            index += 1;
            if self.buffer.len() >= CHUNK_BYTES && !self.flush().await {
                return;
            }
        }
    }

    /// Waits for one answer, after handing over what is there already; `None` when nobody takes it.
    async fn wait(
        &mut self, mut pending: Pending, shown: Option<&'static str>,
    ) -> Option<Result<CommandAnswer, Problem>> {
        let mut pending = Pin::new(&mut pending);
        let ready = poll_fn(|cx| match pending.as_mut().poll(cx) {
            Poll::Ready(answered) => Poll::Ready(Some(answered)),
            Poll::Pending => Poll::Ready(None),
        });
        let answered = match ready.await {
            Some(answered) => answered,
            None => {
                if !self.flush().await {
                    return None;
                }
                pending.await
            }
        };
        Some(
            answered
                .map_err(Problem::from)
                .and_then(|receipt| command::answer(&self.app, receipt, shown, self.with_proof)),
        )
    }

    fn write(&mut self, index: u64, answered: Result<CommandAnswer, Problem>) {
        let line = match answered {
            Ok(answer) => LineAnswer { index, status: 200, answer: Some(answer), problem: None },
            Err(problem) => {
                problem.trace(&self.id);
                let problem = problem.body(&self.id);
                LineAnswer { index, status: problem.status, answer: None, problem: Some(problem) }
            }
        };
        let begun = self.buffer.len();
        if let Err(error) = serde_json::to_writer(&mut self.buffer, &line) {
            tracing::error!(request = %self.id, %error, "an answer cannot be rendered");
            self.buffer.truncate(begun);
            self.buffer.extend_from_slice(format!("{{\"index\":{index},\"status\":500}}").as_bytes());
        }
        self.buffer.push(b'\n');
    }

    /// Hands over what is gathered; `false` when nobody takes it.
    async fn flush(&mut self) -> bool {
        if self.buffer.is_empty() {
            return true;
        }
        // The next chunk will be about as long as this one.
        let next = Vec::with_capacity(self.buffer.len());
        self.chunks.send(std::mem::replace(&mut self.buffer, next).into()).await.is_ok()
    }
}

/// Bytes, cut into lines of bounded length.
#[derive(Debug, Default)]
struct Lines {
    begun: BytesMut,
}

impl Lines {
    /// The next line of which `data` brings the end; `None` when `data` is used up.
    fn next(&mut self, data: &mut Bytes) -> Result<Option<Bytes>, BodyError> {
        let end = data.iter().position(|byte| *byte == b'\n');
        let piece = data.split_to(end.map_or(data.len(), |end| end + 1));
        if self.begun.len() + piece.len() > LINE_BYTES_MAX {
            return Err(BodyError::TooLarge { max: LINE_BYTES_MAX });
        }
        if end.is_some() && self.begun.is_empty() {
            return Ok(Some(piece));
        }
        self.begun.extend_from_slice(&piece);
        Ok(end.map(|_| self.begun.split().freeze()))
    }

    /// What stands behind the last line's end.
    fn rest(self) -> Bytes {
        self.begun.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_same_however_they_are_cut() {
        let text = b"{\"a\":1}\n\n{\"b\":2}\nlast";
        for size in 1..text.len() {
            let (mut lines, mut found) = (Lines::default(), Vec::new());
            for piece in text.chunks(size) {
                let mut data = Bytes::copy_from_slice(piece);
                while let Some(line) = lines.next(&mut data).unwrap() {
                    found.push(line);
                }
            }
            found.push(lines.rest());
            assert_eq!(found, [&b"{\"a\":1}\n"[..], b"\n", b"{\"b\":2}\n", b"last"], "in pieces of {size}");
        }
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut lines = Lines::default();
        let mut piece = Bytes::from(vec![b'x'; LINE_BYTES_MAX]);
        assert_eq!(lines.next(&mut piece), Ok(None));
        assert_eq!(lines.next(&mut Bytes::from_static(b"x")), Err(BodyError::TooLarge { max: LINE_BYTES_MAX }));
    }
}
