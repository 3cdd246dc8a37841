//! How tasks are confined.

/// The sandbox level and features of this process.
#[derive(Debug, Clone)]
pub struct Confinement {
    /// The level, as `--sandbox` names it.
    pub level: &'static str,
    /// The enforced features, as words of the form `feature=how`.
    pub line: String,
    /// Why the level is not a stronger one.
    pub weaker_because: Option<String>,
}

impl Default for Confinement {
    /// The level `none`, for a runner that starts no suites.
    fn default() -> Self {
        Self { level: "none", line: String::new(), weaker_because: None }
    }
}
