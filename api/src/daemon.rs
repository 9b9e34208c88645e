//! Start and orderly stop.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use chancery_ledger::actor::Actor;
use chancery_projections::bootstrap::FirstStart;
use chancery_projections::command::{Command, ProvideTokenKey, ProvideWitnessKey};
use chancery_projections::context::Caller;
use chancery_projections::engine::{Engine, EngineConfig, OpenError};
use chancery_projections::identity::state::LEDGER;
use chancery_projections::origin::Origin;
use chancery_projections::rows::RowsError;
use chancery_projections::sequencer::{Request, SubmitError};
use chancery_projections::views::View;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::app::App;
use crate::auth::refusals::{self, Note};
use crate::config::{Config, ConfigError};
use crate::delivery;
use crate::egress::Egress;
use crate::jose::{self, ProvideError};
use crate::notify;
use crate::observability::logging;
use crate::observability::machine::Machine;
use crate::observability::metrics::Metrics;
use crate::problem::Problem;
use crate::publishing::Publisher;
use crate::server::Server;
use crate::shredding;
use crate::siem::push;
use crate::siem::sinks::{self, SinksError};
use crate::timestamping::{self, Timestamper, TimestampingError};
use crate::tls::{self, TlsError};
use crate::view_roots;

/// The daemon cannot run. Each message says what to mend.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// It is set up wrongly.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// TLS cannot be served.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// It cannot listen.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The data directory cannot be opened.
    #[error(transparent)]
    Open(Box<OpenError>),
    /// The sinks make no sense.
    #[error(transparent)]
    Sinks(#[from] SinksError),
    /// There is no key to sign tokens with.
    #[error(transparent)]
    TokenKey(#[from] ProvideError),
    /// What witnesses said before cannot be read.
    #[error("the cosignatures in the log cannot be read: {0}")]
    Publishing(Box<Problem>),
    /// Nobody can be asked for the time.
    #[error(transparent)]
    Timestamping(#[from] TimestampingError),
    /// What was timestamped before cannot be read.
    #[error("the timestamps in the log cannot be read: {0}")]
    Timestamps(Box<Problem>),
    /// The system refused something.
    #[error("the system refused what the daemon needs: {0}")]
    System(#[from] io::Error),
}

/// Runs the daemon until it is told to stop.
#[must_use]
pub fn main() -> ExitCode {
    let config = match Config::load(std::env::args_os()) {
        Ok(config) => config,
        // Help and version are answers, not errors; clap knows which goes where.
        Err(ConfigError::Flags(error)) => error.exit(),
        Err(error) => return failed(&error.into()),
    };
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &DaemonError) -> ExitCode {
    eprintln!("chanceryd: {error}");
    ExitCode::FAILURE
}

fn run(config: Config) -> Result<(), DaemonError> {
    logging::start(&config)?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve(config))
}

async fn serve(config: Config) -> Result<(), DaemonError> {
    // Signals are heard from here on, so that one that comes while the log opens is not lost.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let acceptor = match (&config.tls_cert, &config.tls_key) {
        (Some(cert), Some(key)) => Some(tls::acceptor(cert, key)?),
        _ => None,
    };
    let sinks = match &config.sinks {
        Some(file) => sinks::load(file, &Egress::new(config.allow_private_targets))?,
        None => Vec::new(),
    };
    let authority = timestamping::authority(&config)?;
    let listen = |source| DaemonError::Listen { address: config.listen, source };
    let server = Server::bind(config.listen, acceptor).await.map_err(listen)?;
    let address = server.local_addr().map_err(listen)?;
    let url = format!("{}://{address}", if config.is_tls() { "https" } else { "http" });

    // Where it listens is known only now, if any free port was asked for.
    let config = Config { listen: address, ..config };
    let engine = open(&config, &url).await?;
    provide_token_key(&config, &engine).await?;
    if !config.witnesses.logs().is_empty() {
        provide(&engine, ProvideWitnessKey {}).await?;
    }
    tracing::info!(origin = engine.origin(), events = engine.log().size().0, data_dir = %config.data_dir.display(), "the ledger is open");
    // Nobody is served before what was erased is gone. Its keys are destroyed by now, whatever happens here.
    if let Err(error) = shredding::finish(&engine).await {
        tracing::error!(%error, "keys of what was erased could not be removed from the keystore's files; that is tried again");
    }
    let (stop, stopping) = watch::channel(false);
    let (refusals, waiting) = refusals::channel();
    let noting = tokio::spawn(note_refusals(engine.clone(), config.record_origin, waiting));
    let finishing = tokio::spawn(shredding::run(engine.clone(), config.retention_secs, stopping.clone()));
    let metrics = Metrics::new().with_engine(engine.clone()).with_machine(Machine::new(config.data_dir.clone()));
    let app = Arc::new(App::new(engine.clone(), config, metrics, refusals, stopping.clone()));
    let delivering = tokio::spawn(delivery::run(app.clone()));
    let pushing = tokio::spawn(push::run(app.clone(), sinks));
    let publishing = tokio::spawn(view_roots::run(app.clone()));
    let publisher = Publisher::resume(app.clone()).await.map_err(|problem| DaemonError::Publishing(problem.into()))?;
    let witnessing = tokio::spawn(publisher.run());
    let timestamping = match authority {
        Some((url, authorities)) => {
            let timestamper = Timestamper::resume(app.clone(), url, authorities).await;
            Some(tokio::spawn(timestamper.map_err(|problem| DaemonError::Timestamps(problem.into()))?.run()))
        }
        None => None,
    };
    println!("chanceryd ready {url}");
    io::stdout().flush()?;
    notify::tell(notify::State::Ready);

    let told = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: requests under way end, then everything is made durable");
        notify::tell(notify::State::Stopping);
        stop.send_replace(true);
    };
    tokio::join!(server.run(app.clone(), stopping), told);
    if let Err(error) = delivering.await {
        tracing::error!(%error, "deliveries ended by a defect");
    }
    if let Err(error) = pushing.await {
        tracing::error!(%error, "pushing events to sinks ended by a defect");
    }
    if let Err(error) = publishing.await {
        tracing::error!(%error, "publishing the views' roots ended by a defect");
    }
    if let Err(error) = witnessing.await {
        tracing::error!(%error, "publishing checkpoints ended by a defect");
    }
    if let Err(error) = finishing.await {
        tracing::error!(%error, "erasures ended by a defect");
    }
    if let Some(timestamping) = timestamping
        && let Err(error) = timestamping.await
    {
        tracing::error!(%error, "timestamping ended by a defect");
    }
    // What requests left behind lets go of the application when it sees that the daemon stops; then nobody can refuse
    // a log-in any more, and the last counts are noted.
    drop(app);
    if let Err(error) = noting.await {
        tracing::error!(%error, "refused log-ins may not have been noted");
    }
    tokio::task::spawn_blocking(move || engine.stop()).await.map_err(io::Error::other)?;
    tracing::info!("stopped");
    Ok(())
}

/// Opens the data directory; on the first start, hands the first credentials over before anything depends on them.
async fn open(config: &Config, url: &str) -> Result<Arc<Engine>, DaemonError> {
    let mut engine = EngineConfig::new(&config.data_dir);
    engine.origin = config.origin.clone();
    engine.passphrase = config.passphrase.clone();
    engine.waiting_max = config.queue_max;
    engine.archive = config.archive();
    let runtime = Handle::current();
    engine.deliver = Box::new(move |answers| drop(runtime.spawn(async { answers.deliver() })));
    let (file, url) = (config.bootstrap_file.clone(), url.to_owned());
    engine.on_first_start = Some(Box::new(move |first: &FirstStart| match file {
        Some(file) => write_bootstrap_file(&file, first),
        None => print_first_steps(first, &url),
    }));
    let opening = tokio::task::spawn_blocking(move || Engine::open(engine).map_err(Box::new));
    let (engine, _) = opening.await.map_err(io::Error::other)?.map_err(DaemonError::Open)?;
    Ok(Arc::new(engine))
}

/// Sees that there is a key to sign tokens with.
async fn provide_token_key(config: &Config, engine: &Engine) -> Result<(), ProvideError> {
    let identity = engine.views().get(View::Identity).store.snapshot();
    let purpose = config.token_algorithm.purpose();
    let public = tokio::task::block_in_place(|| jose::key_to_provide(&config.data_dir, purpose, &identity))?;
    provide(engine, ProvideTokenKey { purpose, public }).await
}

/// Has a key of the ledger's own put in place, as the daemon itself.
async fn provide(engine: &Engine, command: impl Into<Command>) -> Result<(), ProvideError> {
    let identity = engine.views().get(View::Identity).store.snapshot();
    let root = LEDGER.get(&identity, ())?.and_then(|ledger| ledger.root);
    let tenant = root.ok_or(RowsError::Missing("the root tenant"))?;
    let request = Request::new(tenant, Caller { tenant, actor: Actor::system() }, command);
    let not_decided = |why: String| ProvideError::NotDecided(why);
    let submitted =
        engine.sequencer().submit_when_free(request).await.map_err(|error| not_decided(error.to_string()))?;
    let receipt = submitted.await.map_err(|error| not_decided(error.to_string()))?;
    receipt.answer.map(drop).map_err(|rejection| not_decided(rejection.to_string()))
}

/// Writes the first credentials for scripts, readable by their owner alone, in one piece or not at all.
fn write_bootstrap_file(file: &Path, first: &FirstStart) -> io::Result<()> {
    let json = serde_json::json!({
        "tenant": first.tenant,
        "admin_key": *first.admin_key,
        "orgkernel": { "token": *first.orgkernel_token },
        "alsorn": {
            "api_key": *first.alsorn.api_key,
            "read_key": *first.alsorn.read_key,
            "other_tenant_key": *first.alsorn.other_tenant_key,
        },
        "agentidp": { "client_id": first.agentidp.client_id, "client_secret": *first.agentidp.client_secret },
    });
    let unfinished = with_suffix(file, ".unfinished");
    // One that a start cut short has left.
    std::fs::remove_file(&unfinished).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })?;
    let mut writing = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    writeln!(writing, "{json}")?;
    writing.sync_all()?;
    std::fs::rename(&unfinished, file)?;
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir)?.sync_all()
}

fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Tells a newcomer what comes next. Standard output stays with the one line that scripts wait for.
fn print_first_steps(first: &FirstStart, url: &str) -> io::Result<()> {
    let FirstStart { tenant, admin_key, orgkernel_token, agentidp, alsorn } = first;
    let mut out = io::stderr().lock();
    writeln!(
        out,
        "\nThis is a new ledger. Its first keys are shown this once; the log holds only their hashes.\n\n  \
           tenant            {tenant}\n  \
           admin key         {admin}\n  \
           OrgKernel token   {orgkernel}   (base URL {url}/orgkernel)\n  \
           AgentIdP client   {client}   (base URL {url}/agentidp)\n  \
           its secret        {client_secret}\n  \
           Alsorn key        {alsorn_key}   (base URL {url}/alsorn)\n\n\
         Register an agent and see it in the log:\n\n  \
           export CHANCERY_KEY={admin}\n  \
           curl -H \"Authorization: Bearer $CHANCERY_KEY\" {url}/v1/commands \\\n    \
             -H 'Content-Type: application/json' \\\n    \
             -d '{{\"command\":\"RegisterAgent\",\"params\":{{\"name\":\"ada\",\"key\":\"make\"}}}}'\n  \
           curl -H \"Authorization: Bearer $CHANCERY_KEY\" {url}/v1/events\n\n\
         GET /openapi.json describes everything else.\n",
        admin = **admin_key,
        orgkernel = **orgkernel_token,
        client = agentidp.client_id,
        client_secret = *agentidp.client_secret,
        alsorn_key = *alsorn.api_key,
    )?;
    out.flush()
}

/// Puts refused log-ins into the log, as the daemon itself.
async fn note_refusals(engine: Arc<Engine>, record_origin: bool, mut waiting: refusals::Waiting) {
    while let Some(notes) = waiting.next().await {
        for note in notes {
            if let Err(error) = note_refusal(&engine, record_origin, note).await {
                tracing::warn!(%error, "a refused log-in could not be noted");
            }
        }
    }
}

async fn note_refusal(engine: &Engine, record_origin: bool, note: Note) -> Result<(), SubmitError> {
    let tenant = match note.refused.credential {
        Some((tenant, _)) => Some(tenant),
        // Nobody's credential concerns who runs the ledger.
        None => {
            let identity = engine.views().get(View::Identity).store.snapshot();
            let ledger = LEDGER.get(&identity, ());
            ledger.map_err(|error| SubmitError::Unavailable { why: error.to_string() })?.and_then(|ledger| ledger.root)
        }
    };
    let Some(tenant) = tenant else { return Ok(()) };
    let mut request = Request::new(tenant, Caller { tenant, actor: Actor::system() }, note.command());
    let peer = note.peer.filter(|_| record_origin);
    request.origin = peer.map(|peer| Origin { ip: peer.to_string(), user_agent: None });
    engine.sequencer().submit_when_free(request).await?.await.map(drop)
}
