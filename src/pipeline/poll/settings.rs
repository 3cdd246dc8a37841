//! Settings of the loop.

use std::time::Duration;

use text::units::interval;

use crate::pipeline::attempt::OnInterrupt;

/// How many tasks run at a time, and how often the backend is asked.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Tasks")]
#[group(skip)]
pub struct Settings {
    /// Tasks that run at the same time
    #[arg(long, global = true, env = "RUNNER_CONCURRENT", value_name = "COUNT", default_value_t = 2, value_parser = text::units::count::<1, 1024>)]
    pub concurrent: usize,

    /// Time between requests for a task while there is none
    #[arg(long, global = true, env = "RUNNER_CHECK_INTERVAL", value_name = "DURATION", default_value = "5", value_parser = interval)]
    pub check_interval: Duration,

    /// How long a stopping runner lets its tasks run before it interrupts them; 0: as long as they take
    /// [default: the task timeout]
    #[arg(long, global = true, env = "RUNNER_DRAIN_TIMEOUT", value_name = "DURATION", value_parser = text::units::duration)]
    pub drain_timeout: Option<Duration>,

    /// What happens to a task that the end of the runner interrupts
    #[arg(long, global = true, env = "RUNNER_ON_INTERRUPT", value_enum, default_value_t = OnInterrupt::Report)]
    pub on_interrupt: OnInterrupt,
}
