//! Settings of commands.

use std::time::Duration;

/// How commands are stopped, and how much of their output is kept.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Processes")]
#[group(skip)]
pub struct Settings {
    /// How long an interrupted command may write its output before SIGTERM, and again before SIGKILL
    #[arg(long, global = true, env = "RUNNER_GRACE", value_name = "DURATION", default_value = "5", value_parser = text::units::interval)]
    pub grace: Duration,

    /// Bytes kept of the beginning and of the end of a command's output, each
    #[arg(long, global = true, env = "RUNNER_KEEP_OUTPUT", value_name = "SIZE", default_value = "64KiB", value_parser = text::units::size)]
    pub keep_output: u64,
}
