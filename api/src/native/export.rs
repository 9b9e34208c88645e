//! `GET /v1/ledger/export`: the whole log as one file, while the daemon runs.

use chancery_ledger::export::{Bodies, ExportError, export_log};
use chancery_projections::rejection::Rejection;
use chancery_projections::scope::Scope;

use super::admin::alone;
use super::call::Call;
use super::operation::{Access, Content, Form, Operation, query};
use crate::export::{self, Pieces};
use crate::problem::Problem;
use crate::response::{self, Response};

const MEDIA_TYPE: &str = "application/octet-stream";

/// `GET /v1/ledger/export`.
pub const EXPORT: Operation = Operation {
    id: "exportLedger",
    summary: "The whole log as one file, as `docs/format.md` specifies it; it verifies offline. Its last frame says that it is whole.",
    access: Access::Scope(Scope::LedgerAdminister),
    parameters: &[query("bodies", Form::Flag, "`false` leaves the bodies out that no verifier needs.")],
    bodies: &[],
    answers: &[Content::text(MEDIA_TYPE)],
    problems: &[],
    handler: |call| Box::pin(export(call)),
};

async fn export(call: Call) -> Result<Response, Problem> {
    // It holds the events of every tenant.
    if !call.principal()?.sees_ledger() {
        return Err(Rejection::NotRoot.into());
    }
    let place = alone(&call.app)?;
    let bodies = if call.flag("bodies") == Some(false) { Bodies::Withheld } else { Bodies::Included };
    let log = call.app.engine().log();
    let size = log.size();
    let (mut out, body) = Pieces::channel();
    tokio::task::spawn_blocking(move || {
        let _place = place;
        let written = export_log(&*log, size, bodies, &mut out, |_| {}).and_then(|_| Ok(export::end(out)?));
        match written {
            Ok(()) => {}
            Err(ExportError::Write(_)) => tracing::debug!("an export was not read to its end"),
            Err(error) => tracing::error!(%error, "the log could not be exported"),
        }
    });
    Ok(response::file(MEDIA_TYPE, "ledger.export", body))
}
