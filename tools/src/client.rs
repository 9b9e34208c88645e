//! Talking to a daemon.

use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Deserialize;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body, http};

/// Where the daemon is, and who asks.
#[derive(Debug, Args)]
pub struct Daemon {
    /// The daemon's address.
    #[arg(long, env = "CHANCERY_URL", default_value = "http://127.0.0.1:8420", global = true)]
    url: String,
    /// An API key that opens the native mount.
    #[arg(long, env = "CHANCERY_API_KEY", hide_env_values = true, global = true)]
    api_key: Option<String>,
    /// Act in another tenant, by slug or id; only keys of the root tenant can.
    #[arg(long, env = "CHANCERY_TENANT", global = true)]
    tenant: Option<String>,
    /// PEM file of the authority that signed the daemon's certificate, if it is not a public one.
    #[arg(long, env = "CHANCERY_CA_CERT", global = true)]
    ca_cert: Option<PathBuf>,
}

/// How often what is taken is asked for, a second apart.
const TRIES: u32 = 30;

/// What a refusal says (RFC 9457).
#[derive(Deserialize)]
struct Problem {
    detail: String,
    request_id: String,
}

impl Daemon {
    /// A daemon and a key that no option named.
    pub fn at(url: &str, api_key: &str) -> Self {
        Self { url: url.to_owned(), api_key: Some(api_key.to_owned()), tenant: None, ca_cert: None }
    }

    /// Whether a key was given, without which a daemon answers nothing.
    pub const fn has_key(&self) -> bool {
        self.api_key.is_some()
    }

    /// The tenant to act in, as it was named.
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// Gets a path.
    ///
    /// # Errors
    /// When the daemon cannot be reached or does not answer with success.
    pub fn get(&self, path: &str) -> anyhow::Result<http::Response<Body>> {
        let request = self.agent()?.get(format!("{}{path}", self.base()));
        self.answered(self.headers(request)?.call())
    }

    /// Why the daemon takes no commands now; `None` when it does. Needs no key.
    ///
    /// # Errors
    /// When the daemon cannot be reached, or what answers is none.
    pub fn readiness(&self) -> anyhow::Result<Option<String>> {
        let asked = self.agent()?.get(format!("{}/readyz", self.base())).call();
        let mut answer = asked.with_context(|| self.unreachable())?;
        if answer.status().is_success() {
            return Ok(None);
        }
        let text = answer.body_mut().read_to_string().unwrap_or_default();
        match serde_json::from_str::<Problem>(&text) {
            Ok(problem) => Ok(Some(problem.detail)),
            Err(_) => {
                bail!("{} answered {}, and not as a Chancery daemon does; is --url right?", self.url, answer.status())
            }
        }
    }

    /// Gets a path that only one caller at a time may: while it is taken, it is asked for again.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_patiently(&self, path: &str) -> anyhow::Result<http::Response<Body>> {
        for _ in 0..TRIES {
            let request = self.agent()?.get(format!("{}{path}", self.base()));
            let answer = self.headers(request)?.call().with_context(|| self.unreachable())?;
            if answer.status() != http::StatusCode::SERVICE_UNAVAILABLE {
                return self.answered(Ok(answer));
            }
            std::thread::sleep(Duration::from_secs(1));
        }
        self.get(path)
    }

    /// Posts a body, and gives the answer whatever its status.
    ///
    /// # Errors
    /// When the daemon cannot be reached.
    pub fn post(
        &self, path: &str, content_type: &str, headers: &[(&str, &str)], body: impl Read,
    ) -> anyhow::Result<http::Response<Body>> {
        let mut request = self.agent()?.post(format!("{}{path}", self.base())).header("content-type", content_type);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut body = body;
        let sent = self.headers(request)?.send(ureq::SendBody::from_reader(&mut body));
        sent.with_context(|| self.unreachable())
    }

    /// Posts JSON, and gives the answer whatever its status.
    ///
    /// # Errors
    /// As [`post`](Self::post).
    pub fn post_json(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> anyhow::Result<http::Response<Body>> {
        // Who is refused by the head alone hears so: a daemon that answers before the body came closes the connection, and
        // whoever is still writing into that never reads the answer.
        self.post(path, "application/json", &[headers, &[("expect", "100-continue")]].concat(), body)
    }

    /// Posts JSON, and gives the answer if it is success.
    ///
    /// # Errors
    /// When the daemon cannot be reached or does not answer with success.
    pub fn ask(&self, path: &str, body: &impl serde::Serialize) -> anyhow::Result<http::Response<Body>> {
        let body = serde_json::to_vec(body)?;
        self.answered(Ok(self.post_json(path, &[], &body)?))
    }

    fn unreachable(&self) -> String {
        format!("the daemon at {} cannot be reached: is it running, and is --url right?", self.url)
    }

    fn answered(&self, answer: Result<http::Response<Body>, ureq::Error>) -> anyhow::Result<http::Response<Body>> {
        let mut answer = answer.with_context(|| self.unreachable())?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let text = answer.body_mut().read_to_string().unwrap_or_default();
        let (status, url) = (answer.status(), &self.url);
        match serde_json::from_str(&text) {
            Ok(Problem { detail, request_id }) => bail!("{url} answered {status}: {detail} (request {request_id})"),
            Err(_) => bail!("{url} answered {status}, and not as a Chancery daemon does; is --url right?"),
        }
    }

    fn base(&self) -> &str {
        self.url.trim_end_matches('/')
    }

    fn headers<Any>(&self, request: ureq::RequestBuilder<Any>) -> anyhow::Result<ureq::RequestBuilder<Any>> {
        let Some(key) = &self.api_key else {
            bail!("the daemon answers nobody without a key: give --api-key, or set CHANCERY_API_KEY");
        };
        let request = request.header("authorization", format!("Bearer {key}"));
        Ok(match &self.tenant {
            Some(tenant) => request.header("chancery-tenant", tenant),
            None => request,
        })
    }

    fn agent(&self) -> anyhow::Result<Agent> {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(10)))
            .user_agent(concat!("chancery/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = &self.ca_cert {
            let pem = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
            let certificate =
                Certificate::from_pem(&pem).with_context(|| format!("{} is no PEM certificate", path.display()))?;
            let roots = RootCerts::new_with_certs(&[certificate]);
            config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
        }
        Ok(config.build().into())
    }
}
