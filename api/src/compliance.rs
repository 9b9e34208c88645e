//! Whether controls hold: each looked at when it is asked for, in what there is, and never taken from a setting's word
//! where the thing itself can be asked.

use chancery_ledger::body::identity::CredentialKind;
use chancery_ledger::body::ledger::Purpose;
use chancery_ledger::commit::verify_newest;
use chancery_ledger::event::{ReadError, peek};
use chancery_ledger::ids::{OrganisationId, Seq, TenantId};
use chancery_ledger::keys::PublicKey;
use chancery_ledger::store::{LogStore, StoreError};
use chancery_ledger::time::Micros;
use chancery_projections::execution::delivery::state::DeliveryState;
use chancery_projections::execution::delivery::view::count_deliveries;
use chancery_projections::identity::state::AgentStatus;
use chancery_projections::identity::view::{
    CredentialFilter, PublicKeyView, agents_page, credentials, public_keys, tenants,
};
use chancery_projections::lane::agentidp::view::verify_newest as verify_newest_entries;
use chancery_projections::rows::Order;
use chancery_projections::view::{LIMIT_MAX, PageNumber, Paging, Reading};
use serde::Serialize;

use crate::app::App;
use crate::problem::Problem;

/// Events of the log that are verified: some tens of milliseconds.
const EVENTS_MAX: u64 = 10_000;
/// Events of a tenant's audit log that are verified.
const ENTRIES_MAX: u64 = 10_000;
/// Credentials that are looked at, the newest first.
const CREDENTIALS_MAX: usize = 10_000;
/// A client secret is due for rotation after so many days.
const SECRET_DAYS: i64 = 90;
/// A signing key is due for rotation after so many days.
const KEY_DAYS: i64 = 365;
const DAY_SECS: i64 = 86_400;

/// Whether a control holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It does.
    Pass,
    /// It does, and somebody should look at it.
    Warn,
    /// It does not.
    Fail,
}

/// What was found of a control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether it holds.
    pub status: Status,
    /// What was seen, as a sentence.
    pub details: String,
}

impl Finding {
    fn new(status: Status, details: impl Into<String>) -> Self {
        Self { status, details: details.into() }
    }
}

/// Encryption at rest: personal fields lie under data keys, which lie under the wrapping key; the sealing keys' files are
/// under a passphrase or for their owner alone.
pub fn encryption(app: &App) -> Finding {
    if let Err(error) = app.keystore().check_wrapping() {
        tracing::error!(%error, "the keystore's wrapping does not hold");
        return Finding::new(Status::Fail, "The keystore is not wrapped under its wrapping key.");
    }
    let keystore = "Personal fields are encrypted under data keys that are wrapped in the keystore";
    match app.engine().encrypted_sealing_keys() {
        Ok(files) if files.iter().all(|(_, text)| text.is_some()) => {
            Finding::new(Status::Pass, format!("{keystore}, and the sealing keys under a passphrase."))
        }
        Ok(_) => Finding::new(
            Status::Pass,
            format!(
                "{keystore}; the sealing keys' files are in clear, for their owner alone, because no passphrase is set."
            ),
        ),
        Err(error) => {
            tracing::error!(%error, "the sealing keys' files cannot be read");
            Finding::new(Status::Fail, "The sealing keys' files cannot be read.")
        }
    }
}

/// Encryption in transit: TLS is served, or nobody but this machine is.
#[must_use]
pub fn transport(app: &App) -> Finding {
    let config = app.config();
    match (config.is_tls(), config.listen.ip().is_loopback()) {
        (true, _) => Finding::new(Status::Pass, "TLS is served."),
        (false, true) => {
            Finding::new(Status::Warn, "Plain HTTP is served, to this machine alone; a proxy in front must serve TLS.")
        }
        (false, false) => Finding::new(Status::Fail, "Plain HTTP is served to other machines."),
    }
}

/// Integrity of the log: its newest events are verified, by the ledger's own verifier of what was written last.
///
/// # Errors
/// [`Problem::Unreadable`] when the views cannot be read.
pub fn integrity(app: &App, reading: &Reading<'_>) -> Result<Finding, Problem> {
    let keys: Vec<PublicKey> = ledger_keys(reading)?
        .iter()
        .filter(|key| key.purpose == Purpose::Seal)
        .filter_map(|key| PublicKey::from_slice(&key.public.0))
        .collect();
    Ok(match verify_newest(&*app.engine().log(), EVENTS_MAX, &keys) {
        Ok(events) => Finding::new(
            Status::Pass,
            format!("The newest {events} events are hash-linked, in the tree, and under the last signed checkpoint."),
        ),
        Err(error) => {
            tracing::error!(%error, "the newest events do not verify");
            Finding::new(Status::Fail, "The newest events of the log do not verify; the daemon's own log says why.")
        }
    })
}

/// Deliveries to the outside that were given up, of one tenant, or of the newest [`LIMIT_MAX`].
///
/// # Errors
/// [`Problem::Unreadable`] when the views cannot be read.
pub fn deliveries(reading: &Reading<'_>, tenant: Option<TenantId>) -> Result<Finding, Problem> {
    let tenants = match tenant {
        Some(tenant) => vec![tenant],
        None => tenants(reading, &Paging::newest(LIMIT_MAX))?.items.into_iter().map(|tenant| tenant.id).collect(),
    };
    let mut dead = 0;
    for tenant in tenants {
        dead += count_deliveries(reading.execution, tenant, DeliveryState::DeadLetter)?;
    }
    Ok(match dead {
        0 => Finding::new(Status::Pass, "No delivery to a webhook was given up."),
        dead => {
            Finding::new(Status::Warn, format!("{dead} deliveries to webhooks were given up; they can be sent again."))
        }
    })
}

/// Rotation of what the ledger signs with.
///
/// # Errors
/// [`Problem::Unreadable`] when the views cannot be read.
pub fn signing_keys(reading: &Reading<'_>) -> Result<Finding, Problem> {
    let due = reading.now.plus_secs(-KEY_DAYS * DAY_SECS);
    let keys = ledger_keys(reading)?;
    let old = keys.iter().filter(|key| key.retired.is_none() && key.added < due).count();
    Ok(match old {
        0 => Finding::new(Status::Pass, format!("Every signing key in use is younger than {KEY_DAYS} days.")),
        old => Finding::new(Status::Warn, format!("{old} signing keys in use are older than {KEY_DAYS} days.")),
    })
}

fn ledger_keys(reading: &Reading<'_>) -> Result<Vec<PublicKeyView>, Problem> {
    // There are as many as there were rotations; the newest are the ones that matter.
    Ok(public_keys(reading, TenantId::LEDGER, &Paging::newest(LIMIT_MAX))?.items)
}

/// Identity of an organisation's agents: how many there are, and whether those that are active, the newest
/// [`LIMIT_MAX`] of them, have keys to prove it with.
///
/// # Errors
/// [`Problem::Unreadable`] when the views cannot be read.
pub fn agents(reading: &Reading<'_>, tenant: TenantId, organisation: OrganisationId) -> Result<Finding, Problem> {
    let count = |status| -> Result<u64, Problem> {
        let first = PageNumber { number: 1, size: 1 };
        Ok(agents_page(reading, tenant, organisation, Some(status), first)?.total)
    };
    let (active, suspended) = (count(AgentStatus::Active)?, count(AgentStatus::Suspended)?);
    let ended = count(AgentStatus::Decommissioned)?;
    let newest = PageNumber { number: 1, size: LIMIT_MAX };
    let looked_at = agents_page(reading, tenant, organisation, Some(AgentStatus::Active), newest)?.items;
    let keyless = looked_at.iter().filter(|agent| agent.identity_key.is_none() && agent.did_key.is_none()).count();
    let there_are = format!("{active} agents are active, {suspended} suspended, {ended} decommissioned");
    Ok(match keyless {
        0 => Finding::new(Status::Pass, format!("{there_are}; each that is active has a key of its own.")),
        keyless => Finding::new(Status::Warn, format!("{there_are}; {keyless} active ones have no key of their own.")),
    })
}

/// Rotation of a tenant's client secrets.
///
/// # Errors
/// [`Problem::Unreadable`] when the views cannot be read.
pub fn secrets(app: &App, reading: &Reading<'_>, tenant: TenantId) -> Result<Finding, Problem> {
    let log = app.engine().log();
    let due = reading.now.plus_secs(-SECRET_DAYS * DAY_SECS);
    let live = CredentialFilter { live: Some(true), ..CredentialFilter::default() };
    let (mut cursor, mut seen, mut all, mut old) = (None, 0, 0, 0);
    while seen < CREDENTIALS_MAX {
        let page =
            credentials(reading, tenant, &live, &Paging::new(Order::Descending, cursor.as_deref(), Some(LIMIT_MAX))?)?;
        for credential in page.items.iter().filter(|it| it.kind == CredentialKind::ClientSecret) {
            all += 1;
            // What changed a secret last, of one that lets in, is its making or its rotation.
            if credential.created < due && time_of(&*log, credential.version)? < due {
                old += 1;
            }
        }
        seen += LIMIT_MAX;
        match page.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    Ok(match old {
        0 => {
            Finding::new(Status::Pass, format!("None of {all} client secrets in use is older than {SECRET_DAYS} days."))
        }
        old => Finding::new(
            Status::Warn,
            format!("{old} of {all} client secrets in use are older than {SECRET_DAYS} days."),
        ),
    })
}

fn time_of(log: &dyn LogStore, seq: Seq) -> Result<Micros, Problem> {
    let record = log.record(seq)?.ok_or(StoreError::Missing { seq })?;
    let (_, time, _) = peek(&record.header).map_err(ReadError::from)?;
    Ok(time)
}

/// Integrity of a tenant's audit log: its newest entries are computed anew from the log.
///
/// # Errors
/// [`Problem::Unreadable`] when view or log cannot be read.
pub fn audit_log(app: &App, reading: &Reading<'_>, tenant: TenantId) -> Result<Finding, Problem> {
    let verdict = verify_newest_entries(reading, &*app.engine().log(), tenant, ENTRIES_MAX)?;
    Ok(match verdict.broken {
        None => {
            Finding::new(Status::Pass, format!("The newest {} audit events are an unbroken chain.", verdict.checked))
        }
        Some(broken) => {
            Finding::new(Status::Fail, format!("The chain breaks at {}: {}.", broken.entry.uuid(), broken.why))
        }
    })
}
