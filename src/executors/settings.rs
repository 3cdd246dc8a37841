//! Settings that all executors share.

use std::time::Duration;

use text::units::interval;

use super::registry::{self, Registration};

/// How tests are run.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Execution")]
#[group(skip)]
pub struct Settings {
    /// Answer tasks with predefined reports, without running anything
    #[arg(long, global = true, env = "RUNNER_MOCK", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_name = "true|false", value_parser = text::units::flag)]
    pub mock: bool,

    /// Time between the executor's checks while a suite runs; the suite's end is noticed at once
    #[arg(long, global = true, env = "RUNNER_CHECK_PROC_INTERVAL", value_name = "DURATION", default_value = "0.1", value_parser = interval)]
    pub check_proc_interval: Duration,
}

impl Settings {
    /// The executor that these settings choose.
    pub fn executor(&self) -> &'static Registration {
        if self.mock { &registry::MOCK } else { &registry::PYTEST }
    }

    /// Whether the chosen executor runs programs, and so needs a suite and a sandbox.
    pub fn runs_programs(&self) -> bool {
        self.executor().runs_programs
    }
}
