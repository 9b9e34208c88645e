//! What a page says of a bundle, gathered in one pass.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use anyhow::Context as _;
use bytes::Bytes;
use chancery_ledger::actor::Principal;
use chancery_ledger::body::Kind;
use chancery_ledger::bundle::{BundleReader, Manifest, Piece};
use chancery_ledger::event::Envelope;
use chancery_ledger::keystore::Secrets;
use chancery_ledger::link;
use chancery_ledger::store::Record;
use chancery_ledger::verify::{Item, Report};
use chancery_projections::context::Opener;
use chancery_projections::event_view::render_record;
use sha2::{Digest as _, Sha256};

/// Most who are told apart in the table of who did what.
const ACTORS_MAX: usize = 500;

/// All that a page shows.
pub struct Evidence {
    /// The file's name.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
    /// What was asked, as the bundle says.
    pub manifest: Manifest,
    /// What verifying it found.
    pub report: Report,
    /// Who did what how often, of the chosen events.
    pub doings: BTreeMap<String, BTreeMap<String, u64>>,
    /// The first of the chosen events.
    pub timeline: Vec<Entry>,
    /// The newest checkpoint in it.
    pub checkpoint: Option<String>,
}

/// An event of the timeline.
pub struct Entry {
    /// Position in the log.
    pub seq: u64,
    /// When it was decided.
    pub time: String,
    /// What happened, in words.
    pub what: String,
    /// Who asked.
    pub who: String,
    /// What it concerns.
    pub subjects: Vec<String>,
    /// Its facts as JSON; or why there are none.
    pub facts: Result<String, &'static str>,
    /// Its hash.
    pub hash: String,
}

impl Evidence {
    /// Reads a bundle that was verified. What is damaged is left out: the report says so.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn gather(path: &Path, report: Report, entries: usize, secrets: &dyn Secrets) -> anyhow::Result<Self> {
        let unreadable = || format!("{} cannot be read", path.display());
        let mut hasher = Sha256::new();
        let bytes = File::open(path).and_then(|mut file| io::copy(&mut file, &mut hasher)).with_context(unreadable)?;
        let bundle = BundleReader::open(BufReader::new(File::open(path)?)).with_context(unreadable)?;
        let mut evidence = Self {
            name: path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
            bytes,
            sha256: hex::encode(hasher.finalize()),
            manifest: bundle.manifest().clone(),
            report,
            doings: BTreeMap::new(),
            timeline: Vec::new(),
            checkpoint: None,
        };
        let opener = Opener::new(secrets);
        for piece in bundle {
            match piece {
                Ok(Piece::Item(Item::Event { header, body, .. })) => evidence.event(header, body, entries, &opener),
                Ok(Piece::Item(Item::Seal(seal))) => {
                    evidence.checkpoint = Some(String::from_utf8_lossy(&seal).into_owned());
                }
                Ok(Piece::Skipped(_)) => {}
                Err(_) => break,
            }
        }
        Ok(evidence)
    }

    fn event(&mut self, header: Bytes, body: Option<Bytes>, entries: usize, opener: &Opener<'_>) {
        let Ok(event) = Envelope::parse(&header) else { return };
        if !self.manifest.choice.takes(&event) {
            return;
        }
        let (who, what) = (who(&event.actor.principal), in_words(event.kind));
        let who_counts = if self.doings.len() < ACTORS_MAX || self.doings.contains_key(&who) { &who } else { "others" };
        *self.doings.entry(who_counts.to_owned()).or_default().entry(what.clone()).or_default() += 1;
        if self.timeline.len() == entries {
            return;
        }
        let hash = link::header_hash(&header).to_string();
        let facts = match body {
            None => Err("its body is not shown; the hash in its header stands for it"),
            Some(body) => render_record(&Record { header, body, nodes: Vec::new() }, opener)
                .ok()
                .and_then(|view| serde_json::to_value(&view.body).ok())
                .and_then(|facts| serde_json::to_string_pretty(&facts).ok())
                .ok_or("its body is of a kind or version that this program does not know"),
        };
        let subjects = event.subjects.iter().map(|thing| format!("{} {}", thing.kind.name(), thing.id)).collect();
        self.timeline.push(Entry { seq: event.seq.0, time: event.time.to_string(), what, who, subjects, facts, hash });
    }
}

/// Who asked, as a person would say it.
fn who(principal: &Principal) -> String {
    match principal {
        Principal::System => "the daemon itself".to_owned(),
        Principal::Anonymous => "somebody unknown".to_owned(),
        Principal::Subject(text) => {
            format!("{} by word of {}", after_line(text), text.lines().next().unwrap_or_default())
        }
        Principal::Tenant(id) => format!("tenant {id}"),
        Principal::Member(id) => format!("member {id}"),
        Principal::Agent(id) => format!("agent {id}"),
        Principal::Client(id) => format!("client {id}"),
        Principal::Execution(id) => format!("execution {id}"),
    }
}

fn after_line(text: &str) -> &str {
    text.split_once('\n').map_or(text, |(_, subject)| subject)
}

/// A kind's name in lower-case words.
pub fn in_words(code: u16) -> String {
    let Some(kind) = Kind::from_code(code) else { return format!("kind {code}") };
    let mut words = String::new();
    for (at, letter) in kind.name().char_indices() {
        if letter.is_uppercase() && at > 0 {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_words() {
        assert_eq!(in_words(Kind::AgentSuspended.code()), "agent suspended");
        assert_eq!(in_words(65_000), "kind 65000");
        assert_eq!(who(&Principal::Subject("https://issuer\nada".to_owned())), "ada by word of https://issuer");
    }
}
