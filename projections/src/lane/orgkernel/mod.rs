//! OrgKernel's formats: the texts it signs and hashes, byte for byte, computed from native data.
//!
//! Signatures are Ed25519 over the ASCII bytes of a preimage, without newline, as unpadded base64url
//! ([`crate::b64u`]). Nothing here signs, stores or tells the time.

pub mod canonical_json;
pub mod certificate;
pub mod entry;
pub mod ids;
pub mod time;
pub mod token_preimage;

#[cfg(test)]
mod vectors;
