//! What `/proc` says of one process: time, memory, descriptors, threads; and how many files a folder holds.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use crate::machine::said;
use crate::stats::{median, number};

/// Processor time that a process has used, in milliseconds, in steps of [`tick`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cpu {
    /// Its own threads.
    pub(crate) own: f64,
    /// Of its children that have ended and were waited for, with theirs.
    pub(crate) children: f64,
}

/// Milliseconds of a clock tick, the step of [`cpu`].
pub(crate) fn tick() -> f64 {
    said("getconf", &["CLK_TCK"])
        .and_then(|ticks| ticks.parse::<f64>().ok())
        .map_or(10.0, |ticks| 1e3 / ticks)
}

/// Processor time of `pid` up to now.
pub(crate) fn cpu(pid: u32) -> Result<Cpu, String> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).map_err(|error| format!("cannot read {path}: {error}"))?;
    // The name, in parentheses, may hold anything; what follows it begins with the third field.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or("").split_ascii_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    let tick = tick();
    Ok(Cpu { own: (ticks(14) + ticks(15)) * tick, children: (ticks(16) + ticks(17)) * tick })
}

/// Processor time of the threads that `pid` has now, in milliseconds, to the nanosecond. Of a process whose threads
/// come and go it misses some.
pub(crate) fn fine_cpu(pid: u32) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let times = tasks.filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    });
    times.sum::<f64>() / 1e6
}

/// A number from `/proc/PID/status`: KiB for memory.
pub(crate) fn status(pid: u32, field: &str) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok()).unwrap_or(0.0)
}

/// Open descriptors; nothing where the kernel does not show them to this user (the runner hides itself).
pub(crate) fn descriptors(pid: u32) -> Option<f64> {
    Some(number(fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count()))
}

/// How long it takes to make 4 KiB in a new file in `folder` last, in milliseconds: the middle of some.
pub(crate) fn fsync(folder: &Path) -> std::io::Result<f64> {
    let path = folder.join("synced");
    let times: std::io::Result<Vec<f64>> = (0..25)
        .map(|_| {
            let mut file = File::create(&path)?;
            file.write_all(&[1; 4096])?;
            let started = Instant::now();
            file.sync_data()?;
            let took = started.elapsed();
            fs::remove_file(&path)?;
            Ok(took.as_secs_f64() * 1e3)
        })
        .collect();
    Ok(median(&times?))
}

/// Files and folders below `folder`.
pub(crate) fn files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| {
            let folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            1 + if folder { files(&entry.path()) } else { 0 }
        })
        .sum()
}
