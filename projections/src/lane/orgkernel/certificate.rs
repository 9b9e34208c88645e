//! The text that the organisation's CA signs for an agent's certificate.

use chancery_ledger::time::Micros;
use sha2::{Digest as _, Sha256};

use super::canonical_json::{object, text, text_or_null};
use super::time::to_offset;
use crate::b64u;

/// What a certificate's signature covers; status, purpose, metadata and revocation are not covered.
///
/// # Source
/// contracts/orgkernel.md, section 4, "Certificate preimage and signature".
#[derive(Debug, Clone, Copy)]
pub struct CertificatePreimage<'a> {
    /// The agent, `aid_…`; the certificate has the same id.
    pub agent_id: &'a str,
    /// The agent's name, unique in its organisation.
    pub agent_name: &'a str,
    /// The organisation, a slug.
    pub org_id: &'a str,
    /// The unit that asked for the certificate.
    pub issued_by: &'a str,
    /// The agent's Ed25519 key.
    pub public_key: &'a [u8; 32],
    /// [`ca_fingerprint`] of the CA's key that signs.
    pub ca_fingerprint: &'a str,
    /// When the identity was issued.
    pub issued_at: Micros,
    /// The last instant of validity; none for ever.
    pub valid_until: Option<Micros>,
}

impl CertificatePreimage<'_> {
    /// The nine members as canonical JSON: ASCII, whose bytes are signed.
    #[must_use]
    pub fn canonical(&self) -> String {
        object([
            ("agent_id", text(self.agent_id)),
            ("agent_name", text(self.agent_name)),
            ("ca_fingerprint", text(self.ca_fingerprint)),
            ("certificate_id", text(self.agent_id)),
            ("issued_at", text(&to_offset(self.issued_at))),
            ("issued_by", text(self.issued_by)),
            ("org_id", text(self.org_id)),
            ("public_key", text(&b64u::render(self.public_key))),
            ("valid_until", text_or_null(self.valid_until.map(to_offset).as_deref())),
        ])
    }
}

/// The name of a CA key: SHA-256 of its 32 raw bytes, as 64 lowercase hexadecimal digits.
#[must_use]
pub fn ca_fingerprint(public_key: &[u8; 32]) -> String {
    hex::encode(Sha256::digest(public_key))
}
