//! Limits that a command hit, and their description.

use serde::{Deserialize, Serialize};

use crate::confine::Limits;

/// A limit that a command hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LimitHit {
    /// Memory.
    Memory,
    /// Processor time.
    CpuTime,
    /// Bytes on a disk that is watched.
    Disk,
    /// Files and folders on such a disk.
    Files,
    /// Bytes on a disk of the task's own: further writes were refused.
    DiskFull,
    /// Files and folders on such a disk.
    FilesFull,
    /// Processes and threads.
    Processes,
    /// Output on stdout and stderr.
    Output,
}

impl LimitHit {
    /// Returns the name used in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::CpuTime => "cpu_time",
            Self::Disk | Self::DiskFull => "disk",
            Self::Files | Self::FilesFull => "files",
            Self::Processes => "processes",
            Self::Output => "output",
        }
    }

    /// Returns whether a process is killed for it; if not, only the excess is refused.
    pub fn kills(self) -> bool {
        !matches!(self, Self::DiskFull | Self::FilesFull | Self::Processes)
    }

    /// Describes the hit: `used more than 512 MB of memory`.
    pub fn words(self, limits: &Limits) -> String {
        let mb = |bytes: Option<u64>| bytes.unwrap_or(0) >> 20;
        match self {
            Self::Memory => format!("used more than {} MB of memory", mb(limits.memory.0)),
            Self::CpuTime => format!(
                "used more than {} of processor time",
                text::units::show(limits.cpu_time.0.unwrap_or_default())
            ),
            Self::Disk => format!("wrote more than {} MB to disk", mb(limits.disk.0)),
            Self::Files => format!("made more than {} files and folders", limits.files().unwrap_or(0)),
            Self::DiskFull => match limits.disk.0 {
                Some(bytes) => format!("the disk was full: the task may use {} MB", bytes >> 20),
                None => "the disk was full".to_owned(),
            },
            Self::FilesFull => match limits.files() {
                Some(max) => format!("the disk was full: the task may have {max} files and folders"),
                None => "the disk was full: it holds no more files and folders".to_owned(),
            },
            Self::Processes => {
                format!("started more than {} processes and threads", limits.pids.0.unwrap_or(0))
            }
            Self::Output => format!("wrote more than {} MB of output", mb(limits.output_size.0)),
        }
    }

    /// Describes the hit, with `killed: ` before it if a process was killed.
    pub fn note(self, limits: &Limits) -> String {
        let killed = if self.kills() { "killed: " } else { "" };
        format!("{killed}{}", self.words(limits))
    }
}
