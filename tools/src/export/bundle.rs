//! An evidence bundle: what `chancery export` writes when it is asked for a part of the log, or for `--all` of it.

use std::fs;
use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use chancery_ledger::bundle::{
    BundleCounts, BundleReader, Bundling, Choice, Edge, Manifest, Others, Piece, THINGS_MAX, bundle_items,
};
use chancery_ledger::ids::{AgentId, MissionId, Subject, TenantId, ThingId as _, ThingKind, TreeSize, parse_any};
use chancery_ledger::store::LogStore;
use chancery_ledger::tree::seal::Seal;
use chancery_ledger::verify::{Item, SourceError, StoreItems};
use clap::Args;
use serde_json::json;

use super::{Arguments, Tee, whole_or_nothing};
use crate::moment::When;
use crate::progress;
use crate::source::Opened;

/// Which events.
#[derive(Debug, Args)]
pub struct Choosing {
    /// An evidence bundle of every event there is.
    #[arg(long)]
    all: bool,
    /// An evidence bundle of what concerns this agent, or was done by it. Can be given again, and with --mission and
    /// --thing: what concerns any of them.
    #[arg(long)]
    agent: Vec<AgentId>,
    /// Of what concerns this mission.
    #[arg(long)]
    mission: Vec<MissionId>,
    /// Of what concerns this thing: its kind, a colon and its id, as `token:tok_…`.
    #[arg(long, value_parser = thing)]
    thing: Vec<Subject>,
    /// Of a period: from this event or time on.
    #[arg(long)]
    from: Option<When>,
    /// Of a period: up to this event or time, which still belongs to it.
    #[arg(long)]
    to: Option<When>,
    /// Show the headers of the other events of the range too: they prove that none of those was asked for, and tell of all of
    /// them who did what kind of thing, when, and to what.
    #[arg(long)]
    headers: bool,
    /// A checkpoint that whoever verifies the bundle holds, or that witnesses cosigned: show the tree at its size, so that the
    /// two can be compared, and the cosignatures with it. Can be given again.
    #[arg(long)]
    head: Vec<PathBuf>,
}

impl Choosing {
    /// Whether anything of it was given.
    pub const fn is_asked(&self) -> bool {
        self.all
            || self.headers
            || self.from.is_some()
            || self.to.is_some()
            || !(self.agent.is_empty() && self.mission.is_empty() && self.thing.is_empty() && self.head.is_empty())
    }

    fn things(&self) -> Vec<Subject> {
        let agents = self.agent.iter().map(|agent| agent.subject());
        let missions = self.mission.iter().map(|mission| mission.subject());
        agents.chain(missions).chain(self.thing.iter().copied()).collect()
    }

    fn heads(&self) -> anyhow::Result<Vec<Seal>> {
        let head = |path: &PathBuf| {
            let bytes = fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
            Seal::parse(&bytes).with_context(|| format!("{} is no checkpoint", path.display()))
        };
        self.head.iter().map(head).collect()
    }
}

/// The checkpoint as it was given, with its cosignatures, to be put where the log has its own.
fn of_log(log: &dyn LogStore, head: &Seal) -> anyhow::Result<(TreeSize, Option<Bytes>)> {
    let size = head.checkpoint().size;
    let sealed = size.last().map_or(Ok(None), |last| log.seal_of(last))?;
    let (_, seal) = sealed.filter(|(sealed, _)| *sealed == size).with_context(|| {
        format!("the head is for {size} events, and no commit of the log ended there, so that it signs none of them")
    })?;
    if Seal::parse(&seal)?.checkpoint() != head.checkpoint() {
        bail!("the head for {size} events contradicts the log: keep both, and run `chancery verify --head` on the log");
    }
    Ok((size, Some(head.bytes().clone())))
}

fn thing(text: &str) -> Result<Subject, String> {
    let unknown = || format!("`{text}` names no thing: its kind, a colon and its id, as `token:tok_…`");
    let (kind, id) = text.split_once(':').ok_or_else(unknown)?;
    let kind = ThingKind::ALL.into_iter().find(|known| known.name() == kind).ok_or_else(unknown)?;
    Ok(Subject { kind, id: parse_any(kind, id).map_err(|_| unknown())? })
}

impl From<When> for Edge {
    fn from(when: When) -> Self {
        match when {
            When::Seq(seq) => Self::Seq(seq),
            When::Time(time) => Self::Time(time),
        }
    }
}

/// Makes the bundle, and says what was written.
///
/// # Errors
/// When the log cannot be read or the file not written; then no file of that name is left.
pub fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let made = if arguments.of_running()? {
        whole_or_nothing(&arguments.out, |file| of_running(arguments, BufWriter::with_capacity(1 << 20, file)))
    } else {
        let opened = arguments.log.open()?;
        whole_or_nothing(&arguments.out, |file| write(arguments, &opened, BufWriter::with_capacity(1 << 20, file)))
    };
    let BundleCounts { events, chosen, .. } = made?;
    let out = arguments.out.display();
    writeln!(
        io::stdout(),
        "{out}: {chosen} events of what was asked, {} more that prove them; `chancery verify {out}` verifies it",
        events - chosen
    )?;
    Ok(true)
}

fn write(arguments: &Arguments, opened: &Opened, out: impl io::Write) -> anyhow::Result<BundleCounts> {
    let (log, choosing) = (&*opened.log, &arguments.choosing);
    let (size, seal) = log.last_seal()?.context("the log is empty, so there is nothing to prove")?;
    let seal = Seal::parse(&seal).context("its last seal is malformed; run `chancery verify`")?;
    let things = choosing.things();
    if things.len() > THINGS_MAX {
        bail!("a bundle is about at most {THINGS_MAX} things");
    }
    let tenant = arguments.daemon.tenant().map(str::parse::<TenantId>).transpose();
    let tenant = tenant.ok().context("without a daemon a tenant is named by its id, and not by its slug")?;
    let range = Choice::range(log, size, choosing.from.map(Edge::from), choosing.to.map(Edge::from))?;
    let choice = Choice { tenant, things, ..range };
    let others = if choosing.headers { Others::Headers } else { Others::LeftOut };
    let manifest = Manifest::new(seal.checkpoint().origin.clone(), size, choice, arguments.bodies(), others, None);
    let heads = choosing.heads()?.iter().map(|head| of_log(log, head)).collect::<anyhow::Result<Vec<_>>>()?;
    let bar = progress::events(Some(size.0), "reading");
    let bundling = Bundling::new(out, &manifest, heads)?;
    let made = bundle_items(items(opened, log, size), bundling, |events| bar.set_position(events));
    bar.finish_and_clear();
    Ok(made?.1)
}

/// Copies what the daemon sends, and reads it on the way: a stream that broke off looks like a short one otherwise.
fn of_running(arguments: &Arguments, mut out: impl io::Write) -> anyhow::Result<BundleCounts> {
    let choosing = &arguments.choosing;
    let seq = |when: Option<When>| when.and_then(|when| if let When::Seq(seq) = when { Some(seq) } else { None });
    let time = |when: Option<When>| when.and_then(|when| if let When::Time(time) = when { Some(time) } else { None });
    let mut answer = arguments.daemon.ask(
        "/v1/ledger/bundle",
        &json!({
            "things": choosing.things(),
            "from": seq(choosing.from),
            "to": seq(choosing.to),
            "from_time": time(choosing.from),
            "to_time": time(choosing.to),
            "bodies": !arguments.without_bodies,
            "headers": choosing.headers,
            "heads": choosing.heads()?.iter().map(|head| head.checkpoint().size).collect::<Vec<_>>(),
        }),
    )?;
    let broken = "the daemon did not send a whole bundle; try again";
    let bar = progress::events(None, "receiving");
    let mut bundle = BundleReader::open(Tee { from: answer.body_mut().as_reader(), to: &mut out }).context(broken)?;
    let mut counts = BundleCounts::default();
    for piece in &mut bundle {
        if let Piece::Item(Item::Event { .. }) = piece.context(broken)? {
            counts.events += 1;
            bar.set_position(counts.events);
        }
    }
    bar.finish_and_clear();
    counts.chosen = bundle.kinds().map_or(0, |kinds| kinds.values().sum());
    drop(bundle);
    out.flush()?;
    Ok(counts)
}

/// The log's items. An indexed export gives a body that is withheld as an empty one, which no body is.
fn items<'a>(
    opened: &'a Opened, log: &'a dyn LogStore, size: TreeSize,
) -> impl Iterator<Item = Result<Item, SourceError>> + 'a {
    StoreItems::new(log, size).map(|item| match item {
        Ok(Item::Event { header, body, nodes }) if opened.is_export() => {
            Ok(Item::Event { header, body: body.filter(|body| !body.is_empty()), nodes })
        }
        item => item,
    })
}

#[cfg(test)]
mod tests {
    use chancery_ledger::ids::Seq;

    use super::*;

    #[test]
    fn a_thing_is_its_kind_and_its_id() {
        let id = "019b7ca9-9070-7404-8404-040404040404";
        assert_eq!(thing(&format!("agent:{id}")).unwrap().kind, ThingKind::Agent);
        for text in ["agent", "agent:", "planet:x", id] {
            assert!(thing(text).unwrap_err().contains("names no thing"));
        }
    }

    #[test]
    fn any_part_asks_for_a_bundle() {
        let none = Choosing {
            all: false,
            agent: vec![],
            mission: vec![],
            thing: vec![],
            from: None,
            to: None,
            headers: false,
            head: vec![],
        };
        assert!(!none.is_asked());
        assert!(Choosing { from: Some(When::Seq(Seq(1))), ..none }.is_asked());
    }
}
