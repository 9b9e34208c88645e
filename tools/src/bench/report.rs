//! What was measured, for programs as JSON and for people as tables.

use std::collections::BTreeMap;
use std::io::{self, Write};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::machine::{Machine, Units};
use super::offline::Offline;
use super::stages::{Inside, WITHIN};
use super::views::Views;

/// A whole run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Of this shape; a shape that changes gets another number.
    pub version: u32,
    /// What is sent.
    pub event: &'static str,
    /// On how many audit chains.
    pub chains: usize,
    /// The machine.
    pub machine: Machine,
    /// Its units.
    pub units: Units,
    /// How the log grew, where that was asked for.
    pub growth: Option<Growth>,
    /// Each load.
    pub loads: Vec<LoadReport>,
    /// What telling events to endpoints came to, where that was asked for.
    pub webhooks: Option<WebhooksReport>,
    /// The daemon's memory after the loads, where its process is known.
    pub memory: Option<Memory>,
    /// The figures in the machine's units.
    pub ratios: Ratios,
    /// A start of the daemon on the log that the loads left.
    pub restart: Option<Restart>,
    /// What needs no daemon.
    pub offline: Option<Offline>,
}

/// One load and what came of it.
#[derive(Debug, Serialize)]
pub struct LoadReport {
    /// `single`, `batch` or `paced`; `empty`, `introspect` or `issue`; `transaction`.
    pub name: &'static str,
    /// Connections.
    pub connections: usize,
    /// Commands in a request.
    pub lines: u64,
    /// Requests that fell due a second, in a paced load.
    pub pace_per_sec: Option<f64>,
    /// Commands answered.
    pub commands: u64,
    /// Of these, refused.
    pub refused: u64,
    /// From the first request to the last answer.
    pub secs: f64,
    /// Commands a second.
    pub per_sec: f64,
    /// How long a request took; in a paced load, from its being due.
    pub latency_micros: Latency,
    /// The load tool's own processor time for a command, in microseconds.
    pub client_micros: f64,
    /// The daemon's processor time for a command, in microseconds, by thread, where its process is known.
    pub daemon_micros: BTreeMap<String, f64>,
    /// What the daemon measured, where the key may read that.
    pub inside: Option<Inside>,
}

/// Latencies of requests, in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Latency {
    /// On average.
    pub mean: f64,
    /// Half took no longer.
    pub p50: u64,
    /// 99 of 100 took no longer.
    pub p99: u64,
    /// 999 of 1,000 took no longer.
    pub p999: u64,
    /// The longest.
    pub max: u64,
}

impl From<&Histogram<u64>> for Latency {
    fn from(micros: &Histogram<u64>) -> Self {
        let at = |quantile| micros.value_at_quantile(quantile);
        Self { mean: micros.mean(), p50: at(0.5), p99: at(0.99), p999: at(0.999), max: micros.max() }
    }
}

/// A process's memory.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Memory {
    /// Resident bytes.
    pub resident_bytes: u64,
    /// The most there ever were.
    pub peak_bytes: u64,
}

/// Figures in the machine's units; absent where what they compare was not measured.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Ratios {
    /// Commands that the best single-command load has made durable in the time of one flush.
    pub peak_commands_per_flush: Option<f64>,
    /// Half of the commands on one connection took no longer, in times of one flush and one signature.
    pub one_connection_to_flush_and_signature: Option<f64>,
    /// 99 of 100 commands at the paced load took no longer, in flushes.
    pub paced_p99_in_flushes: Option<f64>,
    /// Introspections, to the emptiest answers of the same server on as many connections.
    pub introspections_to_empty_answers: Option<f64>,
    /// Access tokens issued, to single commands on as many connections.
    pub tokens_issued_to_commands: Option<f64>,
    /// Transactions, to single commands on as many connections.
    pub transactions_to_commands: Option<f64>,
}

/// Events told to endpoints.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct WebhooksReport {
    /// Endpoints.
    pub endpoints: u64,
    /// Events that happened.
    pub events: u64,
    /// Posts that tell them.
    pub deliveries: u64,
    /// From the first event to the last post.
    pub secs: f64,
    /// Posts a second.
    pub deliveries_per_sec: f64,
    /// Events a second, which became durable while others were told.
    pub events_per_sec: f64,
    /// The daemon's memory before, where its process is known.
    pub memory_before: Option<Memory>,
    /// And after.
    pub memory: Option<Memory>,
}

/// How a log grew.
#[derive(Debug, Serialize)]
pub struct Growth {
    /// Commands recorded.
    pub commands: u64,
    /// In how long.
    pub secs: f64,
    /// Commands a second, on the whole.
    pub per_sec: f64,
    /// Commands a second, of each so many commands.
    pub each: Vec<f64>,
    /// How many commands each of these is of.
    pub each_commands: u64,
    /// The last of these by the first.
    pub last_to_first: Option<f64>,
    /// The daemon's memory at the end.
    pub memory: Option<Memory>,
}

/// A start and a stop of the daemon.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Restart {
    /// From its start to its being ready.
    pub start_secs: f64,
    /// Its memory then.
    pub memory: Option<Memory>,
    /// How long it took to stop with nothing under way.
    pub stop_secs: f64,
}

const MIB: f64 = 1024.0 * 1024.0;

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn mib(bytes: u64) -> String {
    format!("{:.0} MiB", bytes as f64 / MIB)
}

/// Prints it for people; with `all_stages`, where time went in every load.
///
/// # Errors
/// When it cannot be written.
pub fn print(out: &mut impl Write, report: &Report, all_stages: bool) -> io::Result<()> {
    let Report { machine, units, .. } = report;
    let (cpu, cores, kernel, load) = (&machine.cpu, machine.cores, &machine.kernel, machine.load_average);
    writeln!(out, "machine     {cpu}, {cores} cores, {}, Linux {kernel}", mib(machine.memory_bytes))?;
    writeln!(out, "            data on {}, load average {load:.2} before", machine.file_system)?;
    writeln!(
        out,
        "units       one flush {:.0} µs (99 %: {:.0} µs), one signature {:.1} µs",
        units.flush_micros, units.flush_p99_micros, units.signature_micros
    )?;
    writeln!(out, "command     {} on {} audit chains", report.event, report.chains)?;
    if let Some(growth) = &report.growth {
        print_growth(out, growth)?;
    }
    print_loads(out, &report.loads)?;
    if let Some(webhooks) = &report.webhooks {
        print_webhooks(out, webhooks)?;
    }
    if let Some(memory) = report.memory {
        writeln!(out, "\nmemory      {} resident, {} at most", mib(memory.resident_bytes), mib(memory.peak_bytes))?;
    }
    print_ratios(out, &report.ratios)?;
    let best = report.loads.iter().filter(|load| load.name == "single").map(|load| load.per_sec).max_by(f64::total_cmp);
    let is_telling = |load: &LoadReport| load.name == "paced" || (load.name == "single" && Some(load.per_sec) == best);
    for load in report.loads.iter().filter(|load| all_stages || is_telling(load)) {
        print_inside(out, load)?;
    }
    if let Some(restart) = &report.restart {
        let memory = restart.memory.map_or_else(String::new, |it| format!(" with {} resident", mib(it.resident_bytes)));
        writeln!(
            out,
            "\nrestart     ready after {:.2} s{memory}; stopped in {:.2} s",
            restart.start_secs, restart.stop_secs
        )?;
    }
    if let Some(offline) = &report.offline {
        print_offline(out, offline)?;
    }
    Ok(())
}

fn print_growth(out: &mut impl Write, growth: &Growth) -> io::Result<()> {
    let Growth { commands, secs, per_sec, each_commands, .. } = growth;
    writeln!(out, "\ngrowth      {commands} commands in {secs:.0} s, {per_sec:.0}/s")?;
    if let (Some(first), Some(last), Some(ratio)) = (growth.each.first(), growth.each.last(), growth.last_to_first) {
        let of = format!("of {each_commands}");
        writeln!(
            out,
            "            the first {of}: {first:.0}/s, the last {of}: {last:.0}/s, which is {ratio:.2} of it"
        )?;
    }
    if let Some(memory) = growth.memory {
        writeln!(out, "            {} resident, {} at most", mib(memory.resident_bytes), mib(memory.peak_bytes))?;
    }
    Ok(())
}

fn print_loads(out: &mut impl Write, loads: &[LoadReport]) -> io::Result<()> {
    if loads.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "\n{:<24}{:>12}{:>11}{:>11}{:>11}{:>11}{:>10}{:>12}",
        "load", "commands/s", "50 % µs", "99 % µs", "99.9 % µs", "longest", "refused", "client µs"
    )?;
    for load in loads {
        let Latency { p50, p99, p999, max, .. } = load.latency_micros;
        writeln!(
            out,
            "{:<24}{:>12.0}{p50:>11}{p99:>11}{p999:>11}{max:>11}{:>10}{:>12.1}",
            title(load),
            load.per_sec,
            load.refused,
            load.client_micros
        )?;
    }
    Ok(())
}

fn print_webhooks(out: &mut impl Write, it: &WebhooksReport) -> io::Result<()> {
    let WebhooksReport { endpoints, events, deliveries, secs, deliveries_per_sec, events_per_sec, .. } = it;
    writeln!(
        out,
        "\nwebhooks    {events} events, {events_per_sec:.0}/s, told to {endpoints} endpoints by {deliveries} posts"
    )?;
    writeln!(out, "            the last after {secs:.0} s, {deliveries_per_sec:.0} posts/s")?;
    if let Some((before, after)) = it.memory_before.zip(it.memory) {
        let (before, after, peak) = (mib(before.resident_bytes), mib(after.resident_bytes), mib(after.peak_bytes));
        writeln!(out, "            {before} resident before, {after} after, {peak} at most")?;
    }
    Ok(())
}

fn title(load: &LoadReport) -> String {
    match load.name {
        "batch" => format!("batches {} × {}", load.lines, load.connections),
        "paced" => format!("paced {:.0}/s", load.pace_per_sec.unwrap_or_default()),
        name => format!("{name} × {}", load.connections),
    }
}

fn print_ratios(out: &mut impl Write, ratios: &Ratios) -> io::Result<()> {
    let lines = [
        (ratios.peak_commands_per_flush, "commands durable in the time of one flush, at the peak"),
        (
            ratios.one_connection_to_flush_and_signature,
            "× one flush and one signature: a command on one connection, 50 %",
        ),
        (ratios.paced_p99_in_flushes, "× one flush: a command at the paced load, 99 %"),
        (ratios.introspections_to_empty_answers, "introspections for each empty answer of the same server"),
        (ratios.tokens_issued_to_commands, "access tokens issued for each plain command"),
        (ratios.transactions_to_commands, "transactions for each plain command"),
    ];
    if lines.iter().any(|(ratio, _)| ratio.is_some()) {
        writeln!(out, "\nratios")?;
    }
    for (ratio, what) in lines {
        if let Some(ratio) = ratio {
            writeln!(out, "{ratio:>10.2}  {what}")?;
        }
    }
    Ok(())
}

/// Where a command's time went: waiting and working by stage, the processor's by thread.
fn print_inside(out: &mut impl Write, load: &LoadReport) -> io::Result<()> {
    let Some(inside) = &load.inside else { return Ok(()) };
    writeln!(out, "\n{}: where a command's time goes, µs on average (99 % below)", title(load))?;
    let staged: f64 = inside
        .stages
        .iter()
        .filter(|(name, _)| !WITHIN.contains(&name.as_str()))
        .map(|(_, spent)| spent.mean_micros)
        .sum();
    let row = |out: &mut dyn Write, name: &str, mean: f64, p99: Option<f64>| match p99 {
        Some(p99) => writeln!(out, "    {name:<28}{mean:>10.1}{:>12}", format!("({p99:.0})")),
        None => writeln!(out, "    {name:<28}{mean:>10.1}"),
    };
    if load.name != "batch" {
        row(out, "client, whole", load.latency_micros.mean, None)?;
        if let Some(request) = &inside.request {
            row(out, "daemon, head to head", request.mean_micros, Some(request.p99_micros))?;
            row(out, "  HTTP, JSON, waking up", (request.mean_micros - staged).max(0.0), None)?;
        }
    }
    for (name, spent) in &inside.stages {
        let shown =
            if WITHIN.contains(&name.as_str()) { format!("  ({name}, within the next)") } else { format!("  {name}") };
        row(out, &shown, spent.mean_micros, Some(spent.p99_micros))?;
    }
    for (view, spent) in &inside.visible {
        row(out, &format!("commit to visible: {view}"), spent.mean_micros, Some(spent.p99_micros))?;
    }
    writeln!(out, "    {:<28}{:>10.1}", "events in a commit", inside.events_per_commit)?;
    if !load.daemon_micros.is_empty() {
        let whole: f64 = load.daemon_micros.values().sum();
        let mut threads: Vec<_> = load.daemon_micros.iter().collect();
        threads.sort_by(|a, b| b.1.total_cmp(a.1));
        let threads: Vec<_> = threads
            .into_iter()
            .filter(|(_, micros)| **micros >= 0.1)
            .map(|(name, micros)| format!("{name} {micros:.1}"))
            .collect();
        writeln!(out, "    processor, µs a command: {whole:.1} ({})", threads.join(", "))?;
    }
    Ok(())
}

fn print_offline(out: &mut impl Write, offline: &Offline) -> io::Result<()> {
    let Offline { events, seals, .. } = offline;
    writeln!(out, "\nlog         {events} events in {seals} commits")?;
    writeln!(
        out,
        "            {} on disk, {:.2} times the {} of headers, bodies and seals",
        mib(offline.log_bytes),
        offline.log_to_own,
        mib(offline.own_bytes)
    )?;
    let views: Vec<_> = offline.view_bytes.iter().map(|(view, bytes)| format!("{view} {}", mib(*bytes))).collect();
    writeln!(out, "views       {}", views.join(", "))?;
    writeln!(out, "verify      {:.0} events/s of the data directory", offline.verify_data_dir_per_sec)?;
    writeln!(out, "            {:.0} events/s of an export", offline.verify_export_per_sec)?;
    writeln!(out, "decode      {:.0} events/s on one core", offline.decode_per_sec)?;
    for (view, rate) in &offline.rebuild_per_sec {
        writeln!(out, "rebuild     {rate:.0} events/s: {view}")?;
    }
    let (make, check) = (offline.proof_make_micros, offline.proof_verify_micros);
    writeln!(
        out,
        "one proof   made in {:.0} µs (99 %: {:.0}), verified in {:.0} µs (99 %: {:.0})",
        make.mean, make.p99, check.mean, check.p99
    )?;
    print_views(out, &offline.views)
}

fn print_views(out: &mut impl Write, views: &Views) -> io::Result<()> {
    writeln!(
        out,
        "roots       {:.0} rows/s sorted and hashed on one core: {} rows, {} of trees",
        views.tree_rows_per_sec,
        views.rows,
        mib(views.tree_bytes)
    )?;
    let (make, check) = (views.row_prove_micros, views.row_verify_micros);
    writeln!(
        out,
        "one row     proven in {:.0} µs (99 %: {:.0}), verified in {:.1} µs (99 %: {:.1})",
        make.mean, make.p99, check.mean, check.p99
    )?;
    for (what, taken) in &views.as_of_micros {
        writeln!(out, "as of       {:.0} µs (99 %: {:.0}): {what}", taken.mean, taken.p99)?;
    }
    Ok(())
}
