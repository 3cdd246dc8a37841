//! Processes and fsyncs a task, counted by `strace`: no machine changes them, only a change of the program.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use tokio::time::sleep;

use crate::daemon::{Daemon, Options};
use crate::hand::epoch;
use crate::machine::said;
use crate::rows::Row;
use crate::stats::number;
use crate::world::{World, all_answered};

/// The most a task, by confinement: processes, programs executed, fsyncs. As counted when this was written.
const MOST: [(&str, [f64; 3]); 2] = [("none", [4.0, 4.0, 4.0]), ("bwrap", [8.0, 8.0, 4.0])];

/// Counts for some tasks without and with the sandbox.
pub(crate) async fn measure(world: &World, tasks: usize) -> Result<Vec<Row>, String> {
    if said("strace", &["--version"]).is_none() {
        return Ok(vec![Row::skipped(
            "processes and fsyncs a task",
            "there is no strace to count them with",
        )]);
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
    all_answered(&backend).await.map_err(|error| format!("{error}\n{}", daemon.log()))?;
    let quiet = Duration::from_millis(400);
    sleep(quiet).await;
    let from = epoch();
    world.submit(&backend, "counted", 0, tasks);
    all_answered(&backend).await?;
    sleep(quiet).await;
    let to = epoch();
    let level = daemon.level();
    daemon.stop().await?;
    let path = world.at(&trace);
    let text =
        fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let calls = calls(&text, from, to);
    let each = |names: &[&str]| names.iter().filter_map(|name| calls.get(*name)).sum::<f64>() / number(tasks);
    let counted =
        [each(&["process"]), each(&["execve", "execveat"]), each(&["fsync", "fdatasync", "sync", "syncfs"])];
    let most = MOST.iter().find(|(known, _)| *known == level).map(|(_, most)| *most);
    let row = |number: usize, what: &str, name: &'static str| {
        let counted = counted[number];
        let measured = format!("{counted:.1} (of {tasks} tasks, by strace)");
        let row = Row::told(format!("{what} a task, sandbox {level}"), measured).value(name, counted);
        match most {
            None => row,
            Some(most) => row.bar(format!("<= {}", most[number]), counted <= most[number]).by_design(),
        }
    };
    Ok(vec![
        row(0, "processes started", "processes"),
        row(1, "programs executed", "programs"),
        row(2, "fsyncs", "fsyncs"),
    ])
}

/// How often each call succeeded between two moments; `process` counts the calls that made a process, not a thread.
fn calls(trace: &str, from: f64, to: f64) -> HashMap<String, f64> {
    let mut calls: HashMap<String, f64> = HashMap::new();
    // A call that is cut in two by another process names its flags in the first half and its answer in the second.
    let mut begun: HashMap<&str, &str> = HashMap::new();
    for line in trace.lines() {
        let Some((pid, line)) = line.split_once(' ') else { continue };
        let Some((time, call)) = line.trim_start().split_once(' ') else { continue };
        if !time.parse::<f64>().is_ok_and(|time| (from..to).contains(&time)) {
            continue;
        }
        if call.ends_with("<unfinished ...>") {
            begun.insert(pid, call);
            continue;
        }
        let first = if call.starts_with("<... ") { begun.remove(pid).unwrap_or(call) } else { call };
        let name = first.split('(').next().unwrap_or("");
        let answer = call.rsplit("= ").next().unwrap_or("-1");
        if answer.starts_with('-') || answer.starts_with('?') {
            continue;
        }
        let process =
            matches!(name, "clone" | "clone3" | "fork" | "vfork") && !first.contains("CLONE_THREAD");
        let name = if process { "process" } else { name };
        *calls.entry(name.to_owned()).or_default() += 1.0;
    }
    calls
}
