//! What every executor is made from.

use std::path::PathBuf;

use report::Limits;
use sandbox::command::Launcher;

use super::pytest::SuiteSettings;
use crate::git::GitClient;
use crate::observe::Observe;

/// What the constructor of an executor gets.
#[derive(Debug)]
pub struct Parts {
    /// Which suite is run, and with which command line.
    pub suite: SuiteSettings,
    /// Limits on a report.
    pub limits: Limits,
    /// Starts confined commands.
    pub launcher: Launcher,
    /// Fetches the suite's repository.
    pub git: GitClient,
    /// Folder for what outlives a run: mirror, exported trees and environments of the suite.
    pub state: PathBuf,
    /// Folder that holds a folder for each running task.
    pub work: PathBuf,
    /// Records the progress of preparing the suite.
    pub observe: Observe,
}
