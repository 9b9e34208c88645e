//! `chancery verify --receipt`: what a view receipt proves, with no daemon and no log.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chancery_ledger::tree::verifier_key::VerifierKey;
use chancery_projections::view_receipt::receipt::{Proven, Receipt};
use serde::Serialize;

/// What was found of a file.
#[derive(Serialize)]
struct Checked<'a> {
    file: &'a Path,
    holds: bool,
    /// Why not.
    why: Option<String>,
    /// What it proves.
    proven: Option<Proven>,
}

/// Checks receipts and says of each what it proves; as JSON, one object a line. True if all hold.
///
/// # Errors
/// When a file cannot be read, or there is no key to check them by.
pub fn verify(files: &[PathBuf], key: Option<&VerifierKey>, as_json: bool) -> anyhow::Result<bool> {
    let key = key.context("a receipt is worth what the key is that it is checked by: give --key")?;
    let mut all_hold = true;
    for file in files {
        let bytes = fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let verified = Receipt::parse(&bytes).and_then(|receipt| receipt.verify(key));
        let (proven, why) = match verified {
            Ok(proven) => (Some(proven), None),
            Err(error) => (None, Some(error.to_string())),
        };
        all_hold &= proven.is_some();
        let checked = Checked { file, holds: proven.is_some(), why, proven };
        match as_json {
            true => writeln!(io::stdout(), "{}", serde_json::to_string(&checked)?)?,
            false => writeln!(io::stdout(), "{}", in_words(&checked))?,
        }
    }
    Ok(all_hold)
}

fn in_words(checked: &Checked<'_>) -> String {
    let file = checked.file.display();
    let Some(proven) = &checked.proven else {
        return format!("{file}: DOES NOT HOLD: {}", checked.why.as_deref().unwrap_or_default());
    };
    let Proven { tenant, thing, view, size, published, at, checkpoint, row } = proven;
    let said = match row {
        Some((seq, row)) => format!("said of {thing}, as event {seq} left it:\n{row:#}"),
        None => format!("had no {thing} of tenant {tenant}"),
    };
    format!(
        "{file}: HOLDS: event {published} of {at}, among the first {checkpoint} that the checkpoint signs, published that the \
         {view} view, when it had read {size} events, {said}"
    )
}
