//! All settings in one place: each module owns its own, this one gathers them from the command line, the environment
//! and a file, in that order of precedence, and checks them before anything starts.

mod bounded;
mod error;
pub mod file;
mod folder;
mod nearest;
pub mod origin;
pub mod running;
pub mod slot;
mod strangers;

use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::os::fd::FromRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, ensure};
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{ArgMatches, Command, FromArgMatches};
use nix::unistd::{AccessFlags, access};
use secrecy::SecretString;

use crate::executors::{self, SuiteSettings};
use crate::{
    backend, git, observe::logging, observe::serve, pipeline::kept, pipeline::poll, pipeline::worker, spool,
};
use error::named;
pub use error::one_line;
pub use folder::foresee;
use report;
use running::Running;
use sandbox::command;
use sandbox::confine;

/// A file that is longer holds no password.
const LONGEST_PASSWORD: usize = 64 << 10;

/// The settings of all modules, as flags and environment give them.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Settings {
    /// Settings file in TOML: an option without its dashes, = and the value [default: /etc/ostest-runner/config.toml,
    /// if it exists]; none: no file
    #[arg(long, global = true, env = "RUNNER_CONFIG", value_name = "FILE", help_heading = "Settings", value_parser = path_or_none())]
    pub config: Option<PathBuf>,

    #[command(flatten)]
    #[expect(missing_docs, reason = "each is documented where it is owned")]
    pub backend: backend::Settings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "each is documented where it is owned")]
    pub poll: poll::Settings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "each is documented where it is owned")]
    pub worker: worker::Settings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "each is documented where it is owned")]
    pub checkout: git::Settings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "each is documented where it is owned")]
    pub suite: SuiteSettings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "each is documented where it is owned")]
    pub execute: executors::Settings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "each is documented where it is owned")]
    pub process: command::Settings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "each is documented where it is owned")]
    pub sandbox: confine::Settings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "each is documented where it is owned")]
    pub limits: report::Limits,
    #[command(flatten)]
    #[expect(missing_docs, reason = "each is documented where it is owned")]
    pub folders: FolderSettings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "each is documented where it is owned")]
    pub kept: kept::Settings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "each is documented where it is owned")]
    pub logging: logging::Settings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "each is documented where it is owned")]
    pub serve: serve::Settings,
}

/// Takes an empty text too, as an environment has it where nothing is meant.
fn path_or_none() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// Whether this name of a file says that there is to be none.
fn is_none(path: &Path) -> bool {
    path.as_os_str().is_empty() || path == Path::new("none")
}

/// Where the runner keeps things.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Folders")]
#[group(skip)]
pub struct FolderSettings {
    /// Folder for the spool, the suite and its environments [default: $STATE_DIRECTORY, else
    /// ~/.local/state/ostest-runner]; with /{slot} at its end, the first of 1, 2, 3, … there that no other runner
    /// uses
    #[arg(long, global = true, env = "RUNNER_STATE_DIR", value_name = "FOLDER")]
    pub state_dir: Option<PathBuf>,

    /// Folder for the tasks' own folders, on the same filesystem [default: work, below the state folder]
    #[arg(long, global = true, env = "RUNNER_WORK_DIR", value_name = "FOLDER")]
    pub work_dir: Option<PathBuf>,
}

impl FolderSettings {
    /// The state folder, as given or by default; it need not be there.
    pub fn state(&self) -> anyhow::Result<PathBuf> {
        match &self.state_dir {
            Some(given) => Ok(given.clone()),
            None => folder::default_state().map(|(path, _)| path),
        }
    }

    /// The same, where there is one: not one for each of several runners.
    pub fn the_state(&self) -> anyhow::Result<PathBuf> {
        let state = self.state()?;
        match slot::shared(&state) {
            Some(shared) => Err(slot::ask(&state, shared)),
            // The folder of the volume itself: `{slot}` is easily left out.
            None if !slot::numbers(&state).is_empty() && !spool::is_there(&state)? => {
                Err(slot::ask(&state, &state))
            }
            None => Ok(state),
        }
    }
}

/// The settings as they were asked for, and by whom.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// The command line, with which they can be read again.
    pub arguments: Vec<OsString>,
    /// Each with where it comes from.
    pub values: Vec<origin::Value>,
    /// What is wrong with the file, where the subcommand wants to tell that itself: nothing of it is in the settings.
    pub wrong: Option<String>,
    /// What is taken, and yet not as it should be.
    pub warnings: Vec<String>,
}

/// Reads the command line, the environment and, for `with_file` of what the former say, the file. An error is for
/// [`one_line`].
pub fn read(
    command: &Command,
    arguments: Vec<OsString>,
    with_file: impl FnOnce(&ArgMatches) -> WithFile,
) -> Result<(ArgMatches, Settings, Given), clap::Error> {
    let mut matches = command
        .clone()
        .try_get_matches_from(&arguments)
        .map_err(|error| named(error, command, &arguments))?;
    let given = matches.get_one::<PathBuf>("config");
    let wanted = with_file(&matches);
    let file = match (wanted, given) {
        (WithFile::Never, _) => Ok(None),
        (_, Some(path)) if is_none(path) => Ok(None),
        (_, Some(path)) => file::File::read(path, command).map(Some),
        (_, None) => match file::File::read_if_there(Path::new(file::DEFAULT), command) {
            // It is the daemon's own, and may hold its password.
            Err(error)
                if !matches!(wanted, WithFile::Always | WithFile::Told)
                    && file::is(&error, std::io::ErrorKind::PermissionDenied) =>
            {
                Ok(None)
            }
            read => read,
        },
    };
    let mut wrong = None;
    let file = match file {
        Err(error) if wanted == WithFile::Told => {
            wrong = Some(format!("{error:#}"));
            None
        }
        Err(error) if wanted == WithFile::IfRight => {
            // Nobody is left to be told where that fails.
            writeln!(std::io::stderr(), "runner: {error:#}; going on without this file").ok();
            None
        }
        read => read.map_err(|error| clap::Error::raw(ErrorKind::InvalidValue, format!("{error:#}")))?,
    };
    if let Some(file) = &file {
        matches = file.as_defaults(command.clone()).try_get_matches_from(&arguments)?;
    }
    let mut settings = Settings::from_arg_matches(&matches)?;
    let mut values = origin::values(command, &matches, file.as_ref());
    origin::settle_password(&mut settings, &mut values);
    let mut warnings = strangers::warnings(command);
    if let Some(file) = &file {
        warnings.extend(file.warnings.iter().cloned());
    }
    settings.config = file.map(|file| file.path);
    origin::settle_rules(&settings, &mut values);
    Ok((matches, settings, Given { arguments, values, wrong, warnings }))
}

/// Whether a subcommand needs the file of settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithFile {
    /// It does.
    Always,
    /// It does, but the daemon's own need not be readable for everyone who calls it.
    IfAllowed,
    /// It does, as far as the file is right: a runner goes on with its old settings where it is not, and what looks after
    /// that runner must go on too.
    IfRight,
    /// It has no settings.
    Never,
    /// It does, and tells itself of one that is wrong: see [`Given::wrong`].
    Told,
}

/// The folders of the runner.
#[derive(Debug, Clone)]
pub struct Folders {
    /// What outlives a run: spool, mirrors, environments, artifacts.
    pub state: PathBuf,
    /// The tasks' own folders.
    pub work: PathBuf,
}

/// Settings that have been checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The settings, with the password in its place.
    pub settings: Settings,
    /// The folders, made and absolute.
    pub folders: Folders,
    /// Those of the settings that can change.
    pub running: Running,
    /// Held as long as this process works in its state folder, where several runners were given one.
    _slot: Option<Arc<fs::File>>,
}

impl Config {
    /// Checks `settings` as a whole. An error is one line that names the flag.
    pub fn check(mut settings: Settings) -> anyhow::Result<Self> {
        if let Some(password) = read_passwords(&settings.backend)? {
            settings.backend.password = password;
        }
        let state = settings.folders.state()?;
        let (state, slot) = match slot::shared(&state) {
            Some(shared) => slot::take(shared).map(|(state, held)| (state, Some(Arc::new(held))))?,
            None => (folder::make("--state-dir", &state)?, None),
        };
        let work = match &settings.folders.work_dir {
            Some(given) => folder::make("--work-dir", given)?,
            None => folder::make("--state-dir", &state.join("work"))?,
        };
        settings.sandbox.check(&[&state, &work]).map_err(anyhow::Error::msg)?;
        folder::are_there("--sandbox-readable", &settings.sandbox.sandbox_readable)?;
        let running = Running::new(&settings);
        Ok(Self { settings, folders: Folders { state, work }, running, _slot: slot })
    }

    /// Says what [`Config::check`], the log and the spool would say of `settings`, as far as that can be known without
    /// making anything.
    pub fn check_ahead(settings: &Settings) -> anyhow::Result<()> {
        read_passwords(&settings.backend)?;
        let state = Self::check_folders(settings)?;
        settings.logging.check().map_err(anyhow::Error::msg)?;
        // Whoever may not write to the folder itself is not the user that the daemon is.
        let is_ours = access(&state, AccessFlags::W_OK | AccessFlags::X_OK).is_ok();
        if is_ours { spool::preflight(&state).map_err(anyhow::Error::from) } else { Ok(()) }
    }

    /// The part of it that is about folders; returns the state folder.
    pub fn check_folders(settings: &Settings) -> anyhow::Result<PathBuf> {
        let state = settings.folders.state()?;
        // As good as any other number.
        let state = slot::shared(&state).map_or(state.clone(), |shared| shared.join("1"));
        let state = folder::foresee("--state-dir", &state)?;
        let work = match &settings.folders.work_dir {
            Some(given) => folder::foresee("--work-dir", given)?,
            None => folder::foresee("--state-dir", &state.join("work"))?,
        };
        settings.sandbox.check(&[&state, &work]).map_err(anyhow::Error::msg)?;
        folder::are_there("--sandbox-readable", &settings.sandbox.sandbox_readable)?;
        Ok(state)
    }
}

/// The password where it does not come by value: from the descriptor of our own making, from a file, or from
/// systemd's credentials.
pub fn read_passwords(settings: &backend::Settings) -> anyhow::Result<Option<SecretString>> {
    if let Some(file) = &settings.password_file {
        return read_password(file).map(Some).with_context(|| format!("--password-file {}", file.display()));
    }
    settings.password_fd.map(|number| read_descriptor(number).context("--password-fd")).transpose()
}

fn read_password(file: &Path) -> anyhow::Result<SecretString> {
    let (text, _) = bounded::read(file, LONGEST_PASSWORD)?;
    // Editors and `echo` end a file with a newline; a password has none.
    let text = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    ensure!(!text.is_empty(), "it is empty");
    Ok(SecretString::from(text))
}

#[expect(unsafe_code, reason = "the descriptor was made by this program before it executed itself again")]
fn read_descriptor(number: i32) -> anyhow::Result<SecretString> {
    ensure!(number >= 3, "it is for the runner's own use");
    // SAFETY: main passes the number of a memory file that nothing else in this process knows of.
    let mut file = unsafe { fs::File::from_raw_fd(number) };
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(SecretString::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A command line of settings alone.
    pub(super) fn command() -> Command {
        <Settings as clap::Args>::augment_args(Command::new("runner"))
    }
}
