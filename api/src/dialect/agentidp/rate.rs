//! How often a caller asks, as its answers tell it (contract section 10).

use std::sync::{Arc, OnceLock};

use chancery_ledger::time::Micros;
use chancery_projections::tier::{CALLS_PER_DAY, quota};
use chancery_projections::token::usage::Day;
use hyper::HeaderMap;
use hyper::header::HeaderValue;

use super::error::{Failure, whole_secs};
use crate::app::App;
use crate::auth::Principal;
use crate::rates::{Admitted, Refused, Sort};

/// What became of one request at the door, once it is known who asks.
#[derive(Debug, Clone, Default)]
pub(super) struct Rate(Arc<OnceLock<Result<Admitted, Refused>>>);

impl Rate {
    /// Counts the request.
    pub(super) fn admit(&self, app: &App, principal: &Principal) -> Result<(), Failure> {
        let (home, now) = (principal.home(), app.now());
        let calls = app.rates().count_call(home.tenant, now);
        if let Some(max) = quota(&home.tier, &home.limits, CALLS_PER_DAY).filter(|max| calls > *max) {
            let secs = Day::of(now).next().start().0.saturating_sub(now.0) / 1_000_000 + 1;
            return Err(Failure::Quota { max, retry_after_secs: secs.unsigned_abs() });
        }
        let admitted = app.rates().admit(Sort::Request, principal).transpose();
        if let Some(admitted) = admitted {
            // A request asks once who asks.
            let _ = self.0.set(admitted);
            admitted?;
        }
        Ok(())
    }

    /// Tells the caller; nothing, when nothing limits it.
    pub(super) fn tell(&self, headers: &mut HeaderMap, now: Micros) {
        let Some(rate) = self.0.get() else { return };
        let (limit, remaining, reset) = match rate {
            Ok(admitted) => (admitted.limit, admitted.remaining, admitted.reset),
            Err(refused) => (refused.limit, 0, refused.retry_after),
        };
        headers.insert("x-ratelimit-limit", HeaderValue::from(limit));
        headers.insert("x-ratelimit-remaining", HeaderValue::from(remaining));
        headers.insert("x-ratelimit-reset", HeaderValue::from(now.millis() / 1_000 + whole_secs(reset)));
    }
}
