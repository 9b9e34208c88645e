//! Partners: whose tokens are believed, and whether one is (rows 36 to 41).

use chancery_projections::command::{RemoveIssuer, TrustIssuer, UpdateIssuer};
use chancery_projections::identity::state::{Issuer, IssuerStatus};
use chancery_projections::identity::view;
use chancery_projections::output::Output;

use super::call::{Call, created, no_content, ok, page, unexpected};
use super::error::Failure;
use super::fields::{Fault, Fields};
use super::wire::Page;
use super::wire::federation::{Partner, Verified};
use crate::issuers::{self, Unverified};
use crate::limits::FOREIGN_TOKEN_BYTES_MAX;
use crate::response::Response;

const LIMIT_DEFAULT: u64 = 20;
const LIMIT_MAX: u64 = 100;
/// Longest text of a field; what is too long for its meaning is refused with its name.
const CHARS_MAX: usize = 4096;
/// Most organisations that one partner's tokens may be of.
const ORGANISATIONS_MAX: usize = 64;

/// Row 36.
pub(super) async fn trust(mut call: Call) -> Result<Response, Failure> {
    let body = call.json().await?;
    let command = TrustIssuer {
        name: body.required("name", 2..=100)?.to_owned(),
        iss: body.required("issuer", 1..=CHARS_MAX)?.to_owned(),
        jwks_uri: jwks_uri(&call, &body)?.ok_or_else(|| Fault::missing("jwksUri"))?,
        organisations: organisations(&body)?.unwrap_or_default(),
        expires: body.time(spelled(&body, "expiresAt", "expires_at"))?,
    };
    match call.submit(command).await? {
        Output::Issuer(issuer) => Ok(created(&left(&call, *issuer))),
        _ => Err(unexpected()),
    }
}

/// Row 37.
pub(super) async fn list(call: Call) -> Result<Response, Failure> {
    let asked = page(&call.query()?, LIMIT_DEFAULT, LIMIT_MAX)?;
    let held = call.hold().await?;
    let found = view::kept_issuers(&call.reading(&held), call.tenant()?, asked)?;
    Ok(ok(&Page::of(asked, found, Partner::of)))
}

/// Row 38.
pub(super) async fn get(call: Call) -> Result<Response, Failure> {
    let held = call.hold().await?;
    let found = view::issuer(&call.reading(&held), call.tenant()?, call.id("id"))?;
    let found = found.filter(|issuer| issuer.status != IssuerStatus::Removed).ok_or_else(unknown)?;
    Ok(ok(&Partner::of(found)))
}

/// Row 39.
pub(super) async fn update(mut call: Call) -> Result<Response, Failure> {
    const STATUSES: &[(&str, bool)] = &[("active", false), ("suspended", true)];
    let body = call.json().await?;
    if body.get("issuer").is_some() {
        return Err(Fault::new("issuer", "cannot be changed; remove the partner and trust the other one").into());
    }
    let expires = spelled(&body, "expiresAt", "expires_at");
    let command = UpdateIssuer {
        issuer: call.id("id"),
        name: body.text("name", 2..=100)?.map(str::to_owned),
        jwks_uri: jwks_uri(&call, &body)?,
        organisations: organisations(&body)?,
        // `null` takes it away.
        expires: if body.names().any(|name| name == expires) { Some(body.time(expires)?) } else { None },
        suspended: body.one_of("status", STATUSES)?,
    };
    let nothing = UpdateIssuer {
        issuer: command.issuer,
        name: None,
        jwks_uri: None,
        organisations: None,
        expires: None,
        suspended: None,
    };
    if command == nothing {
        return Err(Fault::new("body", "must change something").into());
    }
    match call.submit(command).await? {
        Output::Issuer(issuer) => Ok(ok(&left(&call, *issuer))),
        _ => Err(unexpected()),
    }
}

/// Row 40.
pub(super) async fn remove(call: Call) -> Result<Response, Failure> {
    call.submit(RemoveIssuer { issuer: call.id("id") }).await?;
    Ok(no_content())
}

/// Row 41. A token that is not believed is an answer, with the reason.
pub(super) async fn verify(mut call: Call) -> Result<Response, Failure> {
    let body = call.json().await?;
    let token = body.required("token", 1..=FOREIGN_TOKEN_BYTES_MAX)?;
    let verified = match Unverified::parse(token) {
        Ok(token) => {
            let issuer = partner(&call, token.issuer()).await?;
            issuers::partner_token(&call.app, token, issuer).await
        }
        Err(doubt) => Err(doubt.into()),
    };
    let answer = match verified {
        Ok(claims) => {
            let text = |name: &str| claims.get(name).and_then(|value| value.as_str()).map(str::to_owned);
            Verified {
                valid: true,
                issuer: text("iss"),
                subject: text("sub"),
                organization_id: text("organization_id"),
                claims: Some(claims),
                reason: None,
            }
        }
        Err(distrust) => Verified { reason: Some(distrust.to_string()), ..Verified::default() },
    };
    Ok(ok(&answer))
}

/// Whom the caller's tenant knows under an `iss`.
async fn partner(call: &Call, iss: Option<&str>) -> Result<Option<Issuer>, Failure> {
    let Some(iss) = iss else { return Ok(None) };
    let held = call.hold().await?;
    Ok(view::issuer_by_iss(&call.reading(&held), call.tenant()?, iss)?)
}

fn unknown() -> Failure {
    Failure::not_found("PARTNER_NOT_FOUND", "there is no such partner")
}

fn left(call: &Call, issuer: Issuer) -> Partner {
    let status = issuer.status(call.app.now());
    Partner::left(issuer, status)
}

/// The name under which a field was sent that has two.
fn spelled(body: &Fields, name: &'static str, other: &'static str) -> &'static str {
    if body.names().any(|sent| sent == name) || !body.names().any(|sent| sent == other) { name } else { other }
}

fn jwks_uri(call: &Call, body: &Fields) -> Result<Option<String>, Failure> {
    let name = spelled(body, "jwksUri", "jwks_uri");
    let Some(uri) = body.text(name, 1..=CHARS_MAX)? else { return Ok(None) };
    call.app.egress().target(uri).map_err(|forbidden| Fault::new(name, forbidden.to_string()))?;
    Ok(Some(uri.to_owned()))
}

fn organisations(body: &Fields) -> Result<Option<Vec<String>>, Failure> {
    let name = spelled(body, "allowedOrganizations", "allowed_organizations");
    Ok(body.texts(name, 0..=ORGANISATIONS_MAX, 1..=128)?)
}
