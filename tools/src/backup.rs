//! `chancery backup`: a consistent copy of a running daemon's log, verified, and of its keys if asked for.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use chancery_ledger::export::ExportReader;
use chancery_ledger::keystore::backup;
use chancery_ledger::verify::{self, Report};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::client::Daemon;
use crate::export::of_running;
use crate::verify::Trusted;
use crate::{output, progress};

/// The log in a backup's directory: an export.
pub const LOG_FILE: &str = "log.export";
/// The keystore in a backup's directory.
pub const KEYSTORE_FILE: &str = "keystore.backup";
/// The sealing keys' files in a backup's directory.
pub const SEALING_KEYS_DIR: &str = "keys";
/// What a backup says of itself.
const MANIFEST: &str = "backup.json";
/// Longest answer about sealing keys that is read, in bytes.
const SEALING_KEYS_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Arguments of `chancery backup`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    daemon: Daemon,
    /// The directory to make; it must not exist yet. Only its owner may enter it.
    #[arg(long)]
    out: PathBuf,
    /// Also take the keystore, wrapped as it is. What opens it, `keystore/wrapping.key`, is not taken: copy that once,
    /// apart.
    #[arg(long)]
    keystore: bool,
    /// Also take the sealing keys' files that are encrypted under a passphrase. One in clear is not to be had over HTTP.
    #[arg(long)]
    sealing_keys: bool,
    #[command(flatten)]
    trusted: Trusted,
    /// Print what was written as JSON.
    #[arg(long)]
    json: bool,
}

/// What a backup holds, and what it does not.
#[derive(Debug, Serialize)]
struct Manifest {
    /// Of this page of the format: 1.
    format: u32,
    /// Who wrote it.
    written_by: &'static str,
    /// The log's name.
    origin: Option<String>,
    /// Events of the log.
    events: u64,
    /// The checkpoint over all of them.
    checkpoint: Option<String>,
    /// Secrets of the keystore, if it was taken.
    secrets: Option<u64>,
    /// Sealing keys' files that were taken.
    sealing_keys: Vec<String>,
    /// What somebody may miss.
    lacks: Vec<String>,
}

#[derive(Deserialize)]
struct SealingKeys {
    files: Vec<SealingKeyFile>,
}

#[derive(Deserialize)]
struct SealingKeyFile {
    name: String,
    encrypted_pem: Option<String>,
}

/// Backs up, and says what was written.
///
/// # Errors
/// When it cannot be done; then no directory of that name is left.
pub fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let out = &arguments.out;
    if out.symlink_metadata().is_ok() {
        bail!("{} exists already, and a backup never replaces anything: name another", out.display());
    }
    if !arguments.daemon.has_key() {
        bail!("a backup is made of a running daemon: give an --api-key with `ledger:administer`");
    }
    let parent = out.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let owner_alone = fs::Permissions::from_mode(0o700);
    let partial = tempfile::Builder::new().prefix(".chancery-backup-").permissions(owner_alone).tempdir_in(parent);
    let partial = partial.with_context(|| format!("no directory can be made in {}", parent.display()))?;
    let written = write(arguments, partial.path());
    let Some(manifest) = written.with_context(|| format!("{} was not written", out.display()))? else {
        return Ok(false);
    };
    let moved = sync(partial.path()).and_then(|()| fs::rename(partial.path(), out)).and_then(|()| sync(parent));
    moved.with_context(|| format!("{} could not be put in place", out.display()))?;
    tell(arguments, &manifest)?;
    Ok(true)
}

/// `None` when what the daemon sent is not whole.
fn write(arguments: &Arguments, dir: &Path) -> anyhow::Result<Option<Manifest>> {
    let daemon = &arguments.daemon;
    // The log first: a secret is there before an event that needs it, so what is taken of them later has them all.
    let path = dir.join(LOG_FILE);
    let file = create(&path)?;
    let mut writer = BufWriter::with_capacity(1 << 20, &file);
    of_running(daemon, false, &mut writer)?;
    writer.flush()?;
    drop(writer);
    file.sync_all()?;
    let report = verified(arguments, &path)?;
    if let Some(broken) = &report.first_broken {
        output::note(&format!(
            "what the daemon sent is not whole: {broken}. Run `chancery verify` on its data directory"
        ));
        return Ok(None);
    }
    arguments.trusted.advance(&report)?;
    let mut lacks = vec!["views, which are rebuilt from the log".to_owned()];
    let secrets = match arguments.keystore {
        true => {
            lacks.push(
                "the wrapping key, without which the keystore opens nothing: copy keystore/wrapping.key apart".into(),
            );
            Some(keystore(daemon, &dir.join(KEYSTORE_FILE))?)
        }
        false => {
            lacks.push("the keystore, without which encrypted fields read as erased (--keystore)".into());
            None
        }
    };
    let sealing_keys = match arguments.sealing_keys {
        true => sealing_keys(daemon, &dir.join(SEALING_KEYS_DIR), &mut lacks)?,
        false => {
            lacks.push("the sealing keys, without which no daemon goes on with the log (--sealing-keys)".into());
            Vec::new()
        }
    };
    let manifest = Manifest {
        format: 1,
        written_by: concat!("chancery ", env!("CARGO_PKG_VERSION")),
        origin: report.origin,
        events: report.events,
        checkpoint: report.last_seal.map(|seal| String::from_utf8_lossy(&seal).into_owned()),
        secrets,
        sealing_keys,
        lacks,
    };
    let mut file = create(&dir.join(MANIFEST))?;
    serde_json::to_writer_pretty(&mut file, &manifest).map_err(io::Error::from)?;
    writeln!(file)?;
    file.sync_all()?;
    Ok(Some(manifest))
}

fn verified(arguments: &Arguments, path: &Path) -> anyhow::Result<Report> {
    let (known, _) = arguments.trusted.known()?;
    let items = ExportReader::new(BufReader::with_capacity(1 << 20, File::open(path)?));
    let bar = progress::events(None, "verifying");
    let report = verify::verify(items, &known, |events| bar.set_position(events))?;
    bar.finish_and_clear();
    Ok(report)
}

fn keystore(daemon: &Daemon, path: &Path) -> anyhow::Result<u64> {
    let mut answer = daemon.get_patiently("/v1/ledger/keystore")?;
    let mut file = create(path)?;
    io::copy(&mut answer.body_mut().as_reader(), &mut file)?;
    file.sync_all()?;
    let secrets = backup::read(BufReader::new(File::open(path)?), |_, _| Ok(()));
    secrets.context("the daemon did not send a whole keystore; try again")
}

fn sealing_keys(daemon: &Daemon, dir: &Path, lacks: &mut Vec<String>) -> anyhow::Result<Vec<String>> {
    let mut answer = daemon.get_patiently("/v1/ledger/sealing-keys")?;
    let mut text = String::new();
    answer.body_mut().as_reader().take(SEALING_KEYS_BYTES_MAX).read_to_string(&mut text)?;
    let sent: SealingKeys = serde_json::from_str(&text).context("the daemon's answer is not as it should be")?;
    DirBuilder::new().mode(0o700).create(dir)?;
    let mut taken = Vec::new();
    for SealingKeyFile { name, encrypted_pem } in sent.files {
        let is_name = name.strip_prefix("seal-").and_then(|rest| rest.strip_suffix(".pem"));
        if !is_name.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit())) {
            bail!("the daemon names a sealing key's file that is none");
        }
        match encrypted_pem {
            None => lacks.push(format!("{name}, which is in clear: copy keys/{name} on the machine itself")),
            Some(text) => {
                let mut file = create(&dir.join(&name))?;
                file.write_all(text.as_bytes())?;
                file.sync_all()?;
                taken.push(name);
            }
        }
    }
    sync(dir)?;
    Ok(taken)
}

fn create(path: &Path) -> anyhow::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.with_context(|| format!("{} cannot be written", path.display()))
}

fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn tell(arguments: &Arguments, manifest: &Manifest) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if arguments.json {
        serde_json::to_writer(&mut out, manifest).map_err(io::Error::from)?;
        return Ok(writeln!(out)?);
    }
    let path = arguments.out.display();
    writeln!(out, "{path}: {} events of {}, whole", manifest.events, manifest.origin.as_deref().unwrap_or("unknown"))?;
    if let Some(secrets) = manifest.secrets {
        writeln!(out, "  keystore      {secrets} secrets, wrapped")?;
    }
    for name in &manifest.sealing_keys {
        writeln!(out, "  sealing key   {name}, encrypted")?;
    }
    for lack in &manifest.lacks {
        writeln!(out, "  without       {lack}")?;
    }
    Ok(writeln!(out, "`chancery restore --from {path} --data-dir DIR` makes a data directory of it")?)
}
