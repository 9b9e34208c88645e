//! Processor time and memory of processes and threads, as Linux tells them.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// Processor time of the calling thread so far.
pub fn of_this_thread() -> Option<Duration> {
    scheduled("/proc/thread-self/schedstat")
}

/// Processor time so far of a process's threads, by name; those that have ended are not among them.
pub fn by_thread(pid: u32) -> BTreeMap<String, Duration> {
    let mut times = BTreeMap::new();
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return times };
    for thread in threads.flatten() {
        let path = thread.path();
        let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
        if let Some(time) = path.join("schedstat").to_str().and_then(scheduled) {
            *times.entry(name.trim_end().to_owned()).or_default() += time;
        }
    }
    times
}

/// Resident memory of a process now and at most, in bytes.
pub fn memory(pid: u32) -> Option<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().ok()
    };
    Some((kib("VmRSS")? * 1024, kib("VmHWM")? * 1024))
}

/// The first field of a `schedstat`: nanoseconds on a processor.
fn scheduled(path: &str) -> Option<Duration> {
    let text = fs::read_to_string(path).ok()?;
    Some(Duration::from_nanos(text.split_ascii_whitespace().next()?.parse().ok()?))
}
