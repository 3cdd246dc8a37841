//! The command line: what `runner` and its subcommands take.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::config::Settings;
use crate::run;

/// Takes test tasks from a backend, runs them, and posts what they came to.
#[derive(Debug, Parser)]
#[command(name = "runner", version, max_term_width = 100, args_override_self = true, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do instead of taking tasks
    #[command(subcommand)]
    pub command: Option<Command>,

    /// All settings
    #[command(flatten)]
    pub settings: Settings,
}

const EXIT_CODES: &str = "\
Durations are seconds (5, 0.1) or have a unit (500ms, 10m). Each option can also be given by the environment
variable named beside it.

Exit codes: 0 stopped as asked, or passed; 1 did not pass, or cannot work; 2 wrong option or unreadable input.";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Test a folder or a repository without a backend
    Run(run::Args),
    /// Print the body that would be posted for a JUnit report
    ParseReport {
        /// Report files; - for stdin
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Id to put into the body: JSON, or else a string
        #[arg(long)]
        id: Option<String>,
    },
    /// Show the whole way of a task on sample repositories, with a backend inside
    Demo,
}

/// Reads the command line. An error is one line that names the flag, what was given and what is taken.
pub fn parse(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(arguments)
}

/// A wrong command line in one line.
pub fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let said = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    said.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn settings_work_before_and_after_a_subcommand() {
        for line in ["runner --timeout 7 --auth demo", "runner demo --timeout 7 --auth"] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(cli.settings.worker.timeout.as_secs(), 7, "{line}");
            assert!(cli.settings.backend.auth, "{line}");
        }
    }

    #[test]
    fn an_error_is_one_line_with_flag_value_and_what_is_taken() {
        for (line, says) in [
            (
                "runner --timeout abc",
                "error: invalid value 'abc' for '--timeout <DURATION>': expected seconds (5, 0.1)",
            ),
            (
                "runner --concurrent 0",
                "error: invalid value '0' for '--concurrent <COUNT>': 0 is not in 1..=1024",
            ),
            ("runner --logger-level loud", "[possible values: debug, info, warning, error, critical]"),
            ("runner --backend-url nowhere", "expected an http:// or https:// URL"),
            (
                "runner --timout 5",
                "unexpected argument '--timout' found; tip: a similar argument exists: '--timeout'",
            ),
            ("runner --check-interval 0", "expected an interval"),
        ] {
            let error = one_line(&Cli::try_parse_from(line.split(' ')).unwrap_err());
            assert!(error.contains(says), "{line}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
