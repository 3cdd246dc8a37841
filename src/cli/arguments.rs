//! The command line: what `runner` and its subcommands take.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::cli::config::ConfigCommand;
use crate::cli::manual::Shells;
use crate::cli::spool::SpoolCommand;
use crate::config::{self, Given, Settings, WithFile};
use crate::{cli::doctor, cli::healthcheck, cli::run};

pub use crate::config::one_line;

/// Takes test tasks from a backend, runs them, and posts the results.
#[derive(Debug, Parser)]
#[command(name = "runner", version = env!("OSTEST_VERSION"), styles = STYLES, max_term_width = 100, args_override_self = true, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do instead of taking tasks
    #[command(subcommand)]
    pub command: Option<Command>,

    /// All settings
    #[command(flatten)]
    pub settings: Settings,

    /// Where they come from
    #[arg(skip)]
    pub given: Given,
}

/// Colours for a terminal; clap leaves them out elsewhere, and where `NO_COLOR` is set.
const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const EXIT_CODES: &str = "\
Durations are seconds (5, 0.1) or have a unit (500ms, 10m).
Each option can also be given by the environment variable named beside it, or
by a file: see --config.

Exit codes: 0 stopped as asked, or passed; 1 did not pass, or cannot work;
2 wrong option or unreadable input.";

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
        #[arg(long, allow_hyphen_values = true)]
        id: Option<String>,
    },
    /// Show and manage claims and results that are not answered yet
    #[command(subcommand)]
    Spool(SpoolCommand),
    /// Check what a run needs, and print the commands that mend it: exit 0 or 1
    Doctor(doctor::Args),
    /// Ask the running runner whether it is well: exit 0 or 1
    Healthcheck(healthcheck::Args),
    /// See the settings and where they come from
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Show the whole way of a task on sample repositories, with a backend inside
    Demo(DemoArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shells,
    },
    /// Print the manual page
    Man,
}

/// What `runner demo` takes.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Only write the sample repositories there, and tasks.json for the mock backend
    #[arg(long, value_name = "FOLDER")]
    pub samples: Option<PathBuf>,
}

/// Reads the command line, the environment and the file of settings. An error is one line that names the flag, what
/// was given and what is taken.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let arguments = arguments.into_iter().collect();
    let (matches, settings, given) =
        config::read(&command(), arguments, |matches| match matches.subcommand_name() {
            None | Some("config") => WithFile::Always,
            // The doctor looks at the settings that the daemon has, or it says nothing of the daemon.
            Some("doctor") => WithFile::Told,
            Some("completions" | "man") => WithFile::Never,
            Some("healthcheck" | "spool" | "parse-report") => WithFile::IfRight,
            Some(_) => WithFile::IfAllowed,
        })?;
    Ok(Cli { settings, given, ..Cli::from_arg_matches(&matches)? })
}

/// The declaration of the command line.
pub fn command() -> clap::Command {
    // So that `--timeout -1` is told what --timeout takes, and not that there is no flag -1.
    let sub = |sub: clap::Command| {
        // An error that names the subcommands fits one line; the help that clap would give instead does not.
        sub.mut_args(negative_numbers).arg_required_else_help(false)
    };
    Cli::command().mut_args(negative_numbers).mut_subcommands(sub)
}

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
    fn the_command_line_is_well_formed() {
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
        for (line, says) in [
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
            assert!(error.contains(says), "{line}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
