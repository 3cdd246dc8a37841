//! The declaration of the command line, and its parser.

use std::ffi::OsString;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::cli::config::ConfigCommand;
use crate::cli::manual::CompletedShell;
use crate::cli::spool::SpoolCommand;
use crate::cli::{demo, doctor, healthcheck, parse_report, run};
use crate::config::{self, FileUse, Given, Settings};

pub use crate::config::one_line;

/// Takes test tasks from a backend, runs them, and posts their results
#[derive(Debug, Parser)]
#[command(name = "runner", version = env!("OSTEST_VERSION"), styles = STYLES, max_term_width = 100, args_override_self = true, after_help = AFTER_HELP)]
pub struct Cli {
    /// Subcommand to run instead of the daemon
    #[command(subcommand)]
    pub command: Option<Command>,

    /// All settings
    #[command(flatten)]
    pub settings: Settings,

    /// The origin of each setting
    #[arg(skip)]
    pub given: Given,
}

/// Colours of the help on a terminal; clap omits them elsewhere and if `NO_COLOR` is set.
const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const AFTER_HELP: &str = "\
Durations are seconds (5, 0.1) or have a unit (500ms, 10m).
Each option can also be set by the environment variable named beside it, or in
a file (see --config). An option goes before its variable, and that before the
file.

Exit codes: 0 stopped as requested, or passed; 1 did not pass, or cannot work
now; 2 wrong option or unreadable input.";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Test a folder or a repository without a backend
    Run(run::Args),
    /// Print the body that would be posted for a JUnit report
    ParseReport(parse_report::Args),
    /// List, show, resend or remove tasks that are not answered yet
    #[command(subcommand)]
    Spool(SpoolCommand),
    /// Check what tasks need, and print the command that mends each problem
    Doctor(doctor::Args),
    /// Check whether the running runner is healthy
    Healthcheck(healthcheck::Args),
    /// Show or check the settings
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Run tasks on sample repositories, with a backend inside
    Demo(demo::Args),
    /// Print a script that completes the command line in a shell
    Completions {
        /// Shell that runs the script
        shell: CompletedShell,
    },
    /// Print the manual page, in roff
    Man,
}

/// Reads the command line, the environment and the settings file.
///
/// # Errors
/// A value is wrong. [`one_line`] makes one line of the error, with the flag, the given value and the expected one.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let arguments = arguments.into_iter().collect();
    let (matches, settings, given) =
        config::read(&command(), arguments, |matches| match matches.subcommand_name() {
            None | Some("config") => FileUse::Required,
            // The doctor checks the settings of the daemon, so it must not go on without them in silence.
            Some("doctor") => FileUse::Reported,
            Some("completions" | "man") => FileUse::Never,
            Some("healthcheck" | "spool" | "parse-report") => FileUse::IfValid,
            Some(_) => FileUse::IfReadable,
        })?;
    Ok(Cli { settings, given, ..Cli::from_arg_matches(&matches)? })
}

/// The declaration of the command line.
pub fn command() -> clap::Command {
    // Without subcommand the error names the subcommands in one line; clap's alternative is the whole help.
    let subcommand =
        |subcommand: clap::Command| subcommand.mut_args(negative_numbers).arg_required_else_help(false);
    Cli::command().mut_args(negative_numbers).mut_subcommands(subcommand)
}

/// Lets an option take a negative number, so that the error for `--timeout -1` says what `--timeout` expects, and not
/// that there is no option `-1`.
fn negative_numbers(argument: clap::Arg) -> clap::Arg {
    let takes_values = argument.get_action().takes_values() && !argument.is_positional();
    if takes_values { argument.allow_negative_numbers(true) } else { argument }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> impl Iterator<Item = OsString> {
        line.split(' ').map(OsString::from)
    }

    #[test]
    fn command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn settings_work_before_and_after_a_subcommand() {
        for line in ["runner --timeout 7 --auth demo", "runner demo --timeout 7 --auth"] {
            let cli = parse(words(line)).unwrap();
            assert_eq!(cli.settings.worker.timeout.as_secs(), 7, "{line}");
            assert!(cli.settings.backend.auth, "{line}");
        }
    }

    #[test]
    fn error_is_one_line_with_flag_and_value() {
        for (line, expected) in [
            (
                "runner --timeout abc",
                "error: invalid value 'abc' for '--timeout <DURATION>': expected seconds (5, 0.1)",
            ),
            (
                "runner --concurrent 0",
                "error: invalid value '0' for '--concurrent <COUNT>': expected a whole number from 1 to 1024",
            ),
            ("runner --logger-level loud", "[possible values: debug, info, warning, error, critical]"),
            ("runner --backend-url nowhere", "expected an http:// or https:// URL"),
            (
                "runner --timout 5",
                "unexpected argument '--timout' found; tip: a similar argument exists: '--timeout'",
            ),
            ("runner --check-interval 0", "expected an interval"),
            ("runner --concurrent -1", "'-1' for '--concurrent <COUNT>': expected a whole number from 1"),
            ("runner run x --lab -1", "'--lab <N>'"),
            ("runner --backend-url http://u:secret@h/?q", "http://***@h/?***"),
        ] {
            let error = one_line(&parse(words(line)).unwrap_err());
            assert!(error.contains(expected), "{line}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
