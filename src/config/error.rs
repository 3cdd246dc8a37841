//! Makes one line of an error in the command line or the environment, with the name of the option or the variable.

use std::ffi::OsString;

use clap::builder::{OsStr, Resettable};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};

use text::without_address_secrets;

/// Names the variable in an error about a value from the environment. Clap names the option, which is not on the command
/// line, and nothing at all for a value that is not UTF-8.
pub(super) fn named(error: clap::Error, command: &Command, arguments: &[OsString]) -> clap::Error {
    if error.kind() == ErrorKind::InvalidUtf8 {
        let message = format!("{} holds bytes that are not UTF-8", non_utf8(command, arguments));
        return clap::Error::raw(ErrorKind::InvalidValue, message);
    }
    let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) else { return error };
    // As in the help: `--flag <VALUE>` or `--flag[=<VALUE>]`.
    let long = flag.split([' ', '[', '=']).next().and_then(|flag| flag.strip_prefix("--"));
    let Some(argument) =
        command.get_arguments().find(|argument| long.is_some() && argument.get_long() == long)
    else {
        return error;
    };
    match argument.get_env() {
        Some(variable) if std::env::var_os(variable).is_some() && !is_given(argument, arguments) => {
            let text = one_line(&error).trim_start_matches("error: ").to_owned();
            let both = format!("{} ({flag})", variable.display());
            clap::Error::raw(error.kind(), text.replacen(&format!("'{flag}'"), &both, 1))
        }
        _ => error,
    }
}

/// Whether `argument` is on the command line.
fn is_given(argument: &Arg, arguments: &[OsString]) -> bool {
    arguments.iter().any(|word| {
        let word = word.to_string_lossy();
        let long = word.strip_prefix("--").and_then(|word| word.split('=').next());
        long.is_some() && long == argument.get_long()
    })
}

/// The place of the bytes that are not UTF-8: the command line, or else the first variable that clap refuses. Variables
/// that hold paths may have such bytes.
fn non_utf8(command: &Command, arguments: &[OsString]) -> String {
    let is_refused = |command: Command, arguments: &[OsString]| {
        let read = command.try_get_matches_from(arguments);
        read.is_err_and(|error| error.kind() == ErrorKind::InvalidUtf8)
    };
    let without_variable = |argument: Arg| argument.env(Resettable::<OsStr>::Reset);
    let plain = command.clone().mut_args(without_variable);
    let plain = plain.mut_subcommands(|sub| sub.mut_args(without_variable));
    if is_refused(plain, arguments) {
        return "the command line".to_owned();
    }
    let refused = command.get_arguments().find(|argument| {
        let alone = Command::new("runner").arg((*argument).clone());
        !is_given(argument, arguments) && is_refused(alone, &["runner".into()])
    });
    let variable = refused.and_then(Arg::get_env);
    variable.map_or_else(|| "the environment".to_owned(), |variable| variable.display().to_string())
}

/// The text of an error in one line, without the secrets of URLs in it.
pub fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let lines = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    let line = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    without_address_secrets(&line)
}
