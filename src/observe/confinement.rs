//! How tasks are confined.

use sandbox::confine::{Enforcement, Level};

/// The sandbox level and features of this process; by default those of a runner that starts no suites.
#[derive(Debug, Clone, Default)]
pub struct Confinement {
    /// The level in force.
    pub level: Level,
    /// What is enforced, feature by feature.
    pub enforcement: Enforcement,
    /// Why the level is not a stronger one.
    pub weaker_because: Option<String>,
}
