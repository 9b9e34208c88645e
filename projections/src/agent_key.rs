//! The P-256 key of an agent's DID document: made here, its private part kept in the key store for good.

use chancery_ledger::body::identity::{AgentKeyAdded, AgentKeyPurpose};
use chancery_ledger::body::ledger::Algorithm;
use chancery_ledger::ids::{AgentId, KeyId};
use chancery_ledger::keystore::SecretName;
use p256::SecretKey;
use p256::elliptic_curve::sec1::ToSec1Point as _;

use crate::context::{Context, ContextError};

/// Bytes of a coordinate of a point.
const COORDINATE_BYTES: usize = 32;

/// Makes a key for an agent, and gives the event that says so.
///
/// # Errors
/// [`ContextError::Random`].
pub fn make(agent: AgentId, ctx: &mut Context<'_>) -> Result<AgentKeyAdded, ContextError> {
    loop {
        let scalar = ctx.secret()?;
        // One of 2^32 draws is no scalar of the curve.
        let Ok(private) = SecretKey::from_slice(&*scalar) else { continue };
        let key: KeyId = ctx.id()?;
        ctx.keep(SecretName::AgentKey(key), scalar);
        let public = private.public_key().to_sec1_point(false).as_bytes().to_vec();
        return Ok(AgentKeyAdded { agent, key, purpose: AgentKeyPurpose::Did, algorithm: Algorithm::P256, public });
    }
}

/// The coordinates of a public key, big-endian; `None` when it is none.
#[must_use]
pub fn coordinates(public: &[u8]) -> Option<(&[u8], &[u8])> {
    let [4, rest @ ..] = public else { return None };
    (rest.len() == 2 * COORDINATE_BYTES).then(|| rest.split_at(COORDINATE_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_key_is_two_coordinates_behind_their_sec1_mark() {
        let private = SecretKey::from_slice(&[7; 32]).unwrap();
        let public = private.public_key().to_sec1_point(false);
        let (x, y) = coordinates(public.as_bytes()).unwrap();
        assert_eq!((x.len(), y.len()), (32, 32));
        assert_eq!(p256::PublicKey::from_sec1_bytes(&[&[4], x, y].concat()).unwrap(), private.public_key());
        assert_eq!(coordinates(&public.as_bytes()[..64]), None);
        assert_eq!(coordinates(&[2; 65]), None);
    }
}
