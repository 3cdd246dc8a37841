//! Levels of the log.

use tracing::Metadata;
use tracing::level_filters::LevelFilter;

/// How much is logged. The reference document gives the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Level {
    /// Everything that happens
    Debug,
    /// A line at a task's start and end
    Info,
    /// Unexpected conditions
    Warning,
    /// Failures
    Error,
    /// Failures that a person must mend
    Critical,
}

impl Level {
    /// The level of an event. An error with the target `critical` is critical; tracing has no level for it.
    pub(super) fn of(meta: &Metadata<'_>) -> Self {
        match *meta.level() {
            _ if meta.target() == "critical" => Self::Critical,
            tracing::Level::ERROR => Self::Error,
            tracing::Level::WARN => Self::Warning,
            tracing::Level::INFO => Self::Info,
            _ => Self::Debug,
        }
    }

    /// The name, as in the settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }

    /// Whether the log at this level includes a span or event. It includes all spans, because they carry the task's id,
    /// and libraries' events from warnings on.
    pub(super) fn includes(self, meta: &Metadata<'_>) -> bool {
        let root = meta.target().split("::").next().unwrap_or_default();
        let ours = matches!(root, "ostest_runner" | "sandbox" | "critical");
        let least_severe = match self {
            Self::Debug => LevelFilter::DEBUG,
            Self::Info => LevelFilter::INFO,
            Self::Warning => LevelFilter::WARN,
            Self::Error => LevelFilter::ERROR,
            Self::Critical => return meta.is_span() || meta.target() == "critical",
        };
        meta.is_span() || (*meta.level() <= least_severe && (ours || *meta.level() <= tracing::Level::WARN))
    }
}
