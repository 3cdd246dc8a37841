//! Search for folders in which this process may make control groups.

use std::fs;
use std::io;
use std::path::Path;

use nix::unistd::getpid;

use super::groups::Groups;

impl Groups {
    /// Finds folders in which this process may make groups, by making one.
    pub fn find() -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let v1 = |controller: &str| {
            let mount = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).find(|mount| {
                mount.len() > 3
                    && mount[2] == "cgroup"
                    && mount[3].split(',').any(|option| option == controller)
            })?;
            let path = own.lines().find_map(|line| {
                let mut parts = line.splitn(3, ':').skip(1);
                let names = parts.next()?;
                names.split(',').any(|name| name == controller).then(|| parts.next()).flatten()
            })?;
            let root = Path::new(mount[1]);
            // In a container the path may be one of the host's, which does not exist here.
            let candidates = [root.join(path.trim_start_matches('/')), root.to_owned()];
            candidates.into_iter().find(|folder| may_make(folder))
        };
        if let Some(memory) = v1("memory") {
            return Some(Self::V1 { memory, pids: v1("pids"), cpu: v1("cpu"), cpuacct: v1("cpuacct") });
        }
        let mount = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let mount = mount.into_iter().find(|mount| mount.len() > 3 && mount[2] == "cgroup2")?;
        let path = own.lines().find_map(|line| line.strip_prefix("0::"))?;
        let folder = Path::new(mount[1]).join(path.trim_start_matches('/'));
        take_over(&folder).ok().map(|()| Self::V2(folder))
    }
}

/// Prepares the delegated subtree: this process is moved to a group below it, since a group with groups below it may not
/// hold processes.
fn take_over(folder: &Path) -> io::Result<()> {
    let controllers = fs::read_to_string(folder.join("cgroup.controllers"))?;
    if !controllers.split_whitespace().any(|name| name == "memory") {
        return Err(io::Error::other("the memory controller is not delegated"));
    }
    let own = folder.join("runner");
    fs::create_dir(&own)
        .or_else(|e| if e.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(e) })?;
    fs::write(own.join("cgroup.procs"), getpid().to_string())?;
    for controller in ["memory", "pids", "cpu"] {
        if controllers.split_whitespace().any(|name| name == controller) {
            fs::write(folder.join("cgroup.subtree_control"), format!("+{controller}"))?;
        }
    }
    Ok(())
}

fn may_make(parent: &Path) -> bool {
    let probe = parent.join(format!("ostest-probe-{}", getpid()));
    let made = fs::create_dir(&probe).is_ok();
    if made {
        fs::remove_dir(&probe).ok();
    }
    made
}
