//! The ledger's own keys: the one that seals commits, and those that sign tokens and cosignatures. And what its views come to.

use chancery_ledger::body::Body;
use chancery_ledger::body::evidence::EvidenceExported;
use chancery_ledger::body::ledger::{Algorithm, Purpose, SigningKeyAdded, SigningKeyRetired};
use chancery_ledger::body::view_roots::ViewRootsPublished;
use chancery_ledger::bundle::THINGS_MAX;
use chancery_ledger::ids::{KeyId, TenantId};
use chancery_ledger::keys::{PublicKey, SigningKey};
use chancery_ledger::keystore::SecretName;

use super::tenant;
use crate::command::{ExportEvidence, ProvideTokenKey, PublishViewRoots, RotateSigningKey};
use crate::context::Context;
use crate::decision::{Decided, State, Stop};
use crate::identity::state::{LEDGER, PublicKeyRow, SEALING_KEY, SIGNING_KEYS, VIEW_ROOTS, purpose_code};
use crate::output::Output;
use crate::rejection::Rejection;
use crate::rows::{FORMAT, RowsError};

/// Decides [`RotateSigningKey`]. The event that names a new sealing key is the last of its commit: that commit is sealed
/// by the old key, and every later one by the new. A key that signed tokens stays good for those it signed.
///
/// # Errors
/// [`Rejection::NotRoot`], [`Rejection::Invalid`], [`Rejection::KeyInUse`].
pub fn rotate(state: &State<'_>, command: &RotateSigningKey, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    if !tenant::find(state, ctx.tenant())?.root {
        return Err(Rejection::NotRoot.into());
    }
    let old = match command.purpose {
        Purpose::Seal => Some(SEALING_KEY.get(state.identity, ())?.ok_or(RowsError::Missing("the sealing key"))?),
        purpose => SIGNING_KEYS.get(state.identity, purpose_code(purpose))?,
    };
    if old.as_ref().is_some_and(|old| old.public == command.public) {
        return Err(Rejection::KeyInUse.into());
    }
    let added = match command.purpose {
        Purpose::Seal => sealing_key(&command.public, ctx)?,
        purpose => own_key(purpose, &command.public, ctx)?,
    };
    let retired = old.map(|old| Body::from(retired(old)));
    Ok(Decided::facts(TenantId::LEDGER, retired.into_iter().chain([added.into()]).collect()))
}

/// Decides [`ExportEvidence`]. What the caller gets to see is for who makes the bundle: it is all in the log already.
///
/// # Errors
/// [`Rejection::Invalid`].
pub fn export_evidence(command: &ExportEvidence, ctx: &Context<'_>) -> Result<Decided, Stop> {
    let ExportEvidence { first, end, from, to, of, things, bodies, headers } = command.clone();
    if first > end {
        return Err(Rejection::Invalid { field: "first", why: "must not be after `end`".into() }.into());
    }
    if things.len() > THINGS_MAX {
        return Err(Rejection::Invalid { field: "things", why: format!("at most {THINGS_MAX}") }.into());
    }
    let event = EvidenceExported { first, end, from, to, of, things, bodies, headers };
    Ok(Decided::facts(ctx.tenant(), vec![event.into()]))
}

/// Decides [`ProvideTokenKey`].
///
/// # Errors
/// [`Rejection::Invalid`].
pub fn provide_token_key(state: &State<'_>, command: &ProvideTokenKey, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    if let Some(key) = SIGNING_KEYS.get(state.identity, purpose_code(command.purpose))? {
        return Ok(Decided::unchanged(Output::SigningKey(key)));
    }
    let added = own_key(command.purpose, &command.public, ctx)?;
    Ok(Decided::facts(TenantId::LEDGER, vec![added.into()]))
}

/// Decides [`ProvideWitnessKey`](crate::command::ProvideWitnessKey).
///
/// # Errors
/// None but those of reading rows and making keys.
pub fn provide_witness_key(state: &State<'_>, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    if let Some(key) = SIGNING_KEYS.get(state.identity, purpose_code(Purpose::Witness))? {
        return Ok(Decided::unchanged(Output::SigningKey(key)));
    }
    let added = own_key(Purpose::Witness, &[], ctx)?;
    Ok(Decided::facts(TenantId::LEDGER, vec![added.into()]))
}

/// Decides [`PublishViewRoots`]. Roots that reflect no more than those published last are not published.
///
/// # Errors
/// [`Stop::Rows`] when there is no ledger.
pub fn publish_view_roots(state: &State<'_>, command: &PublishViewRoots, _: &mut Context<'_>) -> Result<Decided, Stop> {
    let last = VIEW_ROOTS.get(state.identity, ())?;
    if last.is_some_and(|last| last.size >= command.size) {
        return Ok(Decided::unchanged(Output::Done));
    }
    let ledger = LEDGER.get(state.identity, ())?.ok_or(RowsError::Missing("the ledger"))?.ledger;
    let (size, format, roots) = (command.size.0, FORMAT.into(), command.roots.clone());
    Ok(Decided::facts(TenantId::LEDGER, vec![ViewRootsPublished { ledger, size, format, roots }.into()]))
}

fn sealing_key(public: &[u8], ctx: &mut Context<'_>) -> Result<SigningKeyAdded, Stop> {
    if PublicKey::from_slice(public).is_none_or(|key| *key.as_bytes() == [0; 32]) {
        return Err(not_in_directory());
    }
    let (key, public) = (ctx.id()?, public.to_vec());
    Ok(SigningKeyAdded { key, purpose: Purpose::Seal, algorithm: Algorithm::Ed25519, public, tenant: None })
}

/// A new key to sign tokens or cosignatures with: an Ed25519 key is made here and kept in the keystore, an RSA key lies in the key
/// directory.
fn own_key(purpose: Purpose, public: &[u8], ctx: &mut Context<'_>) -> Result<SigningKeyAdded, Stop> {
    let key: KeyId = ctx.id()?;
    let (algorithm, public) = match purpose {
        Purpose::JwtEddsa | Purpose::Witness => {
            let seed = ctx.secret()?;
            let public = SigningKey::from_seed(seed.clone()).public();
            ctx.keep(SecretName::TokenSigning(key), seed);
            (Algorithm::Ed25519, public.as_bytes().to_vec())
        }
        Purpose::JwtRs256 if public.is_empty() => return Err(not_in_directory()),
        Purpose::JwtRs256 => (Algorithm::Rsa, public.to_vec()),
        Purpose::Seal | Purpose::OrgCa => {
            let why = "must be `seal`, `jwt_eddsa`, `jwt_rs256` or `witness`".into();
            return Err(Rejection::Invalid { field: "purpose", why }.into());
        }
    };
    Ok(SigningKeyAdded { key, purpose, algorithm, public, tenant: None })
}

fn retired(old: PublicKeyRow) -> SigningKeyRetired {
    let PublicKeyRow { key, purpose, algorithm, public, .. } = old;
    SigningKeyRetired { key, purpose, algorithm, public, tenant: None }
}

fn not_in_directory() -> Stop {
    let why = "must be a key that lies in the key directory; the daemon sets it".into();
    Rejection::Invalid { field: "public", why }.into()
}
