//! Where the log goes and how much of it. The daemon logs to stdout, as the Python runner did; a subcommand logs
//! to stderr, since stdout is for what it says.

mod journal;
mod json;

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::live::Live;
use crate::observe::screen::{self, Screen};

/// How much is logged, by the names of the reference document.
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
    /// The level of an event: what needs a person is an error of its own target.
    fn of(meta: &Metadata<'_>) -> Self {
        match *meta.level() {
            _ if meta.target() == "critical" => Self::Critical,
            tracing::Level::ERROR => Self::Error,
            tracing::Level::WARN => Self::Warning,
            tracing::Level::INFO => Self::Info,
            _ => Self::Debug,
        }
    }

    /// As in the settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people; with journald's priorities where the log goes to the journal
    Text,
    /// An object a line
    Json,
}

/// The log.
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
    /// How much to log.
    pub fn level(&self, for_subcommand: bool) -> Level {
        self.logger_level.unwrap_or(if for_subcommand { Level::Warning } else { Level::Info })
    }

    /// Why the log file cannot be had, as far as that can be seen without making it.
    pub fn check(&self) -> Result<(), String> {
        let Some(path) = self.logger_output.as_deref().and_then(file) else { return Ok(()) };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let says = |why: &str| Err(format!("--logger-output {}: {why}", path.display()));
        match folder.metadata() {
            _ if path.is_dir() => says("it is a folder; name a file in it"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                says(&format!("the folder {} is not there; make it, or name another file", folder.display()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => says(&error.to_string()),
            Ok(meta) if !meta.is_dir() => says(&format!("{} is no folder", folder.display())),
            // What may not be looked at may still be the daemon's.
            _ => Ok(()),
        }
    }
}

/// The log while it runs.
#[derive(Debug, Clone)]
pub struct Log {
    file: LogFile,
    level: Live<Level>,
}

impl Log {
    /// Opens the log file anew, where there is one.
    pub fn reopen(&self) {
        self.file.reopen();
    }

    /// How much is logged.
    pub fn level(&self) -> Level {
        self.level.get()
    }

    /// From now on logs this much.
    pub fn set_level(&self, level: Level) {
        self.level.set(level);
        // Each place that logs remembers whether it is to.
        tracing::callsite::rebuild_interest_cache();
    }
}

/// The file that the log goes to, if it goes to one.
#[derive(Debug, Clone, Default)]
struct LogFile(Option<Arc<(PathBuf, Mutex<File>)>>);

impl LogFile {
    fn open(given: Option<&OsString>) -> anyhow::Result<Self> {
        let Some(path) = given.and_then(|name| file(name)) else { return Ok(Self(None)) };
        let file = append(path).with_context(|| format!("--logger-output {}", path.display()))?;
        Ok(Self(Some(Arc::new((path.to_owned(), Mutex::new(file))))))
    }

    /// Opens the file anew, since logrotate has moved the old one away. Where that fails the old one serves on.
    fn reopen(&self) {
        let Some((path, file)) = self.0.as_deref() else { return };
        match append(path) {
            Ok(new) => *file.lock().unwrap_or_else(PoisonError::into_inner) = new,
            Err(error) => {
                tracing::error!(name: "log_file_failed", file = %path.display(), %error, "the log file could not be opened anew");
            }
        }
    }
}

/// As in the reference document, an empty name is no file.
fn file(name: &OsStr) -> Option<&Path> {
    (!name.is_empty()).then_some(Path::new(name))
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// Starts the log. `for_subcommand` sends it to stderr and shows less by default. Its lines go past what `screen` shows.
pub fn start(settings: &Settings, for_subcommand: bool, screen: &Screen) -> anyhow::Result<Log> {
    let file = LogFile::open(settings.logger_output.as_ref())?;
    let log = Log { file: file.clone(), level: Live::new(settings.level(for_subcommand)) };
    let target = Target { file, stderr: for_subcommand, screen: screen.clone() };
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
    // A second start in one process (a test) keeps the first log.
    tracing_subscriber::registry()
        .with(layer.with_filter(filter_fn(move |meta| shows(level.get(), meta))))
        .try_init()
        .ok();
    Ok(log)
}

fn shows(level: Level, meta: &Metadata<'_>) -> bool {
    let root = meta.target().split("::").next().unwrap_or_default();
    let ours = matches!(root, "ostest_runner" | "sandbox" | "critical");
    let most = match level {
        Level::Debug => LevelFilter::DEBUG,
        Level::Info => LevelFilter::INFO,
        Level::Warning => LevelFilter::WARN,
        Level::Error => LevelFilter::ERROR,
        Level::Critical => return meta.is_span() || meta.target() == "critical",
    };
    // Spans carry the task's id into every line, whatever the level of the line. Libraries speak from warnings on.
    meta.is_span() || (*meta.level() <= most && (ours || *meta.level() <= tracing::Level::WARN))
}

#[derive(Debug, Clone)]
struct Target {
    file: LogFile,
    stderr: bool,
    screen: Screen,
}

impl Target {
    fn is_terminal(&self) -> bool {
        match (&self.file.0, self.stderr) {
            (Some(_), _) => false,
            (None, true) => io::stderr().is_terminal(),
            (None, false) => io::stdout().is_terminal(),
        }
    }
}

impl Target {
    fn is_journal(&self) -> bool {
        match (&self.file.0, self.stderr) {
            (Some(_), _) => false,
            (None, true) => journal::is(io::stderr()),
            (None, false) => journal::is(io::stdout()),
        }
    }
}

impl<'a> MakeWriter<'a> for Target {
    type Writer = Writer<'a>;

    fn make_writer(&'a self) -> Writer<'a> {
        match &self.file.0 {
            Some(file) => Writer::File(file.1.lock().unwrap_or_else(PoisonError::into_inner)),
            None if self.stderr => Writer::Stderr(&self.screen),
            None => Writer::Stdout(&self.screen),
        }
    }
}

/// One line's way out.
enum Writer<'a> {
    File(MutexGuard<'a, File>),
    Stdout(&'a Screen),
    Stderr(&'a Screen),
}

impl Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Stdout(screen) => screen.aside(|| io::stdout().write(bytes)),
            Self::Stderr(screen) => screen.aside(|| io::stderr().write(bytes)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::Stdout(_) => io::stdout().flush(),
            Self::Stderr(_) => io::stderr().flush(),
        }
    }
}
