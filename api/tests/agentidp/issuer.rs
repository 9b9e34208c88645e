//! A foreign issuer: a key, the key set that it serves, the tokens that it signs.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chancery_projections::context::{Clock as _, SystemClock};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

/// It serves the public half of its key at any path.
pub struct Issuer {
    pub url: String,
    seed: Arc<AtomicU8>,
}

impl Issuer {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seed = Arc::new(AtomicU8::new(1));
        let serving = seed.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                let mut lines = BufReader::new(connection.try_clone().unwrap()).lines();
                while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
                let keys = json!({ "keys": [jwk(serving.load(Ordering::SeqCst))] }).to_string();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", keys.len());
                connection.write_all((head + &keys).as_bytes()).unwrap();
            }
        });
        Self { url, seed }
    }

    pub fn jwks(&self) -> String {
        format!("{}/.well-known/jwks", self.url)
    }

    /// Has a new key, and only that one.
    pub fn rotate(&self) {
        self.seed.fetch_add(1, Ordering::SeqCst);
    }

    /// A token that says this beside what every token says.
    pub fn sign(&self, more: &Value) -> String {
        let seed = self.seed.load(Ordering::SeqCst);
        let now = SystemClock.now().0 / 1_000_000;
        let mut claims = json!({"iss": self.url, "sub": "somebody", "iat": now, "exp": now + 300});
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(kid(seed));
        let before_seed = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
        let key = EncodingKey::from_ed_der(&[&before_seed[..], &[seed; 32]].concat());
        jsonwebtoken::encode(&header, &claims, &key).unwrap()
    }
}

fn kid(seed: u8) -> String {
    format!("key-{seed}")
}

fn jwk(seed: u8) -> Value {
    let public = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]).verifying_key();
    let x = URL_SAFE_NO_PAD.encode(public.as_bytes());
    json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid(seed), "use": "sig", "alg": "EdDSA"})
}
