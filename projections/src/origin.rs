//! Where a request came from: address and user agent. Personal data, so an event holds it encrypted.

use chancery_ledger::actor::Principal;
use chancery_ledger::body::Kind;
use chancery_ledger::ids::{Subject, TenantId, ThingId, ThingKind};
use chancery_ledger::keystore::Secrets;
use chancery_ledger::shred::Encrypted;
use chancery_ledger::time::Micros;
use serde::{Deserialize, Serialize};

use crate::context::{ContextError, Opener};

/// The name under which `Prelude::origin` is encrypted.
pub const FIELD: &str = "origin";
/// Longest user agent kept, in characters; the rest tells nothing.
pub const USER_AGENT_CHARS_MAX: usize = 256;

/// Where a request came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Origin {
    /// The peer's IP address.
    pub ip: String,
    /// Its `User-Agent`, cut to [`USER_AGENT_CHARS_MAX`].
    pub user_agent: Option<String>,
}

/// Seconds of what is called a month here.
const MONTH_SECS: i64 = 30 * 86_400;
const MONTH_MICROS: i64 = MONTH_SECS * 1_000_000;

/// Under whose key an origin is encrypted: the actor's own; for one who is nobody, or whom a tenant's own key stands for, a
/// key of the tenant's for the month, so that it can be destroyed without destroying anything else.
#[must_use]
pub fn owner(principal: &Principal, tenant: TenantId, now: Micros) -> Subject {
    match principal {
        Principal::Member(id) => id.subject(),
        Principal::Agent(id) => id.subject(),
        Principal::Client(id) => id.subject(),
        Principal::Execution(id) => id.subject(),
        Principal::Tenant(_) | Principal::System | Principal::Anonymous | Principal::Subject(_) => {
            month(tenant, month_of(now))
        }
    }
}

/// Opens the origin of an event; `None` when its key was destroyed.
///
/// # Errors
/// [`ContextError`] when the keystore fails or the field was altered.
pub fn open(
    secrets: &dyn Secrets, tenant: TenantId, kind: Kind, origin: &Encrypted,
) -> Result<Option<Origin>, ContextError> {
    Opener::new(secrets).open(tenant, kind, FIELD, origin)
}

/// The month of a time: how many times 30 days had passed since the Unix epoch.
#[must_use]
pub const fn month_of(time: Micros) -> i64 {
    time.0.div_euclid(MONTH_MICROS)
}

/// The first moment after a month; `None` beyond the end of time.
#[must_use]
pub fn end_of_month(month: i64) -> Option<Micros> {
    month.checked_add(1)?.checked_mul(MONTH_MICROS).map(Micros)
}

/// Names the key of a tenant's month. No thing has this id, because it is a UUIDv8 under a thing's kind.
#[must_use]
pub fn month(tenant: TenantId, month: i64) -> Subject {
    let mut hasher = blake3::Hasher::new_derive_key("chancery 2026 origin key of a month v1");
    hasher.update(tenant.uuid().as_bytes()).update(&month.to_be_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    Subject { kind: ThingKind::Tenant, id: uuid::Builder::from_custom_bytes(bytes).into_uuid() }
}

/// Cuts a user agent to what is kept of it.
#[must_use]
pub fn cut(user_agent: &str) -> String {
    user_agent.chars().take(USER_AGENT_CHARS_MAX).collect()
}
