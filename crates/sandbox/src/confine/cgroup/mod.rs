//! Control groups: the limits of one task, and the truth about what it used. Version 2 where the runner has a subtree
//! of its own (systemd's `Delegate=yes`), version 1 where the machine has that.

mod find;
mod leaves;

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::Limits;
use super::window::Window;
use leaves::Leaves;

/// Begins the names of all groups that runners make.
pub const PREFIX: &str = "ostest-";

/// After this long without a process a group is one that somebody left.
const LEFT: Duration = Duration::from_secs(3_600);

/// Where groups for tasks can be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Groups {
    /// A folder in each hierarchy that is there.
    V1 {
        /// Of the memory controller; nothing works without it.
        memory: PathBuf,
        /// Of the pids controller.
        pids: Option<PathBuf>,
        /// Of the cpu controller.
        cpu: Option<PathBuf>,
        /// Of the controller that counts processor time.
        cpuacct: Option<PathBuf>,
    },
    /// The one folder that was delegated.
    V2(PathBuf),
}

impl Groups {
    /// `cgroup-v1` or `cgroup-v2`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::V1 { .. } => "cgroup-v1",
            Self::V2(_) => "cgroup-v2",
        }
    }

    fn folders(&self) -> Vec<&PathBuf> {
        match self {
            Self::V1 { memory, pids, cpu, cpuacct } => {
                [Some(memory), pids.as_ref(), cpu.as_ref(), cpuacct.as_ref()].into_iter().flatten().collect()
            }
            Self::V2(folder) => vec![folder],
        }
    }

    /// Ends and removes the groups of earlier runs, whose names begin with `prefix`; and removes what others left who
    /// were killed, old and empty.
    pub fn sweep(&self, prefix: &str) {
        for parent in self.folders() {
            for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
                let name = entry.file_name();
                let Some(name) = name.to_str() else { continue };
                if name.starts_with(prefix) {
                    empty(&entry.path());
                    remove(&entry.path());
                } else if name.starts_with(PREFIX) && is_old(&entry) {
                    // The system does not remove what has a process in it.
                    remove_empty(&entry.path()).ok();
                }
            }
        }
    }

    /// Whether a group's processes are counted, and refusals told.
    pub fn count_processes(&self) -> bool {
        !matches!(self, Self::V1 { pids: None, .. })
    }

    /// Makes the group `name` with `limits`, in which `own` processes of the sandbox itself are counted too.
    pub fn make(&self, name: &str, limits: &Limits, own: u64) -> io::Result<Group> {
        let folders: Vec<PathBuf> = self.folders().iter().map(|parent| parent.join(name)).collect();
        let leaves = match self {
            Self::V1 { .. } => None,
            Self::V2(parent) => Some(Leaves::below(parent.join(name))),
        };
        let group = Group { groups: self.clone(), name: name.to_owned(), window: Window::default(), leaves };
        for folder in folders {
            match fs::create_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                other => other?,
            }
        }
        group.set(limits, own)?;
        Ok(group)
    }
}

/// The group of one task.
#[derive(Debug)]
pub struct Group {
    groups: Groups,
    name: String,
    /// What the case in hand uses (version 1).
    window: Window,
    /// The groups of cases (version 2).
    leaves: Option<Leaves>,
}

impl Group {
    fn set(&self, limits: &Limits, own: u64) -> io::Result<()> {
        match &self.groups {
            Groups::V1 { memory, pids, cpu, .. } => {
                if let Some(bytes) = limits.memory.0 {
                    let folder = memory.join(&self.name);
                    fs::write(folder.join("memory.limit_in_bytes"), bytes.to_string())?;
                    // Without swap accounting the file is not there, and usually no swap either.
                    fs::write(folder.join("memory.memsw.limit_in_bytes"), bytes.to_string()).ok();
                }
                if let (Some(pids), Some(most)) = (pids, limits.pids.0) {
                    fs::write(pids.join(&self.name).join("pids.max"), (most + own).to_string())?;
                }
                if let (Some(cpu), Some(share)) = (cpu, limits.cpus.0) {
                    let folder = cpu.join(&self.name);
                    fs::write(folder.join("cpu.cfs_period_us"), "100000")?;
                    fs::write(folder.join("cpu.cfs_quota_us"), micros(share).to_string())?;
                }
            }
            Groups::V2(parent) => {
                let folder = parent.join(&self.name);
                let here = fs::read_to_string(folder.join("cgroup.controllers"))?;
                let has = |name: &str| here.split_whitespace().any(|found| found == name);
                if let Some(bytes) = limits.memory.0 {
                    fs::write(folder.join("memory.max"), bytes.to_string())?;
                    fs::write(folder.join("memory.swap.max"), "0").ok();
                }
                if let Some(most) = limits.pids.0.filter(|_| has("pids")) {
                    fs::write(folder.join("pids.max"), (most + own).to_string())?;
                }
                if let Some(share) = limits.cpus.0.filter(|_| has("cpu")) {
                    fs::write(folder.join("cpu.max"), format!("{} 100000", micros(share)))?;
                }
                fs::write(folder.join("cgroup.subtree_control"), "+memory")?;
                fs::create_dir_all(folder.join("suite"))?;
            }
        }
        Ok(())
    }

    /// The files into which a process with one thread writes `0` to join, opened now: after it has dropped its rights
    /// it could not.
    pub fn doors(&self) -> io::Result<Vec<OwnedFd>> {
        let (folders, file) = match &self.groups {
            // A thread that moves itself alone does not wait until all processors have seen it; a whole process does,
            // in a quiet system for some 10 ms each time.
            Groups::V1 { .. } => (self.folders(), "tasks"),
            // There it is the only way: a thread alone may not leave its group.
            Groups::V2(parent) => (vec![parent.join(&self.name).join("suite")], "cgroup.procs"),
        };
        let open = |folder: PathBuf| File::options().write(true).open(folder.join(file));
        folders.into_iter().map(|folder| open(folder).map(OwnedFd::from)).collect()
    }

    fn folders(&self) -> Vec<PathBuf> {
        self.groups.folders().into_iter().map(|parent| parent.join(&self.name)).collect()
    }

    /// A case begins in the process `interpreter`: what is used from now on is that case's.
    pub fn begin_case(&mut self, interpreter: Option<Pid>) {
        if let Some(leaves) = &mut self.leaves {
            return leaves.begin(interpreter);
        }
        let (usage, peak) = self.usage();
        if self.window.begin(usage.unwrap_or(0), peak.unwrap_or(0)) {
            self.forget_peak();
        }
    }

    /// The peak of the case that has just ended, in bytes, above what the suite used when it began.
    pub fn end_case(&mut self) -> Option<u64> {
        if let Some(leaves) = &mut self.leaves {
            return leaves.end();
        }
        let (_, peak) = self.usage();
        self.forget_peak();
        let (usage, _) = self.usage();
        let used = self.window.end(usage.unwrap_or(0), peak.unwrap_or(0));
        peak.map(|_| used)
    }

    /// Bytes in use now, and the most since [`Self::forget_peak`] (version 1).
    fn usage(&self) -> (Option<u64>, Option<u64>) {
        let Groups::V1 { memory, .. } = &self.groups else { return (None, None) };
        let read = |name| number(&memory.join(&self.name).join(name));
        (read("memory.usage_in_bytes"), read("memory.max_usage_in_bytes"))
    }

    fn forget_peak(&self) {
        let Groups::V1 { memory, .. } = &self.groups else { return };
        fs::write(memory.join(&self.name).join("memory.max_usage_in_bytes"), "0").ok();
    }

    /// The highest that the whole task used, in bytes, where it can be told.
    pub fn peak(&self) -> Option<u64> {
        match &self.groups {
            // Reset for each case.
            Groups::V1 { .. } => None,
            Groups::V2(parent) => number(&parent.join(&self.name).join("memory.peak")),
        }
    }

    /// How often the kernel killed for want of memory.
    pub fn memory_kills(&self) -> u64 {
        let count = |file: PathBuf| keyed(&file, "oom_kill");
        match &self.groups {
            Groups::V1 { memory, .. } => count(memory.join(&self.name).join("memory.oom_control")),
            Groups::V2(parent) => count(parent.join(&self.name).join("memory.events")),
        }
        .unwrap_or(0)
    }

    /// How often a process could not be started because there were too many.
    pub fn refused_processes(&self) -> u64 {
        let folder = match &self.groups {
            Groups::V1 { pids, .. } => pids.as_ref(),
            Groups::V2(parent) => Some(parent),
        };
        folder.and_then(|parent| keyed(&parent.join(&self.name).join("pids.events"), "max")).unwrap_or(0)
    }

    /// Processor time that all of it used, those that were never waited for too.
    pub fn cpu(&self) -> Option<Duration> {
        match &self.groups {
            Groups::V1 { cpuacct, .. } => {
                number(&cpuacct.as_ref()?.join(&self.name).join("cpuacct.usage")).map(Duration::from_nanos)
            }
            Groups::V2(parent) => {
                keyed(&parent.join(&self.name).join("cpu.stat"), "usage_usec").map(Duration::from_micros)
            }
        }
    }

    /// Kills all that is in it, once.
    pub fn kill(&self) {
        for folder in self.folders() {
            empty(&folder);
        }
    }

    /// Removes it. What is in it by now cannot be killed, and is told by its name in the next sweep.
    pub fn remove(&self) {
        for folder in self.folders() {
            remove(&folder);
        }
    }
}

/// Whether nobody is just about to put a process into it.
fn is_old(entry: &fs::DirEntry) -> bool {
    let made = entry.metadata().and_then(|meta| meta.modified()).ok();
    made.and_then(|made| made.elapsed().ok()).is_some_and(|age| age > LEFT)
}

/// Removes it with the groups of its cases, if no process is in them.
fn remove_empty(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            fs::remove_dir(entry.path()).ok();
        }
    }
    fs::remove_dir(folder)
}

/// Kills what is in `folder` and below.
fn empty(folder: &Path) {
    if fs::write(folder.join("cgroup.kill"), "1").is_ok() {
        return;
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            empty(&entry.path());
        }
    }
    let processes = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    for pid in processes.lines().filter_map(|line| line.parse().ok()).filter(|&pid: &i32| pid > 1) {
        kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
    }
}

fn remove(folder: &Path) {
    // A process that has just been killed may take a moment to leave.
    for _ in 0..100 {
        match remove_empty(folder) {
            Err(error) if error.raw_os_error() == Some(nix::libc::EBUSY) => {
                let mut nothing = [];
                nix::poll::poll(&mut nothing, nix::poll::PollTimeout::from(2u8)).ok();
            }
            _ => return,
        }
    }
}

/// Joins the group behind `door`. Makes one system call and allocates nothing.
pub fn join(door: &OwnedFd) -> io::Result<()> {
    nix::unistd::write(door, b"0").map(drop).map_err(io::Error::from)
}

fn micros(share: f64) -> u64 {
    // Shares are checked when they are read: above 0 and at most some thousands.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the value is within bounds")]
    let micros = (share * 100_000.0) as u64;
    micros.max(1_000)
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn keyed(file: &Path, key: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}
