//! The ledger's own sealing key.

use chancery_ledger::body::ledger::{Algorithm, Purpose, SigningKeyAdded, SigningKeyRetired};
use chancery_ledger::ids::TenantId;
use chancery_ledger::keys::PublicKey;

use super::tenant;
use crate::command::RotateSigningKey;
use crate::context::Context;
use crate::decision::{Decided, State, Stop};
use crate::identity::state::SEALING_KEY;
use crate::rejection::Rejection;
use crate::rows::RowsError;

/// Decides [`RotateSigningKey`]. The event that names the new key is the last of its commit: that commit is sealed by
/// the old key, and every later one by the new.
///
/// # Errors
/// [`Rejection::NotRoot`], [`Rejection::Invalid`], [`Rejection::KeyInUse`].
pub fn rotate(state: &State<'_>, command: &RotateSigningKey, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    if !tenant::find(state, ctx.tenant())?.root {
        return Err(Rejection::NotRoot.into());
    }
    let old = SEALING_KEY.get(state.identity, ())?.ok_or(RowsError::Missing("the sealing key"))?;
    if PublicKey::from_slice(&command.public).is_none() || command.public == [0; 32] {
        let why = "must be a key that lies in the key directory; the daemon sets it".into();
        return Err(Rejection::Invalid { field: "public", why }.into());
    }
    if old.public == command.public {
        return Err(Rejection::KeyInUse.into());
    }
    let retired = SigningKeyRetired {
        key: old.key,
        purpose: Purpose::Seal,
        algorithm: old.algorithm,
        public: old.public,
        tenant: None,
    };
    let added = SigningKeyAdded {
        key: ctx.id()?,
        purpose: Purpose::Seal,
        algorithm: Algorithm::Ed25519,
        public: command.public.to_vec(),
        tenant: None,
    };
    Ok(Decided::facts(TenantId::LEDGER, vec![retired.into(), added.into()]))
}
