//! `chancery replay`: what the log says, at any moment; what happened to a thing; what changed.

mod subject;

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use chancery_ledger::ids::{AgentId, Seq, Subject, TenantId, ThingId as _, ThingKind, TreeSize};
use chancery_ledger::keystore::Secrets;
use chancery_ledger::store::LogStore;
use chancery_projections::rejection::Rejection;
use chancery_projections::replay::{ComparedRoots, Moment, Replay, ReplayError, Whose};
use chancery_projections::snapshot::{Refused, Snapshots, Start, Wanted};
use chancery_projections::trust::decide::{parse_scope_rules, parse_scoring};
use chancery_projections::trust::scope_rules::ScopeRules;
use chancery_projections::trust::scoring::Scoring;
use chancery_projections::worker::WorkerError;
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::Value;
use tempfile::TempDir;

use crate::moment::When;
use crate::output::{self, Lines};
use crate::{progress, source};

/// Events between snapshots, if nobody says otherwise: to read as many takes some ten seconds.
const SNAPSHOT_EVERY: u64 = 1_000_000;

/// Arguments of `chancery replay`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    log: source::Log,
    #[command(flatten)]
    keys: source::Keys,
    /// Keep the replayed views here as snapshots, so that the next replay begins at the nearest of them; a temporary
    /// directory otherwise. They are held against the log when they are used, and one that it does not bear out is made anew.
    #[arg(long, global = true, value_name = "DIR")]
    snapshots: Option<PathBuf>,
    /// How many events lie between two snapshots that are both kept; one that is behind by fewer is moved on.
    #[arg(long, global = true, value_name = "EVENTS", default_value_t = SNAPSHOT_EVERY)]
    snapshot_every: u64,
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
    /// How far an agent was trusted.
    Trust(Thing),
    /// Any thing that a view shows: `tenant:…`, `organisation:…`, `member:…`, `agent:…`, `credential:…`, `challenge:…`,
    /// `issuer:…`, `issuer_rule:…`, `token:…`, `dispute:…`, `policy:…`, `mission:…`, `audit_chain:…`, `transaction:…`,
    /// `destination:…`, `subscription:…`.
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
    /// What differs between two moments, and the events that made it so: one JSON object for each thing, in the order
    /// of these events. What no event in between is about, and merely lapsed, is not shown.
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
    /// Past scope checks that would have ended otherwise under other rules: one JSON object a line, `would_pass` `null` where
    /// the parameters were erased. Each is decided again upon what there was right before it.
    ScopeChecks {
        /// The rules: a file with a document as `SetPolicy` takes it for `scope`; those in force at the log's end if absent.
        #[arg(long)]
        under: Option<PathBuf>,
        /// Only checks after this moment.
        #[arg(long)]
        from: Option<When>,
        /// Only checks up to this moment.
        #[arg(long)]
        to: Option<When>,
        /// Only this tenant's.
        #[arg(long)]
        tenant: Option<String>,
        /// Only those of this agent's tokens.
        #[arg(long)]
        agent: Option<String>,
        /// Those too that would end as they did.
        #[arg(long)]
        all: bool,
    },
    /// The score of every agent, and what it would be by other rules: one JSON object a line.
    Scores {
        /// The rules: a file with a document as `SetPolicy` takes it for `scoring`.
        #[arg(long)]
        under: PathBuf,
        /// Only this tenant's agents.
        #[arg(long)]
        tenant: Option<String>,
        #[command(flatten)]
        at: At,
    },
    /// Hold the roots that the daemon published of its views against those of the replayed ones: one JSON object for each
    /// publication; exit code 1 if any differs. Each takes a walk over the replayed views.
    Roots {
        /// Only what was published from this event on.
        #[arg(long, default_value = "0")]
        from: u64,
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
    /// Tenants, organisations, members, agents, credentials, challenges, issuers and their rules.
    Identity,
    /// Tokens.
    Token,
    /// Disputes and policies.
    Trust,
    /// Missions, audit chains, transactions, destinations and subscriptions.
    Execution,
}

impl Listed {
    const fn kinds(self) -> &'static [ThingKind] {
        use ThingKind::{
            Agent, AuditChain, Challenge, Credential, Destination, Dispute, Issuer, IssuerRule, Member, Mission,
            Organisation, Policy, Subscription, Tenant, Token, Transaction,
        };
        match self {
            Self::Identity => &[Tenant, Organisation, Member, Agent, Credential, Challenge, Issuer, IssuerRule],
            Self::Token => &[Token],
            Self::Trust => &[Dispute, Policy],
            Self::Execution => &[Mission, AuditChain, Transaction, Destination, Subscription],
        }
    }
}

/// What is asked, with names made out and moments found in the log: nothing is replayed for a question that has no
/// answer.
enum Asked {
    State(Subject, Moment),
    Trust(AgentId, Moment),
    List(Listed, Moment),
    Timeline { subject: Subject, from: Seq, limit: u64, end: Moment },
    Difference { about: Option<Subject>, from: Moment, to: Moment },
    ScopeChecks { whose: Whose, rules: Option<ScopeRules>, from: Seq, to: Seq, all: bool, end: Moment },
    Scores { tenant: Option<TenantId>, rules: Box<Scoring>, at: Moment },
    Digests(Moment),
    Roots { from: Seq, end: Moment },
}

impl Asked {
    fn of(question: &Question, log: &dyn LogStore) -> anyhow::Result<Self> {
        let moment = |when: Option<When>| When::moment(when, log);
        let state = |subject, at: &At| Ok(Self::State(subject, moment(at.at)?));
        match question {
            Question::Agent(it) => state(subject::of_kind(ThingKind::Agent, &it.id)?, &it.at),
            Question::Token(it) => state(subject::of_kind(ThingKind::Token, &it.id)?, &it.at),
            Question::Mission(it) => state(subject::of_kind(ThingKind::Mission, &it.id)?, &it.at),
            Question::Trust(it) => {
                Ok(Self::Trust(AgentId(subject::of_kind(ThingKind::Agent, &it.id)?.id), moment(it.at.at)?))
            }
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
            Question::ScopeChecks { under, from, to, tenant, agent, all } => Ok(Self::ScopeChecks {
                whose: Whose { tenant: tenant_of(tenant.as_deref())?, agent: agent_of(agent.as_deref())? },
                rules: under.as_deref().map(|file| read_rules(file, parse_scope_rules)).transpose()?,
                from: from.map(|from| moment(Some(from))).transpose()?.map_or(Seq(0), |from| from.seq),
                to: moment(*to)?.seq,
                all: *all,
                end: moment(None)?,
            }),
            Question::Scores { under, tenant, at } => Ok(Self::Scores {
                tenant: tenant_of(tenant.as_deref())?,
                rules: Box::new(read_rules(under, parse_scoring)?),
                at: moment(at.at)?,
            }),
            Question::Digests { at } => Ok(Self::Digests(moment(at.at)?)),
            Question::Roots { from } => Ok(Self::Roots { from: Seq(*from), end: moment(None)? }),
        }
    }

    /// As far as the question needs to be replayed.
    const fn last(&self) -> Seq {
        match self {
            Self::State(_, at) | Self::Trust(_, at) | Self::List(_, at) | Self::Digests(at) => at.seq,
            Self::Scores { at, .. } => at.seq,
            Self::Timeline { end, .. } | Self::ScopeChecks { end, .. } | Self::Roots { end, .. } => end.seq,
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
        Asked::Digests(_) | Asked::Roots { .. } => Box::new(source::NoSecrets),
        _ => opened.secrets(&arguments.keys)?,
    };
    let (replay, _held) = match replayed(arguments, &opened, &asked, secrets) {
        Ok(replay) => replay,
        Err(error) => match error.downcast_ref() {
            Some(ReplayError::Worker(WorkerError::Unreadable { seq, .. })) if opened.withholds(*seq)? => bail!(
                "the body of event {seq} is withheld from this export, so nobody can tell from it what happened; \
                 use an export with bodies, or the data directory"
            ),
            _ => return Err(error),
        },
    };
    answer(&replay, &asked)
}

/// What must stay held while views are read.
enum Place {
    Temporary(#[expect(dead_code, reason = "it is removed when it is dropped")] TempDir),
    Kept(#[expect(dead_code, reason = "others are kept out until it is dropped")] Snapshots),
}

fn replayed(
    arguments: &Arguments, opened: &source::Opened, asked: &Asked, secrets: Box<dyn Secrets>,
) -> anyhow::Result<(Replay, Place)> {
    let size = asked.last().tree_size();
    let build = |secrets, dir: &Path| -> anyhow::Result<Replay> {
        let bar = progress::events(Some(size.0), "replaying");
        let show = |TreeSize(size): TreeSize| bar.set_position(size);
        let replay = Replay::build(opened.log.clone(), secrets, dir, size, show);
        bar.finish_and_clear();
        Ok(replay?)
    };
    let Some(dir) = &arguments.snapshots else {
        let dir = tempfile::tempdir().context("no temporary directory can be made; give --snapshots")?;
        return Ok((build(secrets, dir.path())?, Place::Temporary(dir)));
    };
    let snapshots = Snapshots::open(dir)?;
    // The digests of views are those of their newest rows alone.
    let exactly = matches!(asked, Asked::Digests(_));
    let wanted = Wanted { size, exactly, apart: arguments.snapshot_every };
    let Start { mut path, size: begun, refused } = snapshots.nearest(&*opened.log, wanted)?;
    for Refused { size, why } in refused {
        output::note(&format!("the snapshot of {size} events was not used, and is no more: {why}"));
    }
    if begun < size {
        // It is closed before it is put in its place.
        drop(build(Box::new(source::NoSecrets), &path)?);
        path = snapshots.keep(&*opened.log, size)?;
    }
    Ok((build(secrets, &path)?, Place::Kept(snapshots)))
}

fn answer(replay: &Replay, asked: &Asked) -> anyhow::Result<bool> {
    match *asked {
        Asked::State(subject, at) => shown(replay.thing(subject, at)?, subject, at),
        Asked::Trust(agent, at) => shown(replay.trust(agent, at)?, agent.subject(), at),
        Asked::List(view, at) => list(replay, view, at),
        Asked::Timeline { subject, from, limit, .. } => timeline(replay, subject, from, limit),
        Asked::Difference { about, from, to } => difference(replay, about, from, to),
        Asked::ScopeChecks { whose, ref rules, from, to, all, .. } => {
            let mut lines = Lines::new();
            replay.scope_checks(whose, rules.as_ref(), from, to, |check| match all || check.differs() {
                true => lines.write(&check),
                false => ControlFlow::Continue(()),
            })?;
            lines.finish()?;
            Ok(true)
        }
        Asked::Scores { tenant, ref rules, at } => {
            let mut lines = Lines::new();
            replay.scores(tenant, rules, at, |score| lines.write(&score))?;
            lines.finish()?;
            Ok(true)
        }
        Asked::Digests(_) => digests(replay),
        Asked::Roots { from, .. } => roots(replay, from),
    }
}

fn tenant_of(text: Option<&str>) -> anyhow::Result<Option<TenantId>> {
    text.map(|text| Ok(TenantId(subject::of_kind(ThingKind::Tenant, text)?.id))).transpose()
}

fn agent_of(text: Option<&str>) -> anyhow::Result<Option<AgentId>> {
    text.map(|text| Ok(AgentId(subject::of_kind(ThingKind::Agent, text)?.id))).transpose()
}

/// Rules in a file.
fn read_rules<T>(file: &Path, parse: fn(&str) -> Result<T, Rejection>) -> anyhow::Result<T> {
    let text = fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    parse(&text).with_context(|| format!("{} holds no such rules", file.display()))
}

fn shown(state: Option<Value>, subject: Subject, at: Moment) -> anyhow::Result<bool> {
    match state {
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

fn digests(replay: &Replay) -> anyhow::Result<bool> {
    let mut lines = Lines::new();
    for digest in replay.digests()? {
        if lines.write(&digest).is_break() {
            break;
        }
    }
    lines.finish()?;
    Ok(true)
}

fn roots(replay: &Replay, from: Seq) -> anyhow::Result<bool> {
    let scratch = tempfile::tempdir().context("no temporary directory can be made")?;
    let mut lines = Lines::new();
    let (mut compared, mut first_differing) = (0_u64, None);
    replay.compare_roots(from, scratch.path(), |roots| {
        compared += u64::from(roots.equal.is_some());
        if roots.equal == Some(false) {
            first_differing.get_or_insert_with(|| roots.clone());
        }
        lines.write(&roots)
    })?;
    lines.finish()?;
    match &first_differing {
        Some(ComparedRoots { event, size, differing, .. }) => {
            let views: Vec<_> = differing.iter().map(|root| root.published.view.as_str()).collect();
            let views = views.join(", ");
            output::note(&format!(
                "FIRST DIFFERENCE: event {event} published another root of {views} at {size} events"
            ));
        }
        None if compared == 0 => output::note("no roots were published that could be compared"),
        None => output::note(&format!("all roots of {compared} publications are those of the replayed views")),
    }
    Ok(first_differing.is_none())
}
