//! What the daemon itself measured meanwhile, from two readings of its `/metrics`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::daemon::Target;

/// Histograms and counters of interest, by metric and label value.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    histograms: BTreeMap<(String, String), Histogram>,
    commits: f64,
    events: f64,
}

#[derive(Debug, Clone, Default)]
struct Histogram {
    sum: f64,
    count: f64,
    /// Upper bounds in seconds, and how many lie at or below each.
    buckets: Vec<(f64, f64)>,
}

/// Where time went, of what was counted between two readings.
#[derive(Debug, Clone, Serialize)]
pub struct Spent {
    /// The mean, in microseconds.
    pub mean_micros: f64,
    /// 99 of 100 took no longer; a power of two, because the daemon counts so.
    pub p99_micros: f64,
    /// How many were counted.
    pub count: u64,
}

/// What the daemon did between two readings.
#[derive(Debug, Clone, Serialize)]
pub struct Inside {
    /// Each stage of a command, in order.
    pub stages: Vec<(String, Spent)>,
    /// From the head of a request to the head of its answer.
    pub request: Option<Spent>,
    /// From a commit's being durable to its being in a view, by view.
    pub visible: BTreeMap<String, Spent>,
    /// Events in a commit, on average.
    pub events_per_commit: f64,
}

/// The stages in their order, as the daemon names them.
const STAGES: [&str; 11] =
    ["queue", "decide", "gather", "keys", "link", "seal", "write", "flush", "sync", "publish", "answer"];
/// The stages that lie within another, and so are not part of the sum.
pub const WITHIN: [&str; 1] = ["decide"];

impl Reading {
    /// Reads the metrics; `None` when this key may not.
    pub fn take(target: &Target) -> Option<Self> {
        let text = target.client.get("/metrics").ok()?.body_mut().read_to_string().ok()?;
        Some(Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let mut reading = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let Ok(value) = value.parse::<f64>() else { continue };
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let label = |name: &str| {
                let (_, rest) = labels.split_once(&format!("{name}=\""))?;
                Some(rest.split_once('"')?.0.to_owned())
            };
            match name {
                "chancery_commits_total" => reading.commits = value,
                "chancery_events_recorded_total" => reading.events = value,
                _ => {}
            }
            let Some((metric, part)) = name.strip_prefix("chancery_").and_then(|it| it.rsplit_once("_seconds_")) else {
                continue;
            };
            let Some(of) = label("stage").or_else(|| label("view")).or_else(|| label("route")) else { continue };
            let histogram = reading.histograms.entry((metric.to_owned(), of)).or_default();
            match (part, label("le").map(|bound| bound.parse::<f64>().unwrap_or(f64::INFINITY))) {
                ("sum", _) => histogram.sum = value,
                ("count", _) => histogram.count = value,
                ("bucket", Some(bound)) => histogram.buckets.push((bound, value)),
                _ => {}
            }
        }
        reading
    }

    /// What happened since an earlier reading.
    pub fn since(&self, earlier: &Self) -> Inside {
        let spent = |metric: &str, of: &str| {
            let key = (metric.to_owned(), of.to_owned());
            let (now, before) = (self.histograms.get(&key)?, earlier.histograms.get(&key));
            now.since(before.unwrap_or(&Histogram::default()))
        };
        let stages = STAGES.iter().filter_map(|stage| Some(((*stage).to_owned(), spent("command_stage", stage)?)));
        let views = self.histograms.keys().filter(|(metric, _)| metric == "view_visible");
        Inside {
            stages: stages.collect(),
            request: spent("http_request_duration", "/v1/commands"),
            visible: views.filter_map(|(metric, view)| Some((view.clone(), spent(metric, view)?))).collect(),
            events_per_commit: (self.events - earlier.events) / (self.commits - earlier.commits).max(1.0),
        }
    }
}

impl Histogram {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, written as a number")]
    fn since(&self, earlier: &Self) -> Option<Spent> {
        let count = self.count - earlier.count;
        if count <= 0.0 {
            return None;
        }
        let before =
            |bound: f64| earlier.buckets.iter().find(|(other, _)| *other >= bound).map_or(0.0, |(_, below)| *below);
        let p99 = self.buckets.iter().find(|(bound, below)| below - before(*bound) >= 0.99 * count);
        Some(Spent {
            mean_micros: (self.sum - earlier.sum) / count * 1e6,
            p99_micros: p99.map_or(f64::INFINITY, |(bound, _)| bound * 1e6),
            count: count as u64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "# TYPE chancery_command_stage_seconds histogram\n\
        chancery_commits_total 10\nchancery_events_recorded_total 10\n\
        chancery_command_stage_seconds_sum{stage=\"sync\"} 1.0\n\
        chancery_command_stage_seconds_count{stage=\"sync\"} 10\n\
        chancery_command_stage_seconds_bucket{le=\"0.5\",stage=\"sync\"} 10\n\
        chancery_command_stage_seconds_bucket{le=\"+Inf\",stage=\"sync\"} 10\n# EOF\n";
    const AFTER: &str = "chancery_commits_total 12\nchancery_events_recorded_total 110\n\
        chancery_command_stage_seconds_sum{stage=\"sync\"} 1.5\n\
        chancery_command_stage_seconds_count{stage=\"sync\"} 110\n\
        chancery_command_stage_seconds_bucket{le=\"0.5\",stage=\"sync\"} 110\n\
        chancery_command_stage_seconds_bucket{le=\"+Inf\",stage=\"sync\"} 110\n\
        chancery_view_visible_seconds_sum{view=\"token\"} 0.002\n\
        chancery_view_visible_seconds_count{view=\"token\"} 2\n\
        chancery_view_visible_seconds_bucket{le=\"+Inf\",view=\"token\"} 2\n";

    #[test]
    fn two_readings_tell_what_was_between() {
        let inside = Reading::parse(AFTER).since(&Reading::parse(BEFORE));
        let [(name, sync)] = inside.stages.as_slice() else { panic!("{inside:?}") };
        assert_eq!((name.as_str(), sync.count), ("sync", 100));
        assert!((sync.mean_micros - 5000.0).abs() < 1e-6 && (sync.p99_micros - 500_000.0).abs() < 1e-6, "{sync:?}");
        assert!((inside.events_per_commit - 50.0).abs() < 1e-9);
        assert!((inside.visible["token"].mean_micros - 1000.0).abs() < 1e-6);
        assert!(inside.request.is_none(), "nothing was asked over HTTP");
    }
}
