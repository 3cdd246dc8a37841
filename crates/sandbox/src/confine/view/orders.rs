//! What the setup of a command allows: files and system calls.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::filter::Allowed;
use super::super::setup::Orders;
use super::super::{Level, Network, Plan, View, landlock_rules};
use super::paths::{DEVICES, ETC, ETC_NETWORK, SHARED, SYSTEM, visible};

/// Returns the paths in `shown` without `hidden`: a folder that holds a hidden path is replaced by its other entries. So
/// entries that are made beside it later are not shown either.
fn around(mut shown: Vec<PathBuf>, hidden: &[PathBuf]) -> Vec<PathBuf> {
    for hidden in hidden {
        while let Some(above) = shown.iter().position(|shown| hidden.starts_with(shown)) {
            let above = shown.swap_remove(above);
            if above == *hidden {
                break;
            }
            // A link's target is shown by its own name, or must not be shown.
            let is_no_link = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| !kind.is_symlink());
            shown.extend(
                fs::read_dir(&above)
                    .into_iter()
                    .flatten()
                    .flatten()
                    .filter(is_no_link)
                    .map(|entry| entry.path()),
            );
        }
    }
    shown
}

/// Fills in which files and system calls the setup allows.
pub fn orders(plan: &Plan, orders: Orders) -> Orders {
    let bwrap = plan.level == Level::Bwrap;
    let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
    let (readable, writable) = match &plan.view {
        View::All => (Vec::new(), Vec::new()),
        View::Tool(view) => {
            let shared = paths(&["/dev", "/tmp", "/var/tmp"]);
            // bubblewrap mounts something over hidden paths; Landlock can only list what is allowed.
            let hidden: &[PathBuf] = if bwrap { &[] } else { &view.hidden };
            (around(paths(&["/"]), hidden), [around(shared, hidden), view.writable.clone()].concat())
        }
        View::Suite(view) => {
            let own =
                [&view.source, &view.suite, &view.home, &view.temp, &view.out].map(Clone::clone).to_vec();
            if bwrap {
                (paths(&["/"]), [paths(&["/dev", "/tmp", "/var/tmp"]), own].concat())
            } else {
                let etc = ETC.iter().chain(ETC_NETWORK).chain(&["passwd", "group"]);
                let etc = etc.map(|name| Path::new("/etc").join(name)).collect();
                // A shared one is not writable: a task that uses a name there would keep other tasks from it.
                let shared = if plan.own_shared { paths(&[SHARED]) } else { Vec::new() };
                let seen = visible(view).cloned().collect();
                let readable = [paths(SYSTEM), paths(&["/proc", "/sys/fs/cgroup"]), etc, seen].concat();
                (readable, [paths(DEVICES), shared, own].concat())
            }
        }
    };
    // In a network namespace of its own the loopback is the only interface.
    let inet = bwrap || plan.network == Network::Host;
    // In a process namespace, or with a user of its own, it can inspect its own processes only.
    let alone = bwrap || plan.user.is_some();
    // Landlock allows to inspect processes of the same confinement only.
    let ptrace = alone || (landlock_rules::version() > 0 && !readable.is_empty());
    // If memory is limited by sampling the processes, all memory must belong to a process.
    let hidden_memory = plan.group.is_some() || plan.limits.memory.0.is_none();
    let attributes = !plan.brokered;
    let allowed = Allowed { inet, alone, ptrace, hidden_memory, attributes, queues: bwrap };
    Orders { readable, writable, allowed, ..orders }
}
