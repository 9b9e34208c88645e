//! What the daemon takes of its machine, and what is left of it: read when the metrics are. What the system does not tell
//! is left out, and is no zero.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// Reads the machine when the metrics are read.
#[derive(Debug)]
pub struct Machine {
    data_dir: PathBuf,
}

impl Machine {
    /// That on which the data directory lies.
    #[must_use]
    pub const fn new(data_dir: PathBuf) -> Self {
        Self { data_dir }
    }
}

impl Collector for Machine {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        if let Ok(disk) = rustix::fs::statvfs(&self.data_dir) {
            let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
            let help = "What the daemon may still write where its data directory lies";
            gauge(&mut encoder, "disk_free", help, Some(&Unit::Bytes), bytes(disk.f_bavail))?;
            let help = "The file system on which the data directory lies";
            gauge(&mut encoder, "disk_size", help, Some(&Unit::Bytes), bytes(disk.f_blocks))?;
        }
        if let Some(bytes) = resident_bytes(&fs::read_to_string("/proc/self/status").unwrap_or_default()) {
            gauge(&mut encoder, "process_resident_memory", "Memory of the daemon", Some(&Unit::Bytes), bytes)?;
        }
        if let Some(open) = entries(Path::new("/proc/self/fd")) {
            gauge(&mut encoder, "process_open_fds", "Files and sockets that the daemon has open", None, open)?;
        }
        if let Some(max) = open_files_max(&fs::read_to_string("/proc/self/limits").unwrap_or_default()) {
            gauge(&mut encoder, "process_max_fds", "Files and sockets that it may have open", None, max)?;
        }
        // Always there, so that an alarm can be set on it before the first time.
        let set_aside = entries(&self.data_dir.join("quarantine")).unwrap_or(0);
        gauge(
            &mut encoder,
            "quarantined",
            "What could not be opened and was set aside in `quarantine/`",
            None,
            set_aside,
        )
    }
}

fn gauge<N: EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, unit: Option<&Unit>, value: N,
) -> fmt::Result {
    let metric = ConstGauge::new(value);
    metric.encode(encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?)
}

fn entries(dir: &Path) -> Option<u64> {
    u64::try_from(fs::read_dir(dir).ok()?.count()).ok()
}

/// `VmRSS` of Linux's `/proc/<pid>/status`, which counts in KiB.
fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// The soft limit of Linux's `/proc/<pid>/limits`.
fn open_files_max(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn the_system_is_read_as_it_writes() {
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t   5120 kB\nVmSize: 1 kB\n"), Some(5120 * 1024));
        assert_eq!(resident_bytes("Name:\tx\n"), None);
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max open files            1024                 524288               files     \n";
        assert_eq!(open_files_max(limits), Some(1024));
        assert_eq!(open_files_max("Max open files            unlimited            unlimited            files"), None);
    }

    #[test]
    fn what_is_there_is_told_and_what_is_not_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("quarantine/log.1")).unwrap();
        let told = |data_dir: &Path| {
            let mut registry = Registry::with_prefix("chancery");
            registry.register_collector(Box::new(Machine::new(data_dir.to_owned())));
            let mut text = String::new();
            encode(&mut text, &registry).unwrap();
            text
        };
        let text = told(dir.path());
        assert!(text.contains("chancery_disk_free_bytes ") && text.contains("chancery_disk_size_bytes "), "{text}");
        assert!(text.contains("chancery_quarantined 1\n"), "{text}");
        let text = told(&dir.path().join("gone"));
        assert!(!text.contains("disk_free") && text.contains("chancery_quarantined 0\n"), "{text}");
    }
}
