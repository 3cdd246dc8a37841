//! Counts processes, executed programs and fsyncs per task with `strace`. These numbers do not depend on the machine.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use tokio::time::sleep;
use tools::programs::stdout_of;

use crate::by_hand::epoch_seconds;
use crate::daemon::{Daemon, Options};
use crate::row::Row;
use crate::stats::to_f64;
use crate::world::{World, wait_for_all_results};

/// The counted groups of system calls: figure, name of the value, calls. `process` stands for the calls that create one.
const GROUPS: [(&str, &str, &[&str]); 3] = [
    ("processes started", "processes", &["process"]),
    ("programs executed", "programs", &["execve", "execveat"]),
    ("fsyncs", "fsyncs", &["fsync", "fdatasync", "sync", "syncfs"]),
];

/// Limits per task for each group, by sandbox level.
const LIMITS: [(&str, [f64; 3]); 2] = [("none", [4.0, 4.0, 4.0]), ("bwrap", [8.0, 8.0, 4.0])];

/// Time without tasks before and after the counted tasks.
const QUIET: Duration = Duration::from_millis(400);

/// Counts for `tasks` tasks without and with the sandbox.
///
/// # Errors
/// Returns a message if the runner fails or the trace cannot be read.
pub(crate) async fn measure(world: &World, tasks: usize) -> Result<Vec<Row>, String> {
    if stdout_of("strace", &["--version"]).is_none() {
        return Ok(vec![Row::skipped("processes and fsyncs per task", "strace is not installed")]);
    }
    let mut rows = Vec::new();
    for sandbox in ["none", "auto"] {
        rows.extend(count(world, sandbox, tasks).await?);
    }
    Ok(rows)
}

async fn count(world: &World, sandbox: &str, tasks: usize) -> Result<Vec<Row>, String> {
    let backend = world.backend().await?;
    let trace = format!("trace-{sandbox}");
    let options = Options { sandbox, trace: Some(&trace), interval: "1", ..Options::default() };
    let daemon = Daemon::start(world, &backend, options)?;
    world.submit(&backend, "first", 0, 3);
    wait_for_all_results(&backend).await.map_err(|error| format!("{error}\n{}", daemon.log()))?;
    sleep(QUIET).await;
    let from = epoch_seconds();
    world.submit(&backend, "counted", 0, tasks);
    wait_for_all_results(&backend).await?;
    sleep(QUIET).await;
    let to = epoch_seconds();
    let level = daemon.level();
    daemon.stop().await?;
    let path = world.path(&trace);
    let text =
        fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let calls = successful_calls(&text, from, to);
    let limits = LIMITS.iter().find(|(name, _)| *name == level).map(|(_, limits)| *limits);
    let row = |(index, (figure, name, group)): (usize, &(&str, &'static str, &[&str]))| {
        let total: usize = group.iter().filter_map(|call| calls.get(*call)).sum();
        let per_task = to_f64(total) / to_f64(tasks);
        let measured = format!("{per_task:.1} (of {tasks} tasks, by strace)");
        let row = Row::new(format!("{figure} per task, sandbox {level}"), measured).value(name, per_task);
        match limits.map(|limits| limits[index]) {
            None => row,
            Some(limit) => row.limit(format!("<= {limit}"), per_task <= limit).machine_independent(),
        }
    };
    Ok(GROUPS.iter().enumerate().map(row).collect())
}

/// Number of successful calls by name between two times. `process` counts the calls that created a process, not a thread.
fn successful_calls(trace: &str, from: f64, to: f64) -> HashMap<String, usize> {
    let mut calls: HashMap<String, usize> = HashMap::new();
    // strace splits a call that another process interrupts: the first line has the flags, the second the return value.
    let mut unfinished: HashMap<&str, &str> = HashMap::new();
    for line in trace.lines() {
        let Some((pid, line)) = line.split_once(' ') else { continue };
        let Some((time, call)) = line.trim_start().split_once(' ') else { continue };
        if !time.parse::<f64>().is_ok_and(|time| (from..to).contains(&time)) {
            continue;
        }
        if call.ends_with("<unfinished ...>") {
            unfinished.insert(pid, call);
            continue;
        }
        let start = if call.starts_with("<... ") { unfinished.remove(pid).unwrap_or(call) } else { call };
        let name = start.split('(').next().unwrap_or("");
        let return_value = call.rsplit("= ").next().unwrap_or("-1");
        if return_value.starts_with('-') || return_value.starts_with('?') {
            continue;
        }
        let creates_process =
            matches!(name, "clone" | "clone3" | "fork" | "vfork") && !start.contains("CLONE_THREAD");
        let name = if creates_process { "process" } else { name };
        *calls.entry(name.to_owned()).or_default() += 1;
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_successful_calls_within_the_time() {
        let trace = "\
7 99.0 fsync(3) = 0
7 100.1 fsync(3) = 0
7 100.2 fsync(3) = -1 EIO (Input/output error)
7 100.3 clone3({flags=CLONE_VM|CLONE_THREAD}, 88) = 8
7 100.4 clone(child_stack=NULL, flags=SIGCHLD <unfinished ...>
8 100.5 execve(\"/bin/true\", [\"true\"], 0x7f /* 5 vars */) = 0
7 100.6 <... clone resumed>) = 9
7 101.0 fsync(3) = 0
";
        let mut calls: Vec<_> = successful_calls(trace, 100.0, 101.0).into_iter().collect();
        calls.sort();
        let expected = [("clone3", 1), ("execve", 1), ("fsync", 1), ("process", 1)];
        assert_eq!(calls, expected.map(|(name, count)| (name.to_owned(), count)));
    }
}
