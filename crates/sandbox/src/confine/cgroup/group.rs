//! The control group of one task.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use nix::unistd::Pid;

use super::super::Limits;
use super::super::memory_baseline::MemoryBaseline;
use super::cases::CaseGroups;
use super::files::{keyed, kill_all, number, remove};
use super::groups::Groups;

impl Groups {
    /// Makes the group `name` with `limits`. Its limit of processes allows `sandbox_processes` more: those of the sandbox
    /// itself.
    ///
    /// # Errors
    /// The system's error if a folder cannot be made or a limit cannot be set.
    pub fn make(&self, name: &str, limits: &Limits, sandbox_processes: u64) -> io::Result<Group> {
        let folders: Vec<PathBuf> = self.folders().iter().map(|parent| parent.join(name)).collect();
        let cases = match self {
            Self::V1 { .. } => None,
            Self::V2(parent) => Some(CaseGroups::below(parent.join(name))),
        };
        let baseline = MemoryBaseline::default();
        let group = Group { groups: self.clone(), name: name.to_owned(), baseline, cases };
        for folder in folders {
            match fs::create_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                other => other?,
            }
        }
        group.set(limits, sandbox_processes)?;
        Ok(group)
    }
}

/// The group of one task.
#[derive(Debug)]
pub struct Group {
    groups: Groups,
    name: String,
    /// Baseline of the running case (version 1).
    baseline: MemoryBaseline,
    /// Groups of cases (version 2).
    cases: Option<CaseGroups>,
}

impl Group {
    /// Sets the limits.
    fn set(&self, limits: &Limits, sandbox_processes: u64) -> io::Result<()> {
        match &self.groups {
            Groups::V1 { memory, pids, cpu, .. } => {
                if let Some(bytes) = limits.memory.0 {
                    let folder = memory.join(&self.name);
                    fs::write(folder.join("memory.limit_in_bytes"), bytes.to_string())?;
                    // Without swap accounting the file does not exist; usually there is no swap then either.
                    fs::write(folder.join("memory.memsw.limit_in_bytes"), bytes.to_string()).ok();
                }
                if let (Some(pids), Some(max)) = (pids, limits.pids.0) {
                    fs::write(pids.join(&self.name).join("pids.max"), (max + sandbox_processes).to_string())?;
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
                if let Some(max) = limits.pids.0.filter(|_| has("pids")) {
                    fs::write(folder.join("pids.max"), (max + sandbox_processes).to_string())?;
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

    /// Opens the files into which a process with one thread writes `0` to join the group. They are opened in advance, since
    /// the process drops the rights to open them.
    ///
    /// # Errors
    /// The system's error if a file cannot be opened.
    pub fn doors(&self) -> io::Result<Vec<OwnedFd>> {
        let (folders, file) = match &self.groups {
            // Moving a thread is quick; moving a process waits for all processors, on an idle machine some 10 ms.
            Groups::V1 { .. } => (self.folders(), "tasks"),
            // Version 2 does not allow to move a thread alone.
            Groups::V2(parent) => (vec![parent.join(&self.name).join("suite")], "cgroup.procs"),
        };
        let open = |folder: PathBuf| File::options().write(true).open(folder.join(file));
        folders.into_iter().map(|folder| open(folder).map(OwnedFd::from)).collect()
    }

    fn folders(&self) -> Vec<PathBuf> {
        self.groups.folders().into_iter().map(|parent| parent.join(&self.name)).collect()
    }

    /// Begins a case in the process `interpreter`: memory that is allocated from now on counts for that case.
    pub fn begin_case(&mut self, interpreter: Option<Pid>) {
        if let Some(cases) = &mut self.cases {
            return cases.begin(interpreter);
        }
        let (usage, peak) = self.usage();
        if self.baseline.begin(usage.unwrap_or(0), peak.unwrap_or(0)) {
            self.reset_peak();
        }
    }

    /// Ends the case; returns its peak memory in bytes, above what the suite used when the case began.
    pub fn end_case(&mut self) -> Option<u64> {
        if let Some(cases) = &mut self.cases {
            return cases.end();
        }
        let (_, peak) = self.usage();
        self.reset_peak();
        let (usage, _) = self.usage();
        let used = self.baseline.end(usage.unwrap_or(0), peak.unwrap_or(0));
        peak.map(|_| used)
    }

    /// Returns the bytes in use now, and the peak since [`Self::reset_peak`] (version 1).
    fn usage(&self) -> (Option<u64>, Option<u64>) {
        let Groups::V1 { memory, .. } = &self.groups else { return (None, None) };
        let read = |name| number(&memory.join(&self.name).join(name));
        (read("memory.usage_in_bytes"), read("memory.max_usage_in_bytes"))
    }

    fn reset_peak(&self) {
        let Groups::V1 { memory, .. } = &self.groups else { return };
        fs::write(memory.join(&self.name).join("memory.max_usage_in_bytes"), "0").ok();
    }

    /// Returns the peak memory of the whole task in bytes (version 2).
    pub fn peak(&self) -> Option<u64> {
        match &self.groups {
            // The peak is reset for each case.
            Groups::V1 { .. } => None,
            Groups::V2(parent) => number(&parent.join(&self.name).join("memory.peak")),
        }
    }

    /// Returns how often the kernel killed a process at the limit of memory.
    pub fn memory_kills(&self) -> u64 {
        let count = |file: PathBuf| keyed(&file, "oom_kill");
        match &self.groups {
            Groups::V1 { memory, .. } => count(memory.join(&self.name).join("memory.oom_control")),
            Groups::V2(parent) => count(parent.join(&self.name).join("memory.events")),
        }
        .unwrap_or(0)
    }

    /// Returns how often a process could not be started at the limit of processes.
    pub fn refused_processes(&self) -> u64 {
        let folder = match &self.groups {
            Groups::V1 { pids, .. } => pids.as_ref(),
            Groups::V2(parent) => Some(parent),
        };
        folder.and_then(|parent| keyed(&parent.join(&self.name).join("pids.events"), "max")).unwrap_or(0)
    }

    /// Returns the processor time of all processes of the group, also of those that nobody waited for.
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

    /// Kills all processes of the group, once.
    pub fn kill(&self) {
        for folder in self.folders() {
            kill_all(&folder);
        }
    }

    /// Removes the group. If a process in it cannot be killed, the next sweep removes the group by its name.
    pub fn remove(&self) {
        for folder in self.folders() {
            remove(&folder);
        }
    }
}

/// Joins the group of `door`, one of [`Group::doors`]. Makes one system call and allocates nothing.
///
/// # Errors
/// The system's error.
pub fn join(door: &OwnedFd) -> io::Result<()> {
    nix::unistd::write(door, b"0").map(drop).map_err(io::Error::from)
}

/// Returns the microseconds of processor time in each 100 ms.
fn micros(share: f64) -> u64 {
    // The settings allow shares from 0.01 to 4096 only.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the value is within bounds")]
    let micros = (share * 100_000.0) as u64;
    micros.max(1_000)
}
