//! Limits of a result.

/// Limits of what is kept of a report and of what is sent. The defaults are the storage limits of the deployed backend.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Limits of a result")]
#[group(skip)]
pub struct Limits {
    /// Characters of errorDetails
    #[arg(long, global = true, env = "RUNNER_MAX_ERROR_DETAILS", value_name = "CHARACTERS", default_value = "255", value_parser = text::units::count::<40, 1_000_000>)]
    pub max_error_details: usize,

    /// Bytes of one case's description; head and tail are kept
    #[arg(long, global = true, env = "RUNNER_MAX_DESCRIPTION", value_name = "SIZE", default_value = "16KiB", value_parser = text::units::size)]
    pub max_description: u64,

    /// Cases in one result; those that did not pass are kept first
    #[arg(long, global = true, env = "RUNNER_MAX_CASES", value_name = "COUNT", default_value = "20000", value_parser = text::units::count::<1, 10_000_000>)]
    pub max_cases: usize,

    /// Bytes of the whole body of a result
    #[arg(long, global = true, env = "RUNNER_MAX_BODY", value_name = "SIZE", default_value = "8MiB", value_parser = text::units::kibibyte)]
    pub max_body: u64,

    /// Size of the largest report file that is read
    #[arg(long, global = true, env = "RUNNER_MAX_REPORT", value_name = "SIZE", default_value = "1GiB", value_parser = text::units::size)]
    pub max_report: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_error_details: 255,
            max_description: 16 << 10,
            max_cases: 20_000,
            max_body: 8 << 20,
            max_report: 1 << 30,
        }
    }
}
