//! One run: a scheduler with dice, which says at every step whose turn it is and what goes wrong, and checks what must
//! hold whatever that was.

mod restart;

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use chancery_ledger::ids::{Seq, TreeSize};
use chancery_ledger::keys::SigningKey;
use chancery_ledger::tree::seal::Seal;
use chancery_ledger::tree::verifier_key::VerifierKey;
use chancery_ledger::verify::{Known, StoreItems, Trust, verify};
use chancery_projections::context::Clock as _;
use chancery_projections::decide::version_of;
use chancery_projections::engine::Stepped;
use chancery_projections::rejection::Rejection;
use chancery_projections::rows::Rows as _;
use chancery_projections::sequencer::{Pending, Receipt, Request, Step, SubmitError};
use chancery_projections::views::View;
use std::future::Future as _;
use zeroize::Zeroizing;

use crate::answers::{self, Moment};
use crate::canary::Canary;
use crate::cast::Cast;
use crate::disk::Fault;
use crate::history::{History, whose};
use crate::node::{Bounds, Ground, ORIGIN};
use crate::note;
use crate::random::Dice;
use crate::summary::Summary;
use crate::trace::Trace;

/// Signed heads kept from answers, for the verifier to hold the log against.
const HEADS_MAX: usize = 32;

/// Whose turn it is.
#[derive(Debug, Clone, Copy)]
enum Turn {
    Send,
    Decide,
    Take,
    Commit,
    Answer,
    SyncCheckpoint,
    Follow,
    Read,
    Tick,
    Rebuild,
    Fault,
    Leave,
    Crash,
    Stop,
    Check,
}

/// A command on its way.
struct OnItsWay {
    n: u64,
    request: Request,
    /// Gone when whoever asked is.
    pending: Option<Pending>,
}

/// A command that was decided and not yet answered.
struct Decided {
    command: OnItsWay,
    moment: Moment,
}

/// A run under way.
pub struct Run<'a> {
    trace: &'a mut Trace,
    dice: Dice,
    /// For deciding anew, so that it changes no other throw.
    oracle: Dice,
    turns: Vec<(usize, Turn)>,
    ground: Ground,
    node: Option<Stepped>,
    /// Writing stopped in this node.
    has_failed: bool,
    history: History,
    cast: Cast,
    summary: Summary,
    waiting: VecDeque<OnItsWay>,
    decided: VecDeque<Decided>,
    /// What was acknowledged under a key: what was asked, and the events.
    promised: BTreeMap<(String, String), (String, Vec<Seq>)>,
    heads: Vec<Seal>,
    verifier_key: VerifierKey,
}

/// How often each turn comes, in this run: some runs crash a lot, in some the views are slow, in some nothing fails.
fn turns(dice: &mut Dice) -> Vec<(usize, Turn)> {
    let usual = [
        (180, Turn::Send),
        (180, Turn::Decide),
        (130, Turn::Take),
        (150, Turn::Commit),
        (150, Turn::Answer),
        (8, Turn::SyncCheckpoint),
        (160, Turn::Follow),
        (25, Turn::Read),
        (25, Turn::Tick),
        (3, Turn::Rebuild),
        (8, Turn::Fault),
        (3, Turn::Leave),
        (4, Turn::Crash),
        (1, Turn::Stop),
        (4, Turn::Check),
    ];
    usual
        .into_iter()
        .map(|(weight, turn)| {
            let times = match turn {
                Turn::Fault | Turn::Crash => *dice.pick(&[0, 1, 2, 3, 6]).unwrap_or(&1),
                Turn::Take | Turn::Commit | Turn::Follow | Turn::Send => *dice.pick(&[1, 2, 2, 3, 6]).unwrap_or(&2),
                _ => 2,
            };
            (weight * times, turn)
        })
        .collect()
}

impl<'a> Run<'a> {
    /// Founds a ledger to run on.
    ///
    /// # Errors
    /// What is wrong, if that goes wrong.
    pub fn new(seed: u64, canary: Option<Canary>, trace: &'a mut Trace) -> Result<Self, String> {
        let mut dice = Dice::new(seed);
        let bounds = Bounds {
            waiting_max: *dice.pick(&[1, 4, 64, 1024]).unwrap_or(&64),
            lag_events_max: *dice.pick(&[3, 20, 200, 65_536]).unwrap_or(&200),
        };
        let turns = turns(&mut dice);
        let ground = Ground::new(&mut dice, bounds, canary)?;
        let verifier_key = VerifierKey { origin: ORIGIN.to_owned(), key: ground.first_key };
        let (oracle, cast) = (dice.fork("oracle"), Cast::new(dice.fork("cast")));
        note!(trace, "seed {seed}: {bounds:?}");
        let mut run = Self {
            trace,
            dice,
            oracle,
            turns,
            ground,
            node: None,
            has_failed: false,
            history: History::new(),
            cast,
            summary: Summary::default(),
            waiting: VecDeque::new(),
            decided: VecDeque::new(),
            promised: BTreeMap::new(),
            heads: Vec::new(),
            verifier_key,
        };
        run.start()?;
        Ok(run)
    }

    /// Takes so many steps, then lets everything come to rest and checks it all once more.
    ///
    /// # Errors
    /// What does not hold.
    pub fn take(mut self, steps: u64, mut progress: impl FnMut(u64)) -> Result<Summary, String> {
        for step in 1..=steps {
            self.trace.step = step;
            self.summary.steps = step;
            let turn = self.dice.weighted(&self.turns).unwrap_or(Turn::Check);
            self.turn(turn)?;
            // Whoever runs a daemon whose writing has stopped restarts it before long.
            if self.ground.disk.is_over() || (self.has_failed && self.dice.chance(30)) {
                self.crash(false)?;
            }
            self.glance()?;
            progress(step);
        }
        self.ground.disk.calm();
        if self.has_failed || !self.is_whole() {
            self.crash(false)?;
        }
        self.stop()?;
        for view in View::ALL {
            self.rebuild(view)?;
        }
        self.check()?;
        self.summary.events = self.history.size().0;
        Ok(self.summary)
    }

    fn turn(&mut self, turn: Turn) -> Result<(), String> {
        match turn {
            Turn::Send => (0..=self.dice.below(3)).try_for_each(|_| self.send()),
            Turn::Decide => (0..=self.dice.below(4)).try_for_each(|_| self.decide().map(drop)),
            Turn::Take => {
                if let Some(commands) = self.node()?.take() {
                    note!(self.trace, "take {commands} commands");
                }
                Ok(())
            }
            Turn::Commit => self.commit(),
            Turn::Answer => self.answer(),
            Turn::SyncCheckpoint => {
                let synced = self.node()?.sync_checkpoint();
                self.note_writing("sync the checkpoint", synced.map(|synced| synced.map(|()| String::new())))
            }
            Turn::Follow => {
                let view = *self.dice.pick(&View::ALL).unwrap_or(&View::Journal);
                self.follow(view)
            }
            Turn::Read => self.read(),
            Turn::Tick => {
                let secs = match self.dice.below(20) {
                    0 => self.dice.between(0, 40 * 86_400),
                    1..4 => self.dice.between(-100, -1),
                    _ => self.dice.between(0, 20),
                };
                let micros = secs * 1_000_000 + self.dice.between(0, 999_999);
                self.ground.clock.advance(micros);
                note!(self.trace, "the clock moves by {micros} µs");
                Ok(())
            }
            Turn::Rebuild => {
                let view = *self.dice.pick(&View::ALL).unwrap_or(&View::Journal);
                self.rebuild(view)
            }
            Turn::Fault => {
                let fault = *self.dice.pick(&Fault::ALL).unwrap_or(&Fault::Sync);
                // A commit has many writes and few syncs.
                let after = self.dice.below(if fault == Fault::Sync { 3 } else { 20 });
                note!(self.trace, "planned: {} after {after} more", fault.name());
                self.ground.disk.plan(fault, after);
                Ok(())
            }
            Turn::Leave => {
                let which = self.dice.below(self.decided.len());
                if let Some(decided) = self.decided.get_mut(which)
                    && decided.command.pending.take().is_some()
                {
                    note!(self.trace, "whoever sent #{} goes away", decided.command.n);
                }
                Ok(())
            }
            Turn::Crash => {
                let power_cut = self.dice.chance(600);
                self.crash(power_cut)
            }
            Turn::Stop => {
                if self.has_failed || !self.is_whole() {
                    return self.crash(false);
                }
                self.ground.disk.calm();
                self.stop()
            }
            Turn::Check => self.check(),
        }
    }

    fn node(&mut self) -> Result<&mut Stepped, String> {
        self.node.as_mut().ok_or_else(|| "the product does not run".to_owned())
    }

    /// Whether nothing went wrong with the disk since the start.
    fn is_whole(&self) -> bool {
        self.ground.disk.struck().is_none()
    }

    /// What went wrong went wrong because the disk did; else that is what was found.
    fn excused(&self, what: &str) -> Result<(), String> {
        match self.ground.disk.struck() {
            Some(_) => Ok(()),
            None => Err(format!("nothing failed underneath, and yet: {what}")),
        }
    }

    fn send(&mut self) -> Result<(), String> {
        let Self { cast, ground, history, node, .. } = self;
        let Some(node) = node.as_ref() else { return Ok(()) };
        let views = history.at(history.size());
        let version = |tenant, command: &_| version_of(&views.state(), tenant, command).ok().flatten();
        let mut kept = Ok(());
        let request = cast.request(ground.clock.now(), version, |dice| {
            let key = SigningKey::from_seed(Zeroizing::new(dice.bytes()));
            kept = ground.keys.keep(&key);
            key.public()
        });
        kept.map_err(|error| error.to_string())?;
        let n = self.summary.commands;
        let name = request.command.name();
        match node.sequencer().submit(request.clone()) {
            Ok(pending) => {
                let key = request.idempotency_key.as_deref().map_or("", |key| key.get(..8).unwrap_or(key));
                note!(self.trace, "send #{n} {name} {key}");
                self.summary.commands += 1;
                self.waiting.push_back(OnItsWay { n, request, pending: Some(pending) });
                Ok(())
            }
            Err(SubmitError::Busy { .. }) => {
                note!(self.trace, "{name} is told to come again");
                Ok(())
            }
            Err(SubmitError::Stopped { why }) => {
                note!(self.trace, "{name} is told that writing has stopped: {why}");
                self.excused(&format!("a command was told that writing has stopped: {why}"))
            }
            Err(error) => Err(format!("a command was told, when it was handed in: {error}")),
        }
    }

    /// Whether there was a command to decide.
    fn decide(&mut self) -> Result<bool, String> {
        let clock = self.ground.clock.now();
        match self.node()?.decide() {
            Step::Waits => Ok(false),
            Step::Over => {
                note!(self.trace, "nothing is decided any more");
                self.excused("nothing is decided any more").map(|()| false)
            }
            Step::Decided(at) => {
                let mut command = self.waiting.pop_front().ok_or("a command was decided that nobody sent")?;
                note!(self.trace, "decide #{} at {at}", command.n);
                match command.pending.as_mut().and_then(poll) {
                    None => {
                        self.decided.push_back(Decided { command, moment: Moment { at, clock } });
                        Ok(true)
                    }
                    Some(Err(SubmitError::Unavailable { why } | SubmitError::Stopped { why })) => {
                        note!(self.trace, "#{} could not be decided: {why}", command.n);
                        self.excused(&format!("a command could not be decided: {why}")).map(|()| true)
                    }
                    Some(answer) => Err(format!("#{} was answered before it was durable: {answer:?}", command.n)),
                }
            }
        }
    }

    fn commit(&mut self) -> Result<(), String> {
        let before = self.history.size();
        let committed = self.node()?.commit();
        let committed = committed.map(|done| done.map(|size| format!("{size} events are durable")));
        self.note_writing("commit", committed)?;
        // A commit that failed may be in the log all the same.
        if !self.ground.disk.is_over() {
            self.read_on()?;
            self.summary.commits += u64::from(self.history.size() > before);
        }
        Ok(())
    }

    fn note_writing(&mut self, what: &str, done: Option<Result<String, String>>) -> Result<(), String> {
        match done {
            None => Ok(()),
            Some(Ok(done)) => {
                note!(self.trace, "{what}: {done}");
                Ok(())
            }
            Some(Err(why)) => {
                note!(self.trace, "{what}: {why}");
                self.has_failed = true;
                self.excused(&format!("{what}: {why}"))?;
                let stopped = self.node()?.sequencer().status().stopped;
                stopped.map(drop).ok_or_else(|| format!("{what} failed ({why}), and writing goes on"))
            }
        }
    }

    /// Reads what was committed, and checks it.
    fn read_on(&mut self) -> Result<(), String> {
        let Self { ground, history, node, .. } = self;
        let Some(node) = node.as_ref() else { return Ok(()) };
        ground.disk.calmly(|| history.read_on(node.log(), node.secrets()))
    }

    fn answer(&mut self) -> Result<(), String> {
        let Some(count) = self.node()?.answer() else { return Ok(()) };
        note!(self.trace, "answer {count}");
        if self.has_failed {
            return Err("commands were answered after a commit had failed".to_owned());
        }
        self.read_on()?;
        for _ in 0..count {
            let decided = self.decided.pop_front().ok_or("more were answered than had asked")?;
            self.answered(decided)?;
        }
        Ok(())
    }

    fn answered(&mut self, decided: Decided) -> Result<(), String> {
        let Decided { command: OnItsWay { n, request, pending }, moment } = decided;
        let Some(mut pending) = pending else { return Ok(()) };
        let receipt = match poll(&mut pending) {
            Some(Ok(receipt)) => receipt,
            Some(Err(SubmitError::Unavailable { why })) => {
                note!(self.trace, "#{n} got no receipt: {why}");
                return self.excused(&format!("a command got no receipt: {why}"));
            }
            other => return Err(format!("#{n} is durable, and its sender heard {other:?}")),
        };
        let (shown, events) = (answers_name(&receipt), receipt.events.len());
        let hash = receipt.events.last().map(|event| hex::encode(event.hash.0)).unwrap_or_default();
        note!(self.trace, "#{n}: {shown}, {events} events, {} {hash}", receipt.size);
        let Self { ground, history, oracle, node, .. } = self;
        let Some(node) = node.as_ref() else { return Ok(()) };
        let checked =
            ground.disk.calmly(|| answers::check(history, &request, moment, &receipt, oracle, node.secrets()));
        checked.map_err(|why| format!("the answer to #{n} ({}): {why}", request.command.name()))?;
        self.is_as_promised(&request, &receipt).map_err(|why| format!("the answer to #{n}: {why}"))?;
        self.keep_head(&receipt)?;
        self.summary.answered += 1;
        self.summary.replayed += u64::from(receipt.replayed);
        match &receipt.answer {
            Ok(output) => self.cast.note(request.tenant, output),
            Err(_) => self.summary.refused += 1,
        }
        Ok(())
    }

    /// A command that was acknowledged under a key has happened, once and for all: asked again, it is answered with the
    /// same events, and nothing else takes its key.
    fn is_as_promised(&mut self, request: &Request, receipt: &Receipt) -> Result<(), String> {
        let Some(key) = &request.idempotency_key else { return Ok(()) };
        let of = (whose(&request.caller.actor, request.tenant), key.clone());
        let asked = answers::asked(&request.command);
        let seqs: Vec<Seq> = receipt.events.iter().map(|event| event.seq).collect();
        let Some((before, events)) = self.promised.get(&of) else {
            if receipt.answer.is_ok() && !seqs.is_empty() {
                self.promised.insert(of, (asked, seqs));
            }
            return Ok(());
        };
        let is_right = match &receipt.answer {
            Ok(_) => receipt.replayed && *before == asked && *events == seqs,
            Err(Rejection::IdempotencyConflict { original }) => *before != asked && events.first() == Some(original),
            // Whoever may not ask, or asks nonsense, is not told what happened.
            Err(rejection) => matches!(
                rejection,
                Rejection::TenantSuspended
                    | Rejection::NotFound { thing: "tenant" }
                    | Rejection::ScopeMissing { .. }
                    | Rejection::Invalid { field: "params" | "principal", .. }
            ),
        };
        if is_right { Ok(()) } else { Err(format!("events {events:?} were promised under its key, and now {seqs:?}")) }
    }

    /// Keeps the signed head of an answer: the log must hold it for ever.
    fn keep_head(&mut self, receipt: &Receipt) -> Result<(), String> {
        let seal = Seal::parse(&receipt.seal).map_err(|error| format!("a receipt's seal: {error}"))?;
        if seal.checkpoint().size != receipt.size {
            return Err(format!("a receipt for {} events has a seal for {}", receipt.size, seal.checkpoint().size));
        }
        if self.heads.len() >= HEADS_MAX {
            let which = self.dice.below(HEADS_MAX);
            self.heads.swap_remove(which);
        }
        self.heads.push(seal);
        Ok(())
    }

    fn follow(&mut self, view: View) -> Result<(), String> {
        let before = self.node()?.views().get(view).store.cursor();
        let follows = self.node()?.follow(view);
        let after = self.node()?.views().get(view).store.cursor();
        if after != before {
            note!(self.trace, "the {} view follows to {after}", view.name());
        }
        if after < before {
            return Err(format!("the {} view went back from {before} to {after}", view.name()));
        }
        if follows { Ok(()) } else { self.excused(&format!("the {} view follows no more", view.name())) }
    }

    fn rebuild(&mut self, view: View) -> Result<(), String> {
        let name = view.name();
        if !self.node()?.views().get(view).is_following() {
            return Ok(());
        }
        let begun = self.node()?.begin_rebuild(view);
        let rebuilt = match begun {
            Ok(()) => self.node()?.finish_rebuild(view),
            Err(error) => Err(error),
        };
        match rebuilt {
            Ok(Some(rebuilt)) if rebuilt.before == rebuilt.after => {
                note!(self.trace, "the {name} view is rebuilt at {}: {}", rebuilt.cursor, hex::encode(rebuilt.after));
                self.summary.views_rebuilt += 1;
                Ok(())
            }
            Ok(Some(rebuilt)) => {
                // If the one in place is right, the one before was not.
                let now = self.node()?.views().get(view).store.snapshot();
                let which =
                    self.history.compare(view, &now).map_or_else(|why| why, |_| "the one before was wrong".to_owned());
                Err(format!(
                    "the {name} view rebuilt at {} is not the one it took the place of: {which}",
                    rebuilt.cursor
                ))
            }
            Ok(None) => Ok(()),
            Err(error) => {
                note!(self.trace, "the {name} view is not rebuilt: {error}");
                self.excused(&format!("the {name} view is not rebuilt: {error}"))
            }
        }
    }

    /// Reads some rows of a view, as they are or as they were.
    fn read(&mut self) -> Result<(), String> {
        let view = *self.dice.pick(&View::ALL).unwrap_or(&View::Journal);
        let live = self.node()?.views().get(view).store.snapshot();
        let size = live.cursor().map_err(|error| error.to_string())?;
        let as_of = TreeSize(1 + self.dice.below(usize::try_from(size.0).unwrap_or(0)) as u64);
        let which = self.dice.below(self.history.rows(view));
        let key = self.history.key(view, which).unwrap_or_default().to_vec();
        let prefix = key.get(..1 + self.dice.below(17)).unwrap_or(&key);
        let past = live.at(Seq(as_of.0 - 1));
        self.history.compare_under(view, prefix, &past, as_of, size)?;
        let (wanted, found) = (self.history.view(view, size).row(&key), past.row(&key));
        let (wanted, found) = (wanted.map_err(|error| error.to_string())?, found.map_err(|error| error.to_string())?);
        if as_of == size && found.as_ref().is_some_and(|found| Some(found) != wanted.as_ref()) {
            return Err(format!("the {} view at {size}: row {} is another", view.name(), hex::encode(key)));
        }
        Ok(())
    }

    /// What costs little and must hold after every step.
    fn glance(&mut self) -> Result<(), String> {
        let durable = self.history.size();
        let Some(node) = &self.node else { return Ok(()) };
        let size = node.log().size();
        if size < durable {
            return Err(format!("the log has {size} events, and had {durable}"));
        }
        match node.views().iter().find(|(_, handle)| handle.store.cursor() > size) {
            None => Ok(()),
            Some((view, handle)) => {
                Err(format!("the {} view has read {} events of {size}", view.name(), handle.store.cursor()))
            }
        }
    }

    /// What must hold always, all of it.
    fn check(&mut self) -> Result<(), String> {
        let Self { ground, node, history, summary, heads, verifier_key, .. } = self;
        let Some(node) = node.as_ref() else { return Ok(()) };
        ground.disk.calmly(|| {
            if !ground.disk.is_over() {
                history.read_on(node.log(), node.secrets())?;
                let known =
                    Known { key: Some((verifier_key.clone(), Trust::Given)), heads: heads.clone(), ..Known::default() };
                let report = verify(StoreItems::new(node.log(), TreeSize(u64::MAX)), &known, |_| {});
                let report = report.map_err(|error| format!("the log cannot be verified: {error}"))?;
                if let Some(broken) = report.first_broken {
                    return Err(format!("the log does not verify: {broken}"));
                }
                summary.verified += 1;
            }
            for (view, handle) in node.views().iter() {
                history.compare(view, &handle.store.snapshot())?;
                summary.views_compared += 1;
            }
            Ok(())
        })
    }
}

/// The answer, if it is there.
fn poll(pending: &mut Pending) -> Option<Result<Receipt, SubmitError>> {
    match Pin::new(pending).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

fn answers_name(receipt: &Receipt) -> String {
    match &receipt.answer {
        Ok(output) if receipt.replayed => format!("{}, again", answers::name(output)),
        Ok(output) => answers::name(output).to_owned(),
        Err(rejection) => rejection.code().to_owned(),
    }
}
