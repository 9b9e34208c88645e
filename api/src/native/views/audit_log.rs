//! `/v1/execution/audit-log`: what was done, in a vendor's words and chained as that vendor does.

use chancery_ledger::ids::{AgentId, ThingId as _, ThingKind};
use chancery_projections::lane::agentidp::entry::{Action, Outcome};
use chancery_projections::lane::agentidp::view::{self, EntryView, Selection, Verdict};
use hyper::StatusCode;

use super::{get, list, page};
use crate::native::call::Call;
use crate::native::operation::{Form, Operation, Parameter, query};
use crate::problem::Problem;
use crate::response::{self, Response};

const FROM: Parameter = query("from_time", Form::Time, "Only from this time on, to the millisecond.");
const TO: Parameter = query("to_time", Form::Time, "Only up to this time, to the millisecond.");

/// `GET /v1/execution/audit-log/agentidp`.
pub const ENTRIES: Operation = list!(
    "listAuditLog",
    "The tenant's audit log, in AgentIdP's words: every act that they have a word for, whichever mount it came through.",
    AuditRead,
    [
        query("agent", Form::Id(ThingKind::Agent), "Only entries about this agent."),
        query("action", Form::OneOf(|| Action::ALL.iter().map(|it| it.text()).collect()), "Only those of this action."),
        query("outcome", Form::OneOf(|| Outcome::ALL.map(Outcome::text).into()), "Only those that ended so."),
        FROM,
        TO
    ],
    EntryView,
    entries
);

/// `GET /v1/execution/audit-log/agentidp/verify`.
pub const VERIFY: Operation = Operation {
    problems: &[],
    ..get!(
        "verifyAuditLog",
        "Compute the entries of the tenant's audit log anew from the log's own bytes, and compare. Reads as much as there is.",
        AuditVerify,
        [FROM, TO],
        Verdict,
        verify
    )
};

async fn entries(call: Call) -> Result<Response, Problem> {
    let (held, now) = call.held().await?;
    let outcome = call.text("outcome").and_then(|text| Outcome::ALL.into_iter().find(|it| it.text() == text));
    let selection = Selection {
        agent: call.id("agent").map(AgentId::uuid),
        action: call.text("action").and_then(Action::find),
        outcome,
        from: call.time("from_time"),
        to: call.time("to_time"),
    };
    let (tenant, paging) = (call.tenant()?, call.paging()?);
    let found = tokio::task::block_in_place(|| {
        view::list(&held.reading(call.app.opener(), now), &*call.app.engine().log(), tenant, &selection, &paging)
    })?;
    Ok(page(&found))
}

async fn verify(call: Call) -> Result<Response, Problem> {
    let tenant = call.tenant()?;
    // The semaphore is never closed.
    let _place = call.app.verifications().acquire().await.map_err(|_| Problem::Internal)?;
    let (held, now) = call.held().await?;
    let (from, to) = (call.time("from_time"), call.time("to_time"));
    let verdict = tokio::task::block_in_place(|| {
        view::verify(&held.reading(call.app.opener(), now), &*call.app.engine().log(), tenant, from, to)
    })?;
    Ok(response::json(StatusCode::OK, &verdict))
}
