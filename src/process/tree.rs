//! The processes below another one, as `/proc` shows them, and their end.

use std::collections::{HashMap, HashSet};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, getpid};

/// A process below the root: itself and its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Process {
    pub(super) pid: i32,
    group: i32,
}

/// All that descends from `root`, without `root` itself.
pub(super) fn below(root: i32) -> Vec<Process> {
    let mut children: HashMap<i32, Vec<Process>> = HashMap::new();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    for entry in entries.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if let Some((parent, group)) = parent_and_group(pid) {
            children.entry(parent).or_default().push(Process { pid, group });
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

/// Kills everything below `root` once, group by group and then one by one; says which processes it met.
///
/// A signal to a group reaches all its members at one moment, so that a chain of processes which fork and die
/// faster than `/proc` can be read is met as well.
pub(super) fn kill_below(root: i32) -> Vec<Process> {
    let met = below(root);
    let own = nix::unistd::getpgid(Some(Pid::from_raw(root))).map_or(0, Pid::as_raw);
    let groups: HashSet<i32> = met.iter().map(|p| p.group).filter(|&g| g > 1 && g != own).collect();
    // ESRCH is the aim, EPERM leaves nothing to do: neither is an error here.
    for group in groups {
        killpg(Pid::from_raw(group), Signal::SIGKILL).ok();
    }
    for process in &met {
        kill(Pid::from_raw(process.pid), Signal::SIGKILL).ok();
    }
    met
}

/// Ends a supervisor that does not answer and everything below it; says how many processes that were.
pub(super) fn kill_from_outside(supervisor: u32) -> u32 {
    let Ok(root) = i32::try_from(supervisor) else { return 0 };
    if root <= 1 || root == getpid().as_raw() {
        return 0;
    }
    let met = kill_below(root);
    kill(Pid::from_raw(root), Signal::SIGKILL).ok();
    u32::try_from(met.len()).unwrap_or(u32::MAX)
}

/// Fields 4 and 5 of `/proc/PID/stat`; the name before them may hold blanks and parentheses.
fn parent_and_group(pid: i32) -> Option<(i32, i32)> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.iter().rposition(|&b| b == b')')? + 1;
    let rest = std::str::from_utf8(&stat[after_name..]).ok()?;
    let mut fields = rest.split_ascii_whitespace().skip(1);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}
