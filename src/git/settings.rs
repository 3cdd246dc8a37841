//! Settings of the checkout.

use std::time::Duration;

use text::Limit;
use text::units::interval;

/// Settings of the checkout.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Checkout")]
#[group(skip)]
pub struct Settings {
    /// Take tasks whose repository is a path or a file:// URL on this machine
    #[arg(long, global = true, env = "RUNNER_ALLOW_LOCAL_REPOSITORIES", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_name = "true|false", value_parser = text::units::flag)]
    pub allow_local_repositories: bool,

    /// Largest repository, as transferred and as written out
    #[arg(long, global = true, env = "RUNNER_MAX_REPOSITORY", value_name = "SIZE", default_value = "512MiB", value_parser = text::units::size)]
    pub max_repository: u64,

    /// Largest number of files and folders in a repository
    #[arg(
        long,
        global = true,
        env = "RUNNER_MAX_REPOSITORY_FILES",
        value_name = "COUNT",
        default_value_t = 100_000
    )]
    pub max_repository_files: u64,

    /// Disk space for fetched objects of repositories, so that a later attempt fetches only new ones; none: keep
    /// nothing
    #[arg(long, global = true, env = "RUNNER_REPOSITORY_CACHE", value_name = "SIZE", default_value = "1G", value_parser = text::limited_size)]
    pub repository_cache: Limit<u64>,

    /// How long one attempt to fetch a repository may take
    #[arg(long, global = true, env = "RUNNER_CHECKOUT_TIMEOUT", value_name = "DURATION", default_value = "2m", value_parser = interval)]
    pub checkout_timeout: Duration,
}
