//! What a sandbox enforces, feature by feature.

use std::fmt::{self, Display};

/// What is enforced: each feature with its mechanism, in the order in which they are shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Enforcement {
    /// Each feature once.
    pub features: Vec<(Feature, Mechanism)>,
}

/// A part of the confinement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Feature {
    /// The task sees its own processes only.
    PidNamespace,
    /// The task has a network of its own.
    NetworkNamespace,
    /// IPv4 and IPv6 sockets, where the task has no network of its own.
    Inet,
    /// The task has a file system tree of its own.
    MountNamespace,
    /// The task runs as a user of its own.
    UserDrop,
    /// Rules for files.
    Landlock,
    /// Filter of system calls.
    Seccomp,
    /// Limit of memory.
    Memory,
    /// Limit of processes.
    Pids,
    /// Limit of processors.
    Cpu,
    /// Limit of bytes and files on disk.
    Disk,
    /// Protection of the suite's own files.
    Suite,
}

impl Feature {
    /// Returns the name used in the log, the metrics (with `_` for `-`) and the doctor.
    pub fn name(self) -> &'static str {
        match self {
            Self::PidNamespace => "pidns",
            Self::NetworkNamespace => "netns",
            Self::Inet => "inet",
            Self::MountNamespace => "mountns",
            Self::UserDrop => "uid-drop",
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Cpu => "cpu",
            Self::Disk => "disk",
            Self::Suite => "suite",
        }
    }
}

/// Mechanism that enforces a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// Nothing enforces it.
    No,
    /// It is enforced; there is one mechanism only.
    Yes,
    /// Sockets are denied.
    Denied,
    /// The host's network can be used.
    Host,
    /// Landlock of this ABI version.
    LandlockAbi(i32),
    /// A control group, of any version.
    Cgroup,
    /// A control group of version 1.
    CgroupV1,
    /// A control group of version 2.
    CgroupV2,
    /// A resource limit of the user.
    Rlimit,
    /// The supervisor measures processes at short intervals.
    Sampled,
    /// The supervisor watches files at short intervals or by inotify.
    Watched,
    /// A file system in memory of a fixed size.
    Tmpfs,
    /// The files cannot be written to.
    ReadOnly,
}

impl Mechanism {
    /// Returns whether a stronger mechanism exists.
    pub fn is_weak(self) -> bool {
        matches!(self, Self::No | Self::Sampled | Self::Rlimit | Self::Watched | Self::Host)
    }
}

impl Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::No => "no",
            Self::Yes => "yes",
            Self::Denied => "denied",
            Self::Host => "host",
            Self::LandlockAbi(version) => return write!(f, "abi{version}"),
            Self::Cgroup => "cgroup",
            Self::CgroupV1 => "cgroup-v1",
            Self::CgroupV2 => "cgroup-v2",
            Self::Rlimit => "rlimit",
            Self::Sampled => "sampled",
            Self::Watched => "watched",
            Self::Tmpfs => "tmpfs",
            Self::ReadOnly => "read-only",
        })
    }
}

impl Display for Enforcement {
    /// Writes `pidns=yes netns=no ...`, one word for each feature.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (feature, mechanism)) in self.features.iter().enumerate() {
            let space = if at == 0 { "" } else { " " };
            write!(f, "{space}{}={mechanism}", feature.name())?;
        }
        Ok(())
    }
}
