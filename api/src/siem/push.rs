//! Pushing events to sinks: the process manager of each.
//!
//! It follows the log behind a cursor, in order. A batch that the sink has taken moves the cursor; one that
//! it has not is sent again, after a pause that doubles up to five minutes, until it is. So a sink has every event at least
//! once, and those behind a failing one wait in the log and nowhere else. Sinks do not wait for each other, and nothing
//! waits for them.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chancery_ledger::ids::{Seq, TreeSize};
use chancery_ledger::keystore::{KeystoreError, SecretName, Secrets};
use chancery_projections::context::{Opener, Random as _, SystemRandom};
use chancery_projections::event_view::{EventView, render_record};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use super::cursor::{Cursor, CursorError};
use super::sinks::{Sink, SinkTarget};
use super::{Format, MEDIA_TYPE};
use crate::app::App;
use crate::egress::{EgressError, Outgoing, Target};
use crate::limits::{SINK_ANSWER_BYTES, SINK_BATCH_BYTES, SINK_BATCH_EVENTS, SINK_RETRY_SECS_MAX, SINK_SECS};
use crate::problem::Problem;

/// Positions of the first and the last event of a post, for receivers that leave out what they have.
const FIRST: HeaderName = HeaderName::from_static("chancery-first");
const LAST: HeaderName = HeaderName::from_static("chancery-last");

/// A sink was not told.
#[derive(Debug, thiserror::Error)]
enum PushError {
    #[error("{0}")]
    Events(Problem),
    #[error(transparent)]
    Cursor(#[from] CursorError),
    #[error("the file cannot be written: {0}")]
    File(#[from] io::Error),
    #[error(transparent)]
    Egress(#[from] EgressError),
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("its token cannot stand in a header")]
    Token,
}

/// Events to tell at once.
struct Batch {
    lines: Bytes,
    first: Seq,
    last: Seq,
}

/// Tells every sink of events until the daemon stops. What is under way then ends.
pub async fn run(app: Arc<App>, sinks: Vec<Sink>) {
    let mut running: JoinSet<()> = sinks.into_iter().map(|sink| follow(app.clone(), sink)).collect();
    while let Some(ended) = running.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a sink's events ended by a defect");
        }
    }
}

async fn follow(app: Arc<App>, sink: Sink) {
    let mut stopping = app.stopping();
    let mut failures = 0;
    while !*stopping.borrow_and_update() {
        let Err(error) = tell(&app, &sink, &mut failures).await else { return };
        failures += 1;
        app.metrics().sink_failed(&sink.name, true);
        let pause = pause(failures);
        tracing::warn!(sink = sink.name, %error, failures, again_in = ?pause, "a sink was not told of events");
        tokio::select! {
            _ = stopping.wait_for(|stopping| *stopping) => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Tells a sink what comes, from its cursor on, until the daemon stops.
async fn tell(app: &App, sink: &Sink, failures: &mut u32) -> Result<(), PushError> {
    let log = app.engine().log();
    let data_dir = &app.config().data_dir;
    let mut cursor = tokio::task::block_in_place(|| Cursor::open(data_dir, &sink.name, &*log))?;
    let (mut stopping, mut durable) = (app.stopping(), app.sequencer().subscribe());
    loop {
        let size = *durable.borrow_and_update();
        let batch = tokio::task::block_in_place(|| batch(app, sink, cursor.next, size)).map_err(PushError::Events)?;
        let Some(batch) = batch else {
            app.metrics().sink_failed(&sink.name, false);
            app.metrics().sink_reached(&sink.name, cursor.next);
            tokio::select! {
                _ = stopping.wait_for(|stopping| *stopping) => return Ok(()),
                changed = durable.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return Ok(()),
                },
            }
        };
        match &sink.target {
            SinkTarget::File(file) => tokio::task::block_in_place(|| append(file, &batch.lines))?,
            SinkTarget::Http { target, token } => post(app, target, token.as_ref(), &batch).await?,
        }
        tokio::task::block_in_place(|| cursor.move_behind(batch.last, &*log))?;
        *failures = 0;
        app.metrics().sink_failed(&sink.name, false);
        app.metrics().sink_reached(&sink.name, cursor.next);
        if *stopping.borrow() {
            return Ok(());
        }
    }
}

/// The events from a position on, as far as there are and one batch holds; `None` when there are none.
fn batch(app: &App, sink: &Sink, from: Seq, size: TreeSize) -> Result<Option<Batch>, Problem> {
    let (log, origin) = (app.engine().log(), app.engine().origin());
    let opener = if sink.personal { app.opener() } else { Opener::new(&Withheld) };
    let (mut lines, mut last) = (Vec::new(), None);
    for read in log.records(from).take(SINK_BATCH_EVENTS) {
        let (seq, record) = read?;
        if seq >= size.next() || lines.len() >= SINK_BATCH_BYTES {
            break;
        }
        write_line(sink.format, &render_record(&record, &opener)?, origin, &mut lines)?;
        last = Some(seq);
    }
    Ok(last.map(|last| Batch { lines: lines.into(), first: from, last }))
}

fn write_line(format: Format, event: &EventView, origin: &str, lines: &mut Vec<u8>) -> Result<(), Problem> {
    format.write(event, origin, lines).map_err(|error| {
        tracing::error!(%error, "an event cannot be rendered");
        Problem::Internal
    })
}

/// Appends lines to a file, durably. It is opened each time, so whoever moved it away finds a new one begun; what a crash
/// tore is ended first, so that it spoils no line but its own.
fn append(path: &Path, lines: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    if is_torn(&mut file)? {
        file.write_all(b"\n")?;
    }
    file.write_all(lines)?;
    file.sync_all()
}

fn is_torn(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

async fn post(app: &App, target: &Target, token: Option<&Zeroizing<String>>, batch: &Batch) -> Result<(), PushError> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.insert(FIRST, HeaderValue::from(batch.first.0));
    headers.insert(LAST, HeaderValue::from(batch.last.0));
    if let Some(token) = token {
        let text = Zeroizing::new(format!("Bearer {}", token.as_str()));
        let mut value = HeaderValue::from_str(&text).map_err(|_| PushError::Token)?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    let outgoing = Outgoing {
        method: Method::POST,
        target: target.clone(),
        headers,
        body: batch.lines.clone(),
        time: Duration::from_secs(SINK_SECS),
        answer_bytes_max: SINK_ANSWER_BYTES,
    };
    let answer = app.egress().send(outgoing).await?;
    if answer.status.is_success() { Ok(()) } else { Err(PushError::Status(answer.status)) }
}

/// How long to wait after so many failures: a second, doubled with each up to five minutes, and of that a half to all, so
/// that daemons that failed together do not come back together.
fn pause(failures: u32) -> Duration {
    let whole = 1_u64.checked_shl(failures.saturating_sub(1)).unwrap_or(u64::MAX).min(SINK_RETRY_SECS_MAX) * 1000;
    let mut random = [0; 2];
    // Without randomness the whole of it is waited.
    let part = SystemRandom.fill(&mut random).map_or(0, |()| u64::from(u16::from_be_bytes(random)));
    Duration::from_millis(whole - whole / 2 * part / u64::from(u16::MAX))
}

/// No keys: encrypted fields read as erased.
struct Withheld;

impl Secrets for Withheld {
    fn secret(&self, _: &SecretName) -> Result<Option<Zeroizing<[u8; 32]>>, KeystoreError> {
        Ok(None)
    }

    fn is_destroyed(&self, _: &SecretName) -> Result<bool, KeystoreError> {
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_five_minutes_and_differ() {
        for (failures, secs) in [(1, 1), (2, 2), (5, 16), (9, 256), (10, 300), (64, 300), (u32::MAX, 300)] {
            let pause = pause(failures);
            assert!(
                pause <= Duration::from_secs(secs) && pause >= Duration::from_secs(secs) / 2,
                "{failures}: {pause:?}"
            );
        }
    }

    #[test]
    fn a_torn_line_is_ended_and_a_moved_file_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events");
        append(&path, b"one\n").unwrap();
        append(&path, b"two\n").unwrap();
        std::fs::write(&path, "one\ntw").unwrap();
        append(&path, b"two\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntw\ntwo\n");
        std::fs::rename(&path, dir.path().join("events.1")).unwrap();
        append(&path, b"three\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "three\n");
    }
}
