//! Signed tokens as text: JSON Web Tokens (RFC 7519), rendered and checked by the crate `jsonwebtoken`, which no other
//! room sees. What a token means, and whether it lives, is asked elsewhere.

mod claims;
mod proof;
mod rsa_file;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use chancery_ledger::body::ledger::{Algorithm, Purpose};
use chancery_ledger::ids::{KeyId, ThingId as _, TreeSize, parse_uuid};
use chancery_ledger::keystore::{Keystore, KeystoreError, SecretName, Secrets as _};
use chancery_ledger::time::Micros;
use chancery_projections::identity::state::{KEYS, PublicKeyRow, SIGNING_KEYS, TOKEN_KEY_LIST, purpose_code};
use chancery_projections::rows::{Order, Rows, RowsError, Scan};
use chancery_projections::token::decide::exchange::LIFE_SECS;
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

pub use self::claims::{AccessClaims, Act, IdClaims, TokenClaims, organisation_text, seconds, subject};
pub use self::proof::{About, Possession, Replay, Replays, assertion, claimed_subject, possession};
pub use self::rsa_file::RsaFileError;

/// Most keys that tokens are checked with: the newest, of which the last alone signs.
const KEYS_MAX: usize = 64;

/// Renders tokens, and checks those it rendered.
pub struct Jose {
    secrets: Arc<Keystore>,
    /// Where RSA keys lie.
    directory: PathBuf,
    signers: RwLock<HashMap<KeyId, Arc<EncodingKey>>>,
    known: RwLock<Arc<KnownKeys>>,
}

/// Public keys, as of one moment.
#[derive(Default)]
pub struct KnownKeys {
    as_of: Option<TreeSize>,
    keys: Vec<(PublicKeyRow, DecodingKey)>,
}

/// A token cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The key is not there.
    #[error("the token-signing key {0} is not there")]
    NoKey(KeyId),
    /// The keystore failed.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// The key's file failed.
    #[error(transparent)]
    File(#[from] RsaFileError),
    /// The crate refused.
    #[error("a token cannot be signed: {0}")]
    Jwt(#[from] jsonwebtoken::errors::Error),
}

impl Jose {
    /// Signs with keys of a keystore, and of a data directory's key directory.
    #[must_use]
    pub fn new(secrets: Arc<Keystore>, data_dir: &Path) -> Self {
        Self { secrets, directory: key_directory(data_dir), signers: RwLock::default(), known: RwLock::default() }
    }

    /// Signs claims with a key.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn sign(&self, key: &PublicKeyRow, claims: &impl Serialize) -> Result<String, SignError> {
        let signer = self.signer(key)?;
        let mut header = Header::new(algorithm(key.algorithm));
        header.kid = Some(key.key.to_string());
        Ok(jsonwebtoken::encode(&header, claims, &signer)?)
    }

    fn signer(&self, key: &PublicKeyRow) -> Result<Arc<EncodingKey>, SignError> {
        if let Some(signer) = self.signers.read().unwrap_or_else(PoisonError::into_inner).get(&key.key) {
            return Ok(signer.clone());
        }
        let signer = match key.algorithm {
            Algorithm::Ed25519 | Algorithm::P256 => {
                let seed = self.secrets.secret(&SecretName::TokenSigning(key.key))?.ok_or(SignError::NoKey(key.key))?;
                EncodingKey::from_ed_der(&ed25519_pkcs8(&seed))
            }
            Algorithm::Rsa => EncodingKey::from_rsa_pem(rsa_file::read(&self.directory, &key.public)?.as_bytes())?,
        };
        let signer = Arc::new(signer);
        let mut signers = self.signers.write().unwrap_or_else(PoisonError::into_inner);
        // Those before it have been rotated away.
        if signers.len() >= KEYS_MAX {
            signers.clear();
        }
        signers.insert(key.key, signer.clone());
        Ok(signer)
    }

    /// The keys that tokens are checked with, as of a change of them; `None` when they are to be [learnt](Self::learn)
    /// first.
    #[must_use]
    pub fn known(&self, as_of: TreeSize) -> Option<Arc<KnownKeys>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        (known.as_of == Some(as_of)).then(|| known.clone())
    }

    /// Reads the keys from a view that reflects a log of this size.
    ///
    /// # Errors
    /// [`RowsError`] when the view cannot be read.
    pub fn learn(&self, identity: &dyn Scan, as_of: TreeSize) -> Result<Arc<KnownKeys>, RowsError> {
        let mut keys = Vec::new();
        for (_, id) in TOKEN_KEY_LIST.page(identity, (), Order::Descending, 0, KEYS_MAX)? {
            let row = KEYS.get(identity, id)?.ok_or(RowsError::Missing("a token-signing key"))?;
            let decoding = match row.algorithm {
                Algorithm::Ed25519 | Algorithm::P256 => DecodingKey::from_ed_der(&row.public),
                Algorithm::Rsa => DecodingKey::from_rsa_der(&row.public),
            };
            keys.push((row, decoding));
        }
        let known = Arc::new(KnownKeys { as_of: Some(as_of), keys });
        let mut kept = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if kept.as_of < known.as_of {
            *kept = known.clone();
        }
        Ok(known)
    }
}

impl KnownKeys {
    /// The claims of a token that one of the keys signed, which may be expired: what it is worth now is asked of the
    /// ledger. `None` for any other text; among them every token whose algorithm is not its key's, such as `none`.
    #[must_use]
    pub fn verified<T: DeserializeOwned>(&self, text: &str) -> Option<T> {
        let kid = jsonwebtoken::decode_header(text).ok()?.kid?;
        let kid = KeyId::from_uuid(parse_uuid(&kid).ok()?);
        let (row, key) = self.keys.iter().find(|(row, _)| row.key == kid)?;
        let mut validation = Validation::new(algorithm(row.algorithm));
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        jsonwebtoken::decode(text, key, &validation).ok().map(|token| token.claims)
    }

    /// The keys that anybody may check tokens with at a time: the present ones, and retired ones for as long as a token
    /// that they signed may live.
    #[must_use]
    pub fn jwks(&self, now: Micros) -> JwkSet {
        let is_shown = |row: &PublicKeyRow| row.retired.is_none_or(|at| now.0 <= at.0 + LIFE_SECS * 1_000_000);
        let shown = self.keys.iter().filter(|(row, _)| is_shown(row));
        JwkSet { keys: shown.filter_map(|(row, key)| published(row, key)).collect() }
    }
}

/// A key as JSON (RFC 7517); `None` for one whose public part is not what its algorithm says, which was never written.
fn published(row: &PublicKeyRow, key: &DecodingKey) -> Option<Jwk> {
    let mut jwk = Jwk::from_decoding_key(key, Some(algorithm(row.algorithm))).ok()?;
    jwk.common.key_id = Some(row.key.to_string());
    jwk.common.public_key_use = Some(PublicKeyUse::Signature);
    Some(jwk)
}

/// The algorithm of JOSE that a key signs by (RFC 7518, RFC 8037).
const fn algorithm(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    match algorithm {
        Algorithm::Ed25519 => jsonwebtoken::Algorithm::EdDSA,
        Algorithm::Rsa => jsonwebtoken::Algorithm::RS256,
        Algorithm::P256 => jsonwebtoken::Algorithm::ES256,
    }
}

/// An Ed25519 seed in PKCS#8 (RFC 8410 section 7).
fn ed25519_pkcs8(seed: &[u8; 32]) -> Zeroizing<Vec<u8>> {
    const BEFORE_SEED: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    Zeroizing::new([&BEFORE_SEED[..], seed].concat())
}

/// Where keys lie as files.
fn key_directory(data_dir: &Path) -> PathBuf {
    data_dir.join("keys")
}

/// The public part of the RSA key to sign with from now on: a new one, whose file survives a power cut.
///
/// # Errors
/// [`RsaFileError`].
pub fn new_rsa_key(data_dir: &Path) -> Result<Vec<u8>, RsaFileError> {
    rsa_file::create(&key_directory(data_dir))
}

/// The public part of the key that [`Purpose`] stands for, to provide it with: that of the present one, or of a new one
/// where a file is needed and there is none. Reads the present one's file, so that a start without it fails.
///
/// # Errors
/// [`RsaFileError`]; [`RowsError`] when the view cannot be read.
pub fn key_to_provide(data_dir: &Path, purpose: Purpose, identity: &dyn Rows) -> Result<Vec<u8>, ProvideError> {
    if purpose != Purpose::JwtRs256 {
        return Ok(Vec::new());
    }
    match SIGNING_KEYS.get(identity, purpose_code(purpose))? {
        Some(key) => {
            rsa_file::read(&key_directory(data_dir), &key.public)?;
            Ok(key.public)
        }
        None => Ok(new_rsa_key(data_dir)?),
    }
}

/// There is no key to sign with.
#[derive(Debug, thiserror::Error)]
pub enum ProvideError {
    /// Its file cannot be used.
    #[error(transparent)]
    File(#[from] RsaFileError),
    /// Which it is cannot be read.
    #[error("the key to sign tokens with cannot be looked up: {0}")]
    Rows(#[from] RowsError),
    /// It was not put in place.
    #[error("no key to sign with could be put in place: {0}")]
    NotDecided(String),
}

#[cfg(test)]
mod tests {
    use chancery_ledger::keys::SigningKey;
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;

    fn row(key: u8, algorithm: Algorithm, public: Vec<u8>) -> PublicKeyRow {
        PublicKeyRow {
            key: KeyId::from_uuid(chancery_ledger::ids::uuid_v7(u64::from(key), [key; 10])),
            purpose: if algorithm == Algorithm::Rsa { Purpose::JwtRs256 } else { Purpose::JwtEddsa },
            algorithm,
            public,
            tenant: None,
            added: Micros(0),
            retired: None,
        }
    }

    /// A data directory with a key of each algorithm, what signs with them, and what checks.
    fn world() -> (tempfile::TempDir, Jose, Vec<PublicKeyRow>, KnownKeys) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("keys")).unwrap();
        let secrets = Arc::new(Keystore::open(&dir.path().join("keystore")).unwrap());
        let seed = Zeroizing::new([7; 32]);
        let ed = row(1, Algorithm::Ed25519, SigningKey::from_seed(seed.clone()).public().as_bytes().to_vec());
        let secret = chancery_ledger::keystore::NewSecret { name: SecretName::TokenSigning(ed.key), secret: seed };
        secrets.put(&[secret]).unwrap();
        let rsa = row(2, Algorithm::Rsa, new_rsa_key(dir.path()).unwrap());
        let jose = Jose::new(secrets, dir.path());
        let keys = vec![
            (ed.clone(), DecodingKey::from_ed_der(&ed.public)),
            (rsa.clone(), DecodingKey::from_rsa_der(&rsa.public)),
        ];
        (dir, jose, vec![ed, rsa], KnownKeys { as_of: None, keys })
    }

    #[test]
    fn what_a_key_signs_it_checks_and_the_published_key_too() {
        let (_dir, jose, rows, known) = world();
        for row in &rows {
            let text = jose.sign(row, &json!({ "jti": "x", "exp": 1 })).unwrap();
            assert_eq!(known.verified::<Value>(&text).unwrap()["jti"], "x", "though it is long over");
            let set = serde_json::to_value(known.jwks(Micros(0))).unwrap();
            let published = set["keys"].as_array().unwrap().iter().find(|jwk| jwk["kid"] == row.key.to_string());
            let published: jsonwebtoken::jwk::Jwk = serde_json::from_value(published.unwrap().clone()).unwrap();
            let mut validation = Validation::new(algorithm(row.algorithm));
            validation.validate_exp = false;
            let key = DecodingKey::from_jwk(&published).unwrap();
            jsonwebtoken::decode::<Value>(&text, &key, &validation).unwrap();
        }
    }

    #[test]
    fn nothing_else_is_a_token() {
        use base64::Engine as _;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

        let (_dir, jose, rows, known) = world();
        let good = jose.sign(&rows[0], &json!({ "jti": "x" })).unwrap();
        let [header, claims, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("no token") };
        let head = |header: Value| BASE64.encode(header.to_string());
        let kid = rows[0].key.to_string();
        let other = BASE64.encode(json!({ "jti": "y" }).to_string());
        for bad in [
            String::new(),
            "a.b.c".to_owned(),
            format!("{header}.{claims}."),
            format!("{header}.{other}.{signature}"),
            format!("{}.{claims}.{signature}", head(json!({ "alg": "none", "kid": kid }))),
            format!("{}.{claims}.", head(json!({ "alg": "none", "kid": kid }))),
            format!("{}.{claims}.{signature}", head(json!({ "alg": "EdDSA" }))),
            format!("{}.{claims}.{signature}", head(json!({ "alg": "RS256", "kid": kid }))),
            format!("{}.{claims}.{signature}", head(json!({ "alg": "EdDSA", "kid": rows[1].key.to_string() }))),
            format!("{}.{claims}.{signature}", head(json!({ "alg": "EdDSA", "kid": Uuid::nil().to_string() }))),
        ] {
            assert!(known.verified::<Value>(&bad).is_none(), "{bad}");
        }
        // The public key of one algorithm is no secret of another.
        let forged = jsonwebtoken::encode(
            &Header { kid: Some(kid), ..Header::new(jsonwebtoken::Algorithm::HS256) },
            &json!({ "jti": "x" }),
            &EncodingKey::from_secret(&rows[0].public),
        );
        assert!(known.verified::<Value>(&forged.unwrap()).is_none());
    }

    #[test]
    fn a_retired_key_is_shown_until_its_last_token_is_over() {
        let (_dir, _, _, mut known) = world();
        known.keys[0].0.retired = Some(Micros(0));
        let life = LIFE_SECS * 1_000_000;
        assert_eq!(known.jwks(Micros(life)).keys.len(), 2);
        assert_eq!(known.jwks(Micros(life + 1)).keys.len(), 1);
    }
}
