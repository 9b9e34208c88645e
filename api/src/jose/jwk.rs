//! Public keys as JSON (RFC 7517, RFC 7518, RFC 8037).

use chancery_ledger::body::ledger::Algorithm;
use chancery_projections::b64u;
use chancery_projections::identity::state::PublicKeyRow;
use serde::Serialize;

/// A set of public keys.
#[derive(Debug, Serialize)]
pub struct JwkSet {
    /// The keys.
    pub keys: Vec<Jwk>,
}

/// A public key that signs tokens.
#[derive(Debug, Serialize)]
pub struct Jwk {
    kid: String,
    #[serde(rename = "use")]
    usage: &'static str,
    alg: &'static str,
    #[serde(flatten)]
    parts: Parts,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Parts {
    Rsa { kty: &'static str, n: String, e: String },
    Okp { kty: &'static str, crv: &'static str, x: String },
}

impl Jwk {
    /// A key as JSON; `None` for one whose public part is not what its algorithm says, which was never written.
    #[must_use]
    pub fn of(row: &PublicKeyRow) -> Option<Self> {
        let (alg, parts) = match row.algorithm {
            Algorithm::Ed25519 => ("EdDSA", Parts::Okp { kty: "OKP", crv: "Ed25519", x: b64u::render(&row.public) }),
            Algorithm::Rsa => {
                let (n, e) = rsa_parts(&row.public)?;
                ("RS256", Parts::Rsa { kty: "RSA", n: b64u::render(n), e: b64u::render(e) })
            }
            Algorithm::P256 => return None,
        };
        Some(Self { kid: row.key.to_string(), usage: "sig", alg, parts })
    }
}

/// Modulus and exponent of an RSA public key in PKCS#1 (RFC 8017 appendix A.1.1): a DER sequence of two integers.
fn rsa_parts(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (sequence, rest) = der_value(der, 0x30)?;
    let (modulus, after) = der_value(sequence, 2)?;
    let (exponent, end) = der_value(after, 2)?;
    // An integer whose first bit is set is written behind a zero; JSON has none.
    let unsigned = |bytes: &'_ [u8]| -> usize { bytes.iter().take_while(|byte| **byte == 0).count() };
    (rest.is_empty() && end.is_empty()).then(|| (&modulus[unsigned(modulus)..], &exponent[unsigned(exponent)..]))
}

/// The bytes of a DER value with this tag, and what comes after it.
fn der_value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    if found == tag { rest.split_at_checked(length) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_rsa_key_is_two_numbers() {
        let der = [0x30, 8, 2, 3, 0, 0x80, 1, 2, 1, 3];
        assert_eq!(rsa_parts(&der), Some((&[0x80, 1][..], &[3][..])));
        for cut in 0..der.len() {
            assert_eq!(rsa_parts(&der[..cut]), None);
        }
        assert_eq!(rsa_parts(&[&der[..], &[0]].concat()), None);
    }
}
