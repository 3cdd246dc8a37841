//! The origin of each setting's value: an option, the environment, a file, or the default.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::Settings;
use super::file::{self, File};
use super::folder::default_state;
use crate::observe::logging::Level;
use crate::observe::serve;
use text::units::show;
use text::{Limit, without_secrets};

/// Names of the systemd credentials that may hold the password.
const CREDENTIALS: [&str; 2] = ["ostest-runner.password", "password"];

/// Origin of a value; a later variant goes before an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The built-in default.
    Default,
    /// A default that follows from another setting or the environment; in words.
    Rule(&'static str),
    /// The settings file; path and line.
    File(String),
    /// A password file; its path.
    PasswordFile(String),
    /// An environment variable; its name.
    Environment(String),
    /// The command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => to.write_str("default"),
            Self::Rule(rule) => to.write_str(rule),
            Self::File(place) | Self::PasswordFile(place) => write!(to, "file {place}"),
            Self::Environment(name) => write!(to, "environment {name}"),
            Self::Flag => to.write_str("flag"),
        }
    }
}

/// One setting with its value and origin.
#[derive(Debug, Clone)]
pub struct Value {
    /// Key in the settings file.
    pub key: String,
    /// Environment variable.
    pub environment: Option<String>,
    /// The given values, or the default. Empty if neither exists.
    pub values: Vec<String>,
    /// The parsed value in a form that does not depend on how it was written, to compare two of them. It holds secrets.
    meaning: SecretString,
    /// The value that a rule leads to, as text.
    pub by_rule: Option<String>,
    /// The `[default: …]` of the help, if no value was given.
    pub default_rule: Option<String>,
    /// Whether the setting takes several values.
    pub several: bool,
    /// Whether the value must not be shown.
    pub secret: bool,
    /// Origin of the value.
    pub origin: Origin,
}

impl Value {
    /// Whether both values are equal, whatever their origins and however they were written. Two values that follow from
    /// a rule are equal.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.values.is_empty() && other.values.is_empty() && !self.secret)
            || self.meaning.expose_secret() == other.meaning.expose_secret()
    }

    /// The value as text for people.
    pub fn text(&self) -> String {
        match self.values.as_slice() {
            _ if self.secret => "***".to_owned(),
            [] => {
                let rule = self.by_rule.as_ref().or(self.default_rule.as_ref());
                rule.cloned().unwrap_or_else(|| "nothing".to_owned())
            }
            values => values.join(","),
        }
    }
}

/// All settings with their values and origins, in the order of `--help`.
pub fn values(command: &Command, matches: &ArgMatches, file: Option<&File>) -> Vec<Value> {
    let shown = |argument: &&Arg| file::is_setting(argument) || argument.get_id() == "config";
    command.get_arguments().filter(shown).map(|argument| value(argument, matches, file)).collect()
}

fn value(argument: &Arg, matches: &ArgMatches, file: Option<&File>) -> Value {
    let id = argument.get_id().as_str();
    let secret = argument.is_hide_env_values_set();
    let environment = argument.get_env().map(|name| name.to_string_lossy().into_owned());
    let place = || file.and_then(|file| file.place(id)).map_or(Origin::Default, Origin::File);
    let origin = match matches.value_source(id) {
        Some(ValueSource::CommandLine) => Origin::Flag,
        Some(ValueSource::EnvVariable) => Origin::Environment(environment.clone().unwrap_or_default()),
        _ => place(),
    };
    let given = matches.get_raw(id).into_iter().flatten().map(|raw| raw.to_string_lossy());
    let given: Vec<_> = given.collect();
    let key = file::key(argument);
    let shown = given.iter().filter(|_| !secret).map(|text| presentable(&key, text));
    Value {
        environment,
        values: shown.collect(),
        key,
        meaning: meaning(matches, id).unwrap_or_else(|| given.join("\n")).into(),
        by_rule: None,
        default_rule: default_rule(argument),
        several: matches!(argument.get_action(), clap::ArgAction::Append),
        secret,
        origin,
    }
}

/// The `Debug` text of the parsed value, for types whose values can be written in several ways.
fn meaning(matches: &ArgMatches, id: &str) -> Option<String> {
    fn of<T: Clone + fmt::Debug + Send + Sync + 'static>(matches: &ArgMatches, id: &str) -> Option<String> {
        let values = matches.try_get_many::<T>(id).ok()??;
        Some(shown(&values.collect::<Vec<_>>()))
    }
    let types = [
        of::<bool>,
        of::<Duration>,
        of::<u64>,
        of::<Limit<u64>>,
        of::<Limit<f64>>,
        of::<Limit<Duration>>,
        of::<Url>,
        of::<PathBuf>,
        of::<Level>,
        of::<serve::Listen>,
    ];
    types.iter().find_map(|of| of(matches, id))
}

fn shown(values: &(impl fmt::Debug + ?Sized)) -> String {
    format!("{values:?}")
}

/// Fills in the values that follow from a rule, as they are in the daemon.
pub fn fill_in_rules(settings: &Settings, values: &mut [Value]) {
    let state = settings.folders.state().ok();
    let state_rule = default_state().map_or("default", |(_, rule)| rule);
    let work = state.as_ref().map(|state| state.join("work"));
    let (level, drain) = (settings.logging.level(false), settings.worker.timeout);
    let path = |path: &PathBuf| (shown(&[path]), path.display().to_string());
    for value in values.iter_mut().filter(|value| value.values.is_empty() && !value.secret) {
        let rule = match value.key.as_str() {
            "logger_level" => {
                Some(((shown(&[level]), level.name().to_owned()), "default; warning for subcommands"))
            }
            "drain_timeout" => Some(((shown(&[drain]), show(drain)), "as timeout")),
            "state_dir" => state.as_ref().map(|state| (path(state), state_rule)),
            "work_dir" => work.as_ref().map(|work| (path(work), "in state_dir")),
            "config" => settings.config.as_ref().map(|file| (path(file), "default")),
            _ => None,
        };
        if let Some(((meaning, words), rule)) = rule {
            (value.meaning, value.by_rule, value.origin) = (meaning.into(), Some(words), Origin::Rule(rule));
        }
    }
}

/// The value without secrets. A URL loses its query and fragment too, because some hosts accept tokens there. In other
/// values a `?` is a pattern and stays.
fn presentable(key: &str, text: &str) -> String {
    let text = without_secrets(text);
    match text.find(['?', '#']) {
        Some(at) if key.ends_with("_url") || key.ends_with("_api") => format!("{}***", &text[..=at]),
        _ => text.into_owned(),
    }
}

/// The `[default: …]` in the help of an option whose default is not a value but a rule.
fn default_rule(argument: &Arg) -> Option<String> {
    let help = argument.get_help()?.to_string();
    let (_, rule) = help.split_once("[default: ")?;
    Some(rule.split(']').next().unwrap_or(rule).replace('\n', " "))
}

/// Chooses one of the ways to give the password: the one with the higher origin, and the password file if two have the
/// same. If there is none and a login is required, looks for a systemd credential.
pub fn choose_password(settings: &mut Settings, values: &mut [Value]) {
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    choose(settings, values, credentials.as_deref());
}

fn choose(settings: &mut Settings, values: &mut [Value], credentials: Option<&Path>) {
    let origin_of =
        |key: &str| values.iter().find(|value| value.key == key).map(|value| value.origin.clone());
    let backend = &mut settings.backend;
    let mut origin = match backend.password_fd {
        // `--password` arrives as this descriptor.
        Some(_) => Origin::Flag,
        None => origin_of("password").unwrap_or(Origin::Default),
    };
    if backend.password_file.is_some() {
        if origin_of("password_file") >= Some(origin.clone()) {
            backend.password_fd = None;
        } else {
            backend.password_file = None;
        }
    } else if backend.auth && origin == Origin::Default {
        backend.password_file = credentials.and_then(credential);
    }
    if let Some(file) = &backend.password_file {
        origin = Origin::PasswordFile(file.display().to_string());
    }
    for value in values.iter_mut().filter(|value| value.key == "password") {
        value.origin = origin.clone();
    }
}

/// The first credential that exists in `folder`.
fn credential(folder: &Path) -> Option<PathBuf> {
    CREDENTIALS.iter().map(|name| folder.join(name)).find(|path| path.exists())
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;

    use super::*;
    use crate::config::settings::tests::command;

    /// The origin of the password for this command line and folder of credentials.
    fn password(line: &str, credentials: Option<&Path>) -> String {
        let command = command();
        let matches = command.clone().try_get_matches_from(line.split(' ')).unwrap();
        let mut settings = Settings::from_arg_matches(&matches).unwrap();
        let mut all = values(&command, &matches, None);
        choose(&mut settings, &mut all, credentials);
        let value = all.iter().find(|value| value.key == "password").unwrap();
        assert_eq!(settings.backend.password_file.is_some(), matches!(value.origin, Origin::PasswordFile(_)));
        value.origin.to_string()
    }

    #[test]
    fn credential_is_the_last_choice_with_auth() {
        let folder = tempfile::tempdir().unwrap();
        let (some, path) = (Some(folder.path()), |name: &str| folder.path().join(name));
        assert_eq!(password("runner --auth", some), "default");
        std::fs::write(path("password"), "b").unwrap();
        assert_eq!(password("runner --auth", some), format!("file {}", path("password").display()));
        std::fs::write(path(CREDENTIALS[0]), "a").unwrap();
        assert_eq!(password("runner --auth", some), format!("file {}", path(CREDENTIALS[0]).display()));
        for (line, origin) in [
            ("runner", "default"),
            ("runner --auth --password x", "flag"),
            ("runner --auth --password-fd 9", "flag"),
            ("runner --auth --password-file /p", "file /p"),
            ("runner --auth --password-fd 9 --password-file /p", "file /p"),
        ] {
            assert_eq!(password(line, some), origin, "{line}");
        }
        assert_eq!(password("runner --auth", None), "default");
    }
}
