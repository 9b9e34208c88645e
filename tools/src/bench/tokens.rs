//! Access tokens of an OAuth 2.0 client: they are issued, and asked about. Beside them, the emptiest answer that the same
//! server gives.

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::daemon::{Target, detail};
use super::load::Outgoing;
use super::work::Turns;

/// Tokens that are asked about, in turn.
const TOKENS: usize = 64;
const FORM: &str = "application/x-www-form-urlencoded";
const TOKEN: &str = "/agentidp/api/v1/token";
const INTROSPECT: &str = "/agentidp/api/v1/token/introspect";

/// A client, and tokens of its own.
pub struct Tokens {
    host: String,
    issue_form: Zeroizing<String>,
    access_tokens: Vec<Zeroizing<String>>,
}

impl Tokens {
    /// Registers an agent, gives it a secret, and has tokens issued to it.
    ///
    /// # Errors
    /// When the daemon refuses: because of the key, or of its limits.
    pub fn set(target: &Target) -> anyhow::Result<Self> {
        let registered = target.command("RegisterAgent", &json!({ "name": "bench tokens" }))?;
        let agent = text(&registered, &["agent", "id"])?;
        let made = target.command("CreateCredential", &json!({ "agent": agent }))?;
        let secret = Zeroizing::new(text(&made, &["shown_once", "client_secret"])?);
        let issue_form = Zeroizing::new(format!(
            "grant_type=client_credentials&scope=tokens%3Aread&client_id={agent}&client_secret={}",
            secret.as_str()
        ));
        let mut access_tokens = Vec::with_capacity(TOKENS);
        for _ in 0..TOKENS {
            let issued = ask(target, TOKEN, &issue_form)?;
            access_tokens.push(Zeroizing::new(text(&issued, &["access_token"])?));
        }
        Ok(Self { host: target.host.clone(), issue_form, access_tokens })
    }

    /// Tokens are issued.
    pub fn issue(&self) -> Turns {
        Turns::of(vec![self.post(TOKEN, "", &self.issue_form)])
    }

    /// Each token is asked about in turn, by the client with its first.
    pub fn introspect(&self) -> Turns {
        let bearer = self.access_tokens.first().map_or("", |token| token.as_str());
        let bearer = format!("Authorization: Bearer {bearer}\r\n");
        let about = |token: &Zeroizing<String>| self.post(INTROSPECT, &bearer, &format!("token={}", token.as_str()));
        Turns::of(self.access_tokens.iter().map(about).collect())
    }

    /// The least that the server answers: nothing is looked up, and the JSON says one word.
    pub fn empty(&self) -> Turns {
        Turns::of(vec![outgoing(&format!("GET /livez HTTP/1.1\r\nHost: {}\r\n\r\n", self.host))])
    }

    fn post(&self, path: &str, header: &str, form: &str) -> Outgoing {
        let (host, length) = (&self.host, form.len());
        outgoing(&format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\n{header}Content-Type: {FORM}\r\nContent-Length: {length}\r\n\r\n{form}"
        ))
    }
}

fn outgoing(text: &str) -> Outgoing {
    Outgoing { bytes: text.as_bytes().into(), commands: 1, is_lines: false }
}

/// Sends a form outside of what is measured.
fn ask(target: &Target, path: &str, form: &str) -> anyhow::Result<Value> {
    let mut answer = target.client.post(path, FORM, &[], form.as_bytes())?;
    let text = answer.body_mut().read_to_string()?;
    if !answer.status().is_success() {
        bail!("the daemon refused {path} with {}: {}", answer.status(), detail(&text));
    }
    serde_json::from_str(&text).context("the daemon's answer is no JSON")
}

fn text(value: &Value, path: &[&str]) -> anyhow::Result<String> {
    let found = path.iter().try_fold(value, |value, name| value.get(name)).and_then(Value::as_str);
    Ok(found.with_context(|| format!("the daemon's answer names no {}", path.join(".")))?.to_owned())
}
