//! The registry: the name of each executor and its constructor.

use super::executor::ExecutorKind;
use super::mock::MockKind;
use super::parts::Parts;
use super::pytest::PytestKind;

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
    /// Makes the kind of executor of this name from `parts`.
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
