//! `chancery replay`: what the log says, at any moment; what happened to a thing; what changed.

mod subject;
mod work_dir;

use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::bail;
use chancery_ledger::ids::{Seq, Subject, ThingKind, TreeSize};
use chancery_ledger::store::LogStore;
use chancery_projections::replay::{Moment, Replay, ReplayError};
use chancery_projections::worker::WorkerError;
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::Value;

use self::work_dir::WorkDir;
use crate::moment::When;
use crate::output::{self, Lines};
use crate::{progress, source};

/// Arguments of `chancery replay`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    log: source::Log,
    #[command(flatten)]
    keys: source::Keys,
    /// Keep the replayed views here, so that the next question needs no replay; a temporary directory otherwise. It must
    /// be empty at first, and is of one log from then on.
    #[arg(long, global = true)]
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
    /// Any thing that a view shows: `tenant:…`, `organisation:…`, `member:…`, `agent:…`, `credential:…`, `challenge:…`,
    /// `token:…`, `mission:…`, `audit_chain:…`.
    Thing(Thing),
    /// All of a view's things, as they were: one JSON object a line, by kind and in the order of their making.
    View {
        /// Which view.
        view: Listed,
        #[command(flatten)]
        at: At,
    },
    /// The events about a thing, in order: one JSON object a line. Of any thing, also an `audit_entry:…` or a `key:…`.
    Timeline {
        /// The thing: its kind and its id, for example `agent:aid_01jcp0e84wfgx9y7jvdnz8z6gb`.
        thing: String,
        /// From this event on.
        #[arg(long, default_value = "0")]
        from: u64,
        /// At most so many; all of them if absent.
        #[arg(long)]
        limit: Option<u64>,
    },
    /// What differs between two moments, and the events that made it so: one JSON object for each thing, by kind and id.
    /// What no event in between is about, and merely lapsed, is not shown.
    Diff {
        /// The earlier moment: a sequence number or a time.
        #[arg(long)]
        from: When,
        /// The later moment; the log's end if absent.
        #[arg(long)]
        to: Option<When>,
        /// Only this thing.
        thing: Option<String>,
    },
    /// The digest of each view, to compare with a daemon's at the same number of events.
    Digests {
        #[command(flatten)]
        at: At,
    },
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
    at: Option<When>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Listed {
    /// Tenants, organisations, members, agents, credentials and challenges.
    Identity,
    /// Tokens.
    Token,
    /// Missions and audit chains.
    Execution,
}

impl Listed {
    const fn kinds(self) -> &'static [ThingKind] {
        use ThingKind::{Agent, AuditChain, Challenge, Credential, Member, Mission, Organisation, Tenant, Token};
        match self {
            Self::Identity => &[Tenant, Organisation, Member, Agent, Credential, Challenge],
            Self::Token => &[Token],
            Self::Execution => &[Mission, AuditChain],
        }
    }
}

/// What is asked, with names made out and moments found in the log: nothing is replayed for a question that has no
/// answer.
enum Asked {
    State(Subject, Moment),
    List(Listed, Moment),
    Timeline { subject: Subject, from: Seq, limit: u64, end: Moment },
    Difference { about: Option<Subject>, from: Moment, to: Moment },
    Digests(Moment),
}

impl Asked {
    fn of(question: &Question, log: &dyn LogStore) -> anyhow::Result<Self> {
        let moment = |when: Option<When>| When::moment(when, log);
        let state = |subject, at: &At| Ok(Self::State(subject, moment(at.at)?));
        match question {
            Question::Agent(it) => state(subject::of_kind(ThingKind::Agent, &it.id)?, &it.at),
            Question::Token(it) => state(subject::of_kind(ThingKind::Token, &it.id)?, &it.at),
            Question::Mission(it) => state(subject::of_kind(ThingKind::Mission, &it.id)?, &it.at),
            Question::Thing(it) => state(subject::parse_shown(&it.id)?, &it.at),
            Question::View { view, at } => Ok(Self::List(*view, moment(at.at)?)),
            Question::Timeline { thing, from, limit } => Ok(Self::Timeline {
                subject: subject::parse(thing)?,
                from: Seq(*from),
                limit: limit.unwrap_or(u64::MAX),
                end: moment(None)?,
            }),
            Question::Diff { from, to, thing } => {
                let about = thing.as_deref().map(subject::parse_shown).transpose()?;
                let (from, to) = (moment(Some(*from))?, moment(*to)?);
                if from.seq > to.seq {
                    bail!("--from, event {}, lies after --to, event {}", from.seq, to.seq);
                }
                Ok(Self::Difference { about, from, to })
            }
            Question::Digests { at } => Ok(Self::Digests(moment(at.at)?)),
        }
    }

    /// As far as the question needs to be replayed.
    const fn last(&self) -> Seq {
        match self {
            Self::State(_, at) | Self::List(_, at) | Self::Digests(at) => at.seq,
            Self::Timeline { end, .. } => end.seq,
            Self::Difference { to, .. } => to.seq,
        }
    }
}

/// Replays, and prints the answer as JSON. False if there was no such thing at that moment.
///
/// # Errors
/// When the log cannot be replayed.
pub fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let opened = arguments.log.open()?;
    let asked = Asked::of(&arguments.question, &*opened.log)?;
    let secrets = match asked {
        // Views keep encrypted fields encrypted.
        Asked::Digests(_) => Box::new(source::NoSecrets),
        _ => opened.secrets(&arguments.keys)?,
    };
    let last = asked.last();
    let dir = WorkDir::take(arguments.work_dir.as_deref(), &*opened.log, last)?;
    let size = last.tree_size();
    let bar = progress::events(Some(size.0), "replaying");
    let show = |TreeSize(size): TreeSize| bar.set_position(size);
    let replay = Replay::build(opened.log.clone(), secrets, dir.path(), size, show);
    bar.finish_and_clear();
    match replay {
        Ok(replay) => answer(&replay, &asked),
        Err(ReplayError::Worker(WorkerError::Unreadable { seq, .. })) if opened.withholds(seq)? => bail!(
            "the body of event {seq} is withheld from this export, so nobody can tell from it what happened; \
             use an export with bodies, or the data directory"
        ),
        Err(error) => Err(error.into()),
    }
}

fn answer(replay: &Replay, asked: &Asked) -> anyhow::Result<bool> {
    match *asked {
        Asked::State(subject, at) => state(replay, subject, at),
        Asked::List(view, at) => list(replay, view, at),
        Asked::Timeline { subject, from, limit, .. } => timeline(replay, subject, from, limit),
        Asked::Difference { about, from, to } => difference(replay, about, from, to),
        Asked::Digests(at) => digests(replay, at),
    }
}

fn state(replay: &Replay, subject: Subject, at: Moment) -> anyhow::Result<bool> {
    match replay.thing(subject, at)? {
        Some(value) => output::pretty(&value).map(|()| true),
        None => {
            output::note(&format!("there was no {} {} right after event {}", subject.kind.name(), subject.id, at.seq));
            Ok(false)
        }
    }
}

/// A thing and its state, of a list.
#[derive(Serialize)]
struct StateOf {
    subject: Subject,
    state: Value,
}

fn list(replay: &Replay, view: Listed, at: Moment) -> anyhow::Result<bool> {
    let mut lines = Lines::new();
    for kind in view.kinds() {
        replay.each_thing(*kind, at, |subject, state| lines.write(&StateOf { subject, state }))?;
    }
    lines.finish()?;
    Ok(true)
}

fn timeline(replay: &Replay, subject: Subject, from: Seq, limit: u64) -> anyhow::Result<bool> {
    let mut lines = Lines::new();
    let mut left = limit;
    replay.timeline(subject, from, |event| {
        if left == 0 {
            return ControlFlow::Break(());
        }
        left -= 1;
        lines.write(&event)
    })?;
    let any = lines.finish()? > 0;
    if !any && limit > 0 {
        output::note(&format!("no event from {from} on is about {} {}", subject.kind.name(), subject.id));
    }
    Ok(any || limit == 0)
}

fn difference(replay: &Replay, about: Option<Subject>, from: Moment, to: Moment) -> anyhow::Result<bool> {
    if let Some(subject) = about
        && replay.thing(subject, to)?.is_none()
        && replay.thing(subject, from)?.is_none()
    {
        let (kind, id) = (subject.kind.name(), subject.id);
        output::note(&format!("there was no {kind} {id} right after event {}, nor after {}", from.seq, to.seq));
        return Ok(false);
    }
    let mut lines = Lines::new();
    replay.difference(from, to, about, |change| lines.write(&change))?;
    lines.finish()?;
    Ok(true)
}

fn digests(replay: &Replay, at: Moment) -> anyhow::Result<bool> {
    let (size, wanted) = (replay.size(), at.seq.tree_size());
    if size != wanted {
        bail!("the views in --work-dir are of {size} events already; digests at {wanted} need an empty directory");
    }
    let mut lines = Lines::new();
    for digest in replay.digests()? {
        if lines.write(&digest).is_break() {
            break;
        }
    }
    lines.finish()?;
    Ok(true)
}
