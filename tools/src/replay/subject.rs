//! Things, as a person names them.

use anyhow::{Context as _, bail};
use chancery_ledger::ids::{Subject, ThingKind, parse_any};
use chancery_projections::things::SHOWN;

/// Reads an id of a kind, in any spelling it has.
///
/// # Errors
/// When it is none.
pub fn of_kind(kind: ThingKind, text: &str) -> anyhow::Result<Subject> {
    match parse_any(kind, text) {
        Ok(id) => Ok(Subject { kind, id }),
        Err(_) => bail!("`{text}` is not the id of a thing of kind `{}`", kind.name()),
    }
}

/// Reads `kind:id`, for example `agent:aid_01jcp0e84wfgx9y7jvdnz8z6gb`.
///
/// # Errors
/// When it is none.
pub fn parse(text: &str) -> anyhow::Result<Subject> {
    let (name, id) = text
        .split_once(':')
        .with_context(|| format!("`{text}` is not a kind, a colon and an id, as `agent:aid_…` is"))?;
    let kind = ThingKind::ALL.into_iter().find(|kind| kind.name() == name);
    of_kind(kind.with_context(|| format!("there is no kind of thing called `{name}`; {}", kinds(&ThingKind::ALL)))?, id)
}

/// Reads `kind:id` of a kind that a view shows.
///
/// # Errors
/// When it is none.
pub fn parse_shown(text: &str) -> anyhow::Result<Subject> {
    let subject = parse(text)?;
    if !SHOWN.contains(&subject.kind) {
        bail!(
            "no view shows a thing of kind `{}`, but `replay timeline {text}` tells its events; {}",
            subject.kind.name(),
            kinds(SHOWN)
        );
    }
    Ok(subject)
}

fn kinds(kinds: &[ThingKind]) -> String {
    let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
    format!("the kinds are {}", names.join(", "))
}
