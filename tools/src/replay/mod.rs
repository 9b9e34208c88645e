//! `chancery replay`: what the log says, at any moment; what happened to a thing; what changed.

mod subject;

use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::bail;
use chancery_ledger::ids::{Seq, Subject, ThingKind, TreeSize};
use chancery_projections::replay::Replay;
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use crate::moment::Moment;
use crate::{progress, source};

/// Most events or things that one answer lists.
const LISTED_MAX: usize = 1_000_000;

/// Arguments of `chancery replay`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    log: source::Log,
    /// Keep the replayed views here, so that the next question needs no replay; a temporary directory otherwise. Use
    /// it with one log only.
    #[arg(long)]
    work_dir: Option<PathBuf>,
    #[command(subcommand)]
    question: Question,
}

#[derive(Debug, Subcommand)]
enum Question {
    /// An agent, as it was.
    Agent(Thing),
    /// A token, as it was.
    Token(Thing),
    /// A mission, as it was.
    Mission(Thing),
    /// Any other thing with a view: `tenant:…`, `organisation:…`, `member:…`, `credential:…`, `challenge:…`, `audit_chain:…`.
    Thing(Thing),
    /// All of a view's things, as they were: one JSON object a line.
    View {
        /// Which view.
        view: Listed,
        #[command(flatten)]
        at: At,
    },
    /// The events about a thing, in order: one JSON object a line.
    Timeline {
        /// The thing: its kind and its id, for example `agent:aid_01jcp0e84wfgx9y7jvdnz8z6gb`.
        thing: String,
        /// From this event on.
        #[arg(long, default_value = "0")]
        from: u64,
        /// At most so many.
        #[arg(long, default_value_t = LISTED_MAX)]
        limit: usize,
    },
    /// What differs between two moments, and the events that made it so: one JSON object for each thing.
    Diff {
        /// The earlier moment: a sequence number or a time.
        #[arg(long)]
        from: Moment,
        /// The later moment; the log's end if absent.
        #[arg(long)]
        to: Option<Moment>,
        /// Only this thing.
        thing: Option<String>,
    },
    /// The digest of each view, to compare with a daemon's.
    Digests,
}

#[derive(Debug, Args)]
struct Thing {
    /// Its id, in any spelling; for `thing` with its kind before a colon.
    id: String,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
struct At {
    /// The moment: right after an event, by its sequence number, or at a time like 2026-01-02T03:04:05Z; the log's end if
    /// absent.
    #[arg(long)]
    at: Option<Moment>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Listed {
    /// Tenants, organisations, members, agents and credentials.
    Identity,
    /// Tokens.
    Token,
    /// Missions and audit chains.
    Execution,
}

/// Replays, and prints the answer as JSON. False if there was no such thing at that moment.
///
/// # Errors
/// When the log cannot be replayed.
pub fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let opened = arguments.log.open()?;
    let moment = |at: Option<Moment>| match (at, opened.log.size().last()) {
        (Some(moment), _) => moment.seq(&*opened.log),
        (None, Some(last)) => Ok(last),
        (None, None) => bail!("the log is empty"),
    };
    // As far as the question needs, and no further.
    let last = match &arguments.question {
        Question::Agent(thing) | Question::Token(thing) | Question::Mission(thing) | Question::Thing(thing) => {
            moment(thing.at.at)?
        }
        Question::View { at, .. } => moment(at.at)?,
        Question::Diff { to, .. } => moment(*to)?,
        Question::Timeline { .. } | Question::Digests => moment(None)?,
    };
    let first = match &arguments.question {
        Question::Diff { from, .. } => moment(Some(*from))?,
        _ => last,
    };
    let temporary = tempfile::tempdir()?;
    let dir = arguments.work_dir.as_deref().unwrap_or_else(|| temporary.path());
    let bar = progress::events(Some(last.tree_size().0), "replaying");
    let replay =
        Replay::build(opened.log, opened.secrets, dir, last.tree_size(), |TreeSize(size)| bar.set_position(size))?;
    bar.finish_and_clear();
    answer(&replay, &arguments.question, first, last)
}

fn answer(replay: &Replay, question: &Question, first: Seq, last: Seq) -> anyhow::Result<bool> {
    let thing = |kind: ThingKind, thing: &Thing| show(replay, subject::of_kind(kind, &thing.id)?, last);
    match question {
        Question::Agent(it) => thing(ThingKind::Agent, it),
        Question::Token(it) => thing(ThingKind::Token, it),
        Question::Mission(it) => thing(ThingKind::Mission, it),
        Question::Thing(it) => show(replay, subject::parse(&it.id)?, last),
        Question::View { view, .. } => list(replay, *view, last),
        Question::Timeline { thing, from, limit } => {
            let events = replay.timeline(subject::parse(thing)?, Seq(*from), *limit)?;
            print_each(&events)?;
            Ok(!events.is_empty())
        }
        Question::Diff { thing, .. } => {
            if first > last {
                bail!("the earlier moment, event {first}, lies after the later, event {last}");
            }
            let about = thing.as_deref().map(subject::parse).transpose()?;
            print_each(&replay.difference(first, last, about)?)?;
            Ok(true)
        }
        Question::Digests => {
            print_each(&replay.digests()?)?;
            Ok(true)
        }
    }
}

fn show(replay: &Replay, subject: Subject, at: Seq) -> anyhow::Result<bool> {
    match replay.thing(subject, at)? {
        Some(value) => {
            writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&value)?)?;
            Ok(true)
        }
        None => {
            eprintln!("there was no such {} right after event {at}", subject.kind.name());
            Ok(false)
        }
    }
}

fn list(replay: &Replay, view: Listed, at: Seq) -> anyhow::Result<bool> {
    let kinds: &[ThingKind] = match view {
        Listed::Identity => {
            &[ThingKind::Tenant, ThingKind::Organisation, ThingKind::Member, ThingKind::Agent, ThingKind::Credential]
        }
        Listed::Token => &[ThingKind::Token],
        Listed::Execution => &[ThingKind::Mission, ThingKind::AuditChain],
    };
    let mut out = io::stdout().lock();
    for kind in kinds {
        let mut written = Ok(());
        replay.each_thing(*kind, at, |value| {
            written = writeln!(out, "{value}");
            if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        written?;
    }
    Ok(true)
}

fn print_each<T: Serialize>(items: &[T]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    for item in items {
        serde_json::to_writer(&mut out, item)?;
        writeln!(out)?;
    }
    Ok(())
}
