//! The integration tests: real HTTP, real git repositories, real child processes. Each module tests one concern.

#![expect(clippy::print_stderr, reason = "a failing test prints the runner's output")]
#![expect(clippy::unwrap_used, reason = "an unexpected error fails the test")]
#![expect(
    unreachable_pub,
    reason = "a test binary exports nothing; `pub` marks what the support module offers"
)]

mod support;

mod attacks;
mod broker;
mod checkout;
mod checkout_confined;
mod claims;
mod command_line;
mod configuration;
mod configuration_table;
mod crash_points;
mod delivery;
mod doctor;
mod documentation;
mod enforced;
mod environment;
mod execution;
mod fleet;
mod forging;
mod layering;
mod limits;
mod login;
mod logs;
mod measuring;
mod metrics;
mod notifying;
mod observing;
mod odd_backends;
mod packaging;
mod poll;
mod precedence;
mod preparing;
mod processes;
mod pytest;
mod reloading;
mod reports;
mod run;
mod sandbox;
mod settings_shown;
mod spool_files;
mod stopping;
mod surviving;
mod terminal;
mod transport;
mod units;
