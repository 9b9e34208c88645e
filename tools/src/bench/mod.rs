//! `chancery bench`: how fast a daemon is on this machine, in figures and in ratios.
//!
//! Against a daemon that runs, or, without `--url`, one that is started on a free loopback port with its data in a
//! temporary directory, measured, stopped, measured offline, and cleared away. No figure is judged here.

mod answer;
mod daemon;
mod load;
mod machine;
mod offline;
mod processor;
mod report;
mod stages;
mod tokens;
mod transactions;
mod views;
mod webhooks;
mod work;

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};

use self::daemon::{Started, Target, detail, read_key};
use self::load::{Load, Measured, Source};
use self::machine::{Machine, Units};
use self::report::{Growth, LoadReport, Memory, Ratios, Report, Restart};
use self::stages::Reading;
use self::tokens::Tokens;
use self::work::Scene;
use crate::{output, progress};

/// Lines of each batch that fills a log.
const FILL_LINES: u64 = 10_000;
/// Streams that fill a log.
const FILL_STREAMS: usize = 2;
/// Commands whose throughput is compared as a log grows.
const FILL_EACH: u64 = 100_000;
/// A load that nobody measures comes first, because the first commands find everything cold.
const WARM_UP: Duration = Duration::from_millis(500);

/// Arguments of `chancery bench`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A daemon that runs, as http://ADDR:PORT; without one, a daemon is started, measured, and stopped.
    #[arg(long, requires = "key_file")]
    url: Option<String>,
    /// A file with an API key of that daemon, or the file that its --bootstrap-file wrote. Its events are there for good.
    #[arg(long, requires = "url")]
    key_file: Option<PathBuf>,
    /// That daemon's process on this machine, to have its memory and its threads' processor time.
    #[arg(long, requires = "url")]
    pid: Option<u32>,
    /// The chanceryd to start; the one beside this program if absent.
    #[arg(long, conflicts_with = "url")]
    chanceryd: Option<PathBuf>,
    /// Where to make the temporary data directory, and to measure a flush: on the disk that matters. With --url, the
    /// running daemon's data directory.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// What to measure.
    #[arg(long, value_delimiter = ',', default_values_t = [What::Single, What::Batch, What::Paced, What::Offline])]
    only: Vec<What>,
    /// Connections of the single-command loads, one request outstanding on each.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 64, 256], value_parser = connections)]
    connections: Vec<usize>,
    /// Batches, as LINESxCONNECTIONS.
    #[arg(long, value_delimiter = ',', default_values_t = [Batch::new(100, 8), Batch::new(1000, 4), Batch::new(20_000, 2)])]
    batches: Vec<Batch>,
    /// Commands a second of the paced load; half of the best single-command load if absent.
    #[arg(long)]
    pace: Option<f64>,
    /// Seconds of each load.
    #[arg(long, default_value_t = 3.0, value_parser = seconds)]
    secs: f64,
    /// Audit chains that the entries go to, in turn.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=4096))]
    chains: u16,
    /// Endpoints that are told events, ten of each tenant.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    endpoints: u64,
    /// Events that happen while they are.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    events: u64,
    /// Single commands are a mix of appended entries, scope checks, opened missions and registered agents.
    #[arg(long)]
    mix: bool,
    /// First record so many commands, and tell how the log grew. 5000000 take some 6 GB.
    #[arg(long, conflicts_with = "url")]
    fill: Option<u64>,
    /// Keep what was measured on, in --dir.
    #[arg(long, requires = "dir", conflicts_with = "url")]
    keep: bool,
    /// Print for every load where a command's time goes, and not only for the best and the paced one.
    #[arg(long, conflicts_with = "json")]
    stages: bool,
    /// Print the report as JSON (docs/performance.md).
    #[arg(long)]
    json: bool,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Single commands, as fast as they are answered.
    Single,
    /// NDJSON batches.
    Batch,
    /// Single commands at a fixed rate.
    Paced,
    /// Access tokens, issued and introspected, and the emptiest answer of the same server.
    Tokens,
    /// Transactions, one at a time, beside the single commands.
    Transactions,
    /// Events told to many endpoints at once; only of a daemon that may call this machine.
    Webhooks,
    /// Verifying, replaying, proving and restarting, on the log that the loads left; only of a daemon started here.
    Offline,
}

impl std::fmt::Display for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.to_possible_value();
        f.write_str(name.as_ref().map_or("", |name| name.get_name()))
    }
}

/// A form of batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Batch {
    lines: u64,
    connections: usize,
}

impl Batch {
    const fn new(lines: u64, connections: usize) -> Self {
        Self { lines, connections }
    }
}

impl std::fmt::Display for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.lines, self.connections)
    }
}

impl FromStr for Batch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('x').and_then(|(lines, connections)| {
            Some(Self { lines: lines.parse().ok()?, connections: connections.parse().ok()? })
        });
        match parsed {
            Some(batch @ Self { lines: 1..=100_000, connections: 1..=1000 }) => Ok(batch),
            _ => Err("must be LINESxCONNECTIONS, for example 1000x4; up to 100000 lines and 1000 connections".into()),
        }
    }
}

fn connections(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| (1..=1000).contains(number)).ok_or_else(|| "must be 1 to 1000".to_owned())
}

fn seconds(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|secs| (0.05..=3600.0).contains(secs)).ok_or_else(|| "must be 0.05 to 3600".to_owned())
}

/// Commands or events a second.
#[expect(clippy::cast_precision_loss, reason = "counts of what one run can do are far below 2^53")]
fn per_sec(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64().max(1e-9)
}

/// Measures, and prints the report. False when the daemon refused commands, so that figures say little.
///
/// # Errors
/// When the daemon cannot be started or reached, or refuses the key.
pub fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let report = match (&arguments.url, &arguments.key_file) {
        (Some(url), Some(key_file)) => running(arguments, &Target::new(url, read_key(key_file)?)?)?,
        _ => started(arguments)?,
    };
    let mut out = BufWriter::new(io::stdout().lock());
    if arguments.json {
        serde_json::to_writer(&mut out, &report).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        report::print(&mut out, &report, arguments.stages)?;
    }
    out.flush()?;
    Ok(report.loads.iter().all(|load| load.refused == 0))
}

/// Measures a daemon that runs.
fn running(arguments: &Arguments, target: &Target) -> anyhow::Result<Report> {
    let dir = arguments.dir.clone().unwrap_or_else(std::env::temp_dir);
    if arguments.dir.is_none() {
        output::note("a flush is measured in the temporary directory; --dir names the daemon's data directory instead");
    }
    let mut bench = Bench::new(arguments, &dir)?;
    let scene = Scene::set(target, arguments.chains.into())?;
    bench.loads(target, &scene, arguments.pid)?;
    Ok(bench.report)
}

/// Starts a daemon, measures it, stops it, and measures what it left.
fn started(arguments: &Arguments) -> anyhow::Result<Report> {
    let program = program(arguments.chanceryd.as_deref())?;
    let dir = arguments.dir.clone().unwrap_or_else(std::env::temp_dir);
    let home = tempfile::Builder::new().prefix("chancery-bench-").tempdir_in(&dir);
    let mut home = home.with_context(|| format!("no directory can be made in {}", dir.display()))?;
    home.disable_cleanup(arguments.keep);
    let mut bench = Bench::new(arguments, home.path())?;
    if bench.report.machine.file_system == "tmpfs" {
        output::note("the data lies in memory, where a flush costs nothing; --dir names a directory on a disk");
    }
    let daemon = Started::start(&program, home.path())?;
    let target = daemon.target()?;
    let scene = Scene::set(&target, arguments.chains.into())?;
    if let Some(total) = arguments.fill {
        bench.fill(&target, &scene, total, daemon.pid())?;
    }
    bench.loads(&target, &scene, Some(daemon.pid()))?;
    let data_dir = daemon.data_dir();
    daemon.stop()?;
    if arguments.only.contains(&What::Offline) {
        let daemon = Started::start(&program, home.path())?;
        let (start_secs, memory) = (daemon.start.as_secs_f64(), memory(Some(daemon.pid())));
        let stop_secs = daemon.stop()?.as_secs_f64();
        bench.report.restart = Some(Restart { start_secs, memory, stop_secs });
        bench.report.offline = Some(offline::measure(&data_dir, home.path())?);
    }
    if arguments.keep {
        output::note(&format!("what was measured on is left in {}", home.path().display()));
    }
    Ok(bench.report)
}

/// The daemon to start.
fn program(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(path) = given {
        return Ok(path.to_owned());
    }
    let beside = std::env::current_exe()?.with_file_name("chanceryd");
    if beside.is_file() {
        return Ok(beside);
    }
    bail!("there is no chanceryd beside this program: name one with --chanceryd, or a running one with --url")
}

fn memory(pid: Option<u32>) -> Option<Memory> {
    let (resident_bytes, peak_bytes) = processor::memory(pid?)?;
    Some(Memory { resident_bytes, peak_bytes })
}

struct Bench<'a> {
    arguments: &'a Arguments,
    report: Report,
}

impl<'a> Bench<'a> {
    fn new(arguments: &'a Arguments, dir: &Path) -> anyhow::Result<Self> {
        let machine = Machine::of(dir);
        let bar = progress::waiting("measuring a flush");
        let units = Units::measure(dir)?;
        bar.finish_and_clear();
        let report = Report {
            version: 1,
            event: if arguments.mix { "mix" } else { "AppendAuditEntry" },
            chains: arguments.chains.into(),
            machine,
            units,
            growth: None,
            loads: Vec::new(),
            webhooks: None,
            memory: None,
            ratios: Ratios::default(),
            restart: None,
            offline: None,
        };
        Ok(Self { arguments, report })
    }

    fn load(&self, connections: usize) -> Load {
        Load { connections, time: Duration::from_secs_f64(self.arguments.secs), pace: None, mark_every: None }
    }

    fn fill(&mut self, target: &Target, scene: &Scene, total: u64, pid: u32) -> anyhow::Result<()> {
        let load = Load { time: Duration::MAX, mark_every: Some(FILL_EACH), ..self.load(FILL_STREAMS) };
        let bar = progress::waiting("filling the log");
        let measured = load::run(target.address, &load, &mut scene.batches(FILL_LINES, Some(total)))?;
        bar.finish_and_clear();
        accepted(&measured)?;
        let starts = std::iter::once(Duration::ZERO).chain(measured.marks.iter().copied());
        let each: Vec<_> = starts.zip(&measured.marks).map(|(from, to)| per_sec(FILL_EACH, *to - from)).collect();
        let last_to_first = each.first().zip(each.last()).filter(|_| each.len() > 1).map(|(first, last)| last / first);
        self.report.growth = Some(Growth {
            commands: measured.commands,
            secs: measured.took.as_secs_f64(),
            per_sec: per_sec(measured.commands, measured.took),
            each,
            each_commands: FILL_EACH,
            last_to_first,
            memory: memory(Some(pid)),
        });
        Ok(())
    }

    fn loads(&mut self, target: &Target, scene: &Scene, pid: Option<u32>) -> anyhow::Result<()> {
        let Arguments { only, connections, batches, mix, .. } = self.arguments;
        let mut singles: Box<dyn Source + '_> = if *mix { Box::new(scene.mix()) } else { Box::new(scene.singles()) };
        if only.contains(&What::Single) || only.contains(&What::Paced) || only.contains(&What::Batch) {
            let widest = connections.iter().copied().max().unwrap_or(1);
            let warm_up = Load { time: WARM_UP.min(self.load(1).time), ..self.load(widest) };
            accepted(&load::run(target.address, &warm_up, &mut *singles)?)?;
        }
        if only.contains(&What::Single) {
            for connections in connections {
                self.measure(target, pid, "single", 1, &self.load(*connections), &mut *singles)?;
            }
        }
        let best = self.report.loads.iter().max_by(|a, b| a.per_sec.total_cmp(&b.per_sec));
        let best = best.map(|best| (best.per_sec, best.connections));
        if only.contains(&What::Batch) {
            for Batch { lines, connections } in batches {
                let mut batches = scene.batches(*lines, None);
                self.measure(target, pid, "batch", *lines, &self.load(*connections), &mut batches)?;
            }
        }
        if only.contains(&What::Paced) {
            let pace = self.arguments.pace.or(best.map(|(rate, _)| rate / 2.0));
            let Some(pace) = pace.filter(|pace| *pace > 0.0) else {
                bail!("a paced load needs --pace, or the single-command loads, of whose best it takes half");
            };
            let connections = best.map_or(64, |(_, connections)| connections);
            let load = Load { pace: Some(pace), ..self.load(connections) };
            self.measure(target, pid, "paced", 1, &load, &mut *singles)?;
        }
        if only.contains(&What::Tokens) {
            let tokens = Tokens::set(target)?;
            for connections in connections {
                let load = self.load(*connections);
                self.measure(target, pid, "empty", 1, &load, &mut tokens.empty())?;
                self.measure(target, pid, "introspect", 1, &load, &mut tokens.introspect())?;
                self.measure(target, pid, "issue", 1, &load, &mut tokens.issue())?;
            }
        }
        if only.contains(&What::Transactions) {
            let mut payments = transactions::transactions(target, scene, self.arguments.chains.into())?;
            for connections in connections {
                self.measure(target, pid, "transaction", 1, &self.load(*connections), &mut payments)?;
            }
        }
        if only.contains(&What::Webhooks) {
            let told = webhooks::measure(target, pid, self.arguments.endpoints, self.arguments.events)?;
            self.report.webhooks = Some(told);
        }
        self.report.memory = memory(pid);
        self.report.ratios = ratios(&self.report);
        Ok(())
    }

    fn measure(
        &mut self, target: &Target, pid: Option<u32>, name: &'static str, lines: u64, load: &Load,
        source: &mut dyn Source,
    ) -> anyhow::Result<()> {
        let bar = progress::waiting("measuring");
        let (before, threads_before) = (Reading::take(target), pid.map(processor::by_thread).unwrap_or_default());
        let measured = load::run(target.address, load, source)?;
        let (after, threads) = (Reading::take(target), pid.map(processor::by_thread).unwrap_or_default());
        bar.finish_and_clear();
        if let Some((status, refusal)) = &measured.refusal {
            let text = detail(refusal);
            output::note(&format!(
                "{} of {} commands were refused, the first with {status}: {text}",
                measured.refused, measured.commands
            ));
        }
        let micros = |time: Duration| 1e6 / per_sec(measured.commands, time);
        let since =
            |name: &str, time: Duration| time.saturating_sub(threads_before.get(name).copied().unwrap_or_default());
        let daemon_micros: BTreeMap<_, _> =
            threads.into_iter().map(|(name, time)| (name.clone(), micros(since(&name, time)))).collect();
        self.report.loads.push(LoadReport {
            name,
            connections: load.connections,
            lines,
            pace_per_sec: load.pace,
            commands: measured.commands,
            refused: measured.refused,
            secs: measured.took.as_secs_f64(),
            per_sec: per_sec(measured.commands, measured.took),
            latency_micros: (&measured.latencies).into(),
            client_micros: micros(measured.client),
            daemon_micros,
            inside: after.zip(before).map(|(after, before)| after.since(&before)),
        });
        Ok(())
    }
}

/// Stops a run of which every command is refused.
fn accepted(measured: &Measured) -> anyhow::Result<()> {
    match &measured.refusal {
        Some((status, refusal)) if measured.refused == measured.commands => {
            bail!("the daemon refuses what is to be measured, with {status}: {}", detail(refusal))
        }
        _ => Ok(()),
    }
}

#[expect(clippy::cast_precision_loss, reason = "latencies in microseconds are far below 2^53")]
fn ratios(report: &Report) -> Ratios {
    let Units { flush_micros, signature_micros, .. } = report.units;
    let singles = || report.loads.iter().filter(|load| load.name == "single");
    let peak = singles().map(|load| load.per_sec).max_by(f64::total_cmp);
    let one = singles().find(|load| load.connections == 1).map(|load| load.latency_micros.p50 as f64);
    let paced = report.loads.iter().find(|load| load.name == "paced").map(|load| load.latency_micros.p99 as f64);
    Ratios {
        peak_commands_per_flush: peak.map(|peak| peak * flush_micros / 1e6),
        one_connection_to_flush_and_signature: one.map(|one| one / (flush_micros + signature_micros)),
        paced_p99_in_flushes: paced.map(|paced| paced / flush_micros),
        introspections_to_empty_answers: side_by_side(report, "introspect", "empty"),
        tokens_issued_to_commands: side_by_side(report, "issue", "single"),
        transactions_to_commands: side_by_side(report, "transaction", "single"),
    }
}

/// How many times as many a second as of the other, on as many connections: 64, or else the most that both were measured
/// with.
fn side_by_side(report: &Report, name: &str, other: &str) -> Option<f64> {
    let others = report.loads.iter().filter(|load| load.name == other);
    let pairs = others.filter_map(|other| {
        let mut same = report.loads.iter().filter(|load| load.name == name && load.connections == other.connections);
        same.next().map(|load| (load.connections, load.per_sec / other.per_sec))
    });
    pairs.max_by_key(|(connections, _)| (*connections == 64, *connections)).map(|(_, ratio)| ratio)
}
