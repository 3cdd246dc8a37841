//! What the last stage of a step is to allow: which files, and which system calls.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::filter::Allowed;
use super::super::stage::Orders;
use super::super::{Level, Network, Plan, View, rules};
use super::{DEVICES, ETC, ETC_NETWORK, SHARED, SYSTEM, visible};

/// All of `shown` but `hidden`: the folders on the way there make room for what is in them. What somebody makes beside it
/// later is not shown either.
fn around(mut shown: Vec<PathBuf>, hidden: &[PathBuf]) -> Vec<PathBuf> {
    for hidden in hidden {
        while let Some(above) = shown.iter().position(|shown| hidden.starts_with(shown)) {
            let above = shown.swap_remove(above);
            if above == *hidden {
                break;
            }
            // A link is another name of what is shown by its own, or is not to be.
            let real = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| !kind.is_symlink());
            shown.extend(
                fs::read_dir(&above).into_iter().flatten().flatten().filter(real).map(|entry| entry.path()),
            );
        }
    }
    shown
}

/// Fills in what the last stage is to allow.
pub fn orders(plan: &Plan, orders: Orders) -> Orders {
    let bwrap = plan.level == Level::Bwrap;
    let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
    let (readable, writable) = match &plan.view {
        View::All => (Vec::new(), Vec::new()),
        View::Tool(view) => {
            let shared = paths(&["/dev", "/tmp", "/var/tmp"]);
            // Bubblewrap has laid something over it; Landlock knows only what is allowed.
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
                // One that all share is nobody's: who holds a name there keeps others from it.
                let shared = if plan.own_shared { paths(&[SHARED]) } else { Vec::new() };
                let seen = visible(view).cloned().collect();
                let readable = [paths(SYSTEM), paths(&["/proc", "/sys/fs/cgroup"]), etc, seen].concat();
                (readable, [paths(DEVICES), shared, own].concat())
            }
        }
    };
    // In a network namespace of its own, inet is the loopback and nothing else.
    let inet = bwrap || plan.network == Network::Host;
    // Within a process namespace, or with a user of its own, all that it can look into is its own.
    let alone = bwrap || plan.user.is_some();
    // Landlock lets nobody look into what is not confined with him.
    let ptrace = alone || (rules::version() > 0 && !readable.is_empty());
    // Where memory is limited by looking at the processes, there must be none that belongs to no process.
    let hidden_memory = plan.group.is_some() || plan.limits.memory.0.is_none();
    let attributes = !plan.brokered;
    let allowed = Allowed { inet, alone, ptrace, hidden_memory, attributes, queues: bwrap };
    Orders { readable, writable, allowed, ..orders }
}
