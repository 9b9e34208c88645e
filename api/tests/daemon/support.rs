//! A daemon to talk to, and how to talk to it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

/// Longer than anything here takes, also on a busy machine; only a hang reaches it.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Agents that the first start makes: the administrator, of the root tenant.
pub const FIRST_AGENTS: usize = 1;

/// A directory for a daemon's data and what else belongs to it.
pub struct Home {
    dir: TempDir,
    flags: Vec<String>,
}

impl Home {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), flags: Vec::new() }
    }

    /// With flags for every start.
    pub fn with(flags: &[&str]) -> Self {
        Self { flags: flags.iter().map(|flag| (*flag).to_owned()).collect(), ..Self::new() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chanceryd"));
        command
            .env_clear()
            .args(["--listen", "127.0.0.1:0", "--data-dir"])
            .arg(self.path("data"))
            .arg("--bootstrap-file")
            .arg(self.path("bootstrap.json"))
            .args(&self.flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Starts a daemon and waits until it says that it is ready.
    pub fn start(&self) -> Daemon<'_> {
        let mut child = self.command().stderr(Stdio::inherit()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let Some(url) = line.trim_end().strip_prefix("chanceryd ready ") else {
            panic!("the daemon said {line:?} and ended with {:?}", child.wait())
        };
        let first: Value = serde_json::from_slice(&std::fs::read(self.path("bootstrap.json")).unwrap()).unwrap();
        let key = first["admin_key"].as_str().unwrap().to_owned();
        Daemon { _home: self, client: Client { url: url.to_owned(), key, tenant: None }, child, out }
    }
}

/// A running daemon; dropping it kills it.
pub struct Daemon<'a> {
    _home: &'a Home,
    pub client: Client,
    child: Child,
    out: BufReader<std::process::ChildStdout>,
}

impl Daemon<'_> {
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status().unwrap();
        assert!(status.success());
    }

    /// Stops it in order; gives its exit status and what it said after that it is ready.
    pub fn stop(self) -> (ExitStatus, String) {
        self.signal("TERM");
        self.end()
    }

    /// Kills it as a power cut would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn end(mut self) -> (ExitStatus, String) {
        let mut said = String::new();
        self.out.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap(), said)
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl std::ops::Deref for Daemon<'_> {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

/// Somebody who talks to a daemon.
#[derive(Debug, Clone)]
pub struct Client {
    pub url: String,
    pub key: String,
    pub tenant: Option<String>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub text: String,
    pub bytes: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// What it holds, after making sure that all is well.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()
    }

    /// Makes sure that it is a problem of that status and code, as RFC 9457 has them; gives it.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text);
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert_eq!(problem["code"], code, "{}", self.text);
        assert_eq!(problem["request_id"].as_str(), self.header("x-request-id"));
        problem
    }
}

impl Client {
    pub fn with_key(&self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self.clone() }
    }

    pub fn entering(&self, tenant: &str) -> Self {
        Self { tenant: Some(tenant.to_owned()), ..self.clone() }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE));
        self.send_by(&config.build().new_agent(), method, path, headers, body)
    }

    pub fn send_by(
        &self, agent: &ureq::Agent, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8],
    ) -> Answer {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        if !self.key.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.key));
        }
        if let Some(tenant) = &self.tenant {
            request = request.header("chancery-tenant", tenant);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = if body.is_empty() {
            agent.run(request.body(()).unwrap()).unwrap()
        } else {
            agent.run(request.body(body).unwrap()).unwrap()
        };
        let headers = response.headers().iter();
        let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        let status = response.status().as_u16();
        let bytes = response.body_mut().with_config().limit(u64::MAX).read_to_vec().unwrap();
        Answer { status, headers, text: String::from_utf8_lossy(&bytes).into_owned(), bytes }
    }

    pub fn command(&self, name: &str, params: Value) -> Answer {
        self.command_with(name, params, &[])
    }

    pub fn command_with(&self, name: &str, params: Value, headers: &[(&str, &str)]) -> Answer {
        let headers = [headers, &[("content-type", "application/json")]].concat();
        self.send("POST", "/v1/commands", &headers, json!({"command": name, "params": params}).to_string().as_bytes())
    }

    /// Registers an agent; gives its id.
    pub fn register(&self, name: &str) -> String {
        let answer = self.command("RegisterAgent", json!({"name": name})).ok();
        answer["result"]["agent"]["id"].as_str().unwrap().to_owned()
    }

    /// A key of the own tenant with these scopes.
    pub fn new_key(&self, scopes: &[&str], audience: &[&str]) -> (String, Self) {
        let params = json!({"name": "a key", "scopes": scopes, "audience": audience});
        let answer = self.command("CreateApiKey", params).ok();
        let key = answer["result"]["shown_once"]["api_key"].as_str().unwrap();
        (answer["result"]["credential"]["id"].as_str().unwrap().to_owned(), Self { tenant: None, ..self.with_key(key) })
    }

    /// A new tenant; gives its id and its first key.
    pub fn new_tenant(&self, slug: &str) -> (String, Self) {
        let answer = self.command("CreateTenant", json!({"slug": slug, "name": slug})).ok();
        let key = answer["result"]["shown_once"]["api_key"].as_str().unwrap();
        (answer["result"]["tenant"]["id"].as_str().unwrap().to_owned(), self.with_key(key))
    }

    /// The `host:port` it talks to.
    pub fn authority(&self) -> &str {
        self.url.split_once("://").unwrap().1
    }

    /// A bare connection.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.authority()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Opens a live stream of events.
    pub fn stream(&self, path: &str, last_seen: Option<u64>) -> Events {
        let mut stream = self.connect();
        let last_seen = last_seen.map_or(String::new(), |seq| format!("Last-Event-ID: {seq}\r\n"));
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: chancery\r\nAuthorization: Bearer {}\r\nAccept: text/event-stream\r\n{last_seen}\r\n",
            self.key
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut lines = BufReader::new(stream);
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        assert_eq!(line, "HTTP/1.1 200 OK\r\n");
        while line != "\r\n" {
            line.clear();
            lines.read_line(&mut line).unwrap();
        }
        Events { lines }
    }
}

/// A live stream of events. Chunk sizes of HTTP/1.1 stand on lines of their own, which no field of an event looks like.
pub struct Events {
    lines: BufReader<TcpStream>,
}

impl Iterator for Events {
    type Item = (u64, String, Value);

    /// The next event; `None` at the stream's end.
    fn next(&mut self) -> Option<Self::Item> {
        let (mut id, mut kind) = (None, None);
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            let line = line.trim_end();
            if let Some(text) = line.strip_prefix("id: ") {
                id = Some(text.parse().unwrap());
            } else if let Some(text) = line.strip_prefix("event: ") {
                kind = Some(text.to_owned());
            } else if let Some(text) = line.strip_prefix("data: ") {
                return Some((id.unwrap(), kind.unwrap(), serde_json::from_str(text).unwrap()));
            } else if line == "0" {
                return None;
            }
        }
    }
}

/// Reads everything a connection says, to its end.
pub fn read_all(mut stream: TcpStream) -> String {
    let mut said = Vec::new();
    // A connection that is reset has an end too.
    let _ = stream.read_to_end(&mut said);
    String::from_utf8_lossy(&said).into_owned()
}

/// The mode of a file.
pub fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}
