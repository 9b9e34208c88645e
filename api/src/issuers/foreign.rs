//! Tokens that somebody else signed, and the keys of those who did (RFC 7515, RFC 7517, RFC 7519).

use chancery_ledger::time::Micros;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value};

/// Most keys of a set that are looked at.
const KEYS_MAX: usize = 64;
/// How far another's clock may be from ours, in seconds.
const LEEWAY_SECS: f64 = 60.0;

/// What a token says.
pub type Claims = Map<String, Value>;

/// Why a token is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// It is no signed JSON Web Token.
    #[error("it is no signed JSON Web Token")]
    Malformed,
    /// Its issuer is not one that is believed.
    #[error("its issuer is not believed here")]
    Issuer,
    /// It is of an organisation that is not admitted.
    #[error("its organisation is not one of those admitted")]
    Organisation,
    /// Its issuer has no such key.
    #[error("its issuer has no key of that name for that algorithm")]
    Key,
    /// The signature is not its issuer's.
    #[error("its signature does not hold")]
    Signature,
    /// It has expired, or never does.
    #[error("it has expired")]
    Expired,
    /// It is not good yet.
    #[error("it is not good yet")]
    Early,
    /// It is for somebody else.
    #[error("it is for another audience")]
    Audience,
}

/// Public keys of an issuer.
pub struct KeySet(Vec<ForeignKey>);

struct ForeignKey {
    id: Option<String>,
    /// The algorithms it can be used with.
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl KeySet {
    /// Reads a set, as far as it holds public keys that sign; `None` when it is no set of keys. Keys for other uses or of
    /// other sorts are left out, shared secrets among them: whoever can read one could sign with it.
    #[must_use]
    pub fn parse(json: &[u8]) -> Option<Self> {
        let set: Value = serde_json::from_slice(json).ok()?;
        let keys = set.get("keys")?.as_array()?;
        let read = |key: &Value| ForeignKey::of(serde_json::from_value(key.clone()).ok()?);
        Some(Self(keys.iter().take(KEYS_MAX).filter_map(read).collect()))
    }

    /// The key that a token names; the only one for its algorithm, if it names none.
    fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&ForeignKey> {
        let mut fit = self.0.iter().filter(|key| key.algorithms.contains(&algorithm));
        match id {
            Some(id) => fit.find(|key| key.id.as_deref() == Some(id)),
            None => fit.next().filter(|_| fit.next().is_none()),
        }
    }
}

impl ForeignKey {
    fn of(jwk: Jwk) -> Option<Self> {
        use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
        let fit: &[Algorithm] = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => &[RS256, RS384, RS512, PS256, PS384, PS512],
            AlgorithmParameters::EllipticCurve(_) => &[ES256, ES384],
            AlgorithmParameters::OctetKeyPair(_) => &[EdDSA],
            _ => return None,
        };
        if jwk.common.public_key_use.as_ref().is_some_and(|usage| *usage != PublicKeyUse::Signature) {
            return None;
        }
        let algorithms = match jwk.common.key_algorithm {
            None => fit.to_vec(),
            Some(algorithm) => vec![Algorithm::try_from(algorithm).ok().filter(|algorithm| fit.contains(algorithm))?],
        };
        Some(Self { id: jwk.common.key_id.clone(), algorithms, key: DecodingKey::from_jwk(&jwk).ok()? })
    }
}

/// A token as it came: nothing that it says is believed yet.
pub struct Unverified<'a> {
    text: &'a str,
    header: jsonwebtoken::Header,
    claims: Claims,
}

impl<'a> Unverified<'a> {
    /// Reads a token.
    ///
    /// # Errors
    /// [`Doubt::Malformed`]; also for one with extensions that must be understood (RFC 7515 section 4.1.11).
    pub fn parse(text: &'a str) -> Result<Self, Doubt> {
        let header = jsonwebtoken::decode_header(text).map_err(|_| Doubt::Malformed)?;
        let claims = jsonwebtoken::dangerous::insecure_decode_claims(text).map_err(|_| Doubt::Malformed)?;
        if header.crit.is_some() { Err(Doubt::Malformed) } else { Ok(Self { text, header, claims }) }
    }

    /// Who it says has issued it.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.claims.get("iss")?.as_str()
    }

    /// Whether a set has the key that it names.
    #[must_use]
    pub fn is_covered_by(&self, keys: &KeySet) -> bool {
        keys.find(self.header.kid.as_deref(), self.header.alg).is_some()
    }

    /// What it says, if one of an issuer's keys signed it and it is good at a time.
    ///
    /// # Errors
    /// [`Doubt`] says why it is not believed.
    pub fn verify(self, keys: &KeySet, now: Micros) -> Result<Claims, Doubt> {
        let key = keys.find(self.header.kid.as_deref(), self.header.alg).ok_or(Doubt::Key)?;
        let mut validation = Validation::new(self.header.alg);
        // The crate has a clock and ideas of its own; times and audience are held against ours below and by the caller.
        validation.required_spec_claims.clear();
        (validation.validate_exp, validation.validate_aud) = (false, false);
        let token = jsonwebtoken::decode::<Claims>(self.text, &key.key, &validation);
        let claims = token.map_err(|_| Doubt::Signature)?.claims;
        let now = now.0 as f64 / 1e6;
        let time = |name: &str| claims.get(name).map(|value| value.as_f64().ok_or(Doubt::Malformed)).transpose();
        if time("exp")?.is_none_or(|expires| now >= expires + LEEWAY_SECS) {
            return Err(Doubt::Expired);
        }
        for name in ["nbf", "iat"] {
            if time(name)?.is_some_and(|from| now < from - LEEWAY_SECS) {
                return Err(Doubt::Early);
            }
        }
        Ok(claims)
    }
}

/// Whether a token is for one of some parties (RFC 7519 section 4.1.3).
pub fn is_for(claims: &Claims, accepted: impl Fn(&str) -> bool) -> bool {
    match claims.get("aud") {
        Some(Value::String(audience)) => accepted(audience),
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).any(accepted),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header};
    use serde_json::json;

    use super::*;

    const NOW: Micros = Micros(1_767_323_045_000_000);

    /// An issuer's key, and the text of its public half.
    fn key(seed: u8) -> (EncodingKey, Value) {
        let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
        let before_seed = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
        let der = [&before_seed[..], &[seed; 32]].concat();
        let x = chancery_projections::b64u::render(key.verifying_key().as_bytes());
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": format!("k{seed}"), "use": "sig"});
        (EncodingKey::from_ed_der(&der), jwk)
    }

    fn set(keys: &[&Value]) -> KeySet {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
    }

    fn signed(seed: u8, kid: Option<&str>, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = kid.map(str::to_owned);
        jsonwebtoken::encode(&header, claims, &key(seed).0).unwrap()
    }

    fn good() -> Value {
        let now = NOW.0 / 1_000_000;
        json!({"iss": "https://a.example", "sub": "s", "exp": now + 300, "iat": now})
    }

    fn verify(text: &str, keys: &KeySet) -> Result<Claims, Doubt> {
        Unverified::parse(text)?.verify(keys, NOW)
    }

    #[test]
    fn a_token_is_believed_by_the_key_that_it_names() {
        let (one, two) = (key(1).1, key(2).1);
        let keys = set(&[&one, &two]);
        let text = signed(2, Some("k2"), &good());
        assert_eq!(Unverified::parse(&text).unwrap().issuer(), Some("https://a.example"));
        assert_eq!(verify(&text, &keys).unwrap()["sub"], "s");
        assert_eq!(verify(&signed(1, Some("k2"), &good()), &keys), Err(Doubt::Signature));
        assert_eq!(verify(&signed(3, Some("k3"), &good()), &keys), Err(Doubt::Key));
        assert_eq!(verify(&signed(2, None, &good()), &keys), Err(Doubt::Key), "which of the two?");
        assert!(verify(&signed(2, None, &good()), &set(&[&two])).is_ok());
        assert!(!Unverified::parse(&text).unwrap().is_covered_by(&set(&[&one])));
    }

    #[test]
    fn a_token_is_good_from_and_until() {
        let keys = set(&[&key(1).1]);
        let now = NOW.0 / 1_000_000;
        let with = |name: &str, value: Value| {
            let mut claims = good();
            claims[name] = value;
            verify(&signed(1, Some("k1"), &claims), &keys).err()
        };
        assert_eq!(with("exp", json!(now - 59)), None);
        assert_eq!(with("exp", json!(now - 60)), Some(Doubt::Expired));
        assert_eq!(with("exp", Value::Null), Some(Doubt::Malformed));
        assert_eq!(with("exp", json!("soon")), Some(Doubt::Malformed));
        assert_eq!(with("nbf", json!(now + 60)), None);
        assert_eq!(with("nbf", json!(now + 61)), Some(Doubt::Early));
        assert_eq!(with("iat", json!(now + 61)), Some(Doubt::Early));
        let mut forever = good();
        forever.as_object_mut().unwrap().remove("exp");
        assert_eq!(verify(&signed(1, Some("k1"), &forever), &keys).err(), Some(Doubt::Expired));
    }

    #[test]
    fn no_token_signs_itself() {
        use base64::Engine as _;
        let part = |value: &Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string());
        let jwk = key(1).1;
        let keys = set(&[&jwk]);
        let none = format!("{}.{}.", part(&json!({"alg": "none", "kid": "k1"})), part(&good()));
        assert_eq!(verify(&none, &keys), Err(Doubt::Malformed));
        // A public key taken for a shared secret.
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some("k1".to_owned());
        let secret = EncodingKey::from_secret(jwk["x"].as_str().unwrap().as_bytes());
        let confused = jsonwebtoken::encode(&header, &good(), &secret).unwrap();
        assert_eq!(verify(&confused, &keys), Err(Doubt::Key));
        // A shared secret among the public keys.
        let shared = json!({"kty": "oct", "k": part(&json!("secret")), "kid": "k1", "alg": "HS256"});
        assert_eq!(verify(&confused, &set(&[&shared])), Err(Doubt::Key));
        for text in ["", "a", "a.b", "a.b.c", "a.b.c.d", &"x".repeat(5000)] {
            assert_eq!(verify(text, &keys), Err(Doubt::Malformed), "{text}");
        }
        let mut critical = Header::new(Algorithm::EdDSA);
        critical.crit = Some(vec!["b64".to_owned()]);
        let text = jsonwebtoken::encode(&critical, &good(), &key(1).0).unwrap();
        assert_eq!(verify(&text, &keys), Err(Doubt::Malformed));
    }

    #[test]
    fn of_a_set_only_keys_that_sign_are_read() {
        let with = |name: &str, value: &str| {
            let mut jwk = key(1).1;
            jwk[name] = value.into();
            set(&[&jwk]).0.len()
        };
        assert_eq!(with("use", "sig"), 1);
        assert_eq!(with("use", "enc"), 0);
        assert_eq!(with("alg", "EdDSA"), 1);
        assert_eq!(with("alg", "RS256"), 0);
        assert_eq!(with("kty", "new"), 0);
        for no_set in ["", "{}", "[]", r#"{"keys":{}}"#, "null"] {
            assert!(KeySet::parse(no_set.as_bytes()).is_none(), "{no_set}");
        }
        assert_eq!(set(&[]).0.len(), 0);
        let many = vec![key(1).1; 100];
        assert_eq!(set(&many.iter().collect::<Vec<_>>()).0.len(), KEYS_MAX);
    }

    #[test]
    fn an_audience_is_one_or_several() {
        let claims = |aud: Value| json!({ "aud": aud }).as_object().unwrap().clone();
        let ours = |name: &str| name == "us";
        assert!(is_for(&claims(json!("us")), ours));
        assert!(is_for(&claims(json!(["them", "us"])), ours));
        assert!(!is_for(&claims(json!("them")), ours));
        assert!(!is_for(&claims(json!([1, null])), ours));
        assert!(!is_for(&Claims::new(), ours));
    }
}
