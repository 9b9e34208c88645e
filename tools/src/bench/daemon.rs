//! A daemon to measure: one that runs already, or one started for the purpose and stopped after it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::client::Daemon;

/// What the daemon prints when it serves.
const READY: &str = "chanceryd ready ";
/// How long a start may take: one that has a long log to read.
const START_PATIENCE: Duration = Duration::from_secs(300);
/// How long a stop may take.
const STOP_PATIENCE: Duration = Duration::from_secs(120);

/// Where a daemon serves, and the key to it.
pub struct Target {
    /// For requests that are no part of what is measured.
    pub client: Daemon,
    /// For those that are.
    pub address: SocketAddr,
    /// As the `Host` header has it.
    pub host: String,
    /// The API key.
    pub key: Zeroizing<String>,
}

impl Target {
    /// Makes out an address and a key.
    ///
    /// # Errors
    /// When the address is no plain HTTP one.
    pub fn new(url: &str, key: Zeroizing<String>) -> anyhow::Result<Self> {
        let Some(host) = url.trim_end_matches('/').strip_prefix("http://") else {
            bail!("{url} does not begin with http://: the load tool speaks plain HTTP, so that it measures no TLS");
        };
        let with_port = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
        let address = with_port.to_socket_addrs().with_context(|| format!("{host} is no host and port"))?.next();
        let address = address.with_context(|| format!("{host} has no address"))?;
        Ok(Self { client: Daemon::at(url, &key), address, host: host.to_owned(), key })
    }

    /// Sends a command outside of what is measured, and gives its result.
    ///
    /// # Errors
    /// When it is refused, with what the daemon says.
    pub fn command(&self, name: &str, params: &Value) -> anyhow::Result<Value> {
        let body = serde_json::json!({ "command": name, "params": params }).to_string();
        let mut answer = self.client.post_json("/v1/commands", &[], body.as_bytes())?;
        let text = answer.body_mut().read_to_string()?;
        if !answer.status().is_success() {
            bail!("the daemon refused {name} with {}: {}", answer.status(), detail(&text));
        }
        let mut answer: Value = serde_json::from_str(&text).context("the daemon's answer is no JSON")?;
        Ok(answer.get_mut("result").map(Value::take).unwrap_or_default())
    }
}

/// What a refusal says, for a person.
pub fn detail(text: &str) -> String {
    #[derive(Deserialize)]
    struct Problem {
        detail: String,
    }
    let in_line =
        || serde_json::from_str::<Value>(text).ok()?.get("problem")?.get("detail")?.as_str().map(str::to_owned);
    match serde_json::from_str::<Problem>(text) {
        Ok(Problem { detail }) => detail,
        Err(_) => in_line().unwrap_or_else(|| text.chars().take(300).collect()),
    }
}

/// The key in a file: alone in it, or `admin_key` of a bootstrap file.
///
/// # Errors
/// When the file cannot be read or holds neither.
pub fn read_key(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    #[derive(Deserialize)]
    struct Bootstrap {
        admin_key: String,
    }
    let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let text = Zeroizing::new(text);
    if let Ok(Bootstrap { admin_key }) = serde_json::from_str(&text) {
        return Ok(Zeroizing::new(admin_key));
    }
    match text.trim() {
        key if !key.is_empty() && !key.contains(char::is_whitespace) => Ok(Zeroizing::new(key.to_owned())),
        _ => bail!("{} holds no API key, and is no file that chanceryd --bootstrap-file wrote", path.display()),
    }
}

/// A daemon that was started to be measured. Dropped, it is killed.
pub struct Started {
    child: Child,
    home: PathBuf,
    /// Where it serves.
    pub url: String,
    /// From its start to its being ready.
    pub start: Duration,
}

impl Started {
    /// Starts a daemon on a free port of the loopback address, its data and its own log in a directory.
    ///
    /// # Errors
    /// When it does not get ready, with the end of what it logged.
    pub fn start(program: &Path, home: &Path) -> anyhow::Result<Self> {
        let log = home.join("chanceryd.log");
        let log_file = fs::OpenOptions::new().create(true).append(true).open(&log)?;
        let mut command = Command::new(program);
        command.arg("--data-dir").arg(home.join("data")).args(["--listen", "127.0.0.1:0", "--bootstrap-file"]);
        // Whoever is told events here is a receiver of the bench, on this machine.
        command
            .arg(home.join("bootstrap.json"))
            .arg("--allow-private-targets")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log_file);
        // Only what is given here: an operator's environment is of another daemon.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CHANCERY_")) {
            command.env_remove(name);
        }
        let begun = Instant::now();
        let mut child = command
            .spawn()
            .with_context(|| format!("{} cannot be started (--chanceryd names it)", program.display()))?;
        let out = child.stdout.take();
        let mut started = Self { child, home: home.to_owned(), url: String::new(), start: Duration::ZERO };
        let (ready, becomes_ready) = mpsc::channel();
        thread::spawn(move || {
            for line in out.into_iter().flat_map(|out| BufReader::new(out).lines()).map_while(Result::ok) {
                if let Some(url) = line.strip_prefix(READY) {
                    // Whoever waited may have given up.
                    let _ = ready.send(url.trim().to_owned());
                }
            }
        });
        match becomes_ready.recv_timeout(START_PATIENCE) {
            Ok(url) => (started.url, started.start) = (url, begun.elapsed()),
            Err(_) => bail!("the daemon did not get ready; the end of its log:\n{}", started.log_end()),
        }
        Ok(started)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it keeps its data.
    pub fn data_dir(&self) -> PathBuf {
        self.home.join("data")
    }

    /// The address, and the key of its first start.
    ///
    /// # Errors
    /// When its bootstrap file cannot be read.
    pub fn target(&self) -> anyhow::Result<Target> {
        Target::new(&self.url, read_key(&self.home.join("bootstrap.json"))?)
    }

    /// Asks it to stop, waits until it has, and says how long that took.
    ///
    /// # Errors
    /// When it does not, or ends otherwise than it should.
    pub fn stop(mut self) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.context("the daemon has no process")?, rustix::process::Signal::TERM)?;
        loop {
            if let Some(status) = self.child.try_wait()? {
                if status.success() {
                    return Ok(begun.elapsed());
                }
                return Err(anyhow!("the daemon ended with {status}; the end of its log:\n{}", self.log_end()));
            }
            if begun.elapsed() > STOP_PATIENCE {
                bail!("the daemon did not stop within {} s", STOP_PATIENCE.as_secs());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn log_end(&self) -> String {
        let log = fs::read_to_string(self.home.join("chanceryd.log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // One that has been stopped and waited for is gone, and these say so.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
