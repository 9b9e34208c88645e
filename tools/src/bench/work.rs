//! What is sent: the things that must be there first, and the requests.

use anyhow::Context as _;
use serde_json::{Value, json};

use super::daemon::Target;
use super::load::{Outgoing, Source};

/// The things that measured commands are about.
pub struct Scene {
    head: String,
    /// Commands of `AppendAuditEntry`, one for each chain.
    appends: Vec<String>,
    check: String,
    /// Tells names of this run from those of others.
    run: String,
}

impl Scene {
    /// Registers an agent, and opens audit chains and a token for it.
    ///
    /// # Errors
    /// When the daemon refuses: because of the key, for example.
    pub fn set(target: &Target, chains: usize) -> anyhow::Result<Self> {
        let run = uuid::Uuid::from_bytes(random()?).simple().to_string();
        let run = run.get(..12).unwrap_or_default().to_owned();
        let id = |result: &Value, thing: &str| -> anyhow::Result<String> {
            let id = result.get(thing).and_then(|it| it.get("id")).and_then(Value::as_str);
            Ok(id.with_context(|| format!("the daemon's answer names no {thing}"))?.to_owned())
        };
        let agent = id(&target.command("RegisterAgent", &json!({ "name": format!("bench {run}") }))?, "agent")?;
        let mission = |n: usize| json!({ "key": { "namespace": "native", "text": format!("bench-{run}-{n}") } });
        let mut appends = Vec::with_capacity(chains);
        for n in 0..chains {
            let text = format!("bench-{n}");
            let params = json!({ "mission": mission(n), "agent_text": agent, "mission_text": text });
            let chain = id(&target.command("OpenAuditChain", &params)?, "audit_chain")?;
            let append = json!({
                "command": "AppendAuditEntry",
                "params": {
                    "chain": chain,
                    "layer": "EXECUTION",
                    "event": "EXECUTION_tool_call",
                    "agent_text": agent,
                    "mission_text": text,
                    "data": { "tool": "read_invoice", "result": "success", "n": n },
                },
            });
            appends.push(append.to_string());
        }
        let token = json!({
            "agent": agent, "mission": mission(0), "scopes": ["read_invoice"], "expires": "2099-01-01T00:00:00Z",
        });
        let token = id(&target.command("IssueToken", &token)?, "token")?;
        let check =
            json!({ "command": "CheckScope", "params": { "token": token, "tool": "read_invoice" } }).to_string();
        let head = format!("Host: {}\r\nAuthorization: Bearer {}\r\n", target.host, target.key.as_str());
        Ok(Self { head, appends, check, run })
    }

    /// Single commands, the chains in turn.
    pub fn singles(&self) -> Turns {
        self.turns(&self.appends)
    }

    /// These single commands, in turn.
    pub fn turns(&self, bodies: &[String]) -> Turns {
        Turns::of(bodies.iter().map(|body| self.request(body, "application/json", 1)).collect())
    }

    /// Batches of so many lines. With a `total`, they end after so many commands.
    pub fn batches(&self, lines: u64, total: Option<u64>) -> Turns {
        let kinds = u64::try_from(self.appends.len()).unwrap_or(1);
        // Every batch has each chain in turn; where lines are fewer than chains, batches differ by where they begin.
        let batch = |from: u64, lines: u64| {
            let mut body = String::new();
            for n in from..from + lines {
                let at = usize::try_from(n % kinds).unwrap_or(0);
                body.push_str(self.appends.get(at).map_or("", String::as_str));
                body.push('\n');
            }
            self.request(&body, "application/x-ndjson", lines)
        };
        let starts = if lines < kinds { kinds.div_ceil(lines.max(1)) } else { 1 };
        let mut turns = Turns::of((0..starts).map(|n| batch(n * lines, lines)).collect());
        if let Some(total) = total {
            turns.left = Some(total / lines);
            turns.last = Some(total % lines).filter(|rest| *rest > 0).map(|rest| batch(0, rest));
        }
        turns
    }

    /// A mix of single commands: of 20, 14 append an audit entry, 3 check a scope, 2 open a mission, and 1 registers an
    /// agent.
    pub fn mix(&self) -> Mix<'_> {
        Mix { scene: self, appends: self.singles(), count: 0 }
    }

    fn request(&self, body: &str, media_type: &str, commands: u64) -> Outgoing {
        let (head, length) = (&self.head, body.len());
        let text = format!(
            "POST /v1/commands HTTP/1.1\r\n{head}Content-Type: {media_type}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        Outgoing { bytes: text.into_bytes().into(), commands, is_lines: media_type != "application/json" }
    }
}

fn random() -> anyhow::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("the system gives no randomness: {error}"))?;
    Ok(bytes)
}

/// The same requests, in turn.
pub struct Turns {
    requests: Vec<Outgoing>,
    at: usize,
    left: Option<u64>,
    last: Option<Outgoing>,
}

impl Turns {
    /// These, over and over.
    pub fn of(requests: Vec<Outgoing>) -> Self {
        Self { requests, at: 0, left: None, last: None }
    }

    /// Each of them once.
    pub fn once(self) -> Self {
        Self { left: Some(self.requests.len() as u64), ..self }
    }
}

impl Source for Turns {
    fn next(&mut self) -> Option<Outgoing> {
        match &mut self.left {
            Some(0) => return self.last.take(),
            Some(left) => *left -= 1,
            None => {}
        }
        let found = self.requests.get(self.at).cloned();
        self.at = (self.at + 1) % self.requests.len().max(1);
        found
    }
}

/// See [`Scene::mix`].
pub struct Mix<'a> {
    scene: &'a Scene,
    appends: Turns,
    count: u64,
}

impl Source for Mix<'_> {
    fn next(&mut self) -> Option<Outgoing> {
        self.count += 1;
        let (n, run) = (self.count, &self.scene.run);
        let body = match n % 20 {
            3 | 9 | 15 => self.scene.check.clone(),
            6 | 12 => r#"{"command":"OpenMission","params":{"services":["billing"]}}"#.to_owned(),
            18 => format!(r#"{{"command":"RegisterAgent","params":{{"name":"bench {run} {n}"}}}}"#),
            _ => return self.appends.next(),
        };
        Some(self.scene.request(&body, "application/json", 1))
    }
}
