//! What callers sign with keys of their own: assertions of who they are (RFC 7523), and proofs that they hold the key which
//! a token is bound to (RFC 9449).

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chancery_ledger::body::ledger::Algorithm;
use chancery_ledger::link::Hash;
use chancery_ledger::time::Micros;
use chancery_projections::b64u;
use chancery_projections::credential::secret_hash;
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use jsonwebtoken::{DecodingKey, Validation};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::limits::{PROOF_ID_BYTES_MAX, PROOFS_REMEMBERED_MAX};

/// How long an assertion may be good for, in seconds: as long as client libraries make them.
const ASSERTION_LIFE_SECS: i64 = 3600;
/// How far a caller's clock may be from ours, in seconds.
const CLOCK_SKEW_SECS: i64 = 60;
/// How old a proof of possession may be, in seconds.
const PROOF_AGE_SECS: i64 = 300;

/// Who an assertion says it is of, whoever signed it.
#[must_use]
pub fn claimed_subject(assertion: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Subject {
        sub: String,
    }
    jsonwebtoken::dangerous::insecure_decode::<Subject>(assertion).ok().map(|token| token.claims.sub)
}

/// One audience, or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Deserialize)]
struct AssertionClaims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: f64,
    #[serde(default)]
    iat: Option<f64>,
    #[serde(default)]
    nbf: Option<f64>,
    jti: String,
}

/// The id of an assertion that a client signed for us with one of its keys, and which key that was; `None` for any other
/// text. It is for us when its audience is one of ours, and good for at most an hour.
#[must_use]
pub fn assertion<K: Copy>(
    text: &str, client: &str, keys: &[(K, Algorithm, &[u8])], audiences: &[String], now: Micros,
) -> Option<(K, String)> {
    let (key, claims): (K, AssertionClaims) = keys.iter().find_map(|(key, algorithm, public)| {
        Some((*key, verified(text, super::algorithm(*algorithm), &decoding_key(*algorithm, public))?))
    })?;
    let is_ours = |audience: &String| audiences.contains(audience);
    let is_for_us = match &claims.aud {
        Audience::One(audience) => is_ours(audience),
        Audience::Many(audiences) => audiences.iter().any(is_ours),
    };
    let now = super::seconds(now) as f64;
    let (skew, life) = (CLOCK_SKEW_SECS as f64, ASSERTION_LIFE_SECS as f64);
    let is_of_now = claims.exp > now
        && claims.exp <= now + life + skew
        && claims.iat.is_none_or(|at| at <= now + skew)
        && claims.nbf.is_none_or(|at| at <= now + skew);
    let is_named = (1..=PROOF_ID_BYTES_MAX).contains(&claims.jti.len());
    (claims.iss == client && claims.sub == client && is_for_us && is_of_now && is_named).then_some((key, claims.jti))
}

fn decoding_key(algorithm: Algorithm, public: &[u8]) -> DecodingKey {
    match algorithm {
        Algorithm::Ed25519 => DecodingKey::from_ed_der(public),
        Algorithm::P256 => DecodingKey::from_ec_der(public),
        Algorithm::Rsa => DecodingKey::from_rsa_der(public),
    }
}

/// The claims of a text that a key signed by an algorithm. Times are looked at elsewhere.
fn verified<T: DeserializeOwned>(text: &str, algorithm: jsonwebtoken::Algorithm, key: &DecodingKey) -> Option<T> {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    jsonwebtoken::decode(text, key, &validation).ok().map(|token| token.claims)
}

/// What a proof of possession has to be about.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The request's method.
    pub method: &'a str,
    /// Its address, without query.
    pub url: &'a str,
    /// The access token that goes with it, if one does.
    pub access_token: Option<&'a str>,
}

/// A proof of possession that holds.
#[derive(Debug, PartialEq, Eq)]
pub struct Possession {
    /// SHA-256 thumbprint (RFC 7638) of the key.
    pub thumbprint: Hash,
    /// Names the proof among all of that key.
    pub id: String,
}

#[derive(Debug, Deserialize)]
struct PossessionClaims {
    jti: String,
    htm: String,
    htu: String,
    iat: f64,
    #[serde(default)]
    ath: Option<String>,
}

/// The proof that a text is of what it has to be about; `None` when it is none (RFC 9449 section 4.3).
#[must_use]
pub fn possession(text: &str, about: About<'_>, now: Micros) -> Option<Possession> {
    use jsonwebtoken::Algorithm::{ES256, EdDSA, PS256, RS256};

    let header = jsonwebtoken::decode_header(text).ok()?;
    if header.typ.as_deref() != Some("dpop+jwt") || ![ES256, EdDSA, PS256, RS256].contains(&header.alg) {
        return None;
    }
    let key = public_jwk(text)?;
    let claims: PossessionClaims = verified(text, header.alg, &DecodingKey::from_jwk(&key).ok()?)?;
    let bare = claims.htu.split(['?', '#']).next()?;
    let (now, skew, age) = (super::seconds(now) as f64, CLOCK_SKEW_SECS as f64, PROOF_AGE_SECS as f64);
    let is_of_now = claims.iat <= now + skew && claims.iat >= now - age;
    let wanted = about.access_token.map(|token| b64u::render(digest(&SHA256, token.as_bytes()).as_ref()));
    let fits_token = wanted.is_none_or(|wanted| claims.ath.as_deref() == Some(&wanted));
    let is_named = (1..=PROOF_ID_BYTES_MAX).contains(&claims.jti.len());
    let holds = claims.htm == about.method && is_same_url(bare, about.url) && is_of_now && fits_token && is_named;
    let thumbprint = Hash(b64u::parse(&key.thumbprint(ThumbprintHash::SHA256).ok()?)?);
    holds.then_some(Possession { thumbprint, id: claims.jti })
}

/// The key in a token's header, if it has no private part.
fn public_jwk(text: &str) -> Option<Jwk> {
    let header = URL_SAFE_NO_PAD.decode(text.split('.').next()?).ok()?;
    let mut header: serde_json::Value = serde_json::from_slice(&header).ok()?;
    let jwk = header.get_mut("jwk")?.take();
    let is_public = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"].iter().all(|part| jwk.get(part).is_none());
    if is_public { serde_json::from_value(jwk).ok() } else { None }
}

/// Whether two addresses are the same: scheme and host in any case, the rest to the letter.
fn is_same_url(a: &str, b: &str) -> bool {
    match (a.parse::<hyper::Uri>(), b.parse::<hyper::Uri>()) {
        (Ok(a), Ok(b)) => {
            let host = |uri: &hyper::Uri| uri.host().map(str::to_ascii_lowercase);
            let port = |uri: &hyper::Uri| {
                uri.port_u16().or(match uri.scheme_str() {
                    Some("https") => Some(443),
                    Some("http") => Some(80),
                    _ => None,
                })
            };
            a.scheme() == b.scheme() && host(&a) == host(&b) && port(&a) == port(&b) && a.path() == b.path()
        }
        _ => false,
    }
}

/// What was shown once and is taken no second time, for as long as it could be taken at all.
#[derive(Debug)]
pub struct Replays {
    /// Longer than anything that is shown may be good for, in seconds.
    period: i64,
    kept: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    /// Which period the newest is of.
    period: i64,
    newest: HashSet<Hash>,
    before: HashSet<Hash>,
}

/// Why something is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    /// It was shown before.
    Seen,
    /// More is remembered than may be.
    Full,
}

impl Replays {
    /// Of assertions.
    #[must_use]
    pub fn of_assertions() -> Self {
        Self { period: ASSERTION_LIFE_SECS + 2 * CLOCK_SKEW_SECS, kept: Mutex::default() }
    }

    /// Of proofs of possession.
    #[must_use]
    pub fn of_possessions() -> Self {
        Self { period: PROOF_AGE_SECS + 2 * CLOCK_SKEW_SECS, kept: Mutex::default() }
    }

    /// Takes what is named so by whom, once.
    ///
    /// # Errors
    /// [`Replay`].
    pub fn take(&self, by: &str, id: &str, now: Micros) -> Result<(), Replay> {
        let name = secret_hash(&format!("{}\n{by}\n{id}", by.len()));
        let period = super::seconds(now).div_euclid(self.period);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if period > kept.period {
            let newest = std::mem::take(&mut kept.newest);
            kept.before = if period == kept.period + 1 { newest } else { HashSet::new() };
            kept.period = period;
        }
        if kept.newest.contains(&name) || kept.before.contains(&name) {
            return Err(Replay::Seen);
        }
        if kept.newest.len() >= PROOFS_REMEMBERED_MAX {
            return Err(Replay::Full);
        }
        kept.newest.insert(name);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chancery_ledger::keys::SigningKey;
    use jsonwebtoken::{EncodingKey, Header};
    use serde_json::{Value, json};
    use zeroize::Zeroizing;

    use super::*;

    const NOW: Micros = Micros(1_767_323_045_000_000);
    const SECS: i64 = 1_767_323_045;
    const URL: &str = "https://id.example/agentidp/api/v1/token";

    fn key(seed: u8) -> (EncodingKey, Vec<u8>) {
        let seed = Zeroizing::new([seed; 32]);
        let public = SigningKey::from_seed(seed.clone()).public().as_bytes().to_vec();
        (EncodingKey::from_ed_der(&super::super::ed25519_pkcs8(&seed)), public)
    }

    fn signed(typ: &str, jwk: Option<Value>, claims: &Value, key: &EncodingKey) -> String {
        let mut header = Header::new(jsonwebtoken::Algorithm::EdDSA);
        header.typ = Some(typ.to_owned());
        header.jwk = jwk.map(|jwk| serde_json::from_value(jwk).unwrap());
        jsonwebtoken::encode(&header, claims, key).unwrap()
    }

    #[test]
    fn an_assertion_is_of_its_client_for_us_and_of_now() {
        let (private, public) = key(1);
        let other = key(2).1;
        let keys = [(1, Algorithm::Ed25519, other.as_slice()), (2, Algorithm::Ed25519, public.as_slice())];
        let check = |change: &dyn Fn(&mut Value)| {
            let mut claims = json!({ "iss": "ada", "sub": "ada", "aud": URL, "exp": SECS + 60, "jti": "a1" });
            change(&mut claims);
            assertion(&signed("JWT", None, &claims, &private), "ada", &keys, &[URL.to_owned()], NOW)
        };
        assert_eq!(check(&|_| {}), Some((2, "a1".to_owned())));
        assert!(check(&|it| it["aud"] = json!(["x", URL])).is_some());
        assert!(check(&|it| it["iat"] = json!(SECS)).is_some());
        let wrong: [&dyn Fn(&mut Value); 9] = [
            &|it| it["iss"] = json!("bob"),
            &|it| it["sub"] = json!("bob"),
            &|it| it["aud"] = json!("https://elsewhere.example"),
            &|it| it["exp"] = json!(SECS),
            &|it| it["exp"] = json!(SECS + 7200),
            &|it| it["iat"] = json!(SECS + 61),
            &|it| it["nbf"] = json!(SECS + 61),
            &|it| it["jti"] = json!(""),
            &|it| drop(it.as_object_mut().unwrap().remove("jti")),
        ];
        for (n, change) in wrong.iter().enumerate() {
            assert_eq!(check(*change), None, "{n}");
        }
        let claims = json!({ "iss": "ada", "sub": "ada", "aud": URL, "exp": SECS + 60, "jti": "a1" });
        let text = signed("JWT", None, &claims, &key(3).0);
        assert_eq!(assertion(&text, "ada", &keys, &[URL.to_owned()], NOW), None, "by nobody's key");
    }

    #[test]
    fn a_proof_of_possession_is_about_one_request_and_one_token() {
        let (private, public) = key(1);
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": b64u::render(&public) });
        let ath = b64u::render(digest(&SHA256, b"token").as_ref());
        let good = json!({ "jti": "p1", "htm": "POST", "htu": URL, "iat": SECS, "ath": ath });
        let about = About { method: "POST", url: URL, access_token: Some("token") };
        let text = signed("dpop+jwt", Some(jwk.clone()), &good, &private);
        let proof = possession(&text, about, NOW).unwrap();
        assert_eq!(proof.id, "p1");
        let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, b64u::render(&public));
        assert_eq!(proof.thumbprint.0, digest(&SHA256, canonical.as_bytes()).as_ref(), "RFC 7638");
        for other in [
            About { method: "GET", ..about },
            About { url: "https://id.example/agentidp/api/v1/agents", ..about },
            About { url: "http://id.example/agentidp/api/v1/token", ..about },
            About { access_token: Some("other"), ..about },
        ] {
            assert_eq!(possession(&text, other, NOW), None, "{other:?}");
        }
        let upper = About { url: "https://ID.example:443/agentidp/api/v1/token", ..about };
        assert!(possession(&text, upper, NOW).is_some());
        assert_eq!(possession(&text, about, NOW.plus_secs(301)), None);
        assert_eq!(possession(&text, about, NOW.plus_secs(-61)), None);
        assert_eq!(possession(&signed("JWT", Some(jwk.clone()), &good, &private), about, NOW), None);
        assert_eq!(possession(&signed("dpop+jwt", None, &good, &private), about, NOW), None);
        assert_eq!(possession(&signed("dpop+jwt", Some(jwk.clone()), &good, &key(2).0), about, NOW), None);
        // A caller that shows its private key holds it no longer alone.
        let [header, claims, signature] = text.split('.').collect::<Vec<_>>()[..] else { panic!("no token") };
        let mut shown: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
        shown["jwk"]["d"] = json!("x");
        let shown = format!("{}.{claims}.{signature}", URL_SAFE_NO_PAD.encode(shown.to_string()));
        assert_eq!(public_jwk(&shown), None);
    }

    #[test]
    fn nothing_is_taken_twice() {
        let replays = Replays::of_assertions();
        assert_eq!(replays.take("ada", "1", NOW), Ok(()));
        assert_eq!(replays.take("ada", "1", NOW), Err(Replay::Seen));
        assert_eq!(replays.take("bob", "1", NOW), Ok(()));
        assert_eq!(replays.take("ada", "1", NOW.plus_secs(3600)), Err(Replay::Seen));
        assert_eq!(replays.take("ada", "1", NOW.plus_secs(9000)), Ok(()));
        for n in 0..PROOFS_REMEMBERED_MAX {
            let _ = replays.take("eve", &n.to_string(), NOW.plus_secs(9000));
        }
        assert_eq!(replays.take("eve", "last", NOW.plus_secs(9000)), Err(Replay::Full));
    }
}
