//! `GET /v1/events/stream`: events as they become durable, as Server-Sent Events. Each has its position as its id, so a
//! client that comes back with `Last-Event-ID` misses none and sees none twice.
//!
//! A client that is slow is behind in the log and nowhere else: what it has not read yet is not held in memory.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use chancery_ledger::ids::{Seq, TreeSize};
use chancery_projections::event_view::EventView;
use chancery_projections::rows::{Order, Scan};
use chancery_projections::scope::Scope;
use chancery_projections::views::View;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::call::Call;
use super::operation::{Access, Content, Form, Operation, SEQ_MAX, header, query};
use super::selection::{KIND, Range, SUBJECT, Selection, TENANT};
use crate::app::App;
use crate::auth::Principal;
use crate::limits::{HEARTBEAT_SECS, STREAM_CHUNK_EVENTS, STREAM_CHUNKS_WAITING};
use crate::observability::metrics::Held;
use crate::problem::Problem;
use crate::request::RequestId;
use crate::response::{self, Response};

/// The media type of Server-Sent Events.
pub const MEDIA_TYPE: &str = "text/event-stream";
const HEARTBEAT: Duration = Duration::from_secs(HEARTBEAT_SECS);

/// `GET /v1/events/stream`.
pub const STREAM: Operation = Operation {
    id: "streamEvents",
    summary: "Events as they become durable, as Server-Sent Events; `id` is the position, `event` the kind, `data` the event.",
    access: Access::Scope(Scope::LedgerRead),
    parameters: &[
        query("from", Form::Number { min: 0, max: SEQ_MAX }, "The first position; the next event to come if absent."),
        KIND,
        SUBJECT,
        TENANT,
        header(
            "Last-Event-ID",
            Form::Number { min: 0, max: SEQ_MAX },
            "The last position that was seen: the stream goes on behind it. Takes the place of `from`.",
        ),
    ],
    bodies: &[],
    answers: &[Content::text(MEDIA_TYPE)],
    problems: &[503],
    handler: |call| Box::pin(open(call)),
};

/// Opens a live stream.
///
/// # Errors
/// [`Problem::Future`] when the client has seen more than there is; [`Problem::Exhausted`] when too many are open.
pub async fn open(call: Call) -> Result<Response, Problem> {
    let selection = Selection::of(&call)?;
    let size = call.app.sequencer().acknowledged();
    // The list's path has no declared `Last-Event-ID`, and takes it all the same.
    let seen = match call.request.header("last-event-id")? {
        None => None,
        Some(text) => {
            Some(text.parse::<u64>().ok().filter(|seq| *seq <= SEQ_MAX).ok_or_else(|| Problem::Parameter {
                parameter: "Last-Event-ID".to_owned(),
                why: "must be the id of an event of this stream".to_owned(),
            })?)
        }
    };
    let next = match (seen, call.number("from")) {
        (Some(seen), _) => seen + 1,
        (None, Some(from)) => from,
        (None, None) => size.0,
    };
    if next > size.0 {
        return Err(Problem::Future { asked: Seq(seen.unwrap_or(next)), size: size.0 });
    }
    let place = Arc::clone(call.app.streams()).try_acquire_owned();
    let place = place.map_err(|_| Problem::Exhausted { what: "live streams" })?;
    let (chunks, body) = mpsc::channel(STREAM_CHUNKS_WAITING);
    let follower = Follower {
        principal: call.principal()?.clone(),
        id: call.request.id.clone(),
        durable: call.app.sequencer().subscribe(),
        stopping: call.app.stopping(),
        _held: (place, Held::new(&call.app.metrics().streams)),
        app: call.app,
        selection,
        next,
        chunks,
        silent_until: Instant::now() + HEARTBEAT,
    };
    tokio::spawn(follower.run());
    Ok(response::stream(MEDIA_TYPE, body))
}

/// Follows the log for one client.
struct Follower {
    app: Arc<App>,
    principal: Principal,
    id: RequestId,
    selection: Selection,
    next: u64,
    durable: watch::Receiver<TreeSize>,
    stopping: watch::Receiver<bool>,
    chunks: mpsc::Sender<Bytes>,
    silent_until: Instant,
    _held: (OwnedSemaphorePermit, Held),
}

/// Why a stream ends.
enum End {
    /// The client went, the daemon stops, or the client may no longer look.
    Over,
    /// The log or a view cannot be read.
    Failed(Problem),
}

impl From<Problem> for End {
    fn from(problem: Problem) -> Self {
        Self::Failed(problem)
    }
}

impl Follower {
    async fn run(mut self) {
        match self.follow().await {
            Ok(()) | Err(End::Over) => {}
            Err(End::Failed(problem)) => problem.trace(&self.id),
        }
    }

    async fn follow(&mut self) -> Result<(), End> {
        // The head of the answer goes out with the first bytes, so there are some at once.
        self.send(Bytes::from_static(b"retry: 1000\n\n")).await?;
        loop {
            let size = *self.durable.borrow_and_update();
            if self.next < size.0 {
                let chunk = self.read(size).await?;
                if !chunk.is_empty() {
                    self.send(chunk).await?;
                }
                continue;
            }
            let is_silent = tokio::select! {
                changed = self.durable.changed() => changed.map(|()| false).map_err(|_| End::Over)?,
                () = sleep_until(self.silent_until) => true,
                () = self.chunks.closed() => return Err(End::Over),
                _ = self.stopping.wait_for(|stopping| *stopping) => return Err(End::Over),
            };
            if is_silent {
                self.send(Bytes::from_static(b":\n\n")).await?;
            }
        }
    }

    /// Reads on, at most to `size`, and renders what is looked for.
    async fn read(&mut self, size: TreeSize) -> Result<Bytes, End> {
        if !self.app.still_lets_in(&self.principal).await? {
            return Err(End::Over);
        }
        let journal = if self.selection.needs_journal() { Some(self.app.view(View::Journal).await?) } else { None };
        let log = self.app.engine().log();
        let range = Range { first: self.next, end: size.0 };
        let found = tokio::task::block_in_place(|| {
            let rows = journal.as_ref().map(|journal| journal as &dyn Scan);
            self.selection.scan(&*log, rows, range, Order::Ascending, STREAM_CHUNK_EVENTS, &self.app.opener())
        })?;
        self.next = found.next.map_or(size.0, |seq| seq.0);
        let mut chunk = BytesMut::new();
        for event in &found.events {
            render(event, &mut chunk)?;
        }
        if chunk.is_empty() && self.silent_until <= Instant::now() {
            chunk.put_slice(b":\n\n");
        }
        Ok(chunk.freeze())
    }

    async fn send(&mut self, chunk: Bytes) -> Result<(), End> {
        tokio::select! {
            sent = self.chunks.send(chunk) => sent.map_err(|_| End::Over)?,
            _ = self.stopping.wait_for(|stopping| *stopping) => return Err(End::Over),
        }
        self.silent_until = Instant::now() + HEARTBEAT;
        Ok(())
    }
}

/// One event: JSON has no line breaks outside of strings, and within them they are escaped.
fn render(event: &EventView, into: &mut BytesMut) -> Result<(), Problem> {
    into.put_slice(format!("id: {}\nevent: {}\ndata: ", event.seq, event.kind).as_bytes());
    let data = serde_json::to_vec(event).map_err(|error| {
        tracing::error!(%error, seq = %event.seq, "an event cannot be rendered");
        Problem::Internal
    })?;
    into.put_slice(&data);
    into.put_slice(b"\n\n");
    Ok(())
}
