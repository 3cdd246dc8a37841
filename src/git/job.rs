//! What all parts of one request share: environment, configuration, and the counters that its limits apply to.

use std::cell::Cell;

use super::error::{self, Failure, Kind};
use super::protocol::Limits;
use super::setup::{Configuration, Environment};
use super::url::RepositoryUrl;

/// Context of one request.
pub(super) struct Job {
    pub(super) environment: Environment,
    pub(super) configuration: Configuration,
    pub(super) allow_local: bool,
    pub(super) budget: Budget,
}

impl Job {
    pub(super) fn new(environment: Environment, allow_local: bool, limits: Limits) -> Result<Self, Failure> {
        let configuration = Configuration::of(&environment)?;
        Ok(Self { environment, configuration, allow_local, budget: Budget::new(limits) })
    }

    /// Resets all counters before a second attempt.
    pub(super) fn reset_budget(&mut self) {
        self.budget = Budget::new(self.budget.limits);
    }
}

/// Counters of one request and their limits.
pub(super) struct Budget {
    pub(super) limits: Limits,
    /// Bytes of the work tree.
    pub(super) bytes: Cell<u64>,
    /// Files and folders of the work tree.
    pub(super) files: Cell<u64>,
    pub(super) submodules: Cell<u64>,
    /// Bytes received over the network.
    pub(super) received: Cell<u64>,
}

impl Budget {
    fn new(limits: Limits) -> Self {
        let zero = || Cell::new(0);
        Self { limits, bytes: zero(), files: zero(), submodules: zero(), received: zero() }
    }

    /// Adds `bytes` of the work tree.
    pub(super) fn count_bytes(&self, bytes: u64, url: &RepositoryUrl) -> Result<(), Failure> {
        self.bytes.set(self.bytes.get().saturating_add(bytes));
        let excess = || format!("the files of {url} take more than {}", error::size(self.limits.bytes));
        require(self.bytes.get() <= self.limits.bytes, excess)
    }

    /// Adds one file or folder of the work tree.
    pub(super) fn count_file(&self, url: &RepositoryUrl) -> Result<(), Failure> {
        self.files.set(self.files.get() + 1);
        let excess = || format!("{url} has more than {} files and folders", self.limits.files);
        require(self.files.get() <= self.limits.files, excess)
    }

    /// Adds one submodule of the repository at `url`.
    pub(super) fn count_submodule(&self, url: &RepositoryUrl) -> Result<(), Failure> {
        self.submodules.set(self.submodules.get() + 1);
        let excess = || format!("{url} has more than {} submodules", self.limits.submodules);
        require(self.submodules.get() <= self.limits.submodules, excess)
    }

    /// Checks that a submodule of the repository at `url`, itself `depth` levels deep, is within the limit.
    pub(super) fn check_depth(&self, depth: u64, url: &RepositoryUrl) -> Result<(), Failure> {
        let excess = || format!("{url} nests submodules more than {} deep", self.limits.depth);
        require(depth < self.limits.depth, excess)
    }
}

fn require(within: bool, excess: impl FnOnce() -> String) -> Result<(), Failure> {
    if within {
        Ok(())
    } else {
        Err(Failure::new(Kind::TooLarge, format!("{}, the limit of this runner", excess())))
    }
}
