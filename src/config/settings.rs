//! The settings of all modules together.

use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};

use super::{folder, slot};
use crate::executors::{self, SuiteSettings};
use crate::{backend, git, observe::logging, observe::serve, spool};
use crate::{pipeline::artifacts, pipeline::poll, pipeline::worker};
use sandbox::{command, confine};

/// The settings of all modules, before they are checked as a whole.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Settings {
    /// Settings file in TOML: an option without its dashes, = and the value [default: /etc/ostest-runner/config.toml,
    /// if it exists]; none: no file
    #[arg(long, global = true, env = "RUNNER_CONFIG", value_name = "FILE", help_heading = "Settings", value_parser = path_or_none())]
    pub config: Option<PathBuf>,

    #[command(flatten)]
    #[expect(missing_docs, reason = "each module documents its own")]
    pub backend: backend::Settings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "each module documents its own")]
    pub poll: poll::Settings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "each module documents its own")]
    pub worker: worker::Settings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "each module documents its own")]
    pub checkout: git::Settings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "each module documents its own")]
    pub suite: SuiteSettings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "each module documents its own")]
    pub execute: executors::Settings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "each module documents its own")]
    pub process: command::Settings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "each module documents its own")]
    pub sandbox: confine::Settings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "each module documents its own")]
    pub limits: report::Limits,
    #[command(flatten)]
    #[expect(missing_docs, reason = "each module documents its own")]
    pub folders: FolderSettings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "each module documents its own")]
    pub artifacts: artifacts::Settings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "each module documents its own")]
    pub logging: logging::Settings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "each module documents its own")]
    pub serve: serve::Settings,
}

/// A parser of paths that accepts an empty text, which an environment variable may hold to say "none".
fn path_or_none() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// The folders in which the runner stores files.
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
    /// The state folder, as given or by default. It need not exist.
    ///
    /// # Errors
    /// None is given, and `HOME` is not set.
    pub fn state(&self) -> anyhow::Result<PathBuf> {
        match &self.state_dir {
            Some(given) => Ok(given.clone()),
            None => folder::default_state().map(|(path, _)| path),
        }
    }

    /// The state folder of one runner, for a subcommand that looks into it.
    ///
    /// # Errors
    /// Several runners share the folder, and none of their slots is named; or there is no default.
    pub fn single_state(&self) -> anyhow::Result<PathBuf> {
        let state = self.state()?;
        match slot::shared(&state) {
            Some(shared) => Err(slot::not_named(&state, shared)),
            // The shared folder itself, without `{slot}`.
            None if !slot::numbers(&state).is_empty() && !spool::is_there(&state)? => {
                Err(slot::not_named(&state, &state))
            }
            None => Ok(state),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A command line that has the settings and no subcommands.
    pub(in crate::config) fn command() -> clap::Command {
        <Settings as clap::Args>::augment_args(clap::Command::new("runner"))
    }
}
