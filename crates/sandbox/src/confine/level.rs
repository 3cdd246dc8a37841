//! Strength of a confinement.

use serde::{Deserialize, Serialize};

/// Strength of a confinement, weakest first.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
pub enum Level {
    /// Nothing is confined.
    #[default]
    None,
    /// Limits, Landlock, seccomp, and a user for each task if the runner is root.
    Basic,
    /// The same within namespaces of its own.
    Bwrap,
}

impl Level {
    /// Returns the name used on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Basic => "basic",
            Self::Bwrap => "bwrap",
        }
    }
}
