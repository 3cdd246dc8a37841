//! The log file.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;

/// The open log file, where the log goes to one. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct LogFile(Option<Arc<(PathBuf, Mutex<File>)>>);

impl LogFile {
    /// Opens the file `name`, or none for an empty name or no name.
    pub(super) fn open(name: Option<&OsString>) -> anyhow::Result<Self> {
        let Some(path) = name.and_then(|name| path_of(name)) else { return Ok(Self(None)) };
        let file = append(path).with_context(|| format!("--logger-output {}", path.display()))?;
        Ok(Self(Some(Arc::new((path.to_owned(), Mutex::new(file))))))
    }

    /// Opens the file again, because logrotate moved the old one away. Where that fails, the log stays in the old one.
    pub(super) fn reopen(&self) {
        let Some((path, file)) = self.0.as_deref() else { return };
        match append(path) {
            Ok(new) => *file.lock().unwrap_or_else(PoisonError::into_inner) = new,
            Err(error) => {
                tracing::error!(name: "log_file_failed", file = %path.display(), %error, "cannot open the log file again; the log goes on in the old one");
            }
        }
    }

    /// Whether the log goes to a file.
    pub(super) fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// The file, locked for one line.
    pub(super) fn lock(&self) -> Option<MutexGuard<'_, File>> {
        self.0.as_deref().map(|(_, file)| file.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The path of a log file. An empty name means no file, as in the reference document.
pub(super) fn path_of(name: &OsStr) -> Option<&Path> {
    (!name.is_empty()).then_some(Path::new(name))
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}
