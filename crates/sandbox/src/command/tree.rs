//! The processes below another one, as `/proc` shows them. They are found and killed here.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, SysconfVar, getpid, sysconf};

/// A process below another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Process {
    pub(super) pid: i32,
    parent: i32,
    group: i32,
    /// Processor time in ticks, with that of the children that it waited for.
    ticks: u64,
    pub(super) threads: u64,
}

impl Process {
    /// Returns the processor time of the process and of its descendants that it waited for.
    pub(super) fn cpu(&self) -> Duration {
        let ticks = sysconf(SysconfVar::CLK_TCK).ok().flatten().and_then(|ticks| u64::try_from(ticks).ok());
        Duration::from_millis(self.ticks * 1000 / ticks.unwrap_or(100).max(1))
    }
}

/// Returns all descendants of `root`, without `root` itself.
pub(super) fn below(root: i32) -> Vec<Process> {
    let mut children: HashMap<i32, Vec<Process>> = HashMap::new();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    for entry in entries.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if let Some(process) = read(pid) {
            children.entry(process.parent).or_default().push(process);
        }
    }
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(pid) = open.pop() {
        for child in children.remove(&pid).unwrap_or_default() {
            open.push(child.pid);
            found.push(child);
        }
    }
    found
}

/// Returns the first living child of `parent`.
pub(super) fn first_child(parent: Pid) -> Option<Pid> {
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
    if let Ok(children) = children {
        return children.split_whitespace().next()?.parse().ok().map(Pid::from_raw);
    }
    // The kernel was built without that list.
    let children = below(parent.as_raw()).into_iter().filter(|process| process.parent == parent.as_raw());
    children.map(|process| process.pid).min().map(Pid::from_raw)
}

/// Returns the number of a process in the innermost of its namespaces.
pub(super) fn number_within(pid: Pid) -> Option<i32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    line.map_or(Some(pid.as_raw()), |line| line.split_whitespace().last()?.parse().ok())
}

/// Kills everything below `root` once, group by group and then one by one; returns the processes that it found.
///
/// A signal to a group reaches all its members at one moment, so that a chain of processes which fork and die
/// faster than `/proc` can be read is killed as well.
pub(super) fn kill_below(root: i32) -> Vec<Process> {
    let found = below(root);
    let own = nix::unistd::getpgid(Some(Pid::from_raw(root))).map_or(0, Pid::as_raw);
    let groups: HashSet<i32> = found.iter().map(|p| p.group).filter(|&g| g > 1 && g != own).collect();
    // ESRCH means that it is gone, EPERM that it cannot be killed from here: neither is an error.
    for group in groups {
        killpg(Pid::from_raw(group), Signal::SIGKILL).ok();
    }
    for process in &found {
        kill(Pid::from_raw(process.pid), Signal::SIGKILL).ok();
    }
    found
}

/// Kills a supervisor that does not answer and everything below it; returns the processes below it.
pub(super) fn kill_supervisor(supervisor: Option<u32>) -> HashSet<i32> {
    let root = supervisor.and_then(|pid| i32::try_from(pid).ok()).filter(|&pid| pid > 1);
    let Some(root) = root else { return HashSet::new() };
    let found = kill_below(root).iter().map(|process| process.pid).collect();
    kill(Pid::from_raw(root), Signal::SIGKILL).ok();
    found
}

/// Kills the processes that were started with an environment variable that begins with `mark`, and everything below them,
/// once; returns the processes that it found.
///
/// So the orphans of a killed supervisor are found, which are no longer below it.
pub(super) fn kill_marked(mark: &str) -> HashSet<i32> {
    let mut found = HashSet::new();
    for pid in marked(mark) {
        found.extend(kill_below(pid).iter().map(|process| process.pid));
        kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
        found.insert(pid);
    }
    found
}

/// Returns the processes that were started with `mark` in their environment. A zombie shows no environment.
fn marked(mark: &str) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let holds = |pid: &i32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|&byte| byte == 0).any(|variable| variable.starts_with(mark.as_bytes()))
    };
    pids.filter(|pid| *pid > 1 && *pid != getpid().as_raw()).filter(holds).collect()
}

/// Reads `/proc/PID/stat`. Its fields are numbered from 1; the second, the name, may hold blanks and parentheses.
fn read(pid: i32) -> Option<Process> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.iter().rposition(|&b| b == b')')? + 1;
    let fields: Vec<&str> = std::str::from_utf8(&stat[after_name..]).ok()?.split_ascii_whitespace().collect();
    // The first field after the name is the third.
    let field = |number: usize| fields.get(number - 3).copied();
    let count = |number: usize| field(number).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let (parent, group) = (field(4)?.parse().ok()?, field(5)?.parse().ok()?);
    let ticks = (14..=17).map(count).fold(0, u64::saturating_add);
    Some(Process { pid, parent, group, ticks, threads: count(20).max(1) })
}
