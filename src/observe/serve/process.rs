//! The usual metrics of a process, from /proc.

use std::fs;
use std::time::SystemTime;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::time::TimeValLike as _;

use crate::observe::prometheus::Text;

/// Writes them; what this system does not tell is left out.
pub(super) fn write(out: &mut Text, started: SystemTime) {
    if let Some(bytes) = resident() {
        out.head("process_resident_memory_bytes", "gauge", "Resident memory of the runner itself.");
        out.count("process_resident_memory_bytes", &[], bytes);
    }
    if let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) {
        let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
        out.head("process_cpu_seconds_total", "counter", "Processor time of the runner itself.");
        #[expect(clippy::cast_precision_loss, reason = "285 years of microseconds fit")]
        out.sample("process_cpu_seconds_total", &[], micros as f64 / 1e6);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        out.head("process_open_fds", "gauge", "Open file descriptors.");
        out.count("process_open_fds", &[], open.count() as u64);
    }
    if let Ok((soft, _)) = getrlimit(Resource::RLIMIT_NOFILE) {
        out.head("process_max_fds", "gauge", "Most open file descriptors.");
        out.count("process_max_fds", &[], soft);
    }
    let since = started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    out.head("process_start_time_seconds", "gauge", "Start of the runner, in seconds since 1970.");
    out.sample("process_start_time_seconds", &[], since.as_secs_f64());
}

fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}
