//! Whom the reader trusts to know the time.

use std::time::Duration;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::TimestampError;

/// `id-kp-timeStamping`, 1.3.6.1.5.5.7.3.8, as DER has it behind tag and length.
const TIME_STAMPING: &[u8] = &[0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08];
/// Most certificates in one file.
const CERTIFICATES_MAX: usize = 256;

/// Certificates that timestamps must lead to.
#[derive(Debug, Clone)]
pub struct Authorities(Vec<TrustAnchor<'static>>);

/// A file holds no certificates of authorities.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthoritiesError {
    /// It is no PEM.
    #[error("it is no PEM file of certificates: {0}")]
    Pem(String),
    /// One of them is none.
    #[error("one of its certificates is malformed: {0}")]
    Certificate(webpki::Error),
    /// There is none, or there are too many.
    #[error("it must hold 1 to {CERTIFICATES_MAX} certificates")]
    Count,
}

impl Authorities {
    /// From a PEM file of certificates.
    ///
    /// # Errors
    /// [`AuthoritiesError`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, AuthoritiesError> {
        let mut anchors = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| AuthoritiesError::Pem(error.to_string()))?;
            let anchor = anchor_from_trusted_cert(&certificate).map_err(AuthoritiesError::Certificate)?;
            anchors.push(anchor.to_owned());
        }
        if (1..=CERTIFICATES_MAX).contains(&anchors.len()) { Ok(Self(anchors)) } else { Err(AuthoritiesError::Count) }
    }

    /// Checks that one of them vouched for a signer, at the time of the signature.
    pub(super) fn check(
        &self, signer: &EndEntityCert<'_>, others: &[CertificateDer<'_>], time: Duration,
    ) -> Result<(), TimestampError> {
        let (time, usage) = (UnixTime::since_unix_epoch(time), KeyUsage::required_if_present(TIME_STAMPING));
        let path = signer.verify_for_usage(ALL_VERIFICATION_ALGS, &self.0, others, time, usage, None, None);
        path.map(drop).map_err(TimestampError::Untrusted)
    }
}
