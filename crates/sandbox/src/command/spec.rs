//! Description of a command.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::confine::Plan;

/// Path of bubblewrap. It is never looked up in a `PATH`, which somebody else may have set.
pub const BWRAP: &str = "/usr/bin/bwrap";

/// Environment variable that marks everything that a command starts, so that it is found even if the command's supervisor
/// was killed.
pub(super) const MARK: &str = "OSTEST_COMMAND";

/// A program to run as a command.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Spec {
    /// Path or name; a name is looked up in the child's `PATH`.
    pub program: String,
    /// Arguments, without the program's name.
    pub args: Vec<String>,
    /// The whole environment; nothing is inherited.
    pub env: Vec<(String, String)>,
    /// Working directory.
    pub dir: PathBuf,
    /// Content of stdin; if it is empty, stdin is `/dev/null`. Secrets go here, never into `args`.
    pub stdin: String,
    /// Confinement of the command.
    #[serde(default)]
    pub plan: Plan,
    /// Common stem of the files that get the kept stdout and stderr: `STEM.stdout`, `STEM.stderr`.
    #[serde(skip)]
    pub output: Option<PathBuf>,
}
