//! `/v1/erasures` and `/v1/holds`: what was erased, and what must not be.

use chancery_projections::identity::view::{self, ErasureView, HoldsView};

use super::{get, list, one, page};
use crate::native::call::Call;
use crate::native::operation::{Form, Operation, Parameter, path};
use crate::problem::Problem;
use crate::response::Response;

const SUBJECT: Parameter = path("subject", Form::Subject, "A kind of thing, a colon, and an id in any spelling.");

/// `GET /v1/erasures`.
pub const ERASURES: Operation =
    list!("listErasures", "What was erased of the tenant's.", ErasuresRead, [], ErasureView, erasures);

/// `GET /v1/erasures/{subject}`.
pub const ERASURE: Operation =
    get!("getErasure", "When and why a thing was erased.", ErasuresRead, [SUBJECT], ErasureView, erasure);

/// `GET /v1/holds`.
pub const HELD: Operation =
    list!("listHolds", "What must not be erased of the tenant's.", HoldsRead, [], HoldsView, held);

/// `GET /v1/holds/{subject}`.
pub const HOLDS: Operation =
    get!("getHolds", "In which matters a thing is held.", HoldsRead, [SUBJECT], HoldsView, holds);

async fn erasures(call: Call) -> Result<Response, Problem> {
    let (held, now) = call.held().await?;
    Ok(page(&view::erasures(&held.reading(call.app.opener(), now), call.tenant()?, &call.paging()?)?))
}

async fn erasure(call: Call) -> Result<Response, Problem> {
    let (held, now) = call.held().await?;
    let tenant = call.tenant()?;
    let reading = held.reading(call.app.opener(), now);
    let found = call.subject("subject").map_or(Ok(None), |subject| view::erasure(&reading, tenant, subject))?;
    one(found, "erasure")
}

async fn held(call: Call) -> Result<Response, Problem> {
    let (held, now) = call.held().await?;
    Ok(page(&view::held(&held.reading(call.app.opener(), now), call.tenant()?, &call.paging()?)?))
}

async fn holds(call: Call) -> Result<Response, Problem> {
    let (held, now) = call.held().await?;
    let tenant = call.tenant()?;
    let reading = held.reading(call.app.opener(), now);
    let found = call.subject("subject").map_or(Ok(None), |subject| view::holds(&reading, tenant, subject))?;
    one(found, "hold")
}
