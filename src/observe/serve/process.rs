//! The usual metrics of a process, from /proc.

use std::fs;
use std::time::SystemTime;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::time::TimeValLike as _;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// Registers the metrics of this process, which began at `started`. Leaves out those that the system does not give.
pub(super) fn register(to: &mut Registry, started: SystemTime) {
    if let Some(bytes) = resident() {
        let help = "Resident memory of the runner itself";
        to.register("process_resident_memory_bytes", help, ConstGauge::new(bytes));
    }
    if let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) {
        let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
        #[expect(clippy::cast_precision_loss, reason = "285 years of microseconds fit")]
        let seconds = ConstCounter::new(micros as f64 / 1e6);
        to.register("process_cpu_seconds", "Processor time of the runner itself", seconds);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        to.register("process_open_fds", "Open file descriptors", ConstGauge::new(open.count() as u64));
    }
    if let Ok((soft, _)) = getrlimit(Resource::RLIMIT_NOFILE) {
        to.register("process_max_fds", "Limit of open file descriptors", ConstGauge::new(soft));
    }
    let since = started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let help = "Start of the runner, in seconds since 1970";
    to.register("process_start_time_seconds", help, ConstGauge::new(since));
}

/// Resident memory of this process, in bytes.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}
