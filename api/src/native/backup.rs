//! What a backup takes beside the log: the keystore and the sealing keys, encrypted as they lie there. What would open
//! them, the wrapping key and the passphrase, is not to be had over HTTP.

use chancery_ledger::keystore::backup::BackupError;
use chancery_projections::rejection::Rejection;
use chancery_projections::scope::Scope;
use hyper::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::admin::alone;
use super::call::Call;
use super::operation::{Access, Content, Operation};
use crate::export::{self, Pieces};
use crate::problem::Problem;
use crate::response::{self, Response};

const MEDIA_TYPE: &str = "application/octet-stream";

/// `GET /v1/ledger/keystore`.
pub const KEYSTORE: Operation = Operation {
    id: "exportKeystore",
    summary: "Data keys and tenants' CA keys, wrapped, as `docs/format.md` specifies. Without the file `wrapping.key`, which is not in it, it opens nothing.",
    access: Access::Scope(Scope::LedgerAdminister),
    parameters: &[],
    bodies: &[],
    answers: &[Content::text(MEDIA_TYPE)],
    problems: &[],
    handler: |call| Box::pin(keystore(call)),
};

/// `GET /v1/ledger/sealing-keys`.
pub const SEALING_KEYS: Operation = Operation {
    id: "exportSealingKeys",
    summary: "The files of the ledger's sealing keys that are encrypted under a passphrase, and the names of those that are not, which stay on the machine.",
    access: Access::Scope(Scope::LedgerAdminister),
    parameters: &[],
    bodies: &[],
    answers: &[Content::json::<SealingKeys>()],
    problems: &[],
    handler: |call| Box::pin(sealing_keys(call)),
};

/// The files of sealing keys.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SealingKeys {
    /// Each, in the order of their names.
    pub files: Vec<SealingKeyFile>,
}

/// The file of a sealing key.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SealingKeyFile {
    /// Its name in `keys/`.
    pub name: String,
    /// Its text, encrypted PKCS #8 in PEM; `null` when the key is in clear.
    pub encrypted_pem: Option<String>,
}

async fn keystore(call: Call) -> Result<Response, Problem> {
    // It holds the keys of every tenant.
    if !call.principal()?.sees_ledger() {
        return Err(Rejection::NotRoot.into());
    }
    let place = alone(&call.app)?;
    let secrets = call.app.engine().secrets();
    let (mut out, body) = Pieces::channel();
    tokio::task::spawn_blocking(move || {
        let _place = place;
        let written = secrets.back_up(&mut out);
        let written = written.and_then(|count| export::end(out).map(|()| count).map_err(BackupError::Write));
        match written {
            Ok(count) => tracing::info!(secrets = count, "the keystore was backed up"),
            Err(BackupError::Write(_)) => tracing::debug!("a keystore's backup was not read to its end"),
            Err(error) => tracing::error!(%error, "the keystore could not be backed up"),
        }
    });
    Ok(response::file(MEDIA_TYPE, "keystore.backup", body))
}

async fn sealing_keys(call: Call) -> Result<Response, Problem> {
    if !call.principal()?.sees_ledger() {
        return Err(Rejection::NotRoot.into());
    }
    let files = tokio::task::block_in_place(|| call.app.engine().encrypted_sealing_keys()).map_err(|error| {
        tracing::error!(%error, "the sealing keys' files could not be read");
        Problem::Internal
    })?;
    let files = files.into_iter().map(|(name, encrypted_pem)| SealingKeyFile { name, encrypted_pem }).collect();
    Ok(response::json(StatusCode::OK, &SealingKeys { files }))
}
