//! The limits of a task, when it meets them, and the words for that.

use serde::{Deserialize, Serialize};

use crate::confine::Limits;

/// A limit that a step has hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Hit {
    /// More memory than it may have.
    Memory,
    /// More processor time.
    CpuTime,
    /// More on a disk that is watched.
    Disk,
    /// More files and folders there.
    Files,
    /// All of a disk of its own: what did not fit was refused.
    DiskFull,
    /// All files of such a disk.
    FilesFull,
    /// More processes.
    Processes,
    /// More output.
    Output,
}

impl Hit {
    /// The one word for it, in metrics.
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

    /// Whether something is killed for it; else only what was too much is refused.
    pub fn kills(self) -> bool {
        !matches!(self, Self::DiskFull | Self::FilesFull | Self::Processes)
    }

    /// `used more than 512 MB of memory`.
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
                Some(most) => format!("the disk was full: the task may have {most} files and folders"),
                None => "the disk was full: it holds no more files and folders".to_owned(),
            },
            Self::Processes => {
                format!("started more than {} processes and threads", limits.pids.0.unwrap_or(0))
            }
            Self::Output => format!("wrote more than {} MB of output", mb(limits.output_size.0)),
        }
    }

    /// The same as a sentence's beginning that says whether something was killed.
    pub fn note(self, limits: &Limits) -> String {
        let killed = if self.kills() { "killed: " } else { "" };
        format!("{killed}{}", self.words(limits))
    }
}
