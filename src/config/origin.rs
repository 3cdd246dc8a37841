//! Where each setting's value comes from: a flag, the environment, the file, or what is built in.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

use secrecy::{ExposeSecret, SecretString};

use super::Settings;
use super::file::{self, File};
use crate::text::without_secrets;

/// The names under which systemd may hold the password ready.
const CREDENTIALS: [&str; 2] = ["ostest-runner.password", "password"];

/// Where a value comes from, the least to be reckoned with first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// The file of settings; path and line.
    File(String),
    /// A file that holds a password and nothing else; its path.
    PasswordFile(String),
    /// A variable of the environment.
    Environment(String),
    /// The command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => to.write_str("default"),
            Self::File(place) | Self::PasswordFile(place) => write!(to, "file {place}"),
            Self::Environment(name) => write!(to, "environment {name}"),
            Self::Flag => to.write_str("flag"),
        }
    }
}

/// One setting as it stands.
#[derive(Debug, Clone)]
pub struct Value {
    /// Its name in a file.
    pub key: String,
    /// Its variable of the environment.
    pub environment: Option<String>,
    /// What was given for it; empty: nothing, and there is no default that could be written down.
    pub values: Vec<String>,
    /// The same to the letter, secrets and all.
    raw: SecretString,
    /// What is taken where nothing was given, in the words of `--help`.
    pub otherwise: Option<String>,
    /// Whether it takes several values.
    pub several: bool,
    /// Whether it is not to be shown.
    pub secret: bool,
    /// Where it comes from.
    pub origin: Origin,
}

impl Value {
    /// Whether the same was given, wherever.
    pub fn is_same(&self, other: &Self) -> bool {
        self.raw.expose_secret() == other.raw.expose_secret()
    }

    /// The value for people.
    pub fn words(&self) -> String {
        match self.values.as_slice() {
            _ if self.secret => "***".to_owned(),
            [] => self.otherwise.clone().unwrap_or_else(|| "nothing".to_owned()),
            values => values.join(","),
        }
    }
}

/// All settings, in the order of `--help`.
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
        raw: given.join("\n").into(),
        otherwise: otherwise(argument),
        several: matches!(argument.get_action(), clap::ArgAction::Append),
        secret,
        origin,
    }
}

/// The value without what may be a secret in it. Of an address the query goes too, since that is where hosts take tokens;
/// of other values it does not, for a `?` is a pattern there.
fn presentable(key: &str, text: &str) -> String {
    let text = without_secrets(text);
    match text.split_once('?') {
        Some((before, _)) if key.ends_with("_url") || key.ends_with("_api") => format!("{before}?***"),
        _ => text.into_owned(),
    }
}

/// The `[default: …]` of a flag whose default is no value but a rule.
fn otherwise(argument: &Arg) -> Option<String> {
    let help = argument.get_help()?.to_string();
    let (_, rule) = help.split_once("[default: ")?;
    Some(rule.strip_suffix(']').unwrap_or(rule).replace('\n', " "))
}

/// Decides which of the ways to give a password counts: the one that comes from the higher place and, where two come
/// from the same, the file of a password before the password itself. Without any, with a login wanted, systemd's
/// credential is looked for.
pub fn settle_password(settings: &mut Settings, values: &mut [Value]) {
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    settle(settings, values, credentials.as_deref());
}

fn settle(settings: &mut Settings, values: &mut [Value], credentials: Option<&Path>) {
    let origin_of =
        |key: &str| values.iter().find(|value| value.key == key).map(|value| value.origin.clone());
    let backend = &mut settings.backend;
    let mut origin = match backend.password_fd {
        // How `--password` arrives here.
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

fn credential(folder: &Path) -> Option<PathBuf> {
    CREDENTIALS.iter().map(|name| folder.join(name)).find(|path| path.exists())
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;

    use super::*;
    use crate::config::tests::command;

    /// Where the password comes from, by what is on the command line and in the folder of credentials.
    fn password(line: &str, credentials: Option<&Path>) -> String {
        let command = command();
        let matches = command.clone().try_get_matches_from(line.split(' ')).unwrap();
        let mut settings = Settings::from_arg_matches(&matches).unwrap();
        let mut all = values(&command, &matches, None);
        settle(&mut settings, &mut all, credentials);
        let value = all.iter().find(|value| value.key == "password").unwrap();
        assert_eq!(settings.backend.password_file.is_some(), matches!(value.origin, Origin::PasswordFile(_)));
        value.origin.to_string()
    }

    #[test]
    fn a_credential_is_for_who_wants_a_login_and_says_nothing_else() {
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
