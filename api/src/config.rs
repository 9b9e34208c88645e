//! How the daemon is set up: flags, then environment, then file, then defaults. `options!` below is the one list of options;
//! `docs/configuration.md` is held equal to it by a test.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chancery_ledger::archive::{Limits, Mode};
use chancery_ledger::body::ledger::Purpose;
use chancery_ledger::tree::origin::is_origin;
use chancery_ledger::witness::policy::{WitnessPolicy, WitnessPolicyError};
use chancery_projections::engine::{ArchiveConfig, WAITING_MAX};
use clap::Parser as _;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::limits;

/// An option, as it is documented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionDoc {
    /// Its name in the configuration file.
    pub name: &'static str,
    /// Its environment variable.
    pub env: &'static str,
    /// What stands in its place when it is not set.
    pub default: String,
    /// What it does.
    pub doc: String,
}

macro_rules! options {
    (
        with default { $($(#[doc = $doc:literal])+ $name:ident: $type:ty = $default:expr, $env:literal $value:literal $($extra:ident = $given:expr)*;)* }
        without { $($(#[doc = $odoc:literal])+ $oname:ident: $otype:ty = $shown:literal, $oenv:literal $ovalue:literal;)* }
    ) => {
        /// Chancery's daemon: keeps a signed, hash-linked record of AI agents and what they do, and serves it over HTTP.
        #[derive(Debug, clap::Parser)]
        #[command(name = "chanceryd", version)]
        struct Flags {
            /// TOML file that sets what neither flag nor environment sets
            #[arg(long, env = "CHANCERY_CONFIG", value_name = "FILE")]
            config: Option<PathBuf>,
            $($(#[doc = $odoc])+ #[arg(long, env = $oenv, value_name = $ovalue)] $oname: Option<$otype>,)*
            $($(#[doc = $doc])+ #[arg(long, env = $env, value_name = $value $(, $extra = $given)*)] $name: Option<$type>,)*
        }

        #[derive(Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        struct File {
            $($oname: Option<$otype>,)*
            $($name: Option<$type>,)*
        }

        /// How the daemon is set up.
        #[derive(Clone)]
        pub struct Config {
            $($(#[doc = $odoc])+ pub $oname: Option<$otype>,)*
            $($(#[doc = $doc])+ pub $name: $type,)*
            /// What the sealing key's file is encrypted under; of `CHANCERY_PASSPHRASE` or the passphrase file.
            pub passphrase: Option<Zeroizing<String>>,
            /// Who witnesses this log and whom it witnesses; of the policy's file.
            pub witnesses: Arc<WitnessPolicy>,
        }

        impl Config {
            /// With nothing set.
            #[must_use]
            pub fn defaults() -> Self {
                Self::merge(Flags { config: None, $($oname: None,)* $($name: None,)* }, File::default())
            }

            fn merge(flags: Flags, file: File) -> Self {
                Self {
                    $($oname: flags.$oname.or(file.$oname),)*
                    $($name: flags.$name.or(file.$name).unwrap_or_else(|| $default),)*
                    passphrase: None,
                    witnesses: Arc::default(),
                }
            }
        }

        /// Every option but `--config` itself and the passphrase, which has no flag.
        #[must_use]
        pub fn table() -> Vec<OptionDoc> {
            let doc = |lines: &[&str]| lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
            vec![
                $(OptionDoc { name: stringify!($oname), env: $oenv, default: $shown.to_owned(), doc: doc(&[$($odoc),+]) },)*
                $(OptionDoc {
                    name: stringify!($name),
                    env: $env,
                    default: { let value: $type = $default; format!("`{}`", Shown(&value)) },
                    doc: doc(&[$($doc),+]),
                },)*
            ]
        }
    };
}

options! {
    with default {
        /// Directory of the log, the keys and the views; made when there is none
        data_dir: PathBuf = PathBuf::from("./chancery-data"), "CHANCERY_DATA_DIR" "DIR";
        /// Address and port to listen on; port 0 takes a free one
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8420)), "CHANCERY_LISTEN" "ADDR:PORT";
        /// Longest request body, in bytes
        body_bytes_max: usize = limits::BODY_BYTES_MAX, "CHANCERY_BODY_BYTES_MAX" "BYTES";
        /// Connections at once; those beyond are answered 503
        connections_max: usize = limits::CONNECTIONS_MAX, "CHANCERY_CONNECTIONS_MAX" "N";
        /// Commands that may wait to be decided; those beyond are answered 503, or wait in their batch
        queue_max: usize = WAITING_MAX, "CHANCERY_QUEUE_MAX" "N";
        /// Time for a TLS handshake and for the head of a request, in seconds; an idle connection stays as long
        header_timeout_secs: u64 = limits::HEADER_TIMEOUT_SECS, "CHANCERY_HEADER_TIMEOUT_SECS" "SECS";
        /// Time for the body of a request, in seconds; in an NDJSON batch, from one piece to the next
        body_timeout_secs: u64 = limits::BODY_TIMEOUT_SECS, "CHANCERY_BODY_TIMEOUT_SECS" "SECS";
        /// Time in which a client must take some of what it is sent, in seconds
        write_timeout_secs: u64 = limits::WRITE_TIMEOUT_SECS, "CHANCERY_WRITE_TIMEOUT_SECS" "SECS";
        /// Time that requests under way have to end once the daemon is told to stop, in seconds
        stop_timeout_secs: u64 = limits::STOP_TIMEOUT_SECS, "CHANCERY_STOP_TIMEOUT_SECS" "SECS";
        /// Keep the client's address and user agent in events, encrypted under a key that can be destroyed
        record_origin: bool = false, "CHANCERY_RECORD_ORIGIN" "BOOL" num_args = 0..=1 default_missing_value = "true";
        /// Let webhooks, key sets of issuers and whatever else the daemon calls be on private and loopback addresses, and without TLS
        allow_private_targets: bool = false, "CHANCERY_ALLOW_PRIVATE_TARGETS" "BOOL" num_args = 0..=1 default_missing_value = "true";
        /// The tiers, parted by commas, whose tenants' clients may ask only so often at the AgentIdP mount; none: nobody is limited
        rate_limit_tiers: String = "free".to_owned(), "CHANCERY_RATE_LIMIT_TIERS" "TIERS";
        /// The window within which their requests are counted, in milliseconds; it slides
        rate_limit_window_ms: u64 = 60_000, "CHANCERY_RATE_LIMIT_WINDOW_MS" "MILLIS";
        /// Requests of one client within a window; 0: as many as it likes
        rate_limit_max_requests: u64 = 100, "CHANCERY_RATE_LIMIT_MAX_REQUESTS" "N";
        /// Verifications of the audit log among them; 0: as many as it likes
        rate_limit_max_verifications: u64 = 30, "CHANCERY_RATE_LIMIT_MAX_VERIFICATIONS" "N";
        /// Requests of one key at the Alsorn mount within an hour; 0: as many as it likes
        alsorn_requests_per_hour: u64 = 0, "CHANCERY_ALSORN_REQUESTS_PER_HOUR" "N";
        /// How often what retention policies keep no longer is looked for and erased, in seconds
        retention_secs: u64 = limits::RETENTION_SECS, "CHANCERY_RETENTION_SECS" "SECS";
        /// How long after the first attempt an event is posted again to a destination that did not take it, in seconds; later attempts wait longer, as the words say in which it is told (docs/webhooks.md)
        webhook_retry_secs: u64 = limits::WEBHOOK_RETRY_SECS, "CHANCERY_WEBHOOK_RETRY_SECS" "SECS";
        /// How often what the views say is published as roots, of which receipts are made, in seconds; only while something happens; 0: only when asked
        view_roots_secs: u64 = limits::VIEW_ROOTS_SECS, "CHANCERY_VIEW_ROOTS_SECS" "SECS";
        /// Issuer of the tokens that GitHub's workflows present; its keys are at `/.well-known/jwks` below it
        github_issuer: String = "https://token.actions.githubusercontent.com".to_owned(), "CHANCERY_GITHUB_ISSUER" "URL";
        /// When a command is acknowledged: `follow`, once the log is durable, and the archive has it within a second; or `synchronous`, once both are durable
        archive_mode: ArchiveMode = ArchiveMode::Follow, "CHANCERY_ARCHIVE_MODE" "MODE";
        /// A segment of the archive is closed, never to be written again, when it has so many bytes
        archive_segment_bytes: u64 = Limits::default().bytes, "CHANCERY_ARCHIVE_SEGMENT_BYTES" "BYTES";
        /// A segment of the archive is closed when it was begun so long ago, in seconds
        archive_segment_secs: u64 = Limits::default().age.as_secs(), "CHANCERY_ARCHIVE_SEGMENT_SECS" "SECS";
        /// Let anybody read `/checkpoint` and the hashes of the tree at `/tile/`, without a credential; entries stay the root tenant's
        public_tree: bool = false, "CHANCERY_PUBLIC_TREE" "BOOL" num_args = 0..=1 default_missing_value = "true";
        /// Shortest time between two checkpoints that witnesses are asked to cosign, in seconds
        publish_interval_secs: u64 = limits::PUBLISH_INTERVAL_SECS, "CHANCERY_PUBLISH_INTERVAL_SECS" "SECS";
        /// Shortest time between two checkpoints that an authority is asked to timestamp, in seconds
        timestamp_interval_secs: u64 = limits::TIMESTAMP_INTERVAL_SECS, "CHANCERY_TIMESTAMP_INTERVAL_SECS" "SECS";
        /// How access tokens are signed: `eddsa`, or `rs256` by an RSA key in `keys/`
        token_algorithm: TokenAlgorithm = TokenAlgorithm::Eddsa, "CHANCERY_TOKEN_ALGORITHM" "ALGORITHM";
        /// How the daemon's own log on standard error looks: `text` or `json`
        log_format: LogFormat = LogFormat::Text, "CHANCERY_LOG_FORMAT" "FORMAT";
        /// What the daemon's own log tells, in the syntax of `tracing`: a level, or a level for each module
        log: String = "info,fjall=warn,lsm_tree=warn".to_owned(), "CHANCERY_LOG" "FILTER";
    }
    without {
        /// Audience that tokens of GitHub's workflows may have, beside this daemon's issuer and GitHub's own default
        github_audience: String = "none", "CHANCERY_GITHUB_AUDIENCE" "NAME";
        /// Directory of a second copy of the log, from which all of it can be restored; best on another disk
        archive_dir: PathBuf = "none: the log is the only copy", "CHANCERY_ARCHIVE_DIR" "DIR";
        /// File that receives the first credentials as JSON, mode 0600, on the first start
        bootstrap_file: PathBuf = "none: the first credentials are printed to standard error", "CHANCERY_BOOTSTRAP_FILE" "FILE";
        /// The log's name, which every seal signs; set on the first start, for good
        origin: String = "`chancery.invalid/` and the ledger's id", "CHANCERY_ORIGIN" "NAME";
        /// File whose first line is the passphrase that the sealing key is encrypted under
        passphrase_file: PathBuf = "none: the key is kept in clear, mode 0600", "CHANCERY_PASSPHRASE_FILE" "FILE";
        /// Address that clients reach the daemon by, such as `https://id.example.org`: the base of the issuer of tokens
        public_url: String = "where it listens", "CHANCERY_PUBLIC_URL" "URL";
        /// TOML file of files and addresses that events are pushed to, in the words of security tools (`docs/siem.md`)
        sinks: PathBuf = "none", "CHANCERY_SINKS" "FILE";
        /// File in C2SP `tlog-policy`: its witnesses that have addresses are asked to cosign checkpoints, its quorum says which checkpoint is published, and its logs are those whose checkpoints this ledger cosigns as a witness
        witness_policy: PathBuf = "none: nobody is asked, and nobody's checkpoint is cosigned", "CHANCERY_WITNESS_POLICY" "FILE";
        /// PEM file of the certificates that timestamps must lead to; needs `timestamp_url`
        timestamp_ca: PathBuf = "none", "CHANCERY_TIMESTAMP_CA" "FILE";
        /// Address of an authority that timestamps checkpoints (RFC 3161 over HTTP); needs `timestamp_ca`
        timestamp_url: String = "none: checkpoints are not timestamped", "CHANCERY_TIMESTAMP_URL" "URL";
        /// PEM file of the certificate chain to serve TLS with; needs `tls_key`
        tls_cert: PathBuf = "none: plain HTTP", "CHANCERY_TLS_CERT" "FILE";
        /// PEM file of the certificate's private key
        tls_key: PathBuf = "none", "CHANCERY_TLS_KEY" "FILE";
    }
}

/// When a command is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum ArchiveMode {
    /// Once the log is durable.
    Follow,
    /// Once log and archive are durable.
    Synchronous,
}

/// How access tokens are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum TokenAlgorithm {
    /// Ed25519 (RFC 8037).
    Eddsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
}

impl TokenAlgorithm {
    /// What a key is for that signs so.
    #[must_use]
    pub const fn purpose(self) -> Purpose {
        match self {
            Self::Eddsa => Purpose::JwtEddsa,
            Self::Rs256 => Purpose::JwtRs256,
        }
    }
}

/// How the daemon's own log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs: one JSON object a line.
    Json,
}

/// The daemon cannot be set up so. Each message says what to mend.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Flags or environment.
    #[error("{0}")]
    Flags(#[from] clap::Error),
    /// The file cannot be read.
    #[error("{file} cannot be read: {source}", file = file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML, or sets what there is not.
    #[error("{file}: {source}", file = file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// The witness policy is none.
    #[error("{file}: {source}", file = file.display())]
    WitnessPolicy {
        /// Its file.
        file: PathBuf,
        /// Which line, and why.
        source: WitnessPolicyError,
    },
    /// An option's value is none.
    #[error("`{option}` {why}")]
    Value {
        /// The option.
        option: &'static str,
        /// What is wrong, and what is right.
        why: &'static str,
    },
}

impl Config {
    /// Reads arguments, environment and file.
    ///
    /// # Errors
    /// [`ConfigError`] says what to mend; also how clap says that `--help` or `--version` were asked for.
    pub fn load(args: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Self, ConfigError> {
        let mut flags = Flags::try_parse_from(args)?;
        let file = match flags.config.take() {
            None => File::default(),
            Some(file) => {
                let text = read(&file)?;
                toml::from_str(&text).map_err(|source| ConfigError::File { file, source: source.into() })?
            }
        };
        let mut config = Self::merge(flags, file);
        config.passphrase = passphrase(config.passphrase_file.as_deref())?;
        if let Some(file) = &config.witness_policy {
            config.witnesses = Arc::new(witness_policy(file)?);
        }
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let wrong = |option, why| Err(ConfigError::Value { option, why });
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            return wrong("tls_cert", "and `tls_key` go together; set both or none");
        }
        if self.origin.as_deref().is_some_and(|origin| !is_origin(origin)) {
            return wrong(
                "origin",
                "cannot name a log: it has no spaces, control characters or `+`, and at most 255 bytes",
            );
        }
        if self.public_url.as_deref().is_some_and(|url| !is_base_url(url)) {
            return wrong("public_url", "must be an `http://` or `https://` address without query and fragment");
        }
        if !self.github_issuer.starts_with("https://") && !self.allow_private_targets {
            return wrong("github_issuer", "must start with https://, unless private targets are allowed");
        }
        if self.body_bytes_max < 64 * 1024 {
            return wrong("body_bytes_max", "must be at least 65536, which an audit entry may need");
        }
        if !(1..=100_000).contains(&self.connections_max) {
            return wrong("connections_max", "must be 1 to 100000");
        }
        if !(1..=100_000).contains(&self.queue_max) {
            return wrong("queue_max", "must be 1 to 100000");
        }
        if self.archive_mode == ArchiveMode::Synchronous && self.archive_dir.is_none() {
            return wrong("archive_mode", "is `synchronous`, and `archive_dir` names no archive; set that too");
        }
        if self.archive_dir.as_deref().is_some_and(|dir| lies_within(dir, &self.data_dir)) {
            return wrong(
                "archive_dir",
                "lies in the data directory, and what takes that takes both; name another disk's",
            );
        }
        if !(64 * 1024..=1 << 40).contains(&self.archive_segment_bytes) {
            return wrong("archive_segment_bytes", "must be 65536 to 1099511627776");
        }
        if !(1..=366 * 86_400).contains(&self.archive_segment_secs) {
            return wrong("archive_segment_secs", "must be 1 to 31622400, which is a year");
        }
        if !(1..=86_400).contains(&self.publish_interval_secs) {
            return wrong("publish_interval_secs", "must be 1 to 86400, which is a day");
        }
        if self.timestamp_url.is_some() != self.timestamp_ca.is_some() {
            return wrong("timestamp_url", "and `timestamp_ca` go together; set both or none");
        }
        if !(1..=31 * 86_400).contains(&self.timestamp_interval_secs) {
            return wrong("timestamp_interval_secs", "must be 1 to 2678400, which is a month");
        }
        let timeouts = [
            ("header_timeout_secs", self.header_timeout_secs),
            ("body_timeout_secs", self.body_timeout_secs),
            ("write_timeout_secs", self.write_timeout_secs),
            ("stop_timeout_secs", self.stop_timeout_secs),
            ("retention_secs", self.retention_secs),
        ];
        if self.webhook_retry_secs > 3600 {
            return wrong("webhook_retry_secs", "must be 0 to 3600");
        }
        match timeouts.into_iter().find(|(_, secs)| !(1..=3600).contains(secs)) {
            Some((option, _)) => wrong(option, "must be 1 to 3600"),
            None => Ok(()),
        }
    }

    /// The archive to keep, if one is.
    #[must_use]
    pub fn archive(&self) -> Option<ArchiveConfig> {
        let limits = Limits { bytes: self.archive_segment_bytes, age: Duration::from_secs(self.archive_segment_secs) };
        let mode = match self.archive_mode {
            ArchiveMode::Follow => Mode::Follow,
            ArchiveMode::Synchronous => Mode::Synchronous,
        };
        self.archive_dir.clone().map(|dir| ArchiveConfig { dir, mode, limits })
    }

    /// Whether it serves TLS.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.tls_cert.is_some()
    }

    /// The issuer of access tokens: where clients reach the mount that issues them.
    #[must_use]
    pub fn issuer(&self) -> String {
        format!("{}{}", self.base_url(), crate::dialect::agentidp::PREFIX)
    }

    /// Where clients reach the daemon, without a slash at its end.
    #[must_use]
    pub fn base_url(&self) -> String {
        match &self.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("{}://{}", if self.is_tls() { "https" } else { "http" }, self.listen),
        }
    }

    /// Time for the body of a request.
    #[must_use]
    pub const fn body_timeout(&self) -> Duration {
        Duration::from_secs(self.body_timeout_secs)
    }

    /// Time for the head of a request.
    #[must_use]
    pub const fn header_timeout(&self) -> Duration {
        Duration::from_secs(self.header_timeout_secs)
    }
}

/// Whether a text is the base of addresses.
fn is_base_url(text: &str) -> bool {
    let uri: Option<hyper::Uri> = text.parse().ok();
    uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() && uri.query().is_none()
    }) && !text.contains('#')
}

/// Whether a directory is another one or lies in it, as far as their paths tell.
fn lies_within(dir: &Path, other: &Path) -> bool {
    let resolved = |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path));
    matches!((resolved(dir), resolved(other)), (Ok(dir), Ok(other)) if dir.starts_with(&other))
}

fn read(file: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(file).map_err(|source| ConfigError::Unreadable { file: file.to_owned(), source })
}

fn witness_policy(file: &Path) -> Result<WitnessPolicy, ConfigError> {
    let text = std::fs::read(file).map_err(|source| ConfigError::Unreadable { file: file.to_owned(), source })?;
    WitnessPolicy::parse(&text).map_err(|source| ConfigError::WitnessPolicy { file: file.to_owned(), source })
}

/// The passphrase has no flag, because every user of a machine can read other processes' arguments.
fn passphrase(file: Option<&Path>) -> Result<Option<Zeroizing<String>>, ConfigError> {
    let from_env = std::env::var("CHANCERY_PASSPHRASE").ok().map(Zeroizing::new);
    let given = match (from_env, file) {
        (Some(_), Some(_)) => {
            let why = "and CHANCERY_PASSPHRASE exclude each other; set one";
            return Err(ConfigError::Value { option: "passphrase_file", why });
        }
        (Some(text), None) => Some(text),
        (None, Some(file)) => {
            let text = Zeroizing::new(read(file)?);
            Some(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
        }
        (None, None) => None,
    };
    match given {
        Some(text) if text.is_empty() => {
            Err(ConfigError::Value { option: "passphrase", why: "must not be empty; unset it to have none" })
        }
        given => Ok(given),
    }
}

/// A default value as the table shows it.
struct Shown<'a, T: ?Sized>(&'a T);

impl fmt::Display for Shown<'_, PathBuf> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

impl fmt::Display for Shown<'_, TokenAlgorithm> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            TokenAlgorithm::Eddsa => "eddsa",
            TokenAlgorithm::Rs256 => "rs256",
        })
    }
}

impl fmt::Display for Shown<'_, ArchiveMode> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            ArchiveMode::Follow => "follow",
            ArchiveMode::Synchronous => "synchronous",
        })
    }
}

impl fmt::Display for Shown<'_, LogFormat> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        })
    }
}

macro_rules! shown_as_itself {
    ($($type:ty),*) => {$(
        impl fmt::Display for Shown<'_, $type> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

shown_as_itself!(SocketAddr, usize, u64, bool, String);

#[cfg(test)]
mod tests;
