//! Whom else is believed: tokens that other issuers signed, held against their own keys. Which issuers a tenant believes
//! and whom it lets in for them is in the ledger; here is only whether a token is what it says.

mod foreign;
mod key_sets;

use chancery_projections::identity::state::{Issuer, IssuerStatus};

pub use self::foreign::{Claims, Doubt, KeySet, Unverified, is_for};
pub use self::key_sets::{FetchError, KeySets};
use crate::app::App;

/// Why a token is not believed.
#[derive(Debug, thiserror::Error)]
pub enum Distrust {
    /// The token is not what it should be.
    #[error(transparent)]
    Token(#[from] Doubt),
    /// Its issuer's keys are not to be had.
    #[error(transparent)]
    Keys(#[from] FetchError),
}

/// What a token says, if its issuer, which the ledger knows under the token's `iss`, is believed.
///
/// # Errors
/// [`Distrust`] says why it is not.
pub async fn partner_token(app: &App, token: Unverified<'_>, issuer: Option<Issuer>) -> Result<Claims, Distrust> {
    let issuer = issuer.filter(|issuer| issuer.status(app.now()) == IssuerStatus::Active).ok_or(Doubt::Issuer)?;
    let claims = verified(app, &issuer.jwks_uri, token).await?;
    let organisation = claims.get("organization_id").and_then(|value| value.as_str());
    if !issuer.admits(organisation) {
        return Err(Doubt::Organisation.into());
    }
    Ok(claims)
}

/// What a token says, if one of the keys at an address signed it.
///
/// # Errors
/// [`Distrust::Token`], [`Distrust::Keys`].
pub async fn verified(app: &App, jwks_uri: &str, token: Unverified<'_>) -> Result<Claims, Distrust> {
    let keys = app.key_sets().get(app.egress(), jwks_uri, |keys| token.is_covered_by(keys)).await?;
    Ok(token.verify(&keys, app.now())?)
}
