//! Partners and policies: contracts/agentidp.md rows 36 to 41 and 50 to 52.

use serde_json::{Value, json};

use crate::issuer::Issuer;
use crate::support::{Answer, Client, Home};

const API: &str = "/agentidp/api/v1";

fn send(client: &Client, method: &str, path: &str, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    client.send(method, &format!("{API}{path}"), &[("content-type", "application/json")], body.as_bytes())
}

#[track_caller]
fn made(answer: &Answer) -> Value {
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()
}

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) -> Value {
    assert_eq!((answer.status, answer.json()["code"].as_str()), (status, Some(code)), "{}", answer.text);
    answer.json()["details"]["field"].clone()
}

fn trust(client: &Client, issuer: &Issuer) -> Value {
    let body = json!({"name": "Partner", "issuer": issuer.url, "jwksUri": issuer.jwks()});
    made(&send(client, "POST", "/federation/trust", &body))
}

fn verify(client: &Client, token: &str) -> Value {
    send(client, "POST", "/federation/verify", &json!({"token": token})).ok()
}

#[test]
fn a_partners_tokens_are_believed_by_its_keys_of_today() {
    let (home, issuer) = (Home::with(&["--allow-private-targets"]), Issuer::new());
    let daemon = home.start();
    let (_, neighbour) = daemon.new_tenant("neighbour");
    let scopes = ["organisations:read", "organisations:write", "issuers:read", "issuers:write"];
    let (_, neighbour) = neighbour.new_key(&scopes, &["agentidp"]);
    assert_eq!(verify(&daemon, &issuer.sign(&json!({})))["valid"], json!(false), "nobody trusts it yet");
    let partner = trust(&daemon, &issuer);
    let path = format!("/federation/partners/{}", partner["id"].as_str().unwrap());
    let natively = format!("/v1/identity/issuers/{}", partner["id"].as_str().unwrap());
    assert_eq!(daemon.get(&natively).ok()["jwks_uri"], json!(issuer.jwks()));

    let found = verify(&daemon, &issuer.sign(&json!({"organization_id": "theirs", "extra": [1]})));
    assert_eq!(
        (&found["valid"], &found["issuer"], &found["subject"], &found["organizationId"], &found["claims"]["extra"]),
        (&json!(true), &json!(issuer.url), &json!("somebody"), &json!("theirs"), &json!([1]))
    );
    assert_eq!(verify(&neighbour, &issuer.sign(&json!({})))["valid"], json!(false), "that is another tenant's trust");
    refused(&send(&neighbour, "GET", &path, &Value::Null), 404, "PARTNER_NOT_FOUND");
    let old = issuer.sign(&json!({}));
    issuer.rotate();
    assert_eq!(verify(&daemon, &issuer.sign(&json!({})))["valid"], json!(true), "a new key is looked for");
    let gone = verify(&daemon, &old);
    assert_eq!((&gone["valid"], &gone["claims"]), (&json!(false), &Value::Null));
    assert!(gone["reason"].as_str().unwrap().contains("no key of that name"), "{gone}");

    let change = |body: Value| send(&daemon, "PATCH", &path, &body);
    assert_eq!(change(json!({"status": "suspended"})).ok()["status"], json!("suspended"));
    assert_eq!(verify(&daemon, &issuer.sign(&json!({})))["valid"], json!(false));
    let narrowed =
        json!({"status": "active", "allowed_organizations": ["theirs"], "expiresAt": "2126-01-01T00:00:00Z"});
    assert_eq!(change(narrowed).ok()["expires_at"], json!("2126-01-01T00:00:00.000Z"));
    assert_eq!(verify(&daemon, &issuer.sign(&json!({})))["valid"], json!(false));
    assert_eq!(verify(&daemon, &issuer.sign(&json!({"organization_id": "theirs"})))["valid"], json!(true));
    assert_eq!(change(json!({"expires_at": null})).ok()["expires_at"], Value::Null);
    assert_eq!(refused(&change(json!({})), 400, "VALIDATION_ERROR"), json!("body"));
    assert_eq!(refused(&change(json!({"issuer": "https://b.example"})), 400, "VALIDATION_ERROR"), json!("issuer"));
    refused(
        &send(
            &daemon,
            "POST",
            "/federation/trust",
            &json!({"name": "Again", "issuer": issuer.url, "jwksUri": issuer.jwks()}),
        ),
        409,
        "PARTNER_ALREADY_EXISTS",
    );

    assert!(daemon.stop().0.success());
    let daemon = home.start();
    let page = send(&daemon, "GET", "/federation/partners", &Value::Null).ok();
    assert_eq!((&page["total"], &page["data"][0]["id"]), (&json!(1), &partner["id"]));
    assert_eq!(send(&daemon, "DELETE", &path, &Value::Null).status, 204);
    refused(&send(&daemon, "GET", &path, &Value::Null), 404, "PARTNER_NOT_FOUND");
    refused(&send(&daemon, "DELETE", &path, &Value::Null), 404, "PARTNER_NOT_FOUND");
    assert_eq!(send(&daemon, "GET", "/federation/partners", &Value::Null).ok()["total"], json!(0));
}

#[test]
fn what_only_the_daemon_reaches_is_no_place_for_keys() {
    let (home, issuer) = (Home::new(), Issuer::new());
    let daemon = home.start();
    let body = json!({"name": "Partner", "issuer": "https://partner.example", "jwksUri": issuer.jwks()});
    let refusal = send(&daemon, "POST", "/federation/trust", &body);
    assert_eq!(refused(&refusal, 400, "VALIDATION_ERROR"), json!("jwksUri"));
    // A name says nothing of where it leads; what it stands for is looked at when it is called.
    let local = issuer.jwks().replace("http://127.0.0.1", "https://localhost");
    made(&send(
        &daemon,
        "POST",
        "/federation/trust",
        &json!({"name": "Partner", "issuer": issuer.url, "jwksUri": local}),
    ));
    let found = verify(&daemon, &issuer.sign(&json!({})));
    assert_eq!(found["valid"], json!(false));
    assert!(found["reason"].as_str().unwrap().contains("not public"), "{found}");
}

#[test]
fn policies_are_kept_for_an_agent() {
    let home = Home::new();
    let daemon = home.start();
    let agent = daemon.register("builder");
    let body = json!({"provider": "github", "repository": "acme/rocket", "branch": "main", "agentId": agent});
    let policy = made(&send(&daemon, "POST", "/oidc/trust-policies", &body));
    assert_eq!((&policy["agentId"], &policy["branch"]), (&json!(agent), &json!("main")));
    let listed = |query: &str| send(&daemon, "GET", &format!("/oidc/trust-policies{query}"), &Value::Null).ok();
    assert_eq!(listed("")["data"], json!([policy]));
    assert_eq!(listed(&format!("?agentId={agent}"))["total"], json!(1));
    assert_eq!(listed(&format!("?agentId={}", daemon.register("other")))["total"], json!(0));
    let path = format!("/oidc/trust-policies/{}", policy["id"].as_str().unwrap());
    let (_, reader) = daemon.new_key(&["agents:read", "agents:list", "credentials:list"], &["agentidp"]);
    refused(&send(&reader, "DELETE", &path, &Value::Null), 403, "FORBIDDEN");
    assert_eq!(send(&daemon, "DELETE", &path, &Value::Null).status, 204);
    refused(&send(&daemon, "DELETE", &path, &Value::Null), 404, "TRUST_POLICY_NOT_FOUND");
    assert_eq!(listed("")["data"], json!([]));
}
