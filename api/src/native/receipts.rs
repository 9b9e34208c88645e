//! View receipts, and the roots they are made under.

use chancery_ledger::body::view_roots::ViewRoot;
use chancery_ledger::ids::{Seq, TreeSize};
use chancery_ledger::time::Micros;
use chancery_projections::identity::state::VIEW_ROOTS;
use chancery_projections::rejection::Rejection;
use chancery_projections::scope::Scope;
use chancery_projections::view_receipt::receipt::Receipt;
use chancery_projections::view_receipt::thing::Thing;
use hyper::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::admin::blocking;
use super::call::Call;
use super::operation::{AS_OF, Access, Content, Form, Operation, path};
use crate::problem::{Problem, Unreadable};
use crate::response::{self, Response};
use crate::view_roots::{self, Published};

/// The longest name of a sort of thing, a colon, and the longest spelling of an id.
const THING_CHARS_MAX: usize = 64;

/// `GET /v1/views/roots`.
pub const ROOTS: Operation = Operation {
    id: "getViewRoots",
    summary: "The roots of the views' rows that were published last: what receipts are made under.",
    access: Access::Scope(Scope::LedgerRead),
    parameters: &[AS_OF],
    bodies: &[],
    answers: &[Content::json::<RootsView>()],
    problems: &[404],
    handler: |call| Box::pin(roots(call)),
};

/// `POST /v1/views/roots`.
pub const PUBLISH: Operation = Operation {
    id: "publishViewRoots",
    summary: "Publish the roots of the views' rows now, unless nothing happened since that was done. Reads the views whole.",
    access: Access::Scope(Scope::LedgerAdminister),
    parameters: &[],
    bodies: &[],
    answers: &[Content::json::<RootsView>()],
    problems: &[],
    handler: |call| Box::pin(publish(call)),
};

/// `GET /v1/receipts/{thing}`.
pub const RECEIPT: Operation = Operation {
    id: "getReceipt",
    summary: "A view receipt: what the view said of a thing of the tenant when its root was published last, or that it knew no such thing; it verifies offline.",
    access: Access::Scope(Scope::LedgerProve),
    parameters: &[path(
        "thing",
        Form::Text { max: THING_CHARS_MAX },
        "The sort of thing, a colon, and its id, for example `token:01932c07-…`, whether there is one or not. `docs/format.md` lists the sorts. The scope that reads the thing itself is needed too.",
    )],
    bodies: &[],
    answers: &[Content::json::<Receipt>()],
    problems: &[404],
    handler: |call| Box::pin(receipt(call)),
};

/// Roots that were published.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RootsView {
    /// How many events they reflect.
    pub size: TreeSize,
    /// The event that published them.
    pub event: Seq,
    /// When.
    pub published: Micros,
    /// In which format the rows are.
    pub format: u16,
    /// The root of each view that has one.
    pub roots: Vec<ViewRoot>,
}

impl From<Published> for RootsView {
    fn from(Published { seq, value }: Published) -> Self {
        Self { size: value.size, event: seq, published: value.published, format: value.format, roots: value.roots }
    }
}

async fn roots(call: Call) -> Result<Response, Problem> {
    let (held, now) = call.held().await?;
    let published = VIEW_ROOTS.get_versioned(held.reading(call.app.opener(), now).identity, ())?;
    Ok(response::json(StatusCode::OK, &RootsView::from(published.ok_or(NONE_PUBLISHED)?)))
}

async fn publish(call: Call) -> Result<Response, Problem> {
    Ok(response::json(StatusCode::OK, &RootsView::from(view_roots::publish_now(&call.app).await?)))
}

async fn receipt(call: Call) -> Result<Response, Problem> {
    let thing = call.text("thing").and_then(|text| text.parse::<Thing>().ok());
    let thing = thing.ok_or(Rejection::NotFound { thing: "sort of thing" })?;
    call.principal()?.require(thing.sort.scope())?;
    let published = view_roots::last(&call.app).await?.ok_or(NONE_PUBLISHED)?;
    let (tenant, view) = (call.tenant()?, call.app.view(thing.sort.view()).await?);
    let app = call.app.clone();
    let made = blocking(move || {
        Receipt::make(tenant, thing, &published, app.view_roots().trees(), view, &*app.engine().log())
    });
    Ok(response::json(StatusCode::OK, &made.await?.map_err(Unreadable::Receipt)?))
}

const NONE_PUBLISHED: Rejection = Rejection::NotFound { thing: "published view root" };
