//! The registry: the name of each executor and its constructor.

use std::path::PathBuf;

use report::Limits;
use sandbox::command::Launcher;

use super::executor::ExecutorKind;
use super::mock::MockKind;
use super::pytest::{PytestKind, SuiteSettings};
use crate::git::client::Checkout;
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
    pub git: Checkout,
    /// Folder of what outlives a run: mirror, exported trees and environments of the suite.
    pub state: PathBuf,
    /// Folder below which tasks get their own.
    pub work: PathBuf,
    /// Hears of progress.
    pub observe: Observe,
}

/// An executor that can be chosen.
#[derive(Debug)]
pub struct Registration {
    /// Its name, in settings and logs.
    pub name: &'static str,
    /// Whether it runs programs: then it needs a checkout, a suite and a sandbox.
    pub runs_programs: bool,
    construct: fn(Parts) -> Box<dyn ExecutorKind>,
}

impl Registration {
    /// Constructs what the tasks of this executor share.
    pub fn construct(&self, parts: Parts) -> Box<dyn ExecutorKind> {
        (self.construct)(parts)
    }
}

/// Python suites: `run_tests.py`, or a command line of the operator's.
pub(super) static PYTEST: Registration =
    Registration { name: "pytest", runs_programs: true, construct: |parts| Box::new(PytestKind::new(parts)) };

/// Predefined reports for `--mock`.
pub(super) static MOCK: Registration =
    Registration { name: "mock", runs_programs: false, construct: |_| Box::new(MockKind::default()) };

/// Finds the executor called `name`.
pub fn find(name: &str) -> Option<&'static Registration> {
    [&PYTEST, &MOCK].into_iter().find(|registration| registration.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_executors_by_name() {
        assert_eq!(find("pytest").map(|found| found.runs_programs), Some(true));
        assert_eq!(find("mock").map(|found| found.runs_programs), Some(false));
        assert!(find("Pytest").is_none());
    }
}
