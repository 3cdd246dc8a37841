//! The confinement of one command, as its supervisor receives it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::cgroup::Groups;
use super::{Level, Limits};

/// The confinement of one command.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Plan {
    /// Strength of the confinement.
    pub level: Level,
    /// User id to run as; none: the runner's own.
    pub user: Option<u32>,
    /// Limits of what the command may use.
    pub limits: Limits,
    /// Network that the command may reach.
    pub network: Network,
    /// Where the command's control group is made, and the group's name.
    pub group: Option<(Groups, String)>,
    /// Files that the command may see.
    pub view: View,
    /// Whether the command gets a channel for events.
    pub events: bool,
    /// Whether a broker protects the suite's files.
    pub brokered: bool,
    /// Whether the command has a `/dev/shm` of its own; set when the view is made.
    pub own_shared: bool,
}

/// Network that a task may reach.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub enum Network {
    /// Nothing outside.
    #[default]
    None,
    /// All that the host can.
    Host,
}

/// Files that a command may see.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub enum View {
    /// All files that its user may see.
    #[default]
    All,
    /// A suite and the program under test.
    Suite(SuiteView),
    /// A tool of the runner that needs the machine's files: git, or the program that makes environments.
    Tool(ToolView),
}

/// Files of a suite that runs for a task.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SuiteView {
    /// Folder on which the task's disk is mounted, in a mount namespace of the task.
    pub mountpoint: PathBuf,
    /// The suite's tree, which all tasks share.
    pub tree: PathBuf,
    /// Where the task sees its copy of the tree.
    pub suite: PathBuf,
    /// The program under test; it exists when the command starts.
    pub source: PathBuf,
    /// `HOME`; it exists and is empty.
    pub home: PathBuf,
    /// `TMPDIR`; it exists and is empty.
    pub temp: PathBuf,
    /// Folder of the report; it exists and is empty.
    pub out: PathBuf,
    /// The report file, in `out`.
    pub report: PathBuf,
    /// Largest report that is copied out of the sandbox, in bytes.
    pub report_limit: u64,
    /// More folders that the suite may read.
    pub readable: Vec<PathBuf>,
    /// Paths whose access rights are watched: the program under test owns them and could close them to other tasks.
    pub guarded: Vec<PathBuf>,
}

/// Files of a tool: everything, read-only, with these exceptions.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ToolView {
    /// Folders that the tool writes to.
    pub writable: Vec<PathBuf>,
    /// Paths that the tool must not see.
    pub hidden: Vec<PathBuf>,
}
