//! Reads the settings from the command line, the environment and the settings file, in that order of precedence.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{ArgMatches, Command, FromArgMatches};

use super::error::named;
use super::file::{self, File};
use super::{Settings, origin, typos};

/// The origin of the settings.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// The command line, to read the settings again.
    pub arguments: Vec<OsString>,
    /// Each setting with its origin.
    pub values: Vec<origin::Value>,
    /// Why the settings file is unusable, for [`FileUse::Reported`]; then the settings hold nothing of it.
    pub file_error: Option<String>,
    /// Problems that are no errors, one line each.
    pub warnings: Vec<String>,
}

/// How a subcommand uses the settings file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileUse {
    /// An unusable file is an error.
    Required,
    /// Like `Required`, but the default file is ignored if this user may not read it: it is the daemon's, and may hold
    /// its password.
    IfReadable,
    /// Like `IfReadable`, but an invalid file is ignored with a warning. A runner keeps its old settings while its file
    /// is invalid, and what looks after that runner must work too.
    IfValid,
    /// The subcommand has no settings.
    Never,
    /// The subcommand reports an unusable file itself: see [`Given::file_error`].
    Reported,
}

/// Reads the settings. `file_use` decides by the subcommand how the settings file is used.
///
/// # Errors
/// A value is wrong, or the file is unusable. [`super::one_line`] makes one line of the error.
pub fn read(
    command: &Command,
    arguments: Vec<OsString>,
    file_use: impl FnOnce(&ArgMatches) -> FileUse,
) -> Result<(ArgMatches, Settings, Given), clap::Error> {
    let mut matches = command
        .clone()
        .try_get_matches_from(&arguments)
        .map_err(|error| named(error, command, &arguments))?;
    let path = matches.get_one::<PathBuf>("config").map(PathBuf::as_path);
    let (file, file_error) = read_file(command, path, file_use(&matches))?;
    if let Some(file) = &file {
        matches = file.as_defaults(command.clone()).try_get_matches_from(&arguments)?;
    }
    let mut settings = Settings::from_arg_matches(&matches)?;
    let mut values = origin::values(command, &matches, file.as_ref());
    origin::choose_password(&mut settings, &mut values);
    let mut warnings = typos::warnings(command);
    if let Some(file) = &file {
        warnings.extend(file.warnings.iter().cloned());
    }
    settings.config = file.map(|file| file.path);
    origin::fill_in_rules(&settings, &mut values);
    Ok((matches, settings, Given { arguments, values, file_error, warnings }))
}

/// Reads the settings file at `path`, or the default one. Returns the file, or why it is unusable if `file_use` allows
/// that.
fn read_file(
    command: &Command,
    path: Option<&Path>,
    file_use: FileUse,
) -> Result<(Option<File>, Option<String>), clap::Error> {
    let read = match path {
        _ if file_use == FileUse::Never => Ok(None),
        Some(path) if is_none(path) => Ok(None),
        Some(path) => File::read(path, command).map(Some),
        None => match File::read_if_exists(Path::new(file::DEFAULT), command) {
            Err(error)
                if matches!(file_use, FileUse::IfReadable | FileUse::IfValid)
                    && file::is(&error, io::ErrorKind::PermissionDenied) =>
            {
                Ok(None)
            }
            read => read,
        },
    };
    match read {
        Ok(file) => Ok((file, None)),
        Err(error) if file_use == FileUse::Reported => Ok((None, Some(format!("{error:#}")))),
        Err(error) if file_use == FileUse::IfValid => {
            // If stderr is closed, there is no other place for it.
            writeln!(io::stderr(), "runner: {error:#}; going on without this file").ok();
            Ok((None, None))
        }
        Err(error) => Err(clap::Error::raw(ErrorKind::InvalidValue, format!("{error:#}"))),
    }
}

/// Whether `--config` says that there is no settings file.
fn is_none(path: &Path) -> bool {
    path.as_os_str().is_empty() || path == Path::new("none")
}
