//! The settings file: TOML, one `key = value` on each line. A key is the name of an option without dashes.
//!
//! Clap's declaration of the options defines the keys and their values. The values of the file become the defaults of the
//! options. So options go before the environment, that before the file, and the file before the built-in defaults.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail, ensure};
use clap::builder::{OsStr, Resettable, StyledStr};
use clap::{Arg, ArgAction, Command};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::suggest::{nearest, question};
use super::{bounded, one_line};
use text::without_secrets;

/// The settings file if `--config` names none. It need not exist.
pub const DEFAULT: &str = "/etc/ostest-runner/config.toml";

/// Largest settings file, in bytes.
const MAX_SIZE: u64 = 1 << 20;

/// A settings file with valid settings only.
#[derive(Debug, Clone)]
pub struct File {
    /// Path of the file, as given.
    pub path: PathBuf,
    /// Problems that are no errors, one line each.
    pub warnings: Vec<String>,
    entries: Vec<Entry>,
}

/// One setting of a file.
#[derive(Debug, Clone)]
struct Entry {
    /// The option's name in clap.
    id: String,
    /// Line number, from 1.
    line: usize,
    /// The values as text, in the form of the command line.
    values: Vec<String>,
}

/// Whether a file may set `argument`. It may not if the argument belongs to one subcommand or to the runner itself, or if
/// it names the file.
pub fn is_setting(argument: &Arg) -> bool {
    argument.is_global_set()
        && argument.get_long().is_some()
        && !argument.is_hide_set()
        && argument.get_id() != "config"
}

/// The key of a setting in a file.
pub fn key(argument: &Arg) -> String {
    argument.get_long().unwrap_or_default().replace('-', "_")
}

impl File {
    /// Reads the file at `path`, whose keys are the options of `command`.
    ///
    /// # Errors
    /// The file cannot be read or is not TOML, a key or a value is wrong, or others than the owner may read a password in
    /// it. The message is one line with path, line, key, value and the expected value.
    pub fn read(path: &Path, command: &Command) -> anyhow::Result<Self> {
        let named = || format!("--config {}", path.display());
        let (text, meta) = bounded::read(path, MAX_SIZE).with_context(named)?;
        let mode = meta.permissions().mode();
        let entries = entries(path, &text, command)?;
        let mut file = Self { path: path.to_owned(), warnings: Vec::new(), entries };
        let secret = command.get_arguments().filter(|argument| argument.is_hide_env_values_set());
        for argument in secret {
            let place = file.place(argument.get_id().as_str()).filter(|_| mode & 0o077 != 0);
            if let Some(place) = place {
                let (key, path) = (key(argument), path.display());
                let mode = mode & 0o7777;
                bail!(
                    "{place}: {key}: others than its owner have access to the file (mode {mode:04o}); chmod 600 {path}"
                );
            }
        }
        if mode & 0o077 != 0 {
            file.warnings = file.login_warnings(command, mode);
        }
        Ok(file)
    }

    /// Warnings about URLs with a login, in a file that others than its owner may read.
    fn login_warnings(&self, command: &Command, mode: u32) -> Vec<String> {
        let has_login =
            |entry: &&Entry| entry.values.iter().any(|text| without_secrets(text) != text.as_str());
        let warning = |entry: &Entry| {
            let argument = command.get_arguments().find(|argument| argument.get_id() == entry.id.as_str());
            let (place, path) = (place(&self.path, entry.line), self.path.display());
            format!(
                "{place}: {}: the address holds a login, and others than its owner have access to the file (mode {:04o}); chmod 600 {path}",
                argument.map(key).unwrap_or_default(),
                mode & 0o7777
            )
        };
        self.entries.iter().filter(has_login).map(warning).collect()
    }

    /// Like [`File::read`], but returns none if the file does not exist.
    ///
    /// # Errors
    /// Those of [`File::read`].
    pub fn read_if_exists(path: &Path, command: &Command) -> anyhow::Result<Option<Self>> {
        match Self::read(path, command) {
            Err(error) if is(&error, io::ErrorKind::NotFound) || is(&error, io::ErrorKind::NotADirectory) => {
                Ok(None)
            }
            read => read.map(Some),
        }
    }

    /// `command` with the values of the file as the defaults of its options.
    pub fn as_defaults(&self, command: Command) -> Command {
        self.entries.iter().fold(command, |command, entry| {
            command.mut_arg(&entry.id, |argument| argument.default_values(&entry.values))
        })
    }

    /// `path:line` of the setting with the name `id` in clap, if the file sets it.
    pub fn place(&self, id: &str) -> Option<String> {
        let entry = self.entries.iter().find(|entry| entry.id == id)?;
        Some(place(&self.path, entry.line))
    }
}

/// Whether `error` is an I/O error of this kind.
pub fn is(error: &anyhow::Error, kind: io::ErrorKind) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == kind)
}

fn place(path: &Path, line: usize) -> String {
    format!("{}:{line}", path.display())
}

/// Reads all settings in `text`, in the order of their lines.
fn entries(path: &Path, text: &str, command: &Command) -> anyhow::Result<Vec<Entry>> {
    let place_of = |offset: usize| 1 + text.get(..offset).unwrap_or(text).matches('\n').count();
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| place_of(span.start));
        anyhow!("{}: {}", place(path, line), error.message().replace('\n', "; "))
    })?;
    let mut table: Vec<_> = table.into_inner().into_iter().collect();
    table.sort_by_key(|(name, _)| name.span().start);
    let mut entries: Vec<Entry> = Vec::new();
    for (name, value) in table {
        let line = place_of(name.span().start);
        let at = || format!("{}: {}", place(path, line), text::one_line(name.get_ref()));
        // Checked before the name, which is that of a section.
        if let DeValue::Table(section) = value.get_ref() {
            return Err(anyhow!(section_error(command, name.get_ref(), section))).with_context(at);
        }
        let argument = argument(command, name.get_ref()).with_context(at)?;
        let values = values(&value, argument).with_context(at)?;
        check(argument, &values).with_context(at)?;
        let id = argument.get_id().to_string();
        if let Some(other) = entries.iter().find(|entry| entry.id == id) {
            return Err(anyhow!("line {} sets it too", other.line)).with_context(at);
        }
        entries.push(Entry { id, line, values });
    }
    Ok(entries)
}

/// The option for a key; an error suggests the nearest key.
fn argument<'a>(command: &'a Command, name: &str) -> anyhow::Result<&'a Arg> {
    let long = name.replace('_', "-");
    let settings = || command.get_arguments().filter(|argument| is_setting(argument));
    if let Some(found) = settings().find(|argument| argument.get_long() == Some(&long)) {
        return Ok(found);
    }
    match question(&nearest(&known_keys(command), name)) {
        Some(question) => bail!("there is no such setting; {question}"),
        None => bail!("there is no such setting; `runner config show` lists all"),
    }
}

/// The keys of all settings, in the order of `--help`.
fn known_keys(command: &Command) -> Vec<String> {
    command.get_arguments().filter(|argument| is_setting(argument)).map(key).collect()
}

/// The error for the section `name`: a settings file has no sections.
fn section_error(command: &Command, name: &str, section: &DeTable<'_>) -> String {
    let known = known_keys(command);
    let suggestion = section.keys().next().and_then(|key| {
        let key = key.get_ref();
        let same = known.iter().find(|known| *known == key).map(|same| vec![same.as_str()]);
        let whole = nearest(&known, &format!("{name}_{key}"));
        let is_whole = whole.first().is_some_and(|first| *first == format!("{name}_{key}"));
        let nearest = if is_whole { whole } else { same.unwrap_or(whole) };
        question(&nearest)
    });
    let suggestion = suggestion.map(|question| format!("; {question}")).unwrap_or_default();
    format!("settings are not in sections; write key = value without any [section]{suggestion}")
}

/// A copy of `argument` without its variable and its help.
fn alone(argument: Arg) -> Arg {
    argument.env(Resettable::<OsStr>::Reset).help(Resettable::<StyledStr>::Reset)
}

/// The values of one key, as text.
fn values(value: &Spanned<DeValue<'_>>, argument: &Arg) -> anyhow::Result<Vec<String>> {
    if let DeValue::Array(values) = value.get_ref() {
        let several = matches!(argument.get_action(), ArgAction::Append);
        ensure!(several, "expected one value, not several in brackets");
        return values.iter().map(|value| one(value.get_ref())).collect();
    }
    one(value.get_ref()).map(|value| vec![value])
}

/// One value as text.
fn one(value: &DeValue<'_>) -> anyhow::Result<String> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().to_owned()),
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        DeValue::Boolean(switch) => Ok(switch.to_string()),
        DeValue::Table(_) => {
            bail!("settings are not in sections; write key = value above the first [section]")
        }
        _ => bail!("expected a text in quotes, a number, true or false"),
    }
}

/// Checks the values with the parser of the option.
fn check(argument: &Arg, values: &[String]) -> anyhow::Result<()> {
    let argument = alone(argument.clone().default_values(values));
    let read = Command::new("runner").arg(argument).try_get_matches_from(["runner"]);
    read.map(drop).map_err(|error| anyhow!(one_line(&error).trim_start_matches("error: ").to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_file_may_be_missing_but_not_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        let command = Command::new("runner").arg(Arg::new("pace").long("pace").global(true));
        assert!(File::read_if_exists(&path, &command).unwrap().is_none());
        assert!(File::read(&path, &command).is_err());
        std::fs::write(&path, "pace = 3").unwrap();
        assert!(
            File::read_if_exists(&path, &command).unwrap().unwrap().place("pace").unwrap().ends_with(":1")
        );
        std::fs::write(&path, "space = 3").unwrap();
        assert!(File::read_if_exists(&path, &command).is_err());
        assert!(File::read_if_exists(&path.join("below"), &command).unwrap().is_none());
    }
}
