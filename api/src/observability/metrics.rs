//! What is measured, for Prometheus at `/metrics`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chancery_ledger::ids::Seq;
use chancery_projections::engine::Engine;
use chancery_projections::sequencer::{Counts, Status};
use chancery_projections::timing::Timing;
use chancery_projections::views::View;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::machine::Machine;

/// What the daemon counts and times.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    latencies: Family<RouteLabels, Histogram, fn() -> Histogram>,
    commands: Family<CommandLabels, Counter>,
    /// Log-ins that were refused.
    pub refusals: Counter,
    /// Connections that are open.
    pub connections: Gauge,
    /// Connections that were turned away because too many were open.
    pub connections_refused: Counter,
    /// Live event streams that are open.
    pub streams: Gauge,
    deliveries: Family<OutcomeLabels, Counter>,
    cosignatures: Family<OutcomeLabels, Counter>,
    sink_next: Family<SinkLabels, Gauge<u64, AtomicU64>>,
    sink_failed: Family<SinkLabels, Gauge>,
    gauges: Gauges,
}

/// What is asked for when the metrics are read.
struct Gauges {
    sequencer: [Counter; 6],
    queue: Gauge,
    stopped: Gauge,
    events: Gauge<u64, AtomicU64>,
    log_bytes: Gauge<u64, AtomicU64>,
    archive_lag: Gauge<u64, AtomicU64>,
    archive_failed: Gauge,
    view_lag: Family<ViewLabels, Gauge<u64, AtomicU64>>,
    view_bytes: Family<ViewLabels, Gauge<u64, AtomicU64>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SinkLabels {
    sink: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CommandLabels {
    command: &'static str,
}

/// What becomes of what others are told or asked: an event posted to a destination, a checkpoint sent to a witness.
const OUTCOMES: [&str; 2] = ["delivered", "failed"];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ViewLabels {
    view: &'static str,
}

/// How the daemon stands at the moment its metrics are read.
#[derive(Debug, Clone)]
pub struct Standing {
    /// How writing goes.
    pub status: Status,
    /// Bytes of the log on disk, where that could be found out.
    pub log_bytes: Option<u64>,
    /// Events that the archive lacks, and whether it fails; `None` without one.
    pub archive: Option<(u64, bool)>,
    /// Each view, the events it lacks, and its bytes on disk.
    pub views: Vec<(&'static str, u64, Option<u64>)>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Nothing counted yet.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("chancery");
        // 250 µs to 8 s.
        let latency: fn() -> Histogram = || Histogram::new(exponential_buckets(0.000_25, 2.0, 16));
        let metrics = Self {
            requests: Family::default(),
            latencies: Family::new_with_constructor(latency),
            commands: Family::default(),
            refusals: Counter::default(),
            connections: Gauge::default(),
            connections_refused: Counter::default(),
            streams: Gauge::default(),
            deliveries: Family::default(),
            sink_next: Family::default(),
            sink_failed: Family::default(),
            cosignatures: Family::default(),
            gauges: Gauges {
                sequencer: Default::default(),
                queue: Gauge::default(),
                stopped: Gauge::default(),
                events: Gauge::default(),
                log_bytes: Gauge::default(),
                archive_lag: Gauge::default(),
                archive_failed: Gauge::default(),
                view_lag: Family::default(),
                view_bytes: Family::default(),
            },
            registry: Registry::default(),
        };
        registry.register("http_requests", "Requests answered, by route and status", metrics.requests.clone());
        registry.register_with_unit(
            "http_request_duration",
            "Time from the head of a request to the head of its answer",
            Unit::Seconds,
            metrics.latencies.clone(),
        );
        registry.register("commands", "Commands submitted, by command", metrics.commands.clone());
        registry.register("authentication_refusals", "Log-ins refused", metrics.refusals.clone());
        registry.register("connections", "Connections open", metrics.connections.clone());
        registry.register(
            "connections_refused",
            "Connections turned away because too many were open",
            metrics.connections_refused.clone(),
        );
        registry.register("event_streams", "Live event streams open", metrics.streams.clone());
        for outcome in OUTCOMES {
            // Told from the start on, so that an alarm can tell none from nobody who counts.
            drop(metrics.deliveries.get_or_create(&OutcomeLabels { outcome }));
            drop(metrics.cosignatures.get_or_create(&OutcomeLabels { outcome }));
        }
        registry.register("deliveries", "Events posted to destinations, by outcome", metrics.deliveries.clone());
        let help = "Position of the next event that a sink is told; less than log_events by what it lacks";
        registry.register("sink_next_event", help, metrics.sink_next.clone());
        let help = "1 when a sink did not take events when last tried";
        registry.register("sink_failed", help, metrics.sink_failed.clone());
        let help = "Cosignatures that witnesses were asked for, by outcome";
        registry.register("cosignatures", help, metrics.cosignatures.clone());
        let gauges = &metrics.gauges;
        let sequencer = [
            ("commands_answered", "Commands that the sequencer answered"),
            ("commands_refused", "Of these, refused"),
            ("commands_replayed", "Of these, answers given again under an idempotency key"),
            ("events_recorded", "Events recorded since the start"),
            ("commits", "Commits since the start; events_recorded by commits is their size"),
            ("commit_microseconds", "Time spent in commits; by commits it is their latency"),
        ];
        for ((name, help), counter) in sequencer.into_iter().zip(&gauges.sequencer) {
            registry.register(name, help, counter.clone());
        }
        registry.register("queue_depth", "Commands that wait to be decided", gauges.queue.clone());
        registry.register("writes_stopped", "1 when writes have stopped for good", gauges.stopped.clone());
        registry.register("log_events", "Events in the log", gauges.events.clone());
        registry.register_with_unit("log_size", "The log on disk", Unit::Bytes, gauges.log_bytes.clone());
        registry.register(
            "archive_lag_events",
            "Events that the archive has still to take",
            gauges.archive_lag.clone(),
        );
        let help = "1 when the archive could not be written when last tried";
        registry.register("archive_failed", help, gauges.archive_failed.clone());
        registry.register("view_lag_events", "Events that a view has still to read", gauges.view_lag.clone());
        registry.register_with_unit("view_size", "A view on disk", Unit::Bytes, gauges.view_bytes.clone());
        Self { registry, ..metrics }
    }

    /// Counts a post to a subscription's destinations.
    pub fn count_delivery(&self, delivered: bool) {
        let [done, failed] = OUTCOMES;
        let outcome = if delivered { done } else { failed };
        self.deliveries.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// Counts a witness that was asked to cosign a checkpoint.
    pub fn count_cosignature(&self, delivered: bool) {
        let [done, failed] = OUTCOMES;
        let outcome = if delivered { done } else { failed };
        self.cosignatures.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// Notes how far a sink has been told.
    pub fn sink_reached(&self, sink: &str, next: Seq) {
        self.sink_next.get_or_create(&SinkLabels { sink: sink.to_owned() }).set(next.0);
    }

    /// Notes whether a sink took what it was told last.
    pub fn sink_failed(&self, sink: &str, failed: bool) {
        self.sink_failed.get_or_create(&SinkLabels { sink: sink.to_owned() }).set(i64::from(failed));
    }

    /// Adds what the engine times: the stages of commands, and how views follow.
    #[must_use]
    pub fn with_engine(mut self, engine: Arc<Engine>) -> Self {
        self.registry.register_collector(Box::new(Timings(engine)));
        self
    }

    /// Adds what the daemon takes of its machine, and what is left of it.
    #[must_use]
    pub fn with_machine(mut self, machine: Machine) -> Self {
        self.registry.register_collector(Box::new(machine));
        self
    }

    /// Counts an answered request.
    pub fn count_request(&self, method: &'static str, route: &'static str, status: u16, took: Duration) {
        self.requests.get_or_create(&RequestLabels { method, route, status }).inc();
        self.latencies.get_or_create(&RouteLabels { route }).observe(took.as_secs_f64());
    }

    /// Counts a command.
    pub fn count_command(&self, command: &'static str) {
        self.commands.get_or_create(&CommandLabels { command }).inc();
    }

    /// The text that Prometheus reads.
    ///
    /// # Errors
    /// When a label cannot be written.
    pub fn render(&self, standing: &Standing) -> Result<String, fmt::Error> {
        let gauges = &self.gauges;
        let Status { waiting, durable, stopped, counts, .. } = &standing.status;
        let Counts { commands, refused, replayed, events, commits, commit_micros } = *counts;
        for (counter, count) in
            gauges.sequencer.iter().zip([commands, refused, replayed, events, commits, commit_micros])
        {
            counter.inner().store(count, Ordering::Relaxed);
        }
        gauges.queue.set(i64::try_from(*waiting).unwrap_or(i64::MAX));
        gauges.stopped.set(i64::from(stopped.is_some()));
        gauges.events.set(durable.0);
        if let Some(bytes) = standing.log_bytes {
            gauges.log_bytes.set(bytes);
        }
        let (lag, failed) = standing.archive.unwrap_or_default();
        gauges.archive_lag.set(lag);
        gauges.archive_failed.set(failed.into());
        for (view, lag, bytes) in &standing.views {
            gauges.view_lag.get_or_create(&ViewLabels { view }).set(*lag);
            if let Some(bytes) = bytes {
                gauges.view_bytes.get_or_create(&ViewLabels { view }).set(*bytes);
            }
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// What the engine times, read when the metrics are.
struct Timings(Arc<Engine>);

impl fmt::Debug for Timings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timings").finish_non_exhaustive()
    }
}

impl Collector for Timings {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Time of each command in each stage between being handed in and being answered";
        let stages = self.0.sequencer().stages().iter().map(|(stage, timing)| ([("stage", stage.name())], timing));
        family(&mut encoder, "command_stage", help, stages)?;
        let help = "Time from a commit's being durable to its being in a view";
        let views = View::ALL.into_iter().map(|view| ([("view", view.name())], self.0.visible(view)));
        family(&mut encoder, "view_visible", help, views)
    }
}

/// Writes timings as one family of histograms.
fn family<'a>(
    encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str,
    timings: impl Iterator<Item = ([(&'static str, &'static str); 1], &'a Timing)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
    for (labels, timing) in timings {
        let reading = timing.read();
        // The encoder writes the largest number there is as infinity.
        let buckets: Vec<_> = reading.buckets.iter().map(|(bound, count)| (bound.min(f64::MAX), *count)).collect();
        family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(
            reading.sum_secs,
            reading.count,
            &buckets,
            None,
        )?;
    }
    Ok(())
}

/// What has a count in a gauge as long as it lives.
pub struct Held(Gauge);

impl Held {
    /// Counts one in.
    #[must_use]
    pub fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}
