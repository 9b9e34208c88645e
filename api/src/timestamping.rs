//! Timestamping checkpoints: the process manager that asks an authority for the time (RFC 3161 section 3.4).
//!
//! Once in an interval, if anything happened, the newest seal's checkpoint goes to the authority; what comes back is checked
//! with the operator's certificates and recorded as an event, so timestamps are in the log, its archive and its backups. Such
//! events alone are nothing that happened: they bring forth no timestamp.
//!
//! Nothing is kept but in the log. An authority that fails is asked again, each time after twice as long, for what is the
//! newest then.

use std::sync::Arc;
use std::time::Duration;

use chancery_ledger::actor::Actor;
use chancery_ledger::body::Kind;
use chancery_ledger::event::{Outline, ReadError};
use chancery_ledger::ids::TreeSize;
use chancery_ledger::link::Hash;
use chancery_ledger::store::{LogStore, StoreError};
use chancery_ledger::timestamp::{
    Authorities, AuthoritiesError, Imprint, Nonce, TOKEN_BYTES_MAX, TimestampError, Token,
};
use chancery_ledger::tree::seal::Seal;
use chancery_projections::command::RecordTimestamp;
use chancery_projections::context::{Caller, Random as _, RandomError, SystemRandom};
use chancery_projections::identity::state::{LEDGER, TIMESTAMPED};
use chancery_projections::rows::{Order, RowsError};
use chancery_projections::sequencer::Request;
use chancery_projections::views::View;
use hyper::header::{self, HeaderValue};
use hyper::{HeaderMap, Method, StatusCode};

use crate::app::App;
use crate::config::Config;
use crate::egress::{EgressError, Forbidden, Outgoing};
use crate::limits::{TIMESTAMP_LOOK_EVENTS, TIMESTAMP_RETRY_MAX_SECS, TIMESTAMP_RETRY_SECS, TIMESTAMP_SECS};
use crate::native::admin::blocking;
use crate::problem::Problem;

/// An authority cannot be asked at all.
#[derive(Debug, thiserror::Error)]
pub enum TimestampingError {
    /// Its certificates cannot be read.
    #[error("`timestamp_ca` cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// They are none.
    #[error("`timestamp_ca`: {0}")]
    Authorities(#[from] AuthoritiesError),
}

/// A checkpoint was not timestamped.
#[derive(Debug, thiserror::Error)]
enum AskError {
    /// The address may not be called.
    #[error("its address {0}")]
    Address(#[from] Forbidden),
    /// No answer came.
    #[error(transparent)]
    Unreachable(#[from] EgressError),
    /// It does not want to.
    #[error("it answered {0}")]
    Status(StatusCode),
    /// What it answered does not hold.
    #[error("its answer does not hold: {0}")]
    Token(#[from] TimestampError),
    /// The request cannot be told from others.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The log or a view could not be read, or nothing was recorded.
    #[error("{0}")]
    Ours(Box<Problem>),
}

impl From<Problem> for AskError {
    fn from(problem: Problem) -> Self {
        Self::Ours(Box::new(problem))
    }
}

/// Has checkpoints timestamped.
pub struct Timestamper {
    app: Arc<App>,
    url: String,
    authorities: Authorities,
    /// Up to where nothing happened that is worth another timestamp.
    read: TreeSize,
}

/// Whom the operator trusts to know the time, and where they are asked; `None` where nobody is.
///
/// # Errors
/// [`TimestampingError`].
pub fn authority(config: &Config) -> Result<Option<(String, Authorities)>, TimestampingError> {
    let (Some(url), Some(file)) = (&config.timestamp_url, &config.timestamp_ca) else { return Ok(None) };
    Ok(Some((url.clone(), Authorities::from_pem(&std::fs::read(file)?)?)))
}

impl Timestamper {
    /// Asks this authority, from what it timestamped before this start on.
    ///
    /// # Errors
    /// Those of reading the identity view.
    pub async fn resume(app: Arc<App>, url: String, authorities: Authorities) -> Result<Self, Problem> {
        let newest = TIMESTAMPED.list(&app.view(View::Identity).await?, (), None, Order::Descending, 1)?;
        let newest = newest.first().and_then(|(key, _)| key.first_chunk());
        let read = newest.map_or(TreeSize(0), |size| TreeSize(u64::from_be_bytes(*size)));
        Ok(Self { app, url, authorities, read })
    }

    /// Has checkpoints timestamped until the daemon stops.
    pub async fn run(mut self) {
        let interval = Duration::from_secs(self.app.config().timestamp_interval_secs);
        let (mut stopping, mut failures) = (self.app.stopping(), 0_u32);
        while !*stopping.borrow_and_update() {
            let turned = tokio::select! {
                turned = self.turn() => turned,
                _ = stopping.changed() => return,
            };
            let pause = match turned {
                Ok(()) => {
                    failures = 0;
                    interval
                }
                Err(error) => {
                    let doubled = TIMESTAMP_RETRY_SECS.saturating_mul(1_u64.checked_shl(failures).unwrap_or(u64::MAX));
                    failures = failures.saturating_add(1);
                    tracing::warn!(url = %self.url, %error, failures, "a checkpoint was not timestamped");
                    Duration::from_secs(doubled.min(TIMESTAMP_RETRY_MAX_SECS)).min(interval)
                }
            };
            tokio::select! {
                _ = stopping.changed() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Has the newest seal timestamped, if anything happened since the one before.
    async fn turn(&mut self) -> Result<(), AskError> {
        let (log, from) = (self.app.engine().log(), self.read);
        let (read, seal) = blocking(move || newest_seal(&*log, from)).await??;
        self.read = read;
        let Some(seal) = seal else { return Ok(()) };
        let token = self.ask(Imprint::of(seal.checkpoint())).await?;
        self.record(&seal, &token).await?;
        self.read = seal.checkpoint().size;
        Ok(())
    }

    /// The authority's timestamp, which holds.
    async fn ask(&self, imprint: Imprint) -> Result<Token, AskError> {
        let mut random = [0; 8];
        SystemRandom.fill(&mut random)?;
        let nonce = Nonce::new(random);
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/timestamp-query"));
        let outgoing = Outgoing {
            method: Method::POST,
            target: self.app.egress().target(&self.url)?,
            headers,
            body: imprint.request(nonce)?.into(),
            time: Duration::from_secs(TIMESTAMP_SECS),
            answer_bytes_max: TOKEN_BYTES_MAX + 1,
        };
        let answer = self.app.egress().send(outgoing).await?;
        if answer.status != StatusCode::OK {
            return Err(AskError::Status(answer.status));
        }
        let token = Token::of_response(&answer.body, imprint, nonce)?;
        token.verify(imprint, &self.authorities)?;
        Ok(token)
    }

    async fn record(&self, seal: &Seal, token: &Token) -> Result<(), AskError> {
        let (app, checkpoint) = (&self.app, seal.checkpoint());
        let ledger = LEDGER.get(&app.views().get(View::Identity).store.snapshot(), ()).map_err(Problem::from)?;
        let root = ledger.and_then(|ledger| ledger.root);
        let tenant = root.ok_or(RowsError::Missing("the root tenant")).map_err(Problem::from)?;
        let (size, root) = (checkpoint.size.0, Hash(checkpoint.root.0));
        let command = RecordTimestamp { size, root, token: token.as_bytes().to_vec() };
        let request = Request::new(tenant, Caller { tenant, actor: Actor::system() }, command);
        let pending = app.sequencer().submit_when_free(request).await.map_err(Problem::from)?;
        pending.await.map_err(Problem::from)?.answer.map_err(Problem::from)?;
        tracing::info!(size, at = %token.time(), "a checkpoint was timestamped");
        Ok(())
    }
}

/// How far the log is looked through, and its newest seal if anything beyond `from` happened.
fn newest_seal(log: &dyn LogStore, from: TreeSize) -> Result<(TreeSize, Option<Seal>), Problem> {
    let mut read = from;
    for next in log.records(from.next()).take(TIMESTAMP_LOOK_EVENTS) {
        let (seq, record) = next?;
        let outline = Outline::parse(&record.header).map_err(ReadError::from)?;
        if !Kind::from_code(outline.kind).is_some_and(Kind::is_attestation) {
            let (size, seal) = log.last_seal()?.ok_or(StoreError::Empty)?;
            let seal = Seal::parse(&seal).map_err(|error| {
                tracing::error!(%error, %size, "a stored seal is malformed");
                Problem::Internal
            })?;
            return Ok((read, Some(seal)));
        }
        read = seq.tree_size();
    }
    Ok((read, None))
}
