//! Reads processor time, memory, descriptors and ownership of processes from `/proc`.

use std::fs;
use std::path::Path;

use crate::programs::stdout_of;

/// Processor time of a process in milliseconds, in multiples of [`clock_tick_ms`].
#[derive(Debug, Clone, Copy)]
pub struct CpuTime {
    /// Time of its own threads, including those that ended.
    pub own: f64,
    /// Time of its children that ended and were waited for, with their children.
    pub children: f64,
}

/// Duration of a clock tick in milliseconds.
pub fn clock_tick_ms() -> f64 {
    let ticks = stdout_of("getconf", &["CLK_TCK"]).and_then(|ticks| ticks.parse::<f64>().ok());
    ticks.map_or(10.0, |ticks| 1e3 / ticks)
}

/// Processor time of `pid` up to now, from `/proc/PID/stat`.
///
/// # Errors
/// Returns a message if the process does not exist.
pub fn cpu_time(pid: u32) -> Result<CpuTime, String> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).map_err(|error| format!("cannot read {path}: {error}"))?;
    // The second field, the name in parentheses, may contain any character; the third field follows it.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or("").split_ascii_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    let tick = clock_tick_ms();
    Ok(CpuTime { own: (ticks(14) + ticks(15)) * tick, children: (ticks(16) + ticks(17)) * tick })
}

/// Processor time of the current threads of `pid` in milliseconds, with a resolution of a nanosecond. Does not include
/// threads that ended.
pub fn thread_cpu_ms(pid: u32) -> f64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let times = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    });
    times.sum::<f64>() / 1e6
}

/// A number from `/proc/PID/status`, in KiB for memory; `None` if the process or the field does not exist.
pub fn status_number(pid: u32, field: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    value.split_ascii_whitespace().next()?.parse().ok()
}

/// Number of open descriptors of `pid`; `None` if the kernel hides them from this user, as it does for a runner that is
/// not dumpable.
pub fn open_descriptors(pid: u32) -> Option<u64> {
    u64::try_from(fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count()).ok()
}

/// The processes that have `folder` in their working folder, command line, environment or program path, as `PID: COMMAND`.
/// Zombies have none of these.
pub fn processes_of(folder: &Path) -> Vec<String> {
    let needle = folder.display().to_string();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let path = entry.path();
            let read = |name: &str| {
                String::from_utf8_lossy(&fs::read(path.join(name)).unwrap_or_default()).into_owned()
            };
            let target =
                |name: &str| fs::read_link(path.join(name)).unwrap_or_default().display().to_string();
            let command_line = read("cmdline");
            let matches = pid != std::process::id()
                && [&command_line, &read("environ"), &target("cwd"), &target("exe")]
                    .iter()
                    .any(|text| text.contains(&needle));
            matches.then(|| format!("{pid}: {}", command_line.replace('\0', " ")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_this_process() {
        let pid = std::process::id();
        assert!(status_number(pid, "VmRSS").is_some_and(|kib| kib > 100));
        assert_eq!(status_number(pid, "NoSuchField"), None);
        assert!(open_descriptors(pid).is_some_and(|count| count >= 3));
        assert!(cpu_time(pid).is_ok() && thread_cpu_ms(pid) > 0.0);
    }
}
