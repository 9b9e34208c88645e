//! Compliance: whether controls hold, for everybody; and a report for the caller's organisation.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chancery_ledger::ids::{OrganisationId, TenantId};
use hyper::StatusCode;
use hyper::header::{self, HeaderValue};
use tokio::sync::Mutex;

use super::account::Account;
use super::call::Call;
use super::error::Failure;
use super::wire::compliance::{Control, Controls, Report, Section};
use crate::compliance as checks;
use crate::response::{self, Response};

/// How long what was found of the controls is told.
const CONTROLS_KEPT: Duration = Duration::from_secs(60);
/// How long a report is.
const REPORT_KEPT: Duration = Duration::from_secs(300);
/// Reports kept; more organisations than this asking at once are each answered anew.
const REPORTS_MAX: usize = 1_024;

/// What was found lately, so that asking again costs nothing. Who asks while it is being found out waits for that.
#[derive(Debug, Default)]
pub struct Kept {
    controls: Mutex<Option<(Instant, Bytes)>>,
    reports: Mutex<HashMap<(TenantId, OrganisationId), (Instant, Bytes)>>,
}

/// `GET /compliance/controls`.
pub(super) async fn controls(call: Call) -> Result<Response, Failure> {
    let mut kept = call.app.compliance().controls.lock().await;
    if let Some((_, body)) = kept.as_ref().filter(|(since, _)| since.elapsed() < CONTROLS_KEPT) {
        return Ok(public(body.clone()));
    }
    let held = call.hold().await?;
    let controls = tokio::task::block_in_place(|| -> Result<_, Failure> {
        let (app, reading) = (&*call.app, call.reading(&held));
        let now = reading.now;
        let control = |id, name, finding| Control::of(id, name, finding, now);
        Ok(Controls {
            controls: [
                control("CC6.1", "Encryption at rest", checks::encryption(app)),
                control("CC6.7", "TLS", checks::transport(app)),
                control("CC7.2", "Audit integrity", checks::integrity(app, &reading)?),
                control("CC9.2", "Secrets rotation", checks::signing_keys(&reading)?),
                control("CC7.1", "Webhook dead letters", checks::deliveries(&reading, None)?),
            ]
            .into(),
        })
    })?;
    let body = rendered(&controls);
    *kept = Some((Instant::now(), body.clone()));
    Ok(public(body))
}

fn public(body: Bytes) -> Response {
    let mut response = response::typed(StatusCode::OK, "application/json", body);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
    response
}

/// `GET /compliance/report`.
pub(super) async fn report(call: Call) -> Result<Response, Failure> {
    let mut kept = call.app.compliance().reports.lock().await;
    let (held, tenant) = (call.hold().await?, call.tenant()?);
    let reading = call.reading(&held);
    let account = Account::of(&call, &reading)?;
    let key = (tenant, account.organisation);
    kept.retain(|_, (since, _)| since.elapsed() < REPORT_KEPT);
    if let Some((_, body)) = kept.get(&key) {
        return Ok(cached(body.clone(), "HIT"));
    }
    let report = tokio::task::block_in_place(|| -> Result<_, Failure> {
        let app = &*call.app;
        let sections = [
            ("agent-identity", checks::agents(&reading, tenant, account.organisation)?),
            ("credential-rotation", checks::secrets(app, &reading, tenant)?),
            ("audit-integrity", checks::audit_log(app, &reading, tenant)?),
            ("encryption-at-rest", checks::encryption(app)),
            ("transport-security", checks::transport(app)),
            ("webhook-delivery", checks::deliveries(&reading, Some(tenant))?),
        ];
        Ok(Report::of(account.text(), reading.now, sections.map(|(name, finding)| Section::of(name, finding)).into()))
    })?;
    let body = rendered(&report);
    if kept.len() < REPORTS_MAX {
        kept.insert(key, (Instant::now(), body.clone()));
    }
    Ok(cached(body, "MISS"))
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
