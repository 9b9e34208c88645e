//! Audit chains.

use chancery_ledger::ids::AuditChainId;
use chancery_projections::command::CloseAuditChain;
use chancery_projections::execution::view::{self, AuditChainView};
use chancery_projections::output::Output;
use chancery_projections::rejection::Rejection;
use chancery_projections::rows::Order;
use chancery_projections::view::{Held, Page};

use super::call::{Call, ok, unexpected};
use super::error::Failure;
use super::{from_wire, from_wire::audit as requests, to_wire};
use crate::problem::Problem;
use crate::response::Response;

const NO_CHAIN: Rejection = Rejection::NotFound { thing: "audit chain" };

pub(super) async fn initialize(mut call: Call<'_>) -> Result<Response, Failure> {
    let command = requests::initialize(&call.body().await?)?;
    let (Output::AuditChain(chain), _) = call.submit(command).await? else { return Err(unexpected()) };
    Ok(ok(&to_wire::initialized(&chain)))
}

pub(super) async fn append(mut call: Call<'_>) -> Result<Response, Failure> {
    let chain = from_wire::chain(&call.argument);
    let command = requests::append(chain, &call.body().await?)?;
    let (Output::AuditEntry { entry }, _) = call.submit(command).await? else { return Err(unexpected()) };
    Ok(ok(&to_wire::appended(&entry)))
}

pub(super) async fn close(call: Call<'_>) -> Result<Response, Failure> {
    let chain = from_wire::chain(&call.argument);
    let (Output::AuditChainClosed(chain), _) = call.submit(CloseAuditChain { chain }).await? else {
        return Err(unexpected());
    };
    Ok(ok(&to_wire::closed(chain)))
}

pub(super) async fn get(call: Call<'_>) -> Result<Response, Failure> {
    let held = call.hold().await?;
    let chain = view::audit_chain(&call.reading(&held), call.tenant(), from_wire::chain(&call.argument))?;
    whole(&call, held, chain)
}

pub(super) async fn of_mission(call: Call<'_>) -> Result<Response, Failure> {
    let held = call.hold().await?;
    let reading = call.reading(&held);
    let chain = view::audit_chain_of_mission(&reading, call.tenant(), call.mission(&reading)?)?;
    whole(&call, held, chain)
}

/// A chain with its entries, which stand at the end of the vendor's object.
fn whole(call: &Call<'_>, held: Held, chain: Option<AuditChainView>) -> Result<Response, Failure> {
    let chain = chain.ok_or(NO_CHAIN)?;
    let (tenant, id) = (call.tenant(), chain.id);
    let mut head = serde_json::to_vec(&to_wire::chain(chain)).map_err(|_| Problem::Internal)?;
    head.truncate(head.len() - TAIL.len());
    call.whole_list(held, Order::Ascending, head, TAIL, move |reading, paging| {
        let found = view::audit_entries(reading, tenant, id, paging)?;
        let (items, next) = found.map_or_else(Default::default, |page| (page.items, page.next));
        Ok(Page { items: items.into_iter().map(to_wire::entry).collect::<Vec<_>>(), next })
    })
}

/// How a chain without entries ends.
const TAIL: &str = "]}";

/// Answers whether a chain is whole; one that does not exist is not.
pub(super) async fn verify(call: Call<'_>) -> Result<Response, Failure> {
    let held = call.hold().await?;
    let (app, tenant, now) = (call.app.clone(), call.tenant(), call.app.now());
    let id: AuditChainId = from_wire::chain(&call.argument);
    let verified =
        tokio::task::spawn_blocking(move || view::verify_audit_chain(&held.reading(app.opener(), now), tenant, id));
    let verdict = verified.await.map_err(|_| Problem::Internal)??;
    Ok(ok(&to_wire::integrity(call.argument, verdict)))
}

pub(super) async fn page_of_agent(call: Call<'_>) -> Result<Response, Failure> {
    let asked = from_wire::page(&call.query())?;
    let held = call.hold().await?;
    let found = view::audit_chains_page(&call.reading(&held), call.tenant(), &call.argument, asked.number())?;
    Ok(ok(&to_wire::page(asked, found, to_wire::chain_header)))
}
