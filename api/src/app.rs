//! The application: the engine and what handlers need of it. Handlers authenticate, parse, submit, render.

use std::sync::Arc;
use std::time::Duration;

use chancery_ledger::event::IDEMPOTENCY_KEY_BYTES_MAX;
use chancery_ledger::ids::{OrganisationId, Seq, TenantId, TreeSize};
use chancery_ledger::keystore::{Keystore, Secrets};
use chancery_ledger::time::Micros;
use chancery_projections::command::Command;
use chancery_projections::context::Opener;
use chancery_projections::engine::Engine;
use chancery_projections::origin::{self, Origin};
use chancery_projections::rows::store::ViewSnapshot;
use chancery_projections::sequencer::{self, Pending, Sequencer, SubmitError};
use chancery_projections::signature::AgentSignature;
use chancery_projections::view::Held;
use chancery_projections::views::{View, Views};
use tokio::sync::{Semaphore, watch};
use uuid::Uuid;

use crate::auth::Principal;
use crate::auth::access_token::KnownTokens;
use crate::auth::known::KnownSecrets;
use crate::auth::refusals::Refusals;
use crate::auth::tries::Tries;
use crate::config::Config;
use crate::egress::Egress;
use crate::issuers::KeySets;
use crate::jose::{Jose, Replays};
use crate::kept::Kept;
use crate::limits::{
    CONTROLS_KEPT_SECS, REPORTS_KEPT_SECS, REPORTS_MAX, STREAMS_MAX, VERIFICATIONS_MAX, VIEW_PATIENCE_SECS,
};
use crate::observability::metrics::Metrics;
use crate::problem::Problem;
use crate::publishing::Publication;
use crate::rates::Rates;
use crate::rates::by_key::KeyRates;
use crate::request::Request;
use crate::view_roots::Publisher;

mod authentication;
mod signed;

pub use self::authentication::Asserted;

/// The application.
pub struct App {
    engine: Arc<Engine>,
    config: Config,
    metrics: Metrics,
    known_secrets: KnownSecrets,
    known_tokens: KnownTokens,
    jose: Jose,
    assertions: Replays,
    possessions: Replays,
    issuer: String,
    tries: Tries,
    refusals: Refusals,
    streams: Arc<Semaphore>,
    long_readings: Arc<Semaphore>,
    verifications: Semaphore,
    rates: Rates,
    controls: Kept<()>,
    reports: Kept<(TenantId, OrganisationId)>,
    stopping: watch::Receiver<bool>,
    secrets: Arc<Keystore>,
    egress: Egress,
    key_rates: KeyRates,
    key_sets: KeySets,
    view_roots: Publisher,
    publication: Publication,
}

/// What goes with a command beside itself.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The caller's wish that it happen once.
    pub idempotency_key: Option<String>,
    /// The version that what it changes must have.
    pub if_match: Option<Seq>,
    /// What its events have in common with others of the request.
    pub correlation: Option<Uuid>,
    /// Where the request came from, when events are to say so.
    pub origin: Option<Origin>,
    /// The agent's signature, when it is who asks.
    pub signature: Option<Box<AgentSignature>>,
}

impl App {
    /// The application over a running engine.
    #[must_use]
    pub fn new(
        engine: Arc<Engine>, config: Config, metrics: Metrics, refusals: Refusals, stopping: watch::Receiver<bool>,
    ) -> Self {
        let (secrets, rates) = (engine.secrets(), Rates::new(&config));
        let jose = Jose::new(secrets.clone(), &config.data_dir);
        let issuer = config.issuer();
        let streams = Arc::new(Semaphore::new(STREAMS_MAX));
        let key_rates = KeyRates::new(config.alsorn_requests_per_hour);
        let egress = Egress::new(config.allow_private_targets);
        let view_roots = Publisher::new(engine.receipt_trees());
        let publication = Publication::by(config.witnesses.clone());
        Self {
            engine,
            config,
            metrics,
            known_secrets: KnownSecrets::default(),
            known_tokens: KnownTokens::default(),
            jose,
            assertions: Replays::of_assertions(),
            possessions: Replays::of_possessions(),
            tries: Tries::default(),
            issuer,
            refusals,
            streams,
            long_readings: Arc::new(Semaphore::new(1)),
            verifications: Semaphore::new(VERIFICATIONS_MAX),
            rates,
            controls: Kept::new(1, Duration::from_secs(CONTROLS_KEPT_SECS)),
            reports: Kept::new(REPORTS_MAX, Duration::from_secs(REPORTS_KEPT_SECS)),
            stopping,
            secrets,
            egress,
            key_rates,
            key_sets: KeySets::default(),
            view_roots,
            publication,
        }
    }

    /// The same, with another door for requests of its own.
    #[must_use]
    pub fn with_egress(mut self, egress: Egress) -> Self {
        self.egress = egress;
        self
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// How the daemon is set up.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// What is measured.
    #[must_use]
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The one writer.
    #[must_use]
    pub fn sequencer(&self) -> &Sequencer {
        self.engine.sequencer()
    }

    /// The views.
    #[must_use]
    pub fn views(&self) -> &Views {
        self.engine.views()
    }

    /// Places for live event streams.
    #[must_use]
    pub const fn streams(&self) -> &Arc<Semaphore> {
        &self.streams
    }

    /// The one place for what reads a whole view or log.
    #[must_use]
    pub const fn long_readings(&self) -> &Arc<Semaphore> {
        &self.long_readings
    }

    /// How often API keys ask, where that is limited.
    #[must_use]
    pub const fn key_rates(&self) -> &KeyRates {
        &self.key_rates
    }

    /// The door for requests of the daemon's own.
    #[must_use]
    pub const fn egress(&self) -> &Egress {
        &self.egress
    }

    /// Places for verifying an audit log, which takes as long as the log is.
    #[must_use]
    pub const fn verifications(&self) -> &Semaphore {
        &self.verifications
    }

    /// How often clients ask.
    #[must_use]
    pub const fn rates(&self) -> &Rates {
        &self.rates
    }

    /// What was found of the controls lately.
    #[must_use]
    pub const fn controls(&self) -> &Kept<()> {
        &self.controls
    }

    /// Organisations' compliance reports of late.
    #[must_use]
    pub const fn reports(&self) -> &Kept<(TenantId, OrganisationId)> {
        &self.reports
    }

    /// The keys of encrypted fields, and what they are wrapped under.
    #[must_use]
    pub fn keystore(&self) -> &Keystore {
        &self.secrets
    }

    /// Keys of issuers whose tokens are believed.
    #[must_use]
    pub const fn key_sets(&self) -> &KeySets {
        &self.key_sets
    }

    /// Who publishes what the views say.
    #[must_use]
    pub const fn view_roots(&self) -> &Publisher {
        &self.view_roots
    }

    /// Which checkpoint is published.
    #[must_use]
    pub const fn publication(&self) -> &Publication {
        &self.publication
    }

    /// Turns true when the daemon is told to stop.
    #[must_use]
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.clone()
    }

    /// The time of reads.
    #[must_use]
    pub fn now(&self) -> Micros {
        self.engine.clock().now()
    }

    /// Opens encrypted fields of what is read.
    #[must_use]
    pub fn opener(&self) -> Opener<'_> {
        Opener::new(&*self.secrets as &dyn Secrets)
    }

    /// What goes with a request's command: `Idempotency-Key`, `If-Match`, its correlation, and, if events are to say
    /// so, where it comes from.
    ///
    /// # Errors
    /// [`Problem::Header`] and [`Problem::Parameter`] when one of the fields is malformed.
    pub fn options(&self, request: &Request) -> Result<Options, Problem> {
        let idempotency_key = request.header("idempotency-key")?.map(|key| {
            if (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) {
                Ok(key.to_owned())
            } else {
                let why = format!("must have 1 to {IDEMPOTENCY_KEY_BYTES_MAX} characters");
                Err(Problem::Parameter { parameter: "Idempotency-Key".to_owned(), why })
            }
        });
        let if_match = request.header("if-match")?.map(|text| {
            let seq = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).and_then(|seq| seq.parse().ok());
            seq.map(Seq).ok_or_else(|| Problem::Parameter {
                parameter: "If-Match".to_owned(),
                why: "must be one entity tag as this API gives them, for example \"42\"".to_owned(),
            })
        });
        let origin = self.config.record_origin.then(|| {
            let user_agent = request.headers().get(hyper::header::USER_AGENT).and_then(|value| value.to_str().ok());
            Origin { ip: request.peer.to_string(), user_agent: user_agent.map(origin::cut) }
        });
        Ok(Options {
            idempotency_key: idempotency_key.transpose()?,
            if_match: if_match.transpose()?,
            correlation: Some(request.id.correlation()),
            origin,
            signature: None,
        })
    }

    /// Sends a command, whose receipt comes when it is durable. The receipt's answer may still be a refusal.
    ///
    /// # Errors
    /// [`SubmitError`] when it was not taken.
    pub fn submit(&self, principal: &Principal, command: Command, options: Options) -> Result<Pending, SubmitError> {
        self.metrics.count_command(command.name());
        self.sequencer().submit(envelope(principal, command, options))
    }

    /// The identity view, reflecting the change of who is let in with which the log had `access` events.
    async fn access_view(&self, access: TreeSize) -> Result<ViewSnapshot, Problem> {
        Ok(self.views().read(View::Identity, access, Duration::from_secs(VIEW_PATIENCE_SECS)).await?)
    }

    /// A view that reflects everything its caller may already know.
    ///
    /// # Errors
    /// [`Problem::Lagging`] when the view does not get there in time.
    pub async fn view(&self, view: View) -> Result<ViewSnapshot, Problem> {
        let known = self.sequencer().acknowledged();
        Ok(self.views().read(view, known, Duration::from_secs(VIEW_PATIENCE_SECS)).await?)
    }

    /// The views that say what there is, held still at one event: the newest that its caller may know, or a past one.
    ///
    /// # Errors
    /// [`Problem::Lagging`] when one does not get there in time.
    pub async fn held(&self, as_of: Option<Seq>) -> Result<Held, Problem> {
        let identity = self.view(View::Identity).await?;
        let (token, trust) = (self.view(View::Token).await?, self.view(View::Trust).await?);
        let execution = self.view(View::Execution).await?;
        Ok(Held::new(identity, token, trust, execution, as_of)?)
    }
}

/// A command as the sequencer takes it.
#[must_use]
pub fn envelope(principal: &Principal, command: Command, options: Options) -> sequencer::Request {
    sequencer::Request {
        tenant: principal.tenant(),
        caller: principal.caller(),
        command,
        idempotency_key: options.idempotency_key,
        if_match: options.if_match,
        correlation: options.correlation,
        origin: options.origin,
        signature: options.signature,
    }
}
