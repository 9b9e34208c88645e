//! A timestamp token: what it says, and whether its authority signed that.

use std::fmt;

use cmpv2::status::PkiStatus;
use cms::cert::CertificateChoices;
use cms::cert::x509::Certificate;
use cms::cert::x509::attr::Attributes;
use cms::cert::x509::ext::pkix::{ExtendedKeyUsage, SubjectKeyIdentifier};
use cms::cert::x509::spki::AlgorithmIdentifierOwned;
use cms::content_info::ContentInfo;
use cms::signed_data::{SignedData, SignerIdentifier, SignerInfo};
use der::asn1::{Any, ObjectIdentifier, OctetString};
use der::{Decode as _, DecodeOwned, Encode as _, Sequence};
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm};
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use webpki::EndEntityCert;
use webpki::ring as algorithms;
use x509_tsp::{TimeStampResp, TstInfo};

use super::{Authorities, Imprint, Nonce, SHA_256, TimestampError};
use crate::time::Micros;

/// Longest token, in bytes: with three certificates of the largest keys one has about 8,000. An event has room for it.
pub const TOKEN_BYTES_MAX: usize = 48 * 1024;

const SHA_384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA_512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.12");
const SIGNING_CERTIFICATE_V2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");
const TIME_STAMPING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");

/// A timestamp token. That it reads says nothing yet of who signed it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    der: Vec<u8>,
    signed: SignedData,
    content: Vec<u8>,
    info: TstInfo,
}

/// `SigningCertificate` (RFC 2634 section 5.4).
#[derive(Sequence)]
struct SigningCertificate {
    certs: Vec<EssCertId>,
    #[asn1(optional = "true")]
    policies: Option<Any>,
}

/// `ESSCertID`: a certificate by its SHA-1 hash.
#[derive(Sequence)]
struct EssCertId {
    cert_hash: OctetString,
    #[asn1(optional = "true")]
    issuer_serial: Option<Any>,
}

/// `SigningCertificateV2` (RFC 5035 section 3).
#[derive(Sequence)]
struct SigningCertificateV2 {
    certs: Vec<EssCertIdV2>,
    #[asn1(optional = "true")]
    policies: Option<Any>,
}

/// `ESSCertIDv2`: a certificate by a hash.
#[derive(Sequence)]
struct EssCertIdV2 {
    /// SHA-256 where it is left out.
    #[asn1(optional = "true")]
    hash_algorithm: Option<AlgorithmIdentifierOwned>,
    cert_hash: OctetString,
    #[asn1(optional = "true")]
    issuer_serial: Option<Any>,
}

impl Token {
    /// The token in the answer to a request (RFC 3161 section 2.4.2), if it answers that one.
    ///
    /// # Errors
    /// [`TimestampError`].
    pub fn of_response(response: &[u8], imprint: Imprint, nonce: Nonce) -> Result<Self, TimestampError> {
        if response.len() > TOKEN_BYTES_MAX {
            return Err(TimestampError::TooLong);
        }
        let response = TimeStampResp::from_der(response)?;
        let status = response.status.status;
        if !matches!(status, PkiStatus::Accepted | PkiStatus::GrantedWithMods) {
            return Err(TimestampError::Refused(format!("{status:?}")));
        }
        let token = response.time_stamp_token.ok_or(TimestampError::NoToken("the answer has none"))?;
        let token = Self::parse(&token.to_der()?)?;
        if !token.is_over(imprint) {
            return Err(TimestampError::OtherImprint);
        }
        if token.info.nonce.as_ref() != Some(&nonce.int()?) {
            return Err(TimestampError::OtherNonce);
        }
        Ok(token)
    }

    /// Reads a token: DER of a CMS `ContentInfo`.
    ///
    /// # Errors
    /// [`TimestampError`].
    pub fn parse(token: &[u8]) -> Result<Self, TimestampError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TimestampError::TooLong);
        }
        let info = ContentInfo::from_der(token)?;
        if info.content_type != SIGNED_DATA {
            return Err(TimestampError::NoToken("it is not signed"));
        }
        let signed: SignedData = info.content.decode_as()?;
        if signed.encap_content_info.econtent_type != TST_INFO {
            return Err(TimestampError::NoToken("it signs something else"));
        }
        let content = signed.encap_content_info.econtent.as_ref();
        let content: OctetString = content.ok_or(TimestampError::NoToken("it has no content"))?.decode_as()?;
        let content = content.into_bytes();
        let info = TstInfo::from_der(&content)?;
        Ok(Self { der: token.to_vec(), signed, content, info })
    }

    /// Its DER.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.der
    }

    /// When the authority made it, by its own clock.
    #[must_use]
    pub fn time(&self) -> Micros {
        let since = self.info.gen_time.to_unix_duration();
        Micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    /// Whether it is over a checkpoint of this imprint.
    #[must_use]
    pub fn is_over(&self, imprint: Imprint) -> bool {
        let theirs = &self.info.message_imprint;
        theirs.hash_algorithm.oid == SHA_256 && theirs.hashed_message.as_bytes() == imprint.0
    }

    /// Checks that it is over a checkpoint of this imprint, and that a signer made it for whom one of the authorities vouched
    /// at the time that it names.
    ///
    /// # Errors
    /// [`TimestampError`].
    pub fn verify(&self, imprint: Imprint, authorities: &Authorities) -> Result<(), TimestampError> {
        if !self.is_over(imprint) {
            return Err(TimestampError::OtherImprint);
        }
        let [signer] = self.signed.signer_infos.0.as_slice() else {
            return Err(TimestampError::NoToken("it has not one signature"));
        };
        let (certificate, others) = self.certificates(signer)?;
        check_purpose(certificate)?;
        let der = CertificateDer::from(certificate.to_der()?);
        let attributes = signer.signed_attrs.as_ref().ok_or(TimestampError::NoToken("it signs no attributes"))?;
        self.check_attributes(attributes, &signer.digest_alg, &der)?;
        let signer_cert = EndEntityCert::try_from(&der).map_err(TimestampError::Untrusted)?;
        check_signature(&signer_cert, signer, &attributes.to_der()?)?;
        authorities.check(&signer_cert, &others, self.info.gen_time.to_unix_duration())
    }

    /// The signer's certificate, and the others that came with it.
    fn certificates(
        &self, signer: &SignerInfo,
    ) -> Result<(&Certificate, Vec<CertificateDer<'static>>), TimestampError> {
        let (mut found, mut others) = (None, Vec::new());
        for choice in self.signed.certificates.iter().flat_map(|set| set.0.iter()) {
            let CertificateChoices::Certificate(certificate) = choice else { continue };
            if is_named(&signer.sid, certificate)? {
                found = Some(certificate);
            } else {
                others.push(CertificateDer::from(certificate.to_der()?));
            }
        }
        Ok((found.ok_or(TimestampError::Signer("its certificate is not there"))?, others))
    }

    /// Checks what is signed: that it is of this content, and by this certificate (RFC 3161 section 2.4.2; RFC 5652 section 5.6).
    fn check_attributes(
        &self, attributes: &Attributes, digest: &AlgorithmIdentifierOwned, certificate: &CertificateDer<'_>,
    ) -> Result<(), TimestampError> {
        let kind: ObjectIdentifier = attribute(attributes, CONTENT_TYPE)?
            .ok_or(TimestampError::NoToken("it does not sign what its content is"))?;
        let held: OctetString = attribute(attributes, MESSAGE_DIGEST)?
            .ok_or(TimestampError::NoToken("it does not sign a digest of its content"))?;
        if kind != TST_INFO || hash(digest.oid, &self.content)? != held.as_bytes() {
            return Err(TimestampError::Signature);
        }
        let v2: Option<SigningCertificateV2> = attribute(attributes, SIGNING_CERTIFICATE_V2)?;
        let is_named = match v2 {
            Some(named) => match named.certs.first() {
                Some(id) => {
                    let algorithm = id.hash_algorithm.as_ref().map_or(SHA_256, |algorithm| algorithm.oid);
                    hash(algorithm, certificate)? == id.cert_hash.as_bytes()
                }
                None => false,
            },
            None => {
                let named: Option<SigningCertificate> = attribute(attributes, SIGNING_CERTIFICATE)?;
                let named = named.ok_or(TimestampError::Signer("it does not sign which certificate is its own"))?;
                // SHA-1 tells here which of some certificates is meant. The signature does not rest on it.
                named.certs.first().is_some_and(|id| Sha1::digest(certificate)[..] == *id.cert_hash.as_bytes())
            }
        };
        if is_named { Ok(()) } else { Err(TimestampError::Signer("it names another certificate as its own")) }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("time", &self.time()).field("bytes", &self.der.len()).finish_non_exhaustive()
    }
}

/// Whether a signer is the one that a certificate is of.
fn is_named(signer: &SignerIdentifier, certificate: &Certificate) -> Result<bool, TimestampError> {
    let certificate = &certificate.tbs_certificate;
    Ok(match signer {
        SignerIdentifier::IssuerAndSerialNumber(id) => {
            id.issuer == certificate.issuer && id.serial_number == certificate.serial_number
        }
        SignerIdentifier::SubjectKeyIdentifier(id) => {
            certificate.get::<SubjectKeyIdentifier>()?.is_some_and(|(_, held)| held == *id)
        }
    })
}

/// Checks that a certificate is for timestamps and nothing else (RFC 3161 section 2.3).
fn check_purpose(certificate: &Certificate) -> Result<(), TimestampError> {
    match certificate.tbs_certificate.get::<ExtendedKeyUsage>()? {
        Some((true, ExtendedKeyUsage(purposes))) if purposes == [TIME_STAMPING] => Ok(()),
        _ => Err(TimestampError::Signer("its certificate is not for timestamps alone")),
    }
}

/// The one value of an attribute, if it is there.
fn attribute<T: DecodeOwned + for<'a> der::Tagged>(
    attributes: &Attributes, oid: ObjectIdentifier,
) -> Result<Option<T>, TimestampError> {
    let Some(attribute) = attributes.iter().find(|attribute| attribute.oid == oid) else { return Ok(None) };
    match attribute.values.as_slice() {
        [value] => Ok(Some(T::from_der(&value.to_der()?)?)),
        _ => Err(TimestampError::NoToken("an attribute has not one value")),
    }
}

fn hash(algorithm: ObjectIdentifier, bytes: &[u8]) -> Result<Vec<u8>, TimestampError> {
    match algorithm {
        SHA_256 => Ok(Sha256::digest(bytes).to_vec()),
        SHA_384 => Ok(Sha384::digest(bytes).to_vec()),
        SHA_512 => Ok(Sha512::digest(bytes).to_vec()),
        _ => Err(TimestampError::NoToken("it uses a hash that is not SHA-256, SHA-384 or SHA-512")),
    }
}

/// Checks the signature over the attributes, by the key of the certificate and the hash that the signer names. Which of a
/// hash's algorithms it is, the key says.
fn check_signature(certificate: &EndEntityCert<'_>, signer: &SignerInfo, signed: &[u8]) -> Result<(), TimestampError> {
    let candidates: &[&dyn SignatureVerificationAlgorithm] = match signer.digest_alg.oid {
        SHA_256 => &[
            algorithms::ECDSA_P256_SHA256,
            algorithms::ECDSA_P384_SHA256,
            algorithms::RSA_PKCS1_2048_8192_SHA256,
            algorithms::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
        ],
        SHA_384 => &[
            algorithms::ECDSA_P256_SHA384,
            algorithms::ECDSA_P384_SHA384,
            algorithms::RSA_PKCS1_2048_8192_SHA384,
            algorithms::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
        ],
        SHA_512 => &[
            algorithms::ED25519,
            algorithms::RSA_PKCS1_2048_8192_SHA512,
            algorithms::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
        ],
        _ => &[],
    };
    let signature = signer.signature.as_bytes();
    let holds = candidates.iter().any(|algorithm| certificate.verify_signature(*algorithm, signed, signature).is_ok());
    if holds { Ok(()) } else { Err(TimestampError::Signature) }
}
