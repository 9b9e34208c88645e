//! Whoever has `/ca` can check certificates and tokens, and a field of another breaks the signature.

use chancery_ledger::keys::PublicKey;
use chancery_projections::b64u;
use chancery_projections::json::Json;
use chancery_projections::lane::orgkernel::certificate::{CertificatePreimage, ca_fingerprint};
use chancery_projections::lane::orgkernel::time::parse_timestamp;
use chancery_projections::lane::orgkernel::token_preimage::TokenPreimage;
use chancery_projections::token::scope::Bound;
use serde_json::{Value, json};

use crate::kernel::{kernel, mint, text};
use crate::support::{Client, Home};

fn ca(kernel: &Client) -> PublicKey {
    let ca = kernel.read("/ca").ok();
    let key = b64u::parse::<32>(ca["public_key"].as_str().unwrap()).unwrap();
    assert_eq!(
        (ca["algorithm"].as_str(), ca["ca_fingerprint"].as_str().unwrap()),
        (Some("Ed25519"), &*ca_fingerprint(&key))
    );
    PublicKey::from_slice(&key).unwrap()
}

fn field<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}

fn certificate_holds(ca: &PublicKey, certificate: &Value) -> bool {
    let preimage = CertificatePreimage {
        agent_id: field(certificate, "agent_id"),
        agent_name: field(certificate, "agent_name"),
        org_id: field(certificate, "org_id"),
        issued_by: field(certificate, "issued_by"),
        public_key: &b64u::parse(field(certificate, "public_key")).unwrap(),
        ca_fingerprint: field(certificate, "ca_fingerprint"),
        issued_at: parse_timestamp(field(certificate, "issued_at")).unwrap(),
        valid_until: certificate["valid_until"].as_str().map(|text| parse_timestamp(text).unwrap()),
    };
    ca.verify(preimage.canonical().as_bytes(), &b64u::parse(field(certificate, "ca_signature")).unwrap())
}

fn token_holds(ca: &PublicKey, token: &Value) -> bool {
    let scope: Vec<String> = serde_json::from_value(token["execution_scope"].clone()).unwrap();
    let bounds = token["bounded_params"].as_array().unwrap();
    let bounds: Vec<Bound<'_>> = bounds
        .iter()
        .map(|bound| Bound {
            name: field(bound, "param_name"),
            lower: bound["lower_bound"].as_f64(),
            upper: bound["upper_bound"].as_f64(),
            unit: bound["unit"].as_str(),
        })
        .collect();
    let preimage = TokenPreimage {
        token_id: field(token, "token_id"),
        agent_id: field(token, "agent_id"),
        mission_id: field(token, "mission_id"),
        execution_scope: &scope,
        immutable_params: &Json::parse_members(&token["immutable_params"].to_string()).unwrap(),
        bounded_params: &bounds,
        issued_at: parse_timestamp(field(token, "issued_at")).unwrap(),
        expires_at: parse_timestamp(field(token, "expires_at")).unwrap(),
        boundary_snapshot_id: token["boundary_snapshot_id"].as_str(),
    };
    ca.verify(preimage.canonical().as_bytes(), &b64u::parse(field(token, "token_signature")).unwrap())
}

/// With one field as another has it.
fn grafted(value: &Value, other: &Value, name: &str) -> Value {
    let mut grafted = value.clone();
    assert_ne!(grafted[name], other[name], "{name} is the same in both");
    grafted[name] = other[name].clone();
    grafted
}

#[test]
fn a_certificate_holds_and_no_field_of_another_does() {
    let home = Home::new();
    let daemon = home.start();
    let kernel = kernel(&home, &daemon);
    let ca = ca(&kernel);
    let ada = kernel.issue("ada");
    let bob = json!({
        "agent_name": "bob", "org_id": "other-corp", "issued_by": "Köln-経理", "valid_until": "2099-01-02T03:04:05.5+02:00",
    });
    let bob = text(&kernel.post("/identity/", &bob).ok()["agent_id"]);
    let bob = kernel.read(&format!("/identity/{bob}/certificate")).ok();
    let certificate = &ada["certificate"];
    assert!(certificate_holds(&ca, certificate) && certificate_holds(&ca, &bob));
    for name in
        ["agent_id", "agent_name", "org_id", "issued_by", "public_key", "issued_at", "valid_until", "ca_signature"]
    {
        assert!(!certificate_holds(&ca, &grafted(certificate, &bob, name)), "{name}");
    }
    // The certificate that is read later is the one that was issued, whatever became of the agent.
    let id = field(certificate, "agent_id");
    kernel.post(&format!("/identity/{id}/revoke"), &json!({"revoked_by": "ops", "reason": "lost"})).ok();
    let later = kernel.read(&format!("/identity/{id}/certificate")).ok();
    assert_eq!(later["status"], "REVOKED");
    assert_eq!((&later["ca_signature"], certificate_holds(&ca, &later)), (&certificate["ca_signature"], true));
    assert_eq!(ada["identity"]["org_ca_fingerprint"], certificate["ca_fingerprint"]);
}

#[test]
fn the_private_key_is_the_certified_ones_and_is_shown_once() {
    use ed25519_dalek::pkcs8::DecodePrivateKey as _;

    let home = Home::new();
    let daemon = home.start();
    let kernel = kernel(&home, &daemon);
    let issued = kernel.issue("ada");
    let pem = field(&issued, "agent_private_key_pem");
    assert_eq!(issued["private_key_pem"], pem);
    assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n"));
    let key = ed25519_dalek::SigningKey::from_pkcs8_pem(pem).unwrap();
    let public = b64u::render(key.verifying_key().as_bytes());
    assert_eq!(
        (&issued["identity"]["public_key"], &issued["certificate"]["public_key"]),
        (&json!(public), &json!(public))
    );
    let id = field(&issued["identity"], "agent_id");
    for path in [format!("/identity/{id}"), format!("/identity/{id}/certificate"), "/identity/org/acme-corp".to_owned()]
    {
        assert!(!kernel.read(&path).text.contains("PRIVATE"), "{path}");
    }
}

#[test]
fn a_token_holds_and_no_field_of_another_does() {
    let home = Home::new();
    let daemon = home.start();
    let kernel = kernel(&home, &daemon);
    let ca = ca(&kernel);
    let agents = ["ada", "bob"].map(|name| text(&kernel.issue(name)["identity"]["agent_id"]));
    let mut ask = mint(&agents[0], "msn_invoice01");
    ask["execution_scope"] = json!(["write_payment_draft", "read_invoice"]);
    ask["immutable_params"] = json!({"currency": "USD", "note": "café 😀", "n": 1, "f": 1.0});
    ask["bounded_params"] = json!([{"param_name": "amount", "upper_bound": 50_000}, {"param_name": "ratio", "lower_bound": 1e-5, "upper_bound": 1e16, "unit": "pct"}]);
    let token = kernel.post("/token/mint", &ask).ok();
    let mut ask = mint(&agents[1], "msn_invoice02");
    ask["expires_at"] = json!("2098-01-02T03:04:05+02:00");
    ask["boundary_snapshot_id"] = json!("snapshot");
    let other = kernel.post("/token/mint", &ask).ok();
    assert_eq!(other["expires_at"], "2098-01-02T01:04:05Z");
    assert!(token_holds(&ca, &token) && token_holds(&ca, &other));
    for name in [
        "token_id",
        "agent_id",
        "mission_id",
        "execution_scope",
        "immutable_params",
        "bounded_params",
        "issued_at",
        "expires_at",
        "boundary_snapshot_id",
        "token_signature",
    ] {
        assert!(!token_holds(&ca, &grafted(&token, &other, name)), "{name}");
    }
    let mut reordered = token.clone();
    reordered["execution_scope"] = json!(["read_invoice", "write_payment_draft"]);
    assert!(token_holds(&ca, &reordered), "the order of tools has no meaning");
    // Use and invalidation are not covered, so the signature lasts.
    let id = field(&token, "token_id");
    kernel.act(&format!("/token/{id}/use")).ok();
    let used = kernel.act(&format!("/token/{id}/invalidate?reason=over")).ok();
    assert_eq!(
        (used["used"].as_bool(), used["is_valid"].as_bool(), &used["invalidation_reason"]),
        (Some(true), Some(false), &json!("over"))
    );
    assert!(token_holds(&ca, &used));
    assert_eq!(kernel.read(&format!("/token/{id}")).ok(), used);
}
