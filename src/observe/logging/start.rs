//! Starts the log, and controls it while it runs.

use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::file::LogFile;
use super::level::Level;
use super::settings::{Format, Settings};
use super::target::Target;
use super::{journal, json};
use crate::live::Live;
use crate::observe::screen::{self, Screen};

/// The running log.
#[derive(Debug, Clone)]
pub struct Log {
    file: LogFile,
    level: Live<Level>,
}

impl Log {
    /// Opens the log file again, where there is one.
    pub fn reopen(&self) {
        self.file.reopen();
    }

    /// The level in force.
    pub fn level(&self) -> Level {
        self.level.get()
    }

    /// Changes the level.
    pub fn set_level(&self, level: Level) {
        self.level.set(level);
        // Each place that logs remembers whether the old level included it.
        tracing::callsite::rebuild_interest_cache();
    }
}

/// Starts the log. `for_subcommand` sends it to stderr and logs less by default. Its lines do not tear the line on
/// `screen`.
///
/// # Errors
/// When the log file cannot be opened.
pub fn start(settings: &Settings, for_subcommand: bool, screen: &Screen) -> anyhow::Result<Log> {
    let file = LogFile::open(settings.logger_output.as_ref())?;
    let log = Log { file: file.clone(), level: Live::new(settings.level(for_subcommand)) };
    let target = Target::new(file, for_subcommand, screen.clone());
    let colours = target.is_terminal() && screen::colours();
    let journal = target.is_journal();
    let text = tracing_subscriber::fmt::layer();
    let layer = match settings.log_format {
        Format::Json => json::Json(target).boxed(),
        Format::Text if journal => {
            let format = journal::Prefixed(tracing_subscriber::fmt::format().with_target(false));
            text.with_ansi(false).event_format(format).with_writer(target).boxed()
        }
        Format::Text => text.with_writer(target).with_ansi(colours).with_target(false).boxed(),
    };
    let level = log.level.clone();
    // A second start in one process, as in tests, keeps the first log.
    tracing_subscriber::registry()
        .with(layer.with_filter(filter_fn(move |meta| level.get().includes(meta))))
        .try_init()
        .ok();
    Ok(log)
}
