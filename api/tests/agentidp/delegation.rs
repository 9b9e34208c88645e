//! Delegation, token exchange, and workflows that log in: contracts/agentidp.md rows 53 to 56; RFC 8693.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::issuer::Issuer;
use crate::support::{Answer, Client, Home};

const API: &str = "/agentidp/api/v1";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

fn send(client: &Client, method: &str, path: &str, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    client.send(method, &format!("{API}{path}"), &[("content-type", "application/json")], body.as_bytes())
}

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.json()["code"].as_str()), (status, Some(code)), "{}", answer.text);
}

/// What a token says, unverified.
fn claims(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

/// An agent with a secret.
struct Agent {
    id: String,
    secret: String,
}

impl Agent {
    fn new(daemon: &Client, name: &str) -> Self {
        let id = daemon.register(name);
        let made = daemon.command("CreateCredential", json!({"agent": id})).ok();
        let shown = made["result"]["shown_once"].as_object().unwrap().values().next().unwrap();
        Self { secret: shown.as_str().unwrap().to_owned(), id }
    }

    fn form(&self, daemon: &Client, fields: &[(&str, &str)]) -> Answer {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs([("client_id", self.id.as_str()), ("client_secret", self.secret.as_str())]);
        let body = form.extend_pairs(fields).finish();
        let nobody = daemon.with_key("");
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        nobody.send("POST", &format!("{API}/token"), &headers, body.as_bytes())
    }

    fn log_in(&self, daemon: &Client, scope: &str) -> Client {
        let token = self.form(daemon, &[("grant_type", "client_credentials"), ("scope", scope)]).ok();
        daemon.with_key(token["access_token"].as_str().unwrap())
    }

    fn exchange(&self, daemon: &Client, subject: &str, more: &[(&str, &str)]) -> Answer {
        let grant = [("grant_type", EXCHANGE), ("subject_token", subject), ("subject_token_type", ACCESS_TOKEN)];
        self.form(daemon, &[&grant[..], more].concat())
    }
}

#[track_caller]
fn lend(client: &Client, to: &Agent, scopes: &[&str]) -> Value {
    let body = json!({"delegateeAgentId": to.id, "scopes": scopes, "ttlSeconds": 600});
    let answer = send(client, "POST", "/oauth2/token/delegate", &body);
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()
}

fn verify(client: &Client, token: &str) -> Value {
    send(client, "POST", "/oauth2/token/verify-delegation", &json!({"delegationToken": token})).ok()
}

#[test]
fn what_is_lent_is_used_in_the_open_and_ends_with_the_loan() {
    let home = Home::new();
    let daemon = home.start();
    let (ada, bob, cleo) = (Agent::new(&daemon, "ada"), Agent::new(&daemon, "bob"), Agent::new(&daemon, "cleo"));
    let adas = ada.log_in(&daemon, "agents:read tokens:read");
    let lent = lend(&adas, &bob, &["agents:read"]);
    let text = lent["delegationToken"].as_str().unwrap();
    assert_eq!((&lent["delegatorAgentId"], &lent["delegateeAgentId"]), (&json!(ada.id), &json!(bob.id)));
    let found = verify(&bob.log_in(&daemon, "agents:read"), text);
    assert_eq!((&found["valid"], &found["expiresAt"]), (&json!(true), &lent["expiresAt"]));

    let acting = bob.exchange(&daemon, text, &[]).ok();
    assert_eq!((&acting["issued_token_type"], &acting["scope"]), (&json!(ACCESS_TOKEN), &json!("agents:read")));
    let token = acting["access_token"].as_str().unwrap();
    let said = claims(token);
    assert_eq!((&said["sub"], &said["client_id"]), (&json!(ada.id), &json!(bob.id)));
    assert_eq!(said["act"], json!({"sub": bob.id}));
    let acting = daemon.with_key(token);
    assert_eq!(send(&acting, "GET", "/agents?limit=1", &Value::Null).status, 200);

    let further = lend(&acting, &cleo, &["agents:read"]);
    let last = cleo.exchange(&daemon, further["delegationToken"].as_str().unwrap(), &[]).ok();
    let said = claims(last["access_token"].as_str().unwrap());
    assert_eq!(said["act"], json!({"sub": cleo.id, "act": {"sub": bob.id}}));
    let introspect = |text: &str| {
        let form = form_urlencoded::Serializer::new(String::new()).append_pair("token", text).finish();
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        adas.send("POST", &format!("{API}/token/introspect"), &headers, form.as_bytes()).ok()
    };
    let last = last["access_token"].as_str().unwrap();
    assert_eq!((&introspect(last)["active"], &introspect(last)["act"]), (&json!(true), &said["act"]));

    // Nobody but the client itself acts; whoever it says it is.
    let own = bob.log_in(&daemon, "agents:read").key;
    let with_actor =
        |actor: &str| bob.exchange(&daemon, text, &[("actor_token", actor), ("actor_token_type", ACCESS_TOKEN)]);
    assert_eq!(with_actor(&own).status, 200);
    let other = with_actor(&cleo.log_in(&daemon, "agents:read").key);
    assert_eq!((other.status, &other.json()["error"]), (400, &json!("invalid_request")));
    let stolen = cleo.exchange(&daemon, text, &[]);
    assert_eq!((stolen.status, &stolen.json()["error"]), (400, &json!("invalid_grant")));

    let path = format!("/oauth2/token/delegate/{}", lent["chainId"].as_str().unwrap());
    refused(&send(&acting, "DELETE", &path, &Value::Null), 403, "FORBIDDEN");
    for _ in 0..2 {
        assert_eq!(send(&adas, "DELETE", &path, &Value::Null).status, 204);
    }
    assert_eq!(introspect(last), json!({"active": false}));
    refused(&send(&acting, "GET", "/agents", &Value::Null), 401, "UNAUTHORIZED");
    assert_eq!(verify(&adas, text)["valid"], json!(false));
    assert!(daemon.stop().0.success());
    let daemon = home.start();
    let adas = ada.log_in(&daemon, "agents:read");
    assert_eq!(verify(&adas, text)["valid"], json!(false));
    let missing = "/oauth2/token/delegate/01932c07-209c-7c3a-9f1e-5b6d7e8f9a0b";
    refused(&send(&adas, "DELETE", missing, &Value::Null), 404, "DELEGATION_NOT_FOUND");
}

#[test]
fn a_workflow_logs_in_as_the_agent_that_a_policy_names() {
    let issuer = Issuer::new();
    let home = Home::with(&["--allow-private-targets", "--github-issuer", &issuer.url]);
    let daemon = home.start();
    let (agent, other) = (daemon.register("builder"), daemon.register("other"));
    let policy = json!({"provider": "github", "repository": "acme/rocket", "branch": "main", "agentId": agent});
    assert_eq!(send(&daemon, "POST", "/oidc/trust-policies", &policy).status, 201);
    let says = |changes: Value| {
        let mut claims = json!({
            "sub": "repo:acme/rocket:ref:refs/heads/main", "aud": "https://github.com/acme",
            "repository": "acme/rocket", "ref": "refs/heads/main",
        });
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        issuer.sign(&claims)
    };
    let nobody = daemon.with_key("");
    let log_in = |body: Value| send(&nobody, "POST", "/oidc/token", &body);
    let token = log_in(json!({"token": says(json!({})), "agentId": agent})).ok();
    assert_eq!((&token["token_type"], &token["expires_in"]), (&json!("Bearer"), &json!(3600)));
    assert_eq!(token["scope"], json!("agents:read agents:write tokens:read audit:read"));
    let said = claims(token["access_token"].as_str().unwrap());
    assert_eq!((&said["sub"], &said["act"]), (&json!(agent), &Value::Null));
    let builder = daemon.with_key(token["access_token"].as_str().unwrap());
    assert_eq!(send(&builder, "GET", "/agents?limit=1", &Value::Null).status, 200);

    for (changes, body, status) in [
        (json!({"ref": "refs/heads/other"}), json!({"agentId": agent}), 403),
        (json!({"ref": "refs/tags/main"}), json!({"agentId": agent}), 403),
        (json!({"repository": "evil/rocket", "aud": "https://github.com/evil"}), json!({"agentId": agent}), 403),
        (json!({}), json!({"agentId": other}), 403),
        (json!({"aud": "sts.amazonaws.com"}), json!({"agentId": agent}), 401),
        (json!({"iss": "https://evil.example"}), json!({"agentId": agent}), 401),
        (json!({"exp": 1}), json!({"agentId": agent}), 401),
    ] {
        let mut body = body;
        body["token"] = json!(says(changes.clone()));
        assert_eq!(log_in(body).status, status, "{changes}");
    }

    // Before there is an agent, a workflow may register one, and have what lets in as that one.
    let first = log_in(json!({"token": says(json!({}))})).ok();
    assert_eq!(first["scope"], json!("agents:write"));
    let first = daemon.with_key(first["access_token"].as_str().unwrap());
    let body = json!({
        "email": "made-by-ci@agents.example", "agentType": "custom", "version": "1.0.0", "capabilities": ["build"],
        "owner": "acme", "deploymentEnv": "production",
    });
    let made = send(&first, "POST", "/agents", &body);
    assert_eq!(made.status, 201, "{}", made.text);
    let made = made.json()["agentId"].clone();
    let policy = |agent: &Value| {
        let body = json!({"provider": "github", "repository": "acme/rocket", "agentId": agent});
        send(&first, "POST", "/oidc/trust-policies", &body)
    };
    assert_eq!(policy(&made).status, 201);
    refused(&policy(&json!(other)), 403, "FORBIDDEN");
    refused(&send(&first, "GET", "/agents", &Value::Null), 403, "FORBIDDEN");
    assert_eq!(log_in(json!({"token": says(json!({})), "agentId": made})).status, 200);
}
