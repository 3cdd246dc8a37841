//! The file of settings: TOML, one `key = value` a line, where a key is the name of a flag without its dashes.
//!
//! What the keys are and what each takes, clap's declaration of the flags says; the file's values become the flags'
//! defaults. So flags go before the environment, that before the file, and the file before what is built in.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail, ensure};
use clap::builder::{OsStr, Resettable, StyledStr};
use clap::{Arg, ArgAction, Command};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::nearest::{nearest, question};
use super::{bounded, one_line};
use text::without_secrets;

/// Where the file is looked for when none is named. It need not be there.
pub const DEFAULT: &str = "/etc/ostest-runner/config.toml";

/// A file that is longer holds no settings.
const LONGEST: usize = 1 << 20;

/// A file of settings, all of them known and right.
#[derive(Debug, Clone)]
pub struct File {
    /// Where it is.
    pub path: PathBuf,
    /// What is right, and yet not as it should be.
    pub warnings: Vec<String>,
    entries: Vec<Entry>,
}

/// One setting of a file.
#[derive(Debug, Clone)]
struct Entry {
    /// The flag's name in clap.
    id: String,
    /// Counted from 1.
    line: usize,
    /// As text, the way the command line would give them.
    values: Vec<String>,
}

/// Whether a file may give this one: the settings, as against what belongs to one subcommand, to the runner itself,
/// or says where the file is.
pub fn is_setting(argument: &Arg) -> bool {
    argument.is_global_set()
        && argument.get_long().is_some()
        && !argument.is_hide_set()
        && argument.get_id() != "config"
}

/// The name of a setting in a file.
pub fn key(argument: &Arg) -> String {
    argument.get_long().unwrap_or_default().replace('-', "_")
}

impl File {
    /// Reads the file at `path` against the flags of `command`. An error is one line with path, line, key, value and
    /// what is taken.
    pub fn read(path: &Path, command: &Command) -> anyhow::Result<Self> {
        let named = || format!("--config {}", path.display());
        let (text, meta) = bounded::read(path, LONGEST).with_context(named)?;
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
            file.warnings = file.with_logins(command, mode);
        }
        Ok(file)
    }

    /// What others than its owner read in it: addresses with a login.
    fn with_logins(&self, command: &Command, mode: u32) -> Vec<String> {
        let has_login =
            |entry: &&Entry| entry.values.iter().any(|text| without_secrets(text) != text.as_str());
        let of = |entry: &Entry| {
            let argument = command.get_arguments().find(|argument| argument.get_id() == entry.id.as_str());
            let (place, path) = (place(&self.path, entry.line), self.path.display());
            format!(
                "{place}: {}: the address holds a login, and others than its owner have access to the file (mode {:04o}); chmod 600 {path}",
                argument.map(key).unwrap_or_default(),
                mode & 0o7777
            )
        };
        self.entries.iter().filter(has_login).map(of).collect()
    }

    /// The same for a file that need not be there.
    pub fn read_if_there(path: &Path, command: &Command) -> anyhow::Result<Option<Self>> {
        match Self::read(path, command) {
            Err(error) if is(&error, io::ErrorKind::NotFound) || is(&error, io::ErrorKind::NotADirectory) => {
                Ok(None)
            }
            read => read.map(Some),
        }
    }

    /// `command` with the file's values as the defaults of its flags.
    pub fn as_defaults(&self, command: Command) -> Command {
        self.entries.iter().fold(command, |command, entry| {
            command.mut_arg(&entry.id, |argument| argument.default_values(&entry.values))
        })
    }

    /// `path:line` of a setting that the file gives.
    pub fn place(&self, id: &str) -> Option<String> {
        let entry = self.entries.iter().find(|entry| entry.id == id)?;
        Some(place(&self.path, entry.line))
    }
}

/// Whether `error` says that a file could not be opened or read for this reason.
pub fn is(error: &anyhow::Error, kind: io::ErrorKind) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == kind)
}

fn place(path: &Path, line: usize) -> String {
    format!("{}:{line}", path.display())
}

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
        // Before the name, which is a section's.
        if let DeValue::Table(section) = value.get_ref() {
            return Err(anyhow!(without_section(command, name.get_ref(), section))).with_context(at);
        }
        let argument = argument(command, name.get_ref()).with_context(at)?;
        let values = values(&value, argument).with_context(at)?;
        check(argument, &values).with_context(at)?;
        let id = argument.get_id().to_string();
        if let Some(other) = entries.iter().find(|entry| entry.id == id) {
            return Err(anyhow!("line {} gives it too", other.line)).with_context(at);
        }
        entries.push(Entry { id, line, values });
    }
    Ok(entries)
}

/// The flag that a key means, or an error that names the nearest.
fn argument<'a>(command: &'a Command, name: &str) -> anyhow::Result<&'a Arg> {
    let long = name.replace('_', "-");
    let settings = || command.get_arguments().filter(|argument| is_setting(argument));
    if let Some(found) = settings().find(|argument| argument.get_long() == Some(&long)) {
        return Ok(found);
    }
    match question(&nearest(&known(command), name)) {
        Some(question) => bail!("there is no such setting; {question}"),
        None => bail!("there is no such setting; `runner config show` lists all"),
    }
}

/// The names of all settings, in the order of `--help`.
fn known(command: &Command) -> Vec<String> {
    command.get_arguments().filter(|argument| is_setting(argument)).map(key).collect()
}

/// What to write instead of the section `name`, which is no setting.
fn without_section(command: &Command, name: &str, section: &DeTable<'_>) -> String {
    let known = known(command);
    let meant = section.keys().next().and_then(|key| {
        let key = key.get_ref();
        let own = known.iter().find(|known| *known == key).map(|own| vec![own.as_str()]);
        let whole = nearest(&known, &format!("{name}_{key}"));
        let is_whole = whole.first().is_some_and(|first| *first == format!("{name}_{key}"));
        let nearest = if is_whole { whole } else { own.unwrap_or(whole) };
        question(&nearest)
    });
    let meant = meant.map(|question| format!("; {question}")).unwrap_or_default();
    format!("settings are not in sections; write key = value without any [section]{meant}")
}

/// The flag without what the environment says of it.
fn alone(argument: Arg) -> Arg {
    argument.env(Resettable::<OsStr>::Reset).help(Resettable::<StyledStr>::Reset)
}

fn values(value: &Spanned<DeValue<'_>>, argument: &Arg) -> anyhow::Result<Vec<String>> {
    if let DeValue::Array(values) = value.get_ref() {
        let several = matches!(argument.get_action(), ArgAction::Append);
        ensure!(several, "it takes one value, not several in brackets");
        return values.iter().map(|value| one(value.get_ref())).collect();
    }
    one(value.get_ref()).map(|value| vec![value])
}

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

/// Has clap read the values as it would read the flag's.
fn check(argument: &Arg, values: &[String]) -> anyhow::Result<()> {
    let argument = alone(argument.clone().default_values(values));
    let read = Command::new("runner").arg(argument).try_get_matches_from(["runner"]);
    read.map(drop).map_err(|error| anyhow!(one_line(&error).trim_start_matches("error: ").to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_file_is_optional_but_checked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        let command = Command::new("runner").arg(Arg::new("pace").long("pace").global(true));
        assert!(File::read_if_there(&path, &command).unwrap().is_none());
        assert!(File::read(&path, &command).is_err());
        std::fs::write(&path, "pace = 3").unwrap();
        assert!(
            File::read_if_there(&path, &command).unwrap().unwrap().place("pace").unwrap().ends_with(":1")
        );
        std::fs::write(&path, "space = 3").unwrap();
        assert!(File::read_if_there(&path, &command).is_err());
        assert!(File::read_if_there(&path.join("below"), &command).unwrap().is_none());
    }
}
