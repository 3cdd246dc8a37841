//! Reason why no acceptable confinement was found.

use crate::confine::{Level, TrialError};

/// Reason why no acceptable confinement was found.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FindError {
    /// The runner is root, and no level with a user for each task works.
    #[error(
        "as root each task needs a user of its own, and that does not work here ({}); install bubblewrap, or give a \
         --state-dir that every user can pass through, such as /var/lib/ostest-runner, and a python3 in the PATH that \
         every user can execute, or do not run this as root; --sandbox none runs untrusted code as root",
        TrialError::list(trials)
    )]
    Root {
        /// The failed trials.
        trials: Vec<TrialError>,
    },
    /// The strongest level that works is weaker than the required one.
    #[error("the sandbox here would be {}, which is weaker than the {} that is required{}", found.name(), required.name(), in_brackets(trials))]
    TooWeak {
        /// The strongest level that works.
        found: Level,
        /// The level that the settings require.
        required: Level,
        /// The failed trials of stronger levels.
        trials: Vec<TrialError>,
    },
}

impl FindError {
    /// Returns the failed trials.
    pub fn trials(&self) -> &[TrialError] {
        match self {
            Self::Root { trials } | Self::TooWeak { trials, .. } => trials,
        }
    }
}

fn in_brackets(trials: &[TrialError]) -> String {
    if trials.is_empty() { String::new() } else { format!(" ({})", TrialError::list(trials)) }
}
