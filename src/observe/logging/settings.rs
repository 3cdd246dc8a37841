//! The settings of the log.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use super::file::path_of;
use super::level::Level;

/// Format of a line of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people; with journald's priorities where the log goes to the journal
    Text,
    /// An object a line
    Json,
}

/// Settings of the log.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Log")]
#[group(skip)]
pub struct Settings {
    /// How much to log [default: info; warning for subcommands]
    #[arg(long, global = true, env = "RUNNER_LOGGER_LEVEL", value_enum, value_name = "LEVEL")]
    pub logger_level: Option<Level>,

    /// File to append the log to, opened anew on SIGHUP; empty: stdout (stderr for subcommands)
    #[arg(long, global = true, env = "RUNNER_LOGGER_OUTPUT", value_name = "FILE")]
    pub logger_output: Option<OsString>,

    /// How a line of the log looks
    #[arg(long, global = true, env = "RUNNER_LOG_FORMAT", value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    pub log_format: Format,
}

impl Settings {
    /// The level in force: that of the settings, else `info`, or `warning` for a subcommand.
    pub fn level(&self, for_subcommand: bool) -> Level {
        self.logger_level.unwrap_or(if for_subcommand { Level::Warning } else { Level::Info })
    }

    /// Checks the log file without creating it.
    ///
    /// # Errors
    /// When the path is a folder, or its folder does not exist or is not a folder. The text says what to do. A folder
    /// that this user may not read passes, because the daemon may run as another user.
    pub fn check(&self) -> Result<(), String> {
        let Some(path) = self.logger_output.as_deref().and_then(path_of) else { return Ok(()) };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let refuse = |why: &str| Err(format!("--logger-output {}: {why}", path.display()));
        match folder.metadata() {
            _ if path.is_dir() => refuse("it is a folder; name a file in it"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => refuse(&format!(
                "the folder {} is not there; make it, or name another file",
                folder.display()
            )),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => refuse(&error.to_string()),
            Ok(meta) if !meta.is_dir() => refuse(&format!("{} is not a folder", folder.display())),
            _ => Ok(()),
        }
    }
}
