//! Decides one command after another, and gathers what they leave into groups for the committer.

use std::collections::VecDeque;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use chancery_ledger::actor::Actor;
use chancery_ledger::body::ledger::Purpose;
use chancery_ledger::body::{Body, Prelude};
use chancery_ledger::codec::CodecError;
use chancery_ledger::commit::{GROUP_EVENTS_MAX, Numbered};
use chancery_ledger::event::{Event, Idempotency};
use chancery_ledger::ids::{Seq, TenantId, uuid_v7};
use chancery_ledger::keys::{KeyDirectory, PublicKey};
use chancery_ledger::keystore::{Keystore, KeystoreError, NewSecret, SecretName, Secrets};
use chancery_ledger::shred::Encrypted;
use chancery_ledger::store::LogStore;
use chancery_ledger::time::Micros;
use crossbeam_channel::{Receiver, Select, Sender};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::admit::{self, Admitted};
use super::{Job, Message, Receipt, Request, Shared, Stage, StopOnPanic, SubmitError, answer};
use crate::canary::{self, Canary};
use crate::command::{Command, RotateSigningKey};
use crate::context::{Clock, Context, ContextError, Random};
use crate::decide::decide;
use crate::decision::{Answer, Decision, Stop};
use crate::origin;
use crate::output::Output;
use crate::rejection::Rejection;
use crate::rows::RowsError;
use crate::rows::overlay::Overlay;
use crate::signature::AgentSignature;
use crate::views::{self, PerView, Views};

/// Most commands in one group: bounds how many callers one commit keeps waiting, and what is held for them.
const GROUP_COMMANDS_MAX: usize = 512;
/// Most events of one command, which are one atomic write.
const COMMAND_EVENTS_MAX: usize = 1024;
/// Bytes of bodies after which a group takes no more commands.
const GROUP_BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of rows held in memory before deciding waits for the views.
const LAG_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long to leave the views to themselves before looking again.
const LAG_PAUSE: Duration = Duration::from_millis(1);

/// Decided commands on their way to the committer.
pub(super) struct Group {
    /// Their events.
    pub(super) numbered: Arc<Numbered>,
    /// Whom to answer what, in order.
    pub(super) replies: Vec<Reply>,
    /// Whether the keystore holds keys that must be durable before the events.
    pub(super) has_new_keys: bool,
    /// What is to be destroyed in the keystore once the events are durable, and before anybody is answered.
    pub(super) erased: Vec<SecretName>,
    /// How many looks into tokens it records.
    pub(super) looks: u64,
    /// When it was closed.
    pub(super) closed: Instant,
}

/// Whom to answer what, once everything decided before is durable.
pub(super) struct Reply {
    pub(super) to: oneshot::Sender<Result<Receipt, SubmitError>>,
    pub(super) outcome: Outcome,
    /// The submitter's.
    pub(super) span: tracing::Span,
    /// When the decider took it up.
    pub(super) taken: Instant,
}

/// What became of a command.
pub(super) enum Outcome {
    /// It was decided; these of its group's events are its own.
    Decided { events: Range<usize>, answer: Result<Output, Rejection> },
    /// It happened before, with these events of the log.
    Replayed { events: Range<u64>, output: Output },
}

/// Whether another group may begin.
enum Outlook {
    /// It may.
    Free,
    /// A view is too far behind.
    Behind,
    /// A view will never follow again, or the committer is gone.
    Over,
}

/// What one step of deciding came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A command was decided, on all events before this position.
    Decided(Seq),
    /// No command waits, the group is full, or a view is too far behind.
    Waits,
    /// Nothing is decided any more.
    Over,
}

/// Why there is no outcome.
enum Fault {
    Refused(Rejection),
    Unavailable(String),
    /// Nothing more can be made durable.
    Stopped(String),
}

impl From<Rejection> for Fault {
    fn from(rejection: Rejection) -> Self {
        Self::Refused(rejection)
    }
}

impl From<Stop> for Fault {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Refused(rejection) => Self::Refused(rejection),
            Stop::Rows(error) => error.into(),
            Stop::Context(error) => error.into(),
        }
    }
}

macro_rules! unavailable {
    ($($error:ty),*) => {$(
        impl From<$error> for Fault {
            fn from(error: $error) -> Self {
                Self::Unavailable(error.to_string())
            }
        }
    )*};
}

unavailable!(RowsError, ContextError, KeystoreError, chancery_ledger::store::StoreError);

/// What the decider starts from.
pub(super) struct Start {
    pub(super) log: Arc<dyn LogStore>,
    pub(super) secrets: Arc<Keystore>,
    pub(super) keys: Arc<KeyDirectory>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Box<dyn Random>,
    pub(super) overlays: PerView<Overlay>,
    pub(super) views: Views,
    /// When the log's last event was decided.
    pub(super) last: Micros,
    pub(super) lag_events_max: u64,
}

/// The thread that decides.
pub(super) struct Decider {
    shared: Arc<Shared>,
    jobs: Receiver<Message>,
    groups: Sender<Group>,
    log: Arc<dyn LogStore>,
    secrets: Arc<Keystore>,
    keys: Arc<KeyDirectory>,
    clock: Arc<dyn Clock>,
    random: Box<dyn Random>,
    overlays: PerView<Overlay>,
    views: Views,
    /// When the last event was decided; no event is decided before it.
    last: Micros,
    /// The position of the next event.
    next: Seq,
    /// The group being gathered.
    numbered: Numbered,
    replies: Vec<Reply>,
    has_new_keys: bool,
    /// Whether looks into tokens wait for it to be closed, which records them.
    has_looks: bool,
    /// The group takes no more commands, because a new key seals what comes after it.
    is_closed: bool,
    /// Groups handed over that may not be in the log yet.
    in_flight: VecDeque<Arc<Numbered>>,
    lag_events_max: u64,
}

impl Decider {
    pub(super) fn new(shared: Arc<Shared>, jobs: Receiver<Message>, groups: Sender<Group>, start: Start) -> Self {
        let Start { log, secrets, keys, clock, random, overlays, views, last, lag_events_max } = start;
        let next = log.size().next();
        Self {
            shared,
            jobs,
            groups,
            log,
            secrets,
            keys,
            clock,
            random,
            overlays,
            views,
            last,
            next,
            numbered: Numbered::default(),
            replies: Vec::new(),
            has_new_keys: false,
            has_looks: false,
            is_closed: false,
            in_flight: VecDeque::new(),
            lag_events_max,
        }
    }

    /// Decides until it is told to stop, and then what was let in before; or until the committer is gone.
    pub(super) fn run(mut self) {
        while let Some(message) = self.next_message() {
            match message {
                Message::Job(job) => self.take(*job),
                Message::Looks => self.has_looks = true,
                Message::Stop => {
                    self.finish();
                    return;
                }
            }
        }
    }

    /// The next message. While there is none, the group goes to the committer as soon as that is free; so a group
    /// gathers for as long as the commit before it takes. `None` when the committer is gone.
    fn next_message(&mut self) -> Option<Message> {
        loop {
            if self.is_empty() {
                self.begin_group()?;
                return self.jobs.recv().ok();
            }
            if self.is_full() {
                self.hand_over()?;
                continue;
            }
            if let Ok(message) = self.jobs.try_recv() {
                return Some(message);
            }
            let (jobs, groups) = (self.jobs.clone(), self.groups.clone());
            let mut select = Select::new();
            let free = select.send(&groups);
            select.recv(&jobs);
            let ready = select.select();
            if ready.index() == free {
                let group = self.close_group();
                ready.send(&groups, group).ok()?;
            } else {
                return ready.recv(&jobs).ok();
            }
        }
    }

    /// Decides what was let in before the stop. Nothing is let in after it.
    fn finish(&mut self) {
        while let Ok(message) = self.jobs.try_recv() {
            let Message::Job(job) = message else { continue };
            if self.is_full() && self.hand_over().is_none() {
                return;
            }
            self.take(*job);
        }
        self.has_looks = self.shared.looks.any_wait();
        while !self.is_empty() {
            if self.hand_over().is_none() {
                return;
            }
        }
    }

    /// Whether the group has neither anybody who waits nor anything to record.
    fn is_empty(&self) -> bool {
        self.replies.is_empty() && !self.has_looks
    }

    fn is_full(&self) -> bool {
        self.is_closed
            || self.replies.len() >= GROUP_COMMANDS_MAX
            || self.numbered.events().len() + COMMAND_EVENTS_MAX > GROUP_EVENTS_MAX
            || self.numbered.body_bytes() >= GROUP_BODY_BYTES_MAX
    }

    /// Hands the group over as soon as the committer takes it; `None` when the committer is gone.
    fn hand_over(&mut self) -> Option<()> {
        let group = self.close_group();
        self.groups.send(group).ok()
    }

    fn close_group(&mut self) -> Group {
        let looks = self.take_looks();
        // Others can have come meanwhile, or there was no room for all of them.
        self.has_looks = self.shared.looks.any_wait();
        // The next group is about as large as this one.
        let next = Numbered::with_capacity(self.numbered.events().len());
        let numbered = Arc::new(std::mem::replace(&mut self.numbered, next));
        self.in_flight.push_back(numbered.clone());
        let has_new_keys = std::mem::take(&mut self.has_new_keys);
        self.is_closed = false;
        let erased = erased(numbered.events());
        Group {
            numbered,
            replies: std::mem::take(&mut self.replies),
            has_new_keys,
            erased,
            looks,
            closed: Instant::now(),
        }
    }

    /// Begins a group: waits for views that are too far behind. Nothing decided waits in here then, so they can catch up.
    /// `None` when one never will, or the committer is gone.
    fn begin_group(&mut self) -> Option<()> {
        loop {
            match self.look_about() {
                Outlook::Free => return Some(()),
                Outlook::Behind => std::thread::sleep(LAG_PAUSE),
                Outlook::Over => return None,
            }
        }
    }

    /// Forgets what log and views hold by now, and tells whether another group may begin.
    fn look_about(&mut self) -> Outlook {
        let durable = self.log.size();
        while self
            .in_flight
            .front()
            .is_some_and(|group| group.events().last().is_none_or(|event| event.seq.tree_size() <= durable))
        {
            self.in_flight.pop_front();
        }
        self.overlays.iter_mut().for_each(|(_, overlay)| overlay.prune());
        let held: usize = self.overlays.iter().map(|(_, overlay)| overlay.bytes()).sum();
        let behind = |overlay: &Overlay| self.next.0 - overlay.cursor().0;
        let lags = self.overlays.iter().map(|(view, it)| (view, behind(it)));
        let Some((view, lag)) = lags.max_by_key(|(_, lag)| *lag) else { return Outlook::Free };
        if lag == 0 || (lag <= self.lag_events_max && held <= LAG_BYTES_MAX) {
            return Outlook::Free;
        }
        if !self.views.get(view).is_following() {
            let name = view.name();
            self.shared.stop(&format!("the {name} view stopped following the log; see the trace, and restart"));
            return Outlook::Over;
        }
        self.views.get(view).hurry.up();
        if self.shared.is_committer_gone.load(Ordering::Acquire) { Outlook::Over } else { Outlook::Behind }
    }

    /// One step of what [`run`](Self::run) does, by whoever has no thread for it: decides the next command, if one waits
    /// and the group may have it.
    pub(super) fn step(&mut self) -> Step {
        if self.is_empty() {
            match self.look_about() {
                Outlook::Free => {}
                Outlook::Behind => return Step::Waits,
                Outlook::Over => return Step::Over,
            }
        }
        if self.is_full() {
            return Step::Waits;
        }
        match self.jobs.try_recv() {
            Ok(Message::Job(job)) => {
                let at = self.next;
                self.take(*job);
                Step::Decided(at)
            }
            Ok(Message::Looks) => {
                self.has_looks = true;
                Step::Waits
            }
            Ok(Message::Stop) => Step::Over,
            Err(_) => Step::Waits,
        }
    }

    /// The group as it is, to be handed over; `None` when there is nothing in it.
    pub(super) fn give(&mut self) -> Option<Group> {
        if self.is_empty() { None } else { Some(self.close_group()) }
    }

    /// Takes the notes of looks into tokens into the group, and tells how many. They are lost if that fails, as the
    /// answers to them changed nothing.
    fn take_looks(&mut self) -> u64 {
        // The event that names a new sealing key is the last of its commit.
        if self.is_closed {
            return 0;
        }
        let (count, events) = self.shared.looks.take();
        if count == 0 {
            return 0;
        }
        let (len, next) = (self.numbered.events().len(), self.next);
        match self.write_looks(events) {
            Ok(()) => {
                self.overlays.iter_mut().for_each(|(_, overlay)| overlay.keep());
                count
            }
            Err(fault) => {
                self.overlays.iter_mut().for_each(|(_, overlay)| overlay.take_back());
                self.numbered.truncate(len);
                self.next = next;
                self.shared.looks.recorded(count);
                if let Fault::Unavailable(why) | Fault::Stopped(why) = fault {
                    tracing::error!(count, why, "looks into tokens could not be recorded");
                }
                0
            }
        }
    }

    fn write_looks(&mut self, events: Vec<(TenantId, Body)>) -> Result<(), Fault> {
        let now = self.clock.now().max(self.last);
        for (tenant, body) in events {
            let mut random = [0; 10];
            self.random.fill(&mut random).map_err(ContextError::from)?;
            let event = Event {
                seq: self.next,
                time: now,
                tenant,
                actor: Actor::system(),
                subjects: body.subjects(),
                correlation: Some(uuid_v7(now.millis(), random)),
                causation: None,
                idempotency: None,
                prelude: Prelude::default(),
                body,
            };
            self.push(event)?;
        }
        self.last = now;
        Ok(())
    }

    fn take(&mut self, job: Job) {
        self.shared.room.add_permits(1);
        let Job { request, reply, span, since } = job;
        let taken = Instant::now();
        self.shared.stages.get(Stage::Queue).observe(taken - since);
        let _stops = StopOnPanic(self.shared.clone());
        let outcome = span.in_scope(|| self.outcome(&request));
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(Fault::Refused(rejection)) => {
                let here = self.numbered.events().len();
                Outcome::Decided { events: here..here, answer: Err(rejection) }
            }
            Err(Fault::Unavailable(why)) => {
                let command = request.command.name();
                span.in_scope(|| tracing::error!(command, why, "a command could not be decided"));
                // Whoever asked may have gone.
                let _ = reply.send(Err(SubmitError::Unavailable { why }));
                return;
            }
            Err(Fault::Stopped(why)) => {
                self.shared.stop(&why);
                let _ = reply.send(Err(self.shared.stopped()));
                return;
            }
        };
        self.shared.stages.get(Stage::Decide).observe(taken.elapsed());
        self.replies.push(Reply { to: reply, outcome, span, taken });
    }

    fn outcome(&mut self, request: &Request) -> Result<Outcome, Fault> {
        let now = self.clock.now();
        let now = if canary::is(Canary::TimeRunsBackwards) { now } else { now.max(self.last) };
        let state = views::state(&self.overlays);
        let idempotency = match admit::admit(&state, request, now)? {
            Admitted::Before(first) => return self.replay(&request.command, first),
            Admitted::New(idempotency) => idempotency,
        };
        if let Command::RotateSigningKey(rotation) = &request.command {
            self.check_sealing_key(rotation)?;
        }
        let ctx = Context::new(now, request.tenant, &request.caller, &mut *self.random, &*self.secrets);
        // Deciding is pure, so whatever of it panics has changed nothing but the randomness drawn.
        let decided = catch_unwind(AssertUnwindSafe(|| decide(&state, &request.command, ctx)))
            .map_err(|_| Fault::Unavailable("deciding it failed by a defect; see the trace".into()))?;
        let decision = request.on_record(decided)?;
        self.record(request, now, idempotency, decision)
    }

    /// Checks that the key to seal with from now on can be read. Once its event is durable nothing can be sealed
    /// without it.
    fn check_sealing_key(&self, rotation: &RotateSigningKey) -> Result<(), Fault> {
        let public = PublicKey::from_slice(&rotation.public).filter(|_| rotation.purpose == Purpose::Seal);
        let Some(public) = public else { return Ok(()) };
        match self.keys.find(&public) {
            Ok(_) => Ok(()),
            Err(error) => Err(Fault::Unavailable(format!("the new sealing key cannot be used: {error}"))),
        }
    }

    /// Takes a decision into the group: all of it, or nothing.
    fn record(
        &mut self, request: &Request, now: Micros, idempotency: Option<Idempotency>, decision: Decision,
    ) -> Result<Outcome, Fault> {
        let (len, next) = (self.numbered.events().len(), self.next);
        match self.write(request, now, idempotency, decision) {
            Ok(answer) => {
                self.overlays.iter_mut().for_each(|(_, overlay)| overlay.keep());
                let events = len..self.numbered.events().len();
                if !events.is_empty() {
                    self.last = now;
                    self.is_closed = answer.is_ok()
                        && matches!(&request.command, Command::RotateSigningKey(it) if it.purpose == Purpose::Seal);
                }
                Ok(Outcome::Decided { events, answer })
            }
            Err(fault) => {
                if !canary::is(Canary::RowsOfRefusedCommandsStay) {
                    self.overlays.iter_mut().for_each(|(_, overlay)| overlay.take_back());
                }
                self.numbered.truncate(len);
                self.next = next;
                Err(fault)
            }
        }
    }

    fn write(
        &mut self, request: &Request, now: Micros, idempotency: Option<Idempotency>, decision: Decision,
    ) -> Result<Result<Output, Rejection>, Fault> {
        let Decision { mut events, answer, mut keys } = decision;
        // What adds no event of its own does not spend its key, and neither does a refused attempt, though both may be facts.
        let mut idempotency = idempotency.filter(|_| !events.is_empty() && !matches!(answer, Answer::Refused(_)));
        if let Some(signature) = &request.signature {
            events.insert(0, (request.tenant, self.signature_fact(request, signature, now, &mut keys)?));
        }
        if events.len() > COMMAND_EVENTS_MAX {
            let limit = "events of one command";
            return Err(Rejection::LimitReached { limit, max: COMMAND_EVENTS_MAX }.into());
        }
        let (len, first) = (self.numbered.events().len(), self.next);
        if let Some((tenant, body)) = events.first() {
            let origin = self.encrypt_origin(request, now, *tenant, body, &mut keys)?;
            let correlation = match request.correlation {
                Some(correlation) => correlation,
                None => {
                    let mut random = [0; 10];
                    self.random.fill(&mut random).map_err(ContextError::from)?;
                    uuid_v7(now.millis(), random)
                }
            };
            let mut prelude = Prelude { origin, due: None };
            for (tenant, body) in events {
                let event = Event {
                    seq: self.next,
                    time: now,
                    tenant,
                    actor: request.caller.actor.clone(),
                    subjects: body.subjects(),
                    correlation: Some(correlation),
                    causation: (self.next != first).then_some(first),
                    idempotency: idempotency.take(),
                    prelude: std::mem::take(&mut prelude),
                    body,
                };
                self.push(event)?;
            }
        }
        let written = &self.numbered.events()[len..];
        let answer = match answer {
            Answer::AsDecided(shown) => {
                Ok(answer::output(&views::state(&self.overlays), &request.command, written, shown)?)
            }
            Answer::Unchanged(output) => Ok(*output),
            Answer::Refused(rejection) => Err(rejection),
        };
        if !keys.is_empty() {
            self.secrets.put(&keys).map_err(|error| match error {
                // The keystore takes nothing more, so that no command with a key can be decided.
                KeystoreError::Storage(_) => Fault::Stopped(error.to_string()),
                other => other.into(),
            })?;
            self.has_new_keys = true;
        }
        Ok(answer)
    }

    /// Numbers an event and brings the rows forward by it.
    fn push(&mut self, event: Event) -> Result<(), Fault> {
        self.numbered.push(event).map_err(|error| match error {
            CodecError::TooLarge { max, .. } => {
                Fault::Refused(Rejection::LimitReached { limit: "bytes in one event", max })
            }
            error => Fault::Unavailable(error.to_string()),
        })?;
        let seq = self.next;
        self.next = seq.next();
        let Some(event) = self.numbered.event(seq) else { return Ok(()) };
        for (view, overlay) in self.overlays.iter_mut() {
            overlay.begin(seq);
            view.evolve(overlay, event)?;
        }
        Ok(())
    }

    /// The request's origin, encrypted as part of the command's first event.
    fn encrypt_origin(
        &mut self, request: &Request, now: Micros, tenant: TenantId, body: &Body, keys: &mut Vec<NewSecret>,
    ) -> Result<Option<Encrypted>, Fault> {
        let Some(origin) = &request.origin else { return Ok(None) };
        let owner = origin::owner(&request.caller.actor.principal, request.tenant, now);
        let encrypted = self
            .with_context(request, now, tenant, keys, |ctx| ctx.encrypt(body.kind(), origin::FIELD, owner, origin))?;
        Ok(Some(encrypted))
    }

    /// The fact that an agent signed the command.
    fn signature_fact(
        &mut self, request: &Request, signature: &AgentSignature, now: Micros, keys: &mut Vec<NewSecret>,
    ) -> Result<Body, Fault> {
        let fact = self.with_context(request, now, request.tenant, keys, |ctx| signature.fact(ctx));
        // What the caller sent may be more than an event can hold.
        fact.map_err(|error| Stop::from(error).into())
    }

    /// Does what needs the world as a command sees it that was decided, and adds the keys made for it.
    fn with_context<T>(
        &mut self, request: &Request, now: Micros, tenant: TenantId, keys: &mut Vec<NewSecret>,
        make: impl FnOnce(&mut Context<'_>) -> Result<T, ContextError>,
    ) -> Result<T, ContextError> {
        let secrets = WithNew { new: keys, base: &*self.secrets };
        let mut ctx = Context::new(now, tenant, &request.caller, &mut *self.random, &secrets);
        let made = make(&mut ctx)?;
        let new = ctx.into_new_secrets();
        keys.extend(new);
        Ok(made)
    }

    /// The answer to a command that happened before: to the same events, as things are today.
    fn replay(&self, command: &Command, first: Seq) -> Result<Outcome, Fault> {
        let mut events = Vec::new();
        let mut seq = first;
        while let Some(event) = self.event(seq)?.filter(|event| event.seq == first || follows(event, first)) {
            events.push(event);
            seq = seq.next();
        }
        let output = answer::output(&views::state(&self.overlays), command, &events, None)?;
        Ok(Outcome::Replayed { events: first.0..seq.0, output })
    }

    /// An event that was decided, from memory if it may not be in the log yet.
    fn event(&self, seq: Seq) -> Result<Option<Event>, Fault> {
        let gathered = std::iter::once(&self.numbered).chain(self.in_flight.iter().map(|group| &**group));
        if let Some(event) = gathered.into_iter().find_map(|group| group.event(seq)) {
            return Ok(Some(event.clone()));
        }
        let Some(record) = self.log.record(seq)? else { return Ok(None) };
        let read = Event::read(&record.header, &record.body);
        let (event, _) = read.map_err(|error| Fault::Unavailable(format!("event {seq} cannot be read: {error}")))?;
        Ok(Some(event))
    }
}

/// The data keys of what events erase.
fn erased(events: &[Event]) -> Vec<SecretName> {
    let subjects = events.iter().filter_map(|event| match &event.body {
        Body::SubjectErased(erased) => Some(SecretName::Data(erased.subject)),
        _ => None,
    });
    subjects.collect()
}

/// Whether an event after the first belongs to the same command: it names the first as its cause, and is no command of
/// its own that was caused by it.
fn follows(event: &Event, first: Seq) -> bool {
    event.causation == Some(first) && event.idempotency.is_none() && event.prelude == Prelude::default()
}

/// Secrets with those just made and not yet kept.
struct WithNew<'a> {
    new: &'a [NewSecret],
    base: &'a dyn Secrets,
}

impl Secrets for WithNew<'_> {
    fn secret(&self, name: &SecretName) -> Result<Option<Zeroizing<[u8; 32]>>, KeystoreError> {
        match self.new.iter().find(|new| new.name == *name) {
            Some(new) => Ok(Some(new.secret.clone())),
            None => self.base.secret(name),
        }
    }

    fn is_destroyed(&self, name: &SecretName) -> Result<bool, KeystoreError> {
        self.base.is_destroyed(name)
    }
}

impl Shared {
    pub(super) fn count(&self, outcome: &Outcome) {
        self.commands.fetch_add(1, Ordering::Relaxed);
        match outcome {
            Outcome::Decided { answer: Ok(_), .. } => {}
            Outcome::Decided { answer: Err(_), .. } => drop(self.refused.fetch_add(1, Ordering::Relaxed)),
            Outcome::Replayed { .. } => drop(self.replayed.fetch_add(1, Ordering::Relaxed)),
        }
    }
}
