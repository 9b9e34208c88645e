//! The machine that measured, and its two units: one flush to disk and one signature. Figures are given in these, because
//! a ratio survives a change of machine and a figure does not.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use chancery_ledger::keys::SigningKey;
use hdrhistogram::Histogram;
use serde::Serialize;
use zeroize::Zeroizing;

/// Bytes of a probing append: about one small commit.
const APPEND_BYTES: usize = 1024;
/// How long probing may take.
const PROBE_TIME: Duration = Duration::from_millis(750);
/// Most probes.
const PROBES_MAX: usize = 1000;

/// What a figure was measured on.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// Processors that this process may use.
    pub cores: usize,
    /// The kernel's release.
    pub kernel: String,
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// The file system of the data directory, or of the directory probed.
    pub file_system: String,
    /// Load average of the last minute when the measuring began: above 0 the machine had other work.
    pub load_average: f64,
}

impl Machine {
    /// Describes this machine, with a directory's file system.
    pub fn of(dir: &Path) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.split_once(':').map_or_else(String::new, |(_, value)| value.trim().to_owned())
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        Self {
            cpu: field(&read("/proc/cpuinfo"), "model name"),
            cores: available_parallelism().map_or(0, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            memory_bytes: memory.trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024,
            file_system: file_system(dir),
            load_average: read("/proc/loadavg").split(' ').next().and_then(|it| it.parse().ok()).unwrap_or(0.0),
        }
    }
}

/// The type of the file system that holds a directory: that of the longest mount point above it.
fn file_system(dir: &Path) -> String {
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let of = |line: &str| {
        let mut fields = line.split(' ').skip(1);
        let (point, kind) = (fields.next()?, fields.next()?);
        dir.starts_with(point).then(|| (point.len(), kind.to_owned()))
    };
    mounts.lines().filter_map(of).max().map_or_else(|| "unknown".to_owned(), |(_, kind)| kind)
}

/// The machine's units.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Units {
    /// Half of the flushes took no longer: `fdatasync` of an append of 1 KiB, in microseconds.
    pub flush_micros: f64,
    /// 99 of 100 took no longer.
    pub flush_p99_micros: f64,
    /// One Ed25519 signature, in microseconds.
    pub signature_micros: f64,
}

impl Units {
    /// Measures them, the flush in a directory.
    ///
    /// # Errors
    /// When no file can be written there.
    pub fn measure(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join(format!(".chancery-bench-flush-{}", std::process::id()));
        let probed = flushes(&path).with_context(|| format!("the disk of {} cannot be probed", dir.display()));
        // Whether it was made or not, it must not stay.
        let _ = fs::remove_file(&path);
        let flushes = probed?;
        let key = SigningKey::from_seed(Zeroizing::new([7; 32]));
        let mut signatures = Histogram::<u64>::new(3)?;
        for n in 0..PROBES_MAX as u64 {
            let begun = Instant::now();
            std::hint::black_box(key.sign(&n.to_be_bytes()));
            record(&mut signatures, begun.elapsed())?;
        }
        Ok(Self {
            flush_micros: micros(flushes.value_at_quantile(0.5)),
            flush_p99_micros: micros(flushes.value_at_quantile(0.99)),
            signature_micros: micros(signatures.value_at_quantile(0.5)),
        })
    }
}

fn flushes(path: &Path) -> anyhow::Result<Histogram<u64>> {
    let mut file = OpenOptions::new().append(true).create_new(true).open(path)?;
    let mut times = Histogram::<u64>::new(3)?;
    let begun = Instant::now();
    for _ in 0..PROBES_MAX {
        let since = Instant::now();
        file.write_all(&[0x5a; APPEND_BYTES])?;
        file.sync_data()?;
        record(&mut times, since.elapsed())?;
        if begun.elapsed() > PROBE_TIME {
            break;
        }
    }
    Ok(times)
}

fn record(times: &mut Histogram<u64>, took: Duration) -> anyhow::Result<()> {
    Ok(times.record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX))?)
}

#[expect(clippy::cast_precision_loss, reason = "2^53 ns are a hundred days")]
fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1000.0
}
