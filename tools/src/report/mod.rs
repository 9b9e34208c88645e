//! `chancery report`: an evidence bundle as a page for people.

mod gather;
mod page;

use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::Args;

use self::gather::Evidence;
pub use self::gather::in_words;
use crate::export::whole_or_nothing;
use crate::source;
use crate::verify::{self, Trusted};

/// Arguments of `chancery report`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The bundle.
    bundle: PathBuf,
    #[command(flatten)]
    trusted: Trusted,
    #[command(flatten)]
    keys: source::Keys,
    /// The page to write; it must not exist yet.
    #[arg(long)]
    out: PathBuf,
    /// How many events the timeline shows; of those beyond there are the counts.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    events: u32,
}

/// Verifies the bundle and writes the page, which says how that went. True if the bundle is whole.
///
/// # Errors
/// When the bundle cannot be read, or the page not written.
pub fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let (known, _) = arguments.trusted.known()?;
    let report = verify::verify_bundle(&arguments.bundle, &known)?;
    let secrets = arguments.keys.secrets()?;
    let evidence = Evidence::gather(&arguments.bundle, report, arguments.events as usize, &*secrets)?;
    let page = page::page(&evidence).into_string();
    whole_or_nothing(&arguments.out, |mut file: &File| Ok(file.write_all(page.as_bytes())?))?;
    let said = if evidence.report.whole { "WHOLE" } else { "NOT WHOLE" };
    writeln!(io::stdout(), "{}: {said}", arguments.out.display())?;
    Ok(evidence.report.whole)
}
