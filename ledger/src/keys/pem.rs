//! Signing keys as PKCS#8 PEM (RFC 5958, RFC 7468, RFC 8410). No copy of a seed is left behind in memory.

use pkcs8::der::SecretDocument;
use pkcs8::der::pem::PemLabel as _;
use pkcs8::pkcs5::pbes2;
use pkcs8::spki::AlgorithmIdentifierRef;
use pkcs8::{EncryptedPrivateKeyInfo, Error, LineEnding, ObjectIdentifier, PrivateKeyInfo};
use zeroize::Zeroizing;

use super::SigningKey;

/// RFC 8410 §3: id-Ed25519, without parameters.
const ED25519: AlgorithmIdentifierRef<'_> =
    AlgorithmIdentifierRef { oid: ObjectIdentifier::new_unwrap("1.3.101.112"), parameters: None };
/// RFC 8410 §7: the seed is an OCTET STRING of 32 bytes, inside the one PKCS#8 keeps any private key in.
const OCTET_STRING_OF_32: [u8; 2] = [0x04, 0x20];

/// Writes the seed alone (version 1): OpenSSL 3.0 reads no file that holds the public key too.
pub(super) fn render(key: &SigningKey) -> Result<Zeroizing<String>, Error> {
    let octets = octets(key);
    let document = SecretDocument::encode_msg(&PrivateKeyInfo::new(ED25519, &*octets))?;
    Ok(document.to_pem(PrivateKeyInfo::PEM_LABEL, LineEnding::LF)?)
}

/// Writes the seed encrypted with AES-256-CBC under a key that scrypt derives (RFC 8018 PBES2, RFC 7914 §7). Salt and
/// vector must be fresh.
pub(super) fn render_encrypted(
    key: &SigningKey, passphrase: &str, salt: &[u8; 16], vector: &[u8; 16],
) -> Result<Zeroizing<String>, Error> {
    let scheme = pbes2::Parameters::scrypt_aes256cbc(Default::default(), salt, vector)?;
    let octets = octets(key);
    let document = PrivateKeyInfo::new(ED25519, &*octets).encrypt_with_params(scheme, passphrase)?;
    Ok(document.to_pem(EncryptedPrivateKeyInfo::PEM_LABEL, LineEnding::LF)?)
}

/// Reads a key that is not encrypted, of either version; a public key beside the seed must be the seed's.
pub(super) fn parse(pem: &str) -> Result<SigningKey, Error> {
    let (label, document) = SecretDocument::from_pem(pem)?;
    PrivateKeyInfo::validate_pem_label(label)?;
    from_der(&document)
}

/// Whether a text is meant to be an encrypted key.
pub(super) fn is_encrypted(pem: &str) -> bool {
    pem.contains(EncryptedPrivateKeyInfo::PEM_LABEL)
}

/// Reads an encrypted key: with scrypt or PBKDF2, as OpenSSL writes them.
pub(super) fn parse_encrypted(pem: &str, passphrase: &str) -> Result<SigningKey, Error> {
    let (label, document) = SecretDocument::from_pem(pem)?;
    EncryptedPrivateKeyInfo::validate_pem_label(label)?;
    from_der(&EncryptedPrivateKeyInfo::try_from(document.as_bytes())?.decrypt(passphrase)?)
}

fn from_der(document: &SecretDocument) -> Result<SigningKey, Error> {
    let info = PrivateKeyInfo::try_from(document.as_bytes())?;
    info.algorithm.assert_algorithm_oid(ED25519.oid)?;
    if info.algorithm.parameters.is_some() {
        return Err(Error::ParametersMalformed);
    }
    let seed = info.private_key.strip_prefix(&OCTET_STRING_OF_32).ok_or(Error::KeyMalformed)?;
    let mut copy = Zeroizing::new([0; 32]);
    *copy = seed.try_into().map_err(|_| Error::KeyMalformed)?;
    let key = SigningKey::from_seed(copy);
    match info.public_key {
        Some(public) if public != key.public().as_bytes() => Err(Error::KeyMalformed),
        _ => Ok(key),
    }
}

fn octets(key: &SigningKey) -> Zeroizing<[u8; 34]> {
    let mut octets = Zeroizing::new([0; 34]);
    octets[..2].copy_from_slice(&OCTET_STRING_OF_32);
    octets[2..].copy_from_slice(key.0.as_bytes());
    octets
}
