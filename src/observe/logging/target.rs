//! Where lines of the log go: a file, stdout or stderr.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::sync::MutexGuard;

use tracing_subscriber::fmt::MakeWriter;

use super::file::LogFile;
use super::journal;
use crate::observe::screen::Screen;

/// The target of the log.
#[derive(Debug, Clone)]
pub(super) struct Target {
    file: LogFile,
    stderr: bool,
    screen: Screen,
}

impl Target {
    /// The file where there is one, else stderr or stdout. Lines for a terminal do not tear the line on `screen`.
    pub(super) fn new(file: LogFile, stderr: bool, screen: Screen) -> Self {
        Self { file, stderr, screen }
    }

    pub(super) fn is_terminal(&self) -> bool {
        match (self.file.is_some(), self.stderr) {
            (true, _) => false,
            (false, true) => io::stderr().is_terminal(),
            (false, false) => io::stdout().is_terminal(),
        }
    }

    pub(super) fn is_journal(&self) -> bool {
        match (self.file.is_some(), self.stderr) {
            (true, _) => false,
            (false, true) => journal::is(io::stderr()),
            (false, false) => journal::is(io::stdout()),
        }
    }
}

impl<'a> MakeWriter<'a> for Target {
    type Writer = Writer<'a>;

    fn make_writer(&'a self) -> Writer<'a> {
        match self.file.lock() {
            Some(file) => Writer::File(file),
            None if self.stderr => Writer::Stderr(&self.screen),
            None => Writer::Stdout(&self.screen),
        }
    }
}

/// Writes one line.
pub(super) enum Writer<'a> {
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
