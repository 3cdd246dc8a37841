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
    /// Which suite, and how it is called.
    pub suite: SuiteSettings,
    /// Bounds on a report.
    pub limits: Limits,
    /// Starts confined commands.
    pub launcher: Launcher,
    /// Fetches the suite's repository.
    pub git: GitClient,
    /// Folder of what outlives a run: mirror, exported trees and environments of the suite.
    pub state: PathBuf,
    /// Folder below which tasks get their own.
    pub work: PathBuf,
    /// Hears of progress.
    pub observe: Observe,
}
