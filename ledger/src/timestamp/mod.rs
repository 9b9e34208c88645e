//! RFC 3161 timestamps of checkpoints: that somebody who keeps a clock of their own saw the log's root before a time.
//!
//! A token is over SHA-256 of a checkpoint's text, the lines that its signatures are over too, so it says the same of the
//! checkpoint whoever else signed that. Decoding is RustCrypto's (`x509-tsp`, `cms`), certificates and signatures are
//! `rustls-webpki`'s; what stands here is what RFC 3161 asks for beyond that.
//!
//! Out of scope: which authority is asked, over which connection, and when.

mod authorities;
mod token;

use cms::cert::x509::spki::AlgorithmIdentifierOwned;
use der::Encode as _;
use der::asn1::{Int, ObjectIdentifier, OctetString};
use sha2::{Digest as _, Sha256};
use x509_tsp::{MessageImprint, TimeStampReq, TspVersion};

pub use authorities::{Authorities, AuthoritiesError};
pub use token::{TOKEN_BYTES_MAX, Token};

use crate::tree::seal::Checkpoint;

/// SHA-256 (RFC 5754 section 2.2).
const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");

/// What a timestamp is over: SHA-256 of a checkpoint's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imprint([u8; 32]);

/// Something is no timestamp, or not the one it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// It is not DER of what it should be.
    #[error("it is malformed: {0}")]
    Malformed(#[from] der::Error),
    /// It is longer than one may be.
    #[error("it is longer than {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    /// The authority gives none.
    #[error("the authority gave no timestamp: {0}")]
    Refused(String),
    /// It is not what RFC 3161 calls a token.
    #[error("it is no timestamp token: {0}")]
    NoToken(&'static str),
    /// It is over something else.
    #[error("it is not over this checkpoint")]
    OtherImprint,
    /// It answers another request.
    #[error("it answers another request")]
    OtherNonce,
    /// The signer's certificate, or what is said of it, is not as it must be.
    #[error("its signer is not acceptable: {0}")]
    Signer(&'static str),
    /// The signer did not sign it.
    #[error("its signature does not hold")]
    Signature,
    /// None of the authorities vouches for the signer.
    #[error("no trusted authority vouches for its signer: {0}")]
    Untrusted(webpki::Error),
}

impl Imprint {
    /// Of a checkpoint.
    #[must_use]
    pub fn of(checkpoint: &Checkpoint) -> Self {
        Self(Sha256::digest(checkpoint.render()).into())
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The request for a timestamp over it (RFC 3161 section 2.4.1), with the certificates that are needed to check it. The
    /// nonce tells the answer from older ones.
    ///
    /// # Errors
    /// [`TimestampError::Malformed`], which cannot be.
    pub fn request(&self, nonce: Nonce) -> Result<Vec<u8>, TimestampError> {
        let request = TimeStampReq {
            version: TspVersion::V1,
            message_imprint: MessageImprint {
                hash_algorithm: AlgorithmIdentifierOwned { oid: SHA_256, parameters: None },
                hashed_message: OctetString::new(self.0)?,
            },
            req_policy: None,
            nonce: Some(nonce.int()?),
            cert_req: true,
            extensions: None,
        };
        Ok(request.to_der()?)
    }
}

/// Tells the answer to a request from the answers to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nonce([u8; 8]);

impl Nonce {
    /// From random bytes.
    #[must_use]
    pub const fn new(mut random: [u8; 8]) -> Self {
        // A positive number of 8 bytes, so that it has one encoding.
        random[0] = random[0] & 0x7F | 0x40;
        Self(random)
    }

    fn int(self) -> Result<Int, der::Error> {
        Int::new(&self.0)
    }
}

#[cfg(test)]
mod tests;
