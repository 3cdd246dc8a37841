//! Variables of the environment that are nearly settings.

use clap::Command;

use super::file;
use super::nearest::misspelt;

/// What the variables of all settings begin with.
const PREFIX: &str = "RUNNER_";

/// A line for each variable that a setting has but for a letter or two. Other programs use the prefix too (GitHub's
/// actions, Kubernetes for a service of that name), so that it is no error, and what is like no setting is their own.
pub(super) fn warnings(command: &Command) -> Vec<String> {
    let settings = || command.get_arguments().filter(|argument| argument.get_env().is_some());
    let known: Vec<String> = settings().map(file::key).collect();
    let variable = |key: &str| {
        let argument = settings().find(|argument| file::key(argument) == key);
        argument.and_then(|argument| argument.get_env()).map(|name| name.to_string_lossy().into_owned())
    };
    let mut names: Vec<String> = std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| name.starts_with(PREFIX))
        .filter(|name| !settings().any(|argument| argument.get_env().is_some_and(|own| own == name.as_str())))
        .collect();
    names.sort();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let line = |name: &String| {
        let meant = variable(misspelt(&known, name)?)?;
        Some(format!("{name} in the environment is no setting; did you mean {meant}?"))
    };
    names.iter().filter_map(line).collect()
}
