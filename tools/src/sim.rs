//! `chancery sim`: the deterministic simulation, from a seed of one's own choice.

use chancery_sim::{Found, Summary, simulate};
use clap::Args;

use crate::{output, progress};

/// Steps shown before what was found, unless all are asked for.
const SHOWN_LINES: usize = 60;

/// Arguments of `chancery sim`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The first run's seed; each further run has the next. The same seed and steps are the same run.
    #[arg(long, default_value = "1")]
    seed: u64,
    /// Steps of a run.
    #[arg(long, default_value = "2000")]
    steps: u64,
    /// How many runs.
    #[arg(long, default_value = "1")]
    runs: u64,
    /// When something is found, show every step that led there and not only the last ones.
    #[arg(long)]
    all_steps: bool,
}

/// Runs the seeds. False if something was found, with the steps that led there.
///
/// # Errors
/// When standard output cannot be written.
pub fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let Arguments { seed, steps, runs, all_steps } = *arguments;
    let bar = progress::steps(steps.saturating_mul(runs), "simulating");
    let mut summary = Summary::default();
    for (run, seed) in (0..runs).zip(seed..) {
        match simulate(seed, steps, None, |step| bar.set_position(run.saturating_mul(steps) + step)) {
            Ok(passed) => {
                summary.add(&passed.summary);
                bar.suspend(|| {
                    println!("seed {seed}: nothing found; {} events, trace {}", passed.summary.events, passed.trace)
                });
            }
            Err(found) => {
                bar.finish_and_clear();
                tell(&found, steps, all_steps);
                return Ok(false);
            }
        }
    }
    bar.finish_and_clear();
    println!("{}", text(runs, &summary));
    Ok(true)
}

fn tell(found: &Found, steps: u64, all_steps: bool) {
    let from = if all_steps { 0 } else { found.lines.len().saturating_sub(SHOWN_LINES) };
    for line in found.lines.iter().skip(from) {
        println!("{line}");
    }
    output::note(&format!("{found}"));
    let more = if from > 0 { "; --all-steps shows every step" } else { "" };
    output::note(&format!("again: chancery sim --seed {} --steps {steps}{more}", found.seed));
}

fn text(runs: u64, summary: &Summary) -> String {
    let Summary {
        steps,
        commands,
        answered,
        refused,
        replayed,
        events,
        commits,
        power_cuts,
        kills,
        stops,
        disk_faults,
        views_compared,
        views_rebuilt,
        verified,
    } = summary;
    format!(
        "{runs} runs of {steps} steps in all, and nothing found\n\
         {commands} commands, {answered} answered ({refused} refused, {replayed} replayed); {events} events in {commits} commits\n\
         {power_cuts} power cuts, {kills} kills, {stops} orderly stops, {disk_faults} failed writes, syncs and reads\n\
         {verified} verifications of the whole log, {views_compared} views compared, {views_rebuilt} views rebuilt"
    )
}
