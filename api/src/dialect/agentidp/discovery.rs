//! What clients find out by themselves: the server's metadata and its public keys (rows 46 to 48).

use chancery_projections::scope::AGENTIDP;
use hyper::header::{self, HeaderValue};
use serde_json::{Value, json};

use super::call::{Call, ok};
use super::error::Failure;
use crate::response::Response;

/// How long a client may keep what it found, in seconds: less than a rotated key is still shown.
const FRESH: &str = "public, max-age=300";

/// Rows 46 and 47: OpenID Connect Discovery 1.0 and RFC 8414, which say the same.
pub(super) async fn metadata(call: Call) -> Result<Response, Failure> {
    Ok(kept(ok(&document(call.app.issuer()))))
}

/// Row 48 (RFC 7517).
pub(super) async fn jwks(call: Call) -> Result<Response, Failure> {
    let keys = call.app.token_keys(call.app.sequencer().tokens_acknowledged()).await?;
    Ok(kept(ok(&keys.jwks(call.app.now()))))
}

fn document(issuer: &str) -> Value {
    let scopes: Vec<&str> = AGENTIDP.iter().map(|scope| scope.text).collect();
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/oauth2/authorize"),
        "token_endpoint": format!("{issuer}/api/v1/token"),
        "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
        "userinfo_endpoint": format!("{issuer}/agent-info"),
        "introspection_endpoint": format!("{issuer}/api/v1/token/introspect"),
        "revocation_endpoint": format!("{issuer}/api/v1/token/revoke"),
        "response_types_supported": ["token"],
        "grant_types_supported": ["client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA", "RS256"],
        "scopes_supported": scopes,
        "claims_supported": CLAIMS,
        "token_endpoint_auth_methods_supported": METHODS,
        "introspection_endpoint_auth_methods_supported": METHODS,
        "revocation_endpoint_auth_methods_supported": METHODS,
        "token_endpoint_auth_signing_alg_values_supported": ["EdDSA", "ES256"],
        "introspection_endpoint_auth_signing_alg_values_supported": ["EdDSA", "ES256"],
        "revocation_endpoint_auth_signing_alg_values_supported": ["EdDSA", "ES256"],
        "dpop_signing_alg_values_supported": ["ES256", "EdDSA", "PS256", "RS256"],
    })
}

/// How a client may say who it is.
const METHODS: [&str; 3] = ["client_secret_post", "client_secret_basic", "private_key_jwt"];

/// What tokens say.
const CLAIMS: &[&str] = &[
    "iss",
    "sub",
    "aud",
    "exp",
    "iat",
    "jti",
    "client_id",
    "scope",
    "organization_id",
    "cnf",
    "agent_id",
    "agent_type",
    "capabilities",
    "deployment_env",
    "owner",
];

fn kept(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(FRESH));
    response
}
