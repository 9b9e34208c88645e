//! `POST /v1/ledger/bundle`: a part of the log that proves itself, while the daemon runs.

use chancery_ledger::body::Kind;
use chancery_ledger::bundle::{BundleError, Bundling, Choice, Edge, Manifest, Others, THINGS_MAX, bundle_log};
use chancery_ledger::event::{ReadError, peek};
use chancery_ledger::export::Bodies;
use chancery_ledger::ids::{Seq, Subject, TenantId, TreeSize};
use chancery_ledger::store::{LogStore, StoreError};
use chancery_ledger::time::Micros;
use chancery_ledger::tree::seal::Seal;
use chancery_projections::command::{Command, ExportEvidence};
use chancery_projections::journal::{self, Filter};
use chancery_projections::rejection::Rejection;
use chancery_projections::rows::{Order, Scan};
use chancery_projections::scope::Scope;
use chancery_projections::views::View;
use schemars::JsonSchema;
use serde::Deserialize;

use super::admin::alone;
use super::call::Call;
use super::operation::{Access, Content, Operation};
use super::proofs::sees;
use crate::auth::Principal;
use crate::export::{self, Pieces};
use crate::limits::EVENTS_EXAMINED_MAX;
use crate::problem::Problem;
use crate::publishing::{cosigned_seal, newest_checkpoint};
use crate::response::{self, Response};

const MEDIA_TYPE: &str = "application/gzip";
/// Room for all the things a choice can name, and more checkpoints than anybody holds.
const REQUEST_BYTES_MAX: usize = 16 * 1024;
/// Most checkpoints that a reader can have the tree shown at.
const HEADS_MAX: usize = 64;
/// Positions read from the journal at a time.
const POSITIONS: usize = 1_000;

/// `POST /v1/ledger/bundle`.
pub const BUNDLE: Operation = Operation {
    id: "exportEvidence",
    summary: "An evidence bundle, as `docs/format.md` specifies it: the chosen events in a file that proves them offline. That it was made is an event itself. A tenant's holds that tenant's events.",
    access: Access::Scope(Scope::LedgerProve),
    parameters: &[],
    bodies: &[Content::json::<BundleRequest>()],
    answers: &[Content::text(MEDIA_TYPE)],
    problems: &[404],
    handler: |call| Box::pin(bundle(call)),
};

/// Which events are asked for: those that meet all of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BundleRequest {
    /// Only what concerns one of these, or was done by it; all events if there are none. At most 64.
    #[serde(default)]
    things: Vec<Subject>,
    /// The first position; 0 if absent.
    from: Option<u64>,
    /// The last position; the newest if absent.
    to: Option<u64>,
    /// Only events from this time on, in place of `from`.
    from_time: Option<Micros>,
    /// Only events up to this time, in place of `to`.
    to_time: Option<Micros>,
    /// Only events of this tenant. For principals of the root tenant.
    tenant: Option<TenantId>,
    /// Whether the events' bodies are shown, or their hashes alone.
    #[serde(default = "shown")]
    bodies: bool,
    /// Whether the headers of the range's other events are shown, which proves that none of those was asked for. For principals
    /// of the root tenant.
    #[serde(default)]
    headers: bool,
    /// Sizes of checkpoints that whoever verifies the bundle holds, to be compared with. At most 64.
    #[serde(default)]
    heads: Vec<u64>,
}

const fn shown() -> bool {
    true
}

async fn bundle(mut call: Call) -> Result<Response, Problem> {
    let text = call.document(REQUEST_BYTES_MAX).await?;
    let asked: BundleRequest = serde_json::from_str(&text)
        .map_err(|error| Problem::Malformed { path: String::new(), why: error.to_string() })?;
    let principal = call.principal()?;
    let tenant = asked.tenant_for(principal)?;
    let (from, to) = (edge("from", asked.from, asked.from_time)?, edge("to", asked.to, asked.to_time)?);
    if asked.things.len() > THINGS_MAX || asked.heads.len() > HEADS_MAX {
        let why = format!("at most {THINGS_MAX} things and {HEADS_MAX} heads can be named");
        return Err(Problem::Malformed { path: String::new(), why });
    }
    let place = alone(&call.app)?;
    let (log, size) = (call.app.engine().log(), call.app.sequencer().acknowledged());
    let range = Choice::range(&*log, size, from, to)?;
    let choice = Choice { tenant, things: asked.things.clone(), ..range };
    let journal = call.app.view(View::Journal).await?;
    for thing in &choice.things {
        if !is_known(&*log, &journal, principal, *thing)? {
            return Err(Rejection::NotFound { thing: thing.kind.name() }.into());
        }
    }
    let of_keys = key_history(&journal)?;
    let mut checkpoints = Vec::new();
    for head in &asked.heads {
        let head = TreeSize(*head);
        let note = cosigned_seal(&call.app, &*log, head)?.filter(|_| head <= size);
        checkpoints.push((head, Some(note.ok_or(Rejection::NotFound { thing: "checkpoint" })?)));
    }
    // What witnesses said last goes with it.
    if call.app.config().witnesses.asks_for_witnesses()
        && let Some((published, note)) = newest_checkpoint(&call.app)?
    {
        checkpoints.push((published, Some(note)));
    }
    let command = Command::from(ExportEvidence {
        first: choice.first,
        end: choice.end,
        from: choice.from_time,
        to: choice.to_time,
        of: tenant,
        things: choice.things.clone(),
        bodies: asked.bodies,
        headers: asked.headers,
    });
    let receipt = call.app.submit(principal, command, call.app.options(&call.request)?)?.await?;
    receipt.answer?;
    let seal = Seal::parse(&receipt.seal).map_err(|error| {
        tracing::error!(%error, size = %receipt.size, "a seal is malformed");
        Problem::Internal
    })?;
    let bodies = if asked.bodies { Bodies::Included } else { Bodies::Withheld };
    let others = if asked.headers { Others::Headers } else { Others::LeftOut };
    let recorded = receipt.events.first().map(|event| event.seq);
    let manifest = Manifest::new(seal.checkpoint().origin.clone(), receipt.size, choice, bodies, others, recorded);
    let (mut out, body) = Pieces::channel();
    tokio::task::spawn_blocking(move || {
        let _place = place;
        let written = Bundling::new(&mut out, &manifest, checkpoints)
            .map_err(BundleError::from)
            .and_then(|bundling| bundle_log(&*log, &of_keys, bundling, |_| {}).map(drop))
            .and_then(|()| Ok(export::end(out)?));
        match written {
            Ok(()) => {}
            Err(BundleError::Write(_)) => tracing::debug!("a bundle was not read to its end"),
            Err(error) => tracing::error!(%error, "a bundle could not be made"),
        }
    });
    Ok(response::file(MEDIA_TYPE, "evidence.bundle", body))
}

impl BundleRequest {
    /// The tenant whose events it is about, within what its principal sees.
    fn tenant_for(&self, principal: &Principal) -> Result<Option<TenantId>, Problem> {
        let own = principal.tenant();
        match self.tenant {
            asked if principal.sees_ledger() => Ok(asked),
            _ if self.headers => Err(Rejection::NotRoot.into()),
            Some(asked) if asked != own => Err(Rejection::NotFound { thing: "tenant" }.into()),
            _ => Ok(Some(own)),
        }
    }
}

fn edge(name: &str, seq: Option<u64>, time: Option<Micros>) -> Result<Option<Edge>, Problem> {
    match (seq, time) {
        (Some(_), Some(_)) => Err(Problem::Malformed {
            path: name.to_owned(),
            why: "a position and a time cannot both be given".to_owned(),
        }),
        (Some(seq), None) => Ok(Some(Edge::Seq(Seq(seq)))),
        (None, Some(time)) => Ok(Some(Edge::Time(time))),
        (None, None) => Ok(None),
    }
}

/// Whether some event that the principal sees is about a thing: what it does not see is not there.
fn is_known(log: &dyn LogStore, journal: &dyn Scan, principal: &Principal, thing: Subject) -> Result<bool, Problem> {
    let positions = journal::positions(journal, Filter::Subject(thing), None, Order::Ascending, EVENTS_EXAMINED_MAX)?;
    for seq in positions {
        let record = log.record(seq)?.ok_or(StoreError::Missing { seq })?;
        let (_, _, tenant) = peek(&record.header).map_err(ReadError::from)?;
        if sees(principal, tenant) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Where the log's own history stands: its beginning, its keys, a tail given up.
fn key_history(journal: &dyn Scan) -> Result<Vec<Seq>, Problem> {
    let mut found = Vec::new();
    for kind in [Kind::LedgerCreated, Kind::SigningKeyAdded, Kind::SigningKeyRetired, Kind::TailLost] {
        let filter = Filter::Kind(TenantId::LEDGER, kind.code());
        let mut from = None;
        loop {
            let page = journal::positions(journal, filter, from, Order::Ascending, POSITIONS)?;
            found.extend_from_slice(&page);
            match page.last().filter(|_| page.len() == POSITIONS) {
                Some(last) => from = Some(last.tree_size().next()),
                None => break,
            }
        }
    }
    Ok(found)
}
