//! Decentralised identifiers and agent cards (W3C DID Core 1.0, did:web).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chancery_ledger::ids::AgentId;
use chancery_projections::agent_key::coordinates;
use chancery_projections::identity::view::{AgentKeyView, AgentView};
use serde::Serialize;
use serde_json::{Value, json};

use super::Time;
use super::agents::{agent_type, capabilities, did, email, environment};

/// What the terms of a document mean.
const CONTEXT: [&str; 2] = ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/suites/jws-2020/v1"];

/// An agent's card (rows 29 and 45).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Card {
    /// The agent's identifier.
    pub did: String,
    /// Its e-mail address.
    pub name: String,
    /// Its sort.
    pub agent_type: &'static str,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// Who is responsible for it.
    pub owner: String,
    /// Its version.
    pub version: String,
    /// Where it runs.
    pub deployment_env: &'static str,
    /// Who vouches for it.
    pub identity_provider: String,
    /// Since when the card says this.
    pub issued_at: Time,
}

impl Card {
    /// The card of an agent as its view has it, on a host, by an issuer.
    #[must_use]
    pub fn of(agent: &AgentView, host: &str, issuer: &str) -> Self {
        let profile = agent.profile.as_ref();
        Self {
            did: did(host, agent.id),
            name: email(agent.id, profile),
            agent_type: agent_type(agent.kind.as_deref()),
            capabilities: capabilities(&agent.capabilities, &agent.actions),
            owner: owner(agent),
            version: version(agent),
            deployment_env: environment(agent.environment),
            identity_provider: issuer.to_owned(),
            issued_at: Time(agent.updated),
        }
    }
}

/// An agent as the marketplace shows it (row 57).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// Its id.
    pub agent_id: AgentId,
    /// Its sort.
    pub agent_type: &'static str,
    /// Its version.
    pub version: String,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// Who is responsible for it.
    pub owner: String,
    /// Where it runs.
    pub deployment_env: &'static str,
    /// Since when it is listed.
    pub published_at: Time,
}

impl From<&AgentView> for Listed {
    fn from(agent: &AgentView) -> Self {
        Self {
            agent_id: agent.id,
            agent_type: agent_type(agent.kind.as_deref()),
            version: version(agent),
            capabilities: capabilities(&agent.capabilities, &agent.actions),
            owner: owner(agent),
            deployment_env: environment(agent.environment),
            published_at: Time(agent.listed.unwrap_or(agent.created)),
        }
    }
}

/// The same with the agent's document (row 58).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedWithDocument {
    /// What the list shows.
    #[serde(flatten)]
    pub listed: Listed,
    /// Its document.
    pub did_document: Value,
}

/// Who is responsible for an agent; its organisation, if nobody was named or that was erased.
#[must_use]
pub fn owner(agent: &AgentView) -> String {
    agent.profile.as_ref().and_then(|it| it.owner.clone()).unwrap_or_else(|| agent.organisation_slug.clone())
}

fn version(agent: &AgentView) -> String {
    agent.semver.clone().unwrap_or_else(|| super::agents::VERSION.to_owned())
}

/// The host's own identifier.
#[must_use]
pub fn server(host: &str) -> String {
    format!("did:web:{}", host.replace(':', "%3A"))
}

/// The document of an agent: each of its live keys, by which it can prove that it is the agent.
#[must_use]
pub fn document(agent: &AgentView, host: &str) -> Value {
    let keys = agent.did_key.iter().chain(&agent.identity_key).filter_map(|key| {
        let jwk = jwk(key)?;
        Some((key.id.to_string(), jwk))
    });
    whole(&did(host, agent.id), &server(host), keys)
}

/// A document with the keys of a subject.
pub fn whole(id: &str, controller: &str, keys: impl Iterator<Item = (String, Value)>) -> Value {
    let (mut methods, mut names) = (Vec::new(), Vec::new());
    for (key, jwk) in keys {
        let name = format!("{id}#{key}");
        methods.push(json!({
            "id": name,
            "type": "JsonWebKey2020",
            "controller": id,
            "publicKeyJwk": jwk,
        }));
        names.push(name);
    }
    json!({
        "@context": CONTEXT,
        "id": id,
        "controller": controller,
        "verificationMethod": methods,
        "authentication": names,
        "assertionMethod": names,
    })
}

/// A public key as RFC 7517 has it: P-256 of RFC 7518 section 6.2, or Ed25519 of RFC 8037.
fn jwk(key: &AgentKeyView) -> Option<Value> {
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let kid = key.id;
    if let Some((x, y)) = coordinates(&key.public.0) {
        return Some(json!({ "kty": "EC", "crv": "P-256", "x": text(x), "y": text(y), "kid": kid, "alg": "ES256" }));
    }
    let is_ed25519 = key.public.0.len() == 32;
    is_ed25519.then(|| json!({ "kty": "OKP", "crv": "Ed25519", "x": text(&key.public.0), "kid": kid, "alg": "EdDSA" }))
}

#[cfg(test)]
mod tests {
    use chancery_ledger::body::identity::AgentKeyPurpose;
    use chancery_ledger::ids::{KeyId, uuid_v7};
    use chancery_projections::view::Hex;

    use super::*;

    #[test]
    fn keys_of_both_curves_have_their_jwk() {
        let key = |public| AgentKeyView {
            id: KeyId(uuid_v7(1_767_323_045_678, [7; 10])),
            purpose: AgentKeyPurpose::Did,
            public: Hex(public),
        };
        let p256 = jwk(&key([&[4][..], &[1; 32], &[2; 32]].concat())).unwrap();
        assert_eq!((&p256["kty"], &p256["crv"]), (&json!("EC"), &json!("P-256")));
        assert_eq!(p256["x"], "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE");
        let ed25519 = jwk(&key(vec![3; 32])).unwrap();
        assert_eq!((&ed25519["kty"], &ed25519["crv"]), (&json!("OKP"), &json!("Ed25519")));
        assert_eq!(jwk(&key(vec![3; 31])), None);
    }

    #[test]
    fn a_document_names_each_key_once_and_uses_it_everywhere() {
        let keys = [("a".to_owned(), json!({ "kty": "OKP" })), ("b".to_owned(), json!({ "kty": "EC" }))];
        let document = whole("did:web:x", "did:web:y", keys.into_iter());
        assert_eq!(document["authentication"], json!(["did:web:x#a", "did:web:x#b"]));
        assert_eq!(document["verificationMethod"][1]["publicKeyJwk"]["kty"], "EC");
        assert_eq!((&document["id"], &document["controller"]), (&json!("did:web:x"), &json!("did:web:y")));
    }
}
