//! `chancery keys`: API keys, client secrets, and the ledger's sealing key.

use std::io::{self, Write as _};

use anyhow::Context as _;
use chancery_ledger::time::Micros;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::client::Daemon;

/// Arguments of `chancery keys`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    daemon: Daemon,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the tenant's API keys.
    List,
    /// Make an API key; it is shown once, now.
    Create {
        /// Its name.
        #[arg(long)]
        name: String,
        /// What it allows, for example `agents:read`; each must be held by the key you use.
        #[arg(long, required = true, value_delimiter = ',')]
        scope: Vec<String>,
        /// Which mounts it opens.
        #[arg(long, default_value = "native", value_delimiter = ',')]
        audience: Vec<String>,
        /// When it lapses: a time like 2027-01-02T03:04:05Z; never, if absent.
        #[arg(long)]
        expires: Option<Micros>,
    },
    /// Make a client secret of an agent, with which it gets access tokens; it is shown once, now.
    ClientSecret {
        /// The agent's id, which is its client id.
        agent: String,
        /// When it lapses: a time like 2027-01-02T03:04:05Z; never, if absent.
        #[arg(long)]
        expires: Option<Micros>,
    },
    /// Revoke an API key by its id.
    Revoke {
        /// The id, as `list` shows it.
        id: String,
    },
    /// Show the ledger's public keys; what a verifier trusts is the `verifier_key`.
    Signing,
    /// Have the ledger sealed by a new key from the next commit on.
    Rotate,
}

/// Does it, and prints the daemon's answer as JSON. True if it was accepted.
///
/// # Errors
/// When the daemon cannot be reached or its answer is none.
pub fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let daemon = &arguments.daemon;
    match &arguments.action {
        Action::List => list(daemon, "/v1/identity/credentials?limit=1000"),
        Action::Signing => list(daemon, "/v1/identity/keys?of=ledger&order=ascending&limit=1000"),
        Action::Create { name, scope, audience, expires } => {
            let params = json!({ "name": name, "scopes": scope, "audience": audience, "expires": expires });
            command(daemon, "CreateApiKey", params)
        }
        Action::ClientSecret { agent, expires } => {
            command(daemon, "CreateCredential", json!({ "agent": agent, "expires": expires }))
        }
        Action::Revoke { id } => command(daemon, "RevokeApiKey", json!({ "credential": id })),
        Action::Rotate => command(daemon, "RotateSigningKey", json!({})),
    }
}

/// Prints every item of a list, page by page.
fn list(daemon: &Daemon, path: &str) -> anyhow::Result<bool> {
    let mut out = io::stdout().lock();
    let mut cursor: Option<String> = None;
    loop {
        let next = cursor.as_ref().map_or_else(|| path.to_owned(), |cursor| format!("{path}&cursor={cursor}"));
        let text = daemon.get(&next)?.body_mut().read_to_string()?;
        let page: Value = serde_json::from_str(&text).context("the daemon's answer is not JSON")?;
        for item in page["items"].as_array().into_iter().flatten() {
            writeln!(out, "{item}")?;
        }
        match page["next"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return Ok(true),
        }
    }
}

fn command(daemon: &Daemon, name: &str, params: Value) -> anyhow::Result<bool> {
    let body = json!({ "command": name, "params": params }).to_string();
    let mut answer = daemon.post_json("/v1/commands", &[], body.as_bytes())?;
    writeln!(io::stdout(), "{}", answer.body_mut().read_to_string()?.trim_end())?;
    Ok(answer.status().is_success())
}
