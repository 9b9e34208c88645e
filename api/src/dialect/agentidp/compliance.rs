//! Compliance: whether controls hold, for everybody; and a report for the caller's organisation.

use bytes::Bytes;
use chancery_ledger::ids::TenantId;
use chancery_projections::view::Held;
use hyper::StatusCode;
use hyper::header::{self, HeaderValue};

use super::account::Account;
use super::call::Call;
use super::error::Failure;
use super::wire::compliance::{Control, Controls, Report, Section};
use crate::compliance as checks;
use crate::response::{self, Response};

/// `GET /compliance/controls`.
pub(super) async fn controls(call: Call) -> Result<Response, Failure> {
    let (body, _) = call.app.controls().get(&(), found(&call)).await?;
    Ok(public(body))
}

async fn found(call: &Call) -> Result<Bytes, Failure> {
    let held = call.hold().await?;
    tokio::task::block_in_place(|| {
        let (app, reading) = (&*call.app, call.reading(&held));
        let now = reading.now;
        let control = |id, name, finding| Control::of(id, name, finding, now);
        Ok(rendered(&Controls {
            controls: [
                control("CC6.1", "Encryption at rest", checks::encryption(app)),
                control("CC6.7", "TLS", checks::transport(app)),
                control("CC7.2", "Audit integrity", checks::integrity(app, &reading)?),
                control("CC9.2", "Secrets rotation", checks::signing_keys(&reading)?),
                control("CC7.1", "Webhook dead letters", checks::deliveries(&reading, None)?),
            ]
            .into(),
        }))
    })
}

fn public(body: Bytes) -> Response {
    let mut response = response::typed(StatusCode::OK, "application/json", body);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
    response
}

/// `GET /compliance/report`.
pub(super) async fn report(call: Call) -> Result<Response, Failure> {
    let (held, tenant) = (call.hold().await?, call.tenant()?);
    let account = Account::of(&call, &call.reading(&held))?;
    let key = (tenant, account.organisation);
    let made = async { reported(&call, &held, tenant, &account) };
    let (body, is_kept) = call.app.reports().get(&key, made).await?;
    Ok(cached(body, if is_kept { "HIT" } else { "MISS" }))
}

fn reported(call: &Call, held: &Held, tenant: TenantId, account: &Account) -> Result<Bytes, Failure> {
    tokio::task::block_in_place(|| {
        let (app, reading) = (&*call.app, call.reading(held));
        let sections = [
            ("agent-identity", checks::agents(&reading, tenant, account.organisation)?),
            ("credential-rotation", checks::secrets(app, &reading, tenant)?),
            ("audit-integrity", checks::audit_log(app, &reading, tenant)?),
            ("encryption-at-rest", checks::encryption(app)),
            ("transport-security", checks::transport(app)),
            ("webhook-delivery", checks::deliveries(&reading, Some(tenant))?),
        ];
        let sections = sections.map(|(name, finding)| Section::of(name, finding));
        Ok(rendered(&Report::of(account.text(), reading.now, sections.into())))
    })
}

fn cached(body: Bytes, what: &'static str) -> Response {
    let mut response = response::typed(StatusCode::OK, "application/json", body);
    response.headers_mut().insert("x-cache", HeaderValue::from_static(what));
    response
}

fn rendered(value: &impl serde::Serialize) -> Bytes {
    // These shapes hold nothing that JSON cannot.
    serde_json::to_vec(value).unwrap_or_default().into()
}
