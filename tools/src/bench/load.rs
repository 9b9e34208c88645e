//! Load: many connections, one request outstanding on each, from one thread around one epoll.
//!
//! Two forms. Closed: each connection sends its next request when the last is answered, as fast as the daemon lets it.
//! Paced: requests fall due at a fixed rate whether or not the daemon keeps up, and a latency counts from the moment the
//! request was due, so that a stall shows in every request it held up (no coordinated omission).

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use hdrhistogram::Histogram;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime};

use super::answer::Answer;
use super::processor;

/// Without an answer for so long, the run has failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// What is read at once.
const BUFFER_BYTES: usize = 128 * 1024;
/// The timer's mark among the connections' numbers.
const TIMER: u64 = u64::MAX;

/// A request, ready to be sent.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Head and body.
    pub bytes: Arc<[u8]>,
    /// Commands in it.
    pub commands: u64,
    /// Whether it is NDJSON, each line of it answered with a line.
    pub is_lines: bool,
}

/// Where requests come from.
pub trait Source {
    /// The next; `None` when there are no more.
    fn next(&mut self) -> Option<Outgoing>;
}

/// How to send them.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// How many connections.
    pub connections: usize,
    /// No request is sent after this long.
    pub time: Duration,
    /// Requests a second, in the paced form.
    pub pace: Option<f64>,
    /// After how many commands the time is noted, and again after as many.
    pub mark_every: Option<u64>,
}

/// What came of it.
#[derive(Debug)]
pub struct Measured {
    /// Commands answered.
    pub commands: u64,
    /// Of these, refused.
    pub refused: u64,
    /// The first refusal's status and beginning.
    pub refusal: Option<(u16, String)>,
    /// From the first request to the last answer.
    pub took: Duration,
    /// Microseconds from sending a request, or from its being due, to its whole answer.
    pub latencies: Histogram<u64>,
    /// Processor time of the thread that sent and received.
    pub client: Duration,
    /// When each [`Load::mark_every`] commands were answered.
    pub marks: Vec<Duration>,
}

struct Connection {
    stream: TcpStream,
    answer: Answer,
    out: Option<Outgoing>,
    sent: usize,
    /// What of a batch's lines was counted while it came.
    counted: u64,
    since: Instant,
    waits_to_write: bool,
}

/// Runs a load to its end.
///
/// # Errors
/// When the daemon cannot be reached, closes a connection, or does not answer.
pub fn run(address: SocketAddr, load: &Load, source: &mut dyn Source) -> anyhow::Result<Measured> {
    Run::new(address, load)?.through(source)
}

struct Run<'a> {
    load: &'a Load,
    epoll: OwnedFd,
    timer: OwnedFd,
    connections: Vec<Connection>,
    /// Connections with no request outstanding.
    idle: VecDeque<usize>,
    began: Instant,
    /// Requests that have fallen due, in the paced form.
    due: u64,
    is_exhausted: bool,
    measured: Measured,
    buffer: Vec<u8>,
}

impl<'a> Run<'a> {
    fn new(address: SocketAddr, load: &'a Load) -> anyhow::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &timer, epoll::EventData::new_u64(TIMER), epoll::EventFlags::IN | epoll::EventFlags::ET)?;
        let mut connections = Vec::with_capacity(load.connections);
        for number in 0..load.connections {
            let stream = TcpStream::connect_timeout(&address, Duration::from_secs(10));
            let stream = stream.with_context(|| format!("connection {number} to {address} was not made"))?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let mark = epoll::EventData::new_u64(number as u64);
            epoll::add(&epoll, &stream, mark, epoll::EventFlags::IN)?;
            let (answer, since) = (Answer::default(), Instant::now());
            connections.push(Connection {
                stream,
                answer,
                out: None,
                sent: 0,
                counted: 0,
                since,
                waits_to_write: false,
            });
        }
        let measured = Measured {
            commands: 0,
            refused: 0,
            refusal: None,
            took: Duration::ZERO,
            latencies: Histogram::new(3)?,
            client: Duration::ZERO,
            marks: Vec::new(),
        };
        Ok(Self {
            load,
            epoll,
            timer,
            idle: (0..load.connections).collect(),
            connections,
            began: Instant::now(),
            due: 0,
            is_exhausted: false,
            measured,
            buffer: vec![0; BUFFER_BYTES],
        })
    }

    fn through(mut self, source: &mut dyn Source) -> anyhow::Result<Measured> {
        let mut events = Vec::with_capacity(1024);
        let (mut heard, before) = (Instant::now(), processor::of_this_thread());
        self.began = Instant::now();
        self.send_what_may_be_sent(source)?;
        while self.idle.len() < self.connections.len() || self.waits_for_time() {
            events.clear();
            let second = Timespec { tv_sec: 1, tv_nsec: 0 };
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&second)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            if events.iter().any(|event| event.data.u64() != TIMER) || self.idle.len() == self.connections.len() {
                heard = Instant::now();
            } else if heard.elapsed() > PATIENCE {
                bail!("the daemon answered nothing for {} seconds", PATIENCE.as_secs());
            }
            for event in &events {
                // Copied out of it, because it is packed.
                let (mark, flags) = (event.data.u64(), event.flags);
                let Some(number) = usize::try_from(mark).ok().filter(|_| mark != TIMER) else { continue };
                if flags.contains(epoll::EventFlags::OUT) {
                    self.write(number)?;
                }
                if flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ERR) {
                    self.read(number, source)?;
                }
            }
            self.send_what_may_be_sent(source)?;
        }
        if let (Some(before), Some(after)) = (before, processor::of_this_thread()) {
            self.measured.client = after.saturating_sub(before);
        }
        Ok(self.measured)
    }

    /// Whether requests are still to fall due.
    fn waits_for_time(&self) -> bool {
        self.load.pace.is_some_and(|pace| !self.is_exhausted && self.due_at(pace, self.due) < self.load.time)
    }

    #[expect(clippy::cast_precision_loss, reason = "numbers of requests are far below 2^53")]
    fn due_at(&self, pace: f64, number: u64) -> Duration {
        Duration::from_secs_f64(number as f64 / pace)
    }

    /// Closed: every idle connection, until time is up. Paced: what is due, as far as there are idle connections; what
    /// is due and finds none waits for one, and its latency counts.
    fn send_what_may_be_sent(&mut self, source: &mut dyn Source) -> anyhow::Result<()> {
        while let (Some(&number), false) = (self.idle.front(), self.is_exhausted) {
            let now = self.began.elapsed();
            let since = match self.load.pace {
                None if now >= self.load.time => return Ok(()),
                None => now,
                Some(pace) => {
                    let due = self.due_at(pace, self.due);
                    if due >= self.load.time {
                        return Ok(());
                    }
                    if due > now {
                        return self.wake_in(due - now);
                    }
                    due
                }
            };
            let Some(out) = source.next() else {
                self.is_exhausted = true;
                return Ok(());
            };
            self.idle.pop_front();
            self.due += 1;
            self.start(number, out, self.began + since)?;
        }
        Ok(())
    }

    fn wake_in(&self, time: Duration) -> anyhow::Result<()> {
        let it_value =
            Timespec { tv_sec: i64::try_from(time.as_secs())?, tv_nsec: i64::from(time.subsec_nanos().max(1)) };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }

    fn start(&mut self, number: usize, out: Outgoing, since: Instant) -> anyhow::Result<()> {
        let Some(connection) = self.connections.get_mut(number) else { return Ok(()) };
        connection.answer.begin(out.is_lines);
        (connection.out, connection.sent, connection.counted, connection.since) = (Some(out), 0, 0, since);
        self.write(number)
    }

    fn write(&mut self, number: usize) -> anyhow::Result<()> {
        let Some(connection) = self.connections.get_mut(number) else { return Ok(()) };
        let Some(out) = &connection.out else { return Ok(()) };
        let waits = loop {
            let rest = out.bytes.get(connection.sent..).unwrap_or_default();
            if rest.is_empty() {
                break false;
            }
            match connection.stream.write(rest) {
                Ok(count) => connection.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("the daemon closed a connection in mid-request"),
            }
        };
        if waits != connection.waits_to_write {
            connection.waits_to_write = waits;
            let out = if waits { epoll::EventFlags::OUT } else { epoll::EventFlags::empty() };
            let mark = epoll::EventData::new_u64(number as u64);
            epoll::modify(&self.epoll, &connection.stream, mark, epoll::EventFlags::IN | out)?;
        }
        Ok(())
    }

    fn read(&mut self, number: usize, source: &mut dyn Source) -> anyhow::Result<()> {
        let Some(connection) = self.connections.get_mut(number) else { return Ok(()) };
        let count = match connection.stream.read(&mut self.buffer) {
            Ok(0) => bail!("the daemon closed a connection"),
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return Ok(()),
            Err(error) => return Err(error).context("a connection broke off"),
        };
        let is_whole = connection.answer.take(self.buffer.get(..count).unwrap_or_default())?;
        let answer = &connection.answer;
        let new = answer.lines - connection.counted;
        connection.counted = answer.lines;
        let out = connection.out.as_ref().context("the daemon answered what was not asked")?;
        let (is_lines, commands) = (out.is_lines && answer.status == 200, out.commands);
        if is_lines {
            self.count(new);
        }
        if !is_whole {
            return Ok(());
        }
        let Some(connection) = self.connections.get_mut(number) else { return Ok(()) };
        connection.out = None;
        let (answer, now) = (&connection.answer, Instant::now());
        if !is_lines {
            let refused = if answer.status == 200 { 0 } else { commands };
            self.measured.refused += refused;
        } else if answer.lines == commands {
            self.measured.refused += answer.refused;
        } else {
            bail!("a batch of {commands} commands was answered with {} lines", answer.lines);
        }
        if self.measured.refusal.is_none() && !answer.refusal.is_empty() {
            let text = String::from_utf8_lossy(&answer.refusal).trim().to_owned();
            self.measured.refusal = Some((answer.status, text));
        }
        let micros = u64::try_from(now.saturating_duration_since(connection.since).as_micros()).unwrap_or(u64::MAX);
        self.measured.latencies.record(micros)?;
        self.measured.took = now - self.began;
        if !is_lines {
            self.count(commands);
        }
        if self.load.pace.is_none() && !self.is_exhausted && self.measured.took < self.load.time {
            if let Some(out) = source.next() {
                return self.start(number, out, now);
            }
            self.is_exhausted = true;
        }
        self.idle.push_back(number);
        Ok(())
    }

    fn count(&mut self, commands: u64) {
        let before = self.measured.commands;
        self.measured.commands += commands;
        if let Some(every) = self.load.mark_every {
            let marks = self.measured.commands / every - before / every;
            for _ in 0..marks {
                self.measured.marks.push(self.began.elapsed());
            }
        }
    }
}
