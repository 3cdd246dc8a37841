//! Finds environment variables whose names are nearly those of settings.

use clap::Command;

use super::file;
use super::suggest::misspelt;

/// Prefix of the variables of all settings.
const PREFIX: &str = "RUNNER_";

/// One warning for each variable whose name differs from a setting by a letter or two. It is not an error, because other
/// programs use the prefix too (GitHub Actions, Kubernetes for a service of that name); names that are unlike any setting
/// are theirs.
pub(super) fn warnings(command: &Command) -> Vec<String> {
    let settings = || command.get_arguments().filter(|argument| argument.get_env().is_some());
    let known: Vec<String> = settings().map(file::key).collect();
    let variable_of = |key: &str| {
        let argument = settings().find(|argument| file::key(argument) == key);
        argument.and_then(|argument| argument.get_env()).map(|name| name.to_string_lossy().into_owned())
    };
    let mut names: Vec<String> = std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| name.starts_with(PREFIX))
        .filter(|name| {
            !settings().any(|argument| argument.get_env().is_some_and(|variable| variable == name.as_str()))
        })
        .collect();
    names.sort();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let line = |name: &String| {
        let meant = variable_of(misspelt(&known, name)?)?;
        Some(format!("{name} in the environment is no setting; did you mean {meant}?"))
    };
    names.iter().filter_map(line).collect()
}
