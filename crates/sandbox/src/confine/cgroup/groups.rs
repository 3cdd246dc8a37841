//! Folders in which control groups are made.

use std::fs::{self, DirEntry};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::Mechanism;
use super::files::{kill_all, remove, remove_empty};

/// Prefix of the names of all groups that runners make.
pub const PREFIX: &str = "ostest-";

/// Age after which an empty group counts as a leftover.
const LEFTOVER_AGE: Duration = Duration::from_secs(3_600);

/// Folders in which groups for tasks can be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Groups {
    /// A folder in each hierarchy that exists.
    V1 {
        /// Folder of the memory controller, which is required.
        memory: PathBuf,
        /// Folder of the pids controller.
        pids: Option<PathBuf>,
        /// Folder of the cpu controller.
        cpu: Option<PathBuf>,
        /// Folder of the controller that counts processor time.
        cpuacct: Option<PathBuf>,
    },
    /// The folder that was delegated to the runner.
    V2(PathBuf),
}

impl Groups {
    /// Returns the mechanism, by its version.
    pub fn mechanism(&self) -> Mechanism {
        match self {
            Self::V1 { .. } => Mechanism::CgroupV1,
            Self::V2(_) => Mechanism::CgroupV2,
        }
    }

    /// Returns the folders, one for each hierarchy.
    pub(super) fn folders(&self) -> Vec<&PathBuf> {
        match self {
            Self::V1 { memory, pids, cpu, cpuacct } => {
                [Some(memory), pids.as_ref(), cpu.as_ref(), cpuacct.as_ref()].into_iter().flatten().collect()
            }
            Self::V2(folder) => vec![folder],
        }
    }

    /// Kills and removes the groups of earlier runs, whose names begin with `prefix`. Removes old empty groups of other
    /// runners that were killed.
    pub fn sweep(&self, prefix: &str) {
        for parent in self.folders() {
            for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
                let name = entry.file_name();
                let Some(name) = name.to_str() else { continue };
                if name.starts_with(prefix) {
                    kill_all(&entry.path());
                    remove(&entry.path());
                } else if name.starts_with(PREFIX) && is_old(&entry) {
                    // The kernel does not remove a group with a process in it.
                    remove_empty(&entry.path()).ok();
                }
            }
        }
    }

    /// Returns whether groups count processes and refused ones.
    pub fn count_processes(&self) -> bool {
        !matches!(self, Self::V1 { pids: None, .. })
    }
}

/// Returns whether a group is so old that nobody is about to put a process into it.
fn is_old(entry: &DirEntry) -> bool {
    let made = entry.metadata().and_then(|meta| meta.modified()).ok();
    made.and_then(|made| made.elapsed().ok()).is_some_and(|age| age > LEFTOVER_AGE)
}
