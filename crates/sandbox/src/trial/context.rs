//! Inputs of a trial.

use std::path::{Path, PathBuf};

/// Folders and programs that a trial uses.
#[derive(Debug)]
pub struct TrialContext<'a> {
    /// Folder in which tasks' folders are made.
    pub work: &'a Path,
    /// The runner's state folder.
    pub state: &'a Path,
    /// Interpreter of the suites; a task's user must be able to execute it.
    pub interpreter: Option<&'a Path>,
    /// Paths that tools must not see.
    pub hidden: Vec<PathBuf>,
    /// Prefix of the names of this runner's control groups; groups of its earlier runs are removed.
    pub prefix: String,
}
